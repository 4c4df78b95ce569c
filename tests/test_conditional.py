"""Conditions: classes and numbers, known, hidden and never seen."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

import isthmus
from isthmus import ConditionalVariationalAutoencoder, VariationalAutoencoder
from isthmus.core.corruption import hide_conditions
from isthmus.networks import MLP

CVAE = ConditionalVariationalAutoencoder


@pytest.fixture(scope="module")
def model():
    X, y = isthmus.datasets.load("digits")
    return CVAE(6, likelihood="bernoulli", max_epochs=30, random_state=0).fit(X, y)


@pytest.fixture(scope="module")
def judge():
    X, y = isthmus.datasets.load("digits")
    return KNeighborsClassifier(3).fit(X.reshape(-1, 64), y)


def share(judge, images, label):
    return (judge.predict(images.reshape(-1, 64)) == label).mean()


def test_samples_of_a_class_are_of_that_class(model, judge):
    for label in range(10):
        assert share(judge, model.sample(100, y=label, random_state=0), label) > 0.85
    labels = np.repeat(np.arange(10), 30)
    assert share(judge, model.sample(300, y=labels, random_state=0), labels) > 0.85


def test_an_unknown_condition_gives_all_classes(model, judge):
    found = judge.predict(model.sample(500, random_state=0).reshape(-1, 64))
    assert len(np.unique(found)) >= 8


def test_style_transfer(model, judge, digits, digits_labels):
    threes = digits[digits_labels == 3][:100]
    assert share(judge, model.reconstruct(threes, 3), 3) > 0.9
    as_eights = model.reconstruct(threes, 3, decode_as=8)
    assert share(judge, as_eights, 8) > 0.8
    np.testing.assert_allclose(as_eights, model.inverse_transform(model.transform(threes, 3), 8), atol=1e-6)


def test_labels_may_be_left_out(model, digits, digits_labels):
    with_labels, without = model.transform(digits, digits_labels), model.transform(digits)
    assert not np.allclose(with_labels, without)
    some = digits_labels.astype(float)
    some[::2] = np.nan
    mixed = model.transform(digits, some)
    np.testing.assert_allclose(mixed[::2], without[::2], atol=1e-5)
    np.testing.assert_allclose(mixed[1::2], with_labels[1::2], atol=1e-5)
    assert model.score(digits, digits_labels) > model.score(digits)


def test_every_method_knows_the_condition(model, digits):
    A, B = digits[:4], digits[4:8]
    for method, arguments in [
        ("interpolate", (A, B, 5)),
        ("traverse", (A, 0, [-1, 1])),
        ("impute", (np.where(A > 0.5, np.nan, A),)),
        ("log_likelihood", (A,)),
    ]:
        answers = [getattr(model, method)(*arguments, y=y) for y in (1, 8, None)]
        assert not np.allclose(answers[0], answers[1])
        assert not np.allclose(answers[0], answers[2])


def test_training_on_rows_of_which_some_have_no_label(digits, digits_labels):
    some = pd.Series(digits_labels, dtype="Int64")
    some[::3] = pd.NA
    model = CVAE(4, max_epochs=2, random_state=0).fit(digits, some)
    np.testing.assert_array_equal(model.classes_, range(10))
    assert model.reconstruct(digits, some).shape == digits.shape


@pytest.mark.parametrize("kind", ["words", "objects", "truth values", "floats"])
def test_classes_of_all_kinds(digits, digits_labels, kind, tmp_path):
    y = {
        "words": np.array([f"digit {label}" for label in digits_labels]),
        "objects": np.array([None if label == 9 else f"digit {label}" for label in digits_labels], dtype=object),
        "truth values": digits_labels > 4,
        "floats": np.where(digits_labels == 0, np.nan, digits_labels),
    }[kind]
    model = CVAE(4, max_epochs=1, random_state=0).fit(digits, y)
    assert len(model.classes_) == {"words": 10, "objects": 9, "truth values": 2, "floats": 9}[kind]
    model.save(tmp_path / "model")
    again = isthmus.load(tmp_path / "model")
    np.testing.assert_array_equal(again.classes_, model.classes_)
    np.testing.assert_array_equal(again.transform(digits, y), model.transform(digits, y))
    np.testing.assert_array_equal(again.sample(3, y=y[1], random_state=0), model.sample(3, y=y[1], random_state=0))


def test_numbers_as_conditions(rng, tmp_path):
    """y says where a row lies on one axis; the code is left with the other."""
    y = rng.normal(size=(600, 1)) * 3 + 10
    z = rng.normal(size=(600, 1))
    X = np.hstack([y, 2 * y, z, -z]) + 0.05 * rng.normal(size=(600, 4))
    model = CVAE(1, network=MLP(hidden=()), random_state=0, max_epochs=20).fit(X, y)
    np.testing.assert_allclose(model.y_mean_, y.mean(0))
    for value in (5, 12.5):
        mean = model.sample(400, y=value, random_state=0).mean(0)
        np.testing.assert_allclose(mean[:2], [value, 2 * value], atol=0.3)
    assert abs(np.corrcoef(model.transform(X, y)[:, 0], z[:, 0])[0, 1]) > 0.98
    assert abs(np.corrcoef(model.transform(X, y)[:, 0], y[:, 0])[0, 1]) < 0.1
    two = CVAE(1, max_epochs=1, random_state=0).fit(X, np.hstack([y, z]))
    assert two.sample(3, y=[10.0, 0.0], random_state=0).shape == (3, 4)
    two.save(tmp_path / "m")
    np.testing.assert_array_equal(isthmus.load(tmp_path / "m").reconstruct(X, np.hstack([y, z])),
                                  two.reconstruct(X, np.hstack([y, z])))  # fmt: skip


def test_objects_are_what_they_hold(digits, digits_labels):
    measured = (digits_labels + np.linspace(0, 0.9, len(digits))).astype(object)
    measured[3] = None
    assert CVAE(2, max_epochs=1).fit(digits, measured).y_mean_.shape == (1,)
    halves = np.where(digits_labels > 4, 1, 2.5).astype(object)
    halves[3] = None
    assert CVAE(2, max_epochs=1, condition="classes").fit(digits, halves).classes_.tolist() == [1, 2.5]


def test_one_condition_of_two_numbers_for_two_rows(digits, digits_labels):
    model = CVAE(2, max_epochs=1).fit(digits, np.column_stack([digits_labels + 0.5, digits_labels * 1.5]))
    for n in (1, 2, 3):
        assert model.sample(n, y=[1.0, 2.0], random_state=0).shape == (n, 8, 8)
    with pytest.raises(ValueError, match="y has 3 values a row, and fit was given 2"):
        model.sample(2, y=[1.0, 2.0, 3.0])


def test_what_whole_numbers_are(digits, digits_labels):
    assert hasattr(CVAE(2, max_epochs=1).fit(digits, digits_labels), "classes_")
    measured = CVAE(2, max_epochs=1, condition="numbers").fit(digits, digits_labels)
    assert measured.y_mean_.shape == (1,)
    assert not hasattr(measured, "classes_")
    classes = CVAE(2, max_epochs=1, condition="classes").fit(digits, digits_labels + 0.5)
    assert len(classes.classes_) == 10
    again = classes.set_params(condition="numbers").fit(digits, digits_labels)
    assert not hasattr(again, "classes_"), "a second fit forgets the first"


def test_the_start_is_pca_of_what_the_condition_leaves(rng):
    """Classes far apart, one plane in all of them: the likelihood is that of PCA around each class's mean."""
    y = rng.integers(0, 3, 900)
    X = 10 * rng.normal(size=(3, 6))[y] + rng.normal(size=(900, 2)) @ rng.normal(size=(2, 6))
    X += 0.2 * rng.normal(size=X.shape)
    means = np.stack([X[y == label].mean(0) for label in range(3)])
    setting = {"network": MLP(hidden=()), "lr": 1e-12, "max_epochs": 1, "validation_fraction": None}
    model = CVAE(2, label_dropout=0.0, random_state=0, **setting).fit(X, y)
    expected = PCA(2).fit(X - means[y]).score_samples(X - means[y])
    np.testing.assert_allclose(model.log_likelihood(X, 20, y=y), expected, atol=0.1)
    unaware = VariationalAutoencoder(2, random_state=0, **setting).fit(X)
    assert model.score(X, y) > unaware.score(X) + 3


