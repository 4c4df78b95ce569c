"""The model of a run, and the rows that it is used on."""

from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator

from isthmus import models, runs
from isthmus.cli.console import complain
from isthmus.cli.meaning import allow, refuse_without_meaning
from isthmus.cli.options import RowsOptions
from isthmus.errors import InputError
from isthmus.formats.containers import RowsLike
from isthmus.formats.rows import to_rows
from isthmus.runs import Run, has_images
from isthmus.saving.atomic import check_writable
from isthmus.sources import files
from isthmus.sources.endings import WRITABLE, check_apart


def used(options: RowsOptions, method: str, output: Path, *, pictures: bool = False) -> Run:
    """Load a run's model and read the rows that it is used on; say what of these is left out or changed."""
    check_apart(output, Path(options.data))
    allow(options.data, options.max_gb, options.max_pixels)
    estimator = ready(options.run, output, method, pictures=pictures)
    refuse_without_meaning(options.data, skip_bad=options.skip_bad)
    run = runs.used_on(
        estimator,
        options.run,
        runs.read_if_noted(options.run),
        options.data,
        time=options.time,
        group=options.group,
        skip_bad=options.skip_bad,
        label=options.label,
        data_dir=options.data_dir,
        split=options.split,
    )
    say_warnings(run)
    return run


def say_warnings(run: Run) -> None:
    """Read the rows, and say what of them is left out or changed."""
    assert run.rows is not None
    for line in run.warnings:
        complain(f"{run.data}: {line}")


def ready(run: Path, output: Path, method: str, *, pictures: bool = False) -> BaseEstimator:
    """Load a run's model once it is sure that the result can be written."""
    files.check_output(output, (*WRITABLE, ".png") if pictures else WRITABLE)
    check_writable(output)
    estimator = loaded(run, method)
    if output.suffix == ".png" and not has_images(estimator):
        endings = ", ".join(WRITABLE)
        raise InputError(f"cannot draw {output}: the rows of {run} are no images; give a name that ends in {endings}")
    return estimator


def loaded(run: Path, method: str) -> BaseEstimator:
    """Load a run's model, which must have the method."""
    estimator = models.load(run)
    if hasattr(estimator, method):
        return estimator
    if isinstance(estimator, models.OutlierDetector):
        raise InputError(f"{run} holds an OutlierDetector: it can score rows, and nothing else here")
    kind = type(estimator).__name__
    kind = f"{'an' if kind[0] == 'A' else 'a'} {kind}"
    if method == "sample" and not hasattr(estimator, "log_likelihood"):
        parts = "fusion=product_of_experts" if hasattr(estimator, "modalities_") else "bottleneck=gaussian"
        raise InputError(f"{kind} cannot generate: train --model variational, or this one with --set {parts}")
    raise InputError(f"{kind} that was trained without reconstruction has no {method}: train another")


def shaped(estimator: BaseEstimator, X: RowsLike) -> np.ndarray:
    """Return rows as numbers in the shape that the model knows, gaps as NaN."""
    rows = to_rows(X, allow_nan=True)
    return rows.reshape(-1, *estimator.row_shape_) if rows[0].size == estimator.n_features_in_ else rows
