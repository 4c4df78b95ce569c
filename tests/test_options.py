"""No option without effect: each changes what it should, alone."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from isthmus import (
    Autoencoder,
    ConditionalVariationalAutoencoder,
    SparseAutoencoder,
    TabularAutoencoder,
    VariationalAutoencoder,
)
from isthmus.evaluation.jacobian import mean_jacobian_norm
from isthmus.evaluation.sparsity import hoyer_sparsity
from isthmus.networks import MLP

BASE = {"n_components": 8, "max_epochs": 3, "random_state": 0, "validation_fraction": None}

# Each option beside a setting in which it counts; its effect proper has its own test, here or in the file named.
OPTIONS = {
    "n_components": ({}, 9),
    "network": ({}, MLP(hidden=(16,))),
    "likelihood": ({}, "bernoulli"),
    "sigma": ({"contraction_weight": 0.1}, 0.3),
    "scale": ({}, "standard"),
    "corruption": ({}, "masking"),
    "corruption_level": ({"corruption": "gaussian"}, 0.5),
    "sparsity": ({}, "l1"),
    "sparsity_target": ({"sparsity": "kl"}, 0.2),
    "sparsity_weight": ({"sparsity": "l1"}, 1.0),
    "k": ({"sparsity": "topk"}, 3),
    "contraction_weight": ({}, 1.0),
    "weight_decay": ({}, 0.1),
    "max_epochs": ({}, 4),
    "batch_size": ({}, 64),
    "lr": ({}, 1e-3),
    "lr_schedule": ({}, "constant"),
    "max_grad_norm": ({}, 1e-3),
    "validation_fraction": ({}, 0.2),
    "random_state": ({}, 1),
    "precision": ({}, "64-true"),
}
ELSEWHERE = {  # test_training.py and test_resume.py show these; they move no weight, or need a longer story
    "early_stopping", "patience", "warm_start", "callbacks", "verbose", "device", "on_nonfinite",
    "devices", "nodes",  # in test_ranks
    "bottleneck", "penalties", "optimizer", "monitor",  # in test_own_parts
    "compile",  # in test_compiled
}  # fmt: skip

VARIATIONAL_OPTIONS = {
    "sigma": ({}, 0.3),
    "beta": ({}, 0.1),
    "beta_warm_up": ({}, 2),
    "free_bits": ({}, 1.0),
}
CONDITIONAL_OPTIONS = {
    "condition": ({}, "numbers"),
    "label_dropout": ({}, 0.9),
}
TABULAR_OPTIONS = {
    "corruption": ({}, "masking"),
    "corruption_level": ({}, 0.4),
    "numbers": ({}, "rankgauss"),
    "categories": ({}, "embedding"),
    "bins": ({}, 0),
    "layers": ({}, "all"),
    "sigma": ({"weight_decay": 0.01}, 0.3),
    "sparsity": ({}, "l1"),
    "network": ({}, MLP(hidden=(16,))),
}

NETWORK_OPTIONS = {
    "hidden": ({}, (16,)),
    "activation": ({}, "tanh"),
    "code_activation": ({}, "tanh"),
    "output_activation": ({}, "sigmoid"),
    "dropout": ({}, 0.5),
    "normalization": ({}, "layer"),
    "tied": ({}, True),
    "linear_path": ({}, None),
}


def reconstruction(digits, y=None, family=Autoencoder, **params):
    return family(**BASE | params).fit(digits, y).reconstruct(digits)


def own_options(family, parent):
    return {field.name for field in dataclasses.fields(family) if field.init} - {
        field.name for field in dataclasses.fields(parent) if field.init
    }


def test_every_option_is_here():
    assert {field.name for field in dataclasses.fields(Autoencoder) if field.init} == set(OPTIONS) | ELSEWHERE
    assert own_options(VariationalAutoencoder, Autoencoder) == set(VARIATIONAL_OPTIONS) - {"sigma"}
    assert own_options(ConditionalVariationalAutoencoder, VariationalAutoencoder) == set(CONDITIONAL_OPTIONS)
    of_columns = {"kinds", "drop", "na_values", "min_frequency"}  # in test_kinds
    assert own_options(TabularAutoencoder, Autoencoder) == {"numbers", "categories", "bins", "layers"} | of_columns
    assert {field.name for field in dataclasses.fields(MLP)} == set(NETWORK_OPTIONS)


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_changes_the_model(digits, option):
    setting, value = OPTIONS[option]
    assert not np.array_equal(reconstruction(digits, **setting), reconstruction(digits, **setting, **{option: value}))


@pytest.mark.parametrize("option", VARIATIONAL_OPTIONS)
def test_a_variational_option_changes_the_model(digits, option):
    setting, value = VARIATIONAL_OPTIONS[option]
    plain = reconstruction(digits, family=VariationalAutoencoder, **setting)
    changed = reconstruction(digits, family=VariationalAutoencoder, **setting, **{option: value})
    assert not np.array_equal(plain, changed)


@pytest.mark.parametrize("option", CONDITIONAL_OPTIONS)
def test_a_conditional_option_changes_the_model(digits, digits_labels, option):
    setting, value = CONDITIONAL_OPTIONS[option]
    family = ConditionalVariationalAutoencoder
    plain = reconstruction(digits, digits_labels, family, **setting)
    assert not np.array_equal(plain, reconstruction(digits, digits_labels, family, **setting, **{option: value}))


@pytest.mark.parametrize("option", TABULAR_OPTIONS)
def test_a_tabular_option_changes_the_model(option):
    rng = np.random.default_rng(0)
    z = rng.normal(size=200)
    frame = pd.DataFrame({"a": z, "b": np.exp(z), "c": np.where(z > 0, "x", "y"), "d": rng.integers(9, size=200)})
    frame["d"] = frame["d"].astype("category")
    setting, value = TABULAR_OPTIONS[option]
    codes = TabularAutoencoder(**BASE | setting).fit_transform(frame)
    assert not np.array_equal(codes, TabularAutoencoder(**BASE | setting | {option: value}).fit_transform(frame))


@pytest.mark.parametrize("option", NETWORK_OPTIONS)
def test_a_network_option_changes_the_model(digits, option):
    setting, value = NETWORK_OPTIONS[option]
    plain = reconstruction(digits, network=MLP(**setting))
    assert not np.array_equal(plain, reconstruction(digits, network=MLP(**setting, **{option: value})))


def test_corruption_makes_robust(digits):
    rng = np.random.default_rng(0)
    broken = np.where(rng.random(digits.shape) > 0.3, digits, np.nan)
    errors = [
        np.square(
            digits
            - Autoencoder(32, corruption=corruption, random_state=0, max_epochs=30).fit(digits).reconstruct(broken)
        ).mean()
        for corruption in (None, "masking")
    ]
    assert errors[1] < 0.7 * errors[0]


def test_a_higher_weight_makes_the_penalty_smaller(digits):
    def norm(weight):
        model = Autoencoder(4, network=MLP(hidden=(32,)), contraction_weight=weight, random_state=0, max_epochs=20).fit(
            digits
        )
        return mean_jacobian_norm(model.module_, digits[:50])

    assert norm(10) < 0.7 * norm(0.1) < norm(0)

    def size(weight):
        model = Autoencoder(**BASE | {"weight_decay": weight, "max_epochs": 20}).fit(digits)
        return sum(parameter.square().sum().item() for parameter in model.module_.parameters() if parameter.ndim > 1)

    assert size(0.1) < 0.7 * size(0)


def test_sparsity_thins_the_code(digits):
    def codes(**params):
        network = MLP(hidden=(32,))
        return SparseAutoencoder(64, network=network, random_state=0, max_epochs=30, **params).fit_transform(digits)

    for k in (3, 10):
        assert ((codes(k=k) != 0).sum(1) == k).all()
    assert ((codes() != 0).sum(1) == 6).all(), "a tenth by default"
    few, many = (
        codes(sparsity="kl", sparsity_weight=2.0, sparsity_target=0.02),
        codes(sparsity="kl", sparsity_weight=0.0),
    )
    assert few.mean() < 0.5 * many.mean()
    assert codes(sparsity="kl", sparsity_weight=2.0, sparsity_target=0.3).mean() > few.mean() + 0.05
    assert hoyer_sparsity(codes(sparsity="l1", sparsity_weight=1.0)) > hoyer_sparsity(
        codes(sparsity="l1", sparsity_weight=0.0)
    )


def test_dropout_is_for_training_alone(digits):
    model = Autoencoder(**BASE, network=MLP(dropout=0.5)).fit(digits)
    assert np.array_equal(model.transform(digits), model.transform(digits))
    assert any(isinstance(module, nn.Dropout) for module in model.module_.modules())


def test_batch_normalisation_uses_the_training_rows_at_use(digits):
    model = Autoencoder(**BASE, network=MLP(normalization="batch")).fit(digits)
    np.testing.assert_allclose(model.transform(digits[:1]), model.transform(digits)[:1], atol=1e-5)


def test_the_number_of_threads_is_left_alone(digits):
    before = torch.get_num_threads()
    Autoencoder(**BASE).fit(digits)
    assert torch.get_num_threads() == before
