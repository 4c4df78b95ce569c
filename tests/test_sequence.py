"""Sequences: one contract in the spirit of check_estimator, and what is theirs alone."""

import dataclasses
import pickle
import re
from functools import partial

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV

import isthmus
from conftest import score_of
from isthmus import Autoencoder, OutlierDetector, SequenceAutoencoder
from isthmus.data import on_time_axis, windows
from isthmus.formats.sequences import Sequences, as_given, join_future, split_future, to_sequences
from isthmus.models import inference
from isthmus.networks import LSTM, MLP, Modules, Transformer

QUICK = {"n_components": 4, "max_epochs": 2, "batch_size": 8, "validation_fraction": None, "random_state": 0}
STILL = QUICK | {"max_epochs": 1, "batch_size": 30, "lr": 1e-12}

FAMILIES = {
    "plain": SequenceAutoencoder,
    "composite": partial(SequenceAutoencoder, future_steps=3),
    "conditioned": partial(SequenceAutoencoder, future_steps=3, network=LSTM(conditioned=True)),
    "prediction alone": partial(SequenceAutoencoder, future_steps=3, reconstruction=False),
    "deep": partial(SequenceAutoencoder, network=LSTM(hidden=6, layers=2, dropout=0.1)),
    "fixed sigma": partial(SequenceAutoencoder, sigma=0.5),
    "bernoulli": partial(SequenceAutoencoder, likelihood="bernoulli", future_steps=2),
    "everything at once": partial(
        SequenceAutoencoder, future_steps=2, corruption="gaussian", sparsity="l1", weight_decay=1e-4
    ),
    "transformer": partial(SequenceAutoencoder, network=Transformer(width=8, heads=2, depth=1), future_steps=3),
    "transformer, masked": partial(
        SequenceAutoencoder,
        network=Transformer(width=8, heads=2, depth=1, linear_path=None),
        corruption="masking",
        future_steps=3,
    ),
    "transformer at PCA": partial(
        SequenceAutoencoder, network=Transformer(width=8, heads=2, depth=1, linear_path="pca")
    ),
    "dense": partial(SequenceAutoencoder, network=MLP(hidden=(16,))),
}

each = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())


def waves(n=30, steps=12, features=2, dtype=np.float32):
    """Waves in [0, 1] of various speed."""
    rng = np.random.default_rng(0)
    time = np.arange(steps) * rng.uniform(0.2, 0.8, size=(n, 1)) + rng.uniform(0, 6, size=(n, 1))
    return np.stack([0.5 + np.sin(time + i) / 2 for i in range(features)], axis=2).astype(dtype)


@pytest.fixture(scope="module", name="X")
def sequences():
    return waves()


@pytest.fixture(scope="module")
def ragged(X):
    """The same, of 6 to 12 steps."""
    lengths = np.random.default_rng(1).integers(6, 13, size=len(X))
    lengths[0] = 12
    return [row[:length] for row, length in zip(X, lengths, strict=True)]


def told(model, X):
    """Everything that a model says of sequences, as a list of arrays."""
    given = [model.transform(X), model.score_samples(X), *model.score_samples(X, per_feature=True)]
    if model.future_steps:
        given += list(model.predict_future(X))
    return given + (list(model.reconstruct(X)) if model.reconstruction else [])


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@each
def test_fit_is_idempotent_and_copies_are_alike(family, ragged, tmp_path):
    model = family(**QUICK).fit(ragged)
    before = told(model, ragged)
    assert_same(told(clone(model).fit(ragged), ragged), before)
    assert_same(told(pickle.loads(pickle.dumps(model)), ragged), before)
    joblib.dump(model, tmp_path / "model.joblib")
    assert_same(told(joblib.load(tmp_path / "model.joblib"), ragged), before)
    model.save(tmp_path / "model")
    again = isthmus.load(tmp_path / "model")
    assert_same(told(again, ragged), before)
    assert again.get_params().keys() == model.get_params().keys()
    assert_same(told(model.fit(ragged), ragged), before)


@each
def test_a_saved_model_goes_on(family, X, tmp_path):
    model = family(**QUICK | {"warm_start": True}).fit(X)
    model.save(tmp_path / "model")
    assert_same(told(isthmus.load(tmp_path / "model").fit(X), X), told(model.fit(X), X))


