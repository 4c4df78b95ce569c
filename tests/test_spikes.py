"""Training holds for rows of any width, steps back from spikes, and its σ keeps up."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from isthmus import (
    Autoencoder,
    ConditionalVariationalAutoencoder,
    DenoisingAutoencoder,
    MultimodalAutoencoder,
    SequenceAutoencoder,
    SparseAutoencoder,
    TabularAutoencoder,
    VariationalAutoencoder,
)
from isthmus.networks import LSTM, MLP, Conv, Transformer
from isthmus.training import loop
from isthmus.training.state import WIDE, new_state


def bright(rows, width, seed=0, noise=0.5):
    """Rows like photographs': bright or dark as a whole, with smooth parts, and noise."""
    rng = np.random.default_rng(seed)
    places = np.linspace(0, 1, width)
    waves = np.cos(np.pi * np.arange(1, 9)[:, None] * places) / np.arange(1, 9)[:, None]
    brightness = rng.normal(size=(rows, 1)) + 0.5 * rng.normal(size=(rows, 8)) @ waves
    return (brightness + noise * rng.normal(size=(rows, width))).astype(np.float32)


@pytest.fixture
def states(monkeypatch):
    """Keep the states of the runs: a fitted model has none."""
    kept = []

    def keep(*arguments):
        kept.append(new_state(*arguments))
        return kept[-1]

    monkeypatch.setattr("isthmus.models.fitting.new_state", keep)
    return kept


def worst(state):
    """Return the largest squared error of an epoch as a share of the start's."""
    return max(record["train"]["mse"] for record in state.history) / state.start.means["mse"]


@pytest.mark.parametrize("width", [4, 64, 784, 3072, 20_000])
@pytest.mark.parametrize("family", [Autoencoder, VariationalAutoencoder])
def test_training_holds_at_any_width(states, family, width):
    rows = 160 if width > 10_000 else 320
    family(3, network=MLP(hidden=(16,)), max_epochs=10, batch_size=32, random_state=0).fit(bright(rows, width))
    (state,) = states
    assert worst(state) < 2
    assert state.halvings == 0


@pytest.mark.parametrize("family", [Autoencoder, VariationalAutoencoder])
def test_what_pca_leaves_next_to_nothing_of_is_stepped_back_from(states, family):
    """Where a step of any size overshoots what is left, none is kept that does."""
    with pytest.warns(UserWarning, match="the squared error rose in epoch"):
        family(3, network=MLP(hidden=(16,)), max_epochs=12, batch_size=64, random_state=0).fit(
            bright(320, 3072, noise=0.02)
        )
    (state,) = states
    assert state.halvings > 0
    assert worst(state) <= 3


def test_wide_layers_get_their_share_of_the_rate():
    layers = nn.Sequential(nn.Linear(WIDE, 5), nn.Linear(2 * WIDE, 5), nn.Linear(3 * WIDE, 5))
    state = new_state(layers, 1e-3, torch.Generator(), "constant", 0)
    rates = {
        weight: group["lr"] for group in state.optimizer.param_groups for weight in group["params"]
    }  # of each weight
    assert [rates[layer.weight] for layer in layers] == pytest.approx([1e-3, 1e-3 / 2, 1e-3 / 3])
    assert [rates[layer.bias] for layer in layers] == [1e-3] * 3
    layers[1].share_of_rate = layers[2].share_of_rate = 0.4
    less = [group["lr"] for group in new_state(layers, 1.0, torch.Generator(), "one_cycle", 9).optimizer.param_groups]
    assert np.divide(less, less[0]) == pytest.approx([1, 0.4, 1 / 3])
    state.set_learning_rate(1e-2)
    assert [group["lr"] for group in state.optimizer.param_groups] == pytest.approx([1e-2, 1e-2 / 2, 1e-2 / 3])
    state.halve_learning_rate()
    assert [group["lr"] for group in state.optimizer.param_groups] == pytest.approx([5e-3, 5e-3 / 2, 5e-3 / 3])


