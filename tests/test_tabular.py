"""TabularAutoencoder: mixed tables in and out, what it learns of them, and what it refuses."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import isthmus
from conftest import score_of
from isthmus import Autoencoder, OutlierDetector, TabularAutoencoder
from isthmus.core.batch import Batch
from isthmus.core.score import inferred
from isthmus.errors import NewCategoryWarning
from isthmus.networks import MLP, Modules, Transformer
from isthmus.networks.cells import Cells


@pytest.fixture(scope="session")
def people():
    """A table of every kind, in which one hidden number says nearly all."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=400)
    frame = pd.DataFrame(
        {
            "region": np.where(z > 0.5, "north", np.where(z > -0.5, "centre", "south")),
            "income": 1e6 * np.exp(z + 0.1 * rng.normal(size=400)),
            "owner": z + 0.3 * rng.normal(size=400) > 0.4,
            "children": np.rint(3 + z).clip(0).astype("int64"),
            "class": pd.Categorical(np.where(z > 0, "high", "low"), ["low", "middle", "high"], ordered=True),
            "planet": "earth",
            "height": pd.array(170 + 10 * z, dtype="Float32"),
        },
        index=np.arange(400) + 1000,
    )
    frame.loc[rng.random(400) < 0.1, "height"] = pd.NA
    frame.loc[rng.random(400) < 0.1, "region"] = None
    return frame


def quick(**params):
    setting = {"n_components": 3, "max_epochs": 3, "random_state": 0, "validation_fraction": None}
    return TabularAutoencoder(**setting | {"network": MLP(hidden=(32, 16))} | params)


@pytest.fixture(scope="session")
def model(people):
    return quick(max_epochs=30).fit(people)


VARIANTS = {
    "by default": {},
    "embedded": {"categories": "embedding"},
    "rank-gauss": {"numbers": "rankgauss"},
    "numbers alone": {"bins": 0},
    "masking": {"corruption": "masking"},
    "no noise": {"corruption": None},
    "learnt sigma": {"sigma": "learned"},
    "sparse": {"sparsity": "topk", "k": 2},
    "tied": {"network": MLP(hidden=(16,), tied=True), "bins": 0},
    "plain network": {"network": MLP(hidden=(16,), linear_path=None)},
}


@pytest.fixture(params=VARIANTS, scope="session")
def fitted(request, people):
    return quick(**VARIANTS[request.param]).fit(people)


class TestAnyVariant:
    def test_tables_come_back_as_they_were(self, fitted, people):
        codes = fitted.transform(people)
        assert codes.shape == (400, 3)
        for again in (fitted.reconstruct(people), fitted.inverse_transform(pd.DataFrame(codes, people.index))):
            assert (again.dtypes == people.dtypes).all()
            assert again.index.equals(people.index)
            assert not again.isna().to_numpy().any()
        pd.testing.assert_frame_equal(
            fitted.reconstruct(people).reset_index(drop=True), fitted.inverse_transform(codes)
        )

    def test_known_cells_are_left_alone(self, fitted, people):
        whole = fitted.impute(people)
        known = people.notna().to_numpy()
        assert (whole.dtypes == people.dtypes).all()
        assert whole.notna().to_numpy().all()
        assert ((whole == people).to_numpy()[known]).all()
        pd.testing.assert_frame_equal(fitted.impute(whole), whole)

    def test_saved_and_pickled_to_the_bit(self, fitted, people, tmp_path):
        fitted.save(tmp_path / "model")
        for again in (isthmus.load(tmp_path / "model"), pickle.loads(pickle.dumps(fitted))):
            assert again.schema_ == fitted.schema_
            for method in ("transform", "score_samples"):
                np.testing.assert_array_equal(getattr(again, method)(people), getattr(fitted, method)(people))
            for method in ("reconstruct", "impute"):
                expected = getattr(fitted, method)(people)
                pd.testing.assert_frame_equal(getattr(again, method)(people), expected, check_exact=True)

    def test_rows_do_not_depend_on_one_another(self, fitted, people):
        np.testing.assert_allclose(fitted.transform(people[:7]), fitted.transform(people)[:7], atol=1e-9)
        pd.testing.assert_frame_equal(fitted.impute(people[:7]), fitted.impute(people)[:7])

    def test_scores_by_column_sum_to_those_of_rows(self, fitted, people):
        scores = fitted.score_samples(people, per_feature=True)
        assert list(scores.columns) == list(people.columns)
        assert scores.index.equals(people.index)
        np.testing.assert_array_equal(scores.isna(), people.isna())
        np.testing.assert_allclose(score_of(fitted, scores), fitted.score_samples(people))

    def test_equal_seeds_give_equal_weights(self, fitted, people):
        again = clone(fitted).fit(people)
        for name, tensor in fitted.module_.state_dict().items():
            assert torch.equal(tensor, again.module_.state_dict()[name]), name
        other = clone(fitted).set_params(random_state=1).fit(people)
        assert not np.array_equal(other.transform(people), fitted.transform(people))

    def test_it_goes_on_learning(self, fitted, people):
        again = pickle.loads(pickle.dumps(fitted)).partial_fit(people)
        assert again.n_iter_ == 4


