"""`isthmus train`."""

import os
import signal
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from isthmus import models, runs
from isthmus.cli.anew import described_from, estimator_from, option_name
from isthmus.cli.console import complain, say
from isthmus.cli.estimators import estimator_asked
from isthmus.cli.meaning import allow, refuse_without_meaning
from isthmus.cli.options import TrainOptions
from isthmus.cli.parsing import parse_size
from isthmus.errors import InputError, InputTypeError, with_kind
from isthmus.models.kept import kept_in_words
from isthmus.models.savable import check_savable
from isthmus.runs import Run, take_rows
from isthmus.saving.attributes import JsonObject
from isthmus.sources.endings import is_sharded
from isthmus.sources.windowing import windowing_of
from isthmus.threads import suited_to
from isthmus.training import Interrupted
from isthmus.training.keeper import locked
from isthmus.training.ranks import place_of_process

Asked = JsonObject
"""What a run is asked for, as its folder notes it."""

BESIDE_RESUME = (
    "resume", "device", "devices", "nodes", "strategy", "checkpoint_minutes", "max_gb", "max_pixels",
)  # fmt: skip
"""What a run does not say itself, as it is of the machine."""

REPORT = "report.html"


def rank_of_command(devices: int, nodes: int) -> int:
    """Return the rank of this process among those that train: of a machine's first one where it starts the others."""
    place = place_of_process(devices * nodes)
    if place is not None:
        return place.rank
    node = os.environ.get("NODE_RANK", "0") if nodes > 1 else "0"
    return devices * int(node) if node.isdecimal() else 0


@suited_to(0, blas=True)
def train(options: TrainOptions, typed: Collection[str]) -> None:
    """Begin a run, or go on with one, and write its report; `typed` are the options that were given."""
    allow(options.data if options.resume is None else None, options.max_gb, options.max_pixels)
    _check_strategy(options)
    if rank_of_command(options.devices, options.nodes) > 0:
        _follow(options, typed)
        return
    if options.resume is None:
        target, folder, asked = _new(options, typed)
    else:
        target, folder, asked = _begun(options.resume, typed)
        if asked["finished"] and folder == target:
            say(f"{target} is finished: there is nothing to go on with")
            if not (target / REPORT).exists() and runs.is_finished(target):
                _report(target, asked)  # as it was killed in between
            return
    run = None
    if not asked["finished"]:
        asked, run = _keep(folder, asked, options)
    if folder != target:
        runs.take_place(target)
    if _report(target, asked, run):
        say(f"model and report: {target}/ (open {target / REPORT})")
    else:
        say(f"model: {target}/")


def _check_strategy(options: TrainOptions) -> None:
    """Raise ValueError where one process alone is told how it is to share the work."""
    n = options.devices * options.nodes
    if options.strategy is not None and n == 1 and place_of_process() is None:
        raise InputError(f"--strategy {options.strategy} is for several processes: give --devices or --nodes too")


def _follow(options: TrainOptions, typed: Collection[str]) -> None:
    """Train as one of several processes of which the first one writes and prints, and end as it does."""
    warnings.simplefilter("ignore")
    try:
        _train_along(options, typed)
    except Interrupted as stopped:
        raise SystemExit(128 + stopped.signal) from stopped
    except (ConnectionError, FloatingPointError) as error:
        raise SystemExit(2) from error  # of which the first one tells, or another
    except (InputError, InputTypeError, OSError, MemoryError) as error:
        complain(f"process {rank_of_command(options.devices, options.nodes)}: {with_kind(error)}")
        raise SystemExit(2) from error


def _train_along(options: TrainOptions, typed: Collection[str]) -> None:
    if options.resume is not None:
        _, folder, asked = _begun(options.resume, typed)
    elif options.data is not None and options.out is not None:
        folder, asked = options.out, _asked(options.data, options, typed)
    else:
        raise SystemExit(2)  # as the first one says
    if asked["finished"]:
        return
    estimator, run = _estimator_and_run(asked, options, verbose=0)
    X, told = _rows(run)
    estimator.fit(X, **told, resume_from=folder, checkpoint_minutes=options.checkpoint_minutes)


