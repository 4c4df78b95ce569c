"""`isthmus impute`."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from isthmus import models
from isthmus.cli.console import say
from isthmus.cli.on_disk import comes_from_disk, write_from_disk
from isthmus.cli.options import RowsOptions
from isthmus.cli.results import as_in_file, draw_beside, say_left_out, write_rows, write_steps
from isthmus.cli.saved import shaped, used
from isthmus.errors import InputError
from isthmus.evaluation.imputation import cell_errors, hidden_entries, imputation_errors
from isthmus.runs import Run
from isthmus.sources.dataset import Table
from isthmus.sources.results import feature_names
from isthmus.sources.timeline import TimeSeries
from isthmus.threads import suited_to

NOTHING_MISSING = "nothing is missing in {}: --missing 0.5 hides half of it, to see how well it goes"


class Hiding(NamedTuple):
    """What is hidden of rows, to see how well it is filled in.

    Attributes
    ----------
    share : float or None
        Of the entries; None: nothing.
    block : bool
        Whether it is one block of each row.
    seed : int
    """

    share: float | None
    block: bool
    seed: int

    def entries(self, shape: tuple[int, ...]) -> np.ndarray:
        """Choose which entries are hidden of rows of a shape."""
        if self.share is None:
            return np.zeros(shape, bool)
        return hidden_entries(shape, self.share, block=self.block, seed=self.seed)


@suited_to(0, blas=True)
def impute(options: RowsOptions, output: Path, hiding: Hiding, *, formulas: bool) -> None:
    """Write rows with what is missing filled in."""
    if hiding.block and hiding.share is None:
        raise InputError("--block says how to hide: say how much too, such as --missing 0.5")
    if comes_from_disk(options):
        if hiding.share is not None:
            raise InputError(f"--missing {hiding.share:g}: it is for rows in memory, such as one shard; leave it out")
        write_from_disk(options, "impute", output, formulas=formulas)
        return
    run = used(options, "impute", output, pictures=True)
    if isinstance(run.X, pd.DataFrame) and isinstance(run.estimator, models.TabularAutoencoder):
        _impute_table(run, hiding, output, formulas)
    elif isinstance(run.estimator, models.MultimodalAutoencoder):
        _impute_modalities(run, hiding.share, output, formulas)
    else:
        _impute_numbers(run, hiding, output, formulas)


def _impute_numbers(run: Run, hiding: Hiding, output: Path, formulas: bool) -> None:
    """Fill in images, tables of numbers or series; of hidden entries, say how far the result is from them."""
    rows = shaped(run.estimator, run.X)
    steps = None if run.windowing is None or hiding.share is None else _hidden_steps(run.series, hiding)
    hidden = hiding.entries(rows.shape) if steps is None else _in_windows(run, steps).reshape(rows.shape)
    if hiding.share is not None and not (hidden & ~np.isnan(rows)).any():
        raise InputError(f"--missing {hiding.share:g} hides nothing that is known in {run.data}: give more")
    if hiding.share is None and not np.isnan(rows).any():
        raise InputError(NOTHING_MISSING.format(run.data))
    filled = run.estimator.impute(run.X, hidden, **run.conditions)
    if run.windowing is not None:
        on_axis = run.series.on_time_axis(filled, run.windowing.stride).reshape(run.series.rows.shape)
        write_steps(output, _beside_known(run.series, on_axis, steps), run.series, formulas=formulas)
    elif output.suffix == ".png":
        known = np.where(hidden, np.nan, rows)
        draw_beside(output, run, [known, filled, *([] if hiding.share is None else [rows])])
    else:
        _write(run, filled, output, formulas)
    if hiding.share is not None:
        filled = filled.to_numpy(dtype=float) if isinstance(filled, pd.DataFrame) else filled
        error, of_mean = imputation_errors(rows, filled, _mean_row(run.estimator), hidden)
        say(f"squared error an entry that was hidden {error:.5g}, by the mean row {of_mean:.5g}")


def _write(run: Run, filled: Table, output: Path, formulas: bool) -> None:
    """Write rows that were filled in; of a table in the order of its file."""
    names = feature_names(run.estimator, filled)
    if isinstance(run.X, pd.DataFrame) and output.suffix != ".npy":
        filled = as_in_file(filled, run.source, names)
    write_rows(output, filled, names, run.beside, formulas=formulas)
    say_left_out(run, output)


def _impute_table(run: Run, hiding: Hiding, output: Path, formulas: bool) -> None:
    """Fill in a table's cells; of hidden ones, say how far the result is from them beside the simplest guess."""
    X, schema = run.X, run.estimator.schema_
    if hiding.share is None and not schema.missing(X).any():
        raise InputError(NOTHING_MISSING.format("the table"))
    truth = schema.told(X)
    cells = hiding.entries(truth.shape)
    hidden = pd.DataFrame(cells, X.index, truth.columns).reindex(columns=X.columns, fill_value=False)
    filled = run.estimator.impute(X, hidden)
    _write(run, filled, output, formulas)
    if hiding.share is None:
        return
    errors = cell_errors(truth, schema.told(filled), cells).dropna()
    numbers, others = (errors[errors.kind == kind] for kind in ("number", "category"))
    if len(numbers):
        share = (numbers.error / numbers.baseline).mean()
        say(f"numbers: root mean squared error {share:.3g} of the median's, averaged over columns")
    if len(others):
        right = 1 - others[["error", "baseline"]].mean()
        say(f"others: {right.error:.1%} right, {right.baseline:.1%} by the most frequent value")


def _impute_modalities(run: Run, missing: float | None, output: Path, formulas: bool) -> None:
    """Fill in what is missing of several modalities, or the modalities that are."""
    if missing is not None:
        raise InputError(f"--missing {missing:g}: hidden are cells of one table, and this is of several; leave it out")
    X = run.X
    tables = X.values() if isinstance(X, Mapping) else [X]
    whole = not any(pd.isna(values).any(axis=None) for values in tables)
    if whole and not (isinstance(X, Mapping) and len(X) < len(run.estimator.modalities_)):
        raise InputError(f"nothing is missing in {run.data}")
    _write(run, run.estimator.impute(X), output, formulas)


def _hidden_steps(series: TimeSeries, hiding: Hiding) -> np.ndarray:
    """Choose what is hidden of steps; it is so in all windows that they are in."""
    if hiding.block:
        raise InputError("--block: a long series is hidden step by step; leave it out")
    return hiding.entries(series.values.shape)


def _in_windows(run: Run, steps: np.ndarray) -> np.ndarray:
    """Bring what is said of steps into the windows that they are in."""
    assert run.windowing is not None
    return np.asarray(steps[run.series.places(run.windowing.window, run.windowing.stride)])


def _beside_known(series: TimeSeries, filled: np.ndarray, hidden: np.ndarray | None) -> np.ndarray:
    """Return the rows of a series with what was known as it was, whether their steps are in a window or not."""
    is_known = ~np.isnan(series.rows)
    if hidden is not None:
        is_known &= ~hidden[series.steps] | np.isnan(filled)
    return np.where(is_known, series.rows, filled)


def _mean_row(estimator: BaseEstimator) -> np.ndarray:
    """Return the mean of the training rows; of sequences, of each feature."""
    mean: np.ndarray = (
        estimator.mean_
        if isinstance(estimator, models.SequenceAutoencoder)
        else estimator.format_.unscaled(estimator.module_.fill.cpu().numpy())
    )
    return mean
