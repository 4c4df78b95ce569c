"""Runs that are stopped, killed and resumed: they end as if nothing had happened, to the bit."""

import copy
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save as tensors_to_bytes
from torch import nn

from isthmus import Autoencoder, ConditionalVariationalAutoencoder, DenoisingAutoencoder, VariationalAutoencoder
from isthmus.core.description import description_of
from isthmus.core.model import Model
from isthmus.networks import MLP, Modules
from isthmus.training import Interrupted
from isthmus.training import step as one_step
from isthmus.training.checkpoint import CHECKPOINT, read_about
from isthmus.training.history_file import HISTORY

# Everything that has a state: dropout, noise, the Gaussian draw, a schedule, early stopping, running means.
RUNS = {
    "plain": Autoencoder(4, max_epochs=4),
    "denoising, dropout": DenoisingAutoencoder(
        4, corruption="gaussian", network=MLP(hidden=(16,), dropout=0.3, normalization="batch"), max_epochs=4
    ),
    "variational": VariationalAutoencoder(4, beta_warm_up=3, max_epochs=4),
    "conditional": ConditionalVariationalAutoencoder(4, max_epochs=4),
    "early stopping": DenoisingAutoencoder(4, early_stopping=True, patience=2, lr_schedule="constant", max_epochs=12),
    "every row": Autoencoder(4, validation_fraction=None, max_grad_norm=0.1, max_epochs=4),
}


def timeless(history):
    return [{name: value for name, value in record.items() if name != "seconds"} for record in history]


def assert_same(model, other):
    weights, others = model.module_.state_dict(), other.module_.state_dict()
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert timeless(model.history_) == timeless(other.history_)
    assert model.start_ == other.start_


@pytest.fixture(params=RUNS)
def estimator(request):
    return copy.deepcopy(RUNS[request.param]).set_params(random_state=3, batch_size=64)


class StopAfter:
    """Ask the process to stop when so many steps are done, as a person at the keyboard would."""

    def __init__(self, monkeypatch, steps, number=signal.SIGINT):
        self.steps = steps
        forward = torch.nn.Module.__call__

        def counted(module, *args, **kwargs):
            if type(module).__name__ == "Model" and torch.is_grad_enabled():
                self.steps -= 1
                if self.steps == 0:
                    os.kill(os.getpid(), number)
            return forward(module, *args, **kwargs)

        monkeypatch.setattr(torch.nn.Module, "__call__", counted)


@pytest.mark.parametrize("steps", [1, 9, 17, 30])
def test_a_run_that_was_stopped_goes_on_to_the_bit(estimator, digits, digits_labels, tmp_path, monkeypatch, steps):
    X, y = digits[:500], digits_labels[:500]
    undisturbed = copy.deepcopy(estimator).fit(X, y)
    with monkeypatch.context() as patch:
        StopAfter(patch, steps)
        with pytest.raises(Interrupted):
            copy.deepcopy(estimator).fit(X, y, resume_from=tmp_path / "run")
    np.random.default_rng().random()
    torch.rand(7)  # other use of random numbers
    resumed = estimator.fit(X, y, resume_from=tmp_path / "run")
    assert_same(resumed, undisturbed)


def test_keeping_a_run_does_not_change_it(estimator, digits, digits_labels, tmp_path):
    X, y = digits[:300], digits_labels[:300]
    kept = copy.deepcopy(estimator).fit(X, y, resume_from=tmp_path, checkpoint_minutes=0)
    assert_same(kept, copy.deepcopy(estimator).fit(X, y))
    again = estimator.fit(X, y, resume_from=tmp_path)
    assert_same(again, kept)


