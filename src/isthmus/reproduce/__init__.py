"""Published results, one a file: its figures, its setting, its tolerance, and the run that measures them again."""

import difflib
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from isthmus.errors import InputError
from isthmus.reproduce import (
    deep_nine,
    families,
    fashion_conv_four,
    interpolation,
    swiss_roll,
    under_over_conv,
    vae_cvae,
)
from isthmus.reproduce.result import Curves, Figure, Findings, Images, Points, Reproduction, Table
from isthmus.reproduce.study import Study

__all__ = [
    "REPRODUCTIONS", "Curves", "Figure", "Findings", "Images", "Points", "Reproduction", "Table", "check_name", "run",
]  # fmt: skip

REPRODUCTIONS: dict[str, ModuleType] = {
    "under-over-conv": under_over_conv,
    "deep-nine": deep_nine,
    "fashion-conv-four": fashion_conv_four,
    "vae-cvae": vae_cvae,
    "families": families,
    "swiss-roll": swiss_roll,
    "interpolation": interpolation,
}
"""Each has a TITLE, a SETTING in words, and ``run(study)``, which returns its findings."""

LIBRARIES = ("isthmus", "torch", "numpy", "scikit-learn")


def check_name(name: str) -> None:
    """Raise ValueError where there is no such reproduction."""
    if name not in REPRODUCTIONS:
        close = difflib.get_close_matches(name, REPRODUCTIONS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(REPRODUCTIONS)}"
        raise InputError(f"unknown reproduction {name!r}: {hint}")


def run(
    name: str,
    *,
    quick: bool = False,
    seed: int = 0,
    data_dir: str | Path | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Reproduction:
    """Measure a published result again.

    Parameters
    ----------
    name : str
        One of ``REPRODUCTIONS``.
    quick : bool, default False
        Whether to shorten it: fewer rows, epochs and seeds, and no verdict.
    seed : int, default 0
        The first of the seeds.
    data_dir : path, optional
        Where the named data sets are looked for first.
    progress : callable, optional
        Called with a line of text now and then.

    Raises
    ------
    ValueError
        If there is no such name.
    """
    check_name(name)
    module = REPRODUCTIONS[name]
    study = Study(seed, quick, None if data_dir is None else Path(data_dir), progress)
    began = time.perf_counter()
    findings = module.run(study)
    return Reproduction(
        name=name,
        title=module.TITLE,
        setting=module.SETTING,
        findings=findings,
        fits=study.fits,
        seed=seed,
        quick=quick,
        rows=study.rows,
        seconds=time.perf_counter() - began,
        versions={"python": platform.python_version()} | {library: version(library) for library in LIBRARIES},
    )
