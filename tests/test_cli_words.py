"""One line, always: whatever numbers, texts and files a person types, or a stranger sends."""

import inspect
import os
import types
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pandas as pd
import pytest

import isthmus
from isthmus import cli
from isthmus.errors import InputError, InputTypeError, in_one_line, printable
from isthmus.sources import bounds

HUGE = "1" + "0" * 30
WHOLE = (HUGE, f"-{HUGE}", str(2**63), "nan", "1e400", "")
"""What no option for a whole number takes."""

REAL = ("nan", "1e400", f"-{HUGE}", "")

NEEDED = {
    "transform": "MODELS/variational digits -o o.csv",
    "reconstruct": "MODELS/variational digits -o o.csv",
    "score": "MODELS/variational digits -o o.csv",
    "neighbors": "MODELS/variational digits -o o.csv",
    "impute": "MODELS/variational digits -o o.csv --missing 0.5",
    "interpolate": "MODELS/variational digits -o o.csv",
    "sample": "MODELS/variational -o o.csv",
    "train": "series.csv --out run",
    "compare": "digits --out run",
    "data": "series.csv",
    "report": "MODELS/variational digits -o o.html",
    "reproduce": "swiss-roll --out run",
}


def options(kinds):
    """Every option of every verb that takes a number."""
    for command in cli.app.registered_commands:
        name = command.name or command.callback.__name__
        hints = get_type_hints(command.callback, include_extras=True)
        for parameter in inspect.signature(command.callback).parameters:
            hint, *extras = get_args(hints[parameter]) or (hints[parameter],)
            alternatives = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
            declared = [each for each in extras if hasattr(each, "param_decls")]
            if set(alternatives) & kinds:
                names = declared[0].param_decls if declared and declared[0].param_decls else ()
                yield name, names[0] if names else "--" + parameter.replace("_", "-")


def one_line_of_ours(status, err, *, tracebacks=False):
    assert status == 2, err
    assert err.count("\n") == 1, err
    assert err.startswith("isthmus: ")
    assert len(err) < 1100
    assert err.isprintable() or err[:-1].isprintable()
    assert err.strip() != "isthmus:"


@pytest.fixture
def typed(run, saved, tmp_path):
    """Type a command, its words as they are, beside a few files; the last thing returned is whether it left nothing."""
    (tmp_path / "series.csv").write_text((saved / "series.csv").read_text())
    (tmp_path / "t.csv").write_text((saved / "numbers.csv").read_text())

    def go(*words):
        before = sorted(tmp_path.rglob("*"))
        result = _typed(run, words, saved)
        return (*result, sorted(tmp_path.rglob("*")) == before)

    return go


def _typed(run, words, saved):
    """Type words that may have spaces, or nothing, in them."""

    class Command(str):
        def split(self, *_):
            return [word.replace("MODELS", str(saved)) for word in words]

    return run(Command())


@pytest.mark.parametrize(("verb", "option"), list(options({int})))
def test_whole_numbers_that_cannot_be(typed, verb, option):
    given = NEEDED[verb].split()
    if option == "--stride":
        given += ["--window", "5"]
    for value in WHOLE:
        status, _, err, clean = typed(verb, *given, f"{option}={value}" if option.startswith("--") else option, *(
            [] if option.startswith("--") else [value]
        ))  # fmt: skip
        one_line_of_ours(status, err)
        assert clean, value


@pytest.mark.parametrize(("verb", "option"), list(options({float})))
def test_numbers_that_cannot_be(typed, verb, option):
    for value in REAL:
        status, _, err, clean = typed(verb, *NEEDED[verb].split(), f"{option}={value}")
        one_line_of_ours(status, err)
        assert clean, value


def test_there_are_options_to_try():
    assert len(list(options({int}))) > 25
    assert len(list(options({float}))) > 12


TEXTS = {
    "interpolate": ("--from", "--to"),
    "neighbors": ("--query",),
    "train": ("--hidden", "--size", "--window", "--label", "--drop", "--kind", "--model", "--network", "--device",
              "--time", "--from", "--set"),
    "sample": ("--condition",),
    "impute": ("--missing",),
    "compare": ("--models", "--corruption"),
}  # fmt: skip


