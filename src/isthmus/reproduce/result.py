"""What a reproduction found: figures beside the published ones, tables, pictures."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

WITHIN, OUTSIDE = "within tolerance", "outside tolerance"
UNPUBLISHED, QUICK = "no published figure", "no verdict: a quick run"


@dataclass(frozen=True)
class Figure:
    """A number that was measured, beside what it should be.

    Parameters
    ----------
    name : str
        What was measured.
    measured : float
        What came out.
    published : float, optional
        What was published.
    tolerance : float, optional
        How far from `published` it may be, either way; goes with it.
    at_most : float, optional
        A bound, where there is no single published value.
    """

    name: str
    measured: float
    published: float | None = None
    tolerance: float | None = None
    at_most: float | None = None

    @property
    def expected(self) -> str:
        """What it should be, in words."""
        if self.at_most is not None:
            return f"at most {self.at_most:g}"
        return "–" if self.published is None else f"{self.published:g} ± {self.tolerance:g}"

    @property
    def verdict(self) -> str:
        """Whether it is what it should be; a figure that is no number is not."""
        if self.at_most is not None:
            inside = self.measured <= self.at_most
        elif self.published is not None and self.tolerance is not None:
            inside = abs(self.measured - self.published) <= self.tolerance
        else:
            return UNPUBLISHED
        return WITHIN if inside else OUTSIDE


@dataclass(frozen=True)
class Table:
    """Figures that belong together."""

    title: str
    frame: pd.DataFrame

    def cells(self) -> pd.DataFrame:
        """Return the frame as text, as people read numbers."""
        return self.frame.map(_cell)


@dataclass(frozen=True)
class Images:
    """Groups of lines of images in [0, 1], each line (n, height, width) under its name; `columns` are named too."""

    title: str
    text: str
    groups: Sequence[dict[str, np.ndarray]]
    columns: Sequence[object] = ()


@dataclass(frozen=True)
class Points:
    """Panels of points in the plane or in space, (n, 2) or (n, 3), coloured alike by `colour`."""

    title: str
    text: str
    panels: dict[str, np.ndarray]
    colour: np.ndarray


@dataclass(frozen=True)
class Curves:
    """Lines over epochs, from 1 on; those named in `published` are drawn as marks."""

    title: str
    text: str
    lines: Mapping[str, Sequence[float]]
    published: Mapping[str, Sequence[float]]


Picture = Images | Points | Curves


@dataclass(frozen=True)
class Findings:
    """What a study measured."""

    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True)
class Fit:
    """A model that was fitted: by what name, with what parameters, its seed among them, in what time."""

    name: str
    model: str
    seconds: float


@dataclass(frozen=True)
class Reproduction:
    """What was found, and under what circumstances.

    Attributes
    ----------
    name, title, setting : str
        Which study it is, and how it is set, in words.
    findings : Findings
        What was measured.
    fits : list of Fit
        Every model that was fitted for it.
    seed : int
        The first of the seeds.
    quick : bool
        Whether it was a shortened run, whose figures prove nothing.
    rows : int or None
        Images, or points, that it was cut to; None for all.
    seconds : float
        How long it took.
    versions : dict of str to str
        Of the libraries that it ran on.
    """

    name: str
    title: str
    setting: str
    findings: Findings
    fits: Sequence[Fit]
    seed: int
    quick: bool
    rows: int | None
    seconds: float
    versions: dict[str, str]

    def verdict(self, figure: Figure) -> str:
        """Return a figure's verdict; a shortened run has none."""
        return QUICK if self.quick and figure.verdict != UNPUBLISHED else figure.verdict

    def as_json(self) -> dict[str, object]:
        """Return all of it but the pictures, as JSON has it."""
        told = {name: value for name, value in vars(self).items() if name not in ("findings", "fits")}
        found = self.findings
        return told | {
            "figures": [_without_nan(asdict(figure)) | {"verdict": self.verdict(figure)} for figure in found.figures],
            "tables": {table.title: _records(table.frame) for table in found.tables},
            "notes": list(found.notes),
            "fits": [asdict(fit) for fit in self.fits],
        }


def _cell(value: str | float | np.integer | None) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    return "–" if pd.isna(value) else f"{value:.4g}"


def _records(frame: pd.DataFrame) -> list[dict[str, object]]:
    lines = frame.astype(object).to_dict("index")
    return [{"name": str(name)} | _without_nan(line) for name, line in lines.items()]


def _without_nan(line: Mapping[str, object] | Mapping[Hashable, object]) -> dict[str, object]:
    """Say None for NaN, which JSON has not, and plain numbers for NumPy's."""
    plain = {str(name): value.item() if isinstance(value, np.generic) else value for name, value in line.items()}
    return {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in plain.items()}
