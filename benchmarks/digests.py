"""Digests of weights and results after short seeded fits of every family: a refactor leaves them equal.

python benchmarks/digests.py > before.txt     # then change the code
python benchmarks/digests.py --against before.txt
"""

import argparse
import hashlib
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import isthmus
from isthmus.networks import LSTM, MLP, Conv, Transformer
from test_contract import FAMILIES

torch.set_num_threads(1)

SMALL = Transformer(patch=4, width=16, depth=1, heads=2)
USES = ("transform", "reconstruct", "score_samples", "impute", "traverse", "interpolate", "sample", "log_likelihood")


def images():
    """Return digits with gaps, which are images, and their labels."""
    X, y = isthmus.datasets.load("digits")
    X, y = X[:240].copy(), y[:240]
    X[::7, 2:4, 3] = np.nan
    return X, y


def table():
    """Return a table of numbers, categories, truth values, dates and gaps."""
    rng = np.random.default_rng(0)
    n = 240
    frame = pd.DataFrame(
        {
            "length": rng.normal(10, 3, n),
            "amount": np.exp(rng.normal(3, 2, n)),
            "colour": rng.choice(["red", "green", "blue"], n),
            "code": rng.integers(0, 150, n).astype(str),
            "kept": rng.random(n) < 0.3,
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 400, n), unit="D"),
        }
    )
    frame.loc[::11, "length"] = np.nan
    frame.loc[::13, "colour"] = None
    return frame


def sequences(unequal):
    """Return sequences of two features, some with gaps, of one length or of very unequal ones."""
    rng = np.random.default_rng(0)
    lengths = np.where(np.arange(60) < 3, 120, rng.integers(12, 30, 60)) if unequal else np.full(60, 24)
    made = [np.cumsum(rng.normal(size=(n, 2)), axis=0) for n in lengths]
    made[4][3:5, 1] = np.nan
    return made if unequal else np.stack(made)


def modalities():
    """Return images in two halves, and a label."""
    X, y = isthmus.datasets.load("digits")
    words = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    return {"upper": X[:240, :4].copy(), "lower": X[:240, 4:].reshape(240, -1).copy(), "label": words[y[:240]]}


def cases():
    """Yield (name, estimator, X, y) of every family, and of what is asked of it most."""
    X, y = images()
    for name, family in FAMILIES.items():
        yield name, family(), X, y
    yield "conv", isthmus.Autoencoder(8, network=Conv()), X, None
    yield "conv, variational", isthmus.VariationalAutoencoder(8, network=Conv()), X, None
    yield "conv, block", isthmus.DenoisingAutoencoder(8, network=Conv(linear_path=None), corruption="block"), X, None
    yield "standardised", isthmus.Autoencoder(3, scale="standard"), X.reshape(240, -1) * 9 + 4, None
    frame = pd.DataFrame(X.reshape(240, -1)).rename(columns="p{}".format)
    yield "frame", isthmus.VariationalAutoencoder(3, scale="standard"), frame, None
    yield "conditional, numbers", isthmus.ConditionalVariationalAutoencoder(3), X, y / 7 + 0.1
    several = pd.DataFrame({"label": y.astype(str), "size": np.nanmean(X, (1, 2))})
    yield "conditional, several", isthmus.ConditionalVariationalAutoencoder(3), X, several
    tabular = partial(isthmus.TabularAutoencoder, 4)
    yield "tabular", tabular(), table(), None
    yield "tabular, masking", tabular(corruption="masking", categories="embedding", sigma="learned"), table(), None
    yield "tabular, transformer", tabular(network=SMALL, bins=3), table(), None
    yield "tabular, all layers", tabular(layers="all", numbers="rankgauss"), table(), None
    yield "tabular, array", tabular(), X.reshape(240, -1)[:, 20:30], None
    series = partial(isthmus.SequenceAutoencoder, 4)
    yield "sequence", series(), sequences(False), None
    yield "sequence, future", series(future_steps=4), sequences(False), None
    yield "sequence, future alone", series(future_steps=4, reconstruction=False), sequences(False), None
    yield "sequence, unequal", series(future_steps=2), sequences(True), None
    yield "sequence, transformer", series(network=SMALL, corruption="masking"), sequences(False), None
    yield "sequence, padded", series(network=LSTM(8), sigma=0.5), sequences(True)[3:], None
    several = partial(isthmus.MultimodalAutoencoder, 4)
    yield "multimodal", several(), modalities(), None
    yield "multimodal, experts", several(fusion="product_of_experts", network=MLP(hidden=(16,))), modalities(), None
    blocks = {"numbers": ["length", "amount"], "colour": ["colour"], "kept": ["kept"]}
    yield "multimodal, frame", several(blocks=blocks), table()[["length", "amount", "colour", "kept"]], None


