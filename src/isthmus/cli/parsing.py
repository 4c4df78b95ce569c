"""From the text of options to what they mean."""

import ast
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from isthmus import models
from isthmus.cli.options import MOST
from isthmus.errors import InputError, shown
from isthmus.formats.conditions import Condition, read_classes
from isthmus.networks import LSTM, MLP, Conv, Transformer

CONSTANTS = {"true": "True", "false": "False", "none": "None"}

MODELS = {
    "plain": models.Autoencoder,
    "denoising": models.DenoisingAutoencoder,
    "sparse": models.SparseAutoencoder,
    "contractive": models.ContractiveAutoencoder,
    "variational": models.VariationalAutoencoder,
    "conditional": models.ConditionalVariationalAutoencoder,
    "sequence": models.SequenceAutoencoder,
    "tabular": models.TabularAutoencoder,
}

NETWORKS = {"mlp": MLP, "conv": Conv, "lstm": LSTM, "transformer": Transformer}

WIDTHS = {"mlp": "hidden", "conv": "channels", "lstm": "hidden", "transformer": "width"}
"""What the widths of a network's layers are called."""


def choice(kind: str, name: str, choices: dict[str, Any]) -> Any:
    """Return what goes by a name."""
    if name not in choices:
        raise InputError(f"unknown {kind} {shown(name)!r}: give one of {', '.join(choices)}")
    return choices[name]


def parse_network(family: type[Any], name: str | None, **widths: str | None) -> dict[str, Any]:
    """Return the parameters that choose a network and the widths of its layers."""
    network = family.default_network if name is None else choice("network", name, NETWORKS)
    kind = name or next(key for key, each in NETWORKS.items() if each is network)
    params: dict[str, Any] = {} if name is None else {"network": network()}
    for option, text in widths.items():
        if text is not None and option != WIDTHS[kind]:
            other = f"give --{WIDTHS[kind]}" if WIDTHS[kind] in widths else f"give --set network__{WIDTHS[kind]}=64"
            raise InputError(f"--{option} {text}: the network {kind} has no {option}; {other}")
        if text is not None:
            numbers = parse_whole(f"--{option}", text)
            params[f"network__{option}"] = numbers[0] if kind == "lstm" and len(numbers) == 1 else numbers
    return params


def parse_columns(family: type[Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that say what the columns of a table are; models of numbers alone have none."""
    kinds = parse_kinds(asked["kinds"])
    if family is not models.TabularAutoencoder:
        if kinds:
            name, kind = next(iter(kinds.items()))
            raise InputError(f"--kind {name}={kind}: columns have kinds in a tabular model; train --model tabular")
        return {}
    asked_for = {"kinds": kinds or None, "drop": asked["drop"], "na_values": asked["na"]}
    return {name: value for name, value in asked_for.items() if value is not None}


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


def parse_condition(estimator: Any, text: str | None, n: int) -> Any:
    """Read a condition as a class of the model's, or its numbers, or several of either; without one classes take turns.

    Of several conditions, with commas between, one of which nothing stands is unknown.
    """
    classes = getattr(estimator, "classes_", None)
    if text is None:
        return None if classes is None else np.resize(classes, n)
    if not estimator.takes_conditions:
        raise InputError(f"--condition {text}: the model knows no conditions; train --model conditional")
    known = estimator.known_conditions()
    parts = [text] if len(known) == 1 and known[0].classes is not None else [part.strip() for part in text.split(",")]
    if len(parts) != len(known):
        raise InputError(f"--condition {text}: the model was trained with {len(known)} a row; give as many")
    values = [_as_value(part, each, text) for part, each in zip(parts, known, strict=True)]
    return values if len(values) > 1 else values[0]


def _as_value(part: str, condition: Condition, text: str) -> Any:
    """Read one condition."""
    if not part:
        return None
    if condition.classes is not None:
        place = int(read_classes(np.array([part], dtype=object), condition.classes)[0])
        names = {str(name): name for name in condition.classes}
        return condition.classes[place] if place >= 0 else choice("condition", part, names)
    try:
        number = float(part)
    except ValueError as error:
        raise InputError(f"--condition {shown(text)}: give numbers with commas, such as 1.5") from error
    if not math.isfinite(number):
        raise InputError(f"--condition {shown(text)}: {part} is no number that there can be; leave it blank if unknown")
    return number


def parse_settings(settings: list[str] | None) -> dict[str, Any]:
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
