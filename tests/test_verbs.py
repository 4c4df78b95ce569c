"""Every verb on a model of every family: it works, or says in a line of ours why not."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import isthmus
from isthmus.errors import InputError

SAVED = Path(__file__).parent / "saved"
spec = importlib.util.spec_from_file_location("make", SAVED / "make.py")
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)

VERBS = [
    "transform RUN DATA -o o.csv",
    "reconstruct RUN DATA -o o.csv",
    "reconstruct RUN DATA -o o.png",
    "impute RUN DATA --missing 0.3 -o o.csv",
    "impute RUN DATA -o o.csv",
    "score RUN DATA -o o.csv",
    "score RUN DATA --per-feature -o o.csv",
    "sample RUN -n 3 -o o.csv",
    "sample RUN -n 3 --noise -o o.csv",
    "sample RUN -o o.png",
    "interpolate RUN DATA -o o.csv",
    "neighbors RUN DATA -o o.csv",
    "report RUN DATA -o o.html",
]
REFUSALS = (
    "nothing is missing in",
    "are no images; give a name that ends in",
    "cannot generate: train --model variational",
    "holds an OutlierDetector: it can score rows, and nothing else here",
    "--missing 0.3: hidden are cells of one table",
    "holds a MultimodalAutoencoder, which has no report",
)


@pytest.mark.parametrize("name", make.MODELS)
def test_every_verb(run, tmp_path, name):
    _, X, *_ = make.MODELS[name]
    data = "d.csv" if isinstance(X, pd.DataFrame) else "d.npz" if isinstance(X, dict) else "d.npy"
    if isinstance(X, pd.DataFrame):
        X.to_csv(tmp_path / data, index=False)
    elif isinstance(X, dict):
        np.savez(tmp_path / data, **X)
    else:
        np.save(tmp_path / data, X)
    folder, worked = SAVED / "v3" / name, 0
    for verb in VERBS:
        status, _, err = run(verb.replace("RUN", str(folder)).replace("DATA", data))
        assert status in (0, 2), err
        worked += status == 0
        assert status == 0 or (err.count("\n") == 1 and any(text in err for text in REFUSALS)), err
    assert worked >= (2 if "outliers" in name else 5)


@pytest.mark.parametrize("noise", ["", " --noise"])
def test_modalities_are_sampled_side_by_side(run, tmp_path, noise):
    """A product of experts has the signature of the other families that generate."""
    folder = SAVED / "v3" / "multimodal_experts"
    assert run(f"sample {folder} -n 9 --seed 3{noise} -o o.csv")[0] == 0
    expected = isthmus.load(folder).sample(9, noise=bool(noise), random_state=3)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "o.csv"), expected, check_dtype=False)


def test_noise_is_drawn_from_the_likelihoods(digits, digits_labels):
    X = {"image": digits, "label": digits_labels}
    model = isthmus.MultimodalAutoencoder(3, fusion="product_of_experts", max_epochs=1, random_state=0).fit(X)
    means, drawn = (model.sample(400, noise=noise, random_state=0) for noise in (False, True))
    assert set(drawn) == {"image", "label"}
    assert drawn["image"].shape == (400, 8, 8)
    assert set(np.unique(drawn["label"])) <= set(range(10))
    assert 0.05 < (drawn["image"] - means["image"]).std() < 1
    assert (drawn["label"] != means["label"]).mean() > 0.1
    again = model.sample(400, noise=True, random_state=0)
    np.testing.assert_array_equal(drawn["image"], again["image"])


def test_modalities_from_an_archive(run, saved, tmp_path):
    arrays = dict(np.load(saved / "modalities.npz"))
    model = isthmus.load(saved / "modalities")
    assert run(f"transform {saved / 'modalities'} {saved / 'modalities.npz'} -o c.npy")[0] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), model.transform(arrays))
    np.savez(tmp_path / "part.npz", label=arrays["label"])
    assert run(f"impute {saved / 'modalities'} part.npz -o i.csv")[0] == 0
    filled = model.impute({"label": arrays["label"]})
    table = pd.read_csv(tmp_path / "i.csv")
    assert table["label"].tolist() == arrays["label"].tolist()
    np.testing.assert_allclose(table.filter(like="image"), filled["image"].reshape(40, 64), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("error", [TypeError("'int' has no len()"), ValueError("not enough values to unpack"),
                                   AttributeError("no shape"), RuntimeError("mat1 and mat2")])  # fmt: skip
def test_a_bug_shows_where_it_is(run, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(isthmus.Autoencoder, "_new_model", fail)
    status, _, err = run("train digits --epochs 1 --out run")
    assert status == 1
    assert err.startswith("Traceback (most recent call last)")
    assert f"{type(error).__name__}: {error}" in err
    last = err.rstrip().splitlines()[-1]
    assert last == (
        f"isthmus: this is a bug in isthmus {isthmus.__version__}, and no mistake of yours: please report the command "
        "and the lines above"
    )


@pytest.mark.parametrize("kind", [InputError, OSError, MemoryError, FloatingPointError])
def test_a_mistake_of_the_user_is_one_line(run, monkeypatch, kind):
    def fail(*_, **__):
        raise kind("this")

    monkeypatch.setattr("isthmus.cli.catalogue.location", fail)
    assert run("data")[::2] == (2, "isthmus: this\n")
