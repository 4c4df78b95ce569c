"""What the columns of people's tables are taken for: ids, dates, marks of what is missing, many categories."""

import datetime
import json
import time
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import pandas as st_pandas

import isthmus
from isthmus import Autoencoder, OutlierDetector, TabularAutoencoder, VariationalAutoencoder, report
from isthmus.core.likelihoods.categorical import CategoricalLikelihood, FactoredSoftmax, PlainSoftmax
from isthmus.errors import DataWarning, InputError, NewCategoryWarning
from isthmus.evaluation.error import column_errors
from isthmus.formats import dates
from isthmus.formats.marks import MARKS
from isthmus.formats.schema import Schema
from isthmus.networks import MLP

N = 240
pytestmark = pytest.mark.filterwarnings("ignore:the model is still the start")


def quick(**params):
    setting = {"n_components": 3, "max_epochs": 1, "random_state": 0, "network": MLP(hidden=(16,))}
    return TabularAutoencoder(**setting | params)


@pytest.fixture(scope="module")
def orders():
    """Orders as a shop has them."""
    rng = np.random.default_rng(0)
    day = pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 700, N), unit="D")
    return pd.DataFrame(
        {
            "order": [f"A-{i:05}" for i in rng.permutation(N)],
            "customer_id": rng.permutation(N) + 7000,
            "comment": [" ".join(rng.choice(["late", "red", "nice", "big", "for", "mum"], 9)) for _ in range(N)],
            "amount": rng.lognormal(3, 1, N).round(2),
            "items": rng.integers(1, 9, N),
            "placed": day.strftime("%Y-%m-%d"),
            "city": rng.choice(["Rome", "Oslo", "?"], N, p=[0.5, 0.4, 0.1]),
            "shop_id": rng.integers(0, 4, N),
        }
    )


@pytest.fixture(scope="module")
def model(orders):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model = quick().fit(orders)
    model.told = [str(each.message) for each in told if each.category is DataWarning]
    return model


def kinds_of(frame, **asked):
    return {column.name: column.kind for column in Schema.learn(frame, **asked).columns}


class TestKinds:
    def test_are_found_out(self, orders):
        schema = Schema.learn(orders)
        assert {column.name: column.kind for column in schema.columns} == {
            "amount": "number", "items": "number", "placed": "date", "city": "category", "shop_id": "category",
        }  # fmt: skip
        assert set(schema.left_out) == {"order", "customer_id", "comment"}

    def test_can_be_asked_for(self, orders):
        asked = {"order": "category", "shop_id": "number", "placed": "category", "items": "category"}
        found = kinds_of(orders, kinds=asked, drop=["comment"])
        assert found == asked | {"amount": "number", "city": "category"}
        assert kinds_of(orders[["amount"]], kinds={"amount": "category"}) == {"amount": "category"}
        assert kinds_of(pd.DataFrame({"a": ["yes", "no"], "b": ["1", "0"]}), kinds={"b": "boolean"})["b"] == "boolean"
        day = Schema.learn(pd.DataFrame({"day": ["03/04/2020", "05/06/2021"]}), kinds={"day": "%d/%m/%Y"})
        assert day.columns[0].format == "%d/%m/%Y", "which would have been taken for March"

    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            ({"kinds": {"cost": "number"}}, "kinds= names the column 'cost', which is not in X"),
            ({"kinds": {"city": "town"}}, "give one of 'number', 'boolean', 'category', 'date'"),
            ({"kinds": {"city": "number"}}, "column 'city' holds 'Oslo', and was to be taken for numbers"),
            ({"kinds": {"city": "date"}}, "column 'city' holds '.*', and was to be taken for dates"),
            ({"kinds": {"city": ["Rome"]}}, "column 'city' holds 'Oslo', which is none of the categories in kinds"),
            ({"drop": ["cost"]}, "drop= names the column 'cost', which is not in X"),
            ({"min_frequency": 10_000}, "column 'city' has no category in 10000 rows"),
        ],
    )
    def test_what_cannot_be(self, orders, asked, message):
        with pytest.raises(InputError, match=message):
            Schema.learn(orders, **asked)

    def test_a_parameter_that_is_none(self, orders):
        for params in ({"kinds": ["city"]}, {"drop": "city"}, {"na_values": "?"}):
            with pytest.raises(TypeError, match=f"{next(iter(params))}=.*: give a"):
                quick(**params).fit(orders)
        with pytest.raises(ValueError, match="min_frequency == 0, must be >= 1"):
            quick(min_frequency=0).fit(orders)

    def test_few_rows_of_words_are_categories(self):
        names = pd.DataFrame({"name": list("abcdefgh"), "size": range(8)})
        assert kinds_of(names) == {"name": "category", "size": "number"}

    def test_a_table_that_was_read_as_one_column(self):
        frame = pd.DataFrame({"power;weight": [f"{i};{i + 900}" for i in range(400)]})
        with pytest.raises(InputError, match="its name holds ';': read the file with sep=';'"):
            Schema.learn(frame)

    def test_nothing_is_left(self, orders):
        with pytest.raises(InputError, match=r"no column that something could be learnt of: 'order' is left out"):
            Schema.learn(orders[["order"]])


