"""What the verbs' arguments and options are called, and what they say of themselves.

Nothing is imported here that takes time: `isthmus --help` needs it.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, get_type_hints

import typer

MODELS = {
    "plain": "Autoencoder",
    "denoising": "DenoisingAutoencoder",
    "sparse": "SparseAutoencoder",
    "contractive": "ContractiveAutoencoder",
    "variational": "VariationalAutoencoder",
    "conditional": "ConditionalVariationalAutoencoder",
    "sequence": "SequenceAutoencoder",
    "tabular": "TabularAutoencoder",
}
"""What --model may be, and the class that it is."""

NETWORKS = {"mlp": "MLP", "conv": "Conv", "lstm": "LSTM", "transformer": "Transformer"}

MOST = 2**31 - 1
"""A whole number that all that follows can count to."""

MOST_SEED = 2**32 - 1
"""That NumPy takes."""

MOST_PROCESSES = 10_000
"""That train together."""

MOST_FITS = 10_000
"""Of one model, in a comparison."""

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA", help="A name that `isthmus data` lists, a file, or a folder of images or Parquet shards."
    ),
]

Run = Annotated[Path, typer.Argument(metavar="RUN", help="A folder that `isthmus train` wrote.")]

Output = Annotated[
    Path,
    typer.Option("-o", "--output", help="Result: .npy, .csv or .parquet, by the name's ending; of shards a folder."),
]

OutputOrPicture = Annotated[
    Path,
    typer.Option(
        "-o", "--output", help="Result: .npy, .csv, .parquet or, of images, .png, by its ending; of shards a folder."
    ),
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

Devices = Annotated[
    int, typer.Option(min=1, max=MOST_PROCESSES, help="Processes that train together on a machine, each on a device.")
]

Nodes = Annotated[int, typer.Option(min=1, max=MOST_PROCESSES, help="Machines that do, each of so many processes.")]

Strategy = Annotated[
    Literal["ddp"] | None, typer.Option(help="How several processes share the work: each trains on a part of a batch.")
]

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

Stream = Annotated[
    bool,
    typer.Option(
        "--stream",
        help="Read DATA from disk a piece at a time, as folders of Parquet shards always are, and what takes more than "
        "a quarter of the free memory.",
    ),
]

Formulas = Annotated[
    bool,
    typer.Option(
        "--formulas", help="In a .csv, text that begins with =, +, - or @ as it is: a spreadsheet may run it."
    ),
]


class RowsOptions(NamedTuple):
    """The run that a verb uses, and the rows that it is shown."""

    run: Run
    data: Data
    split: Split = "test"
    label: Label = None
    time: Time = None
    group: Group = None
    data_dir: DataDir = None
    skip_bad: SkipBad = False
    max_gb: MaxGB = None
    max_pixels: MaxPixels = None
    stream: Stream = False


class DataOptions(NamedTuple):
    """What `isthmus data` looks at, and how it is read."""

    source: Annotated[str | None, typer.Argument(metavar="[DATA]", help="A file or folder: how it is read.")] = None
    kinds: Kinds = None
    drop: Drop = None
    na: Missing = None
    window: Window = None
    stride: Stride = None
    time: Time = None
    group: Group = None
    size: Size = None
    fit: Fit = "crop"
    skip_bad: SkipBad = False
    max_gb: MaxGB = None
    max_pixels: MaxPixels = None
    label: Label = None
    data_dir: DataDir = None


class CompareOptions(NamedTuple):
    """What `isthmus compare` compares, and on which rows."""

    data: Data
    out: Out
    names: Annotated[str | None, typer.Option("--models", help="Names from the default set, with commas.")] = None
    components: Components = None
    seeds: Annotated[int, typer.Option(min=1, max=MOST_FITS, help="Fits of each model.")] = 3
    epochs: Epochs = None
    corruption: Annotated[str, typer.Option(help="What is done to the test rows.")] = "masking"
    corruption_level: Annotated[float, typer.Option(help="How much of it.")] = 0.25
    seed: FirstSeed = 0
    label: Label = None
    data_dir: DataDir = None
    size: Size = None
    fit: Fit = "crop"
    skip_bad: SkipBad = False
    max_gb: MaxGB = None
    max_pixels: MaxPixels = None


class TrainOptions(NamedTuple):
    """What `isthmus train` is asked for."""

    data: Annotated[str | None, typer.Argument(metavar="DATA", help="As `isthmus data` says.")] = None
    out: Annotated[Path | None, typer.Option("--out", metavar="RUN", help="The run's folder.")] = None
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped.")] = None
    source: Annotated[
        Path | None, typer.Option("--from", metavar="RUN", help="Go on from a finished run's weights, with new DATA.")
    ] = None
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the finished run that --out holds.")] = False
    model: Annotated[str, typer.Option(help=f"{', '.join(MODELS)}.")] = "plain"
    components: Components = None
    network: Annotated[str | None, typer.Option(help=f"{', '.join(NETWORKS)}; default: mlp, for sequences lstm.")] = (
        None
    )
    hidden: Annotated[
        str | None, typer.Option(help="mlp: widths of the hidden layers, such as 128,64; lstm: its one.")
    ] = None
    channels: Annotated[str | None, typer.Option(help="conv: channels of its layers, such as 32,64.")] = None
    epochs: Epochs = None
    batch_size: Annotated[int | None, typer.Option(max=MOST, help="Rows a step.")] = None
    lr: Annotated[float | None, typer.Option(help="Learning rate, or its peak.")] = None
    compile: Annotated[
        bool, typer.Option("--compile", help="Compile the training's step: slow to begin, faster from then on.")
    ] = False
    scale: Annotated[
        Literal["standard", "auto", "none"] | None,
        typer.Option(help="Standardise inside; auto: where X has a spread that does harm; default: none."),
    ] = None
    window: Window = None
    stride: Stride = None
    seed: Seed = 0
    device: Device = "auto"
    devices: Devices = 1
    nodes: Nodes = 1
    strategy: Strategy = None
    settings: Settings = None
    label: Label = None
    time: Time = None
    group: Group = None
    data_dir: DataDir = None
    kinds: Kinds = None
    drop: Drop = None
    na: Missing = None
    size: Size = None
    fit: Fit = "crop"
    skip_bad: SkipBad = False
    max_gb: MaxGB = None
    max_pixels: MaxPixels = None
    stream: Stream = False
    checkpoint_minutes: Annotated[float, typer.Option(min=0, help="Between checkpoints, at the most.")] = 10


class ReportOptions(NamedTuple):
    """The run that `isthmus report` is about, and on which rows."""

    run: Run
    data: Annotated[str | None, typer.Argument(metavar="[DATA]", help="Other rows than the run's own.")] = None
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where to; default: RUN/report.html.")] = None
    label: Label = None
    time: Time = None
    group: Group = None
    data_dir: DataDir = None
    skip_bad: SkipBad = False
    max_gb: MaxGB = None
    max_pixels: MaxPixels = None
    stream: Stream = False


class ReproduceOptions(NamedTuple):
    """What `isthmus reproduce` measures again."""

    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One of --list.")] = None
    names: Annotated[bool, typer.Option("--list", help="Say which there are.")] = False
    quick: Annotated[bool, typer.Option("--quick", help="A shortened run, which proves nothing.")] = False
    out: Annotated[Path | None, typer.Option(help="The results' folder; default: runs/reproduce/NAME.")] = None
    seed: FirstSeed = 0
    data_dir: DataDir = None


def spread(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the fields of its parameter `options`, a NamedTuple, as parameters of its own, which typer reads."""
    hints = get_type_hints(verb, include_extras=True)
    record = hints.pop("options")
    own = [each for name, each in inspect.signature(verb).parameters.items() if name != "options"]
    fields = inspect.signature(record).parameters
    hints = {**hints, **get_type_hints(record, include_extras=True)}

    def called(**given: object) -> None:
        verb(options=record(**{name: given.pop(name) for name in fields}), **given)

    parameters = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[each.name])
        for each in (*fields.values(), *own)
    ]
    needed = sorted(parameters, key=lambda each: each.default is not each.empty)  # these are named first
    called.__signature__ = inspect.Signature(needed)  # type: ignore[attr-defined]
    called.__name__, called.__doc__, called.__annotations__ = verb.__name__, verb.__doc__, hints
    return called
