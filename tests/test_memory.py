"""A million rows need little beside themselves, and a batch halves where memory runs out."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch

from isthmus import Autoencoder, TabularAutoencoder, VariationalAutoencoder
from isthmus.models import engine
from isthmus.networks import MLP

N, BEYOND = 200_000, 8e6
"""Rows of 50 float32, 40 MB in all; and how many bytes beside them and the result are let through."""


@pytest.fixture(scope="module", params=["numbers", "bytes"])
def rows(request):
    rng = np.random.default_rng(0)
    part = rng.random((2000, 50)).astype(np.float32)
    part = (255 * part).astype(np.uint8) if request.param == "bytes" else part
    model = Autoencoder(4, network=MLP(hidden=(8,)), max_epochs=1, random_state=0).fit(part)
    return model, np.tile(part, (N // 2000, 1))


@pytest.mark.parametrize("use", ["transform", "reconstruct", "score_samples", "shares", "impute", "masked"])
def test_many_rows_are_gone_through_in_batches(rows, use):
    model, X = rows
    mask = np.broadcast_to(np.arange(50) == 3, X.shape)
    act = {
        "shares": lambda: model.score_samples(X, per_feature=True),
        "impute": lambda: model.impute(X, n_iter=1),
        "masked": lambda: model.impute(X, mask, n_iter=1),
    }.get(use, lambda: getattr(model, use)(X))
    tracemalloc.start()
    result = act()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(result) == N
    assert peak - result.nbytes < BEYOND  # NumPy's own, where copies of rows are; a batch of torch's is small
    np.testing.assert_array_equal(result[-2000:], result[2000 * 50 : 2000 * 51])


ERRORS = {
    "torch": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "cuda": torch.cuda.OutOfMemoryError("CUDA out of memory."),
    "numpy": MemoryError("Unable to allocate 9 GiB"),
    "cpu": RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"),
    "linux": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
}


def only_so_many(monkeypatch, most, error):
    """Let a model encode no more rows than that at once; returns how many it was asked for, time after time."""
    asked, encode = [], engine.Model.encode

    def limited(self, batch, *args):
        asked.append(len(batch.x))
        if len(batch.x) > most:
            raise error
        return encode(self, batch, *args)

    monkeypatch.setattr(engine.Model, "encode", limited)
    return asked


@pytest.mark.parametrize("error", ERRORS)
def test_a_batch_halves_where_memory_runs_out(digits, monkeypatch, error):
    model = Autoencoder(4, max_epochs=1, random_state=0).fit(digits)
    whole = model.transform(digits[:1000])
    asked = only_so_many(monkeypatch, 300, ERRORS[error])
    np.testing.assert_allclose(model.transform(digits[:1000]), whole, atol=1e-5)
    assert asked == [1000, 500, 250, 250, 250, 250]


def test_every_use_halves(digits, monkeypatch):
    X = np.where(np.arange(64).reshape(8, 8) == 20, np.nan, digits[:100])
    model = VariationalAutoencoder(4, max_epochs=1, random_state=0).fit(digits)
    uses = {name: getattr(model, name) for name in ("transform", "reconstruct", "score_samples", "impute")}
    whole = {name: use(X) for name, use in uses.items()}
    only_so_many(monkeypatch, 7, ERRORS["torch"])
    for name, use in uses.items():
        np.testing.assert_allclose(use(X), whole[name], rtol=1e-4, atol=1e-4)


def test_too_little_for_one_row_is_said_in_a_line(digits, monkeypatch):
    model = Autoencoder(4, max_epochs=1, random_state=0).fit(digits)
    asked = only_so_many(monkeypatch, 0, ERRORS["cpu"])
    with pytest.raises(MemoryError, match="memory has run out on cpu, even for one row at a time: free some") as error:
        model.transform(digits[:20])
    assert "\n" not in str(error.value)
    assert asked == [20, 10, 5, 2, 1]


def test_other_errors_are_not_tried_again(digits, monkeypatch):
    model = Autoencoder(4, max_epochs=1, random_state=0).fit(digits)
    asked = only_so_many(monkeypatch, 0, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        model.transform(digits[:20])
    assert asked == [20]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_rows_of_a_table_are_turned_into_cells_and_little_else(dtype):
    part = pd.DataFrame(np.random.default_rng(0).normal(size=(2000, 30)).astype(dtype)).rename(columns=str)
    model = TabularAutoencoder(4, bins=0, network=MLP(hidden=(8,)), max_epochs=1, random_state=0).fit(part)
    X = pd.concat([part] * 50, ignore_index=True)
    tracemalloc.start()
    codes = model.transform(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - codes.nbytes < X.size * np.dtype(dtype).itemsize + BEYOND
    np.testing.assert_allclose(codes[-2000:], model.transform(part), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("error", [*ERRORS.values(), MemoryError()], ids=[*ERRORS, "python"])
@pytest.mark.parametrize("family", [Autoencoder, VariationalAutoencoder, TabularAutoencoder])
def test_memory_that_runs_out_in_fit_is_said_in_a_line(family, error, table, monkeypatch):
    model = family(2, max_epochs=1, random_state=0).fit(table)
    codes = model.transform(table)

    def starve(*args, **kwargs):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("isthmus.training.loop._step", starve)
        for act in (model.fit, model.partial_fit):
            with pytest.raises(MemoryError, match="run out in training: give fewer rows or columns") as said:
                act(table)
            assert "\n" not in str(said.value)
    np.testing.assert_array_equal(model.transform(table), codes)