def test_the_terms_are_what_is_scored(model, people):
    """Closed form: a standard normal around the mean, cross-entropy of truth values and of categories."""
    cells = torch.tensor(model.schema_.to_cells(people))
    filled = model.module_.filled(Batch(cells))
    with torch.no_grad():
        parameters = model.module_.decoder(model.module_.encode(inferred(model.module_, filled)).mean).numpy()
    x, known = filled.x.numpy(), filled.observed.numpy()
    numbers = -0.5 * (x[:, :3] - parameters[:, :3]) ** 2 - 0.5 * np.log(2 * np.pi)
    on = 1 / (1 + np.exp(-parameters[:, 3]))
    truth = np.log(np.where(x[:, 3] == 1, on, 1 - on))
    scores, start = [numbers, truth[:, None]], 4
    for column, size in zip(range(4, 7), model.schema_.sizes, strict=True):
        logits = parameters[:, start : start + size]
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        index = x[:, column].astype(int)
        scores.append(np.where(index < 0, 0, log_p[np.arange(400), index])[:, None])
        start += size
    assert start == parameters.shape[1]
    expected = model.schema_.by_column(np.where(known, np.hstack(scores) - model.module_.usual.numpy(), np.nan))
    np.testing.assert_allclose(model.score_samples(people, per_feature=True), expected, atol=1e-9)
    terms = model.module_(inferred(model.module_, filled)).terms
    assert set(terms) == {"reconstruction_numbers", "reconstruction_booleans", "reconstruction_categories"}
    np.testing.assert_allclose(terms["reconstruction_booleans"].detach(), -truth, atol=1e-9)
    assert set(model.history_[-1]["train"]) == {*terms, "loss", "mse"}


def test_it_learns_what_goes_with_what(model, people):
    """Each column is filled in from the others, better than by the median and the mode."""
    whole = model.impute(people)
    for name in ("income", "children", "height"):
        gap = np.zeros(people.shape, bool)
        gap[:, people.columns.get_loc(name)] = True
        error = (model.impute(whole, gap)[name].astype(float) - whole[name].astype(float)).abs().mean()
        spread = (whole[name].astype(float) - whole[name].astype(float).median()).abs().mean()
        assert error < 0.6 * spread, name
    for name in ("region", "owner", "class"):
        gap = np.zeros(people.shape[1], bool)
        gap[people.columns.get_loc(name)] = True
        right = (model.impute(whole, gap)[name] == whole[name]).mean()
        assert right > whole[name].value_counts(normalize=True).max() + 0.15, name


def test_no_block_drowns_another():
    """A number in any unit, a truth value, and a category of forty: each is learnt from its twin."""
    rng = np.random.default_rng(0)
    number, truth, many = rng.normal(size=2000), rng.random(2000) < 0.5, rng.integers(40, size=2000)
    frame = pd.DataFrame(
        {"a": number, "b": number, "c": truth, "d": truth, "e": many.astype(str), "f": many.astype(str)}
    )
    for scale in (1.0, 1e6):
        scaled = frame.assign(a=scale * frame["a"])
        model = TabularAutoencoder(
            48, network=MLP(hidden=(64,)), max_epochs=10, numbers="standard", random_state=0
        ).fit(scaled)
        hidden = np.array([False, True] * 3)
        filled = model.impute(scaled, hidden)
        assert np.square(filled["b"] - number).mean() < 0.1
        assert (filled["d"] == truth).mean() > 0.98
        assert (filled["f"] == frame["f"]).mean() > 0.98
        scores = model.score_samples(scaled)
        if scale == 1:
            expected = scores
    np.testing.assert_allclose(scores, expected, atol=1e-3)


