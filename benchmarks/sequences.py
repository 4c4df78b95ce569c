"""Sequences: unusual heartbeats in ECG5000, and the future of two sines and of New York's taxis. `make sequences`."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

from isthmus import SequenceAutoencoder
from isthmus.data import windows
from isthmus.networks import LSTM

SERIES = Path(os.environ["ISTHMUS_DATA"], "series")
SEEDS = (0, 1, 2)
AHEAD = 10  # steps to predict
PAST = 96  # steps to predict from: two days of half hours
DAY = 48


def heartbeats():
    """AUROC of normal beats against all others, trained on two thirds of the normal ones."""
    data = np.loadtxt(SERIES / "ecg5000_train.csv", delimiter=",", dtype=np.float32)
    X, is_normal = data[:, :-1], data[:, -1] == 1
    aurocs = []  # a row a seed
    for seed in SEEDS:
        normal = np.random.default_rng(seed).permutation(np.flatnonzero(is_normal))
        train, held_out = np.split(normal, [2 * len(normal) // 3])
        test = np.concatenate([X[held_out], X[~is_normal]])
        is_unusual = np.arange(len(test)) >= len(held_out)
        model = SequenceAutoencoder(random_state=seed).fit(X[train])
        forest = IsolationForest(random_state=seed).fit(X[train])
        scores = {
            "SequenceAutoencoder()": -model.score_samples(test),
            "PCA(8)": pca_error(X[train], test, 8),
            "PCA(32)": pca_error(X[train], test, 32),
            "IsolationForest": -forest.score_samples(test),
        }
        aurocs.append({name: roc_auc_score(is_unusual, score) for name, score in scores.items()})
    print(
        f"ECG5000: {len(train)} normal beats to train on, {len(held_out)} more and {(~is_normal).sum()} others to tell"
    )
    for name, values in pd.DataFrame(aurocs).items():
        print(f"  {name}: AUROC {', '.join(f'{value:.4f}' for value in values)}, median {values.median():.4f}")


def pca_error(train, test, n_components):
    pca = PCA(n_components).fit(train)
    return np.square(test - pca.inverse_transform(pca.transform(test))).sum(1)


def two_sines(n_steps=4000):
    """A day and a shorter wave that does not divide it, and noise."""
    time = np.arange(n_steps)
    noise = 0.1 * np.random.default_rng(0).normal(size=n_steps)
    return np.sin(2 * np.pi * time / DAY) + 0.7 * np.sin(2 * np.pi * time / 17.3) + noise


def future(name, series):
    """The squared error of the next steps as a share of the series' variance, trained on the first 60 %."""
    split = 6 * len(series) // 10
    train = windows(series[:split], PAST + AHEAD, stride=4)
    test = windows(series[split:], PAST + AHEAD)
    past, ahead = test[:, :PAST], test[:, PAST:]
    print(f"{name}: {len(train)} windows of {PAST} + {AHEAD} steps to train on, {len(test)} later ones to predict")
    guesses = {"the last value": past[:, [-1]], "the last day": past[:, -DAY : -DAY + AHEAD]}
    for settings in ({}, {"reconstruction": False}):
        model = SequenceAutoencoder(
            32, network=LSTM(hidden=64), future_steps=AHEAD, max_epochs=30, random_state=0, **settings
        )
        guesses[f"predict_future {settings or ''}"] = model.fit(train).predict_future(past)
    for guess, values in guesses.items():
        print(f"  {guess}: {np.square(values - ahead).mean() / series[split:].var():.4f} of the variance")


def main():
    heartbeats()
    future("two sines", two_sines())
    future("nyc_taxi", pd.read_csv(SERIES / "nab" / "nyc_taxi.csv")["value"].to_numpy(np.float32))


if __name__ == "__main__":
    main()
