"""The only training loop there is: a step, its figures, the epochs, and what is kept of a run."""

from isthmus.training.callbacks import EarlyStopping, Progress
from isthmus.training.loop import Interrupted, run
from isthmus.training.state import State, new_state

__all__ = ["EarlyStopping", "Interrupted", "Progress", "State", "new_state", "run"]
