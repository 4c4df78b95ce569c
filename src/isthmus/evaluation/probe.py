"""What a code knows of the labels: a linear probe and the nearest neighbour."""

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from isthmus.errors import warnings_as

MOST_ROWS = 5000
"""Training rows that a probe is fitted on; more change it little and cost much."""


def linear_probe_accuracy(train: np.ndarray, y_train: np.ndarray, test: np.ndarray, y_test: np.ndarray) -> float:
    """Return the test accuracy of logistic regression on standardised codes, in [0, 1] (Alain & Bengio 2016)."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    with warnings_as("ignore", ConvergenceWarning):  # an accuracy does not need the last digit
        probe.fit(train[:MOST_ROWS], y_train[:MOST_ROWS])
    return float(probe.score(test, y_test))


def nearest_neighbour_accuracy(train: np.ndarray, y_train: np.ndarray, test: np.ndarray, y_test: np.ndarray) -> float:
    """Return how often the nearest training code, by Euclid's distance, has the same label, in [0, 1]."""
    neighbour = KNeighborsClassifier(1).fit(train[:MOST_ROWS], y_train[:MOST_ROWS])
    return float(neighbour.score(test, y_test))
