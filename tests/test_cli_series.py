"""Series as people have them on the command line: what is understood is said, noted, and used again."""

import json

import numpy as np
import pandas as pd
import pytest

import isthmus
from isthmus.data import time_series

N = 120
HOURS = pd.date_range("2024-01-01", periods=2 * N, freq="h")
TRAIN = "--model sequence --window 12 --stride 4 --components 3 --epochs 2"


def hosts(hours=HOURS[:N], seed=0):
    """Two hosts in one table, its rows in no order, hours 40 to 49 of one of them missing, and hour 3 twice."""
    rng = np.random.default_rng(seed)
    steps = np.arange(len(hours))
    parts = [
        pd.DataFrame(
            {
                "when": hours,
                "host": host,
                "load": np.sin(steps / 4 + i),
                "heat": np.cos(steps / 5) + rng.normal(size=N) / 9,
            }
        )
        for i, host in enumerate(("web", "db"))
    ]
    parts[1] = parts[1].drop(index=range(40, 50))
    table = pd.concat([*parts, parts[0][3:4]])
    return table.sample(frac=1, random_state=seed).reset_index(drop=True)


@pytest.fixture
def trained(run, tmp_path):
    hosts().to_csv(tmp_path / "past.csv", index=False)
    hosts(HOURS[N:], 1).to_csv(tmp_path / "later.csv", index=False)
    status, out, err = run(f"train past.csv {TRAIN} --out run")
    assert status == 0, err
    return out


def test_train_says_what_was_understood(trained, tmp_path):
    for line in (
        "time: column 'when', from 2024-01-01 00:00 to 2024-01-05 23:00, a step is 1 hour",
        "groups: 2, by column 'host': db (110 steps), web (120 steps)",
        "order: the rows went back in time",
        "duplicates: 1 row of the time of another; the mean is taken",
        "gaps: 1, of 11 hours, after 2024-01-02 15:00 of db; no window spans one",
        "features: 'load', 'heat'",
        "windows: 52 of 12 steps, one every 4 steps",
    ):
        assert line in trained
    noted = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (noted["time"], noted["group"], noted["features"]) == ("when", "host", ["load", "heat"])
    report = (tmp_path / "run" / "report.html").read_text()
    assert "host web, 2024-01-0" in report


def test_results_stand_on_the_rows_of_the_file(trained, run, tmp_path):
    model, later = isthmus.load(tmp_path / "run"), pd.read_csv(tmp_path / "later.csv")
    series = time_series(later)
    cut = series.windows(12, 4)
    assert run("score run later.csv -o scores.csv")[0] == 0
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert list(scores.columns) == ["host", "when", "score"]
    pd.testing.assert_frame_equal(scores[["when", "host"]], later[["when", "host"]])
    expected = series.step_scores(model.score_samples(cut, per_feature=True), 4)
    np.testing.assert_allclose(scores.score, expected.sum(1), rtol=1e-5)
    assert run("score run later.csv -o shares.parquet --per-feature")[0] == 0
    np.testing.assert_allclose(pd.read_parquet(tmp_path / "shares.parquet")[["load", "heat"]], expected, rtol=1e-5)
    assert run("reconstruct run later.csv -o rebuilt.csv")[0] == 0
    rebuilt = pd.read_csv(tmp_path / "rebuilt.csv")
    np.testing.assert_allclose(rebuilt[["load", "heat"]], series.on_time_axis(model.reconstruct(cut), 4), rtol=1e-5)
    assert run("transform run later.csv -o codes.csv")[0] == 0
    codes = pd.read_csv(tmp_path / "codes.csv")
    np.testing.assert_allclose(codes.filter(like="code"), model.transform(cut), rtol=1e-5, atol=1e-7)
    pd.testing.assert_frame_equal(
        codes[["host", "when"]], later.loc[codes.start, ["host", "when"]].reset_index(drop=True)
    )
    status, out, _ = run("neighbors run past.csv --query later.csv -o near.csv -k 1")
    assert status == 0
    near = pd.read_csv(tmp_path / "near.csv")
    assert list(near.row) == list(codes.start)
    _, out, _ = run("interpolate run later.csv -o between.npy")
    assert "host web, " in out
    assert ":00 to " in out


def test_columns_in_another_order_and_of_other_names(trained, run, tmp_path):
    later = pd.read_csv(tmp_path / "later.csv")
    run("score run later.csv -o scores.csv")
    later[["heat", "host", "load", "when"]].rename(columns={"when": "at", "host": "node"}).to_csv(
        tmp_path / "other.csv", index=False
    )
    assert "other.csv has no column 'when', which is to be the time" in run("score run other.csv -o x.csv")[2]
    assert run("score run other.csv -o other_scores.csv --time at --group node")[0] == 0
    scores, others = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("scores", "other_scores"))
    np.testing.assert_array_equal(scores.score, others.score)
    later.drop(columns="heat").to_csv(tmp_path / "narrow.csv", index=False)
    assert "narrow.csv has no column 'heat', which the model was trained on" in run("score run narrow.csv -o x.csv")[2]
    later.assign(more=1.0).to_csv(tmp_path / "wide.csv", index=False)
    status, _, err = run("score run wide.csv -o wide_scores.csv")
    assert status == 0
    assert "wide.csv: left out: column 'more', which is not among the features" in err
    np.testing.assert_array_equal(pd.read_csv(tmp_path / "wide_scores.csv").score, scores.score)


