"""Options that mean nothing for the DATA that they are given with, and those of how much of it is read."""

from collections.abc import Sequence
from pathlib import Path

from isthmus.errors import InputError
from isthmus.sources import bounds, catalogue
from isthmus.sources.endings import DELIMITED, ending, is_sharded


def refuse_without_meaning(
    data: str,
    *,
    size: str | None = None,
    fit: str = "crop",
    skip_bad: bool = False,
    kinds: Sequence[str] | None = None,
    drop: Sequence[str] | None = None,
    na: Sequence[str] | None = None,
    max_pixels: int | None = None,
) -> None:
    """Raise ValueError for what is of images beside other data, and for what is of columns beside what has none."""
    shards = data not in catalogue.names() and is_sharded(Path(data))
    is_folder = data not in catalogue.names() and Path(data).is_dir() and not shards
    is_there = data in catalogue.names() or Path(data).exists()  # of what is not, the reader says so
    of_images: dict[str, object] = {
        "--size": size,
        "--fit": None if fit == "crop" else fit,
        "--skip-bad": skip_bad or None,
    }
    of_images["--max-pixels"] = max_pixels
    of_columns = {"--kind": kinds, "--drop": drop, "--na": na}
    has_columns = ending(Path(data)) in (*DELIMITED, ".parquet") or shards
    is_table = not is_folder and data not in catalogue.names() and has_columns
    for option, given in of_images.items():
        if given is not None and is_there and not is_folder:
            shown = "" if given is True else f" {given}"
            raise InputError(f"{option}{shown}: it is for a folder of images, and {data} is none; leave it out")
    for option, several in of_columns.items():
        if several and is_there and not is_table:
            raise InputError(
                f"{option} {several[0]}: it is for the columns of a table, and {data} is none; leave it out"
            )


def allow(data: str | None, max_gb: float | None, max_pixels: int | None) -> None:
    """Let what is read take as much memory, and images have as many pixels, as is asked for."""
    if data is not None:
        refuse_without_meaning(data, max_pixels=max_pixels)
    bounds.allow(gb=max_gb, pixels=max_pixels)
