"""Sequences of very unequal length: a batch is padded to its own longest, and all is as if it were to that of all."""

import os
import signal
from functools import partial

import numpy as np
import pytest
import torch

import isthmus
from isthmus import OutlierDetector, SequenceAutoencoder
from isthmus.core import batch as batches
from isthmus.core.batch import RaggedBatch, of_one_length
from isthmus.core.model import Model
from isthmus.errors import InputError
from isthmus.formats import steps
from isthmus.formats.sequences import Ragged, are_ragged
from isthmus.networks import LSTM, Modules, Transformer
from isthmus.sources.memory import MemorySource
from isthmus.training import Interrupted
from isthmus.training import step as one_step
from test_resume import assert_same

QUICK = {"n_components": 3, "max_epochs": 2, "batch_size": 8, "random_state": 0}

FAMILIES = {
    "plain": SequenceAutoencoder,
    "composite": partial(SequenceAutoencoder, future_steps=3),
    "prediction alone": partial(SequenceAutoencoder, future_steps=3, reconstruction=False),
    "conditioned": partial(SequenceAutoencoder, network=LSTM(hidden=5, conditioned=True)),
    "bernoulli": partial(SequenceAutoencoder, likelihood="bernoulli"),
    "top-k": partial(SequenceAutoencoder, sparsity="topk", k=2, network=LSTM(hidden=6)),
    "weight decay": partial(SequenceAutoencoder, weight_decay=1e-3, future_steps=2),
}


@pytest.fixture(scope="module")
def unequal():
    """Twenty sequences of 5 to 9 steps and four of up to 70, with gaps."""
    rng = np.random.default_rng(0)
    lengths = [*rng.integers(5, 10, 20), 12, 25, 40, 70]
    X = [0.5 + 0.4 * np.sin(np.arange(n)[:, None] / rng.uniform(2, 5) + [0, 1]) for n in lengths]
    X[3][2, 0] = X[-1][30:33] = np.nan
    return X


@pytest.fixture
def padded(monkeypatch):
    """Pads all to the longest from then on, as it is done where lengths are nearly equal."""
    return lambda: monkeypatch.setattr(steps, "are_ragged", lambda lengths, longest: False)


