"""Fitted models on rows that come a piece at a time: results are those of the rows in memory."""

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.exceptions import NotFittedError
from torch.utils.data import DataLoader, TensorDataset

from isthmus import (
    Autoencoder,
    ConditionalVariationalAutoencoder,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    MultimodalAutoencoder,
    OutlierDetector,
    SequenceAutoencoder,
    SparseAutoencoder,
    TabularAutoencoder,
    VariationalAutoencoder,
)
from isthmus.models import in_pieces
from isthmus.networks import MLP

N = 70
SMALL = {"max_epochs": 2, "random_state": 0, "batch_size": 16, "validation_fraction": None}


def rows_of_numbers():
    random = np.random.default_rng(0)
    X = (random.normal(size=(N, 2)) @ random.normal(size=(2, 5)) + 0.1 * random.normal(size=(N, 5))).astype(np.float32)
    X[::9, 1] = np.nan
    return X


def table(n=N):
    X = pd.DataFrame(rows_of_numbers()[:n], columns=list("abcde"))
    return X.assign(kind=np.where(X.a > 0, "up", "down"))


ARRAYS = {
    "plain": lambda: Autoencoder(2, **SMALL),
    "denoising": lambda: DenoisingAutoencoder(2, **SMALL),
    "sparse": lambda: SparseAutoencoder(6, **SMALL),
    "contractive": lambda: ContractiveAutoencoder(2, **SMALL),
    "variational": lambda: VariationalAutoencoder(2, **SMALL),
    "sequence": lambda: SequenceAutoencoder(2, **SMALL),
    "detector": lambda: OutlierDetector(Autoencoder(2, **SMALL)),
}
METHODS = {
    "transform": {},
    "reconstruct": {},
    "impute": {"n_iter": 3},
    "score_samples": {},
    "log_likelihood": {"n_importance_samples": 50},
    "predict": {},
    "decision_function": {},
}


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    """Cut memory maps of few rows into pieces."""
    monkeypatch.setattr(in_pieces, "AT_ONCE", 300)


def streams_of(X, folder):
    """Return each kind of stream of an array's rows."""
    np.save(folder / "X.npy", X)
    tensors = TensorDataset(torch.from_numpy(X))
    return {
        "path": folder / "X.npy",
        "text": str(folder / "X.npy"),
        "loader": DataLoader(tensors, batch_size=16),
        "shuffled": DataLoader(tensors, batch_size=16, shuffle=True),
        "dataset": tensors,
        "callable": lambda: (X[i : i + 30] for i in range(0, len(X), 30)),
        "generator": (X[i : i + 30] for i in range(0, len(X), 30)),
    }


def put_together(parts):
    parts = list(parts)
    assert len(parts) > 1
    if isinstance(parts[0], pd.DataFrame):
        return pd.concat(parts)
    return np.concatenate(parts)


def near(a, b):
    """Compare estimates by draws, which go by the place of a row."""
    assert np.median(np.abs(a - b)) < 0.2 * np.std(b)


def close(a, b):
    if isinstance(b, pd.DataFrame):
        pd.testing.assert_frame_equal(a, b, rtol=1e-4, atol=1e-5)
    else:
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ARRAYS)
def test_every_family_gives_of_each_stream_what_it_gives_of_the_rows(family, tmp_path):
    X = rows_of_numbers()
    if family == "sequence":
        X = np.nan_to_num(X)
    model = ARRAYS[family]().fit(X)
    for name, how in METHODS.items():
        if not hasattr(model, name):
            continue
        expected = getattr(model, name)(X, **how)
        check = near if name == "log_likelihood" else close
        for kind, stream in streams_of(X, tmp_path).items():
            found = getattr(model, name)(stream, **how)
            assert isinstance(found, Iterator), (name, kind)
            check(put_together(found), expected)
        mapped = getattr(model, name)(np.load(tmp_path / "X.npy", mmap_mode="r"), **how)
        assert isinstance(mapped, np.ndarray)
        check(mapped, expected)
        assert mapped.dtype == expected.dtype
    if hasattr(model, "score"):
        for stream in streams_of(X, tmp_path).values():
            assert model.score(stream) == pytest.approx(model.score(X), rel=1e-4)


