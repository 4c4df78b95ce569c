"""Times in several columns, changes of the clock, months, and what is missing of a series."""

import numpy as np
import pandas as pd
import pytest

from isthmus.data import time_series
from isthmus.sources.series_files import read_series

HOURS = pd.date_range("2024-03-01", periods=200, freq="h")
QUARTERS = pd.date_range("2024-03-01 00:15", periods=200, freq="15min")
WAVE = np.sin(np.arange(200) / 7)


def parts_of(times, date="%Y-%m-%d", **columns):
    """A table of a date, and what else of the times, as it is written."""
    written = {name: times.strftime(form) if isinstance(form, str) else form(times) for name, form in columns.items()}
    return pd.DataFrame({"date": times.strftime(date), **written, "value": WAVE})


BESIDE = {
    "hour": parts_of(HOURS, hour=lambda t: t.hour),
    "hours 1 to 24": parts_of(HOURS, Hour=lambda t: t.hour + 1),
    "am and pm": parts_of(HOURS, time="%I:%M %p"),
    "p.m.": parts_of(HOURS, time=lambda t: [f"{h % 12 or 12} {'ap'[h // 12]}.m." for h in t.hour]),
    "1300": parts_of(HOURS, time="%H%M"),
    "hhmm of quarters": parts_of(QUARTERS, hhmm=lambda t: t.hour * 100 + t.minute),
    "130000": parts_of(HOURS, time="%H%M%S"),
    "dots": parts_of(HOURS, "%d/%m/%Y", Time="%H.%M.%S"),
    "13h00": parts_of(HOURS, "%d.%m.%Y", heure="%Hh%M"),
    "hour and minute": parts_of(QUARTERS, hour=lambda t: t.hour, minute=lambda t: t.minute),
    "hour, minute and second": parts_of(
        pd.date_range("2024-03-01", periods=200, freq="10s"),
        hour=lambda t: t.hour, minute=lambda t: t.minute, second=lambda t: t.second,
    ),
    "seconds": parts_of(pd.date_range("2024-03-01", periods=200, freq="10s"), time="%H:%M:%S"),
    "year, month, day, hour": parts_of(
        HOURS, year=lambda t: t.year, month=lambda t: t.month, day=lambda t: t.day, hour=lambda t: t.hour
    ).drop(columns="date"),
    "Year, Month, Day": parts_of(
        pd.date_range("2023-12-01", periods=200), Year=lambda t: t.year, Month=lambda t: t.month, Day=lambda t: t.day
    ).drop(columns="date"),
    "year and month": parts_of(
        pd.date_range("2000-01-01", periods=200, freq="MS"), year=lambda t: t.year, month=lambda t: t.month
    ).drop(columns="date"),
}  # fmt: skip


@pytest.mark.parametrize("written", BESIDE)
@pytest.mark.parametrize("hosts", [1, 2])
def test_a_time_in_several_columns_is_one(written, hosts, tmp_path):
    table = BESIDE[written]
    if hosts == 2:
        table = pd.concat([table.assign(host=host, value=WAVE + i) for i, host in enumerate("ab")])
    shuffled = table.sample(frac=1, random_state=0)
    shuffled.to_csv(tmp_path / "a.csv", index=False)
    arrow, other = (shuffled.convert_dtypes(dtype_backend=kind) for kind in ("pyarrow", "numpy_nullable"))
    for series in (time_series(shuffled), read_series(tmp_path / "a.csv"), time_series(arrow), time_series(other)):
        assert (series.names, len(series.stretches)) == (["value"], hosts)
        assert (series.group is None) == (hosts == 1)
        np.testing.assert_array_equal(series.values[:, 0], np.concatenate([WAVE + i for i in range(hosts)]))
        again = time_series(shuffled, time=series.time.name, features=["value"])  # as a run notes it
        np.testing.assert_array_equal(again.values, series.values)
        assert again.lines[0] == series.lines[0]
        assert series.lines[0].startswith("time: columns ")


