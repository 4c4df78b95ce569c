"""What holds for every family: one contract, and scikit-learn's own."""

import pickle
import random
from functools import partial

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import isthmus
from conftest import score_of
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
from isthmus.core.batch import Batch
from isthmus.networks import LSTM, MLP, Transformer

# A handful of steps from a random start may well leave a Gaussian code at the prior; and a handful of rows, on in each
# of which are a few units of a sparse code, cannot need them all.
pytestmark = [
    pytest.mark.filterwarnings("ignore:the code has collapsed"),
    pytest.mark.filterwarnings("ignore:.* units are on in no row"),
]

SMALL = Transformer(patch=4, width=16, depth=1, heads=2)
FAMILIES = {
    "plain": Autoencoder,
    "one layer": partial(Autoencoder, network=MLP(hidden=())),
    "over-complete": partial(Autoencoder, n_components=50),
    "regularised": partial(Autoencoder, weight_decay=1e-3),
    "bernoulli": partial(Autoencoder, likelihood="bernoulli"),
    "denoising": DenoisingAutoencoder,
    "sparse, top-k": partial(SparseAutoencoder, n_components=20),
    "sparse, KL": partial(SparseAutoencoder, n_components=20, sparsity="kl"),
    "sparse, L1": partial(SparseAutoencoder, n_components=20, sparsity="l1"),
    "contractive": ContractiveAutoencoder,
    "contractive, wide": partial(ContractiveAutoencoder, n_components=20),
    "plain network": partial(
        Autoencoder, network=MLP(hidden=(32,), linear_path=None, dropout=0.1, normalization="batch")
    ),
    "tied": partial(Autoencoder, network=MLP(hidden=(32,), tied=True)),
    "everything at once": partial(
        Autoencoder,
        n_components=6,
        corruption="swap",
        sparsity="kl",
        contraction_weight=0.01,
        weight_decay=1e-4,
        likelihood="bernoulli",
    ),
    "learnt sigma": partial(Autoencoder, sigma="learned"),
    "variational": VariationalAutoencoder,
    "variational, Bernoulli, plain network": partial(
        VariationalAutoencoder,
        likelihood="bernoulli",
        network=MLP(hidden=(32,), linear_path=None),
        free_bits=0.2,
        lr=0.02,
    ),
    "variational, everything at once": partial(
        VariationalAutoencoder,
        n_components=6,
        corruption="gaussian",
        sparsity="l1",
        contraction_weight=0.01,
        weight_decay=1e-4,
        beta=0.5,
        beta_warm_up=2,
        free_bits=0.1,
    ),
    "conditional": ConditionalVariationalAutoencoder,
    "denoising, Gaussian code": partial(DenoisingAutoencoder, bottleneck="gaussian"),
    "transformer, masked": partial(DenoisingAutoencoder, network=SMALL, corruption="masking", corruption_level=0.75),
    "transformer, variational": partial(
        VariationalAutoencoder, network=Transformer(patch=4, width=16, depth=1, heads=2, linear_path="pca")
    ),
}
VARIATIONAL = (VariationalAutoencoder, ConditionalVariationalAutoencoder)


def draws_codes(model):
    return isinstance(model, VARIATIONAL) or model.bottleneck == "gaussian"


@pytest.fixture(params=FAMILIES)
def family(request):
    """A constructor with few epochs and one seed."""
    return partial(FAMILIES[request.param], max_epochs=2, random_state=0)


@pytest.fixture(scope="module", params=FAMILIES)
def fitted(request, digits, digits_labels):
    """A model that no test alters."""
    return FAMILIES[request.param](max_epochs=2, random_state=0).fit(digits, digits_labels)


