"""The loop: records, callbacks, best weights, interruption, going on."""

import logging
import math
import os
import signal

import numpy as np
import pytest
import torch
from torch import nn

from isthmus import (
    Autoencoder,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    OutlierDetector,
    TabularAutoencoder,
    VariationalAutoencoder,
    load,
)
from isthmus.core.batch import Batch
from isthmus.core.score import SEARCH
from isthmus.models.params import default_epochs
from isthmus.networks import MLP, Modules
from isthmus.sources.memory import MemorySource


def weights(model):
    return torch.cat([weight.flatten() for weight in model.module_.state_dict().values()])


def test_history_holds_every_term(digits):
    model = ContractiveAutoencoder(4, weight_decay=1e-3, sparsity="l1", max_epochs=3, random_state=0).fit(digits)
    assert [record["epoch"] for record in model.history_] == [1, 2, 3]
    assert model.n_iter_ == 3
    names = {"reconstruction", "contractive", "weight_decay", "l1", "loss", "mse"}
    for record in model.history_:
        assert set(record) == {"epoch", "seconds", "train", "validation"}
        assert record["seconds"] > 0
        for part in (record["train"], record["validation"]):
            assert set(part) == names
            expected = (
                part["reconstruction"] + 0.1 * part["contractive"] + 1e-3 * part["weight_decay"] + 0.1 * part["l1"]
            )
            assert part["loss"] == pytest.approx(expected, rel=1e-5)
    # For a normal with deviation 1 the reconstruction term is half the squared error, and a constant.
    train = model.history_[-1]["train"]
    assert train["reconstruction"] == pytest.approx(64 * (train["mse"] / 2 + math.log(2 * math.pi) / 2), rel=1e-6)


def test_records_of_one_step_an_epoch_are_exact(digits):
    """With one batch and a vanishing learning rate, the record is what the finished model gives."""
    model = Autoencoder(4, batch_size=5000, lr=1e-12, max_epochs=1, validation_fraction=None, random_state=0).fit(
        digits
    )
    assert model.history_[0]["train"]["mse"] == pytest.approx(
        np.square(digits - model.reconstruct(digits)).mean(), rel=1e-4
    )
    assert "validation" not in model.history_[0]
    assert model.start_ is None


def test_callbacks_are_handed_the_records_and_can_stop(digits):
    seen = []

    def stop_at_three(record):
        seen.append(record)
        return record["epoch"] == 3

    model = Autoencoder(max_epochs=10, callbacks=[stop_at_three], random_state=0).fit(digits)
    assert model.history_ == seen
    assert model.n_iter_ == 3


def test_early_stopping(digits):
    setting = {"max_epochs": 40, "lr": 1e-9, "lr_schedule": "constant", "random_state": 0, "corruption": "gaussian"}
    assert Autoencoder(4, **setting).fit(digits).n_iter_ == 40
    stopped = Autoencoder(4, early_stopping=True, patience=3, **setting).fit(digits)
    longer = Autoencoder(4, early_stopping=True, patience=6, **setting).fit(digits)
    assert stopped.n_iter_ < longer.n_iter_ < 40


def test_the_best_weights_are_kept(digits):
    model = Autoencoder(8, max_epochs=8, lr=0.05, lr_schedule="constant", on_nonfinite="raise", random_state=0)
    losses = []
    model.callbacks = [lambda record: losses.append(record["validation"]["loss"])]
    model.fit(digits)
    kept = min(model.start_["loss"], *losses)
    # What is left must score as the best epoch did on the same held-out rows.
    assert -model.score(digits[model.held_out_]) == pytest.approx(kept, abs=2e-3)
    assert losses[-1] > kept


def test_without_validation_rows_the_last_weights_are_kept(digits):
    kwargs = {"lr_schedule": "constant", "validation_fraction": None, "random_state": 0, "batch_size": 4000, "lr": 0.3}
    kwargs["on_nonfinite"] = "raise"  # no stepping back
    last = Autoencoder(8, max_epochs=3, **kwargs).fit(digits)
    assert np.square(digits - last.reconstruct(digits)).mean() > last.history_[0]["train"]["mse"]


