"""`isthmus report` and `reproduce`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from isthmus import models, report, reproduce, runs
from isthmus.cli.app import app
from isthmus.cli.console import print_table, say
from isthmus.cli.meaning import allow
from isthmus.cli.options import DataDir, FirstSeed, Group, Label, MaxGB, MaxPixels, Run, SkipBad, Time
from isthmus.cli.rows import load_rows, names_of, read_cut, read_framing, which_rows
from isthmus.cli.saved import loaded
from isthmus.errors import InputError
from isthmus.saving.atomic import check_writable, replacing


@app.command("report")
def write_report(
    run: Run,
    data: Annotated[str | None, typer.Argument(metavar="[DATA]", help="Other rows than the run's own.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where to; default: RUN/report.html.")] = None,
    label: Label = None,
    time: Time = None,
    group: Group = None,
    data_dir: DataDir = None,
    skip_bad: SkipBad = False,
    max_gb: MaxGB = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Write the report about a run again, or about how it does on other DATA."""
    allow(data, max_gb, max_pixels)
    estimator = loaded(run, "transform")
    if isinstance(estimator, models.MultimodalAutoencoder):
        raise InputError(
            f"{run} holds a MultimodalAutoencoder, which has no report: transform and score say how it does"
        )
    path = output or run / "report.html"
    check_writable(path)
    noted = runs.read(run) if data is None or runs.is_noted(run) else None
    trained_on = None if noted is None else str(noted["data"])
    if data is None:
        assert noted is not None
        data, label, data_dir = runs.check_data(noted), noted["label"], noted["data_dir"] and Path(noted["data_dir"])
    cut, framing = read_cut(run, time, group), read_framing(run, estimator, skip_bad, data)
    rows, labels = load_rows(data, "test", label, data_dir, estimator, cut, framing)
    page = report.model_page(
        estimator,
        rows,
        labels,
        f"{type(estimator).__name__} on {data}",
        which=which_rows(data, trained_on),
        names=names_of(data, rows, cut, framing),
    )
    report.write_page(page, path)
    say(f"report: {path}")


@app.command("reproduce")
def write_reproduction(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One of --list.")] = None,
    names: Annotated[bool, typer.Option("--list", help="Say which there are.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="A shortened run, which proves nothing.")] = False,
    out: Annotated[Path | None, typer.Option(help="The results' folder; default: runs/reproduce/NAME.")] = None,
    seed: FirstSeed = 0,
    data_dir: DataDir = None,
) -> None:
    """Measure a published result again, and write the figures and a report into a folder."""
    if names:
        for key, each in reproduce.REPRODUCTIONS.items():
            say(f"{key:20}{each.TITLE}")
        return
    if name is None:
        raise InputError("reproduce needs a NAME: isthmus reproduce --list says which there are")
    reproduce.check_name(name)
    folder = out or Path("runs", "reproduce", f"{name}-quick" if quick else name)
    check_writable(folder / "report.html")
    found = reproduce.run(name, quick=quick, seed=seed, data_dir=data_dir, progress=say)
    with replacing(folder / "reproduction.json") as temporary:  # which the report must not cost
        temporary.write_text(json.dumps(found.as_json(), indent=2, ensure_ascii=False), encoding="utf-8")
    report.write_page(report.reproduction_page(found), folder / "report.html")
    for title, cells in report.result_cells(found).items():
        say(f"\n{title}")
        print_table("", cells)
    for note in (*found.findings.notes, *filter(None, [report.quick_words(found)])):
        say(f"\n{note}")
    say(f"\nreport: {folder / 'report.html'}")
