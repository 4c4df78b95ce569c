"""The tables and the plot of what benchmarks/peers.py has measured."""

import statistics
from pathlib import Path

import matplotlib.pyplot as plt

PRODUCTS = "products"
"""The process that times products of matrices."""

REFERENCE = "bare loop, fused Adam"
OWN = "isthmus"
COLUMNS = (
    "samples/s",
    "spread",
    f"× {REFERENCE}",
    "loss {target:g} after",
    "loss, {epochs} epochs",
    "peak MB",
    "% of peak",
    "first run +s",
    "beside epochs s",
)


def tables(results):
    """Return Markdown."""
    machine = results["machine"]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, load {machine['load']}; {machine['threads']} threads each; "
        f"Python {machine['python']}, torch {machine['torch']}, {', '.join(machine['pins'])}; {machine['date']}. "
        f"Medians of {machine['rounds']} rounds, interleaved, of {machine['counted']} epoch each."
    ]
    for name, workload in results["workloads"].items():
        lines += ["", *section(name, workload)]
    return "\n".join(lines)


def section(name, workload):
    found, rows = dict(workload["found"]), workload["rows"]
    best = peaks(found.pop(PRODUCTS, {"rounds": []})["rounds"])
    peak = max((value for dtype, value in best.items() if dtype.startswith("float32")), default=None)
    reference = found.get(REFERENCE)
    products = ", ".join(f"{dtype} {value / 1e9:,.0f}" for dtype, value in best.items())
    lines = [
        f"### {name}: {workload['title']}",
        "",
        f"{rows:,} rows of {workload['source']}; {workload['flops'] / 1e6:.2f} MFLOP a sample and step; products of "
        f"matrices: {products or 'not measured'} GFLOP/s.",
        "",
        "| | " + " | ".join(COLUMNS).format(**workload) + " |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    lines += [row(each, of, workload, peak, reference) for each, of in found.items()]
    lines += [f"\nLeft out: {each}: {reason}" for each, reason in workload["left_out"].items()]
    return lines


def peaks(rounds):
    return {dtype: max(each[dtype] for each in rounds) for dtype in (rounds[0] if rounds else ())}


def epoch_seconds(of):
    """Return the mean seconds of an epoch in each round, the first of each training left out."""
    return [statistics.mean(each["seconds"][1:]) for each in of["rounds"]]


def ratio(of, reference):
    """Return the median over rounds of how many times faster it is than the reference in the same round."""
    pairs = zip(epoch_seconds(of), epoch_seconds(reference), strict=True)
    return of["sees"] * statistics.median(theirs / ours for ours, theirs in pairs)


def row(name, of, workload, peak, reference):
    seconds = epoch_seconds(of)
    median = statistics.median(seconds)
    speed = of["sees"] * workload["rows"] / median
    beside = statistics.median(each["whole"] - sum(each["seconds"]) for each in of["rounds"])
    start = statistics.median(each["seconds"][0] for each in of["rounds"]) - median
    first = of["first"]["whole"] - median - max(start, 0) - beside
    has_same_network = not name.startswith(f"{OWN}, its defaults")
    share = f"{100 * speed * workload['flops'] / peak:.0f}" if peak and has_same_network else "–"
    cells = [
        f"{speed:,.0f}",
        f"±{50 * (max(seconds) - min(seconds)) / median:.0f}%",
        "–" if reference is None else f"{ratio(of, reference):.2f}",
        *quality(of, workload, median, max(start, 0) + beside),
        f"{max(each['memory'] for each in of['rounds']) / 1e6:,.0f}",
        share,
        f"{max(first, 0):.1f}",
        f"{max(start + beside, 0):.2f}",
    ]
    return f"| {name} | " + " | ".join(cells) + " |"


def quality(of, workload, seconds, beside):
    """Return after how many seconds and epochs the stated loss was reached, and the last loss."""
    losses = of.get("quality", {}).get("losses")
    if not losses:
        return "–", "–"
    reached = next((i for i, loss in enumerate(losses, 1) if loss <= workload["target"]), None)
    when = "not reached" if reached is None else f"{reached * seconds + beside:.1f} s ({reached} ep.)"
    return when, f"{losses[-1]:.4g}"


def plot(results, path: Path):
    """Draw each competitor's speed as a ratio to the bare loop with fused Adam."""
    workloads = results["workloads"]
    figure, axes = plt.subplots(1, len(workloads), figsize=(3 + 2.4 * len(workloads), 4), sharey=True, squeeze=False)
    names = list(dict.fromkeys(name for each in workloads.values() for name in each["found"] if name != PRODUCTS))[::-1]
    for axis, (title, each) in zip(axes[0], workloads.items(), strict=True):
        reference = each["found"].get(REFERENCE)
        if reference is None:
            continue
        for i, name in enumerate(names):
            if name in each["found"]:
                value = ratio(each["found"][name], reference)
                axis.barh(i, value, color="tab:orange" if name.startswith(OWN) else "tab:gray")
                axis.text(value, i, f" {value:.2f}", va="center", fontsize=7)
        axis.axvline(1, color="black", linewidth=0.8)
        axis.set_title(title, fontsize=9)
        axis.set_yticks(range(len(names)), names, fontsize=8)
        axis.margins(x=0.2)
    figure.supxlabel(f"samples a second, as a ratio to the {REFERENCE}", fontsize=9)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