def test_the_start_is_left_only_for_what_is_surely_better():
    X = np.random.default_rng(0).normal(size=(120, 6))  # noise: nothing is better than PCA
    model = Autoencoder(2, random_state=0).fit(X)
    from sklearn.decomposition import PCA

    pca = PCA(2).fit(X)
    np.testing.assert_allclose(model.reconstruct(X), pca.inverse_transform(pca.transform(X)), atol=1e-4)


@pytest.mark.parametrize(
    ("rows", "fraction", "held_out"),
    [
        (1000, 0.1, 100),
        (1000, 0.5, 500),
        (200, 0.1, 50),
        (100, 0.1, 25),
        (100, 0.4, 40),
        (6, 0.1, 2),
        (3, 0.9, 2),
        (2, 0.5, 0),
    ],
)
def test_how_many_rows_are_held_out(rows, fraction, held_out):
    source = MemorySource(Batch(torch.arange(float(rows))[:, None]))
    train, validation, numbers = source.hold_out(fraction, torch.Generator().manual_seed(0))
    assert (0 if validation is None else len(validation)) == held_out
    chosen = [] if validation is None else validation.sample(rows).x.flatten().tolist()
    assert sorted(train.sample(rows).x.flatten().tolist() + chosen) == list(range(rows))
    assert numbers.tolist() == chosen


def test_control_c_keeps_the_best_model_so_far(digits):
    def press(record):
        if record["epoch"] == 6:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.warns(UserWarning, match="interrupted after 6 epochs"):
        model = Autoencoder(8, max_epochs=8, callbacks=[press], random_state=0).fit(digits)
    assert model.n_iter_ == 6
    assert np.square(digits - model.reconstruct(digits)).mean() < model.start_["mse"]


