"""What the README shows runs as it stands there."""

import re
import shlex
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from torch import nn

import isthmus
from isthmus import cli

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def blocks(language):
    return [text for name, text in BLOCKS if name == language]


def mixed_table(n=300):
    rng = np.random.default_rng(0)
    length = rng.uniform(1, 2, n)
    size = np.where(length > 1.5, "large", "small").astype(object)
    size[::20] = None
    return pd.DataFrame({"length": length, "weight": length**3 + rng.normal(0, 0.1, n), "size": size})


@pytest.mark.usefixtures("fewer_epochs")
def test_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"my_encoder": nn.Linear(64, 8), "my_decoder": nn.Linear(8, 64), "frame": mixed_table()}
    names["sequences"] = [np.sin(np.arange(20 + i % 5) / 3 + i) for i in range(60)]
    for block in blocks("python"):
        exec(block, names)
    X = names["X"]
    assert names["codes"].shape == (len(X), 8)
    assert names["rebuilt"].shape == X.shape
    assert (names["again"].transform(X) == names["codes"]).all()
    assert 0.03 < names["outliers"].mean() < 0.07
    assert names["table"].loc["deep", "share_of_pca"] < 0.6
    assert names["new"].shape == names["sevens"].shape == (10, 8, 8)
    assert names["between"].shape == (5, 9, 8, 8)
    assert names["restyled"].shape == (5, 8, 8)
    assert names["bound"].shape == (len(X),)
    assert not np.isnan(names["whole"]).any()
    assert names["whole_frame"].notna().all(axis=None)
    assert names["whole_frame"].dtypes.equals(names["frame"].dtypes)
    assert names["features"].shape == (300, 512 + 256 + 4 + 256 + 512)
    assert names["strange"].shape == names["frame"].shape
    assert names["ahead"].shape == (60, 5)
    assert names["guess"].shape == names["y"].shape
    assert names["masked"].set_params(max_epochs=1).fit(X[:200]).transform(X[:5]).shape == (5, 32)
    assert names["pictures"].set_params(max_epochs=1).fit(X).reconstruct(X).shape == X.shape
    for name in ("deep", "denoiser", "both", "mine"):
        rows = X.reshape(-1, 64)
        assert names[name].set_params(max_epochs=1).fit(rows).reconstruct(rows).shape == rows.shape


def test_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mixed_table().to_csv(tmp_path / "table.csv", index=False)
    steps = np.arange(400)
    times = pd.date_range("2026-01-01", periods=400, freq="h")
    series = pd.DataFrame({"time": times, "a": np.sin(steps / 5), "b": np.cos(steps / 9)})
    series.to_csv(tmp_path / "series.csv", index=False)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main sets its own; put it back
    commands = [shlex.split(line, comments=True) for line in blocks("sh")[1].splitlines() if line.startswith("isthmus")]
    assert {command[1] for command in commands} == {
        "data", "train", "transform", "reconstruct", "score", "impute", "neighbors", "sample", "interpolate", "compare",
        "report",
    }  # fmt: skip
    for command in commands:
        quick = ["--epochs", "1", "--seeds", "2"] if command[1] == "compare" else []
        monkeypatch.setattr(sys, "argv", [*command, *quick])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == 0, capsys.readouterr().err
    assert (tmp_path / "runs/denoising/report.html").is_file()
    assert isthmus.load(tmp_path / "runs/denoising").n_components == 30


def test_every_family_in_the_table():
    text = README.read_text(encoding="utf-8")
    for name in (
        "Autoencoder",
        "DenoisingAutoencoder",
        "SparseAutoencoder",
        "ContractiveAutoencoder",
        "VariationalAutoencoder",
        "ConditionalVariationalAutoencoder",
        "SequenceAutoencoder",
        "TabularAutoencoder",
        "MultimodalAutoencoder",
        "OutlierDetector",
    ):
        assert f"`{name}(" in text