@each
def test_a_subset_is_told_the_same(family, ragged):
    model = family(**QUICK).fit(ragged)
    for whole, alone in zip(told(model, ragged)[0], told(model, ragged[:1])[0], strict=False):
        np.testing.assert_allclose(whole, alone, rtol=1e-4, atol=1e-5)
    codes = np.concatenate([model.transform([row]) for row in ragged])
    np.testing.assert_allclose(codes, model.transform(ragged), rtol=1e-4, atol=1e-5)
    order = np.random.default_rng(0).permutation(len(ragged))
    shuffled = model.score_samples([ragged[i] for i in order])
    np.testing.assert_allclose(shuffled, model.score_samples(ragged)[order], rtol=1e-4, atol=1e-4)


@each
def test_everything_is_finite_and_of_the_form_given(family, X, ragged):
    model = family(**QUICK).fit(ragged)
    assert model.n_features_in_ == 2
    assert list(model.get_feature_names_out())[-1].endswith("3")
    for given in (X, ragged):
        assert model.transform(given).shape == (30, 4)
        assert model.transform(given).dtype == np.float32
        assert model.score_samples(given).shape == (30,)
        forms = [model.score_samples(given, per_feature=True)]
        if model.reconstruction:
            forms += [model.reconstruct(given), model.impute(given)]
        for form in forms:
            assert isinstance(form, list) == isinstance(given, list)
            assert [row.shape for row in form] == [row.shape for row in given]
        if model.future_steps:
            assert model.predict_future(given).shape == (30, model.future_steps, 2)
        assert all(np.isfinite(value).all() for value in told(model, given)[:2])


def test_without_an_axis_of_features(X, ragged):
    flat, flat_ragged = X[:, :, 0], [row[:, 0] for row in ragged]
    model = SequenceAutoencoder(**QUICK, future_steps=3).fit(flat)
    assert model.n_features_in_ == 1
    assert model.reconstruct(flat).shape == flat.shape
    assert model.predict_future(flat).shape == (30, 3)
    assert model.predict_future(flat[:, :, None]).shape == (30, 3, 1)
    assert model.score_samples(flat, per_feature=True).shape == flat.shape
    assert model.inverse_transform(model.transform(flat)).shape == flat.shape
    assert [len(row) for row in model.reconstruct(flat_ragged)] == [len(row) for row in flat_ragged]
    assert model.interpolate(flat, flat[::-1], 4).shape == (30, 4, 12)
    np.testing.assert_array_equal(model.transform(flat), model.transform(torch.tensor(flat)))
    np.testing.assert_array_equal(model.transform(flat), model.transform(flat[:, :, None]))
    np.testing.assert_allclose(model.transform(flat), model.transform(list(flat)), rtol=1e-6)


def test_lengths_of_what_is_decoded(X, ragged):
    model = SequenceAutoencoder(**QUICK).fit(ragged)
    lengths = [len(row) for row in ragged]
    decoded = model.inverse_transform(model.transform(ragged), lengths)
    for one, other in zip(decoded, model.reconstruct(ragged), strict=True):
        np.testing.assert_array_equal(one, other)
    assert model.inverse_transform(model.transform(ragged)).shape == (30, 12, 2)
    between = model.interpolate(ragged, ragged[::-1], 5)
    assert [rows.shape for rows in between] == [(5, max(pair), 2) for pair in zip(lengths, lengths[::-1], strict=True)]
    np.testing.assert_allclose(between[0][0], model.reconstruct(ragged[:1])[0], atol=1e-5)
    traversed = model.traverse(ragged, 1, [-1, 0, 1])
    assert [rows.shape for rows in traversed] == [(3, length, 2) for length in lengths]
    for wrong in ([12], [13] * 30, [0] * 30, [1.5] * 30):
        with pytest.raises(ValueError, match="lengths"):
            model.inverse_transform(model.transform(ragged), wrong)


@each
def test_partial_fit_and_warm_start_go_on(family, X):
    fitted = family(**QUICK | {"max_epochs": 1, "warm_start": True}).fit(X)
    codes = fitted.transform(X)
    assert not np.array_equal(fitted.fit(X).transform(X), codes)
    part = family(**QUICK).partial_fit(X)
    first = part.history_[0]["train"]["loss"]
    for _ in range(4):
        part.partial_fit(X)
    assert len(part.history_) == 5
    assert part.history_[-1]["train"]["loss"] < first


