"""Whatever is saved can be loaded, however long its history and wide its table."""

import numpy as np
import pytest

import isthmus
from isthmus import persistence


def test_a_long_history_and_wide_quantiles_are_saved(tmp_path):
    X = np.random.default_rng(0).normal(size=(30, 3))
    model = isthmus.TabularAutoencoder(2, numbers="rankgauss", max_epochs=2, random_state=0).fit(X)
    model.history_ = [
        {**record, "epoch": i + 1, **({"validation": {"mse": float("nan")}} if i % 40_000 == 7 else {})}
        for i, record in enumerate(model.history_ * 30_000)
    ]
    model.save(tmp_path / "m")
    again = isthmus.load(tmp_path / "m")
    assert repr(again.history_) == repr(model.history_)
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    again.save(tmp_path / "n")
    assert (tmp_path / "n" / "config.json").read_bytes() == (tmp_path / "m" / "config.json").read_bytes()


@pytest.mark.parametrize("long", [0, 10**9])
def test_numbers_are_the_same_beside_the_weights(long, tmp_path, monkeypatch):
    monkeypatch.setattr(persistence, "LONG", long)
    X = np.random.default_rng(0).normal(size=(30, 3))
    model = isthmus.OutlierDetector(isthmus.Autoencoder(2, max_epochs=2, random_state=0)).fit(X)
    model.save(tmp_path / "m")
    again = isthmus.load(tmp_path / "m")
    assert repr(again.autoencoder_.history_) == repr(model.autoencoder_.history_)
    np.testing.assert_array_equal(again.score_samples(X), model.score_samples(X))
