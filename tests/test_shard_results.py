"""What models say of shards, in shards."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from isthmus import Autoencoder, ConditionalVariationalAutoencoder, OutlierDetector, TabularAutoencoder, datasets, load
from isthmus.saving.atomic import OURS

N, SHARDS = 60, 5
SMALL = {"max_epochs": 1, "random_state": 0, "validation_fraction": None}


def table():
    random = np.random.default_rng(0)
    X = pd.DataFrame(random.normal(size=(N, 2)) @ random.normal(size=(2, 4)), columns=list("abcd"))
    X.loc[::7, "b"] = np.nan
    return X.assign(y=np.where(X.a > 0, "up", "down"))


def in_shards(X, folder, **how):
    folder.mkdir(parents=True)
    for i, part in enumerate(np.array_split(np.arange(len(X)), SHARDS)):
        X.iloc[part].to_parquet(folder / f"part-{i}.parquet", row_group_size=5, **how)
    return folder


@pytest.fixture
def shards(tmp_path):
    return in_shards(table().drop(columns="y"), tmp_path / "rows")


@pytest.fixture(scope="module")
def model():
    return Autoencoder(2, **SMALL).fit(table().drop(columns="y"))


def together(files):
    return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)


def test_each_shard_has_its_result_and_together_they_are_those_of_the_rows(model, shards, tmp_path):
    X = table().drop(columns="y")
    files = datasets.write_shards(model.transform, shards, tmp_path / "codes")
    assert [file.name for file in files] == sorted(path.name for path in shards.glob("*.parquet"))
    codes = together(files)
    assert list(codes) == ["code_0", "code_1"]
    np.testing.assert_allclose(codes, model.transform(X), rtol=1e-4, atol=1e-5)
    scores = together(datasets.write_shards(model.score_samples, shards, tmp_path / "scores"))
    np.testing.assert_allclose(scores["score"], model.score_samples(X), rtol=1e-4)
    filled = together(datasets.write_shards(model.impute, shards, tmp_path / "filled", n_iter=3))
    pd.testing.assert_frame_equal(filled, model.impute(X, n_iter=3), rtol=1e-4)
    each = together(datasets.write_shards(model.score_samples, shards, tmp_path / "each", per_feature=True))
    pd.testing.assert_frame_equal(each, model.score_samples(X, per_feature=True), rtol=1e-4)


def test_npy_keeps_arrays(model, shards, tmp_path):
    files = datasets.write_shards(model.transform, shards, tmp_path / "codes", ending="npy")
    codes = np.concatenate([np.load(file) for file in files])
    np.testing.assert_allclose(codes, model.transform(table().drop(columns="y")), rtol=1e-4, atol=1e-5)
    files = datasets.write_shards(model.reconstruct, shards, tmp_path / "rows-npy", ending="npy")
    assert sum(len(np.load(file)) for file in files) == N


def test_conditions_dropped_columns_and_names_of_rows(tmp_path):
    X = table().set_axis([f"r{i}" for i in range(N)]).rename_axis("who").assign(useless=1.0)
    shards = in_shards(X, tmp_path / "rows")
    rows = X.drop(columns=["y", "useless"])
    model = ConditionalVariationalAutoencoder(2, **SMALL).fit(rows, X.y)
    codes = together(datasets.write_shards(model.transform, shards, tmp_path / "codes", y="y", drop=["useless"]))
    assert list(codes) == ["who", "code_0", "code_1"]
    assert list(codes.who) == list(X.index)
    np.testing.assert_allclose(codes.drop(columns="who"), model.transform(rows, X.y), rtol=1e-4, atol=1e-5)
    plain = Autoencoder(2, **SMALL).fit(rows)
    filled = together(
        datasets.write_shards(plain.impute, shards, tmp_path / "filled", y="y", drop=["useless"], n_iter=2)
    )
    assert list(filled) == ["who", *"abcd", "y"]
    assert list(filled.y) == list(X.y)


def test_mixed_tables_keep_their_kinds_where_a_piece_has_gaps_alone(tmp_path):
    X = table().assign(n=np.arange(N), flag=pd.array([True, False, None] * (N // 3), dtype="boolean"))
    X.loc[:11, ["b", "y"]] = None  # the first shard has nothing but gaps there
    shards = in_shards(X, tmp_path / "rows")
    model = TabularAutoencoder(2, **SMALL).fit(X)
    filled = together(datasets.write_shards(model.impute, shards, tmp_path / "filled", n_iter=2))
    assert set(filled.y) <= {"up", "down"}
    assert not filled.isna().any(axis=None)
    detector = OutlierDetector(TabularAutoencoder(2, **SMALL)).fit(X)
    found = together(datasets.write_shards(detector.predict, shards, tmp_path / "found"))
    assert list(found.prediction) == list(detector.predict(X))


@pytest.mark.parametrize("ending", ["parquet", "npy"])
def test_an_empty_shard_has_an_empty_result(ending, model, shards, tmp_path):
    read = pd.read_parquet if ending == "parquet" else lambda file: pd.DataFrame(np.load(file))
    for name in ("a", "part-2x"):
        pd.read_parquet(shards / "part-0.parquet")[:0].to_parquet(shards / f"{name}.parquet")
    for method in (model.transform, model.score_samples, model.impute):
        out = tmp_path / method.__name__
        for _ in range(2):  # the second finds them there
            results = [read(file) for file in datasets.write_shards(method, shards, out, ending=ending)]
        assert [len(each) for each in results] == [0, *[N // SHARDS] * 3, 0, *[N // SHARDS] * 2]
        assert all(list(each) == list(results[1]) for each in results)
        assert all((each.dtypes == results[1].dtypes).all() for each in results)
        X = table().drop(columns="y")
        expected = np.asarray(method(X)).reshape(N, -1)
        np.testing.assert_allclose(pd.concat(results), expected, rtol=1e-4, atol=1e-5)


def test_it_goes_on_where_it_stopped(model, shards, tmp_path):
    out = tmp_path / "codes"
    files = datasets.write_shards(model.transform, shards, out)
    expected = together(files)
    kept = files[1].stat().st_mtime_ns
    for file in (files[2], files[4]):
        file.unlink()
    half = out / f".part-2{OURS}0.parquet"
    half.write_bytes(b"PAR1 half of it")  # what a killed process leaves
    again = datasets.write_shards(model.transform, shards, out)
    pd.testing.assert_frame_equal(together(again), expected)
    assert files[1].stat().st_mtime_ns == kept
    assert not half.exists()
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert datasets.write_shards(loaded.transform, shards, out) == again  # it is the same model


def test_what_is_killed_while_it_writes_leaves_whole_results_alone(model, shards, tmp_path):
    class StopError(Exception):
        pass

    class Killed(Autoencoder):
        calls = 0

        def transform(self, X):
            self.calls += 1
            if self.calls == 2:
                raise StopError
            return super().transform(X)

    killed = Killed(2, **SMALL).fit(table().drop(columns="y"))
    with pytest.raises(StopError):
        datasets.write_shards(killed.transform, shards, tmp_path / "codes")
    assert sorted(path.name for path in (tmp_path / "codes").iterdir()) == ["_results.json", "part-0.parquet"]


def test_results_of_something_else_are_refused_in_a_line(model, shards, tmp_path):
    out = tmp_path / "codes"
    files = datasets.write_shards(model.transform, shards, out)
    other = Autoencoder(2, **(SMALL | {"random_state": 1})).fit(table().drop(columns="y"))
    with pytest.raises(ValueError, match="codes holds results of another model: give another folder"):
        datasets.write_shards(other.transform, shards, out)
    with pytest.raises(ValueError, match="the method transform, and not score_samples"):
        datasets.write_shards(model.score_samples, shards, out)
    moved = shards.rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="holds results of the source"):
        datasets.write_shards(model.transform, moved, out)
    moved.rename(shards)
    (out / "_results.json").unlink()
    with pytest.raises(ValueError, match=r"part-0\.parquet is there already, and nothing says what it is of"):
        datasets.write_shards(model.transform, shards, out)
    new = tmp_path / "new"
    datasets.write_shards(model.transform, shards, new)
    pd.read_parquet(files[0])[:-1].to_parquet(new / "part-0.parquet")
    with pytest.raises(ValueError, match=r"part-0\.parquet has 11 rows, and .* 12: delete it"):
        datasets.write_shards(model.transform, shards, new)
    for broken in (b"PAR1", pd.read_parquet(files[0]).to_parquet()[:-9], b""):
        (new / "part-0.parquet").write_bytes(broken)
        with pytest.raises(ValueError, match=r"cannot read .*part-0\.parquet: delete it, and it is written anew"):
            datasets.write_shards(model.transform, shards, new)
    (new / "_results.json").write_text("{")
    with pytest.raises(ValueError, match="is altered"):
        datasets.write_shards(model.transform, shards, new)


def test_a_shard_that_changed_has_no_stale_result(model, shards, tmp_path):
    out = tmp_path / "codes"
    files = datasets.write_shards(model.transform, shards, out)
    first = shards / "part-1.parquet"
    kept, changed = first.read_bytes(), pd.read_parquet(first).assign(a=lambda X: X.a + 1)
    changed.to_parquet(first)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"part-1\.parquet has changed since .*codes.part-1\.parquet was written"):
            datasets.write_shards(model.transform, shards, out)
    files[1].unlink()
    codes = pd.read_parquet(datasets.write_shards(model.transform, shards, out)[1])
    np.testing.assert_allclose(codes, model.transform(changed), rtol=1e-4, atol=1e-5)
    assert datasets.write_shards(model.transform, shards, out) == files
    first.write_bytes(kept)  # restored: the result is of the other
    with pytest.raises(ValueError, match="has changed since"):
        datasets.write_shards(model.transform, shards, out)
    files[1].unlink()
    changed.to_parquet(shards / "part-9.parquet")  # one more
    assert len(datasets.write_shards(model.transform, shards, out)) == SHARDS + 1


def test_what_failed_before_any_result_is_in_no_ones_way(model, shards, tmp_path):
    out = tmp_path / "codes"
    with pytest.raises(NotFittedError):
        datasets.write_shards(Autoencoder(2).transform, shards, out)
    with pytest.raises(TypeError):
        datasets.write_shards(model.transform, shards, out, wrong=5)
    with pytest.raises(ValueError, match="n_iter"):
        datasets.write_shards(model.impute, shards, out, n_iter=-5)
    assert len(datasets.write_shards(model.transform, shards, out)) == SHARDS


def test_mistakes_in_a_line(model, shards, tmp_path):
    with pytest.raises(TypeError, match="give a method of a fitted model"):
        datasets.write_shards(np.mean, shards, tmp_path / "out")
    with pytest.raises(ValueError, match="give another place for the results"):
        datasets.write_shards(model.transform, shards, shards)
    with pytest.raises(TypeError, match="give the path of a folder of Parquet files"):
        datasets.write_shards(model.transform, table(), tmp_path / "out")
    np.save(tmp_path / "X.npy", np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"write_shards takes Parquet, in a folder or one file, and .*X\.npy is none"):
        datasets.write_shards(model.transform, tmp_path / "X.npy", tmp_path / "out")
    (tmp_path / "X.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"^there is no file or folder ~/rows$"):
        datasets.write_shards(model.transform, "~/rows", tmp_path / "out")
    for folder in (shards / "codes", shards / "a" / "b", shards.parent):
        with pytest.raises(ValueError, match=r"give another (place|folder) for the results"):
            datasets.write_shards(model.transform, shards, folder)
    assert len(list(shards.parent.rglob("*"))) == 1 + SHARDS
    with pytest.raises(ValueError, match="ending='csv'"):
        datasets.write_shards(model.transform, shards, tmp_path / "out", ending="csv")
    with pytest.raises(ValueError, match="drop names the column 'z'"):
        datasets.write_shards(model.transform, shards, tmp_path / "out", drop=["z"])
    assert not (tmp_path / "out").exists()
    X = table().drop(columns="y")
    X.rename(columns={"d": "e"}).to_parquet(shards / "part-3.parquet")
    with pytest.raises(ValueError, match=r"part-3\.parquet has a column 'e', unlike"):
        datasets.write_shards(model.transform, shards, tmp_path / "out")
    (shards / "part-3.parquet").write_bytes(b"none")
    with pytest.raises(ValueError, match=r"cannot read .*part-3\.parquet"):
        datasets.write_shards(model.transform, shards, tmp_path / "out")


@pytest.mark.parametrize("names", [("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")])
def test_processes_take_every_so_many_th_shard(names, model, shards, tmp_path, monkeypatch):
    parts = []
    for rank in range(2):
        monkeypatch.setenv(names[0], str(rank))
        monkeypatch.setenv(names[1], "2")
        parts.append(datasets.write_shards(model.transform, shards, tmp_path / "codes"))
    assert [len(part) for part in parts] == [3, 2]
    files = sorted(parts[0] + parts[1])
    assert files == sorted((tmp_path / "codes").glob("*.parquet"))
    codes = model.transform(table().drop(columns="y"))
    np.testing.assert_allclose(together(files), codes, rtol=1e-4, atol=1e-5)
    noted = json.loads((tmp_path / "codes" / "_results.json").read_text())
    assert (noted["method"], noted["class"]) == ("transform", "Autoencoder")
    monkeypatch.setenv(names[0], "2")
    with pytest.raises(ValueError, match=f"{names[0]}=2 and {names[1]}=2"):
        datasets.write_shards(model.transform, shards, tmp_path / "codes")


def test_the_script_that_srun_is_called_in_takes_all_shards(model, shards, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_NTASKS", "4")
    assert len(datasets.write_shards(model.transform, shards, tmp_path / "codes")) == 5