@pytest.mark.parametrize(("verb", "option"), [(verb, option) for verb, several in TEXTS.items() for option in several])
@pytest.mark.parametrize(
    "value", [HUGE, "0," + HUGE, "9" * 5000, "\x1b]0;title\x07[/red]" + "a" * 100_000, "1e400", "½\udcff"], ids=range(6)
)
def test_texts_that_cannot_be(typed, verb, option, value):
    given = [word for word in NEEDED[verb].split() if word not in ("--missing", "0.5")]
    status, _, err, clean = typed(verb, *given, f"{option}={value}")
    one_line_of_ours(status, err)
    assert clean


@pytest.mark.parametrize("setting", [
    "verbose=1.0", "verbose=1e400", "random_state=1.5", "random_state=1j", "device=3", "lr=nan", "lr=1e400", "lr=1j",
    "lr={1,2}", "lr=b'x'", f"batch_size={HUGE}", f"max_epochs={HUGE}", f"n_components={HUGE}", "max_epochs=1.5",
    f"network__hidden=({HUGE},)", "network__hidden=(1e400,)", "network__dropout=nan", "lr=" + "(" * 10_000,
    "lr=" + "[" * 300 + "]" * 300, "lr=" + "9" * 6000, "callbacks=x", "validation_fraction=1e400", "patience=nan",
    f"patience={HUGE}", f"random_state={HUGE}", "=1", "a" * 10**5 + "=1", "lr=" + "x" * 10**6, "max_grad_norm=nan",
    "weight_decay=1e400", "network=1.0",
], ids=lambda text: text[:20])  # fmt: skip
def test_what_could_not_be_saved_is_refused_before_training(typed, monkeypatch, setting):
    monkeypatch.setattr("isthmus.models.fitting.run", lambda *_, **__: pytest.fail("it trains"))
    status, _, err, clean = typed("train", "t.csv", "--epochs", "1", "--out", "run", "--set", setting)
    one_line_of_ours(status, err)
    assert clean, "and leaves nothing"


def test_rows_that_take_all_memory(typed):
    with_n = typed("sample", "MODELS/variational", "-o", "o.csv", "-n", str(2**31 - 1))
    one_line_of_ours(*with_n[::2])
    assert "-n 2147483647: the rows take 1.1e+03 GB of memory, more than the" in with_n[2]
    steps = typed("interpolate", "MODELS/variational", "digits", "-o", "o.npy", "--steps", str(2**31 - 1))
    one_line_of_ours(*steps[::2])
    assert with_n[3]
    assert steps[3]


@pytest.mark.parametrize("error", [MemoryError(), MemoryError(" "), OSError(), FloatingPointError(), InputError(),
                                   InputError("a\nb\x1b[31m" + "c" * 10**7), InputTypeError("x" * 10**7),
                                   OSError("\x07" * 10**6), RuntimeError("out of memory")])  # fmt: skip
