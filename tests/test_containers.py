"""Whatever rows come in, arrays, dataframes, sparse matrices or files, they are the same rows."""

import warnings
from contextlib import contextmanager
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import sklearn
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

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
from isthmus.formats import containers
from isthmus.formats.frames import Frame

pytestmark = [
    pytest.mark.filterwarnings("ignore:the code has collapsed"),
    pytest.mark.filterwarnings("ignore:.* units are on in no row"),
]

FAMILIES = {
    "plain": Autoencoder,
    "denoising": DenoisingAutoencoder,
    "sparse": SparseAutoencoder,
    "contractive": ContractiveAutoencoder,
    "variational": VariationalAutoencoder,
    "conditional": ConditionalVariationalAutoencoder,
    "tabular": TabularAutoencoder,
    "multimodal": partial(MultimodalAutoencoder, blocks={"left": ["a", "b"], "right": ["c", "d"]}),
    "outliers": OutlierDetector,
}
NAMES = list("abcd")
FRAMES = ("pandas", "arrow dtypes", "polars", "pyarrow")
ARRAYS = ("array", "list", "sparse matrix", "sparse array", "coo", "memmap", "hdf5", "zarr", "masked")
OUTPUTS = ("default", "pandas", "polars")


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 4)) + 0.1 * rng.normal(size=(40, 4))
    X[:, 0] = np.rint(X[:, 0] * 3)
    return X


@contextmanager
def given_as(kind, X, folder):
    """Give rows as a container of that kind."""
    frame = pd.DataFrame(X, columns=NAMES) if kind in FRAMES else None
    if kind == "pandas":
        yield frame
    elif kind == "arrow dtypes":
        yield frame.astype("double[pyarrow]")
    elif kind == "polars":
        yield pytest.importorskip("polars").from_pandas(frame)
    elif kind == "pyarrow":
        yield pa.Table.from_pandas(frame, preserve_index=False)
    elif kind == "hdf5":
        with pytest.importorskip("h5py").File(folder / "x.h5", "w") as file:
            yield file.create_dataset("x", data=X)
    elif kind == "zarr":
        yield pytest.importorskip("zarr").array(X)
    elif kind == "memmap":
        np.save(folder / "x.npy", X)
        yield np.load(folder / "x.npy", mmap_mode="r")
    else:
        make = {
            "array": np.asarray,
            "list": np.ndarray.tolist,
            "sparse matrix": sparse.csr_matrix,
            "sparse array": sparse.csc_array,
            "coo": sparse.coo_array,
            "masked": np.ma.MaskedArray,
        }
        yield make[kind](X)


def built(name):
    if name == "outliers":
        return OutlierDetector(Autoencoder(2, max_epochs=1, random_state=0))
    return FAMILIES[name](2, max_epochs=1, random_state=0)


def known_as(model, X):
    """Return what a model says of rows, as arrays."""
    if isinstance(model, OutlierDetector):
        return {"scores": model.score_samples(X)}
    return {
        "codes": np.asarray(model.transform(X)),
        "rows": np.asarray(containers.plain(model.reconstruct(X)), dtype=float),
        "scores": model.score_samples(X),
    }


@pytest.fixture(scope="module")
def fitted(rows):
    """A model of each family, by arrays and by frames."""
    y = np.arange(40) % 2

    def fit(name, framed):
        X = pd.DataFrame(rows, columns=NAMES) if framed else rows
        return built(name).fit(X, y if name == "conditional" else None)

    made = {}
    return lambda name, framed: made.get((name, framed)) or made.setdefault((name, framed), fit(name, framed))


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("kind", [*ARRAYS, *FRAMES])
@pytest.mark.parametrize("name", FAMILIES)
def test_rows_are_the_same_in_every_container(name, kind, output, rows, fitted, tmp_path):
    framed = kind in FRAMES
    if name == "multimodal" and not framed:
        pytest.skip("it takes arrays by name; see below")
    if output == "polars":
        pytest.importorskip("polars")
    model = fitted(name, framed)
    expected = known_as(model, pd.DataFrame(rows, columns=NAMES) if framed else rows)
    with given_as(kind, rows, tmp_path) as X, sklearn.config_context(transform_output=output):
        found = known_as(model, X)
        if hasattr(model, "transform"):
            library = type(model.transform(X)).__module__.partition(".")[0]
            assert library == ("numpy" if output == "default" else output)
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, err_msg=key)


