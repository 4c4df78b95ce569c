"""A classifier of real images, by which generated ones are judged."""

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from isthmus.errors import warnings_as
from isthmus.reproduce.study import Split, Study


class Judge:
    """A network of one hidden layer, fitted on real training images.

    Parameters
    ----------
    study : Study
        Says for how long, and with which seed.
    split : Split
        Images with their classes.

    Attributes
    ----------
    accuracy : float
        On real test images: how far its word may be taken.
    """

    def __init__(self, study: Study, split: Split) -> None:
        study.progress("the judge: a classifier of real images")
        self._classifier = MLPClassifier((256,), max_iter=study.epochs(10), random_state=study.seed)
        with warnings_as("ignore", ConvergenceWarning):  # ten epochs are enough
            self._classifier.fit(_flat(split.X), split.y)
        self.accuracy = self.agreement(split.X_test, split.y_test)

    def agreement(self, images: np.ndarray, y: np.ndarray) -> float:
        """Return the share of images that it takes for what they are said to be."""
        return float(self._classifier.score(_flat(images), y))

    def confidence(self, images: np.ndarray) -> float:
        """Return the mean probability of the class that it finds likeliest."""
        return float(self._classifier.predict_proba(_flat(images)).max(1).mean())


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1)
