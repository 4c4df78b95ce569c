"""What the verbs' arguments and options are called, and what they say of themselves."""

from pathlib import Path
from typing import Annotated, Literal

import typer

MOST = 2**31 - 1
"""A whole number that all that follows can count to."""

MOST_SEED = 2**32 - 1
"""That NumPy takes."""

MOST_FITS = 10_000
"""Of one model, in a comparison."""

Data = Annotated[
    str, typer.Argument(metavar="DATA", help="A name that `isthmus data` lists, a file, or a folder of images.")
]

Run = Annotated[Path, typer.Argument(metavar="RUN", help="A folder that `isthmus train` wrote.")]

Output = Annotated[Path, typer.Option("-o", "--output", help="Result: .npy, .csv or .parquet, by the name's ending.")]

OutputOrPicture = Annotated[
    Path, typer.Option("-o", "--output", help="Result: .npy, .csv, .parquet or, of images, .png, by the name's ending.")
]

DataDir = Annotated[Path | None, typer.Option(help="Where the named data sets are looked for first.")]

Label = Annotated[str | None, typer.Option(help="The column, or array of an .npz, that holds the labels.")]

Window = Annotated[int | None, typer.Option(min=2, max=MOST, help="DATA is a long series: steps in a window of it.")]

Stride = Annotated[int | None, typer.Option(min=1, max=MOST, help="Steps from window to window; default: a tenth.")]

Time = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Of a series: when each step was; found where not given; none: there is none."),
]

Group = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Of a file of several series: which a row is of; found where times repeat."),
]

Split = Annotated[Literal["train", "test", "all"], typer.Option(help="Which part of a named data set.")]

Out = Annotated[Path, typer.Option("--out", metavar="RUN", help="The run's folder.")]

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any other parameter, such as network__dropout=0.1; repeatable."),
]

Components = Annotated[int | None, typer.Option(max=MOST, help="Units of the code.")]

Epochs = Annotated[int | None, typer.Option(max=MOST, help="Passes over the training rows.")]

Seed = Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Of all random numbers.")]

FirstSeed = Annotated[int, typer.Option("--seed", min=0, max=MOST_SEED - MOST_FITS, help="The first of the seeds.")]

Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps or auto.")]

Kinds = Annotated[
    list[str] | None,
    typer.Option(
        "--kind",
        metavar="COLUMN=KIND",
        help="Of a tabular model: number, boolean, category, date or a format such as %d.%m.%Y; repeatable.",
    ),
]

Drop = Annotated[
    list[str] | None, typer.Option("--drop", metavar="COLUMN", help="Leave a column of a table out; repeatable.")
]

Missing = Annotated[
    list[str] | None,
    typer.Option("--na", metavar="VALUE", help="What stands for a missing value, such as -999; repeatable."),
]

Size = Annotated[
    str | None,
    typer.Option(help="DATA is a folder of images: pixels to bring them to, such as 32, or 32,48 (height, width)."),
]

Fit = Annotated[Literal["crop", "pad"], typer.Option(help="Of images with another aspect: the middle, or all of it.")]

SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out images that cannot be read, and say which.")]

MaxGB = Annotated[
    float | None,
    typer.Option(
        "--max-gb",
        metavar="GB",
        help="Most memory that DATA may take, unpacked; default: a quarter of this machine's, 16 at the most.",
    ),
]

MaxPixels = Annotated[
    int | None, typer.Option(min=1, max=10**12, help="Of an image of DATA, as it is; default: 100 million.")
]

Formulas = Annotated[
    bool,
    typer.Option(
        "--formulas", help="In a .csv, text that begins with =, +, - or @ as it is: a spreadsheet may run it."
    ),
]
