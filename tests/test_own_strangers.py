"""A folder names parts as it likes: nothing is imported, made or called but what is trusted."""

import json
import shutil
import sys

import pytest

import isthmus
from isthmus import Autoencoder
from test_own_families import OWN, PATHS, ROWS, SMALL, Codebook, Spread
from test_strangers import seal


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own") / "m"
    Autoencoder(**SMALL, **OWN).fit(ROWS).save(folder)
    return folder


@pytest.fixture
def altered(saved, tmp_path, monkeypatch):
    """Return a function that alters a parameter in a copy of the folder; beside it lie modules that must not run."""
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    (tmp_path / "tame.py").write_text("CALLED = []\ndef penalty(**named):\n    CALLED.append(named)\n")
    monkeypatch.syspath_prepend(tmp_path)

    def alter(name, value):
        shutil.rmtree(tmp_path / "m", ignore_errors=True)
        shutil.copytree(saved, tmp_path / "m")
        model = json.loads((tmp_path / "m" / "config.json").read_text())["model"]
        model["params"][name] = value
        seal(tmp_path / "m", model)
        return tmp_path / "m"

    yield alter
    assert "evil" not in sys.modules
    sys.modules.pop("tame", None)


@pytest.mark.parametrize("name", OWN)
def test_another_path_is_not_imported(altered, name):
    value = {"class": "own", "path": "evil:Thing", "params": {}}
    folder = altered(name, {"class": "dict", "params": {"a": [value, 1.0]}} if name == "penalties" else value)
    for trusted in ((), "evil:Thing.x", "evil", ["os:system"], PATHS, [Spread], *PATHS):
        with pytest.raises(ValueError, match="it holds a part of your own") as error:
            isthmus.load(folder, trusted=trusted)
        assert "\n" not in str(error.value)


NOT_TRUSTED, NO_PATH = "it holds a part of your own", "under a path that is none"


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("isthmus.core.likelihoods.base:torch.load", NOT_TRUSTED),
        ("isthmus.core.likelihoods.base:functools.reduce", NOT_TRUSTED),
        ("isthmus.core.bottlenecks.base:Bottleneck.__subclasses__", NOT_TRUSTED),
        ("isthmus.core.penalties.base:torch.os.system", NOT_TRUSTED),
        ("isthmus.core.corruption:evil", "cannot be imported"),
        ("isthmus.models.loading:load", NOT_TRUSTED),
        ("torch.optim:lr_scheduler", NOT_TRUSTED),
        ("builtins:eval", NOT_TRUSTED),
        ("evil", NO_PATH),
        ("evil:", NO_PATH),
        ("../evil:Thing", NO_PATH),
        (7, NO_PATH),
        (None, NO_PATH),
    ],
    ids=repr,
)
def test_nothing_is_reached_by_way_of_isthmus(altered, path, match):
    for more in ({}, {"params": {}}, {"params": {}, "partial": True}):
        folder = altered("corruption", {"class": "own", "path": path} | more)
        with pytest.raises(ValueError, match=match):
            isthmus.load(folder, trusted=PATHS)


def test_a_function_is_not_called(altered):
    """One that is trusted may be a part; one of isthmus's own needs no trust."""
    for path in ("tame:penalty", "isthmus.core.penalties.sparsity:l1"):
        value = {"class": "own", "path": path, "params": {"folder": "/"}}
        folder = altered("penalties", {"class": "dict", "params": {"a": [value, 1.0]}})
        with pytest.raises(ValueError, match=f"{path} is no class, and was one when it was saved"):
            isthmus.load(folder, trusted=[*PATHS, "tame:penalty"])
    assert sys.modules["tame"].CALLED == []


def test_a_part_of_another_kind_is_refused(altered):
    """A path that is trusted for one parameter does not pass for another's."""
    wrong = {"likelihood": (PATHS[1], {"size": 6, "units": 2}), "bottleneck": (PATHS[0], {})}
    for name, (path, params) in wrong.items():
        folder = altered(name, {"class": "own", "path": path, "params": params})
        with pytest.raises(ValueError, match=f"{name}=.*give an isthmus.parts"):
            isthmus.load(folder, trusted=PATHS)


@pytest.mark.parametrize(
    ("trusted", "match"),
    [
        ([3, *PATHS], "trusted has 3: give classes, or their paths as text"),
        (3, "trusted has 3: give classes, or their paths as text"),
        (None, "trusted has None: give classes, or their paths as text"),
        (Codebook(2, 2), r"trusted has Codebook\(\): give classes"),
        ([Codebook, "Spread"], NOT_TRUSTED),
        (Spread.__module__, NOT_TRUSTED),
    ],
)
def test_what_is_trusted_in_no_way(saved, trusted, match):
    with pytest.raises(ValueError if match == NOT_TRUSTED else TypeError, match=match):
        isthmus.load(saved, trusted=trusted)


def test_all_ways_to_trust(saved):
    for trusted in (PATHS, set(PATHS), iter(PATHS), [path.replace(":", ".") for path in PATHS]):
        isthmus.load(saved, trusted=trusted)
