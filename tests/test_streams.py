"""Rows that are larger than memory: a model that is fitted to them is as good as one from memory."""

import itertools
import os
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet
from sklearn.frozen import FrozenEstimator
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from isthmus import (
    Autoencoder,
    ConditionalVariationalAutoencoder,
    DenoisingAutoencoder,
    GridSearch,
    OutlierDetector,
    SequenceAutoencoder,
    SparseAutoencoder,
    TabularAutoencoder,
    VariationalAutoencoder,
    datasets,
)
from isthmus.core.batch import Batch
from isthmus.core.source import Share, cuts
from isthmus.sources import pieces, streamed, survey
from isthmus.sources import shards as shards_
from isthmus.sources.memory import MemorySource
from isthmus.sources.pieces import Feed, Piece, Store
from isthmus.sources.reading import in_order
from isthmus.sources.stream import stream_of
from isthmus.sources.streamed import Sample, StreamSource
from isthmus.training import Interrupted
from isthmus.training.figures import LOOK, Figures

COLUMNS = [f"c{i}" for i in range(6)]


@pytest.fixture(autouse=True)
def small_samples(monkeypatch):
    """Rows that are too many for the sample, however few there are."""
    monkeypatch.setattr(survey, "MOST_ROWS", 200)


@pytest.fixture(scope="module")
def sheet():
    """600 rows on a bent sheet, sorted by one of its axes, as in files that were written one day after the other."""
    rng = np.random.default_rng(0)
    two = rng.normal(size=(600, 2))
    two = two[two[:, 0].argsort()]
    X = np.column_stack([two, np.sin(2 * two), two.prod(1), two.sum(1)])
    return (X + 0.05 * rng.normal(size=X.shape)).astype(np.float32), (two[:, 1] > 0).astype(int)


class Lines(IterableDataset):
    def __init__(self, X):
        self.X = X

    def __iter__(self):
        return iter(self.X)


def shards(folder, X, y=None, group=70):
    folder.mkdir()
    frame = pd.DataFrame(X, columns=COLUMNS)
    frame = frame if y is None else frame.assign(kind=y)
    for i, part in enumerate(np.array_split(np.arange(len(X)), 3)):
        frame.iloc[part].to_parquet(folder / f"{i}.parquet", row_group_size=group)
    return folder


def images(folder, X):
    folder.mkdir()
    pixels = np.clip(25 * X + 100, 0, 255).astype(np.uint8).reshape(-1, 2, 3)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{i:03}.png", compress_level=0)
    return folder


def of_kind(kind, X, y, folder):
    """Return X and y as fit is given them."""
    if kind == "npy":
        np.save(folder / "rows.npy", X)
        return folder / "rows.npy", y
    if kind == "memory map":
        np.save(folder / "rows.npy", X)
        return np.load(folder / "rows.npy", mmap_mode="r"), y
    if kind == "shards":
        return str(shards(folder / "shards", X, y)), None if y is None else "kind"
    if kind == "images":
        return images(folder / "images", X), None
    tensors = [torch.tensor(each) for each in (X, y) if each is not None]
    if kind == "loader":
        return DataLoader(TensorDataset(*tensors), batch_size=50, shuffle=True), None
    parts = np.array_split(np.arange(len(X)), 17)
    if kind == "function":
        return lambda: ((X[part], y[part]) if y is not None else X[part] for part in parts), None
    return DataLoader(Lines(X if y is None else list(zip(X, y, strict=True))), batch_size=50), None


KINDS = ["npy", "memory map", "shards", "images", "loader", "function", "loader of lines"]

FAMILIES = {
    "plain": Autoencoder(2),
    "standardised": Autoencoder(2, scale="standard"),
    "sparse": SparseAutoencoder(6, sparsity="topk", k=2),
    "variational": VariationalAutoencoder(2),
    "denoising": DenoisingAutoencoder(2, corruption="swap"),
    "conditional": ConditionalVariationalAutoencoder(2),
    "tabular": TabularAutoencoder(2),
}


def new(family, **setting):
    return type(FAMILIES[family])(
        **FAMILIES[family].get_params() | {"max_epochs": 6, "random_state": 0, "batch_size": 16} | setting
    )


def weights(model):
    return torch.cat([tensor.flatten() for tensor in model.module_.state_dict().values()])


def scored(model, X, y):
    return model.score_samples(X, y) if isinstance(model, ConditionalVariationalAutoencoder) else model.score_samples(X)


