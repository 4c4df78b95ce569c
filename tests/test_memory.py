"""A million rows need little beside themselves, and a batch halves where memory runs out."""

import ctypes
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from isthmus import Autoencoder, TabularAutoencoder, VariationalAutoencoder, report
from isthmus.core.batch import Batch
from isthmus.core.likelihoods import categorical
from isthmus.formats import scaling
from isthmus.models import engine, start
from isthmus.networks import MLP
from isthmus.networks.cells import Cells
from isthmus.sources.memory import MemorySource

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
    "C++": RuntimeError("std::bad_alloc"),
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
        patch.setattr("isthmus.training.step._step", starve)
        for act in (model.fit, model.partial_fit):
            with pytest.raises(MemoryError, match="run out in training: give fewer rows or columns") as said:
                act(table)
            assert "\n" not in str(said.value)
    np.testing.assert_array_equal(model.transform(table), codes)


M_MMAP_THRESHOLD = -3
"""glibc's number of the size from which on memory is given back when it is freed."""

PEAK = Path("/proc/self/clear_refs")
"""Where Linux lets the most memory that the process had be forgotten."""


def resident(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


@pytest.fixture
def exact():
    """Have freed memory given back at once: what the C library keeps for later differs from run to run by 100 MB."""
    library = ctypes.CDLL(None)
    library.mallopt(M_MMAP_THRESHOLD, 2**17)
    library.malloc_trim(0)
    yield
    library.mallopt(M_MMAP_THRESHOLD, 2**25)


@pytest.mark.skipif(not PEAK.exists() or not hasattr(ctypes.CDLL(None), "mallopt"), reason="no Linux with glibc")
@pytest.mark.parametrize("family", [Autoencoder, TabularAutoencoder])
def test_fit_takes_a_few_times_the_cells(family, exact):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(60_000, 30)) @ rng.normal(size=(30, 30))).rename(columns=str)
    model = family(2, network=MLP(hidden=(4,)), max_epochs=1, batch_size=512, random_state=0)
    model.fit(X[:500])  # what is imported then
    PEAK.write_text("5")
    before = resident("VmRSS")
    model.fit(X)
    # 7 MB of cells in float32, and what goes through the network at once; pieces of all cells were 180 MB each.
    assert resident("VmHWM") - before < 4 * X.size * 4 + 60e6


def test_a_long_table_starts_about_where_it_would_as_a_whole(monkeypatch):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(3000, 3)) @ rng.normal(size=(3, 8)) + 100).rename(columns=str)
    X["kind"] = np.where(X["0"] > 100, "a", "b")
    seen, forward = [], Cells.forward

    def noted(self, x):
        seen.append(len(x))
        return forward(self, x)

    def starts():
        model = TabularAutoencoder(4, max_epochs=1, lr=1e-9, random_state=0).fit(X)
        return model.start_["loss"], model.module_

    whole, module = starts()
    monkeypatch.setattr(Cells, "forward", noted)
    monkeypatch.setattr(start, "WHOLE", 200 * 1000)
    loss, in_pieces = starts()
    assert loss == pytest.approx(whole, abs=0.05)
    assert max(seen) <= start.PIECE
    for part, other in ((module.encoder, in_pieces.encoder), (module.decoder, in_pieces.decoder)):
        torch.testing.assert_close(part.centre, other.centre, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(part.scale, other.scale, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("numbers", ["auto", "standard", "rankgauss"])
def test_columns_are_scaled_alike_some_at_a_time(numbers, monkeypatch):
    X = np.exp(np.random.default_rng(0).normal(size=(400, 9)))
    X[::7, 2] = np.nan
    columns = list(np.ascontiguousarray(X.T))
    whole = scaling.fit_steps(columns, numbers, range(9))
    monkeypatch.setattr(scaling, "NUMBERS_AT_ONCE", 1)
    for one, other in zip(whole, scaling.fit_steps(columns, numbers, range(9)), strict=True):
        for name in scaling.FITTED[type(one).__name__]:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        np.testing.assert_array_equal(one.transform(X), other.transform(X))


def test_rows_of_more_are_not_copied():
    whole = Batch(torch.arange(12.0).view(6, 2), observed=torch.ones(6, 2, dtype=torch.bool))
    rows = MemorySource(whole, torch.tensor([4, 1, 3]))
    assert [batch.x[:, 0].tolist() for batch in rows.batches(2)] == [[8, 2, 6]]
    assert torch.cat([b.x for b in rows.batches(2, torch.Generator().manual_seed(0))]).shape == (3, 2)
    assert rows.map(lambda batch: batch._replace(x=-batch.x)).sample(3).x[:, 0].tolist() == [-8, -2, -6]
    for part in MemorySource(whole).hold_out(0.5, torch.Generator().manual_seed(0))[:2]:
        assert part.whole.x is whole.x
        assert part.whole.observed is None  # all are


def test_gaps_are_left_out_of_those_rows_alone_of_which_all_is_known():
    whole = Batch(torch.arange(12.0).view(6, 2), observed=torch.ones(6, 2, dtype=torch.bool))
    whole.observed[3, 1] = False
    parts = MemorySource(whole).hold_out(0.5, torch.Generator().manual_seed(0))[:2]
    for part, others in (parts, parts[::-1]):
        has_gap = (part.sample(6).x == 6).any()
        assert (part.sample(6).observed is None) == (not has_gap) == (others.sample(6).observed is not None)


def test_likeliest_of_many_categories_are_found_some_rows_at_a_time(monkeypatch):
    softmax = categorical.FactoredSoftmax(tuple(range(1, 131)), pooled=True)
    logits = torch.randn(50, softmax.n_parameters, generator=torch.Generator().manual_seed(0))
    whole = softmax.mode(logits)
    monkeypatch.setattr(categorical, "MOST_JOINT", 7 * 130)
    assert torch.equal(softmax.mode(logits), whole)


def test_the_report_of_a_long_table_is_of_a_sample_that_it_names(table, monkeypatch):
    X = pd.DataFrame(table).rename(columns=str)
    model = TabularAutoencoder(2, max_epochs=1, random_state=0).fit(X)
    whole = report.model_page(model, X, None, "whole")
    assert "drawn at random, of" not in whole
    assert "All is of" not in whole
    monkeypatch.setattr("isthmus.report.tables.SEEN_ROWS", 60)
    monkeypatch.setattr("isthmus.report.words.AT_ONCE", 70)
    asked, score = [], TabularAutoencoder.score_samples
    monkeypatch.setattr(
        TabularAutoencoder, "score_samples", lambda self, X, **kw: asked.append(len(X)) or score(self, X, **kw)
    )
    page = report.model_page(model, X, None, "whole")
    assert page.count("All is of 60 of the 200 rows, drawn at random.") == 3
    assert max(asked) == 60
    of_all = next(line for line in whole.splitlines() if "on the 200 rows" in line)
    assert of_all in page  # the error is of all rows, whichever are shown
