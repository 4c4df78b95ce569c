"""A model and the rows that it is shown, read as those that it was trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from isthmus.errors import InputError
from isthmus.formats.names import row_names
from isthmus.runs import on_disk
from isthmus.saving.attributes import JsonObject
from isthmus.sources import datasets, files
from isthmus.sources.catalogue import Split
from isthmus.sources.dataset import Dataset, Read, is_image
from isthmus.sources.files import Source
from isthmus.sources.images import check_size
from isthmus.sources.pieces import Piece, Store
from isthmus.sources.pixels import Fit
from isthmus.sources.survey import Survey, surveyed
from isthmus.sources.timeline import TimeSeries
from isthmus.sources.windowing import Windowing, windowing_of

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


class Framing(NamedTuple):
    """How a folder of images, or a table, becomes rows.

    Images are brought to a size, as (height, width), all with colours or none; of a table some columns may be left out,
    and some values stand for missing ones.
    """

    size: tuple[int, int] | None = None
    fit: Fit = "crop"
    skip_bad: bool = False
    colors: bool | None = None
    drop: tuple[str, ...] = ()
    na_values: tuple[str, ...] | None = None
    strict: bool = False  # all of drop must be there
    label: str | None = None  # the run's, which is taken where a file has it


AS_IT_IS = Framing()


@dataclass
class Run:
    """A model, the rows that it is shown, and how they are read: a file once.

    Parameters
    ----------
    estimator : estimator
        It may be fitted, or is to be.
    data : str
        A name of the catalogue, a file, or a folder of images.
    label : str, optional
        The column that holds the labels.
    data_dir : path, optional
        Where named data sets are looked for first.
    split : {"train", "test", "all"}
        The part of a named data set.
    windowing : Windowing, optional
        How a long series is cut; None: it is none.
    framing : Framing
        How images and tables become rows.
    stream : bool
        Whether rows come from disk a piece at a time: `rows` is then a sample of them, and `store` has all.
    """

    estimator: "BaseEstimator"
    data: str
    label: str | None = None
    data_dir: Path | None = None
    split: Split = "test"
    windowing: Windowing | None = None
    framing: Framing = AS_IT_IS
    stream: bool = False

    @cached_property
    def store(self) -> Store:
        """All rows, where they come from disk a piece at a time."""
        framing = self.framing
        return on_disk.read_from_disk(
            self.data, self.label, framing.label, drop=framing.drop, strict=framing.strict, prepared=self._prepared
        )

    def _prepared(self, piece: Piece) -> Piece:
        """Return rows of a table as the model takes them."""
        model = autoencoder_of(self.estimator)
        if not (hasattr(model, "schema_of") or hasattr(model, "modalities_")):
            piece = on_disk.numbers_of(piece, self.framing.na_values)
        return piece._replace(X=_in_order(piece.X, model))

    @cached_property
    def survey(self) -> Survey:
        """A first look at rows that come from disk, with a sample of them: the one that ``fit`` learns by."""
        return surveyed(self.store)

    @property
    def numbers(self) -> np.ndarray:
        """Which rows these are of all."""
        return self.survey.numbers if self.stream else np.arange(count_rows(self.X))

    @property
    def is_named(self) -> bool:
        """Whether the data have a name in the catalogue."""
        return self.windowing is None and self.data in datasets.names()

    @cached_property
    def series(self) -> TimeSeries:
        """The long series, where it is one."""
        assert self.windowing is not None
        return self.windowing.read(self.data)

    @cached_property
    def source(self) -> Source:
        """What was read of a file or folder, as the model takes it."""
        if not datasets.is_path(self.data):
            datasets.load(self.data)  # no file and no name of one: says which names there are
        how = self.framing._asdict()
        noted = how.pop("label")
        if Path(self.data).is_dir():
            return files.read_source(self.data, self.label, **how)
        model = autoencoder_of(self.estimator)
        several, is_mixed = hasattr(model, "modalities_"), hasattr(model, "schema_of")
        if several and not hasattr(model, "feature_names_in_") and Path(self.data).suffix == ".npz":
            return Source(Dataset(files.read_modalities(self.data)), [], [])  # type: ignore[arg-type]
        if is_mixed and isinstance(model.na_values, list | tuple):
            how["na_values"] = tuple(model.na_values)
        where_there = self.label is None and noted is not None
        return files.read_source(
            self.data,
            noted if where_there else self.label,
            gaps=where_there or getattr(model, "takes_conditions", False),
            mixed=several or is_mixed,
            text=tuple(model.schema_.text) if hasattr(model, "schema_") else _asked_as_text(model),
            where_there=where_there,
            numbers=() if several else _known_as_numbers(model),
            **how,
        )

    @cached_property
    def rows(self) -> Dataset:
        """Rows and labels; these may be missing where the model takes them. Of what comes from disk a sample."""
        if self.stream:
            return Dataset(self.survey.sample.X, self._labels_of_sample())
        if self.windowing is not None:
            return Dataset(self.windowing.windows(self.data, self.series))
        if self.is_named:
            if self.label is not None:
                raise InputError(f"--label {self.label}: {self.data} has its own labels; leave it out")
            return datasets.load(self.data, self.split, self.data_dir)
        X, y = self.source.data
        model, is_noted = autoencoder_of(self.estimator), self.label is None and self.framing.label is not None
        if is_noted and y is not None and pd.isna(y).any() and not getattr(model, "takes_conditions", False):
            y = None  # of a label that was not asked for, gaps are no mistake
        return Dataset(_in_order(X, model), y)

    def _labels_of_sample(self) -> np.ndarray | None:
        y = on_disk.as_labels(self.survey.sample.y)
        has_gaps = y is not None and bool(pd.isna(y).any())
        return None if has_gaps and not getattr(autoencoder_of(self.estimator), "takes_conditions", False) else y

    @property
    def X(self) -> Any:  # noqa: N802
        """The rows."""
        return self.rows.X

    @property
    def y(self) -> np.ndarray | None:
        """Their labels."""
        return self.rows.y

    @property
    def conditions(self) -> dict[str, np.ndarray | None]:
        """What the model's methods are told beside the rows."""
        takes = self.y is not None and getattr(self.estimator, "takes_conditions", False)
        return {"y": self.y} if takes else {}

    @property
    def understood(self) -> list[str]:
        """How a file or folder was understood, and how a series is cut, in lines."""
        if self.stream:
            return on_disk.in_words(self.store, self.data, len(self.numbers))
        if self.windowing is not None:
            return self.windowing.understood(self.data, self.series)
        return [] if self.is_named else self.source.understood

    @property
    def warnings(self) -> list[str]:
        """What is left out or changed, or may be wrong, in lines."""
        if self.windowing is not None:
            return self.windowing.warnings(self.series)
        return [] if self.is_named or self.stream else self.source.warnings

    @property
    def starts(self) -> np.ndarray:
        """The row that each window of a series begins at; of others each row's own number."""
        if self.windowing is None:
            return np.arange(len(self.store) if self.stream else count_rows(self.X))
        return self.series.starts(self.windowing.window, self.windowing.stride)

    @property
    def names(self) -> list[str]:
        """What rows are called: images by their files, windows by their steps, others as they are in a table."""
        if self.windowing is not None:
            return self.series.window_names(self.windowing.window, self.windowing.stride)
        if self.stream:
            return [f"row {i}" for i in self.numbers]
        if isinstance(self.X, Mapping):
            return [f"row {i}" for i in range(count_rows(self.X))]
        return self.files or row_names(self.X)

    @property
    def files(self) -> list[str] | None:
        """The files that were read of a folder of images; None of other data."""
        is_folder = self.windowing is None and not self.is_named and not self.stream and Path(self.data).is_dir()
        return self.source.names if is_folder else None

    @property
    def beside(self) -> dict[str, Sequence[object] | np.ndarray]:
        """What stands beside rows in a table: files of images, names that a table has, where windows begin."""
        if self.windowing is not None:
            columns = [each for each in (self.series.group, self.series.time) if each is not None]
            named = {str(column.name): column.iloc[self.starts].to_numpy() for column in columns}
            return {"start": self.starts, **{name: values for name, values in named.items() if name != "start"}}
        if isinstance(self.X, pd.DataFrame) and not isinstance(self.X.index, pd.RangeIndex | pd.MultiIndex):
            return {str(self.X.index.name or ""): self.X.index.to_numpy()}
        return {} if self.files is None else {"file": self.files}

    def which(self, trained_on: str | None = None) -> str:
        """Say what rows these are; a file is trained on whole, a named data set has test rows of its own."""
        if self.data in datasets.names():
            return "test rows"
        is_other = trained_on is not None and Path(self.data).resolve() != Path(trained_on)
        which = "rows" if is_other else "training rows"
        if not self.stream:
            return which
        held_out = 0 if is_other else int(np.isin(self.numbers, getattr(self.estimator, "held_out_", ())).sum())
        of_all = f" drawn from all {len(self.store):,} on disk" if len(self.numbers) < len(self.store) else " on disk"
        return f"{which}{of_all}{f', {held_out:,} of them held out' if held_out else ''}"