@pytest.fixture(scope="module")
def scores_from_memory(sheet):
    """The mean score of a row, and what seeds differ by, of each family, from memory."""
    found = {}
    for family in FAMILIES:
        y = sheet[1] if family == "conditional" else None
        models = [new(family, validation_fraction=None, random_state=seed).fit(sheet[0], y) for seed in range(2)]
        scores = [scored(model, sheet[0], y) for model in models]
        found[family] = models[0], np.mean(scores[0]), 0.03 * np.std(scores[0]) + abs(np.mean(scores[0] - scores[1]))
    return found


@pytest.mark.parametrize("kind", ["npy", "shards", "loader", "function"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_of_a_stream_is_as_good_as_from_memory(family, kind, sheet, tmp_path, scores_from_memory):
    X, y = sheet if family == "conditional" else (sheet[0], None)
    from_memory, score, noise = scores_from_memory[family]
    model = new(family, validation_fraction=None).fit(*of_kind(kind, X, y, tmp_path))
    own = pd.DataFrame(X, columns=COLUMNS) if kind == "shards" else X
    assert abs(np.mean(scored(model, own, y)) - score) < 4 * noise
    for name in ("n_features_in_", "row_shape_", "hidden_"):
        assert getattr(model, name, None) == getattr(from_memory, name, None)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_give_equal_models_and_others_others(kind, sheet, tmp_path):
    X, y = of_kind(kind, sheet[0], None, tmp_path)
    first, second = (new("denoising", max_epochs=2).fit(X, y) for _ in range(2))
    assert torch.equal(weights(first), weights(second))
    np.testing.assert_array_equal(first.held_out_, second.held_out_)
    other = new("denoising", max_epochs=2, random_state=1).fit(X, y)
    assert not torch.equal(weights(first), weights(other))
    assert first.held_out_.tolist() != other.held_out_.tolist()


class StopAfter:
    """Ask the process to stop when so many steps are done."""

    def __init__(self, monkeypatch, steps):
        self.steps = steps
        forward = torch.nn.Module.__call__

        def counted(module, *args, **kwargs):
            if type(module).__name__ == "Model" and torch.is_grad_enabled():
                self.steps -= 1
                if self.steps == 0:
                    os.kill(os.getpid(), 2)
            return forward(module, *args, **kwargs)

        monkeypatch.setattr(torch.nn.Module, "__call__", counted)


def reading_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("isthmus-reading")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_was_stopped_inside_an_epoch_goes_on_to_the_bit(kind, sheet, tmp_path, monkeypatch):
    X, y = of_kind(kind, sheet[0], None, tmp_path)
    model = new("denoising", max_epochs=3)
    undisturbed = weights(model.fit(X, y))
    for steps in (5, 40, 30):
        with monkeypatch.context() as patch:
            StopAfter(patch, steps)
            with pytest.raises(Interrupted):
                model.fit(X, y, resume_from=tmp_path / "run")
        assert not reading_threads()
    resumed = model.fit(X, y, resume_from=tmp_path / "run")
    assert torch.equal(weights(resumed), undisturbed)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_goes_on_with_the_same_rows_alone(kind, sheet, tmp_path):
    model = new("plain", max_epochs=1)
    model.fit(*of_kind(kind, sheet[0], None, tmp_path), resume_from=tmp_path / "run")
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="other rows"):
        model.fit(*of_kind(kind, sheet[0] + 1, None, tmp_path / "other"), resume_from=tmp_path / "run")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "shards"])
def test_a_change_of_any_row_is_noticed(kind, sheet, tmp_path, monkeypatch):
    monkeypatch.setattr(survey, "MOST_ROWS", 20)
    model = new("plain", max_epochs=1)
    model.fit(*of_kind(kind, sheet[0], None, tmp_path), resume_from=tmp_path / "run")
    X = sheet[0].copy()
    numbers = np.sort(np.random.default_rng(survey.SEED).choice(600, 20, replace=False))
    X[np.setdiff1d(np.arange(600), numbers)[300]] = 1  # outside of a store's sample
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="other rows"):
        model.fit(*of_kind(kind, X, None, tmp_path / "other"), resume_from=tmp_path / "run")


@pytest.mark.parametrize("values", [np.arange(12.0).reshape(4, 3), np.array([["a", "b"], ["c", "d"]], object)])
def test_a_checksum_is_of_the_rows_and_not_of_how_they_are_cut(values):
    for rows in (values, pd.DataFrame(values)):
        whole, parts = survey.added(0, Piece(rows, rows)), 0
        for i in range(len(values)):
            parts = survey.added(parts, Piece(rows[i : i + 1]))
        assert survey.added(0, Piece(rows)) == parts != whole
        assert survey.added(0, Piece(rows[::-1])) != parts


