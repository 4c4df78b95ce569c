"""Models that are trained as one are what each would be by itself, and the search is scikit-learn's."""

import threading
import time
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import isthmus
from isthmus import (
    Autoencoder,
    ConditionalVariationalAutoencoder,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    GridSearch,
    SparseAutoencoder,
    VariationalAutoencoder,
)
from isthmus.networks import MLP, Conv
from isthmus.training import batched_fits
from isthmus.training.batched_fits import fit_batched

CLOSE = {"rtol": 1e-6, "atol": 1e-6}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=(240, 4)) @ rng.normal(size=(4, 12)) + 0.3 * rng.normal(size=(240, 12))


@pytest.fixture
def groups(monkeypatch):
    """The runs that were trained as one, group by group."""
    found, train = [], batched_fits.train_batched

    def told(runs, stop):
        found.append(runs)
        train(runs, stop)

    monkeypatch.setattr(batched_fits, "train_batched", told)
    return found


def small(family, **parameters):
    return family(3, network=parameters.pop("network", MLP(hidden=(8,))), max_epochs=4, batch_size=32, **parameters)


def fitted(models, X, y=None):
    models = [clone(model) for model in models]
    fit_batched([partial(model.fit, X, y) for model in models])
    return models


def apart(models, X, y=None):
    return [clone(model).fit(X, y) for model in models]


def assert_same(one, other):
    assert one.best_epoch_ == other.best_epoch_
    np.testing.assert_array_equal(one.held_out_, other.held_out_)
    for name, weight in one.module_.state_dict().items():
        torch.testing.assert_close(other.module_.state_dict()[name], weight, equal_nan=True, **CLOSE)
    assert len(one.history_) == len(other.history_)
    for record, its in zip(one.history_, other.history_, strict=True):
        assert list(record) == list(its)
        for part in ("train", "validation"):
            assert list(record.get(part, {})) == list(its.get(part, {}))
            np.testing.assert_allclose([*record.get(part, {}).values()], [*its.get(part, {}).values()], **CLOSE)
    assert (one.start_ is None) == (other.start_ is None)


FAMILIES = {
    "plain": [small(Autoencoder, lr=lr, weight_decay=w) for lr, w in ((1e-3, 1e-3), (4e-3, 1e-2), (1e-3, 0.1))],
    "textbook": [small(Autoencoder, network=MLP(hidden=(8,), activation="relu", linear_path=None))] * 2,
    "tied": [small(Autoencoder, network=MLP(hidden=(8,), tied=True), lr=lr) for lr in (1e-3, 2e-3)],
    "no validation": [small(Autoencoder, validation_fraction=None, lr_schedule="constant")] * 2,
    "noise": [small(DenoisingAutoencoder, corruption_level=level) for level in (0.1, 0.3)],
    "swap": [small(DenoisingAutoencoder, corruption="swap", corruption_level=level) for level in (0.1, 0.3)],
    "masking": [small(Autoencoder, corruption="masking", corruption_level=level) for level in (0.1, 0.3)],
    "kl": [small(SparseAutoencoder, sparsity="kl", sparsity_weight=weight) for weight in (0.1, 1.0)],
    "l1": [small(SparseAutoencoder, sparsity="l1", sparsity_weight=0.1, lr=lr) for lr in (1e-3, 2e-3)],
    "variational": [small(VariationalAutoencoder, beta=beta) for beta in (0.5, 2.0)],
    "fixed sigma": [small(VariationalAutoencoder, sigma=0.5, lr=lr) for lr in (1e-3, 2e-3)],
    "monitor": [small(VariationalAutoencoder, monitor="mse", lr=lr) for lr in (1e-3, 2e-3)],
    "closed-form contraction": [
        small(ContractiveAutoencoder, network=MLP(hidden=(), code_activation="sigmoid"), contraction_weight=weight)
        for weight in (0.1, 1.0)
    ],
}


@pytest.mark.filterwarnings("ignore:the model is still its start", "ignore:.*units of the code")
@pytest.mark.parametrize("name", FAMILIES)
def test_models_trained_as_one_equal_those_trained_by_themselves(name, rows, groups):
    models = [clone(model).set_params(random_state=i) for i, model in enumerate(FAMILIES[name])]
    found = fitted(models, rows)
    assert [len(group) for group in groups] == [len(models)]
    assert not any(run.failed for run in groups[0])
    for one, other in zip(apart(models, rows), found, strict=True):
        assert_same(one, other)
        np.testing.assert_allclose(one.score(rows), other.score(rows), **CLOSE)