def test_short_stretches_are_left_blank_and_filled_nowhere(trained, run, tmp_path):
    later = pd.read_csv(tmp_path / "later.csv", parse_dates=["when"]).sort_values(["host", "when"], ignore_index=True)
    short = later.drop(index=later.index[(later.host == "web")][20:25])[: -N + 30]
    short = short[~((short.host == "web") & (short.when >= HOURS[N + 30]))]  # 20, and 5 to 10 hours of web
    short.loc[short.index[[2, 5]], "load"] = np.nan
    short.loc[short.index[-1], "heat"] = np.nan
    short.to_csv(tmp_path / "short.csv", index=False)
    status, out, _ = run("score run short.csv -o scores.csv")
    assert status == 0
    blank = pd.read_csv(tmp_path / "scores.csv").score.isna().sum()
    assert 0 < blank < 12
    assert f"blank: {blank} rows, which are in no window that says something of them" in " ".join(out.split())
    assert run("impute run short.csv -o filled.csv")[0] == 0
    filled = pd.read_csv(tmp_path / "filled.csv")
    known = short[["load", "heat"]].notna().to_numpy()
    np.testing.assert_array_equal(filled[["load", "heat"]].to_numpy()[known], short[["load", "heat"]].to_numpy()[known])
    assert filled.load.notna().all()
    assert filled.heat.isna().sum() == 1  # the last stands in a short stretch
    assert run("impute run short.csv -o some.csv --missing 0.3")[0] == 0
    some = pd.read_csv(tmp_path / "some.csv")
    same = (some[["load", "heat"]].to_numpy() == short[["load", "heat"]].to_numpy())[known].mean()
    assert 0.6 < same < 0.9
    short[-6:].to_csv(tmp_path / "tiny.csv", index=False)
    line = "tiny.csv: the series has 6 steps, fewer than a window of 12, which run was trained with: give a longer one"
    assert line in run("score run tiny.csv -o x.csv")[2]
    short[::8].to_csv(tmp_path / "sparse.csv", index=False)
    assert "sparse.csv: the longest stretch without a gap has " in run("transform run sparse.csv -o x.csv")[2]
    err = run("train later.csv --model sequence --window 150 --out long")[2]
    assert "the longest of 3 stretches without a gap, of 2 groups by 'host', has 120 steps, fewer than a window" in err
    assert "of 150: give a smaller --window" in err
    assert not (tmp_path / "long").exists()


def test_a_run_goes_on_with_its_time_and_group(trained, run, tmp_path):
    noted = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "run.json").write_text(json.dumps(noted | {"finished": False}))
    assert run("train --resume again")[0] == 0
    one, two = (isthmus.load(tmp_path / name) for name in ("run", "again"))
    cut = time_series(hosts()).windows(12)
    np.testing.assert_array_equal(one.transform(cut), two.transform(cut))
    assert "--time beside --resume" in run("train --resume again --time when")[2]


def test_a_time_may_be_denied(run, tmp_path):
    table = pd.DataFrame({"t": np.arange(N), "load": np.sin(np.arange(N) / 4)})
    table.to_csv(tmp_path / "a.csv", index=False)
    assert "features: 't', 'load'" in run(f"train a.csv {TRAIN} --out run --time none")[1]
    assert run("score run a.csv -o scores.csv")[0] == 0
    assert list(pd.read_csv(tmp_path / "scores.csv")) == ["score"]
    np.save(tmp_path / "a.npy", table.to_numpy())
    assert run("score run a.npy -o scores.csv")[0] == 0
    assert run(f"train a.npy {TRAIN} --out array")[0] == 0
    assert run("score array a.csv -o scores.csv --time none")[0] == 0
    assert "--time t: it is of series: say --window too" in run("train a.csv --time t --out x")[2]
    assert run("train a.csv --out table --epochs 1")[0] == 0
    assert (
        "--group t: table was not trained on a series; leave it out" in run("score table a.csv -o x.csv --group t")[2]
    )


def test_an_unsorted_unix_time_is_no_feature(run, tmp_path):
    """As in shared/cases/integer_time.sh: a later part is as usual as the past was."""
    noise = np.random.default_rng(0).normal(0, 0.1, 1200)
    table = pd.DataFrame(
        {"timestamp": 1_700_000_000 + 300 * np.arange(1200), "value": np.sin(np.arange(1200) / 8) + noise}
    )
    table[:600].sample(frac=1, random_state=0).to_csv(tmp_path / "past.csv", index=False)
    table[600:].to_csv(tmp_path / "later.csv", index=False)
    assert run("train past.csv --model sequence --window 24 --stride 6 --epochs 10 --components 6 --out run")[0] == 0
    for name in ("past", "later"):
        assert run(f"score run {name}.csv -o {name}_scores.csv")[0] == 0
    past, later = (pd.read_csv(tmp_path / f"{name}_scores.csv").score for name in ("past", "later"))
    assert (later < past.quantile(0.01)).mean() < 0.05
