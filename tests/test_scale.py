"""A word about scales that do harm, and about no others."""

import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

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
from isthmus.models.building import set_fitted
from isthmus.networks import MLP, Conv, Transformer


@pytest.fixture(scope="module")
def bent():
    """Rows on a bent sheet, each column of unit spread; the last column is noise of its own."""
    rng = np.random.default_rng(0)
    t = rng.uniform(-1, 1, (600, 2))
    columns = [t, np.sin(3 * t), np.cos(3 * t), t.prod(1), t.sum(1) ** 2, rng.normal(size=600)]
    X = np.column_stack(columns)
    return ((X - X.mean(0)) / X.std(0) + 0.02 * rng.normal(size=X.shape)).astype(np.float32)


def quick(family=Autoencoder, **params):
    return family(3, max_epochs=1, network=MLP(hidden=(8,)), random_state=0, **params)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda X: X * 1e-9, "X has a spread of 1e-09 where sigma=1 is expected, and next to nothing would be learnt"),
        (lambda X: (X - X.min()) * 1e6 / np.ptp(X), "where sigma=1 is expected, and penalties and added noise would"),
        (
            lambda X: X * ([1e6] + [1] * 8),
            r"spread by a factor of 1e\+06, 0 the widest and \d the narrowest, .*: give .*--scale standard",
        ),
        (
            lambda X: pd.DataFrame(X * ([1] * 8 + [1e-4]), columns=list("abcdefghi")),
            "spread by a factor of 1e.04, '.' the widest and 'i' the narrowest, .* would not be learnt: give scale=",
        ),
        (lambda X: np.where(np.arange(9) == 4, 7, X), "one value alone in column 4, of which nothing can be learnt"),
        (lambda X: np.where(np.arange(9) > 6, 7, X), r"one value alone in column 7 \(and 1 more\)"),
    ],
)
def test_a_scale_that_does_harm_is_told_with_the_cure(bent, change, line):
    with pytest.warns(UserWarning, match=line) as told:
        quick().fit(change(bent))
    told = [each for each in told if each.category is not ConvergenceWarning]
    assert len([each for each in told if "expected" not in str(each.message)]) <= 1
    assert all("\n" not in str(each.message) for each in told)
    assert {each.filename for each in told} == {__file__}, "it points to the line with fit"


@pytest.mark.parametrize("scale", [1e-1, 1, 1e3])
def test_other_scales_are_not(bent, digits, scale):
    quick().fit(bent * scale)
    quick().fit(bent * scale + 5 * scale)
    quick().fit(digits * scale)
    quick().fit(digits.reshape(-1, 64) * scale)  # constant pixels at the border, in a table too
    quick().fit((255 * digits).astype(np.uint8).reshape(-1, 64))


def test_nor_are_columns_of_families_that_scale(bent):
    wild = bent * 10.0 ** np.arange(-4, 5)
    quick(TabularAutoencoder).fit(wild)
    SequenceAutoencoder(2, max_epochs=1).fit(np.stack([wild] * 3))


def test_a_sigma_that_is_learnt_or_fits_goes_with_any_scale(bent):
    quick(sigma="learned").fit(bent * 1e-9)
    quick(sigma=1e-9).fit(bent * 1e-9)
    quick(VariationalAutoencoder).fit(bent * 1e6)


@pytest.mark.parametrize(
    ("change", "columns", "share"), [(1e-9, slice(None), 1.5), ([1] * 8 + [2e3], slice(8), 3)], ids=["tiny", "unequal"]
)
def test_the_harm_is_real(bent, change, columns, share):
    """What is warned about is rebuilt worse, next to the same rows standardised."""

    def error(scale):
        model = Autoencoder(3, max_epochs=60, network=MLP(hidden=(32, 32)), random_state=0)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            model.fit((bent[:400] * scale).astype(np.float32))
        rebuilt = model.reconstruct((bent[400:] * scale).astype(np.float32)) / scale
        return np.square(rebuilt - bent[400:])[:, columns].mean(), sum(
            each.category is not ConvergenceWarning for each in told
        )

    good, silent = error(np.ones(9))
    bad, told = error(np.broadcast_to(change, 9))
    assert (silent, told) == (0, 1)
    assert bad > share * good


WILD = 10.0 ** np.arange(-3, 6)
SCALED = {
    "plain": Autoencoder,
    "denoising, gaussian": partial(DenoisingAutoencoder, corruption="gaussian"),
    "denoising, masking": DenoisingAutoencoder,
    "sparse": SparseAutoencoder,
    "contractive": ContractiveAutoencoder,
    "learnt sigma": partial(Autoencoder, sigma="learned"),
    "variational": VariationalAutoencoder,
    "conditional": ConditionalVariationalAutoencoder,
}


