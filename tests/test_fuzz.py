"""What is read of a folder, altered anywhere and sealed anew: it is read, or refused in one line, in a second.

Each of the files of a model and of a run is attacked in the same way: a value at a random place gives way to one that
nobody expects there, with checksums that are right, or its bytes are altered.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import struct
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load as tensors_of

import isthmus
from conftest import Timed, assert_within
from isthmus import cli, runs
from isthmus.errors import InputError
from isthmus.saving import persistence
from isthmus.training import Interrupted
from isthmus.training.checkpoint import CHECKPOINT, _digest
from isthmus.training.history_file import HISTORY

SAVED = Path(__file__).parent / "saved" / f"v{persistence.VERSION}"
CONFIG, WEIGHTS, RUN = persistence.CONFIG, persistence.WEIGHTS, runs.RUN
FAMILIES = [
    "autoencoder", "autoencoder_conv", "autoencoder_gaps", "conditional_classes", "conditional_numbers", "multimodal",
    "multimodal_experts", "outliers", "outliers_wide", "sequence_lstm", "sequence_transformer", "sparse_topk",
    "tabular", "variational",
]  # fmt: skip
MOST_SECONDS = 1.5
"""Of the process's own time, on a machine that does other things too; a second on one that does not."""

MARK = "@hostile@"
"""What is put into JSON until the text of a hostile value, which json.dumps may not write, takes its place."""

HOSTILE = {
    "10**400": "1" + 400 * "0",
    "10**30": "1" + 30 * "0",
    "2**63": str(2**63),
    "2**31": str(2**31),
    "-1": "-1",
    "0": "0",
    "1": "1",
    "0.5": "0.5",
    "1e308": "1e308",
    "NaN": "NaN",
    "Infinity": "Infinity",
    "-Infinity": "-Infinity",
    "true": "true",
    "null": "null",
    "no text": '""',
    "text": '"evil"',
    "long text": json.dumps(100_000 * "long "),
    "control characters": json.dumps("\x1b[31m\r\n\x00\u202e\u2028\x9b"),
    "half of a pair": r'"\ud800"',
    "no list": "[]",
    "list": "[1]",
    "lists": "[[], [[1]]]",
    "no names": "{}",
    "names": '{"class": "MLP", "params": {}}',
    "deep list": 2000 * "[" + 2000 * "]",
    "deep names": 2000 * '{"a":' + "1" + 2000 * "}",
    "long list": "[" + ",".join(100_000 * ["1"]) + "]",
    "long list of text": json.dumps([str(i) for i in range(20_000)]),
    "long list of lists": "[" + ",".join(20_000 * ["[]"]) + "]",
    "many names": json.dumps({str(i): i for i in range(20_000)}),
}
WAYS = ["grow", "drop", "add", "twice", "wrap", *HOSTILE]

PLACES = st.lists(st.integers(0, 10**4), min_size=1, max_size=9)
"""Of a value in JSON: which child of each that lies around it."""