@pytest.mark.parametrize(
    "estimator",
    [
        Autoencoder(),
        DenoisingAutoencoder(),
        SparseAutoencoder(),
        ContractiveAutoencoder(),
        VariationalAutoencoder(),
        ConditionalVariationalAutoencoder(),
        DenoisingAutoencoder(network=Transformer(patch=1, width=8, depth=1, heads=2)),
        TabularAutoencoder(),
        OutlierDetector(VariationalAutoencoder(2, max_epochs=1, network=MLP(hidden=(8,)))),  # whose scores take long
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_scikit_learns_own_contract(estimator):
    if not isinstance(estimator, OutlierDetector):
        estimator.set_params(max_epochs=2)
    results = check_estimator(estimator, on_fail="raise", on_skip=None)
    assert len(results) > 40
    assert {result["status"] for result in results} <= {"passed", "skipped"}
    skipped = [result["check_name"] for result in results if result["status"] == "skipped"]
    assert skipped in ([], ["check_array_api_input"]), "the one that needs SCIPY_ARRAY_API set before Python starts"
    assert not any(result["expected_to_fail"] for result in results)


def test_a_score_says_what_is_unusual(family, digits, digits_labels):
    X = digits[:80].reshape(-1, 8, 8).copy()
    model = family().fit(X, digits_labels[:80])
    X[3, 2, 5] = np.nan
    shares = model.score_samples(X, per_feature=True)
    assert shares.shape == X.shape
    np.testing.assert_array_equal(np.isnan(shares), np.isnan(X))
    if draws_codes(model):
        assert (score_of(model, shares) >= model.score_samples(X) - 1e-6).all(), "the KL, which is left out, is ≥ 0"
    else:
        np.testing.assert_allclose(score_of(model, shares), model.score_samples(X), rtol=1e-4, atol=1e-4)


def test_the_entry_that_was_altered_is_the_unusual_one(digits):
    model = Autoencoder(8, max_epochs=2, random_state=0).fit(digits)
    X = digits[:20].copy()
    X[:, 0, 0] += 3  # dark in all others: no code can say it
    assert (model.score_samples(X, per_feature=True).reshape(20, -1).argmin(1) == 0).all()


def test_shapes_and_dtypes(family, digits, digits_labels):
    for dtype in (np.float32, np.float64):
        for shape in [(-1, 64), (-1, 8, 8), (-1, 1, 8, 8)]:
            X = digits[:80].astype(dtype).reshape(shape)
            model = family().fit(X, digits_labels[:80])
            codes = model.transform(X)
            assert codes.shape == (80, model.n_components)
            assert codes.dtype == dtype
            for rows in (model.reconstruct(X), model.inverse_transform(codes)):
                assert rows.shape == X.shape
                assert rows.dtype == dtype
            assert model.score_samples(X).shape == (80,)
            assert model.n_features_in_ == 64


def test_reconstruct_is_inverse_transform_of_transform(fitted, digits):
    np.testing.assert_allclose(
        fitted.reconstruct(digits), fitted.inverse_transform(fitted.transform(digits)), rtol=1e-5, atol=1e-6
    )


def test_score_is_the_reconstruction_term(fitted, digits):
    if draws_codes(fitted):
        assert fitted.score(digits) == pytest.approx(fitted.score_samples(digits).mean(), rel=1e-5)
        return  # test_variational.py holds the bound against closed forms
    with torch.no_grad():
        terms = fitted.module_(Batch(torch.tensor(digits))).terms
    np.testing.assert_allclose(fitted.score_samples(digits), -terms["reconstruction"].numpy(), rtol=1e-5)
    assert fitted.score(digits) == pytest.approx(-terms["reconstruction"].mean().item(), rel=1e-5)


def test_equal_seeds_give_equal_weights_to_the_bit(family, digits, digits_labels):
    digits, digits_labels = digits[:300], digits_labels[:300]
    torch.manual_seed(1)
    first = family().fit(digits, digits_labels)
    drawn: list[torch.Tensor] = []
    np.random.seed(3)
    torch.manual_seed(3)
    second = family(callbacks=[lambda _: drawn.append(torch.rand(10))]).fit(digits, digits_labels)
    torch.manual_seed(3)
    expected = [torch.rand(10) for _ in drawn]
    assert all(map(torch.equal, drawn, expected)), "the program's own random numbers are left alone"
    for name, tensor in first.module_.state_dict().items():
        assert torch.equal(tensor, second.module_.state_dict()[name]), name
    other = family(random_state=1).fit(digits, digits_labels).module_.state_dict()
    differs = any(not torch.equal(tensor, other[name]) for name, tensor in first.module_.state_dict().items())
    # A linear autoencoder starts where it ends, at PCA, whatever the seed.
    assert differs or first.network == MLP(hidden=())


OTHERS = {
    "sequence": (
        partial(SequenceAutoencoder, 4, network=LSTM(hidden=8, layers=2, dropout=0.2), future_steps=2),
        lambda digits, labels: digits[:60],
    ),
    "sequence, transformer": (
        partial(SequenceAutoencoder, 4, network=SMALL, corruption="masking"),
        lambda digits, labels: digits[:60],
    ),
    "tabular": (
        partial(TabularAutoencoder, 4, network=MLP(hidden=(16,), dropout=0.2)),
        lambda digits, labels: pd.DataFrame(digits[:200, 3]).rename(columns=str).assign(label=labels[:200].astype(str)),
    ),
    "tabular, masking": (
        partial(TabularAutoencoder, 4, corruption="masking", categories="embedding", numbers="rankgauss"),
        lambda digits, labels: pd.DataFrame(digits[:200, 3]).rename(columns=str).assign(label=labels[:200].astype(str)),
    ),
    "multimodal": (
        partial(MultimodalAutoencoder, 4),
        lambda digits, labels: {"image": digits[:200], "label": labels[:200]},
    ),
    "multimodal, product of experts": (
        partial(MultimodalAutoencoder, 4, fusion="product_of_experts"),
        lambda digits, labels: {"image": digits[:200], "label": labels[:200]},
    ),
}
"""Families whose rows are of their own kind."""


@pytest.mark.parametrize("name", [*FAMILIES, *OTHERS])
def test_a_seed_settles_all_whatever_else_the_program_does(name, digits, digits_labels, tmp_path, capfd):
    """Callbacks, verbosity, a run that is kept, and other random numbers, drawn or seeded anew, change no bit."""
    build, rows = OTHERS.get(name, (FAMILIES.get(name), lambda digits, labels: digits[:200]))
    X, y = rows(digits, digits_labels), None if name in OTHERS else digits_labels[:200]

    def meddle(*_):
        torch.manual_seed(torch.randint(10**6, ()).item())
        np.random.seed(np.random.randint(10**6))
        random.seed(random.random())

    def uses(model):
        return model.transform(X), model.score_samples(X)

    quiet = build(max_epochs=2, random_state=0).fit(X, y)
    meddle()
    loud = build(max_epochs=2, random_state=0, verbose=2, callbacks=[meddle, lambda record: print(record)])
    state = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    kept = build(max_epochs=2, random_state=np.random.RandomState(0)).fit(X, y, resume_from=tmp_path / "run")
    assert torch.equal(state[0], torch.get_rng_state())
    assert np.array_equal(state[1], np.random.get_state()[1])
    assert state[2] == random.getstate()
    loud.fit(X, y)
    for other in (loud, kept):
        for key, tensor in quiet.module_.state_dict().items():
            assert torch.equal(tensor, other.module_.state_dict()[key]), key
        told, again = ([{**record, "seconds": 0} for record in model.history_] for model in (quiet, other))
        assert told == again
    first = uses(quiet)
    meddle()
    for one, two in zip(first, uses(quiet), strict=True):
        np.testing.assert_array_equal(one, two)


def test_saved_and_pickled_models_give_the_same_bits(fitted, digits, tmp_path):
    fitted.save(tmp_path / "model")
    joblib.dump(fitted, tmp_path / "model.joblib")
    for again in (
        isthmus.load(tmp_path / "model"),
        pickle.loads(pickle.dumps(fitted)),
        joblib.load(tmp_path / "model.joblib"),
    ):
        assert type(again) is type(fitted)
        assert again.history_ == fitted.history_
        assert again.n_iter_ == fitted.n_iter_
        for method in ("transform", "reconstruct", "score_samples"):
            np.testing.assert_array_equal(getattr(again, method)(digits), getattr(fitted, method)(digits))


def test_a_loaded_model_goes_on_learning(fitted, digits, digits_labels, tmp_path):
    fitted.save(tmp_path / "model")
    again = isthmus.load(tmp_path / "model")
    again.partial_fit(digits, digits_labels)
    assert again.n_iter_ == 3
    assert [record["epoch"] for record in again.history_] == [1, 2, 3]


def test_what_is_missing_is_filled_in_and_the_rest_is_left_alone(family, digits, digits_labels):
    digits, digits_labels = digits[:100], digits_labels[:100]
    rng = np.random.default_rng(0)
    gaps = rng.random(digits.shape) < 0.2
    X = np.where(gaps, np.float32(np.nan), digits)
    for rows in (digits, X):  # trained on whole rows, and on rows with gaps
        model = family().fit(rows, digits_labels)
        assert all(np.isfinite(record["train"]["loss"]) for record in model.history_)
        for method in ("transform", "reconstruct", "score_samples"):
            assert np.isfinite(getattr(model, method)(X)).all()
        filled = model.impute(X)
        np.testing.assert_array_equal(filled[~gaps], digits[~gaps])
        assert np.isfinite(filled).all()
        assert filled.dtype == np.float32
        np.testing.assert_array_equal(model.impute(digits, gaps), filled)
        np.testing.assert_array_equal(model.impute(digits), digits)
        np.testing.assert_allclose(model.impute(X.reshape(-1, 64)[:50]), filled[:50], atol=1e-4)


def test_interpolations_begin_and_end_at_reconstructions(fitted, digits):
    A, B = digits[:5], digits[5:10]
    for path in ("straight", "spherical"):
        rows = fitted.interpolate(A, B, 4, path=path)
        assert rows.shape == (5, 4, 8, 8)
        np.testing.assert_allclose(rows[:, 0], fitted.reconstruct(A), atol=1e-4)
        np.testing.assert_allclose(rows[:, -1], fitted.reconstruct(B), atol=1e-4)
    codes = (fitted.transform(A) + fitted.transform(B)) / 2
    np.testing.assert_allclose(fitted.interpolate(A, B, 3)[:, 1], fitted.inverse_transform(codes), atol=1e-5)


def test_a_traversal_sets_one_unit(fitted, digits):
    rows = fitted.traverse(digits[:3], unit=1, values=[-1.5, 0, 2])
    assert rows.shape == (3, 3, 8, 8)
    codes = fitted.transform(digits[:3])
    codes[:, 1] = 2
    np.testing.assert_allclose(rows[:, 2], fitted.inverse_transform(codes), atol=1e-5)


def test_what_draws_codes_generates_rows(family, digits, digits_labels):
    model = family()
    for _ in range(2):
        assert [hasattr(model, name) for name in ("sample", "log_likelihood")] == [draws_codes(model)] * 2
        model.fit(digits[:80], digits_labels[:80])
    if draws_codes(model):
        rows = model.sample(3, random_state=0)
        assert rows.shape == (3, 8, 8)
        np.testing.assert_array_equal(rows, model.sample(3, random_state=0))
        assert model.log_likelihood(digits[:5]).shape == (5,)


def test_clone_is_unfitted_and_equal(family):
    model = family()
    again = clone(model)
    assert repr(again.get_params()) == repr(model.get_params())
    assert not hasattr(again, "module_")


def test_pipeline(family, digits, digits_labels):
    X = digits.reshape(-1, 64)
    pipeline = make_pipeline(family(n_components=20), LogisticRegression(max_iter=2000))
    assert pipeline.fit(X[:600], digits_labels[:600]).score(X[600:800], digits_labels[600:800]) > 0.5


def test_pandas_in_and_out(family, digits, digits_labels):
    frame = pd.DataFrame(digits[:60].reshape(-1, 64), columns=[f"pixel {i}" for i in range(64)])
    model = family().set_output(transform="pandas").fit(frame, digits_labels[:60])
    codes = model.transform(frame)
    assert isinstance(codes, pd.DataFrame)
    assert list(codes.columns) == list(model.get_feature_names_out())
    assert codes.index.equals(frame.index)
    assert list(model.feature_names_in_) == list(frame.columns)
    np.testing.assert_array_equal(
        codes.to_numpy(), family().fit(frame.to_numpy(), digits_labels[:60]).transform(frame.to_numpy())
    )


@pytest.mark.parametrize("network", [None, MLP()])
def test_grid_search_over_the_network_and_the_learning_rate(digits, network):
    X = digits[:200].reshape(-1, 64)
    setting = {"max_epochs": 3, "validation_fraction": None, "random_state": 0}
    grid = {"network__hidden": [(), (32,), (32, 16)], "lr": [1e-3, 1e-2]}
    search = GridSearchCV(Autoencoder(4, network=network, **setting), grid, cv=2, error_score="raise")
    search.fit(X)
    scores = search.cv_results_["mean_test_score"]
    assert len(set(scores)) >= 5, "each leads elsewhere, but that a linear network stays where it is at either rate"
    assert search.best_params_["network__hidden"] in grid["network__hidden"]
    assert search.best_estimator_.network.hidden == search.best_params_["network__hidden"]


def test_grid_search_inside_a_pipeline(table):
    pipeline = make_pipeline(StandardScaler(), Autoencoder(2, max_epochs=20, validation_fraction=None, random_state=0))
    search = GridSearchCV(pipeline, {"autoencoder__lr": [1e-4, 1e-2]}, cv=2).fit(table)
    assert search.best_params_["autoencoder__lr"] == 1e-2


@pytest.mark.parametrize("kind", ["list", "tensor", "frame", "fortran", "read-only", "bytes", "float16 tensor"])
def test_what_rows_may_come_as(digits, kind):
    X = (255 * digits[:50].reshape(-1, 64)).round().astype(np.uint8)
    expected = Autoencoder(3, max_epochs=1, random_state=0).fit_transform(X)
    scaled = X.astype(np.float32) / 255
    frozen = scaled.copy()
    frozen.flags.writeable = False
    given = {
        "list": [list(map(float, row)) for row in scaled],
        "tensor": torch.tensor(scaled),
        "frame": pd.DataFrame(scaled).rename(columns=str),
        "fortran": np.asfortranarray(scaled),
        "read-only": frozen,
        "bytes": torch.tensor(X),
        "float16 tensor": torch.tensor(scaled, dtype=torch.float16),
    }[kind]
    codes = Autoencoder(3, max_epochs=1, random_state=0).fit_transform(given)
    np.testing.assert_allclose(codes, expected, atol=0.05 if "16" in kind else 1e-4)


def test_flat_rows_are_taken_by_a_model_of_images(digits):
    model = Autoencoder(3, max_epochs=1, random_state=0).fit(digits)
    np.testing.assert_array_equal(model.transform(digits.reshape(-1, 64)), model.transform(digits))
    assert model.reconstruct(digits.reshape(-1, 64)).shape == digits.shape


def test_a_list_of_images(digits):
    model = Autoencoder(3, max_epochs=1, random_state=0).fit(list(digits))
    assert model.reconstruct(list(digits[:2])).shape == (2, 8, 8)


def test_images_of_another_layout_are_refused(digits):
    X = np.repeat(digits[:20, None], 3, axis=1)
    model = Autoencoder(3, max_epochs=1).fit(X)
    with pytest.raises(ValueError, match=r"images of shape \(8, 8, 3\), and the model was fitted on \(3, 8, 8\)"):
        model.transform(np.moveaxis(X, 1, 3))
    grey = Autoencoder(3, max_epochs=1).fit(digits)
    assert grey.transform(digits[:, None]).shape == (1437, 3)
    assert len(grey.transform([torch.tensor(image) for image in digits[:5]])) == 5


def test_a_denoiser_of_pixels_is_shown_what_lies_outside(digits):
    model = DenoisingAutoencoder(8, corruption="gaussian", likelihood="bernoulli", max_epochs=2, random_state=0).fit(
        digits
    )
    noisy = digits + np.random.default_rng(0).normal(size=digits.shape).astype(np.float32)
    assert np.isfinite(model.reconstruct(noisy)).all()
    with pytest.raises(ValueError, match=r"needs X in \[0, 1\]"):
        model.score_samples(noisy)


def test_more_components_than_rows_or_columns(table):
    model = Autoencoder(500, max_epochs=1, random_state=0).fit(table[:5])
    assert model.transform(table).shape == (200, 500)


def test_constant_and_duplicate_columns():
    X = np.column_stack([np.ones(50), np.arange(50.0), np.arange(50.0)])
    with pytest.warns(UserWarning, match="one value alone in column 0"):
        model = Autoencoder(2, random_state=0, max_epochs=3).fit(X)
    np.testing.assert_allclose(model.reconstruct(X), X, atol=1)
    constant = np.full((20, 3), 7.0)
    np.testing.assert_allclose(Autoencoder(2, max_epochs=1).fit(constant).reconstruct(constant), constant, atol=1e-3)


class TestOutlierDetector:
    @pytest.fixture
    def rows(self):
        rng = np.random.default_rng(0)
        usual = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 8)) + 0.05 * rng.normal(size=(300, 8))
        return np.concatenate([usual, 3 * rng.normal(size=(15, 8))])

    def test_finds_what_is_off_the_plane(self, rows):
        detector = OutlierDetector(Autoencoder(2, max_epochs=20, random_state=0), contamination=15 / 315).fit(rows)
        assert (detector.predict(rows)[300:] == -1).mean() > 0.9
        assert (detector.predict(rows) == -1).sum() == 15
        np.testing.assert_array_equal(detector.predict(rows) == -1, detector.decision_function(rows) < 0)

    def test_finds_what_is_far_out_on_the_plane(self):
        rng = np.random.default_rng(0)
        axes = np.linalg.qr(rng.normal(size=(20, 8))).Q.T
        codes = rng.normal(size=(300, 8))
        codes[:5] *= 12 / np.linalg.norm(codes[:5], axis=1, keepdims=True)
        rows = codes @ axes + 0.1 * rng.normal(size=(300, 20))
        assert set(OutlierDetector(random_state=0).fit(rows).score_samples(rows).argsort()[:5]) == set(range(5))
        plain = OutlierDetector(Autoencoder(8, network=MLP(hidden=()), max_epochs=1, random_state=0)).fit(rows)
        assert set(plain.score_samples(rows).argsort()[:5]) != set(range(5)), "it can rebuild them"

    def test_works_with_every_family(self, family, digits, digits_labels):
        digits, digits_labels = digits[:300], digits_labels[:300]
        detector = OutlierDetector(family(), contamination=0.1).fit(digits, digits_labels)
        assert (detector.predict(digits) == -1).mean() == pytest.approx(0.1, abs=0.005)
        assert not hasattr(detector.autoencoder, "module_"), "a clone is fitted"

    def test_contamination_moves_the_threshold_alone(self, rows):
        autoencoder = Autoencoder(2, network=MLP(hidden=(16,)), max_epochs=2, random_state=0)
        strict, lax = (OutlierDetector(autoencoder, contamination=c).fit(rows) for c in (0.01, 0.3))
        np.testing.assert_array_equal(strict.score_samples(rows), lax.score_samples(rows))
        assert (strict.predict(rows) == -1).sum() < (lax.predict(rows) == -1).sum()

    def test_its_seed_takes_the_place_of_the_autoencoders(self, rows):
        short = partial(Autoencoder, 2, network=MLP(hidden=(16,)), max_epochs=2, validation_fraction=None)
        own, other = OutlierDetector(short(random_state=5)), OutlierDetector(short(), random_state=5)
        np.testing.assert_array_equal(own.fit(rows).score_samples(rows), other.fit(rows).score_samples(rows))
        assert other.autoencoder_.random_state == 5

    def test_is_saved_whole(self, rows, tmp_path):
        frame = pd.DataFrame(rows, columns=list("abcdefgh"))
        detector = OutlierDetector(SparseAutoencoder(4, max_epochs=1), contamination=0.2).fit(frame)
        detector.save(tmp_path / "detector")
        again = isthmus.load(tmp_path / "detector")
        np.testing.assert_array_equal(again.decision_function(frame), detector.decision_function(frame))
        np.testing.assert_array_equal(again.predict(frame), detector.predict(frame))
        assert list(again.feature_names_in_) == list("abcdefgh")

    def test_a_frozen_autoencoder_is_taken_and_saved_as_it_is(self, rows, tmp_path):
        for family in (Autoencoder, VariationalAutoencoder):
            fitted = family(2, network=MLP(hidden=(16,)), max_epochs=1, random_state=0).fit(rows)
            before = {name: tensor.clone() for name, tensor in fitted.module_.state_dict().items()}
            detector = OutlierDetector(FrozenEstimator(fitted), contamination=0.2, random_state=3).fit(rows)
            assert detector.autoencoder_ is fitted
            for name, tensor in fitted.module_.state_dict().items():
                assert torch.equal(tensor, before[name]), name
            detector.save(tmp_path / "detector")
            again = isthmus.load(tmp_path / "detector")
            np.testing.assert_array_equal(again.predict(rows), detector.predict(rows))
            np.testing.assert_array_equal(again.autoencoder_.transform(rows), fitted.transform(rows))

    def test_one_that_is_not_fitted_or_no_autoencoder_is_refused(self, rows):
        with pytest.raises(NotFittedError):
            OutlierDetector(FrozenEstimator(Autoencoder())).fit(rows)
        with pytest.raises(TypeError, match=r"(give an|freeze a fitted) autoencoder of isthmus"):
            OutlierDetector(FrozenEstimator(PCA(2).fit(rows))).fit(rows)
