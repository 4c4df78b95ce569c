"""The data sets that have a name, where their files are, and how they are read.

scikit-learn is imported by those that need it alone, and pandas by none: `isthmus data` lists them sooner without.
"""

import gzip
import hashlib
import logging
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pooch

from isthmus.errors import InputError
from isthmus.sources.dataset import Dataset

Split = Literal["train", "test", "all"]

MOST_BYTES = 2**27
"""Of a file of the catalogue, unpacked; the longest has 47 million."""


@dataclass(frozen=True)
class Entry:
    """A line of the catalogue."""

    description: str
    shape: str
    read: Callable[[Split, Path | None], Dataset]
    files: tuple[str, ...] = ()


def names() -> list[str]:
    """Return the names that :func:`isthmus.datasets.load` knows.

    Returns
    -------
    list of str
        In the order of the catalogue.
    """
    return list(CATALOGUE)


def location(name: str, data_dir: str | Path | None = None) -> str:
    """Say where a data set's files are.

    Parameters
    ----------
    name : str
        One of ``names()``.
    data_dir : path, optional
        As :func:`isthmus.datasets.load` takes it.

    Returns
    -------
    str
        A folder, "built in", or "not here: downloaded at first use".

    Raises
    ------
    KeyError
        If there is no such data set.
    """
    if not CATALOGUE[name].files:
        return "built in"
    found = [_find(f"{name}/{file}", None if data_dir is None else Path(data_dir)) for file in CATALOGUE[name].files]
    if found[0] is None or None in found:
        return "not here: downloaded at first use"
    return str(found[0].parent)


def _split(X: np.ndarray, y: np.ndarray, split: Split) -> Dataset:
    """Take a fixed fifth as the test part, of each class its share where `y` holds classes."""
    if split == "all":
        return Dataset(X, y)
    classes = y if y.dtype.kind in "iu" else None
    from sklearn.model_selection import train_test_split

    train_X, test_X, train_y, test_y = train_test_split(X, y, test_size=0.2, random_state=0, stratify=classes)
    return Dataset(train_X, train_y) if split == "train" else Dataset(test_X, test_y)


def _digits(split: Split, data_dir: Path | None) -> Dataset:
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return _split((X / 16).astype(np.float32).reshape(-1, 8, 8), y, split)


def _swiss_roll(split: Split, data_dir: Path | None) -> Dataset:
    from sklearn.datasets import make_swiss_roll

    X, y = make_swiss_roll(2500, random_state=0)
    return _split(X.astype(np.float32), y.astype(np.float32), split)


def _idx_images(split: Split, data_dir: Path | None, *, name: str) -> Dataset:
    images, labels = (
        np.concatenate([_read_idx(name, _IDX_FILE.format(part, kind), data_dir) for part in _IDX_PARTS[split]])
        for kind in _IDX_KINDS
    )
    return Dataset(images.astype(np.float32) / 255, labels.astype(np.int64))


def _read_idx(name: str, file: str, data_dir: Path | None) -> np.ndarray:
    """Read an idx file: a magic number whose last byte is the number of axes, their lengths, the bytes."""
    path = _find(f"{name}/{file}", data_dir)
    content = _download(f"{name}/{file}") if path is None else _checked(f"{name}/{file}", path)
    axes = content[3]
    shape = np.frombuffer(content, ">i4", count=axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _find(file: str, data_dir: Path | None) -> Path | None:
    folders = [*filter(None, (data_dir, os.environ.get("ISTHMUS_DATA"))), pooch.os_cache("isthmus")]
    candidates = (Path(folder, f"{file}{suffix}") for folder in folders for suffix in ("", ".gz"))
    return next((path for path in candidates if path.is_file()), None)


def _checked(file: str, path: Path) -> bytes:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as opened:
            content = opened.read(MOST_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot read {path}: {error}; delete it and load again") from error
    if hashlib.sha256(content).hexdigest() != SHA256[file]:
        raise InputError(f"{path} is not the published file (its SHA-256 differs): delete it and load again")
    return content


def _download(file: str) -> bytes:
    """Fetch a file into the user's cache from the first mirror that has the right bytes."""
    name, base = file.split("/")
    folder = Path(pooch.os_cache("isthmus")) / name
    pooch.get_logger().setLevel(logging.WARNING)
    for mirror in MIRRORS[name]:
        path = folder / f"{base}.gz"
        try:
            pooch.retrieve(f"{mirror}{base}.gz", known_hash=None, fname=path.name, path=folder)
            return _checked(file, path)
        except (OSError, ValueError):  # requests' errors are OSErrors; a mirror with wrong bytes is no better
            path.unlink(missing_ok=True)
    raise FileNotFoundError(
        f"cannot download {base}.gz: put it into {folder}, or into $ISTHMUS_DATA/{name}, from {MIRRORS[name][0]}"
    )


MIRRORS: dict[str, list[str]] = {
    "mnist": ["https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"],
    "fashion_mnist": [
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ],
}

SHA256: dict[str, str] = {
    "mnist/t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "mnist/t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    "mnist/train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "mnist/train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "fashion_mnist/t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "fashion_mnist/t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    "fashion_mnist/train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "fashion_mnist/train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
}

_IDX_FILE = "{}-{}-ubyte"
_IDX_PARTS = {"train": ("train",), "test": ("t10k",), "all": ("train", "t10k")}
_IDX_KINDS = ("images-idx3", "labels-idx1")
_IDX_FILES = tuple(_IDX_FILE.format(part, kind) for part in _IDX_PARTS["all"] for kind in _IDX_KINDS)

CATALOGUE: dict[str, Entry] = {
    "digits": Entry("handwritten digits, from scikit-learn", "1,797 × 8×8", _digits),
    "swiss_roll": Entry("a sheet rolled up in space; y is the place along it", "2,500 × 3", _swiss_roll),
    "mnist": Entry("handwritten digits", "70,000 × 28×28", partial(_idx_images, name="mnist"), _IDX_FILES),
    "fashion_mnist": Entry(
        "Zalando's clothes", "70,000 × 28×28", partial(_idx_images, name="fashion_mnist"), _IDX_FILES
    ),
}
