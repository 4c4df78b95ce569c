"""Estimators → (config, weights): what is saved of them."""

import json
from collections.abc import Mapping
from pathlib import Path

from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from torch import Tensor

from isthmus.errors import InputError
from isthmus.models.building import plan
from isthmus.models.own import family_of, path_of
from isthmus.models.packed import pack
from isthmus.models.plain import BROUGHT, OF_THE_WEIGHTS, check_saved, code_in, plain, plain_params, warn_of_unsaved
from isthmus.saving import persistence
from isthmus.saving.attributes import JsonObject, check_attributes
from isthmus.saving.untrusted import WRONG, one_line


def save_estimator(estimator: BaseEstimator, folder: str | Path) -> None:
    """Write a fitted estimator to a folder, once it is sure that it can be read again."""
    autoencoder = _thawed(getattr(estimator, "autoencoder_", estimator))
    check_saved(autoencoder, OF_THE_WEIGHTS)
    config, tensors = _config(estimator), _weights(estimator)
    network = getattr(autoencoder, "networks", None) or autoencoder.network
    written, beside = _packed(config)
    persistence.check_readable(written, {**tensors, **beside})
    content = json.loads(json.dumps(config))
    classes = [type(estimator), type(autoencoder)]
    try:
        families = {family_of(kind).__name__: family_of(kind) for kind in classes}
        code = [each for name in BROUGHT for each in code_in(getattr(autoencoder, name, None))]
        described = {name: tensor.to("meta") for name, tensor in tensors.items()}
        plan(content, described, network, [*classes, *code], families)
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
    warn_of_unsaved(autoencoder)


def _packed(config: JsonObject) -> tuple[JsonObject, dict[str, Tensor]]:
    """Return a config as it is written, and its lists that are then beside the weights: a long one's."""
    return pack(config) if json.dumps(config).count(",") > persistence.LONG else (config, {})


def check_keepable(estimator: BaseEstimator, tensors: Mapping[str, Tensor]) -> None:
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
        check_attributes(estimator.declared(), fitted)
    except InputError as error:
        raise InputError(f"the model could not be saved: {one_line(error)}") from error
    written, beside = _packed(config | {"fitted": fitted})
    persistence.check_readable(written, {**tensors, **beside})


def _weights(estimator: BaseEstimator) -> dict[str, Tensor]:
    """Return the weights by name; those of several autoencoders by their number before it."""
    autoencoders = getattr(estimator, "autoencoders_", [estimator])
    if len(autoencoders) == 1:
        return dict(autoencoders[0].module_.state_dict())
    return {
        f"{i}.{name}": tensor
        for i, autoencoder in enumerate(autoencoders)
        for name, tensor in autoencoder.module_.state_dict().items()
    }


def _thawed(estimator: BaseEstimator) -> BaseEstimator:
    """Return the estimator in a FrozenEstimator, which is fitted as it is."""
    return estimator.estimator if isinstance(estimator, FrozenEstimator) else estimator


def _config(estimator: BaseEstimator) -> JsonObject:
    """Describe an estimator by names and numbers."""
    estimator = _thawed(estimator)
    if hasattr(estimator, "autoencoders_"):
        configs = [_config(autoencoder) for autoencoder in estimator.autoencoders_]
        params = {name: plain(value) for name, value in estimator.get_params(deep=False).items()}
        del params["autoencoder"]  # the fitted one stands beside
        return _class(estimator) | {
            "params": params | {"contamination": float(estimator.contamination)},
            **({"autoencoder": configs[0]} if len(configs) == 1 else {"autoencoders": configs}),
            "fitted": _fitted(estimator),
        }
    return _class(estimator) | {"params": plain_params(estimator), "fitted": _fitted(estimator)}


def _fitted(estimator: BaseEstimator) -> JsonObject:
    """Return the fitted attributes, as JSON can hold them."""
    there = {name: each for name, each in estimator.declared().items() if hasattr(estimator, name)}
    return {name: each.to_json(getattr(estimator, name)) for name, each in there.items()}


def _class(estimator: BaseEstimator) -> dict[str, str]:
    """Name a class; of a user's own also its import path, and the class of isthmus that it is a subclass of."""
    kind = type(estimator)
    family = family_of(kind)
    own = {} if family is kind else {"path": path_of(kind), "family": family.__name__}
    return {"class": kind.__name__} | own
