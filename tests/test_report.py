"""The page is whole, opens offline and holds what it should."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

import isthmus
from isthmus import Autoencoder, DenoisingAutoencoder, report
from isthmus.networks import MLP
from isthmus.report.images import pixels, sprite, weight_images
from isthmus.report.plots import plane


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
    assert page[page.index("<body>") :].count("data:image/png;base64,") == 3, "rows, weights, thumbnails"


def test_a_model_of_a_table(table):
    model = Autoencoder(1, network=MLP(hidden=(4,), linear_path=None), max_epochs=2, validation_fraction=None).fit(
        table
    )
    page = report.model_page(model, table, np.linspace(0, 1, 200), "table")
    assert outside(page) == []
    assert "const plots" in page
    assert "thumbnails = null" in page


def test_a_comparison(digits, digits_labels):
    models = {"plain": Autoencoder(4), "<denoising>": DenoisingAutoencoder(4)}
    found = isthmus.compare(digits, digits_labels, models, seeds=1, max_epochs=1)
    page = report.comparison_page(found, "digits")
    assert outside(page) == []
    assert set(plots(page)) == {"map-0", "curves-1", "map-1", "curves-2", "map-2"}
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


def test_weights_of_a_network_without_a_matrix_over_pixels(digits):
    from torch import nn

    from isthmus.core.model import Model

    assert weight_images(Model(nn.Conv2d(1, 2, 3), nn.Identity()), (1, 8, 8)) is None


@pytest.mark.parametrize(("width", "words"), [(1, "one unit"), (2, "two units"), (9, "t-SNE")])
def test_the_plane(rng, width, words):
    xy, way = plane(rng.normal(size=(60, width)))
    assert xy.shape == (60, 2)
    assert words in way


def test_few_rows(digits):
    model = Autoencoder(5, max_epochs=1).fit(digits)
    assert "map-0" in plots(report.model_page(model, digits[:3], None, "three"))


def test_it_is_written_whole(tmp_path):
    report.write_page("<html>", tmp_path / "a" / "report.html")
    assert (tmp_path / "a" / "report.html").read_text() == "<html>"
