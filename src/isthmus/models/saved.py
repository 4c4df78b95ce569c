"""Estimators ↔ (config, weights): what is in a saved model, and how it becomes an estimator again."""

import json
import math
import numbers
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from sklearn.frozen import FrozenEstimator
from torch import Tensor

from isthmus import networks
from isthmus.core.description import description_of
from isthmus.errors import InputError
from isthmus.models.calibration import Calibration
from isthmus.models.fitted import FITTED, FITTED_ARRAYS, check_fitted, check_parts, from_json
from isthmus.models.own import Trusted, family_of, find, path_of
from isthmus.saving import persistence
from isthmus.saving.packed import pack, unpack
from isthmus.saving.untrusted import WRONG, AtMost, one_line

if TYPE_CHECKING:
    from isthmus.models.base import AbstractAutoencoder
    from isthmus.models.outlier import OutlierDetector

NOT_SAVED = "not saved"


def save_estimator(estimator: "AbstractAutoencoder | OutlierDetector", folder: str | Path) -> None:
    """Write a fitted estimator to a folder, once it is sure that it can be read again."""
    autoencoder: Any = _thawed(getattr(estimator, "autoencoder_", estimator))
    config, tensors = _config(estimator), _weights(estimator)
    network = getattr(autoencoder, "networks", None) or autoencoder.network
    written, beside = _packed(config)
    persistence.check_readable(written, {**tensors, **beside})
    content = json.loads(json.dumps(config))
    classes = [type(estimator), type(autoencoder)]
    try:
        _plan(content, {name: tensor.to("meta") for name, tensor in tensors.items()}, network, classes)
    except WRONG as error:
        theirs = next((kind.__name__ for kind in classes if family_of(kind) is not kind), None)
        if theirs is not None:
            raise InputError(
                f"{theirs} cannot be built again from its parameters and weights, and is not saved: {one_line(error)}"
            ) from error
        raise InputError(
            "the parameters are not those of the last fit, and the model could not be loaded: fit it again"
        ) from error
    persistence.write(folder, written, {**tensors, **beside})


