"""How much a code moves with its input."""

import numpy as np
import torch

from isthmus.core.model import Model
from isthmus.core.penalty import exact_squared_jacobian


def mean_jacobian_norm(model: Model, rows: np.ndarray) -> float:
    """Return the mean of ‖∂h/∂x‖_F over rows, by the exact Jacobian, in units of the code for one of the rows.

    Parameters
    ----------
    model : Model
        A fitted estimator's ``module_``.
    rows : ndarray of shape (n, ...)
        A few hundred rows are enough.
    """
    weight = next(model.parameters())
    # 16 rows at a time: the Jacobian of a batch holds rows × units × features numbers.
    tensor = torch.tensor(rows, dtype=weight.dtype, device=weight.device)
    batches = torch.split(tensor, 16)
    with torch.no_grad():
        norms = [exact_squared_jacobian(model, batch).sqrt() for batch in batches]
    return float(torch.cat(norms).mean())
