"""Whatever is saved can be loaded, however long its history and wide its table."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import isthmus
from isthmus.errors import InputError
from isthmus.saving import attributes, persistence, untrusted
from isthmus.training import settings


def test_a_long_history_and_wide_quantiles_are_saved(tmp_path):
    X = np.random.default_rng(0).normal(size=(30, 3))
    model = isthmus.TabularAutoencoder(2, numbers="rankgauss", max_epochs=2, random_state=0).fit(X)
    model.history_ = [
        {**record, "epoch": i + 1, **({"validation": {"mse": float("nan")}} if i % 40_000 == 7 else {})}
        for i, record in enumerate(model.history_ * 30_000)
    ]
    model.save(tmp_path / "m")
    again = isthmus.load(tmp_path / "m")
    assert repr(again.history_) == repr(model.history_)
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    again.save(tmp_path / "n")
    assert (tmp_path / "n" / "config.json").read_bytes() == (tmp_path / "m" / "config.json").read_bytes()


@pytest.mark.parametrize("long", [0, 10**9])
def test_numbers_are_the_same_beside_the_weights(long, tmp_path, monkeypatch):
    monkeypatch.setattr(persistence, "LONG", long)
    X = np.random.default_rng(0).normal(size=(30, 3))
    model = isthmus.OutlierDetector(isthmus.Autoencoder(2, max_epochs=2, random_state=0)).fit(X)
    model.save(tmp_path / "m")
    again = isthmus.load(tmp_path / "m")
    assert repr(again.autoencoder_.history_) == repr(model.autoencoder_.history_)
    np.testing.assert_array_equal(again.score_samples(X), model.score_samples(X))


def small(name):
    """Return an estimator of a family, rows of its kind, and y."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(24, 3)).astype("f4"), np.array(["a", "b", "c"] * 8)
    params = {"max_epochs": 1, "random_state": 0}
    family = getattr(isthmus, name)
    if name == "MultimodalAutoencoder":
        return family(2, **params), {"one": X, "other": X[:, :2]}, None
    if name == "SequenceAutoencoder":
        return family(2, **params), rng.normal(size=(24, 4, 2)).astype("f4"), None
    if name == "TabularAutoencoder":
        return family(2, **params), pd.DataFrame(X, columns=["x", "y", "z"]).assign(kind=y), None
    if name == "OutlierDetector":
        return family(isthmus.Autoencoder(2, **params)), pd.DataFrame(X, columns=["x", "y", "z"]), None
    frame = pd.DataFrame(X, columns=["x", "y", "z"]).assign(n=np.arange(24) // 2)
    return family(2, **params), frame, y if "Conditional" in name else None


FAMILIES = sorted(
    name
    for name in isthmus.models.__all__
    if isinstance(getattr(isthmus.models, name), type) and hasattr(getattr(isthmus.models, name), "save")
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_saved_is_read_whatever_is_beside_the_weights(name, tmp_path, monkeypatch):
    model, X, y = small(name)
    model.fit(X, y)
    scores = model.score_samples(X, y) if "Conditional" in name else model.score_samples(X)
    for long in (0, 10**9):
        monkeypatch.setattr(persistence, "LONG", long)
        model.save(tmp_path / "m")
        again = isthmus.load(tmp_path / "m")
        found = again.score_samples(X, y) if "Conditional" in name else again.score_samples(X)
        np.testing.assert_array_equal(found, scores)
        assert repr(getattr(again, "frame_", None)) == repr(getattr(model, "frame_", None))
        assert repr(getattr(again, "scale_", None)) == repr(getattr(model, "scale_", None))


LIMITS = [("MOST_VALUES", 40), ("MOST_NAMES", 20), ("MOST_OBJECTS", 3), ("MOST_BYTES", 1000), ("MOST_TENSORS", 5)]


def lowered(monkeypatch, name, value):
    """Lower a limit for all that reads or writes."""
    for module in (untrusted, persistence):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, value)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["Autoencoder", "TabularAutoencoder", "MultimodalAutoencoder", "SequenceAutoencoder"])
