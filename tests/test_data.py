"""Named data sets, files and folders of images."""

import functools
import gzip
import hashlib
import http.server
import threading

import numpy as np
import pandas as pd
import pytest

from isthmus.sources import catalogue, datasets, files


class TestCatalogue:
    def test_digits(self):
        train, test, whole = (datasets.load("digits", split) for split in ("train", "test", "all"))
        assert len(train.X) + len(test.X) == len(whole.X) == 1797
        assert train.X.dtype == np.float32
        assert 0 == train.X.min() < train.X.max() == 1
        rows = {row.tobytes() for row in train.X}
        assert sum(row.tobytes() in rows for row in test.X) < 5, "the parts are apart"

    def test_swiss_roll(self):
        X, y = datasets.load("swiss_roll", "all")
        assert X.shape == (2500, 3)
        np.testing.assert_allclose(np.hypot(X[:, 0], X[:, 2]), y, rtol=1e-4)

    @pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
    def test_images(self, data_dir, name):
        X, y = datasets.load(name, "test", data_dir=data_dir)
        assert X.shape == (10_000, 28, 28)
        assert X.dtype == np.float32
        assert X.max() == 1
        assert np.bincount(y).min() > 800
        assert datasets.location(name, data_dir) == str(data_dir / name)

    def test_every_split_of_mnist(self, data_dir):
        assert len(datasets.load("mnist", "train", data_dir).X) == 60_000
        assert len(datasets.load("mnist", "all", data_dir).y) == 70_000


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes() + array.tobytes()


@pytest.fixture
def small_mnist(tmp_path, monkeypatch):
    """A mirror of a small MNIST on this machine, and a catalogue that knows its checksums."""
    rng = np.random.default_rng(0)
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    sums = {}
    for prefix, n in (("train", 6), ("t10k", 3)):
        for kind, array in (
            ("images-idx3", rng.integers(0, 256, (n, 28, 28), np.uint8)),
            ("labels-idx1", rng.integers(0, 10, n, np.uint8)),
        ):
            content = idx(array)
            (mirror / f"{prefix}-{kind}-ubyte.gz").write_bytes(gzip.compress(content))
            sums[f"mnist/{prefix}-{kind}-ubyte"] = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(catalogue, "SHA256", sums)
    monkeypatch.setattr(catalogue.pooch, "os_cache", lambda name: tmp_path / "cache")
    monkeypatch.delenv("ISTHMUS_DATA", raising=False)
    return mirror


@pytest.fixture
def server(small_mnist):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=small_mnist))
    thread = threading.Thread(target=served.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{served.server_port}/"
    served.shutdown()
    thread.join()
    served.server_close()


class TestDownload:
    def test_comes_from_the_second_mirror_where_the_first_fails(self, server, monkeypatch, tmp_path):
        assert "not here" in datasets.location("mnist")
        monkeypatch.setitem(catalogue.MIRRORS, "mnist", [server + "nothing-here/", server])
        X, _ = datasets.load("mnist")
        assert X.shape == (6, 28, 28)
        assert sorted(path.name for path in (tmp_path / "cache" / "mnist").iterdir()) == [
            "train-images-idx3-ubyte.gz",
            "train-labels-idx1-ubyte.gz",
        ]
        monkeypatch.setitem(catalogue.MIRRORS, "mnist", [])
        np.testing.assert_array_equal(datasets.load("mnist").X, X, "the second time from the cache")

    def test_wrong_bytes_are_thrown_away(self, server, monkeypatch, tmp_path):
        monkeypatch.setitem(catalogue.MIRRORS, "mnist", [server])
        monkeypatch.setitem(catalogue.SHA256, "mnist/train-images-idx3-ubyte", "0" * 64)
        with pytest.raises(
            FileNotFoundError, match=r"put it into .*cache/mnist, or into \$ISTHMUS_DATA/mnist"
        ) as error:
            datasets.load("mnist")
        assert "\n" not in str(error.value)
        assert list((tmp_path / "cache" / "mnist").iterdir()) == []

    def test_says_which_file_to_put_where(self, small_mnist, monkeypatch):
        monkeypatch.setitem(catalogue.MIRRORS, "mnist", ["http://127.0.0.1:9/"])
        with pytest.raises(FileNotFoundError, match=r"cannot download train-images-idx3-ubyte.gz: put it into"):
            datasets.load("mnist")

    def test_the_order_of_places(self, small_mnist, tmp_path, monkeypatch):
        monkeypatch.setitem(catalogue.MIRRORS, "mnist", [])
        for place in ("given", "environment"):
            (tmp_path / place / "mnist").mkdir(parents=True)
        for file in small_mnist.iterdir():
            (tmp_path / "environment" / "mnist" / file.name).write_bytes(file.read_bytes())
            # without .gz too
            (tmp_path / "given" / "mnist" / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
        monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path / "environment"))
        assert datasets.location("mnist") == str(tmp_path / "environment" / "mnist")
        assert datasets.location("mnist", tmp_path / "given") == str(tmp_path / "given" / "mnist")
        np.testing.assert_array_equal(datasets.load("mnist").X, datasets.load("mnist", data_dir=tmp_path / "given").X)

    @pytest.mark.parametrize("content", [b"not gzip", gzip.compress(b"other bytes", mtime=0), b""])
    def test_an_altered_file_on_disk(self, small_mnist, content):
        path = small_mnist / "mnist" / "train-images-idx3-ubyte.gz"
        path.parent.mkdir()
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"train-images-idx3-ubyte.gz.*delete it and load again"):
            datasets.load("mnist", data_dir=small_mnist)


