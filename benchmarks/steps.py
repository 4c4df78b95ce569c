"""Which score of a step finds what is unusual in a long series: AUROC of steps in anomalies. `make steps`.

Trained on what comes before the first anomaly (at most 60 %), judged on all behind it. The way to score was chosen
while looking at windows of 48 steps and seed 0; other windows and seeds, with other made series, were not looked at.
"""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from isthmus import SequenceAutoencoder
from isthmus.data import on_time_axis, step_scores, time_series, windows

NAB = Path(os.environ["ISTHMUS_DATA"], "series", "nab")
SETTINGS = ((48, 0), (48, 1), (24, 0), (96, 0))  # steps in a window, seed
MOST_STEPS, UPDATES = 4000, 1500
LENGTHS = {"spikes": 1, "short": 6, "level": 40, "flat": 30, "shape": 40}


def real():
    """NAB's seven series with known causes, thinned to some 4,000 steps; True where a step is in an anomaly."""
    labelled = json.loads((NAB / "combined_windows.json").read_text())
    anomalies = {Path(name).stem: spans for name, spans in labelled.items() if name.startswith("realKnownCause")}
    for path in sorted(NAB.glob("*.csv")):
        table = pd.read_csv(path, parse_dates=["timestamp"])
        series = time_series(table)
        thin = max(1, round(len(series.values) / MOST_STEPS))
        when = table.timestamp.to_numpy()[np.unique(series.steps, return_index=True)[1]]
        is_in = [(when >= np.datetime64(begin)) & (when <= np.datetime64(end)) for begin, end in anomalies[path.stem]]
        yield path.stem, series.values[::thin, 0].astype(np.float32), np.any(is_in, axis=0)[::thin]


def made(kind, rng):
    """Two waves and noise, and twelve anomalies of one kind: True where a step is in one."""
    time, length = np.arange(4000), LENGTHS[kind]
    noise, is_in = 0.2 * rng.normal(size=4000), np.zeros(4000, bool)
    series = np.sin(2 * np.pi * time / 48) + 0.7 * np.sin(2 * np.pi * time / 17.3) + noise
    for start in rng.choice(np.arange(2100, 3950, 60), 12, replace=False):
        at = slice(start, start + length)
        is_in[at] = True
        if kind == "flat":
            series[at] = series[start]
        elif kind == "shape":
            series[at] = np.sin(2 * np.pi * time[at] / 31) + 0.7 * np.sin(2 * np.pi * time[at] / 13) + noise[at]
        else:
            series[at] += {"spikes": 1.5, "short": 0.8, "level": 0.5}[kind] * rng.choice([-1, 1])
    return series.astype(np.float32), is_in


def on_steps(of_windows, length, n_steps, stride, lowest=False):
    """What was said of windows, at the steps that are in them: the mean, or the lowest."""
    if not lowest:
        return on_time_axis(np.repeat(of_windows[:, None], length, axis=1), n_steps, stride)
    least = np.full(n_steps, np.inf)
    np.minimum.at(least, windows(np.arange(n_steps), length, stride), of_windows[:, None])
    return least


def aurocs(series, is_in, length, seed):
    """AUROC of each way to score steps, and the share of the anomalies' steps below the past's lowest hundredth."""
    n_steps, stride = len(series), max(1, length // 10)
    first = min(int(is_in.argmax()), 6 * n_steps // 10)
    train = windows(series[:first], length, stride)
    model = SequenceAutoencoder(random_state=seed, max_epochs=max(5, round(UPDATES * 16 / len(train)))).fit(train)
    cut = windows(series, length, stride)
    shares, whole = model.score_samples(cut, per_feature=True), model.score_samples(cut)
    own = on_time_axis(shares, n_steps, stride)
    ways = {
        "own": own,
        "own, mean of 48": pd.Series(own).rolling(48, center=True, min_periods=1).mean().to_numpy(),
        "windows, mean": on_steps(whole, length, n_steps, stride),
        "windows, lowest": on_steps(whole, length, n_steps, stride, lowest=True),
        "step_scores": step_scores(shares, n_steps, stride),
    }
    later = slice(first, None)
    found = {
        f"{name}: share": (way[later][is_in[later]] < np.quantile(way[:first], 0.01)).mean()
        for name, way in ways.items()
    }
    return {name: roc_auc_score(is_in[later], -way[later]) for name, way in ways.items()} | found


def main():
    series = {name: (values, is_in) for name, values, is_in in real()}
    for length, seed in SETTINGS:
        rng = np.random.default_rng(0 if (length, seed) == SETTINGS[0] else length + seed)
        series |= {kind: made(kind, rng) for kind in LENGTHS}
        table = pd.DataFrame({name: aurocs(*each, length, seed) for name, each in series.items()}).T
        is_share = table.columns.str.endswith("share")
        print(f"windows of {length} steps, seed {seed}: AUROC of steps in anomalies")
        print(table.loc[:, ~is_share].round(3).to_string())
        means = pd.DataFrame({"NAB": table[:7].mean(), "made": table[7:].mean()}).T
        print(means.round(3).to_string(), flush=True)


if __name__ == "__main__":
    main()
