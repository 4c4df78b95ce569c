"""Small work takes one thread, large work as many as it repays; and the number is put back."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

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
    threads,
)
from isthmus.core.batch import Batch
from isthmus.core.model import Model
from isthmus.models import start
from isthmus.models.engine import work_of_a_row
from isthmus.networks import LSTM, MLP, Conv, Transformer
from isthmus.threads import suited_to

USERS = 3


@pytest.fixture(autouse=True)
def users_number():
    """What the user's program has, which must be there again afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(USERS)
    yield
    assert torch.get_num_threads() == USERS
    torch.set_num_threads(before)


@pytest.fixture
def seen(monkeypatch):
    """On how many threads rows are encoded."""
    encode, seen = Model.encode, []

    def noted(self, *args):
        seen.append(torch.get_num_threads())
        return encode(self, *args)

    monkeypatch.setattr(Model, "encode", noted)
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 5e9)  # as where threads spin: what is scored at once is small then
    return seen


@pytest.mark.parametrize(("work", "n"), [(0, 1), (9, 1), (10, 1), (19, 1), (20, 2), (29, 2), (30, 3), (1e9, 3)])
def test_a_thread_more_for_so_much_work(monkeypatch, work, n):
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 10)
    with suited_to(work) as given:
        assert given == n == torch.get_num_threads()
        with suited_to(1e9):
            assert torch.get_num_threads() == USERS, "the inner one counts"
            with suited_to(0):
                assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == n


def test_a_lower_number_of_the_users_holds():
    torch.set_num_threads(1)
    with suited_to(1e12):
        assert torch.get_num_threads() == 1
    torch.set_num_threads(USERS)


def test_the_number_is_put_back_on_errors(digits):
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), suited_to(0, blas=True):
            raise error

    def fail(record):
        assert torch.get_num_threads() == 1
        Autoencoder(2, max_epochs=1, callbacks=[]).fit(digits[:20])
        assert torch.get_num_threads() == 1, "after a fit inside of the fit"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Autoencoder(2, callbacks=[fail]).fit(digits[:50])


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_it_reaches_blas_and_the_start_at_pca(digits, monkeypatch):
    seen, fit = [], start.PCA.fit
    monkeypatch.setattr(start.PCA, "fit", lambda *args: (seen.extend(blas_threads()), fit(*args))[1])
    with threadpool_limits(2, user_api="blas"):
        assert set(blas_threads()) == {2}
        Autoencoder(2, max_epochs=1).fit(digits)
        assert set(seen) == {1}
        assert set(blas_threads()) == {2}


FITS = {
    "plain": lambda X, y: Autoencoder(3, max_epochs=1).fit(X),
    "conv": lambda X, y: Autoencoder(3, network=Conv(), max_epochs=1).fit(X),
    "transformer": lambda X, y: Autoencoder(3, network=Transformer(width=16, depth=1), max_epochs=1).fit(X),
    "denoising": lambda X, y: DenoisingAutoencoder(3, max_epochs=1).fit(X),
    "sparse": lambda X, y: SparseAutoencoder(20, max_epochs=1).fit(X),
    "contractive": lambda X, y: ContractiveAutoencoder(3, max_epochs=1).fit(X),
    "variational": lambda X, y: VariationalAutoencoder(3, max_epochs=1).fit(X),
    "conditional": lambda X, y: ConditionalVariationalAutoencoder(3, max_epochs=1).fit(X, y),
    "sequence": lambda X, y: SequenceAutoencoder(3, max_epochs=1).fit(X),
    "tabular": lambda X, y: TabularAutoencoder(3, max_epochs=1).fit(X.reshape(len(X), -1)[:, 2:5]),
    "multimodal": lambda X, y: MultimodalAutoencoder(3, max_epochs=1).fit({"image": X, "label": y}),
    "partial": lambda X, y: Autoencoder(3).partial_fit(X),
    "partial, again": lambda X, y: Autoencoder(3).partial_fit(X).partial_fit(X),
    "detector": lambda X, y: OutlierDetector(Autoencoder(3, max_epochs=1)).fit(X),
    "comparison": lambda X, y: isthmus.compare(X, y, ["under-complete"], seeds=1, max_epochs=1),
}


@pytest.mark.filterwarnings("ignore:the code has collapsed")
@pytest.mark.parametrize("name", FITS)
def test_every_small_fit_takes_one_thread(name, digits, digits_labels, seen):
    FITS[name](digits[:130], digits_labels[:130])
    assert set(seen) == {1}