def used_on(
    estimator: "BaseEstimator",
    folder: Path,
    noted: JsonObject,
    data: str,
    *,
    time: str | None = None,
    group: str | None = None,
    skip_bad: bool = False,
    label: str | None = None,
    data_dir: Path | None = None,
    split: Split = "test",
    stream: bool = False,
) -> Run:
    """Return a trained model with rows that are read as its own were.

    Parameters
    ----------
    estimator : estimator
        The model.
    folder : path
        The run's.
    noted : dict
        What the run was asked for, nothing where that is not known; `time` and `group` are other columns.
    data : str
        What is read.
    skip_bad : bool
        Whether images that cannot be read are left out.
    label, data_dir, split, stream
        As :class:`Run` takes them.
    """
    columns = {"time": time or noted.get("time"), "group": group or noted.get("group"), "label": None}
    windowing = windowing_of({**noted, **columns}, str(folder))
    framing = framing_of(noted, estimator, skip_bad=skip_bad)
    return Run(estimator, data, label, data_dir, split, windowing, framing, stream)


def framing_of(noted: JsonObject, estimator: "BaseEstimator", *, skip_bad: bool = False) -> Framing:
    """Return how the rows of a run were read; images in the size and colours that its fitted model knows."""
    model = autoencoder_of(estimator)
    framing = Framing(
        None, noted.get("fit") or "crop", skip_bad or bool(noted.get("skip_bad")), label=noted.get("label")
    )
    if has_images(model):
        shape = model.row_shape_
        return framing._replace(size=tuple(shape[-2:]), colors=len(shape) == 3 and shape[0] == 3)
    return framing._replace(**_of_table(noted, model))


