"""Parameters ↔ what JSON can hold of them."""

import inspect
import math
import numbers
from collections.abc import Iterable, Mapping
from functools import cached_property, partial
from types import FunctionType

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from isthmus import networks
from isthmus.core.bottlenecks.base import Bottleneck, Prior
from isthmus.core.description import description_of
from isthmus.core.likelihoods.base import Likelihood
from isthmus.errors import InputError, shown, warn_caller
from isthmus.models.own import Definition, Named, find_part, path_of
from isthmus.randomness import building, is_own
from isthmus.saving.attributes import Json, JsonObject
from isthmus.saving.untrusted import WRONG

NOT_SAVED = "not saved"

OF_THE_WEIGHTS = ("likelihood", "bottleneck")
"""Parameters without which weights mean nothing."""

HOW_TO_BE_SAVED = (
    "define it in a module, not as a lambda or inside of a function, and keep its constructor's arguments unaltered, "
    "as attributes of the same names, and set none that they do not settle"
)

BROUGHT = (*OF_THE_WEIGHTS, "corruption", "penalties", "optimizer")
"""Parameters that may be code of a person's own."""


def plain_params(estimator: BaseEstimator) -> dict[str, Json]:
    """Return the parameters as JSON can hold them, all but the callbacks."""
    found = {name: plain(value) for name, value in estimator.get_params(deep=False).items() if name != "callbacks"}
    found |= _kept_penalties(estimator)
    return {name: NOT_SAVED if _is_own(value) and name not in BROUGHT else value for name, value in found.items()}


def _kept_penalties(estimator: BaseEstimator) -> dict[str, Json]:
    """Return the penalties without those that JSON cannot hold, where there are some of both."""
    penalties = getattr(estimator, "penalties", None)
    if not isinstance(penalties, Mapping):
        return {}
    kept = {name: each for name, each in penalties.items() if not _lacks(plain(each))}
    return {"penalties": plain(kept)} if 0 < len(kept) < len(penalties) else {}


def unsaved_params(estimator: BaseEstimator) -> dict[str, dict[str, str]]:
    """Describe the parameters that JSON cannot hold, all but the callbacks, so that they can be told apart."""
    plain = plain_params(estimator)
    params = estimator.get_params(deep=False)
    return {name: description_of(params[name]) for name, value in plain.items() if _lacks(value) or _is_own(value)}


def _lacks(value: Json) -> bool:
    """Tell whether something in a plain parameter could not be kept."""
    return value == NOT_SAVED or (isinstance(value, list) and any(map(_lacks, value)))


def _is_own(value: Json) -> bool:
    """Tell whether code of a person's own is part of a plain parameter."""
    if isinstance(value, list):
        return any(map(_is_own, value))
    return isinstance(value, dict) and (value["class"] == "own" or any(map(_is_own, value["params"].values())))


def plain(value: object) -> Json:
    """Return what JSON can hold of a parameter; ``"not saved"`` for what it cannot.

    Of functions, classes and objects of a person's own it is the import path, and of objects also the arguments of the
    constructor, which they keep as attributes of the same names.
    """
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
        return NOT_SAVED if any(map(_lacks, items.values())) else {"class": "dict", "params": items}
    if type(value) is getattr(networks, type(value).__name__, None):
        params = {name: plain(item) for name, item in value.get_params().items()}  # type: ignore[attr-defined]
        return NOT_SAVED if NOT_SAVED in params.values() else {"class": type(value).__name__, "params": params}
    return _plain_own(value)


def _plain_own(value: object) -> Json:
    """Return the import path of a function or class, or of an object's class, and its arguments."""
    if isinstance(value, type | FunctionType):
        return {"class": "own", "path": path_of(value)} if "<" not in path_of(value) else NOT_SAVED
    if isinstance(value, partial):
        kind, arguments = value.func, None if value.args else dict(value.keywords)
    else:
        kind, arguments = type(value), _arguments(value)
    if arguments is None or not isinstance(kind, type | FunctionType) or "<" in path_of(kind):
        return NOT_SAVED
    params = {name: plain(item) for name, item in arguments.items()}
    is_partial: dict[str, Json] = {"partial": True} if isinstance(value, partial) else {}
    saved: dict[str, Json] = {"class": "own", "path": path_of(kind), "params": params}
    return NOT_SAVED if any(map(_lacks, params.values())) else saved | is_partial