def test_what_is_learnt_beats_the_mean(X, ragged):
    for given in (X, ragged):
        model = SequenceAutoencoder(6, max_epochs=60, lr=0.03, batch_size=10, random_state=0).fit(given)
        error = np.square(np.concatenate(model.reconstruct(given)) - np.concatenate(given)).mean()
        assert error < 0.35 * np.concatenate(given).var()


def test_padding_enters_no_loss(ragged):
    """The terms of the first epoch, weights unchanged, are those of the scores: sums over what is there."""
    model = SequenceAutoencoder(**STILL).fit(ragged)
    record = model.history_[0]["train"]
    given = model.format_.encode_to_score(ragged)
    shares = inference.scores(model.module_, model.format_, given, per_feature=True) + model.module_.usual.numpy()
    assert record["reconstruction"] == pytest.approx(-np.nansum(shares, (1, 2)).mean(), rel=1e-4)
    error = np.square(np.concatenate(model.reconstruct(ragged)) - np.concatenate(ragged)).mean()
    assert record["mse"] == pytest.approx(error, rel=1e-4)


def test_the_score_is_a_normal_density_in_the_units_of_x(ragged):
    """Feature 1 in units a thousand times smaller: by hand, σ in each feature's own spread."""
    given = [row * [1, 1000] + [0, 5000] for row in ragged]
    model = SequenceAutoencoder(**QUICK).fit(given)
    np.testing.assert_allclose(model.mean_, np.concatenate(given).mean(0))
    np.testing.assert_allclose(model.scale_, np.concatenate(given).std(0))
    sigma = model.sigma_ / np.sqrt(np.square(model.scale_).mean())
    shares, usual = model.score_samples(given, per_feature=True), model.module_.usual.numpy()
    for row, rebuilt, share in zip(given, model.reconstruct(given), shares, strict=True):
        density = share + usual[: len(row)]
        np.testing.assert_allclose(density, norm(rebuilt, sigma * model.scale_).logpdf(row), rtol=1e-4, atol=1e-4)
    padded = np.stack([np.pad(each, ((0, 12 - len(each)), (0, 0)), constant_values=np.nan) for each in shares])
    np.testing.assert_allclose(score_of(model, padded), model.score_samples(given), rtol=1e-4)


def test_units_change_nothing_but_the_density(X):
    raw = X.astype(float) * 1e4 + 2e4
    plain, scaled = (SequenceAutoencoder(**QUICK, future_steps=3).fit(given) for given in (X.astype(float), raw))
    np.testing.assert_allclose(scaled.transform(raw), plain.transform(X.astype(float)), atol=1e-6)
    np.testing.assert_allclose(scaled.predict_future(raw), plain.predict_future(X.astype(float)) * 1e4 + 2e4)
    shift = scaled.score_samples(raw) - plain.score_samples(X.astype(float))
    np.testing.assert_allclose(shift, -24 * np.log(1e4), rtol=1e-6)


def test_gaps_are_left_out_and_filled(X):
    holes = X.copy()
    holes[3, 4:6] = np.nan
    model = SequenceAutoencoder(6, max_epochs=60, lr=0.03, batch_size=10, random_state=0).fit(holes)
    shares = model.score_samples(holes, per_feature=True)
    assert np.isnan(shares[3, 4:6]).all()
    np.testing.assert_allclose(score_of(model, shares), model.score_samples(holes), rtol=1e-4)
    mask = np.zeros((30, 12), bool)
    mask[:, 5:7] = True
    filled = model.impute(X, mask, n_iter=20)
    np.testing.assert_array_equal(filled[~mask], X[~mask])
    assert np.square(filled - X)[mask].mean() < 0.7 * np.square(X.mean((0, 1)) - X)[mask].mean()
    by_row = model.impute(X, mask[0], n_iter=20)
    np.testing.assert_array_equal(by_row, filled)
    as_list = model.impute(list(X), list(mask), n_iter=20)
    np.testing.assert_allclose(np.stack(as_list), filled, atol=1e-6)


def test_the_future_is_cut_off_by_hand():
    x = np.arange(10.0).reshape(2, 5, 1)
    x[1, 4:] = np.nan
    cut, past = split_future(Sequences(x, np.array([5, 4])), 2)
    nan = np.nan
    np.testing.assert_array_equal(cut[:, :, 0], [[0, 1, 2, nan, nan, 3, 4], [5, 6, nan, nan, nan, 7, 8]])
    np.testing.assert_array_equal(past, [3, 2])
    np.testing.assert_array_equal(join_future(Sequences(cut, past), 2), x)


