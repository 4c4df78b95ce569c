"""What runs beside a fit, in other threads or around it, changes no bit of it, and a fit changes nothing beside."""

import hashlib
import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits
from torch import nn
from torch.utils.checkpoint import checkpoint

import isthmus
from isthmus import (
    Autoencoder,
    ConditionalVariationalAutoencoder,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    MultimodalAutoencoder,
    OutlierDetector,
    SequenceAutoencoder,
    SparseAutoencoder,
    TabularAutoencoder,
    VariationalAutoencoder,
)
from isthmus.errors import InputError, NewCategoryWarning, hushed, warn_caller
from isthmus.evaluation import probe
from isthmus.networks import LSTM, MLP, Conv, Modules, Transformer
from isthmus.randomness import DrawingFrom
from isthmus.threads import suited_to

pytestmark = [
    pytest.mark.filterwarnings("ignore:the code has collapsed"),
    pytest.mark.filterwarnings("ignore:.* units are on in no row"),
]

DROPPING = MLP(hidden=(16,), dropout=0.2)
ATTENTION = Transformer(patch=4, width=16, depth=1, heads=2, dropout=0.1)
OWN = Modules(
    nn.Sequential(nn.Linear(64, 16), nn.RReLU(), nn.AlphaDropout(0.1), nn.Linear(16, 2)),
    nn.Sequential(nn.Linear(2, 16), nn.GELU(), nn.Dropout(0.2), nn.Linear(16, 64)),
)
FAMILIES = {
    "plain": partial(Autoencoder, network=DROPPING),
    "own modules": partial(Autoencoder, network=OWN),
    "convolutions": partial(Autoencoder, network=Conv(channels=(4,))),
    "denoising": partial(DenoisingAutoencoder, network=DROPPING, corruption="salt_and_pepper"),
    "masked patches": partial(DenoisingAutoencoder, network=ATTENTION, corruption="masking"),
    "sparse": partial(SparseAutoencoder, 20, network=DROPPING),
    "contractive": partial(ContractiveAutoencoder, network=MLP(hidden=(16,), dropout=0.2, linear_path=None)),
    "contractive attention": partial(ContractiveAutoencoder, network=ATTENTION),
    "variational": partial(VariationalAutoencoder, network=DROPPING, sigma="learned"),
    "conditional": partial(ConditionalVariationalAutoencoder, network=DROPPING),
    "sequence": partial(SequenceAutoencoder, 4, network=LSTM(hidden=8, layers=2, dropout=0.2)),
    "sequence, attention": partial(SequenceAutoencoder, 4, network=ATTENTION),
    "tabular": partial(TabularAutoencoder, network=DROPPING, corruption="masking"),
    "multimodal": partial(MultimodalAutoencoder, 4),
    "product of experts": partial(MultimodalAutoencoder, 4, fusion="product_of_experts"),
    "detector": partial(OutlierDetector, Autoencoder(2, network=DROPPING)),
}


def new(name, seed):
    """An estimator of two epochs, whose last weights are kept."""
    settings = {"max_epochs": 2, "validation_fraction": None, "random_state": seed}
    if name == "detector":
        return OutlierDetector(Autoencoder(2, network=DROPPING, **settings))
    return FAMILIES[name](**settings)


def rows_of(name, digits, labels):
    X, y = digits[:48], labels[:48]
    if name.startswith("multimodal") or name == "product of experts":
        return {"image": X, "label": y}, None
    if name == "tabular":
        return pd.DataFrame(X[:, 2]).rename(columns=str).assign(label=y.astype(str)), None
    return (X.reshape(len(X), -1) if name == "own modules" else X), y


def bits(estimator):
    """All weights of a fitted estimator: the digest of each tensor."""
    parts = getattr(estimator, "autoencoders_", [estimator])
    tensors = (tensor for part in parts for tensor in part.module_.state_dict().values())
    return [hashlib.sha256(tensor.numpy().tobytes()).hexdigest()[:8] for tensor in tensors]


@pytest.mark.parametrize("name", FAMILIES)
def test_eight_fits_in_four_threads_are_the_same_fits_alone(name, digits, digits_labels):
    X, y = rows_of(name, digits, digits_labels)
    alone = [bits(new(name, seed).fit(X, y)) for seed in range(8)]
    assert len({tuple(each) for each in alone}) > 1 or name == "convolutions"
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    with ThreadPoolExecutor(4) as pool:
        beside = list(pool.map(lambda seed: bits(new(name, seed).fit(X, y)), range(8)))
    assert alone == beside
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()