@pytest.mark.filterwarnings("ignore:the model is still its start")
def test_gaps_and_conditions(rows, groups):
    X, y = np.where(np.random.default_rng(1).random(rows.shape) < 0.1, np.nan, rows), np.arange(len(rows)) % 3
    for models, conditions in (
        ([small(Autoencoder, random_state=i) for i in range(2)], None),
        ([small(ConditionalVariationalAutoencoder, random_state=i) for i in range(2)], y),
    ):
        for one, other in zip(apart(models, X, conditions), fitted(models, X, conditions), strict=True):
            assert_same(one, other)
    assert [len(group) for group in groups] == [2, 2]


@pytest.mark.filterwarnings("ignore:the model is still its start")
def test_those_that_stop_early_leave_the_others_alone(rows, groups):
    models = [
        small(Autoencoder, early_stopping=True, patience=1, lr=lr, lr_schedule="constant", random_state=i)
        for i, lr in enumerate((1e-3, 1e-2, 1e-1))
    ]
    models = [model.set_params(max_epochs=25) for model in models]
    found = fitted(models, rows)
    assert len({len(model.history_) for model in found}) > 1
    for one, other in zip(apart(models, rows), found, strict=True):
        assert_same(one, other)
    assert len(groups[0]) == 3


def test_a_run_that_spikes_is_trained_by_itself_and_goes_back_as_it_would(rows, groups):
    models = [small(Autoencoder, lr=lr, lr_schedule="constant", random_state=0) for lr in (1e-3, 30.0, 2e-3)]
    with pytest.warns(UserWarning, match="half the learning rate"):
        found = fitted(models, rows)
    assert [run.failed for run in groups[0]].count(True) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        by_themselves = apart(models, rows)
    for one, other in zip(by_themselves, found, strict=True):
        assert_same(one, other)
    for name, weight in by_themselves[1].module_.state_dict().items():
        assert torch.equal(weight, found[1].module_.state_dict()[name]), "to the bit"