def test_control_c_before_there_is_anything_to_keep(digits, monkeypatch):
    calls = []

    def press(self, x, generator=None):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return x

    monkeypatch.setattr("isthmus.core.model.Model.corrupt", press)
    model = Autoencoder(8, random_state=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(digits)
    assert not hasattr(model, "module_")


@pytest.mark.parametrize("rows", [127, 128, 129, 257])
def test_one_cycle_fits_the_number_of_steps(table, rows, states):
    X = np.concatenate([table, table])[:rows]
    Autoencoder(max_epochs=4, validation_fraction=None, lr=1e-2).fit(X)
    assert states[-1].optimizer.param_groups[0]["lr"] < 1e-6


def test_a_fit_that_fails_leaves_the_last_one_as_it_was(table):
    model = Autoencoder(max_epochs=1, random_state=0).fit(table)
    codes = model.transform(table)
    mistakes = [
        (
            FloatingPointError,
            {"lr": 1e30, "on_nonfinite": "raise"},
            np.random.default_rng(0).random((90, 9), np.float32),
        ),
        (ValueError, {"likelihood": "bernoulli"}, 5 * np.ones((9, 9))),
        (ValueError, {"corruption": "blur"}, np.ones((9, 9))),
    ]
    for error, params, X in mistakes:
        with pytest.raises(error):
            model.set_params(**params).fit(X)
        model.set_params(lr=2e-3, likelihood="gaussian", corruption=None)
        np.testing.assert_array_equal(model.transform(table), codes)
        assert model.n_features_in_ == 6


def test_every_callback_is_called_in_the_last_epoch_too(digits):
    seen = []
    callbacks = [lambda record: np.bool_(record["epoch"] == 2), lambda record: seen.append(record["epoch"])]
    Autoencoder(max_epochs=5, callbacks=callbacks).fit(digits)
    assert seen == [1, 2]


def test_a_history_that_was_handed_out_does_not_grow(digits):
    model = Autoencoder(random_state=0).partial_fit(digits)
    held = model.history_
    model.partial_fit(digits)
    assert len(held) == 1


def test_warm_start_goes_on(digits):
    setting = {"max_epochs": 3, "random_state": 0, "validation_fraction": None}
    cold = Autoencoder(8, **setting).fit(digits)
    before = weights(cold).clone()
    cold.fit(digits)
    assert torch.equal(before, weights(cold)), "without it, fit begins anew"
    warm = Autoencoder(8, warm_start=True, **setting).fit(digits).fit(digits)
    assert warm.history_[0]["train"]["mse"] < cold.history_[0]["train"]["mse"]


def test_warm_start_heeds_parameters_that_were_changed(digits):
    model = Autoencoder(8, warm_start=True, max_epochs=1, random_state=0).fit(digits)
    model.set_params(contraction_weight=0.5, corruption="masking").fit(digits)
    assert "contractive" in model.history_[-1]["train"]
    assert model.module_.hiding is not None
    with pytest.raises(ValueError, match="set warm_start=False to begin anew"):
        model.set_params(n_components=9).fit(digits)


def test_partial_fit_heeds_the_learning_rate(digits):
    model = Autoencoder(8, random_state=0).partial_fit(digits)
    before = weights(model).clone()
    model.set_params(lr=1e-30).partial_fit(digits)
    assert torch.equal(before, weights(model))


def test_a_last_step_that_goes_too_far_is_seen(digits):
    with pytest.raises(FloatingPointError, match="in epoch 1"):
        Autoencoder(
            max_epochs=1,
            lr=1e30,
            lr_schedule="constant",
            batch_size=5000,
            validation_fraction=None,
            on_nonfinite="raise",
        ).fit(digits)


def test_partial_fit_learns_batch_by_batch(digits):
    model = Autoencoder(8, random_state=0, lr=1e-3)
    for _ in range(6):
        model.partial_fit(digits[:700])
        model.partial_fit(digits[700:])
    assert model.n_iter_ == 12
    assert model.history_[-1]["train"]["mse"] < 0.8 * model.history_[0]["train"]["mse"]


def test_partial_fit_keeps_the_optimiser(digits):
    model = Autoencoder(8, random_state=0).partial_fit(digits)
    first = model._state.optimizer
    model.partial_fit(digits)
    assert model._state.optimizer is first
    assert first.state_dict()["state"][0]["step"] == 2 * math.ceil(len(digits) / 128)


@pytest.mark.parametrize(
    ("setting", "term"), [({"lr": 1e30}, "reconstruction"), ({"weight_decay": 1e38, "lr": 1e6}, "weight_decay")]
)
def test_a_loss_that_is_not_finite_stops(digits, setting, term):
    with pytest.raises(
        FloatingPointError, match=rf"became (nan|inf) in epoch \d+ by its term '{term}': .*learning rate"
    ) as error:
        Autoencoder(
            8, random_state=0, lr_schedule="constant", validation_fraction=None, on_nonfinite="raise", **setting
        ).fit(100 * digits)
    assert "\n" not in str(error.value)


def test_progress_is_silent_by_default(digits, capsys):
    Autoencoder(max_epochs=2).fit(digits)
    out, err = capsys.readouterr()
    assert out + err == ""
    Autoencoder(max_epochs=2, verbose=1).fit(digits)
    out, err = capsys.readouterr()
    assert "2/2 epochs" in out
    assert "loss" in out


def test_one_cycle_rises_and_comes_to_rest(digits, states):
    rates = []
    model = Autoencoder(max_epochs=10, lr=1e-2, random_state=0)
    model.callbacks = [lambda record: rates.append(states[-1].optimizer.param_groups[0]["lr"])]
    model.fit(digits)
    assert max(rates) == pytest.approx(1e-2, rel=0.05)
    assert rates[-1] < 1e-5
    Autoencoder(max_epochs=2, lr=1e-2, lr_schedule="constant", random_state=0).fit(digits)
    assert states[-1].optimizer.param_groups[0]["lr"] == 1e-2


def test_the_validation_rows_are_corrupted_alike_in_every_epoch(digits):
    model = DenoisingAutoencoder(8, lr=1e-12, lr_schedule="constant", max_epochs=3, random_state=0).fit(digits)
    first, *others = [record["validation"]["mse"] for record in model.history_]
    assert others == pytest.approx([first] * 2, rel=1e-6)
    assert len({record["train"]["mse"] for record in model.history_}) == 3, "in training they are drawn anew"


def test_small_tables_of_float64_are_trained_on_in_float64(digits):
    def dtype(rows, **params):
        return next(Autoencoder(max_epochs=1, **params).fit(rows).module_.parameters()).dtype

    double = digits.astype(np.float64)
    assert dtype(double) == torch.float64
    assert dtype(digits) == torch.float32
    assert dtype(double, precision="32-true") == torch.float32
    assert dtype(np.concatenate([double] * 3)) == torch.float32
    model = Autoencoder(max_epochs=1, random_state=0).fit(double).partial_fit(digits)
    assert next(model.module_.parameters()).dtype == torch.float64, "a model goes on in what it has"


def test_precision_and_device(digits):
    assert (
        Autoencoder(max_epochs=1, precision="64-true").fit(digits).module_.encoder.path.linear.weight.dtype
        == torch.float64
    )
    mixed = Autoencoder(max_epochs=1, precision="bf16-mixed", random_state=0).fit(digits)
    assert not torch.equal(weights(mixed), weights(Autoencoder(max_epochs=1, random_state=0).fit(digits)))
    assert Autoencoder(max_epochs=1, device="cpu").fit(digits).transform(digits).shape == (1437, 2)


@pytest.mark.parametrize("rows", [1, 2, 32, 33, 64, 65])
def test_batches_hold_every_row_once_and_none_is_alone(rows):
    values = torch.arange(float(rows))[:, None]
    for generator in (None, torch.Generator().manual_seed(0)):
        batches = [batch.x for batch in MemorySource(Batch(values)).batches(32, generator)]
        assert sorted(torch.cat(batches).flatten().tolist()) == list(range(rows))
        assert rows == 1 or min(len(batch) for batch in batches) > 1
    assert rows < 32 or not torch.equal(torch.cat(batches), values)


def test_batches_keep_rows_context_and_gaps_together():
    x, context = torch.arange(50.0)[:, None], torch.arange(50.0)[:, None] * 2
    rows = MemorySource(Batch(x, context, x > 10), torch.arange(5, 45))
    for batch in rows.batches(8, torch.Generator().manual_seed(0)):
        assert torch.equal(batch.context, 2 * batch.x)
        assert torch.equal(batch.observed, batch.x > 10)


def test_rows_with_gaps_are_learnt_from_what_is_known(table):
    """What stands in a gap before it was made does not matter, and what is left is worth learning from."""
    rng = np.random.default_rng(0)
    gaps = rng.random(table.shape) < 0.3
    X = np.where(gaps, np.nan, table)
    model = Autoencoder(2, random_state=0, max_epochs=40).fit(X)
    before = model.start_
    assert model.history_[-1]["validation"]["mse"] < 1.05 * before["mse"]
    known = np.where(gaps, 0, X - model.reconstruct(model.impute(X, n_iter=SEARCH)))
    usual, unknown = model.module_.usual.numpy(), model.module_.unknown.item()
    scores = -0.5 * (np.square(known) + ~gaps * math.log(2 * math.pi)).sum(1)
    scores += (gaps * usual).sum(1) + gaps.mean(1) * unknown
    np.testing.assert_allclose(model.score_samples(X), scores, rtol=1e-4)
    alone = Autoencoder(2, batch_size=10_000, lr=1e-12, max_epochs=1, validation_fraction=None).fit(X)
    assert alone.history_[0]["train"]["mse"] == pytest.approx(
        np.square(np.where(gaps, 0, X - alone.reconstruct(X))).sum() / (~gaps).sum(), rel=1e-3
    )


def test_default_epochs():
    assert default_epochs(60_000) == 15
    assert default_epochs(10) == 150
    assert default_epochs(10**8) == 5


@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_an_odd_last_row_and_batch_normalisation(digits, normalization):
    network = MLP(hidden=(16,), normalization=normalization)
    Autoencoder(2, network=network, batch_size=32, max_epochs=1, validation_fraction=None).fit(digits[:65])


class TestSingleRows:
    """Batch normalisation has no variance over one row; torch says so in words of its own."""

    line = "batch normalisation needs two rows or more in a batch, and gets one: give a larger batch_size"

    @pytest.mark.parametrize(
        "network",
        [
            MLP(hidden=(8,), normalization="batch"),
            Modules(
                nn.Sequential(nn.Flatten(), nn.Linear(64, 2), nn.BatchNorm1d(2)),
                nn.Sequential(nn.Linear(2, 64), nn.Unflatten(1, (8, 8))),
            ),
        ],
        ids=lambda network: type(network).__name__,
    )
    def test_batch_size_1_is_refused_before_training(self, digits, network):
        model = Autoencoder(
            network=network, batch_size=1, max_epochs=1, callbacks=[lambda record: pytest.fail("it trains")]
        )
        with pytest.raises(ValueError, match=self.line):
            model.fit(digits[:20].reshape(-1, 8, 8))

    def test_it_names_what_to_change(self, digits):
        network = MLP(hidden=(8,), normalization="batch")
        with pytest.raises(ValueError, match=self.line + ".*normalization='layer' or None"):
            Autoencoder(network=network, batch_size=1).fit(digits[:20])
        model = Autoencoder(network=network, max_epochs=1).fit(digits[:20])
        with pytest.raises(ValueError, match=self.line):
            model.partial_fit(digits[:1])
        Autoencoder(network=MLP(hidden=(8,), normalization="layer"), batch_size=1, max_epochs=1).fit(digits[:20])


class TestWhatIsSaid:
    """Fabric logs on import, on mixed precision, on GPUs; a library has no say on a person's screen."""

    @pytest.fixture
    def said(self):
        records = []
        handler = logging.Handler()
        handler.emit = lambda record: records.append(record.getMessage())
        logger = logging.getLogger("lightning_fabric")
        logger.addHandler(handler)
        yield records
        logger.removeHandler(handler)

    @pytest.mark.parametrize("verbose", [0, 1, 2])
    def test_fabric_speaks_from_verbose_2_on(self, digits, verbose, said):
        logger = logging.getLogger("lightning_fabric.utilities.rank_zero")
        before = logger.level
        Autoencoder(max_epochs=1, precision="bf16-mixed", device="cpu", verbose=verbose).fit(digits[:50])
        assert said == (["Using bfloat16 Automatic Mixed Precision (AMP)"] if verbose > 1 else [])
        assert logger.level == before, "what other programs ask Fabric for is theirs"

    def test_nothing_is_printed(self, digits, capfd):
        for precision in ("32-true", "64-true", "bf16-mixed"):
            Autoencoder(max_epochs=1, precision=precision).fit(digits[:50]).partial_fit(digits[:50])
        assert capfd.readouterr() == ("", "")

    def test_half_precision_on_the_cpu_is_told_in_our_words(self, digits, said):
        with pytest.warns(UserWarning, match="'16-mixed' is for accelerators: on the CPU 'bf16-mixed' takes its place"):
            Autoencoder(max_epochs=1, precision="16-mixed", device="cpu").fit(digits[:50])
        assert said == []

    @pytest.mark.parametrize("detector", [False, True])
    def test_a_loaded_model_is_silent(self, digits, tmp_path, capfd, detector):
        model = Autoencoder(max_epochs=1, verbose=1)
        model = OutlierDetector(model).fit(digits[:50]) if detector else model.fit(digits[:50])
        assert "epochs" in capfd.readouterr().out
        model.save(tmp_path / "m")
        again = load(tmp_path / "m")
        again = again.autoencoder_ if detector else again
        assert again.verbose == 0
        again.partial_fit(digits[:50])
        again.fit(digits[:50])
        assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    "wrong", [{"likelihood": "foo"}, {"likelihood": None}, {"sigma": None}, {"verbose": None}, {"precision": None}]
)
@pytest.mark.parametrize("family", [Autoencoder, VariationalAutoencoder, TabularAutoencoder])
def test_a_fitted_model_is_used_as_it_is_whatever_its_parameters_are_set_to(family, wrong, table, tmp_path):
    model = family(2, max_epochs=1, random_state=0).fit(table)
    uses = [model.transform, model.reconstruct, model.score_samples]
    before = [use(table) for use in uses]
    model.set_params(**wrong)
    for use, then in zip(uses, before, strict=True):
        np.testing.assert_array_equal(use(table), then)
    if "likelihood" in wrong:
        with pytest.raises(ValueError, match="the parameters are not those of the last fit"):
            model.save(tmp_path / "model")
