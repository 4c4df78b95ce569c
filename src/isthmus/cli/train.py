"""`isthmus train`."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import typer

from isthmus import models, report, runs
from isthmus.cli.anew import described_from, estimator_from, option_name, typed
from isthmus.cli.app import app
from isthmus.cli.console import complain, say
from isthmus.cli.meaning import allow, refuse_without_meaning
from isthmus.cli.options import (
    MOST,
    Components,
    DataDir,
    Device,
    Drop,
    Epochs,
    Fit,
    Group,
    Kinds,
    Label,
    MaxGB,
    MaxPixels,
    Missing,
    Seed,
    Settings,
    Size,
    SkipBad,
    Stride,
    Time,
    Window,
)
from isthmus.cli.parsing import MODELS, NETWORKS, choice, parse_columns, parse_network, parse_settings
from isthmus.cli.rows import (
    Cut,
    Framing,
    load_rows,
    names_of,
    of_table,
    parse_cut,
    parse_framing,
    read_framing,
    read_source,
    take_rows,
    which_rows,
)
from isthmus.cli.saved import has_images
from isthmus.errors import InputError, with_kind
from isthmus.models.conditional import told
from isthmus.models.kept import kept_in_words
from isthmus.models.savable import check_savable
from isthmus.report.words import error_in_words
from isthmus.sources import datasets
from isthmus.sources.images import check_size
from isthmus.training import Interrupted
from isthmus.training.keeper import locked

BESIDE_RESUME = ("resume", "device", "checkpoint_minutes", "max_gb", "max_pixels")
"""What a run does not say itself, as it is of the machine."""

REPORT = "report.html"


@app.command()
def train(
    context: typer.Context,
    data: Annotated[str | None, typer.Argument(metavar="DATA", help="As `isthmus data` says.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="RUN", help="The run's folder.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped.")] = None,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="RUN", help="Go on from a finished run's weights, with new DATA.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the finished run that --out holds.")] = False,
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
    batch_size: Annotated[int | None, typer.Option(max=MOST, help="Rows a step.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate, or its peak.")] = None,
    scale: Annotated[
        Literal["standard", "auto", "none"] | None,
        typer.Option(help="Standardise inside; auto: where X has a spread that does harm; default: none."),
    ] = None,
    window: Window = None,
    stride: Stride = None,
    seed: Seed = 0,
    device: Device = "auto",
    settings: Settings = None,
    label: Label = None,
    time: Time = None,
    group: Group = None,
    data_dir: DataDir = None,
    kinds: Kinds = None,
    drop: Drop = None,
    na: Missing = None,
    size: Size = None,
    fit: Fit = "crop",
    skip_bad: SkipBad = False,
    max_gb: MaxGB = None,
    max_pixels: MaxPixels = None,
    checkpoint_minutes: Annotated[float, typer.Option(min=0, help="Between checkpoints, at the most.")] = 10,
) -> None:
    """Train an autoencoder on DATA, and save it and its report into a folder.

    The conditional model is told the labels of DATA. The run is kept after epochs, as long as that costs little,
    every --checkpoint-minutes, and where Ctrl-C stops it: `isthmus train --resume RUN` goes on as if nothing had
    happened.
    """
    allow(data if resume is None else None, max_gb, max_pixels)
    if resume is not None:
        _refuse_beside_resume(context)
        target, folder = resume, runs.kept_in(resume)
        asked = runs.read(folder)
        if asked["finished"] and folder == resume:
            say(f"{resume} is finished: there is nothing to go on with")
            if not (resume / REPORT).exists() and runs.is_finished(resume):
                _report(resume, asked)  # as it was killed in between
            return
        runs.check_data(asked)
    else:
        if data is None or out is None:
            raise InputError(f"train needs {'DATA' if data is None else '--out RUN'}: isthmus train --help says more")
        _check_name(out)
        runs.check_free(out, overwrite=overwrite)
        is_folder = Path(data).is_dir()
        has_columns = (model == "tabular" or window is not None) and not is_folder  # an array's too
        columns: dict[str, Any] = {} if has_columns else {"drop": drop, "na": na}
        columns |= {"kinds": kinds} if is_folder else {}
        refuse_without_meaning(data, size=size, fit=fit, skip_bad=skip_bad, **columns)
        target, folder = out, runs.beside(out) if runs.is_finished(out) else out
        given: dict[str, Any] = {
            "data": data, "label": label, "data_dir": data_dir, "window": window, "stride": stride, "time": time,
            "group": group, "features": None, "step": None, "model": model,
            "seed": seed, "components": components, "network": network, "hidden": hidden, "channels": channels,
            "epochs": epochs, "batch_size": batch_size, "lr": lr, "scale": scale, "settings": settings,
            "kinds": kinds, "drop": drop, "na": na,
            "fit": fit, "skip_bad": skip_bad, "size": size and parse_framing(size, fit, skip_bad).size,
        }  # fmt: skip
        asked = runs.described(**given) if source is None else described_from(context, source, **given)
    trained = None
    if not asked["finished"]:
        trained = _keep(folder, target, asked, device, checkpoint_minutes, is_new=resume is None)
        asked = trained.asked
    if folder != target:
        runs.take_place(target)
    if _report(target, asked, trained):
        say(f"model and report: {target}/ (open {target / REPORT})")
    else:
        say(f"model: {target}/")


def _check_name(out: Path) -> None:
    """Raise ValueError for a folder of which no model could be loaded: its weights need a name in UTF-8."""
    try:
        str(out).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"--out {out}: its name is not UTF-8, and a model could not be read there; rename it"
        ) from error


class _Trained(NamedTuple):
    """What a run has come to.

    Attributes
    ----------
    asked : dict
        What it was asked for.
    cut : Cut or None
        How its series was cut.
    estimator : estimator
    X, y : rows and labels that it was trained on
    """

    asked: dict[str, Any]
    cut: Cut | None
    estimator: Any
    X: Any
    y: Any


def _report(folder: Path, asked: dict[str, Any], trained: _Trained | None = None) -> bool:
    """Say how well a finished run does, and write its report: its model is saved, and what fails here costs nothing.

    Returns
    -------
    bool
        Whether it was written.
    """
    cut = None if trained is None else trained.cut
    try:
        with _stopping_at_once():
            if trained is not None:
                say(_outcome_in_words(trained))
            _write_report(folder, asked, cut or parse_cut(asked))
    except Interrupted as stopped:
        complain(f"stopped; the model is saved, and its report is not: isthmus report {folder} writes it")
        raise SystemExit(128 + stopped.signal) from stopped
    except Exception as error:
        complain(
            f"the model is saved, and its report is not: isthmus report {folder} tries it again ({with_kind(error)})"
        )
        return False
    return True


def _write_report(folder: Path, asked: dict[str, Any], cut: Cut | None) -> None:
    """Write the report of a finished run on its rows, or on the test rows of a named data set."""
    data, label = asked["data"], asked["label"]
    data_dir = None if asked["data_dir"] is None else Path(asked["data_dir"])
    estimator = models.load(folder)
    framing = _framing(asked, estimator)
    rows, labels = load_rows(data, "test", label, data_dir, estimator, cut, framing, told=True)
    names = names_of(data, rows, cut, framing)
    title = f"{asked['model'].capitalize()} autoencoder on {data}"
    page = report.model_page(estimator, rows, labels, title, which=which_rows(data), names=names)
    report.write_page(page, folder / REPORT)


def _keep(folder: Path, target: Path, asked: dict[str, Any], device: str, minutes: float, *, is_new: bool) -> _Trained:
    """Train a run in its folder, and leave it there where it is stopped; of one that has just begun nothing."""
    with locked(folder), _stopping_at_once():
        try:
            return _train(folder, asked, device, minutes)
        except BaseException as error:
            if is_new:
                runs.abandon(folder)
            if runs.is_kept(folder):
                stopped = "stopped" if isinstance(error, Interrupted) else "the run is kept"
                complain(f"{stopped}; to go on: isthmus train --resume {target}")
            elif isinstance(error, Interrupted):
                complain("interrupted")
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
    for name in context.params:
        if name not in BESIDE_RESUME and typed(context, name):
            raise InputError(f"{option_name(name)} beside --resume: the run says itself what it is; leave it out")


def _train(folder: Path, asked: dict[str, Any], device: str, checkpoint_minutes: float) -> _Trained:
    """Begin a run, or go on with it, and save its model."""
    data, label = asked["data"], asked["label"]
    data_dir = None if asked["data_dir"] is None else Path(asked["data_dir"])
    cut = parse_cut(asked)
    estimator = _estimator(asked, device)
    check_savable(estimator)
    framing = _framing(asked, estimator)
    asked = asked | _understood(data, label, estimator, cut, framing, asked["from"])
    X, y = load_rows(data, "train", label, data_dir, estimator, cut, framing, told=True)
    if estimator.takes_conditions and y is None:
        raise InputError(f"{data} has no labels to be a condition: name their column with --label")
    asked = runs.begin(folder, asked, X, y)
    estimator.fit(X, **told(estimator, y), resume_from=folder, checkpoint_minutes=checkpoint_minutes)
    runs.check_there(folder)
    if asked["from"] is not None:
        estimator.set_params(warm_start=False)  # which was for this fit alone
    estimator.save(folder)
    runs.finish(folder, asked)
    return _Trained(asked, cut, estimator, X, y)


def _outcome_in_words(trained: _Trained) -> str:
    """Say which weights are kept, and how well they do."""
    estimator = trained.estimator
    try:
        line = f"{kept_in_words(estimator)}; {_fit_in_words(estimator, trained.X, trained.y)}"
    except Exception as error:  # which must not look as if the model were not there
        return f"the model is saved; how well it does could not be measured ({with_kind(error)})"
    active = f"; {estimator.active_units_} active units" if hasattr(estimator, "active_units_") else ""
    return line + active


def _framing(asked: dict[str, Any], estimator: Any) -> Framing:
    """Return how rows are read: from another run's weights images in the size and colours of its model."""
    if asked["from"] is not None and has_images(estimator):
        return read_framing(Path(asked["from"]), estimator, bool(asked["skip_bad"]))._replace(label=None)
    return Framing(
        check_size(asked["size"]),
        asked["fit"] or "crop",
        bool(asked["skip_bad"]),
        strict=asked["from"] is None,
        **of_table(asked, estimator),
    )