@pytest.fixture
def shards(tmp_path):
    """Write a table to four shards, of which one has two row groups."""
    X, folder = table(), tmp_path / "shards"
    folder.mkdir()
    for i, (start, end) in enumerate([(0, 20), (20, 21), (21, 60), (60, N)]):
        part = X.iloc[start:end].reset_index(drop=True)
        part.to_parquet(folder / f"part-{i}.parquet", row_group_size=25)
    return folder


@pytest.mark.parametrize("family", [TabularAutoencoder, MultimodalAutoencoder])
def test_tables_come_back_as_tables_whose_index_goes_on(family, shards):
    X = table()
    blocks = {"blocks": {"numbers": list("abcde"), "kind": ["kind"]}} if family is MultimodalAutoencoder else {}
    model = family(n_components=2, **blocks, **SMALL).fit(X)
    for name, how in METHODS.items():
        if hasattr(model, name) and name != "log_likelihood":
            close(put_together(getattr(model, name)(shards, **how)), getattr(model, name)(X, **how))
    by_feature = put_together(model.score_samples(shards, per_feature=True))
    close(by_feature, model.score_samples(X, per_feature=True))
    assert model.score(shards) == pytest.approx(model.score(X), rel=1e-4)


def test_a_table_of_numbers_in_shards_and_frames_of_a_program(tmp_path):
    X = table().drop(columns="kind")
    X.to_parquet(tmp_path / "X.parquet", row_group_size=20)
    model = Autoencoder(2, **SMALL).fit(X)
    for stream in (tmp_path / "X.parquet", lambda: (X.iloc[i : i + 30] for i in range(0, N, 30))):
        close(put_together(model.reconstruct(stream)), model.reconstruct(X))
    named = X.set_axis([f"row {i}" for i in range(N)])
    close(put_together(model.impute(iter([named[:9], named[9:]]))), model.impute(named))


def test_images_of_a_folder(tmp_path):
    random = np.random.default_rng(0)
    X = random.integers(0, 255, (40, 6, 5), dtype=np.uint8)
    for i, image in enumerate(X):
        Image.fromarray(image).save(tmp_path / f"{i:02}.png")
    model = Autoencoder(3, **SMALL).fit(X)
    close(put_together(model.transform(tmp_path)), model.transform(X))
    mask = np.zeros((6, 5), bool)
    mask[2:4] = True
    close(put_together(model.impute(tmp_path, mask, n_iter=3)), model.impute(X, mask, n_iter=3))


def test_a_mask_of_each_row_is_cut_with_the_rows(tmp_path):
    X = np.nan_to_num(rows_of_numbers())
    model = Autoencoder(2, **SMALL).fit(X)
    mask = np.random.default_rng(1).random(X.shape) < 0.3
    for kind, stream in streams_of(X, tmp_path).items():
        close(put_together(model.impute(stream, mask, n_iter=3)), model.impute(X, mask, n_iter=3)), kind
        for other in (mask[:40], np.concatenate([mask, mask[:1]])):
            n = "more" if kind in ("callable", "generator") and len(other) < N else N
            with pytest.raises(ValueError, match=f"mask has {len(other)} rows, and X has {n}: give as many, or one"):
                put_together(model.impute(streams_of(X, tmp_path)[kind], other))


def test_conditions_come_with_the_rows_or_one_for_all(tmp_path):
    X = np.nan_to_num(rows_of_numbers())
    y = np.where(X[:, 0] > 0, "up", "down")
    model = ConditionalVariationalAutoencoder(2, **SMALL).fit(X, y)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    named = pd.DataFrame(X, columns=list("abcde")).assign(y=y)
    named.to_parquet(tmp_path / "Xy.parquet", row_group_size=20)
    expected = model.transform(X, y)
    close(put_together(model.transform((X[i : i + 30], y[i : i + 30]) for i in range(0, N, 30))), expected)
    close(put_together(model.transform(tmp_path / "X.npy", y)), expected)
    close(model.transform(mapped, y), expected)
    close(model.impute(mapped, y=y, n_iter=2), model.impute(X, y=y, n_iter=2))
    framed = ConditionalVariationalAutoencoder(2, **SMALL).fit(named.drop(columns="y"), y)
    close(put_together(framed.transform(tmp_path / "Xy.parquet", "y")), framed.transform(named.drop(columns="y"), y))
    numbers = ConditionalVariationalAutoencoder(2, **SMALL).fit(X, X[:, 0].astype(float))
    close(put_together(numbers.reconstruct(tmp_path / "X.npy", 0.5)), numbers.reconstruct(X, 0.5))
    close(
        put_together(model.reconstruct(tmp_path / "X.npy", y, decode_as="up")), model.reconstruct(X, y, decode_as="up")
    )
    with pytest.raises(ValueError, match=r"decode_as of .* has to be one for all rows"):
        model.reconstruct(tmp_path / "X.npy", y, decode_as=y)


