"""What parts of a person's own give, tried on two rows before the training: one line names the part where it is wrong.

What their code itself raises is left as it is.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from isthmus.core.batch import Batch
from isthmus.core.bottlenecks.base import Bottleneck, Code
from isthmus.core.likelihoods.base import Distribution, Fit, Likelihood
from isthmus.core.model import Model
from isthmus.errors import InputError, InputTypeError, shown
from isthmus.models.own_parts import TAKEN, check_corrupted, name_of
from isthmus.models.params import Parameters
from isthmus.randomness import DrawingFrom, is_own


def has_own_code(part: Bottleneck | Likelihood) -> bool:
    """Tell whether a part, one in it, or its prior is a person's own."""
    inside = part.modules() if isinstance(part, nn.Module) else (part,)
    prior = getattr(part, "prior", None)
    return any(map(is_own, inside)) or (prior is not None and is_own(prior))


def check_encoded(bottleneck: Bottleneck, h: Tensor, n_components: int) -> None:
    """Raise ValueError where the encoder does not give what a bottleneck of one's own is to be given."""
    if is_own(bottleneck) and h.shape[1:] != (bottleneck.n_params * n_components,):
        raise InputError(
            f"the encoder gives {tuple(h.shape[1:])} numbers a row, but n_components={n_components} and "
            f"bottleneck={name_of(bottleneck)} take ({bottleneck.n_params * n_components},)"
        )


def check_code(bottleneck: Bottleneck, code: object, rows: int, n_components: int) -> None:
    """Raise ValueError or TypeError where a bottleneck of one's own gives no Code, or one of another width."""
    if not is_own(bottleneck):
        return
    said = f"bottleneck={name_of(bottleneck)}"
    if not isinstance(code, Code):
        raise InputTypeError(f"{said} gives {_kind(code)}: return an isthmus.parts.Code(z, mean, terms)")
    if not isinstance(code.terms, dict):
        raise InputTypeError(f"{said} gives a Code with terms={shown(repr(code.terms))}: give a dict, such as {{}}")
    for name in ("z", "mean", "log_variance", "h"):
        value = getattr(code, name)
        if value is None and name in ("log_variance", "h"):
            continue
        if not isinstance(value, Tensor) or value.shape != (rows, n_components):
            raise InputError(
                f"{said} gives a Code whose {name} is {_kind(value)}: give a tensor of shape ({rows}, {n_components}) "
                f"for {rows} rows, by n_components"
            )
    if bottleneck.prior is not None and code.log_variance is None:
        raise InputError(f"{said} has a prior: its Code needs log_variance")


@contextmanager
def distributions_checked(likelihood: Likelihood) -> Iterator[None]:
    """Have each likelihood of one's own, alone or in another, looked at when it returns a distribution."""
    own = [each for each in likelihood.modules() if isinstance(each, Likelihood) and is_own(each)]
    hooks = [each.register_forward_hook(_check_distribution) for each in own]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _check_distribution(likelihood: nn.Module, _: object, distribution: object) -> None:
    lacking = [name for name in ("mean", "fit", "log_density") if not hasattr(distribution, name)]
    said = f"likelihood={name_of(likelihood)}"
    if lacking:
        raise InputTypeError(
            f"{said} gives {_kind(distribution)} without {' and '.join(lacking)}: return a distribution of rows, with "
            "mean, fit(x, observed) and log_density(x)"
        )
    mean = distribution.mean  # type: ignore[attr-defined]
    if not isinstance(mean, Tensor):
        raise InputTypeError(f"{said} gives a distribution whose mean is {_kind(mean)}: make it a tensor")


def check_mean(likelihood: Likelihood, decoded: Tensor, mean: Tensor, x: Tensor) -> None:
    """Raise ValueError where a likelihood of one's own makes other than rows of what the decoder rightly gives."""
    takes = (len(x), likelihood.width(x.shape[1]), *x.shape[2:])
    if is_own(likelihood) and decoded.shape == takes and mean.shape != x.shape:
        raise InputError(
            f"likelihood={name_of(likelihood)} gives a mean of shape {tuple(mean.shape)} for parameters of shape "
            f"{takes}: give rows, of shape {tuple(x.shape)}"
        )


