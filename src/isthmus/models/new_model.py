"""A model that is new: how wide its default network is, and whether it fits its rows."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

from isthmus.core.batch import Batch
from isthmus.core.bottlenecks.base import Bottleneck
from isthmus.core.likelihoods.base import Likelihood
from isthmus.core.model import Model
from isthmus.errors import InputError
from isthmus.models.own_checks import check_code, check_encoded, check_mean, distributions_checked, has_own_code
from isthmus.randomness import building


def default_hidden(rows: int, width: int) -> tuple[int, int]:
    """Return the widths of the default network's hidden layers: 512 and 256, or fewer where rows are few and wide.

    The first layer has a million weights at the most, or a quarter as many as there are numbers in the data.
    """
    first = max(16, min(512, max(1_000_000 // width, rows // 4)))
    return first, min(256, -(-first // 2))


def with_weights(build: Callable[[], Model], weights: Mapping[str, Tensor], like: Tensor) -> Model:
    """Build a model, on the device and in the dtype of a tensor, around weights that there are."""
    with building(torch.Generator()):
        model = build()
    model = model.to(like)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            "n_components, network, bottleneck, likelihood or sigma is not what it was at the last fit: set "
            "warm_start=False to begin anew"
        ) from error
    return model


def check_build(model: Model, rows: Batch, n_components: int, *, in_unit_interval: bool) -> None:
    """Send rows through, so that a network that does not fit the data is found before the training.

    Parameters
    ----------
    model : Model
        It is put into evaluation mode.
    rows : Batch
        A few rows.
    n_components : int
        Units that the code is to have.
    in_unit_interval : bool
        Whether these are to be in (0, 1).

    Raises
    ------
    ValueError
        If the network cannot take the rows, or gives codes or rows of another shape.
    """
    model.eval()
    with torch.no_grad():
        code = _code(model, rows, n_components)
        if code.shape != (rows.n_rows, n_components):
            raise InputError(
                f"the encoder gives codes of shape {tuple(code.shape[1:])}, but n_components={n_components}"
            )
        if in_unit_interval and (code.min() < 0 or code.max() > 1):
            raise InputError("sparsity='kl' needs a code in (0, 1): end the encoder with a sigmoid")
        shape = _decoded(model, code, rows).shape
    if shape != rows.x.shape:
        raise InputError(f"the decoder gives rows of shape {tuple(shape[1:])}, but X has {tuple(rows.x.shape[1:])}")


def _code(model: Model, rows: Batch, n_components: int) -> Tensor:
    """Return the mean of the code of rows, of parts of one's own checked."""
    with _torch_errors_in_one_line():
        h = model.encoded(rows)
    check_encoded(model.bottleneck, h, n_components)
    with _errors_of(model.bottleneck):
        code = model.bottleneck(h)
    check_code(model.bottleneck, code, rows.n_rows, n_components)
    return code.mean


def _decoded(model: Model, code: Tensor, rows: Batch) -> Tensor:
    """Return the mean of what a code is decoded to, of parts of one's own checked."""
    with _torch_errors_in_one_line():
        decoded = model.decoded(code, rows.context)
    with _errors_of(model.likelihood), distributions_checked(model.likelihood):
        mean = model.likelihood(decoded).mean
    check_mean(model.likelihood, decoded, mean, rows.x)
    return mean


def _errors_of(part: Bottleneck | Likelihood) -> AbstractContextManager[None]:
    """Say in one line what torch raises in a part; what a person's own code raises is left as it is."""
    return nullcontext() if has_own_code(part) else _torch_errors_in_one_line()


@contextmanager
def _torch_errors_in_one_line() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"the network cannot take rows of this shape: {reason}") from error
