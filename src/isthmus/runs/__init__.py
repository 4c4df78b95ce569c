"""A run: its folder, what was asked for, its model and the rows that this is shown."""

from isthmus.runs.folder import (
    FILES,
    HOW,
    RUN,
    WHERE,
    abandon,
    begin,
    beside,
    check_data,
    check_free,
    check_there,
    described,
    finish,
    is_finished,
    is_kept,
    is_noted,
    kept_in,
    model_checksum,
    read,
    read_if_noted,
    take_place,
)  # fmt: skip
from isthmus.runs.on_disk import why_on_disk
from isthmus.runs.run import Framing, Run, count_rows, framing_asked, has_images, take_rows, used_on

__all__ = [
    "FILES", "HOW", "RUN", "WHERE", "Framing", "Run", "abandon", "begin", "beside", "check_data", "check_free",
    "check_there", "count_rows", "described", "finish", "framing_asked", "has_images", "is_finished", "is_kept",
    "is_noted", "kept_in", "model_checksum", "read", "read_if_noted", "take_place", "take_rows", "used_on",
    "why_on_disk",
]  # fmt: skip
