"""Rows of several modalities: dicts of arrays, and dataframes in blocks of columns."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import ClassVar, Literal, Self

import numpy as np
import pandas as pd

from isthmus.core.likelihoods import LIKELIHOODS
from isthmus.errors import InputError, InputTypeError, NewCategoryWarning, warn_caller
from isthmus.formats.base import Fill, Format
from isthmus.formats.checks import check_choice
from isthmus.formats.column_names import places_in
from isthmus.formats.containers import Dataframe, RowsLike, back, container_of, plain
from isthmus.formats.frames import Frame, mask_of, with_index
from isthmus.formats.given import Given
from isthmus.formats.modalities import Modality, Values, cost_at_mean, flat_rows, in_blocks, listed, slices
from isthmus.formats.names import columns_of_ids
from isthmus.formats.rows import interval
from isthmus.formats.schema import put_known_cells
from isthmus.saving.attributes import NAMES, SHAPE, SIZE, Attribute, all_of, check_lengths, dict_of, is_dict, is_finite
from isthmus.saving.untrusted import MOST_TENSORS


@dataclass(frozen=True)
class ModalitiesFormat(Format):
    """Rows of several modalities; a row of the model has their entries one after the other, and of a label its index.

    Parameters
    ----------
    blocks : dict of str to sequence, or None
        The columns of each modality, for a dataframe.
    likelihoods : dict of str to str
        The likelihood of each modality, where it is said.
    likelihood : str
        That of all others but labels.
    sigma : float or None
        σ of every Gaussian modality; None where it is learnt.
    block_weights : "balanced" or dict of str to float
        The weights of the modalities' terms in the loss.
    named : dict of str to collection of str
        The modalities that each parameter names, which rows must hold.
    """

    attributes: ClassVar = {
        "n_features_in_": SIZE,
        "feature_names_in_": NAMES,
        "row_shape_": SHAPE,
        # Each has some tensors of its own.
        "modalities_": Attribute(
            lambda value: all_of(is_dict)(value) and len(value) < MOST_TENSORS / 4,
            lambda value: tuple(map(Modality.from_json, value)),
            lambda modalities: list(map(asdict, modalities)),
            needed=True,
        ),
        "frame_": Attribute(is_dict, Frame.from_json, Frame.as_json),
        "block_weights_": Attribute(dict_of(is_finite), needed=True),
    }

    blocks: Mapping[str, Sequence[str | int]] | None = None
    likelihoods: Mapping[str, str] = field(default_factory=dict)
    likelihood: str = "gaussian"
    sigma: float | None = None
    block_weights: Literal["balanced"] | Mapping[str, float] = "balanced"
    named: Mapping[str, Collection[str]] = field(default_factory=dict)
    n_features_in_: int | None = None
    feature_names_in_: np.ndarray | None = None
    row_shape_: tuple[int, ...] = ()
    modalities_: tuple[Modality, ...] = ()
    frame_: Frame | None = None
    block_weights_: Mapping[str, float] | None = None

    def learn(self, X: RowsLike, y: RowsLike | None = None) -> tuple[Self, Given]:
        """Note what the modalities are, what a dataframe is, and what each modality weighs."""
        values = in_blocks(X, self.blocks)
        self._check_names(values)
        container = container_of(X)
        modalities = tuple(self._learn_modality(name, value) for name, value in values.items())
        size = sum(modality.size for modality in modalities)
        names = None if container is None else np.array(plain(X).columns, dtype=object)
        new = replace(self, modalities_=modalities, n_features_in_=size, row_shape_=(size,), feature_names_in_=names)
        rows = new._marked_rows(values, least=2)
        new._check_columns(rows)
        new._check_targets(rows)
        if container is not None:
            new = replace(new, frame_=Frame.learn(X, new._by_column(rows), container))
            ids = columns_of_ids(plain(X))
            if ids:
                warn_caller(f"column {ids[0]!r} numbers the rows, and measures nothing: drop it (--drop {ids[0]})")
        return replace(new, block_weights_=new._weights(rows)), Given(rows)

    def learn_more(self, X: RowsLike, y: RowsLike | None = None) -> tuple[Self, Given]:
        """Widen the ranges of a dataframe's columns by further training rows."""
        given = self.read(X, targets=True)
        frame = None if self.frame_ is None else self.frame_.widened(self._by_column(given.x))
        weights = self._weights(given.x) if isinstance(self.block_weights, Mapping) else self.block_weights_
        return replace(self, frame_=frame, block_weights_=weights), given

    def read(self, X: RowsLike, y: RowsLike | None = None, *, targets: bool = False) -> Given:
        """Return flat rows; a class that was not there at ``fit`` is NaN, and told of."""
        values = in_blocks(X, self.blocks)
        rows = self._marked_rows(values)
        if targets:
            self._check_targets(rows)
        return Given(self._without_new_classes(rows, values))

    def encode_to_score(self, X: RowsLike, y: RowsLike | None = None) -> Given:
        """Return flat rows; a class that was not there at ``fit`` is marked."""
        rows = self._marked_rows(in_blocks(X, self.blocks))
        self._check_targets(rows)
        return Given(rows)

    def check(self) -> None:
        """Raise ValueError where what was learnt does not fit together."""
        size = sum(modality.size for modality in self.modalities_)
        if self.row_shape_ != (size,) or self.n_features_in_ != size:
            raise InputError(f"its modalities make rows of shape {(size,)}, and it has {self.row_shape_}")
        columns = {modality.name: modality.columns for modality in self.modalities_}
        if len(columns) < len(self.modalities_) or set(self.block_weights_ or ()) != set(columns):
            raise InputError("its modalities have no name, or no weight, each of its own")
        framed = self.feature_names_in_ is not None
        blocks = {name: tuple(block) for name, block in (self.blocks or {}).items()}
        if blocks != (columns if framed else {}) or (not framed and set(columns.values()) != {None}):
            raise InputError("its blocks are not the columns of its modalities")
        if self.frame_ is not None and len(self.frame_.names) != size:
            raise InputError(f"its frame_ has {len(self.frame_.names)} columns, and rows {size}")
        check_lengths(self, {"feature_names_in_": size})
        names = [] if self.feature_names_in_ is None else sorted(map(str, self.feature_names_in_))
        if framed and names != sorted(str(column) for block in blocks.values() for column in block):
            raise InputError("its feature_names_in_ are not the columns of its modalities")

    def shown(self, X: RowsLike, given: Sequence[str] | None, *, but: str | None = None) -> Given:
        """Return rows of which some modalities are shown, the others being NaN.

        Parameters
        ----------
        X : dict of str to array-like, or DataFrame
        given : sequence of str or None
            The modalities that are; None is all that `X` has.
        but : str, optional
            One that is not, where `given` is None.
        """
        rows = self.read(X).x
        if given is None:
            hidden = [] if but is None else [but]
        else:
            self._check_given(given, X)
            hidden = [modality.name for modality in self.modalities_ if modality.name not in given]
        for name in hidden:
            rows[:, slices(self.modalities_)[name]] = np.nan
        return Given(rows)

    def decode(self, rows: np.ndarray, like: RowsLike | None = None) -> dict[str, np.ndarray] | Dataframe:
        """Return flat rows as a dict of arrays, or as a dataframe where ``fit`` was given one."""
        if self.feature_names_in_ is not None:
            return self._in_container(self._as_frame(rows), like)
        return {modality.name: modality.decode(rows[:, part]) for modality, part in self.places}

    def decode_steps(self, rows: np.ndarray, n: int, like: RowsLike) -> dict[str, np.ndarray]:
        """Return decoded steps as a dict of arrays of shape (n, steps, …), of a dataframe too."""
        decoded = ((modality, modality.decode(rows[:, part])) for modality, part in self.places)
        return {modality.name: values.reshape(n, len(rows) // n, *modality.shape) for modality, values in decoded}

    def entries(self, values: np.ndarray, like: RowsLike) -> dict[str, np.ndarray] | Dataframe:
        """Return what is one an entry by modality, or as a frame's columns."""
        if container_of(like) is not None:
            return self._in_container(pd.DataFrame(self._by_column(values), columns=self.feature_names_in_), like)
        return {modality.name: values[:, part].reshape(-1, *modality.shape) for modality, part in self.places}

    def fill(
        self, X: RowsLike, mask: RowsLike | None, y: RowsLike | None, fill_in: Fill
    ) -> dict[str, np.ndarray] | Dataframe:
        """Return rows with their gaps filled in; a class that was not there at ``fit`` stays as it is."""
        values = in_blocks(X, self.blocks)
        marked = self._marked_rows(values)
        self._check_targets(marked)
        given = Given(self._without_new_classes(marked.copy(), values))
        known = Given(marked)
        if mask is not None:
            hidden = self._mask(mask, len(marked))
            given, known = given._replace(hidden=hidden), known._replace(hidden=hidden)
        decoded = self.decode(given.put_known(fill_in(given)), X)
        if container_of(X) is None:
            return self._with_new_classes(decoded, values, marked, known.known)  # type: ignore[arg-type]
        filled = plain(decoded)
        whole = put_known_cells(filled, plain(X).reindex(columns=filled.columns), self._by_column(known.known))
        return back(whole, container_of(X))

    def new_categories(self, rows: np.ndarray) -> np.ndarray | None:
        """Mark the entries that are classes which were not there at ``fit``."""
        n_classes = [len(each.classes) if each.classes else np.inf for each in self.modalities_]
        new = rows >= np.repeat(n_classes, [modality.size for modality in self.modalities_])
        return new if new.any() else None

    @property
    def width(self) -> int:
        """How many entries the largest modality has, as each has an encoder of its own."""
        return max(modality.size for modality in self.modalities_)

    @property
    def places(self) -> list[tuple[Modality, slice]]:
        """Each modality, and where it is in a flat row."""
        return list(zip(self.modalities_, slices(self.modalities_).values(), strict=True))

    def kind(self, modality: Modality) -> str:
        """Return the name of a modality's likelihood."""
        if modality.classes is not None:
            return "categorical"
        return self.likelihoods.get(modality.name, self.likelihood)

    def _learn_modality(self, name: str, values: Values) -> Modality:
        categorical = self.likelihoods[name] == "categorical" if name in self.likelihoods else None
        return Modality.learn(name, values, categorical, None if self.blocks is None else self.blocks[name])

    def _check_names(self, values: Mapping[str, Values]) -> None:
        """Raise ValueError or TypeError where training rows have no modalities, or not those that parameters name."""
        for parameter, names in self.named.items():
            unknown = [name for name in names if name not in values]
            if unknown:
                raise InputError(f"{parameter} names {unknown[0]!r}, which X does not hold: it holds {listed(values)}")
        if not values:
            raise InputError("X holds no modality: give a dict such as {'image': …, 'label': …}")
        wrong = [name for name in values if not isinstance(name, str)]
        if wrong:
            raise InputTypeError(f"X has a modality by the name {wrong[0]!r}: give names as text")

    def _marked_rows(self, values: Mapping[str, Values], least: int = 1) -> np.ndarray:
        """Return flat rows, in which a class that was not there at ``fit`` has the index after the last one."""
        rows = flat_rows(self.modalities_, values, mark_new=True)
        if len(rows) < least:
            raise InputError(f"X has {len(rows)} rows: give at least {least}")
        return rows

    def _new_classes(self, marked: np.ndarray) -> list[tuple[Modality, slice, np.ndarray]]:
        """Return the labels that hold a class which was not there at ``fit``, their places, and in which rows."""
        labels = [(modality, part) for modality, part in self.places if modality.classes is not None]
        new = [(label, part, marked[:, part.start] == len(label.classes or ())) for label, part in labels]
        return [(label, part, rows) for label, part, rows in new if rows.any()]

    def _without_new_classes(self, marked: np.ndarray, values: Mapping[str, Values]) -> np.ndarray:
        """Put NaN in the place of classes that were not there at ``fit``, as they have no unit, and tell of them."""
        for modality, part, new in self._new_classes(marked):
            unseen = np.asarray(plain(values[modality.name]), dtype=object)[new][0]
            warn_caller(
                f"modality {modality.name!r} holds the class {unseen!s}, which was not there at the first fit: it "
                "is taken for missing, and not learnt; fit anew on all rows to learn it",
                NewCategoryWarning,
            )
            marked[new, part] = np.nan
        return marked

    def _with_new_classes(
        self, filled: dict[str, np.ndarray], values: Mapping[str, Values], marked: np.ndarray, known: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Put classes that were not there at ``fit`` back in their places: nothing was missing there."""
        for modality, part, new in self._new_classes(marked):
            is_new, labels = new & known[:, part.start], filled[modality.name]
            if is_new.any():
                given = np.asarray(plain(values[modality.name]), dtype=object)
                given = given.astype(str) if labels.dtype.kind == "U" else given
                filled[modality.name] = np.where(is_new, given, labels)
        return filled

    def _weights(self, rows: np.ndarray) -> dict[str, float]:
        """Return the weight of each modality's term, by what its training rows would cost at their mean."""
        if isinstance(self.block_weights, Mapping):
            return {modality.name: float(self.block_weights.get(modality.name, 1)) for modality in self.modalities_}
        costs = {
            modality.name: cost_at_mean(rows[:, part].astype(float), self.kind(modality), self.sigma)
            for modality, part in self.places
        }
        fair = np.mean([cost for cost in costs.values() if cost > 0] or [1])
        return {name: float(fair / cost) if cost > 0 else 1.0 for name, cost in costs.items()}

    def _check_columns(self, rows: np.ndarray) -> None:
        """Raise ValueError where an entry is missing in every row: nothing could be learnt of it."""
        for modality, part in self.places:
            missing = np.isnan(rows[:, part]).all(0)
            if missing.any():
                place = np.unravel_index(int(missing.argmax()), modality.shape or (1,))
                where = f"entry {', '.join(map(str, place))}"
                raise InputError(f"modality {modality.name!r} is missing in every row at {where}: leave that out")

    def _check_targets(self, rows: np.ndarray) -> None:
        """Raise ValueError where a likelihood cannot give rise to such rows."""
        for modality, part in self.places:
            cells, kind = rows[:, part], self.kind(modality)
            if modality.classes is not None or np.isnan(cells).all():
                continue
            (low, high), support = (np.nanmin(cells), np.nanmax(cells)), LIKELIHOODS[kind].support
            if low < support[0] or high > support[1]:
                raise InputError(
                    f"likelihood {kind!r} needs numbers in {interval(support)}, and modality {modality.name!r} reaches "
                    f"from {low:g} to {high:g}: scale it, or take 'gaussian'"
                )

    def _check_given(self, given: Sequence[str], X: RowsLike) -> None:
        """Raise ValueError or TypeError where the modalities to encode from are none that rows hold."""
        if isinstance(given, str):
            raise InputTypeError(f"given={given!r}: give a list of modalities, such as [{given!r}]")
        if not len(given):
            raise InputError("given names no modality: name those to encode from, or leave it out for all that X holds")
        held = in_blocks(X, self.blocks)
        for name in given:
            check_choice("modality", name, [modality.name for modality in self.modalities_])
            if name not in held:
                raise InputError(f"given names {name!r}, which X does not hold: it holds {listed(held)}")

    @property
    def _columns(self) -> list[str | int]:
        """The columns given to ``fit``."""
        assert self.feature_names_in_ is not None
        return list(self.feature_names_in_)

    @property
    def _flat_columns(self) -> list[str | int]:
        """The columns given to ``fit`` in the order of flat rows."""
        return [name for modality in self.modalities_ for name in modality.columns or ()]

    def _by_column(self, cells: np.ndarray) -> np.ndarray:
        """Put what is one an entry of flat rows into the order of the columns given to ``fit``."""
        return cells[:, places_in(self._flat_columns, self._columns)]

    def _as_frame(self, rows: np.ndarray) -> pd.DataFrame:
        """Return flat rows as the columns given to ``fit``, in their order and dtypes."""
        columns, names = [column for modality in self.modalities_ for column in modality.fields], self._columns
        if self.frame_ is not None:  # which older models have not
            places = places_in(names, (column.name for column in columns))
            rows = rows.clip(np.array(self.frame_.low)[places], np.array(self.frame_.high)[places])
        decoded = {column.name: column.decode(rows[:, [i]]) for i, column in enumerate(columns)}
        return pd.DataFrame({name: decoded[name] for name in names})

    def _in_container(self, frame: pd.DataFrame, like: RowsLike | None) -> Dataframe:
        """Return a frame, with the index of `like`, as the dataframe that this is, or that ``fit`` was given."""
        container = container_of(like) or (None if self.frame_ is None else self.frame_.container)
        return back(with_index(frame, like), container)

    def _mask(self, mask: RowsLike, n: int) -> np.ndarray:
        """Return a mask for `n` flat rows, from a dict of masks or a frame of them."""
        if not isinstance(mask, Mapping) and self.feature_names_in_ is not None:
            return self._mask_of_columns(plain(mask), n)
        masks = mask if isinstance(mask, Mapping) else in_blocks(mask, self.blocks)
        for name in masks:
            check_choice("modality", name, slices(self.modalities_))
        marked = np.zeros((n, *self.row_shape_), dtype=bool)
        for modality, part in self.places:
            one, whole = np.asarray(masks.get(modality.name, False)), (n, *modality.shape)
            if one.dtype != bool:
                raise InputError(f"mask holds {one.dtype} for {modality.name!r}: give True where a value is missing")
            if one.shape not in ((), modality.shape, whole):
                raise InputError(f"mask has the shape {one.shape} for {modality.name!r}: give {whole}")
            marked[:, part] = np.broadcast_to(one, whole).reshape(n, -1)
        return marked

    def _mask_of_columns(self, mask: RowsLike, n: int) -> np.ndarray:
        """Return a mask for flat rows from one for a frame's columns, which may be without whole blocks."""
        flat, names = self._flat_columns, self._columns
        there = set(mask.columns if isinstance(mask, pd.DataFrame) else flat)
        blocks = [set(modality.columns or ()) for modality in self.modalities_]
        may_lack = set().union(*(block for block in blocks if there and not block & there))
        marked = mask_of(mask, names, (n, len(names)), may_lack=may_lack)
        return marked[:, places_in(names, flat)]
