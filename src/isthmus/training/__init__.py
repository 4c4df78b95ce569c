"""The only training loop there is."""

from isthmus.training.callbacks import EarlyStopping, Progress
from isthmus.training.loop import State, evaluate, new_state, run

__all__ = ["EarlyStopping", "Progress", "State", "evaluate", "new_state", "run"]
