"""`isthmus sample` and `interpolate`: rows that were not there."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from isthmus.cli.console import say
from isthmus.cli.on_disk import refuse_on_disk
from isthmus.cli.options import RowsOptions
from isthmus.cli.parsing import check_choice, parse_rows
from isthmus.cli.results import draw, write_rows
from isthmus.cli.saved import ready, used
from isthmus.errors import InputError, shown
from isthmus.formats.conditions import Condition, read_classes
from isthmus.formats.labels import spread_order
from isthmus.formats.values import Category
from isthmus.models import TabularAutoencoder
from isthmus.runs import Run, count_rows, take_rows
from isthmus.sources import bounds
from isthmus.sources.results import feature_names
from isthmus.threads import suited_to


@suited_to(0, blas=True)
def sample(
    folder: Path, output: Path, n: int, condition: str | None, *, noise: bool, seed: int, formulas: bool
) -> None:
    """Write rows that a model generates."""
    estimator = ready(folder, output, "sample", pictures=True)
    _check_memory(f"-n {n}", n, estimator)
    y = _condition(estimator, condition, n)
    rows = estimator.sample(n, **({} if y is None else {"y": y}), noise=noise, random_state=seed)
    in_turn = condition is None and y is not None
    if output.suffix == ".png":
        _draw_grid(output, rows, min(n, len(estimator.classes_) if in_turn else round(n**0.5)))
        return
    columns = {"condition": np.asarray(y)} if in_turn else {}
    write_rows(output, rows, feature_names(estimator, rows), columns, formulas=formulas)


def _draw_grid(output: Path, rows: np.ndarray, n_columns: int) -> None:
    from isthmus.report.images import grid_png

    draw(output, grid_png(rows, n_columns))


def _check_memory(option: str, n: int, estimator: BaseEstimator) -> None:
    """Raise ValueError where so many rows take more memory than is sensible."""
    needed, most = 8 * n * int(np.prod(estimator.row_shape_)), bounds.most_bytes()
    if needed > most:
        raise InputError(
            f"{option}: the rows take {bounds.in_gb(needed)} of memory, more than the {bounds.in_gb(most)} that are "
            "sensible on this machine: ask for fewer at a time"
        )


@suited_to(0, blas=True)
def interpolate(
    options: RowsOptions,
    output: Path,
    start: str | None,
    end: str | None,
    steps: int,
    path: Literal["straight", "spherical"],
    *,
    formulas: bool,
) -> None:
    """Write what lies between rows, decoded from the codes between theirs."""
    refuse_on_disk(options, "interpolate")
    run = used(options, "interpolate", output, pictures=True)
    a, b = _ends(run, start, end)
    _check_memory(f"--steps {steps}", steps * len(a), run.estimator)
    shared = None if run.y is None else np.where(run.y[a] == run.y[b], run.y[a].astype(object), None)
    told = {"y": shared} if run.conditions else {}
    rows = run.estimator.interpolate(take_rows(run.X, a), take_rows(run.X, b), steps, path=path, **told)
    _write_ways(output, run.estimator, rows, len(a), steps, formulas)
    if start is None or end is None:
        pairs = [f"{run.names[i]} to {run.names[j]}" for i, j in zip(a, b, strict=True)]
        say(f"drawn at random: {'; '.join(pairs)}")


def _ends(run: Run, start: str | None, end: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to start from and those to end at."""
    n = count_rows(run.X)
    half = min(5, n // 2)
    order = spread_order(n, run.y)
    if not half and (start is None or end is None):
        raise InputError(
            f"{run.data} has fewer than two rows, no pair to go between: name both ends with --from and --to"
        )
    a = order[:half] if start is None else parse_rows("--from", start, n)
    b = order[half : 2 * half] if end is None else parse_rows("--to", end, n)
    if len(a) != len(b):
        raise InputError(f"--from has {len(a)} rows and --to {len(b)}: name as many of each")
    return a, b


def _write_ways(output: Path, estimator: BaseEstimator, rows: Any, n: int, steps: int, formulas: bool) -> None:
    """Write the rows on `n` ways, each of so many steps."""
    if isinstance(rows, pd.DataFrame) and output.suffix == ".npy" and not isinstance(estimator, TabularAutoencoder):
        rows = rows.to_numpy(dtype=float).reshape(n, steps, -1)
    if isinstance(rows, pd.DataFrame):
        names = [name if name not in rows.columns else f"{name} of the way" for name in ("pair", "step")]
        write_rows(output, rows.reset_index(names=names), [], formulas=formulas)
    elif output.suffix == ".png":
        _draw_grid(output, rows.reshape(-1, *estimator.row_shape_), steps)
    elif output.suffix == ".npy" and not isinstance(rows, Mapping):
        write_rows(output, rows, [], formulas=formulas)
    else:
        places = {"pair": np.repeat(np.arange(n), steps), "step": np.tile(np.arange(steps), n)}
        several = rows if isinstance(rows, Mapping) else {"": rows}
        flat = {name: each.reshape(-1, *each.shape[2:]) for name, each in several.items()}
        rows = flat if isinstance(rows, Mapping) else flat[""]
        write_rows(output, rows, feature_names(estimator, rows), places, formulas=formulas)


def _condition(
    estimator: BaseEstimator, text: str | None, n: int
) -> np.ndarray | Category | list[Category | None] | None:
    """Read a condition as a class of the model's, or its numbers, or several of either; without one classes take turns.

    Of several conditions, with commas between, one of which nothing stands is unknown.
    """
    classes = getattr(estimator, "classes_", None)
    if text is None:
        return None if classes is None else np.resize(classes, n)
    if not estimator.takes_conditions:
        raise InputError(f"--condition {text}: the model knows no conditions; train --model conditional")
    known = estimator.known_conditions()
    parts = [text] if len(known) == 1 and known[0].classes is not None else [part.strip() for part in text.split(",")]
    if len(parts) != len(known):
        raise InputError(f"--condition {text}: the model was trained with {len(known)} a row; give as many")
    values = [_as_value(part, each, text) for part, each in zip(parts, known, strict=True)]
    return values if len(values) > 1 else values[0]


def _as_value(part: str, condition: Condition, text: str) -> Category | None:
    """Read one condition."""
    if not part:
        return None
    if condition.classes is not None:
        place = int(read_classes(np.array([part], dtype=object), condition.classes)[0])
        names = {str(name): name for name in condition.classes}
        if place < 0:
            check_choice("condition", part, names)
        return condition.classes[place] if place >= 0 else names[part]
    try:
        number = float(part)
    except ValueError as error:
        raise InputError(f"--condition {shown(text)}: give numbers with commas, such as 1.5") from error
    if not math.isfinite(number):
        raise InputError(f"--condition {shown(text)}: {part} is no number that there can be; leave it blank if unknown")
    return number
