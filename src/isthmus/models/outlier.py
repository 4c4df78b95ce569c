"""Finding the unusual with any autoencoder."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from isthmus.errors import InputTypeError, hushed, warn_caller
from isthmus.formats.checks import RandomState, check_number
from isthmus.formats.containers import RowsLike, by_pieces, container_of, plain
from isthmus.formats.given import Given
from isthmus.formats.sequences import Ragged
from isthmus.models import inference
from isthmus.models.base import AbstractAutoencoder
from isthmus.models.calibration import Calibration, missing_shares
from isthmus.models.in_pieces import TakesStreams
from isthmus.models.kept import kept_start, why_start_is_kept
from isthmus.models.learning import comes_in_pieces
from isthmus.models.saved import save_estimator
from isthmus.models.variational import VariationalAutoencoder
from isthmus.saving.attributes import Attribute, is_dict, is_number

FOLDS = 3
"""Autoencoders that are fitted where rows are fewer than their entries, each without one part of the rows."""


class OutlierDetector(TakesStreams, OutlierMixin, BaseEstimator):
    """Tell usual rows from unusual ones by how likely an autoencoder finds them.

    Where rows have more entries than there are rows, an autoencoder that starts at their PCA would spend a unit on
    every row that is unlike all others, and find it usual. Then three are fitted, each on two thirds of the rows, and a
    row's score is the lowest of theirs: that of one that was not fitted on it.

    Rows with gaps are scored by what is known of them: a missing entry costs what it usually does, and the score is
    brought to the scale of rows without (or with the common number of) gaps, so that one threshold holds for all; those
    of sequences of unequal length are brought to about one spread, those of a tenth of the longest and shorter ones
    less so. A row of which nothing is known is an outlier: nothing says that it is usual.

    Parameters
    ----------
    autoencoder : estimator or None, default None
        Any autoencoder of isthmus; a clone of it is fitted, but one that is frozen (sklearn.frozen.FrozenEstimator)
        is taken, and saved, as it is. None is ``VariationalAutoencoder(8, max_epochs=6)``: its
        score, the ELBO, takes a row that lies far out in the code for unusual too, where a plain autoencoder sees only
        what it cannot rebuild, and few epochs leave it little time to learn the unusual rows too.
    contamination : float in (0, 0.5], default 0.1
        Share of the training rows that are taken for outliers: it sets the threshold, not the scores.
    random_state : int, RandomState or None, default None
        Takes the place of the autoencoder's own where it is given.

    Attributes
    ----------
    autoencoders_ : list of estimators
        The fitted autoencoder; three where rows are fewer than their entries.
    autoencoder_ : estimator
        The first of these.
    calibration_ : Calibration
        What scores of rows with gaps are worth.
    offset_ : float
        The threshold on ``score_samples``, in nats.
    n_features_in_ : int
        Features of a row.
    feature_names_in_ : ndarray of str
        The names of a DataFrame's columns.

    Examples
    --------
    >>> from isthmus import Autoencoder, OutlierDetector, datasets
    >>> X, y = datasets.load("digits")
    >>> detector = OutlierDetector(Autoencoder(8, max_epochs=5, random_state=0), contamination=0.05).fit(X)
    >>> float((detector.predict(X) == -1).mean().round(2))
    0.05
    """

    saved: ClassVar = {
        "offset_": Attribute(is_number, needed=True),
        "calibration_": Attribute(is_dict, Calibration.from_json, Calibration.as_json),
    }

    def __init__(
        self,
        autoencoder: AbstractAutoencoder | None = None,
        *,
        contamination: float = 0.1,
        random_state: RandomState = None,
    ) -> None:
        self.autoencoder = autoencoder
        self.contamination = contamination
        self.random_state = random_state

    def fit(self, X: RowsLike, y: RowsLike | None = None) -> Self:
        """Fit the autoencoder, and the threshold to its scores of the same rows.

        Parameters
        ----------
        X : array-like
            Rows, as ``fit`` of the autoencoder takes them.
        y : array-like, optional
            Conditions for a conditional autoencoder; ignored by all others.

        Returns
        -------
        self
            The detector, fitted.

        Raises
        ------
        ValueError, TypeError
            If a parameter has no meaning, or as ``fit`` of the autoencoder does.
        """
        if comes_in_pieces(X):
            raise InputTypeError(
                f"OutlierDetector takes rows that are in memory, and X is a {type(X).__name__}: fit an autoencoder on "
                "it, and give OutlierDetector(FrozenEstimator(autoencoder)) some of the rows"
            )
        check_number("contamination", self.contamination, min_val=0, max_val=0.5, include_boundaries="right")
        if self.autoencoder is not None and not hasattr(self.autoencoder, "score_samples"):
            raise InputTypeError(f"autoencoder={self.autoencoder!r}: give an autoencoder of isthmus, or None")
        if isinstance(self.autoencoder, FrozenEstimator):
            self.adopt([_frozen(self.autoencoder)])
        else:
            self._fit_autoencoders(X, y)
        given = self._given(X)
        scores, own = self._lowest(given), self.autoencoder_.format_.own_entries(X)
        self.calibration_ = Calibration.learn(self._lowest, given, scores, own)
        calibrated = self.calibration_(scores, missing_shares(given[0].x, own), own)
        self.offset_ = float(np.percentile(calibrated, 100 * self.contamination))
        return self

    def _fit_autoencoders(self, X: RowsLike, y: RowsLike | None) -> None:
        """Fit the autoencoder, or three where rows are fewer than their entries."""
        new = self._new_autoencoder()
        n_rows, entries = _size(X)
        is_wide = new.starts_at_pca and 2 * FOLDS <= n_rows < entries
        parts = _without_each_fold(X, y, n_rows) if is_wide else [(X, y)]
        with hushed(ConvergenceWarning):  # it is said once, of all
            self.adopt([clone(new).fit(*part) for part in parts])
        if all(map(kept_start, self.autoencoders_)):
            warn_caller(why_start_is_kept(self.autoencoder_), ConvergenceWarning)

    def _new_autoencoder(self) -> AbstractAutoencoder:
        default = VariationalAutoencoder(8, max_epochs=6)
        autoencoder: AbstractAutoencoder = default if self.autoencoder is None else clone(self.autoencoder)
        return autoencoder if self.random_state is None else autoencoder.set_params(random_state=self.random_state)

    def declared(self) -> dict[str, Attribute]:
        """Return how the fitted attributes are saved.

        Returns
        -------
        dict of str to Attribute
            Their codecs by name.
        """
        return dict(self.saved)

    def adopt(self, autoencoders: Sequence[AbstractAutoencoder]) -> Self:
        """Take fitted autoencoders, and what they know of the rows, for one's own.

        Parameters
        ----------
        autoencoders : sequence of estimators
            One, or three that were fitted on two thirds of the rows each.

        Returns
        -------
        self
            The detector, without a threshold as yet.
        """
        self.autoencoders_ = list(autoencoders)
        self.n_features_in_ = self.autoencoder_.n_features_in_
        if hasattr(self.autoencoder_, "feature_names_in_"):
            self.feature_names_in_ = self.autoencoder_.feature_names_in_
        return self

    @property
    def autoencoder_(self) -> AbstractAutoencoder:
        """The fitted autoencoder; the first where there are several."""
        return self.autoencoders_[0]

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that NaN is welcome, and so are sparse matrices."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.sparse = True
        return tags

    def score_samples(self, X: RowsLike, *, per_feature: bool = False) -> Any:
        """Return the autoencoder's score of each row in nats; higher is more usual.

        Parameters
        ----------
        X : array-like
            Rows as in ``fit``. Of rows with gaps the score is that of the same rank among rows without; a row of which
            nothing is known has one just below the threshold.
        per_feature : bool, default False
            Whether to return instead by how much each entry is likelier than it usually is: which columns, pixels or
            steps make a row unusual, the most negative first.

        Returns
        -------
        ndarray of shape (n,), or what the autoencoder's ``score_samples(X, per_feature=True)`` returns
            In nats.

        Raises
        ------
        ValueError
            If the model is not fitted, or `X` is not in the form of the rows of ``fit``.
        """
        check_is_fitted(self)
        if per_feature:
            return self.autoencoder_.format_.entries(self._shares(self._given(X)), X)
        return by_pieces(self._calibrated, X)

    def _calibrated(self, X: RowsLike) -> np.ndarray:
        """Return the score of each row, on the scale of rows without gaps."""
        given = self._given(X)
        scores, own, x = self._lowest(given), self.autoencoder_.format_.own_entries(X), given[0].x
        if hasattr(self, "calibration_"):  # an older version saved none
            scores = self.calibration_(scores, missing_shares(x, own), own)
        if isinstance(x, Ragged):
            is_told = not bool(self.autoencoder_.module_.usual[0].isnan().all())
            nothing = x.missing_shares(of_future=not is_told) == 1
        else:
            nothing = missing_shares(x, self._scored(x, own)) == 1
        return np.where(nothing, np.nextafter(self.offset_, -np.inf), scores)

    def decision_function(self, X: RowsLike) -> np.ndarray:
        """Return the score above the threshold: negative for outliers.

        Parameters
        ----------
        X : array-like
            Rows as in ``fit``.

        Returns
        -------
        ndarray of shape (n,)
            In nats.

        Raises
        ------
        ValueError
            If the model is not fitted, or `X` is not in the form of the rows of ``fit``.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: RowsLike) -> np.ndarray:
        """Tell usual rows from outliers.

        Parameters
        ----------
        X : array-like
            Rows as in ``fit``.

        Returns
        -------
        ndarray of int, of shape (n,)
            1 for usual rows and −1 for outliers.

        Raises
        ------
        ValueError
            If the model is not fitted, or `X` is not in the form of the rows of ``fit``.
        """
        return np.where(self.decision_function(X) >= 0, 1, -1)  # what has no score is not usual

    def save(self, folder: str | Path) -> None:
        """Save to a folder, as :meth:`isthmus.Autoencoder.save` does.

        Parameters
        ----------
        folder : path
            Where to; a model that is there is replaced.

        Raises
        ------
        ValueError, FileExistsError, OSError
            As :meth:`isthmus.Autoencoder.save` does.
        """
        check_is_fitted(self)
        save_estimator(self, folder)

    def _given(self, X: RowsLike) -> list[Given]:
        """Validate rows to be scored, for each autoencoder."""
        return [autoencoder.format_.encode_to_score(X) for autoencoder in self.autoencoders_]

    def _scored(self, x: np.ndarray, own: Any) -> np.ndarray | None:
        """Return which entries of rows have a part in their score; None: all."""
        unmodelled = self.autoencoder_.module_.usual.isnan().numpy(force=True)
        if not unmodelled.any() or unmodelled.all():  # an older version did not learn what is usual
            return own
        return np.broadcast_to(~unmodelled, x.shape) & (True if own is None else own)

    def _scores(self, given: Sequence[Given]) -> np.ndarray:
        """Return the score of each row by each autoencoder; shape (autoencoders, n)."""
        pairs = zip(self.autoencoders_, given, strict=True)
        return np.stack([inference.scores(each.module_, each.format_, rows) for each, rows in pairs])

    def _lowest(self, given: Sequence[Given]) -> np.ndarray:
        return np.asarray(self._scores(given).min(0))

    def _shares(self, given: Sequence[Given]) -> np.ndarray:
        """Return the scores of each row's entries, by the autoencoder with the lowest score of the row."""
        pairs = zip(self.autoencoders_, given, strict=True)
        shares = [inference.scores(each.module_, each.format_, rows, per_feature=True) for each, rows in pairs]
        if len(shares) == 1:
            return shares[0]
        return np.stack(shares)[self._scores(given).argmin(0), np.arange(len(shares[0]))]


