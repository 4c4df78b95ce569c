"""Missing pixels of MNIST filled in, by models that were trained to and by others. `python benchmarks/filling.py`."""

import numpy as np
import torch
from sklearn.impute import KNNImputer

from isthmus import Autoencoder, DenoisingAutoencoder, VariationalAutoencoder, datasets
from isthmus.networks import Conv

FEW = 10_000
"""Training images of all but one model, so that all of this takes a few minutes."""

BEFORE = {
    "DenoisingAutoencoder(64), all 60,000 images": "1.138, 2.148, 0.709",
    "DenoisingAutoencoder(64)": "1.006, 2.140, 0.924",
    "DenoisingAutoencoder(32)": "1.038, 1.900, 1.098",
    "DenoisingAutoencoder(32, network=Conv)": "0.737, 1.184, 0.244",
}
"""What this printed while hidden pixels were 0 in training and the mean at use; the others are as they were."""


def main():
    torch.set_num_threads(1)
    train, test = datasets.load("mnist").X, datasets.load("mnist", "test").X[:1000]
    lower_half = np.zeros(test.shape[1:], bool)
    lower_half[14:] = True
    masks = [np.random.default_rng(0).random(test.shape) < 0.5, np.broadcast_to(lower_half, test.shape)]
    print("filled in by | half of the pixels, at random | the lower half | whole images | it was")
    print("---|---|---|---|---")
    print("the mean image | 1.000 | 1.000 | 1.000 | the same")
    neighbours = KNNImputer().fit(flat(train[:5000]))
    told("KNNImputer, 5,000 images", lambda mask: by_neighbours(neighbours, test, mask), None, train, test, masks)
    for name, model, images in models():
        model.fit(train[:images])
        told(name, lambda mask, model=model: model.impute(test, mask), model.reconstruct(test), train, test, masks)


def models():
    """Return names, models, and how many images each is trained on."""
    masked = {"corruption": "masking", "corruption_level": 0.5, "random_state": 0}
    small = {"network": Conv(channels=(8, 16)), "max_epochs": 15}
    return [
        ("DenoisingAutoencoder(64), all 60,000 images", DenoisingAutoencoder(64, **masked), None),
        ("DenoisingAutoencoder(64)", DenoisingAutoencoder(64, **masked), FEW),
        ("the same, a quarter hidden", DenoisingAutoencoder(64, **masked | {"corruption_level": 0.25}), FEW),
        ("DenoisingAutoencoder(32)", DenoisingAutoencoder(32, **masked), FEW),
        ("DenoisingAutoencoder(32, network=Conv)", DenoisingAutoencoder(32, **masked, **small), FEW),
        ("Autoencoder(64)", Autoencoder(64, random_state=0), FEW),
        ("Autoencoder(32)", Autoencoder(32, random_state=0), FEW),
        ("Autoencoder(32, network=Conv)", Autoencoder(32, random_state=0, **small), FEW),
        ("VariationalAutoencoder(20)", VariationalAutoencoder(20, likelihood="bernoulli", random_state=0), FEW),
    ]


def told(name, fill, rebuilt, train, test, masks):
    """Print the squared error on what is missing, and of whole images rebuilt, as shares of the mean image's."""
    error_of_mean = np.square(train.mean(0) - test)
    shares = [np.square(fill(mask) - test)[mask].mean() / error_of_mean[mask].mean() for mask in masks]
    shares += [] if rebuilt is None else [np.square(rebuilt - test).mean() / error_of_mean.mean()]
    cells = [f"{share:.3f}" for share in shares] + ["–"] * (3 - len(shares))
    before = "not measured" if "quarter" in name else "the same"
    print(name, *cells, BEFORE.get(name, before), sep=" | ", flush=True)


def by_neighbours(neighbours, test, mask):
    return neighbours.transform(flat(np.where(mask, np.nan, test))).reshape(test.shape)


def flat(X):
    return X.reshape(len(X), -1)


if __name__ == "__main__":
    main()
