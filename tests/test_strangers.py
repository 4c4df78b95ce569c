"""Model folders from strangers, damaged or made with intent: each is refused in one line, quickly, in little memory.

A checksum protects against damage alone: whoever makes a folder can make its checksums too. So all attacks on what is
in the files come with checksums that are right.
"""

import contextlib
import copy
import hashlib
import json
import os
import pickle
import resource
import shutil
import socket
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load, load_file
from safetensors.torch import save as tensors_to_bytes

import isthmus
from conftest import Timed, assert_within
from isthmus.errors import InputError
from isthmus.models.saved import _weights
from isthmus.saving import persistence
from isthmus.training.checkpoint import CHECKPOINT, _digest

SAVED = Path(__file__).parent / "saved" / f"v{persistence.VERSION}"
NAMES = sorted(path.parent.name for path in SAVED.glob("*/config.json"))
DIFFERENT = ["multimodal_experts", "outliers", "sequence_lstm", "tabular"]
"""All that a config may hold is in these."""
CONFIG, WEIGHTS = persistence.CONFIG, persistence.WEIGHTS
GIB = 2**30


def examples(n):
    """Run so many altered folders, the same ones each time."""
    return settings(
        max_examples=n,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def fresh(tmp_path, name):
    """Copy a saved model."""
    shutil.rmtree(tmp_path / "model", ignore_errors=True)
    return Path(shutil.copytree(SAVED / name, tmp_path / "model"))


def model_of(folder):
    return json.loads((folder / CONFIG).read_text())["model"]


def seal(folder, model=None, weights=None, **text):
    """Write a config, or weights, with checksums that are right."""
    whole = json.loads((folder / CONFIG).read_text())
    del whole["config_sha256"]
    if weights is not None:
        (folder / WEIGHTS).write_bytes(weights)
        whole["weights_sha256"] = hashlib.sha256(weights).hexdigest()
    whole |= {} if model is None else {"model": model}
    whole["config_sha256"] = persistence._sha256(persistence._canonical(whole))
    (folder / CONFIG).write_text(json.dumps(whole))


def refused(folder, pattern="."):
    """Assert that a folder is refused as all are: in one line that names it, and a second of work."""
    with Timed() as timed, pytest.raises((ValueError, OSError), match=pattern) as raised:
        isthmus.load(folder)
    assert_clear(folder, raised.value, timed.seconds)


def assert_clear(folder, error, seconds):
    said = str(error)
    assert type(error) in (InputError, FileNotFoundError, NotADirectoryError), repr(error)
    assert said.startswith(str(folder)), said
    assert said.isprintable(), said
    assert len(said) < 600, said
    assert_within(1, seconds, said)


def expected(name):
    return dict(np.load(SAVED / f"{name}.npz"))


def refused_or_sound(folder, name):
    """Assert that a folder is refused, or loads to a model that works: then it is not the same, but another one."""
    with Timed() as timed:
        try:
            model, error = isthmus.load(folder), None
        except (ValueError, OSError) as raised:
            error = raised
    if error is not None:
        assert_clear(folder, error, timed.seconds)
        return True
    assert_within(1, timed.seconds)
    saved = load_file(folder / WEIGHTS)
    weights = _weights(model)
    assert saved.keys() == weights.keys()
    assert all(torch.equal(weights[key], saved[key]) or weights[key].isnan().any() for key in saved)
    with contextlib.suppress(ValueError):  # it may be of other rows than these
        codes(model, expected(name))
    return False


def codes(model, arrays):
    from test_saved import make

    warnings.filterwarnings("ignore", "X has feature names")
    return make.outputs(model, make.as_rows("X", arrays), arrays.get("y"))


# Damage: the checksums are the old ones.

damage = st.tuples(st.sampled_from(NAMES), st.sampled_from([CONFIG, WEIGHTS]), st.floats(0, 1, exclude_max=True))


@examples(150)
@given(damage, st.integers(0, 7))
def test_a_flipped_bit(tmp_path, where, bit):
    name, file, place = where
    folder = fresh(tmp_path, name)
    content = bytearray((folder / file).read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    (folder / file).write_bytes(content)
    if file == CONFIG:  # the last digit of a number may not matter, nor does whether it is 1e-3 or 1E-3
        with contextlib.suppress(ValueError):
            if json.loads(content) == json.loads((SAVED / name / CONFIG).read_text()):
                return
    refused(folder)


@examples(100)
@given(damage)
def test_cut_short(tmp_path, where):
    name, file, place = where
    folder = fresh(tmp_path, name)
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: int(place * len(content))])
    refused(folder, "truncated or altered")


