"""`isthmus compare`."""

import math
from pathlib import Path

import pandas as pd

from isthmus import report
from isthmus.cli.console import complain, console, print_table, say
from isthmus.cli.meaning import allow, refuse_without_meaning
from isthmus.cli.options import CompareOptions
from isthmus.cli.parsing import parse_size
from isthmus.cli.saved import say_warnings
from isthmus.comparison import compare as fit_and_compare
from isthmus.comparison import comparison_cells
from isthmus.errors import InputError
from isthmus.runs import Framing, Run
from isthmus.saving.atomic import check_writable
from isthmus.sources import files
from isthmus.threads import suited_to


@suited_to(0, blas=True)
def compare(options: CompareOptions) -> None:
    """Fit several autoencoders on the same rows, and write and print how they do."""
    data, out = options.data, options.out
    allow(data, options.max_gb, options.max_pixels)
    if not (math.isfinite(options.corruption_level) and options.corruption_level >= 0):  # needed after all fits alone
        raise InputError(f"--corruption-level {options.corruption_level}: give a number from 0 on, such as 0.25")
    check_writable(out / "report.html")
    run, test = _rows(options)
    X, y = run.rows
    if y is not None and Path(data).is_dir() and pd.isna(y).any():
        complain(f"{data}: images without a label are left out of the comparison")
        X, y = X[~pd.isna(y)], y[~pd.isna(y)].astype(str)
    with console.status("fitting") as status:
        comparison = fit_and_compare(
            X,
            y,
            None if options.names is None else [name.strip() for name in options.names.split(",")],
            n_components=options.components,
            X_test=None if test is None else test.X,
            y_test=None if test is None else test.y,
            seeds=options.seeds,
            corruption=options.corruption,
            corruption_level=options.corruption_level,
            max_epochs=options.epochs,
            random_state=options.seed,
            progress=lambda text: status.update(f"fitting: {text}"),
        )
        files.write_table(out / "comparison.csv", comparison.table.reset_index())  # which the report must not cost
        status.update("writing the report")
        report.write_page(report.comparison_page(comparison, f"Autoencoders on {data}"), out / "report.html")
    _print_comparison(comparison_cells(comparison.table))
    say(f"corrupted: every model is shown the same rows, with {comparison.corruption}")
    say(f"report: {out / 'report.html'}")


def _rows(options: CompareOptions) -> tuple[Run, Run | None]:
    """Return the rows to train on, and those to compare on where a named data set has some."""
    refuse_without_meaning(options.data, size=options.size, fit=options.fit, skip_bad=options.skip_bad)
    framing = Framing(parse_size(options.size), options.fit, options.skip_bad)
    run = Run(None, options.data, options.label, options.data_dir, "train", framing=framing)
    say_warnings(run)
    return run, Run(None, options.data, options.label, options.data_dir) if run.is_named else None


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
