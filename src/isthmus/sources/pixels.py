"""The pixels of one image file, which may be transparent, of 16 bits, turned, too large, or broken."""

import stat
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from isthmus.errors import InputError, warnings_as
from isthmus.sources.bounds import most_pixels

Fit = Literal["crop", "pad"]


FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "PPM")
"""That are read, by what is in a file and not by its name. Pillow knows more of them: some are programs, which it has
run by others, such as EPS, and some are rare, and few have looked for what is wrong with them. PPM is PGM too."""


NO_IMAGES = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"}
"""What Pillow has a name for, and few would miss among images."""


GREY = ("1", "L", "LA", "La")


DEEP = ("I", "F")
"""How the modes begin that have more than 8 bits a pixel."""


WHITE_OF_16_BITS = 65535


ORIENTATION = 0x0112
"""The EXIF tag."""


TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings an image upright, by its EXIF orientation; from 5 on height becomes width."""


UNREADABLE: tuple[type[Exception], ...] = (
    OSError, EOFError, SyntaxError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError, struct.error,
    zlib.error, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow raises at files that are broken."""


@dataclass
class Seen:
    """What was met on the way, by the files that it was met in."""

    bad: dict[Path, str] = field(default_factory=dict)
    clear: list[Path] = field(default_factory=list)
    deep: dict[Path, str] = field(default_factory=dict)
    moving: list[Path] = field(default_factory=list)
    closed: list[Path] = field(default_factory=list)


class Header(NamedTuple):
    """What an image says of itself before its pixels are read: size as (height, width), colours, bits."""

    size: tuple[int, int]
    has_colors: bool
    is_deep: bool


_OPENING = threading.Lock()


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image of one of the formats, once it is sure that it is a file, and not too large to be unpacked.

    Raises
    ------
    OSError
        If it is none, with the reason.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is no file, but a pipe, a device or a folder")  # which could have one wait for ever
    with _OPENING:  # Pillow's own bound is one for all threads
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(path, formats=FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = before
    with image:
        width, height = image.size
        if width * height > most_pixels():
            raise OSError(
                f"it has {width:,}×{height:,} pixels, more than the {most_pixels():,} that are allowed: "
                f"max_pixels={width * height} (--max-pixels {width * height}) allows them"
            )
        if width * height < 1:
            raise OSError("it has no pixels")
        yield image


def header_of(path: Path, seen: Seen, skip_bad: bool) -> Header | None:
    """Look at an image's size and kind; None where it is broken and may be."""
    with warnings_as("ignore"):  # which Pillow has for its developers
        try:
            with _opened(path) as image:
                width, height = image.size[::-1] if _orientation(image) >= 5 else image.size
                grey = image.mode in GREY or image.mode.startswith(DEEP) or _has_grey_palette(image)
                return Header((height, width), not grey, image.mode.startswith(DEEP))
        except UNREADABLE as error:
            _leave_out(path, error, seen, skip_bad)
            return None


def _has_grey_palette(image: Image.Image) -> bool:
    if image.mode != "P" or image.palette is None or image.palette.mode != "RGB":
        return False
    shades = np.frombuffer(image.palette.tobytes(), np.uint8)
    return not len(shades) % 3 and bool((shades.reshape(-1, 3) == shades[::3, None]).all())


def pixels_of(
    path: Path, target: tuple[int, int], fit: Fit, in_color: bool, seen: Seen, skip: bool
) -> np.ndarray | None:
    """Read an image as uint8, or float32 in [0, 1] where it has more than 8 bits; None where it is broken and may be.

    (height, width), or (3, height, width) in colour.
    """
    with warnings_as("ignore"):
        try:
            with _opened(path) as image:
                pixels = _upright(path, image, target, seen)
                values = _values(path, pixels, target, fit, in_color, seen)
        except UNREADABLE as error:
            _leave_out(path, error, seen, skip)
            return None
    return np.moveaxis(values, 2, 0) if values.ndim == 3 else np.stack([values] * 3) if in_color else values


def _leave_out(path: Path, error: Exception, seen: Seen, skip_bad: bool) -> None:
    reason = str(error).partition("\n")[0].replace(repr(str(path)), "").strip() or type(error).__name__
    if not skip_bad:
        raise InputError(
            f"cannot read the image {path}: {reason}; skip_bad=True (--skip-bad) leaves out what cannot be read"
        ) from error
    seen.bad[path] = reason


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except UNREADABLE:  # an EXIF that is broken, of an image that is not
        return 1
    return orientation if orientation in TURNS else 1


def _upright(path: Path, image: Image.Image, target: tuple[int, int], seen: Seen) -> Image.Image:
    """Read the first frame of an image, turned as its EXIF says; a JPEG not much larger than it is needed."""
    orientation = _orientation(image)
    if getattr(image, "is_animated", False) and image.format != "MPO":  # whose second frame is a preview
        seen.moving.append(path)
    if min(image.size) > 4 * max(target):
        image.draft(image.mode, (2 * max(target), 2 * max(target)))  # twice, so that what is resampled here decides
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def _values(
    path: Path, image: Image.Image, target: tuple[int, int], fit: Fit, in_color: bool, seen: Seen
) -> np.ndarray:
    if image.mode.startswith(DEEP):
        seen.deep[path] = image.mode
        unit = Image.fromarray(_in_unit_interval(np.asarray(image)))
        return np.clip(np.asarray(_resized(unit, target, fit)), 0, 1)  # what is resampled may reach beyond
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        if layered.getchannel("A").getextrema() != (255, 255):
            seen.clear.append(path)
        image = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
    return np.asarray(_resized(image.convert("RGB" if in_color else "L"), target, fit))


def _in_unit_interval(values: np.ndarray) -> np.ndarray:
    """Bring pixels of more than 8 bits to float32 in [0, 1] by what white is in their format.

    What it is must not hang on the image: two of one folder, or of today and of the training, are to be on one scale.
    """
    if values.dtype.kind == "f":
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
            raise InputError("its pixels are floats beyond [0, 1]; bring them there, or save the array as .npy")
        return np.asarray(values, dtype=np.float32)
    if values.min() < 0 or values.max() > WHITE_OF_16_BITS:
        raise InputError("it has more than 16 bits a pixel; convert it to 16 bits, or save the array as .npy")
    return (values / WHITE_OF_16_BITS).astype(np.float32)


def _resized(image: Image.Image, target: tuple[int, int], fit: Fit) -> Image.Image:
    """Bring an image to (height, width), its aspect kept: the middle of it, or all of it with black beside."""
    if image.size == target[::-1]:
        return image
    if fit == "pad":
        return ImageOps.pad(image, target[::-1], Image.Resampling.LANCZOS, color=0)
    return ImageOps.fit(image, target[::-1], Image.Resampling.LANCZOS)
