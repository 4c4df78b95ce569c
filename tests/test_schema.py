"""What is learnt of a table's columns: cells and back, JSON and back, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, rankdata

from isthmus.formats.schema import Schema

SCALINGS = ("auto", "rankgauss", "standard", None)


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "size": pd.Categorical(["m", "s", None, "m"], ["s", "m", "l"], ordered=True),
            "length": [1.5, 2.5, np.nan, 10.0],
            "alive": [True, False, True, True],
            "count": np.array([3, -4, 0, 120], dtype="int8"),
            "age": pd.array([1, None, 3, 4], dtype="Int64"),
            "sure": pd.array([True, None, False, True], dtype="boolean"),
            "name": ["b", "a", None, "a"],
            "object": pd.Series(["b", None, "a", "a"], [7, 3, 5, 1], dtype=object),
            "grade": pd.Categorical([3, 1, 3, None], [3, 2, 1]),
        },
        index=[7, 3, 5, 1],
    )


@pytest.mark.parametrize("numbers", SCALINGS)
def test_there_and_back(frame, numbers):
    schema = Schema.learn(frame, numbers)
    cells = schema.to_cells(frame)
    assert cells.shape == frame.shape
    np.testing.assert_array_equal(np.isnan(schema.by_column(cells)), frame.isna())
    pd.testing.assert_frame_equal(schema.to_frame(cells, frame.index), frame)


@st.composite
def frames(draw):
    n = draw(st.integers(2, 30))

    def column(values, dtype):
        return pd.Series(draw(st.lists(values, min_size=n, max_size=n)), dtype=dtype)

    def some(values):
        return values | st.none()

    floats = st.floats(-1e6, 1e6)
    columns = {
        "floats": column(floats, float),
        "gaps": column(some(floats), float),
        "singles": column(st.floats(-1e3, 1e3, width=32), "float32"),
        "integers": column(st.integers(-(10**6), 10**6), "int64"),
        "bytes": column(st.integers(0, 255), "uint8"),
        "nullable": column(some(st.integers(-128, 127)), "Int8"),
        "booleans": column(st.booleans(), bool),
        "perhaps": column(some(st.booleans()), "boolean"),
        "words": column(some(st.sampled_from(["red", "green", "ünï", "two words"])), "str"),
        "levels": column(some(st.sampled_from("cab")), pd.CategoricalDtype(list("dcab"), draw(st.booleans()))),
    }
    names = draw(st.permutations(sorted(columns)))
    kept = {name: columns[name] for name in names if columns[name].notna().any()}
    return pd.DataFrame(kept)


@settings(deadline=None, max_examples=40)
@given(frames(), st.sampled_from(SCALINGS))
def test_any_table_comes_back(frame, numbers):
    schema = Schema.learn(frame, numbers)
    schema = Schema.from_json(json.loads(json.dumps(schema.as_json())))
    again = schema.to_frame(schema.to_cells(frame))
    assert (again.dtypes == frame.dtypes).all()
    for name, column in frame.items():
        # A quantile is exact up to the rounding of the normal's tails, beside the spread of its column.
        tolerance = 1e-5 * float(np.ptp(column.dropna())) + 1e-9 if column.dtype.kind == "f" else 0
        pd.testing.assert_series_equal(again[name], column, rtol=0, atol=tolerance)


def test_json_gives_the_same_cells_to_the_bit(frame):
    for numbers in SCALINGS:
        schema = Schema.learn(frame, numbers)
        again = Schema.from_json(json.loads(json.dumps(schema.as_json(), allow_nan=False)))
        assert again == schema
        cells = schema.to_cells(frame)
        np.testing.assert_array_equal(again.to_cells(frame), cells)
        pd.testing.assert_frame_equal(again.to_frame(cells), schema.to_frame(cells), check_exact=True)


def test_cells_are_numbers_then_truth_values_then_indices(frame):
    schema = Schema.learn(frame, None)
    names = [cell.column.name for cell in schema.cells]
    assert names == ["length", "count", "age", "alive", "sure", "size", "name", "object", "grade"]
    np.testing.assert_array_equal(schema.to_cells(frame)[0], [1.5, 3, 1, 1, 1, 1, 1, 1, 0])
    assert schema.sizes == (2, 2, 2, 2), "of those that were seen"
    assert schema.count("boolean") == 2
    table = np.arange(9)[None]
    np.testing.assert_array_equal(schema.by_column(schema.by_cell(table)), table)
    np.testing.assert_array_equal(schema.by_cell(table)[0], [1, 3, 4, 2, 5, 0, 6, 7, 8])


def test_rankgauss_is_the_normal_quantile_of_the_rank(rng):
    """Van der Waerden's scores, Φ⁻¹(rank / (n + 1)), of ties the middle one; to mean 0 and variance 1."""
    for x in (rng.lognormal(size=500), rng.integers(5, size=500).astype(float), np.maximum(rng.normal(size=500), 0)):
        frame = pd.DataFrame({"x": x})
        scores = norm.ppf(rankdata(x) / (len(x) + 1))
        cells = Schema.learn(frame, "rankgauss").to_cells(frame)[:, 0]
        # Where a run of ties begins and ends, scikit-learn's quantiles may be one row off.
        tolerance = 1e-6 if len(set(x)) == 500 else 0.01
        np.testing.assert_allclose(cells, (scores - scores.mean()) / scores.std(), atol=tolerance)