@pytest.mark.parametrize("file", [CONFIG, WEIGHTS])
@pytest.mark.parametrize("cut", [0, 1, 7, 8, 9, 64, -1, -2, -8])
@pytest.mark.parametrize("name", ["autoencoder", "sequence_lstm"])
def test_cut_short_at_the_edges(tmp_path, name, file, cut):
    folder = fresh(tmp_path, name)
    (folder / file).write_bytes((folder / file).read_bytes()[:cut])
    refused(folder, "truncated or altered")


@pytest.mark.parametrize("more", [b"\0", b"{}", b"PK\3\4"])
@pytest.mark.parametrize("file", [CONFIG, WEIGHTS])
def test_something_behind_the_end(tmp_path, file, more):
    folder = fresh(tmp_path, "autoencoder")
    with (folder / file).open("ab") as open_file:
        open_file.write(more)
    refused(folder, "truncated or altered")


@pytest.mark.parametrize("other", [name for name in NAMES if name not in ("autoencoder", "outliers")])
def test_files_of_two_models(tmp_path, other):
    folder = fresh(tmp_path, "autoencoder")
    shutil.copy(SAVED / other / WEIGHTS, folder)
    refused(folder)
    seal(folder, weights=(SAVED / other / WEIGHTS).read_bytes())
    refused(folder, "does not describe a model")


# Attacks on the config: the checksums are right.

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 40)
    | st.sampled_from([2**31, 2**63, 10**9, 10**30, 10**400, -(10**9)])
    | st.sampled_from([0.0, -1.0, 0.5, 1e308, float("nan"), float("inf"), -float("inf")])
    | st.text(max_size=8)
    | st.sampled_from(["not saved", "dict", "MLP", "Modules", "../x", "/etc/passwd", "__class__", "\ud800", "\x1b[2J"])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=6), inner, max_size=3)
        | st.fixed_dictionaries(
            {
                "class": st.sampled_from(["MLP", "Conv", "LSTM", "Transformer", "Modules", "dict"]),
                "params": st.dictionaries(
                    st.sampled_from(["hidden", "channels", "depth", "encoder"]), inner, max_size=2
                ),
            }
        )
    ),
    max_leaves=6,
)


def places(value, path=()):
    """List the paths to everything in a JSON value, but for the long lists' tails and the history's inside."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            if path[-1:] != ("history_",):
                yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value[:3]):
            yield from places(inner, (*path, i))


def put(value, path, new):
    """Return a JSON value with another in one place."""
    if not path:
        return new
    value = copy.copy(value)
    value[path[0]] = put(value[path[0]], path[1:], new)
    return value


PLACES = {name: list(places(model_of(SAVED / name))) for name in NAMES}


@examples(400)
@given(st.data())
def test_anything_in_the_place_of_anything(tmp_path, data):
    name = data.draw(st.sampled_from(NAMES))
    path = data.draw(st.sampled_from(PLACES[name]))
    folder = fresh(tmp_path, name)
    seal(folder, put(model_of(folder), path, data.draw(values)))
    refused_or_sound(folder, name)


@pytest.mark.parametrize("name", DIFFERENT)
def test_every_value_made_another_type(tmp_path, name):
    folder = fresh(tmp_path, name)
    model, n_refused = model_of(folder), 0
    for path in PLACES[name]:
        if "history_" in path or "start_" in path:
            continue
        shutil.copy(SAVED / name / CONFIG, folder)
        seal(folder, put(model, path, {"class": [], "params": {}}))
        n_refused += refused_or_sound(folder, name)
    assert n_refused > 0.8 * len([path for path in PLACES[name] if not {"history_", "start_"} & set(path)])


@pytest.mark.parametrize("name", DIFFERENT)
def test_every_name_left_out(tmp_path, name):
    folder = fresh(tmp_path, name)
    model = model_of(folder)
    for path in [path for path in PLACES[name] if path and isinstance(path[-1], str) and "history_" not in path]:
        parent = model
        for key in path[:-1]:
            parent = parent[key]
        shutil.copy(SAVED / name / CONFIG, folder)
        seal(folder, put(model, path[:-1], {key: value for key, value in parent.items() if key != path[-1]}))
        refused_or_sound(folder, name)


def changed(*path):
    """Return a change of a model's config: all but the last of `path` is where, the last is what is put there."""

    def change(model):
        inner = model
        for key in path[:-2]:
            inner = inner[key]
        inner[path[-2]] = path[-1]

    return change