@pytest.mark.parametrize("kind", ["npy", "memory map", "shards"])
@pytest.mark.parametrize("family", FAMILIES)
def test_rows_that_fit_into_the_sample_are_as_from_memory_to_the_bit(family, kind, sheet, tmp_path, monkeypatch):
    monkeypatch.setattr(survey, "MOST_ROWS", 600)
    X, y = sheet if family == "conditional" else (sheet[0], None)
    model = new(family, max_epochs=1).fit(*of_kind(kind, X, y, tmp_path))
    from_memory = new(family, max_epochs=1).fit(pd.DataFrame(X, columns=COLUMNS) if kind == "shards" else X, y)
    assert torch.equal(weights(model), weights(from_memory))
    assert model.format_.fitted().keys() == from_memory.format_.fitted().keys()


# What the source gives


class Numbers(Store):
    """Rows that are their own numbers, in blocks of any size, read in pieces of any size."""

    def __init__(self, sizes, at_once):
        self.sizes, self.at_once, self.name, self.signature = sizes, at_once, "numbers", ""
        self.parts = [("numbers", len(sizes))]
        self.n_read = 0

    def read(self, block, start=0):
        first = sum(self.sizes[:block])
        for at in range(start * self.at_once, self.sizes[block], self.at_once):
            self.n_read += 1
            yield Piece(np.arange(first + at, first + min(at + self.at_once, self.sizes[block]))[:, None])


def source_of(stream, n, held_out=()):
    def encode(piece):
        return Batch(torch.tensor(np.asarray(piece.X), dtype=torch.float64))

    some = np.setdiff1d(np.arange(n), held_out)[:5]
    sample = Sample(MemorySource(Batch(torch.tensor(some[:, None], dtype=torch.float64))), some, n, "")
    return StreamSource(stream, encode, sample, np.array(sorted(held_out), int))


def generator(seed):
    return None if seed is None else torch.Generator().manual_seed(seed)


def flat(lists):
    return list(itertools.chain.from_iterable(lists))


def rows_of(batches):
    return [batch.x.flatten().int().tolist() for batch in batches]


STORES = st.builds(Numbers, st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(1, 30))


@settings(max_examples=60, deadline=None)
@given(STORES, st.integers(1, 20), st.one_of(st.none(), st.integers(0, 9)), st.data())
def test_an_epoch_has_each_row_once_and_can_begin_anywhere(store, size, seed, data):
    n = len(store)
    held_out = data.draw(st.lists(st.integers(0, n - 1), unique=True, max_size=max(0, n - 2)))
    source = source_of(store, n, held_out)
    batches = rows_of(source.batches(size, generator(seed)))
    left = sorted(set(range(n)) - set(held_out))
    assert sorted(flat(batches)) == left
    assert [len(batch) for batch in batches] == [end - start for start, end in cuts(len(left), size)]
    if seed is None:
        assert flat(batches) == left
    skip = data.draw(st.integers(0, len(batches)))
    assert rows_of(source.batches(size, generator(seed), skip=skip)) == batches[skip:]
    world = data.draw(st.integers(1, max(1, min(8, size, len(store.sizes) if not held_out else 1))))
    if seed is not None:
        shares = [rows_of(source.batches(size, generator(seed), Share(rank, world))) for rank in range(world)]
        if all(map(len, shares)):
            assert sorted(flat(map(flat, shares))) == left, "each row is one rank's"


@pytest.mark.parametrize("world", [1, 2, 4, 8])
def test_the_shares_of_all_ranks_are_the_batch_and_each_reads_its_own(world):
    store = Numbers([50] * 16, 25)
    source = source_of(store, 800)
    whole = rows_of(source.batches(32, generator(0)))
    store.n_read = 0
    shares = []
    for rank in range(world):
        before = store.n_read
        shares.append(rows_of(source.batches(32, generator(0), Share(rank, world))))
        assert store.n_read - before == 32 // world, "a rank reads its own blocks alone"
    assert [flat(parts) for parts in zip(*shares, strict=True)] == whole
    with pytest.raises(ValueError, match="numbers has 16 blocks, too few for 9 processes to read some each"):
        next(source.batches(32, generator(0), Share(0, 9)))


