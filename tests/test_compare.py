"""Side by side: the same rows, the same corruption, PCA of the same size."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

import isthmus
from isthmus import Autoencoder, ConditionalVariationalAutoencoder, SparseAutoencoder, VariationalAutoencoder
from isthmus.comparison import comparison_cells
from isthmus.evaluation.error import corrupted


@pytest.fixture(scope="module")
def comparison():
    X, y = isthmus.datasets.load("digits")
    models = {"small": Autoencoder(4), "large": Autoencoder(12), "wide": SparseAutoencoder(100, k=4)}
    return isthmus.compare(X, y, models, seeds=2, max_epochs=4, corruption="gaussian", corruption_level=0.3)


def test_pca_of_every_size_is_beside(comparison):
    assert list(comparison.table.index) == ["PCA-4", "PCA-12", "small", "large", "wide"]
    table = comparison.table
    assert table.loc["PCA-4", "share_of_pca"] == table.loc["PCA-12", "share_of_pca"] == 1
    assert table.loc["small", "share_of_pca"] == pytest.approx(table.loc["small", "mse"] / table.loc["PCA-4", "mse"])
    assert np.isnan(table.loc["wide", "share_of_pca"]), "PCA has no 100 components here"


def test_figures_are_those_of_the_rows(comparison):
    rows, shown = comparison.X_test, comparison.corrupted_test
    np.testing.assert_array_equal(shown, corrupted(rows, "gaussian", 0.3))
    flat = comparison.models["PCA-4"]
    assert isinstance(flat, PCA)
    assert comparison.table.loc["PCA-4", "mse"] == pytest.approx(
        np.square(flat.reconstruct(rows.reshape(-1, 64)) - rows.reshape(-1, 64)).mean()
    )
    assert comparison.table.loc["PCA-4", "jacobian"] == 2
    for name in ("small", "wide"):
        first = comparison.models[name]
        again = isthmus.compare(rows, models={name: first}, X_test=rows, seeds=1, max_epochs=1)
        assert again.table.loc[name, "parameters"] == sum(p.numel() for p in first.module_.parameters())
        assert np.square(first.reconstruct(shown) - rows).mean() == pytest.approx(
            comparison.table.loc[name, "mse_corrupted"], rel=0.1
        ), "the first of two seeds"


def test_seeds_differ_and_their_spread_is_told(comparison):
    assert comparison.table.loc["small", "mse_sd"] > 0
    assert comparison.table.loc["PCA-4", "mse_sd"] == 0
    assert (comparison.table["seconds"] > 0).all()
    assert comparison.table["linear_probe"].between(0.3, 1).all()


def test_the_default_set_tells_the_story(table):
    found = isthmus.compare(table, seeds=1, max_epochs=1)
    assert list(found.table.index) == [
        "PCA-2",
        "under-complete",
        "over-complete",
        "over-complete + denoising",
        "sparse",
        "contractive",
        "deep",
    ]
    assert "linear_probe" not in found.table
    assert found.models["over-complete"].n_components == 12


def test_names_choose_from_the_default_set(table):
    found = isthmus.compare(table, models=["deep", "sparse"], n_components=3, seeds=1, max_epochs=1)
    assert list(found.table.index) == ["PCA-3", "deep", "sparse"]


def test_denoising_is_trained_on_the_corruption_it_is_measured_with(table):
    found = isthmus.compare(
        table, models=["over-complete + denoising"], corruption="swap", corruption_level=0.4, seeds=1, max_epochs=1
    )
    model = found.models["over-complete + denoising"]
    assert (model.corruption, model.corruption_level) == ("swap", 0.4)


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (np.arange(200) % 3, True),
        (np.arange(200) % 2 == 0, True),
        (np.array(["a", "b"] * 100), True),
        (np.arange(200.0) % 4, True),
        (np.linspace(0, 1, 200), False),
        (np.arange(200), False),
        (np.zeros(200), False),
    ],
)
def test_classes_and_measurements(table, y, classes):
    found = isthmus.compare(table, y, models=["deep"], seeds=1, max_epochs=1)
    assert ("linear_probe" in found.table) == classes
    assert found.y_test is not None, "the report's map is coloured by either"


def test_progress_is_told(table):
    lines = []
    isthmus.compare(table, models=["deep"], seeds=2, max_epochs=1, progress=lines.append)
    assert lines == ["deep, seed 0", "deep, seed 1"]


def test_cells_for_people(comparison):
    cells = comparison_cells(comparison.table)
    assert "±" in cells.loc["small", "mse"]
    assert "±" not in cells.loc["PCA-4", "mse"]
    assert cells.loc["wide", "share_of_pca"] == "–"
    assert cells.loc["PCA-4", "linear_probe"].endswith("%")


def test_models_with_a_gaussian_code(digits, digits_labels):
    models = {"variational": VariationalAutoencoder(4), "conditional": ConditionalVariationalAutoencoder(4)}
    found = isthmus.compare(digits, digits_labels, models, seeds=1, max_epochs=1)
    conditional = found.models["conditional"]
    again = clone(conditional).fit(*train_rows(digits, digits_labels))
    rows = found.X_test
    assert found.table.loc["conditional", "mse"] == pytest.approx(np.square(again.reconstruct(rows) - rows).mean())
    assert np.isfinite(found.table["jacobian"]).all()
    with pytest.raises(ValueError, match="requires y to be passed"):
        isthmus.compare(digits, models=models, seeds=1, max_epochs=1)


def train_rows(X, y):
    X, _, y, _ = train_test_split(X, y, test_size=0.2, random_state=0, stratify=y)
    return X, y


def test_frames_for_all_of_scikit_learn(digits, digits_labels):
    """``set_config`` turns the codes inside of a comparison and of a page into frames too."""
    X, y = digits[:120].reshape(-1, 64), digits_labels[:120]
    expected = isthmus.compare(X, y, {"small": Autoencoder(4)}, seeds=1, max_epochs=1)
    with config_context(transform_output="pandas"):
        found = isthmus.compare(X, y, {"small": Autoencoder(4)}, seeds=1, max_epochs=1)
        assert "t-SNE of the codes" in isthmus.report.model_page(found.models["small"], X, y, "digits")
        isthmus.report.comparison_page(found, "digits")
    columns = ["mse", "linear_probe", "nearest_neighbour"]
    np.testing.assert_array_equal(found.table[columns], expected.table[columns])