def _arguments(value: object) -> dict[str, object] | None:
    """Return what an object's class would be called with to build it again; None where it does not keep all of it."""
    # Of methods, and of functions that are not Python's, the class says nothing of what they do.
    called = inspect.getattr_static(type(value), "__call__", None)
    is_callable = isinstance(called, FunctionType) and not isinstance(value, nn.Module)
    if not isinstance(value, Likelihood | Bottleneck | Prior) and not is_callable:
        return None
    if type(value).__init__ in (nn.Module.__init__, object.__init__):  # it has none of its own
        return {} if _settle({}, value) else None
    try:
        parameters = inspect.signature(type(value)).parameters.values()
    except (ValueError, TypeError):
        return None
    wrong = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)
    if any(each.kind in wrong or not hasattr(value, each.name) for each in parameters):
        return None
    arguments = {each.name: getattr(value, each.name) for each in parameters}
    return arguments if _settle(arguments, value) else None


def _settle(arguments: Mapping[str, object], value: object) -> bool:
    """Tell whether an object that is built by these arguments has the same attributes as another of its class.

    What is private may be a cache, and what a Module has registered is among its weights.
    """
    if not is_own(value):
        return True
    try:
        with building(torch.Generator()):  # what its constructor draws is no other's
            again = type(value)(**arguments)
    except WRONG:
        return False
    return all(_written(getattr(again, name)) == _written(given) for name, given in arguments.items()) and (
        _attributes(again) == _attributes(value)
    )


def _attributes(value: object) -> dict[str, str]:
    """Return the public attributes of an object, written so that they can be compared."""
    kind, registry = type(value), vars(nn.Module())
    kept = {name: each for name, each in getattr(value, "__dict__", {}).items() if name not in registry}
    computed = {name for name in kept if isinstance(inspect.getattr_static(kind, name, None), cached_property)}
    return {name: _written(each) for name, each in kept.items() if not name.startswith("_") and name not in computed}


def _written(value: object) -> str:
    """Return what an attribute is, as far as it can be told."""
    if isinstance(value, Tensor):
        return repr((value.dtype, value.tolist()))
    return repr(plain(value))


def check_saved(estimator: BaseEstimator, names: Iterable[str]) -> None:
    """Raise ValueError where one of these parameters is code that has no import path, or keeps not all it is made of.

    Parameters
    ----------
    names : iterable of str
        Some of ``BROUGHT``.
    """
    for name in names:
        if plain(value := getattr(estimator, name, None)) == NOT_SAVED:
            raise InputError(f"{name}={shown(repr(value))} could not be saved: {HOW_TO_BE_SAVED}")


def warn_of_unsaved(estimator: BaseEstimator) -> None:
    """Warn of code that a model is saved without; one that is loaded would be trained further without it."""
    given = {name: getattr(estimator, name, None) for name in BROUGHT}
    for name, each in (given.pop("penalties") or {}).items():
        given[f"penalties[{name!r}]"] = each
    for name, value in given.items():
        if _lacks(plain(value)):
            warn_caller(f"{name}={shown(repr(value))} is not saved with the model: {HOW_TO_BE_SAVED}")


def code_in(value: object) -> list[Definition]:
    """Return the classes and functions that a parameter is made of, of a person's own or not."""
    if isinstance(value, Mapping | list | tuple):
        return [code for each in (value.values() if isinstance(value, Mapping) else value) for code in code_in(each)]
    if isinstance(value, type | FunctionType):
        return [value]
    if isinstance(value, partial):
        return [value.func, *code_in(value.keywords)]
    if value is None or isinstance(value, bool | str | numbers.Number):
        return []
    return [type(value), *code_in(_arguments(value) or {})]


def saved_params(params: Mapping[str, object]) -> JsonObject:
    """Leave out what could not be saved: it is at its default again."""
    return {name: value for name, value in params.items() if value != NOT_SAVED}


def check_plain(params: Mapping[str, object]) -> None:
    """Raise ValueError for parameters that are never saved, and for what no method checks before it needs it."""
    if "callbacks" in params:
        raise InputError("it has callbacks, which are never saved")
    kinds = {"device": str, "verbose": int, "contamination": float, "random_state": int | None}
    kinds |= {name: int for name in ("devices", "nodes") if name in params}  # older models have none
    for name, kind in kinds.items():
        value = params.get(name, NOT_SAVED)
        if not isinstance(value, kind) and value != NOT_SAVED:
            raise InputError(f"{name}={value!r} cannot be")


def value_of(value: object, most: int, trusted: Named = ()) -> object:
    """Turn what JSON held into a parameter again; `most` is how many layers a network may have."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"a parameter is {value}")
    if isinstance(value, list):
        return tuple(value_of(item, most, trusted) for item in value)
    if not isinstance(value, dict):
        return value
    params = {name: value_of(item, most, trusted) for name, item in value.get("params", {}).items()}
    if value["class"] == "own":
        found = find_part(value["path"], trusted)
        if "params" not in value:
            return found
        if value.get("partial") is True:
            return partial(found, **params)
        if not isinstance(found, type):  # what is saved as an object is called here, and a function would be run
            raise InputError(f"{value['path']} is no class, and was one when it was saved")
        return found(**params)
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
