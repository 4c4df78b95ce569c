"""Subclasses of a user's own: saved by their import path, loaded where they are trusted."""

import json
import subprocess
import sys
from dataclasses import KW_ONLY, dataclass

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator

import isthmus
from isthmus.models.own import find

ROWS = np.random.default_rng(0).normal(size=(40, 4))


class Mine(isthmus.Autoencoder):
    """One that does something else."""

    def transform(self, X):
        return super().transform(X) + 1


@dataclass(eq=False, repr=False)
class Shifted(isthmus.VariationalAutoencoder):
    """One with a parameter of its own."""

    _: KW_ONLY
    shift: float = 0.0

    def transform(self, X):
        return super().transform(X) + self.shift


class Needy(isthmus.Autoencoder):
    """One whose parameter is no number, and has no default."""

    def __init__(self, what, n_components=2, max_epochs=1, random_state=0):
        super().__init__(n_components, max_epochs=max_epochs, random_state=random_state)
        self.what = what


class Strict(isthmus.OutlierDetector):
    """A detector with a parameter of its own."""

    def __init__(self, autoencoder=None, contamination=0.1, random_state=None, margin=0.0):
        super().__init__(autoencoder, contamination=contamination, random_state=random_state)
        self.margin = margin

    def decision_function(self, X):
        return super().decision_function(X) - self.margin


class Outer:
    class Inner(isthmus.SparseAutoencoder):
        """In another."""


def inside():
    class Local(isthmus.Autoencoder):
        """In a function."""

    return Local


PATH = f"{__name__}:Mine"
SMALL = {"max_epochs": 1, "random_state": 0}


@pytest.mark.parametrize("trusted", [Mine, [Mine], PATH, (dict, PATH)], ids=["class", "list", "path", "several"])
def test_a_subclass_is_given_back(tmp_path, trusted):
    model = Mine(2, **SMALL).fit(ROWS)
    model.save(tmp_path / "m")
    again = isthmus.load(tmp_path / "m", trusted=trusted)
    assert type(again) is Mine
    np.testing.assert_array_equal(again.transform(ROWS), model.transform(ROWS))
    assert json.loads((tmp_path / "m" / "config.json").read_text())["model"]["path"] == PATH


def test_it_is_not_loaded_unless_it_is_trusted(tmp_path):
    Mine(2, **SMALL).fit(ROWS).save(tmp_path / "m")
    for trusted in ((), [Shifted], ["os:system"], "test_own", [dict]):
        with pytest.raises(ValueError, match="it holds a class of your own") as error:
            isthmus.load(tmp_path / "m", trusted=trusted)
        assert f"{PATH}: give it, load(folder, trusted=[Mine]), or trusted=['{PATH}'], which imports it" in str(
            error.value
        )
    with pytest.raises(TypeError, match="trusted has 3: give classes, or their paths as text"):
        isthmus.load(tmp_path / "m", trusted=[3])


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (Shifted(2, shift=2.5, **SMALL), Shifted),
        (Outer.Inner(2, **SMALL), Outer.Inner),
        (isthmus.OutlierDetector(Mine(2, **SMALL)), Mine),
        (Strict(isthmus.Autoencoder(2, **SMALL), contamination=0.2, margin=0.5), Strict),
        (Strict(Shifted(2, shift=1.5, **SMALL), margin=0.25), [Strict, Shifted]),
    ],
    ids=lambda each: type(each).__name__,
)
def test_parameters_and_siblings(tmp_path, model, kind):
    model.fit(ROWS).save(tmp_path / "m")
    with pytest.raises(ValueError, match="it holds a class of your own"):
        isthmus.load(tmp_path / "m")
    again = isthmus.load(tmp_path / "m", trusted=kind)
    assert type(again) is type(model)
    if hasattr(model, "margin"):
        assert (again.margin, again.contamination) == (model.margin, model.contamination)
        np.testing.assert_array_equal(again.decision_function(ROWS), model.decision_function(ROWS))
        assert type(again.autoencoder_) is type(model.autoencoder_)
    elif hasattr(model, "offset_"):
        np.testing.assert_array_equal(again.predict(ROWS), model.predict(ROWS))
        assert type(again.autoencoder_) is Mine
    else:
        assert again.get_params().keys() == model.get_params().keys()
        np.testing.assert_array_equal(again.transform(ROWS), model.transform(ROWS))
    again.save(tmp_path / "again")