def test_standard_is_the_z_score(rng):
    x = rng.normal(5, 3, size=100)
    cells = Schema.learn(pd.DataFrame({"x": x}), "standard").to_cells(pd.DataFrame({"x": x}))[:, 0]
    np.testing.assert_allclose(cells, (x - x.mean()) / x.std())


@pytest.mark.parametrize("numbers", ["rankgauss", "standard"])
def test_the_unit_of_a_column_is_of_no_account(rng, numbers):
    frame = pd.DataFrame({"x": rng.lognormal(size=100), "zeros": np.maximum(rng.normal(size=100), 1)})
    cells = Schema.learn(frame, numbers).to_cells(frame)
    np.testing.assert_allclose(cells.std(0), 1)
    np.testing.assert_allclose(Schema.learn(frame * 1e6, numbers).to_cells(frame * 1e6), cells, atol=1e-8)


@pytest.mark.parametrize("numbers", SCALINGS)
def test_a_constant_column(numbers):
    frame = pd.DataFrame({"x": [7.0, 7.0, np.nan], "word": "same", "flag": True})
    schema = Schema.learn(frame, numbers)
    cells = schema.to_cells(frame)
    np.testing.assert_array_equal(np.isnan(cells), frame.isna())
    assert cells[0, 0] == (7 if numbers is None else 0)
    pd.testing.assert_frame_equal(schema.to_frame(cells), frame)


def test_what_is_unknown_is_missing(frame):
    schema = Schema.learn(frame)
    frame["name"] = ["a", "z", "b", None]
    frame["size"] = pd.Categorical(["l", "s", "xxl", "m"])
    cells = schema.to_frame(schema.to_cells(frame))
    assert cells["name"].isna().tolist() == [False, True, False, True]
    assert cells["size"].isna().tolist() == [True, False, True, False], "l was a level, and no row had it"


def test_other_dtypes_of_the_same_kind_are_taken(frame):
    schema = Schema.learn(frame)
    cells = schema.to_cells(frame)
    frame = frame.astype({"count": float, "name": "category", "size": object, "sure": object, "age": float})
    np.testing.assert_array_equal(schema.to_cells(frame), cells)
    frame["name"] = np.nan  # a column with nothing in it is of any kind
    assert np.isnan(schema.to_cells(frame)[:, 6]).all()


def test_what_a_column_was_at_fit_decides_what_it_is(frame):
    """Today's codes are digits alone, numbers and truth values came as text, whole numbers beside gaps as floats."""
    table = pd.DataFrame({"code": ["10", "3A", "7"], "size": [1.5, 2.0, 3.0], "alive": [True, False, True]})
    schema = Schema.learn(table, None)
    cells = schema.to_cells(table)
    for change in (
        {"code": [10, "3A", 7]},
        {"code": ["10", "3A", "7"], "size": ["1.5", "2", "3.0"]},
        {"size": ["1.5", "2", " 3"], "alive": ["TRUE", "false", "True"]},
        {"alive": [1, 0, 1]},
        {"alive": [1.0, 0.0, 1.0]},
        {"alive": [True, 0, 1], "size": [1.5, "2", 3]},
        {"code": pd.Categorical(["10", "3A", "7"])},
    ):
        np.testing.assert_array_equal(schema.to_cells(table.assign(**change).infer_objects()), cells)
    gap = table.assign(code=[10, np.nan, 7], alive=[1, np.nan, 1], size=["1.5", None, "3"])
    np.testing.assert_array_equal(schema.to_cells(gap), np.where([[False], [True], [False]], np.nan, cells))
    today = Schema.learn(table).to_cells(table.assign(code=[10, 11, 7]), mark_new=True)
    assert today[:, 2].tolist() == [0, 3, 2], "one that was not there is new"


