"""`isthmus impute`."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from isthmus import models
from isthmus.cli.app import app
from isthmus.cli.console import say
from isthmus.cli.meaning import allow
from isthmus.cli.options import (
    Data,
    DataDir,
    Formulas,
    Group,
    Label,
    MaxGB,
    MaxPixels,
    OutputOrPicture,
    Run,
    Seed,
    SkipBad,
    Split,
    Time,
)
from isthmus.cli.results import as_in_file, draw, write_rows, write_steps
from isthmus.cli.rows import load_rows, name_columns, names_of, read_cut, read_framing, read_source, say_left_out
from isthmus.cli.saved import features, ready, shaped
from isthmus.errors import InputError
from isthmus.evaluation.imputation import cell_errors, hidden_entries, imputation_errors
from isthmus.formats.labels import spread_order
from isthmus.models.conditional import told
from isthmus.report import images
from isthmus.sources.timeline import TimeSeries

NOTHING_MISSING = "nothing is missing in {}: --missing 0.5 hides half of it, to see how well it goes"


@app.command()
def impute(
    run: Run,
    data: Data,
    output: OutputOrPicture,
    missing: Annotated[float | None, typer.Option(help="Hide this share of DATA, to see how well it goes.")] = None,
    block: Annotated[bool, typer.Option("--block", help="Hide it as one block of each row.")] = False,
    seed: Seed = 0,
    split: Split = "test",
    label: Label = None,
    time: Time = None,
    group: Group = None,
    data_dir: DataDir = None,
    skip_bad: SkipBad = False,
    max_gb: MaxGB = None,
    max_pixels: MaxPixels = None,
    formulas: Formulas = False,
) -> None:
    """Write DATA's rows with what is missing (NaN, blanks) filled in; .png: 30 at random, below what was known."""
    allow(data, max_gb, max_pixels)
    estimator, cut = ready(run, output, "impute", pictures=True), read_cut(run, time, group)
    framing = read_framing(run, estimator, skip_bad, data)
    if block and missing is None:
        raise InputError("--block says how to hide: say how much too, such as --missing 0.5")
    X, y = load_rows(data, split, label, data_dir, estimator, cut, framing)

    def write(filled: Any) -> None:
        names = features(estimator, filled)
        if isinstance(X, pd.DataFrame) and output.suffix != ".npy":
            filled = as_in_file(filled, read_source(data, label, estimator, framing), names)
        write_rows(output, filled, names, name_columns(data, framing, X), formulas=formulas)
        say_left_out(data, framing, output)

    if isinstance(X, pd.DataFrame) and isinstance(estimator, models.TabularAutoencoder):
        _impute_table(estimator, X, missing, block, seed, write)
        return
    if isinstance(estimator, models.MultimodalAutoencoder):
        _impute_modalities(estimator, X, missing, data, write)
        return
    rows = shaped(estimator, X)
    hidden, hidden_steps = np.zeros(rows.shape, bool), None
    if missing is not None and cut is not None:
        hidden_steps = _hidden_steps(cut.series(data), missing, block, seed)
        hidden = hidden_steps[cut.series(data).places(cut.window, cut.stride)].reshape(rows.shape)
    elif missing is not None:
        hidden = hidden_entries(rows.shape, missing, block=block, seed=seed)
    if missing is not None:
        if not (hidden & ~np.isnan(rows)).any():
            raise InputError(f"--missing {missing:g} hides nothing that is known in {data}: give more")
    elif not np.isnan(rows).any():
        raise InputError(NOTHING_MISSING.format(data))
    filled = estimator.impute(X, hidden, **told(estimator, y))
    if cut is not None:
        series = cut.series(data)
        steps = series.on_time_axis(filled, cut.stride).reshape(series.rows.shape)
        write_steps(output, _beside_known(series, steps, hidden_steps), series, formulas=formulas)
    elif output.suffix == ".png":
        shown = spread_order(len(rows), y)[: images.MOST_BESIDE]
        lines = [np.where(hidden, np.nan, rows), filled, *([] if missing is None else [rows])]
        draw(output, images.beside_png(*(line[shown] for line in lines)), names_of(data, X, cut, framing), shown)
    else:
        write(filled)
    if missing is not None:
        filled = filled.to_numpy(dtype=float) if isinstance(filled, pd.DataFrame) else filled
        error, of_mean = imputation_errors(rows, filled, _mean_row(estimator), hidden)
        say(f"squared error an entry that was hidden {error:.5g}, by the mean row {of_mean:.5g}")


def _impute_table(
    estimator: models.TabularAutoencoder,
    X: pd.DataFrame,
    missing: float | None,
    block: bool,
    seed: int,
    write: Callable[[Any], None],
) -> None:
    """Fill in a table's cells; of hidden ones, say how far the result is from them beside the simplest guess."""
    if missing is None and not estimator.schema_.missing(X).any():
        raise InputError(NOTHING_MISSING.format("the table"))
    truth = estimator.schema_.told(X)
    shape = truth.shape
    cells = np.zeros(shape, bool) if missing is None else hidden_entries(shape, missing, block=block, seed=seed)
    hidden = pd.DataFrame(cells, X.index, truth.columns).reindex(columns=X.columns, fill_value=False)
    filled = estimator.impute(X, hidden)
    write(filled)
    if missing is None:
        return
    errors = cell_errors(truth, estimator.schema_.told(filled), cells).dropna()
    numbers, others = (errors[errors.kind == kind] for kind in ("number", "category"))
    if len(numbers):
        share = (numbers.error / numbers.baseline).mean()
        say(f"numbers: root mean squared error {share:.3g} of the median's, averaged over columns")
    if len(others):
        right = 1 - others[["error", "baseline"]].mean()
        say(f"others: {right.error:.1%} right, {right.baseline:.1%} by the most frequent value")


def _impute_modalities(
    estimator: models.MultimodalAutoencoder, X: Any, missing: float | None, data: str, write: Callable[[Any], None]
) -> None:
    """Fill in what is missing of several modalities, or the modalities that are."""
    if missing is not None:
        raise InputError(f"--missing {missing:g}: hidden are cells of one table, and this is of several; leave it out")
    tables = X.values() if isinstance(X, Mapping) else [X]
    whole = not any(pd.isna(values).any(axis=None) for values in tables)
    if whole and not (isinstance(X, Mapping) and len(X) < len(estimator.modalities_)):
        raise InputError(f"nothing is missing in {data}")
    write(estimator.impute(X))


def _hidden_steps(series: TimeSeries, share: float, block: bool, seed: int) -> np.ndarray:
    """Choose what is hidden of steps; it is so in all windows that they are in."""
    if block:
        raise InputError("--block: a long series is hidden step by step; leave it out")
    return hidden_entries(series.values.shape, share, seed=seed)


def _beside_known(series: TimeSeries, filled: np.ndarray, hidden: np.ndarray | None) -> np.ndarray:
    """Return the rows of a series with what was known as it was, whether their steps are in a window or not."""
    is_known = ~np.isnan(series.rows)
    if hidden is not None:
        is_known &= ~hidden[series.steps] | np.isnan(filled)
    return np.where(is_known, series.rows, filled)


def _mean_row(estimator: Any) -> np.ndarray:
    """Return the mean of the training rows; of sequences, of each feature."""
    mean: np.ndarray = (
        estimator.mean_
        if isinstance(estimator, models.SequenceAutoencoder)
        else estimator.format_.unscaled(estimator.module_.fill.cpu().numpy())
    )
    return mean
