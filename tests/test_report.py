"""The page is whole, opens offline and holds what it should."""

import base64
import io
import json
import re
import warnings

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

import isthmus
from isthmus import (
    Autoencoder,
    ConditionalVariationalAutoencoder,
    DenoisingAutoencoder,
    SequenceAutoencoder,
    TabularAutoencoder,
    VariationalAutoencoder,
    report,
    reproduce,
)
from isthmus.core.model import Model
from isthmus.networks import MLP
from isthmus.report.images import MISSING, beside_png, figure_uri, grid_png, pixels, scale_of, sprite, weight_images
from isthmus.report.plots import code_map, plane
from isthmus.reproduce import Curves, Points
from isthmus.reproduce.result import Findings


def plots(page):
    text = re.search(r"const plots = (\{.*?\}), thumbnails = ", page, re.DOTALL).group(1)
    return json.loads(text)


def numbers(column):
    """Plotly writes arrays as lists, or as bytes in base64."""
    if isinstance(column, dict):
        return np.frombuffer(base64.b64decode(column["bdata"]), column["dtype"]).tolist()
    return column


def picture(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,"))))


def headings(page):
    return re.findall(r'<div class="card"><h2>(.*?)</h2>', page)


def outside(page):
    """What the page would fetch, plotly's own code aside."""
    body = page[page.index("<body>") :]
    return re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*\"|url\((?!\$)[^)]*\)|<link|@import", body)


def test_a_model_of_images(digits, digits_labels):
    model = DenoisingAutoencoder(5, max_epochs=3, random_state=0, contraction_weight=0.1).fit(digits)
    page = report.model_page(model, digits[:200], digits_labels[:200], "A <b>title</b>")
    assert "A &lt;b&gt;title&lt;/b&gt;" in page
    assert outside(page) == []
    found = plots(page)
    assert set(found) == {"curves-0", "map-0"}
    titles = [note["text"] for note in found["curves-0"]["layout"]["annotations"]]
    assert len(titles) == 4, "reconstruction, contractive, loss, mse"
    validation = found["curves-0"]["data"][1]
    assert validation["x"] == [0, 1, 2, 3]
    points = sorted(row for trace in found["map-0"]["data"] for row in numbers(trace["customdata"]))
    assert points == list(range(200))
    assert len(found["map-0"]["data"]) == 10, "a colour a digit"
    assert headings(page) == ["Reconstructions", "Interpolations", "Missing pixels"]
    assert page[page.index("<body>") :].count("data:image/png;base64,") == 5, "these, weights, thumbnails"


def test_a_model_of_a_table(table):
    model = Autoencoder(1, network=MLP(hidden=(4,), linear_path=None), max_epochs=2, validation_fraction=None).fit(
        table
    )
    page = report.model_page(model, table, np.linspace(0, 1, 200), "table")
    assert outside(page) == []
    assert "const plots" in page
    assert "thumbnails = null" in page


@pytest.fixture(scope="module")
def rows():
    return isthmus.datasets.load("digits", "test")


def test_a_variational_model(digits, rows):
    model = VariationalAutoencoder(2, max_epochs=2, free_bits=0.1, random_state=0).fit(digits)
    page = report.model_page(model, rows.X, rows.y, "variational")
    assert outside(page) == []
    assert headings(page) == ["Reconstructions", "Generated rows", "Traversals", "Interpolations", "Missing pixels"]
    titles = [note["text"] for note in plots(page)["curves-0"]["layout"]["annotations"]]
    for title in ("KL divergence, nats a row", "what the free bits add, nats a row", "active units in a batch"):
        assert title in titles
    assert f"2 of 2 units are active; σ = {model.sigma_:.3g} in the units of the rows, learnt." in page


def test_a_conditional_model(digits, digits_labels, rows):
    model = ConditionalVariationalAutoencoder(2, max_epochs=1, random_state=0).fit(digits, digits_labels)
    page = report.model_page(model, rows.X, rows.y, "conditional")
    assert "Style transfer" in headings(page)
    error = np.square(model.reconstruct(rows.X, rows.y) - rows.X).mean(dtype=float)
    assert f"squared error an entry {error:.4g}" in page, "it is told the labels"
    page = report.model_page(model, rows.X, None, "conditional")
    error = np.square(model.reconstruct(rows.X) - rows.X).mean(dtype=float)
    assert f"squared error an entry {error:.4g}" in page, "or not"