def test_codes_come_a_piece_at_a_time_too(tmp_path):
    X = rows_of_numbers()
    model = VariationalAutoencoder(2, **SMALL).fit(X)
    codes = model.transform(X)
    expected = model.inverse_transform(codes)
    close(put_together(model.inverse_transform(model.transform(iter([X[:50], X[50:]])))), expected)
    np.save(tmp_path / "codes.npy", codes)
    close(put_together(model.inverse_transform(tmp_path / "codes.npy")), expected)
    close(model.inverse_transform(np.load(tmp_path / "codes.npy", mmap_mode="r")), expected)


def test_frames_of_codes_where_set_output_says_so(tmp_path):
    X = rows_of_numbers()
    np.save(tmp_path / "X.npy", X)
    model = Autoencoder(2, **SMALL).fit(X).set_output(transform="pandas")
    found = put_together(model.transform(tmp_path / "X.npy"))
    assert list(found) == list(model.transform(X))
    np.testing.assert_allclose(found, model.transform(X), rtol=1e-4, atol=1e-5)
    tabular = TabularAutoencoder(2, **SMALL).fit(table())
    layers = put_together(tabular.transform(iter([table()[:30], table()[30:]]), layers="all"))
    close(layers, tabular.transform(table(), layers="all"))


def test_a_model_of_ones_own_takes_streams(tmp_path):
    class Own(Autoencoder):
        def transform(self, X):
            return super().transform(X) + 1

    X = rows_of_numbers()
    model = Own(2, **SMALL).fit(X)
    close(put_together(model.transform(iter([X[:50], X[50:]]))), model.transform(X))


def test_mistakes_are_said_with_the_call_and_name_the_piece(tmp_path):
    X = rows_of_numbers()
    read = []

    def batches():
        read.append(1)
        yield X[:30]

    with pytest.raises(NotFittedError):
        Autoencoder().transform(batches)
    assert not read
    model = Autoencoder(2, **SMALL).fit(X)
    with pytest.raises(ValueError, match="batch 0 of the list_iterator: X has 3 features"):
        model.transform(iter([X[:, :3]]))
    later = model.transform(iter([X, X[:, :3]]))
    next(later)
    with pytest.raises(ValueError, match="batch 1 of the list_iterator: X has 3 features"):
        next(later)
    with pytest.raises(ValueError, match="gives no rows"):
        model.transform(iter([]))
    with pytest.raises(FileNotFoundError, match=r"there is no file or folder nowhere\.npy"):
        model.score("nowhere.npy")
    with pytest.raises(ValueError, match="n_iter"):
        model.impute(iter([X]), n_iter=0)


def test_streams_of_shards_that_cannot_be_read_name_the_file(shards):
    model = TabularAutoencoder(2, **SMALL).fit(table())
    bad = shards / "part-2.parquet"
    content = bytearray(bad.read_bytes())
    content[4:200] = bytes(196)
    bad.write_bytes(content)
    with pytest.raises(ValueError, match=r"part-2\.parquet"):
        list(model.transform(shards))


WITHIN_BOUNDS = """
import resource, sys
import isthmus
import numpy as np
model = isthmus.load(sys.argv[1])
model.transform(np.zeros((64, 1000), np.float32))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
X = np.load(sys.argv[2], mmap_mode="r")
codes = model.transform(X)
assert codes.shape == (len(X), 2)
n = sum(len(part) for part in model.reconstruct(sys.argv[2]))
assert n == len(X)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_memory_is_bounded_by_a_piece_and_not_by_the_file(tmp_path):
    X = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", np.float32, (50_000, 1000))
    X[:] = np.linspace(-1, 1, 1000, dtype=np.float32)
    X.flush()
    rows = np.random.default_rng(0).normal(size=(99, 1000)).astype(np.float32)
    Autoencoder(2, network=MLP(hidden=(8,)), **SMALL).fit(rows).save(tmp_path / "m")
    command = [sys.executable, "-c", WITHIN_BOUNDS, str(tmp_path / "m"), str(tmp_path / "X.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 100, f"{float(done.stdout):.0f} MB more, of a file of 200 MB"
