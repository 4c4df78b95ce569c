"""Which rows a report and a picture show, what they are called, and tables as tables."""

import html
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import isthmus
from isthmus import Autoencoder, DenoisingAutoencoder, SequenceAutoencoder, TabularAutoencoder, report
from isthmus.formats.labels import spread_order
from isthmus.formats.names import row_names
from isthmus.report.cells import short
from isthmus.report.words import listed
from isthmus.sources.files import read
from test_kept import plots


def test_classes_take_turns():
    y = np.repeat(list("abcdefgh"), 60)
    order = spread_order(480, y)
    assert sorted(order) == list(range(480))
    assert y[order[:16]].tolist() == list("abcdefgh") * 2
    np.testing.assert_array_equal(order, spread_order(480, y))
    assert len(set(order[:8] % 60)) > 4, "and of each class not the first"


@pytest.mark.parametrize(
    "y", [None, np.linspace(0, 1, 300), np.zeros((300, 2)), np.full(300, None), np.full(300, np.nan)]
)
def test_rows_without_classes_are_drawn_at_random(y):
    order = spread_order(300, y)
    assert sorted(order) == list(range(300))
    assert np.ptp(order[:10]) > 100


def test_rows_without_a_label_come_last_in_a_turn():
    y = np.array([None] * 20 + ["b"] * 20 + ["a"] * 20, object)
    assert y[spread_order(60, y)[:6]].tolist() == ["a", "b", None] * 2


def test_many_classes_do_not_begin_with_the_same_few():
    y = np.repeat(np.arange(40), 10)
    assert y[spread_order(400, y)[:10]].max() > 20
    assert len(set(y[spread_order(400, y)[:40]])) == 40


@pytest.mark.parametrize(
    ("frame", "names"),
    [
        (np.zeros((2, 2)), ["row 0", "row 1"]),
        (pd.DataFrame({"a": [1.0, 2]}), ["row 0", "row 1"]),
        (pd.DataFrame({"a": [1.0, 2]}, index=["x", "y"]), ["x", "y"]),
        (pd.DataFrame({"a": [1.0, 2]}, index=[7, 3]), ["7", "3"]),
        (pd.DataFrame({"a": [1.0, 2], "customer_id": ["C7", "C3"]}), ["C7", "C3"]),
        (pd.DataFrame({"ID": [7, 3], "a": [1, 2]}), ["7", "3"]),
        (pd.DataFrame({"id": [7, 7], "a": [1, 2]}), ["row 0", "row 1"]),  # no name of a row
        (pd.DataFrame({"paid": [7, 3]}), ["row 0", "row 1"]),
    ],
)
def test_what_rows_are_called(frame, names):
    assert row_names(frame) == names


def test_names_in_a_sentence():
    assert listed(["row 3", "row 17"]) == "rows 3, 17"
    assert listed(["row 3"]) == "row 3"
    assert listed(["a.png", "b.png"]) == "a.png, b.png"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, digits, digits_labels):
    """Images sorted by their classes: the first twelve of each of eight."""
    folder = tmp_path_factory.mktemp("sorted")
    for label in range(8):
        (folder / f"class_{label}").mkdir()
        for i, image in enumerate(digits[digits_labels == label][:12]):
            Image.fromarray((255 * image).astype(np.uint8)).save(folder / f"class_{label}" / f"{i:02}.png")
    return folder


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """A run on that folder, which begins with twelve rows of one class."""
    path = tmp_path_factory.mktemp("run") / "run"
    Autoencoder(3, max_epochs=2, random_state=0).fit(read(folder).X).save(path)
    return path


