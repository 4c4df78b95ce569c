"""The named data sets, ``load("mnist")``, and a person's own: ``load("people.csv")``, ``load_folder("pictures")``.

scikit-learn is imported by those that need it alone: a person's own file is read sooner without.
"""

import difflib
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

from isthmus.errors import InputError, warn_caller
from isthmus.sources import bounds, files, images
from isthmus.sources.dataset import Dataset
from isthmus.sources.images import Size
from isthmus.sources.pixels import Fit

__all__ = ["Dataset", "load", "load_folder", "location", "names"]

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


def load(
    name: str | Path,
    split: Split = "train",
    data_dir: str | Path | None = None,
    *,
    label: str | None = None,
    size: Size | None = None,
    fit: Fit = "crop",
    skip_bad: bool = False,
    max_gb: float | None = None,
    max_pixels: int | None = None,
) -> Dataset:
    """Load a data set by its name, or rows from a file or a folder of images by its path.

    Files of named data sets are looked for in `data_dir`, then in ``$ISTHMUS_DATA``, then in the user's cache; else
    they are downloaded to that cache. Each is checked by the SHA-256 of its uncompressed bytes.

    Parameters
    ----------
    name : str or path
        One of ``names()``: "digits", "swiss_roll", "mnist", "fashion_mnist"; or a path: ``.npy``, ``.npz`` with an
        array ``X`` and perhaps ``y``, ``.csv``, ``.tsv``, ``.txt`` (also ``.gz``) or ``.parquet`` with a row a line, or
        a folder of images, which :func:`load_folder` reads.
    split : {"train", "test", "all"}, default "train"
        The published split where there is one; of the others a fixed fifth is the test part. Files and folders are
        read whole.
    data_dir : path, optional
        A folder that holds one folder a data set.
    label : str, optional
        The column of a table, or the array of an ``.npz``, that holds the labels.
    size, fit, skip_bad : optional
        For a folder of images: see :func:`load_folder`.
    max_gb : float, optional
        How many gigabytes a file or folder may take in memory, which of a compressed one may be far more than on disk;
        default: a quarter of this machine's memory, 16 at the most.
    max_pixels : int, optional
        For a folder of images: see :func:`load_folder`.

    Returns
    -------
    Dataset
        A named tuple ``(X, y)``. Images of named data sets are float32 in [0, 1]; tables are DataFrames.

    Raises
    ------
    ValueError
        If there is no such data set or split, a file's bytes are not the published ones, or a file is not what its
        name ends in.
    FileNotFoundError
        If there is no such file, or one of a named data set is nowhere and cannot be downloaded; the message says
        which file to put where.

    Examples
    --------
    >>> X, y = load("digits")
    >>> X.shape, X.dtype, float(X.max())
    ((1437, 8, 8), dtype('float32'), 1.0)
    """
    if split not in ("train", "test", "all"):
        raise InputError(f"unknown split {split!r}: give 'train', 'test' or 'all'")
    if name in CATALOGUE:
        return CATALOGUE[str(name)].read(split, None if data_dir is None else Path(data_dir))
    if not is_path(name):
        close = difflib.get_close_matches(str(name), CATALOGUE, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(CATALOGUE)}; or give a file's path"
        raise InputError(f"unknown dataset {name!r}: {hint}")
    if split == "test":
        raise InputError(f"split='test': {name} has no parts; leave it out, and set rows aside with train_test_split")
    if Path(name).is_dir() and label is None:
        return load_folder(name, size, fit, skip_bad, max_gb=max_gb, max_pixels=max_pixels)
    if not Path(name).is_dir() and (size is not None or skip_bad):
        raise InputError(f"size and skip_bad are for folders of images, and {name} is none; leave them out")
    with bounds.allowed(gb=max_gb):
        source = files.read_source(name, label, gaps=True, mixed=True)
    for line in source.warnings:
        warn_caller(f"{name}: {line}")
    return source.data