def test_what_cannot_be_stacked_is_trained_by_itself(rows, groups):
    told = []
    models = [
        small(Autoencoder, network=MLP(hidden=(8,), dropout=0.1)),
        small(Autoencoder, network=MLP(hidden=(8,), normalization="batch")),
        small(Autoencoder, callbacks=[lambda record: told.append(record)]),
        small(SparseAutoencoder, sparsity="topk", k=1),
        small(Autoencoder, optimizer=torch.optim.SGD, lr=1e-3),
        small(Autoencoder, max_grad_norm=1.0),
    ]
    models = [model.set_params(random_state=0, on_nonfinite="raise") for model in models for _ in range(2)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, by_themselves = fitted(models, rows), apart(models, rows)
    assert not groups
    assert told
    for one, other in zip(by_themselves, found, strict=True):
        for name, weight in one.module_.state_dict().items():
            torch.testing.assert_close(other.module_.state_dict()[name], weight, equal_nan=True, rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:the model is still its start")
def test_groups_are_made_of_one_shape_and_one_number_of_rows(rows, groups):
    models = [small(Autoencoder, random_state=i) for i in range(2)]
    models += [small(Autoencoder, network=MLP(hidden=(6,)), random_state=i) for i in range(3)]
    fits = [partial(clone(model).fit, rows) for model in models] + [partial(clone(models[0]).fit, rows[:-1])]
    fit_batched(fits)
    assert [len(group) for group in groups] == [2, 3]


def test_an_error_is_raised_once_all_have_ended():
    ended = []

    def fails():
        raise ValueError("of the first")

    def goes_on():
        ended.append(threading.current_thread())

    with pytest.raises(ValueError, match="of the first"):
        fit_batched([fails, goes_on])
    assert len(ended) == 1


@pytest.mark.parametrize("launcher", [{"RANK": "1", "WORLD_SIZE": "2"}, {"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}])
def test_one_of_several_processes_fits_in_the_order_given(launcher, monkeypatch):
    for name, value in (launcher | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}).items():
        monkeypatch.setenv(name, value)
    said = []

    def fit(i):
        said.append(i)
        time.sleep(0.02 - 0.004 * i)  # the later the shorter: beside one another they would end the other way round
        said.append(i)

    fit_batched([partial(fit, i) for i in range(5)], workers=5)
    assert said == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_together_gives_results_in_order_and_takes_what_fits_nothing():
    assert fit_batched([partial(int, i) for i in range(5)], workers=2, at_once=2) == [0, 1, 2, 3, 4]
    assert fit_batched([]) == []


@pytest.mark.filterwarnings("ignore:the model is still its start")
def test_a_mistake_of_one_leaves_the_others_as_they_would_be(rows):
    models = [small(Autoencoder, monitor="los", random_state=0) for _ in range(2)]
    with pytest.raises(ValueError, match="did you mean 'loss'"):
        fitted(models, rows)


def assert_same_search(search, other, scores=("score",)):
    assert list(search.cv_results_) == list(other.cv_results_)
    assert search.cv_results_["params"] == other.cv_results_["params"]
    for name in search.cv_results_:
        if any(name.endswith((f"test_{score}", f"train_{score}")) for score in scores):
            np.testing.assert_allclose(search.cv_results_[name], other.cv_results_[name], rtol=1e-5, atol=1e-5)
    for name in ("n_splits_", "multimetric_"):
        assert getattr(search, name) == getattr(other, name)
    for name in ("best_index_", "best_params_", "best_score_"):
        assert hasattr(search, name) == hasattr(other, name)
        if hasattr(other, name) and name != "best_score_":
            assert getattr(search, name) == getattr(other, name)


def searches(estimator, grid, **options):
    return [kind(estimator, grid, cv=3, **options) for kind in (GridSearch, GridSearchCV)]


def negative_error(model, X, y=None):
    return -float(np.square(model.reconstruct(X) - X).mean())


@pytest.mark.filterwarnings("ignore:the model is still its start")
@pytest.mark.parametrize(
    "options",
    [
        {"return_train_score": True},
        {"scoring": negative_error, "refit": False},
        {"scoring": {"error": negative_error, "score": lambda m, X, y=None: m.score(X)}, "refit": "error"},
        {"scoring": lambda m, X, y=None: {"a": m.score(X), "b": 1.0}, "refit": lambda results: 1},
    ],
    ids=["own score", "callable", "two scores", "callable of two"],
)
def test_the_search_is_that_of_scikit_learn(options, rows, groups):
    grid = [{"lr": [1e-3, 4e-3], "weight_decay": [0.0, 1e-3]}, {"n_components": [2, 3], "lr": [2e-3]}]
    search, other = (each.fit(rows) for each in searches(small(Autoencoder, random_state=0), grid, **options))
    names = ("score", "error", "a", "b")
    assert_same_search(search, other, names)
    assert sum(map(len, groups)) == 18
    if options.get("refit", True):
        np.testing.assert_allclose(search.best_estimator_.transform(rows), other.best_estimator_.transform(rows))
        np.testing.assert_allclose(search.transform(rows), other.transform(rows))


@pytest.mark.filterwarnings("ignore:the model is still its start")
def test_a_pipeline_is_searched_and_its_autoencoders_trained_as_one(rows, groups):
    pipeline = make_pipeline(StandardScaler(), small(Autoencoder, random_state=0))
    grid = {"autoencoder__lr": [1e-3, 4e-3], "standardscaler__with_mean": [True, False]}
    search, other = (each.fit(rows) for each in searches(pipeline, grid))
    assert_same_search(search, other)
    assert [len(group) for group in groups] == [12]


@pytest.mark.filterwarnings("ignore:the model is still its start")
@pytest.mark.parametrize("inside", [False, True], ids=["step", "step of a step"])
def test_autoencoders_that_the_grid_alone_names_are_trained_as_one(inside, rows, groups):
    pipeline = Pipeline([("scale", StandardScaler()), ("code", "passthrough")])
    candidates = [small(Autoencoder, random_state=0, lr=lr) for lr in (1e-3, 4e-3)]
    grid = {"code": [Pipeline([("ae", each)]) for each in candidates] if inside else candidates}
    scoring = {"scoring": lambda model, X, y=None: float(model.transform(X).std())}
    search, other = (each.fit(rows) for each in searches(pipeline, grid, **scoring))
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], other.cv_results_["mean_test_score"], rtol=1e-4)
    assert [len(group) for group in groups] == [6]


@pytest.mark.parametrize("estimator", [None, Autoencoder, object()], ids=["none", "class", "object"])
@pytest.mark.parametrize("grid", [{"lr": [1e-3]}, {"lr": 1e-3}, [{"lr": "a"}], 3], ids=str)
def test_what_is_no_estimator_or_grid_is_refused_as_scikit_learn_does(estimator, grid, rows):
    said = []
    for each in (GridSearchCV, GridSearch):
        with pytest.raises((TypeError, ValueError)) as error:
            each(estimator, grid).fit(rows)
        said.append((error.type, str(error.value).replace("GridSearchCV", "GridSearch")))
    assert said[0] == said[1]


@pytest.mark.filterwarnings("ignore:the model is still its start", "ignore:.*fits failed", "ignore:Scoring failed")
def test_a_candidate_that_fails_gets_the_error_score(rows):
    grid = {"lr": [1e-3, -1.0, 4e-3]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search, other = (each.fit(rows) for each in searches(small(Autoencoder, random_state=0), grid))
    assert_same_search(search, other)
    assert np.isnan(search.cv_results_["mean_test_score"][1])
    with pytest.raises(ValueError, match="lr"):
        GridSearch(small(Autoencoder), grid, cv=3, error_score="raise").fit(rows)


def test_other_estimators_are_searched_as_scikit_learn_does(rows, groups):
    search, other = (each.fit(rows) for each in searches(PCA(), {"n_components": [1, 2, 3]}))
    assert_same_search(search, other)
    assert not groups


@pytest.mark.filterwarnings(
    "ignore:the model is still its start", "ignore:.*units of the code", "error:There is a perf"
)
def test_tables_with_classes_are_searched_without_a_warning_of_torch(groups):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=90), "b": rng.normal(size=90), "c": rng.choice([*"uvw"], 90)})
    search, other = (
        each.fit(X) for each in searches(small(isthmus.TabularAutoencoder, random_state=0), {"lr": [1e-3, 4e-3]})
    )
    assert_same_search(search, other)
    assert [len(group) for group in groups] == [6]


