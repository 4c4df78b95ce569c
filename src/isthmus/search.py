"""scikit-learn's search over a grid, with candidates of one shape trained as one batched model."""

from collections.abc import Callable, Iterator, Sequence
from typing import Self

import numpy as np
from joblib import effective_n_jobs, parallel_config
from joblib.parallel import ParallelBackendBase
from numpy.typing import ArrayLike
from sklearn.model_selection import GridSearchCV

from isthmus.errors import InputTypeError
from isthmus.models.fitting import Fitting
from isthmus.models.learning import comes_in_pieces
from isthmus.training.batched_fits import AT_ONCE, fit_batched


class GridSearch(GridSearchCV):
    """Search a grid of parameters by cross-validation, as :class:`sklearn.model_selection.GridSearchCV` does, sooner.

    Parameters, attributes and results are ``GridSearchCV``'s, and so are the splits, the scores and what is refitted.
    Only the training is another: candidates and folds whose models have one shape are trained as one batched model,
    each with its own rows, seed, learning rate and weights on its terms. What differs between them is rounding. All
    that cannot be trained so is trained by itself: wide networks, which would not gain, convolutions and recurrences,
    dropout, parts and callbacks of your own, and models on an accelerator. The autoencoder may also be a step of a
    pipeline.

    Parameters
    ----------
    estimator : estimator
        An autoencoder, a pipeline with one, or any other estimator, which is searched as ``GridSearchCV`` does.
    param_grid : dict or list of dict
        The values to try of each parameter; of several grids in a list each is tried.
    scoring : str, callable, list, tuple or dict, default None
        What the folds that are left out are judged by; None is the estimator's ``score``: of an autoencoder the mean
        log-likelihood of a row, or its bound, in nats.
    n_jobs : int or None, default None
        How many fits that are trained by themselves go on beside one another, in threads; None is 1, and so is any
        number where this process is one of several (docs/distributed.md).
    refit : bool, str or callable, default True
        Whether, and by which score, the best candidate is fitted to all rows at the end.
    cv : int, splitter, iterable or None, default None
        How the rows are split; None is five folds.
    verbose : int, default 0
        How much is printed.
    pre_dispatch : int or str, default "2*n_jobs"
        Of no effect but where the estimator is none of isthmus: as many fits are begun at once as may be trained as
        one.
    error_score : "raise" or float, default nan
        The score of a candidate that fails.
    return_train_score : bool, default False
        Whether the folds that were trained on are judged too.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray
        A column each: the candidates' parameters, scores by fold, their means, ranks. The time of a fit is that in
        which its whole group was trained.
    best_estimator_, best_params_, best_score_, best_index_, scorer_, n_splits_, refit_time_, multimetric_
        As ``GridSearchCV`` has them.

    Examples
    --------
    >>> from isthmus import Autoencoder, GridSearch, datasets
    >>> from isthmus.networks import MLP
    >>> X, y = datasets.load("digits")
    >>> autoencoder = Autoencoder(8, network=MLP(hidden=(32,)), max_epochs=3, random_state=0)
    >>> search = GridSearch(autoencoder, {"lr": [1e-3, 3e-3], "weight_decay": [0, 1e-4]}, cv=3).fit(X)
    >>> len(search.cv_results_["params"]), search.n_splits_
    (4, 3)
    >>> search.best_estimator_.transform(X).shape
    (1437, 8)
    """

    def fit(self, X: ArrayLike, y: ArrayLike | None = None, **params: object) -> Self:
        """Try every candidate on every split, and fit the best one to all rows.

        Parameters
        ----------
        X : array-like
            Rows, as the estimator takes them.
        y : array-like, optional
            Conditions or classes, for an estimator or a score that needs them.
        **params : dict
            Further arguments of the estimator's ``fit``, its score and the splitter.

        Returns
        -------
        self
            The search, fitted.

        Raises
        ------
        ValueError, TypeError
            As ``GridSearchCV`` does: if every fit fails, or a parameter has no meaning.
        """
        if comes_in_pieces(X):
            raise InputTypeError(
                f"GridSearch takes rows in memory, and X is a {type(X).__name__}: give rows, or a part of them, as "
                "numpy.load(path) and pandas.read_parquet(path) return"
            )
        if not any(map(_holds_ours, [self.estimator, *_tried(self.param_grid)])):
            return super().fit(X, y, **params)
        workers = effective_n_jobs(self.n_jobs)
        with parallel_config(backend=_Batching(workers=workers)):
            return super().fit(X, y, **params)


def _tried(grids: object) -> Iterator[object]:
    """Give each value of a grid, or of several; whatever is none is left to scikit-learn, which says so."""
    for grid in grids if isinstance(grids, list) else [grids]:
        for values in grid.values() if isinstance(grid, dict) else ():
            yield from values if isinstance(values, Sequence | np.ndarray) else ()


def _holds_ours(part: object) -> bool:
    """Tell whether it is an autoencoder, or an estimator with one among its parameters."""
    if isinstance(part, type) or not hasattr(part, "get_params"):
        return False
    return any(isinstance(each, Fitting) for each in (part, *part.get_params().values()))


class _Result:
    """What a task gives, once all have been called."""

    def __init__(self, task: Callable[[], object], callback: Callable[["_Result"], None] | None) -> None:
        self.task = task
        self.callback = callback
        self.value: object = None
        self.error: BaseException | None = None

    def call(self) -> None:
        """Call the task, and keep what it gives or raises."""
        try:
            self.value = self.task()
        except Exception as error:
            self.error = error


class _Batching(ParallelBackendBase):
    """A backend of joblib's that begins when all tasks are there, and lets them wait for one another."""

    uses_threads = True
    supports_sharedmem = True
    supports_retrieve_callback = False
    supports_timeout = False

    def __init__(self, workers: int = 1, **options: object) -> None:
        super().__init__(**options)
        self.workers = workers
        self._waiting: list[_Result] = []

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many tasks joblib is to think of as computed at once; twice as many it hands over."""
        return AT_ONCE

    def submit(self, func: Callable[[], object], callback: Callable[["_Result"], None] | None = None) -> _Result:
        """Take a task."""
        self._waiting.append(_Result(func, callback))
        return self._waiting[-1]

    def retrieve_result(self, out: _Result, timeout: float | None = None) -> object:
        """Return what a task has given, and have all called that are there if it has not been."""
        if out in self._waiting:
            tasks, self._waiting = self._waiting, []
            fit_batched([task.call for task in tasks], self.workers)
            for task in tasks:
                if task.callback is not None:
                    task.callback(task)
        if out.error is not None:
            raise out.error
        return out.value