@pytest.mark.parametrize("kind", [*ARRAYS, *FRAMES])
@pytest.mark.parametrize("name", ["plain", "conditional", "tabular"])
def test_a_fit_is_the_same_in_every_container(name, kind, rows, fitted, tmp_path):
    for output in OUTPUTS:
        if output == "polars":
            pytest.importorskip("polars")
        with given_as(kind, rows, tmp_path) as X, sklearn.config_context(transform_output=output):
            model = built(name).fit(X, np.arange(40) % 2 if name == "conditional" else None)
            found = known_as(model, X)
        expected = known_as(
            fitted(name, framed=kind in FRAMES), pd.DataFrame(rows, columns=NAMES) if kind in FRAMES else rows
        )
        for key, value in expected.items():
            np.testing.assert_allclose(found[key], value, rtol=1e-9, atol=1e-9, err_msg=key)


def test_detectors_are_fitted_to_containers(rows, fitted, tmp_path):
    for kind in ("sparse array", "polars"):
        with given_as(kind, rows, tmp_path) as X:
            detector = built("outliers").fit(X)
            np.testing.assert_array_equal(detector.predict(X), fitted("outliers", framed=False).predict(rows))


def test_detectors_of_few_wide_rows(tmp_path, monkeypatch):
    """Of which three are fitted, each on some of the rows."""
    monkeypatch.setattr("isthmus.models.calibration.ROWS", 60)  # what gaps cost is not what is looked at here
    X = np.random.default_rng(0).normal(size=(12, 20))
    frame = pd.DataFrame(X).rename(columns=str)
    detector = OutlierDetector(Autoencoder(2, max_epochs=1, random_state=0))
    expected = detector.fit(X).score_samples(X)
    for each in (sparse.csc_array(X), pa.Table.from_pandas(frame)):
        np.testing.assert_allclose(detector.fit(each).score_samples(each), expected, rtol=1e-9)
    with given_as("hdf5", X, tmp_path) as file:
        np.testing.assert_allclose(detector.fit(file).score_samples(file), expected, rtol=1e-9)


@pytest.mark.parametrize("kind", ["hdf5", "zarr", "memmap"])
def test_pictures_in_files(kind, digits, tmp_path):
    for X in (digits[:40].reshape(40, 8, 8), digits[:40].reshape(40, 1, 8, 8), (255 * digits[:40]).astype(np.uint8)):
        expected = Autoencoder(2, max_epochs=1, random_state=0).fit(X)
        with given_as(kind, X, tmp_path) as given:
            model = Autoencoder(2, max_epochs=1, random_state=0).fit(given)
            np.testing.assert_array_equal(model.transform(given), expected.transform(X))
            assert model.reconstruct(given).shape == X.shape


@pytest.mark.parametrize("kind", ["hdf5", "zarr", "memmap", "masked"])
def test_sequences_in_files(kind, digits, tmp_path):
    X = digits[:30].reshape(-1, 8, 8).astype(float)
    expected = SequenceAutoencoder(2, max_epochs=1, random_state=0).fit(X)
    with given_as(kind, X, tmp_path) as given:
        model = SequenceAutoencoder(2, max_epochs=1, random_state=0).fit(given)
        np.testing.assert_array_equal(model.transform(given), expected.transform(X))
        np.testing.assert_array_equal(model.reconstruct(given), expected.reconstruct(X))
    with pytest.raises(TypeError, match="X is a DataLoader: give its rows as one array"):
        model.fit(LOADER)