def test_a_report_on_a_sorted_folder(run, folder):
    status, _, _ = run(f"train {folder} --components 2 --epochs 1 --out run")
    assert status == 0
    page = Path("run", "report.html").read_text(encoding="utf-8")
    assert "Codes of 96 training rows" in page
    assert "test rows" not in page[page.index("<body>") :]
    shown = re.search(r"From the left: (.*?)\.</p>", page).group(1).split(", ")
    assert [name.partition("/")[0] for name in shown] == [f"class_{i % 8}" for i in range(10)]
    assert all((folder / name).is_file() for name in shown)
    traces = plots(page)["map-0"]["data"]
    assert {name.partition("/")[0] for trace in traces for name in trace["text"]} == {f"class_{i}" for i in range(8)}
    for trace in traces:
        assert {name.partition("/")[0] for name in trace["text"]} == {trace["name"]}, "each point has its own name"


def rows_said(out):
    return re.search(r", of (.*)", out).group(1).strip().split(", ")


@pytest.mark.parametrize("command", ["reconstruct", "neighbors", "impute --missing 0.5"])
def test_pictures_of_a_sorted_folder(run, folder, trained, tmp_path, command):
    verb, *rest = command.split()
    status, out, err = run(f"{verb} {trained} {folder} -o x.png {' '.join(rest)}")
    assert (status, err) == (0, "")
    said = rows_said(out)
    assert [name.partition("/")[0] for name in said[:8]] == [f"class_{i}" for i in range(8)]
    picture = np.asarray(Image.open(tmp_path / "x.png").convert("L"))
    if verb == "impute":
        return  # what is hidden has a colour
    for i, name in enumerate(said[:3]):
        there = picture[:56, 60 * i : 60 * i + 56] if verb == "reconstruct" else picture[60 * i : 60 * i + 56, :56]
        np.testing.assert_array_equal(there[::7, ::7], np.asarray(Image.open(folder / name)))


def test_ways_between_rows_of_a_sorted_folder(run, folder, trained, tmp_path):
    status, out, _ = run(f"interpolate {trained} {folder} -o x.npy --steps 3")
    assert status == 0
    pairs = [pair.split(" to ") for pair in re.search(r"drawn at random: (.*)", out).group(1).split("; ")]
    assert len({end.partition("/")[0] for pair in pairs for end in pair}) == 8
    model = isthmus.load(trained)
    a, b = (np.stack([np.asarray(Image.open(folder / pair[i])) for pair in pairs]) for i in (0, 1))
    np.testing.assert_allclose(np.load(tmp_path / "x.npy"), model.interpolate(a, b, 3), atol=1e-6)