@pytest.mark.parametrize("family", [VariationalAutoencoder, ConditionalVariationalAutoencoder])
def test_a_model_that_generates_tables(family):
    X, y = isthmus.datasets.load("swiss_roll")
    model = family(2, max_epochs=1, random_state=0).fit(X, y)
    assert headings(report.model_page(model, X[:200], y[:200], "roll")) == ["Reconstructions", "Generated rows"]


def test_a_condition_of_numbers(digits):
    y = digits.mean((1, 2))
    model = ConditionalVariationalAutoencoder(2, max_epochs=1, random_state=0).fit(digits, y)
    assert "Style transfer" in headings(report.model_page(model, digits[:50], y[:50], "brightness"))


def test_rows_with_gaps(digits, rng):
    broken = np.where(rng.random(digits.shape) < 0.2, np.nan, digits)
    model = Autoencoder(2, max_epochs=1, random_state=0).fit(broken)
    page = report.model_page(model, broken[:50], None, "gaps")
    error = np.nanmean(np.square(model.reconstruct(broken[:50]) - broken[:50]))
    assert f"squared error an entry {error:.4g}" in page
    table = report.model_page(model, broken[:50].reshape(50, 64), None, "gaps")
    assert headings(table) == headings(page), "images in a table are images again"


def test_a_comparison(digits, digits_labels):
    models = {
        "plain": Autoencoder(4),
        "<denoising>": DenoisingAutoencoder(4),
        "conditional": ConditionalVariationalAutoencoder(4),
    }
    found = isthmus.compare(digits, digits_labels, models, seeds=1, max_epochs=1)
    page = report.comparison_page(found, "digits")
    assert outside(page) == []
    assert set(plots(page)) == {"map-0", *(f"{kind}-{i}" for kind in ("curves", "map") for i in (1, 2, 3))}
    assert "4 of 4 units are active" in page
    assert "&lt;denoising&gt;" in page
    assert page.count('class="best"') >= 5


