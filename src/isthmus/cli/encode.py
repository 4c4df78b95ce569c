"""`isthmus transform`, `reconstruct` and `score`: rows through a model."""

from pathlib import Path

from isthmus.cli.console import say
from isthmus.cli.on_disk import comes_from_disk, write_from_disk
from isthmus.cli.options import RowsOptions
from isthmus.cli.results import draw_beside, say_left_out, write_rows, write_steps
from isthmus.cli.saved import shaped, used
from isthmus.sources.results import feature_names
from isthmus.threads import suited_to


@suited_to(0, blas=True)
def transform(options: RowsOptions, output: Path, *, formulas: bool) -> None:
    """Write the codes of rows."""
    if comes_from_disk(options):
        write_from_disk(options, "transform", output, formulas=formulas)
        return
    run = used(options, "transform", output)
    codes = run.estimator.transform(run.X, **run.conditions)
    write_rows(output, codes, [f"code_{i}" for i in range(codes.shape[1])], run.beside, formulas=formulas)
    say_left_out(run, output)


@suited_to(0, blas=True)
def reconstruct(options: RowsOptions, output: Path, *, formulas: bool) -> None:
    """Write rows as the model rebuilds them."""
    if comes_from_disk(options):
        write_from_disk(options, "reconstruct", output, formulas=formulas)
        return
    run = used(options, "reconstruct", output, pictures=True)
    rows = run.estimator.reconstruct(run.X, **run.conditions)
    if run.windowing is not None:
        write_steps(output, run.series.on_time_axis(rows, run.windowing.stride), run.series, formulas=formulas)
    elif output.suffix == ".png":
        draw_beside(output, run, [shaped(run.estimator, run.X), rows])
    else:
        write_rows(output, rows, feature_names(run.estimator, rows), run.beside, formulas=formulas)
        say_left_out(run, output)


@suited_to(0, blas=True)
def score(options: RowsOptions, output: Path, *, per_feature: bool, formulas: bool) -> None:
    """Write how usual rows are, in nats."""
    if comes_from_disk(options):
        entries = {"per_feature": True} if per_feature else {}
        write_from_disk(options, "score_samples", output, formulas=formulas, **entries)
        return
    run = used(options, "score_samples", output)
    shares = {"per_feature": True} if run.windowing is not None or per_feature else {}
    scores = run.estimator.score_samples(run.X, **shares, **run.conditions)
    if run.windowing is not None:
        steps = run.series.step_scores(scores, run.windowing.stride)
        write_steps(output, steps, run.series, None if per_feature else "score", formulas=formulas)
        return
    columns = feature_names(run.estimator, scores) if per_feature else ["score"]
    write_rows(output, scores, columns, run.beside, formulas=formulas)
    say_left_out(run, output)
    if not per_feature:
        lowest = run.names[scores.argmin()]
        say(f"mean {scores.mean():.5g} nats, lowest {scores.min():.5g} in {lowest}")