def test_results_of_a_folder_name_its_files(run, folder, trained, tmp_path):
    X, files = read(folder).X, [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.png"))]
    scores = isthmus.load(trained).score_samples(X)
    status, out, _ = run(f"score {trained} {folder} -o s.csv")
    assert status == 0
    assert f"in {files[scores.argmin()]}\n" in out
    table = pd.read_csv(tmp_path / "s.csv")
    assert table["file"].tolist() == files
    np.testing.assert_allclose(table["score"], scores, rtol=1e-6)
    assert run(f"neighbors {trained} {folder} -o n.csv -k 2")[0] == 0
    table = pd.read_csv(tmp_path / "n.csv")
    assert table["file_2"].tolist() == [files[row] for row in table["neighbour_2"]]


def test_a_named_data_set_is_shown_by_its_test_rows(run):
    assert run("train digits --components 2 --epochs 1 --out run")[0] == 0
    page = Path("run", "report.html").read_text(encoding="utf-8")
    assert "Codes of 360 test rows" in page
    error = np.square(isthmus.load("run").reconstruct(X := isthmus.datasets.load("digits", "test").X) - X).mean()
    assert f"squared error an entry {error:.4g} on the 360 test rows." in page


def test_more_rows_than_are_shown_are_told_of(digits):
    model = Autoencoder(2, max_epochs=1, random_state=0).fit(digits)
    page = report.model_page(model, digits[:900], None, "x", which="training rows")
    assert "Codes of 800 of 900 training rows, drawn at random" in page


def table_on(page, heading):
    """Return the table below a heading, as lists of texts, and where its cells are marked."""
    part = page[page.index(f"<h2>{heading}</h2>") :]
    part = part[: part.index("</table>")]
    columns = re.findall(r"<th>(.*?)</th>", part[: part.index("</thead>")])
    rows = {}
    for block in re.findall(r"<tbody>(.*?)</tbody>", part, re.DOTALL):
        name = re.search(r"<th rowspan=\"\d+\">(.*?)</th>", block).group(1)
        for line in re.findall(r"<tr>(.*?)</tr>", block, re.DOTALL):
            kind = re.findall(r"<th>(.*?)</th>", line)
            cells = re.findall(r"<td(.*?)>(.*?)</td>", line)
            rows[html.unescape(name), kind[0] if kind else ""] = [(html.unescape(t), "style" in s) for s, t in cells]
    return [name for name in columns if name], rows


def test_a_table_is_a_table(table):
    frame = pd.DataFrame(table, columns=list("abcdef"), index=[f"case {i}" for i in range(len(table))])
    model = Autoencoder(2, max_epochs=2, random_state=0).fit(frame)
    page = report.model_page(model, frame, None, "table")
    columns, rows = table_on(page, "Reconstructions")
    assert columns == list("abcdef")
    names = list(dict.fromkeys(name for name, _ in rows))
    assert len(names) == 6
    rebuilt = pd.DataFrame(model.reconstruct(frame), frame.index, frame.columns)
    off = (rebuilt - frame).abs() / frame.std(ddof=0)
    for name in names:
        assert [text for text, _ in rows[name, "true"]] == [short(value) for value in frame.loc[name]]
        assert [text for text, _ in rows[name, "rebuilt"]] == [short(value) for value in rebuilt.loc[name]]
        assert not any(mark for _, mark in rows[name, "true"])
    marked = np.array([[mark for _, mark in rows[name, "rebuilt"]] for name in names])
    assert marked.sum() == 4, "a tenth of 36"
    shown = off.loc[names].to_numpy()
    assert shown[marked].min() >= shown[~marked].max(), "the worst ones"
    foot = re.findall(r"<td>([\d.]+) sd</td>", page[page.index("<tfoot>") :][:2000])
    expected = np.sqrt(np.square(rebuilt - frame).mean() / frame.var(ddof=0))
    np.testing.assert_allclose(np.array(foot[:6], float), expected, rtol=1e-2)
    assert page[page.index("<body>") :].count("data:image/png") == 1, "the weights: there is no curve of a row"


def test_of_many_columns_the_worst_are_shown(rng):
    X = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 30))
    X[:, 7] = rng.normal(size=60)
    model = Autoencoder(2, max_epochs=1, random_state=0).fit(X)
    page = report.model_page(model, X, None, "wide")
    columns, _ = table_on(page, "Reconstructions")
    assert len(columns) == 10
    assert "x_7" in columns
    assert "the 10 of 30 columns that are rebuilt worst" in page


def test_corrupted_rows_stand_between(table):
    model = DenoisingAutoencoder(2, max_epochs=1, random_state=0).fit(table)
    _, rows = table_on(report.model_page(model, table, None, "x"), "Reconstructions from the same corrupted rows")
    assert {kind for _, kind in rows} == {"true", "corrupted", "rebuilt"}
    assert any(text == "–" for (_, kind), cells in rows.items() if kind == "corrupted" for text, _ in cells)
    assert not any(mark for (_, kind), cells in rows.items() if kind != "rebuilt" for _, mark in cells)