@pytest.mark.filterwarnings("ignore:the code has collapsed")
@pytest.mark.filterwarnings("ignore:.*one value alone in column")
@pytest.mark.filterwarnings("ignore:.* units are on in no row")
class TestScaleInside:
    """``scale="standard"`` is StandardScaler before, and all that is given back in the units of X."""

    @pytest.mark.parametrize("gaps", [False, True])
    @pytest.mark.parametrize("name", SCALED)
    def test_it_is_scikit_learns_scaler(self, name, gaps, bent, tmp_path):
        X = (bent[:120] * WILD + 100 * WILD * np.arange(9)).astype(float)
        X[:, 4] = 7  # a constant column
        if gaps:
            X[np.random.default_rng(0).random(X.shape) < 0.2] = np.nan
        y = np.arange(len(X)) % 3
        scaler = StandardScaler().fit(X)
        Z = scaler.transform(X)
        model = quick(SCALED[name], scale="standard").fit(X, y)
        plain = quick(SCALED[name]).fit(Z, y)
        np.testing.assert_allclose(model.mean_, scaler.mean_)
        np.testing.assert_allclose(model.scale_, scaler.scale_, rtol=1e-9)
        model.save(tmp_path / "m")
        log_scale = np.log(scaler.scale_)
        for each in (model, isthmus.load(tmp_path / "m")):
            codes = each.transform(X)
            close = partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-6)
            close(codes, plain.transform(Z))
            for found, expected in (
                (each.reconstruct(X), plain.reconstruct(Z)),
                (each.impute(X), plain.impute(Z)),
                (each.inverse_transform(codes), plain.inverse_transform(codes)),
                (each.interpolate(X[:1], X[1:2], 3)[0], plain.interpolate(Z[:1], Z[1:2], 3)[0]),
                (each.traverse(X[:1], 1, [0, 1])[0], plain.traverse(Z[:1], 1, [0, 1])[0]),
            ):
                close(scaler.transform(found), expected)
            np.testing.assert_array_equal(each.impute(X)[~np.isnan(X)], X[~np.isnan(X)])
            close(each.score_samples(X), plain.score_samples(Z) - log_scale.sum())
            close(each.score_samples(X, per_feature=True), plain.score_samples(Z, per_feature=True))
            assert each.sigma_ == pytest.approx(plain.sigma_)
            if hasattr(model, "sample"):
                for noise in (False, True):
                    found = each.sample(4, noise=noise, random_state=0)
                    expected = plain.sample(4, noise=noise, random_state=0)
                    np.testing.assert_allclose(scaler.transform(found), expected, rtol=1e-3, atol=1e-3)
                known = ~np.isnan(X)
                close(each.log_likelihood(X, 5), plain.log_likelihood(Z, 5) - known @ log_scale)

    def test_scores_are_densities_of_x(self, bent):
        """Twice the scale is a density half as high in each column."""
        X = bent.astype(float)
        one, two = (quick(scale="standard").fit(each).score_samples(each) for each in (X, 2 * X))
        np.testing.assert_allclose(two, one - 9 * np.log(2), rtol=1e-6)

    @pytest.mark.parametrize(
        "network", [None, Conv(channels=(4,), refine=False), Transformer(patch=4, width=8, depth=1, heads=2)]
    )
    def test_images_by_the_channel(self, digits, network, tmp_path):
        grey = digits[:100].reshape(-1, 8, 8).astype(float)
        colours = np.stack([grey, 1000 * grey + 5, 1e-3 * grey], axis=1)
        model = Autoencoder(2, network=network, max_epochs=1, random_state=0, scale="standard").fit(colours)
        assert model.scale_.shape == (3,)
        Z = (colours - colours.mean((0, 2, 3), keepdims=True)) / colours.std((0, 2, 3), keepdims=True)
        plain = Autoencoder(2, network=network, max_epochs=1, random_state=0).fit(Z)
        model.save(tmp_path / "m")
        for each in (model, isthmus.load(tmp_path / "m")):
            np.testing.assert_allclose(each.transform(colours), plain.transform(Z), rtol=1e-4, atol=1e-6)
            back = (each.reconstruct(colours) - model.mean_.reshape(3, 1, 1)) / model.scale_.reshape(3, 1, 1)
            np.testing.assert_allclose(back, plain.reconstruct(Z), rtol=1e-4, atol=1e-5)
            assert each.score(colours) == pytest.approx(plain.score(Z) - 64 * np.log(model.scale_).sum(), rel=1e-5)

    def test_images_without_channels_and_bytes(self, digits):
        X = (255 * digits[:60].reshape(-1, 8, 8)).astype(np.uint8)
        model = Autoencoder(2, max_epochs=1, random_state=0, scale="standard").fit(X)
        floats = X / np.float32(255)
        assert model.scale_ == pytest.approx(floats.std(), rel=1e-5)
        np.testing.assert_allclose(model.transform(X), model.transform(floats), atol=1e-6)
        np.testing.assert_array_equal(model.impute(X), floats)

    def test_further_rows_are_scaled_as_the_first(self, bent):
        X = bent[:100].astype(float) * WILD
        model = quick(scale="standard").partial_fit(X)
        mean = model.mean_
        model.partial_fit(3 * X)
        assert model.mean_ is mean
        scaler = StandardScaler().fit(X)
        plain = quick().partial_fit(scaler.transform(X)).partial_fit(scaler.transform(3 * X))
        np.testing.assert_allclose(model.transform(X), plain.transform(scaler.transform(X)), rtol=1e-6, atol=1e-6)
        with pytest.raises(ValueError, match="scale=None is not what it was at the last fit: set warm_start=False"):
            model.set_params(scale=None, warm_start=True).fit(X)
        model.set_params(warm_start=False)
        assert not hasattr(model.fit(bent), "mean_")
        with pytest.raises(ValueError, match="scale='standard' is not what it was at the last fit"):
            model.set_params(scale="standard", warm_start=True).fit(X)

    @pytest.mark.parametrize(
        ("change", "scaled"),
        [(1.0, False), (1e3, False), (1e-9, True), (1e6, True), (WILD, True), ([1] * 8 + [2e3], True)],
        ids=str,
    )
    def test_auto_scales_where_it_would_be_warned_of(self, bent, change, scaled):
        X = (bent * change).astype(np.float32)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            model = quick(scale="auto").fit(X)
        told = [str(each.message) for each in told if each.category is not ConvergenceWarning]
        assert len(told) == scaled
        assert hasattr(model, "scale_") == scaled
        assert all(line.endswith("it is standardised, as scale='auto' says") for line in told)
        same = quick(scale="standard" if scaled else None).fit(X)
        np.testing.assert_array_equal(model.transform(X), same.transform(X))

    def test_it_mends_the_harm(self, bent):
        X = (bent * ([1] * 8 + [2e3])).astype(np.float32)
        errors = {}
        for scale in (None, "standard"):
            model = Autoencoder(3, max_epochs=60, network=MLP(hidden=(32, 32)), random_state=0, scale=scale)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                rebuilt = model.fit(X[:400]).reconstruct(X[400:])
            errors[scale] = np.square((rebuilt - X[400:])[:, :8]).mean()
        assert errors["standard"] < errors[None] / 3

    def test_frames_and_detectors(self, bent):
        frame = pd.DataFrame(bent[:80] * WILD, columns=list("abcdefghi")).assign(a=np.arange(80))
        model = quick(scale="standard").fit(frame)
        back = model.reconstruct(frame)
        assert back.a.dtype == frame.a.dtype
        assert (back >= frame.min()).all(axis=None)
        pd.testing.assert_frame_equal(model.impute(frame), frame)
        detector = OutlierDetector(quick(scale="standard")).fit(frame)
        scaler = StandardScaler().fit(frame.to_numpy())
        plain = OutlierDetector(quick()).fit(scaler.transform(frame.to_numpy()))
        np.testing.assert_array_equal(detector.predict(frame), plain.predict(scaler.transform(frame.to_numpy())))

    @pytest.mark.parametrize(
        ("family", "params", "line"),
        [
            (Autoencoder, {"scale": "standart"}, "unknown scale 'standart': did you mean 'standard'"),
            (
                Autoencoder,
                {"scale": "standard", "likelihood": "bernoulli"},
                "needs X in .0, 1., where scale='standard'",
            ),
            (TabularAutoencoder, {"scale": "standard"}, "no meaning for TabularAutoencoder, which scales by itself"),
            (SequenceAutoencoder, {"scale": "auto"}, "no meaning for SequenceAutoencoder, which scales by itself"),
            (MultimodalAutoencoder, {"scale": "auto"}, "no meaning for MultimodalAutoencoder, which scales by itself"),
        ],
    )
    def test_where_it_has_no_meaning(self, bent, family, params, line):
        with pytest.raises(ValueError, match=line):
            family(2, **params).fit({"rows": bent} if family is MultimodalAutoencoder else bent)

    def test_a_strangers_scale_is_checked(self, bent, digits, tmp_path):
        def take(fitted):
            set_fitted(model := quick(), fitted)
            model.check_fitted()

        for X in (bent, digits[:40].reshape(-1, 8, 8), np.stack([digits[:40].reshape(-1, 8, 8)] * 3, axis=1)):
            model = quick(scale="standard").fit(X)
            fitted = {"n_features_in_": model.n_features_in_, "row_shape_": list(model.row_shape_), "history_": []}
            good = {"mean_": model.mean_.tolist(), "scale_": model.scale_.tolist()}
            take(fitted | good)
            for wrong in (
                {"mean_": good["mean_"]},
                good | {"scale_": [-1.0] * len(model.scale_)},
                good | {"scale_": [*good["scale_"], 1.0]},
                good | {"mean_": [float("nan")] * len(model.scale_)},
            ):
                with pytest.raises(ValueError, match=r"mean_|scale_"):
                    take(fitted | wrong)