def test_what_is_skipped_is_not_read(monkeypatch):
    monkeypatch.setattr(streamed, "BUFFERED", 200)
    store = Numbers([50] * 64, 50)
    source = source_of(store, 3200)
    whole = rows_of(source.batches(4, generator(0)))
    store.n_read = 0
    assert rows_of(source.batches(4, generator(0), skip=700)) == whole[700:]
    assert store.n_read < 40, "those that are left, and what the buffers hold"


def test_neighbours_in_a_file_are_not_neighbours_in_a_batch():
    batches = rows_of(source_of(Numbers([100] * 50, 100), 5000).batches(50, generator(0)))
    spread = np.mean([np.std(batch) for batch in batches])
    assert spread > 0.8 * np.std(np.arange(5000)), "as of rows that are drawn from all"
    assert np.mean(np.abs(np.diff(np.concatenate(batches))) == 1) < 0.02
    assert batches != rows_of(source_of(Numbers([100] * 50, 100), 5000).batches(50, generator(1)))


def test_neighbours_in_one_block_are_not_neighbours_in_a_batch_either():
    """As of a sorted table that was written as one row group."""
    batches = rows_of(source_of(Numbers([5000], 100), 5000).batches(50, generator(0)))
    assert np.mean([np.std(batch) for batch in batches]) > 0.8 * np.std(np.arange(5000))


def test_neighbours_in_an_iterable_are_not_neighbours_in_a_batch():
    batches = rows_of(source_of(Counting([1000] * 40), 40_000).batches(50, generator(0)))
    assert np.mean([np.std(batch) for batch in batches]) > 0.8 * np.std(np.arange(40_000))


def test_an_epoch_moves_the_generator_by_one_draw():
    run, other = generator(3), generator(3)
    list(source_of(Numbers([30] * 7, 10), 210).batches(8, run))
    torch.randint(2**62, (), generator=other)
    assert torch.equal(run.get_state(), other.get_state())


class Counting(Feed):
    def __init__(self, sizes):
        self.sizes, self.name, self.signature = sizes, "numbers", ""

    def pieces(self):
        start = 0
        for size in self.sizes:
            yield Piece(np.arange(start, start + size)[:, None])
            start += size


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=12),
    st.integers(1, 20),
    st.one_of(st.none(), st.integers(0, 9)),
    st.integers(1, 40),
    st.data(),
)
def test_an_epoch_of_an_iterable_has_each_row_once_too(sizes, size, seed, shuffled, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("isthmus.sources.shuffle_buffer.SHUFFLED", shuffled)
        patch.setattr(pieces, "MERGED", 8)
        n = sum(sizes)
        source = source_of(Counting(sizes), n)
        batches = rows_of(source.batches(size, generator(seed)))
        assert sorted(flat(batches)) == list(range(n))
        assert [len(batch) for batch in batches] == [end - start for start, end in cuts(n, size)]
        if seed is None:
            assert flat(batches) == list(range(n))
        skip = data.draw(st.integers(0, len(batches)))
        assert rows_of(source.batches(size, generator(seed), skip=skip)) == batches[skip:]
        shares = [rows_of(source.batches(size, generator(seed), Share(rank, 3))) for rank in range(3)]
        assert [flat(parts) for parts in zip(*shares, strict=True)] == batches


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=9), st.integers(2, 60), st.integers(1, 20), st.booleans())
def test_the_sample_is_of_rows_of_the_stream(sizes, most, at_once, is_store):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(survey, "MOST_ROWS", most)
        patch.setattr(pieces, "MERGED", 8)
        n = sum(sizes)
        if n < 2:
            return
        found = survey.surveyed(Numbers(sizes, at_once) if is_store else Counting(sizes))
        assert found.n == n
        assert len(found.numbers) == min(n, most)
        assert (np.diff(found.numbers) > 0).all()
        np.testing.assert_array_equal(np.asarray(found.sample.X)[:, 0], found.numbers)


def test_the_sample_is_spread_over_all(monkeypatch):
    monkeypatch.setattr(survey, "MOST_ROWS", 2000)
    for stream in (Numbers([500] * 40, 100), Counting([500] * 40)):
        numbers = survey.surveyed(stream).numbers
        assert abs(numbers.mean() - 10_000) < 5 * 5774 / 2000**0.5