def test_three_of_a_subclass_in_a_detector(tmp_path):
    wide = np.random.default_rng(0).normal(size=(20, 30))
    model = isthmus.OutlierDetector(Mine(2, **SMALL)).fit(wide)
    assert len(model.autoencoders_) == 3
    model.save(tmp_path / "m")
    again = isthmus.load(tmp_path / "m", trusted=Mine)
    np.testing.assert_array_equal(again.score_samples(wide), model.score_samples(wide))


def test_a_class_that_cannot_be_found_again(tmp_path):
    local = inside()
    model = local(2, **SMALL).fit(ROWS)
    model.save(tmp_path / "m")
    path = f"{__name__}:inside.<locals>.Local"
    with pytest.raises(ValueError, match="it has no import path") as error:
        isthmus.load(tmp_path / "m")
    assert f"{path}: give it, load(folder, trusted=[Local])" in str(error.value)
    with pytest.raises(ValueError, match="it has no import path"):
        isthmus.load(tmp_path / "m", trusted=path)
    for kind in (local, inside()):
        again = isthmus.load(tmp_path / "m", trusted=kind)
        assert type(again) is kind
        np.testing.assert_array_equal(again.transform(ROWS), model.transform(ROWS))


def test_a_class_of_a_script(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, numpy as np, isthmus\n"
        "class Mine(isthmus.Autoencoder):\n    pass\n"
        "if sys.argv[1] == 'save':\n"
        "    Mine(2, max_epochs=1).fit(np.eye(6)).save('m')\n"
        "else:\n    print(type(isthmus.load('m', trusted=[Mine])).__module__)\n"
    )
    for argument, said in (("save", ""), ("load", "__main__\n")):
        done = subprocess.run(
            [sys.executable, script, argument], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert done.stdout == said
    with pytest.raises(ValueError, match="__main__:Mine: give it, load"):
        isthmus.load(tmp_path / "m", trusted=["__main__:Mine"])
    assert type(isthmus.load(tmp_path / "m", trusted=Mine)) is Mine, "a class that has moved is given itself"


def test_what_cannot_be_built_again_is_said_at_save(tmp_path):
    model = Needy(what=object()).fit(ROWS)
    with pytest.raises(ValueError, match=r"Needy cannot be built again from its parameters and weights.*'what'"):
        model.save(tmp_path / "m")
    assert not (tmp_path / "m").exists()
    Needy(what="this").fit(ROWS).save(tmp_path / "m")
    assert isthmus.load(tmp_path / "m", trusted=Needy).what == "this"


def test_nothing_else_is_imported(tmp_path, monkeypatch):
    """A folder may name any module: only what is trusted is imported, and it must be of the family."""
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    (tmp_path / "wrong.py").write_text("Thing = dict\n")
    monkeypatch.syspath_prepend(tmp_path)
    Mine(2, **SMALL).fit(ROWS).save(tmp_path / "m")

    for trusted in ((), ["evil:Other"], [Shifted], "evil"):
        with pytest.raises(ValueError, match="it holds a class of your own, evil:Thing"):
            find("evil:Thing", isthmus.Autoencoder, trusted)
    assert "evil" not in sys.modules
    trusted = ["wrong:Thing", "wrong:Gone", "nowhere:Thing", "wrong:Thing.keys", PATH]
    for path, message in {
        "wrong:Thing": "wrong:Thing is no subclass of Autoencoder",
        "wrong:Gone": "cannot be imported: .*Gone",
        "nowhere:Thing": "cannot be imported: No module named 'nowhere'",
        "wrong:Thing.keys": "is no subclass of Autoencoder",
        "a b": "under a path that is none",
        "x" * 2000 + ":y": "under a path that is none",
        7: "under a path that is none",
    }.items():
        with pytest.raises(ValueError, match=message):
            find(path, isthmus.Autoencoder, trusted)
    with pytest.raises(ValueError, match="is no subclass of SparseAutoencoder"):
        find(PATH, isthmus.SparseAutoencoder, trusted)


def test_a_frozen_autoencoder(tmp_path):
    inner = isthmus.Autoencoder(2, **SMALL).fit(ROWS)
    model = isthmus.OutlierDetector(FrozenEstimator(inner)).fit(ROWS)
    model.save(tmp_path / "m")
    np.testing.assert_array_equal(isthmus.load(tmp_path / "m").score_samples(ROWS), model.score_samples(ROWS))