def test_layers_are_what_the_modules_give(model, people):
    """The activations, gathered by hand from the modules one by one."""
    network, batch = model.module_, model.module_.filled(Batch(torch.tensor(model.schema_.to_cells(people))))
    taken = []
    with torch.no_grad():
        x = (network.inputs(batch.x) - network.encoder.centre) / network.encoder.scale
        for part in (network.encoder, network.decoder):
            hidden = x / (1 + x.abs() / 8)
            for layer in part.path.deep:
                hidden = layer(hidden)
                if isinstance(layer, torch.nn.SiLU):
                    taken.append(hidden)
            x = part.path.linear(x) + hidden
            taken.append(x)
    expected = torch.cat(taken[:-1], dim=1).numpy()
    layers = model.transform(people, layers="all")
    assert layers.shape == (400, 32 + 16 + 3 + 16 + 32)
    np.testing.assert_allclose(layers, expected, atol=1e-9)
    np.testing.assert_array_equal(layers[:, 48:51], model.transform(people))
    assert len(model.get_feature_names_out()) == 3


def test_a_network_without_hidden_layers_has_the_code_alone(people):
    model = quick(network=MLP(hidden=())).fit(people)
    np.testing.assert_array_equal(model.transform(people, layers="all"), model.transform(people))


def test_layers_of_ones_own_modules(people):
    parameters = 3 + 1 + 3 + 2 + 1
    network = Modules(torch.nn.Linear(3 * 24 + parameters, 3), torch.nn.Linear(3, parameters))
    model = quick(network=network).fit(people)
    with pytest.raises(ValueError, match="layers='all' is for a network whose layers are known: take MLP"):
        model.transform(people, layers="all")


def test_a_category_that_is_new_is_missing(model, people):
    new, missing = people[:20].copy(), people[:20].copy()
    new["region"], missing["region"] = "atlantis", None
    with pytest.warns(NewCategoryWarning, match="column 'region' holds 'atlantis' in 20 rows, which was not"):
        np.testing.assert_array_equal(model.transform(new), model.transform(missing))
    with pytest.warns(NewCategoryWarning, match="atlantis"):
        assert set(model.impute(new)["region"]) == {"atlantis"}, "what is known is left alone"
    assert set(model.impute(missing)["region"]) <= {"north", "centre", "south"}


def test_arrays_come_back_as_arrays(table):
    for dtype in (np.float32, np.float64):
        X = table.astype(dtype)
        model = quick(max_epochs=20).fit(X)
        for rows in (model.reconstruct(X), model.inverse_transform(model.transform(X))):
            assert isinstance(rows, np.ndarray)
            assert rows.dtype == dtype
            assert rows.shape == X.shape
        gaps = np.random.default_rng(0).random(X.shape) < 0.2
        filled = model.impute(X, gaps)
        np.testing.assert_array_equal(filled[~gaps], X[~gaps])
        np.testing.assert_array_equal(model.impute(np.where(gaps, dtype(np.nan), X)), filled)
        mean = np.broadcast_to(X.mean(0), X.shape)
        assert np.square(filled - X)[gaps].mean() < 0.7 * np.square(mean - X)[gaps].mean()
        assert model.score_samples(X, per_feature=True).shape == X.shape
        assert model.interpolate(X[:2], X[2:4], 5).shape == (2, 5, 6)


def test_a_frame_of_numbers_is_the_array(table):
    frame = pd.DataFrame(table).rename(columns=str)
    model = quick().fit(frame)
    np.testing.assert_array_equal(model.transform(frame), quick().fit(table).transform(table))
    assert (model.reconstruct(frame).dtypes == np.float32).all()


def test_whole_numbers_that_became_floats_by_their_gaps(model, people):
    X = people[:50].astype({"children": float})
    X.iloc[::2, people.columns.get_loc("children")] = np.nan
    whole = model.impute(X)
    assert whole["children"].dtype == "int64"
    assert (whole["children"][1::2] == people["children"][1:50:2]).all()
    X.iloc[1, people.columns.get_loc("children")] = 2.5
    assert model.impute(X)["children"].iloc[1] == 2.5, "what does not fit into the dtype is kept all the same"