def _begun(target: Path, typed: Collection[str]) -> tuple[Path, Path, Asked]:
    """Return the folder of a run that is gone on with, where it is kept until it is finished, and what it is of."""
    for name in typed:
        if name not in BESIDE_RESUME:
            raise InputError(f"{option_name(name)} beside --resume: the run says itself what it is; leave it out")
    folder = runs.kept_in(target)
    asked = runs.read(folder)
    if not asked["finished"] or folder != target:
        runs.check_data(asked)
    return target, folder, asked


def _new(options: TrainOptions, typed: Collection[str]) -> tuple[Path, Path, Asked]:
    """Return the folder of a new run, where it is kept until it is finished, and what it is of."""
    data, out = options.data, options.out
    if data is None or out is None:
        raise InputError(f"train needs {'DATA' if data is None else '--out RUN'}: isthmus train --help says more")
    _check_name(out)
    runs.check_free(out, overwrite=options.overwrite)
    return out, runs.beside(out) if runs.is_finished(out) else out, _asked(data, options, typed)


def _asked(data: str, options: TrainOptions, typed: Collection[str]) -> Asked:
    """Return what a new run on `data` is of."""
    is_folder = Path(data).is_dir() and not is_sharded(Path(data))
    has_columns = (options.model == "tabular" or options.window is not None) and not is_folder  # an array's too
    drop, na = (None, None) if has_columns else (options.drop, options.na)
    kinds = options.kinds if is_folder else None
    refuse_without_meaning(
        data, size=options.size, fit=options.fit, skip_bad=options.skip_bad, kinds=kinds, drop=drop, na=na
    )
    given = options._asdict() | {"size": parse_size(options.size), "stream": _is_streamed(data, options) or None}
    if options.compile:
        given["settings"] = [*(options.settings or ()), "compile=true"]
    asked = {name: given.get(name) for name in (*runs.WHERE, *runs.HOW)}
    return runs.described(**asked) if options.source is None else described_from(options.source, asked, typed)


def _is_streamed(data: str, options: TrainOptions) -> bool:
    """Tell whether rows come from disk a piece at a time; say why where they are in no shards."""
    in_memory = options.window is not None or options.model == "sequence" or options.size is not None
    if in_memory:
        if options.stream or is_sharded(Path(data)):
            what = "--stream" if options.stream else data
            raise InputError(f"{what}: sequences, and images that are brought to a size, are read whole, into memory")
        return False
    why = runs.why_on_disk(data, asked=options.stream)
    is_told = rank_of_command(options.devices, options.nodes) == 0
    if is_told and why is not None and not is_sharded(Path(data)) and not options.stream:
        say(f"{data} is read from disk a piece at a time: {why}")
    return why is not None


def _check_name(out: Path) -> None:
    """Raise ValueError for a folder of which no model could be loaded: its weights need a name in UTF-8."""
    try:
        str(out).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"--out {out}: its name is not UTF-8, and a model could not be read there; rename it"
        ) from error


def _report(folder: Path, asked: Asked, run: Run | None = None) -> bool:
    """Say how well a finished run does, and write its report: its model is saved, and what fails here costs nothing.

    Returns
    -------
    bool
        Whether it was written.
    """
    try:
        with _stopping_at_once():
            if run is not None:
                say(_outcome_in_words(run))
            _write_report(folder, asked, run or _run(asked, models.load(folder)))
    except Interrupted as stopped:
        complain(f"stopped; the model is saved, and its report is not: isthmus report {folder} writes it")
        raise SystemExit(128 + stopped.signal) from stopped
    except Exception as error:
        complain(
            f"the model is saved, and its report is not: isthmus report {folder} tries it again ({with_kind(error)})"
        )
        return False
    return True


def _write_report(folder: Path, asked: Asked, run: Run) -> None:
    """Write the report of a finished run on its rows, or on the test rows of a named data set."""
    from isthmus import report  # matplotlib and plotly, once the model is saved

    run = replace(run, split="test") if run.is_named else run
    title = f"{asked['model'].capitalize()} autoencoder on {run.data}"
    page = report.model_page(run.estimator, *run.rows, title, which=run.which(), names=run.names)
    report.write_page(page, folder / REPORT)


def _keep(folder: Path, asked: Asked, options: TrainOptions) -> tuple[Asked, Run]:
    """Train a run in its folder, and leave it there where it is stopped; of one that has just begun nothing."""
    with locked(folder), _stopping_at_once():
        try:
            return _fit(folder, asked, options)
        except BaseException as error:
            if options.resume is None:
                runs.abandon(folder)
            if runs.is_kept(folder):
                stopped = "stopped" if isinstance(error, Interrupted) else "the run is kept"
                complain(f"{stopped}; to go on: isthmus train --resume {options.resume or options.out}")
            elif isinstance(error, Interrupted):
                complain("interrupted")
            if isinstance(error, Interrupted):
                raise SystemExit(128 + error.signal) from error
            raise


