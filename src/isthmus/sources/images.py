"""Folders of images as people have them: of all sizes, with transparency, of 16 bits, turned, some of them broken."""

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from isthmus.errors import InputError
from isthmus.sources.bounds import check_bytes
from isthmus.sources.dataset import Dataset
from isthmus.sources.pixels import FORMATS, NO_IMAGES, Fit, Header, Seen, header_of, pixels_of

Size = int | Sequence[int]

LEFT_OUT = "__MACOSX"
"""A folder that a Mac adds to archives; those that are hidden are left out too."""

MOST_PIXELS = 20_000
"""Along a side."""


class Pictures(NamedTuple):
    """What was read of a folder.

    Attributes
    ----------
    data : Dataset
        Images and their labels.
    paths : list of Path
        The file of each image.
    summary : list of str
        What was understood, in one or two plain lines.
    warnings : list of str
        What of it changes or leaves out something; a line each.
    left_out : list of Path
        The files that could not be read.
    """

    data: Dataset
    paths: list[Path]
    summary: list[str]
    warnings: list[str]
    left_out: list[Path]


def read_images(
    folder: str | Path,
    size: Size | None = None,
    fit: Fit = "crop",
    skip_bad: bool = False,
    *,
    colors: bool | None = None,
) -> Pictures:
    """Read all images under `folder`, in the order of their names; see :func:`isthmus.datasets.load_folder`.

    Parameters
    ----------
    folder : path
    size, fit, skip_bad
        As of ``load_folder``.
    colors : bool, optional
        Whether images have three channels, as a model knows them, whose `size` is given too; by default they have where
        one of them has colours.
    """
    folder, seen = Path(folder), Seen()
    look = looked_through(folder, size, fit, skip_bad, colors=colors, seen=seen)
    headers, in_color, target = look.headers, look.in_color, (look.row_shape[-2], look.row_shape[-1])
    X, read = _read_all(folder, look, seen)
    if not read:
        raise InputError(_none_of(len(headers), folder))
    y, loose = _labels(folder, read)
    sizes = [headers[path].size for path in read]
    told = _warnings(folder, seen, loose)
    if colors is False and any(headers[path].has_colors for path in read):
        told.append("colours are brought to grey")
    brought = _sizes_in_words(sizes, target, fit)
    first = f"{len(read):,} image{'s' * (len(read) != 1)}, {brought}, {'colour' if in_color else 'grey'}"
    summary = [f"{first}, {_labels_in_words(y)}", *(["; ".join(told)] if told else [])]
    if colors is not None and set(sizes) != {target}:
        told = [f"the model knows another size: {brought}", *told]
    return Pictures(Dataset(X, y), read, summary, told, sorted(seen.bad))


class Look(NamedTuple):
    """What was seen of a folder before any pixel is read.

    Attributes
    ----------
    headers : dict of Path to Header
        The images, in the order of their names.
    row_shape : tuple of int
        (height, width), or (3, height, width).
    in_color, is_deep : bool
        Whether images have three channels, and whether one has more than 8 bits, so that all are floats.
    fit : {"crop", "pad"}
        See :func:`isthmus.datasets.load_folder`.
    skip_bad : bool
        Whether those that cannot be read are left out.
    labels : ndarray or None
        The subfolder of each.
    """

    headers: dict[Path, Header]
    row_shape: tuple[int, ...]
    in_color: bool
    is_deep: bool
    fit: Fit
    skip_bad: bool
    labels: np.ndarray | None


def looked_through(
    folder: Path,
    size: Size | None = None,
    fit: Fit = "crop",
    skip_bad: bool = False,
    *,
    colors: bool | None = None,
    seen: Seen | None = None,
) -> Look:
    """Find the images of a folder, and what they are to be brought to; see :func:`read_images`."""
    shape, seen = check_size(size), Seen() if seen is None else seen
    if fit not in ("crop", "pad"):
        raise InputError(f"unknown fit {fit!r}: give 'crop' or 'pad'")
    endings = {ending for ending, kind in Image.registered_extensions().items() if kind in FORMATS}
    paths = sorted(path for path in _files(folder, seen, skip_bad) if path.suffix.lower() in endings)
    if not paths:
        raise InputError(
            f"{folder} holds no images{_others(folder)}: give a folder of files such as .png, or of subfolders of them"
        )
    headers = {path: header for path in paths if (header := header_of(path, seen, skip_bad)) is not None}
    if not headers:
        raise InputError(_none_of(len(paths), folder))
    target = shape or _common_size(headers)
    in_color = any(header.has_colors for header in headers.values()) if colors is None else colors
    is_deep = any(header.is_deep for header in headers.values())
    row_shape = (3, *target) if in_color else target
    return Look(headers, row_shape, in_color, is_deep, fit, skip_bad, _labels(folder, list(headers))[0])


