"""Nothing grows faster than the rows, the epochs or the columns: counted in bytes and calls, where that can be."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import NearestNeighbors

from conftest import Timed, assert_within
from isthmus import Autoencoder, report
from isthmus.evaluation.retrieval import FEW, nearest_by_code
from isthmus.formats.column_names import places_in
from isthmus.formats.frames import Frame
from isthmus.networks import MLP
from isthmus.runs.run import _in_order
from isthmus.sources.delimited import read_delimited
from isthmus.sources.roles import NONE, find_roles
from isthmus.training.history_file import HISTORY, Records

SMALL = {"n_components": 2, "network": MLP(hidden=(8,)), "random_state": 0}
WIDE = 20_000


@pytest.fixture(scope="module")
def sheet():
    """Rows of six columns that two factors explain."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(5000, 2)) @ rng.normal(size=(2, 6)) + 0.1 * rng.normal(size=(5000, 6))).astype(np.float32)


def test_a_checkpoint_does_not_grow_with_the_epochs(sheet, tmp_path):
    sizes, history = {}, {}
    for epochs in (4, 40):
        run = tmp_path / str(epochs)
        Autoencoder(**SMALL, max_epochs=epochs).fit(sheet[:100], resume_from=run)
        sizes[epochs] = (run / "checkpoint.safetensors").stat().st_size
        history[epochs] = (run / HISTORY).stat().st_size
    assert sizes[40] == pytest.approx(sizes[4], rel=0.02)
    assert history[40] == pytest.approx(10 * history[4], rel=0.1)


def test_each_epoch_is_written_once(tmp_path, monkeypatch):
    written = []

    def dumps(record, **options):
        written.append(record["epoch"])
        return json.JSONEncoder(**options).encode(record)

    monkeypatch.setattr("isthmus.training.history_file.json.dumps", dumps)
    records, history = Records(tmp_path / HISTORY), []
    for epoch in range(1, 31):
        history.append({"epoch": epoch, "seconds": 0.1})
        records.keep(history)
    assert written == list(range(1, 31))


def test_a_report_of_ten_times_the_rows_is_as_large(sheet):
    model = Autoencoder(**SMALL, max_epochs=1).fit(sheet[:500])
    few, many = (len(report.model_page(model, X, None, "rows")) for X in (sheet[:2000], np.tile(sheet, (4, 1))))
    assert abs(many - few) < 0.01 * few


def test_pca_of_wide_rows_makes_no_square_of_the_columns():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 6000)).astype(np.float32)
    Autoencoder(**SMALL, max_epochs=1).fit(X[:, :10])
    tracemalloc.start()
    Autoencoder(**SMALL, max_epochs=1).fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 15 * X.nbytes < 6000**2 * 4 / 5


class Counted(str):
    """A name that counts how often it is held against another."""

    times = 0
    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other):
        Counted.times += 1
        return str.__eq__(self, other)


def test_columns_are_looked_up_and_not_sought():
    names = [Counted(f"column {i}") for i in range(2000)]
    wanted = names[::-1]
    assert places_in(names, [str(name) for name in wanted]) == list(range(2000))[::-1]
    assert Counted.times < 5 * len(names)


class Fitted:
    """As much of a model as columns are put in order by."""

    def __init__(self, names):
        self.feature_names_in_ = np.array(names, dtype=object)


def test_wide_tables_are_gone_through_once():
    names = [f"column {i}" for i in range(WIDE)]
    frame = pd.DataFrame(np.zeros((2, WIDE)), columns=names[::-1])
    with Timed() as timed:
        ordered = _in_order(frame, Fitted(names[:-1]))
    assert list(ordered) == names
    assert_within(1, timed.seconds, "columns in the order of a model")
    with Timed() as timed:
        roles = find_roles(frame, NONE, NONE, names[1:])
    assert (list(roles.features), roles.extra) == (names[1:], names[:1])
    assert_within(4, timed.seconds, "the roles of columns of a series")


class Written(str):
    """A name that counts how often it is made text."""

    times = 0
    __slots__ = ()

    def __str__(self):
        Written.times += 1
        return str.__str__(self)


def test_the_names_that_a_model_knows_are_gone_through_once(tmp_path):
    path, names = tmp_path / "wide.csv", [f"column {i}" for i in range(200)]
    pd.DataFrame(np.random.default_rng(0).normal(size=(5, 200)), columns=names).to_csv(path, index=False)
    read = read_delimited(path, numbers=tuple(map(Written, names)))
    assert read.frame.shape == (5, 200)
    assert Written.times <= len(names)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_columns_of_one_dtype_come_back_at_once_and_the_same(dtype):
    """Beside a column of another dtype each is made on its own."""
    rows = 5 * np.random.default_rng(0).normal(size=(40, 4))
    rows[3, 1] = np.nan
    low, high, decimals = (-3.0, -4.0, -np.inf, -1.0), (3.0, 4.0, np.inf, 1.0), (2, 0, None, None)
    one = Frame("pandas", tuple("abcd"), (dtype,) * 4, low, high, decimals)
    two = replace(one, dtypes=(*one.dtypes[:3], "int64"))
    before = rows.copy()
    pd.testing.assert_frame_equal(one.decode(rows)[["a", "b", "c"]], two.decode(rows)[["a", "b", "c"]])
    np.testing.assert_array_equal(rows, before)


@pytest.mark.parametrize("k", [1, 7])
def test_few_queries_need_no_tree(k, monkeypatch):
    """And find what a tree does; the rows are gone through in pieces."""
    rng = np.random.default_rng(0)
    codes, queries = rng.normal(size=(900, 3)).astype(np.float32), rng.normal(size=(FEW, 3)).astype(np.float32)
    expected = NearestNeighbors(n_neighbors=k).fit(codes).kneighbors(queries)
    monkeypatch.setattr("isthmus.evaluation.retrieval.NearestNeighbors", lambda **_: pytest.fail("a tree"))
    monkeypatch.setattr("isthmus.evaluation.retrieval.AT_ONCE", 128)
    found = nearest_by_code(codes, queries, k)
    np.testing.assert_allclose(found.distances, expected[0], rtol=1e-6)
    np.testing.assert_array_equal(found.rows, expected[1])
