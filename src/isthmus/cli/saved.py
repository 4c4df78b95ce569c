"""The model of a run, and what it knows of rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from isthmus import models
from isthmus.errors import InputError
from isthmus.formats.rows import to_rows
from isthmus.report import images
from isthmus.saving.atomic import check_writable
from isthmus.sources import files


def ready(run: Path, output: Path, method: str, *, pictures: bool = False) -> Any:
    """Load a run's model once it is sure that the result can be written."""
    files.check_output(output, (*files.WRITABLE, ".png") if pictures else files.WRITABLE)
    check_writable(output)
    estimator = loaded(run, method)
    if output.suffix == ".png" and not has_images(estimator):
        endings = ", ".join(files.WRITABLE)
        raise InputError(f"cannot draw {output}: the rows of {run} are no images; give a name that ends in {endings}")
    return estimator


def loaded(run: Path, method: str) -> Any:
    """Load a run's model, which must have the method."""
    estimator = models.load(run)
    if hasattr(estimator, method):
        return estimator
    if isinstance(estimator, models.OutlierDetector):
        raise InputError(f"{run} holds an OutlierDetector: it can score rows, and nothing else here")
    kind = type(estimator).__name__
    kind = f"{'an' if kind[0] == 'A' else 'a'} {kind}"
    if method == "sample":
        raise InputError(f"{kind} cannot generate: train --model variational")
    raise InputError(f"{kind} that was trained without reconstruction has no {method}: train another")


def has_images(estimator: Any) -> bool:
    """Tell whether a model's rows are images."""
    return images.is_image(estimator.row_shape_) and not isinstance(estimator, models.SequenceAutoencoder)


def features(estimator: Any, rows: Any) -> list[str]:
    """Return the names of the entries of flattened rows."""
    if isinstance(rows, pd.DataFrame | Mapping):
        return []  # they have names of their own
    names = [f"x_{i}" for i in range(int(np.prod(rows.shape[1:])))]
    return list(getattr(estimator, "feature_names_in_", names))


def shaped(estimator: Any, X: Any) -> np.ndarray:
    """Return rows as numbers in the shape that the model knows, gaps as NaN."""
    rows = to_rows(X, allow_nan=True)
    return rows.reshape(-1, *estimator.row_shape_) if rows[0].size == estimator.n_features_in_ else rows
