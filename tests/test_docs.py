"""What the pages in docs/ show runs as it stands there."""

import re
from pathlib import Path

import pytest
from sklearn.metrics import roc_auc_score

DOCS = Path(__file__).parent.parent / "docs"


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def outliers(names):
    assert roc_auc_score(names["y"], -names["scores"]) > 0.9
    assert names["found"].mean() == pytest.approx(0.05, abs=0.005)


CLAIMS = {"outliers": outliers}
"""What a page says of the names that its blocks define, beside that they run."""


@pytest.mark.parametrize("page", [page for page in sorted(DOCS.glob("*.md")) if blocks(page)], ids=lambda page: page.stem)
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
    assert set(CLAIMS) <= {page.stem for page in DOCS.glob("*.md") if blocks(page)}
