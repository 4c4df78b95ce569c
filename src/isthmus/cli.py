"""The command line: parse, call, print."""

import ast
import json
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

import isthmus
from isthmus import models, persistence, report
from isthmus.atomic import check_writable, replacing
from isthmus.compare import comparison_cells
from isthmus.data import datasets, files
from isthmus.data.datasets import Dataset

CONSTANTS = {"true": "True", "false": "False", "none": "None"}

MODELS = {
    "plain": models.Autoencoder,
    "denoising": models.DenoisingAutoencoder,
    "sparse": models.SparseAutoencoder,
    "contractive": models.ContractiveAutoencoder,
}

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
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps or auto.")]


def main() -> None:
    """Run the command line; a user's mistake ends in one line on standard error and exit status 2."""
    warnings.showwarning = lambda message, category, *_: _show_warning(message, category)
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except (ValueError, TypeError, OSError, FloatingPointError) as error:
        _complain(str(error))
        sys.exit(2)
    except SystemExit as end:
        if end.code == 130:  # what typer makes of Ctrl-C
            _complain("interrupted")
        raise
    except Exception as error:
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
    data: Data,
    out: Out,
    model: Annotated[str, typer.Option(help=f"{', '.join(MODELS)}.")] = "plain",
    components: Components = None,
    hidden: Annotated[str | None, typer.Option(help="Widths of the hidden layers, such as 128,64.")] = None,
    epochs: Epochs = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows a step.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate, or its peak.")] = None,
    seed: Annotated[int, typer.Option(help="Of all random numbers.")] = 0,
    device: Device = "auto",
    settings: Settings = None,
    label: Label = None,
    data_dir: DataDir = None,
) -> None:
    """Train an autoencoder on DATA, and save it and its report into a folder."""
    persistence.check_free(out)
    named = {"n_components": components, "max_epochs": epochs, "batch_size": batch_size, "lr": lr}
    params = {name: value for name, value in named.items() if value is not None} | _parse_settings(settings)
    if hidden is not None:
        params["network__hidden"] = _parse_widths(hidden)
    estimator = _choice("model", model, MODELS)(random_state=seed, device=device, verbose=1).set_params(**params)
    estimator.fit(_load(data, "train", label, data_dir).X)
    estimator.save(out)
    _write_run(out, data, label, data_dir)
    rows, labels = _load(data, "test", label, data_dir)
    report.write_page(
        report.model_page(estimator, rows, labels, f"{model.capitalize()} autoencoder on {data}"), out / "report.html"
    )
    last = estimator.history_[-1]
    held_out = f", held out {last['validation']['mse']:.5g}" if "validation" in last else ""
    console.print(f"{estimator.n_iter_} epochs; squared error an entry {last['train']['mse']:.5g}{held_out}")
    console.print(f"model and report: {out}/ (open {out / 'report.html'})", soft_wrap=True)


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
    seed: Annotated[int, typer.Option(help="The first of the seeds.")] = 0,
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
        files.write(
            out / "comparison.csv", comparison.table.reset_index().to_numpy(), ["model", *comparison.table.columns]
        )
    _print_comparison(comparison_cells(comparison.table))
    console.print(f"corrupted: every model is shown the same rows, with {comparison.corruption}", soft_wrap=True)
    console.print(f"report: {out / 'report.html'}", soft_wrap=True)


@app.command()
def transform(
    run: Run, data: Data, output: Output, split: Split = "test", label: Label = None, data_dir: DataDir = None
) -> None:
    """Write the codes of DATA's rows."""
    estimator = _ready(run, output, "transform")
    codes = estimator.transform(_load(data, split, label, data_dir).X)
    _write(output, codes, [f"code_{i}" for i in range(codes.shape[1])])


@app.command()
def reconstruct(
    run: Run, data: Data, output: Output, split: Split = "test", label: Label = None, data_dir: DataDir = None
) -> None:
    """Write DATA's rows as the model rebuilds them."""
    estimator = _ready(run, output, "reconstruct")
    rows = estimator.reconstruct(_load(data, split, label, data_dir).X)
    names = getattr(estimator, "feature_names_in_", [f"x_{i}" for i in range(estimator.n_features_in_)])
    _write(output, rows, list(names))