@pytest.mark.parametrize("name", FAMILIES)
def test_one_model_is_used_in_four_threads(name, digits, digits_labels):
    X, y = rows_of(name, digits, digits_labels)
    model = new(name, 0).fit(X, y)

    def use(turn):
        told = {"y": y} if name == "conditional" else {}
        method = ("transform", "score_samples", "reconstruct", "impute")[turn % 4]
        if not hasattr(model, method):
            method = "predict"
        if name == "tabular" and method == "transform":
            return model.transform(X, layers="all")
        return getattr(model, method)(X, **({} if method in ("transform", "predict") else told))

    alone = [pickle.dumps(use(turn)) for turn in range(4)]
    with ThreadPoolExecutor(4) as pool:
        beside = list(pool.map(lambda turn: pickle.dumps(use(turn)), [*range(4)] * 4))
    assert beside == alone * 4


def test_joblibs_threads(digits):
    build = partial(Autoencoder, network=DROPPING, max_epochs=2, validation_fraction=None)
    alone = [bits(build(random_state=seed).fit(digits[:48])) for seed in range(4)]
    jobs = (joblib.delayed(build(random_state=seed).fit)(digits[:48]) for seed in range(4))
    assert alone == [bits(each) for each in joblib.Parallel(4, backend="threading")(jobs)]


def test_loads_and_uses_in_other_threads(digits, tmp_path):
    """Loading builds networks, counts their layers, and once seeded the process's generator."""
    model = Autoencoder(2, network=DROPPING, max_epochs=2, validation_fraction=None, random_state=0).fit(digits[:48])
    model.save(tmp_path / "model")
    codes, stop, wrong = model.transform(digits), threading.Event(), []

    def load():
        while not stop.is_set():
            if not np.array_equal(isthmus.load(tmp_path / "model").transform(digits), codes):
                wrong.append("other codes")

    def draw():
        while not stop.is_set():
            torch.rand(3)

    threads = [threading.Thread(target=each) for each in (load, load, draw)]
    for each in threads:
        each.start()
    try:
        again = [bits(model.set_params(max_epochs=2).fit(digits[:48])) for _ in range(6)]
    finally:
        stop.set()
        for each in threads:
            each.join()
    assert not wrong
    assert again == again[:1] * 6


@pytest.mark.parametrize("name", FAMILIES)
def test_the_programs_own_settings_of_torch_change_no_bit(name, digits, digits_labels):
    X, y = rows_of(name, digits, digits_labels)
    alone = new(name, 0).fit(X, y)
    expected = bits(alone), alone.score_samples(X)
    torch.set_default_dtype(torch.float64)
    try:
        found = new(name, 0).fit(X, y)
        assert (bits(found), found.score_samples(X).tolist()) == (expected[0], expected[1].tolist())
    finally:
        torch.set_default_dtype(torch.float32)
    others = (torch.no_grad(), torch.inference_mode(), torch.autocast("cpu", torch.bfloat16), torch.device("meta"))
    for context in others:
        with context:
            found = new(name, 0).fit(X, y)
            assert bits(found) == expected[0]
            assert found.score_samples(X).tolist() == expected[1].tolist()
            assert torch.is_grad_enabled() == isinstance(context, torch.autocast | torch.device)


def test_the_numbers_of_threads_are_put_back_by_whoever_leaves_last():
    """One thread enters, another does, the first leaves, then the second: in both there is what there was."""
    seen, both_in, first_out = {}, threading.Barrier(2), threading.Event()

    def run(name, work):
        with suited_to(work, blas=True):
            both_in.wait()
            seen[f"{name} inside"] = torch.get_num_threads(), blas_threads()
            both_in.wait()
            if name == "second":
                first_out.wait()
                seen["alone"] = blas_threads()
        seen[name] = torch.get_num_threads()
        first_out.set()

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with threadpool_limits(3, user_api="blas"):
            threads = [threading.Thread(target=run, args=each) for each in (("first", 0), ("second", 0))]
            for each in threads:
                each.start()
            for each in threads:
                each.join()
            assert set(blas_threads()) == {3}
        assert seen == {
            "first inside": (1, seen["alone"]),
            "second inside": (1, seen["alone"]),
            "alone": [1] * len(blas_threads()),
            "first": 3,
            "second": 3,
        }
    finally:
        torch.set_num_threads(before)


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_filters_of_warnings_are_what_they_were(table):
    """Each thread that filters puts back what it has found, and the last one may have found another's."""
    before = list(warnings.filters)
    detector = OutlierDetector(Autoencoder(1, max_epochs=1))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: detector.set_params().fit(table[:30]), range(8)))
        list(pool.map(lambda _: probe.linear_probe_accuracy(table, table[:, 0] > 0, table, table[:, 0] > 0), range(8)))
    assert warnings.filters == before


def test_what_is_hushed_in_one_thread_is_said_in_others():
    with hushed(NewCategoryWarning):
        warn_caller("a new one", NewCategoryWarning)
        with ThreadPoolExecutor(1) as pool, pytest.warns(NewCategoryWarning, match="a new one"):
            pool.submit(warn_caller, "a new one", NewCategoryWarning).result()
    with pytest.warns(NewCategoryWarning, match="another"):
        warn_caller("another", NewCategoryWarning)