def _none_of(n: int, folder: Path) -> str:
    return f"none of the {n:,} images under {folder} can be read"


def read_pixels(path: Path, look: Look, seen: Seen) -> np.ndarray | None:
    """Read an image as the others of its folder are, of shape `row_shape`; None where it is bad and may be."""
    target = (look.row_shape[-2], look.row_shape[-1])
    pixels = pixels_of(path, target, look.fit, look.in_color, seen, look.skip_bad)
    if pixels is None:
        return None
    return pixels / np.float32(255) if look.is_deep and pixels.dtype == np.uint8 else pixels


def _read_all(folder: Path, look: Look, seen: Seen) -> tuple[np.ndarray, list[Path]]:
    """Return the images that can be read, and their files."""
    X = _room(len(look.headers), look.row_shape, np.float32 if look.is_deep else np.uint8, folder)
    read: list[Path] = []
    for path in look.headers:
        if (pixels := read_pixels(path, look, seen)) is not None:
            X[len(read)] = pixels
            read.append(path)
    return X[: len(read)], read


def check_size(size: Any) -> tuple[int, int] | None:
    """Return a size as (height, width); raise ValueError for what is none."""
    if size is None:
        return None
    pair: tuple[Any, ...] = (size, size) if np.ndim(size) == 0 else tuple(size)
    whole = all(isinstance(side, int | np.integer) and not isinstance(side, bool) for side in pair)
    if len(pair) != 2 or not whole or not all(1 <= side <= MOST_PIXELS for side in pair):
        raise InputError(f"size={size!r}: give pixels as one whole number, or as (height, width)")
    return int(pair[0]), int(pair[1])


def _files(folder: Path, seen: Seen, skip_bad: bool = True) -> Iterator[Path]:
    """Go over what is not hidden, past links to folders; a folder that cannot be read is an error, or noted."""

    def note(error: OSError) -> None:
        place = Path(os.fsdecode(error.filename or folder))
        if place == folder or not skip_bad:
            leave_out = "" if place == folder else "; skip_bad=True (--skip-bad) leaves out what cannot be read"
            raise InputError(f"cannot read the folder {place}: {error.strerror or error}{leave_out}") from error
        seen.closed.append(place)

    for place, folders, names in os.walk(folder, onerror=note):
        folders[:] = [name for name in folders if not name.startswith(".") and name != LEFT_OUT]
        yield from (Path(place, name) for name in names if not name.startswith("."))


def _others(folder: Path) -> str:
    endings = Counter(path.suffix.lower() or "files without an ending" for path in _files(folder, Seen()))
    found = ", ".join(f"{count:,} {ending}" for ending, count in endings.most_common(3))
    return f", but {found}" if found else ""


def _common_size(headers: dict[Path, Header]) -> tuple[int, int]:
    (first, header), *others = headers.items()
    for path, other in others:
        if other.size != header.size:
            sizes = f"{path} is {_times(other.size)} pixels and {first.name} {_times(header.size)}"
            raise InputError(f"{sizes}: bring all to one size, with size=32 (--size 32) or any other")
    return header.size


def _times(size: tuple[int, int]) -> str:
    return f"{size[1]}×{size[0]}"


