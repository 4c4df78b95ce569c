"""Save a tiny model a family, with rows and what it makes of them: every later version must load it and do the same.

``python tests/saved/make.py`` writes those of this version's format to a folder of their own and leaves older ones
alone. Run it when the format's version changes, or for a family that has none yet; never to make a test pass.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import isthmus
from isthmus.networks import LSTM, MLP, Conv, Transformer
from isthmus.saving import persistence

SAVED = Path(__file__).parent
OUTPUTS = ("transform", "reconstruct", "score_samples", "predict_future", "predict")
ROWS = 8
SMALL = MLP(hidden=(6,))
TOKENS = Transformer(patch=3, width=8, depth=1, heads=2)

rng = np.random.default_rng(0)
table = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 5)) + 0.1 * rng.normal(size=(60, 5))
images = 1 / (1 + np.exp(-(rng.normal(size=(60, 2)) @ rng.normal(size=(2, 36)))).reshape(60, 6, 6))
steps = np.sin(np.arange(10)[:, None] / (2 + rng.uniform(size=(60, 1, 1))) + np.array([0, 1]))
words = np.where(table[:, 0] > 0, "high", "low")
frame = pd.DataFrame(
    {
        "length": table[:, 0],
        "count": np.rint(10 * table[:, 1]).astype(np.int64),
        "alive": table[:, 2] > 0,
        "size": words,
        "site": pd.Categorical(np.where(table[:, 1] > 0, "north", "south"), ["south", "north", "west"]),
    }
)

gappy = np.where(rng.uniform(size=table.shape) < 0.1, np.nan, table)
wide = np.exp(rng.normal(size=(20, 2)) @ rng.normal(size=(2, 30)) / 4)

MODELS = {
    "autoencoder": (isthmus.Autoencoder(2, network=SMALL), table),
    "autoencoder_gaps": (isthmus.Autoencoder(2, network=SMALL, sigma="learned"), gappy),
    "autoencoder_tied": (
        isthmus.Autoencoder(2, network=MLP(hidden=(6,), tied=True)),
        pd.DataFrame(table[:, :3], columns=list("abc")),
    ),
    "autoencoder_conv": (
        isthmus.Autoencoder(3, network=Conv(channels=(2,), pool="max"), likelihood="bernoulli"),
        images,
    ),
    "denoising_transformer": (
        isthmus.DenoisingAutoencoder(2, network=TOKENS, corruption="masking", corruption_level=0.5),
        images,
    ),
    "denoising": (isthmus.DenoisingAutoencoder(5, network=SMALL, corruption="masking"), gappy),
    "sparse_l1": (isthmus.SparseAutoencoder(3, network=SMALL, sparsity="l1"), table),
    "sparse": (isthmus.SparseAutoencoder(8, network=SMALL, sparsity="kl"), table),
    "sparse_topk": (isthmus.SparseAutoencoder(8, network=SMALL, sparsity="topk", k=2), table),
    "contractive": (isthmus.ContractiveAutoencoder(3, network=MLP(hidden=(), code_activation="sigmoid")), table),
    "variational": (isthmus.VariationalAutoencoder(2, network=MLP(hidden=(6,), normalization="batch")), table),
    "variational_conv": (isthmus.VariationalAutoencoder(2, network=Conv(channels=(2, 3), linear_path=None)), images),
    "conditional_classes": (isthmus.ConditionalVariationalAutoencoder(2, network=SMALL), table, words),
    "conditional_numbers": (isthmus.ConditionalVariationalAutoencoder(2, network=SMALL), table[:, 1:], table[:, 0]),
    "sequence_lstm": (isthmus.SequenceAutoencoder(3, network=LSTM(hidden=4, conditioned=True), future_steps=2), steps),
    "sequence_transformer": (isthmus.SequenceAutoencoder(3, network=TOKENS), steps),
    "tabular": (
        isthmus.TabularAutoencoder(3, network=SMALL, bins=3, numbers="rankgauss", categories="embedding"),
        frame,
    ),
    "tabular_numbers": (isthmus.TabularAutoencoder(3, network=SMALL, bins=0), gappy),
    "multimodal": (
        isthmus.MultimodalAutoencoder(2, networks={"image": Conv(channels=(2,)), "label": SMALL}),
        {"image": images, "label": words},
    ),
    "multimodal_experts": (
        isthmus.MultimodalAutoencoder(
            2, network=SMALL, fusion="product_of_experts", blocks={"body": ["length", "count"], "size": ["size"]}
        ),
        frame[["length", "count", "size"]],
    ),
    "outliers_wide": (
        isthmus.OutlierDetector(isthmus.Autoencoder(2, network=SMALL, max_epochs=2, random_state=0)),
        wide,
    ),
    "outliers": (isthmus.OutlierDetector(isthmus.Autoencoder(2, network=SMALL, max_epochs=2, random_state=0)), table),
}


LONG = ("autoencoder", "conditional_numbers", "multimodal_experts", "outliers", "sequence_lstm", "tabular")
"""Models that are saved once more as those are whose history or quantiles are long: with these beside the weights."""


def as_arrays(name, value):
    """Return rows, of whatever form, as arrays by name: a dict or a frame as one a key or column."""
    if isinstance(value, pd.DataFrame):
        return {f"{name}|{column}": value[column].to_numpy() for column in value}
    if isinstance(value, dict):
        return {f"{name}.{key}": array for key, array in value.items()}
    return {name: np.asarray(value)}


def as_rows(name, arrays):
    """Return the rows that :func:`as_arrays` took apart."""
    if name in arrays:
        return arrays[name]
    parts = {key[len(name) + 1 :]: array for key, array in arrays.items() if key.startswith((f"{name}|", f"{name}."))}
    return pd.DataFrame(parts) if any(key.startswith(f"{name}|") for key in arrays) else parts


def outputs(model, X, y):
    """Return what a model makes of rows, of whatever form, by the method's name; `y` are conditions or None."""
    told = {} if y is None else {"y": y}
    return {name: getattr(model, name)(X, **told) for name in OUTPUTS if hasattr(model, name)}


def taken(rows, n):
    """Return the first rows."""
    return {name: array[:n] for name, array in rows.items()} if isinstance(rows, dict) else rows[:n]


def text(arrays):
    """Return words as numpy keeps them without pickle."""
    return {name: array.astype(str) if array.dtype == object else array for name, array in arrays.items()}


def main():
    """Write what is not there yet; the names of models on the command line are written anew."""
    write(SAVED / f"v{persistence.VERSION}", MODELS)
    persistence.LONG = -1
    write(SAVED / f"v{persistence.LONG_VERSION}", {name: MODELS[name] for name in LONG})


def write(folder, models):
    """Write models, and what they make of rows, to a folder."""
    for name, (model, X, *y) in models.items():
        if (folder / name).exists() and name not in sys.argv[1:]:
            continue
        if not name.startswith("outliers"):
            model.set_params(max_epochs=2, random_state=0)
        model.fit(X, *y).save(folder / name)
        X, y = taken(X, ROWS), y[0][:ROWS] if y else None
        arrays = as_arrays("X", X) | ({} if y is None else {"y": y})
        for method, value in outputs(model, X, y).items():
            arrays |= as_arrays(method, value)
        np.savez_compressed(folder / f"{name}.npz", **text(arrays))


if __name__ == "__main__":
    main()
