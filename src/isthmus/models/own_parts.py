"""Parts of a person's own: whether they are what they must be, and how a model gets its copy of them."""

import copy
import inspect
import numbers
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from isthmus.core.batch import Batch
from isthmus.core.bottlenecks import BOTTLENECKS
from isthmus.core.bottlenecks.base import Bottleneck, Prior
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.corruption import Noise
from isthmus.core.likelihoods import LIKELIHOODS
from isthmus.core.likelihoods.base import Likelihood
from isthmus.core.model import Model
from isthmus.core.penalties import PENALTIES
from isthmus.core.penalties.base import Penalty
from isthmus.errors import InputError, InputTypeError, shown
from isthmus.formats.checks import check_choice, check_number
from isthmus.randomness import building

Part = TypeVar("Part", Likelihood, Bottleneck)

GivenLikelihood = str | Likelihood | type[Likelihood]
GivenBottleneck = str | Bottleneck | type[Bottleneck] | None
GivenPenalties = Mapping[str, float | tuple[Penalty, float]] | None

TAKEN = ("loss", "mse", "revival", "kl", "kl_sparsity", "l1", "contractive", "weight_decay", "free_bits")
"""Names of a record that a penalty of one's own must not take, beside those of reconstruction."""


def name_of(part: object) -> str:
    """Return what a part is called in messages: its name, or that of an object's class."""
    return part if isinstance(part, str) else str(getattr(part, "__name__", type(part).__name__))


def likelihood_of(given: GivenLikelihood, sigma: float | None) -> Likelihood:
    """Return the likelihood for a model: of that name or class with that σ, or a copy of one's own."""
    if isinstance(given, Likelihood):
        return copy.deepcopy(given)
    return (LIKELIHOODS[given] if isinstance(given, str) else given).build(sigma)


def declared_likelihood(given: GivenLikelihood) -> Likelihood | type[Likelihood]:
    """Return what says what a likelihood is: its support, whether it takes a σ.

    Of what is none, which :func:`check_likelihood` tells of before a fit, it is what likelihoods say by default: a
    fitted model is used as it is, whatever its parameters are set to since.
    """
    is_one = isinstance(given, Likelihood) or (isinstance(given, type) and issubclass(given, Likelihood))
    return given if is_one else LIKELIHOODS.get(str(given), Likelihood)  # type: ignore[return-value]


def bottleneck_of(given: GivenBottleneck, otherwise: Bottleneck) -> Bottleneck:
    """Return the bottleneck for a model: of that name or class, a copy of one's own, or else another."""
    if given is None:
        return otherwise
    kind = BOTTLENECKS[given] if isinstance(given, str) else given
    return kind() if isinstance(kind, type) else copy.deepcopy(kind)


def has_prior(given: GivenBottleneck, *, otherwise: bool) -> bool:
    """Tell whether what is given for a bottleneck has a prior; of None it is what is so `otherwise`.

    What is no bottleneck, which :func:`check_bottleneck` tells of before a fit, has none.
    """
    if given is None:
        return otherwise
    kind = BOTTLENECKS.get(given) if isinstance(given, str) else given
    if isinstance(kind, type) and issubclass(kind, Bottleneck) and not isinstance(kind.prior, Prior):
        try:  # its constructor may give it one
            with building(torch.Generator()):
                kind = kind()
        except (TypeError, RuntimeError):
            return False
    return isinstance(getattr(kind, "prior", None), Prior)


def penalties_of(given: GivenPenalties) -> dict[str, tuple[Penalty, float]]:
    """Return each penalty and its weight: one's own, or of a weight alone that of the name."""
    each = (given or {}).items()
    pairs = {name: pair if isinstance(pair, tuple | list) else (PENALTIES[name], pair) for name, pair in each}
    return {name: (penalty, float(weight)) for name, (penalty, weight) in pairs.items()}


def check_likelihood(given: GivenLikelihood, sigma: float | None) -> None:
    """Raise ValueError or TypeError for what is neither the name of a likelihood nor one that can be built."""
    found = _check_part("likelihood", given, Likelihood, LIKELIHOODS, lambda: likelihood_of(given, sigma))  # type: ignore[type-abstract]
    said, several = f"likelihood={name_of(given)}", found.n_params
    for each in several if isinstance(several, tuple) else (several,):
        _check_n_params(said, each, several)
    support = found.support
    if not isinstance(support, tuple | list) or len(support) != 2 or not all(map(_is_real, support)):
        raise InputTypeError(f"{said} has support={shown(repr(support))}: give (lowest, highest), such as (0, 1)")
    if not support[0] < support[1]:
        raise InputError(f"{said} has support={shown(repr(support))}: give the lowest first, then the highest")


