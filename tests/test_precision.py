"""precision="auto": products in bfloat16 where the machine is fast at them and layers and batches are large."""

import numpy as np
import pytest
import torch

from isthmus import Autoencoder, VariationalAutoencoder
from isthmus.core.batch import Batch
from isthmus.errors import InputError
from isthmus.models import precision
from isthmus.models.precision import is_wide_enough, products_of
from isthmus.networks import LSTM, MLP, Conv

FEW = {"max_epochs": 2, "random_state": 0, "device": "cpu", "validation_fraction": None}


@pytest.fixture
def fast(monkeypatch):
    """Make steps of any size worth it, on a machine with fast units."""
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda device: True)
    monkeypatch.setattr(precision, "LEAST_OF_A_STEP", 0)
    monkeypatch.setattr(precision, "LEAST_WIDTH", 0)


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).random((200, 8, 8), np.float32)


def weights(model):
    return torch.cat([each.detach().flatten() for each in model.module_.parameters()])


def test_auto_is_float32_for_small_layers_and_small_batches():
    assert not is_wide_enough(32, 2 * 110_000, 512), "784-128-64-36-18-9 and mirrored"
    assert not is_wide_enough(64, 2 * 410_000, 1824), "784-512-16 and mirrored"
    assert is_wide_enough(1024, 2_560_000, 4832), "784-784-784-64 and mirrored"
    assert not is_wide_enough(16, 2_560_000, 4832)


def test_auto_is_bf16_mixed_where_it_is_worth_it_and_nowhere_else(rows, fast, monkeypatch):
    mixed = VariationalAutoencoder(4, **FEW, precision="bf16-mixed").fit(rows)
    full = VariationalAutoencoder(4, **FEW, precision="32-true").fit(rows)
    assert torch.equal(weights(VariationalAutoencoder(4, **FEW).fit(rows)), weights(mixed))
    assert not torch.equal(weights(full), weights(mixed))
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda device: False)
    assert torch.equal(weights(VariationalAutoencoder(4, **FEW).fit(rows)), weights(full))


@pytest.mark.parametrize("network", [Conv(channels=(4,)), LSTM(), None])
def test_auto_knows_dense_layers_alone(rows, fast, network):
    model = Autoencoder(4, network=network, **FEW).fit(rows).module_
    expected = torch.bfloat16 if network is None else torch.float32
    assert products_of("auto", model, 128) == expected
    assert products_of("32-true", model, 128) == torch.float32
    assert products_of("auto", model.double(), 128) == torch.float64


def test_terms_are_in_the_dtype_of_the_weights_and_inference_too(rows):
    model = VariationalAutoencoder(4, **FEW, precision="bf16-mixed", likelihood="bernoulli").fit(rows)
    module, x = model.module_, torch.from_numpy(rows)
    seen = []
    module.encoder.path.linear.register_forward_hook(lambda layer, given, output: seen.append(output.dtype))
    outcome = module.train()(Batch(x), generator=torch.Generator())
    assert {term.dtype for term in outcome.terms.values()} == {torch.float32}
    assert outcome.code.mean.dtype == torch.float32
    module.eval().encode(Batch(x))
    assert seen == [torch.bfloat16, torch.float32]


def test_a_run_goes_on_only_in_the_precision_that_it_was_begun_in(rows, fast, tmp_path, monkeypatch):
    def stop(record):
        if record["epoch"] == 1 and not told:
            told.append(record)
            raise RuntimeError("stopped")

    told = []
    whole = Autoencoder(4, **FEW).fit(rows)
    model = Autoencoder(4, **FEW, callbacks=[stop])
    with pytest.raises(RuntimeError, match="stopped"):
        model.fit(rows, resume_from=tmp_path, checkpoint_minutes=0)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(precision, "has_fast_bfloat16", lambda device: False)
        with pytest.raises(InputError, match=r"products in torch\.bfloat16, and this one's would be in torch\.float32"):
            model.fit(rows, resume_from=tmp_path)
    assert torch.equal(weights(model.fit(rows, resume_from=tmp_path)), weights(whole))


def test_layers_of_mlp_count_as_they_are():
    network = MLP(hidden=(784, 784), linear_path=None)
    model = Autoencoder(64, network=network, max_epochs=1, device="cpu", precision="32-true", batch_size=8)
    model.fit(np.random.default_rng(0).random((8, 784), np.float32))
    fast = precision.has_fast_bfloat16(torch.device("cpu"))
    assert products_of("auto", model.module_, 1024) == (torch.bfloat16 if fast else torch.float32)
    assert products_of("auto", model.module_, 64) == torch.float32