class TestLeftOut:
    """A column of ids is no part of a model, and comes back where the rows do."""

    def test_is_said_in_a_line_each(self, model):
        assert model.told == [
            "'?' in column 'city' is taken for missing: na_values=[] takes it for what it says",
            "columns 'order', 'comment' are left out, as nearly every row has a value of its own: kinds={'order': "
            "'category'} keeps one, drop=['order', 'comment'] leaves them out without a word",
            "column 'customer_id' is left out, as it numbers the rows: kinds={'customer_id': 'category'} keeps one, "
            "drop=['customer_id'] leaves it out without a word",
        ]

    def test_asked_for_it_is_not(self, orders):
        asked = {"drop": ["order", "comment", "customer_id"], "na_values": ["?"]}
        with warnings.catch_warnings():
            warnings.simplefilter("error", DataWarning)
            quick(**asked).fit(orders)

    def test_comes_back(self, model, orders, tmp_path):
        hidden = orders.mask(np.random.default_rng(1).random(orders.shape) < 0.2)
        hidden["order"] = orders["order"]
        for rows in (model.reconstruct(orders), model.impute(hidden)):
            assert list(rows.columns) == list(orders.columns)
            assert rows["order"].tolist() == orders["order"].tolist()
        modelled = [name for name in orders if name not in model.schema_.left_out]
        assert list(model.inverse_transform(model.transform(orders)).columns) == modelled
        assert list(model.score_samples(orders, per_feature=True).columns) == modelled
        filled = model.impute(hidden)
        assert filled[modelled].notna().all(axis=None)
        known = hidden.notna() & (hidden != "?")
        for name in orders:
            pd.testing.assert_series_equal(filled[name][known[name]], hidden[name][known[name]], check_dtype=False)

    def test_need_not_be_there(self, model, orders):
        without = orders.drop(columns=["order", "comment"])
        np.testing.assert_array_equal(model.transform(without), model.transform(orders))
        assert list(model.impute(without).columns) == list(without.columns)
        mask = np.zeros(orders.shape, bool)
        mask[:, list(orders).index("items")] = True
        with_mask = model.impute(orders, mask)
        pd.testing.assert_frame_equal(with_mask, model.impute(orders, pd.DataFrame(mask, columns=orders.columns)))
        with pytest.raises(ValueError, match="column 'items' is not in X"):
            model.transform(orders.drop(columns=["items"]))

    def test_is_saved(self, model, orders, tmp_path):
        model.save(tmp_path / "model")
        again = isthmus.load(tmp_path / "model")
        assert again.schema_ == model.schema_
        pd.testing.assert_frame_equal(again.impute(orders), model.impute(orders))

    def test_takes_no_time(self):
        """Of 20,000 rows the ids took 130 s where all else takes 5."""
        rng = np.random.default_rng(0)
        orders = pd.DataFrame({"amount": rng.lognormal(3, 1, 20_000)})
        with_ids = orders.assign(order=[f"o{i}" for i in range(20_000)])
        seconds = []
        for table in (orders, with_ids):
            start = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                quick(categories="embedding").fit(table)
            seconds.append(time.perf_counter() - start)
        assert seconds[1] < 2 * seconds[0] + 1

    def test_is_no_reason(self, orders):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            detector = OutlierDetector(quick()).fit(orders)
        assert "customer_id" not in detector.score_samples(orders, per_feature=True)


class TestMarks:
    @pytest.mark.parametrize("mark", ["?", "NA", "-", "n/a", "null", "", " ", "N/A", "--", "#N/A", "nan", "None"])
    def test_in_numbers(self, mark):
        values = pd.Series([*range(50), mark, *range(50)], dtype=object)
        for column in (values, values.astype(str), values.astype("category")):
            schema = Schema.learn(pd.DataFrame({"power": column.astype(object), "other": range(101)}))
            assert [each.kind for each in schema.columns] == ["number", "number"]
            assert schema.columns[0].marks == (mark,)
            assert np.flatnonzero(np.isnan(schema.to_cells(pd.DataFrame({"power": column, "other": 1}))[:, 0])) == [50]

    @pytest.mark.parametrize("mark", sorted(MARKS))
    def test_in_words(self, mark):
        frame = pd.DataFrame({"city": ["Rome", "Oslo", mark.upper(), "Rome"], "size": [1, 2, 3, 4]})
        column = Schema.learn(frame).columns[0]
        assert column.categories == ("Oslo", "Rome")

    def test_say_something_beside_their_like(self):
        assert Schema.learn(pd.DataFrame({"sign": ["+", "-", "+", "-"]})).columns[0].categories == ("+", "-")
        assert Schema.learn(pd.DataFrame({"smokes": ["none", "some"]})).columns[0].categories == ("none", "some")

    def test_codes_are_no_numbers(self):
        frame = pd.DataFrame({"code": ["007", "12", "?", "007"]})
        assert Schema.learn(frame).columns[0].categories == ("007", "12")

    def test_truth_values(self):
        frame = pd.DataFrame({"alive": [True, False, "?", True]})
        column = Schema.learn(frame).columns[0]
        assert (column.kind, column.marks) == ("boolean", ("?",))

    def test_given(self):
        frame = pd.DataFrame({"age": [5, -999, 7, 8], "city": ["?", "x", "Rome", "Oslo"]})
        schema = Schema.learn(frame, na_values=[-999, "x"])
        assert schema.columns[0].low == 5
        assert schema.columns[1].categories == ("?", "Oslo", "Rome")
        np.testing.assert_array_equal(
            schema.by_column(np.isnan(schema.to_cells(frame))), [[0, 0], [1, 1], [0, 0], [0, 0]]
        )
        assert Schema.learn(frame, na_values=[]).columns[1].categories == ("?", "Oslo", "Rome", "x")
        again = Schema.from_json(json.loads(json.dumps(schema.as_json())))
        np.testing.assert_array_equal(again.to_cells(frame), schema.to_cells(frame))

    def test_at_use_alone(self):
        """A file of today may have marks where the one of the training had none."""
        rng = np.random.default_rng(0)
        frame = pd.DataFrame({"power": rng.integers(50, 200, 60), "city": rng.choice(["Rome", "Oslo"], 60)})
        model = quick().fit(frame)
        today = pd.DataFrame({"power": ["120", "?", "80"], "city": ["Rome", "Oslo", "n/a"]})
        filled = model.impute(today)
        assert filled["power"].tolist()[::2] == [120, 80]
        assert filled["power"].between(50, 199).all()
        assert filled["city"].isin(["Rome", "Oslo"]).all()

    def test_are_filled_in(self, orders):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            filled = quick().fit(orders).impute(orders)
        assert set(filled["city"]) == {"Rome", "Oslo"}


