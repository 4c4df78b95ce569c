"""What a multimodal autoencoder has for each modality: its network, its likelihood, and parameters by its name."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sklearn.base import clone

from isthmus.core.likelihoods import LIKELIHOODS, build_likelihood
from isthmus.core.likelihoods.categorical import CategoricalLikelihood
from isthmus.core.likelihoods.product import Block
from isthmus.errors import InputError, InputTypeError
from isthmus.formats.checks import check_choice, check_number
from isthmus.formats.modalities import Modality, listed
from isthmus.models.params import NO_BOUNDS
from isthmus.networks import Conv
from isthmus.networks.multimodal import Modality as NetworkModality
from isthmus.networks.parameters import Network

KINDS = (*LIKELIHOODS, "categorical")

Networks = Mapping[str, Network] | None


def term_of(name: str) -> str:
    """Return what a modality's term is called."""
    return f"reconstruction_{name}"


def block_of(modality: Modality, kind: str, sigma: float | None) -> Block:
    """Return the likelihood of a modality, and its place."""
    n_classes = len(modality.classes or ())
    likelihood = CategoricalLikelihood.of_sizes((n_classes,)) if n_classes else build_likelihood(kind, sigma)
    return Block(term_of(modality.name), likelihood, modality.size)


def network_of(modality: Modality, kind: str, network: Network) -> NetworkModality:
    """Return what the networks need to know of a modality, of that likelihood."""
    if isinstance(network, Conv):
        network = replace(network, refine=False)  # no modality starts at its own PCA
    has_activation = modality.classes is not None or LIKELIHOODS[kind].support != NO_BOUNDS
    if has_activation and getattr(network, "output_activation", None) is not None:
        raise InputError(
            f"modality {modality.name!r} is {kind}, which has its activation in itself: give it a network with "
            "output_activation=None"
        )
    return NetworkModality(network, modality.shape, len(modality.classes or ()))


def check_by_name(blocks: object, networks: Networks, likelihoods: Mapping[str, str] | None, weights: object) -> None:
    """Raise ValueError or TypeError for what is no dict by the modalities' names, or not of what it should be."""
    for parameter, value in {"blocks": blocks, "networks": networks, "likelihoods": likelihoods}.items():
        if value is not None and not isinstance(value, Mapping):
            raise InputTypeError(f"{parameter}={value!r}: give a dict by the modalities' names, or None")
    for name, network in (networks or {}).items():
        if not hasattr(network, "build"):
            raise InputTypeError(
                f"networks[{name!r}]={network!r}: give MLP(...), Conv(...), Modules(...) or leave it out"
            )
    for name, kind in (likelihoods or {}).items():
        check_choice(f"likelihoods[{name!r}]", kind, KINDS)
    if not isinstance(weights, Mapping):
        check_choice("block_weights", weights, ("balanced",))
    else:
        for name, weight in weights.items():
            check_number(f"block_weights[{name!r}]", weight, min_val=0)


def params_of(networks: Networks) -> dict[str, object]:
    """Return the networks and their parameters, as ``networks__upper`` and ``networks__upper__hidden``."""
    params: dict[str, object] = {}
    for name, network in networks.items() if isinstance(networks, Mapping) else ():
        own = network.get_params() if hasattr(network, "get_params") else {}
        params |= {f"networks__{name}": network} | {f"networks__{name}__{key}": own[key] for key in own}
    return params


def with_param(networks: Networks, parameter: str, value: Any) -> dict[str, Network]:
    """Return networks of which one, or a parameter of it, is another: another estimator may have the same ones."""
    name, networks = parameter.removeprefix("networks__"), dict(networks or {})
    owner = next((owner for owner in networks if name == owner or name.startswith(f"{owner}__")), None)
    if owner is None:
        raise InputError(f"{parameter}={value!r}: networks names {listed(networks) or 'none'}; give it there first")
    key = name.removeprefix(owner).removeprefix("__")
    return networks | {owner: clone(networks[owner]).set_params(**{key: value}) if key else value}