def test_a_mixed_table_with_gaps_is_a_table(rng):
    age = rng.integers(20, 60, 80)
    frame = pd.DataFrame({"user_id": [f"u{i}" for i in range(80)], "age": age.astype(float), "old": age > 40})
    frame["kind"] = rng.choice(["x", "y"], 80)
    frame.loc[::2, "age"] = np.nan
    model = TabularAutoencoder(2, max_epochs=1, random_state=0, drop=["user_id"]).fit(frame)
    page = report.model_page(model, frame, None, "mixed")
    columns, rows = table_on(page, "Reconstructions")
    assert columns == ["age", "old", "kind"], "what is left out names the rows, and is not rebuilt"
    rebuilt = model.reconstruct(frame)
    gaps = 0
    for (name, kind), cells in rows.items():
        i = int(name.removeprefix("u"))
        if kind == "true":
            gaps += cells[0][0] == "–"
            continue
        assert [text for text, _ in cells] == [short(value) for value in rebuilt[columns].iloc[i].astype(object)]
        for column in ("old", "kind"):
            wrong = rebuilt[column].astype(object)[i] != frame[column].astype(object)[i]
            assert cells[columns.index(column)][1] == wrong
        if np.isnan(frame["age"][i]):
            assert not cells[0][1], "nobody knows how far off it is"
    assert gaps > 0
    _, unusual = table_on(page, "Most unusual")
    lowest = np.argsort(model.score_samples(frame))[:10]
    assert {name for name, _ in unusual} == {f"u{i}" for i in lowest}


def test_windows_are_called_by_their_steps(run, tmp_path):
    np.save(tmp_path / "s.npy", np.sin(np.arange(90) / 5))
    assert run("train s.npy --model sequence --window 12 --stride 3 --components 2 --epochs 1 --out run")[0] == 0
    page = (tmp_path / "run" / "report.html").read_text()
    names = [name for trace in plots(page)["map-0"]["data"] for name in trace["text"]]
    assert {"steps 0 to 11", "steps 78 to 89"} < set(names)
    assert "Codes of 27 training rows" in page


def test_sequences_of_unequal_length_with_gaps():
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(length, 2)) for length in rng.integers(5, 9, 30)]
    X[3][2] = np.nan
    model = SequenceAutoencoder(2, max_epochs=1, random_state=0).fit(X)
    page = report.model_page(model, X, None, "x")
    error = np.nanmean(np.concatenate([np.square(a - b) for a, b in zip(X, model.reconstruct(X), strict=True)]))
    assert f"squared error an entry {error:.4g} on the 30 rows." in page


def test_a_comparison_of_tables(table):
    frame = pd.DataFrame(table, columns=list("abcdef"), index=[f"case {i}" for i in range(len(table))])
    found = isthmus.compare(frame, models={"plain": Autoencoder(2), "other": Autoencoder(3)}, seeds=1, max_epochs=1)
    page = report.comparison_page(found, "x")
    for heading, kinds in (
        ("Reconstructions", {"true", "PCA-2", "PCA-3", "plain", "other"}),
        ("Reconstructions from the same corrupted rows", {"true", "corrupted", "PCA-2", "PCA-3", "plain", "other"}),
    ):
        columns, rows = table_on(page, heading)
        assert columns == list("abcdef")
        assert {kind for _, kind in rows} == kinds
        for (name, kind), cells in rows.items():
            if kind == "true":
                assert [text for text, _ in cells] == [short(value) for value in frame.loc[name]], "its name is its own"


def test_rows_of_a_comparison_are_called_as_in_the_data(digits, digits_labels):
    X, y = digits[:300], digits_labels[:300]
    found = isthmus.compare(X, y, {"plain": Autoencoder(2)}, seeds=1, max_epochs=1)
    for name, row in zip(found.names_test, found.X_test, strict=True):
        np.testing.assert_array_equal(X[int(name.removeprefix("row "))], row)
    page = report.comparison_page(found, "digits")
    assert "Codes of 60 test rows" in page
    for trace in plots(page)["map-1"]["data"]:
        assert {str(y[int(name.removeprefix("row "))]) for name in trace["text"]} == {trace["name"]}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456, "0.1235"),
        (24871.0, "24871"),
        (1.5e9, "1.5e+09"),
        (np.float32(2), "2"),
        (np.nan, "–"),
        (None, "–"),
        (pd.NA, "–"),
        ("a long name of something", "a long name of …"),
        (True, "True"),
    ],
)
def test_a_cell_has_room_for_it(value, text):
    assert short(value) == text