def test_modalities_in_files_and_sparse(rows, tmp_path):
    pictures, words = rows.reshape(40, 2, 2), np.array(["u", "v"] * 20)
    model = MultimodalAutoencoder(2, max_epochs=1, random_state=0).fit({"image": pictures, "row": rows, "word": words})
    expected = model.transform({"image": pictures, "row": rows, "word": words})
    with given_as("zarr", pictures, tmp_path) as given:
        polars = pytest.importorskip("polars")
        X = {"image": given, "row": sparse.csr_array(rows), "word": polars.Series(words)}
        np.testing.assert_array_equal(model.transform(X), expected)
        again = MultimodalAutoencoder(2, max_epochs=1, random_state=0).fit(X)
    np.testing.assert_allclose(again.transform({"image": pictures, "row": rows, "word": words}), expected)


def test_what_is_masked_is_missing(rows):
    mask = np.random.default_rng(0).random(rows.shape) < 0.2
    model = Autoencoder(2, max_epochs=1, random_state=0).fit(np.ma.MaskedArray(rows, mask))
    gaps = np.where(mask, np.nan, rows)
    np.testing.assert_array_equal(model.transform(np.ma.MaskedArray(rows, mask)), model.transform(gaps))
    np.testing.assert_array_equal(model.impute(np.ma.MaskedArray(rows, mask)), model.impute(gaps))


def test_a_sparse_matrix_is_made_dense_some_rows_at_a_time(monkeypatch):
    X = sparse.random(200, 30, 0.2, "csr", random_state=0)
    model = Autoencoder(2, max_epochs=1, random_state=0).fit(X.toarray())
    expected = model.transform(X.toarray()), model.score_samples(X.toarray())
    most = []
    monkeypatch.setattr(containers, "SPARSE_AT_ONCE", 30 * 16)
    monkeypatch.setattr(containers, "dense", lambda X: most.append(len(X.toarray())) or X.toarray())
    np.testing.assert_allclose(model.transform(X), expected[0], atol=1e-12)
    np.testing.assert_allclose(model.score_samples(X), expected[1], atol=1e-9)
    assert max(most) == 16


def test_one_that_would_not_fit_is_refused():
    X = sparse.csr_array((10**7, 10**7))
    with pytest.raises(ValueError, match=r"takes 800000.0 GB when it is made dense, and .* GB are free: give fewer"):
        Autoencoder(2).fit(X)


LOADER = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.zeros(8, 4)), batch_size=4)


@pytest.mark.parametrize(
    ("X", "line"),
    [
        (LOADER, r"X is a DataLoader: give its rows as one array, torch.cat"),
        (LOADER.dataset, r"X is a TensorDataset: give its rows as one array, torch.stack"),
        (iter([[1.0, 2.0]] * 5), "X is a list_iterator: give rows as an array or a DataFrame, or call partial_fit"),
        ((row for row in [[1.0, 2.0]] * 5), "X is a generator: give rows as an array"),
        (zip([1.0], [2.0], strict=True), "X is a zip: give rows as an array"),
    ],
    ids=["loader", "dataset", "iterator", "generator", "zip"],
)
def test_what_gives_its_rows_one_after_the_other_is_refused_in_a_line_by_those_that_want_all(X, line):
    with pytest.raises(TypeError, match=rf"rows that are in memory, and X is a {type(X).__name__}: fit an autoencoder"):
        OutlierDetector().fit(X)
    with pytest.raises(TypeError, match=line):
        MultimodalAutoencoder(2).fit({"rows": X})


MIXED = pd.DataFrame(
    {
        "age": [20, 30, 41, 55] * 10,
        "height": np.linspace(1.5, 2, 40),
        "member": [True, False] * 20,
        "city": ["Bonn", "Kiel", None, "Ulm"] * 10,
    }
)


