"""Rows that come from disk a piece at a time through a model, to shards or to one file."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from isthmus import runs
from isthmus.cli.console import say
from isthmus.cli.meaning import allow, refuse_without_meaning
from isthmus.cli.options import RowsOptions
from isthmus.cli.saved import loaded, ready
from isthmus.errors import InputError
from isthmus.runs import Run
from isthmus.runs.on_disk import as_labels
from isthmus.saving.atomic import check_writable
from isthmus.sources.endings import WRITABLE, check_apart, check_folder_apart, is_sharded
from isthmus.sources.pieces import Store, merged
from isthmus.sources.prepared import Prepared
from isthmus.sources.reading import in_order
from isthmus.sources.results import Part, write_parts
from isthmus.sources.shard_results import NOTE, Applied, results_of, share_of_process
from isthmus.sources.shards import Shards

SECONDS_BETWEEN_LINES = 5
"""About how far it is."""


def comes_from_disk(options: RowsOptions) -> bool:
    """Tell whether the rows of a verb come from disk a piece at a time, and say why where it is not plain."""
    noted = runs.read_if_noted(options.run)
    if noted.get("window") is not None:
        if options.stream:
            raise InputError(f"--stream: {options.run} takes windows of a long series, read as a whole; leave it out")
        return False
    why = runs.why_on_disk(options.data, asked=options.stream)
    if why is not None and not is_sharded(Path(options.data)) and not options.stream:
        say(f"{options.data} is read from disk a piece at a time: {why}")
    return why is not None


def refuse_on_disk(options: RowsOptions, verb: str) -> None:
    """Raise ValueError for a verb that takes rows in memory alone."""
    if options.stream or is_sharded(Path(options.data)):
        raise InputError(f"{verb} takes rows that are in memory: give one shard, or a part of {options.data}")


def write_from_disk(
    options: RowsOptions, method: str, output: Path, *, formulas: bool = False, **parameters: Any
) -> None:
    """Write what a method says of rows on disk: of shards to shards in a folder, else to one file."""
    (check_folder_apart if is_folder(output) else check_apart)(output, Path(options.data))
    allow(options.data, options.max_gb, options.max_pixels)
    refuse_without_meaning(options.data, skip_bad=options.skip_bad)
    if output.suffix == ".png":
        raise InputError(f"cannot draw {output}: rows from disk go to a folder, or to {', '.join(WRITABLE)}")
    if is_folder(output):
        check_writable(output / NOTE)
        run = on_disk(options, loaded(options.run, method))
        _to_shards(run, method, output, parameters)
    else:
        run = on_disk(options, ready(options.run, output, method))
        _to_file(run, method, output, parameters, formulas)


def is_folder(output: Path) -> bool:
    """Tell whether a result's name is that of a folder: it has no ending of a file, or is there as one."""
    return output.is_dir() or output.suffix not in (*WRITABLE, ".png")


def codes_of(run: Run) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the codes of all rows, and their labels."""
    if not run.stream:
        return run.estimator.transform(run.X, **run.conditions), run.y
    applied, codes, labels = Applied(run.estimator.transform, {}), [], []
    for piece in merged(in_order(run.store)):
        codes.append(applied.of(piece))
        labels.append(as_labels(piece.y))
    y = None if labels[0] is None else np.concatenate([each for each in labels if each is not None])
    return np.concatenate(codes), y


def on_disk(options: RowsOptions, estimator: BaseEstimator) -> Run:
    """Return a run whose rows come from disk a piece at a time."""
    noted = runs.read_if_noted(options.run)
    return runs.used_on(
        estimator,
        options.run,
        noted,
        options.data,
        label=options.label,
        data_dir=options.data_dir,
        split=options.split,
        stream=True,
    )


def _to_shards(run: Run, method: str, output: Path, parameters: dict[str, Any]) -> None:
    store, shards = run.store, _shards(run.store)
    if shards is None or not isinstance(store, Prepared):
        raise InputError(f"cannot write {output}: {run.data} is no table in shards; give a name that ends in .npy")
    n, n_new, scores, is_score = 0, 0, [], method == "score_samples" and not parameters
    (rank, world), n_shards = share_of_process(), len(shards.paths)
    own = len(range(rank, n_shards, world))
    call = getattr(run.estimator, method)
    found = results_of(call, run.data, output, y=shards.y, prepared=store.function, **parameters)
    for i, shard in enumerate(found):
        n, n_new = n + shard.n_rows, n_new + shard.is_new
        print(f"{shard.result}: {shard.n_rows:,} rows, {i + 1} of {own}", file=sys.stderr, flush=True)
        scores += [(_scores_in(shard.result), shard.result)] if is_score else []
    before = f", {own - n_new:,} of them there before" if n_new < own else ""
    part = f" of {n_shards:,}, the share of process {rank} of {world}" if world > 1 else ""
    say(f"{n:,} rows: {output}/ ({own:,} shard{'' if own == 1 else 's'}{part}{before})")
    if any(len(each) for each, _ in scores):
        lowest, place = min((each.min(), result) for each, result in scores if len(each))
        _say_mean(np.concatenate([each for each, _ in scores]), f"{lowest:.5g} in {place}")


def _to_file(run: Run, method: str, output: Path, parameters: dict[str, Any], formulas: bool) -> None:
    if share_of_process()[1] > 1:
        raise InputError(f"-o {output}: each of several processes writes files of its own: give the name of a folder")
    store, scores, is_score = run.store, [], method == "score_samples" and not parameters
    shards = _shards(store)
    applied = Applied(getattr(run.estimator, method), parameters)
    found = applied.parts(
        store,
        () if shards is None else shards.schema.names,
        as_arrays=output.suffix == ".npy",
        unnamed="" if output.suffix == ".csv" else "row",
    )

    def counted() -> Iterator[Part]:
        done, said = 0, time.monotonic()
        for part in found:
            done += len(part)
            if time.monotonic() - said > SECONDS_BETWEEN_LINES:
                print(f"{output}: {done:,} of {len(store):,} rows", file=sys.stderr, flush=True)
                said = time.monotonic()
            if is_score:
                scores.append(part["score"].to_numpy() if isinstance(part, pd.DataFrame) else part)
            yield part

    n = write_parts(output, counted(), len(store), formulas=formulas)
    say(f"{n:,} rows: {output}")
    if scores:
        every = np.concatenate(scores)
        _say_mean(every, f"{every.min():.5g} in row {every.argmin():,}")


def _shards(store: Store) -> Shards | None:
    """Return the shards that rows are read from; None where it is no table."""
    inner = store.store if isinstance(store, Prepared) else store
    return inner if isinstance(inner, Shards) else None


def _scores_in(result: Path) -> np.ndarray:
    return np.asarray(pd.read_parquet(result, columns=["score"])["score"])


def _say_mean(scores: np.ndarray, lowest: str) -> None:
    say(f"mean {scores.mean():.5g} nats, lowest {lowest}")
