"""Published results beside measured ones: every name runs, says what it is, and judges as it should."""

import json
import re
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from isthmus import cli, report, reproduce
from isthmus.reproduce import Curves, Figure, Findings, Images, Points, Reproduction, Table, study
from isthmus.reproduce.result import OUTSIDE, QUICK, UNPUBLISHED, WITHIN
from isthmus.reproduce.swiss_roll import rank_correlation
from isthmus.sources import datasets
from isthmus.sources.datasets import Dataset

SETTINGS = {  # what stands in the setting must stand in the models
    "under-over-conv": ("n_components=500", "code_activation='tanh'", "corruption='dropout'", "batch_size=256"),
    "deep-nine": ("hidden=(128, 64, 36, 18)", "batch_size=32", "lr=0.001"),
    "fashion-conv-four": ("pool_size=(2, 9)", "lr=0.02", "batch_size=32"),
    "vae-cvae": ("hidden=(784, 784)", "sigma=0.70710", "label_dropout=0.0", "batch_size=1024"),
    "families": ("weight_decay=0.001", "corruption='masking'", "contraction_weight=0.1"),
    "swiss-roll": ("n_components=2",),
    "interpolation": ("n_components=32",),
}


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (Figure("f", 0.0553, 0.0574, 0.006), WITHIN),
        (Figure("f", 0.0574 - 0.0061, 0.0574, 0.006), OUTSIDE),
        (Figure("f", 0.0574 + 0.0061, 0.0574, 0.006), OUTSIDE),
        (Figure("f", 0.019, at_most=0.02), WITHIN),
        (Figure("f", 0.021, at_most=0.02), OUTSIDE),
        (Figure("f", float("nan"), 0.1, 1.0), OUTSIDE),
        (Figure("f", float("nan"), at_most=1.0), OUTSIDE),
        (Figure("f", 0.5), UNPUBLISHED),
    ],
)
def test_verdicts(figure, verdict):
    assert figure.verdict == verdict
    assert made(figure).verdict(figure) == verdict
    assert made(figure, quick=True).verdict(figure) == (UNPUBLISHED if verdict == UNPUBLISHED else QUICK)


def made(*figures, quick=False):
    """A reproduction with one of everything."""
    images, points = np.zeros((4, 5, 6)), np.random.default_rng(0).normal(size=(20, 3))
    findings = Findings(
        figures,
        [Table("errors <b>", pd.DataFrame({"a": [1.0, float("nan")], "n": [2000, 3]}, ["x", "y"]))],
        ["a note & more"],
        [
            Images("images", "of things", [{"one": images, "two": images}], "abcd"),
            Points("points", "in space", {"3": points, "2": points[:, :2]}, points[:, 0]),
            Curves("curves", "down", {"seed 0": [0.3, 0.2]}, {"published": [0.25, 0.15]}),
        ],
    )
    rows = 20 if quick else None
    return Reproduction("name", "Title", "Setting", findings, [], 0, quick, rows, 1.0, {"torch": "2"})


def test_as_json():
    told = made(Figure("f", float("nan"), 0.1, 1.0), Figure("g", 0.1)).as_json()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["figures"][0] == {
        "name": "f", "measured": None, "published": 0.1, "tolerance": 1.0, "at_most": None, "verdict": OUTSIDE,
    }  # fmt: skip
    assert told["tables"] == {"errors <b>": [{"name": "x", "a": 1.0, "n": 2000}, {"name": "y", "a": None, "n": 3}]}


def test_the_page_is_whole():
    page = report.reproduction_page(made(Figure("f <i>", 0.2, 0.1, 1.0), Figure("g", 9.0, at_most=1.0)))
    assert re.findall(r"(?:src|href)=\"(?!data:)[^\"]*\"|<link|@import|<script", page) == []
    assert page.count("data:image/png;base64,") == 3
    for word in ("f &lt;i&gt;", "0.1 ± 1", "at most 1", WITHIN, OUTSIDE, "2,000", "a note &amp; more", "Setting"):
        assert word in page
    assert "quick" not in page.lower().replace(".quick", "")


def test_a_quick_run_says_so():
    quick = made(Figure("f", 0.2, 0.1, 1.0), quick=True)
    assert report.quick_words(quick) in report.reproduction_page(quick)
    assert "quick run, on at most 20 rows" in report.quick_words(quick)
    assert WITHIN not in report.reproduction_page(quick)
    assert quick.as_json()["quick"] is True
    assert report.quick_words(made()) == ""


