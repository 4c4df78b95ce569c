"""Several modalities in one code, on MNIST: the halves of an image and its label. `make modalities`."""

import time

import numpy as np

from isthmus import MultimodalAutoencoder, datasets


def in_modalities(images, labels):
    """Take an image's upper and lower half, and its label, for three modalities."""
    return {"upper": images[:, :14], "lower": images[:, 14:], "label": labels}


def measure(train, test, **setting):
    """Print how well each modality is told from the others, on test images."""
    began = time.perf_counter()
    model = MultimodalAutoencoder(random_state=0, **setting).fit(train)
    seconds = time.perf_counter() - began
    told = ", ".join(f"{name}={value!r}" for name, value in setting.items())
    print(f"MultimodalAutoencoder({told}): {len(train['label']):,} images, {seconds:.0f} s", flush=True)
    for given in (["upper"], ["lower"], ["label"], ["upper", "label"], ["upper", "lower"]):
        rebuilt = model.reconstruct(test, given=given)
        figures = [f"{name} {share(rebuilt, test, train, name):.3f}" for name in ("upper", "lower")]
        right = np.mean(rebuilt["label"] == test["label"])
        print(
            f"  given {' and '.join(given)}: share of the mean's error {', '.join(figures)}; label right in {right:.1%}"
        )


def share(rebuilt, test, train, name):
    """Return the squared error of a modality as a share of that of its mean over the training rows."""
    error, at_mean = (np.square(rows - test[name]).mean() for rows in (rebuilt[name], train[name].mean(0)))
    return error / at_mean


def main():
    train = in_modalities(*datasets.load("mnist"))
    test = in_modalities(*datasets.load("mnist", "test"))
    few = {name: values[:10_000] for name, values in train.items()}
    measure(train, test)
    measure(train, test, fusion="product_of_experts")
    measure(few, test)
    measure(few, test, block_weights={})
    measure(few, test, modality_dropout=0.0)


if __name__ == "__main__":
    main()