def test_indices_and_levels_of_ones_own(model, people):
    X = people[:40].copy()
    X.index = [0] * 40
    X["class"] = X["class"].astype(object).astype(pd.CategoricalDtype(["high", "low"]))
    whole = model.impute(X)
    assert whole.index.equals(X.index)
    assert whole["class"].dtype == people["class"].dtype
    assert whole["class"].tolist() == X["class"].tolist()
    assert model.score_samples(X, per_feature=True).index.equals(X.index)


def test_a_mask_with_names_goes_by_them(model, people):
    X = people[:30]
    mask = pd.DataFrame(np.random.default_rng(0).random(X.shape) < 0.2, X.index, X.columns)
    filled = model.impute(X, mask.to_numpy())
    pd.testing.assert_frame_equal(model.impute(X, mask[mask.columns[::-1]]), filled)
    with pytest.raises(ValueError, match=r"mask has the columns \['income'\]: give those of X") as error:
        model.impute(X, mask[["income"]])
    assert "\n" not in str(error.value)


def test_a_transformer_takes_tables_with_gaps(people):
    """It is told what is known of an entry elsewhere; here an entry is several numbers, and a gap is among them."""
    assert people.isna().any(axis=None)
    model = quick(network=Transformer(patch=4, width=16, depth=1, heads=2), max_epochs=1).fit(people)
    assert model.transform(people).shape == (400, 3)
    assert model.impute(people).notna().all(axis=None)


def test_a_warm_start_in_another_scale(people):
    model = quick(warm_start=True, max_epochs=1).fit(people)
    model.set_params(numbers="rankgauss")
    with pytest.raises(ValueError, match="numbers='rankgauss' was 'auto' at the last fit: set warm_start=False"):
        model.fit(people)
    assert model.set_params(warm_start=False).fit(people).schema_.numbers == "rankgauss"


def test_steps_between_rows(model, people):
    path = model.interpolate(people[:3], people[3:6], 4)
    assert path.index.names == ["row", "step"]
    np.testing.assert_allclose(path.xs(0, level="step")["income"], model.reconstruct(people[:3])["income"], rtol=1e-6)
    assert (path.xs(3, level="step")["region"].to_numpy() == model.reconstruct(people[3:6])["region"].to_numpy()).all()
    assert model.traverse(people[:2], unit=1, values=[0, 1]).shape == (4, 7)


def test_sigma(people):
    learnt = quick(sigma="learned", max_epochs=20).fit(people)
    assert learnt.sigma_ < 0.9
    assert quick(sigma=0.5).fit(people).sigma_ == 0.5
    words = quick().fit(people[["region", "class"]])
    with pytest.raises(AttributeError, match="without numbers has no sigma_"):
        _ = words.sigma_


def test_tables_of_one_kind(people):
    for names in (["region", "class"], ["owner"], ["income", "height"], ["planet"]):
        frame = people[names]
        model = quick().fit(frame)
        assert list(model.reconstruct(frame).columns) == names
        assert np.isfinite(model.score_samples(frame)).all()
        if names == ["planet"]:
            assert (model.reconstruct(frame) == frame).to_numpy().all()


def test_masking_hides_cells_as_if_missing(people):
    module = quick(corruption="masking", corruption_level=0.3).fit(people).module_
    batch = module.filled(Batch(torch.tensor(quick().fit(people).schema_.to_cells(people))))
    shown = module.corrupt(batch, torch.Generator().manual_seed(0))
    hidden = ~shown.observed & batch.observed
    assert hidden.double().mean() == pytest.approx(0.3, abs=0.05)
    assert torch.equal(shown.x, torch.where(shown.observed, batch.x, module.fill))
    assert (module.fill[-3:] == -1).all()


def test_swapping_keeps_columns_what_they_are(people):
    model = quick(corruption_level=0.5).fit(people)
    batch = model.module_.filled(Batch(torch.tensor(model.schema_.to_cells(people))))
    shown = model.module_.corrupt(batch, torch.Generator().manual_seed(0))
    assert (shown.x != batch.x).any(0)[:-1].all(), "all columns but the constant one"
    for column in range(7):
        assert set(shown.x[:, column].tolist()) <= set(batch.x[:, column].tolist())