moments = st.datetimes(pd.Timestamp("1971-01-01"), pd.Timestamp("2100-01-01")).map(lambda x: x.replace(microsecond=0))


class TestDates:
    @settings(deadline=None, max_examples=40)
    @given(st.lists(moments, min_size=2, max_size=40), st.sampled_from(dates.FORMATS))
    def test_text_comes_back(self, values, form):
        written = pd.Series(values).dt.strftime(form.replace("%z", "+0000"))
        frame = pd.DataFrame({"when": written})
        schema = Schema.learn(frame, kinds={"when": form})
        schema = Schema.from_json(json.loads(json.dumps(schema.as_json())))
        again = schema.to_frame(schema.to_cells(frame))
        pd.testing.assert_series_equal(again["when"], frame["when"])

    @settings(deadline=None, max_examples=40)
    @given(st.lists(moments | st.none(), min_size=2, max_size=40).filter(any), st.sampled_from(["us", "Rome", "day"]))
    def test_moments_come_back(self, values, how):
        column = pd.Series(values, dtype="datetime64[us]")
        if how == "Rome":
            column = column.dt.tz_localize("UTC").dt.tz_convert("Europe/Rome")
        if how == "day":
            column = column.dt.normalize()
        frame = pd.DataFrame({"when": column})
        schema = Schema.learn(frame)
        pd.testing.assert_frame_equal(schema.to_frame(schema.to_cells(frame)), frame)

    @pytest.mark.parametrize(
        ("texts", "form"),
        [
            (["2020-01-03", "2021-11-30"], "%Y-%m-%d"),
            (["03/04/2020", "25/04/2020"], "%d/%m/%Y"),
            (["03/04/2020", "05/04/2020"], "%m/%d/%Y"),
            (["3.4.2020", "25.12.2020"], "%-d.%-m.%Y"),
            (["2020-01-03T10:20:11Z", "2020-01-04T11:00:00Z"], "%Y-%m-%dT%H:%M:%SZ"),
            (["2020-01-03T10:20:11+01:00", "2020-01-04T11:00:00+01:00"], "%Y-%m-%dT%H:%M:%S+01:00"),
            (["2020-01-03T10:20:11+01:00", "2020-07-04T11:00:00+02:00"], "%Y-%m-%dT%H:%M:%S%z"),
            (["3/4/2020 5:06 PM", "3/14/2020 5:06 AM"], "%-m/%-d/%Y %-I:%M %p"),
            (["2020-01-03 10:11:12.125", "2020-01-04 00:00:00.000"], "%Y-%m-%d %H:%M:%S.%3f"),
            (["1.2.3", "4.5.6"], None),
            (["1.1.10", "5.3.13"], None),
            (["10.0.0.1", "10.0.0.2"], None),
            (["A-12", "B-13"], None),
            (["12-34-5678", "13-34-5678"], None),
            (["2020-01-03", "soon"], None),
        ],
    )
    def test_formats(self, texts, form):
        found = dates.date_format(pd.Series(texts))
        assert form == (None if found is None else found.form)
        if form is not None and "%z" not in form:
            assert dates.write_dates(dates.read_dates(pd.Series(texts), form), form).tolist() == texts

    def test_parts_are_what_comes_again(self):
        hours = pd.Series(pd.date_range("2022-01-01", periods=9000, freq="h"))
        assert {name: len(values) for name, values in dates.parts(hours).items()} == {
            "month": 12, "weekday": 7, "hour": 24,
        }  # fmt: skip
        assert set(dates.parts(pd.Series(pd.date_range("2022-01-01", periods=20)))) == {"weekday"}
        assert set(dates.parts(pd.Series(pd.date_range("2022-01-01", periods=20, freq="h")))) == {"hour"}

    def test_the_nearest_moment_of_its_parts(self):
        days = (pd.Timestamp("2024-05-15 03:00") - pd.Timestamp("1970-01-01")) / pd.Timedelta("1D")
        known = {"month": np.array([6]), "weekday": np.array([0]), "hour": np.array([17])}
        found = dates.compose(np.array([days]), known, "h", 0.0, 30_000.0)
        assert pd.Timestamp(found[0]) == pd.Timestamp("2024-06-03 17:00"), "the first Monday of June"

    def test_a_night_is_unusual_where_none_was(self):
        """Of dates the hour, the weekday and the month say what a number of days cannot."""
        rng = np.random.default_rng(0)
        day = pd.Timestamp("2023-01-02") + pd.to_timedelta(rng.integers(0, 500, 600), unit="D")
        when = pd.Series(day[day.day_of_week < 5]) + pd.to_timedelta(9, unit="h")
        when += pd.to_timedelta(rng.integers(0, 8, len(when)), unit="h")
        frame = pd.DataFrame({"when": when, "size": rng.normal(size=len(when))})
        model = quick(max_epochs=10).fit(frame)
        night, sunday = (
            frame[:1].assign(when=pd.Timestamp("2023-05-03 03:00")),
            frame[:1].assign(when=pd.Timestamp("2023-05-07 10:00")),
        )
        usual = model.score_samples(frame, per_feature=True)["when"]
        for odd in (night, sunday):
            assert model.score_samples(odd, per_feature=True)["when"].item() < usual.min()

    def test_what_is_no_date(self):
        model = quick().fit(pd.DataFrame({"day": ["2020-01-03", "2021-11-30"] * 20, "x": range(40)}))
        with pytest.raises(InputError, match="column 'day' holds 'soon', which is no date such as those at fit"):
            model.transform(pd.DataFrame({"day": ["soon"], "x": [1]}))
        as_moments = pd.DataFrame({"day": pd.to_datetime(["2020-01-03"]), "x": [1]})
        as_text = as_moments.assign(day="2020-01-03")
        np.testing.assert_array_equal(model.transform(as_moments), model.transform(as_text))


