"""`isthmus compare`."""

import math
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

import isthmus
from isthmus import report
from isthmus.cli.app import app
from isthmus.cli.console import complain, console, print_table, say
from isthmus.cli.meaning import allow, refuse_without_meaning
from isthmus.cli.options import (
    MOST_FITS,
    Components,
    Data,
    DataDir,
    Epochs,
    FirstSeed,
    Fit,
    Label,
    MaxGB,
    MaxPixels,
    Out,
    Size,
    SkipBad,
)
from isthmus.cli.rows import load_rows, parse_framing
from isthmus.compare import comparison_cells
from isthmus.errors import InputError
from isthmus.saving.atomic import check_writable
from isthmus.sources import datasets, files


@app.command()
def compare(
    data: Data,
    out: Out,
    names: Annotated[str | None, typer.Option("--models", help="Names from the default set, with commas.")] = None,
    components: Components = None,
    seeds: Annotated[int, typer.Option(min=1, max=MOST_FITS, help="Fits of each model.")] = 3,
    epochs: Epochs = None,
    corruption: Annotated[str, typer.Option(help="What is done to the test rows.")] = "masking",
    corruption_level: Annotated[float, typer.Option(help="How much of it.")] = 0.25,
    seed: FirstSeed = 0,
    label: Label = None,
    data_dir: DataDir = None,
    size: Size = None,
    fit: Fit = "crop",
    skip_bad: SkipBad = False,
    max_gb: MaxGB = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Fit several autoencoders on the same rows of DATA, with PCA of the same size beside them, and tell them apart."""
    allow(data, max_gb, max_pixels)
    if not (math.isfinite(corruption_level) and corruption_level >= 0):  # which is needed after all fits alone
        raise InputError(f"--corruption-level {corruption_level}: give a number from 0 on, such as 0.25")
    check_writable(out / "report.html")
    refuse_without_meaning(data, size=size, fit=fit, skip_bad=skip_bad)
    X, y = load_rows(data, "train", label, data_dir, framing=parse_framing(size, fit, skip_bad))
    if y is not None and Path(data).is_dir() and pd.isna(y).any():
        complain(f"{data}: images without a label are left out of the comparison")
        X, y = X[~pd.isna(y)], y[~pd.isna(y)].astype(str)
    test = load_rows(data, "test", label, data_dir) if data in datasets.names() else None
    with console.status("fitting") as status:
        comparison = isthmus.compare(
            X,
            y,
            None if names is None else [name.strip() for name in names.split(",")],
            n_components=components,
            X_test=None if test is None else test.X,
            y_test=None if test is None else test.y,
            seeds=seeds,
            corruption=corruption,
            corruption_level=corruption_level,
            max_epochs=epochs,
            random_state=seed,
            progress=lambda text: status.update(f"fitting: {text}"),
        )
        files.write_table(out / "comparison.csv", comparison.table.reset_index())  # which the report must not cost
        status.update("writing the report")
        report.write_page(report.comparison_page(comparison, f"Autoencoders on {data}"), out / "report.html")
    _print_comparison(comparison_cells(comparison.table))
    say(f"corrupted: every model is shown the same rows, with {comparison.corruption}")
    say(f"report: {out / 'report.html'}")


def _print_comparison(cells: pd.DataFrame) -> None:
    """Print a comparison under short names."""
    short = {
        "share_of_pca": "/ PCA",
        "mse_corrupted": "corrupted",
        "linear_probe": "probe",
        "nearest_neighbour": "1-NN",
        "best_epoch": "epoch kept",
    }
    print_table("model", cells.rename(columns=short))
