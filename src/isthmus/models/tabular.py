"""The autoencoder of mixed tables."""

import copy
import numbers
from collections.abc import Collection, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from isthmus.core.batch import Batch
from isthmus.core.corruption import hide_entries
from isthmus.core.imputation import fill_in
from isthmus.core.likelihoods.bernoulli import BernoulliLikelihood
from isthmus.core.likelihoods.categorical import CategoricalLikelihood, FactoredSoftmax, PlainSoftmax
from isthmus.core.likelihoods.product import Block, ProductLikelihood
from isthmus.core.model import Model
from isthmus.core.parts import Parts
from isthmus.errors import DataWarning, InputError, InputTypeError, NewCategoryWarning, hushed
from isthmus.formats.checks import check_scalar, validate_data
from isthmus.formats.containers import back, container_of, plain
from isthmus.formats.frames import mask_of
from isthmus.formats.new_values import warn_of_frequent, warn_of_new_categories
from isthmus.formats.overview import table_overview, worth_a_warning
from isthmus.formats.rows import in_unit_interval
from isthmus.formats.scaling import SCALING
from isthmus.formats.schema import Schema, put_known_cells, with_index
from isthmus.models.base import AbstractAutoencoder, steps_index
from isthmus.models.checks import check_choice, check_number, warn_caller
from isthmus.models.engine import Given, activations, chosen_precision, decode, encode, n_activations, rebuild
from isthmus.networks import MLP
from isthmus.networks.cells import Cells
from isthmus.networks.parameters import Network

MOST_PIECES = 25_000
"""Of all numbers of a table together."""


class _Layers:
    """``transform`` with a choice of layers, outside of the estimator: there scikit-learn would name all as it does."""

    def transform(self: Any, X: ArrayLike, *, layers: Literal["code", "all"] | None = None) -> np.ndarray:
        """Encode rows to their codes, or to what all hidden layers make of them.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, columns)
            Rows as in ``fit``.
        layers : {"code", "all"} or None, default None
            The code; or the activations of every hidden layer one after the other, the encoder's, the code and the
            decoder's, to train another model on. None is what the parameter `layers` says.

        Returns
        -------
        ndarray of shape (n, n_components) or (n, units of all layers)
            A DataFrame where ``set_output`` says so, with a name for each.
        """
        check_choice("layers", layers, ("code", "all", None))
        estimator = self
        if layers not in (None, self.layers):
            estimator = copy.copy(self)
            estimator.layers = layers
        return super(_Layers, estimator).transform(X)  # type: ignore[misc]


