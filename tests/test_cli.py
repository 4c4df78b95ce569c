"""Every command, as a person types it."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import isthmus
from isthmus import cli


@pytest.fixture
def run(monkeypatch, tmp_path, capfd):
    """Type a command in an empty folder; returns exit status, output and error lines."""
    monkeypatch.chdir(tmp_path)

    def type_command(command):
        monkeypatch.setattr(sys, "argv", ["isthmus", *command.split()])
        showwarning = cli.warnings.showwarning
        try:
            with pytest.raises(SystemExit) as exit_:
                cli.main()
        finally:
            cli.warnings.showwarning = showwarning
        out, err = capfd.readouterr()
        return exit_.value.code, out, err

    return type_command


@pytest.fixture
def trained(run, tmp_path):
    status, out, err = run("train digits --model denoising --components 5 --hidden 32,16 --epochs 2 --seed 3 --out run")
    assert (status, err) == (0, "")
    assert "run/report.html" in out
    return tmp_path / "run"


def test_train(trained):
    assert sorted(path.name for path in trained.iterdir()) == [
        "config.json",
        "model.safetensors",
        "report.html",
        "run.json",
    ]
    model = isthmus.load(trained)
    assert type(model) is isthmus.DenoisingAutoencoder
    assert (model.n_components, model.network.hidden, model.n_iter_, model.random_state) == (5, (32, 16), 2, 3)
    X, _ = isthmus.datasets.load("digits")
    again = isthmus.DenoisingAutoencoder(5, network=model.network, max_epochs=2, random_state=3).fit(X)
    np.testing.assert_array_equal(again.transform(X), model.transform(X))


def test_any_parameter_can_be_set(run, tmp_path):
    status, _, _ = run(
        "train digits --model sparse --epochs 1 --batch-size 64 --lr 0.01 --device cpu --out run "
        "--set sparsity=kl --set network__dropout=0.5 --set validation_fraction=None --set network__hidden=(8,4)"
    )
    assert status == 0
    model = isthmus.load(tmp_path / "run")
    assert (model.sparsity, model.network.dropout, model.validation_fraction) == ("kl", 0.5, None)
    assert (model.network.hidden, model.batch_size, model.lr, model.device) == ((8, 4), 64, 0.01, "cpu")


def test_what_is_computed_is_what_python_computes(run, trained, tmp_path):
    X, _ = isthmus.datasets.load("digits", "test")
    model = isthmus.load(trained)
    assert run("transform run digits -o codes.npy")[0] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), model.transform(X))
    assert run("transform run digits --split train -o codes.csv")[0] == 0
    codes = pd.read_csv(tmp_path / "codes.csv")
    assert codes.shape == (1437, 5)
    assert list(codes.columns) == [f"code_{i}" for i in range(5)]
    assert run("reconstruct run digits -o rows.npy")[0] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "rows.npy"), model.reconstruct(X))
    status, out, _ = run("score run digits -o scores.parquet")
    assert status == 0
    assert "nats" in out
    np.testing.assert_array_equal(pd.read_parquet(tmp_path / "scores.parquet")["score"], model.score_samples(X))


def test_report_again_and_on_other_rows(run, trained, tmp_path):
    (trained / "report.html").unlink()
    assert run("report run")[0] == 0
    assert "Autoencoder on digits" in (trained / "report.html").read_text()
    np.save(tmp_path / "mine.npy", isthmus.datasets.load("digits").X[:50])
    assert run("report run mine.npy -o other.html")[0] == 0
    assert "on mine.npy" in (tmp_path / "other.html").read_text()


def test_a_table_with_labels(run, tmp_path, table):
    frame = pd.DataFrame(table, columns=list("abcdef")).assign(kind=np.where(table[:, 0] > 0, "up", "down"))
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert run("train t.csv --label kind --epochs 1 --out run")[0] == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text()) == {
        "data": str(tmp_path / "t.csv"),
        "label": "kind",
        "data_dir": None,
    }
    assert run("reconstruct run t.csv --label kind -o r.csv")[0] == 0
    assert list(pd.read_csv(tmp_path / "r.csv").columns) == list("abcdef")
    assert run("report run")[0] == 0
    status, out, _ = run("compare t.csv --label kind --models deep --seeds 1 --epochs 1 --out cmp")
    assert status == 0
    assert "probe" in out
    assert "PCA-2" in out
    status, _, err = run("transform run t.csv -o codes.csv")
    assert (status, err.count("\n")) == (2, 1)
    assert "'kind' holds no numbers" in err


def test_a_folder_of_images(run, tmp_path):
    for i in range(30):
        (tmp_path / "pictures" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (6, 5, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / "ab"[i % 2] / f"{i}.png")
    assert run("train pictures --epochs 1 --out run")[0] == 0
    assert isthmus.load(tmp_path / "run").row_shape_ == (3, 6, 5)
    assert run("reconstruct run pictures -o r.npy")[0] == 0
    assert np.load(tmp_path / "r.npy").shape == (30, 3, 6, 5)


def test_compare(run, tmp_path):
    status, out, err = run(
        "compare digits --models under-complete,sparse --components 4 --seeds 2 --epochs 1 --out cmp"
    )
    assert (status, err) == (0, "")
    for word in ("PCA-4", "under-complete", "sparse", "±", "cmp/report.html"):
        assert word in out
    assert max(map(len, out.splitlines())) <= 120
    saved = pd.read_csv(tmp_path / "cmp" / "comparison.csv", index_col="model")
    assert list(saved.index) == ["PCA-4", "under-complete", "sparse"]
    assert saved.loc["PCA-4", "mse"] < 0.05
    assert (tmp_path / "cmp" / "report.html").stat().st_size > 100_000


def test_data(run, monkeypatch, tmp_path):
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path))
    monkeypatch.setattr(isthmus.datasets.pooch, "os_cache", lambda name: tmp_path / "cache")
    status, out, _ = run("data")
    assert status == 0
    for name in ("digits", "swiss_roll", "mnist", "fashion_mnist", "built in", "not here"):
        assert name in out


MISTAKES = {
    "train digist --out run": "unknown dataset 'digist': did you mean 'digits'?",
    "train rows.csv --out run": "there is no file rows.csv",
    "train digits --model deep --out run": "unknown model 'deep': give one of plain, denoising, sparse, contractive",
    "train digits": "Missing option '--out'",
    "train digits --hidden 8,x --out run": "--hidden 8,x: give whole numbers",
    "train digits --set dropout --out run": "--set dropout: give NAME=VALUE",
    "train digits --set network__activation=rely --epochs 1 --out run": "unknown activation 'rely'",
    "train digits --set nothing=1 --out run": "Invalid parameter 'nothing'",
    "train digits --epochs 0 --out run": "max_epochs == 0",
    "train digits --epochs x --out run": "Invalid value for '--epochs'",
    "train digits --lr 1e30 --epochs 1 --set validation_fraction=None --out run": "learning rate is too high",
    "train digits --out full": "cannot write full: it holds other files and no model",
    "train digits --out full/notes.txt": "cannot write full/notes.txt: it is a file",
    "train digits --out full/notes.txt/run": "cannot write full/notes.txt/run",
    "train t.csv --label c --out run": "t.csv has no column 'c': it has 'a', 'b'",
    "train empty --out run": "empty holds no images",
    "train mnist --data-dir full --out run": "mnist/train-images-idx3-ubyte.gz",
    "compare digits --models deep,flat --out run": "unknown model 'flat'",
    "compare digits --corruption blur --epochs 1 --seeds 1 --out run": "'blur'",
    "compare digits --out full/notes.txt/run": "cannot write",
    "transform full digits -o codes.csv": "full is not a model folder: it has no config.json",
    "transform nowhere digits -o codes.csv": "nowhere is not a model folder",
    "transform full digits -o codes.txt": "cannot write codes.txt: give a name that ends in .npy",
    "transform full digits -o full/notes.txt/codes.csv": "cannot write full/notes.txt/codes.csv",
    "score full digits -o full": "give a name that ends in",
    "reconstruct full digits": "Missing option",
    "report full": "full is not a model folder",
    "train digits --set network__tied=maybe --out run": "tied='maybe': give True or False",
    "train digits --set network=mlp --out run": "network='mlp': give MLP(...)",
    "train digits --set precision=32 --out run": "unknown precision 32",
    "train gaps.csv --label a --out run": "column 'a' has no label in row 1",
    "nonsense": "No such command 'nonsense'",
    "train digits --nonsense 3 --out run": "No such option: --nonsense",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_gets_one_line(run, tmp_path, monkeypatch, command):
    monkeypatch.delenv("ISTHMUS_DATA", raising=False)
    monkeypatch.setattr(isthmus.datasets.pooch, "os_cache", lambda name: tmp_path / "full")
    monkeypatch.setitem(isthmus.datasets.MIRRORS, "mnist", [])
    (tmp_path / "full" / "mnist").mkdir(parents=True)
    (tmp_path / "full" / "notes.txt").write_text("mine")
    (tmp_path / "full" / "mnist" / "train-images-idx3-ubyte.gz").write_bytes(b"no gzip")
    (tmp_path / "empty").mkdir()
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,4\n")
    (tmp_path / "gaps.csv").write_text("a,b\nx,2\n,4\n")
    before = sorted(tmp_path.rglob("*"))
    status, _, err = run(command)
    assert status == 2
    assert MISTAKES[command] in err
    assert err.startswith("isthmus: ")
    assert err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before, "nothing is left behind"


def test_a_detector_only_scores(run, tmp_path):
    X, _ = isthmus.datasets.load("digits")
    isthmus.OutlierDetector(isthmus.Autoencoder(max_epochs=1)).fit(X).save(tmp_path / "detector")
    status, _, err = run("transform detector digits -o codes.npy")
    assert (status, err.count("\n")) == (2, 1)
    assert "holds an OutlierDetector: it can score rows" in err
    assert run("score detector digits -o scores.npy")[0] == 0


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("False", False), ("none", None), ("0.5", 0.5), ("tanh", "tanh")]
)
def test_how_values_are_read(text, value):
    assert cli._parse_settings([f"name={text}"]) == {"name": value}


def test_control_c_during_a_comparison(run, monkeypatch, tmp_path):
    fit = isthmus.Autoencoder.fit

    def pressed(self, X, y=None):
        fit(self.set_params(max_epochs=2), X)
        self.interrupted_ = True
        return self

    monkeypatch.setattr(isthmus.Autoencoder, "fit", pressed)
    status, _, err = run("compare digits --models deep --out cmp")
    assert (status, err) == (130, "isthmus: interrupted\n")
    assert not (tmp_path / "cmp").exists()


def test_warnings_are_one_line_and_the_users_own(capfd):
    cli._show_warning("look\nout", UserWarning)
    cli._show_warning("old", DeprecationWarning)
    assert capfd.readouterr().err == "isthmus: look out\n"


def test_wrong_number_of_features(run, trained, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((5, 9)))
    status, _, err = run("score run x.npy -o s.csv")
    assert (status, err) == (
        2,
        "isthmus: X has 9 features, but DenoisingAutoencoder is expecting 64 features as input.\n",
    )
    assert not (tmp_path / "s.csv").exists()


def test_the_installed_command():
    done = subprocess.run(
        [sys.executable, "-c", "from isthmus.cli import main; main()", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    for command in ("data", "train", "compare", "transform", "reconstruct", "score", "report"):
        assert command in done.stdout