SPIKING = [
    Autoencoder(8, lr=0.05, lr_schedule="constant", max_epochs=4, random_state=0),
    Autoencoder(8, lr=0.1, max_epochs=6, validation_fraction=None, random_state=0),
    Autoencoder(8, lr=0.3, batch_size=4000, lr_schedule="constant", max_epochs=12, random_state=0),
    Autoencoder(8, network=Conv(channels=(8,)), lr=1.0, lr_schedule="constant", max_epochs=3, random_state=0),
    VariationalAutoencoder(8, lr=0.05, lr_schedule="constant", max_epochs=4, random_state=0),
    DenoisingAutoencoder(8, lr=0.05, corruption_level=0.1, lr_schedule="constant", max_epochs=4, random_state=0),
]


@pytest.mark.parametrize("estimator", SPIKING, ids=str)
def test_a_spike_is_stepped_back_from(digits, states, estimator):
    message = r"rose in epoch \d+ to \S+ times what it was before the training: .*going back .* half the learning rate$"
    with pytest.warns(UserWarning, match=f"the squared error {message}"):
        model = copy.deepcopy(estimator).fit(digits)
    (state,) = states
    assert worst(state) <= 3
    assert model.n_iter_ == estimator.max_epochs


def test_partial_fit_steps_back(digits):
    with pytest.warns(UserWarning, match="half the learning rate"):
        model = Autoencoder(8, lr=0.05, random_state=0).partial_fit(digits)
    assert model.history_[0]["train"]["mse"] <= 3 * model._state.start.means["mse"]


def test_raise_steps_back_from_nothing(digits, states):
    Autoencoder(8, lr=0.05, lr_schedule="constant", max_epochs=2, on_nonfinite="raise", random_state=0).fit(digits)
    assert states[0].halvings == 0


QUIET = [
    SparseAutoencoder(32, sparsity="l1", sparsity_weight=10.0, max_epochs=8, random_state=0),
    SparseAutoencoder(128, sparsity="topk", k=4, max_epochs=8, random_state=0),
    Autoencoder(64, max_epochs=8, random_state=0),  # PCA rebuilds it exactly
    Autoencoder(8, network=MLP(linear_path=None, normalization="batch", dropout=0.3), max_epochs=8, random_state=0),
    VariationalAutoencoder(8, beta=20.0, beta_warm_up=6, max_epochs=10, random_state=0),
    VariationalAutoencoder(8, network=MLP(linear_path=None), beta_warm_up=6, max_epochs=10, random_state=0),
]


@pytest.mark.filterwarnings("ignore:the code has collapsed", "ignore:32 of the code's")
@pytest.mark.parametrize("estimator", QUIET, ids=str)
def test_what_is_no_spike_is_let_be(digits, states, estimator):
    """An error that rises for the sake of the loss, or within rounding, or with β, has no warning."""
    copy.deepcopy(estimator).fit(digits)
    assert states[0].halvings == 0


def test_a_row_of_great_error_is_no_spike(states):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 8)).astype(np.float32)
    X[::300] *= 100
    Autoencoder(2, max_epochs=5, batch_size=32, random_state=0).fit(X)
    assert states[0].halvings == 0


# σ


def table(rows=300):
    import pandas as pd

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, rows))
    return pd.DataFrame({"a": a, "b": a + 0.1 * b, "c": 3 * b, "kind": np.where(a > 0, "x", "y")})


def sequences(rows=300):
    rng = np.random.default_rng(0)
    return np.sin(np.arange(20) / 3 + rng.normal(size=(rows, 1)))[..., None] * [1.0, 7.0] + rng.normal(
        size=(rows, 20, 2)
    ) * [0.1, 0.7]


def two(digits):
    rows = digits.reshape(len(digits), -1)[:300]
    return {"left": rows[:, :32], "right": 10 * rows[:, 32:]}