class TestManyCategories:
    def test_rare_ones_are_pooled(self):
        values = [f"c{i}" for i in range(120) for _ in range(10)] + [f"rare{i}" for i in range(60)]
        frame = pd.DataFrame({"code": values, "x": range(len(values))})
        column = Schema.learn(frame).columns[0]
        assert (len(column.categories), column.n_pooled) == (120, 60)
        schema = Schema.learn(frame)
        cells = schema.to_cells(frame.assign(code="rare3"), mark_new=True)[:, 1]
        assert (cells == 120).all(), "one cell stands for all that are rare, and for those that were not there"
        assert schema.to_frame(schema.to_cells(frame[-1:]))["code"].isna().all(), "which is no category to give back"

    def test_min_frequency(self):
        frame = pd.DataFrame({"code": list("aaaabbbbccd"), "x": range(11)})
        for asked, kept in ((None, 4), (2, 3), (3, 2), (0.3, 2)):
            column = Schema.learn(frame, min_frequency=asked).columns[0]
            assert (len(column.categories), column.n_pooled) == (kept, 4 - kept)

    def test_a_model_of_them(self, tmp_path):
        rng = np.random.default_rng(0)
        place = rng.integers(0, 400, 6000)
        frame = pd.DataFrame({"zip": [f"{10_000 + 7 * i}" for i in place], "north": place + 10 * rng.normal(size=6000)})
        model = quick(max_epochs=12, n_components=8, network=None).fit(frame)
        assert model.module_.inputs.embeddings[0].weight.shape == (401, 50)
        assert model.module_.decoder.path.linear.out_features == 1 + 20 + 20
        hidden = frame[:500].assign(north=np.nan)
        guess = model.impute(hidden)["north"]
        assert np.corrcoef(guess, frame["north"][:500])[0, 1] > 0.8, "the embedding says where a place is"
        zips = model.impute(frame[:500].assign(zip=None))["zip"]
        assert zips.isin(frame["zip"]).all()
        near = (zips.astype(int) - frame["zip"][:500].astype(int)).abs() < 7 * 60
        assert near.mean() > 0.5, "and the factored softmax finds its group"
        model.save(tmp_path / "model")
        np.testing.assert_array_equal(isthmus.load(tmp_path / "model").score_samples(frame), model.score_samples(frame))

    def test_a_factored_softmax_is_a_distribution(self):
        counts = tuple(int(n) for n in np.random.default_rng(0).integers(1, 90, 37))
        softmax = FactoredSoftmax(counts, pooled=True)
        logits = torch.randn(5, softmax.n_parameters, dtype=torch.float64)
        each = torch.stack([softmax.log_prob(logits, torch.full((5,), i)) for i in range(37)], dim=1)
        torch.testing.assert_close(each.exp().sum(1), torch.ones(5, dtype=torch.float64))
        torch.testing.assert_close(softmax.mode(logits), each[:, :36].argmax(1))
        without = torch.zeros(1, softmax.n_parameters, dtype=torch.float64)
        shares = torch.tensor(counts, dtype=torch.float64) / sum(counts)
        for i in (0, 20, 36):
            torch.testing.assert_close(softmax.log_prob(without, torch.tensor([i]))[0], shares[i].log())

    def test_draws_of_a_factored_softmax(self):
        softmax = FactoredSoftmax((5, 1, 2, 8, 4))
        logits = torch.randn(1, softmax.n_parameters)
        drawn = softmax.sample(logits.expand(20_000, -1), torch.Generator().manual_seed(0))
        each = torch.stack([softmax.log_prob(logits, torch.tensor([i]))[0] for i in range(5)]).exp()
        torch.testing.assert_close(drawn.bincount(minlength=5) / 20_000, each, atol=0.02, rtol=0)

    def test_what_is_pooled_is_never_likeliest(self):
        likelihood = CategoricalLikelihood((PlainSoftmax(3, pooled=True),))
        assert likelihood(torch.tensor([[0.0, 1.0, 9.0]])).mean.item() == 1


