"""Few rows of many columns: width, memory, checkpoints and pickles follow the data."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import isthmus
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
from isthmus.models.engine import INFERENCE_NUMBERS, inference_batch
from isthmus.models.new_model import default_hidden
from isthmus.networks import MLP, Conv
from isthmus.networks.cells import Cells


@pytest.mark.parametrize(
    ("rows", "width", "hidden"),
    [
        (60_000, 784, (512, 256)),
        (150, 13, (512, 256)),
        (100, 1953, (512, 256)),
        (2048, 3072, (512, 256)),
        (1000, 3072, (325, 163)),
        (200, 20_000, (50, 25)),
        (4000, 20_000, (512, 256)),
        (20, 1_000_000, (16, 8)),
    ],
)
def test_the_default_width_follows_the_data(rows, width, hidden):
    assert default_hidden(rows, width) == hidden


WIDE = {
    "plain": Autoencoder,
    "denoising": DenoisingAutoencoder,
    "sparse": SparseAutoencoder,
    "contractive": ContractiveAutoencoder,
    "variational": VariationalAutoencoder,
    "conditional": ConditionalVariationalAutoencoder,
    "tabular": TabularAutoencoder,
    "detector": lambda *args, **setting: OutlierDetector(Autoencoder(*args, **setting)),
    "multimodal": MultimodalAutoencoder,
}


@pytest.mark.filterwarnings("ignore:the code has collapsed")
@pytest.mark.parametrize("family", WIDE)
def test_a_wide_model_is_saved_and_goes_on(family, rng, tmp_path):
    X, y = rng.normal(size=(40, 4000)).astype(np.float32), np.arange(40) % 2
    given = {"a": X, "b": X[:, :3]} if family == "multimodal" else X
    model = WIDE[family](2, max_epochs=1, random_state=0)
    model.fit(given, y)
    fitted = getattr(model, "autoencoder_", model)
    inputs = 4000 * (1 + fitted.bins_) if family == "tabular" else 4000
    assert fitted.hidden_ == default_hidden(40, inputs)
    assert fitted.hidden_[0] < 512
    assert any(fitted.hidden_[0] in weight.shape for weight in fitted.module_.parameters())
    model.save(tmp_path / "model")
    again = isthmus.load(tmp_path / "model")
    np.testing.assert_array_equal(again.score_samples(given), model.score_samples(given))
    if family not in ("detector", "multimodal"):
        fitted.set_params(warm_start=True).fit(X[:20], y[:20])
        assert fitted.hidden_ == default_hidden(40, inputs), "weights that go on keep their shapes"
        fitted.set_params(warm_start=False).fit(X[:, :10], y)
        assert fitted.hidden_ == (512, 256), "a new fit chooses anew"


def test_a_network_that_is_given_keeps_its_width(rng):
    X = rng.normal(size=(20, 3000))
    model = Autoencoder(2, max_epochs=1).fit(X)
    assert model.hidden_ == (333, 167)
    model.set_params(network=MLP()).fit(X)
    assert model.module_.encoder.path.deep[0].out_features == 512
    assert not hasattr(model, "hidden_")


def test_many_numbers_have_fewer_pieces_each(rng, monkeypatch):
    monkeypatch.setattr("isthmus.formats.table.MOST_PIECES", 100)
    table = pd.DataFrame(rng.normal(size=(30, 20))).rename(columns=str).assign(kind=["a", "b"] * 15)
    model = TabularAutoencoder(2, max_epochs=1, random_state=0).fit(table)
    assert model.bins_ == 100 // 20
    assert model.module_.inputs.width == 20 * (1 + 5) + 2
    assert TabularAutoencoder(2, bins=3, max_epochs=1).fit(table).bins_ == 3
    assert TabularAutoencoder(2, max_epochs=1).fit(table[["0", "1", "kind"]]).bins_ == 24
    assert isinstance(model.module_.inputs, Cells)


def test_wide_rows_take_their_turn_in_smaller_batches(rng, monkeypatch):
    assert inference_batch(784) == 2048
    assert inference_batch(20_000) * 20_000 <= INFERENCE_NUMBERS
    assert inference_batch(10**9) == 1
    X = rng.normal(size=(50, 300)).astype(np.float32)
    model = VariationalAutoencoder(2, max_epochs=2, random_state=0).fit(X)
    whole = [use(X) for use in (model.transform, model.reconstruct, model.score_samples)]
    monkeypatch.setattr("isthmus.models.engine.INFERENCE_NUMBERS", 7 * 300)
    for use, values in zip((model.transform, model.reconstruct, model.score_samples), whole, strict=True):
        np.testing.assert_allclose(use(X), values, rtol=1e-4, atol=1e-4)


PICKLED = {
    **{name: family for name, family in WIDE.items() if name != "detector"},
    "one layer": lambda *args, **setting: Autoencoder(*args, network=MLP(hidden=()), **setting),
    "constant": lambda *args, **setting: Autoencoder(*args, lr_schedule="constant", **setting),
    "every row": lambda *args, **setting: Autoencoder(*args, validation_fraction=None, **setting),
    "conv": lambda *args, **setting: Autoencoder(*args, network=Conv(), **setting),
    "sequence": SequenceAutoencoder,
    "detector": lambda *args, **setting: OutlierDetector(VariationalAutoencoder(*args, **setting)),
}


@pytest.mark.filterwarnings("ignore:the code has collapsed")
@pytest.mark.parametrize("family", PICKLED)
def test_a_pickle_is_as_large_as_the_saved_folder(family, digits, digits_labels, tmp_path):
    X, y = digits[:200], digits_labels[:200]
    X = X.reshape(len(X), -1)[:, 1:6] if family == "tabular" else X
    given = {"image": X, "label": y} if family == "multimodal" else X
    model = PICKLED[family](8, max_epochs=2, random_state=0)
    model.fit(given, y)
    model.save(tmp_path / "model")
    folder = sum(path.stat().st_size for path in (tmp_path / "model").iterdir())
    assert len(pickle.dumps(model)) < 1.1 * folder + 20_000, "its own 20 kB: names of classes"


def test_what_partial_fit_needs_is_kept_and_nothing_else(digits, tmp_path):
    model = Autoencoder(8, random_state=0).partial_fit(digits)
    model.save(tmp_path / "model")
    folder = sum(path.stat().st_size for path in (tmp_path / "model").iterdir())
    assert 2.5 * folder < len(pickle.dumps(model)) < 3.2 * folder, "weights, and two moments of each"
    on, again = model.partial_fit(digits), pickle.loads(pickle.dumps(model)).partial_fit(digits)
    assert len(on.history_) == 2 == len(again.history_) - 1
    model.fit(digits[:50])
    assert len(pickle.dumps(model)) < 1.1 * folder
    assert not hasattr(model, "_state")


PEAK = """
import resource, sys
import numpy as np
import pandas as pd
import isthmus
rng = np.random.default_rng(0)
X = np.log1p(rng.poisson(rng.lognormal(1, 1, 20_000) * rng.lognormal(0, 0.2, (200, 1)))).astype(np.float32)

def beyond(estimator, X):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    estimator.set_params(random_state=0).fit(X)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024

beyond(isthmus.VariationalAutoencoder(2, max_epochs=1), X[:20, :20])
detector = beyond(isthmus.OutlierDetector(isthmus.VariationalAutoencoder(8, max_epochs=2)), X)
table = pd.DataFrame(X[:, :8000], columns=[f"gene {i}" for i in range(8000)])
tabular = beyond(isthmus.TabularAutoencoder(max_epochs=2), table)
assert detector < 500, f"{detector} MB"
assert tabular < 300, f"{tabular} MB more"
"""


def test_memory_beside_wide_data():
    """Of 200 rows of 20,000 columns, 16 MB; and what a table of 8,000 of them takes beyond that."""
    subprocess.run([sys.executable, "-W", "ignore", "-c", PEAK], check=True)