@pytest.mark.filterwarnings("ignore:the model is still its start")
def test_networks_that_are_not_stacked_are_searched_all_the_same(groups):
    X = np.random.default_rng(0).normal(size=(60, 1, 8, 8)).astype(np.float32)
    model = Autoencoder(2, network=Conv(channels=(2,)), max_epochs=1, random_state=0)
    search, other = (each.fit(X) for each in searches(model, {"lr": [1e-3, 2e-3]}))
    search_on_two = GridSearch(model, {"lr": [1e-3, 2e-3]}, cv=3, n_jobs=2).fit(X)
    assert_same_search(search, other)
    assert_same_search(search_on_two, other)
    assert not groups


def test_a_search_is_an_estimator(rows):
    search = GridSearch(small(Autoencoder), {"lr": [1e-3]}, cv=3, refit=False, n_jobs=2)
    copied = clone(search)
    assert copied.get_params()["estimator__max_epochs"] == 4
    assert copied.set_params(estimator__max_epochs=7).estimator.max_epochs == 7
    assert repr(copied).startswith("GridSearch(")
    assert isthmus.GridSearch is GridSearch


def test_compare_trains_seeds_as_one(rows, groups):
    models = {"plain": small(Autoencoder), "contractive": small(Autoencoder, weight_decay=0.1)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = isthmus.compare(rows, models=models, seeds=2)
    assert [len(group) for group in groups][:2] == [2, 2]
    assert found.table.loc["plain", "seconds"] > 0


def test_a_stop_leaves_at_the_next_step(rows):
    model = small(Autoencoder, random_state=0)
    seen = []

    def stop():
        seen.append(1)
        return len(seen) > 2

    def fit():
        run_of = batched_fits._train
        batched_fits._train = lambda runs, _: run_of(runs, stop)
        try:
            fit_batched([partial(clone(model).fit, rows) for _ in range(2)])
        finally:
            batched_fits._train = run_of

    with pytest.raises(KeyboardInterrupt):
        fit()
    assert len(seen) == 3
