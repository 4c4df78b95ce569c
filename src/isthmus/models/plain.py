"""Parameters ↔ what JSON can hold of them."""

import math
import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from isthmus import networks
from isthmus.core.description import description_of
from isthmus.errors import InputError

NOT_SAVED = "not saved"


def plain_params(estimator: Any) -> dict[str, Any]:
    """Return the parameters as JSON can hold them, all but the callbacks."""
    return {name: plain(value) for name, value in estimator.get_params(deep=False).items() if name != "callbacks"}


def unsaved_params(estimator: Any) -> dict[str, dict[str, str]]:
    """Describe the parameters that JSON cannot hold, all but the callbacks, so that they can be told apart."""
    plain = plain_params(estimator)
    params = estimator.get_params(deep=False)
    return {name: description_of(params[name]) for name, value in plain.items() if _lacks(value)}


def _lacks(value: Any) -> bool:
    """Tell whether something in a plain parameter could not be kept."""
    return value == NOT_SAVED or (isinstance(value, list) and any(map(_lacks, value)))


def plain(value: Any) -> Any:
    """Return what JSON can hold of a parameter; ``"not saved"`` for what it cannot."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral | np.bool_):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, list | tuple | np.ndarray | pd.Index):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        items = {name: plain(item) for name, item in value.items()}
        return NOT_SAVED if NOT_SAVED in items.values() else {"class": "dict", "params": items}
    if type(value) is getattr(networks, type(value).__name__, None):
        params = {name: plain(item) for name, item in value.get_params().items()}
        return NOT_SAVED if NOT_SAVED in params.values() else {"class": type(value).__name__, "params": params}
    return NOT_SAVED


def saved_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what could not be saved: it is at its default again."""
    return {name: value for name, value in params.items() if value != NOT_SAVED}


def check_plain(params: Mapping[str, Any]) -> None:
    """Raise ValueError for parameters that are never saved, and for what no method checks before it needs it."""
    if "callbacks" in params:
        raise InputError("it has callbacks, which are never saved")
    kinds: dict[str, Any] = {"device": str, "verbose": int, "contamination": float, "random_state": int | None}
    for name, kind in kinds.items():
        value = params.get(name, NOT_SAVED)
        if not isinstance(value, kind) and value != NOT_SAVED:
            raise InputError(f"{name}={value!r} cannot be")


def value_of(value: Any, most: int) -> Any:
    """Turn what JSON held into a parameter again; `most` is how many layers a network may have."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"a parameter is {value}")
    if isinstance(value, list):
        return tuple(value_of(item, most) for item in value)
    if not isinstance(value, dict):
        return value
    params = {name: value_of(item, most) for name, item in value["params"].items()}
    if value["class"] == "dict":
        return params
    if value["class"] not in networks.NETWORKS or value["class"] == "Modules":
        raise InputError(f"there is no network {value['class']!r}")
    if any(isinstance(item, tuple) and len(item) > max(most, 3) for item in params.values()):
        raise InputError(f"its network has more layers than its weights, which are {most} tensors")
    if value["class"] == "Conv":
        # As all were before there was a choice.
        params = {"refine": False, "refine_normalization": params.get("normalization")} | params
    return getattr(networks, value["class"])(**params)