@pytest.mark.parametrize("kind", FRAMES)
def test_mixed_frames_come_back_as_what_they_were(kind, tmp_path):
    table = MIXED.assign(age=MIXED.age.where(np.arange(40) % 7 > 0).astype("Int64"))
    if kind == "arrow dtypes":
        X = table.convert_dtypes(dtype_backend="pyarrow")
    elif kind == "polars":
        X = pytest.importorskip("polars").from_pandas(table)
    else:
        X = pa.Table.from_pandas(table, preserve_index=False) if kind == "pyarrow" else table
    model = TabularAutoencoder(2, max_epochs=1, random_state=0).fit(X)
    model.save(tmp_path / "model")
    for model in (model, isthmus.load(tmp_path / "model")):  # noqa: B020
        codes = model.transform(X)
        for back in (model.reconstruct(X), model.impute(X), model.inverse_transform(codes)):
            assert type(back) is type(X)
            frame = containers.plain(back)
            assert list(frame.columns) == list(table.columns)
            assert pd.api.types.is_integer_dtype(frame.age.dtype)
            assert pd.api.types.is_bool_dtype(frame.member.dtype)
            assert set(frame.city.dropna()) <= {"Bonn", "Kiel", "Ulm"}
        filled = containers.plain(model.impute(X))
        assert filled.notna().all(axis=None)
        known = table.notna().to_numpy()
        assert (filled.astype(object).to_numpy()[known] == table.astype(object).to_numpy()[known]).all()
        assert type(model.interpolate(X[:2], X[2:4], 3) if kind not in ("pyarrow",) else X) is type(X)
        assert type(model.score_samples(X, per_feature=True)) is type(X)


@pytest.mark.parametrize("family", [Autoencoder, DenoisingAutoencoder, VariationalAutoencoder, OutlierDetector])
def test_families_of_numbers_name_the_one_of_mixed_tables(family):
    polars = pytest.importorskip("polars")
    for X in (MIXED, polars.from_pandas(MIXED), pa.Table.from_pandas(MIXED)):
        with pytest.raises(ValueError, match="column 'city' holds text where numbers are needed: TabularAutoencoder"):
            family().fit(X)


def test_arrow_decimals():
    kind = pa.decimal128(10, 2)
    prices = pd.Series(pa.array([1, 2, None] * 20, kind), dtype=pd.ArrowDtype(kind))
    floats = pd.DataFrame(
        {"price": prices.astype("float64[pyarrow]").to_numpy(float, na_value=np.nan), "size": range(60)}
    )
    for X in (
        pd.DataFrame({"price": prices, "size": range(60)}),
        pd.DataFrame({"price": prices.astype(object), "size": range(60)}),
        pa.table({"price": pa.array([1, 2, None] * 20, kind), "size": pa.array(range(60))}),
    ):
        for family in (TabularAutoencoder, Autoencoder):
            model, plain = (family(2, max_epochs=1, random_state=0).fit(each) for each in (X, floats))
            np.testing.assert_array_equal(model.transform(X), plain.transform(floats))
            filled = containers.plain(model.impute(X))
            np.testing.assert_array_equal(filled["price"].to_numpy(float), plain.impute(floats)["price"])


def numbers(family=Autoencoder, **params):
    return family(2, max_epochs=1, random_state=0, **params)


@pytest.mark.parametrize("family", [Autoencoder, VariationalAutoencoder, ConditionalVariationalAutoencoder])
def test_frames_come_back_as_frames(family, rows, tmp_path):
    table = pd.DataFrame(rows, columns=NAMES, index=range(100, 140)).assign(a=rows[:, 0].astype(int))
    model = numbers(family).fit(table, np.arange(40) % 3)
    model.save(tmp_path / "model")
    for model in (model, isthmus.load(tmp_path / "model")):  # noqa: B020
        codes = pd.DataFrame(model.transform(table), index=table.index)
        for back in (model.reconstruct(table), model.impute(table), model.inverse_transform(codes)):
            assert back.index.equals(table.index)
            assert list(back.columns) == NAMES
            assert list(back.dtypes) == list(table.dtypes)
        pd.testing.assert_frame_equal(model.impute(table), table)
        steps = model.interpolate(table[:3], table[3:6], 4)
        assert steps.index.names == ["row", "step"]
        assert len(steps) == 12
        np.testing.assert_allclose(steps.xs(0, level="step"), model.reconstruct(table[:3]), atol=1e-9)
        assert len(model.traverse(table[:2], 0, [0, 1])) == 4
        shares = model.score_samples(table, per_feature=True)
        assert shares.index.equals(table.index)
        assert list(shares.columns) == NAMES
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert isinstance(model.reconstruct(table.to_numpy()), np.ndarray), "as it is given"
        if hasattr(model, "sample"):
            assert list(model.sample(5).dtypes) == list(table.dtypes)


