"""`isthmus train --from RUN`: going on from a run's weights with new data."""

from collections.abc import Collection
from pathlib import Path

from sklearn.base import BaseEstimator

from isthmus import models, runs
from isthmus.cli.estimators import parameters
from isthmus.cli.options import MODELS
from isthmus.cli.parsing import parse_settings
from isthmus.errors import InputError
from isthmus.saving.attributes import JsonObject
from isthmus.sources import datasets

OF_TRAINING = (
    "batch_size", "beta", "beta_warm_up", "compile", "contraction_weight", "corruption", "corruption_level",
    "early_stopping",
    "free_bits", "label_dropout", "lr", "lr_schedule", "max_epochs", "max_grad_norm", "modality_dropout", "monitor",
    "on_nonfinite", "patience", "precision", "sparsity_target", "sparsity_weight", "validation_fraction", "verbose",
    "weight_decay",
)  # fmt: skip
"""Parameters that may be given anew: the weights mean the same whatever they are."""

OF_THE_RUN = (
    "model", "components", "network", "hidden", "channels", "window", "stride", "size", "fit", "kinds", "drop", "na",
    "scale",
)  # fmt: skip
"""Options that say what the run's model is and what its rows are."""


def option_name(name: str) -> str:
    """Return what a parameter of the command is called on the command line."""
    return {"data": "DATA", "settings": "--set", "source": "--from", "kinds": "--kind"}.get(
        name, f"--{name.replace('_', '-')}"
    )


def described_from(source: Path, asked: JsonObject, typed: Collection[str]) -> JsonObject:
    """Describe a run that goes on from another's weights: of its model and its rows all is as there."""
    estimator = _loaded(source)
    noted = runs.read_if_noted(source)
    kind = next(
        (name for name, family in MODELS.items() if family == type(estimator).__name__), type(estimator).__name__
    )
    as_there = noted | {"model": kind}
    same = {name: list(value) if isinstance(value, tuple) else value for name, value in asked.items()}  # as JSON has it
    given = [name for name in OF_THE_RUN if name in typed and same[name] != as_there.get(name)]
    if given:
        option = option_name(given[0])
        raise InputError(f"{option} beside --from: {source} says itself what model and rows are; leave it out")
    kept = {name: noted.get(name) for name in ("window", "stride", "features", "step", "size", "fit", "drop", "na")}
    kept |= {name: asked[name] or noted.get(name) for name in ("time", "group")}
    if asked["label"] is None and asked["data"] not in datasets.names() and not Path(asked["data"]).is_dir():
        kept["label"] = noted.get("label")
    _check_settings(estimator, parse_settings(asked["settings"]), source)
    nothing = dict.fromkeys(("components", "network", "hidden", "channels", "kinds", "scale"))
    skip_bad = asked["skip_bad"] or bool(noted.get("skip_bad"))
    return runs.described(**asked | nothing | kept | {"model": kind, "from": str(source), "skip_bad": skip_bad})


def estimator_from(asked: JsonObject, **of_the_machine: object) -> BaseEstimator:
    """Load the model that a run goes on from, ready to go on from its weights, with what is asked for of it."""
    source = Path(asked["from"])
    estimator = _loaded(source)
    if runs.model_checksum(source) != asked["from_sha256"]:
        raise InputError(f"{source} is not what the run was begun from: bring it back, or begin a new run")
    params = parameters(asked) | parse_settings(asked["settings"])
    return estimator.set_params(warm_start=True, random_state=asked["seed"], **of_the_machine).set_params(**params)


def _loaded(source: Path) -> BaseEstimator:
    estimator = models.load(source)
    if not hasattr(estimator, "partial_fit"):
        raise InputError(f"{source} holds an OutlierDetector: train cannot go on from it; give its autoencoder's run")
    return estimator


def _check_settings(estimator: BaseEstimator, settings: dict[str, object], source: Path) -> None:
    """Raise ValueError for a parameter that would make another model of it."""
    before = estimator.get_params()
    for name, value in settings.items():
        if name in before and name not in OF_TRAINING and before[name] != value:
            raise InputError(
                f"--set {name}={value}: it is {before[name]!r} in {source}, and its weights are of that; leave it out"
            )
