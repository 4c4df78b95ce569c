"""How much memory what is read may take: files from others may hold far more than their size says."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from isthmus.errors import InputError

GB = 10**9
MOST_BYTES = 16 * GB
"""Where a quarter of this machine's memory is more, or is not known."""

MOST_PACKED, MOST_TIMES = GB, 100
"""What may be unpacked from a small file; from a larger one so many times its size: rows are seldom packed better."""

MOST_PIXELS = 100_000_000
"""Of one image: 10,000 × 10,000."""

_bytes: ContextVar[int | None] = ContextVar("most bytes", default=None)
_pixels: ContextVar[int] = ContextVar("most pixels", default=MOST_PIXELS)


def most_bytes() -> int:
    """Return how many bytes what is read may take: what was allowed, or a quarter of the memory, 16 GB at most."""
    allowed = _bytes.get()
    if allowed is not None:
        return allowed
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return MOST_BYTES
    return min(MOST_BYTES, memory // 4) if memory > 0 else MOST_BYTES


def most_pixels() -> int:
    """Return how many pixels an image may have."""
    return _pixels.get()


def allow(*, gb: float | None = None, pixels: int | None = None) -> None:
    """Raise, or lower, the bounds from now on; what is None stays as it is.

    Raises
    ------
    ValueError
        If they are not above 0.
    """
    _check("max_gb", gb)
    _check("max_pixels", pixels)
    if gb is not None:
        _bytes.set(round(min(gb, 1e9) * GB))
    if pixels is not None:
        _pixels.set(int(pixels))


@contextmanager
def allowed(*, gb: float | None = None, pixels: int | None = None) -> Iterator[None]:
    """Do as :func:`allow`, for the time of a block."""
    before = _bytes.get(), _pixels.get()
    allow(gb=gb, pixels=pixels)
    try:
        yield
    finally:
        _bytes.set(before[0])
        _pixels.set(before[1])


def forget() -> None:
    """Go back to what holds where nothing was allowed."""
    _bytes.set(None)
    _pixels.set(MOST_PIXELS)


def most_unpacked(packed: int) -> int:
    """Return how many bytes what is unpacked from so many may take: where none were asked for, seldom all that may."""
    most = most_bytes()
    return most if _bytes.get() is not None else min(most, max(MOST_PACKED, MOST_TIMES * packed))


def check_bytes(what: str, needed: int, otherwise: str = "", packed: int | None = None) -> None:
    """Raise ValueError where something takes more memory than it may; the message says how to allow it.

    `what` is the beginning of the message, such as "rows.npz takes"; `otherwise` is what else one can do, and `packed`
    how many bytes it takes in its file, where it is unpacked from that.
    """
    most = most_bytes() if packed is None else most_unpacked(packed)
    if needed > most:
        raise InputError(
            f"{what} {in_gb(needed)} of memory, more than the {in_gb(most)} that are allowed: {otherwise}"
            f"max_gb={_more(needed)} (--max-gb {_more(needed)}) allows it"
        )


def check_counted(what: str, so_far: int, packed: int) -> None:
    """Do as :func:`check_bytes` for what is counted as it goes, so that nobody knows how much it takes in all."""
    most = most_unpacked(packed)
    if so_far > most:
        raise InputError(
            f"{what} at least {in_gb(so_far)} of memory, more than the {in_gb(most)} that are allowed: if you trust "
            "it, give a larger max_gb (--max-gb)"
        )


def in_gb(size: int) -> str:
    """Say how many gigabytes a number of bytes is."""
    return f"{size / GB:.3g} GB"


def _more(size: int) -> str:
    return f"{1.05 * size / GB:.2g}" if size < 10 * GB else f"{1.05 * size / GB:.0f}"


def _check(name: str, value: float | None) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (is_number and 0 < value < float("inf")):
        raise InputError(f"{name}={value!r}: give a number above 0")
