"""Published results on MNIST, each with its own setting, beside what isthmus gets. `make published` runs it."""

import numpy as np
from sklearn.decomposition import PCA

from isthmus import Autoencoder, datasets
from isthmus.networks import MLP


def flat(X):
    return X.reshape(len(X), -1)


def linear(train, test):
    """A linear autoencoder finds PCA's subspace (Baldi & Hornik 1989): squared error an image, PCA-30 is 13.866."""
    pca = PCA(30).fit(train)
    print(f"PCA-30: {np.square(test - pca.inverse_transform(pca.transform(test))).sum(1).mean():.3f}")
    for path in ("pca", "random"):
        network = MLP(hidden=(), linear_path=path)
        model = Autoencoder(30, network=network, random_state=0, max_epochs=20).fit(train)
        error = np.square(test - model.reconstruct(test)).sum(1).mean()
        print(f"linear autoencoder, 30 components, started at {path}: {error:.3f} (to be at most 14.0)")


def under_and_over(train, test):
    """One hidden layer, tanh on code and output, pixels in [-1, 1], Adam 1e-3, batch 256, 20 epochs."""
    train, test = 2 * train - 1, 2 * test - 1
    network = MLP(hidden=(), code_activation="tanh", output_activation="tanh", linear_path=None)
    setting = {
        "network": network,
        "lr": 1e-3,
        "lr_schedule": "constant",
        "batch_size": 256,
        "max_epochs": 20,
        "validation_fraction": None,
        "random_state": 0,
    }
    under = Autoencoder(30, **setting).fit(train)
    error = np.square(test - under.reconstruct(test)).mean()
    print(
        f"d = 30: training {under.history_[-1]['train']['mse']:.4f}, test {error:.4f} (published 0.0574, within 0.006)"
    )
    over = Autoencoder(500, corruption="dropout", corruption_level=0.5, **setting).fit(train)
    rng = np.random.default_rng(0)
    dropped = np.where(rng.random(test.shape) < 0.5, 0, 2 * test).astype(test.dtype)
    error = np.square(test - over.reconstruct(dropped)).mean()
    print(
        f"d = 500, half of the pixels dropped: training {over.history_[-1]['train']['mse']:.4f}, test {error:.4f} "
        "(published 0.0407, within 0.003)"
    )


def deep_nine(train, test):
    """784-128-64-36-18-9 and mirrored, ReLU, sigmoid output, batch 32, Adam 1e-3, 20 epochs."""
    network = MLP(hidden=(128, 64, 36, 18), activation="relu", output_activation="sigmoid", linear_path=None)
    setting = {"lr": 1e-3, "lr_schedule": "constant", "batch_size": 32, "max_epochs": 20, "validation_fraction": None}
    models = [Autoencoder(9, network=network, random_state=seed, **setting).fit(train) for seed in range(5)]
    errors = [float(np.square(test - model.reconstruct(test)).mean()) for model in models]
    pca = PCA(9).fit(train)
    base = np.square(test - pca.inverse_transform(pca.transform(test))).mean()
    print(
        f"deep, nine components, five seeds: test {', '.join(f'{error:.4f}' for error in errors)}, "
        f"median {np.median(errors):.4f} (to be at most 0.020), PCA-9 {base:.4f}"
    )


def main():
    train, test = (flat(datasets.load("mnist", split).X) for split in ("train", "test"))
    linear(train, test)
    under_and_over(train, test)
    deep_nine(train, test)


if __name__ == "__main__":
    main()
