"""What the pages in docs/ show runs as it stands there."""

import re
from pathlib import Path

import pytest
from sklearn.metrics import roc_auc_score

DOCS = Path(__file__).parent.parent / "docs"


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


PAGES = [page for page in sorted(DOCS.glob("*.md")) if blocks(page)]


def outliers(names):
    y, found = names["y"], names["found"]
    assert found.mean() == pytest.approx(0.1, abs=0.005)
    assert y[found].mean() > 3 * y.mean()
    assert roc_auc_score(y, -names["scores"]) > 0.85
    assert names["column"] == 5


def sequences(names):
    assert names["auroc"] > 0.88
    assert names["errors"]["model"] < 0.85 * min(names["errors"]["last value"], names["errors"]["last day"])


def tables(names):
    abalone, filled, hidden = names["abalone"], names["filled"], names["hidden"]
    assert (filled.dtypes == abalone.dtypes).all()
    assert (filled == abalone).to_numpy()[~hidden].all()
    assert not filled.isna().any(axis=None)
    assert names["by_column"].idxmin() == "Height"
    assert names["layers"].shape == (2000, 512 + 256 + 32 + 256 + 512)
    assert names["accuracy"] > 0.8


def transformer(names):
    assert names["codes"].shape == (200, 32)
    assert (names["filled"] == names["test"])[~names["hidden"]].all()
    assert names["error"] < 0.95


def many(names):
    assert names["codes"].shape == (len(names["X"]), 8)
    assert names["scores"].shape == (4,)
    assert names["best"] in names["search"].cv_results_["params"]


CLAIMS = {"many": many, "outliers": outliers, "sequences": sequences, "tables": tables, "transformer": transformer}
"""What a page says of the names that its blocks define, beside that they run."""


@pytest.mark.usefixtures("fewer_epochs")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(page, request, tmp_path, monkeypatch):
    if any("ISTHMUS_DATA" in block for block in blocks(page)):
        request.getfixturevalue("data_dir")  # or the test is skipped
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks(page):
        exec(compile(block, page.name, "exec"), names)
    if page.stem in CLAIMS:
        CLAIMS[page.stem](names)


def test_every_claim_has_its_page():
    assert set(CLAIMS) <= {page.stem for page in PAGES}


def test_every_promise_names_a_test_that_is_there():
    page = (DOCS / "promises.md").read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?", page)
    assert len(named) > 10
    for file, test in named:
        text = (Path(__file__).parent / file).read_text(encoding="utf-8")
        assert not test or f"def {test}(" in text, f"{file} has no {test}"
