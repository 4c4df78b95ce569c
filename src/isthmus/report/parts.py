"""Parts of a page: one that fails is left out, and named, so that it does not cost the others."""

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from isthmus.errors import warn_caller, with_kind

Made = TypeVar("Made")

MOST_STEPS = 8
"""Of the way to where a part failed."""


class Lacking(NamedTuple):
    """A part that was left out: its name, why, and where in the code it failed, for who mends it."""

    name: str
    reason: str
    where: list[str]


@dataclass
class Parts:
    """What was made of a page, and what it lacks."""

    lacking: list[Lacking] = field(default_factory=list)

    def make(self, name: str, part: Callable[[], Made]) -> Made | None:
        """Return a part; None for one that fails, whatever its error is: the page is a view of what is saved."""
        try:
            return part()
        except Exception as error:
            steps = traceback.extract_tb(error.__traceback__)[-MOST_STEPS:]
            where = [f"{_short(step.filename)}:{step.lineno} in {step.name}" for step in steps]
            self.lacking.append(Lacking(name, with_kind(error), where))
            return None

    def make_all(self, parts: Iterable[tuple[str, Callable[[], Made]]]) -> list[Made]:
        """Return those of several parts that could be made."""
        made = [self.make(name, part) for name, part in parts]
        return [part for part in made if part is not None]

    def tell(self) -> None:
        """Warn of each part that the page lacks."""
        for name, reason, _ in self.lacking:
            warn_caller(f"the report lacks {name!r}, which failed: {reason}; the page says where, please report that")


def _short(path: str) -> str:
    """Return the end of a path: a page that is passed on need not tell where things are on a person's disk."""
    return "/".join(path.replace("\\", "/").split("/")[-2:])
