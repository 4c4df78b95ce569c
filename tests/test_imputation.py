"""Filling in against closed forms: least squares for PCA, the conditional mean for probabilistic PCA."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from isthmus import (
    Autoencoder,
    DenoisingAutoencoder,
    SequenceAutoencoder,
    TabularAutoencoder,
    VariationalAutoencoder,
    datasets,
    load,
)
from isthmus.core.batch import Batch
from isthmus.core.corruption import NOISES
from isthmus.core.model import Model
from isthmus.core.score import inferred
from isthmus.models.engine import to_batch
from isthmus.networks import MLP, Conv, Transformer

SETTING = {"network": MLP(hidden=()), "lr": 1e-12, "max_epochs": 1, "validation_fraction": None, "random_state": 0}


@pytest.fixture(scope="module")
def plane():
    rng = np.random.default_rng(0)
    return rng.normal(size=(500, 2)) @ rng.normal(size=(2, 6)) + 0.2 * rng.normal(size=(500, 6)) - 3


def with_gaps(X, share=0.3, seed=1):
    return np.where(np.random.default_rng(seed).random(X.shape) < share, np.nan, X)


def test_pca_is_fitted_to_what_is_known(plane):
    model, pca = Autoencoder(2, **SETTING).fit(plane), PCA(2).fit(plane)
    X = with_gaps(plane[:60])
    X = X[np.isfinite(X).sum(1) >= 4]
    filled = model.impute(X, n_iter=1500)
    for row, known, rebuilt in zip(X, np.isfinite(X), filled, strict=True):
        axes = pca.components_[:, known].T
        code = np.linalg.lstsq(axes, row[known] - pca.mean_[known], rcond=None)[0]
        np.testing.assert_allclose(rebuilt[~known], (pca.mean_ + code @ pca.components_)[~known], atol=0.05)


def test_probabilistic_pca_gives_the_conditional_mean(plane):
    model, pca = VariationalAutoencoder(2, **SETTING).fit(plane), PCA(2).fit(plane)
    covariance = pca.get_covariance()
    X = with_gaps(plane[:60])
    X = X[np.isfinite(X).any(1)]
    filled = model.impute(X)
    for row, known, rebuilt in zip(X, np.isfinite(X), filled, strict=True):
        gain = covariance[np.ix_(~known, known)] @ np.linalg.inv(covariance[np.ix_(known, known)])
        expected = pca.mean_[~known] + gain @ (row[known] - pca.mean_[known])
        np.testing.assert_allclose(rebuilt[~known], expected, atol=0.01)


def test_the_best_turn_is_kept(digits):
    """An over-complete model's turns lead nowhere; more of them must not make it worse than a few."""
    model = Autoencoder(64, corruption="masking", corruption_level=0.5, random_state=0, max_epochs=20).fit(digits)
    test = datasets.load("digits", "test").X
    X = with_gaps(test, 0.5).astype(np.float32)
    gaps = np.isnan(X)
    errors = [np.square(model.impute(X, n_iter=n) - test)[gaps].mean() for n in (1, 20, 200)]
    assert max(errors) < np.square(digits.mean(0) - test)[gaps].mean()


@pytest.mark.parametrize("family", [Autoencoder, VariationalAutoencoder])
def test_images_are_filled_better_than_by_the_mean(digits, family):
    model = family(10, random_state=0, max_epochs=30).fit(digits)
    test = datasets.load("digits", "test").X
    half = np.zeros((8, 8), bool)
    half[:4] = True
    share = 0.9 if family is Autoencoder else 0.75
    for gaps in (np.isnan(with_gaps(test, 0.5)), np.broadcast_to(half, test.shape)):
        filled = model.impute(test, gaps)
        assert np.square(filled - test)[gaps].mean() < share * np.square(digits.mean(0) - test)[gaps].mean()


def test_a_mask_of_one_row_is_for_all(digits):
    model = Autoencoder(4, max_epochs=1, random_state=0).fit(digits)
    half = np.zeros((8, 8), bool)
    half[:4] = True
    X, all_halves = digits[:50], np.broadcast_to(half, (50, 8, 8))
    np.testing.assert_array_equal(model.impute(X, half), model.impute(X, all_halves))
    np.testing.assert_array_equal(model.impute(X, half.ravel()), model.impute(X, half))


def test_bytes_are_filled_in_as_shares(digits):
    X = (255 * digits).round().astype(np.uint8)
    model = Autoencoder(4, max_epochs=1, random_state=0).fit(X)
    mask = np.zeros((8, 8), bool)
    mask[2] = True
    filled = model.impute(X, mask)
    np.testing.assert_array_equal(filled[:, ~mask], (X.astype(np.float32) / 255)[:, ~mask])


def table(images):
    return images.reshape(len(images), -1)[:, 20:44].astype(float)


NETWORKS = {
    "MLP": MLP(),
    "MLP without a linear path": MLP(linear_path=None),
    "Conv": Conv(channels=(4,)),
    "Transformer": Transformer(patch=4, width=16, depth=1, heads=2),
}
FAMILIES = {name: (partial(DenoisingAutoencoder, network=network), None) for name, network in NETWORKS.items()} | {
    "variational": (VariationalAutoencoder, None),
    "sequence": (SequenceAutoencoder, None),
    "sequence, with a future": (partial(SequenceAutoencoder, future_steps=2), None),
    "table": (TabularAutoencoder, table),
}