def test_ranges_are_widened_by_what_is_learnt_further(rows):
    table = pd.DataFrame(rows, columns=NAMES)
    model = numbers(warm_start=True).fit(table)
    before = model.frame_
    model.partial_fit(table * 3)
    assert model.frame_.high == tuple((3 * table).max().where(table.max() > 0, table.max()))
    assert model.fit(table * 4).frame_.low[1] == 4 * before.low[1]
    assert not hasattr(model.set_params(warm_start=False).fit(rows), "frame_")


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([Autoencoder, DenoisingAutoencoder, VariationalAutoencoder, ConditionalVariationalAutoencoder]),
    st.integers(0, 10**6),
    st.sampled_from(["int64", "int8", "float32", "float64", "bool", "Int32", "uint16"]),
    st.booleans(),
)
def test_frames_keep_to_ranges_whole_numbers_and_known_cells(family, seed, dtype, gaps):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.gamma(0.5, 20, (30, 4)), columns=NAMES)
    table["a"] = (table.a > 9 if dtype == "bool" else table.a.clip(0, 120).round()).astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = numbers(family).fit(table, np.arange(30) % 2)
        X = 2 * table.astype(float) - 3
        if gaps:
            X = X.where(rng.random(X.shape) > 0.3)
        found = [
            model.reconstruct(X),
            model.interpolate(X[:5], X[5:10], 3),
            model.inverse_transform(5 * rng.normal(size=(9, 2))),
        ]
        found += [model.sample(20, random_state=0, noise=noise) for noise in (False, True) if hasattr(model, "sample")]
        filled = model.impute(X)
    low, high = table.min().astype(float), table.max().astype(float)
    for back in found:
        assert list(back.dtypes) == list(table.dtypes)
        values = back.astype(float)
        assert ((values >= low) & (values <= high)).all(axis=None)
    known = X.notna().to_numpy()
    np.testing.assert_array_equal(filled.to_numpy(float)[known], X.to_numpy()[known])
    new = filled.astype(float).where(~known)
    assert ((new >= low) & (new <= high) | new.isna()).all(axis=None)
    assert (new.a.dropna() % 1 == 0).all() or dtype.startswith("float")


@pytest.mark.parametrize(
    "wrong",
    [
        {"container": "excel"},
        {"low": [0.0]},
        {"low": [9.0, 0.0, 0.0, 0.0], "high": [1.0] * 4},
        {"low": [float("nan")] * 4},
        {"dtypes": ["object"] * 4},
        {"dtypes": ["datetime64[ns]"] * 4},
        {"dtypes": ["no dtype"] * 4},
        {"names": [["a"]] * 4},
        {"more": 1},
    ],
    ids=str,
)
def test_a_strangers_frame_is_checked(wrong, rows, tmp_path):
    model = numbers().fit(pd.DataFrame(rows, columns=NAMES))
    content = {name: list(each) if isinstance(each, tuple) else each for name, each in model.frame_.as_json().items()}
    assert Frame.from_json(content) == model.frame_
    with pytest.raises((ValueError, TypeError)):
        Frame.from_json(content | wrong)


def test_a_mask_goes_by_the_names_of_its_columns(rows):
    table = pd.DataFrame(rows, columns=NAMES)
    mask = pd.DataFrame(np.random.default_rng(0).random(rows.shape) < 0.3, columns=NAMES)
    model = numbers().fit(table)
    expected = model.impute(table, mask)
    assert not expected.equals(table)
    pd.testing.assert_frame_equal(model.impute(table, mask[NAMES[::-1]]), expected)
    pd.testing.assert_frame_equal(model.impute(table, mask.to_numpy()), expected)


def test_columns_of_pandas_that_are_sparse(rows):
    table = pd.DataFrame(np.where(rows > 0, rows, 0), columns=NAMES)
    thin = table.astype(pd.SparseDtype("float64", 0.0))
    for family in (Autoencoder, TabularAutoencoder):
        model = numbers(family).fit(thin)
        np.testing.assert_array_equal(model.transform(thin), numbers(family).fit(table).transform(table))
        assert list(model.reconstruct(thin).dtypes) == [np.float64] * 4