class TestCells:
    def test_one_hot_is_that_of_scikit_learn(self):
        rng = np.random.default_rng(0)
        categories = np.column_stack([rng.integers(k, size=50) for k in (3, 1, 7)])
        numbers = rng.normal(size=(50, 2))
        expected = OneHotEncoder(categories=[range(3), range(1), range(7)], sparse_output=False)
        given = Cells(2, 0, (3, 1, 7))(torch.tensor(np.hstack([numbers, categories])))
        np.testing.assert_array_equal(given, np.hstack([numbers, expected.fit_transform(categories)]))

    def test_pieces_are_a_linear_interpolation(self):
        """Their sum climbs evenly from −3 to 3 and stays at its ends; each is a hinge of its own."""
        x = torch.linspace(-5, 5, 101, dtype=torch.float64)[:, None]
        out = Cells(1, 0, (), bins=12)(x)
        np.testing.assert_allclose(out[:, 1:].sum(1), np.interp(x[:, 0], [-3, 3], [0, 12]), atol=1e-12)
        np.testing.assert_allclose(out[:, 4], np.interp(x[:, 0], [-1.5, -1], [0, 1]), atol=1e-12)

    def test_what_is_unknown_is_zero_in_either_form(self):
        for categories in ("onehot", "embedding"):
            cells = Cells(0, 1, (4, 2), categories=categories)
            out = cells(torch.tensor([[5.0, -1, -1]]))
            assert out.shape == (1, cells.width)
            assert out[0, 0] == 5
            assert (out[0, 1:] == 0).all()

    def test_embeddings_are_learnt(self, people):
        model = quick(categories="embedding").fit(people)
        widths = [embedding.embedding_dim for embedding in model.module_.inputs.embeddings]
        assert widths == [(size + 1) // 2 for size in model.schema_.sizes]
        vectors = [e.weight.detach() for e in model.module_.inputs.embeddings]
        more = quick(categories="embedding", max_epochs=20).fit(people).module_.inputs.embeddings
        assert not torch.equal(vectors[0], more[0].weight.detach())
        assert (vectors[0][0] == 0).all()


class TestUse:
    def test_outliers_and_what_is_unusual_in_them(self, people):
        odd = people[-20:].copy()
        odd["class"] = np.where(odd["income"] > odd["income"].median(), "low", "high")
        odd["class"] = odd["class"].astype(people["class"].dtype)
        usual = people[:-20]
        detector = OutlierDetector(quick(max_epochs=30), contamination=0.05).fit(usual)
        assert (detector.predict(usual) == -1).mean() == pytest.approx(0.05, abs=0.01)
        assert detector.score_samples(odd).mean() < detector.score_samples(people[-20:]).mean() - 0.5
        by_column = detector.autoencoder_.score_samples(odd, per_feature=True)
        usual_by_column = detector.autoencoder_.score_samples(people[-20:], per_feature=True)
        assert (usual_by_column - by_column).mean().idxmax() == "class"

    def test_a_detector_is_saved_whole(self, people, tmp_path):
        detector = OutlierDetector(quick()).fit(people)
        detector.save(tmp_path / "detector")
        again = isthmus.load(tmp_path / "detector")
        np.testing.assert_array_equal(again.decision_function(people), detector.decision_function(people))

    def test_the_schema_is_in_the_config(self, model, tmp_path):
        model.save(tmp_path / "model")
        schema = json.loads((tmp_path / "model/config.json").read_text())["model"]["fitted"]["schema_"]
        assert [column["name"] for column in schema["columns"]][:2] == ["region", "income"]
        assert schema["columns"][0]["categories"] == ["centre", "north", "south"]

    def test_grid_search_over_the_network(self, people):
        grid = {"network__hidden": [(), (8,)], "categories": ["onehot", "embedding"]}
        search = GridSearchCV(quick(validation_fraction=None), grid, cv=2, error_score="raise").fit(people)
        assert len(set(search.cv_results_["mean_test_score"])) == 4

    def test_pipeline_and_neighbours(self, people):
        pipeline = make_pipeline(quick(max_epochs=20), LogisticRegression())
        X = people.drop(columns="owner")
        assert pipeline.fit(X[:300], people["owner"][:300]).score(X[300:], people["owner"][300:]) > 0.8
        codes = pipeline[0].transform(X)
        assert NearestNeighbors(n_neighbors=2).fit(codes).kneighbors(codes[:3])[1][:, 0].tolist() == [0, 1, 2]

    def test_pandas_out(self, people):
        codes = quick().set_output(transform="pandas").fit(people).transform(people)
        assert list(codes.columns) == [f"tabularautoencoder{i}" for i in range(3)]
        assert codes.index.equals(people.index)

    def test_what_is_filled_in_is_of_the_dtypes_of_fit(self):
        table = pd.DataFrame({"code": ["007", "008"] * 50, "size": np.arange(100.0), "alive": [True, False] * 50})
        model = quick().fit(table)
        given = pd.DataFrame({"code": [7, 8, np.nan], "size": ["1.50", None, "3"], "alive": ["1", "FALSE", None]})
        filled = model.impute(given)
        assert filled.dtypes.equals(table.dtypes)
        assert filled["code"][:2].tolist() == ["007", "008"]
        assert (filled["size"][0], filled["size"][2]) == (1.5, 3.0)
        assert filled["alive"][:2].tolist() == [True, False]
        sizes = quick().fit(table[["size"]].assign(weight=1.0 + table["size"]))
        filled = sizes.impute(pd.DataFrame({"size": ["1.50", None], "weight": [2.5, 3.5]}))
        assert filled["size"].dtype == float, "also where all columns are numbers"

    @pytest.mark.parametrize("numbers", ["standard", "rankgauss"])
    def test_frames_for_all_of_scikit_learn(self, people, numbers, tmp_path):
        """Also of the scalers inside, which then gave a frame whose truth value nobody could tell."""
        expected = quick(numbers=numbers).fit(people)
        with config_context(transform_output="pandas"):
            model = quick(numbers=numbers).fit(people)
            pd.testing.assert_frame_equal(model.reconstruct(people), expected.reconstruct(people))
            model.save(tmp_path / "m")
            loaded = isthmus.load(tmp_path / "m")
            np.testing.assert_array_equal(loaded.transform(people).to_numpy(), expected.transform(people))

    @pytest.mark.parametrize("output", ["default", "pandas", "polars"])
    def test_all_layers_have_names_of_their_own(self, people, output):
        if output == "polars":
            pytest.importorskip("polars")
        units = 32 + 16 + 3 + 16 + 32
        expected = quick().fit(people).transform(people, layers="all")
        assert expected.shape == (400, units)
        all_layers, code = quick(layers="all").fit(people), quick().fit(people)
        for model in (all_layers, code):
            model.set_output(transform=output)
        assert len(all_layers.get_feature_names_out()) == units
        assert len(code.get_feature_names_out()) == 3
        for features in (all_layers.transform(people), code.transform(people, layers="all")):
            np.testing.assert_array_equal(features, expected)
            if output != "default":
                assert list(features.columns) == list(all_layers.get_feature_names_out())
        for codes in (code.transform(people), all_layers.transform(people, layers="code")):
            np.testing.assert_array_equal(codes, expected[:, 48:51])
        assert (all_layers.layers, code.layers) == ("all", "code")

    def test_all_layers_in_a_pipeline(self, people, tmp_path):
        pipeline = make_pipeline(quick(layers="all"), StandardScaler()).fit(people)
        assert pipeline.transform(people).shape == (400, 99)
        assert len(pipeline.get_feature_names_out()) == 99
        pipeline.set_output(transform="pandas").fit(people)
        assert list(pipeline.transform(people).columns) == list(pipeline.get_feature_names_out())
        pipeline[0].save(tmp_path / "m")
        again = isthmus.load(tmp_path / "m")
        np.testing.assert_array_equal(again.transform(people), pipeline[0].transform(people))
        assert again.inverse_transform(again.transform(people, layers="code")).shape == people.shape

    def test_layers_that_are_not_known_are_refused_before_training(self, people):
        parameters = 3 + 1 + 3 + 2 + 1
        network = Modules(torch.nn.Linear(3 * 24 + parameters, 3), torch.nn.Linear(3, parameters))
        with pytest.raises(ValueError, match="layers='all' is for a network whose layers are known: take MLP"):
            quick(network=network, layers="all", callbacks=[lambda record: pytest.fail("it trains")]).fit(people)
        with pytest.raises(ValueError, match="unknown layers 'al': did you mean 'all'"):
            quick(layers="al").fit(people)

    def test_it_does_not_sample(self):
        assert not hasattr(TabularAutoencoder(), "sample")


def fit(frame, **params):
    return lambda people, model: quick(**params).fit(frame(people))


def at_use(change):
    return lambda people, model: model.transform(change(people))


BAD = {
    "vanished": (at_use(lambda f: f.drop(columns="income")), "column 'income' is not in X, and was there at fit"),
    "new": (at_use(lambda f: f.assign(more=1)), "column 'more' was not there at fit, and is in X: drop it"),
    "another order": (at_use(lambda f: f[f.columns[::-1]]), "X has the columns in another order than at fit"),
    "another kind": (at_use(lambda f: f.assign(income="much")), "column 'income' holds categories .* were numbers at"),
    "infinity": (at_use(lambda f: f.assign(income=np.inf)), "infinity at row 0, column 'income'"),
    "an array": (at_use(lambda f: np.ones((2, 7))), "fit was given a DataFrame of several kinds of columns: give X as"),
    "nothing in a column": (fit(lambda f: f.assign(region=None)), "nothing but NaN in column 'region': drop it"),
    "one row": (fit(lambda f: f[:1]), "X has 1 rows: give two or more"),
    "twice one name": (fit(lambda f: pd.concat([f, f[["income"]]], axis=1)), "more than one column 'income'"),
    "images": (fit(lambda f: np.ones((5, 4, 4))), r"X has the shape \(5, 4, 4\): give a table"),
    "text in an array": (fit(lambda f: np.array([["a"], ["b"]])), "text where numbers are needed"),
    "likelihood": (fit(lambda f: f, likelihood="bernoulli"), "likelihood='bernoulli' has no meaning for Tabular"),
    "contraction": (fit(lambda f: f, contraction_weight=1.0), "contraction_weight has no meaning for categories"),
    "corruption": (fit(lambda f: f, corruption="gaussian"), "unknown corruption 'gaussian'"),
    "corruption level": (fit(lambda f: f, corruption_level=2), "swap takes a share in"),
    "numbers": (fit(lambda f: f, numbers="rank"), "unknown numbers 'rank': did you mean 'rankgauss'"),
    "categories": (fit(lambda f: f, categories="hash"), "unknown categories 'hash'"),
    "output activation": (fit(lambda f: f, network=MLP(output_activation="tanh")), "leave output_activation=None"),
    "tied": (fit(lambda f: f, network=MLP(tied=True)), "set bins=0 and categories='onehot'"),
    "layers": (lambda people, model: model.transform(people, layers="some"), "unknown layers 'some'"),
    "mask": (lambda people, model: model.impute(people, np.ones((3, 3), bool)), "mask has the shape"),
    "bins": (fit(lambda f: f, bins=-1), "bins == -1"),
    "turns": (lambda people, model: model.impute(people, n_iter=0), "n_iter == 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input(people, model, case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message) as error:
        call(people, model)
    assert "\n" not in str(error.value)


def test_a_fit_that_fails_leaves_the_last_one(people):
    model = quick().fit(people)
    before = model.transform(people)
    with pytest.raises(ValueError, match="nothing but NaN"):
        model.fit(people.assign(region=None))
    np.testing.assert_array_equal(model.transform(people), before)


def test_at_its_start_it_is_pca():
    """Of numbers alone, scaled and with one layer each way, it is the linear autoencoder of the same table."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 5)) + 0.1 * rng.normal(size=(300, 5))
    Z = (X - X.mean(0)) / X.std(0)
    linear = {"network": MLP(hidden=()), "max_epochs": 1, "random_state": 0}
    tabular = TabularAutoencoder(2, numbers="standard", bins=0, corruption=None, **linear).fit(X)
    rebuilt = (Autoencoder(2, **linear).fit(Z).reconstruct(Z) * X.std(0) + X.mean(0)).clip(X.min(0), X.max(0))
    np.testing.assert_allclose(tabular.reconstruct(X), rebuilt, atol=1e-6)
