"""`isthmus sample` and `interpolate`: rows that were not there."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import typer

from isthmus.cli.app import app
from isthmus.cli.console import say
from isthmus.cli.meaning import allow
from isthmus.cli.options import (
    MOST,
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
from isthmus.cli.parsing import parse_condition, parse_rows
from isthmus.cli.results import draw, write_rows
from isthmus.cli.rows import count_rows, load_rows, names_of, read_cut, read_framing, take_rows
from isthmus.cli.saved import features, ready
from isthmus.errors import InputError
from isthmus.formats.labels import spread_order
from isthmus.models import TabularAutoencoder
from isthmus.models.conditional import told
from isthmus.report import images
from isthmus.sources import bounds


@app.command()
def sample(
    run: Run,
    output: OutputOrPicture,
    n: Annotated[int, typer.Option("-n", min=1, max=MOST, help="Rows.")] = 64,
    condition: Annotated[
        str | None, typer.Option(help="Of all rows: a class or a number; of several all, such as a,3.")
    ] = None,
    noise: Annotated[bool, typer.Option("--noise", help="Draw from the likelihood too, not only the code.")] = False,
    seed: Seed = 0,
    formulas: Formulas = False,
) -> None:
    """Write rows that the model generates.

    Of a conditional model without --condition the classes take turns: in a .png each has its column, in a .csv or
    .parquet the column `condition` tells.
    """
    estimator = ready(run, output, "sample", pictures=True)
    _check_memory(f"-n {n}", n, estimator)
    y = parse_condition(estimator, condition, n)
    rows = estimator.sample(n, **({} if y is None else {"y": y}), noise=noise, random_state=seed)
    in_turn = condition is None and y is not None
    if output.suffix == ".png":
        draw(output, images.grid_png(rows, min(n, len(estimator.classes_) if in_turn else round(n**0.5))))
        return
    columns: dict[str, Any] = {"condition": y} if in_turn else {}
    write_rows(output, rows, features(estimator, rows), columns, formulas=formulas)


def _check_memory(option: str, n: int, estimator: Any) -> None:
    """Raise ValueError where so many rows take more memory than is sensible."""
    needed, most = 8 * n * int(np.prod(estimator.row_shape_)), bounds.most_bytes()
    if needed > most:
        raise InputError(
            f"{option}: the rows take {bounds.in_gb(needed)} of memory, more than the {bounds.in_gb(most)} that are "
            "sensible on this machine: ask for fewer at a time"
        )


@app.command()
def interpolate(
    run: Run,
    data: Data,
    output: OutputOrPicture,
    start: Annotated[
        str | None, typer.Option("--from", help="Rows to start from, such as 0,1; default: five, at random.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="As many to end at; default: five others, at random.")] = None,
    steps: Annotated[int, typer.Option(min=2, max=MOST, help="Rows on the way, with both ends.")] = 9,
    path: Annotated[Literal["straight", "spherical"], typer.Option(help="The way from code to code.")] = "straight",
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
    """Write what lies between rows of DATA, decoded from the codes between theirs; .png: a line a pair.

    A conditional model is told the label of a pair that shares one.
    """
    allow(data, max_gb, max_pixels)
    estimator = ready(run, output, "interpolate", pictures=True)
    cut, framing = read_cut(run, time, group), read_framing(run, estimator, skip_bad, data)
    X, y = load_rows(data, split, label, data_dir, estimator, cut, framing)
    n = count_rows(X)
    half = min(5, n // 2)
    order = spread_order(n, y)
    if not half and (start is None or end is None):
        raise InputError(f"{data} has fewer than two rows, no pair to go between: name both ends with --from and --to")
    a = order[:half] if start is None else parse_rows("--from", start, n)
    b = order[half : 2 * half] if end is None else parse_rows("--to", end, n)
    if len(a) != len(b):
        raise InputError(f"--from has {len(a)} rows and --to {len(b)}: name as many of each")
    _check_memory(f"--steps {steps}", steps * len(a), estimator)
    shared: Any = None if y is None else np.where(y[a] == y[b], y[a].astype(object), None)
    rows = estimator.interpolate(take_rows(X, a), take_rows(X, b), steps, path=path, **told(estimator, shared))
    if isinstance(rows, pd.DataFrame) and output.suffix == ".npy" and not isinstance(estimator, TabularAutoencoder):
        rows = rows.to_numpy(dtype=float).reshape(len(a), steps, -1)
    if isinstance(rows, pd.DataFrame):
        names = [name if name not in rows.columns else f"{name} of the way" for name in ("pair", "step")]
        write_rows(output, rows.reset_index(names=names), [], formulas=formulas)
    elif output.suffix == ".png":
        draw(output, images.grid_png(rows.reshape(-1, *estimator.row_shape_), steps))
    elif output.suffix == ".npy" and not isinstance(rows, Mapping):
        write_rows(output, rows, [], formulas=formulas)
    else:
        places = {"pair": np.repeat(np.arange(len(a)), steps), "step": np.tile(np.arange(steps), len(a))}
        several = rows if isinstance(rows, Mapping) else {"": rows}
        flat = {name: each.reshape(-1, *each.shape[2:]) for name, each in several.items()}
        rows = flat if isinstance(rows, Mapping) else flat[""]
        write_rows(output, rows, features(estimator, rows), places, formulas=formulas)
    if start is None or end is None:
        names = names_of(data, X, cut, framing)
        pairs = [f"{names[i]} to {names[j]}" for i, j in zip(a, b, strict=True)]
        say(f"drawn at random: {'; '.join(pairs)}")