def _room(n: int, row_shape: tuple[int, ...], dtype: type[np.number], folder: Path) -> np.ndarray:
    """Take memory for images; raise ValueError where this machine has not as much."""
    needed = n * math.prod(row_shape) * np.dtype(dtype).itemsize
    images = f"{folder}: {n:,} images of {row_shape[-1]}×{row_shape[-2]} pixels take"
    check_bytes(images, needed, "give a smaller size, such as size=32 (--size 32), or ")
    if hasattr(os, "sysconf") and needed > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
        raise InputError(
            f"{images} {needed / 1e9:.3g} GB, more memory than there is: "
            "give a smaller size, such as size=32 (--size 32)"
        )
    return np.empty((n, *row_shape), dtype)


def as_text(path: Path, folder: Path) -> str:
    r"""Return what a path is called in its folder; bytes that are not UTF-8 as Python writes them, such as ``\xff``."""
    return os.fsencode(path.relative_to(folder).as_posix()).decode("utf-8", "backslashreplace")


def _labels(folder: Path, paths: Sequence[Path]) -> tuple[np.ndarray | None, list[Path]]:
    """Return the subfolders as labels, where there are several, and the images that lie beside them without one."""
    labels = [as_text(path.parent, folder) for path in paths]
    loose = [path for path, label in zip(paths, labels, strict=True) if label == "."]
    if len(set(labels) - {"."}) < 2:
        return None, []
    if not loose:
        return np.array(labels), []
    return np.array([np.nan if label == "." else label for label in labels], dtype=object), loose


def _warnings(folder: Path, seen: Seen, loose: Sequence[Path]) -> list[str]:
    told = [f"left out: {_named(folder, sorted(seen.bad))} that cannot be read"] if seen.bad else []
    if seen.closed:
        told.append(f"left out: folders that cannot be read: {_named(folder, sorted(seen.closed))}")
    known = Image.registered_extensions()
    unread = {ending for ending, kind in known.items() if kind in Image.OPEN and kind not in {*FORMATS, *NO_IMAGES}}
    others = sorted(path for path in _files(folder, Seen()) if path.suffix.lower() in unread)
    if others:
        kinds = ", ".join(sorted({path.suffix.lower() for path in others}))
        told.append(f"left out: {len(others):,} in formats that are not read ({kinds}): {_named(folder, others)}")
    if loose:
        told.append(f"without a label, as outside of the subfolders: {_named(folder, loose)}")
    if seen.clear:
        told.append(f"what is transparent is laid on white: {_named(folder, seen.clear)}")
    if seen.deep:
        how = "; ".join(dict.fromkeys(_depth_in_words(mode) for mode in seen.deep.values()))
        told.append(f"more than 8 bits a pixel, so all are brought to [0, 1] ({how}): {_named(folder, seen.deep)}")
    if seen.moving:
        told.append(f"only the first frame is read: {_named(folder, seen.moving)}")
    linked = [Path(place, name) for place, folders, _ in os.walk(folder) for name in folders]
    linked = [path for path in linked if path.is_symlink()]
    if linked:
        told.append(f"links to folders are left out: {_named(folder, linked)}")
    return told


def _depth_in_words(mode: str) -> str:
    """Say how pixels of more than 8 bits are brought to [0, 1]: Pillow's modes are F, I and I;16 with what follows."""
    if mode.startswith("F"):
        return "floats: as they are"
    return "of 16 bits: /65535" if mode.startswith("I;16") else "whole numbers of 32 bits: /65535"


def _named(folder: Path, paths: Iterable[Path], most: int = 3) -> str:
    names = [as_text(path, folder) for path in paths]
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


def _sizes_in_words(sizes: Sequence[tuple[int, int]], target: tuple[int, int], fit: Fit) -> str:
    if set(sizes) == {target}:
        return f"{_times(target)} pixels"
    least, most = min(sizes, key=np.prod), max(sizes, key=np.prod)
    before = _times(least) + (f" to {_times(most)}" if len(set(sizes)) > 1 else "")
    how = "the middle of each" if fit == "crop" else "with black beside them"
    return f"{before} brought to {_times(target)} pixels ({how})"


def _labels_in_words(y: np.ndarray | None, most: int = 5) -> str:
    if y is None:
        return "no labels"
    counts = Counter(label for label in y if isinstance(label, str))
    shown = ", ".join(f"{label} {count:,}" for label, count in list(counts.items())[:most])
    return f"{len(counts):,} labels: {shown}" + (f" and {len(counts) - most:,} more" if len(counts) > most else "")