def test_bars_of_fits_that_run_beside_one_another(digits, capsys):
    with ThreadPoolExecutor(3) as pool:
        build = partial(Autoencoder, max_epochs=2, verbose=1)
        list(pool.map(lambda seed: build(random_state=seed).fit(digits[:40]), range(3)))
    assert capsys.readouterr().out.count("kept: epoch") >= 3


def test_a_second_thread_leaves_a_kept_run_alone(digits, tmp_path):
    """Two processes cannot keep one run, nor can two threads of one."""
    refused = []

    def intrude(_):
        with ThreadPoolExecutor(1) as pool:
            refused.append(pool.submit(Autoencoder(2).fit, digits[:40], resume_from=tmp_path).exception())

    Autoencoder(2, max_epochs=1, callbacks=[intrude]).fit(digits[:40], resume_from=tmp_path)
    assert isinstance(refused[0], BlockingIOError)
    assert str(refused[0]).startswith("another process is training in")


X = torch.linspace(0.1, 0.9, 96).reshape(2, 3, 16)
DRAWS = {
    "rand": lambda x: torch.rand(3),
    "randn": lambda x: torch.randn(3),
    "randint": lambda x: torch.randint(2, 9, (5,)),
    "randperm": lambda x: torch.randperm(9),
    "rand_like": torch.rand_like,
    "randn_like": torch.randn_like,
    "randint_like": lambda x: torch.randint_like(x, 5),
    "normal": lambda x: torch.normal(x, x),
    "bernoulli": torch.bernoulli,
    "multinomial": lambda x: torch.multinomial(x[0], 2),
    "poisson": torch.poisson,
    "gamma": lambda x: torch.distributions.Gamma(x, x).sample(),
    "in place": lambda x: x.clone().uniform_().log_normal_(),
    "trunc_normal_": lambda x: nn.init.trunc_normal_(torch.empty(4, 4)),
    "linear": lambda x: nn.Linear(3, 4).weight.detach(),
    "dropout": nn.Dropout(0.3),
    "dropout of channels": nn.Dropout1d(0.3),
    "alpha dropout": nn.AlphaDropout(0.3),
    "leaky": nn.RReLU(),
    "gumbel": nn.functional.gumbel_softmax,
    "lstm": nn.LSTM(16, 8, 2, dropout=0.3, batch_first=True),
    "attention": nn.TransformerEncoderLayer(16, 2, 16, 0.3, batch_first=True),
}


class Checkpointed(nn.Module):
    """A module whose hidden layer is computed again for the gradient, to save memory."""

    def __init__(self):
        super().__init__()
        self.hidden, self.code, self.dropout = nn.Linear(64, 8), nn.Linear(8, 2), nn.Dropout(0.5)

    def forward(self, x):
        return self.code(checkpoint(lambda x: self.dropout(self.hidden(x).relu()), x, use_reentrant=False))


class TestDrawingFrom:
    """Numbers are those of torch's own generator with the same seed, which is left alone."""

    @pytest.mark.parametrize("name", DRAWS)
    def test_the_same_numbers(self, name):
        def draw():
            out = DRAWS[name](X)
            return out[0].detach() if isinstance(out, tuple) else out.detach()

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            expected = draw()
            before = torch.get_rng_state()
            with DrawingFrom(torch.Generator().manual_seed(7)):
                found = draw()
            assert torch.equal(before, torch.get_rng_state())
        assert torch.equal(found, expected)

    def test_the_fused_dropout(self):
        x = torch.ones(1000, requires_grad=True)
        with DrawingFrom(torch.Generator().manual_seed(7)):
            out, kept = torch.native_dropout(x, 0.25, True)
        assert torch.equal(out, torch.where(kept, torch.tensor(1 / 0.75), 0))
        assert 700 < kept.sum() < 800
        out.sum().backward()
        assert torch.equal(x.grad, kept / 0.75)

    def test_what_draws_again_for_its_gradient_is_refused(self, digits):
        network = Modules(Checkpointed(), nn.Linear(2, 64))
        with pytest.raises(InputError, match=r"draws random numbers again .* out of torch.utils.checkpoint"):
            Autoencoder(2, network=network, max_epochs=1).fit(digits[:48].reshape(48, -1))
        network.encoder.dropout.p = 0.0
        Autoencoder(2, network=network, max_epochs=1).fit(digits[:48].reshape(48, -1))

    def test_a_generator_that_is_given_is_used(self):
        expected = torch.rand(3, generator=torch.Generator().manual_seed(1))
        with DrawingFrom(torch.Generator().manual_seed(2)):
            assert torch.equal(torch.rand(3, generator=torch.Generator().manual_seed(1)), expected)
