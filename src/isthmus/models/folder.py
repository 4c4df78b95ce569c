"""Estimators ↔ (config, weights): what is in a saved model, and how it becomes an estimator again."""

import json
import numbers
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from isthmus import networks, persistence
from isthmus.data.modalities import Modality
from isthmus.data.schema import Schema

if TYPE_CHECKING:
    from isthmus.models.base import AbstractAutoencoder
    from isthmus.models.outlier import OutlierDetector

NOT_SAVED = "not saved"
FITTED = (
    "n_features_in_",
    "row_shape_",
    "history_",
    "start_",
    "interrupted_",
    "active_units_",
    "flat_",
    "framed_",
    "block_weights_",
)
FITTED_ARRAYS = ("feature_names_in_", "classes_", "y_mean_", "y_scale_", "mean_", "scale_")


def save_estimator(estimator: "AbstractAutoencoder | OutlierDetector", folder: str | Path) -> None:
    """Write a fitted estimator to a folder, once it is sure that it can be read again."""
    autoencoder = _autoencoder(estimator)
    config, tensors = _config(estimator), autoencoder.module_.state_dict()
    own = getattr(autoencoder, "networks", None) or autoencoder.network
    try:
        _estimator(json.loads(json.dumps(config)), tensors, own, Path(folder))
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            "the parameters are not those of the last fit, and the model could not be loaded: fit it again"
        ) from error
    persistence.write(folder, config, tensors)


def load(folder: str | Path, *, network: Any = None) -> Any:
    """Load a saved estimator; it computes the same numbers to the bit.

    Parameters
    ----------
    folder : path
        What ``save`` wrote.
    network : MLP, Modules, dict of these or None, default None
        For a model whose network is not described by names and numbers (your own modules, activations as modules):
        the same network again, for its weights to be put into; a dict where it was `networks` that was one.

    Returns
    -------
    estimator
        Fitted, on the CPU.

    Raises
    ------
    FileNotFoundError
        If `folder` is no model folder.
    ValueError
        If a file is truncated, altered or of another version, or `network` is needed and is not given, or does not fit.

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
    config, tensors = persistence.read(folder)
    try:
        return _estimator(config, tensors, network, Path(folder))
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{folder} does not describe a model that this isthmus can build: {reason}") from error


def _autoencoder(estimator: Any) -> Any:
    return getattr(estimator, "autoencoder_", estimator)


def _config(estimator: Any) -> dict[str, Any]:
    """Describe an estimator by names and numbers."""
    if hasattr(estimator, "autoencoder_"):
        return {
            "class": type(estimator).__name__,
            "params": {
                "contamination": float(estimator.contamination),
                "random_state": _plain(estimator.random_state),
            },
            "autoencoder": _config(estimator.autoencoder_),
            "fitted": {"offset_": estimator.offset_},
        }
    fitted = {name: getattr(estimator, name) for name in FITTED if hasattr(estimator, name)}
    fitted |= {name: getattr(estimator, name).tolist() for name in FITTED_ARRAYS if hasattr(estimator, name)}
    if hasattr(estimator, "schema_"):
        fitted["schema_"] = estimator.schema_.as_json()
    if hasattr(estimator, "modalities_"):
        fitted["modalities_"] = [asdict(modality) for modality in estimator.modalities_]
    return {"class": type(estimator).__name__, "params": plain_params(estimator), "fitted": fitted}


def plain_params(estimator: Any) -> dict[str, Any]:
    """Return the parameters as JSON can hold them, all but the callbacks."""
    return {name: _plain(value) for name, value in estimator.get_params(deep=False).items() if name != "callbacks"}


def _plain(value: Any) -> Any:
    """Return what JSON can hold of a parameter; ``"not saved"`` for what it cannot."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral | np.bool_):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        items = {name: _plain(item) for name, item in value.items()}
        return NOT_SAVED if NOT_SAVED in items.values() else {"class": "dict", "params": items}
    if type(value).__name__ in networks.__all__:
        params = {name: _plain(item) for name, item in value.get_params().items()}
        return NOT_SAVED if NOT_SAVED in params.values() else {"class": type(value).__name__, "params": params}
    return NOT_SAVED


def _estimator(config: Mapping[str, Any], tensors: Mapping[str, Tensor], network: Any, folder: Path) -> Any:
    """Build the estimator that a config describes and put the weights into it."""
    from isthmus import models

    if config["class"] not in models.__all__:
        raise ValueError(f"{folder} holds a {config['class']!r}, and this isthmus has none")
    cls = getattr(models, config["class"])
    params = {name: _value(value) for name, value in config["params"].items()}
    if params["random_state"] == NOT_SAVED:
        params["random_state"] = None
    if "autoencoder" in config:
        autoencoder = _estimator(config["autoencoder"], tensors, network, folder)
        detector = cls(autoencoder, **params)
        detector.offset_ = config["fitted"]["offset_"]
        return detector.adopt(autoencoder)
    if network is not None:
        params["networks" if isinstance(network, dict) else "network"] = network
    if NOT_SAVED in (params["network"], params.get("networks")):
        raise ValueError(f"{folder} holds weights for a network of your own: give it again, load(folder, network=...)")
    estimator = cls(**params)
    for name, value in config["fitted"].items():
        setattr(estimator, name, _fitted(name, value))
    return estimator.restore(tensors)


def _fitted(name: str, value: Any) -> Any:
    """Turn what JSON held into a fitted attribute again."""
    if name in FITTED_ARRAYS:
        return np.array(value, dtype=object if name == "feature_names_in_" else None)
    if name == "schema_":
        return Schema.from_json(value)
    if name == "modalities_":
        return tuple(Modality.from_json(fields) for fields in value)
    return tuple(value) if name == "row_shape_" else value


def _value(value: Any) -> Any:
    """Turn what JSON held into a parameter again."""
    if isinstance(value, list):
        return tuple(_value(item) for item in value)
    if isinstance(value, dict) and value["class"] == "dict":
        return {name: _value(item) for name, item in value["params"].items()}
    if isinstance(value, dict):
        if value["class"] not in networks.__all__:
            raise ValueError(f"there is no network {value['class']!r}")
        return getattr(networks, value["class"])(**{name: _value(item) for name, item in value["params"].items()})
    return value