def _frozen(frozen: FrozenEstimator) -> AbstractAutoencoder:
    """Return the fitted autoencoder that a frozen estimator holds."""
    autoencoder = frozen.estimator
    if not isinstance(autoencoder, AbstractAutoencoder):
        raise InputTypeError(f"autoencoder={frozen!r}: freeze a fitted autoencoder of isthmus")
    check_is_fitted(autoencoder)
    return autoencoder


def _size(X: RowsLike) -> tuple[int, int]:
    """Return how many rows there are, and entries of a row; 0 entries where rows differ in their lengths."""
    if isinstance(X, Mapping):
        sizes = [_size(values) for values in X.values() if values is not None]
        return max((n for n, _ in sizes), default=0), sum(entries for _, entries in sizes)
    try:
        shape = tuple(X.shape if hasattr(X, "shape") else np.asarray(X).shape)
    except ValueError:
        return 0, 0
    return (shape[0], math.prod(shape[1:])) if shape else (0, 0)


def _without_each_fold(X: RowsLike, y: RowsLike | None, n: int) -> list[tuple[RowsLike, RowsLike | None]]:
    """Return X and y without the rows of each fold, drawn by chance but the same each time."""
    fold = np.random.default_rng(0).permutation(n) % FOLDS
    kept = [np.flatnonzero(fold != i) for i in range(FOLDS)]
    X = X if isinstance(X, Mapping) or container_of(X) == "polars" else plain(X)
    return [(_taken(X, rows), None if y is None else _taken(y, rows)) for rows in kept]


def _taken(X: Any, rows: np.ndarray) -> RowsLike:
    """Return some rows of what may be an array, a tensor, a frame, a list, or a dict of these."""
    if isinstance(X, Mapping):
        return {name: None if values is None else _taken(values, rows) for name, values in X.items()}
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    if isinstance(X, list | tuple):
        return [X[row] for row in rows]
    return X[rows] if isinstance(X, np.ndarray | Tensor) or container_of(X) is not None else _taken(plain(X), rows)