def digest(value):
    """Return a short digest of arrays, frames, dicts and lists of these."""
    found = hashlib.sha256()
    _feed(found, value)
    return found.hexdigest()[:12]


def _feed(found, value):
    if isinstance(value, dict):
        for name in value:
            found.update(str(name).encode())
            _feed(found, value[name])
    elif isinstance(value, list | tuple):
        for each in value:
            _feed(found, each)
    elif isinstance(value, pd.DataFrame):
        found.update(value.to_json(double_precision=15, date_unit="ns").encode())
        found.update(str(value.dtypes.to_dict()).encode())
    elif isinstance(value, torch.Tensor):
        found.update(value.numpy(force=True).tobytes())
    else:
        array = np.asarray(value)
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(array.astype(str).tobytes() if array.dtype == object else array.tobytes())


def uses(model, X, y):
    """Yield what each method gives of the rows, where the model has it."""
    told = {"y": y} if getattr(model, "takes_conditions", False) else {}
    few = [X[name][:9] for name in X] if isinstance(X, dict) else X[:9]
    few = dict(zip(X, few, strict=True)) if isinstance(X, dict) else few
    told = {"y": told["y"][:9]} if told else {}
    for name in USES:
        if not hasattr(model, name):
            continue
        if name == "sample":
            yield name, model.sample(4, random_state=0, **({"y": told["y"][:4]} if told else {}))
        elif name == "traverse":
            yield name, model.traverse(few, 0, **told)
        elif name == "interpolate":
            yield name, model.interpolate(few, few, 3, **told)
        else:
            yield name, getattr(model, name)(few, **told)
    yield "per_feature", model.score_samples(few, per_feature=True, **told)
    if hasattr(model, "predict_future"):
        yield "predict_future", model.predict_future(few)


def lines():
    """Yield a line for each fit: its name, its weights, its history, and each of its uses."""
    for name, estimator, X, y in cases():
        estimator.set_params(max_epochs=2, random_state=0)
        estimator.fit(X, y)
        weights = digest(dict(estimator.module_.state_dict()))
        terms = digest([[each["train"][term] for term in each["train"]] for each in estimator.history_])
        results = " ".join(f"{use}={digest(value)}" for use, value in uses(estimator, X, y))
        yield f"{name}: weights={weights} history={terms} {results}"
    yield f"partial_fit: weights={digest(dict(_in_parts().module_.state_dict()))}"
    detector = isthmus.OutlierDetector(random_state=0).fit(images()[0])
    yield f"outliers: scores={digest(detector.score_samples(images()[0]))}"


def _in_parts():
    X, _ = images()
    model = isthmus.VariationalAutoencoder(3, random_state=0)
    return model.partial_fit(X[:120]).partial_fit(X[120:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="lines that an earlier run has printed")
    before = parser.parse_args().against
    before = None if before is None else before.read_text(encoding="utf-8").splitlines()
    warnings.simplefilter("ignore")
    found = []
    for line in lines():
        found.append(line)
        if before is None or line not in before:
            print(line, flush=True)
    if before is not None:
        print(f"{sum(line in before for line in found)} of {len(before)} are equal")
        sys.exit(found != before)


if __name__ == "__main__":
    main()