class TestFurtherRows:
    """What a later part of the rows has, and the first had not."""

    def parts(self):
        rng = np.random.default_rng(0)
        first = pd.DataFrame({"x": rng.normal(0, 1, 100), "plant": rng.choice(["A", "B"], 100)})
        return first, pd.DataFrame({"x": rng.normal(5, 1, 100), "plant": "C"})

    def test_a_new_category_is_said_once(self):
        first, second = self.parts()
        model = quick().partial_fit(first)
        with pytest.warns(
            UserWarning, match="column 'plant' holds 'C' in 100 rows, which was not there at fit"
        ) as told:
            model.partial_fit(second).partial_fit(second)
        assert len([each for each in told if "plant" in str(each.message)]) == 1

    def test_categories_that_are_asked_for_are_learnt(self):
        first, second = self.parts()
        model = quick(kinds={"plant": ["A", "B", "C"]}, lr=1e-2)
        for _ in range(30):
            model.partial_fit(first).partial_fit(second)
        assert (model.reconstruct(second)["plant"] == "C").mean() > 0.9

    @pytest.mark.parametrize("warm", [False, True])
    def test_ranges_reach_farther(self, warm):
        first, second = self.parts()
        second["plant"] = "A"
        model = quick(warm_start=warm)
        model = model.fit(first).fit(second) if warm else model.partial_fit(first).partial_fit(second)
        column = model.schema_.columns[0]
        assert (column.low, column.high) == (first["x"].min(), second["x"].max())


@st.composite
def tables(draw):
    """Tables of ranges, whole numbers, words, dates and gaps."""
    n = draw(st.integers(8, 30))
    index = st_pandas.range_indexes(n, n)
    columns = [
        st_pandas.column("price", elements=st.floats(0, 1e4)),
        st_pandas.column("count", elements=st.integers(0, 1000)),
        st_pandas.column("change", elements=st.floats(-50, 50) | st.just(np.nan)),
        st_pandas.column("years", elements=st.integers(0, 90).map(float) | st.just(np.nan)),
        st_pandas.column("town", elements=st.sampled_from(["Rome", "Oslo", "Bonn"])),
        st_pandas.column("open", elements=st.booleans()),
    ]
    frame = draw(st_pandas.data_frames(columns, index=index)).astype({"years": float})
    days = draw(st.lists(st.integers(0, 900), min_size=n, max_size=n))
    frame["day"] = pd.Timestamp("2022-02-02") + pd.to_timedelta(days, unit="D")
    known = frame.notna().all() | frame.notna().any()
    return frame[known.index[known]]


@settings(deadline=None, max_examples=15)
@given(tables(), st.sampled_from(["auto", "standard", "rankgauss"]), st.integers(0, 9))
def test_what_is_given_back_keeps_to_the_training_table(frame, numbers, seed):
    """Ranges, whole numbers, categories: rebuilt, filled in, decoded from any code, or on the way between rows."""
    rng = np.random.default_rng(seed)
    model = quick(numbers=numbers).fit(frame)
    codes = 10 * rng.normal(size=(20, 3))
    between = model.interpolate(frame[:3], frame[3:6], 4)
    gaps = frame.mask(rng.random(frame.shape) < 0.5)
    for rows in (model.reconstruct(frame), model.impute(gaps), model.inverse_transform(codes), between):
        assert list(rows.columns) == list(frame.columns)
        for name in ("price", "count", "change", "years", "day"):
            if name in frame:
                assert rows[name].between(frame[name].min(), frame[name].max()).all(), name
        for name in {"count", "years"} & set(frame):
            assert (rows[name] % 1 == 0).all()
        assert rows["town"].isin(frame["town"].unique()).all()
        assert (rows["day"] == rows["day"].dt.normalize()).all()
        assert rows.dtypes.astype(str).to_dict() == frame.dtypes.astype(str).to_dict()


class TestAutomaticScale:
    def test_long_tails_are_compressed_and_no_others(self):
        rng = np.random.default_rng(0)
        frame = pd.DataFrame(
            {
                "lognormal": rng.lognormal(3, 1.5, 900), "zeros": rng.lognormal(3, 1.5, 900) * (rng.random(900) < 0.3),
                "both": rng.standard_t(1.5, 900), "normal": rng.normal(1e5, 3, 900), "uniform": rng.random(900),
                "count": rng.poisson(3, 900),
            }
        )  # fmt: skip
        step = Schema.learn(frame, "auto").steps[0]
        assert (step.width_ > 0).tolist() == [True, True, True, False, False, False]
        cells = Schema.learn(frame, "auto").to_cells(frame)
        assert np.abs(cells[:, 0]).max() < 4.5, "a log-normal column is about normal"

    def test_the_unit_is_of_no_account(self):
        rng = np.random.default_rng(0)
        frame = pd.DataFrame({"x": rng.lognormal(size=500), "t": rng.standard_t(2, 500)})
        cells = Schema.learn(frame, "auto").to_cells(frame)
        np.testing.assert_allclose(Schema.learn(frame * 1e6, "auto").to_cells(frame * 1e6), cells, atol=1e-8)

    def test_one_column_is_not_all_reasons(self):
        """Of the 20 strangest rows the log-normal column was the reason of all."""
        rng = np.random.default_rng(0)
        z = rng.normal(size=(1500, 9))
        frame = pd.DataFrame(z, columns=list("abcdefghi")).assign(amount=rng.lognormal(3, 1.5, 1500))
        reasons = {}
        for numbers in ("standard", "auto"):
            model = quick(numbers=numbers, n_components=4, max_epochs=10).fit(frame)
            strangest = np.argsort(model.score_samples(frame))[:20]
            reasons[numbers] = (
                model.score_samples(frame[:], per_feature=True).iloc[strangest].idxmin(1) == "amount"
            ).sum()
        assert reasons["standard"] >= 15
        assert reasons["auto"] <= 8