@pytest.fixture
def tiny(monkeypatch):
    """Digits blown up to 28×28 in place of the images, cut to few rows."""
    load = datasets.load

    def small(name, split="train", data_dir=None):
        X, y = load("swiss_roll" if name == "swiss_roll" else "digits", split)
        return Dataset(X if X.ndim == 2 else np.pad(X.repeat(3, 1).repeat(3, 2), ((0, 0), (2, 2), (2, 2))), y)

    monkeypatch.setattr(study.datasets, "load", small)
    monkeypatch.setattr(study, "QUICK_ROWS", 200)
    return small


@pytest.mark.filterwarnings("ignore:the code has collapsed")  # after two steps it has
@pytest.mark.parametrize("name", reproduce.REPRODUCTIONS)
def test_every_name_runs(tiny, tmp_path, monkeypatch, capfd, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main sets its own; put it back
    monkeypatch.setattr(sys, "argv", ["isthmus", "reproduce", name, "--quick", "--seed", "3"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    out, err = capfd.readouterr()
    assert end.value.code == 0, err
    folder = tmp_path / "runs" / "reproduce" / f"{name}-quick"
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "reproduction.json"]
    told = json.loads((folder / "reproduction.json").read_text(encoding="utf-8"))
    assert (told["name"], told["quick"], told["seed"], told["rows"]) == (name, True, 3, 200)
    assert told["figures"] or told["tables"]
    assert all(figure["verdict"] in (QUICK, UNPUBLISHED) for figure in told["figures"])
    fitted = " ".join(fit["model"] for fit in told["fits"])
    for word in (*SETTINGS[name], "random_state=3"):
        assert word in fitted
    page = (folder / "report.html").read_text(encoding="utf-8")
    for text in (out, page):
        assert "This was a quick run" in text
        for figure in told["figures"]:
            assert figure["name"] in text
    assert "data:image/png;base64," in page


def test_a_full_run_is_cut_nowhere(monkeypatch):
    full, quick = study.Study(seed=2), study.Study(seed=2, quick=True)
    assert (full.rows, full.epochs(20), list(full.seeds(5))) == (None, 20, [2, 3, 4, 5, 6])
    assert (quick.rows, quick.epochs(20), quick.epochs(1), list(quick.seeds(5))) == (2000, 2, 1, [2, 3])
    assert full.load("digits").X.shape == (1437, 8, 8)
    assert full.load("digits").X_test.shape == (360, 8, 8)


def test_an_interrupted_run_has_no_figures(tiny, monkeypatch):
    fit = reproduce.deep_nine.Autoencoder.fit

    def pressed(self, X, y=None):
        fit(self, X, y)
        self.interrupted_ = True
        return self

    monkeypatch.setattr(reproduce.deep_nine.Autoencoder, "fit", pressed)
    with pytest.raises(KeyboardInterrupt):
        reproduce.run("deep-nine", quick=True)


def test_rank_correlation(rng):
    position = rng.uniform(size=500)
    codes = np.column_stack([np.exp(3 * position), rng.normal(size=500)])
    assert rank_correlation(codes, position) > 0.99
    turned = codes @ np.array([[0.6, 0.8], [-0.8, 0.6]])
    assert rank_correlation(turned, position) > 0.99
    assert rank_correlation(rng.normal(size=(500, 2)), position) < 0.2


def test_deep_nine_on_real_images(data_dir, monkeypatch):
    monkeypatch.setattr(study, "QUICK_ROWS", 500)
    found = reproduce.run("deep-nine", quick=True, data_dir=data_dir)
    assert isinstance(found.fits[0].model, str)
    assert 0.03 < found.findings.tables[0].frame.loc["PCA-9"].item() < 0.05


def test_an_unknown_name():
    with pytest.raises(ValueError, match="unknown reproduction 'deep-nien': did you mean 'deep-nine'"):
        reproduce.run("deep-nien")
    with pytest.raises(ValueError, match="there are under-over-conv, deep-nine"):
        reproduce.run("xyz")


def test_the_list(monkeypatch, capfd):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr(sys, "argv", ["isthmus", "reproduce", "--list"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(reproduce.REPRODUCTIONS)
