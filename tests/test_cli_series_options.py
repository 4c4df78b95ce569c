"""What is said of a series' file on the command line, what a run notes of it, and where another differs."""

import json

import numpy as np
import pandas as pd
import pytest

import isthmus

N = 120
MINUTES = pd.date_range("2024-01-01", periods=2 * N, freq="min")
TRAIN = "train past.csv --model sequence --window 12 --stride 4 --components 2 --epochs 1"


def minutes(times=MINUTES[:N]):
    steps = np.arange(len(times))
    return pd.DataFrame({"time": times, "cpu": np.sin(steps / 4), "mem": np.cos(steps / 5), "disk": 1.0 + steps % 7})


@pytest.fixture
def write(tmp_path):
    def write_table(table, name="past.csv", **kwargs):
        table.to_csv(tmp_path / name, index=False, **kwargs)

    return write_table


def noted(tmp_path, name="run"):
    return json.loads((tmp_path / name / "run.json").read_text())


def test_columns_are_dropped_and_marks_are_obeyed(run, write, tmp_path):
    table = minutes()
    table.loc[[3, 60], "cpu"] = -999
    write(table)
    for command in ("data past.csv --window 12", f"{TRAIN} --out run"):
        status, out, err = run(f"{command} --drop mem --na=-999")
        assert status == 0, err
        assert "features: 'cpu', 'disk'" in out
        assert "missing: -999 in 2 cells of column 'cpu'" in " ".join(out.replace(".0", "").split())
    assert (noted(tmp_path)["drop"], noted(tmp_path)["na"]) == (["mem"], ["-999"])
    assert isthmus.load(tmp_path / "run").mean_[0] > -1
    status, out, err = run("impute run past.csv -o filled.csv")  # at use too: -999 is missing, mem is not looked at
    assert (status, err) == (0, "")
    filled = pd.read_csv(tmp_path / "filled.csv")
    assert list(filled) == ["time", "cpu", "disk"]
    assert filled.cpu.min() > -10
    write(table.drop(columns="mem"), "without.csv")
    for name in ("past", "without"):
        assert run(f"score run {name}.csv -o {name}_scores.csv")[::2] == (0, "")
    again = [pd.read_csv(tmp_path / f"{name}_scores.csv").score for name in ("past", "without")]
    np.testing.assert_array_equal(*again)
    status, _, err = run("train past.csv --from run --epochs 1 --out next")
    assert status == 0, err
    assert (noted(tmp_path, "next")["drop"], noted(tmp_path, "next")["features"]) == (["mem"], ["cpu", "disk"])
    for command in ("data past.csv --window 12", f"{TRAIN} --out x"):
        assert "past.csv has no column 'men', which is to be dropped: it has 'time'," in run(f"{command} --drop men")[2]
    assert "--kind cpu=number: the columns of a series" in run("data past.csv --window 12 --kind cpu=number")[2]


def test_the_step_is_noted_and_another_is_said(run, write, tmp_path):
    write(minutes())
    assert run(f"{TRAIN} --out run")[0] == 0
    assert noted(tmp_path)["step"] == [60.0, 60.0]
    write(minutes(MINUTES[N:]), "later.csv")
    assert run("score run later.csv -o x.csv")[::2] == (0, "")
    write(minutes(MINUTES[::2]), "slow.csv")
    line = "slow.csv: a step is 2 minutes, and not 1 minute, as where run was trained: "
    for command in ("score run slow.csv -o x.csv", "transform run slow.csv -o x.csv", "impute run slow.csv -o x.csv"):
        assert line in run(f"{command}{' --missing 0.2' * ('impute' in command)}")[2]
    status, _, err = run("train slow.csv --from run --epochs 1 --out next")
    assert status == 0
    assert "slow.csv: a step is 2 minutes, and not 1 minute, as where " in err
    assert noted(tmp_path, "next")["step"] == [120.0, 120.0]
    assert run("score next slow.csv -o x.csv")[::2] == (0, "")
    write(minutes(MINUTES[:N] + pd.to_timedelta(np.arange(N) * 3, "s")), "near.csv")  # 5 %
    assert run("score run near.csv -o x.csv")[::2] == (0, "")
    old = {name: value for name, value in noted(tmp_path).items() if name != "step"}
    (tmp_path / "run" / "run.json").write_text(json.dumps(old))
    assert run("score run slow.csv -o x.csv")[::2] == (0, "")  # a run from before says nothing of it
    for wrong in ("60", [60], [0, "1"]):
        (tmp_path / "run" / "run.json").write_text(json.dumps(old | {"step": wrong}))
        assert "run.json is altered: its 'step' is" in run("score run later.csv -o x.csv")[2]


def test_a_counter_has_a_step_too(run, write, tmp_path):
    write(minutes().assign(time=np.arange(N)))
    assert run(f"{TRAIN} --out run")[0] == 0
    assert noted(tmp_path)["step"] == [1.0, 1.0]
    write(minutes().assign(time=5 * np.arange(N)), "slow.csv")
    assert "slow.csv: a step is 5, and not 1, as where run was trained" in run("score run slow.csv -o x.csv")[2]


def test_how_a_file_was_read_is_said(run, write, tmp_path):
    table = minutes().rename(columns={"disk": "Größe"})
    write(table, sep=";", decimal=",", encoding="latin-1")
    for command in ("data past.csv --window 12", f"{TRAIN} --out run"):
        status, out, err = run(command)
        assert status == 0, err
        first, second = out.splitlines()[:2]
        assert "Latin-1" in first
        assert second == "separated by semicolons, with decimal commas"
    assert "past.csv: it is not UTF-8, and is read as Latin-1" in run("score run past.csv -o x.csv")[2]
    write(table)
    assert run("score run past.csv -o x.csv")[::2] == (0, "")


def test_columns_without_a_value_and_groups_without_a_length(run, write):
    write(minutes().assign(disk=np.nan))
    assert "missing: all 120 cells of column 'disk'" in run("data past.csv --window 12")[1]
    line = "past.csv: column 'disk' holds no value in any window; --drop disk leaves it out"
    assert line in run(f"{TRAIN} --out run")[2]
    assert run(f"{TRAIN} --drop disk --out run")[0] == 0
    line = (
        "past.csv: the longest of 120 stretches without a gap, of 120 groups by 'cpu', has 1 step, fewer than a window "
    )
    for command in ("data past.csv --window 12", f"{TRAIN} --out x"):
        err = run(f"{command} --group cpu")[2]
        assert line in err
        assert "give a smaller --window" in err
    assert (
        "past.csv: the series has 120 steps, fewer than a window of 200: give a smaller --window"
        in (run("data past.csv --window 200")[2])
    )


def test_a_time_in_several_columns_is_noted(run, write, tmp_path):
    hours = pd.date_range("2024-01-01", periods=N, freq="h")
    parts = {name: getattr(hours, name) for name in ("year", "month", "day", "hour")}
    write(pd.DataFrame({**parts, "load": np.sin(np.arange(N) / 4)}))
    assert run(f"{TRAIN} --out run")[0] == 0
    status, _, err = run("score run past.csv -o scores.csv")
    assert (status, err) == (0, "")
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert list(scores) == ["year-month-day", "score"]
    assert scores["year-month-day"][25] == "2024-01-02 01:00"