@pytest.mark.parametrize("name", ["hour", "Hour of day", "time", "minute", "hh"])
def test_what_recurs_each_day_is_no_group(name):
    """Where it cannot be joined either, as these are not times of the day."""
    table = parts_of(HOURS).assign(**{name: HOURS.hour * 7 + 100})
    assert time_series(table).group is None


def test_numbers_that_are_no_times_of_the_day_stay_features():
    days = pd.date_range("2024-03-01", periods=200)
    table = parts_of(days, hour=lambda t: t.day % 24)  # the hour of the highest tide
    assert time_series(table).names == ["hour", "value"]
    table = parts_of(HOURS, hour=lambda t: t.hour).assign(time=HOURS)
    assert time_series(table.drop(columns="date")).names == ["hour", "value"]
    leap = BESIDE["Year, Month, Day"].assign(Month=2, Day=31)
    assert "Day" in time_series(leap).names


def test_years_and_months_of_days_are_not_averaged():
    days = pd.date_range("2024-01-01", periods=200)
    table = pd.DataFrame({"year": days.year, "month": days.month, "value": WAVE})
    assert len(time_series(table).values) == 200
    series = time_series(BESIDE["year and month"].assign(step=np.arange(200)))
    assert (series.names, len(series.stretches)) == (["value"], 1)


def test_rows_without_a_time_of_the_day_are_none():
    table = parts_of(HOURS, time="%H:%M")
    table.loc[[3, 9], "time"] = None
    series = time_series(table)
    assert series.irregular[0] == "left out: 2 rows of no time"
    assert np.flatnonzero(series.steps < 0).tolist() == [3, 9]


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y"])
@pytest.mark.parametrize("frequency", ["MS", "QS", "D"])
@pytest.mark.parametrize("start", ["2024-01-01", "2021-02-01"])
def test_months_are_regular(form, frequency, start):
    times = pd.date_range(start, periods=200, freq=frequency)
    series = time_series(pd.DataFrame({"d": times.strftime(form), "value": WAVE}))
    assert len(series.stretches) == 1, series
    np.testing.assert_array_equal(series.values[:, 0], WAVE)


def local(start, frequency, zone="Europe/Berlin", n=200):
    times = pd.date_range(start, periods=n, freq=frequency, tz=zone)
    return times.tz_localize(None)


AUTUMNS = {
    "quarters": local("2024-10-26 12:00", "15min"),
    "half hours": local("2024-10-25", "30min"),
    "minutes": local("2024-10-27 01:00", "1min"),
    "hours": local("2024-10-23", "h"),
    "hours in New York": local("2024-10-30", "h", "America/New_York"),
    "hours in Sydney": local("2024-04-03", "h", "Australia/Sydney"),
    "latest first": local("2024-10-26 12:00", "15min")[::-1],
    "a step not there": local("2024-10-26 12:00", "15min").delete(57),
}


@pytest.mark.parametrize("name", AUTUMNS)
@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("hosts", [1, 2])
def test_the_hour_that_comes_twice_is_two(name, as_text, hosts):
    times = AUTUMNS[name]
    one = pd.DataFrame({"when": times.astype(str) if as_text else times, "value": WAVE[: len(times)]})
    table = one
    if hosts == 2:  # row by row
        table = pd.concat([one.assign(host=host) for host in "ab"]).sort_index(kind="stable")
    series = time_series(table)
    whole = 2 if name == "a step not there" else 1
    assert (len(series.values), len(series.stretches)) == (hosts * len(times), hosts * whole), series
    assert [line for line in series.irregular if "clock" in line] == [series.irregular[0]]
    np.testing.assert_allclose(series.on_time_axis(series.windows(3)), table.value)


def test_two_autumns():
    times = local("2023-10-20", "h", n=10_000)
    series = time_series(pd.DataFrame({"when": times, "value": np.arange(10_000.0)}))
    assert len(series.values) == 10_000
    assert series.irregular[0] == (
        "clock change: the hour from 2023-10-29 02:00, 2024-10-27 02:00 is there twice, and is taken as two"
    )