def _estimator(asked: dict[str, Any], device: str) -> Any:
    """Return the estimator that a run is asked for."""
    names = {"components": "n_components", "epochs": "max_epochs", "batch_size": "batch_size", "lr": "lr"}
    params = {name: asked[option] for option, name in names.items() if asked[option] is not None}
    if asked["from"] is not None:
        params |= parse_settings(asked["settings"])
        return (
            estimator_from(asked).set_params(random_state=asked["seed"], device=device, verbose=1).set_params(**params)
        )
    family = choice("model", asked["model"], MODELS)
    params |= parse_network(family, asked["network"], hidden=asked["hidden"], channels=asked["channels"])
    params |= parse_columns(family, asked)
    if asked["scale"] is not None:
        params["scale"] = None if asked["scale"] == "none" else asked["scale"]
    params |= parse_settings(asked["settings"])
    return family(random_state=asked["seed"], device=device, verbose=1).set_params(**params)


def _understood(
    data: str, label: str | None, estimator: Any, cut: Cut | None, framing: Framing, source: str | None
) -> dict[str, Any]:
    """Say how a file or folder was understood, and return what the run is to note of a series.

    A run that begins at another's weights is warned where its step is another one than there.
    """
    if cut is None:
        if data not in datasets.names():
            for line in read_source(data, label, estimator, framing).understood:
                say(line)
        return {}
    series = cut.series(data)
    for line in cut.understood(data):
        say(line)
    for line in [] if source is None else cut.warnings(data, source):
        complain(f"{data}: {line}")
    found = {"time": series.time, "group": series.group}
    noted = {name: getattr(cut, name) if column is None else column.name for name, column in found.items()}
    return noted | {
        "features": None if Path(data).suffix == ".npy" else series.names,
        "step": list(series.paces) or None,
    }


def _fit_in_words(estimator: Any, X: Any, y: np.ndarray | None) -> str:
    """Say how well the weights that are kept do on the rows trained on, and on those held out."""
    held_out = np.isin(np.arange(len(X)), estimator.held_out_)
    parts = {"trained on": np.flatnonzero(~held_out), "held out": np.flatnonzero(held_out)}
    name, figures = "", []
    for part, rows in parts.items():
        if len(rows):
            name, figure = error_in_words(estimator, take_rows(X, rows), None if y is None else y[rows])
            figures.append(f"{figure} on the {len(rows):,} rows {part}")
    return f"{name} {', '.join(figures)}"