@app.command()
def score(
    run: Run, data: Data, output: Output, split: Split = "test", label: Label = None, data_dir: DataDir = None
) -> None:
    """Write how usual each of DATA's rows is, in nats; higher is more usual."""
    estimator = _ready(run, output, "score_samples")
    scores = estimator.score_samples(_load(data, split, label, data_dir).X)
    _write(output, scores, ["score"])
    console.print(f"mean {scores.mean():.5g} nats, lowest {scores.min():.5g} in row {scores.argmin()}")


@app.command("report")
def write_report(
    run: Run,
    data: Annotated[str | None, typer.Argument(metavar="[DATA]", help="Other rows than the run's own.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where to; default: RUN/report.html.")] = None,
    label: Label = None,
    data_dir: DataDir = None,
) -> None:
    """Write the report about a run again, or about how it does on other DATA."""
    estimator = models.load(run)
    path = output or run / "report.html"
    check_writable(path)
    if data is None:
        data, label, data_dir = _read_run(run)
    rows, labels = _load(data, "test", label, data_dir)
    report.write_page(report.model_page(estimator, rows, labels, f"{type(estimator).__name__} on {data}"), path)
    console.print(f"report: {path}", soft_wrap=True)


def _print_comparison(cells: pd.DataFrame) -> None:
    """Print the table on lines long enough for it, whatever the terminal's width: a cut figure is no figure."""
    short = {
        "share_of_pca": "/ PCA",
        "mse_corrupted": "corrupted",
        "linear_probe": "probe",
        "nearest_neighbour": "1-NN",
    }
    table = Table("model", box=None)
    for name in cells.columns:
        table.add_column(short.get(str(name), str(name)), justify="right")
    for model, line in cells.iterrows():
        table.add_row(str(model), *line)
    Console(width=max(console.width, 120)).print(table)


def _load(data: str, split: datasets.Split, label: str | None, data_dir: Path | None) -> Dataset:
    """Read DATA: a name of the catalogue, a file or a folder."""
    if data in datasets.names():
        return datasets.load(data, split, data_dir)
    path = Path(data)
    if not path.exists() and not path.suffix and len(path.parts) == 1:
        datasets.load(data)  # no file and no name of one: says which names there are
    return files.read(path, label)


def _ready(run: Path, output: Path, method: str) -> Any:
    """Load a run's model once it is sure that the result can be written."""
    files.check_output(output)
    check_writable(output)
    estimator = models.load(run)
    if not hasattr(estimator, method):
        raise ValueError(f"{run} holds an {type(estimator).__name__}: it can score rows, and nothing else here")
    return estimator


def _write(output: Path, values: np.ndarray, columns: list[str]) -> None:
    files.write(output, values, columns)
    console.print(f"{len(values):,} rows: {output}", soft_wrap=True)


def _write_run(run: Path, data: str, label: str | None, data_dir: Path | None) -> None:
    """Note in the run's folder what it was trained on; a path as one that holds from anywhere."""
    where = data if data in datasets.names() else str(Path(data).resolve())
    with replacing(run / "run.json") as temporary:
        noted = {"data": where, "label": label, "data_dir": None if data_dir is None else str(data_dir.resolve())}
        temporary.write_text(json.dumps(noted, indent=2), encoding="utf-8")


def _read_run(run: Path) -> tuple[str, str | None, Path | None]:
    try:
        noted = json.loads((run / "run.json").read_text(encoding="utf-8"))
        return noted["data"], noted["label"], None if noted["data_dir"] is None else Path(noted["data_dir"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{run} does not say what it was trained on: give DATA") from error


def _choice(kind: str, name: str, choices: dict[str, Any]) -> Any:
    if name not in choices:
        raise ValueError(f"unknown {kind} {name!r}: give one of {', '.join(choices)}")
    return choices[name]


def _parse_widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(width) for width in text.split(",") if width.strip())
    except ValueError as error:
        raise ValueError(f"--hidden {text}: give whole numbers with commas, such as 128,64") from error


def _parse_settings(settings: list[str] | None) -> dict[str, Any]:
    """Read NAME=VALUE pairs; a value that is no Python literal is text."""
    parsed = {}
    for setting in settings or ():
        name, equals, value = setting.partition("=")
        if not equals:
            raise ValueError(f"--set {setting}: give NAME=VALUE")
        try:
            parsed[name] = ast.literal_eval(CONSTANTS.get(value.lower(), value))
        except (ValueError, SyntaxError):
            parsed[name] = value
    return parsed
