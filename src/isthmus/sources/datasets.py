"""The named data sets, ``load("mnist")``, and a person's own: ``load("people.csv")``, ``load_folder("pictures")``."""

import difflib
from pathlib import Path

from isthmus.errors import InputError, warn_caller
from isthmus.sources import bounds, files, images
from isthmus.sources.catalogue import CATALOGUE, Split, location, names
from isthmus.sources.dataset import Dataset
from isthmus.sources.images import Size
from isthmus.sources.pixels import Fit
from isthmus.sources.shard_results import write_shards

__all__ = ["Dataset", "load", "load_folder", "location", "names", "write_shards"]


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
