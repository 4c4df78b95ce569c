"""Units of sparse codes that are never on, and what it costs: prints the table of docs/sparse.md. `make sparse`."""

import warnings

import numpy as np

from isthmus import SparseAutoencoder, datasets
from isthmus.networks import MLP

LINEAR, RANDOM, PLAIN = MLP(hidden=()), MLP(hidden=(), linear_path="random"), MLP(linear_path=None)
TOP_K = {"n_components": 512, "k": 8, "max_epochs": 20}
L1 = {"n_components": 512, "sparsity": "l1", "sparsity_weight": 0.3, "max_epochs": 20}
DIGITS = {"n_components": 100, "k": 5, "max_epochs": 40}
IMAGES = {"n_components": 300, "k": 30, "max_epochs": 8}
ROWS = 10_000
"""Training images of MNIST and Fashion-MNIST, to be done in minutes."""


def dictionary(seed):
    """Return training and test rows that are sums of a few of 200 atoms in 64 dimensions, and the atoms."""
    rng = np.random.default_rng(seed)
    weights = (rng.random((6000, 200)) < 0.03) * rng.gamma(2, 1, (6000, 200))
    atoms = rng.normal(size=(200, 64)) / 8
    unseen = (rng.random((2000, 200)) < 0.03) * rng.gamma(2, 1, (2000, 200))
    return weights @ atoms, unseen @ atoms, atoms


def images(name):
    train, test = (datasets.load(name, split).X for split in ("train", "test"))
    return *(np.asarray(X[:ROWS], np.float32).reshape(min(ROWS, len(X)), -1) for X in (train, test)), None


def settings():
    for seed in range(3):
        data = dictionary(seed)
        for name, params in (
            ("top-k, one layer", TOP_K | {"network": LINEAR}),
            ("top-k, one layer, random", TOP_K | {"network": RANDOM}),
            ("top-k, deep, no linear path", TOP_K | {"network": PLAIN, "max_epochs": 10}),
            ("L1, one layer", L1 | {"network": LINEAR}),
        ):
            yield f"dictionary {seed}", name, data, params
    for name, params in (("digits", DIGITS), ("mnist", IMAGES), ("fashion_mnist", IMAGES)):
        data = images(name)
        yield name, "top-k, one layer", data, params | {"network": LINEAR}
        yield name, "top-k, default network", data, params
        yield name, "top-k, deep, no linear path", data, params | {"network": PLAIN}


def figures(train, test, atoms, params):
    """Return the start's error on held-out rows, units never on, errors as shares of the variance, and the recovery."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of dead units: they are counted here
        model = SparseAutoencoder(**params, random_state=0).fit(train)
    dead = int((model.transform(train) == 0).all(0).sum())
    start, *errors = (
        model.start_["mse"] / train.var(),
        *(np.square(model.reconstruct(X) - X).mean() / X.var() for X in (train, test)),
    )
    shown = "–"
    if atoms is not None and not params["network"].hidden:
        learnt = model.module_.decoder.path.linear.weight.detach().numpy()
        cosines = atoms @ learnt / np.linalg.norm(atoms, axis=1)[:, None] / (np.linalg.norm(learnt, axis=0) + 1e-12)
        shown = f"{cosines.max(1).mean():.3f}"
    return f"{start:.3f} | {dead} | {errors[0]:.3f} | {errors[1]:.3f} | {shown}"


def main():
    print("| data | code | units | start | dead | error, training | error, test | recovery |")
    print("|---|---|---|---|---|---|---|---|")
    for name, code, data, params in settings():
        print(f"| {name} | {code} | {params['n_components']} | {figures(*data, params)} |", flush=True)


if __name__ == "__main__":
    main()