@contextmanager
def _stopping_at_once() -> Iterator[None]:
    """Make Ctrl-C and SIGTERM end a command in good order, where no training waits for the end of a step."""

    def stop(number: int, frame: object) -> None:
        raise Interrupted(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _fit(folder: Path, asked: Asked, options: TrainOptions) -> tuple[Asked, Run]:
    """Begin a run, or go on with it, and save its model."""
    estimator, run = _estimator_and_run(asked, options, verbose=1)
    for line in run.understood:
        say(line)
    asked = asked | _noted_of_series(run, asked["from"])
    X, told = _rows(run)
    asked = runs.begin(folder, asked, X, run.y)
    estimator.fit(X, **told, resume_from=folder, checkpoint_minutes=options.checkpoint_minutes)
    runs.check_there(folder)
    estimator.set_params(verbose=0)  # as a loaded one is, which a run that is killed here has its report of
    if asked["from"] is not None:
        estimator.set_params(warm_start=False)  # which was for this fit alone
    estimator.save(folder)
    runs.finish(folder, asked)
    return asked, run


def _estimator_and_run(asked: Asked, options: TrainOptions, verbose: int) -> tuple[BaseEstimator, Run]:
    """Return the estimator that is asked for, and its rows."""
    machine = {"device": options.device, "devices": options.devices, "nodes": options.nodes, "verbose": verbose}
    estimator = (estimator_asked if asked["from"] is None else estimator_from)(asked, **machine)
    check_savable(estimator)
    run = _run(asked, estimator)
    if estimator.takes_conditions and run.y is None:
        raise InputError(f"{run.data} has no labels to be a condition: name their column with --label")
    return estimator, run


def _run(asked: Asked, estimator: BaseEstimator) -> Run:
    """Return a run's model with the rows that it is, or was, trained on."""
    data_dir = None if asked["data_dir"] is None else Path(asked["data_dir"])
    framing = runs.framing_asked(asked, estimator)
    windowing, stream = windowing_of(asked), bool(asked["stream"])
    return Run(estimator, asked["data"], asked["label"], data_dir, "train", windowing, framing, stream)


def _rows(run: Run) -> tuple[Any, dict[str, np.ndarray | None]]:
    """Return what a model is fitted to, and its conditions, which a stream has in itself."""
    return (run.store, {}) if run.stream else (run.X, run.conditions)


def _noted_of_series(run: Run, source: str | None) -> Asked:
    """Return what a run is to note of a series; one that begins at another's weights is warned of another step."""
    if run.windowing is None:
        return {}
    for line in [] if source is None else run.windowing.warnings(run.series, source):
        complain(f"{run.data}: {line}")
    found = {"time": run.series.time, "group": run.series.group}
    noted = {name: getattr(run.windowing, name) if column is None else column.name for name, column in found.items()}
    return noted | {
        "features": None if Path(run.data).suffix == ".npy" else run.series.names,
        "step": list(run.series.paces) or None,
    }


def _outcome_in_words(run: Run) -> str:
    """Say which weights are kept, and how well they do."""
    estimator = run.estimator
    try:
        line = f"{kept_in_words(estimator)}; {_fit_in_words(run)}"
    except Exception as error:  # which must not look as if the model were not there
        return f"the model is saved; how well it does could not be measured ({with_kind(error)})"
    active = f"; {estimator.active_units_} active units" if hasattr(estimator, "active_units_") else ""
    return line + active


def _fit_in_words(run: Run) -> str:
    """Say how well the weights that are kept do on the rows trained on, and on those held out."""
    from isthmus.report.words import error_in_words

    X, y = run.rows
    held_out = np.isin(run.numbers, run.estimator.held_out_)
    parts = {"trained on": np.flatnonzero(~held_out), "held out": np.flatnonzero(held_out)}
    name, figures = "", []
    for part, rows in parts.items():
        if len(rows):
            name, figure = error_in_words(run.estimator, take_rows(X, rows), None if y is None else y[rows])
            figures.append(f"{figure} on the {len(rows):,} rows {part}")
    return f"{name} {', '.join(figures)}"