PLAIN, SETTING = MLP(hidden=(32,), linear_path=None), {"max_epochs": 6, "random_state": 0}
LEARNT = {
    "plain": lambda: Autoencoder(4, sigma="learned", network=PLAIN, **SETTING),
    "variational": lambda: VariationalAutoencoder(4, network=PLAIN, **SETTING),
    "variational, PCA": lambda: VariationalAutoencoder(4, **SETTING),
    "variational, Conv": lambda: VariationalAutoencoder(4, network=Conv(channels=(8,), linear_path=None), **SETTING),
    "conditional": lambda: ConditionalVariationalAutoencoder(4, network=PLAIN, **SETTING),
    "denoising": lambda: DenoisingAutoencoder(4, sigma="learned", corruption_level=0.3, network=PLAIN, **SETTING),
    "hidden": lambda: DenoisingAutoencoder(
        4, sigma="learned", network=Transformer(width=8, depth=1, heads=2), corruption="masking", **SETTING
    ),
    "sequence": lambda: SequenceAutoencoder(2, sigma="learned", network=LSTM(hidden=16), **SETTING),
    "tabular": lambda: TabularAutoencoder(2, sigma="learned", network=PLAIN, **SETTING),
    "multimodal": lambda: MultimodalAutoencoder(2, sigma="learned", network=PLAIN, **SETTING),
}


@pytest.mark.filterwarnings("ignore:the code has collapsed")  # in so few epochs
@pytest.mark.parametrize("name", LEARNT)
def test_the_learnt_sigma_is_the_root_mean_squared_error(digits, digits_labels, name):
    """So it is most likely: −log p = ½ Σ e² / σ² + n log σ has its minimum there (Rybkin et al. 2021, eq. 6)."""
    model = LEARNT[name]()
    X = {"sequence": sequences, "tabular": table, "multimodal": lambda: two(digits)}.get(name, lambda: digits[:300])()
    model.fit(X, digits_labels[:300]) if name == "conditional" else model.fit(X)
    module = model.module_
    _, source, _ = model._prepare(X, digits_labels[:300] if name == "conditional" else None, reset=False)
    train = module.filled(source.sample(300)).take(~np.isin(np.arange(300), model.held_out_))
    errors, counts = [], []
    with torch.no_grad():
        for draw in range(1, 5):  # not the training's
            generator = torch.Generator().manual_seed(draw)
            shown = module.corrupt(train, generator)
            mean = module.decode(module.encode(shown, generator).z, shown.context).mean
            counted = module.counted(train, shown)
            counts.append(torch.ones_like(mean) if counted is None else counted.to(mean))
            errors.append((train.x - mean).square() * counts[-1])
    learnt = module.likelihood.estimated(train.x.shape[1])
    for likelihood, block, scale in learnt:
        squares = torch.stack(errors)[:, :, block] / torch.as_tensor(scale) ** 2
        error = (squares.sum() / torch.stack(counts)[:, :, block].sum()).sqrt()
        assert likelihood.sigma.item() == pytest.approx(float(error), rel=0.03)
    assert len(learnt) == (2 if name == "multimodal" else 1)


def test_sigma_keeps_up_from_a_random_start(digits):
    """It lagged at 0.34 with an error of 0.19."""
    model = VariationalAutoencoder(8, network=MLP(linear_path=None), max_epochs=15, random_state=0).fit(digits)
    error = np.sqrt(model.history_[-1]["train"]["mse"])
    assert model.sigma_ == pytest.approx(error, rel=0.02)


def test_sigma_knows_only_a_bounded_number_of_rows(digits, monkeypatch):
    taken = []
    monkeypatch.setattr(loop, "set_sigmas", lambda model, rows: taken.append(len(rows.x)))
    X = np.concatenate([digits] * 4)
    VariationalAutoencoder(2, max_epochs=1, random_state=0).fit(X)
    (rows,) = taken
    assert 1000 < rows <= 2048
