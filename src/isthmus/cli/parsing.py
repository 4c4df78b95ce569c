"""From the text of options to what they mean."""

import ast
from collections.abc import Collection, Sequence

import numpy as np

from isthmus.cli.options import MOST
from isthmus.errors import InputError, shown
from isthmus.sources.images import check_size

CONSTANTS = {"true": "True", "false": "False", "none": "None"}


def check_choice(kind: str, name: str, choices: Collection[str]) -> None:
    """Raise InputError for what is none of some names."""
    if name not in choices:
        raise InputError(f"unknown {kind} {shown(name)!r}: give one of {', '.join(choices)}")


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Read pixels, such as 32, or 32,48, as (height, width)."""
    if text is None:
        return None
    pixels = parse_whole("--size", text)
    if len(pixels) not in (1, 2):
        raise InputError(f"--size {text}: give pixels as one whole number, or as height,width")
    return check_size(pixels if len(pixels) == 2 else pixels[0])


def parse_kinds(texts: Sequence[str] | None) -> dict[str, str]:
    """Read COLUMN=KIND pairs."""
    kinds: dict[str, str] = {}
    for text in texts or ():
        name, equals, kind = text.rpartition("=")
        if not equals or not name or not kind:
            raise InputError(f"--kind {text}: give COLUMN=KIND, such as zip=category")
        if name in kinds:
            raise InputError(f"--kind {text}: {name} has a kind already, {kinds[name]}; give one a column")
        kinds[name] = kind
    return kinds


def parse_rows(option: str, text: str, n: int) -> np.ndarray:
    """Read row numbers, such as 0,5,9, of data with `n` rows."""
    rows = _whole(option, text)
    if not rows:
        raise InputError(f"{option} {text!r} names no row: give numbers with commas, such as 0,5,9")
    for row in rows:
        if not 0 <= row < n:
            raise InputError(f"{option} {shown(text)}: there is no row {shown(row)}, the last of {n} is {n - 1}")
    return np.array(rows, dtype=int)


def parse_whole(option: str, text: str) -> tuple[int, ...]:
    """Read whole numbers with commas between, such as 128,64."""
    numbers = _whole(option, text)
    for number in numbers:
        if abs(number) > MOST:
            raise InputError(f"{option} {shown(text)}: {shown(number)} is too large; the largest is {MOST:,}")
    return numbers


def _whole(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in text.split(",") if number.strip())
    except ValueError as error:
        raise InputError(f"{option} {shown(text)}: give whole numbers with commas, such as 128,64") from error


def parse_settings(settings: list[str] | None) -> dict[str, object]:
    """Read NAME=VALUE pairs; a value that is no Python literal is text."""
    parsed = {}
    for setting in settings or ():
        name, equals, value = setting.partition("=")
        if not equals:
            raise InputError(f"--set {shown(setting)}: give NAME=VALUE")
        try:
            parsed[name] = ast.literal_eval(CONSTANTS.get(value.lower(), value))
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):  # the latter where it is nested
            parsed[name] = value
    return parsed
