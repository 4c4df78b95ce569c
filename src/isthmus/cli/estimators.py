"""The estimator that `isthmus train` is asked for."""

from sklearn.base import BaseEstimator

from isthmus import models, networks
from isthmus.cli.options import MODELS, NETWORKS
from isthmus.cli.parsing import check_choice, parse_kinds, parse_settings, parse_whole
from isthmus.errors import InputError
from isthmus.saving.attributes import JsonObject

WIDTHS = {"mlp": "hidden", "conv": "channels", "lstm": "hidden", "transformer": "width"}
"""What the widths of a network's layers are called."""

PARAMETERS = {"components": "n_components", "epochs": "max_epochs", "batch_size": "batch_size", "lr": "lr"}
"""Options, and the parameters that they are."""


def estimator_asked(asked: JsonObject, **of_the_machine: object) -> BaseEstimator:
    """Return the estimator that a run is asked for."""
    check_choice("model", asked["model"], MODELS)
    family = getattr(models, MODELS[asked["model"]])
    params = parameters(asked)
    params |= _network(family, asked["network"], hidden=asked["hidden"], channels=asked["channels"])
    params |= _columns(family, asked)
    if asked["scale"] is not None:
        params["scale"] = None if asked["scale"] == "none" else asked["scale"]
    params |= parse_settings(asked["settings"])
    return family(random_state=asked["seed"], **of_the_machine).set_params(**params)


def parameters(asked: JsonObject) -> dict[str, object]:
    """Return the parameters that all models have, as far as they are asked for."""
    return {name: asked[option] for option, name in PARAMETERS.items() if asked[option] is not None}


def _network(family: type[BaseEstimator], name: str | None, **widths: str | None) -> dict[str, object]:
    """Return the parameters that choose a network and the widths of its layers."""
    if name is not None:
        check_choice("network", name, NETWORKS)
    kind = name or next(key for key, each in NETWORKS.items() if each == family.default_network.__name__)
    params: dict[str, object] = {} if name is None else {"network": getattr(networks, NETWORKS[name])()}
    for option, text in widths.items():
        if text is not None and option != WIDTHS[kind]:
            other = f"give --{WIDTHS[kind]}" if WIDTHS[kind] in widths else f"give --set network__{WIDTHS[kind]}=64"
            raise InputError(f"--{option} {text}: the network {kind} has no {option}; {other}")
        if text is not None:
            numbers = parse_whole(f"--{option}", text)
            params[f"network__{option}"] = numbers[0] if kind == "lstm" and len(numbers) == 1 else numbers
    return params


def _columns(family: type[BaseEstimator], asked: JsonObject) -> dict[str, object]:
    """Return the parameters that say what the columns of a table are; models of numbers alone have none."""
    kinds = parse_kinds(asked["kinds"])
    if family is not models.TabularAutoencoder:
        if kinds:
            name, kind = next(iter(kinds.items()))
            raise InputError(f"--kind {name}={kind}: columns have kinds in a tabular model; train --model tabular")
        return {}
    asked_for = {"kinds": kinds or None, "drop": asked["drop"], "na_values": asked["na"]}
    return {name: value for name, value in asked_for.items() if value is not None}