def nested(depth):
    return json.loads("[" * depth + "]" * depth)


NETWORK = ("params", "network", "params")
BIG = 10**9
MODALITIES = ("fitted", "modalities_")
COLUMNS = ("fitted", "schema_", "columns")
ATTACKS = {
    "a code of 10⁹": ("autoencoder", changed("params", "n_components", BIG)),
    "a code of 10⁴⁰⁰": ("autoencoder", changed("params", "n_components", 10**400)),
    "a layer of 10⁹": ("autoencoder", changed(*NETWORK, "hidden", [BIG])),
    "two layers of 10⁹": ("autoencoder", changed(*NETWORK, "hidden", [BIG, BIG])),
    "layers that overflow": ("autoencoder", changed(*NETWORK, "hidden", [2**62, 2**62])),
    "a million layers": ("autoencoder", changed(*NETWORK, "hidden", [1] * 10**6)),
    "as many layers as tensors": ("autoencoder", changed(*NETWORK, "hidden", [10**6] * 10)),
    "a row of 10⁹": ("autoencoder", changed("fitted", "row_shape_", [BIG])),
    "a row of 10²⁷": ("autoencoder", changed("fitted", "row_shape_", [BIG, BIG, BIG])),
    "a row of 10⁹ that fits": (
        "autoencoder",
        lambda model: model["fitted"].update(row_shape_=[BIG], n_features_in_=BIG),
    ),
    "a row of -1": ("autoencoder", changed("fitted", "row_shape_", [-1])),
    "a row of no axes": ("autoencoder", changed("fitted", "row_shape_", [])),
    "a row of a million axes": ("autoencoder", changed("fitted", "row_shape_", [1] * 10**6)),
    "an image of 10¹⁸": (
        "autoencoder_conv",
        lambda model: model["fitted"].update(row_shape_=[BIG, BIG], n_features_in_=BIG * BIG),
    ),
    "channels of 10⁹": ("autoencoder_conv", changed(*NETWORK, "channels", [BIG])),
    "a kernel of 10⁹": ("autoencoder_conv", changed(*NETWORK, "kernel_size", BIG)),
    "a million channels": ("autoencoder_conv", changed(*NETWORK, "channels", [1] * 10**6)),
    "a million kernels": ("autoencoder_conv", changed(*NETWORK, "kernel_size", [1] * 10**6)),
    "a stride of 10⁹": ("autoencoder_conv", changed(*NETWORK, "stride", BIG)),
    "10⁹ transformer layers": ("denoising_transformer", changed(*NETWORK, "depth", BIG)),
    "10⁹ layers to decode": ("denoising_transformer", changed(*NETWORK, "decoder_depth", BIG)),
    "a token of 10⁹": ("denoising_transformer", changed(*NETWORK, "width", BIG)),
    "a patch of 10⁹": ("denoising_transformer", changed(*NETWORK, "patch", BIG)),
    "10⁹ heads": ("denoising_transformer", changed(*NETWORK, "heads", BIG)),
    "an LSTM of 10⁹ layers": ("sequence_lstm", changed(*NETWORK, "layers", BIG)),
    "an LSTM of 10⁹ units": ("sequence_lstm", changed(*NETWORK, "hidden", BIG)),
    "a future of 10⁹": ("sequence_lstm", changed("params", "future_steps", BIG)),
    "a past of 10⁹": ("sequence_lstm", changed("fitted", "row_shape_", [BIG, 2])),
    "means of a million features": ("sequence_lstm", changed("fitted", "mean_", [0.0] * 10**6)),
    "means that are not finite": ("sequence_lstm", changed("fitted", "mean_", [0.0, float("nan")])),
    "spreads of zero": ("sequence_lstm", changed("fitted", "scale_", [0.0, 1.0])),
    "pieces of 10⁹": ("tabular", changed("fitted", "bins_", BIG)),
    "classes as wide as the longest": (
        "conditional_classes",
        changed("fitted", "classes_", [*map(str, range(10**5)), "x" * 10**5]),
    ),
    "classes of two kinds": ("conditional_classes", changed("fitted", "classes_", [1, "low"])),
    "a class twice": ("conditional_classes", changed("fitted", "classes_", ["low", "low"])),
    "classes in classes": ("conditional_classes", changed("fitted", "classes_", nested(50))),
    "a class of 10⁹ letters": ("multimodal", changed(*MODALITIES, 1, "dtype", "<U1000000000")),
    "a dtype of Python objects": ("multimodal", changed(*MODALITIES, 0, "dtype", "O8")),
    "a modality of 10⁹": ("multimodal", changed(*MODALITIES, 0, "shape", [BIG, BIG])),
    "a modality twice": ("multimodal", changed(*MODALITIES, 0, "name", "label")),
    "a modality too few": ("multimodal", lambda model: model["fitted"]["modalities_"].pop()),
    "ten thousand modalities": (
        "multimodal",
        lambda model: model["fitted"].update(modalities_=model["fitted"]["modalities_"] * 5000),
    ),
    "a weight for no modality": ("multimodal", changed("fitted", "block_weights_", {"image": 1.0, "x": 1.0})),
    "a column twice": ("tabular", changed(*COLUMNS, 0, "name", "count")),
    "a column of no kind": ("tabular", changed(*COLUMNS, 0, "kind", "evil")),
    "a column of no dtype": ("tabular", changed(*COLUMNS, 0, "dtype", "evil")),
    "a column of 10⁹ letters": ("tabular", changed(*COLUMNS, 3, "dtype", "<U1000000000")),
    "a structure for a column": ("tabular", changed(*COLUMNS, 0, "dtype", "(1000000000,)f8")),
    "levels of 10⁹ letters": ("tabular", changed(*COLUMNS, 4, "levels", "dtype", "<U1000000000")),
    "a category twice": ("tabular", changed(*COLUMNS, 3, "categories", ["low", "low"])),
    "no categories": ("tabular", changed(*COLUMNS, 3, "categories", [])),
    "a column too few": ("tabular", lambda model: model["fitted"]["schema_"]["columns"].pop()),
    "quantiles of another table": ("tabular", changed("fitted", "schema_", "steps", 1, "quantiles_", [[1.0]])),
    "a step that is none": ("tabular", changed("fitted", "schema_", "steps", 0, {"__class__": "x"})),
    "no such scaling": ("tabular", changed("fitted", "schema_", "numbers", "pickle")),
    "load itself": ("autoencoder", changed("class", "load")),
    "a module for a class": ("autoencoder", changed("class", "base")),
    "an abstract class": ("autoencoder", changed("class", "AbstractAutoencoder")),
    "a class from elsewhere": ("autoencoder", changed("class", "os.system")),
    "a class that is a list": ("autoencoder", changed("class", ["Autoencoder"])),
    "a detector without a detected": ("autoencoder", changed("class", "OutlierDetector")),
    "an autoencoder in an autoencoder": ("outliers", changed("class", "Autoencoder")),
    "a network from elsewhere": ("autoencoder", changed("params", "network", "class", "Popen")),
    "modules by name": (
        "autoencoder",
        changed("params", "network", {"class": "Modules", "params": {"encoder": "a", "decoder": "b"}}),
    ),
    "callbacks": ("autoencoder", changed("params", "callbacks", ["print"])),
    "a parameter that there is not": ("autoencoder", changed("params", "trust_remote_code", True)),
    "a likelihood that there is not": ("autoencoder", changed("params", "likelihood", "evil")),
    "an activation that there is not": ("autoencoder", changed(*NETWORK, "activation", "__import__('os')")),
    "a network that is nested": ("autoencoder", changed(*NETWORK, "activation", {"class": "MLP", "params": {}})),
    "an attribute that is a method": ("autoencoder", changed("fitted", "transform", 1)),
    "another class by an attribute": ("autoencoder", changed("fitted", "__class__", "x")),
    "all attributes at once": ("autoencoder", changed("fitted", "__dict__", {})),
    "a history that is none": ("autoencoder", changed("fitted", "history_", {"loss": 1})),
    "a history of text": ("autoencoder", changed("fitted", "history_", [{"epoch": "<script>"}])),
    "no row shape": ("autoencoder", lambda model: model["fitted"].pop("row_shape_")),
    "names for other columns": ("autoencoder_tied", changed("fitted", "feature_names_in_", ["a"])),
    "nested deeply": ("autoencoder", changed("params", "sigma", nested(300))),
    "control characters": ("autoencoder", changed("class", "\x1b[2J\n\r\x00")),
    "half a letter": ("autoencoder", changed("class", "\ud800")),
    "a name of a million letters": ("autoencoder", changed("class", "x" * 10**6)),
    "infinity for σ": ("autoencoder", changed("params", "sigma", float("inf"))),
    "no number for σ": ("autoencoder", changed("params", "sigma", float("nan"))),
    "a device that is a number": ("autoencoder", changed("params", "device", 1)),
    "a seed that is a list": ("autoencoder", changed("params", "random_state", [1, 2])),
    "a threshold that is text": ("outliers", changed("fitted", "offset_", "low")),
    "a detector in a detector": ("outliers", lambda model: model.update(autoencoder=copy.deepcopy(model))),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_by_the_config(tmp_path, attack):
    name, change = ATTACKS[attack]
    folder = fresh(tmp_path, name)
    model = model_of(folder)
    change(model)
    seal(folder, model)
    refused(folder)


# Attacks on the text of the config, which a parser might fall for before there is anything to check.


TEXTS = {
    "nothing": "",
    "null": "null",
    "a number": "1",
    "a list": "[]",
    "no model": "{}",
    "lists in lists": "[" * 10**6,
    "lists in lists that are closed": "[" * 10**5 + "]" * 10**5,
    "objects in objects": '{"a":' * 10**5,
    "lists in a model": '{"format": "isthmus model", "version": 2, "model": ' + "[" * 900 + "]" * 900 + "}",
    "a number of a million digits": '{"format": "isthmus model", "version": ' + "1" * 10**6 + "}",
    "a version of 4000 digits": '{"format": "isthmus model", "version": ' + "1" * 4000 + "}",
    "a version that is text": '{"format": "isthmus model", "version": "\\u001b[2J"}',
    "a version that is true": '{"format": "isthmus model", "version": true}',
    "a version that is a list": '{"format": "isthmus model", "version": [2]}',
    "two versions": '{"format": "isthmus model", "version": 99, "version": 2}',
    "ten million lists": "[" + "[]," * 10**7 + "[]]",
    "a million zeros": "[" + "0," * 10**6 + "0]",
    "a million numbers": "[" + "1.2345678901234567," * 10**6 + "0]",
    "three million zeros": "[" + "0," * (3 * 10**6) + "0]",
    "a hundred thousand objects": "[" + '{"a":{}},' * 50_000 + "0]",
    "half a million names": "{" + ",".join(f'"{i}":0' for i in range(500_000)) + "}",
    "more bytes than any": '"' + "x" * (70 * 2**20) + '"',
    "a long text": '"' + "x" * (60 * 2**20) + '"',
    "another's config": '{"architectures": ["Bert"], "model_type": "bert"}',
    "a byte order mark": "\ufeff{}",
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_config_that_is_no_config(tmp_path, text):
    folder = fresh(tmp_path, "autoencoder")
    (folder / CONFIG).write_text(TEXTS[text])
    refused(folder)


@pytest.mark.parametrize("twice", ['"class": "Autoencoder", ', '"params": {}, ', '"fitted": {}, '])
def test_a_name_twice(tmp_path, twice):
    folder = fresh(tmp_path, "autoencoder")
    text = (folder / CONFIG).read_text()
    (folder / CONFIG).write_text(text.replace('"model": {', '"model": {' + twice))
    refused(folder, "one name twice")


# Attacks on the weights.


def raw(header, data=b""):
    """Return a file in the form of safetensors, whatever its header."""
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(header)) + header + data


def entry(shape, offsets, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


class Payload:
    """What would leave a mark if it were ever unpickled."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


RAW = {
    "nothing": b"",
    "seven bytes": b"\0" * 7,
    "a header of nothing": b"\0" * 8,
    "a header of 2⁶⁴": b"\xff" * 8 + b"{}",
    "a header of 2⁶³": struct.pack("<Q", 2**63) + b"{}",
    "a header of 90 MB": struct.pack("<Q", 90 * 10**6) + b"{}",
    "a header of a byte more": struct.pack("<Q", 3) + b"{}",
    "a header that is a list": raw([]),
    "a header that is no JSON": raw(b"{'a': 1}"),
    "a header that is no UTF-8": raw(b"\xff\xfe{}"),
    "a header nested deeply": raw(b'{"a":' * 10**5),
    "an empty header": raw({}),
    "metadata alone": raw({"__metadata__": {"isthmus": "1"}}),
    "metadata that are numbers": raw({"__metadata__": {"isthmus": 1}}),
    "a tensor of 4 TB": raw({"fill": entry([10**12], [0, 4 * 10**12])}),
    "a tensor of 4 TB in 4 bytes": raw({"fill": entry([10**12], [0, 4])}, b"\0" * 4),
    "a shape that overflows": raw({"fill": entry([2**32, 2**32], [0, 4])}, b"\0" * 4),
    "a negative shape": raw({"fill": entry([-1], [0, 4])}, b"\0" * 4),
    "a shape of fractions": raw({"fill": entry([1.5], [0, 6])}, b"\0" * 6),
    "offsets the wrong way": raw({"fill": entry([1], [4, 0])}, b"\0" * 4),
    "offsets past the end": raw({"fill": entry([1], [4, 8])}, b"\0" * 4),
    "two tensors in one place": raw({"a": entry([1], [0, 4]), "b": entry([1], [0, 4])}, b"\0" * 4),
    "a hole": raw({"a": entry([1], [0, 4]), "b": entry([1], [8, 12])}, b"\0" * 12),
    "something behind": raw({"fill": entry([1], [0, 4])}, b"\0" * 400),
    "no such dtype": raw({"fill": entry([1], [0, 4], "F33")}, b"\0" * 4),
    "a dtype of eight bits": raw({"fill": entry([4], [0, 4], "F8_E4M3")}, b"\0" * 4),
    "a tensor of no numbers": raw({"fill": entry([0], [0, 0])}),
    "a million axes": raw({"fill": entry([1] * 10**6, [0, 4])}, b"\0" * 4),
    "a hundred thousand tensors": raw({f"t{i}": entry([0], [0, 0]) for i in range(10**5)}),
    "eleven thousand tensors": raw({f"t{i}": entry([0], [0, 0]) for i in range(11_000)}),
    "a name from elsewhere": raw({"../../fill": entry([1], [0, 4])}, b"\0" * 4),
    "a name with control characters": raw({"\x1b[2J\n": entry([1], [0, 4])}, b"\0" * 4),
    "a name twice": raw(b'{"a": {"dtype":"F32","shape":[1],"data_offsets":[0,4]},' * 1 + b'"a": 1}', b"\0" * 4),
    "a zip": b"PK\3\4" + b"\0" * 100,
    "HTML": b"<html><body>404 Not Found</body></html>",
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
}


@pytest.mark.parametrize("content", RAW)
def test_weights_that_are_none(tmp_path, content):
    folder = fresh(tmp_path, "autoencoder")
    seal(folder, weights=RAW[content])
    refused(folder)


@pytest.mark.parametrize("write", [pickle.dumps, "torch", "torch, old"])
def test_a_pickle_under_a_name_that_is_none(tmp_path, write):
    mark, folder = tmp_path / "executed", fresh(tmp_path, "autoencoder")
    payload = Payload(mark)
    pickle.loads(pickle.dumps(Payload(tmp_path / "would have been")))
    assert (tmp_path / "would have been").is_dir()
    for file in (WEIGHTS, CONFIG):
        path = fresh(tmp_path, "autoencoder") / file
        if callable(write):
            path.write_bytes(write(payload))
        else:
            torch.save({"fill": payload}, path, _use_new_zipfile_serialization=write == "torch")
        if file == WEIGHTS:
            seal(folder, weights=path.read_bytes())
        refused(folder)
    assert not mark.exists()


def with_tensors(folder, change):
    """Alter the tensors of a model, with checksums that are right."""
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    seal(folder, weights=tensors_to_bytes({name: tensor.contiguous() for name, tensor in tensors.items()}))


DTYPES = (torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.uint8, torch.bool)
HARMLESS = (torch.float32, torch.float64)


@pytest.mark.parametrize("name", NAMES[::2])
def test_tensors_of_other_names_shapes_and_dtypes(tmp_path, name):
    keys = list(load_file(SAVED / name / WEIGHTS))
    for i, key in enumerate([*keys[:4], *keys[-3:]]):

        def rename(tensors, key=key):
            tensors[key + "_"] = tensors.pop(key)

        def reshape(tensors, key=key):
            tensors[key] = torch.zeros(*tensors[key].shape, 2)

        def lengthen(tensors, key=key):
            tensors[key] = torch.cat([tensors[key].flatten(), torch.zeros(1)])

        def drop(tensors, key=key):
            del tensors[key]

        def recast(tensors, key=key, dtype=DTYPES[i]):
            tensors[key] = tensors[key].to(torch.float16 if tensors[key].dtype == dtype else dtype)

        def add(tensors):
            tensors["more"] = torch.zeros(3)

        for change in (rename, reshape, lengthen, drop, recast, add):
            folder = fresh(tmp_path, name)
            with_tensors(folder, change)
            refused(folder, "does not describe a model|truncated or altered")


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_tensors_of_another_dtype(tmp_path, dtype):
    folder = fresh(tmp_path, "autoencoder")
    with_tensors(folder, lambda tensors: tensors.update({name: tensor.to(dtype) for name, tensor in tensors.items()}))
    if dtype in HARMLESS:  # then it is another model, and a whole one
        assert not refused_or_sound(folder, "autoencoder")
    else:
        refused(folder)


def test_tensors_that_change_places(tmp_path):
    def swap(tensors):
        keys = [key for key in tensors if key.endswith("deep.0.weight")]
        tensors[keys[0]], tensors[keys[1]] = tensors[keys[1]], tensors[keys[0]]

    folder = fresh(tmp_path, "autoencoder")
    with_tensors(folder, swap)
    refused(folder, "size mismatch")


# Attacks on the folder.


def test_folders_that_are_none(tmp_path):
    refused(tmp_path / "nowhere", "is not a model folder: it has no config.json")
    refused(tmp_path, "is not a model folder")
    (tmp_path / "file").write_text("{}")
    refused(tmp_path / "file", "is not a model folder: it is a file")
    refused(tmp_path / "file" / "inside")


@pytest.mark.parametrize("file", [CONFIG, WEIGHTS])
def test_files_that_are_none(tmp_path, file):
    folder = fresh(tmp_path, "autoencoder")
    path = folder / file
    path.unlink()
    refused(folder, f"it has no {file}")
    path.mkdir()
    refused(folder, "is no regular file")
    path.rmdir()
    os.mkfifo(path)  # to read it would be to wait for ever
    refused(folder, "is no regular file")
    path.unlink()
    # From its folder: a socket's path has 107 letters at most, wherever the tests run.
    with socket.socket(socket.AF_UNIX) as waiting, contextlib.chdir(path.parent):
        waiting.bind(path.name)
        refused(folder, "is no regular file")
    path.unlink()
    for target in ("/dev/zero", "/dev/stdin", file, "nowhere"):
        path.symlink_to(target)
        refused(folder, "is a link")
        path.unlink()


@pytest.mark.parametrize("file", [CONFIG, WEIGHTS])
def test_links_out_of_the_folder(tmp_path, file):
    folder = fresh(tmp_path, "autoencoder")
    outside = tmp_path / "outside"
    shutil.move(folder / file, outside)
    (folder / file).symlink_to(outside)
    refused(folder, "is a link")
    (folder / file).unlink()
    shutil.move(outside, folder / file)
    (tmp_path / "link").symlink_to(folder)  # that one is the person's own
    isthmus.load(tmp_path / "link")


def test_a_file_that_may_not_be_read(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    folder = fresh(tmp_path, "autoencoder")
    (folder / CONFIG).chmod(0)
    with pytest.raises(OSError, match=CONFIG):
        isthmus.load(folder)


# What is not harmful, though it looks so.


def test_a_device_that_is_not_there(tmp_path):
    folder = fresh(tmp_path, "autoencoder")
    model = model_of(folder)
    model["params"]["device"] = "cuda:7"
    seal(folder, model)
    again, arrays = isthmus.load(folder), expected("autoencoder")
    np.testing.assert_allclose(again.transform(arrays["X"]), arrays["transform"], rtol=1e-5, atol=1e-7)
    assert next(again.module_.parameters()).device.type == "cpu"


@pytest.mark.parametrize("name", NAMES)
def test_sealed_as_it_was(tmp_path, name):
    """A folder that is sealed anew and not altered loads: what refuses the others is not the seal."""
    folder = fresh(tmp_path, name)
    seal(folder, model_of(folder), (folder / WEIGHTS).read_bytes())
    assert not refused_or_sound(folder, name)


# Checkpoints.


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Leave the checkpoint of a run that is not over."""
    folder = tmp_path_factory.mktemp("run")
    X = np.random.default_rng(0).normal(size=(40, 4))
    fit_on(X, folder)
    return X, (folder / CHECKPOINT).read_bytes()


def fit_on(X, folder):
    return isthmus.DenoisingAutoencoder(
        2, network=isthmus.networks.MLP(hidden=(4,)), max_epochs=10, random_state=0
    ).fit(X, resume_from=folder)


def with_header(content, change):
    """Alter the JSON of a checkpoint."""
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    config = json.loads(header["__metadata__"]["isthmus"])
    config = change(config)
    if isinstance(config, dict):  # whoever alters a checkpoint can make its checksum too
        unsigned = {name: value for name, value in config.items() if name != "sha256"}
        config = unsigned | {"sha256": _digest(unsigned, load(content))}
    header["__metadata__"]["isthmus"] = json.dumps(config)
    return raw(header, content[8 + length :])


CHECKPOINT_PLACES = [
    ("version",),
    ("epoch",),
    ("history",),
    ("halvings",),
    ("start",),
    ("start", "means"),
    ("start", "probe"),
    ("start", "least"),
    ("start", "rows"),
    ("optimizer",),
    ("optimizer", 0),
    ("optimizer", 0, "lr"),
    ("optimizer", 0, "betas"),
    ("optimizer", 0, "params"),
    ("scheduler",),
    ("scheduler", "total_steps"),
    ("scheduler", "_anneal_func_type"),
    ("best",),
    ("best", "lowest"),
    ("best", "means"),
    ("position",),
    ("about",),
    ("about", "seed"),
    ("about", "rows"),
    ("about", "params"),
    (),
]


@pytest.mark.parametrize("new", ["evil", [[]], {"class": []}, True], ids=str)
@pytest.mark.parametrize("place", CHECKPOINT_PLACES, ids=lambda place: ".".join(map(str, place)))
def test_a_checkpoint_with_anything_in_the_place_of_anything(tmp_path, run, place, new):
    X, content = run
    (tmp_path / CHECKPOINT).write_bytes(with_header(content, lambda config: put(config, place, new)))
    with pytest.raises(ValueError, match=str(tmp_path)) as raised:
        fit_on(X, tmp_path)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("content", RAW)
def test_a_checkpoint_that_is_none(tmp_path, run, content):
    (tmp_path / CHECKPOINT).write_bytes(RAW[content])
    with pytest.raises(ValueError, match=r"is no checkpoint, or it is truncated|is of another version"):
        fit_on(run[0], tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.9, 0.99])
def test_a_checkpoint_cut_short(tmp_path, run, share):
    X, content = run
    (tmp_path / CHECKPOINT).write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match="is no checkpoint, or it is truncated"):
        fit_on(X, tmp_path)


