"""An estimator from its config and its weights, both of which may be a stranger's."""

from collections.abc import Mapping
from typing import Any

import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from isthmus.errors import InputError
from isthmus.models.own import Named, find
from isthmus.models.packed import unpack
from isthmus.models.plain import NOT_SAVED, OF_THE_WEIGHTS, check_plain, saved_params, value_of
from isthmus.networks.parameters import Network
from isthmus.saving import persistence
from isthmus.saving.attributes import JsonObject, check_attributes
from isthmus.saving.untrusted import AtMost

Families = Mapping[str, type[BaseEstimator]]
"""Classes of isthmus, by their names."""

Networks = Network | Mapping[str, Network] | None
"""A person's own network, or those of modalities, for weights to be put into; None: what the config describes."""


def unpacked(whole: JsonObject, tensors: dict[str, Tensor]) -> tuple[JsonObject, dict[str, Tensor]]:
    """Return a model's config whole, and its weights, of whatever version the file is."""
    if whole["version"] == persistence.LONG_VERSION:
        return unpack(whole["model"], tensors)
    return whole["model"], _with_scores(whole["version"], tensors)


def plan(
    config: JsonObject, described: dict[str, Tensor], network: Networks, trusted: Named, families: Families
) -> None:
    """Build what a config describes on the "meta" device, where it takes no memory, and hold it against the weights."""
    with torch.device("meta"), AtMost(len(described)):
        build(config, described, network, trusted, families)


def _with_scores(version: int, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add to the weights that version 2 wrote what it did not know: what entries usually cost; NaN, not learnt."""
    if version > 2:
        return tensors
    fill = tensors["fill"]
    lacking = {"usual": fill, "rare": fill, "unknown": fill.new_empty(())}
    return tensors | {name: torch.full_like(each, torch.nan) for name, each in lacking.items()}


def build(
    config: JsonObject, tensors: dict[str, Tensor], network: Networks, trusted: Named, families: Families
) -> BaseEstimator:
    """Build the estimator that a config describes, of one of the families, and put the weights into it."""
    if "autoencoder" not in config and "autoencoders" not in config:
        return _autoencoder_of(config, tensors, network, trusted, families)
    family = _family(config, families)
    params, is_own = dict(config["params"]), "path" in config
    if not hasattr(family, "adopt") or (not is_own and set(params) != {"contamination", "random_state"}):
        raise InputError(f"{config['class']!r} has no autoencoder")
    kind = find(config["path"], family, trusted) if is_own else family
    check_plain(params)
    values = {name: value_of(value, len(tensors), trusted) for name, value in params.items()}
    detector = kind(**{"autoencoder": None} | saved_params(values))
    set_fitted(detector, config["fitted"])
    if "autoencoder" in config:
        return detector.adopt([_autoencoder_of(config["autoencoder"], tensors, network, trusted, families)])
    parts = [part_of(tensors, f"{i}.") for i in range(len(config["autoencoders"]))]
    if sum(map(len, parts)) != len(tensors):
        raise InputError("it has weights that are none of its autoencoders'")
    pairs = zip(config["autoencoders"], parts, strict=True)
    return detector.adopt([_autoencoder_of(each, part, network, trusted, families) for each, part in pairs])


def _family(config: JsonObject, families: Families) -> type[BaseEstimator]:
    """Return the class of isthmus that a config is of, or is of a subclass of."""
    name: Any = config.get("family", config["class"]) if "path" in config else config["class"]
    if name not in families:
        raise InputError(f"it holds a {name!r}, and this isthmus has none")
    return families[name]


def part_of(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the weights of one of several autoencoders."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _autoencoder_of(
    config: JsonObject, tensors: dict[str, Tensor], network: Networks, trusted: Named, families: Families
) -> BaseEstimator:
    family = _family(config, families)
    if not hasattr(family, "restore"):
        raise InputError(f"it holds a {config['class']!r}, and this isthmus has none")
    kind = find(config["path"], family, trusted) if "path" in config else family
    check_plain(config["params"])
    params = {name: value_of(value, len(tensors), trusted) for name, value in config["params"].items()}
    if network is not None:
        params["networks" if isinstance(network, dict) else "network"] = network
    if NOT_SAVED in (params.get("network"), params.get("networks")):
        raise InputError("its weights are for a network of your own: give it again, load(folder, network=...)")
    lost = [name for name in OF_THE_WEIGHTS if params.get(name) == NOT_SAVED]
    if lost:
        raise InputError(f"its weights are for a {lost[0]} that was not saved")
    quiet = {"verbose": 0} if "verbose" in params else {}  # who trained it wanted a progress bar
    estimator = kind(**saved_params(params) | quiet)
    estimator.check_parameters()
    set_fitted(estimator, config["fitted"])
    estimator.check_fitted()
    return estimator.restore(tensors)


def set_fitted(estimator: BaseEstimator, fitted: JsonObject) -> None:
    """Set the attributes that JSON held, checked, as a file may be a stranger's."""
    declared = estimator.declared()
    check_attributes(declared, fitted)
    for name, value in fitted.items():
        setattr(estimator, name, declared[name].from_json(value))
