"""`isthmus report` and `reproduce`."""

import json
from pathlib import Path

from isthmus import models, report, reproduce, runs
from isthmus.cli.console import print_table, say
from isthmus.cli.meaning import allow, refuse_without_meaning
from isthmus.cli.options import ReportOptions, ReproduceOptions
from isthmus.cli.saved import loaded, say_warnings
from isthmus.errors import InputError
from isthmus.saving.atomic import check_writable, replacing
from isthmus.threads import suited_to


@suited_to(0, blas=True)
def write_report(options: ReportOptions) -> None:
    """Write the report about a run."""
    folder, data = options.run, options.data
    allow(data, options.max_gb, options.max_pixels)
    estimator = loaded(folder, "transform")
    if isinstance(estimator, models.MultimodalAutoencoder):
        raise InputError(
            f"{folder} holds a MultimodalAutoencoder, which has no report: transform and score say how it does"
        )
    path = options.output or folder / "report.html"
    check_writable(path)
    noted = runs.read(folder) if data is None else runs.read_if_noted(folder)
    label, data_dir = options.label, options.data_dir
    if data is None:
        data, label, data_dir = runs.check_data(noted), noted["label"], noted["data_dir"] and Path(noted["data_dir"])
    refuse_without_meaning(data, skip_bad=options.skip_bad)
    has_windows = noted.get("window") is not None
    stream = not has_windows and runs.why_on_disk(data, asked=options.stream) is not None
    run = runs.used_on(
        estimator,
        folder,
        noted,
        data,
        time=options.time,
        group=options.group,
        skip_bad=options.skip_bad,
        label=label,
        data_dir=data_dir,
        stream=stream,
    )
    say_warnings(run)
    title, which = f"{type(estimator).__name__} on {data}", run.which(noted.get("data"))
    report.write_page(report.model_page(estimator, *run.rows, title, which=which, names=run.names), path)
    say(f"report: {path}")


@suited_to(0, blas=True)
def write_reproduction(options: ReproduceOptions) -> None:
    """Measure a published result again."""
    if options.names:
        for key, each in reproduce.REPRODUCTIONS.items():
            say(f"{key:20}{each.TITLE}")
        return
    if options.name is None:
        raise InputError("reproduce needs a NAME: isthmus reproduce --list says which there are")
    reproduce.check_name(options.name)
    folder = options.out or Path("runs", "reproduce", f"{options.name}-quick" if options.quick else options.name)
    check_writable(folder / "report.html")
    found = reproduce.run(options.name, quick=options.quick, seed=options.seed, data_dir=options.data_dir, progress=say)
    with replacing(folder / "reproduction.json") as temporary:  # which the report must not cost
        temporary.write_text(json.dumps(found.as_json(), indent=2, ensure_ascii=False), encoding="utf-8")
    report.write_page(report.reproduction_page(found), folder / "report.html")
    for title, cells in report.result_cells(found).items():
        say(f"\n{title}")
        print_table("", cells)
    for note in (*found.findings.notes, *filter(None, [report.quick_words(found)])):
        say(f"\n{note}")
    say(f"\nreport: {folder / 'report.html'}")