def test_a_share_of_the_conditions_is_hidden():
    context = torch.cat([torch.eye(4), torch.zeros(4, 1)], dim=1).repeat(5000, 1)
    hidden = hide_conditions(context, 0.3, torch.Generator().manual_seed(0))
    unknown = hidden[:, -1] == 1
    assert abs(unknown.float().mean() - 0.3) < 0.02
    assert torch.equal(hidden[~unknown], context[~unknown])
    assert (hidden[unknown, :-1] == 0).all()


def test_label_dropout_is_what_makes_labels_dispensable(digits, digits_labels):
    def loss_without_labels(label_dropout):
        model = CVAE(6, label_dropout=label_dropout, max_epochs=15, random_state=0).fit(digits, digits_labels)
        return np.square(digits - model.reconstruct(digits)).mean()

    assert loss_without_labels(0.3) < loss_without_labels(0.0)


def test_partial_fit_and_warm_start_keep_the_classes(digits, digits_labels):
    model = CVAE(3, random_state=0).partial_fit(digits, digits_labels)
    model.partial_fit(digits[digits_labels < 2], digits_labels[digits_labels < 2])
    assert len(model.classes_) == 10
    with pytest.raises(ValueError, match="class 11, which was not there"):
        model.partial_fit(digits[:5], [11] * 5)