def test_a_frame_comes_back_as_pandas_where_polars_is_not_there(rows, monkeypatch):
    import builtins

    polars = pytest.importorskip("polars")
    model = numbers().fit(polars.DataFrame(dict(zip(NAMES, rows.T, strict=True))))
    codes = np.zeros((3, 2))
    real = builtins.__import__

    def without(name, *rest, **more):
        if name == "polars":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert isinstance(model.inverse_transform(codes), pd.DataFrame)


@pytest.mark.parametrize("fusion", ["concatenation", "product_of_experts"])
def test_frames_of_modalities_keep_to_ranges_too(rows, fusion):
    table = pd.DataFrame(rows, columns=NAMES).assign(a=rows[:, 0].astype(int), word=["u", "v"] * 20)
    blocks = {"left": ["d", "a"], "right": ["c", "b"], "word": ["word"]}
    model = MultimodalAutoencoder(2, blocks=blocks, fusion=fusion, max_epochs=1, random_state=0).fit(table)
    X = table.assign(**{name: 3 * table[name] for name in NAMES})
    found = [model.reconstruct(X), model.inverse_transform(9 * np.ones((5, 2)))]
    found += [model.sample(20, random_state=0)] if hasattr(model, "sample") else []
    for back in found:
        assert list(back.columns) == list(table.columns)
        assert back.a.dtype == table.a.dtype
        assert ((back[NAMES] >= table[NAMES].min()) & (back[NAMES] <= table[NAMES].max())).all(axis=None)
        assert set(back.word) <= {"u", "v"}
    pd.testing.assert_frame_equal(model.impute(X), X)


def test_whole_numbers_beside_gaps_stay_whole(tmp_path):
    """A column of whole numbers is of floats where some are missing; pandas knows no other way."""
    rng = np.random.default_rng(0)
    age = np.where(rng.random(60) < 0.2, np.nan, rng.integers(20, 90, 60))
    table = pd.DataFrame({"age": age, "size": rng.normal(size=60), "flag": rng.integers(0, 2, 60).astype(np.float32)})
    model = numbers(scale="standard").fit(table)
    model.save(tmp_path / "model")
    for model in (model, isthmus.load(tmp_path / "model")):  # noqa: B020
        for back in (model.impute(table), model.reconstruct(table), model.inverse_transform(rng.normal(size=(9, 2)))):
            assert list(back.dtypes) == list(table.dtypes)
            assert (back[["age", "flag"]] % 1 == 0).all(axis=None)
            assert (back["size"] % 1 > 0).any()
    model.partial_fit(table + 0.5)
    assert (model.reconstruct(table).age % 1 > 0).any(), "of further rows not all are whole"


INDEXES = {
    "several levels": pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1), ("b", 2)], names=["part", None]),
    "floats": pd.Index([0.5, 1.0, 1.5, 2.0]),
    "whole numbers": pd.Index([3, 7, 9, 12], name="place"),
    "moments": pd.DatetimeIndex(["2024-01-01", "2024-01-02", "2024-02-01", "2024-03-01"]),
    "moments in a zone": pd.DatetimeIndex(["2024-01-01", "2024-01-02", "2024-02-01", "2024-07-01"], tz="Europe/Berlin"),
    "months": pd.period_range("2024-01", periods=4, freq="M"),
    "dates": pd.Index(pd.date_range("2024-01-01", periods=4).date),
    "truth values and numbers": pd.Index([True, 2, 3.5, 4], dtype=object),
}