@pytest.mark.parametrize(
    "times",
    [
        HOURS.insert(9, HOURS[8]),  # a row that is there twice
        QUARTERS.append(QUARTERS[-8:]),  # two hours
        QUARTERS[:100].append(QUARTERS[96:]).append(QUARTERS[-4:]),  # an hour, twice on one day
        HOURS.insert(60, HOURS[59]).insert(60, HOURS[59]),
        pd.date_range("2024-10-27", periods=200, freq="D").insert(1, pd.Timestamp("2024-10-27")),
    ],
)
def test_duplicates_are_no_change_of_the_clock(times):
    series = time_series(pd.DataFrame({"when": times, "value": np.arange(len(times))}))
    assert any("duplicates: " in line for line in series.irregular)
    assert not any("clock" in line for line in series.irregular)


def test_what_is_missing_is_counted(tmp_path):
    table = pd.DataFrame({"t": np.arange(200), "a": WAVE.astype(str), "b": WAVE, "c": np.nan, "d": WAVE})
    table.loc[:5, "a"] = "?"
    table.loc[7, "a"] = "n/a"
    table.loc[3:5, "b"] = None
    table.to_csv(tmp_path / "a.csv", index=False)
    found = [line for line in read_series(tmp_path / "a.csv").lines if line.startswith("missing")]
    assert found == [
        "missing: 7 cells of column 'a', '?' in 6 of them",
        "missing: 3 cells of column 'b'",
        "missing: all 200 cells of column 'c'",
    ]
    many = pd.DataFrame(np.full((200, 30), np.nan)).assign(value=WAVE)
    found = [line for line in time_series(many).lines if line.startswith("missing")]
    assert (len(found), found[-1]) == (11, "missing: cells of 20 columns more")


@pytest.mark.parametrize("mark", [-999, "-999", -999.0])
def test_what_stands_for_missing_may_be_said(mark, tmp_path):
    table = pd.DataFrame({"t": np.arange(200), "a": WAVE, "b": 1})
    table.loc[[0, 50], ["a", "b"]] = -999
    table.to_csv(tmp_path / "a.csv", index=False)
    np.save(tmp_path / "a.npy", table[["a", "b"]].to_numpy())
    for series in (
        time_series(table, na_values=[mark]),
        read_series(tmp_path / "a.csv", na_values=[mark]),
        read_series(tmp_path / "a.npy", na_values=[mark]),
    ):
        np.testing.assert_array_equal(np.isnan(series.rows), table[["a", "b"]] == -999)
        assert sum("missing: " in line and "-999" in line for line in series.lines) == 2
    assert not np.isnan(time_series(table).values).any()


def test_columns_beside_those_asked_for_are_left_out():
    table = pd.DataFrame({"time": HOURS, "a": WAVE, "b": WAVE, "note": "x", "words": [f"w{i % 7}" for i in range(200)]})
    series = time_series(table, features=["a"], group="none")
    assert series.names == ["a"]
    assert series.warnings == ("left out: columns 'b', 'words', which are not among the features",)
    assert series.warnings[0] in series.lines


def test_how_a_file_was_read_is_said_first(tmp_path):
    text = pd.DataFrame({"time": HOURS, "Größe": 1000 * WAVE}).to_csv(sep=";", decimal=",", index=False)
    (tmp_path / "a.csv").write_bytes(text.encode("latin-1"))
    series = read_series(tmp_path / "a.csv")
    assert "Latin-1" in series.lines[0]
    assert series.lines[1] == "separated by semicolons, with decimal commas"
    assert "Latin-1" in series.warnings[0]
    np.testing.assert_allclose(series.values[:, 0], 1000 * WAVE)
    assert read_series(tmp_path / "a.csv", drop=["time"]).time is None
    with pytest.raises(ValueError, match="has no column 'nothing', which is to be dropped: it has 'time', 'Größe'"):
        read_series(tmp_path / "a.csv", drop=["nothing"])


def test_groups_are_named_where_no_stretch_is_long_enough():
    table = pd.DataFrame({"time": HOURS, "host": np.arange(200), "value": WAVE})
    with pytest.raises(ValueError, match=r"of 200 stretches without a gap, of 200 groups by 'host', has 1 step, fewer"):
        time_series(table, group="host").windows(20)