@pytest.mark.parametrize("family", [Autoencoder, VariationalAutoencoder, OutlierDetector])
def test_families_of_numbers_say_where_a_column_numbers_the_rows(family):
    """Of the 20 strangest rows of such a table 19 had the number of the customer for a reason."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"customer_id": rng.permutation(60) + 100, "x": rng.normal(size=60), "y": rng.normal(size=60)})
    setting = {} if family is OutlierDetector else {"max_epochs": 1}
    with pytest.warns(UserWarning, match="column 'customer_id' numbers the rows, and measures nothing: drop it"):
        family(**setting).fit(frame)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        family(**setting).fit(frame.rename(columns={"customer_id": "weight"}))
    assert not [each for each in told if "numbers the rows" in str(each.message)]


def test_what_is_said_of_a_table_is_of_what_its_columns_hold(orders, tmp_path):
    """Numbers with marks among them are numbers, dates are near or far, and what is left out has no error."""
    rng = np.random.default_rng(0)
    orders = orders.assign(weight=rng.integers(1, 90, N).astype(object))
    orders.loc[3, "weight"] = "?"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = quick(max_epochs=2).fit(orders)
    truth, rebuilt = model.schema_.told(orders), model.schema_.told(model.reconstruct(orders))
    errors = column_errors(truth, rebuilt)
    assert errors.kind.to_dict() == {
        "amount": "number", "items": "number", "placed": "number", "city": "category", "shop_id": "category",
        "weight": "number",
    }  # fmt: skip
    days = pd.to_datetime(orders["placed"]), pd.to_datetime(model.reconstruct(orders)["placed"])
    expected = ((days[1] - days[0]).dt.days ** 2).mean() / (days[0] - days[0].min()).dt.days.var(ddof=0)
    assert errors.error["placed"] == pytest.approx(expected)
    assert truth["city"].isna().sum() == (orders["city"] == "?").sum()
    page = report.model_page(model, orders, None, "Orders")
    report.write_page(page, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "100.0% wrong" not in text
    assert "customer_id" not in text.split("TabularAutoencoder(")[0].split("Most unusual")[0]


class TestReviewed:
    """Faults that a first reading of all this has found."""

    def test_a_known_date_is_kept_though_its_weekday_is_new(self):
        rng = np.random.default_rng(0)
        frame = pd.DataFrame({"day": pd.bdate_range("2024-01-01", periods=100), "x": rng.normal(size=100)})
        saturday = pd.DataFrame({"day": pd.to_datetime(["2024-03-02"]), "x": [np.nan]})
        with pytest.warns(NewCategoryWarning, match="a weekday that no row had at fit"):
            assert quick().fit(frame).impute(saturday)["day"].item() == pd.Timestamp("2024-03-02")

    def test_levels_of_a_categorical_are_not_lost(self):
        rng = np.random.default_rng(0)
        frame = pd.DataFrame({"c": pd.Categorical(rng.choice(list("aabbc"), 60)), "x": rng.normal(size=60)})
        gaps = pd.DataFrame({"c": pd.Categorical(["zz", None, "a"], categories=["zz", "a"]), "x": [0.0, 1.0, -1.0]})
        filled = quick(min_frequency=0.3).fit(frame).impute(gaps)["c"]
        assert filled.notna().all()
        assert filled.tolist()[::2] == ["zz", "a"]
        declared = Schema.learn(frame, kinds={"c": ["a", "b", "c", "z"]})
        cells = declared.to_cells(frame[:1])
        cells[0, 1] = 3
        assert declared.to_frame(cells)["c"].tolist() == ["z"]

    @pytest.mark.parametrize(
        "change", [{"drop": ["c"]}, {"kinds": {"age": "category"}}, {"na_values": ["a"]}, {"min_frequency": 9}]
    )
    def test_a_warm_start_asked_otherwise(self, change, tmp_path):
        rng = np.random.default_rng(0)
        frame = pd.DataFrame({"age": rng.integers(18, 90, 60), "c": rng.choice(["a", "b"], 60)})
        model = quick(warm_start=True).fit(frame)
        model.save(tmp_path / "model")
        for each in (model, isthmus.load(tmp_path / "model").set_params(warm_start=True)):
            before = each.transform(frame)
            with pytest.raises(
                InputError, match=f"{next(iter(change))}=.* was .* at the last fit: set warm_start=False"
            ):
                each.set_params(**change).fit(frame)
            np.testing.assert_array_equal(each.transform(frame), before)

    def test_categories_may_come_in_any_container(self):
        frame = pd.DataFrame({"c": ["a", "b"] * 4, "x": range(8)})
        for values in (np.array(["a", "b", "z"]), {"z", "a", "b"}, pd.Index(["a", "b", "z"]), ("a", "b", "z")):
            assert Schema.learn(frame, kinds={"c": values}).columns[0].categories == ("a", "b", "z")
        for wrong in (3, int, None, ["a", "b", None], [], ["a", "a", "b"], "%Q", "%Y-W%W", ["a", ("b",)]):
            with pytest.raises(InputError, match="kinds="):
                Schema.learn(frame, kinds={"c": wrong})

    def test_a_category_that_was_rare_and_is_frequent_now(self):
        rng = np.random.default_rng(0)
        shops = pd.DataFrame({"c": [f"c{i}" for i in rng.zipf(1.5, 2000) % 700], "x": rng.normal(size=2000)})
        model = quick().partial_fit(shops)
        with pytest.warns(UserWarning, match="holds 'NEW' in 2,000 rows, which was rare or not there"):
            model.partial_fit(shops.assign(c="NEW"))

    def test_clocks_of_a_time_zone(self):
        midnights = pd.date_range("2024-01-01", periods=100, freq="3D", tz="Europe/Berlin")
        frame = pd.DataFrame({"day": midnights, "x": range(100)})
        schema = Schema.learn(frame)
        assert (schema.columns[0].unit, set(schema.columns[0].parts)) == ("D", {"weekday"})
        pd.testing.assert_frame_equal(schema.to_frame(schema.to_cells(frame)), frame)
        naive = pd.DataFrame({"day": pd.to_datetime(["2024-01-05"] * 2), "x": [1, 2]})
        at_use = naive.assign(day=naive["day"].dt.tz_localize("Asia/Tokyo"))
        schema = Schema.learn(naive)
        np.testing.assert_array_equal(schema.to_cells(at_use), schema.to_cells(naive))

    def test_text_where_there_were_moments(self):
        frame = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=30), "x": range(30)})
        schema = Schema.learn(frame)
        iso = schema.to_cells(pd.DataFrame({"day": ["2024-01-05"], "x": [1]}))
        np.testing.assert_array_equal(
            iso, schema.to_cells(pd.DataFrame({"day": pd.to_datetime(["2024-01-05"]), "x": 1}))
        )
        for text in ("05.06.2024", "05/06/2024", "now", "13/06/2024"):
            with pytest.raises(InputError, match="is no date such as those at fit, or text such as 2024-01-31"):
                schema.to_cells(pd.DataFrame({"day": [text], "x": [1]}))

    def test_dates_as_whole_numbers(self):
        frame = pd.DataFrame({"day": [20240131, 20240229, 20241231] * 9, "x": range(27)})
        schema = Schema.learn(frame, kinds={"day": "%Y%m%d"})
        pd.testing.assert_frame_equal(schema.to_frame(schema.to_cells(frame)), frame)

    def test_truth_values_are_no_numbers_that_stand_for_a_gap(self):
        frame = pd.DataFrame({"b": [True, False] * 5, "k": [0, 1, 2, 3, 4] * 2})
        schema = Schema.learn(frame, na_values=[0])
        assert schema.missing(frame).sum(0).tolist() == [0, 2]

    def test_codes_that_are_new_are_new_categories(self):
        frame = pd.DataFrame({"shop_id": [1, 2, 3, 4, 5] * 8, "x": range(40)})
        model = quick().fit(frame)
        assert model.score_samples(pd.DataFrame({"shop_id": [77], "x": [0.0]})) < model.score_samples(frame).min()
        codes = Schema.learn(pd.DataFrame({"code": ["007", "A1"] * 4}))
        np.testing.assert_array_equal(codes.to_cells(pd.DataFrame({"code": [99, 7]}), mark_new=True)[:, 0], [2, 0])
        long = Schema.learn(pd.DataFrame({"code": ["9007199254740992", "x"]}))
        cells = long.to_cells(pd.DataFrame({"code": [9007199254740993, 9007199254740992]}), mark_new=True)
        assert cells[:, 0].tolist() == [2, 0]

    def test_columns_of_arrays(self):
        X = np.random.default_rng(0).normal(size=(60, 4)).round(1)
        for params in ({"drop": [0]}, {"kinds": {0: "category"}}):
            model = quick(**params).fit(X)
            rebuilt = model.reconstruct(X)
            assert rebuilt.shape == X.shape
            if "drop" in params:
                np.testing.assert_array_equal(rebuilt[:, 0], X[:, 0])
            assert np.isfinite(model.impute(np.where(X > 1, np.nan, X))[:, 1:]).all()

    def test_what_no_file_could_hold_is_refused_before_training(self, orders):
        for wrong in (np.nan, None, pd.NA, pd.Timestamp(0)):
            with pytest.raises(InputError, match=r"na_values names .*: give texts and numbers"):
                quick(na_values=["?", wrong]).fit(orders)

    def test_marks_and_durations_are_saved(self, orders, tmp_path):
        spans = orders.assign(e_id=pd.to_timedelta(np.arange(N) % 7, unit="s"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = quick(na_values=[np.int64(-1), "?"]).fit(spans)
        model.save(tmp_path / "model")
        pd.testing.assert_frame_equal(isthmus.load(tmp_path / "model").impute(spans), model.impute(spans))

    def test_masks_of_what_is_given(self, orders):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = quick().fit(orders)
        without = orders.drop(columns=["order", "comment"])
        mask = np.zeros(without.shape, bool)
        mask[:, list(without).index("items")] = True
        whole = model.impute(orders, pd.DataFrame(mask, columns=without.columns))
        pd.testing.assert_frame_equal(model.impute(without, mask), whole[list(without)])
        with pytest.raises(InputError, match="column 'new' was not there at fit"):
            model.transform(without.assign(new=1))
        with pytest.raises(InputError, match="another order"):
            model.transform(without[list(without)[::-1]])

    def test_names_of_two_kinds(self):
        with pytest.raises(InputError, match="X has the columns 'a' and 1: give all names that are text, or"):
            quick().fit(pd.DataFrame({"a": range(9), 1: range(9)}))

    def test_a_new_weekday_is_no_category(self):
        frame = pd.DataFrame({"day": pd.bdate_range("2024-01-01", periods=60), "x": range(60)})
        model = quick().partial_fit(frame)
        with pytest.warns(UserWarning, match="a weekday that no row had at fit"):
            model.partial_fit(frame.assign(day=pd.Timestamp("2024-03-02")))

    def test_one_bad_date_is_named(self):
        days = pd.Series(pd.date_range("2024-01-01", periods=100)).dt.strftime("%Y-%m-%d").astype(object)
        days[3] = "0000-00-00"
        frame = pd.DataFrame({"day": days, "x": range(100)})
        with pytest.warns(DataWarning, match=r"for '0000-00-00', which na_values=\['0000-00-00'\] takes for missing"):
            quick().fit(frame)
        assert quick(na_values=["0000-00-00"]).fit(frame).schema_.columns[0].kind == "date"
        with pytest.raises(InputError, match="column 'day' holds '0000-00-00', and was to be taken for a date"):
            Schema.learn(frame, kinds={"day": "%Y-%m-%d"})

    def test_a_mark_that_is_declared_is_a_category(self):
        schema = Schema.learn(pd.DataFrame({"c": ["a", "?"] * 4, "x": range(8)}), kinds={"c": ["a", "?"]})
        assert (schema.columns[0].categories, schema.columns[0].marks) == (("a", "?"), ())

    def test_truth_values_may_be_asked_to_be_numbers(self):
        frame = pd.DataFrame({"flag": [True, False] * 4})
        assert Schema.learn(frame, kinds={"flag": "number"}).columns[0].kind == "number"

    def test_text_of_numbers_that_all_differ_is_numbers(self):
        texts = [f"{value:.3f}" for value in np.random.default_rng(0).normal(size=50)]
        assert Schema.learn(pd.DataFrame({"x": texts})).columns[0].kind == "number"

    def test_further_rows_beyond_the_dtype(self):
        first = pd.DataFrame({"n": np.arange(100, dtype="uint8"), "x": np.arange(100.0)})
        model = quick().partial_fit(first).partial_fit(first.assign(n=np.arange(100) * 9))
        assert model.schema_.columns[0].high == 891
        assert model.reconstruct(first)["n"].dtype == np.int64

    def test_objects_keep_their_values(self):
        spans = pd.Series([datetime.timedelta(minutes=i % 5) for i in range(40)], dtype=object)
        frame = pd.DataFrame({"d": spans, "n": pd.Series([2**62 - 1, *range(39)], dtype="int64")})
        model = quick().fit(frame)
        at_use = frame.astype(object)
        at_use.loc[1, "n"] = None
        filled = model.impute(at_use)
        assert (filled["d"] == pd.to_timedelta(spans)).all()
        assert filled["n"][0] == 2**62 - 1

    def test_what_is_new_stays_as_it_is_and_is_said(self):
        rng = np.random.default_rng(0)
        frame = pd.DataFrame({"age": rng.integers(18, 90, 60), "city": rng.choice(["Oslo", "Rome"], 60)})
        model = quick().fit(frame)
        today = pd.DataFrame({"age": [30, 40, np.nan], "city": ["Paris", " Oslo", "Rome"]})
        for use in (model.transform, model.reconstruct, model.impute):
            with pytest.warns(
                NewCategoryWarning, match="column 'city' holds 'Paris' in 1 row, which was not there at fit"
            ):
                use(today)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NewCategoryWarning)
            filled = model.impute(today)
            same = model.transform(today.assign(city=["Paris", "Oslo", "Rome"]))
            np.testing.assert_array_equal(same, model.transform(today))
        assert filled["city"].tolist()[0] == "Paris"
        assert filled["age"].notna().all()

    def test_one_odd_cell_among_numbers_is_named(self):
        texts = [*map(str, range(100)), "n.d."]
        with pytest.warns(DataWarning, match=r"its values are numbers, but for 'n.d.', which na_values=\['n.d.'\]"):
            model = quick().fit(pd.DataFrame({"b": texts, "x": range(101)}))
        assert "b" in model.schema_.left_out
        assert quick(na_values=["n.d."]).fit(pd.DataFrame({"b": texts, "x": range(101)})).schema_.left_out == {}

    def test_days_as_numbers_are_found(self):
        days = pd.Series(pd.date_range("2024-01-01", periods=50)).dt.strftime("%Y%m%d").astype(int)
        frame = pd.DataFrame({"d": days, "x": range(50)})
        assert kinds_of(frame)["d"] == "date"
        schema = Schema.learn(frame)
        pd.testing.assert_frame_equal(schema.to_frame(schema.to_cells(frame)), frame)