@pytest.mark.parametrize(("limit", "value"), LIMITS)
def test_what_could_not_be_read_is_refused_before_it_is_trained_and_when_it_is_saved(
    name, limit, value, tmp_path, monkeypatch
):
    model, X, _ = small(name)
    model.fit(X)
    model.save(tmp_path / "m")
    before = {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()}
    lowered(monkeypatch, limit, value)
    with pytest.raises(ValueError, match=r"truncated or altered|bytes, and none|tensors, and no model"):
        isthmus.load(tmp_path / "m")
    with pytest.raises(InputError, match=r"the model is too large to be saved: .*fewer columns") as told:
        model.save(tmp_path / "m")
    assert "\n" not in str(told.value)
    assert {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()} == before
    with pytest.raises(InputError, match="too large to be saved"):
        model.save(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    epochs = []
    with pytest.raises(InputError, match=r"too l(arge|ong)"):
        small(name)[0].set_params(callbacks=[epochs.append]).fit(X, resume_from=tmp_path / "run")
    assert not epochs
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("limit", ["MOST_VALUES", "MOST_NAMES", "MOST_OBJECTS", "MOST_TENSORS"])
@pytest.mark.parametrize("name", ["TabularAutoencoder", "OutlierDetector"])
@pytest.mark.filterwarnings("ignore")
def test_the_writer_stops_where_the_reader_does(name, limit, tmp_path, monkeypatch):
    model, X, _ = small(name)
    model.fit(X).save(tmp_path / "m")
    text = (tmp_path / "m" / "config.json").read_bytes()
    found = {"MOST_VALUES": text.count(b","), "MOST_NAMES": text.count(b":")}
    found["MOST_OBJECTS"] = text.count(b"[") + text.count(b"{")
    found["MOST_TENSORS"] = len(load_file(tmp_path / "m" / "model.safetensors"))
    lowered(monkeypatch, limit, found[limit])
    model.save(tmp_path / "just")
    np.testing.assert_array_equal(isthmus.load(tmp_path / "just").score_samples(X), model.score_samples(X))
    lowered(monkeypatch, limit, found[limit] - 1)
    with pytest.raises(InputError, match="too large to be saved"):
        model.save(tmp_path / "more")
    with pytest.raises(InputError):
        isthmus.load(tmp_path / "just")


def test_long_parameters_are_refused_before_a_run_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "MOST_ABOUT", 1000)
    X = np.random.default_rng(0).normal(size=(30, 3))
    network = isthmus.networks.MLP(hidden=(2,) * 400)
    with pytest.raises(InputError, match=r"its parameters are too long: they take \d+ bytes"):
        isthmus.Autoencoder(2, network=network, max_epochs=1).fit(X, resume_from=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_classes_of_long_names_are_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(attributes, "LONGEST_TEXT", 100)
    X, y = np.random.default_rng(0).normal(size=(30, 3)), np.array([f"class {i % 3} {'x' * 40}" for i in range(30)])
    model = isthmus.ConditionalVariationalAutoencoder(2, max_epochs=1)
    with pytest.raises(InputError, match="the model could not be saved: classes_ cannot be"):
        model.fit(X, y, resume_from=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("dtype", [torch.float16, torch.uint16])
def test_a_dtype_that_is_not_read_is_not_written(dtype, tmp_path):
    class Own(torch.nn.Linear):
        def __init__(self, n, m):
            super().__init__(n, m)
            self.register_buffer("beside", torch.zeros(2, dtype=dtype))

        def to(self, *args, **kwargs):
            return super().to(*args, **kwargs)

        def _apply(self, fn, recurse=True):
            super()._apply(fn, recurse)
            self.beside = self.beside.to(dtype)
            return self

    X = np.random.default_rng(0).normal(size=(30, 3))
    model = isthmus.Autoencoder(2, network=isthmus.networks.Modules(Own(3, 2), Own(2, 3)), max_epochs=1)
    with pytest.raises(InputError, match=r"cannot be saved: .*beside holds"):
        model.fit(X, resume_from=tmp_path / "run")
    with pytest.raises(InputError, match=r"cannot be saved: .*beside holds"):
        model.fit(X).save(tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_train_leaves_nothing_of_a_run_that_could_not_be_saved(run, tmp_path, monkeypatch):
    lowered(monkeypatch, "MOST_TENSORS", 5)
    monkeypatch.setattr("isthmus.models.fitting.run", lambda *_, **__: pytest.fail("it trains"))
    pd.DataFrame(np.random.default_rng(0).normal(size=(30, 3)), columns=["x", "y", "z"]).to_csv("t.csv", index=False)
    status, _, err = run("train t.csv --epochs 1 --out run")
    assert status == 2
    assert err.count("\n") == 1
    assert "isthmus: the model is too large to be saved: it has" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("low", ["config/none", "bias", [0.0], 7, "config/0"])
def test_a_wide_frame_of_a_stranger_is_refused(low, tmp_path, monkeypatch):
    """Of numbers that are not there, are a weight, are too few, are none, or are another's."""
    monkeypatch.setattr(persistence, "LONG", 0)
    model, X, _ = small("Autoencoder")
    model.fit(X).save(tmp_path / "m")
    whole = json.loads((tmp_path / "m" / "config.json").read_text())
    del whole["config_sha256"]
    assert whole["model"]["fitted"]["frame_"]["low"].startswith("config/")
    whole["model"]["fitted"]["frame_"]["low"] = low
    whole["config_sha256"] = persistence._sha256(persistence._canonical(whole))
    (tmp_path / "m" / "config.json").write_text(json.dumps(whole))
    with pytest.raises(InputError, match=r"numbers that are|does not describe") as told:
        isthmus.load(tmp_path / "m")
    assert "\n" not in str(told.value)