def test_thumbnails_are_cut_from_the_right_place():
    rows = np.linspace(0, 1, 90, dtype=np.float32)[:, None, None] * np.ones((1, 3, 5), np.float32)
    sheet = np.asarray(picture(sprite(rows, 40)))
    assert sheet.shape == (9, 200)
    for row in (0, 39, 40, 89):
        assert abs(int(sheet[row // 40 * 3 + 1, row % 40 * 5 + 2]) - 255 * row / 89) <= 1


def test_colours_keep_their_channels():
    rows = np.zeros((2, 3, 4, 5))
    rows[:, 2] = 1
    assert pixels(rows).shape == (2, 4, 5, 3)
    assert pixels(rows)[0, 0, 0].tolist() == [0, 0, 255]


def test_missing_pixels_have_a_colour_of_their_own():
    rows = np.zeros((2, 3, 4))
    rows[1, 2, 3] = np.nan
    tiles = pixels(rows)
    assert tiles.shape == (2, 3, 4, 3)
    assert tiles[1, 2, 3].tolist() == MISSING.tolist()
    assert tiles[:, :2].max() == 0
    rows = np.zeros((1, 3, 2, 2))
    rows[0, 1, 0, 0] = np.nan
    assert pixels(rows)[0, 0, 0].tolist() == MISSING.tolist(), "one of its colours is enough"


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [(0, 1, (0, 1)), (-0.1, 1.1, (0, 1)), (-1, 1, (-1, 1)), (0, 255, (0, 255)), (0, 0, (0, 1))],
)
def test_what_is_black_and_what_is_white(low, high, scale):
    rows = np.linspace(low, high, 64).reshape(1, 8, 8)
    assert scale_of(rows) == scale
    assert scale_of(np.full((1, 2, 2), np.nan)) == (0, 1)


def test_a_grid_of_images():
    rows = np.arange(5)[:, None, None] * np.ones((5, 8, 8)) / 4
    sheet = np.asarray(Image.open(io.BytesIO(grid_png(rows, 3))))
    assert sheet.shape == (2 * 56 + 4, 3 * 56 + 8)
    assert sheet[28::60, 28::60].tolist() == [[0, 64, 128], [191, 255, 255]], "the last place is empty"


def test_images_one_below_the_other():
    lines = np.zeros((25, 8, 8)), np.ones((25, 8, 8))
    sheet = np.asarray(Image.open(io.BytesIO(beside_png(*lines))))
    assert sheet[28::60, 28::60].tolist() == [
        *[[0] * 10, [255] * 10] * 2,
        [0] * 5 + [255] * 5,
        [255] * 10,
    ], "lines of ten; the last places are empty"
    assert np.asarray(Image.open(io.BytesIO(beside_png(lines[0][:3], lines[1][:3])))).shape == (116, 176)


def test_weights(digits, digits_labels):
    filters = picture(weight_images(Model(nn.Conv2d(1, 2, 3), nn.Identity()), (1, 8, 8)))
    assert filters.size == (2 * 111 + 6 + 2 * 117, 111), "two filters in a line for four"
    assert weight_images(Model(nn.Linear(5, 2), nn.Identity()), (8, 8)) is None
    assert weight_images(Model(nn.Identity(), nn.Identity()), (8, 8)) is None
    conditional = ConditionalVariationalAutoencoder(2, max_epochs=1).fit(digits, digits_labels)
    assert picture(weight_images(conditional.module_, (8, 8), 2)).size == (4 * 118 - 6, 112)


@pytest.mark.parametrize(("width", "words"), [(1, "one unit"), (2, "two units"), (9, "t-SNE")])
def test_the_plane(rng, width, words):
    xy, way = plane(rng.normal(size=(60, width)))
    assert xy.shape == (60, 2)
    assert words in way


def test_few_rows(digits):
    model = Autoencoder(5, max_epochs=1).fit(digits)
    assert "map-0" in plots(report.model_page(model, digits[:3], None, "three"))
    for n in (1, 2):
        page = report.model_page(model, digits[:n], None, "too few for a map")
        assert set(plots(page)) == {"curves-0"}
        assert 'id="map-0"' not in page


@pytest.mark.parametrize("labels", [["b", None, "a", np.nan] * 5, [True, None, False, None] * 5])
def test_missing_labels_have_a_colour_of_their_own(rng, labels):
    traces = code_map(rng.normal(size=(20, 2)), np.array(labels, object))["data"]
    assert [trace["name"] for trace in traces] == [*sorted({str(name) for name in labels[::2]}), "no label"]
    assert numbers(traces[-1]["customdata"]) == list(range(1, 20, 2))


@pytest.mark.parametrize("labels", [np.repeat(["b", None, "a"], 20), np.linspace(0, 1, 60), np.full(60, np.nan)])
def test_pictures_where_labels_are_missing(digits, labels):
    labels[::7] = np.nan
    known = np.arange(60) % 2 if np.isreal(labels[1]) and np.isnan(labels[1]) else labels
    model = ConditionalVariationalAutoencoder(2, max_epochs=1, random_state=0).fit(digits[:60], known)
    assert "Interpolations" in headings(report.model_page(model, digits[:60], labels, "gaps"))


def test_it_is_written_whole(tmp_path):
    report.write_page("<html>", tmp_path / "a" / "report.html")
    assert (tmp_path / "a" / "report.html").read_text() == "<html>"


HOSTILE = [
    "$0_$50", "$\\frac{", "<!--<script>", "</script><b>x</b>", "<a href='x'>", "[red]x[/]", "[/]", "\x1b[31mred",
    "漢字", "\U0001f600", "a" * 10_000, "\u202ertl", "&lt;", "a\x00b", "a\u2028b",
]  # fmt: skip


def hostile(n=48):
    """Tables whose names, categories and labels are of all that some renderer takes for its own."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(n, len(HOSTILE))), columns=HOSTILE)
    return X, np.resize(HOSTILE, n)


def assert_whole(page):
    """Nothing of the data has become markup: what is drawn is there, and no element that the page has not of itself."""
    assert "This page lacks" not in page
    body = page[page.index("<body>") :]
    assert "<!--" not in body
    assert body.count("<script>") == body.count("</script>") == 1
    assert "<b>" not in body
    assert "<a href='x'>" not in body
    assert "\x1b" not in body
    assert outside(page) == []
    assert plots(page), "and they are JSON"


@pytest.mark.parametrize("family", [Autoencoder, VariationalAutoencoder, ConditionalVariationalAutoencoder])
def test_names_and_labels_that_look_like_markup(family, tmp_path):
    X, y = hostile()
    model = family(2, network=MLP(hidden=(4,)), max_epochs=1, random_state=0).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # also of letters that no font has
        page = report.model_page(model, X, y, "title <!--<script>")
    assert_whole(page)
    names = {trace.get("name") for trace in plots(page)["map-0"]["data"]}
    assert {"&lt;!--&lt;script&gt;", "$0_$50", "\\x1b[31mred", "&amp;lt;"} <= names
    assert max(map(len, names)) < 60
    report.write_page(page, tmp_path / "page.html")
    (tmp_path / "page.html").read_text(encoding="utf-8")


def test_categories_that_look_like_markup():
    X, y = hostile()
    X = X.iloc[:, :8].assign(kind=y)
    model = TabularAutoencoder(2, na_values=[], network=MLP(hidden=(4,)), max_epochs=1, random_state=0).fit(X)
    assert_whole(report.model_page(model, X, None, "title"))


def test_names_of_rows_that_look_like_markup(digits):
    model = VariationalAutoencoder(2, network=MLP(hidden=(4,)), max_epochs=1, random_state=0).fit(digits[:64])
    names = [*HOSTILE, "half\udcff", *HOSTILE, *HOSTILE][:32]
    page = report.model_page(model, digits[:32], np.resize(HOSTILE, 32), "title", names=names)
    assert_whole(page)
    steps = np.random.default_rng(0).normal(size=(12, 6, 2))
    model = SequenceAutoencoder(2, future_steps=2, max_epochs=1, random_state=0).fit(steps)
    assert_whole(report.model_page(model, steps, None, "title", names=names[:12]))


def test_a_comparison_with_names_that_look_like_markup():
    X, y = hostile()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = isthmus.compare(X, y, ["sparse"], n_components=2, seeds=1, max_epochs=1)
    assert_whole(report.comparison_page(found, "title"))


@pytest.mark.parametrize("lost", ["image_lines", "weight_images", "code_map", "training_curves", "sprite"])
def test_a_part_that_fails_is_left_out_and_named(monkeypatch, digits, lost):
    model = Autoencoder(2, network=MLP(hidden=(4,)), max_epochs=1, random_state=0).fit(digits[:64])

    def fail(*_, **__):
        raise ZeroDivisionError("no <ink>\n\x1b[31m" + "x" * 10_000)

    with monkeypatch.context() as patch:
        patch.setattr(f"isthmus.report.page.{lost}", fail)
        with pytest.warns(
            UserWarning, match=r"the report lacks .* which failed: ZeroDivisionError: no <ink> \\x1b"
        ) as told:
            page = report.model_page(model, digits[:40], None, "title")
    assert [str(each.message).count("\n") for each in told] == [0]
    assert len(str(told[0].message)) < 600
    assert "ZeroDivisionError: no &lt;ink&gt;" in page
    assert "test_report.py" in page, "and where it was"
    whole = report.model_page(model, digits[:40], None, "title")
    assert (
        len(plots(page)) + len(re.findall("data:image", page))
        == len(plots(whole)) + len(re.findall("data:image", whole)) - 1
    )


def test_a_reproduction_whose_picture_fails_has_the_others(monkeypatch):
    curves = Curves("Loss $_$", "text", {"$a$ <b>": [1.0, 2.0]}, {})
    points = Points("Sheet", "text", {"$0_$50": np.zeros((3, 2))}, np.zeros(3))
    found = reproduce.Reproduction("deep-nine", "t", "s", Findings(pictures=[curves, points]), [], 0, True, 3, 1.0, {})
    page = report.reproduction_page(found)
    assert page.count("data:image") == 2
    assert "<b>" not in page
    monkeypatch.setattr("isthmus.report.reproduction._points", lambda picture: 1 / 0)
    with pytest.warns(UserWarning, match="lacks 'Sheet', which failed: ZeroDivisionError"):
        assert report.reproduction_page(found).count("data:image") == 1


def test_nothing_of_matplotlibs_settings_is_changed():
    """They are the program's, and other threads'."""
    before = dict(mpl.rcParams)
    seen = []
    figure = Figure()
    figure.text(0, 0, "$0_$50")
    figure.subplots().set_xticks([0, 1], ["$a_$", "$\\frac{"])
    savefig = figure.savefig
    figure.savefig = lambda *args, **kwargs: (seen.append(dict(mpl.rcParams)), savefig(*args, **kwargs))
    figure_uri(figure)
    assert seen == [before]
