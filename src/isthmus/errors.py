"""A user's mistakes: what the command line says in one line. Any other error is a bug, and keeps its traceback."""


class InputError(ValueError):
    """What a user gave has no meaning; the message says what is wrong, where, and what to do."""


class InputTypeError(TypeError):
    """What a user gave is of no type that can be used; the message says which can."""


class DataWarning(UserWarning):
    """What was made of a person's data that they may not think of; the message says how to have it otherwise."""