def framing_asked(asked: JsonObject, estimator: "BaseEstimator") -> Framing:
    """Return how the rows of a run that is to be trained are read: what it leaves out must be there."""
    if asked["from"] is not None and has_images(estimator):
        return framing_of({**asked, "label": None}, estimator)
    size, skip_bad = check_size(asked["size"]), bool(asked["skip_bad"])
    return Framing(size, asked["fit"] or "crop", skip_bad, strict=asked["from"] is None, **_of_table(asked, estimator))


def _of_table(noted: JsonObject, model: "BaseEstimator") -> JsonObject:
    """Return which columns and marks of a table a run leaves out; a tabular model does it itself."""
    if hasattr(model, "schema_of"):
        return {}
    marks = noted.get("na")
    return {"drop": tuple(noted.get("drop") or ()), "na_values": None if marks is None else tuple(marks)}


def autoencoder_of(estimator: "BaseEstimator") -> "BaseEstimator":
    """Return a detector's autoencoder, else the estimator itself."""
    return getattr(estimator, "autoencoder_", estimator)


def has_images(estimator: "BaseEstimator") -> bool:
    """Tell whether a fitted model's rows are images, which sequences are not."""
    return is_image(getattr(estimator, "row_shape_", ())) and not hasattr(estimator, "future_steps")


def _known_as_numbers(model: "BaseEstimator") -> tuple[str | int, ...]:
    """Return the columns that a model knows as numbers: 007 is one there."""
    if hasattr(model, "schema_"):
        text = set(model.schema_.text)
        columns = [column for column in model.schema_.columns if column.name not in text]
        return tuple(column.name for column in columns if column.kind != "date")
    return tuple(getattr(model, "feature_names_in_", ()))


def _asked_as_text(model: "BaseEstimator") -> tuple[str, ...]:
    """Return the columns that are categories by --kind: 01234 stays what it is."""
    kinds = getattr(model, "kinds", None)
    return tuple(name for name, kind in kinds.items() if kind == "category") if isinstance(kinds, Mapping) else ()


def _in_order(X: np.ndarray | pd.DataFrame, model: "BaseEstimator") -> np.ndarray | pd.DataFrame:
    """Put a table's columns into the order that a model knows, where it has all of them; others come last."""
    if not isinstance(X, pd.DataFrame):
        return X
    schema = getattr(model, "schema_", None)
    names = list(getattr(model, "feature_names_in_", ()) if schema is None else schema.names)
    needed = names if schema is None else [column.name for column in schema.columns]
    if not names or any(name not in X for name in needed):
        return X
    there, known = [name for name in names if name in X], set(names)
    ordered = [*there, *(name for name in X if name not in known)]
    return X if ordered == list(X) else X[ordered]


def count_rows(X: Read) -> int:
    """Return how many rows there are; of several modalities all have as many."""
    return len(next(iter(X.values()))) if isinstance(X, Mapping) else len(X)


def take_rows(X: Read, rows: np.ndarray) -> Read:
    """Return some of the rows."""
    if isinstance(X, Mapping):
        return {name: values[rows] for name, values in X.items()}
    return X.iloc[rows] if isinstance(X, pd.DataFrame) else X[rows]