def _packed(config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return a config as it is written, and its lists that are then beside the weights: a long one's."""
    return pack(config) if json.dumps(config).count(",") > persistence.LONG else (config, {})


def check_keepable(estimator: "AbstractAutoencoder", tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError, before it is trained, where what an estimator has learnt of its rows could not be saved.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        The weights that it will have; those on the "meta" device will do.
    """
    config = json.loads(json.dumps(_config(estimator)))
    fitted = config["fitted"] | {"history_": []}
    fitted.pop("best_epoch_", None)  # of the fit before, where this one goes on from it
    try:
        check_fitted(family_of(type(estimator)).__name__, fitted)
    except InputError as error:
        raise InputError(f"the model could not be saved: {one_line(error)}") from error
    written, beside = _packed(config | {"fitted": fitted})
    persistence.check_readable(written, {**tensors, **beside})


def load(folder: str | Path, *, network: Any = None, trusted: Trusted = ()) -> Any:
    """Load a saved estimator; it computes the same numbers to the bit.

    Parameters
    ----------
    folder : path
        What ``save`` wrote.
    network : MLP, Modules, dict of these or None, default None
        For a model whose network is not described by names and numbers (your own modules, activations as modules):
        the same network again, for its weights to be put into; a dict where it was `networks` that was one.
    trusted : class, str or sequence of these, default ()
        For a model whose class is a subclass of your own: the class, or its import path as text, such as
        ``"package.module:Mine"``, which is then imported. Nothing that a folder names is imported unless it is named
        here. A class of a script (``__main__``) or of a function has no import path: give the class itself.

    Returns
    -------
    estimator
        Fitted, on the CPU.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If `folder` is no model folder.
    ValueError
        If a file is truncated, altered or of another version, its parts do not fit together, or `network` or `trusted`
        is needed and is not given, or does not fit.

    Notes
    -----
    A folder may be a stranger's: nothing in it is run, and nothing is taken for granted because a checksum is right.
    The model is first built without memory and held against the names, shapes and dtypes of the weights in the file.

    Examples
    --------
    >>> import isthmus, tempfile
    >>> X, y = isthmus.datasets.load("digits")
    >>> autoencoder = isthmus.Autoencoder(max_epochs=1, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     autoencoder.save(folder)
    ...     again = isthmus.load(folder)
    >>> bool((again.transform(X) == autoencoder.transform(X)).all())
    True
    """
    folder = Path(folder)

    def plan(whole: Mapping[str, Any], described: dict[str, Tensor]) -> None:
        config, weights = _unpacked(whole, described)
        _plan(config, weights, network, trusted)

    try:
        whole, weights = persistence.read(folder, plan)
        return _estimator(*_unpacked(whole, weights), network, trusted)
    except WRONG as error:
        reason = one_line(error)
        if not reason.startswith(str(folder)):
            reason = f"{folder} does not describe a model that this isthmus can build: {reason}"
        raise InputError(reason) from error


def _unpacked(whole: Mapping[str, Any], tensors: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return a model's config whole, and its weights, of whatever version the file is."""
    if whole["version"] == persistence.LONG_VERSION:
        return unpack(whole["model"], tensors)
    return whole["model"], _with_scores(whole["version"], tensors)


def _plan(config: Mapping[str, Any], described: dict[str, Tensor], network: Any, trusted: Trusted) -> None:
    """Build what a config describes on the "meta" device, where it takes no memory, and hold it against the weights."""
    with torch.device("meta"), AtMost(len(described)):
        _estimator(config, described, network, trusted)


def _with_scores(version: int, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add to the weights that version 2 wrote what it did not know: what entries usually cost; NaN, not learnt."""
    if version > 2:
        return tensors
    fill = tensors["fill"]
    lacking = {"usual": fill, "rare": fill, "unknown": fill.new_empty(())}
    return tensors | {name: torch.full_like(each, torch.nan) for name, each in lacking.items()}


def _weights(estimator: Any) -> dict[str, Tensor]:
    """Return the weights by name; those of several autoencoders by their number before it."""
    autoencoders = getattr(estimator, "autoencoders_", [estimator])
    if len(autoencoders) == 1:
        return dict(autoencoders[0].module_.state_dict())
    return {
        f"{i}.{name}": tensor
        for i, autoencoder in enumerate(autoencoders)
        for name, tensor in autoencoder.module_.state_dict().items()
    }


def _thawed(estimator: Any) -> Any:
    """Return the estimator in a FrozenEstimator, which is fitted as it is."""
    return estimator.estimator if isinstance(estimator, FrozenEstimator) else estimator


def _config(estimator: Any) -> dict[str, Any]:
    """Describe an estimator by names and numbers."""
    estimator = _thawed(estimator)
    if hasattr(estimator, "autoencoders_"):
        configs = [_config(autoencoder) for autoencoder in estimator.autoencoders_]
        calibration = getattr(estimator, "calibration_", None)
        params = {name: _plain(value) for name, value in estimator.get_params(deep=False).items()}
        del params["autoencoder"]  # the fitted one stands beside
        return _class(estimator) | {
            "params": params | {"contamination": float(estimator.contamination)},
            **({"autoencoder": configs[0]} if len(configs) == 1 else {"autoencoders": configs}),
            "fitted": {"offset_": estimator.offset_}
            | ({} if calibration is None else {"calibration_": calibration.as_json()}),
        }
    fitted = {name: getattr(estimator, name) for name in FITTED if hasattr(estimator, name)}
    fitted |= {name: getattr(estimator, name).tolist() for name in FITTED_ARRAYS if hasattr(estimator, name)}
    if hasattr(estimator, "schema_"):
        fitted["schema_"] = estimator.schema_.as_json()
    if hasattr(estimator, "frame_"):
        fitted["frame_"] = estimator.frame_.as_json()
    for name in ("modalities_", "conditions_"):
        if hasattr(estimator, name):
            fitted[name] = [asdict(each) for each in getattr(estimator, name)]
    return _class(estimator) | {"params": plain_params(estimator), "fitted": fitted}


def _class(estimator: Any) -> dict[str, str]:
    """Name a class; of a user's own also its import path, and the class of isthmus that it is a subclass of."""
    kind = type(estimator)
    family = family_of(kind)
    own = {} if family is kind else {"path": path_of(kind), "family": family.__name__}
    return {"class": kind.__name__} | own


def _family(config: Mapping[str, Any]) -> Any:
    """Return the class of isthmus that a config is of, or is of a subclass of."""
    from isthmus import models

    name = config.get("family", config["class"]) if "path" in config else config["class"]
    if name not in models.__all__ or not isinstance(getattr(models, name), type):
        raise InputError(f"it holds a {name!r}, and this isthmus has none")
    return getattr(models, name)


def plain_params(estimator: Any) -> dict[str, Any]:
    """Return the parameters as JSON can hold them, all but the callbacks."""
    return {name: _plain(value) for name, value in estimator.get_params(deep=False).items() if name != "callbacks"}


def unsaved_params(estimator: Any) -> dict[str, dict[str, str]]:
    """Describe the parameters that JSON cannot hold, all but the callbacks, so that they can be told apart."""
    plain = plain_params(estimator)
    params = estimator.get_params(deep=False)
    return {name: description_of(params[name]) for name, value in plain.items() if _lacks(value)}


def _lacks(value: Any) -> bool:
    """Tell whether something in a plain parameter could not be kept."""
    return value == NOT_SAVED or (isinstance(value, list) and any(map(_lacks, value)))


def _plain(value: Any) -> Any:
    """Return what JSON can hold of a parameter; ``"not saved"`` for what it cannot."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral | np.bool_):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, list | tuple | np.ndarray | pd.Index):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        items = {name: _plain(item) for name, item in value.items()}
        return NOT_SAVED if NOT_SAVED in items.values() else {"class": "dict", "params": items}
    if type(value) is getattr(networks, type(value).__name__, None):
        params = {name: _plain(item) for name, item in value.get_params().items()}
        return NOT_SAVED if NOT_SAVED in params.values() else {"class": type(value).__name__, "params": params}
    return NOT_SAVED


def _estimator(config: Mapping[str, Any], tensors: dict[str, Tensor], network: Any, trusted: Trusted) -> Any:
    """Build the estimator that a config describes and put the weights into it."""
    from isthmus.models.outlier import OutlierDetector

    if "autoencoder" not in config and "autoencoders" not in config:
        return _autoencoder_of(config, tensors, network, trusted)
    params, is_own = dict(config["params"]), "path" in config
    if _family(config) is not OutlierDetector or (not is_own and set(params) != {"contamination", "random_state"}):
        raise InputError(f"{config['class']!r} has no autoencoder")
    kind: Any = find(config["path"], OutlierDetector, trusted) if is_own else OutlierDetector
    check_plain(params)
    values = {name: value_of(value, len(tensors)) for name, value in params.items()}
    detector = kind(**{"autoencoder": None} | _saved(values))
    check_fitted("OutlierDetector", config["fitted"])
    detector.offset_ = config["fitted"]["offset_"]
    if "calibration_" in config["fitted"]:
        detector.calibration_ = Calibration.from_json(config["fitted"]["calibration_"])
    if "autoencoder" in config:
        return detector.adopt([_autoencoder_of(config["autoencoder"], tensors, network, trusted)])
    parts = [_part(tensors, f"{i}.") for i in range(len(config["autoencoders"]))]
    if sum(map(len, parts)) != len(tensors):
        raise InputError("it has weights that are none of its autoencoders'")
    pairs = zip(config["autoencoders"], parts, strict=True)
    return detector.adopt([_autoencoder_of(each, part, network, trusted) for each, part in pairs])


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the weights of one of several autoencoders."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _autoencoder_of(config: Mapping[str, Any], tensors: dict[str, Tensor], network: Any, trusted: Trusted) -> Any:
    family = _family(config)
    if not hasattr(family, "restore"):
        raise InputError(f"it holds a {config['class']!r}, and this isthmus has none")
    kind: Any = find(config["path"], family, trusted) if "path" in config else family
    check_plain(config["params"])
    params = {name: value_of(value, len(tensors)) for name, value in config["params"].items()}
    if network is not None:
        params["networks" if isinstance(network, dict) else "network"] = network
    if NOT_SAVED in (params.get("network"), params.get("networks")):
        raise InputError("its weights are for a network of your own: give it again, load(folder, network=...)")
    quiet = {"verbose": 0} if "verbose" in params else {}  # who trained it wanted a progress bar
    estimator = kind(**_saved(params) | quiet)
    check_fitted(family.__name__, config["fitted"])
    for name, value in config["fitted"].items():
        setattr(estimator, name, from_json(name, value))
    check_parts(estimator)
    return estimator.restore(tensors)


def _saved(params: Mapping[str, Any]) -> dict[str, Any]:
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
    if value["class"] not in networks.__all__ or value["class"] == "Modules":
        raise InputError(f"there is no network {value['class']!r}")
    if any(isinstance(item, tuple) and len(item) > max(most, 3) for item in params.values()):
        raise InputError(f"its network has more layers than its weights, which are {most} tensors")
    if value["class"] == "Conv":
        # As all were before there was a choice.
        params = {"refine": False, "refine_normalization": params.get("normalization")} | params
    return getattr(networks, value["class"])(**params)