def check_bottleneck(given: GivenBottleneck, *, sparsity: str | None, needs_prior: bool) -> None:
    """Raise ValueError or TypeError for what is no bottleneck, or none for this code."""
    if given is None:
        return
    found = _check_part("bottleneck", given, Bottleneck, BOTTLENECKS, lambda: bottleneck_of(given, Deterministic()))  # type: ignore[type-abstract]
    if sparsity == "topk":
        raise InputError(
            "sparsity='topk' is a bottleneck itself, SparseAutoencoder's by default: give sparsity=None beside "
            f"bottleneck={name_of(given)}, or take another family"
        )
    if needs_prior and found.prior is None:
        raise InputError(f"bottleneck={name_of(given)} has no prior, which a variational code needs: give it one")
    if found.prior is not None and sparsity == "kl":
        raise InputError(
            f"sparsity='kl' needs a code in (0, 1), and that of bottleneck={name_of(given)} is drawn from a normal: "
            "give 'l1' or None"
        )
    if not isinstance(found.prior, Prior | None):
        raise InputTypeError(
            f"bottleneck={name_of(given)} has prior={shown(repr(found.prior))}: give an isthmus.parts.Prior"
        )
    said = f"bottleneck={name_of(given)}"
    _check_n_params(said, found.n_params, found.n_params)
    _check_learns(said, found, Bottleneck)
    _check_learns(f"{said} has prior={name_of(found.prior)}, which", found.prior, Prior)


def _check_n_params(said: str, each: object, given: object) -> None:
    if not isinstance(each, numbers.Integral) or isinstance(each, bool) or each < 1:
        raise InputTypeError(f"{said} has n_params={shown(repr(given))}: give a whole number, 1 or more")