@dataclass(eq=False, repr=False)
class TabularAutoencoder(_Layers, AbstractAutoencoder):
    """A denoising autoencoder of tables with numbers, categories, truth values and gaps, as they are.

    In training some cells of each row are swapped for the same column's value in another row, and the network learns
    to give back the true ones: what in a row goes with what (M. Jahrer 2017, the winning entry of Porto Seguro's Safe
    Driver Prediction, whose recipe ``transform(X, layers="all")`` is). The likelihood is a product: numbers are normal,
    truth values Bernoulli, categories categorical, all in nats, so that a column counts by what there is to know about
    it and not by its units.

    Parameters
    ----------
    n_components : int, default 32
        Units of the code. Noise keeps even a wide one from being a mere copy.
    network : MLP, Transformer, Modules or None, default None
        The encoder and the decoder; None is ``MLP()``, narrower where rows are few and wide, as in
        :class:`isthmus.Autoencoder`. Its output has no activation.
    layers : {"code", "all"}, default "code"
        What ``transform`` gives unless it is told otherwise, in a pipeline too: the code, or the activations of every
        hidden layer.
    numbers : {"auto", "standard", "rankgauss"} or None, default "auto"
        How numbers are scaled: columns with long tails, such as amounts of money, compressed by w asinh((x − c) / w),
        and all to mean 0 and variance 1; just the latter; to normal quantiles and from there to mean 0 and variance 1,
        which neither skewness nor extremes disturb; or not at all.
    categories : {"auto", "onehot", "embedding"}, default "auto"
        What the encoder is given of a category: a one among zeros; an embedding that is learnt, of (k + 1) // 2
        numbers, at most 50, for k categories; or the first of these up to 128 categories, and the second of more.
    bins : int, default 24
        Pieces that a scaled number's range from −3 to 3 is cut into: the encoder is given, beside the number, how much
        of each lies below it, so that it finds thresholds (Gorishniy et al. 2022, *On embeddings for numerical
        features*, eq. 1); 0 gives it the number alone. All numbers together have 25,000 pieces at the most: with more
        than 1,041 of them each has fewer.
    corruption : {"swap", "masking"} or None, default "swap"
        What is done to cells in training: ``swap`` takes them from another row, ``masking`` hides them as if missing.
    corruption_level : float in [0, 1], default 0.15
        The share of the cells that it is done to.
    kinds : dict or None, default None
        What columns are to be taken for, by their names, where their values are misleading: ``"number"``,
        ``"boolean"``, ``"category"``, ``"date"``; a format of dates that are text, such as ``"%d.%m.%Y"``; or a list of
        all categories, also those that come in further rows alone (``partial_fit``).
    drop : sequence, default ()
        Columns that are no part of the model.
    na_values : sequence or None, default None
        Texts and numbers that stand for a missing value, beside NaN and None; None is "?", "-", "NA", "n/a", "null",
        blanks and their like.
    min_frequency : int, float in (0, 1) or None, default None
        Rows, or share of rows, in fewer of which a category is rare: those are one to the model. None is 1 for a column
        of up to 100 categories, and 5 for more.
    sigma : float or "learned", default 1
        Standard deviation of the normal that scaled numbers are taken for. All other parameters are those of
        :class:`isthmus.Autoencoder`; `likelihood` and `contraction_weight` have no meaning for mixed rows.

    Attributes
    ----------
    schema_ : Schema
        What the columns are: kinds, dtypes, categories, scaling. It is saved in ``config.json``.
    bins_ : int
        Pieces that a number is cut into.
    framed_ : bool
        Whether `X` was a DataFrame, and rows come back as one.

    Notes
    -----
    What a column is taken for is found out by its values in ``fit`` (`schema_`), and decides what it is at use: codes
    may be digits alone then, and numbers and truth values text. `kinds` and `drop` overrule it. Nearly unique text, and
    whole numbers under the name of an id that are all different, are left out, with a warning: of them nothing can be
    learnt. ``reconstruct`` and ``impute`` hand such columns through; they need not be there at use. Whole numbers under
    the name of an id that come again are categories. Dates, as such, as text or as 20240131, are a number (when) and,
    as far as they come again, a month, a weekday and an hour.

    A column with one value alone is allowed; it scales to 0, tells nothing and comes back as it is. Of more than 100
    categories the likelihood is a factored softmax (Goodman 2001, *Classes for fast maximum entropy training*), and
    those that are rare, or come after the 10,000 most frequent, are one to the model, which ``impute`` never chooses. A
    category that was not there at ``fit`` is one of the rare ones, if there are some; else it is missing to the
    encoder, is left as it is by ``impute``, both with a warning, and its score is the least that the column's had in
    the training rows or, if that is less, that of one row in as many and one more, −log(n + 1) nats.

    What is given back keeps to the table of ``fit``: numbers and dates to the range that they had there, and to whole
    numbers where all were whole.

    Whatever returns rows returns them as ``fit`` was given them: a DataFrame in its units, categories and dtypes, or an
    array. So does ``score_samples(X, per_feature=True)``: one column a column, in nats above what it usually has.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> length = rng.uniform(1, 2, 300)
    >>> table = pd.DataFrame({"length": length, "size": np.where(length > 1.5, "large", "small")})
    >>> model = TabularAutoencoder(1, max_epochs=20, random_state=0).fit(table)
    >>> model.impute(pd.DataFrame({"length": [1.9, 1.1], "size": [None, None]}))
       length   size
    0     1.9  large
    1     1.1  small
    """

    n_components: int = 32
    _: KW_ONLY
    corruption: Literal["swap", "masking"] | None = "swap"
    corruption_level: float = 0.15
    numbers: Literal["auto", "standard", "rankgauss"] | None = "auto"
    categories: Literal["auto", "onehot", "embedding"] = "auto"
    bins: int = 24
    kinds: Mapping[Any, Any] | None = None
    drop: Sequence[Any] = ()
    na_values: Sequence[Any] | None = None
    min_frequency: int | float | None = None
    layers: Literal["code", "all"] = "code"

    scales_itself: ClassVar[bool] = True

    def fit(self, X: ArrayLike, y: Any = None, **kept: Any) -> Self:
        """Learn what the columns of a table are, and train on its rows.

        Parameters
        ----------
        X : DataFrame, or array-like of numbers, of shape (n, columns)
            Numbers, truth values, categories and dates; NaN, None, NA and what `na_values` says are gaps, which take no
            part in the loss.
        y : ignored
            There for scikit-learn's sake.
        **kept
            `resume_from` and `checkpoint_minutes`, as :meth:`isthmus.Autoencoder.fit` takes them.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a column holds nothing, infinity, or what no column can hold; if two have one name; or a parameter has no
            meaning.
        FloatingPointError
            If the loss becomes NaN or infinite.

        Warns
        -----
        isthmus.errors.DataWarning
            If values were taken for missing, or columns are left out, without having been asked for.
        """
        return super().fit(X, y, **kept)

    def inverse_transform(self, Z: ArrayLike) -> Any:
        """Decode codes of shape (n, n_components) to a table as in ``fit``: each number's mean, else what is likeliest.

        Returns
        -------
        DataFrame or ndarray of shape (n, columns)
            In the units, the categories and the dtypes of the table given to ``fit``.
        """
        return with_index(super().inverse_transform(Z), Z)

    def reconstruct(self, X: ArrayLike) -> Any:
        """Encode and decode rows; see :meth:`inverse_transform`. Columns that are left out come back as they are."""
        given = self._given(X)
        dtype, cells = given.x.dtype, self._in_batches(rebuild, given)
        del given  # as much again as the table
        return self._whole(self.schema_.to_frame(cells), X, dtype)

    def impute(self, X: ArrayLike, mask: ArrayLike | None = None, *, n_iter: int = 10) -> Any:
        """Fill in what is missing from what is known; see :meth:`isthmus.Autoencoder.impute`.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, columns)
            Rows as in ``fit``; NaN and None are missing. A category that was not there at ``fit`` stays as it is.
        mask : array-like of bool of shape (n, columns) or (columns,), optional
            True marks what is missing beside; the columns of a DataFrame go by their names, its rows by their place.
        n_iter : int, default 10
            Turns. With more of them what is filled in drifts away from what was seen in training.

        Returns
        -------
        DataFrame or ndarray
            Shaped like `X`, in the units, the categories and the dtypes of ``fit``; the known cells are those of `X`,
            to the bit.
        """
        return self._impute(X, mask, n_iter, None)

    @property
    def sigma_(self) -> float:
        """σ of the normal that scaled numbers are taken for, given or learnt."""
        check_is_fitted(self)
        if not self.schema_.count("number"):
            raise AttributeError("a table without numbers has no sigma_")
        return super().sigma_

    def _check_parameters(self) -> None:
        check_choice("corruption", self.corruption, ("swap", "masking", None))
        check_choice("numbers", self.numbers, SCALING)
        check_choice("categories", self.categories, ("auto", "onehot", "embedding"))
        self._check_column_parameters()
        check_choice("layers", self.layers, ("code", "all"))
        check_scalar(self.bins, "bins", numbers.Integral, min_val=0)
        if self.likelihood != "gaussian":
            raise InputError(
                f"likelihood={self.likelihood!r} has no meaning for TabularAutoencoder: each kind of column has its own"
            )
        if self.contraction_weight:
            raise InputError("contraction_weight has no meaning for categories: leave it at 0, or take another family")
        super()._check_parameters()

    def _check_column_parameters(self) -> None:
        for name, kind in (("kinds", Mapping), ("drop", Sequence), ("na_values", Sequence)):
            value = getattr(self, name)
            if value is not None and (isinstance(value, str) or not isinstance(value, kind)):
                given = "a dict of kinds by column" if name == "kinds" else "a list"
                raise InputTypeError(f"{name}={value!r}: give {given}")
        if isinstance(self.min_frequency, float):
            check_number("min_frequency", self.min_frequency, min_val=0, max_val=1, include_boundaries="neither")
        elif self.min_frequency is not None:
            check_scalar(self.min_frequency, "min_frequency", numbers.Integral, min_val=1)

    def _network(self) -> Network:
        network = super()._network()
        if isinstance(network, MLP) and network.output_activation is not None:
            raise InputError("TabularAutoencoder has its own output activations: leave output_activation=None")
        return network

    @property
    def _n_features_out(self) -> int:
        return n_activations(self.module_) if self.layers == "all" else self.n_components

    @property
    def _encoding(self) -> Any:
        return activations if self.layers == "all" else encode

    def _check_build(self, model: Model, rows: Batch) -> None:
        super()._check_build(model, rows)
        if self.layers == "all":
            n_activations(model)  # which says where a network has none that are known

    def _learn_table(self, X: Any) -> pd.DataFrame:
        """Validate a table at the door, and learn what its columns are."""
        self.container_, X = container_of(X) or "pandas", plain(X)
        self.framed_ = isinstance(X, pd.DataFrame)
        if self.framed_:
            if len(X) < 2:
                raise InputError(f"X has {len(X)} rows: give two or more")
            self.schema_ = self.schema_of(X)  # first, as it says in one line what is wrong
            validate_data(self, X, skip_check_array=True)
            table = X
        else:
            rows = super()._rows(X, reset=True)
            if rows.ndim > 2:
                raise InputError(f"X has the shape {rows.shape}: give a table, of one row a line")
            table = pd.DataFrame(rows)
            self.schema_ = self.schema_of(table)
        self.row_shape_ = (len(self.schema_.cells),)
        self._asked = self._asked_of_columns()
        for line in worth_a_warning(self.schema_):
            warn_caller(line, DataWarning)
        if self.verbose:
            print(*table_overview(self.schema_, table), sep="\n")
        return table

    def schema_of(self, table: pd.DataFrame) -> Schema:
        """Return what ``fit`` would take the columns of a table for."""
        asked = {name: getattr(self, name) for name in ("kinds", "na_values", "min_frequency")}
        return Schema.learn(table, self.numbers, drop=self.drop or (), **asked)

    def _asked_of_columns(self) -> dict[str, str]:
        """Return what was asked for of the columns, as it can be compared."""
        return {name: repr(getattr(self, name)) for name in ("kinds", "drop", "na_values", "min_frequency")}

    def restore(self, tensors: dict[str, Tensor]) -> Self:
        """Rebuild ``module_`` from saved weights; see :meth:`isthmus.Autoencoder.restore`."""
        super().restore(tensors)
        self._asked = self._asked_of_columns()
        return self

    def _learn_rows(self, X: ArrayLike, y: Any, *, reset: bool) -> Given:
        if not reset:  # further rows: what they reach to is what may be given back
            before, now = getattr(self, "_asked", {}), self._asked_of_columns()
            changed = [name for name in before if before[name] != now[name]]
            if changed:
                raise InputError(
                    f"{changed[0]}={now[changed[0]]} was {before[changed[0]]} at the last fit: set warm_start=False to "
                    "begin anew"
                )
            table = self._table(X)
            told_of: Collection[Any] = getattr(self, "_told_of", frozenset())
            new = self.schema_.new_categories(self.schema_.to_cells(table, mark_new=True))
            told_of = warn_of_new_categories(self.schema_, table, new, told_of)
            self._told_of = warn_of_frequent(self.schema_, table, told_of)
            self.schema_ = self.schema_.widened(table)
        with hushed(NewCategoryWarning):  # it was said
            return super()._learn_rows(X, y, reset=reset)

    def _table(self, X: Any) -> pd.DataFrame:
        """Validate a table for use; return a DataFrame, of arrays too."""
        X = plain(X)
        if isinstance(X, pd.DataFrame) and not len(X):
            raise InputError("X has 0 rows: give one or more")
        if self.framed_ and isinstance(X, pd.DataFrame):
            X = self.schema_.with_left_out(X)
            if self._mixed:  # of numbers alone, scikit-learn's contract wants its own words
                self.schema_.check_names(X)
            validate_data(self, X, reset=False, skip_check_array=True)
            return X
        if self.framed_ and self._mixed:
            raise InputError("fit was given a DataFrame of several kinds of columns: give X as a DataFrame too")
        shape, self.row_shape_ = self.row_shape_, (self.n_features_in_,)  # of the table, and not of its cells
        try:
            rows = super()._rows(X, reset=False)
        finally:
            self.row_shape_ = shape
        return pd.DataFrame(in_unit_interval(rows), columns=list(self.schema_.names))

    @property
    def _mixed(self) -> bool:
        return any(column.kind != "number" for column in self.schema_.columns) or bool(self.schema_.left_out)

    def _rows(self, X: ArrayLike, *, reset: bool) -> np.ndarray:
        if not reset:
            return self._cells(self._table(X))
        table = self._learn_table(X)
        return self._cells(table, single=self._trains_in_single(len(table)))

    def _trains_in_single(self, n: int) -> bool:
        """Tell whether so many rows will be trained on in float32: their cells need never be in float64 then."""
        cells = np.broadcast_to(0.0, (n, len(self.schema_.cells)))
        return not chosen_precision(self.precision, self.device, cells, None).startswith("64")

    def _cells(self, table: pd.DataFrame, *, mark_new: bool = False, single: bool = False) -> np.ndarray:
        """Return cells in float32 where all columns of the table are, or where that is asked for, else in float64.

        Categories that were not there at ``fit`` are NaN, and told of, unless they are to be marked.
        """
        single = single or bool((table.dtypes == np.float32).all())
        cells = self.schema_.to_cells(table, np.float32 if single else np.float64, mark_new=True)
        new = self.schema_.new_categories(cells)
        if new.any() and not mark_new:
            warn_of_new_categories(self.schema_, table, new)
            cells[new] = np.nan
        return cells

    def rows_to_score(self, X: Any, y: Any = None) -> Given:
        """Validate a table to be scored; a category that was not there at ``fit`` is marked, not NaN."""
        check_is_fitted(self)
        return Given(self._cells(self._table(X), mark_new=True))

    def _new_categories(self, rows: np.ndarray) -> np.ndarray | None:
        new = self.schema_.new_categories(rows)
        return new if new.any() else None

    def _as_given(self, rows: np.ndarray, like: Any = None) -> Any:
        frame = self.schema_.to_frame(rows)
        return self._in_container(frame, like) if self.framed_ else frame.to_numpy(dtype=rows.dtype)

    def _in_container(self, frame: pd.DataFrame, like: Any = None) -> Any:
        """Return a frame as the dataframe that `like` is, or that ``fit`` was given; older models have pandas'."""
        return back(frame, container_of(like) or getattr(self, "container_", "pandas"))

    def _learn_frame(self, X: Any, rows: np.ndarray, *, reset: bool) -> None:
        """Leave it to the schema."""

    def _framed(self, like: Any) -> bool:
        return False

    def _decode_each(self, codes: np.ndarray, context: np.ndarray | None) -> Any:
        n, steps, units = codes.shape
        rows = self._in_batches(decode, Given(codes.reshape(-1, units)))
        if not self.framed_:
            return self._as_given(rows).reshape(n, steps, -1)
        return self.schema_.to_frame(rows).set_axis(steps_index(n, steps))

    def _steps_as_given(self, rows: Any, like: Any) -> Any:
        return self._in_container(rows, like) if self.framed_ else rows

    def shares_as_given(self, shares: np.ndarray, X: Any) -> Any:
        """Return scores of cells as a table, in the order of its columns."""
        shares = self.schema_.by_column(shares)
        if not self.framed_:
            return shares
        frame = pd.DataFrame(shares, columns=[column.name for column in self.schema_.columns])
        return self._in_container(with_index(frame, X), X)

    def _impute(self, X: ArrayLike, mask: ArrayLike | None, n_iter: int, y: Any) -> Any:
        """Fill in cells, and put the known ones of the table itself beside them."""
        check_is_fitted(self)
        check_scalar(n_iter, "n_iter", numbers.Integral, min_val=1)
        table = self.schema_.as_at_fit(self._table(X))
        cells = self._cells(table, mark_new=True)
        if mask is not None:
            cells[self.schema_.by_cell(self._mask_of_all(mask, X, len(table)))] = np.nan
        known = self.schema_.by_column(~np.isnan(cells))  # also what the model does not know
        new = self.schema_.new_categories(cells)
        warn_of_new_categories(self.schema_, table, new)
        cells[new] = np.nan
        dtype, cells = cells.dtype, self._in_batches(partial(fill_in, iterations=n_iter), Given(cells))
        filled = self.schema_.to_frame(cells)
        del cells, new
        if self.framed_:
            return self._whole(put_known_cells(filled, table, known), X, dtype)
        values = np.where(known, table[filled.columns].to_numpy(), filled.to_numpy(dtype=dtype))
        return self._whole(pd.DataFrame(values, columns=filled.columns), X, dtype)

    def _whole(self, rows: pd.DataFrame, X: Any, dtype: Any) -> Any:
        """Put the columns that are left out, as far as they were given, back in their places; return rows like `X`."""
        given = plain(X)
        given = given if isinstance(given, pd.DataFrame) else pd.DataFrame(np.asarray(given))
        given = given if self.framed_ else given.set_axis(list(self.schema_.names), axis=1)
        there = [name for name in self.schema_.names if name in rows.columns or name in given.columns]
        if len(there) > len(rows.columns):
            given, rows = given.reset_index(drop=True), rows.reset_index(drop=True)
            rows = pd.DataFrame({name: rows[name] if name in rows.columns else given[name] for name in there})
        if not self.framed_:
            return rows.to_numpy(dtype=dtype)
        return self._in_container(with_index(rows, plain(X)), X)

    def _mask_of_all(self, mask: Any, X: Any, n: int) -> np.ndarray:
        """Return a mask of all columns, of one that is of those of `X`; what is left out is never filled in."""
        names = list(self.schema_.names)
        if self.framed_ and isinstance(plain(mask), pd.DataFrame | pd.Series):
            return mask_of(mask, names, (n, len(names)), may_lack=self.schema_.left_out)
        given = [name for name in names if name in plain(X).columns] if self.framed_ else names
        of_given = pd.DataFrame(mask_of(mask, None, (n, len(given))), columns=given)
        return of_given.reindex(columns=names, fill_value=False).to_numpy()

    def _fill(self, x: Tensor) -> Tensor:
        """Return the mean of numbers and truth values, and −1 for a category, which is none of them."""
        fill = x.nanmean(0)
        n_categories = self.schema_.count("category")
        if n_categories:
            fill[-n_categories:] = -1
        return fill

    def _continued(self, rows: Batch) -> Model:
        if self.numbers != self.schema_.numbers:  # the weights know no other scale
            raise InputError(
                f"numbers={self.numbers!r} was {self.schema_.numbers!r} at the last fit: set warm_start=False to begin "
                "anew"
            )
        return super()._continued(rows)

    def _fit_width(self, rows: Batch) -> None:
        """Choose how many pieces a number is cut into too: fewer where numbers are many."""
        self.bins_ = min(self.bins, MOST_PIECES // max(self.schema_.count("number"), 1))
        super()._fit_width(rows)

    def _input_width(self) -> int:
        return self._inputs().width

    def _inputs(self) -> Cells:
        """Return what makes numbers of cells; models of before there was a limit have all their pieces."""
        schema, bins = self.schema_, getattr(self, "bins_", self.bins)
        return Cells(schema.count("number"), schema.count("boolean"), schema.sizes, bins, self.categories)

    def _build(self) -> Model:
        """Build the model; the decoder gives a number for each number and truth value, and each category's logit."""
        schema = self.schema_
        n_numbers, n_booleans = schema.count("number"), schema.count("boolean")
        inputs = self._inputs()
        softmaxes = _softmaxes(schema)
        n_parameters = n_numbers + n_booleans + softmaxes.width(len(schema.sizes))
        encoder, decoder = self._network().build((inputs.width,), self.n_components, **self._code_layout())
        if n_parameters != inputs.width:
            if getattr(self.network, "tied", False):
                raise InputError("tied=True needs equal widths at both ends: set bins=0 and categories='onehot'")
            decoder = self._network().build((n_parameters,), self.n_components, **self._code_layout())[1]
        # It is given several numbers of a cell, and of a gap those of `fill`, as other encoders are.
        encoder.takes_known = False  # type: ignore[assignment]
        parts = self._parts()
        blocks = [
            Block("reconstruction_numbers", parts.likelihood, n_numbers),
            Block("reconstruction_booleans", BernoulliLikelihood(), n_booleans),
            Block("reconstruction_categories", softmaxes, len(schema.sizes)),
        ]
        likelihood = ProductLikelihood([block for block in blocks if block.size])
        return Model(encoder, decoder, replace(parts, inputs=inputs, likelihood=likelihood), row_shape=self.row_shape_)

    def _parts(self) -> Parts:
        parts = replace(super()._parts(), rescaled=False)  # the number of a category is no distance
        if self.corruption != "masking":
            return parts
        return replace(parts, hiding=partial(hide_entries, level=self.corruption_level))  # by the cell, in any network


def _softmaxes(schema: Schema) -> CategoricalLikelihood:
    """Return how each cell of categories is told of: many by a factored softmax."""
    each = zip(schema.sizes, schema.frequencies, schema.pooled, strict=True)
    entries = (
        FactoredSoftmax(counts, pooled) if counts else PlainSoftmax(size, pooled) for size, counts, pooled in each
    )
    return CategoricalLikelihood(tuple(entries))
