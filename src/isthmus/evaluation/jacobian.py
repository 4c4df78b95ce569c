"""How much a code moves with its input."""

import numpy as np
import torch

from isthmus.core.batch import Batch
from isthmus.core.model import Model
from isthmus.core.penalties.contractive import exact_squared_jacobian


def mean_jacobian_norm(model: Model, rows: np.ndarray, context: np.ndarray | None = None) -> float:
    """Return the mean of ‖∂h/∂x‖_F over rows, by the exact Jacobian, in units of the code for one of the rows.

    Parameters
    ----------
    model : Model
        A fitted estimator's ``module_``.
    rows : ndarray of shape (n, ...)
        A few hundred rows are enough.
    context : ndarray of shape (n, n_context), optional
        What a conditional model is told beside.
    """
    weight = next(model.parameters())
    # 16 rows at a time: the Jacobian of a batch holds rows × units × features numbers.
    told = [rows] if context is None else [rows, context]
    tensors = [torch.tensor(part, dtype=weight.dtype, device=weight.device) for part in told]
    with torch.no_grad():
        batches = zip(*(tensor.split(16) for tensor in tensors), strict=True)
        norms = [exact_squared_jacobian(model.encode, Batch(*batch)).sqrt() for batch in batches]
    return float(torch.cat(norms).mean())
