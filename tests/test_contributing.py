"""What CONTRIBUTING.md tells of adding a part, done by its text alone in a copy of the house."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import isthmus

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^`([\w/.]+)`(?:, in `(\w+)`)?\n\n```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ADDED = ("laplace", "bounded", "uncorrelated", "shallow")

USES = """
import sys, tempfile
import numpy as np, torch
from typer.testing import CliRunner
import isthmus
from isthmus import cli
from isthmus.core.bottlenecks.base import Code
from isthmus.core.likelihoods.laplace import Laplace
from isthmus.core.penalties.base import Forward
from isthmus.core.penalties.covariance import covariance
from isthmus.models.loading import DNAAutoencoder
import pandas as pd

folder = sys.argv[1]
x, mean = torch.randn(2, 5, 3, dtype=torch.float64)
oracle = torch.distributions.Laplace(mean, 0.3 / 2**0.5)
torch.testing.assert_close(Laplace(mean, 0.3).log_density(x), oracle.log_prob(x))
torch.testing.assert_close(Laplace(mean, 0.3).fit(x).log_prob, oracle.log_prob(x).sum(1))
draws = Laplace(torch.zeros(20_000, 1), 2.0).sample(torch.Generator().manual_seed(0))
assert abs(draws.std() - 2) < 0.05 and abs(draws.abs().mean() - 2 / 2**0.5) < 0.05

z = torch.randn(50, 3)
off = np.cov(z.numpy().T, bias=True)
np.fill_diagonal(off, 0)
forward = Forward(None, (), None, Code(z, z, {}))
np.testing.assert_allclose(covariance(forward), (off**2).sum(), rtol=1e-4)

digits, labels = isthmus.datasets.load("digits")
few = {"max_epochs": 2, "random_state": 0}
model = isthmus.Autoencoder(2, likelihood="laplace", sigma=0.5, **few).fit(digits)
residuals = torch.tensor(digits - model.reconstruct(digits))
log_prob = torch.distributions.Laplace(torch.tensor(0.0), 0.5 / 2**0.5).log_prob(residuals).flatten(1).sum(1)
np.testing.assert_allclose(model.score_samples(digits), log_prob, rtol=1e-4)

bounded = isthmus.Autoencoder(3, bottleneck="bounded", penalties={"covariance": 0.1}, **few).fit(digits)
assert abs(bounded.transform(digits)).max() <= 1 < abs(isthmus.Autoencoder(3, **few).fit_transform(digits)).max()
assert "covariance" in bounded.history_[0]["train"]
bounded.save(folder + "/bounded")
again = isthmus.load(folder + "/bounded")  # nothing of it is a stranger's
assert (again.bottleneck, again.penalties) == ("bounded", {"covariance": 0.1})
np.testing.assert_array_equal(again.score_samples(digits), bounded.score_samples(digits))

variational = isthmus.VariationalAutoencoder(2, likelihood="laplace", **few).fit(digits[:200])
assert variational.sigma_ > 0 and variational.sample(2, noise=True).shape == (2, 8, 8)
frame = pd.DataFrame({"a": digits[:200, 3, 3], "b": labels[:200].astype(str)})
for family, rows in (
    (isthmus.SequenceAutoencoder, digits[:60]),
    (isthmus.TabularAutoencoder, frame),
    (isthmus.MultimodalAutoencoder, {"image": digits[:100], "label": labels[:100]}),
):
    assert np.isfinite(family(2, likelihood="laplace", **few).fit(rows).score_samples(rows)).all()

strings = np.array(["".join(np.random.default_rng(i).permutation(list("ACGT")))[:2] * 4 for i in range(60)])
dna = DNAAutoencoder(3, max_epochs=30, random_state=0).fit(strings)
assert dna.transform(strings).shape == (60, 3)
assert dna.reconstruct(strings).shape == (60,) and set("".join(dna.reconstruct(strings))) <= set("ACGT")
assert dna.score_samples(strings, per_feature=True).shape == (60, 8)
gaps = np.array([row[:4] + "N" + row[5:] for row in strings])
filled = dna.impute(gaps)
assert all(a[:4] + a[5:] == b[:4] + b[5:] for a, b in zip(filled, strings))
assert np.mean(filled == strings) > 0.5
dna.save(folder + "/dna")
np.testing.assert_array_equal(isthmus.load(folder + "/dna").transform(strings), dna.transform(strings))

runner = CliRunner()
asked = f"train digits --model plain --epochs 1 --set likelihood=laplace --out {folder}/run"
done = runner.invoke(cli.app, asked.split())
assert done.exit_code == 0, done.output
asked = f"train digits --model plain --epochs 1 --set bottleneck=bounded --out {folder}/named"
done = runner.invoke(cli.app, [*asked.split(), "--set", "penalties={'covariance': 0.1}"])
assert done.exit_code == 0, done.output
assert isthmus.load(folder + "/named").bottleneck == "bounded"
done = runner.invoke(cli.app, ["codes", folder + "/run", "digits"])
assert done.exit_code == 0, (done.output, done.exception)
assert "of 2 units vary" in done.output, done.output
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A copy of the package and of the contract test, with what the page adds."""
    root = tmp_path_factory.mktemp("house")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(isthmus.__file__).parent, root / "src/isthmus", ignore=ignored)
    (root / "tests").mkdir()
    for name in ("conftest.py", "test_contract.py", "test_arrows.py"):
        shutil.copy(ROOT / "tests" / name, root / "tests")
    blocks = BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert len(blocks) > 12
    for name, table, text in blocks:
        path = root / name
        if path.exists():
            assert text.count("\n") == 1, f"one line in {name}"
            path.write_text(with_line(path.read_text(encoding="utf-8"), table, text), encoding="utf-8")
        else:
            path.write_text(text, encoding="utf-8")
    return root


def with_line(file, table, line):
    """Put a line at the head of a table, or else behind the last import."""
    if table:
        return file.replace(f"\n{table} = {{\n", f"\n{table} = {{\n{line}", 1)
    imports = re.finditer(r"^from isthmus[\w.]* import (?:[^(\n]*|\([^)]*\))\n", file, re.MULTILINE)
    last = [match.end() for match in imports]
    return file[: last[-1]] + line + file[last[-1] :]


def run_in(house, *command):
    env = os.environ | {"PYTHONPATH": str(house / "src")}
    done = subprocess.run([sys.executable, *command], cwd=house, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return done.stdout


def test_the_contract_holds_for_what_is_added(house):
    chosen = " or ".join((*ADDED, "dna"))
    told = run_in(
        house, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "-W", "ignore:the model is still",
        "tests/test_contract.py", "tests/test_arrows.py", "-k", f"{chosen} or arrow or circle or torch_alone",
    )  # fmt: skip
    assert int(re.search(r"(\d+) passed", told)[1]) >= 14 * len(ADDED) + 4


def test_each_does_what_it_says(house, tmp_path):
    run_in(house, "-W", "ignore", "-c", USES, str(tmp_path))
