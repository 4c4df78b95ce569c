"""The autoencoder of mixed tables."""

import copy
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from isthmus.core.corruption import Noise, hide_entries
from isthmus.core.likelihoods.bernoulli import BernoulliLikelihood
from isthmus.core.likelihoods.categorical import CategoricalLikelihood, FactoredSoftmax, PlainSoftmax
from isthmus.core.likelihoods.product import Block, ProductLikelihood
from isthmus.core.model import Model
from isthmus.core.parts import Parts
from isthmus.errors import InputError, InputTypeError
from isthmus.formats.checks import check_choice, check_number, check_scalar
from isthmus.formats.containers import RowsLike
from isthmus.formats.kinds import Kinds
from isthmus.formats.scaling import SCALING
from isthmus.formats.schema import Schema
from isthmus.formats.table import TableFormat
from isthmus.models.base import AbstractAutoencoder
from isthmus.models.engine import exact_up_to
from isthmus.models.fitting import Folder
from isthmus.models.own_parts import check_corruption, corrupt_cells
from isthmus.networks import MLP
from isthmus.networks.cells import Cells


class _Layers:
    """``transform`` with a choice of layers, outside of the estimator: there scikit-learn would name all as it does."""

    def transform(self: Any, X: RowsLike, *, layers: Literal["code", "all"] | None = None) -> np.ndarray:
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

        Raises
        ------
        ValueError
            If the model is not fitted, or `X` is not in the form of the rows of ``fit``.
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
    corruption: Literal["swap", "masking"] | Noise | None = "swap"
    corruption_level: float = 0.15
    numbers: Literal["auto", "standard", "rankgauss"] | None = "auto"
    categories: Literal["auto", "onehot", "embedding"] = "auto"
    bins: int = 24
    kinds: Kinds | None = None
    drop: Sequence[str | int] = ()
    na_values: Sequence[object] | None = None
    min_frequency: int | float | None = None
    layers: Literal["code", "all"] = "code"  # type: ignore[misc]

    scales_itself: ClassVar[bool] = True

    def fit(
        self, X: RowsLike, y: RowsLike | None = None, *, resume_from: Folder = None, checkpoint_minutes: float = 10
    ) -> Self:
        """Learn what the columns of a table are, and train on its rows.

        Parameters
        ----------
        X : DataFrame, or array-like of numbers, of shape (n, columns)
            Numbers, truth values, categories and dates; NaN, None, NA and what `na_values` says are gaps, which take no
            part in the loss.
        y : ignored
            There for scikit-learn's sake.
        resume_from, checkpoint_minutes
            Where the run is kept, and how often: see :meth:`isthmus.Autoencoder.fit`.

        Returns
        -------
        self
            The estimator, fitted.

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
        return super().fit(X, y, resume_from=resume_from, checkpoint_minutes=checkpoint_minutes)

    def inverse_transform(self, Z: ArrayLike) -> Any:
        """Decode codes to a table as in ``fit``: each number's mean, else what is likeliest.

        Parameters
        ----------
        Z : array-like of shape (n, n_components)
            Codes.

        Returns
        -------
        DataFrame or ndarray of shape (n, columns)
            In the units, the categories and the dtypes of the table given to ``fit``.

        Raises
        ------
        ValueError
            If the model is not fitted, or `Z` has another shape or holds what is no finite number.
        """
        return super().inverse_transform(Z)

    def reconstruct(self, X: RowsLike) -> Any:
        """Encode and decode rows; columns that are left out come back as they are.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, columns)
            Rows as in ``fit``.

        Returns
        -------
        DataFrame or ndarray of shape (n, columns)
            As in :meth:`inverse_transform`.

        Raises
        ------
        ValueError
            If the model is not fitted, or `X` is not in the form of the rows of ``fit``.
        """
        return super().reconstruct(X)

    def impute(self, X: RowsLike, mask: RowsLike | None = None, *, n_iter: int = 10) -> Any:
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

        Raises
        ------
        ValueError
            If the model is not fitted, `X` is not in the form of the rows of ``fit``, or `mask` does not fit it.
        """
        return super().impute(X, mask, n_iter=n_iter)

    @property
    def sigma_(self) -> float:
        """The σ of the normal that scaled numbers are taken for, given or learnt."""
        check_is_fitted(self)
        if not self.schema_.count("number"):
            raise AttributeError("a table without numbers has no sigma_")
        return super().sigma_

    def check_parameters(self) -> None:
        """Check the parameters, the family's own too; see :meth:`isthmus.Autoencoder.check_parameters`.

        Raises
        ------
        ValueError, TypeError
            For the first parameter without a meaning.
        """
        check_corruption(self.corruption, ("swap", "masking", None))
        check_choice("numbers", self.numbers, SCALING)
        check_choice("categories", self.categories, ("auto", "onehot", "embedding"))
        self._check_column_parameters()
        check_choice("layers", self.layers, ("code", "all"))
        check_scalar(self.bins, "bins", numbers.Integral, min_val=0)
        if self._support is not None:  # numbers are scaled, and may then be any
            raise InputError(
                f"likelihood={self.likelihood!r} has no meaning for TabularAutoencoder: each kind of column has its own"
            )
        super().check_parameters()
        if self.contraction_weight or "contractive" in (self.penalties or ()):
            raise InputError(
                "contraction_weight has no meaning for categories, nor a penalty 'contractive': leave it out"
            )
        if isinstance(self._network, MLP) and self._network.output_activation is not None:
            raise InputError("TabularAutoencoder has its own output activations: leave output_activation=None")

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

    def _form(self) -> TableFormat:
        return TableFormat(
            type(self).__name__,
            self.numbers,
            self.kinds,
            self.drop,
            self.na_values,
            self.min_frequency,
            self.bins,
            exact_up_to(self.precision, self.device),
            verbose=bool(self.verbose),
        )

    def schema_of(self, table: pd.DataFrame) -> Schema:
        """Return what ``fit`` would take the columns of a table for.

        Parameters
        ----------
        table : DataFrame
            Rows to train on.

        Returns
        -------
        Schema
            Kinds, dtypes, categories and scaling of the columns.

        Raises
        ------
        ValueError
            As :meth:`fit` does for such a table.
        """
        return self._form().schema_of(table)

    def _inputs(self) -> Cells:
        schema, bins = self.schema_, getattr(self, "bins_", self.bins)  # of before there was a limit: all pieces
        return Cells(schema.count("number"), schema.count("boolean"), schema.sizes, bins, self.categories)

    def _build(self) -> Model:
        # The decoder gives what the likelihood takes of a number, and a logit of each truth value and category.
        schema = self.schema_
        n_numbers, n_booleans = schema.count("number"), schema.count("boolean")
        inputs = self._inputs()
        parts, softmaxes = replace(self._parts(), inputs=inputs), _softmaxes(schema)
        n_parameters = parts.likelihood.width(n_numbers) + n_booleans + softmaxes.width(len(schema.sizes))
        encoder, decoder = self._network.build((inputs.width,), self.n_components, **self._code_layout)
        if n_parameters != inputs.width:
            if getattr(self.network, "tied", False):
                raise InputError("tied=True needs equal widths at both ends: set bins=0 and categories='onehot'")
            decoder = self._network.build((n_parameters,), self.n_components, **self._code_layout)[1]
        # It is given several numbers of a cell, and of a gap those of `fill`, as other encoders are.
        encoder.takes_known = False  # type: ignore[assignment]
        blocks = [
            Block("reconstruction_numbers", parts.likelihood, n_numbers),
            Block("reconstruction_booleans", BernoulliLikelihood(), n_booleans),
            Block("reconstruction_categories", softmaxes, len(schema.sizes)),
        ]
        parts = replace(parts, likelihood=ProductLikelihood([block for block in blocks if block.size]))
        return Model(encoder, decoder, parts, row_shape=self.format_.row_shape_)

    def _parts(self) -> Parts:
        parts = replace(super()._parts(), rescaled=False)  # the number of a category is no distance
        if callable(self.corruption):
            corrupt = partial(corrupt_cells, corruption=self.corruption, sizes=self.schema_.sizes)
            return replace(parts, corruption=corrupt)
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