# What is learnt of all rows, a piece at a time


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(5, 40), st.floats(-1e6, 1e6), st.booleans())
def test_mean_spread_and_ranges_are_those_of_all_rows(seed, first, shift, framed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(90, 3)) * [1, 10, 0.1] + shift
    X[rng.random(X.shape) < 0.1] = np.nan
    X[:2] = shift
    y = np.array(["a", "b", "c"])[rng.integers(0, 2, 90)]
    y[-1] = "c"
    wrap = pd.DataFrame if framed else np.asarray
    model = ConditionalVariationalAutoencoder(2, scale="standard")
    whole, _ = model._form().learn(wrap(X), y)
    part, _ = model._form().learn(wrap(X[:first]), y[:first])
    part = part.refined((wrap(X[i : i + 17]), y[i : i + 17]) for i in range(0, 90, 17))
    np.testing.assert_allclose(part.mean_, whole.mean_, rtol=1e-12)
    np.testing.assert_allclose(part.scale_, whole.scale_, rtol=1e-6)
    assert part.frame_ == whole.frame_
    assert part.conditions.classes_.tolist() == whole.conditions.classes_.tolist()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["auto", "standard", None]), st.one_of(st.none(), st.just(3)))
def test_categories_and_ranges_of_a_table_are_those_of_all_rows(seed, numbers, min_frequency):
    rng = np.random.default_rng(seed)
    n = 400
    table = pd.DataFrame(
        {
            "age": rng.integers(0, 90, n),
            "height": rng.normal(170, 9, n),
            "city": rng.choice(["Bonn", "Kiel", "Ulm", "Jena", "Köln", "Hof"], n, p=[0.4, 0.3, 0.2, 0.08, 0.01, 0.01]),
            "member": rng.random(n) < 0.5,
        }
    )
    table.loc[rng.random(n) < 0.1, "height"] = np.nan
    form = TabularAutoencoder(2, numbers=numbers, min_frequency=min_frequency)._form()
    whole, _ = form.learn(table)
    part, _ = form.learn(table[:200])
    part = part.refined((table[i : i + 90], None) for i in range(0, n, 90))
    assert part.schema_.columns == whole.schema_.columns
    if numbers == "standard":
        for name in ("mean_", "scale_"):
            np.testing.assert_allclose(
                getattr(part.schema_.steps[-1], name), getattr(whole.schema_.steps[-1], name), rtol=1e-10
            )


def test_a_category_that_the_sample_has_not_is_learnt_all_the_same(sheet, tmp_path):
    table = pd.DataFrame(sheet[0], columns=COLUMNS).assign(city=["Bonn", "Kiel"] * 300)
    table.loc[[598, 599], "city"] = "Ulm"
    table.to_parquet(tmp_path / "rows.parquet", row_group_size=100)
    model = TabularAutoencoder(2, max_epochs=1, random_state=0).fit(tmp_path / "rows.parquet")
    assert model.schema_.columns[-1].categories == ("Bonn", "Kiel", "Ulm")
    pd.testing.assert_series_equal(model.reconstruct(table).dtypes, table.dtypes)


def test_gaps_are_filled_in_streams_too(sheet, tmp_path):
    X = np.where(np.random.default_rng(0).random(sheet[0].shape) < 0.2, np.nan, sheet[0])
    model = new("plain", validation_fraction=None).fit(*of_kind("npy", X, None, tmp_path))
    from_memory = new("plain", validation_fraction=None).fit(X)
    assert abs(model.score(X) - from_memory.score(X)) < 0.1


def test_partial_fit_takes_streams_one_after_the_other(sheet, tmp_path):
    X = of_kind("npy", sheet[0], None, tmp_path)[0]
    model = new("plain").partial_fit(X).partial_fit(X)
    assert [record["epoch"] for record in model.history_] == [1, 2]
    assert new("plain").fit(X, None).score(sheet[0]) > -30


def test_partial_fit_takes_what_comes_once_in_parts(sheet):
    parts = np.array_split(sheet[0], 30)
    model = new("plain").partial_fit(part for part in parts)
    assert len(model.history_) == 3, "as many rows at a time as a sample has"
    with pytest.raises(TypeError, match="the generator gives its rows once alone, and fit goes over them again"):
        new("plain").fit(part for part in parts)


def test_the_threshold_of_a_model_of_a_stream_is_learnt_of_some_rows(sheet, tmp_path):
    X = of_kind("npy", sheet[0], None, tmp_path)[0]
    model = new("plain").fit(X)
    detector = OutlierDetector(FrozenEstimator(model), contamination=0.2).fit(sheet[0][::2])
    found = np.concatenate(list(detector.predict(X)))
    assert 0.15 < (found == -1).mean() < 0.25