def uses(model, X):
    given = {"transform": model.transform(X), "score": model.score_samples(X)}
    given["shares"] = model.score_samples(X, per_feature=True)
    if model.reconstruction:
        given |= {"reconstruct": model.reconstruct(X), "impute": model.impute(X, n_iter=2)}
        given["decoded"] = model.inverse_transform(given["transform"], [len(row) for row in X])
        given |= {"interpolated": model.interpolate(X[:4], X[-4:], 3), "traversed": model.traverse(X, 0, [0.0, 1.0])}
    if model.future_steps:
        given["future"] = model.predict_future(X)
    return given


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_all_is_told_as_of_padded_sequences(family, unequal, padded):
    model = family(**QUICK).fit(unequal)
    equal = np.stack([row[:5] for row in unequal])  # on a model of longer ones
    cut, cut_equal = uses(model, unequal), uses(model, equal)
    assert isinstance(model.format_.encode_to_score(unequal).x, Ragged)
    padded()
    assert not isinstance(model.format_.encode_to_score(unequal).x, Ragged)
    for one, other in ((cut, uses(model, unequal)), (cut_equal, uses(model, equal))):
        for name, values in other.items():
            for a, b in zip(one[name], values, strict=True):
                np.testing.assert_allclose(a, b, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("name", FAMILIES)
def test_training_is_that_on_padded_batches(name, unequal, padded, monkeypatch):
    family = FAMILIES[name]
    if name != "top-k":  # of which units are idle is told by a batch, or by each of its parts
        monkeypatch.setattr(batches, "MOST_PADDED", 0)  # in parts, wherever there is anything to gain
    cut = family(**QUICK).fit(unequal)
    padded()
    whole = family(**QUICK).fit(unequal)
    assert len(cut.history_) == len(whole.history_) == 2
    for one, other in zip(cut.history_, whole.history_, strict=True):
        for part in ("train", "validation"):
            for term, value in other[part].items():
                assert one[part][term] == pytest.approx(value, rel=1e-6, abs=1e-8), (part, term)
    for name, weight in whole.module_.named_parameters():
        torch.testing.assert_close(cut.module_.get_parameter(name), weight, atol=1e-8, rtol=1e-6)
    for name in ("usual", "unknown"):
        torch.testing.assert_close(
            getattr(cut.module_, name), getattr(whole.module_, name), atol=1e-6, rtol=1e-6, equal_nan=True
        )


def test_lengths_that_are_nearly_equal_are_padded_as_ever():
    lengths = np.array([12, 6, 7, 6])
    assert not are_ragged(lengths, 12)
    assert are_ragged(lengths, 16)
    X = [np.ones((n, 1)) * np.arange(n)[:, None] for n in lengths]
    model = SequenceAutoencoder(**QUICK | {"max_epochs": 1}).fit(X)
    assert isinstance(model.format_.encode_to_score(X).x, np.ndarray)


@pytest.mark.parametrize("network", [Transformer(width=8, heads=2, depth=1), "modules"])
def test_networks_that_need_all_steps_get_them(network, unequal):
    if network == "modules":
        flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(140, 3))
        back = torch.nn.Sequential(torch.nn.Linear(3, 140), torch.nn.Unflatten(1, (70, 2)))
        network = Modules(Told(flat), Told(back))
    model = SequenceAutoencoder(**QUICK, network=network).fit(unequal)
    assert isinstance(model.format_.encode_to_score(unequal).x, np.ndarray)
    assert [row.shape for row in model.reconstruct(unequal)] == [row.shape for row in unequal]


