"""compile=True: the same training in one graph, which falls back where there can be none."""

import warnings
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from lightning_fabric import Fabric
from sklearn.utils.estimator_checks import check_estimator

from isthmus import (
    Autoencoder,
    ConditionalVariationalAutoencoder,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    SequenceAutoencoder,
    SparseAutoencoder,
    TabularAutoencoder,
    VariationalAutoencoder,
    datasets,
)
from isthmus.errors import InputError
from isthmus.networks import LSTM, MLP, Conv
from isthmus.training.compiled import ENOUGH_STEPS, LITTLE_WORK, is_compiled
from isthmus.training.step import compiled_step

FEW = {"max_epochs": 2, "batch_size": 64, "random_state": 0, "device": "cpu", "precision": "32-true"}
LAYER = {"network": MLP(hidden=())}


@pytest.fixture(scope="module")
def digits():
    X, y = datasets.load("digits")
    return X[:300], y[:300]


@pytest.fixture
def graphs(monkeypatch):
    """Take the step's function as it is, uncompiled: what it computes is the same, and it takes no time."""
    taken = []

    def counted(function, *args):
        taken.append(function)
        return function(*args)

    monkeypatch.setattr(torch, "compile", lambda function, **options: partial(counted, function))
    return taken


def difference(one, other):
    """Return by how much the losses of two fits differ, relatively, at the most."""
    pairs = [(a["train"]["loss"], b["train"]["loss"]) for a, b in zip(one.history_, other.history_, strict=True)]
    return max(abs(a - b) / abs(a) for a, b in pairs)


def weights(model):
    return torch.cat([each.detach().flatten() for each in model.module_.parameters()])


@pytest.mark.parametrize(
    "model",
    [
        Autoencoder(4),
        Autoencoder(4, lr_schedule="constant", max_grad_norm=0.1, optimizer=torch.optim.SGD),
        Autoencoder(4, sigma="learned", corruption="masking", max_grad_norm=0.5),
        VariationalAutoencoder(4, beta=2.0, beta_warm_up=3),
        VariationalAutoencoder(4, network=Conv(channels=(4,)), likelihood="bernoulli"),
        SparseAutoencoder(16, sparsity="kl"),
        SparseAutoencoder(16, sparsity="l1"),
        ContractiveAutoencoder(4, network=MLP(hidden=(), code_activation="sigmoid")),
        DenoisingAutoencoder(4, corruption="gaussian"),
        ConditionalVariationalAutoencoder(4),
        TabularAutoencoder(2),
    ],
    ids=lambda model: str(model)[:60],
)
def test_losses_are_those_of_the_eager_step(model, digits, graphs):
    X, y = digits
    if isinstance(model, TabularAutoencoder):
        rng = np.random.default_rng(0)
        X = pd.DataFrame({"a": rng.normal(size=300), "b": rng.choice(list("xyz"), 300)})
        X.loc[::7, "a"] = np.nan
    given = (X, y) if isinstance(model, ConditionalVariationalAutoencoder) else (X,)
    eager = type(model)(**model.get_params(deep=False) | FEW).fit(*given)
    assert not graphs
    compiled = type(model)(**model.get_params(deep=False) | FEW | {"compile": True}).fit(*given)
    assert len(graphs) == 2 * (250 // 64), "the last batch of an epoch is smaller, and eager"
    assert difference(eager, compiled) < 1e-5


def test_every_model_of_a_process_is_compiled(monkeypatch):
    """PyTorch gives a code up after some versions of it, and the steps of all models are the same code."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    X = np.random.default_rng(0).random((100, 12))
    with torch._dynamo.config.patch(recompile_limit=1), warnings.catch_warnings():
        warnings.filterwarnings("error", "the training is not compiled")
        for width in (2, 3):
            Autoencoder(2, **FEW, **LAYER, compile=True).fit(X[:, :width])


def test_scikit_learns_own_contract(graphs):
    check_estimator(VariationalAutoencoder(2, max_epochs=2, network=MLP(hidden=(8,)), compile=True), on_skip=None)
    assert len(graphs) > 40


@pytest.mark.parametrize("compiled_first", [False, True])
def test_a_run_goes_on_with_the_other_step(digits, graphs, tmp_path, compiled_first):
    whole = Autoencoder(4, **FEW).fit(digits[0])
    steps = []

    def stop(record):
        steps.append(record)
        if len(steps) == 1:
            raise RuntimeError("stopped")

    model = Autoencoder(4, **FEW, callbacks=[stop], compile=compiled_first)
    with pytest.raises(RuntimeError, match="stopped"):
        model.fit(digits[0], resume_from=tmp_path, checkpoint_minutes=0)
    model.set_params(compile=not compiled_first).fit(digits[0], resume_from=tmp_path)
    assert 0 < len(graphs) < 2 * (250 // 64), "a part of the steps, and not all"
    assert difference(whole, model) < 1e-5


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_for_good(digits, tmp_path):
    """Equal seeds, and a run that is stopped and goes on, give equal bits, and the eager step's losses."""
    eager = VariationalAutoencoder(4, **FEW, **LAYER).fit(digits[0])
    whole, again, model = (VariationalAutoencoder(4, **FEW, **LAYER, compile=True) for _ in range(3))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "the training is not compiled")
        whole.fit(digits[0])
        again.fit(digits[0])
        told = []

        def stop(record):
            told.append(record)
            if len(told) == 1:
                raise RuntimeError("stopped")

        model.set_params(callbacks=[stop])
        with pytest.raises(RuntimeError, match="stopped"):
            model.fit(digits[0], resume_from=tmp_path, checkpoint_minutes=0)
        model.fit(digits[0], resume_from=tmp_path)
    assert torch.equal(weights(whole), weights(again))
    assert torch.equal(weights(whole), weights(model))
    assert difference(eager, whole) < 1e-5