def test_images_and_their_labels_come_of_a_folder(digits, digits_labels, tmp_path, monkeypatch):
    images = (digits[:300] * 255).astype(np.uint8)
    for i, (image, label) in enumerate(zip(images, digits_labels[:300], strict=True)):
        (tmp_path / str(label)).mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / str(label) / f"{i}.png")
    X, y = datasets.load_folder(tmp_path)
    model = new("conditional", max_epochs=2).fit(tmp_path)
    assert model.classes_.tolist() == sorted(set(y))
    from_memory = new("conditional", max_epochs=2).fit(X, y)
    assert abs(model.score(X, y) - from_memory.score(X, y)) < 0.05 * abs(from_memory.score(X, y))
    monkeypatch.setattr(survey, "MOST_ROWS", 300)
    assert torch.equal(weights(new("conditional", max_epochs=2).fit(tmp_path)), weights(from_memory))


# What is wrong is said in a line


def test_shards_and_row_groups_without_rows_are_passed_over(sheet, tmp_path):
    full, gappy = (shards(tmp_path / name, sheet[0]) for name in ("full", "gappy"))
    schema = parquet.read_schema(gappy / "0.parquet")
    for name in ("", "1a", "9"):
        parquet.write_table(schema.empty_table(), gappy / f"{name}-none.parquet")
    rows = parquet.read_table(gappy / "1.parquet")
    with parquet.ParquetWriter(gappy / "1.parquet", schema) as writer:
        for part in (rows[:0], rows[:70], rows[:0], rows[70:140], rows[140:], rows[:0]):
            writer.write_table(part)
    assert stream_of(gappy).sizes == stream_of(full).sizes
    model, other = (new("plain").fit(folder) for folder in (full, gappy))
    assert weights(model).equal(weights(other))
    for here, there in zip(model.transform(full), other.transform(gappy), strict=True):
        np.testing.assert_array_equal(here, there)


def test_what_is_wrong_with_shards_is_said_with_their_names(sheet, tmp_path):
    folder = shards(tmp_path / "shards", sheet[0])

    def fit(line, y=None, error=ValueError, X=folder):
        with pytest.raises(error, match=line) as raised:
            new("plain").fit(X, y)
        assert "\n" not in str(raised.value)

    fit("y names the column 'kind', which is not in .*shards: it has c0, c1", y="kind")
    fit("y goes with .*: give the name of a column", y=np.zeros(600))
    fit("there is no file or folder", X=tmp_path / "none", error=FileNotFoundError)
    frame = pd.DataFrame(sheet[0][:40], columns=COLUMNS)
    frame.rename(columns={"c1": "z"}).to_parquet(folder / "x.parquet")
    fit(r"x.parquet has a column 'z', unlike .*0.parquet: write all shards with the same columns")
    frame.assign(c1="text").to_parquet(folder / "x.parquet")
    fit(r"x.parquet holds (large_)?string in column 'c1', and .*0.parquet float: write all alike")
    frame.assign(c1=np.inf).to_parquet(folder / "x.parquet")
    fit(r"x.parquet, row group 0: Input X contains infinity .*column 'c1'")
    (folder / "x.parquet").write_bytes(b"PAR1 and no more")
    fit(r"cannot read .*x.parquet: .*; write it anew, or take it away")
    (tmp_path / "empty").mkdir()
    fit("holds no images: give a folder", X=tmp_path / "empty")
    frame[:0].to_parquet(tmp_path / "none.parquet")
    fit("none.parquet holds no rows: give two or more", X=tmp_path / "none.parquet")
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    fit(r"rows.csv cannot be read in pieces: give .npy, .parquet", X=tmp_path / "rows.csv")
    (tmp_path / "rows.npy").write_bytes(b"no array")
    fit(r"cannot read .*rows.npy: ", X=tmp_path / "rows.npy")


def ends(X):
    """Batches that come in another order each time."""
    return lambda: iter(np.array_split(np.random.default_rng().permutation(X), 5))


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (
            lambda X: lambda: iter([X[:300], X[300:, :5]]),
            r"batch 1 of .* has the rows of shape \(5,\), and before",
        ),
        (lambda X: lambda: iter([]), "holds 0 rows: give two or more"),
        (lambda X: lambda: iter([{"x": X}]), "batch 0 of .* is a dict: give batches of rows"),
        (lambda X: lambda: iter([(X, X, X)]), "batch 0 of .* is a tuple of 3: give batches"),
        (lambda X: lambda: iter([X[:, 0]]), r"batch 0 of .* has the shape \(600,\): give batches"),
        (
            lambda X: lambda: iter([X.astype(np.uint8), X]),
            "batch 1 of .* holds float32, and before it was uint8, and uint8 alone is divided by 255: give all alike",
        ),
        (
            lambda X: lambda: iter([pd.DataFrame(X).assign(d=[[1, 2]] * len(X))]),
            "batch 0 of .*: column 'd' holds a list, and a cell is to hold one value",
        ),
        (lambda X: lambda: iter([(X, X[:7])]), "has 600 rows and 7 values of y: give one a row"),
        (ends, "in another order each time, and those that are held out would be trained on"),
    ],
)
def test_what_is_wrong_with_batches_is_said_in_a_line(make, line, sheet):
    with pytest.raises((ValueError, TypeError), match=line):
        new("plain").fit(make(sheet[0]))
    assert not reading_threads()


