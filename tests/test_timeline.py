"""Long series as people have them: which columns say when and of which series, order, gaps, and the way back."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.data import on_time_axis, step_scores, time_series, windows
from isthmus.sources.series_files import read_series

N = 60
HOURS = pd.date_range("2024-01-29", periods=N, freq="h")
WAVE = np.sin(np.arange(N) / 5)
SECONDS = HOURS.astype("int64") // 10 ** (9 if HOURS.unit == "ns" else {"us": 6, "ms": 3, "s": 0}[HOURS.unit])


def lines_of(series, start):
    return [line for line in series.lines if line.startswith(start)]


def two_hosts():
    """Two hosts in one table, row by row; one of them was away from hour 20 to 29."""
    hosts = [pd.DataFrame({"time": HOURS, "host": host, "value": WAVE + i}) for i, host in enumerate("ab")]
    hosts[1] = hosts[1].drop(index=range(20, 30))
    return pd.concat(hosts).sort_values(["time", "host"], ignore_index=True)


WRITTEN = {
    "ISO": HOURS.astype(str),
    "ISO with a zone": [f"{time:%Y-%m-%dT%H:%M:%S}Z" for time in HOURS],
    "day first": HOURS.strftime("%d/%m/%Y %H:%M"),
    "month first": HOURS.strftime("%m/%d/%Y %H:%M"),
    "dots": HOURS.strftime("%d.%m.%Y %H:%M"),
    "words": HOURS.strftime("%b %d, %Y %I:%M %p"),
    "log": HOURS.strftime("%d/%b/%Y:%H:%M:%S +0000"),
    "digits": HOURS.strftime("%Y%m%d%H%M").astype(int),
    "s": SECONDS,
    "ms": SECONDS * 10**3,
    "us": SECONDS * 10**6,
    "ns": SECONDS * 10**9,
    "s and parts": SECONDS + 0.25,
    "text of s": SECONDS.astype(str),
    "datetime": HOURS,
    "datetime with a zone": HOURS.tz_localize("Europe/Berlin"),
    "period": HOURS.to_period("h"),
    "timedelta": HOURS - HOURS[0],
    "object": list(HOURS.to_pydatetime()),
    "counter": np.arange(N),
    "counter by 7": 7 * np.arange(N) + 3,
    "floats": 0.1 * np.arange(N),
}


@pytest.mark.parametrize("written", WRITTEN)
def test_a_time_is_no_feature_however_it_is_written(written):
    table = pd.DataFrame({"time": WRITTEN[written], "value": WAVE})
    series = time_series(table)
    assert (series.names, series.time.name, series.lines[1:3]) == (
        ["value"],
        "time",
        ["gaps: none", "features: 'value'"],
    )
    hour = {"counter": "1", "counter by 7": "7", "floats": "0.1"}.get(written, "1 hour")
    assert series.lines[0].endswith(f"a step is {hour}")
    np.testing.assert_array_equal(series.windows(10, 3), windows(WAVE, 10, 3))
    gap = time_series(table.drop(index=range(20, 25)))
    assert len(gap.stretches) == 2
    np.testing.assert_array_equal(gap.windows(10, 3), np.vstack([windows(w, 10, 3) for w in (WAVE[:20], WAVE[25:])]))


@pytest.mark.parametrize("written", [name for name in WRITTEN if name not in ("period", "timedelta")])
def test_a_file_says_the_same(written, tmp_path):
    pd.DataFrame({"time": WRITTEN[written], "value": WAVE}).to_csv(tmp_path / "a.csv", index=False)
    series = read_series(tmp_path / "a.csv")
    assert (series.names, len(series.stretches)) == (["value"], 1)
    np.testing.assert_array_equal(series.values[:, 0], WAVE)


@pytest.mark.parametrize(
    ("dates", "step"),
    [
        (pd.date_range("2024-02-01", periods=11).strftime("%d/%m/%Y"), "1 day"),  # months by their sound, days by sense
        (pd.date_range("2020-01-31", periods=30, freq="ME").astype(str), "31 days"),
        (pd.date_range("2020-01-01", periods=30).strftime("%Y%m%d").astype(int), "1 day"),
        (pd.bdate_range("2020-01-01", periods=60).delete([9, 30, 31]), "1 day"),  # weekends, a holiday, two
        (HOURS + pd.to_timedelta(np.random.default_rng(0).integers(-500, 500, N), "s"), "hour"),
    ],
)
def test_no_gap_where_there_is_none(dates, step):
    series = time_series(pd.DataFrame({"date": dates, "value": np.arange(len(dates))}))
    assert len(series.stretches) == 1, series
    assert step in series.lines[0] or "minutes" in series.lines[0]
    assert (np.diff(series.values[:, 0]) == 1).all()


def test_a_weekday_series_has_gaps_of_weeks():
    days = pd.bdate_range("2020-01-01", periods=60).delete(range(20, 30))
    assert len(time_series(pd.DataFrame({"date": days, "value": 1.0})).stretches) == 2


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("t", np.random.default_rng(0).integers(10, 30, N)),  # a temperature
        ("bytes", 1_700_000_000 + np.cumsum(np.random.default_rng(0).integers(0, 3000, N))),
        ("response_time", np.random.default_rng(0).normal(size=N)),
        ("odometer", np.arange(N)),
    ],
)
def test_numbers_that_are_measured_stay_features(name, values):
    assert time_series(pd.DataFrame({name: values, "value": WAVE})).names == [name, "value"]


def test_irregular_times_by_their_name():
    rng = np.random.default_rng(0)
    jitter = SECONDS + rng.integers(-900, 900, N)
    for times in (jitter, jitter * 1000, np.cumsum(rng.exponential(1, N)), SECONDS + rng.integers(-200, 200, N)):
        table = pd.DataFrame({"timestamp": times, "value": WAVE})
        assert time_series(table).names == ["value"]
        assert time_series(table.rename(columns={"timestamp": "x"})).names[-1] == "value"
    assert time_series(pd.DataFrame({"x": SECONDS + rng.integers(-200, 200, N), "value": WAVE})).names == ["value"]


def test_the_time_is_named_or_there_is_none():
    table = pd.DataFrame({"t": np.arange(N)[::-1], "odometer": 5 * np.arange(N), "value": WAVE})
    assert time_series(table).time.name == "t"
    assert time_series(table, time="odometer").names == ["value"]  # t counts the rows, and is left out
    untimed = time_series(table, time="none")
    assert (untimed.time, untimed.names) == (None, ["t", "odometer", "value"])
    assert time_series(table, features=["t", "value"]).names[:2] == ["t", "value"]


def test_a_word_that_tells_two_doubled_hours_apart_is_no_host():
    table = pd.DataFrame({"time": HOURS.delete(9).insert(9, HOURS[8]), "state": ["on", "off"] * 30, "value": WAVE})
    with pytest.raises(ValueError, match="column 'state' holds no numbers"):
        time_series(table)
    assert time_series(table.drop(columns="state")).irregular[0].startswith("duplicates: 1 row")


@pytest.mark.parametrize("mark", ["?", "NA", " - ", "null", ""])
def test_marks_of_what_is_missing(mark, tmp_path):
    table = pd.DataFrame({"time": HOURS.astype(str), "value": WAVE.astype(str)})
    table.loc[7, "value"] = table.loc[20, "time"] = mark
    table.to_csv(tmp_path / "a.csv", index=False)
    for series in (time_series(table), read_series(tmp_path / "a.csv")):
        assert (series.names, series.irregular[0]) == (["value"], "left out: 1 row of no time")
        np.testing.assert_array_equal(np.isnan(series.rows[:, 0]), np.arange(N) == 7)
    assert lines_of(time_series(table), "missing: ") == [f"missing: {mark!r} in 1 cell of column 'value'"]


def test_what_is_left_out_is_said():
    table = pd.DataFrame({"id": np.arange(N), "message": [f"request {i}" for i in range(N)], "value": WAVE})
    for series in (time_series(table), time_series(table.assign(time=HOURS))):
        assert series.names == ["value"]
        assert lines_of(series, "left out: ") == [
            "left out: column 'id', which is another in each row",
            "left out: column 'message', which is another in each row",
        ]
    cycles = pd.DataFrame({"unit": np.repeat([1, 2], N), "cycle": np.tile(np.arange(N), 2), "value": np.tile(WAVE, 2)})
    series = time_series(cycles.sample(frac=1, random_state=0))
    assert (series.names, series.time.name, series.group.name) == (["value"], "cycle", "unit")
    np.testing.assert_array_equal(series.values[:, 0], cycles.value)


def test_a_date_that_stands_for_no_end_is_none():
    table = pd.DataFrame(
        {"until": [*HOURS[:30].astype(str), *["9999-12-31"] * 30], "at": HOURS.astype(str), "value": WAVE}
    )
    series = time_series(table)
    assert (series.time.name, series.names, len(series.values)) == ("at", ["value"], N)
    assert time_series(table.drop(columns="at")).irregular == ["left out: 30 rows of no time"]
    assert time_series(table.astype({"until": "datetime64[us]"}), time="until").time.name == "until"


@pytest.mark.parametrize("n", [1, 2, 3])
def test_very_short_tables(n):
    table = pd.DataFrame({"time": HOURS[:n], "value": WAVE[:n]})
    np.testing.assert_array_equal(time_series(table).windows(n), [WAVE[:n]])
    at_once = time_series(table.assign(time=HOURS[0]))
    np.testing.assert_allclose(at_once.windows(1), [[WAVE[:n].mean()]])


def test_an_index_of_dates_and_a_frame_without():
    indexed = time_series(pd.DataFrame({"value": WAVE}, index=HOURS))
    assert (indexed.time.name, indexed.names) == ("time", ["value"])
    named = time_series(pd.Series(WAVE, HOURS.rename("when"), name="load"))
    assert (named.time.name, named.names) == ("when", ["load"])
    plain = time_series(WAVE)
    assert (plain.time, plain.lines[0]) == (None, "time: no column says when; the rows are steps as they stand")
    np.testing.assert_array_equal(plain.windows(7, 2), windows(WAVE, 7, 2))


@pytest.mark.parametrize("form", ["polars", "pyarrow", "decimals", "nullable", "arrow-backed"])
def test_tables_of_other_kinds(form):
    table = pd.DataFrame({"time": HOURS, "value": np.round(WAVE * 100)})
    if form == "polars":
        other = pytest.importorskip("polars").from_pandas(table)
    elif form == "pyarrow":
        other = pa.Table.from_pandas(table)
    elif form == "decimals":
        other = table.assign(value=[Decimal(int(value)) for value in table.value])
    else:
        other = table.convert_dtypes(dtype_backend="pyarrow" if form == "arrow-backed" else "numpy_nullable")
    series = time_series(other)
    assert (series.names, series.time.name) == (["value"], "time")
    np.testing.assert_array_equal(series.windows(9), windows(table.value, 9))


def test_dates_beside_times_of_the_day():
    table = pd.DataFrame({"Date": HOURS.strftime("%d/%m/%Y"), "Time": HOURS.strftime("%H:%M"), "value": WAVE})
    series = time_series(table.sample(frac=1, random_state=0))
    assert (
        series.lines[0]
        == "time: columns 'Date' and 'Time', from 29/01/2024 00:00 to 31/01/2024 11:00, a step is 1 hour"
    )
    np.testing.assert_array_equal(series.values[:, 0], WAVE)


GROUPS = {
    "found": (two_hosts(), {}),
    "named": (two_hosts(), {"group": "host"}),
    "numbers": (two_hosts().assign(host=lambda table: table.host.map({"a": 17, "b": 21})), {}),
    "numbers by another name": (
        two_hosts().assign(host=lambda table: table.host.map({"a": 17, "b": 21})).rename(columns={"host": "q"}),
        {},
    ),
    "Unix": (two_hosts().assign(time=lambda table: (table.time - pd.Timestamp(0)) // pd.Timedelta("1s")), {}),
    "category": (two_hosts().astype({"host": "category"}), {}),
    "with a region": (two_hosts().assign(region=lambda table: table.host.map({"a": "x", "b": "y"})), {}),
}


@pytest.mark.parametrize("case", GROUPS)
def test_windows_of_two_hosts(case):
    table, given_ = GROUPS[case]
    series = time_series(table, **given_)
    assert series.names == ["value"]
    assert len(series.stretches) == 3
    assert lines_of(series, "groups: 2, by column")
    assert lines_of(series, "gaps: 1, of 11 hours, after 2024-01-29 19:00 of ") or case not in ("found", "named")
    parts = WAVE, WAVE[:20] + 1, WAVE[30:] + 1
    np.testing.assert_array_equal(series.windows(10, 3), np.vstack([windows(part, 10, 3) for part in parts]))
    assert series.window_names(10, 3)[0].endswith(", 2024-01-29 00:00 to 09:00")
    back = series.on_time_axis(series.windows(10, 3), 3)
    np.testing.assert_allclose(back, table.value)  # the table's own rows, in their order


def test_hosts_behind_one_another():
    table = pd.DataFrame({"host": np.repeat([1, 2], N), "value": np.tile(WAVE, 2)})
    assert len(time_series(table).stretches) == 2
    assert len(time_series(table.assign(time=pd.date_range("2024", periods=2 * N, freq="h"))).stretches) == 2
    one = time_series(table.assign(host="a", state="on"))
    assert (len(one.stretches), one.names, one.group.name) == (1, ["value"], "host")
    assert lines_of(one, "left out") == ["left out: column 'state', which says no more than 'host' does"]
    mixed = time_series(table.assign(host=np.tile([1, 2], N)))
    assert mixed.names == ["host", "value"]  # which cannot be told: so it is said
    assert lines_of(mixed, "column 'host' is taken for a feature")[0].endswith("say so, --group host")
    assert time_series(table, group="none").names == ["host", "value"]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60)), min_size=40, max_size=90),
    st.integers(2, 6),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_any_order_of_rows_gives_the_same_windows(rows, length, stride, random):
    """Rows of any hosts and hours, some of them twice: windows hold steps of one host, an hour apart."""
    rows = [(host, hour) for host, hour in [*rows, *((0, hour) for hour in range(20))] if hour % 17]
    table = pd.DataFrame(rows, columns=["host", "hour"])
    table["time"] = HOURS[0] + pd.to_timedelta(table.hour, "h")
    table["host"] = table.host.map({0: "a", 1: "b", 2: "c"})
    table["value"] = 100.0 * table.host.map({"a": 1, "b": 2, "c": 3}) + table.hour
    table = table.drop(columns="hour")
    series = time_series(table, group="host")
    if max(np.diff(series.stretches, axis=1)) < length:
        with pytest.raises(ValueError, match="fewer than a window"):
            series.windows(length, stride)
        return
    cut = series.windows(length, stride)
    order = random.sample(range(len(table)), len(table))
    shuffled = time_series(table.iloc[order], group="host")
    np.testing.assert_array_equal(shuffled.windows(length, stride), cut)
    assert shuffled.window_names(length, stride) == series.window_names(length, stride)
    assert (cut // 100 == cut[:, :1] // 100).all()  # one host
    steady = np.diff(cut, axis=1).ravel()
    by_host = {host: np.diff(np.unique(part)) for host, part in table.groupby("host").value}
    assert all(
        pace <= 1.5 * max(np.median(paces) if len(paces) else 1 for paces in by_host.values()) for pace in steady
    )
    back = series.on_time_axis(cut, stride)
    covered = ~np.isnan(back)
    np.testing.assert_allclose(back[covered], table.value[covered])
    np.testing.assert_allclose(shuffled.on_time_axis(cut, stride), back[order])
    if stride <= length:
        is_long = np.zeros(len(series.values), bool)
        for begin, end in series.stretches[np.diff(series.stretches, axis=1)[:, 0] >= length]:
            is_long[begin:end] = True
        np.testing.assert_array_equal(covered, is_long[series.steps])


def test_what_was_odd_is_said():
    table = pd.DataFrame({"time": HOURS, "value": WAVE})
    odd = pd.concat([table[30:], table[:25], table[:3].assign(value=np.nan)]).reset_index(drop=True)
    odd.loc[len(odd)] = [pd.NaT, 1.0]
    series = time_series(odd)
    assert series.irregular == [
        "order: the rows went back in time 2 times, and are sorted",
        "duplicates: 3 rows of the time of another; the mean is taken",
        "left out: 1 row of no time",
        "gaps: 1, of 6 hours, after 2024-01-30 00:00; no window spans one",
    ]
    np.testing.assert_array_equal(series.values[:25, 0], WAVE[:25])  # a blank has no part in the mean
    assert series.understood(28, 4)[-1] == (
        "windows: 2 of 28 steps, one every 4 steps; 1 of 2 stretches without a gap, 25 steps, are shorter and left out"
    )
    back = series.on_time_axis(series.windows(28, 4), 4)
    np.testing.assert_array_equal(np.isnan(back), [*np.zeros(30, bool), *np.ones(29, bool)])
    with pytest.raises(ValueError, match="the longest of 2 stretches without a gap has 30 steps, fewer than a window"):
        series.windows(31)


def test_duplicates_of_many_hosts_ask_for_a_group():
    table = two_hosts().drop(columns="host")
    assert lines_of(time_series(table), "duplicates: ")[0].endswith("are they several series? --group COLUMN")
    random = pd.DataFrame({"time": np.cumsum(np.random.default_rng(0).exponential(60, 300)) + 1.7e9, "value": 1.0})
    assert lines_of(time_series(random, time="time"), "irregular: ")


def test_steps_are_scored_by_themselves_and_by_their_windows(rng):
    shares = rng.normal(size=(17, 12, 2))
    expected = on_time_axis(shares + shares.sum(1, keepdims=True) / np.sqrt(12), 60, 3)
    np.testing.assert_allclose(step_scores(shares, 60, 3), expected)
    np.testing.assert_allclose(time_series(rng.normal(size=(60, 2))).step_scores(shares, 3), expected)
    shares[:, :, 1] = np.nan
    scores = step_scores(shares, 60, 3)
    np.testing.assert_allclose(scores[:, 0], expected[:, 0])
    assert np.isnan(scores[:, 1]).all()


@pytest.mark.parametrize("kind", ["step", "stretch"])
def test_steps_and_stretches_are_found(kind, rng):
    """What neither the steps' own scores nor the windows' find, both do together."""
    shares = rng.normal(size=1000)
    at = slice(500, 501) if kind == "step" else slice(480, 520)
    shares[at] -= 8 if kind == "step" else 1
    scores = step_scores(windows(shares, 40, 4), 1000, 4)
    assert scores[at].mean() < np.quantile(scores, 0.03)
    if kind == "step":
        assert scores.argmin() == 500
    else:
        assert (shares[at] < np.quantile(shares, 0.05)).mean() < 0.5 < (scores[at] < np.quantile(scores, 0.05)).mean()


@pytest.mark.parametrize(
    ("table", "given_", "message"),
    [
        (
            {"time": HOURS, "value": WAVE},
            {"time": "when"},
            "the table has no column 'when', which is to be the time: it",
        ),
        ({"time": HOURS, "value": WAVE}, {"group": "host"}, "the table has no column 'host', which is to be the group"),
        ({"time": HOURS, "value": WAVE}, {"time": "time", "group": "time"}, "'time' cannot be both time and group"),
        ({"a": ["x", "y"] * 30, "value": WAVE}, {"time": "a"}, "column 'a' holds no times: name another, or none"),
        (
            {"time": ["oops", *HOURS[1:].astype(str)], "value": WAVE},
            {},
            "column 'time' holds 'oops' in row 0, and times",
        ),
        ({"time": HOURS, "s": ["on", "off"] * 30, "value": WAVE}, {}, "column 's' holds no numbers: .* --group s"),
        ({"time": [f"week {i} day 3" for i in range(N)], "value": WAVE}, {}, "column 'time' holds no numbers"),
        ({"value": ["x", *WAVE[1:].astype(str)]}, {}, "column 'value' holds 'x' in row 0, and numbers elsewhere"),
        ({"time": HOURS, "host": "a"}, {}, "the table has no column of numbers"),
        ({"time": HOURS, "value": WAVE}, {"features": ["load"]}, "no column 'load', which the model was trained on"),
        ({"time": [np.nan] * N, "value": WAVE}, {"time": "time"}, "column 'time' holds no times"),
        (
            {"time": HOURS, "value": ["x", *WAVE[1:].astype(str)]},
            {"features": ["value"]},
            "'value' holds 'x' in row 0",
        ),
        ({"value": [np.inf, *WAVE[1:]]}, {}, "column 'value' holds infinity in row 0"),
        (np.zeros((4, 3, 2)), {}, "the series has the shape"),
    ],
)
def test_bad_input(table, given_, message):
    with pytest.raises(ValueError, match=message) as caught:
        time_series(pd.DataFrame(table) if isinstance(table, dict) else table, **given_)
    assert "\n" not in str(caught.value)