def test_what_pytorch_warns_itself_of_while_it_compiles_is_kept_back(digits, monkeypatch):
    calls = []

    def deprecated(function, *args):
        calls.append(function)
        if len(calls) == 1:
            warnings.warn("`torch.jit.script_method` is deprecated", DeprecationWarning, stacklevel=1)
        return function(*args)

    monkeypatch.setattr(torch, "compile", lambda function, **options: partial(deprecated, function))
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        warnings.filterwarnings("error", "the training is not compiled")
        Autoencoder(4, **FEW, compile=True).fit(digits[0])
    assert len(calls) > 1


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (Autoencoder(4, network=MLP(dropout=0.1)), "draws random numbers"),
        (Autoencoder(4, network=MLP(normalization="batch")), "batch normalisation"),
        (SequenceAutoencoder(4, network=LSTM()), "a recurrence"),
    ],
    ids=str,
)
def test_what_cannot_be_compiled_trains_as_usual(model, why, digits, graphs):
    X = digits[0]
    eager = type(model)(**model.get_params(deep=False) | FEW).fit(X)
    with pytest.warns(UserWarning, match=f"the training is not compiled: .*{why}.*its steps are as usual"):
        compiled = type(model)(**model.get_params(deep=False) | FEW | {"compile": True}).fit(X)
    assert not graphs
    assert torch.equal(weights(eager), weights(compiled))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"devices": 1, "precision": "bf16-mixed"}, "it is in half precision;"),
        ({"devices": 2, "strategy": "ddp"}, "it is on several devices;"),
    ],
    ids=["half precision", "devices"],
)
def test_what_is_not_plain_is_not_compiled_and_says_why(options, why):
    state = SimpleNamespace(model=SimpleNamespace(mixed=None))
    with pytest.warns(UserWarning, match=f"the training is not compiled: {why}"):
        assert compiled_step(Fabric(accelerator="cpu", **options), state, 8, None, print) is print


def test_without_a_compiler_it_trains_as_usual(digits, monkeypatch):
    def fail(*args):
        raise RuntimeError("No working C++ compiler found in\nits configuration")

    monkeypatch.setattr(torch, "compile", lambda function, **options: fail)
    with pytest.warns(UserWarning, match=r"RuntimeError: No working C\+\+ compiler found in its conf") as w:
        compiled = VariationalAutoencoder(4, **FEW, compile=True).fit(digits[0])
    assert sum("compiled" in str(each.message) for each in w) == 1
    assert torch.equal(weights(compiled), weights(VariationalAutoencoder(4, **FEW).fit(digits[0])))


def test_auto_goes_by_sizes(digits, graphs):
    assert is_compiled(True, 1, 1e12)
    assert not is_compiled(False, ENOUGH_STEPS, 1)
    assert is_compiled("auto", ENOUGH_STEPS, LITTLE_WORK)
    assert not is_compiled("auto", ENOUGH_STEPS - 1, LITTLE_WORK)
    assert not is_compiled("auto", ENOUGH_STEPS, 2 * LITTLE_WORK)
    Autoencoder(4, **FEW, compile="auto").fit(digits[0])
    assert not graphs
    with pytest.raises(InputError, match="unknown compile 'yes': give True, False or 'auto'"):
        Autoencoder(4, compile="yes").fit(digits[0])


@pytest.mark.filterwarnings("default:the training is not compiled")
def test_the_command_compiles(run):
    status, _, err = run("train digits --network lstm --epochs 1 --compile --out run")
    assert status == 0, err
    assert "the training is not compiled: a recurrence is computed by a library" in err
