"""What a fit hands the record of each epoch to."""

from collections.abc import Callable

from isthmus.models.own_parts import takes_estimator
from isthmus.models.params import Parameters
from isthmus.training import EarlyStopping, State
from isthmus.training.callbacks import Callback, Record


def callbacks_of(estimator: Parameters, state: State, *, stops_early: bool) -> list[Callback]:
    """Return the callbacks of an estimator's fit: the person's own, and early stopping where it is asked for."""
    callbacks = [_of_record(estimator, state, each) for each in estimator.callbacks]
    if stops_early and estimator.early_stopping:
        stopping = EarlyStopping(estimator.patience, estimator.monitor)
        for record in state.history:
            stopping(record)  # it was told of them before
        callbacks.append(stopping)
    return callbacks


def _of_record(estimator: Parameters, state: State, callback: Callable[..., bool | None]) -> Callback:
    """Return a callback of the record alone; one that takes the estimator too finds it fitted so far."""
    if not takes_estimator(callback):
        return callback

    def call(record: Record) -> bool | None:
        estimator.__dict__.update(module_=state.model.eval(), history_=list(state.history))
        return callback(record, estimator)

    return call