def test_the_future_is_not_seen(ragged):
    model = SequenceAutoencoder(**QUICK, future_steps=3).fit(ragged)
    assert {"reconstruction", "prediction"} < model.history_[0]["train"].keys()
    assert model.history_[0]["train"]["loss"] == pytest.approx(
        model.history_[0]["train"]["reconstruction"] + model.history_[0]["train"]["prediction"]
    )
    shares = model.score_samples(ragged, per_feature=True)
    other = [np.concatenate([row[:-3], row[-3:] + 1]) for row in ragged]
    changed = model.score_samples(other, per_feature=True)
    for share, new, row in zip(shares, changed, ragged, strict=True):
        np.testing.assert_array_equal(new[:-3], share[:-3])
        assert (new[-3:] != share[-3:]).all()
        predicted = model.predict_future([row[:-3]])[0]
        sigma = model.module_.likelihood.blocks[1].likelihood.likelihood.sigma.item()
        expected = norm(predicted, sigma * model.scale_).logpdf(row[-3:]) - model.module_.usual[-3:].numpy()
        np.testing.assert_allclose(share[-3:], expected, rtol=1e-3, atol=1e-3)


def test_the_future_is_told_from_its_first_step_on(X):
    """Of an LSTM, which makes one step after the other: how far it is asked to look does not move the first step."""
    far, near = (SequenceAutoencoder(**QUICK, future_steps=steps).fit(X) for steps in (6, 2))
    sized = {name: getattr(near.module_, name) for name in ("fill", "usual", "rare")}
    near.module_.load_state_dict({**far.module_.state_dict(), **sized})
    np.testing.assert_allclose(near.predict_future(X), far.predict_future(X)[:, :2], atol=1e-6)


def test_prediction_alone(X):
    model = SequenceAutoencoder(**QUICK, future_steps=3, reconstruction=False).fit(X)
    assert "reconstruction" not in model.history_[0]["train"]
    for name in ("reconstruct", "inverse_transform", "impute", "interpolate", "traverse"):
        assert not hasattr(model, name)
        assert hasattr(SequenceAutoencoder(), name)
    assert not hasattr(SequenceAutoencoder(), "predict_future")
    shares = model.score_samples(X, per_feature=True)
    assert np.isnan(shares[:, :-3]).all()
    excess = model.score_samples(X) - shares[:, -3:].sum((1, 2))
    np.testing.assert_allclose(excess, model.module_.usual.nansum().item(), rtol=1e-4)
    still = SequenceAutoencoder(**STILL, future_steps=3, reconstruction=False).fit(X)
    error = np.square(still.predict_future(X[:, :-3]) - X[:, -3:]).mean()
    assert still.history_[0]["train"]["mse"] == pytest.approx(error, rel=1e-4)


def test_prediction_beats_the_last_value():
    """Two sines, of which the past tells the future."""
    time = np.arange(900)
    series = np.sin(2 * np.pi * time / 25) + 0.5 * np.sin(2 * np.pi * time / 9)
    model = SequenceAutoencoder(12, future_steps=5, max_epochs=15, lr=0.02, random_state=0)
    model.fit(windows(series[:600], 35, stride=2))
    test = windows(series[600:], 35)
    error = np.square(model.predict_future(test[:, :-5]) - test[:, -5:]).mean()
    assert error < 0.3 * np.square(test[:, [-6]] - test[:, -5:]).mean()


def test_the_end_is_rebuilt_first(X):
    """Without the reversal this fails: the code is the state after the last step, and that is where it is best."""
    lengths = np.tile([6, 12], 15)
    model = SequenceAutoencoder(**QUICK).fit(X)
    code = model.transform(X[:1]).repeat(30, 0)
    decoded = model.inverse_transform(code, lengths)
    np.testing.assert_allclose(decoded[0], decoded[1][-6:], atol=1e-6)
    assert not np.allclose(decoded[0], decoded[1][:6], atol=1e-3)


OPTIONS = {
    "future_steps": ({"future_steps": 2}, 3),
    "reconstruction": ({"future_steps": 2}, False),
    "sigma": ({"weight_decay": 1e-2}, 0.1),
    "network": ({}, LSTM(layers=2)),
    "batch_size": ({}, 16),
    "lr": ({}, 1e-3),
    "corruption": ({}, "masking"),
}