def test_what_is_said_is_never_nothing_nor_megabytes(run, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("isthmus.cli.catalogue.location", fail)
    one_line_of_ours(*run("data")[::2])


def test_messages_are_one_line_in_python_too():
    for kind in (InputError, InputTypeError):
        said = str(kind("cannot read " + "a\n\x1b[31m" * 10**6 + " : it ends here"))
        assert len(said) <= 1000
        assert said.isprintable()
        assert said.startswith("cannot read a \\x1b[31m")
        assert said.endswith(": it ends here")
        assert kind().args == ()
    assert in_one_line(" a\t\n b ") == "a b"
    assert printable("a\tb\n", keep="\n") == "a\\tb\n"
    assert printable("é漢😀") == "é漢😀"
    assert printable("".join(map(chr, range(32)))).isprintable()


@pytest.mark.parametrize("name", ["[red]\x1b[31mx$0_$50", "caf\udce9", "'=x:smile:<b>[bold]"])
def test_files_and_folders_of_any_name(typed, tmp_path, name):
    """DATA, RUN and results: each verb works, and what it prints is text."""
    frame = pd.read_csv(tmp_path / "t.csv").assign(kind=np.resize([name.replace("\udce9", "e"), "y"], 40))
    frame.to_csv(tmp_path / f"{name}.csv", index=False)
    data, run_ = f"{name}.csv", f"run{name}"
    if "\udce9" in name:
        status, _, err, clean = typed("train", data, "--model", "tabular", "--epochs", "1", "--out", run_)
        one_line_of_ours(status, err)
        assert "its name is not UTF-8" in err
        assert clean
        run_ = "run"
    train = ("train", data, "--model", "tabular", "--set", "network__hidden=(4,)", "--epochs", "1", "--out", run_)
    for words in (
        ("data", data),
        train,
        ("report", run_),
        *((verb, run_, data, "-o", f"{verb}{name}.csv") for verb in ("transform", "reconstruct", "score")),
        ("neighbors", run_, data, "-o", f"n{name}.csv", "-k", "2"),
        ("impute", run_, data, "-o", f"i{name}.csv", "--missing", "0.3"),
        ("interpolate", run_, data, "-o", f"w{name}.csv"),
        ("train", data, "--model", "tabular", "--from", run_, "--epochs", "1", "--out", f"{run_}2"),
        ("train", "--resume", run_),
    ):
        status, out, err, _ = typed(*words)
        assert status == 0, err
        assert "\x1b[31m" not in out + err
        assert err.count("\n") <= 2, err
        out.encode()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_folder_of_images_of_any_name(typed, tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    place = tmp_path / os.fsdecode(b"im\xe9ges")
    for label in ("cat", os.fsdecode(b"caf\xe9"), "[/]", "$a_$ $"):
        (place / label).mkdir(parents=True)
        for i in range(6):
            image = Image.fromarray(rng.integers(0, 256, (6, 6), np.uint8))
            image.save(place / label / f"{os.fsdecode(bytes([0xFF]))}\x1b[31m{i}.png")
    data = os.fsdecode(b"im\xe9ges")
    assert typed("data", data)[0] == 0
    for words in (
        ("train", data, "--model", "conditional", "--hidden", "4", "--epochs", "1", "--out", "run"),
        ("report", "run", data),
        *((verb, "run", data, "-o", f"{verb}.{end}") for verb in ("transform", "score") for end in ("csv", "parquet")),
        ("neighbors", "run", data, "-o", "n.csv"),
        ("reconstruct", "run", data, "-o", "r.png"),
        ("interpolate", "run", data, "-o", "w.png"),
        ("compare", data, "--models", "sparse", "--components", "2", "--epochs", "1", "--seeds", "1", "--out", "both"),
    ):
        status, out, err, _ = typed(*words)
        assert status == 0, err
        assert "\x1b[31m" not in out + err
        assert len(err) < 1500
        out.encode()
    page = Path("run", "report.html").read_text(encoding="utf-8")
    assert "This page lacks" not in page
    files = pd.read_csv("score.csv").iloc[:, 0]
    assert files.str.contains("caf\\xe9/\\xff", regex=False).sum() == 6
    assert isthmus.load("run").classes_.tolist() == ["$a_$ $", "[/]", "caf\\xe9", "cat"]


def test_bounds_on_the_command_line(typed, tmp_path):
    np.savez_compressed(tmp_path / "z.npz", X=np.zeros((1000, 100)))
    status, _, err, clean = typed("data", "z.npz", "--max-gb", "1e-4")
    one_line_of_ours(status, err)
    assert "--max-gb 0.00084" in err
    assert clean
    assert typed("data", "z.npz", "--max-gb", "0.00084")[0] == 0
    assert typed("data", "z.npz")[0] == 0
    assert bounds.most_bytes() > 1e6, "an option is of one command"
    status, _, err, _ = typed("data", "z.npz", "--max-pixels", "100")
    one_line_of_ours(status, err)
    assert "--max-pixels 100: it is for a folder of images" in err


def test_a_run_is_resumed_with_its_bounds(typed, tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "z.npz", X=np.random.default_rng(0).normal(size=(100, 4)))
    with monkeypatch.context() as patch:
        patch.setattr(cli.train.runs, "check_there", lambda *_: (_ for _ in ()).throw(InputError("stopped")))
        assert typed("train", "z.npz", "--hidden", "4", "--epochs", "1", "--max-gb", "1", "--out", "run")[0] == 2
    assert "allowed" in typed("train", "--resume", "run", "--max-gb", "1e-9")[2]
    assert typed("train", "--resume", "run", "--max-gb", "1")[0] == 0


def test_what_one_command_allows_holds_for_no_other(run, tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,4\n5,6\n")
    before = bounds.most_bytes()
    assert run("data t.csv --max-gb 0.5")[0] == 0
    assert bounds.most_bytes() == before