@pytest.mark.parametrize("kind", INDEXES)
def test_columns_keep_their_names(kind, rows, tmp_path):
    table = pd.DataFrame(rows, columns=INDEXES[kind])
    model = numbers().fit(table)
    model.save(tmp_path / "model")
    for model in (model, isthmus.load(tmp_path / "model")):  # noqa: B020
        gaps = table.mask(np.eye(40, 4, dtype=bool))
        mask = pd.DataFrame(np.eye(40, 4, dtype=bool), columns=table.columns)
        for back in (
            model.reconstruct(table),
            model.impute(gaps),
            model.impute(table, mask.iloc[:, ::-1]),
            model.inverse_transform(np.zeros((2, 2))),
            model.interpolate(table[:2], table[2:4], 3),
            model.score_samples(table, per_feature=True),
        ):
            pd.testing.assert_index_equal(back.columns, table.columns, exact=kind != "truth values and numbers")
        pd.testing.assert_frame_equal(model.impute(table, mask.iloc[:, ::-1]), model.impute(gaps))


def test_names_that_no_file_could_keep_are_texts(rows):
    table = pd.DataFrame(rows, columns=pd.interval_range(0, 4))
    assert list(numbers().fit(table).reconstruct(table).columns) == ["(0, 1]", "(1, 2]", "(2, 3]", "(3, 4]"]


@pytest.mark.parametrize("names", [["a", 1, "c", 2], [1.5, "b", "c", "d"], [("a", 1), "b", "c", "d"]], ids=str)
@pytest.mark.parametrize("family", [Autoencoder, OutlierDetector])
def test_names_of_several_kinds_are_refused_in_a_line(names, family, rows):
    table = pd.DataFrame(rows, columns=pd.Index(names, tupleize_cols=False))
    with pytest.raises(ValueError, match=r"X has a column .* and a column .*: give them all names that are text") as e:
        family().fit(table)
    assert "\n" not in str(e.value)


def test_decimals_are_rebuilt_with_as_many_digits(rows, tmp_path):
    from decimal import Decimal

    polars = pytest.importorskip("polars")
    texts = [f"{value:.2f}" for value in rows[:, 1]]
    arrow = pa.array(map(Decimal, texts), pa.decimal128(10, 2))
    others = {"b": rows[:, 2], "c": rows[:, 3]}
    table = pa.table({"a": arrow, **{name: pa.array(values) for name, values in others.items()}})
    for X in (
        table,
        polars.from_arrow(table),
        pd.DataFrame({"a": pd.Series(arrow, dtype=pd.ArrowDtype(arrow.type)), **others}),
        pd.DataFrame({"a": [Decimal(text) for text in texts], **others}),
    ):
        model = numbers().fit(X)
        model.save(tmp_path / "model")
        isthmus.load(tmp_path / "model").save(tmp_path / "again")
        for each in (model, isthmus.load(tmp_path / "again")):
            back = containers.plain(each.reconstruct(X)).astype(float)
            np.testing.assert_array_equal(back.a, back.a.round(2))
            assert (back.b != back.b.round(2)).any()
            assert (back.a != back.a.round(1)).any()
        import shutil

        shutil.rmtree(tmp_path / "model")
        shutil.rmtree(tmp_path / "again")
        model.partial_fit(X)
        np.testing.assert_array_equal(model.frame_.decimals, [2, None, None])


WRONG_MASKS = {
    "text": (lambda mask: mask.astype(object).where(mask, "no"), r"column 'a' of mask holds (object|str): give True"),
    "numbers": (lambda mask: mask.astype(int), "column 'a' of mask holds int64: give True where a value is missing"),
    "one column of numbers": (lambda mask: mask.assign(b=0.0), "column 'b' of mask holds float64: give True"),
    "gaps": (lambda mask: mask.astype("boolean").mask(mask), "column 'a' of mask holds gaps: give True"),
    "other names": (lambda mask: mask.rename(columns={"a": "z"}), r"mask has the columns \['z', 'b', 'c', 'd'\]: give"),
    "fewer columns": (lambda mask: mask[["a", "b"]], r"mask has the columns \['a', 'b'\]: give those of X, \['a', 'b'"),
    "a column twice": (lambda mask: mask[["a", "b", "c", "c"]], r"mask has the columns \['a', 'b', 'c', 'c'\]: give"),
    "no columns": (lambda mask: mask[[]], "mask has no columns"),
    "too few rows": (lambda mask: mask[:7], r"mask has the shape \(7, 4\), and X 40 rows: give as many, or one"),
    "too few rows of an array": (lambda mask: mask[:7].to_numpy(), r"mask has the shape \(7, 4\), and X 40 rows"),
    "a row by other names": (lambda mask: mask.iloc[0].rename({"a": "z"}), r"mask has the columns \['z', 'b', 'c'"),
    "a row of text": (lambda mask: mask.iloc[0].map({True: "yes", False: "no"}), "mask holds (object|str): give True"),
    "a row of numbers": (lambda mask: mask.iloc[0].astype(float), "mask holds float64: give True"),
}