class TestFiles:
    @pytest.fixture
    def frame(self):
        return pd.DataFrame({"a": [1.5, 2.5, 3.5], "b": [4, 5, 6], "kind": ["x", "y", "x"]})

    def test_tables(self, frame, tmp_path):
        frame.to_csv(tmp_path / "t.csv", index=False)
        frame.to_parquet(tmp_path / "t.parquet")
        for name in ("t.csv", "t.parquet"):
            X, y = files.read(tmp_path / name, label="kind")
            assert list(X.columns) == ["a", "b"]
            assert list(y) == ["x", "y", "x"]

    def test_mixed_tables(self, frame, tmp_path):
        frame["sure"], frame.loc[1, "b"] = [True, False, True], None
        frame.to_csv(tmp_path / "t.csv", index=False)
        frame.to_parquet(tmp_path / "t.parquet")
        for name in ("t.csv", "t.parquet"):
            pd.testing.assert_frame_equal(files.read(tmp_path / name, mixed=True).X, frame)
            X, y = files.read(tmp_path / name, "sure", mixed=True)
            assert list(X.columns) == ["a", "b", "kind"]
            assert y.tolist() == [True, False, True]
            with pytest.raises(ValueError, match="column 'kind' holds no numbers"):
                files.read(tmp_path / name)

    @pytest.mark.parametrize("kind", ["x", 3, 1.5, True])
    def test_missing_labels(self, frame, tmp_path, kind):
        frame["kind"] = pd.Series([kind, None, kind], dtype=object).convert_dtypes()
        frame.to_csv(tmp_path / "t.csv", index=False)
        frame.to_parquet(tmp_path / "t.parquet")
        for name in ("t.csv", "t.parquet"):
            with pytest.raises(ValueError, match="'kind' has no label in row 1"):
                files.read(tmp_path / name, label="kind")
            y = files.read(tmp_path / name, label="kind", gaps=True).y
            assert y[[0, 2]].tolist() == [kind, kind]
            assert np.isnan(y[1])

    def test_arrays(self, tmp_path):
        rows = np.arange(12.0).reshape(4, 3)
        np.save(tmp_path / "a.npy", rows)
        np.savez(tmp_path / "a.npz", X=rows, y=[0, 1, 0, 1], other=[1, 1, 2, 2])
        np.savez(tmp_path / "b.npz", rows)
        np.testing.assert_array_equal(files.read(tmp_path / "a.npy").X, rows)
        assert files.read(tmp_path / "a.npy").y is None
        assert files.read(tmp_path / "a.npz").y.tolist() == [0, 1, 0, 1]
        assert files.read(tmp_path / "a.npz", label="other").y.tolist() == [1, 1, 2, 2]
        np.testing.assert_array_equal(files.read(tmp_path / "b.npz").X, rows)

    @pytest.mark.parametrize("suffix", [".npy", ".csv", ".parquet"])
    def test_results_come_back(self, tmp_path, suffix):
        values = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
        path = tmp_path / "deep" / f"result{suffix}"
        files.write(path, values, list("abcd"))
        np.testing.assert_allclose(np.asarray(files.read(path).X), values, rtol=1e-6)
        assert list(path.parent.iterdir()) == [path]

    def test_images_in_a_table_are_flattened(self, tmp_path):
        files.write(tmp_path / "r.csv", np.zeros((2, 2, 2)), list("abcd"))
        assert files.read(tmp_path / "r.csv").X.shape == (2, 4)
