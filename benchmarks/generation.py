"""Models that make new images, on MNIST: bounds, starts, conditional samples, missing pixels. `make generation`."""

import numpy as np
from sklearn.impute import KNNImputer
from sklearn.neural_network import MLPClassifier

from isthmus import Autoencoder, ConditionalVariationalAutoencoder, VariationalAutoencoder, datasets
from isthmus.networks import MLP

TEXTBOOK = {"lr": 1e-3, "lr_schedule": "constant", "validation_fraction": None, "random_state": 0}


def published_vae(train, test):
    """784-400-20, ReLU, Bernoulli on grey pixels, Adam 1e-3, batch 128, 10 epochs."""
    network = MLP(hidden=(400,), activation="relu", linear_path=None)
    model = VariationalAutoencoder(20, network=network, likelihood="bernoulli", max_epochs=10, **TEXTBOOK).fit(train)
    print(f"VAE 784-400-20: test loss {-model.score(test):.2f} nats an image (published 105.59, within 0.8)")
    estimates = [f"{n}: {model.log_likelihood(test[:1000], n).mean():.2f}" for n in (1, 10, 100, 1000)]
    print(f"  log-likelihood of 1,000 test images by importance samples: {', '.join(estimates)} nats")


def starts(train, test):
    """The bound on test images after a few epochs, from probabilistic PCA and from a random start."""
    epochs = (1, 3, 10)
    for likelihood in ("bernoulli", "gaussian"):
        for path in ("pca", "random"):
            bounds = []
            for n in epochs:
                model = VariationalAutoencoder(
                    20, network=MLP(linear_path=path), likelihood=likelihood, max_epochs=n, random_state=0
                )
                bounds.append(f"{n}: {model.fit(train).score(test):.1f}")
            print(f"{likelihood}, linear path {path}: test bound after epochs {', '.join(bounds)} nats")


def conditional_samples(train, labels, test, test_labels):
    """How often a classifier trained on real images sees in a sample the class that was asked for."""
    judge = classifier(train, labels)
    print(f"classifier: {np.mean(judge(test) == test_labels):.1%} of the real test images")
    wanted = np.repeat(np.arange(10), 500)
    for n_components, beta in ((4, 1.0), (8, 2.0), (16, 1.0)):
        model = ConditionalVariationalAutoencoder(
            n_components, beta=beta, likelihood="bernoulli", max_epochs=8, random_state=0
        )
        samples = model.fit(train, labels).sample(len(wanted), y=wanted, random_state=0)
        right = judge(samples) == wanted
        print(
            f"  {n_components} components, beta {beta:g}: {right.mean():.1%} of {len(wanted):,} samples are of their "
            f"class, at worst {min(right[wanted == label].mean() for label in range(10)):.1%} of one; "
            f"test bound {model.score(test, test_labels):.1f} nats"
        )


def classifier(train, labels):
    """Train scikit-learn's multi-layer perceptron on real images."""
    model = MLPClassifier((256,), early_stopping=True, max_iter=15, random_state=0).fit(flat(train), labels)
    return lambda images: model.predict(flat(images))


def missing_pixels(train, test):
    """Half of the pixels missing: the squared error on them as a share of the mean image's."""
    test = test[:1000]
    lower_half = np.zeros((28, 28), bool)
    lower_half[14:] = True
    masks = {
        "at random": np.random.default_rng(0).random(test.shape) < 0.5,
        "the lower half": np.broadcast_to(lower_half, test.shape),
    }
    models = {
        "VariationalAutoencoder(20)": VariationalAutoencoder(20, likelihood="bernoulli", random_state=0),
        "Autoencoder(16)": Autoencoder(16, random_state=0),
    }
    neighbours = KNNImputer().fit(flat(train[:5000]))

    def share(filled, mask):
        error, mean_error = np.square(filled - test)[mask].mean(), np.square(train.mean(0) - test)[mask].mean()
        return f"{error / mean_error:.3f}"

    def by_neighbours(mask):
        return neighbours.transform(flat(np.where(mask, np.nan, test))).reshape(test.shape)

    print("missing", *masks, sep=" | ")
    print("KNNImputer", *(share(by_neighbours(mask), mask) for mask in masks.values()), sep=" | ")
    for name, model in models.items():
        model.fit(train)
        print(name, *(share(model.impute(test, mask), mask) for mask in masks.values()), sep=" | ", flush=True)


def flat(X):
    return X.reshape(len(X), -1)


def main():
    train, labels = datasets.load("mnist")
    test, test_labels = datasets.load("mnist", "test")
    published_vae(train, test)
    conditional_samples(train, labels, test, test_labels)
    missing_pixels(train, test)
    starts(train, test)


if __name__ == "__main__":
    main()
