"""From a person's rows, in memory or not, to what form they have and the source that training reads."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from isthmus.core.batch import Batch
from isthmus.core.source import Source
from isthmus.errors import InputError, InputTypeError, hushed
from isthmus.formats.base import Format
from isthmus.formats.containers import RowsLike
from isthmus.formats.given import Given
from isthmus.models.engine import to_batch
from isthmus.sources.batches import batches_of
from isthmus.sources.endings import is_sharded
from isthmus.sources.memory import MemorySource
from isthmus.sources.pieces import Feed, Piece, Store, Stream, joined, merged, n_rows, row_width, said_where
from isthmus.sources.reading import in_order
from isthmus.sources.stream import stream_of
from isthmus.sources.streamed import Sample, StreamSource
from isthmus.sources.survey import Survey, most_rows, surveyed


class Learnt(NamedTuple):
    """What was learnt of rows before a model is built.

    Attributes
    ----------
    form : Format
        Their form.
    given : Given
        The rows as the model takes them; of a stream the sample.
    n : int
        How many there are.
    stream : Stream or None
        Where they come from, unless they are all in memory.
    survey : Survey or None
        What was seen of the stream.
    """

    form: Format
    given: Given
    n: int
    stream: Stream | None = None
    survey: Survey | None = None

    @property
    def n_numbers(self) -> int:
        """How many numbers all rows have."""
        return self.given.values.size * self.n // max(len(self.given.x), 1)

    def source(self, dtype: torch.dtype, device: torch.device) -> Source:
        """Return the rows as training reads them, on a device."""
        rows = MemorySource(to_batch(self.given, dtype, device))
        if self.stream is None or self.survey is None:
            return rows
        sample = Sample(rows, self.survey.numbers, self.n, self.survey.begins, self.survey.checksum)
        return StreamSource(self.stream, _encoder(self.form, dtype, device), sample)


def learnt(form: Format, X: RowsLike, y: RowsLike | None, *, reset: bool) -> Learnt:
    """Return what is learnt of rows: of a stream by a sample, and what can be summed up by all of them.

    Parameters
    ----------
    form : Format
        What was asked for, or was learnt of rows before.
    X, y : object
        Rows as ``fit`` takes them.
    reset : bool
        Whether it is learnt anew.
    """
    stream = streamed(form, X, y)
    if stream is None:
        return _in_memory(form, X, y, reset)
    if isinstance(stream, Feed) and stream.is_once:
        raise InputTypeError(
            f"{stream.name} gives its rows once alone, and fit goes over them again and again: give what begins anew, "
            "such as the function that returns it, or call partial_fit"
        )
    survey = surveyed(stream)
    sample = survey.sample
    if isinstance(stream, Store) and stream.is_fixed and len(survey.numbers) == survey.n:
        return _in_memory(form, sample.X, sample.y, reset)
    try:
        form, _ = form.learn(sample.X, sample.y) if reset else form.learn_more(sample.X, sample.y)
    except InputError as error:
        raise _located(error, form, stream) from error
    if reset:
        form = form.refined(_told(stream))
    else:
        for piece in merged(in_order(stream)):
            with said_where(piece):
                form, _ = form.learn_more(piece.X, piece.y)
    return Learnt(form, form.encode(sample.X, sample.y, targets=True), survey.n, stream, survey)


def streamed(form: Format, X: RowsLike, y: RowsLike | None) -> Stream | None:
    """Return rows that come a piece at a time; None where they are in memory, or have no one shape."""
    if form.takes_streams:
        return stream_of(X, y)
    if isinstance(X, str) or hasattr(X, "__fspath__"):
        how = "pandas.read_parquet(path)" if is_sharded(Path(X)) else "isthmus.datasets.load(path).X"  # type: ignore[arg-type]
        raise InputTypeError(
            f"X is a path, {X}, and this family takes rows that are in memory: give {how}, or call partial_fit on "
            "parts of them"
        )
    return None


def comes_in_pieces(X: object) -> bool:
    """Tell whether rows are on disk, or given one batch after the other, as far as it is seen without reading."""
    return isinstance(X, str | Path) or batches_of(X) is not None


def in_turn(feed: Feed) -> Iterator[Piece]:
    """Yield rows that come once alone in parts that fit in memory: each as many as a sample has at the most."""
    few: list[Piece] = []
    for piece in feed.pieces():
        few.append(piece)
        if sum(n_rows(each.X) for each in few) >= most_rows(row_width(piece.X)):
            yield joined(few, feed.name)
            few = []
    if few:
        yield joined(few, feed.name)


def _in_memory(form: Format, X: RowsLike, y: RowsLike | None, reset: bool) -> Learnt:
    form, given = form.learn(X, y) if reset else form.learn_more(X, y)
    return Learnt(form, given, len(given.x))


def _located(error: InputError, form: Format, stream: Stream) -> InputError:
    """Return what is wrong with a sample, said of the first piece of the stream that has the same fault."""
    for piece in stream.pieces():
        try:
            with hushed(Warning):
                form.learn(piece.X, piece.y)
        except InputError as its:
            if str(its)[:SAME] == str(error)[:SAME]:
                return InputError(f"{piece.where}: {its}")
    return InputError(f"{stream.name}: {error}")


SAME = 20
"""Letters by which two messages are of the same fault."""


def _told(stream: Stream) -> Iterator[tuple[RowsLike, RowsLike | None]]:
    """Yield the rows of each piece; what is wrong with them is said of it."""
    for piece in merged(in_order(stream)):
        with said_where(piece):
            yield piece.X, piece.y


def _encoder(form: Format, dtype: torch.dtype, device: torch.device) -> Callable[[Piece], Batch]:
    def encode(piece: Piece) -> Batch:
        with said_where(piece):
            given = form.encode(piece.X, piece.y, targets=True)
        if given.x.dtype != np.uint8:
            return to_batch(given, dtype, device)
        context = None if given.context is None else torch.tensor(given.context, dtype=dtype, device=device)
        return Batch(torch.from_numpy(np.ascontiguousarray(given.x)).to(device), context)

    return encode
