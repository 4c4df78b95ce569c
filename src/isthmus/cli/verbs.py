"""The verbs: what each takes, what it says of itself, and who does it, which is imported when the verb is called."""

from typing import Annotated, Literal

import typer

from isthmus.cli.app import app
from isthmus.cli.options import (
    MOST,
    CompareOptions,
    DataOptions,
    Formulas,
    Output,
    OutputOrPicture,
    ReportOptions,
    ReproduceOptions,
    RowsOptions,
    Run,
    Seed,
    TrainOptions,
    spread,
)
from isthmus.starting import importing


@app.command()
@spread
def data(options: DataOptions) -> None:
    """List the data sets that have a name, and where they are; or say what is understood of a file or folder.

    Of a table: what its columns are taken for by a tabular model, what is missing, what is left out and why. With
    --window DATA is a long series: its time, step, gaps and groups.
    """
    with importing():
        if options.source is None:
            from isthmus.cli.catalogue import data
        else:
            from isthmus.cli.data import data
    data(options)


@app.command()
@spread
def train(context: typer.Context, options: TrainOptions) -> None:
    """Train an autoencoder on DATA, and save it and its report into a folder.

    The conditional model is told the labels of DATA. The run is kept after epochs, as long as that costs little,
    every --checkpoint-minutes, and where Ctrl-C stops it: `isthmus train --resume RUN` goes on as if nothing had
    happened.
    """
    with importing():
        from isthmus.cli.train import train
    sources = {name: context.get_parameter_source(name) for name in context.params}
    train(options, [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"])


@app.command()
@spread
def compare(options: CompareOptions) -> None:
    """Fit several autoencoders on the same rows of DATA, with PCA of the same size beside them, and tell them apart."""
    with importing():
        from isthmus.cli.compare import compare
    compare(options)


@app.command()
@spread
def transform(options: RowsOptions, output: Output, formulas: Formulas = False) -> None:
    """Write the codes of DATA's rows."""
    with importing():
        from isthmus.cli.encode import transform
    transform(options, output, formulas=formulas)


@app.command()
@spread
def reconstruct(options: RowsOptions, output: OutputOrPicture, formulas: Formulas = False) -> None:
    """Write DATA's rows as the model rebuilds them; .png: 30 drawn at random over the classes, below what they are."""
    with importing():
        from isthmus.cli.encode import reconstruct
    reconstruct(options, output, formulas=formulas)


@app.command()
@spread
def score(
    options: RowsOptions,
    output: Output,
    per_feature: Annotated[bool, typer.Option("--per-feature", help="A column a feature: which are unusual.")] = False,
    formulas: Formulas = False,
) -> None:
    """Write how usual each of DATA's rows is, in nats; higher is more usual.

    A step of a long series is scored by itself and by the windows that it is in.
    """
    with importing():
        from isthmus.cli.encode import score
    score(options, output, per_feature=per_feature, formulas=formulas)


@app.command()
@spread
def neighbors(
    options: RowsOptions,
    output: OutputOrPicture,
    query: Annotated[
        str | None, typer.Option(help="Row numbers of DATA, such as 0,5,9, or other data; default: ten, at random.")
    ] = None,
    k: Annotated[int, typer.Option("-k", max=MOST, help="Neighbours of each.")] = 5,
    formulas: Formulas = False,
) -> None:
    """Write which rows of DATA have the codes nearest to those of the queries; .png: a line a query, itself first."""
    with importing():
        from isthmus.cli.neighbors import neighbors
    neighbors(options, output, query, k, formulas=formulas)


@app.command()
@spread
def impute(
    options: RowsOptions,
    output: OutputOrPicture,
    missing: Annotated[float | None, typer.Option(help="Hide this share of DATA, to see how well it goes.")] = None,
    block: Annotated[bool, typer.Option("--block", help="Hide it as one block of each row.")] = False,
    seed: Seed = 0,
    formulas: Formulas = False,
) -> None:
    """Write DATA's rows with what is missing (NaN, blanks) filled in; .png: 30 at random, below what was known."""
    with importing():
        from isthmus.cli.fill import Hiding, impute
    impute(options, output, Hiding(missing, block, seed), formulas=formulas)


@app.command()
def sample(
    run: Run,
    output: OutputOrPicture,
    n: Annotated[int, typer.Option("-n", min=1, max=MOST, help="Rows.")] = 64,
    condition: Annotated[
        str | None, typer.Option(help="Of all rows: a class or a number; of several all, such as a,3.")
    ] = None,
    noise: Annotated[bool, typer.Option("--noise", help="Draw from the likelihood too, not only the code.")] = False,
    seed: Seed = 0,
    formulas: Formulas = False,
) -> None:
    """Write rows that the model generates.

    Of a conditional model without --condition the classes take turns: in a .png each has its column, in a .csv or
    .parquet the column `condition` tells.
    """
    with importing():
        from isthmus.cli.generate import sample
    sample(run, output, n, condition, noise=noise, seed=seed, formulas=formulas)


@app.command()
@spread
def interpolate(
    options: RowsOptions,
    output: OutputOrPicture,
    start: Annotated[
        str | None, typer.Option("--from", help="Rows to start from, such as 0,1; default: five, at random.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="As many to end at; default: five others, at random.")] = None,
    steps: Annotated[int, typer.Option(min=2, max=MOST, help="Rows on the way, with both ends.")] = 9,
    path: Annotated[Literal["straight", "spherical"], typer.Option(help="The way from code to code.")] = "straight",
    formulas: Formulas = False,
) -> None:
    """Write what lies between rows of DATA, decoded from the codes between theirs; .png: a line a pair.

    A conditional model is told the label of a pair that shares one.
    """
    with importing():
        from isthmus.cli.generate import interpolate
    interpolate(options, output, start, end, steps, path, formulas=formulas)


@app.command()
@spread
def report(options: ReportOptions) -> None:
    """Write the report about a run again, or about how it does on other DATA."""
    with importing():
        from isthmus.cli.reports import write_report
    write_report(options)


@app.command()
@spread
def reproduce(options: ReproduceOptions) -> None:
    """Measure a published result again, and write the figures and a report into a folder."""
    with importing():
        from isthmus.cli.reports import write_reproduction
    write_reproduction(options)