def _is_real(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _check_learns(said: str, part: object, kind: type) -> None:
    """Raise TypeError where a part that is no Module holds what is to be learnt: it would be neither trained nor saved.

    A bottleneck's prior is, by the model.
    """
    learnt = [name for name, value in _held(part).items() if _is_learnt(value) and not isinstance(value, Prior)]
    if not isinstance(part, nn.Module) and learnt:
        raise InputTypeError(
            f"{said} holds parameters in {learnt[0]!r}, which are not trained as it is no Module: make it one, "
            f"class {name_of(type(part))}(torch.nn.Module, {kind.__name__})"
        )


def _check_frozen(said: str, function: object) -> None:
    """Raise ValueError where a penalty or a corruption holds what is to be learnt: it would not be trained."""
    if any(map(_is_learnt, (function, *_held(function).values()))):
        raise InputError(
            f"{said} has parameters, which are not trained: freeze them, requires_grad_(False), or have a bottleneck "
            "or a likelihood hold them"
        )


def _held(part: object) -> dict[str, object]:
    """Return what an object holds: its attributes, and what a partial function or a method is of."""
    beside = {name: getattr(part, name, None) for name in ("func", "__self__")}
    return beside | getattr(part, "__dict__", {})


def _is_learnt(value: object) -> bool:
    if isinstance(value, nn.Module):
        return any(weight.requires_grad for weight in value.parameters())
    return isinstance(value, nn.Parameter) and value.requires_grad


def _check_part(name: str, given: object, kind: type[Part], names: Iterable[str], build: Callable[[], Part]) -> Part:
    if isinstance(given, str):
        check_choice(name, given, names)
    elif not isinstance(given, kind) and not (isinstance(given, type) and issubclass(given, kind)):
        known = ", ".join(map(repr, names))
        raise InputTypeError(f"{name}={shown(repr(given))}: give an isthmus.parts.{kind.__name__}, or one of {known}")
    try:
        with building(torch.Generator()):  # what its constructor draws is no other's
            return build()
    except (TypeError, RuntimeError) as error:
        raise InputTypeError(f"{name}={name_of(given)} cannot be built: {' '.join(str(error).split())}") from error


def check_corruption(given: object, names: Iterable[str | None]) -> None:
    """Raise ValueError for what is neither the name of a corruption nor a function."""
    if not callable(given):
        check_choice("corruption", given, names)
    _check_frozen(f"corruption={name_of(given)}", given)


def check_penalties(given: GivenPenalties, parameters: Collection[str]) -> None:
    """Raise ValueError or TypeError for what is no dict of functions and their weights, or weights of named ones.

    Parameters
    ----------
    given : dict or None
    parameters : collection of str
        The penalties that other parameters have given a weight.
    """
    if given is None:
        return
    if not isinstance(given, Mapping):
        raise InputTypeError(f"penalties={shown(repr(given))}: give a dict, such as {{'name': (function, weight)}}")
    for name, each in given.items():
        if isinstance(each, numbers.Real) and not isinstance(each, bool):
            check_choice("penalty", name, PENALTIES)
            check_number(f"penalties[{name!r}]", each, min_val=0)
            if name in parameters:
                raise InputError(f"penalties[{name!r}]={each!r}: its weight is given by a parameter too, give it once")
            continue
        if not isinstance(each, tuple | list) or len(each) != 2 or not callable(each[0]):
            raise InputTypeError(
                f"penalties[{name!r}]={shown(repr(each))}: give (function of a Forward, weight), or a weight alone "
                f"for one of {', '.join(map(repr, PENALTIES))}"
            )
        _check_frozen(f"penalties[{name!r}]={name_of(each[0])}", each[0])
        check_number(f"penalties[{name!r}]'s weight", each[1], min_val=0)
        if not isinstance(name, str) or not name.isidentifier():
            raise InputError(f"penalties has the name {name!r}: give one of letters, digits and _")
        if name in TAKEN or name.startswith(("reconstruction", "prediction")):
            raise InputError(f"penalties has the name {name!r}, which is that of another term: give another name")


def check_optimizer(given: object) -> None:
    """Raise TypeError for what is neither a class of optimisers nor a function."""
    if given is not None and (not callable(given) or isinstance(given, Optimizer)):
        raise InputTypeError(
            f"optimizer={shown(repr(given))}: give a class of torch.optim, such as torch.optim.SGD, or a function of "
            "the parameters that returns an optimizer"
        )


def check_corrupted(model: Model, two: Batch, corruption: Callable[..., object]) -> None:
    """Raise ValueError or TypeError where a corruption of one's own cannot be called, or gives other than such rows."""
    called = f"corruption={name_of(corruption)}, called as function(x, generator=generator),"
    try:
        shown_x = model.corrupt(two, torch.Generator(two.x.device).manual_seed(0)).x
    except TypeError as error:
        raise InputTypeError(f"{called} raises TypeError: {' '.join(str(error).split())}") from error
    if isinstance(shown_x, Tensor) and shown_x.isnan().any():
        raise InputError(f"{called} gives NaN where x has none: give numbers; 'masking' and 'block' hide entries")
    if not isinstance(shown_x, Tensor) or (shown_x.shape, shown_x.dtype) != (two.x.shape, two.x.dtype):
        gave = f"{getattr(shown_x, 'dtype', type(shown_x).__name__)} of shape {tuple(getattr(shown_x, 'shape', ()))}"
        raise InputError(f"{called} gives {gave}: give rows as they are in x, {two.x.dtype} of {tuple(two.x.shape)}")


def corrupt_cells(
    x: Tensor, generator: torch.Generator | None = None, *, corruption: Noise, sizes: Sequence[int]
) -> Tensor:
    """Corrupt rows of a table, whose last columns are categories of these `sizes`, by a function of one's own.

    Raises
    ------
    ValueError
        If it makes of a category what is none.
    """
    cells = corruption(x, generator=generator)
    if sizes and isinstance(cells, Tensor) and cells.shape == x.shape:
        categories = cells[:, -len(sizes) :]
        is_one = (categories == categories.floor()) & (categories >= -1) & (categories < torch.tensor(sizes).to(x))
        if not (is_one | categories.isnan()).all():
            raise InputError(
                f"corruption={name_of(corruption)} gives what is no category: of the columns that it is given the last "
                f"{len(sizes)} are categories by their numbers, to be left as they are, or taken from other rows"
            )
    return cells


def takes_estimator(callback: Callable[..., object]) -> bool:
    """Tell whether a callback wants the estimator beside the record: a second argument that has no default."""
    try:
        parameters = inspect.signature(callback).parameters.values()
    except (ValueError, TypeError):  # some builtins tell nothing of themselves
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(each.kind in positional and each.default is each.empty for each in parameters) > 1