class Pairs(Dataset):
    def __init__(self, X, y):
        self.X, self.y = X, y

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i], self.y[i]


@pytest.mark.parametrize("make", [lambda pairs: pairs, lambda pairs: DataLoader(pairs, batch_size=32)])
def test_labels_of_a_data_set_may_be_words(make, sheet):
    words = ["up" if each else "further down" for each in sheet[1]]
    model = new("conditional").fit(make(Pairs(sheet[0], words)))
    assert weights(model).equal(weights(new("conditional").fit(make(Pairs(sheet[0], sheet[1])))))
    assert np.isfinite(model.score_samples(sheet[0], words)).all()


def test_a_list_in_a_column_of_shards_is_told_of(sheet, tmp_path):
    pd.DataFrame(sheet[0], columns=COLUMNS).assign(d=[[1, 2]] * 600).to_parquet(tmp_path / "X.parquet")
    with pytest.raises(ValueError, match=r"X.parquet, row group 0: column 'd' holds a ndarray, and a cell is to hold"):
        new("tabular").fit(tmp_path / "X.parquet")


def test_another_order_each_time_is_well_where_no_rows_are_held_out(sheet):
    model = new("plain", validation_fraction=None).fit(ends(sheet[0]))
    assert abs(model.score(sheet[0]) - new("plain").fit(sheet[0]).score(sheet[0])) < 0.2


def test_fewer_rows_than_before_are_told_of(sheet):
    times = iter([5, 4])
    with pytest.raises(ValueError, match=r"gave 480 rows, and 600 before: let it give the same anew"):
        new("plain", validation_fraction=None).fit(lambda: iter(np.array_split(sheet[0], 5)[: next(times)]))


def test_families_that_take_no_streams_say_so(sheet, tmp_path):
    X = of_kind("npy", sheet[0], None, tmp_path)[0]
    with pytest.raises(TypeError, match=r"X is a path, .*, and this family takes rows that are in memory"):
        SequenceAutoencoder(2).fit(X)
    for stream in (X, DataLoader(TensorDataset(torch.tensor(sheet[0]))), lambda: iter([sheet[0]])):
        with pytest.raises(TypeError, match=r"OutlierDetector takes rows that are in memory.*FrozenEstimator"):
            OutlierDetector(Autoencoder(2)).fit(stream)
    with pytest.raises(ValueError, match="requires y to be passed"):
        ConditionalVariationalAutoencoder(2).fit(X)
    with pytest.raises(ValueError, match=r"y goes with the batches of .*: let them be pairs"):
        ConditionalVariationalAutoencoder(2).fit(lambda: iter([sheet[0]]), sheet[1])


def test_hints_are_of_what_works(sheet, tmp_path):
    folder = shards(tmp_path / "rows", *sheet)
    frame = pd.read_parquet(folder)
    with pytest.raises(TypeError, match=r"give pandas\.read_parquet\(path\), or call partial_fit"):
        SequenceAutoencoder(2).fit(folder)
    search = GridSearch(new("plain", max_epochs=1), {"lr": [1e-3]}, cv=2)
    for X in (str(folder), folder, lambda: iter([sheet[0]])):
        with pytest.raises(TypeError, match="GridSearch takes rows in memory, and X is a"):
            search.fit(X)
    model = new("plain", max_epochs=1).fit(folder, y="kind")
    line = r"0.parquet, row group 0: the model was fitted without the column 'kind': leave it out, as datasets.write_s"
    with pytest.raises(ValueError, match=line):
        model.transform(folder)
    files = datasets.write_shards(model.transform, folder, tmp_path / "codes", drop=["kind"])
    codes = np.concatenate([pd.read_parquet(file) for file in files])
    np.testing.assert_allclose(codes, model.transform(frame.drop(columns="kind")), rtol=1e-4, atol=1e-5)
    told = new("conditional", max_epochs=1).fit(folder, y="kind")
    with pytest.raises(ValueError, match="give y='kind' if it is the condition, or leave it out"):
        told.transform(folder)
    with pytest.raises(ValueError, match="unseen at fit time"):
        model.transform(lambda: iter([frame.drop(columns="c0")]))