def load_folder(
    path: str | Path,
    size: Size | None = None,
    fit: Fit = "crop",
    skip_bad: bool = False,
    *,
    max_gb: float | None = None,
    max_pixels: int | None = None,
) -> Dataset:
    """Load a folder of images, whose subfolders are the labels.

    Images are read in the order of their names, upright as their EXIF says. Where one has colours all have. What is
    transparent is laid on white, of an animation the first frame is read, and where one has more than 8 bits a pixel
    all come in [0, 1], 16 bits divided by 65535: a warning says which images that concerns. Files that are no images,
    hidden ones, links to folders and folders such as ``__MACOSX`` are left out.

    Parameters
    ----------
    path : path
        The folder; PNG, JPEG, WebP, BMP, TIFF, GIF and PPM, by what is in them.
    size : int or (int, int), optional
        Pixels, (height, width), to bring all images to, their aspect kept. They must be of one size otherwise.
    fit : {"crop", "pad"}, default "crop"
        Whether of an image with another aspect the middle is kept, or all of it, with black beside.
    skip_bad : bool, default False
        Whether to leave out images, and subfolders, that cannot be read, with a warning that names them, instead of an
        error.
    max_gb : float, optional
        How many gigabytes all images together may take, as they are given back; default: a quarter of this machine's
        memory, 16 at the most.
    max_pixels : int, optional
        How many pixels one image may have before it is brought to its size; default: 100 million.

    Returns
    -------
    Dataset
        A named tuple ``(X, y)``: X of shape (n, height, width), or (n, 3, height, width) in colour, is uint8, or
        float32 in [0, 1] where an image has more than 8 bits; y has the subfolders' names, NaN for an image outside of
        them, and is None where there are fewer than two.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If there is no such folder.
    ValueError
        If an image cannot be read, sizes differ and none is given, or there are no images.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (64, 48)).save(f"{folder}/wide.png")
    ...     Image.new("RGB", (30, 40)).save(f"{folder}/tall.jpg")
    ...     X, y = load_folder(folder, size=32)
    >>> X.shape, X.dtype, y
    ((2, 3, 32, 32), dtype('uint8'), None)
    """
    folder = Path(path)
    if not folder.exists():
        raise FileNotFoundError(f"there is no folder {folder}")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder of images: it is a file")
    with bounds.allowed(gb=max_gb, pixels=max_pixels):
        pictures = images.read_images(folder, size, fit, skip_bad)
    for line in pictures.warnings:
        warn_caller(f"{folder}: {line}")
    return pictures.data


def is_path(name: str | Path) -> bool:
    """Tell a path from the name of a data set: a Path, something that is there, or what has an ending or a folder."""
    path = Path(name)
    return not isinstance(name, str) or path.exists() or bool(path.suffix) or len(path.parts) > 1


def names() -> list[str]:
    """Return the names that :func:`load` knows.

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
        As :func:`load` takes it.

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
    prefixes = {"train": ["train"], "test": ["t10k"], "all": ["train", "t10k"]}[split]
    images = [_read_idx(name, f"{prefix}-images-idx3-ubyte", data_dir) for prefix in prefixes]
    labels = [_read_idx(name, f"{prefix}-labels-idx1-ubyte", data_dir) for prefix in prefixes]
    return Dataset(np.concatenate(images).astype(np.float32) / 255, np.concatenate(labels).astype(np.int64))


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

_IDX_FILES = tuple(f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))

CATALOGUE: dict[str, Entry] = {
    "digits": Entry("handwritten digits, from scikit-learn", "1,797 × 8×8", _digits),
    "swiss_roll": Entry("a sheet rolled up in space; y is the place along it", "2,500 × 3", _swiss_roll),
    "mnist": Entry("handwritten digits", "70,000 × 28×28", partial(_idx_images, name="mnist"), _IDX_FILES),
    "fashion_mnist": Entry(
        "Zalando's clothes", "70,000 × 28×28", partial(_idx_images, name="fashion_mnist"), _IDX_FILES
    ),
}