@pytest.mark.parametrize("use", ["transform", "reconstruct", "score_samples", "impute", "sample", "log_likelihood"])
def test_every_use_takes_what_repays_it(use, digits, seen, monkeypatch):
    model = VariationalAutoencoder(3, max_epochs=1, random_state=0).fit(digits)
    X = np.where(np.arange(64).reshape(8, 8) == 20, np.nan, digits[:90])

    def used():
        seen.clear()
        model.sample(90) if use == "sample" else getattr(model, use)(X)
        return set(seen)

    assert used() == (set() if use == "sample" else {1})
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 1)
    assert used() == (set() if use == "sample" else {USERS})


def test_a_command_takes_one_thread(run, seen):
    status, _, err = run("train digits --epochs 1 --components 2 --out run")
    assert (status, err) == (0, "")
    assert set(seen) == {1}


def test_large_steps_take_the_users_threads(digits, seen, monkeypatch):
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 1e6)
    Autoencoder(3, max_epochs=1).fit(digits)
    assert USERS in seen


def test_how_many_the_user_has_changes_no_bit_of_a_small_fit(digits):
    fits = []
    for n in (1, 2, USERS):
        torch.set_num_threads(n)
        fits.append(VariationalAutoencoder(3, max_epochs=2, random_state=0).fit(digits))
    weights = [model.module_.state_dict() for model in fits]
    assert all(torch.equal(weights[0][name], other[name]) for name in weights[0] for other in weights[1:])
    assert all((fits[0].transform(digits) == model.transform(digits)).all() for model in fits[1:])


def test_the_work_of_a_row(rng):
    """Multiply-adds by hand: of a dense layer its weights, of a convolution those at each place."""

    def work(network, *shape):
        encoder, decoder = network.build(shape, 3)
        return work_of_a_row(Model(encoder, decoder, row_shape=shape), Batch(torch.rand(5, *shape)))

    dense = MLP(hidden=(20,), linear_path=None)
    assert work(dense, 50) == 2 * 20 * (50 + 3) + 20 + 3 + 20 + 50, "weights and biases"
    conv = Conv(channels=(4,), kernel_size=3, linear_path=None)
    places = 8 * 8
    assert work(conv, 16, 16) == 2 * places * (4 * 9 + 4 * 3)
    lstm = LSTM(hidden=16)
    weights = sum(weight.numel() for part in lstm.build((40, 2), 3) for weight in part.parameters())
    assert work(lstm, 40, 2) == weights, "a step waits for the one before"
    assert work(lstm, 400, 2) < 5 * weights, "frames are read out all at once"
    short, long = (work(Transformer(patch=1, width=16, depth=1, heads=2), n) for n in (50, 200))
    assert 3.5 < long / short < 4.5


SLEEPS = """
import time
import isthmus
from isthmus import threads, datasets
import torch
assert threads.ASLEEP
torch.set_num_threads(2)
X = datasets.load("digits").X
isthmus.Autoencoder(8, max_epochs=1, random_state=0).fit(X)
wall, processor = time.perf_counter(), time.process_time()
isthmus.Autoencoder(8, max_epochs=20, random_state=0).fit(X)
wall, processor = time.perf_counter() - wall, time.process_time() - processor
assert processor < 1.1 * wall, (processor, wall)
"""


def test_no_thread_spins():
    """On a machine of two cores it took up to ten times the processor time: each waits for the other."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("O")}
    subprocess.run([sys.executable, "-W", "ignore", "-c", SLEEPS], env=environment, check=True)


def test_where_threads_spin_it_takes_more_to_repay_one():
    code = """
import torch
import isthmus, os
assert 'OMP_WAIT_POLICY' not in os.environ, 'too late'
assert not isthmus.threads.ASLEEP
assert isthmus.threads.WORTH_A_THREAD == 5e9"""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_libraries_are_looked_for_again_where_a_module_has_come(monkeypatch):
    looks, look = [], threads.ThreadpoolController
    monkeypatch.setattr(threads, "ThreadpoolController", lambda: looks.append(1) or look())
    monkeypatch.setattr(threads, "_found", (0, []))
    for added, n in (("here", 1), ("here", 1), ("there", 2)):
        monkeypatch.setitem(sys.modules, added, threads)
        with suited_to(0, blas=True):
            assert set(blas_threads()) == {1}
        assert len(looks) == n
