"""Models saved by older versions: they load, and give the same numbers."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import isthmus
from isthmus.saving import persistence

SAVED = Path(__file__).parent / "saved"
FOLDERS = sorted(path.parent for path in SAVED.glob("*/*/config.json"))

spec = importlib.util.spec_from_file_location("make", SAVED / "make.py")
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)


@pytest.mark.parametrize("folder", FOLDERS, ids=[f"{folder.parent.name}-{folder.name}" for folder in FOLDERS])
def test_a_saved_model_gives_the_numbers_that_it_gave(folder):
    arrays = dict(np.load(folder.with_suffix(".npz")))
    model = isthmus.load(folder)
    X, y = make.as_rows("X", arrays), arrays.get("y")
    now = {}
    for method, value in make.outputs(model, X, y).items():
        now |= make.as_arrays(method, value)
    assert set(now) == {name for name in arrays if not name.startswith("X") and name != "y"}
    for name, value in make.text(now).items():
        if value.dtype.kind in "fi":
            np.testing.assert_allclose(value, arrays[name], rtol=1e-5, atol=1e-7, err_msg=name)
        else:
            np.testing.assert_array_equal(value, arrays[name], err_msg=name)


def test_every_family_and_network_of_this_version_is_there():
    folders = [folder for folder in FOLDERS if folder.parent.name == f"v{persistence.VERSION}"]
    assert {folder.name for folder in folders} == set(make.MODELS)
    long = {folder.name for folder in FOLDERS if folder.parent.name == f"v{persistence.LONG_VERSION}"}
    assert long == {*make.LONG}
    written = "".join((folder / "config.json").read_text() for folder in folders)
    estimators = {name for name in isthmus.__all__ if name.endswith(("Autoencoder", "Detector"))}
    for name in estimators | {"MLP", "Conv", "LSTM", "Transformer"}:
        assert f'"class": "{name}"' in written, name


def test_rows_survive_the_way_to_arrays_and_back():
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    pd.testing.assert_frame_equal(make.as_rows("X", make.as_arrays("X", frame)), frame)
    assert make.as_rows("X", make.as_arrays("X", {"a": 1})) == {"a": 1}
