"""The command line: parse, call, print."""

import ast
import json
import re
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

import isthmus
from isthmus import models, report, reproduce, runs
from isthmus.atomic import check_writable, replacing
from isthmus.compare import comparison_cells
from isthmus.data import datasets, files
from isthmus.data.datasets import Dataset
from isthmus.data.labels import are_classes, spread_order
from isthmus.data.names import row_names
from isthmus.data.rows import to_rows
from isthmus.data.series import on_time_axis, window_starts, windows
from isthmus.errors import InputError
from isthmus.evaluation.imputation import cell_errors, hidden_entries, imputation_errors
from isthmus.evaluation.retrieval import nearest_by_code
from isthmus.models.conditional import told
from isthmus.models.engine import is_out_of_memory
from isthmus.models.kept import kept_in_words
from isthmus.networks import LSTM, MLP, Conv, Transformer
from isthmus.report import images
from isthmus.report.words import error_in_words, listed
from isthmus.threads import suited_to
from isthmus.training import Interrupted
from isthmus.training.checkpoint import locked

CONSTANTS = {"true": "True", "false": "False", "none": "None"}

MODELS = {
    "plain": models.Autoencoder,
    "denoising": models.DenoisingAutoencoder,
    "sparse": models.SparseAutoencoder,
    "contractive": models.ContractiveAutoencoder,
    "variational": models.VariationalAutoencoder,
    "conditional": models.ConditionalVariationalAutoencoder,
    "sequence": models.SequenceAutoencoder,
    "tabular": models.TabularAutoencoder,
}

NETWORKS = {"mlp": MLP, "conv": Conv, "lstm": LSTM, "transformer": Transformer}
WIDTHS = {"mlp": "hidden", "conv": "channels", "lstm": "hidden", "transformer": "width"}
"""What the widths of a network's layers are called."""

OUT_OF_MEMORY = "memory has run out: give fewer rows or columns, a smaller batch size, or a smaller network"

NOTHING_MISSING = "nothing is missing in {}: --missing 0.5 hides half of it, to see how well it goes"

app = typer.Typer(
    help="Autoencoders of every kind: train, compare, use.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
console = Console()

Data = Annotated[
    str, typer.Argument(metavar="DATA", help="A name that `isthmus data` lists, a file, or a folder of images.")
]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="A folder that `isthmus train` wrote.")]
Output = Annotated[Path, typer.Option("-o", "--output", help="Result: .npy, .csv or .parquet, by the name's ending.")]
OutputOrPicture = Annotated[
    Path, typer.Option("-o", "--output", help="Result: .npy, .csv, .parquet or, of images, .png, by the name's ending.")
]
DataDir = Annotated[Path | None, typer.Option(help="Where the named data sets are looked for first.")]
Label = Annotated[str | None, typer.Option(help="The column, or array of an .npz, that holds the labels.")]
Split = Annotated[Literal["train", "test", "all"], typer.Option(help="Which part of a named data set.")]
Out = Annotated[Path, typer.Option("--out", metavar="RUN", help="The run's folder.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any other parameter, such as network__dropout=0.1; repeatable."),
]
Components = Annotated[int | None, typer.Option(help="Units of the code.")]
Epochs = Annotated[int | None, typer.Option(help="Passes over the training rows.")]
Seed = Annotated[int, typer.Option(min=0, help="Of all random numbers.")]
FirstSeed = Annotated[int, typer.Option("--seed", min=0, help="The first of the seeds.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps or auto.")]


def main() -> None:
    """Run the command line; a user's mistake ends in one line on standard error and exit status 2."""
    warnings.showwarning = lambda message, category, *_: _show_warning(message, category)
    try:
        with suited_to(0, blas=True):  # each fit and each use takes what repays it
            sys.exit(app(standalone_mode=False) or 0)
    except (ValueError, TypeError, OSError, FloatingPointError, MemoryError) as error:
        _complain(str(error) or OUT_OF_MEMORY)  # Python's own MemoryError says nothing
        sys.exit(2)
    except SystemExit as end:
        if end.code == 130 and not isinstance(end.__cause__, Interrupted):  # what typer makes of Ctrl-C
            _complain("interrupted")
        raise
    except Exception as error:
        if is_out_of_memory(error):
            _complain(OUT_OF_MEMORY)
            sys.exit(2)
        if not hasattr(error, "format_message"):  # what typer raises for a command line that it cannot read
            raise
        _complain(f"{error.format_message()} (isthmus --help says more)")
        sys.exit(2)


def _show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
    """Say in one line what concerns the user, and not what a library has to say to its developers."""
    if issubclass(category, UserWarning):
        _complain(str(message))


def _complain(text: str) -> None:
    print("isthmus:", " ".join(text.split()), file=sys.stderr)