def fuzz(examples):
    """Settings for so many examples, the same each time."""
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def altered(value, place, way, barred=()):
    """Return JSON with the value at a place altered in one of the ways, as text."""
    value = json.loads(json.dumps(value))
    around, key = None, None
    here = value
    for step in place:
        keys = [each for each in here if around is not None or each not in barred] if isinstance(here, dict) else here
        if not isinstance(here, dict | list) or not keys:
            break
        around, key = here, keys[step % len(keys)] if isinstance(here, dict) else step % len(here)
        here = around[key]
    text = HOSTILE.get(way, json.dumps(here))
    if way == "grow":  # to what it could be, were it only shorter
        child = json.dumps(here[0] if isinstance(here, list) and here else here)
        text = "[" + ",".join([child] * min(100_000, 2**18 // len(child))) + "]"
    elif way == "wrap":
        text = json.dumps([here])
    if way == "drop":
        del around[key]
    elif way in ("add", "twice"):
        inner = here if isinstance(here, dict) else around if isinstance(around, dict) else value
        name = next(iter(inner), "new") if way == "twice" else "new"
        inner[MARK] = 1
        return json.dumps(value).replace(json.dumps(MARK), json.dumps(name))
    else:
        around[key] = MARK
    return json.dumps(value).replace(json.dumps(MARK), text)


def bytes_altered(content, how, share, letter):
    """Return bytes with one flipped, cut short, or with others put after them or in them."""
    at = int(share * len(content))
    if how == "flip":
        return content[:at] + bytes([content[at] ^ (letter or 1)]) + content[at + 1 :]
    if how == "cut":
        return content[:at]
    if how == "append":
        return content + bytes([letter]) * (1 + at % 1000)
    return content[:at] + bytes([letter]) * (1 + at % 1000) + content[at:]


BYTES = st.tuples(
    st.sampled_from(["flip", "cut", "append", "put"]), st.floats(0, 1, exclude_max=True), st.integers(0, 255)
)


def sealed(text, key, digest):
    """Return the text of a JSON object with the checksum, under `key`, that it should have; as it is if it has none."""
    try:
        whole = json.loads(text)
        was = whole.pop(key)
        return text.replace(json.dumps(was), json.dumps(digest(whole)), 1)
    except (ValueError, KeyError, AttributeError, RecursionError):
        return text


def reads(act, *args):
    """Do what reads a folder: it does, or says why not in one line; return whether it does."""
    with Timed() as timed, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            act(*args)
            error = None
        except (InputError, OSError) as raised:
            error = raised
    said = "read" if error is None else str(error)
    assert said.isprintable(), said
    assert 0 < len(said) <= 1000
    assert_within(MOST_SECONDS, timed.seconds, said)
    return error is None


def fresh(tmp_path, folder):
    shutil.rmtree(tmp_path / "copy", ignore_errors=True)
    return Path(shutil.copytree(folder, tmp_path / "copy"))


# Models.


def seal_config(text):
    return sealed(text, "config_sha256", lambda whole: persistence._sha256(persistence._canonical(whole)))


@fuzz(150)
@given(st.sampled_from(FAMILIES), PLACES, st.sampled_from(WAYS))
def test_a_config(tmp_path, name, place, way):
    folder = fresh(tmp_path, SAVED / name)
    whole = json.loads((folder / CONFIG).read_text())
    model = altered(whole["model"], place, way)
    text = json.dumps(whole | {"model": MARK}).replace(json.dumps(MARK), model)
    (folder / CONFIG).write_text(seal_config(text))
    reads(isthmus.load, folder)


def kinds_of_places(value, place=()):
    """Yield a place of each kind in JSON: of a long list, where all are alike, the last item alone."""
    if isinstance(value, dict | list):
        few = isinstance(value, dict) or len(value) < 5
        for i in range(len(value)) if few else [len(value) - 1]:
            yield [*place, i]
            yield from kinds_of_places(list(value.values())[i] if isinstance(value, dict) else value[i], [*place, i])


@pytest.mark.parametrize("way", ["grow", "10**400", "long text", "-1", "2**31"])
@pytest.mark.parametrize("name", ["multimodal", "tabular", "sequence_lstm"])
def test_each_kind_of_value_in_a_config(tmp_path, name, way):
    folder = fresh(tmp_path, SAVED / name)
    whole = json.loads((folder / CONFIG).read_text())
    params = list(whole["model"]).index("params")
    for place in kinds_of_places(whole["model"]):
        if way == "grow" and place[0] == params and place[-1] % 8:
            continue  # one is as another, and each takes long
        model = altered(whole["model"], place, way)
        text = json.dumps(whole | {"model": MARK}).replace(json.dumps(MARK), model)
        (folder / CONFIG).write_text(seal_config(text))
        reads(isthmus.load, folder)


def test_columns_of_one_name(tmp_path):
    folder = fresh(tmp_path, SAVED / "tabular")
    whole = json.loads((folder / CONFIG).read_text())
    whole["model"]["fitted"]["schema_"]["columns"] = 30_000 * whole["model"]["fitted"]["schema_"]["columns"][:1]
    (folder / CONFIG).write_text(seal_config(json.dumps(whole)))
    assert not reads(isthmus.load, folder)


@fuzz(60)
@given(PLACES, st.sampled_from(WAYS))
def test_around_a_config(tmp_path, place, way):
    folder = fresh(tmp_path, SAVED / "autoencoder")
    whole = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(seal_config(altered(whole, place[:1], way, barred=("model",))))
    reads(isthmus.load, folder)


@fuzz(100)
@given(st.sampled_from(FAMILIES), st.sampled_from([CONFIG, WEIGHTS]), BYTES)
def test_the_bytes_of_a_model(tmp_path, name, file, how):
    folder = fresh(tmp_path, SAVED / name)
    (folder / file).write_bytes(bytes_altered((folder / file).read_bytes(), *how))
    if file == WEIGHTS:
        whole = json.loads((folder / CONFIG).read_text())
        whole["weights_sha256"] = hashlib.sha256((folder / file).read_bytes()).hexdigest()
        (folder / CONFIG).write_text(seal_config(json.dumps(whole)))
    reads(isthmus.load, folder)


# Runs.


class Stop:
    """Stop this process, as a person at the keyboard would, at a step of training."""

    def __init__(self, patch, steps):
        forward = torch.nn.Module.__call__
        self.left = steps

        def counted(module, *args, **kwargs):
            if type(module).__name__ == "Model" and torch.is_grad_enabled():
                self.left -= 1
                if self.left == 0:
                    os.kill(os.getpid(), signal.SIGINT)
            return forward(module, *args, **kwargs)

        patch.setattr(torch.nn.Module, "__call__", counted)


def command(*words):
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setattr(warnings, "showwarning", warnings.showwarning)
        patch.setattr(sys, "argv", ["isthmus", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
    return end.value.code


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a table, a finished run on it, and one that was stopped."""
    folder = tmp_path_factory.mktemp("made")
    rows = np.random.default_rng(0).normal(size=(40, 3))
    np.savetxt(folder / "d.csv", rows, "%.3f", ",", header="a,b,c", comments="")
    train = ["train", folder / "d.csv", "--hidden", 4, "--components", 2, "--batch-size", 8, "--epochs", 2]
    assert command(*train, "--out", folder / "finished") == 0
    with pytest.MonkeyPatch.context() as patch:
        Stop(patch, 6)
        assert command(*train, "--out", folder / "stopped") == 130
    assert (folder / "stopped" / CHECKPOINT).exists()
    return folder


BARRED = ("epochs", "lr")
"""A run may be asked to take long: that is no fault."""


@fuzz(150)
@given(st.sampled_from(["finished", "stopped"]), PLACES, st.sampled_from(WAYS))
def test_a_note_of_a_run(made, tmp_path, which, place, way):
    noted = json.loads((made / which / RUN).read_text())
    (tmp_path / RUN).write_text(altered(noted, place, way, BARRED))
    reads(runs.read, tmp_path)


@fuzz(60)
@given(st.sampled_from(["finished", "stopped"]), BYTES)
def test_the_bytes_of_a_note(made, tmp_path, which, how):
    (tmp_path / RUN).write_bytes(bytes_altered((made / which / RUN).read_bytes(), *how))
    reads(runs.read, tmp_path)


def ends_well(status, err):
    """Assert that a command did what it was asked for, or said why not: a line for each thing."""
    assert status in (0, 2), err
    assert status == 0 or err, "it does not say why"
    for line in err.splitlines():
        assert line.startswith("isthmus: "), err
        assert line.isprintable(), err
        assert len(line) <= 1010, err


@fuzz(24)
@given(
    st.sampled_from(["finished", "stopped"]),
    st.sampled_from(["train --resume RUN", "report RUN", "score RUN DATA -o X"]),
    PLACES,
    st.sampled_from(WAYS),
)
def test_commands_on_a_run(made, tmp_path, monkeypatch, capfd, which, verb, place, way):
    monkeypatch.chdir(tmp_path)
    folder = fresh(tmp_path, made / which)
    noted = json.loads((folder / RUN).read_text())
    (folder / RUN).write_text(altered(noted, place, way, BARRED))
    words = {"RUN": folder, "DATA": made / "d.csv", "X": tmp_path / "x.csv"}
    with Timed() as timed:
        status = command(*(words.get(word, word) for word in verb.split()))
    ends_well(status, capfd.readouterr().err)
    assert_within(4 * MOST_SECONDS, timed.seconds)


# Checkpoints.


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A fit that was stopped within its third epoch."""
    folder = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch:
        Stop(patch, 13)
        with pytest.raises(Interrupted):
            go_on(folder)
    assert json.loads((folder / HISTORY).read_text().splitlines()[0])["epoch"] == 1
    return folder


def go_on(folder):
    network = isthmus.networks.MLP(hidden=(4,))
    X = np.random.default_rng(0).normal(size=(40, 3))
    isthmus.Autoencoder(2, network=network, batch_size=8, max_epochs=4, random_state=0).fit(X, resume_from=folder)


def with_header(content, change):
    """Return the bytes of a checkpoint of which the JSON is altered, and its checksum with it."""
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    text = change(json.loads(header["__metadata__"]["isthmus"]))
    header["__metadata__"]["isthmus"] = sealed(text, "sha256", lambda whole: _digest(whole, tensors_of(content)))
    written = json.dumps(header).encode()
    return struct.pack("<Q", len(written)) + written + content[8 + length :]


@fuzz(120)
@given(PLACES, st.sampled_from(WAYS))
def test_a_checkpoint(kept, tmp_path, place, way):
    folder = fresh(tmp_path, kept)
    content = (folder / CHECKPOINT).read_bytes()
    (folder / CHECKPOINT).write_bytes(
        with_header(content, lambda config: altered(config, place, way, barred=("sha256",)))
    )
    reads(go_on, folder)


@pytest.mark.parametrize("alter", [
    lambda config: config | {"epoch": 0},
    lambda config: config | {"epoch": 1},
    lambda config: config | {"epoch": 0, "best": config["best"] | {"epoch": 0}},
    lambda config: config | {"scheduler": config["scheduler"] | {"last_epoch": 16}},
    lambda config: config | {"scheduler": config["scheduler"] | {"last_epoch": 0}},
    lambda config: config | {"position": [config["position"]]},
])  # fmt: skip
def test_progress_that_does_not_fit_together(kept, tmp_path, alter):
    """More steps would be done than the schedule of the learning rate has."""
    folder = fresh(tmp_path, kept)
    content = (folder / CHECKPOINT).read_bytes()
    (folder / CHECKPOINT).write_bytes(with_header(content, lambda config: json.dumps(alter(config))))
    assert not reads(go_on, folder)


@fuzz(80)
@given(PLACES, st.sampled_from(WAYS), st.one_of(st.none(), BYTES))
def test_a_history(kept, tmp_path, place, way, how):
    folder = fresh(tmp_path, kept)
    lines = (folder / HISTORY).read_text().splitlines()
    at = place[0] % len(lines)
    lines[at] = altered(json.loads(lines[at]), place[1:] or [0], way)
    content = "".join(f"{line}\n" for line in lines).encode()
    content = content if how is None else bytes_altered((kept / HISTORY).read_bytes(), *how)
    (folder / HISTORY).write_bytes(content)

    def noted(config):
        known = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        return json.dumps(config | {"history": config["history"] | known})

    (folder / CHECKPOINT).write_bytes(with_header((folder / CHECKPOINT).read_bytes(), noted))
    reads(go_on, folder)


@fuzz(60)
@given(st.sampled_from([CHECKPOINT, HISTORY]), BYTES)
def test_the_bytes_of_a_checkpoint(kept, tmp_path, file, how):
    folder = fresh(tmp_path, kept)
    (folder / file).write_bytes(bytes_altered((folder / file).read_bytes(), *how))
    reads(go_on, folder)


# What is no file.


@contextlib.contextmanager
def at_once():
    """Fail where something waits: for a pipe, or for a file to end."""

    def hang(*_):
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, hang)
    signal.setitimer(signal.ITIMER_REAL, 5)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def sparse(path):
    path.touch()
    os.truncate(path, 10 * 2**30)


def listening(path):
    # From its folder: a socket's path has 107 letters at most, wherever the tests run.
    with socket.socket(socket.AF_UNIX) as waiting, contextlib.chdir(path.parent):
        waiting.bind(path.name)


NO_FILES = {
    "pipe": os.mkfifo,
    "folder": os.mkdir,
    "link": lambda path: path.symlink_to("/dev/zero"),
    "socket": listening,
    "sparse": sparse,
}
READ_BY = {CONFIG: isthmus.load, WEIGHTS: isthmus.load, RUN: runs.read, CHECKPOINT: go_on, HISTORY: go_on}


@pytest.mark.parametrize("kind", NO_FILES)
@pytest.mark.parametrize("file", READ_BY)
def test_what_is_no_file(made, kept, tmp_path, file, kind):
    folder = fresh(tmp_path, kept if file in (CHECKPOINT, HISTORY) else made / "finished")
    (folder / file).unlink()
    NO_FILES[kind](folder / file)
    with at_once():
        assert not reads(READ_BY[file], folder)
