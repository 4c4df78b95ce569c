"""compile=True of models that are trained as one: what each would be by itself, in one graph for all."""

import warnings
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone

from isthmus import Autoencoder, SparseAutoencoder, VariationalAutoencoder
from isthmus.networks import MLP
from isthmus.training.batched_fits import fit_batched

CLOSE = {"rtol": 1e-6, "atol": 1e-6}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=(240, 4)) @ rng.normal(size=(4, 12)) + 0.3 * rng.normal(size=(240, 12))


@pytest.fixture
def steps(monkeypatch):
    """How many models each step of a graph was of; its function is taken as it is, uncompiled, which takes no time."""
    return count_steps(monkeypatch, lambda function, **options: function)


def count_steps(monkeypatch, graph_of):
    found = []

    def told(function, *given):
        found.append(len(given[2]))
        return function(*given)

    monkeypatch.setattr(torch, "compile", lambda function, **options: partial(told, graph_of(function, **options)))
    return found


def small(family, **parameters):
    return family(3, network=MLP(hidden=(8,)), **{"max_epochs": 4, "batch_size": 32, "compile": True} | parameters)


def fitted(models, X):
    models = [clone(model) for model in models]
    fit_batched([partial(model.fit, X) for model in models])
    return models


def apart(models, X):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [clone(model).set_params(compile=False).fit(X) for model in models]


def assert_same(one, other):
    assert (one.best_epoch_, len(one.history_)) == (other.best_epoch_, len(other.history_))
    for name, weight in one.module_.state_dict().items():
        torch.testing.assert_close(other.module_.state_dict()[name], weight, equal_nan=True, **CLOSE)
    for record, its in zip(one.history_, other.history_, strict=True):
        np.testing.assert_allclose([*record["train"].values()], [*its["train"].values()], **CLOSE)


@pytest.mark.filterwarnings("ignore:the model is still its start", "ignore:.*units of the code")
@pytest.mark.parametrize(
    "models",
    [
        [small(Autoencoder, lr=lr, weight_decay=w) for lr, w in ((1e-3, 1e-3), (4e-3, 1e-2), (1e-3, 0.1))],
        [small(VariationalAutoencoder, beta=beta) for beta in (0.5, 2.0)],
        [small(SparseAutoencoder, sparsity="kl", sparsity_weight=weight) for weight in (0.1, 1.0)],
    ],
    ids=["plain", "variational", "kl"],
)
def test_a_graph_of_all_models_takes_the_steps_of_each(models, rows, steps):
    models = [model.set_params(random_state=i) for i, model in enumerate(models)]
    found = fitted(models, rows)
    n_rows = len(rows) - len(found[0].held_out_)
    assert steps == [len(models)] * (4 * (n_rows // 32)), "but for the last batch of an epoch, which is smaller"
    for one, other in zip(apart(models, rows), found, strict=True):
        assert_same(one, other)


@pytest.mark.filterwarnings("ignore:the model is still its start")
def test_there_is_one_graph_of_the_whole_step(rows, monkeypatch):
    steps = count_steps(monkeypatch, partial(torch.compile, backend="eager"))  # makes the graph, but compiles nothing
    models = [small(VariationalAutoencoder, max_epochs=2, random_state=i) for i in range(2)]
    found = fitted(models, rows)
    assert len(steps) > 2, "there would be a warning after the first"
    for one, other in zip(apart(models, rows), found, strict=True):
        assert_same(one, other)


@pytest.mark.filterwarnings("ignore:the model is still its start")
def test_those_that_stop_early_stay_in_the_graph_for_nothing(rows, steps):
    asked = {"early_stopping": True, "patience": 1, "lr_schedule": "constant", "max_epochs": 25}
    models = [small(Autoencoder, **asked, lr=lr, random_state=i) for i, lr in enumerate((1e-3, 1e-2, 1e-1))]
    found = fitted(models, rows)
    assert len({len(model.history_) for model in found}) > 1
    assert set(steps) == {3}
    for one, other in zip(apart(models, rows), found, strict=True):
        assert_same(one, other)


def test_a_run_that_spikes_leaves_the_others_alone_and_begins_again(rows, steps):
    models = [small(Autoencoder, lr=lr, lr_schedule="constant", random_state=0) for lr in (1e-3, 30.0, 2e-3)]
    with pytest.warns(UserWarning, match="half the learning rate"):
        found = fitted(models, rows)
    assert set(steps) >= {3}
    for one, other in zip(apart(models, rows), found, strict=True):
        assert_same(one, other)


def test_without_a_compiler_the_steps_are_as_usual(rows, monkeypatch):
    def missing(*given):
        raise RuntimeError("No working C++ compiler found in\nits configuration")

    monkeypatch.setattr(torch, "compile", lambda function, **options: missing)
    models = [small(Autoencoder, random_state=i) for i in range(2)]
    with pytest.warns(UserWarning, match="not compiled: RuntimeError: No working C.. compiler found in its config"):
        found = fitted(models, rows)
    for one, other in zip(apart(models, rows), found, strict=True):
        assert_same(one, other)