def batch_of(model, X):
    """Return rows as the model takes them, with NaN in their gaps, and with what stands for these."""
    rows = to_batch(model.format_.encode(X), next(model.module_.parameters()).dtype, torch.device("cpu"))
    return rows, model.module_.filled(rows)


@pytest.mark.filterwarnings("ignore:the code has collapsed")
class TestWhatIsHiddenInTrainingLooksAsWhatIsMissingAtUse:
    @pytest.mark.parametrize("gaps", [False, True], ids=["whole rows", "rows with gaps"])
    @pytest.mark.parametrize("corruption", ["masking", "block"])
    @pytest.mark.parametrize("family", FAMILIES)
    def test_by_hiding(self, digits, family, corruption, gaps):
        build, form = FAMILIES[family]
        if (family, corruption) == ("table", "block"):
            pytest.skip("the columns of a table have no places")
        X = digits[:200] if form is None else form(digits[:200])
        X = with_gaps(X, 0.2) if gaps else X
        model = build(4, corruption=corruption, corruption_level=0.5, max_epochs=1, random_state=0).fit(X)
        module = model.module_
        rows, batch = batch_of(model, X)
        shown = module.corrupt(batch, torch.Generator().manual_seed(0))
        known = ~rows.x.isnan()
        assert 0.3 < shown.observed[known].double().mean() < 0.7, "about half of what is known is shown"
        missing = module.filled(Batch(rows.x.masked_fill(~shown.observed, torch.nan), rows.context))
        assert torch.equal(shown.x, missing.x)
        assert torch.equal(shown.observed, missing.observed)
        with torch.no_grad():
            assert torch.equal(module.encode(shown).mean, module.encode(missing).mean)

    @pytest.mark.parametrize("noise", NOISES)
    def test_a_gap_has_no_noise(self, digits, noise):
        X = with_gaps(digits[:200], 0.3)
        model = Autoencoder(4, corruption=noise, corruption_level=0.5, max_epochs=1, random_state=0).fit(X)
        rows, batch = batch_of(model, X)
        shown = model.module_.corrupt(batch, torch.Generator().manual_seed(0))
        gap = ~shown.observed
        assert gap[rows.x.isnan()].all()
        assert torch.equal(shown.x[gap], model.module_.fill.expand_as(shown.x)[gap])
        taken = (gap & ~rows.x.isnan()).double().mean() / 0.7
        assert taken == pytest.approx(0.5 * 0.3 if noise == "swap" else 0, abs=0.01), "gaps of other rows stay gaps"


def share_left(model, X, gaps, mean):
    """Return the squared error of what is filled in as a share of the mean row's."""
    return np.square(model.impute(X, gaps) - X)[gaps].mean() / np.square(mean - X)[gaps].mean()


def test_training_by_masking_helps_to_fill_in(digits):
    """At the level of the training and at others; and whole rows are still rebuilt."""
    test, mean = datasets.load("digits", "test").X, digits.mean(0)
    setting = {"random_state": 0, "max_epochs": 30}
    plain = Autoencoder(32, **setting).fit(digits)
    masked = DenoisingAutoencoder(32, corruption_level=0.5, **setting).fit(digits)
    for level in (0.25, 0.5, 0.75):
        gaps = np.isnan(with_gaps(test, level))
        assert share_left(masked, test, gaps, mean) < share_left(plain, test, gaps, mean)
    assert np.square(masked.reconstruct(test) - test).mean() < 0.3 * np.square(mean - test).mean()


def test_a_model_of_rows_with_gaps_rebuilds_whole_ones(digits, monkeypatch):
    """Shown what is known scaled up, it is at home with whole rows; with the mean in the gaps alone it is not."""
    test, gappy = datasets.load("digits", "test").X, with_gaps(digits).astype(np.float32)
    errors = []
    for rescale in (Model._rescale, lambda self, x, known: x):
        monkeypatch.setattr(Model, "_rescale", rescale)
        model = Autoencoder(16, random_state=0, max_epochs=15).fit(gappy)
        errors.append(np.square(model.reconstruct(test) - test).mean())
    assert errors[0] < 0.95 * errors[1]


def test_how_gaps_are_shown_is_kept(digits, tmp_path):
    """By the rows of the training, and in the saved model."""
    gappy = with_gaps(digits[:100]).astype(np.float32)
    for X, corruption, rescaled in [(digits[:100], None, False), (gappy, None, True), (digits[:100], "masking", True)]:
        model = Autoencoder(4, corruption=corruption, max_epochs=1, random_state=0).fit(X)
        assert model.rescaled_ is model.module_.rescaled is rescaled
        model.save(tmp_path / "model")
        np.testing.assert_array_equal(load(tmp_path / "model").transform(gappy), model.transform(gappy))


@pytest.mark.parametrize("family", [Autoencoder, VariationalAutoencoder])
@pytest.mark.filterwarnings("ignore:the code has collapsed")
def test_what_is_filled_in_to_score_a_row_is_not_scaled_up_too(digits, family):
    gappy = with_gaps(digits[:100]).astype(np.float32)
    model = family(4, max_epochs=2, random_state=0).fit(gappy)
    _, batch = batch_of(model, gappy)
    shown = inferred(model.module_, batch)
    assert torch.equal(shown.x[batch.observed], batch.x[batch.observed])
    with torch.no_grad():
        assert torch.equal(model.module_.encode(shown).mean, model.module_.encode(Batch(shown.x)).mean)
