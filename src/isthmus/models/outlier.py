"""Finding the unusual with any autoencoder."""

from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.utils.validation import check_is_fitted

from isthmus.models.base import AbstractAutoencoder
from isthmus.models.checks import check_number
from isthmus.models.folder import save_estimator
from isthmus.models.variational import VariationalAutoencoder


class OutlierDetector(OutlierMixin, BaseEstimator):
    """Tell usual rows from unusual ones by how likely an autoencoder finds them.

    Parameters
    ----------
    autoencoder : estimator or None, default None
        Any autoencoder of isthmus; a clone of it is fitted. None is ``VariationalAutoencoder(8, max_epochs=10)``: its
        score, the ELBO, takes a row that lies far out in the code for unusual too, where a plain autoencoder sees only
        what it cannot rebuild, and few epochs leave it little time to learn the unusual rows too.
    contamination : float in (0, 0.5], default 0.1
        Share of the training rows that are taken for outliers: it sets the threshold, not the scores.
    random_state : int, RandomState or None, default None
        Takes the place of the autoencoder's own where it is given.

    Attributes
    ----------
    autoencoder_ : estimator
        The fitted autoencoder.
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

    def __init__(
        self,
        autoencoder: AbstractAutoencoder | None = None,
        *,
        contamination: float = 0.1,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.autoencoder = autoencoder
        self.contamination = contamination
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Fit the autoencoder, and the threshold to its scores of the same rows.

        `y` holds the conditions for a conditional autoencoder, and is ignored by all others.
        """
        check_number("contamination", self.contamination, min_val=0, max_val=0.5, include_boundaries="right")
        if self.autoencoder is not None and not hasattr(self.autoencoder, "score_samples"):
            raise TypeError(f"autoencoder={self.autoencoder!r}: give an autoencoder of isthmus, or None")
        if self.autoencoder is None:
            autoencoder: AbstractAutoencoder = VariationalAutoencoder(8, max_epochs=10)
        else:
            autoencoder = clone(self.autoencoder)
        if self.random_state is not None:
            autoencoder.set_params(random_state=self.random_state)
        self.adopt(autoencoder.fit(X, y))
        self.offset_ = float(np.percentile(autoencoder.score_samples(X), 100 * self.contamination))
        return self

    def adopt(self, autoencoder: AbstractAutoencoder) -> Self:
        """Take a fitted autoencoder, and what it knows of the rows, for one's own."""
        self.autoencoder_ = autoencoder
        self.n_features_in_ = autoencoder.n_features_in_
        if hasattr(autoencoder, "feature_names_in_"):
            self.feature_names_in_ = autoencoder.feature_names_in_
        return self

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that NaN is welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def score_samples(self, X: ArrayLike, *, per_feature: bool = False) -> Any:
        """Return the autoencoder's score of each row in nats; higher is more usual.

        With `per_feature` the share of each entry instead: which columns, pixels or steps make a row unusual.
        """
        check_is_fitted(self)
        return self.autoencoder_.score_samples(X, per_feature=per_feature)

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Return the score above the threshold, in nats: negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return 1 for usual rows and −1 for outliers."""
        return np.where(self.decision_function(X) >= 0, 1, -1)  # what has no score is not usual

    def save(self, folder: str | Path) -> None:
        """Save to a folder, as :meth:`isthmus.Autoencoder.save` does."""
        check_is_fitted(self)
        save_estimator(self, folder)
