"""How a study is run: in full, or shortened; what it fits is noted down."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from sklearn import config_context

from isthmus.models.base import AbstractAutoencoder
from isthmus.reproduce.result import Fit
from isthmus.sources import datasets

Model = TypeVar("Model", bound=AbstractAutoencoder)

Setting = dict[str, Any]
"""Parameters of models, by their names."""

QUICK_ROWS, QUICK_EPOCHS, QUICK_SEEDS = 2000, 2, 2
"""What a quick run is cut to."""


class Split(NamedTuple):
    """Rows to train on and rows to measure on, with what is known of them."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


@dataclass
class Study:
    """One run of a study.

    Parameters
    ----------
    seed : int, default 0
        The first of the seeds.
    quick : bool, default False
        Whether to run on fewer rows, for fewer epochs and with fewer seeds.
    data_dir : path, optional
        Where the named data sets are looked for first.
    progress : callable, optional
        Called with a line of text now and then.
    """

    seed: int = 0
    quick: bool = False
    data_dir: Path | None = None
    progress: Callable[[str], None] = lambda text: None
    fits: list[Fit] = field(default_factory=list)

    @property
    def rows(self) -> int | None:
        """Rows that each part of the data is cut to; None for all."""
        return QUICK_ROWS if self.quick else None

    def load(self, name: str) -> Split:
        """Load a named data set."""
        X, y = datasets.load(name, "train", self.data_dir)
        X_test, y_test = datasets.load(name, "test", self.data_dir)
        return Split(*(np.asarray(part)[: self.rows] for part in (X, y, X_test, y_test)))

    def epochs(self, full: int) -> int:
        """Return how many epochs there are, of those of a full run."""
        return min(full, QUICK_EPOCHS) if self.quick else full

    def seeds(self, full: int) -> range:
        """Return the seeds, of as many as a full run has."""
        return range(self.seed, self.seed + (min(full, QUICK_SEEDS) if self.quick else full))

    def fit(self, name: str, model: Model, X: np.ndarray, y: np.ndarray | None = None) -> Model:
        """Fit a model and note it down."""
        self.progress(f"{name}: {model.max_epochs} epochs")
        began = time.perf_counter()
        model.fit(X, y)
        if model.interrupted_:
            raise KeyboardInterrupt  # a model cut short must not stand beside published figures
        self.note(name, model, time.perf_counter() - began)
        return model

    def note(self, name: str, model: AbstractAutoencoder, seconds: float) -> None:
        """Note down a model that was fitted, with all its parameters."""
        with config_context(
            print_changed_only=False
        ):  # of what is inside; scikit-learn shows 30 parameters at the most
            params = ", ".join(f"{key}={value!r}" for key, value in sorted(model.get_params(deep=False).items()))
        description = f"{type(model).__name__}({params})"
        self.fits.append(Fit(name, " ".join(description.split()), seconds))
        self.progress(f"{name}: trained in {seconds:.0f} s, squared error {model.history_[-1]['train']['mse']:.4f}")