def test_every_option_is_here():
    own = {field.name for field in dataclasses.fields(SequenceAutoencoder) if field.init} - {
        field.name for field in dataclasses.fields(Autoencoder) if field.init
    }
    assert own <= set(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_changes_the_model(X, option):
    setting, value = OPTIONS[option]

    def codes(**params):
        return SequenceAutoencoder(**QUICK | params).fit(X).transform(X)

    assert not np.array_equal(codes(**setting), codes(**setting | {option: value}))


def test_parameters_of_the_network_by_name(X):
    model = SequenceAutoencoder(**QUICK).set_params(network__hidden=5)
    assert isinstance(model.network, LSTM)
    search = GridSearchCV(SequenceAutoencoder(**QUICK), {"network__layers": [1, 2]}, cv=2).fit(X)
    assert search.best_score_ == max(search.cv_results_["mean_test_score"])


def test_what_is_unusual_is_found(X):
    detector = OutlierDetector(
        SequenceAutoencoder(6, max_epochs=60, lr=0.03, batch_size=10), contamination=0.1, random_state=0
    )
    odd = X.copy()
    odd[:, 5] += np.random.default_rng(0).choice([-1, 1], size=(30, 1))
    detector.fit(list(X))
    assert (detector.predict(list(X)) == -1).mean() == pytest.approx(0.1, abs=0.04)
    scores = np.concatenate([detector.score_samples(X), detector.score_samples(odd)])
    assert roc_auc_score(np.repeat([1, 0], 30), scores) > 0.95
    shares = detector.score_samples(odd, per_feature=True).sum(2)
    assert (shares.argmin(1) == 5).mean() > 0.8


def test_scores_on_the_time_axis():
    series = np.sin(np.arange(300) / 4)
    cut = windows(series, 30, stride=7)
    model = SequenceAutoencoder(**QUICK).fit(cut)
    told = on_time_axis(model.score_samples(cut, per_feature=True), 300, stride=7)
    assert told.shape == (300,)
    assert np.isfinite(told).all()


def test_forms_and_back():
    for given in (np.ones((3, 4, 2)), np.ones((3, 4)), [np.ones((2, 3)), np.ones((5, 3))], [[1.0, 2.0], [3.0]]):
        x, lengths = to_sequences(given)
        assert x.dtype == float
        assert (~np.isnan(x[:, :, 0])).sum() == lengths.sum()
        for one, other in zip(as_given(given, x), given, strict=True):
            np.testing.assert_array_equal(one, other)
    assert to_sequences(np.ones((3, 4), np.float32)).x.dtype == np.float32
    assert to_sequences(np.ones((3, 4), int)).x.dtype == float
    objects = np.empty(2, dtype=object)
    objects[:] = [np.ones(2), np.ones(3)]
    assert to_sequences(objects).x.shape == (2, 3, 1)


BAD = {
    "no sequence": (lambda X: [], "X holds no sequence"),
    "one sequence": (lambda X: X[:1], "Found array with 1 sample"),
    "no step": (lambda X: [*X, np.zeros((0, 2))], "shape (0, 2) in sequence 30"),
    "a series": (lambda X: X[:, 0, 0], "give sequences as (n, steps, features)"),
    "images": (lambda X: X[:, :, :, None], "give sequences as (n, steps, features)"),
    "unequal features": (lambda X: [*X, np.zeros((4, 3))], "3 features a step in sequence 30, and 2 in the first"),
    "too short": (lambda X: [*X, np.zeros((3, 2))], "3 steps in sequence 30, of which future_steps=3"),
    "text": (lambda X: [*X, np.array([["a", "b"]])], "something else than numbers in sequence 30"),
    "infinity": (lambda X: [*X, np.full((9, 2), np.inf)], "infinity in sequence 30, step 0, feature 0"),
    "a feature that is missing": (lambda X: X * [1, np.nan], "nothing but NaN in feature 1"),
    "a number": (lambda X: 3, "give an array, or a list of arrays"),
    "a depth": (lambda X: [np.zeros((4, 2, 2))] * 3, "shape (4, 2, 2) in sequence 0"),
}


@pytest.mark.parametrize(("bad", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input(X, bad, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        SequenceAutoencoder(**QUICK, future_steps=3).fit(bad(X))
    assert "\n" not in str(caught.value)


def test_bad_input_at_use(X):
    model = SequenceAutoencoder(**QUICK).fit(X)
    for bad, message in [
        (
            np.zeros((3, 13, 2)),
            "13 steps, and the longest at fit had 12: cut it, .* isthmus.data.windows",
        ),
        (np.zeros((3, 12, 3)), "X has 3 features, but SequenceAutoencoder is expecting 2 features"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.transform(bad)
    with pytest.raises(ValueError, match="mask has the shape"):
        model.impute(X, np.zeros((5, 5), bool))
    with pytest.raises(ValueError, match="give True where a value is missing"):
        model.impute(X, X)
    with pytest.raises(ValueError, match="needs X in"):
        SequenceAutoencoder(**QUICK, likelihood="bernoulli").fit(X + 1)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"future_steps": -1}, "future_steps == -1, must be >= 0"),
        ({"reconstruction": False}, "reconstruction=False leaves nothing to learn: give future_steps above 0"),
        ({"n_components": 0}, "n_components == 0"),
    ],
)
def test_a_parameter_without_a_meaning(X, params, message):
    with pytest.raises(ValueError, match=message):
        SequenceAutoencoder(**params).fit(X)


def test_a_constant_feature_does_no_harm(X):
    model = SequenceAutoencoder(**QUICK).fit(X * [1, 0] + 7)
    assert np.isfinite(model.score_samples(X * [1, 0] + 7)).all()


def test_spikes_of_the_gradient_are_cut(X, monkeypatch):
    def norm_of_the_last(largest):
        monkeypatch.setattr(SequenceAutoencoder, "default_grad_norm", staticmethod(lambda entries: largest))
        model = SequenceAutoencoder(**QUICK).fit(X)
        return torch.cat([weight.grad.flatten() for weight in model.module_.parameters()]).norm().item()

    assert norm_of_the_last(np.inf) > 0.5
    assert norm_of_the_last(0.5) == pytest.approx(0.5, rel=1e-3)
    monkeypatch.undo()
    assert SequenceAutoencoder.default_grad_norm(np.prod(SequenceAutoencoder(**QUICK).fit(X).row_shape_)) == 24


def test_as_many_epochs_as_it_takes():
    model = SequenceAutoencoder(batch_size=16)
    assert [model.default_epochs(rows, model.batch_size) for rows in (100, 1000, 100_000)] == [300, 64, 10]


def test_a_mask_of_one_sequence_is_of_steps_also_where_there_are_as_many_rows():
    X = np.random.default_rng(0).normal(size=(12, 12))
    model = SequenceAutoencoder(**QUICK).fit(X)
    mask = np.zeros(12, bool)
    mask[3] = True
    changed = model.impute(X, mask) != X
    np.testing.assert_array_equal(changed, np.broadcast_to(mask, X.shape))
    wide = np.random.default_rng(0).normal(size=(5, 12))
    with pytest.raises(ValueError, match=r"mask has the shape"):
        SequenceAutoencoder(**QUICK).fit(wide).impute(wide, np.zeros(5, bool))


def test_of_the_past_a_share_is_hidden_and_never_all():
    model = SequenceAutoencoder(
        network=Transformer(patch=4, width=8, depth=1, heads=2),
        corruption="masking",
        corruption_level=0.75,
        future_steps=8,
        **QUICK,
    ).fit(np.random.default_rng(0).normal(size=(40, 24)))
    x = torch.zeros(200, 24, 1)
    shown = model.module_.hiding(x, None, generator=torch.Generator().manual_seed(0))
    assert not shown[:, -8:].any()
    assert (shown[:, :16].sum((1, 2)) == 4).all(), "one of the four patches of the past"


def test_sequences_in_a_series_with_another_index():
    sequences = pd.Series([np.sin(np.arange(8 + i % 3)) for i in range(20)], index=range(100, 120))
    model = SequenceAutoencoder(future_steps=2, **QUICK).fit(sequences)
    assert model.predict_future(sequences).shape == (20, 2)
    with pytest.raises(ValueError, match="X is a generator: give an array, or a list"):
        SequenceAutoencoder(**QUICK).fit(x for x in sequences)


def test_what_cannot_be_done_with_sequences_is_said():
    lists = [np.ones(3 + i % 4) for i in range(12)]
    with pytest.raises(ValueError, match="takes a step from another sequence, which may have none"):
        SequenceAutoencoder(corruption="swap", **QUICK).fit(lists)
    own = Modules(torch.nn.Identity(), torch.nn.Identity())
    with pytest.raises(ValueError, match="Modules have one decoder, and future_steps needs a second"):
        SequenceAutoencoder(network=own, future_steps=2, **QUICK).fit(np.ones((9, 6)))