class Told(torch.nn.Module):
    """A module that is told the lengths, and pays no heed to them."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x, lengths=None):
        return self.module(x)


def test_no_batch_is_padded_far_beyond_its_own_steps(monkeypatch):
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(n, 1)).astype(np.float32) for n in [*rng.integers(10, 21, 80), 4000]]
    seen, encode = [], Model.encode

    def noted(self, batch, *args):
        seen.append((batch.x.shape[0] * batch.x.shape[1], batch.x.shape[1]))
        return encode(self, batch, *args)

    monkeypatch.setattr(Model, "encode", noted)
    model = SequenceAutoencoder(**QUICK | {"batch_size": 16, "max_epochs": 1}).fit(X)
    for use in (model.transform, model.score_samples, model.reconstruct):
        use(X)
    assert max(size for size, _ in seen) <= batches.MOST_PADDED + 4100  # 16 × 4,000 were it padded, and more at use
    assert sum(steps == 4000 for _, steps in seen) < 16  # most go without the long one
    detector = OutlierDetector(SequenceAutoencoder(**QUICK | {"max_epochs": 1}), contamination=0.05).fit(
        [*X[:-1], X[-1][:100]]
    )
    assert detector.predict(X[:5]).shape == (5,)


def test_the_order_is_the_generators(unequal):
    rows = MemorySource(RaggedBatch.of(torch.arange(60.0)[:, None], torch.full((12,), 5), torch.arange(12) * 5, 0))

    def drawn(seed):
        return [b.starts.tolist() for b in rows.batches(5, torch.Generator().manual_seed(seed))]

    assert drawn(0) == drawn(0) != drawn(1)
    assert sorted(np.concatenate(drawn(0))) == list(range(0, 60, 5))
    assert [len(each) for each in drawn(0)] == [5, 5, 2]
    assert rows.sample(4).starts.tolist() == [0, 15, 30, 45]
    assert MemorySource(rows.whole, torch.tensor([3, 1])).sample(1).starts.tolist() == [15]


def test_sequences_of_a_group_are_within_a_factor_of_two():
    lengths = torch.from_numpy(np.exp(np.random.default_rng(0).uniform(0, 9, 300)).astype(int) + 1)
    groups = of_one_length(lengths)
    assert sorted(torch.cat(groups).tolist()) == list(range(300))
    for group in groups:
        own = lengths[group]
        assert own.max() <= max(2 * own.min(), 2 * batches.SHORT)


@pytest.mark.parametrize("steps", [1, 4, 7])
def test_a_run_that_was_stopped_goes_on_to_the_bit(unequal, tmp_path, monkeypatch, steps):
    monkeypatch.setattr(batches, "MOST_PADDED", 0)
    model = SequenceAutoencoder(**QUICK | {"max_epochs": 3}, corruption="gaussian", future_steps=2)
    whole = model.fit(unequal)
    left, step = [steps], one_step._step

    def stopping(*args):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return step(*args)

    with monkeypatch.context() as patch:
        patch.setattr(one_step, "_step", stopping)
        with pytest.raises(Interrupted):
            SequenceAutoencoder(**model.get_params()).fit(unequal, resume_from=tmp_path)
    again = SequenceAutoencoder(**model.get_params()).fit(unequal, resume_from=tmp_path)
    assert_same(again, whole)


def test_a_saved_model_and_further_rows(unequal, tmp_path):
    model = SequenceAutoencoder(**QUICK, future_steps=2).fit(unequal)
    model.save(tmp_path / "model")
    again = isthmus.load(tmp_path / "model")
    for a, b in zip(uses(model, unequal)["shares"], uses(again, unequal)["shares"], strict=True):
        np.testing.assert_array_equal(a, b)
    again.partial_fit(unequal[:20])
    assert np.isfinite(again.score_samples(unequal)).all()


def test_what_is_wrong_is_said_as_of_padded_ones(unequal):
    model = SequenceAutoencoder(**QUICK | {"max_epochs": 1}, future_steps=5).fit(
        [*unequal[20:], *[unequal[-1][:9]] * 9]
    )
    for X, said in (
        ([*unequal, np.zeros((71, 2))], "71 steps, and the longest at fit had 70"),
        ([np.zeros((9, 3))] * 5, "X has 3 features, but SequenceAutoencoder is expecting 2"),
        ([np.full((9, 2), np.inf)] * 5, "infinity in sequence 0, step 0, feature 0"),
        ([np.zeros((9, 2)), np.zeros((9, 3))], "3 features a step in sequence 1, and 2 in the first"),
    ):
        with pytest.raises(ValueError, match=said):
            model.transform(X)
    with pytest.raises(ValueError, match="4 steps in sequence 1, of which future_steps=5"):
        model.score_samples([np.zeros((9, 2)), np.zeros((4, 2))])
    with pytest.raises(ValueError, match="nothing but NaN in feature 1"):
        SequenceAutoencoder().fit([row * [1, np.nan] for row in unequal])
    with pytest.raises(ValueError, match="swap"):
        SequenceAutoencoder(corruption="swap").fit(unequal)


def test_detectors_take_them(unequal, padded):
    detector = OutlierDetector(SequenceAutoencoder(**QUICK)).fit(unequal)
    X = [*unequal, np.full((6, 2), np.nan)]
    cut = detector.score_samples(X), detector.explain(X) if hasattr(detector, "explain") else []
    assert cut[0][-1] < detector.offset_
    padded()
    np.testing.assert_allclose(cut[0], detector.score_samples(X), atol=1e-8)


def test_sequences_of_no_steps_are_refused():
    model = SequenceAutoencoder(2, max_epochs=1).fit(np.random.default_rng(0).random((8, 20, 1)))
    for method in ("transform", "reconstruct", "score_samples"):
        with pytest.raises(InputError, match="X holds no value"):
            getattr(model, method)(np.empty((5, 0, 1)))
