"""Short runs on real data of what the benchmarks show at length."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from isthmus import Autoencoder, datasets
from isthmus.networks import MLP


def share_of_pca(train, test, k, **params):
    pca = PCA(k).fit(train)
    base = np.square(test - pca.inverse_transform(pca.transform(test))).mean()
    model = Autoencoder(k, random_state=0, **params).fit(train)
    return np.square(test - model.reconstruct(test)).mean() / base


@pytest.fixture(scope="module")
def mnist(data_dir):
    return [datasets.load("mnist", split, data_dir).X.reshape(-1, 784) for split in ("train", "test")]


def test_a_linear_autoencoder_is_pca_on_mnist(mnist):
    train, test = mnist
    model = Autoencoder(30, network=MLP(hidden=()), max_epochs=1, random_state=0).fit(train)
    assert np.square(test - model.reconstruct(test)).sum(1).mean() <= 14.0


def test_a_linear_autoencoder_finds_pca_from_a_random_start(mnist):
    train, test = mnist
    network = MLP(hidden=(), linear_path="random")
    model = Autoencoder(30, network=network, max_epochs=3, random_state=0).fit(train)
    assert np.square(test - model.reconstruct(test)).sum(1).mean() <= 14.0


@pytest.mark.parametrize(("k", "most"), [(2, 0.64), (8, 0.48), (16, 0.52), (32, 0.58)])
def test_the_defaults_on_digits(k, most):
    X = datasets.load("digits", "all").X.reshape(-1, 64)
    assert share_of_pca(*train_test_split(X, test_size=0.2, random_state=0), k) <= most


TABLES = {"wine": load_wine, "breast cancer": load_breast_cancer, "diabetes": load_diabetes}


@pytest.mark.parametrize("name", [*TABLES, "abalone"])
@pytest.mark.filterwarnings("ignore:X's columns differ in spread")
def test_the_defaults_are_never_worse_than_pca_on_tables(name, request):
    if name == "abalone":
        path = request.getfixturevalue("data_dir") / "tables" / "abalone.csv"
        X = pd.read_csv(path, nrows=1200).select_dtypes("number").to_numpy()
    else:
        X = TABLES[name]().data
    for k in (2, 5):
        assert share_of_pca(*train_test_split(X, test_size=0.2, random_state=0), k) <= 1.0 + 1e-6