MISTAKES = {
    "no labels": (lambda m, X: CVAE().fit(X), "requires y to be passed"),
    "no label at all": (lambda m, X: CVAE().fit(X, [None] * len(X)), "holds no known condition"),
    "a class never seen": (lambda m, X: m.sample(3, y=10), "class 10, which was not there at fit: give one of 0, 1"),
    "one of them never seen": (lambda m, X: m.transform(X[:2], [1, 77]), "class 77"),
    "a class of another kind": (lambda m, X: m.sample(3, y="three"), "class three"),
    "too few labels": (lambda m, X: m.transform(X, [1, 2]), "y has 2 conditions, and there are 1437 rows"),
    "too few labels at fit": (lambda m, X: CVAE().fit(X, [1, 2]), "y has 2 conditions"),
    "words as numbers": (lambda m, X: CVAE(condition="numbers").fit(X, ["a"] * len(X)), "where numbers are needed"),
    "words and numbers": (lambda m, X: CVAE().fit(X, [1, "a", None] * (len(X) // 3)), "objects that are mixed"),
    "dates": (lambda m, X: CVAE().fit(X, np.zeros(len(X), "M8[D]")), "holds datetime64"),
    "three axes": (lambda m, X: CVAE().fit(X, np.zeros((len(X), 2, 2))), "a row"),
    "ends that are not pairs": (lambda m, X: m.interpolate(X[:5], X[:3]), "A has 5 rows and B 3"),
    "another kind at a warm start": (
        lambda m, X: (
            clone(m)
            .set_params(max_epochs=1)
            .fit(X, [1, 2, 3] * (len(X) // 3))
            .set_params(warm_start=True, condition="numbers")
            .fit(X, [1, 2, 3] * (len(X) // 3))
        ),
        "is not what it was at the last fit",
    ),
    "infinity": (lambda m, X: CVAE(condition="numbers").fit(X, np.full(len(X), np.inf)), "infinity in row 0"),
    "a kind that is none": (lambda m, X: CVAE(condition="class").fit(X, [1] * len(X)), "did you mean 'classes'"),
    "more than all hidden": (lambda m, X: CVAE(label_dropout=1.5).fit(X, [1] * len(X)), "label_dropout == 1.5"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_has_its_line(model, digits, case):
    act, pattern = MISTAKES[case]
    with pytest.raises(ValueError, match=pattern) as error:
        act(model, digits)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def flowers():
    """Rows that follow from two classes and a number."""
    rng = np.random.default_rng(0)
    colour, kind, size = rng.choice(["red", "blue", "white"], 300), rng.integers(1, 3, 300), rng.normal(5, 2, 300)
    signal = np.column_stack([colour == "red", colour == "blue", kind == 1, size / 5, size / 5 * (kind == 2)])
    X = signal @ rng.normal(size=(5, 6)) + 0.05 * rng.normal(size=(300, 6))
    return X, pd.DataFrame({"colour": colour, "size": size, "kind": kind})


def small(**params):
    return CVAE(2, network=MLP(hidden=(16,)), max_epochs=2, random_state=0, **params)


@pytest.mark.filterwarnings("ignore:the code has collapsed")
class TestSeveralConditions:
    @pytest.mark.parametrize("kind", ["pandas", "polars", "objects", "lists", "tuples"])
    def test_classes_beside_numbers(self, flowers, kind, tmp_path):
        X, y = flowers
        given = {
            "pandas": lambda: y.astype({"colour": "category"}),
            "polars": lambda: pytest.importorskip("polars").from_pandas(y),
            "objects": lambda: y.to_numpy(dtype=object),
            "lists": lambda: y.to_numpy(dtype=object).tolist(),
            "tuples": lambda: list(y.itertuples(index=False, name=None)),
        }[kind]()
        model = small().fit(X, given)
        first, second, third = model.conditions_
        assert first.classes == ("blue", "red", "white")
        assert second.classes is None
        assert second.mean == pytest.approx(y["size"].mean())
        assert third.classes == (1, 2)
        expected = small().fit(X, y.to_numpy(dtype=object))
        np.testing.assert_array_equal(model.transform(X, given), expected.transform(X, y.to_numpy(dtype=object)))
        model.save(tmp_path / "m")
        again = isthmus.load(tmp_path / "m")
        np.testing.assert_array_equal(again.transform(X, given), model.transform(X, given))
        np.testing.assert_array_equal(
            again.sample(3, y=["red", 5.0, 2], random_state=0), model.sample(3, y=["red", 5, "2"], random_state=0)
        )
        again.partial_fit(X, given)

    def test_what_the_network_is_told(self, flowers):
        X, y = flowers
        model = small().fit(X, y)
        mean, scale = y["size"].mean(), y["size"].std(ddof=0)
        rows = pd.DataFrame({"colour": ["red", None], "size": [np.nan, mean + scale], "kind": [2, 1]})
        np.testing.assert_allclose(
            model.context(rows, 2), [[0, 1, 0, 0, 0, 1, 0, 1, 0], [0, 0, 0, 1, 1, 0, 1, 0, 0]], atol=1e-9
        )
        np.testing.assert_array_equal(model.context(None, 1), [[0, 0, 0, 1, 0, 1, 0, 0, 1]])
        np.testing.assert_array_equal(model.context(rows[["kind", "size", "colour"]], 2), model.context(rows, 2))
        np.testing.assert_array_equal(model.context(["red", mean, 1], 2), model.context([["red", mean, 1]] * 2, 2))

    def test_they_are_heeded_together_and_each_alone(self, flowers):
        X, y = flowers
        model = CVAE(1, network=MLP(hidden=(32,)), max_epochs=60, random_state=0).fit(X, y)

        def error(told):
            return np.square(model.sample(len(X), y=told, random_state=0) - X).mean()

        alone = y.assign(size=np.nan, kind=None)
        nothing = y.assign(colour=None, size=np.nan, kind=None)
        assert error(y) < 0.3 * error(alone)
        assert error(alone) < 0.9 * error(nothing)
        assert error(nothing) == pytest.approx(error(None))
        swapped = model.reconstruct(X, y, decode_as=y.assign(colour=y.colour.iloc[::-1].to_numpy()))
        assert not np.allclose(swapped, model.reconstruct(X, y), atol=0.1)

    @pytest.mark.parametrize(
        ("condition", "expected"),
        [
            ("auto", (True, False, True)),
            ("classes", (True, True, True)),
            (["auto", "numbers", "numbers"], (True, False, False)),
            ({"kind": "numbers"}, (True, False, False)),
        ],
        ids=str,
    )
    def test_each_column_is_what_condition_says(self, flowers, condition, expected, tmp_path):
        X, y = flowers
        model = small(condition=condition).fit(X, y)
        assert tuple(each.classes is not None for each in model.conditions_) == expected
        model.save(tmp_path / "m")
        isthmus.load(tmp_path / "m").partial_fit(X, y)

    def test_classes_that_were_advised_are_taken(self):
        X = np.random.default_rng(0).random((60, 4))
        for condition in ("auto", "classes"):
            model = small(condition=condition).fit(X, [["a", "b"], ["c", "b"]] * 30)
            assert [each.classes for each in model.conditions_] == [("a", "c"), ("b",)]

    def test_hiding_leaves_all_none_or_some(self):
        context = torch.tensor([[1.0, 0, 0, 0.5, 0]]).repeat(20_000, 1)
        hidden = hide_conditions(context, 0.4, torch.Generator().manual_seed(0), widths=(3, 2))
        first, second = hidden[:, 2] == 1, hidden[:, 4] == 1
        assert (hidden[first][:, :2] == 0).all()
        assert (hidden[second][:, 3] == 0).all()
        assert (hidden[~first][:, :3] == torch.tensor([1.0, 0, 0])).all()
        assert float((first & second).float().mean()) == pytest.approx(0.4 * (0.5 + 0.125), abs=0.02)
        assert float((first & ~second).float().mean()) == pytest.approx(0.4 * 0.125, abs=0.02)
        assert torch.equal(hide_conditions(context, 0.0, widths=(3, 2)), context)

    @pytest.mark.parametrize(
        ("use", "line"),
        [
            (lambda X, y: small(condition={"q": "classes"}).fit(X, y), "condition names 'q', which is no column of y"),
            (lambda X, y: small(condition=["classes"]).fit(X, y), "is of 1 columns, and y has 3"),
            (lambda X, y: small(condition={"size": "class"}).fit(X, y), "unknown condition 'class': did you mean"),
            (lambda X, y: small().fit(X, y.assign(kind=None)), "column 'kind' of y holds no known condition"),
            (
                lambda X, y: small().fit(X, y).transform(X, y[["kind"]]),
                r"y has the columns \['kind'\]: give those of fit",
            ),
            (lambda X, y: small().fit(X, y).sample(2, y=["red", 1.0]), "y has 2 values a row, and fit was given 3"),
            (lambda X, y: small().fit(X, y).sample(2, y=["pink", 1.0, 1]), "column 'colour' of y holds the class pink"),
            (lambda X, y: small().fit(X, y).sample(2, y=["red", "big", 1]), "column 'size' of y holds 'big' where num"),
            (
                lambda X, y: small().fit(X, y).partial_fit(X, y.assign(colour="pink")),
                "column 'colour' of y holds the class pink, which was not there at fit: give one of blue, red, white",
            ),
        ],
    )
    def test_mistakes_are_told_in_a_line(self, flowers, use, line):
        with pytest.raises(ValueError, match=line):
            use(*flowers)


@pytest.mark.parametrize(
    ("fitted", "given"),
    [
        ([3, 7], ["3", "7"]),
        ([3, 7], [3.0, 7.0]),
        (["3", "7"], [3, 7]),
        (["3", "7"], [3.0, "7"]),
        ([True, False], ["true", "False"]),
        (["3.0", "7.0"], [3, 7]),
    ],
    ids=str,
)
def test_classes_may_be_written_otherwise(fitted, given):
    X = np.random.default_rng(0).random((40, 4))
    model = small().fit(X, fitted * 20)
    np.testing.assert_array_equal(model.context(given, 2), model.context(fitted, 2))
    np.testing.assert_array_equal(model.context(given[0], 1), model.context(fitted[0], 1))
    np.testing.assert_array_equal(model.context([given[0], None], 2), model.context([fitted[0], None], 2))


def test_a_new_class_in_a_later_chunk_is_refused():
    X = np.random.default_rng(0).random((40, 4))
    model = small().partial_fit(X, ["a", "b"] * 20)
    with pytest.raises(ValueError, match="y holds the class c, which was not there at fit: give one of a, b"):
        model.partial_fit(X, ["a", "c"] * 20)


@pytest.fixture(scope="module")
def measured():
    """Rows that follow from two numbers."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=(80, 2)) * [1, 5] + [0, 20]
    return y @ rng.normal(size=(2, 5)) + 0.1 * rng.normal(size=(80, 5)), y


@pytest.mark.parametrize(
    "names", [["v", "w"], [0, 1], [1, 0], [7, 3], ["v", 3], [0.5, 1.5], [("a", 1), ("a", 2)]], ids=str
)
def test_conditions_go_by_their_names(names, measured, tmp_path):
    X, values = measured
    y = pd.DataFrame(values, columns=pd.Index(names, tupleize_cols=False))
    model = small().fit(X, y)
    model.save(tmp_path / "m")
    for each in (model, isthmus.load(tmp_path / "m")):
        expected = each.context(values, 80)
        np.testing.assert_array_equal(each.context(y, 80), expected)
        np.testing.assert_array_equal(each.context(y.iloc[:, ::-1], 80), expected)
        np.testing.assert_array_equal(each.context({name: y[name] for name in reversed(names)}, 80), expected)
        one = each.context(values[4], 3)
        assert not np.allclose(one[:, 0], one[:, 2])
        np.testing.assert_array_equal(each.context(y.iloc[4], 3), one)
        np.testing.assert_array_equal(each.context(y.iloc[4][::-1], 3), one)
        np.testing.assert_array_equal(each.context(dict(reversed(list(y.iloc[4].items()))), 3), one)
        np.testing.assert_array_equal(each.context(y.iloc[4].tolist(), 3), one)
        if names == ["v", "w"]:
            np.testing.assert_array_equal(each.context(pd.Series(values[4]), 3), one, "no names: by place")
    assert model.sample(3, y=y.iloc[4][::-1], random_state=0).shape == (3, 5)


def test_one_condition_by_names_beside_one_a_row(flowers):
    X, y = flowers
    model = small().fit(X, y)
    told = model.context({"size": y["size"][:3], "colour": "red", "kind": None}, 3)
    np.testing.assert_array_equal(told, model.context(y[:3].assign(colour="red", kind=None), 3))
    fitted = small().fit(X, {name: y[name].to_numpy() for name in y})
    np.testing.assert_array_equal(fitted.transform(X, y), model.transform(X, y))
    alone = small().fit(X, y.colour)
    np.testing.assert_array_equal(alone.context({"colour": "red"}, 2), alone.context("red", 2))


@pytest.mark.parametrize("form", ["array", "frame", "objects", "words in a frame"])
def test_measurements_in_text_are_numbers(form, flowers, tmp_path):
    X, y = flowers
    texts = y.assign(size=y["size"].map(lambda value: f"{value:.3f}"))[["colour", "size"]]
    given = {
        "array": texts.to_numpy(dtype=object).astype(str),
        "frame": texts,
        "objects": texts.to_numpy(dtype=object),
        "words in a frame": texts.astype({"size": "string"}),
    }[form]
    model = small().fit(X, given)
    assert model.conditions_[0].classes == ("blue", "red", "white")
    assert model.conditions_[1].classes is None
    assert model.conditions_[1].mean == pytest.approx(y["size"].mean(), abs=1e-3)
    plain = texts.astype({"size": float})
    np.testing.assert_array_equal(model.context(given, 300), small().fit(X, plain).context(plain, 300))
    model.save(tmp_path / "m")
    np.testing.assert_array_equal(isthmus.load(tmp_path / "m").transform(X, given), model.transform(X, given))


@pytest.mark.filterwarnings("ignore:the code has collapsed")
@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ([str(i) for i in range(40)] * 2, None),
        (["0.5", "1.25"] * 40, None),
        (["3", "7"] * 40, ("3", "7")),
        ([f"{i:03}" for i in range(80)], tuple(f"{i:03}" for i in range(80))),
        (["1.5", "x"] * 40, ("1.5", "x")),
        (["inf", "1.5"] * 40, ("1.5", "inf")),
    ],
    ids=["many", "no whole numbers", "few", "codes", "a word", "infinity"],
)
def test_what_texts_are_is_what_their_numbers_would_be(values, classes, measured):
    model = small().fit(measured[0], values)
    assert getattr(model, "classes_", None) is None if classes is None else tuple(model.classes_) == classes
    if classes is None:
        np.testing.assert_array_equal(model.context(values, 80), model.context(np.array(values, float), 80))
    assert tuple(small(condition="classes").fit(measured[0], values).classes_) == tuple(sorted(set(values)))


@pytest.mark.parametrize("form", ["array", "list", "objects", "series", "frame"])
@pytest.mark.parametrize("mark", ["?", "", " NA "])
def test_marks_of_the_missing_are_unknown(form, mark, flowers, recwarn, tmp_path):
    X, y = flowers
    colours = y.colour.where(np.arange(300) % 7 > 0, mark)
    given = {
        "array": np.array(colours.tolist()),
        "list": colours.tolist(),
        "objects": colours.to_numpy(dtype=object),
        "series": colours,
        "frame": colours.to_frame(),
    }[form]
    model = small().fit(X, given)
    told = [str(each.message) for each in recwarn if "stands for a missing value" in str(each.message)]
    where = "column 'colour' of y" if form == "frame" else "y"
    assert told == [f"{mark!r} in 43 rows of {where} stands for a missing value, and is taken for unknown: write it "
                    "otherwise where it is a class"]  # fmt: skip
    assert model.classes_.tolist() == ["blue", "red", "white"]
    gaps = colours.where(colours != mark, None)
    np.testing.assert_array_equal(model.context(given, 300), small().fit(X, gaps).context(gaps, 300))
    np.testing.assert_array_equal(model.context(mark, 2), model.context(None, 2))
    sizes = y["size"].map("{:.3f}".format).where(np.arange(300) % 7 > 0, mark)
    both = small().fit(X, np.column_stack([np.array(colours.tolist()), np.array(sizes.tolist())]))
    assert both.conditions_[1].classes is None
    assert both.context([["red", mark]], 1)[0, -2:].tolist() == [0, 1]


def test_signs_among_signs_are_classes(measured):
    model = small().fit(measured[0], ["+", "-"] * 40)
    assert model.classes_.tolist() == ["+", "-"]
    np.testing.assert_array_equal(model.context(["-", "+"], 2), [[0, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(model.context("-", 1), [[0, 1, 0]])


def test_rows_of_nothing_but_marks_hold_no_condition(measured):
    with pytest.raises(ValueError, match="y holds no known condition"):
        small().fit(measured[0], ["?"] * 80)


@pytest.mark.parametrize(
    ("use", "line"),
    [
        (lambda X, y: small().fit(X, y).sample(3, y={"colour": "red", "size": 1.0}), "y has the columns"),
        (lambda X, y: small().fit(X, y).sample(3, y={"colour": ["red"], "size": 1.0, "kind": 1}),
         r"column 'colour' of y has the shape \(1,\): give one condition, or 3"),
        (lambda X, y: small().fit(X, y.to_numpy(dtype=object)).sample(3, y={"colour": "red", "size": 1, "kind": 1}),
         "y is a dict, and fit was given no names"),
        (lambda X, y: small().fit(X, {"colour": "red", "size": 1.0}), "y is a dict, and 'colour' in it no column"),
        (lambda X, y: small().fit(X, y).sample(3, y=pd.Series(["red", 1.0, 1], index=["colour", "size", "sort"])),
         r"y has the columns \['colour', 'size', 'sort'\]: give those of fit"),
        (lambda X, y: small().fit(X, y[["colour", "size", "size"]]), "y has more than one column 'size': give each a"),
        (lambda X, y: small().fit(X, y).transform(X, y[["colour", "size", "size"]]), "more than one column 'size'"),
        (lambda X, y: small(condition={"colour": "numbers"}).fit(X, y),
         r"column 'colour' of y holds '\w+' where numbers are needed: give condition='classes', or {'colour': 'cl"),
        (lambda X, y: small(condition={"colour": "numbers"}).fit(X, y[["colour"]]),
         r"column 'colour' of y holds '\w+' where numbers are needed: give condition='classes', or {'colour': 'cl"),
        (lambda X, y: small(condition=["numbers", "auto"]).fit(X, y[["colour", "size"]].to_numpy(dtype=str)),
         r"column 0 of y holds '\w+' where numbers are needed: give condition='classes', or {0: 'classes'}"),
        (lambda X, y: small().fit(X, y).sample(2, y=["red", "big", 1]),
         "column 'size' of y holds 'big' where numbers are needed: give a number"),
    ],
)  # fmt: skip
def test_a_mistake_in_conditions_by_names_has_its_line(use, line, flowers):
    with pytest.raises(ValueError, match=line) as error:
        use(*flowers)
    assert "\n" not in str(error.value)
    assert "np." not in str(error.value)