@pytest.mark.parametrize("family", [Autoencoder, VariationalAutoencoder])
@pytest.mark.parametrize("case", WRONG_MASKS)
def test_a_mask_that_is_none_is_refused_in_a_line(case, family, rows):
    make, line = WRONG_MASKS[case]
    table = pd.DataFrame(rows, columns=NAMES)
    with pytest.raises(ValueError, match=line) as error:
        numbers(family).fit(table).impute(table, make(pd.DataFrame(np.eye(40, 4, dtype=bool), columns=NAMES)))
    assert "\n" not in str(error.value)


def test_masks_in_all_their_forms_say_the_same(rows):
    table = pd.DataFrame(rows, columns=NAMES)
    mask = pd.DataFrame(np.random.default_rng(0).random(rows.shape) < 0.3, columns=NAMES)
    model = numbers().fit(table)
    expected = model.impute(table, mask.to_numpy())
    forms = [mask, mask[NAMES[::-1]], mask.astype("boolean"), mask.astype(object), mask.set_axis(range(4), axis=1)]
    forms += [pa.Table.from_pandas(mask), mask.to_numpy().tolist()]
    for form in forms:
        pd.testing.assert_frame_equal(model.impute(table, form), expected)
    row = pd.Series([True, False, False, True], index=NAMES)
    expected = model.impute(table, row.to_numpy())
    for form in (row, row[NAMES[::-1]], row.astype("boolean"), row.reset_index(drop=True), row.to_frame().T):
        pd.testing.assert_frame_equal(model.impute(table, form), expected)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=12, max_size=12),
    st.sampled_from(["int64", "Int64", "object", "int64[pyarrow]"]),
    st.booleans(),
)
def test_known_whole_numbers_stay_to_the_bit(values, dtype, gap):
    table = pd.DataFrame({"a": np.array(values), "b": np.linspace(0, 1, 12)})
    X = table.astype({"a": object})
    if gap:
        X.loc[3, "a"] = None
        dtype = "object" if dtype == "int64" else dtype
    X["a"] = pd.Series(pd.array(X.a.tolist(), dtype=dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        filled = numbers(scale="standard").fit(table).impute(X)
    kept = [i for i in range(12) if not (gap and i == 3)]
    assert [int(filled.a[i]) for i in kept] == [values[i] for i in kept]


def test_dates_come_back_as_dates(tmp_path):
    polars = pytest.importorskip("polars")
    rng = np.random.default_rng(0)
    days = (np.datetime64("2020-01-01") + rng.integers(0, 900, 60)).astype(object).tolist()
    days[3] = None
    table = pa.table({"day": pa.array(days), "size": rng.normal(size=60)})
    for X, dtype in ((table, pa.date32()), (polars.from_arrow(table), polars.Date)):
        model = TabularAutoencoder(2, max_epochs=1, random_state=0).fit(X)
        model.save(tmp_path / dtype.__class__.__name__)
        for each in (model, isthmus.load(tmp_path / dtype.__class__.__name__)):
            for back in (each.reconstruct(X), each.impute(X), each.inverse_transform(np.zeros((2, 2)))):
                assert (back.schema.field("day").type if isinstance(back, pa.Table) else back["day"].dtype) == dtype
            filled = containers.plain(each.impute(X)).day
            assert [day for i, day in enumerate(filled) if i != 3] == [day for i, day in enumerate(days) if i != 3]
            moments = X.cast(pa.schema([("day", pa.timestamp("us")), ("size", pa.float64())])) if X is table else X
            np.testing.assert_array_equal(each.transform(moments), each.transform(X), "however a day is kept")