@pytest.mark.parametrize(
    ("at_fit", "at_use", "cells"),
    [
        (["007", "008", "009"], [9, 7, 8], [2, 0, 1]),
        (["01", "10", "A"], [1, 10, 11], [0, 1, 3]),
        (["1.0", "2.0"], [2.0, 1.0, np.nan], [1, 0, np.nan]),
        (["true", "false"], [True, False], [1, 0]),
        (["1", "2", "A"], pd.Categorical([1, None, 2]), [0, np.nan, 1]),
        (["1", "2"], pd.array([2, None, 1], dtype="Int64"), [1, np.nan, 0]),
        (pd.Categorical([1, 2, 3]), ["3", "1", "2"], [2, 0, 1]),
        (pd.Categorical([1, 2, 3]), [3, 1, 2], [2, 0, 1]),
        (pd.Categorical([True, False]), ["True", "False"], [1, 0]),
        (["B", "C"], ["12"], [2]),
        (["B", "C"], ["inf", "1E5"], [2, 2]),
        (["01", "1"], [1, 1], [1, 1]),
        (["01", "001"], [1, 1], None),
        (["B", "C"], [12, 13], None),
        (["B", "C"], [True], None),
    ],
)
def test_categories_are_what_they_say(at_fit, at_use, cells):
    """What is text is new where it was not there. None: nothing says what a category does, or it says what two do."""
    schema = Schema.learn(pd.DataFrame({"code": at_fit}))
    at_use = pd.DataFrame({"code": at_use})
    if cells is None:
        with pytest.raises(ValueError, match=r"column 'code' holds .* where there were categories at fit"):
            schema.to_cells(at_use)
        return
    np.testing.assert_array_equal(np.sort(schema.columns[0].categories), schema.columns[0].categories)
    np.testing.assert_array_equal(schema.to_cells(at_use, mark_new=True)[:, 0], cells)


def test_integers_stay_inside_their_dtype():
    frame = pd.DataFrame({"byte": np.array([0, 255], dtype="uint8"), "long": np.array([-(2**62), 2**62])})
    schema = Schema.learn(frame, None)
    far = schema.to_frame(np.array([[-3.2, -1e30], [300.7, 1e30], [1.5, 2.5]]))
    assert far["byte"].tolist() == [0, 255, 2]
    assert far["long"].tolist() == [-(2**62), 2**62, 2]
    older = replace(schema, columns=tuple(replace(column, low=None, high=None) for column in schema.columns))
    far = older.to_frame(np.array([[-3.2, -1e30], [300.7, 1e30], [1.5, 2.5]]))
    assert far["long"].tolist() == [-(2**63), 2**63 - 1024, 2], "of a model that was saved without ranges"


BAD = {
    "vanished": (lambda f: f.drop(columns=["age"]), "column 'age' is not in X, and was there at fit$"),
    "several vanished": (
        lambda f: f[["size"]],
        r"column 'length' is not in X, .* \(nor are 7 more\)",
    ),
    "new": (lambda f: f.assign(more=1), "column 'more' was not there at fit, and is in X: drop it"),
    "another order": (lambda f: f[f.columns[::-1]], "another order"),
    "text for numbers": (
        lambda f: f.assign(length="long"),
        r"column 'length' holds categories \(str\) where there were numbers at fit, and they cannot",
    ),
    "numbers for text": (lambda f: f.assign(name=1.0), "column 'name' holds numbers .* where there were categories"),
    "numbers for truth": (lambda f: f.assign(alive=2), "column 'alive' holds numbers .* where there were truth values"),
    "infinity": (lambda f: f.assign(length=[1, 2, np.inf, 3]), "infinity at row 2, column 'length'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_at_use(frame, case):
    change, message = BAD[case]
    schema = Schema.learn(frame)
    with pytest.raises(ValueError, match=message) as error:
        schema.to_cells(change(frame))
    assert "\n" not in str(error.value)


UNLEARNABLE = {
    "no columns": ({}, "X has no columns"),
    "nothing in it": ({"a": [1, 2], "b": [None, None]}, "nothing but NaN in column 'b': drop it"),
    "periods": ({"a": pd.period_range("2020", periods=2, freq="D")}, r"column 'a' \(period.*turn it into numbers"),
    "mixed objects": ({"a": [1, "x"]}, "column 'a' .*mixed-integer"),
    "complex numbers": ({"a": [1j, 2j]}, "column 'a' .*complex"),
    "intervals": ({"a": pd.cut([1, 2], 2)}, "column 'a' has categories that are interval: make them text"),
    "infinity": ({"a": [1.0, np.inf]}, "infinity at row 1, column 'a'"),
    "a tuple for a name": ({("a", "b"): [1, 2]}, "give columns names that are text"),
}


@pytest.mark.parametrize("case", UNLEARNABLE)
def test_bad_tables_at_fit(case):
    columns, message = UNLEARNABLE[case]
    with pytest.raises(ValueError, match=message) as error:
        Schema.learn(pd.DataFrame(columns))
    assert "\n" not in str(error.value)


def test_two_columns_of_one_name():
    with pytest.raises(ValueError, match="more than one column 'a'"):
        Schema.learn(pd.DataFrame([[1, 2]], columns=["a", "a"]))
