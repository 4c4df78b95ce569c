"""The masked transformer on MNIST: what its code knows, and how well hidden patches are rebuilt. `make transformer`."""

import argparse
import time

import numpy as np
from sklearn.decomposition import PCA

from isthmus import Autoencoder, DenoisingAutoencoder, datasets
from isthmus.evaluation.probe import linear_probe_accuracy
from isthmus.networks import Transformer

COMPONENTS = 32
MASKED = {"corruption": "masking", "corruption_level": 0.75}


def flat(X):
    return X.reshape(len(X), -1)


def three_quarters_of_the_patches(n, patch=4):
    """Mark 37 of the 49 patches of each image, at random; shape (n, 28, 28)."""
    lot = np.random.default_rng(0).random((n, 49)).argsort(1).argsort(1)
    return np.kron((lot < 37).reshape(n, 7, 7), np.ones((patch, patch), bool))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000, help="training images")
    parser.add_argument("--epochs", type=int, default=None, help="of every model; by default what fit takes")
    options = parser.parse_args()
    train, labels = datasets.load("mnist")
    train, labels = train[: options.rows], labels[: options.rows]
    test, test_labels = (part[:5000] for part in datasets.load("mnist", "test"))
    hidden = three_quarters_of_the_patches(len(test))
    mean = train.mean(0)

    def probe(encode):
        return f"{linear_probe_accuracy(encode(train), labels, encode(test), test_labels):.1%}"

    def share(rebuilt, where=slice(None)):
        return f"{np.square(rebuilt - test)[where].mean() / np.square(mean - test)[where].mean():.3f}"

    print(f"{len(train):,} training images, {len(test):,} test images, {COMPONENTS} components")
    print("model | linear probe | whole images | hidden patches | seconds")
    mean_patch = np.broadcast_to(np.tile(train.reshape(-1, 7, 4, 7, 4).mean((0, 1, 3)), (7, 7)), test.shape)
    print("the mean patch", "", share(mean_patch), share(mean_patch, hidden), "", sep=" | ")
    print("the mean image", "", share(mean), share(mean, hidden), "", sep=" | ")
    pca = PCA(COMPONENTS, random_state=0).fit(flat(train))
    rebuilt = pca.inverse_transform(pca.transform(flat(test))).reshape(test.shape)
    print("PCA", probe(lambda X: pca.transform(flat(X))), share(rebuilt), "", "", sep=" | ")
    setting = {"max_epochs": options.epochs, "random_state": 0}
    models = {
        "Autoencoder, MLP": Autoencoder(COMPONENTS, **setting),
        "masked Transformer": DenoisingAutoencoder(COMPONENTS, network=Transformer(), **MASKED, **setting),
        "masked Transformer, linear path": DenoisingAutoencoder(
            COMPONENTS, network=Transformer(linear_path="pca"), **MASKED, **setting
        ),
    }
    for name, model in models.items():
        began = time.perf_counter()
        model.fit(train)
        seconds = time.perf_counter() - began
        figures = probe(model.transform), share(model.reconstruct(test)), share(model.impute(test, hidden), hidden)
        print(name, *figures, f"{seconds:.0f}", sep=" | ", flush=True)


if __name__ == "__main__":
    main()