def test_a_run_without_a_seed_goes_on_with_its_own(digits, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        StopAfter(patch, 20)
        with pytest.raises(Interrupted):
            Autoencoder(4, max_epochs=4).fit(digits, resume_from=tmp_path)
    seed = read_about(tmp_path / CHECKPOINT)["about"]["seed"]
    model = Autoencoder(4, max_epochs=4).fit(digits, resume_from=tmp_path)
    assert read_about(tmp_path / CHECKPOINT)["about"]["seed"] == seed
    assert model.n_iter_ == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_checkpoint(digits, tmp_path, monkeypatch, number):
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        StopAfter(patch, 20, number)
        with pytest.raises(Interrupted) as stopped:
            Autoencoder(4, max_epochs=4, random_state=0).fit(digits, resume_from=tmp_path)
    assert stopped.value.signal == number
    assert signal.getsignal(number) == before
    with safe_open(tmp_path / CHECKPOINT, "pt") as file:
        sizes = file.get_tensor("sizes")
    assert len(sizes) == 20 - 11, "an epoch has 11 steps"


class Clock:
    """A clock that goes on when it is told to, and how a checkpoint is written by it."""

    def __init__(self, monkeypatch, write_seconds):
        self.now, self.written, self.write_seconds = 0.0, [], write_seconds
        monkeypatch.setattr("isthmus.training.keeper.time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr("isthmus.training.keeper.write", self.write)

    def write(self, path, state, about, records):
        self.written.append(state.epoch if state.position is None else (state.epoch, len(state.position.sizes)))
        self.now += self.write_seconds

    def go_on(self, seconds):
        self.now += seconds


def test_minutes(digits, tmp_path, monkeypatch):
    clock = Clock(monkeypatch, write_seconds=0)
    setting = {"max_epochs": 2, "random_state": 0, "callbacks": [lambda record: clock.go_on(30)]}
    step = one_step._step
    monkeypatch.setattr(one_step, "_step", lambda *args: (clock.go_on(20), step(*args))[1])
    Autoencoder(4, **setting).fit(digits, resume_from=tmp_path / "a")
    assert clock.written == [1, 2]
    clock.written.clear()
    Autoencoder(4, **setting).fit(digits, resume_from=tmp_path / "b", checkpoint_minutes=1)
    assert clock.written == [(0, 4), (0, 8), 1, (1, 4), (1, 8), 2]
    clock.written.clear()
    Autoencoder(4, **setting).fit(digits, resume_from=tmp_path / "c", checkpoint_minutes=0)
    assert clock.written == [*((0, n) for n in range(1, 12)), 1, *((1, n) for n in range(1, 12)), 2]


@pytest.mark.parametrize("family", [Autoencoder, VariationalAutoencoder])
def test_keeping_a_run_costs_a_twentieth(family, table, tmp_path, monkeypatch):
    """An epoch takes 5 seconds, and writing 1: once that is known, at the end of every fourth, and of the run."""
    clock = Clock(monkeypatch, write_seconds=1)
    setting = {"max_epochs": 12, "random_state": 0, "callbacks": [lambda record: clock.go_on(5)]}
    family(2, **setting).fit(table, resume_from=tmp_path / "a")
    assert clock.written == [1, 5, 9, 12]
    clock.written.clear()
    family(2, **setting).fit(table, resume_from=tmp_path / "b", checkpoint_minutes=9 / 60)
    assert clock.written == [1, 3, 5, 7, 9, 11, 12]
    clock.written.clear()
    monkeypatch.setattr("isthmus.training.keeper.GUESS", 1.0)  # a byte a second: the first one is put off too
    family(2, **setting).fit(table, resume_from=tmp_path / "c")
    assert clock.written == [12]


def test_what_is_not_the_same_run_is_refused(digits, tmp_path):
    Autoencoder(4, max_epochs=2, random_state=0).fit(digits, resume_from=tmp_path)
    with pytest.raises(ValueError, match="of a run with other rows"):
        Autoencoder(4, max_epochs=2).fit(digits + 1, resume_from=tmp_path)
    with pytest.raises(ValueError, match="of a run with n_components=4, and not 5: set it back, or delete"):
        Autoencoder(5, max_epochs=2).fit(digits, resume_from=tmp_path)
    warm = Autoencoder(4, max_epochs=2, warm_start=True).fit(digits)
    with pytest.raises(ValueError, match="warm_start was not this one's"):
        warm.fit(digits, resume_from=tmp_path)
    content = (tmp_path / CHECKPOINT).read_bytes()
    for wrong in (content[: len(content) // 2], b"", b"x" * 100, content[:200] + b"?" + content[201:]):
        (tmp_path / CHECKPOINT).write_bytes(wrong)
        with pytest.raises(ValueError, match="delete it to start afresh"):
            Autoencoder(4, max_epochs=2).fit(digits, resume_from=tmp_path)


def test_two_processes_cannot_keep_one_run(digits, tmp_path):
    hold = f"""
from pathlib import Path
from isthmus.training.keeper import locked
with locked(Path({str(tmp_path)!r})):
    print("held", flush=True)
    input()
"""
    other = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "held\n"
    with pytest.raises(OSError, match="another process is training in"):
        Autoencoder(4, max_epochs=1).fit(digits, resume_from=tmp_path)
    other.kill()  # the lock dies with its process
    other.communicate()
    Autoencoder(4, max_epochs=1).fit(digits, resume_from=tmp_path)


def test_what_a_killed_process_was_writing_is_cleared_away(digits, tmp_path):
    (tmp_path / f".{CHECKPOINT.removesuffix('.safetensors')}-abc.safetensors").write_bytes(b"half")
    Autoencoder(4, max_epochs=1).fit(digits, resume_from=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", HISTORY, CHECKPOINT]


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(digits, tmp_path, monkeypatch):
    estimator = Autoencoder(4, max_epochs=4, random_state=0)
    undisturbed = copy.deepcopy(estimator).fit(digits)
    written = []

    def fill_the_disk(tensors, metadata):
        written.append(1)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        return tensors_to_bytes(tensors, metadata)

    with monkeypatch.context() as patch:
        patch.setattr("isthmus.training.checkpoint.tensors_to_bytes", fill_the_disk)
        patch.setattr("isthmus.training.keeper.SHARE", 0)  # at the end of every epoch
        with pytest.raises(OSError, match="No space left"):
            copy.deepcopy(estimator).fit(digits, resume_from=tmp_path)
    assert read_about(tmp_path / CHECKPOINT)["epoch"] == 2
    assert_same(estimator.fit(digits, resume_from=tmp_path), undisturbed)


class Explode:
    """Make the loss NaN in some of the training's steps."""

    def __init__(self, monkeypatch, steps):
        self.step = 0
        row_losses = Model.row_losses

        def exploding(model, terms, epochs=float("inf")):
            losses = row_losses(model, terms, epochs)
            if not torch.is_grad_enabled():
                return losses
            self.step += 1
            return losses * float("nan") if self.step in steps else losses

        monkeypatch.setattr(Model, "row_losses", exploding)


def test_a_loss_that_explodes_is_gone_back_from(digits, monkeypatch, states):
    Explode(monkeypatch, {15})
    with pytest.warns(UserWarning, match="became nan in epoch 2 .* going back to the end of epoch 1, and on at half"):
        model = Autoencoder(4, max_epochs=3, lr_schedule="constant", random_state=0).fit(digits)
    assert model.n_iter_ == 3
    assert states[-1].optimizer.param_groups[0]["lr"] == model.lr / 2
    monkeypatch.undo()
    half = Autoencoder(4, max_epochs=1, lr_schedule="constant", random_state=0, warm_start=True).fit(digits)
    assert model.history_[0]["train"] == half.history_[0]["train"]
    assert np.isfinite(model.transform(digits)).all()


def test_going_back_three_times_is_the_most(digits, monkeypatch):
    Explode(monkeypatch, set(range(15, 1000)))
    with (
        pytest.warns(UserWarning, match="half the learning rate") as warned,
        pytest.raises(FloatingPointError, match="became nan in epoch 2"),
    ):
        Autoencoder(4, max_epochs=3, random_state=0).fit(digits)
    assert len(warned) == 3
    monkeypatch.undo()
    Explode(monkeypatch, {15})
    with pytest.raises(FloatingPointError, match="became nan in epoch 2"):
        Autoencoder(4, max_epochs=3, random_state=0, on_nonfinite="raise").fit(digits)


def test_going_back_survives_a_stop(digits, tmp_path, monkeypatch):
    """The step that explodes is the 15th that is counted: before and after the stop they are counted as one."""
    estimator = Autoencoder(4, max_epochs=3, random_state=0)
    with monkeypatch.context() as patch:
        Explode(patch, {15})
        with pytest.warns(UserWarning, match="half the learning rate"):
            undisturbed = copy.deepcopy(estimator).fit(digits)
    with monkeypatch.context() as patch:
        Explode(patch, {15})
        StopAfter(patch, 13)
        with pytest.raises(Interrupted):
            copy.deepcopy(estimator).fit(digits, resume_from=tmp_path)
        with pytest.warns(UserWarning, match="half the learning rate"):
            estimator.fit(digits, resume_from=tmp_path)
    assert_same(estimator, undisturbed)


def test_a_spike_is_stepped_back_from_as_if_there_had_been_no_stop(digits, tmp_path, monkeypatch):
    estimator = VariationalAutoencoder(4, lr=0.05, lr_schedule="constant", max_epochs=3, random_state=0)
    with pytest.warns(UserWarning, match="the squared error rose"):
        undisturbed = copy.deepcopy(estimator).fit(digits)
    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        StopAfter(patch, 8)
        with pytest.raises(Interrupted):
            copy.deepcopy(estimator).fit(digits, resume_from=tmp_path)
        resumed = estimator.fit(digits, resume_from=tmp_path)
    assert_same(resumed, undisturbed)


def test_the_gradient_is_cut(digits):
    def step(norm):
        return Autoencoder(4, max_epochs=1, max_grad_norm=norm, random_state=0, batch_size=2000).fit(digits)

    free, cut = step(None), step(1e-3)
    gradients = [torch.cat([w.grad.flatten() for w in model.module_.parameters()]).norm() for model in (free, cut)]
    assert gradients[0] > 1e-3
    assert gradients[1] == pytest.approx(1e-3, rel=1e-3)


def test_a_bit_that_flips_in_a_checkpoint_is_noticed(digits, tmp_path):
    Autoencoder(4, max_epochs=2, random_state=0).fit(digits, resume_from=tmp_path)
    content = bytearray((tmp_path / CHECKPOINT).read_bytes())
    content[-100] ^= 1
    (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(ValueError, match="is altered: its checksum differs; delete it to start afresh"):
        Autoencoder(4, max_epochs=2, random_state=0).fit(digits, resume_from=tmp_path)


def test_a_run_that_a_callback_has_stopped_does_not_go_on(digits, tmp_path):
    estimator = Autoencoder(4, max_epochs=5, random_state=0, callbacks=[lambda record: record["epoch"] == 2])
    kept = copy.deepcopy(estimator).fit(digits, resume_from=tmp_path)
    assert kept.n_iter_ == 2
    assert_same(estimator.fit(digits, resume_from=tmp_path), kept)


def test_another_precision_is_named(digits, tmp_path):
    X = digits[:100].reshape(100, -1).astype(float)
    Autoencoder(4, max_epochs=2, random_state=0).fit(X, resume_from=tmp_path)
    with pytest.raises(ValueError, match=r"of a run in torch.float64, and this one would be in torch.float32"):
        Autoencoder(4, max_epochs=2, random_state=0, precision="32-true").fit(X, resume_from=tmp_path)


@pytest.mark.parametrize("name", [".run-a.json", ".model-a.safetensors", ".config-a.json", ".DS_Store", "notes.txt"])
def test_a_stray_file_is_no_obstacle(digits, tmp_path, name):
    Autoencoder(4, max_epochs=1).fit(digits, resume_from=tmp_path)
    (tmp_path / name).write_bytes(b"x")
    Autoencoder(4, max_epochs=1).fit(digits, resume_from=tmp_path).save(tmp_path)
    assert (tmp_path / "config.json").is_file()
    assert (tmp_path / name).exists() == (name in (".DS_Store", "notes.txt"))


class Bent(nn.Module):
    """A module of a user's own."""

    def __init__(self, slope=0.1):
        super().__init__()
        self.slope = slope

    def forward(self, x):
        return torch.where(x > 0, x, self.slope * x)


def other_forward():
    """A class of the same name that computes something else."""

    class Bent(nn.Module):
        def __init__(self, slope=0.1):
            super().__init__()
            self.slope = slope

        def forward(self, x):
            return torch.where(x > 0, x, -self.slope * x)

    Bent.__qualname__, Bent.__module__ = "Bent", __name__
    return Bent


def own(dropout=0.1, last=nn.Identity):
    return Modules(
        nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.Dropout(dropout)),
        nn.Sequential(nn.Linear(4, 64), last(), nn.Unflatten(1, (8, 8))),
    )


NETWORKS = {  # with which a run is begun, and with which it may not go on
    "activation": (MLP(activation=nn.ReLU()), MLP(activation=nn.Tanh())),
    "slope": (MLP(activation=nn.LeakyReLU(0.1)), MLP(activation=nn.LeakyReLU(0.2))),
    "name": (MLP(activation=nn.ReLU()), MLP(activation="relu", hidden=(64, 32))),
    "attribute": (MLP(activation=Bent(0.1)), MLP(activation=Bent(0.2))),
    "code": (MLP(activation=Bent()), MLP(activation=other_forward()())),
    "own, dropout": (own(), own(0.2)),
    "own, layer": (own(), own(last=nn.Tanh)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_run_does_not_go_on_with_another_network(name, digits, tmp_path):
    one, other = NETWORKS[name]
    setting = {"max_epochs": 1, "random_state": 0}
    Autoencoder(4, network=one, **setting).fit(digits[:60], resume_from=tmp_path)
    with pytest.raises(ValueError, match=r"of a run with network=.*, and not .*: set it back, or delete") as refused:
        Autoencoder(4, network=other, **setting).fit(digits[:60], resume_from=tmp_path)
    assert "\n" not in str(refused.value)
    Autoencoder(4, network=copy.deepcopy(one), **setting).fit(digits[:60], resume_from=tmp_path)


def test_a_description_is_the_same_in_another_process():
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_resume import NETWORKS
from isthmus.core.description import description_of
print([description_of(each)["sha256"] + description_of(each)["code"] for pair in NETWORKS.values() for each in pair])
"""
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True, text=True)
    here = [description_of(each) for pair in NETWORKS.values() for each in pair]
    assert said.stdout.strip() == str([each["sha256"] + each["code"] for each in here])


def test_the_history_is_appended_to_and_what_a_killed_process_wrote_beyond_is_cut_off(digits, tmp_path, monkeypatch):
    estimator = Autoencoder(4, max_epochs=4, random_state=0)
    undisturbed = copy.deepcopy(estimator).fit(digits)
    with monkeypatch.context() as patch:
        StopAfter(patch, 30)
        with pytest.raises(Interrupted):
            copy.deepcopy(estimator).fit(digits, resume_from=tmp_path)
    whole = (tmp_path / HISTORY).read_bytes()
    assert whole.count(b"\n") == 2
    for altered in (whole[:-1], whole.replace(b"1", b"2", 1)):
        (tmp_path / HISTORY).write_bytes(altered)
        with pytest.raises(ValueError, match=r"has lost its history: .*; delete it to start afresh"):
            copy.deepcopy(estimator).fit(digits, resume_from=tmp_path)
    (tmp_path / HISTORY).write_bytes(whole + b'{"epoch": 3, "half')
    assert_same(estimator.fit(digits, resume_from=tmp_path), undisturbed)
    assert (tmp_path / HISTORY).read_bytes().startswith(whole)
    assert len((tmp_path / HISTORY).read_bytes().splitlines()) == 4