def check_own(model: Model, two: Batch, estimator: Parameters) -> None:
    """Raise ValueError or TypeError where what parameters of an estimator bring gives no rows, or no terms.

    The model is put into evaluation mode; nothing is drawn from what the run draws from.
    """
    model.eval()
    with torch.no_grad(), DrawingFrom(torch.Generator(two.x.device)):
        if callable(estimator.corruption):
            check_corrupted(model, two, estimator.corruption)
        if estimator.penalties or estimator.bottleneck is not None or not isinstance(estimator.likelihood, str):
            _check_terms(model, two)


def _check_terms(model: Model, two: Batch) -> None:
    """Raise ValueError or TypeError where parts give terms by another's name, or that are none."""
    code = model.encode(two, torch.Generator(two.x.device).manual_seed(0))
    distribution = model.decode(code.z, two.context)
    fit = distribution.fit(two.x, two.observed)
    if is_own(model.likelihood):
        _check_fit(f"likelihood={name_of(model.likelihood)}", distribution, fit, two)
    _check_names(model, fit, code)
    bottleneck = f"bottleneck={name_of(model.bottleneck)}"
    for name, term in code.terms.items():
        _check_term(bottleneck, name, term, two.n_rows)
    terms = model(two, generator=torch.Generator(two.x.device).manual_seed(0)).terms
    for name in model.penalties:
        _check_term("penalties", name, terms[name], two.n_rows)


def _check_fit(said: str, distribution: Distribution, fit: object, rows: Batch) -> None:
    """Raise ValueError or TypeError where a fit is none, or lacks the reconstruction."""
    if not isinstance(fit, Fit) or not isinstance(fit.parts, dict):
        raise InputTypeError(f"{said}'s fit gives {_kind(fit)}: return an isthmus.parts.Fit(parts, squared_error)")
    if not any(str(name).startswith("reconstruction") for name in fit.parts):
        raise InputError(f"{said} gives no term 'reconstruction': give log p(x | z) of each row by that name")
    for name, term in fit.parts.items():
        _check_term(said, name, term, rows.n_rows, of_batch=False)
    _check_term(f"{said}'s Fit", "squared_error", fit.squared_error, rows.n_rows, of_batch=False)
    density = distribution.log_density(rows.x)
    if not isinstance(density, Tensor) or density.shape != rows.x.shape:
        raise InputError(
            f"{said}'s log_density gives {_kind(density)}: give one value an entry, of shape {tuple(rows.x.shape)}"
        )


def _check_names(model: Model, fit: Fit, code: Code) -> None:
    """Raise ValueError where a term has the name of another, which it would take the place of."""
    bottleneck, measures = model.bottleneck, model.bottleneck.measures
    if is_own(model.likelihood):
        _check_free(f"likelihood={name_of(model.likelihood)} gives the term", fit.parts, TAKEN)
    if is_own(bottleneck):
        said = f"bottleneck={name_of(bottleneck)} gives the"
        taken = {*TAKEN, *fit.parts} - ({"kl"} if bottleneck.prior is not None else set())
        taken |= {name for name in (*code.terms, *measures) if str(name).startswith(("reconstruction", "prediction"))}
        _check_free(f"{said} term", code.terms, taken)
        _check_free(f"{said} measure", measures, {*taken, *code.terms})
    _check_free("penalties has the name", model.penalties, {*fit.parts, *code.terms, *measures})


def _check_free(said: str, names: Iterable[str], taken: Iterable[str]) -> None:
    for name in names:
        if not isinstance(name, str) or not name.isidentifier():
            raise InputError(f"{said} {name!r}: give a name of letters, digits and _")
        if name in taken:
            raise InputError(f"{said} {name!r}, which is that of another term: give another name")


def _check_term(said: str, name: str, term: object, rows: int, *, of_batch: bool = True) -> None:
    """Raise ValueError or TypeError for what is no tensor of real numbers, or of another shape than a term's."""
    shapes = f"one value a row, of shape ({rows},) for these {rows}" + (", or one, of shape ()" if of_batch else "")
    if not isinstance(term, Tensor) or not term.is_floating_point():
        raise InputTypeError(f"{said}: the term {name!r} is {_kind(term)}: give a tensor of floats, {shapes}")
    if term.shape != (rows,) and not (of_batch and term.ndim == 0):
        raise InputError(f"{said}: the term {name!r} is of shape {tuple(term.shape)}: give {shapes}")


def _kind(value: object) -> str:
    """Return what a value is, in words."""
    if isinstance(value, Tensor):
        return f"a tensor of {str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
    if value is None or isinstance(value, bool | int | float | complex | str):
        return shown(repr(value))
    return f"an object of type {type(value).__name__}"