# Memory.


def attacked(folder, kind, attack):
    """Make a folder of a listed attack."""
    if kind == "config":
        name, change = ATTACKS[attack]
        model = model_of(fresh(folder, name))
        change(model)
        seal(folder / "model", model)
    elif kind == "text":
        (fresh(folder, "autoencoder") / CONFIG).write_text(TEXTS[attack])
    else:
        seal(fresh(folder, "autoencoder"), weights=RAW[attack])
    return folder / "model"


def measure(folder):
    """Load every listed attack with a limit of 1 GiB on what may be taken more, and say what was taken."""
    isthmus.load(SAVED / "tabular")
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    slowest, most, n = (0.0, ""), (0, ""), 0
    lists = {"config": ATTACKS, "text": TEXTS, "weights": RAW}
    for kind, attacks in lists.items():
        for attack in attacks:
            path = attacked(folder, kind, attack)
            Path("/proc/self/clear_refs").write_text("5")  # the most from here on
            before = memory("VmRSS")
            resource.setrlimit(resource.RLIMIT_AS, (mapped + GIB, resource.RLIM_INFINITY))
            try:
                with Timed() as timed, contextlib.suppress(ValueError, OSError):
                    isthmus.load(path)
                    raise SystemExit(f"{attack}: loaded")
                slowest = max(slowest, (timed.seconds, attack))
            finally:
                resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            most, n = max(most, (memory("VmHWM") - before, attack)), n + 1
    print(json.dumps({"n": n, "slowest": slowest, "more": most}))


def memory(name):
    """Return what the kernel says that this process has, in bytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return 1024 * int(line.split()[1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a limit on memory is Linux's to keep")
def test_no_attack_takes_a_gigabyte(tmp_path):
    """In a child process that may not have one: what asks for it gets a MemoryError, which is no ValueError."""
    environment = os.environ | {"PYTHONPATH": str(Path(isthmus.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    child = subprocess.run(
        [sys.executable, __file__, str(tmp_path)], capture_output=True, text=True, check=False, env=environment
    )
    assert child.returncode == 0, child.stderr[-2000:]
    measured = json.loads(child.stdout)
    assert measured["n"] == len(ATTACKS) + len(TEXTS) + len(RAW)
    assert measured["more"][0] < GIB, measured
    assert_within(1, *measured["slowest"])


if __name__ == "__main__":
    measure(Path(sys.argv[1]))