def test_what_is_in_memory_is_no_stream(sheet):
    X = sheet[0]
    for rows in (X, X.tolist(), [X, X], pd.DataFrame(X), torch.tensor(X), {"a": X}, None):
        assert stream_of(rows) is None


CHILD = """
import resource, sys
import numpy as np
from isthmus import Autoencoder
from isthmus.networks import MLP
few = np.random.default_rng(0).normal(size=(4000, 50)).astype(np.float32)
for X in (few, sys.argv[1]):
    Autoencoder(2, max_epochs=1, batch_size=8192, random_state=0, network=MLP(hidden=(8,))).fit(X)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_does_not_grow_with_the_rows(tmp_path):
    part = np.random.default_rng(0).normal(size=(50_000, 50)).astype(np.float32)
    X = np.lib.format.open_memmap(tmp_path / "rows.npy", "w+", np.float32, (1_000_000, 50))  # 200 MB
    for start in range(0, len(X), len(part)):
        X[start : start + len(part)] = part
    del X
    child = [sys.executable, "-c", CHILD, str(tmp_path / "rows.npy")]
    found = subprocess.run(child, check=True, capture_output=True, text=True).stdout
    before, after = map(int, found.split())
    assert after < before + 150, "MB"


# Reading ahead


def test_a_row_group_is_one_piece_where_all_rows_are_read_in_order(sheet, tmp_path, monkeypatch):
    store = stream_of(shards(tmp_path / "shards", sheet[0], sheet[1]), "kind")
    whole = list(store.pieces())
    assert [len(piece.X) for piece in whole] == store.sizes == 3 * [70, 70, 60]
    cut = [piece for block in range(len(store.sizes)) for piece in store.read(block)]
    assert len(cut) > len(whole)
    for pieces_ in (whole, cut):
        assert all(piece.X.index.equals(pd.RangeIndex(len(piece.X))) for piece in pieces_)
        np.testing.assert_array_equal(np.concatenate([piece.X for piece in pieces_]), sheet[0])
        np.testing.assert_array_equal(np.concatenate([piece.y for piece in pieces_]), sheet[1])
    monkeypatch.setattr(shards_, "MOST_ROWS", 65)
    assert {len(piece.X) for piece in store.pieces()} == {store.at_once, 70 % store.at_once, 60}


class Noted(Numbers):
    """Rows that note by which thread each block is read."""

    def read(self, block, start=0):
        self.threads = [*getattr(self, "threads", []), threading.current_thread().name]
        yield from super().read(block, start)


def test_a_store_is_read_one_piece_ahead_and_what_a_program_gives_is_not():
    store, one = Noted([4] * 5, 4), Once([4] * 5)
    ahead = in_order(store)
    for n_done in range(1, 4):
        next(ahead)
        [thread.join(0.01) for thread in reading_threads()]  # time for it to read what is next
        assert n_done <= len(store.threads) <= n_done + 1
    assert all(name.startswith("isthmus-reading") for name in store.threads)
    ahead.close()
    assert not reading_threads()
    next(in_order(one))
    assert one.n_given == 1


class Once(Feed):
    def __init__(self, sizes):
        self.sizes, self.name, self.signature, self.n_given = sizes, "once", "", 0

    def pieces(self):
        for size in self.sizes:
            self.n_given += 1
            yield Piece(np.zeros((size, 1)))


@pytest.mark.parametrize("n", [0, 1, 9, 10, 11, 1000, 1001, 2345])
def test_figures_of_batches_are_kept_as_columns(n):
    values = np.random.default_rng(n).normal(size=(2, n)).astype(np.float32)
    figures = Figures()
    for loss, mse in values.T:
        figures.append({"loss": torch.tensor(loss), "mse": torch.tensor(mse)})
    for each in (figures, Figures(figures.columns())):  # as of a checkpoint
        assert each.names == (["loss", "mse"] if n else [])
        for name, column in each.columns().items():
            np.testing.assert_array_equal(column, values[["loss", "mse"].index(name)])
        for start in range(0, n, LOOK):
            np.testing.assert_array_equal(each.of_some("mse", start), values[1, start : start + LOOK])