@app.command()
def data(data_dir: DataDir = None) -> None:
    """List the data sets that have a name, and where they are."""
    table = Table("name", "rows", "what it is", "where", box=None)
    for name, entry in datasets.CATALOGUE.items():
        table.add_row(name, entry.shape, entry.description, datasets.location(name, data_dir))
    console.print(table)
    console.print(f"\nFiles too: {', '.join(files.READABLE)}, or a folder of images with subfolders as labels.")


@app.command()
def train(
    context: typer.Context,
    data: Annotated[str | None, typer.Argument(metavar="DATA", help="As `isthmus data` says.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="RUN", help="The run's folder.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped.")] = None,
    model: Annotated[str, typer.Option(help=f"{', '.join(MODELS)}.")] = "plain",
    components: Components = None,
    network: Annotated[
        str | None, typer.Option(help=f"{', '.join(NETWORKS)}; default: mlp, for sequences lstm.")
    ] = None,
    hidden: Annotated[
        str | None, typer.Option(help="mlp: widths of the hidden layers, such as 128,64; lstm: its one.")
    ] = None,
    channels: Annotated[str | None, typer.Option(help="conv: channels of its layers, such as 32,64.")] = None,
    epochs: Epochs = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows a step.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate, or its peak.")] = None,
    window: Annotated[int | None, typer.Option(min=2, help="DATA is one long series: steps in a window of it.")] = None,
    stride: Annotated[int | None, typer.Option(min=1, help="Steps from window to window; default: a tenth.")] = None,
    seed: Seed = 0,
    device: Device = "auto",
    settings: Settings = None,
    label: Label = None,
    data_dir: DataDir = None,
    checkpoint_minutes: Annotated[float, typer.Option(min=0, help="Between checkpoints, at the most.")] = 10,
) -> None:
    """Train an autoencoder on DATA, and save it and its report into a folder.

    The conditional model is told the labels of DATA. The run is kept after epochs, as long as that costs little,
    every --checkpoint-minutes, and where Ctrl-C stops it: `isthmus train --resume RUN` goes on as if nothing had
    happened.
    """
    if resume is not None:
        _refuse_beside_resume(context)
        folder, asked = resume, runs.read(resume)
        if asked["finished"]:
            console.print(f"{resume} is finished: there is nothing to go on with", soft_wrap=True)
            return
    else:
        if data is None or out is None:
            raise InputError(f"train needs {'DATA' if data is None else '--out RUN'}: isthmus train --help says more")
        runs.check_free(out)
        folder = out
        asked = runs.described(
            data=data, label=label, data_dir=data_dir, window=window, stride=stride, model=model, seed=seed,
            components=components, network=network, hidden=hidden, channels=channels, epochs=epochs,
            batch_size=batch_size, lr=lr, settings=settings,
        )  # fmt: skip
    before = None if resume is not None else runs.noted(folder)
    with locked(folder), _stopping_at_once():
        try:
            _train(folder, asked, device, checkpoint_minutes)
        except BaseException as error:
            if before is not None:
                runs.abandon(folder, before)
            if runs.is_kept(folder):
                stopped = "stopped" if isinstance(error, Interrupted) else "the run is kept"
                _complain(f"{stopped}; to go on: isthmus train --resume {folder}")
            elif isinstance(error, Interrupted):
                _complain("interrupted")
            if isinstance(error, Interrupted):
                raise SystemExit(128 + error.signal) from error
            raise


@contextmanager
def _stopping_at_once() -> Iterator[None]:
    """Make Ctrl-C and SIGTERM end a command in good order, where no training waits for the end of a step."""

    def stop(number: int, frame: Any) -> None:
        raise Interrupted(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _refuse_beside_resume(context: typer.Context) -> None:
    """Raise ValueError where something is given beside --resume that the run itself says."""
    allowed = ("resume", "device", "checkpoint_minutes")
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in allowed and source is not None and source.name == "COMMANDLINE":
            shown = "DATA" if name == "data" else "--set" if name == "settings" else f"--{name.replace('_', '-')}"
            raise InputError(f"{shown} beside --resume: the run says itself what it is; leave it out")


def _train(folder: Path, asked: dict[str, Any], device: str, checkpoint_minutes: float) -> None:
    """Begin a run, or go on with it, and write what comes of it."""
    data, label, model = asked["data"], asked["label"], asked["model"]
    data_dir = None if asked["data_dir"] is None else Path(asked["data_dir"])
    cut = _parse_cut(asked["window"], asked["stride"], label)
    names = {"components": "n_components", "epochs": "max_epochs", "batch_size": "batch_size", "lr": "lr"}
    params = {name: asked[option] for option, name in names.items() if asked[option] is not None}
    family = _choice("model", model, MODELS)
    params |= _parse_network(family, asked["network"], hidden=asked["hidden"], channels=asked["channels"])
    params |= _parse_settings(asked["settings"])
    estimator = family(random_state=asked["seed"], device=device, verbose=1).set_params(**params)
    X, y = _load(data, "train", label, data_dir, estimator, cut)
    if estimator.takes_conditions and y is None:
        raise InputError(f"{data} has no labels to be a condition: name their column with --label")
    rows, labels = _load(data, "test", label, data_dir, estimator, cut)
    asked = runs.begin(folder, asked, X, y)
    estimator.fit(X, **told(estimator, y), resume_from=folder, checkpoint_minutes=checkpoint_minutes)
    title = f"{model.capitalize()} autoencoder on {data}"
    page = report.model_page(estimator, rows, labels, title, which=_which(data), names=_names(data, rows, cut))
    runs.check_there(folder)
    estimator.save(folder)
    report.write_page(page, folder / "report.html")
    runs.finish(folder, asked)
    active = f"; {estimator.active_units_} active units" if hasattr(estimator, "active_units_") else ""
    _say(f"{kept_in_words(estimator)}; {_fit_in_words(estimator, X, y)}{active}")
    console.print(f"model and report: {folder}/ (open {folder / 'report.html'})", soft_wrap=True)


def _fit_in_words(estimator: Any, X: Any, y: np.ndarray | None) -> str:
    """Say how well the weights that are kept do on the rows trained on, and on those held out."""
    held_out = np.isin(np.arange(len(X)), estimator.held_out_)
    parts = {"trained on": np.flatnonzero(~held_out), "held out": np.flatnonzero(held_out)}
    name, figures = "", []
    for part, rows in parts.items():
        if len(rows):
            name, figure = error_in_words(estimator, _take(X, rows), None if y is None else y[rows])
            figures.append(f"{figure} on the {len(rows):,} rows {part}")
    return f"{name} {', '.join(figures)}"


@app.command()
def compare(
    data: Data,
    out: Out,
    names: Annotated[str | None, typer.Option("--models", help="Names from the default set, with commas.")] = None,
    components: Components = None,
    seeds: Annotated[int, typer.Option(min=1, help="Fits of each model.")] = 3,
    epochs: Epochs = None,
    corruption: Annotated[str, typer.Option(help="What is done to the test rows.")] = "masking",
    corruption_level: Annotated[float, typer.Option(help="How much of it.")] = 0.25,
    seed: FirstSeed = 0,
    label: Label = None,
    data_dir: DataDir = None,
) -> None:
    """Fit several autoencoders on the same rows of DATA, with PCA of the same size beside them, and tell them apart."""
    check_writable(out / "report.html")
    X, y = _load(data, "train", label, data_dir)
    test = _load(data, "test", label, data_dir) if data in datasets.names() else None
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
        status.update("writing the report")
        report.write_page(report.comparison_page(comparison, f"Autoencoders on {data}"), out / "report.html")
        files.write_table(out / "comparison.csv", comparison.table.reset_index())
    _print_comparison(comparison_cells(comparison.table))
    console.print(f"corrupted: every model is shown the same rows, with {comparison.corruption}", soft_wrap=True)
    console.print(f"report: {out / 'report.html'}", soft_wrap=True)


@app.command()
def transform(
    run: Run, data: Data, output: Output, split: Split = "test", label: Label = None, data_dir: DataDir = None
) -> None:
    """Write the codes of DATA's rows."""
    estimator, cut = _ready(run, output, "transform"), _read_cut(run)
    X, y = _load(data, split, label, data_dir, estimator, cut)
    codes = estimator.transform(X, **told(estimator, y))
    start = {} if cut is None else {"start": _starts(data, cut)}
    _write(output, codes, [f"code_{i}" for i in range(codes.shape[1])], start)


@app.command()
def reconstruct(
    run: Run, data: Data, output: OutputOrPicture, split: Split = "test", label: Label = None, data_dir: DataDir = None
) -> None:
    """Write DATA's rows as the model rebuilds them; .png: 30 drawn at random over the classes, below what they are."""
    estimator, cut = _ready(run, output, "reconstruct", pictures=True), _read_cut(run)
    X, y = _load(data, split, label, data_dir, estimator, cut)
    rows = estimator.reconstruct(X, **told(estimator, y))
    if cut is not None:
        _write_steps(output, rows, data, cut)
    elif output.suffix == ".png":
        shown = spread_order(len(rows), y)[: images.MOST_BESIDE]
        _draw(output, images.beside_png(_shaped(estimator, X)[shown], rows[shown]), _names(data, X, cut), shown)
    else:
        _write(output, rows, _features(estimator, rows))


@app.command()
def score(
    run: Run,
    data: Data,
    output: Output,
    per_feature: Annotated[bool, typer.Option("--per-feature", help="A column a feature: which are unusual.")] = False,
    split: Split = "test",
    label: Label = None,
    data_dir: DataDir = None,
) -> None:
    """Write how usual each of DATA's rows is, or each step of a long series, in nats; higher is more usual."""
    estimator, cut = _ready(run, output, "score_samples"), _read_cut(run)
    X, y = _load(data, split, label, data_dir, estimator, cut)
    shares = cut is not None or per_feature
    scores = estimator.score_samples(X, **({"per_feature": True} if shares else {}), **told(estimator, y))
    if cut is not None:
        _write_steps(output, scores, data, cut, None if per_feature else "score")
        return
    _write(output, scores, _features(estimator, scores) if per_feature else ["score"], _file_column(data))
    if not per_feature:
        lowest = _names(data, X, None)[scores.argmin()]
        _say(f"mean {scores.mean():.5g} nats, lowest {scores.min():.5g} in {lowest}")


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
    data_dir: DataDir = None,
) -> None:
    """Write DATA's rows with what is missing (NaN, blanks) filled in; .png: 30 at random, below what was known."""
    estimator, cut = _ready(run, output, "impute", pictures=True), _read_cut(run)
    if block and missing is None:
        raise InputError("--block says how to hide: say how much too, such as --missing 0.5")
    X, y = _load(data, split, label, data_dir, estimator, cut)
    if isinstance(X, pd.DataFrame) and isinstance(estimator, models.TabularAutoencoder):
        _impute_table(estimator, X, output, missing, block, seed)
        return
    rows = _shaped(estimator, X)
    hidden = np.zeros(rows.shape, bool)
    if missing is not None:
        hidden = _hidden(rows.shape, missing, block, seed, data, cut)
        if not (hidden & ~np.isnan(rows)).any():
            raise InputError(f"--missing {missing:g} hides nothing that is known in {data}: give more")
    elif not np.isnan(rows).any():
        raise InputError(NOTHING_MISSING.format(data))
    filled = estimator.impute(X, hidden, **told(estimator, y))
    if cut is not None:
        _write_steps(output, filled, data, cut)
    elif output.suffix == ".png":
        shown = spread_order(len(rows), y)[: images.MOST_BESIDE]
        lines = [np.where(hidden, np.nan, rows), filled, *([] if missing is None else [rows])]
        _draw(output, images.beside_png(*(line[shown] for line in lines)), _names(data, X, cut), shown)
    else:
        _write(output, filled, _features(estimator, filled))
    if missing is not None:
        error, of_mean = imputation_errors(rows, filled, _mean_row(estimator), hidden)
        console.print(f"squared error an entry that was hidden {error:.5g}, by the mean row {of_mean:.5g}")


def _impute_table(
    estimator: models.TabularAutoencoder, X: pd.DataFrame, output: Path, missing: float | None, block: bool, seed: int
) -> None:
    """Fill in a table's cells; of hidden ones, say how far the result is from them beside the simplest guess."""
    if missing is None and not X.isna().any(axis=None):
        raise InputError(NOTHING_MISSING.format("the table"))
    hidden = np.zeros(X.shape, bool) if missing is None else hidden_entries(X.shape, missing, block=block, seed=seed)
    filled = estimator.impute(X, hidden)
    _write(output, filled, [])
    if missing is None:
        return
    errors = cell_errors(X, filled, hidden).dropna()
    numbers, others = (errors[errors.kind == kind] for kind in ("number", "category"))
    if len(numbers):
        share = (numbers.error / numbers.baseline).mean()
        console.print(f"numbers: root mean squared error {share:.3g} of the median's, averaged over columns")
    if len(others):
        right = 1 - others[["error", "baseline"]].mean()
        console.print(f"others: {right.error:.1%} right, {right.baseline:.1%} by the most frequent value")


@app.command()
def sample(
    run: Run,
    output: OutputOrPicture,
    n: Annotated[int, typer.Option("-n", min=1, help="Rows.")] = 64,
    condition: Annotated[str | None, typer.Option(help="Of all rows: a class, or numbers with commas.")] = None,
    noise: Annotated[bool, typer.Option("--noise", help="Draw from the likelihood too, not only the code.")] = False,
    seed: Seed = 0,
) -> None:
    """Write rows that the model generates.

    Of a conditional model without --condition the classes take turns: in a .png each has its column, in a .csv or
    .parquet the column `condition` tells.
    """
    estimator = _ready(run, output, "sample", pictures=True)
    y = _parse_condition(estimator, condition, n)
    rows = estimator.sample(n, **({} if y is None else {"y": y}), noise=noise, random_state=seed)
    in_turn = condition is None and y is not None
    if output.suffix == ".png":
        _draw(output, images.grid_png(rows, min(n, len(estimator.classes_) if in_turn else round(n**0.5))))
        return
    columns: dict[str, Any] = {"condition": y} if in_turn else {}
    _write(output, rows, _features(estimator, rows), columns)


@app.command()
def interpolate(
    run: Run,
    data: Data,
    output: OutputOrPicture,
    start: Annotated[
        str | None, typer.Option("--from", help="Rows to start from, such as 0,1; default: five, at random.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="As many to end at; default: five others, at random.")] = None,
    steps: Annotated[int, typer.Option(min=2, help="Rows on the way, with both ends.")] = 9,
    path: Annotated[Literal["straight", "spherical"], typer.Option(help="The way from code to code.")] = "straight",
    split: Split = "test",
    label: Label = None,
    data_dir: DataDir = None,
) -> None:
    """Write what lies between rows of DATA, decoded from the codes between theirs; .png: a line a pair.

    A conditional model is told the label of a pair that shares one.
    """
    estimator = _ready(run, output, "interpolate", pictures=True)
    cut = _read_cut(run)
    X, y = _load(data, split, label, data_dir, estimator, cut)
    half = min(5, len(X) // 2)
    order = spread_order(len(X), y)
    if not half and (start is None or end is None):
        raise InputError(f"{data} has fewer than two rows, no pair to go between: name both ends with --from and --to")
    a = order[:half] if start is None else _parse_rows("--from", start, len(X))
    b = order[half : 2 * half] if end is None else _parse_rows("--to", end, len(X))
    if len(a) != len(b):
        raise InputError(f"--from has {len(a)} rows and --to {len(b)}: name as many of each")
    shared: Any = None if y is None else np.where(y[a] == y[b], y[a].astype(object), None)
    rows = estimator.interpolate(_take(X, a), _take(X, b), steps, path=path, **told(estimator, shared))
    if isinstance(rows, pd.DataFrame):
        names = [name if name not in rows.columns else f"{name} of the way" for name in ("pair", "step")]
        _write(output, rows.reset_index(names=names), [])
    elif output.suffix == ".png":
        _draw(output, images.grid_png(rows.reshape(-1, *estimator.row_shape_), steps))
    elif output.suffix == ".npy":
        _write(output, rows, [])
    else:
        places = {"pair": np.repeat(np.arange(len(a)), steps), "step": np.tile(np.arange(steps), len(a))}
        rows = rows.reshape(-1, *rows.shape[2:])
        _write(output, rows, _features(estimator, rows), places)
    if start is None or end is None:
        names = _names(data, X, cut)
        pairs = [f"{names[i]} to {names[j]}" for i, j in zip(a, b, strict=True)]
        _say(f"drawn at random: {'; '.join(pairs)}")


@app.command()
def neighbors(
    run: Run,
    data: Data,
    output: OutputOrPicture,
    query: Annotated[
        str | None, typer.Option(help="Row numbers of DATA, such as 0,5,9, or other data; default: ten, at random.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Neighbours of each.")] = 5,
    split: Split = "test",
    label: Label = None,
    data_dir: DataDir = None,
) -> None:
    """Write which rows of DATA have the codes nearest to those of the queries; .png: a line a query, itself first."""
    estimator, cut = _ready(run, output, "transform", pictures=True), _read_cut(run)
    found = _load(data, split, label, data_dir, estimator, cut)
    codes = estimator.transform(found.X, **told(estimator, found.y))
    if query is None or re.fullmatch(r"[\d, ]*", query):
        own = spread_order(len(codes), found.y)[:10] if query is None else _parse_rows("--query", query, len(codes))
        asked, queries = Dataset(_take(found.X, own), None if found.y is None else found.y[own]), codes[own]
    else:
        own, asked = None, _load(query, split, label, data_dir, estimator, cut)
        queries = estimator.transform(asked.X, **told(estimator, asked.y))
    index, distance = nearest_by_code(codes, queries, k, own)
    if output.suffix == ".png":
        lines = np.concatenate([_shaped(estimator, asked.X)[:, None], _shaped(estimator, found.X)[index]], axis=1)
        names = _names(data if own is not None else str(query), asked.X if own is None else found.X, cut)
        asking_rows = np.arange(len(queries)) if own is None else own
        _draw(output, images.grid_png(lines.reshape(-1, *estimator.row_shape_), k + 1), names, asking_rows)
    else:
        # Of a long series rows are windows, and go by the step that they begin at.
        places = np.arange(max(len(codes), len(queries))) if cut is None else _starts(data, cut)
        asking = places if own is not None or cut is None else _starts(str(query), cut)
        table = {"row": asking[np.arange(len(queries)) if own is None else own]}
        table |= {f"neighbour_{i + 1}": places[index[:, i]] for i in range(k)}
        table |= {f"distance_{i + 1}": distance[:, i] for i in range(k)}
        for name, column in _file_column(data).items():
            table |= {f"{name}_{i + 1}": np.array(column)[index[:, i]] for i in range(k)}
        files.write_table(output, pd.DataFrame(table))
        console.print(f"{len(queries):,} rows: {output}", soft_wrap=True)
    share = None if found.y is None or asked.y is None else _share_alike(found.y, index, asked.y)
    if share is not None:
        console.print(f"{share:.1%} of the neighbours have the label of their query")


@app.command("report")
def write_report(
    run: Run,
    data: Annotated[str | None, typer.Argument(metavar="[DATA]", help="Other rows than the run's own.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where to; default: RUN/report.html.")] = None,
    label: Label = None,
    data_dir: DataDir = None,
) -> None:
    """Write the report about a run again, or about how it does on other DATA."""
    estimator = _loaded(run, "transform")
    path = output or run / "report.html"
    check_writable(path)
    noted = runs.read(run) if data is None or (run / runs.RUN).is_file() else None
    trained_on = None if noted is None else str(noted["data"])
    if data is None:
        assert noted is not None
        data, label, data_dir = noted["data"], noted["label"], noted["data_dir"] and Path(noted["data_dir"])
    cut = _read_cut(run)
    rows, labels = _load(data, "test", label, data_dir, estimator, cut)
    page = report.model_page(
        estimator,
        rows,
        labels,
        f"{type(estimator).__name__} on {data}",
        which=_which(data, trained_on),
        names=_names(data, rows, cut),
    )
    report.write_page(page, path)
    console.print(f"report: {path}", soft_wrap=True)


@app.command("reproduce")
def write_reproduction(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One of --list.")] = None,
    names: Annotated[bool, typer.Option("--list", help="Say which there are.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="A shortened run, which proves nothing.")] = False,
    out: Annotated[Path | None, typer.Option(help="The results' folder; default: runs/reproduce/NAME.")] = None,
    seed: FirstSeed = 0,
    data_dir: DataDir = None,
) -> None:
    """Measure a published result again, and write the figures and a report into a folder."""
    if names:
        for key, each in reproduce.REPRODUCTIONS.items():
            _say(f"{key:20}{each.TITLE}")
        return
    if name is None:
        raise InputError("reproduce needs a NAME: isthmus reproduce --list says which there are")
    reproduce.check_name(name)
    folder = out or Path("runs", "reproduce", f"{name}-quick" if quick else name)
    check_writable(folder / "report.html")
    found = reproduce.run(name, quick=quick, seed=seed, data_dir=data_dir, progress=_say)
    report.write_page(report.reproduction_page(found), folder / "report.html")
    with replacing(folder / "reproduction.json") as temporary:
        temporary.write_text(json.dumps(found.as_json(), indent=2, ensure_ascii=False), encoding="utf-8")
    for title, cells in report.result_cells(found).items():
        _say(f"\n{title}")
        _print_table("", cells)
    for note in (*found.findings.notes, *filter(None, [report.quick_words(found)])):
        _say(f"\n{note}")
    _say(f"\nreport: {folder / 'report.html'}")


def _print_comparison(cells: pd.DataFrame) -> None:
    """Print a comparison under short names."""
    short = {
        "share_of_pca": "/ PCA",
        "mse_corrupted": "corrupted",
        "linear_probe": "probe",
        "nearest_neighbour": "1-NN",
        "best_epoch": "epoch kept",
    }
    _print_table("model", cells.rename(columns=short))


def _print_table(first: str, cells: pd.DataFrame) -> None:
    """Print text on lines long enough for it, whatever the terminal's width: a cut figure is no figure."""
    table = Table(first, box=None)
    for name in cells.columns:
        table.add_column(str(name), justify="right")
    for line in cells.itertuples():
        table.add_row(*map(str, line))
    Console(width=max(console.width, 140)).print(table)


def _say(text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False)


class Cut(NamedTuple):
    """How a long series is cut into windows."""

    window: int
    stride: int


def _load(
    data: str,
    split: datasets.Split,
    label: str | None,
    data_dir: Path | None,
    estimator: Any = None,
    cut: Cut | None = None,
) -> Dataset:
    """Read DATA: a name of the catalogue, a file or a folder; labels may be missing where the model takes them."""
    if cut is not None:
        values = windows(files.read_series(data).values, *cut)
        return Dataset(values[:, :, 0] if values.shape[2] == 1 else values)
    if data in datasets.names():
        if label is not None:
            raise InputError(f"--label {label}: {data} has its own labels; leave it out")
        return datasets.load(data, split, data_dir)
    path = Path(data)
    if not path.exists() and not path.suffix and len(path.parts) == 1:
        datasets.load(data)  # no file and no name of one: says which names there are
    inner = getattr(estimator, "autoencoder_", estimator)  # a detector's
    mixed = isinstance(inner, models.TabularAutoencoder)
    text = inner.schema_.text if mixed and hasattr(inner, "schema_") else ()
    return files.read(path, label, gaps=getattr(inner, "takes_conditions", False), mixed=mixed, text=text)


def _which(data: str, trained_on: str | None = None) -> str:
    """Say what the rows of a report are; a file is trained on whole, a named data set has test rows of its own."""
    if data in datasets.names():
        return "test rows"
    return "rows" if trained_on is not None and Path(data).resolve() != Path(trained_on) else "training rows"


def _names(data: str, X: Any, cut: Cut | None) -> list[str]:
    """Return what rows are called: images by their files, windows by their steps, others as they are in a table."""
    if cut is not None:
        return [f"steps {start} to {start + cut.window - 1}" for start in _starts(data, cut)]
    if Path(data).is_dir() and data not in datasets.names():
        return [path.relative_to(data).as_posix() for path in files.image_paths(Path(data))]
    return row_names(X)


def _file_column(data: str) -> dict[str, Any]:
    """Return the files of a folder of images, to stand beside its rows; of other data nothing."""
    is_folder = Path(data).is_dir() and data not in datasets.names()
    return {"file": _names(data, None, None)} if is_folder else {}


def _ready(run: Path, output: Path, method: str, *, pictures: bool = False) -> Any:
    """Load a run's model once it is sure that the result can be written."""
    files.check_output(output, (*files.WRITABLE, ".png") if pictures else files.WRITABLE)
    check_writable(output)
    estimator = _loaded(run, method)
    if output.suffix == ".png" and not _has_images(estimator):
        endings = ", ".join(files.WRITABLE)
        raise InputError(f"cannot draw {output}: the rows of {run} are no images; give a name that ends in {endings}")
    return estimator


def _loaded(run: Path, method: str) -> Any:
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


def _has_images(estimator: Any) -> bool:
    return images.is_image(estimator.row_shape_) and not isinstance(estimator, models.SequenceAutoencoder)


def _mean_row(estimator: Any) -> np.ndarray:
    """Return the mean of the training rows; of sequences, of each feature."""
    mean: np.ndarray = estimator.mean_ if hasattr(estimator, "mean_") else estimator.module_.fill.cpu().numpy()
    return mean


def _features(estimator: Any, rows: np.ndarray) -> list[str]:
    """Return the names of the entries of flattened rows."""
    names = [f"x_{i}" for i in range(int(np.prod(rows.shape[1:])))]
    return list(getattr(estimator, "feature_names_in_", names))


def _shaped(estimator: Any, X: Any) -> np.ndarray:
    """Return rows as numbers in the shape that the model knows, gaps as NaN."""
    rows = to_rows(X, allow_nan=True)
    return rows.reshape(-1, *estimator.row_shape_) if rows[0].size == estimator.n_features_in_ else rows


def _share_alike(y: np.ndarray, index: np.ndarray, asked: np.ndarray) -> float | None:
    """Return how many of the neighbours have the label of their query, where both are known; None without classes."""
    if y.ndim > 1 or asked.ndim > 1 or not are_classes(y[~pd.isna(y)]):
        return None
    both = ~pd.isna(y)[index] & ~pd.isna(asked)[:, None]
    return float((y[index] == asked[:, None])[both].mean()) if both.any() else None


def _take(X: Any, rows: np.ndarray) -> Any:
    return X.iloc[rows] if isinstance(X, pd.DataFrame) else X[rows]


def _write(output: Path, values: Any, columns: list[str], first: dict[str, Any] | None = None) -> None:
    """Write rows, a DataFrame as it is; in a table of named columns some others stand first."""
    if isinstance(values, pd.DataFrame):
        files.write_table(output, values)
    elif output.suffix == ".npy" or not first:
        files.write(output, values, columns)
    else:
        rows = pd.DataFrame(values.reshape(len(values), -1), columns=columns)
        files.write_table(output, pd.concat([pd.DataFrame(first), rows], axis=1))
    console.print(f"{len(values):,} rows: {output}", soft_wrap=True)


def _hidden(shape: tuple[int, ...], share: float, block: bool, seed: int, data: str, cut: Cut | None) -> np.ndarray:
    """Choose what is hidden of rows; of a long series the same steps in all windows that they are in."""
    if cut is None:
        return hidden_entries(shape, share, block=block, seed=seed)
    if block:
        raise InputError("--block: a long series is hidden step by step; leave it out")
    steps = hidden_entries(files.read_series(data).values.shape, share, seed=seed)
    return windows(steps, *cut).reshape(shape)


def _starts(data: str, cut: Cut) -> np.ndarray:
    """Return the step that each window of a series begins at."""
    return window_starts(len(files.read_series(data).values), *cut)


def _write_steps(output: Path, values: np.ndarray, data: str, cut: Cut, total: str | None = None) -> None:
    """Write what was said of the steps of windows on the series' own time axis, perhaps as a total over features."""
    series = files.read_series(data)
    values = values.reshape(*values.shape[:2], -1)
    columns = [total] if total else series.names
    steps = on_time_axis(values.sum(2, keepdims=True) if total else values, len(series.values), cut.stride)
    table = pd.DataFrame(steps, columns=columns)
    timed = series.time is not None and output.suffix != ".npy"  # an array holds numbers alone
    files.write_table(output, pd.concat([series.time, table], axis=1) if timed else table)
    console.print(f"{len(steps):,} steps: {output}", soft_wrap=True)
    if total:
        console.print(f"mean {np.nanmean(steps):.5g} nats, lowest {np.nanmin(steps):.5g} in row {np.nanargmin(steps)}")


def _draw(output: Path, png: bytes, names: Sequence[str] = (), rows: np.ndarray | None = None) -> None:
    """Write a picture, and say which rows are on it."""
    with replacing(output) as temporary:
        temporary.write_bytes(png)
    shown = "" if rows is None else f", of {listed([names[i] for i in rows], len(rows))}"
    console.print(f"picture: {output}{shown}", soft_wrap=True)


def _read_cut(run: Path) -> Cut | None:
    """Return how the series was cut that the run was trained on; None where it was none, or the run does not say."""
    noted = runs.read(run) if (run / runs.RUN).is_file() else {"window": None}
    return _parse_cut(noted["window"], noted["stride"], None) if noted["window"] is not None else None


def _parse_cut(window: int | None, stride: int | None, label: str | None) -> Cut | None:
    if window is None:
        if stride is not None:
            raise InputError(f"--stride {stride} is of windows: say how long they are too, such as --window 100")
        return None
    if label is not None:
        raise InputError(f"--label {label}: the windows of one series have no labels; leave it out")
    return Cut(window, max(1, window // 10) if stride is None else stride)


def _choice(kind: str, name: str, choices: dict[str, Any]) -> Any:
    if name not in choices:
        raise InputError(f"unknown {kind} {name!r}: give one of {', '.join(choices)}")
    return choices[name]


def _parse_network(family: type[Any], name: str | None, **widths: str | None) -> dict[str, Any]:
    """Return the parameters that choose a network and the widths of its layers."""
    network = family.default_network if name is None else _choice("network", name, NETWORKS)
    kind = name or next(key for key, each in NETWORKS.items() if each is network)
    params: dict[str, Any] = {} if name is None else {"network": network()}
    for option, text in widths.items():
        if text is not None and option != WIDTHS[kind]:
            other = f"give --{WIDTHS[kind]}" if WIDTHS[kind] in widths else f"give --set network__{WIDTHS[kind]}=64"
            raise InputError(f"--{option} {text}: the network {kind} has no {option}; {other}")
        if text is not None:
            numbers = _parse_whole(f"--{option}", text)
            params[f"network__{option}"] = numbers[0] if kind == "lstm" and len(numbers) == 1 else numbers
    return params


def _parse_rows(option: str, text: str, n: int) -> np.ndarray:
    """Read row numbers, such as 0,5,9, of data with `n` rows."""
    rows = np.array(_parse_whole(option, text), dtype=int)
    if not len(rows):
        raise InputError(f"{option} {text!r} names no row: give numbers with commas, such as 0,5,9")
    for row in rows:
        if not 0 <= row < n:
            raise InputError(f"{option} {text}: there is no row {row}, the last of {n} is {n - 1}")
    return rows


def _parse_whole(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in text.split(",") if number.strip())
    except ValueError as error:
        raise InputError(f"{option} {text}: give whole numbers with commas, such as 128,64") from error


def _parse_condition(estimator: Any, text: str | None, n: int) -> Any:
    """Read a condition as one of the model's classes, or as its numbers; without one the classes take turns."""
    classes = getattr(estimator, "classes_", None)
    if text is None:
        return None if classes is None else np.resize(classes, n)
    if not estimator.takes_conditions:
        raise InputError(f"--condition {text}: the model knows no conditions; train --model conditional")
    if classes is not None:
        return _choice("condition", _as_class(text, classes), {str(name): name for name in classes})
    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError as error:
        raise InputError(f"--condition {text}: give numbers with commas, such as 1.5") from error
    if len(numbers) != len(estimator.y_mean_):
        raise InputError(f"--condition {text}: the model was trained with {len(estimator.y_mean_)} a row; give as many")
    return numbers if len(numbers) > 1 else numbers[0]


def _as_class(text: str, classes: np.ndarray) -> str:
    """Return the class that is the same number as written among the classes, 3.0 for 3; any other text as it is."""
    try:
        return next((str(name) for name in classes if classes.dtype.kind in "iuf" and name == float(text)), text)
    except ValueError:
        return text


def _parse_settings(settings: list[str] | None) -> dict[str, Any]:
    """Read NAME=VALUE pairs; a value that is no Python literal is text."""
    parsed = {}
    for setting in settings or ():
        name, equals, value = setting.partition("=")
        if not equals:
            raise InputError(f"--set {setting}: give NAME=VALUE")
        try:
            parsed[name] = ast.literal_eval(CONSTANTS.get(value.lower(), value))
        except (ValueError, SyntaxError):
            parsed[name] = value
    return parsed
