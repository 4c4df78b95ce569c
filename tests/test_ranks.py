"""Several processes train one model: what one process comes to, they do, and whatever ends one ends all.

Whatever starts processes is run in a child that is killed after a while, so that nothing that hangs holds up the rest.
Such children begin with everything imported, which takes longer than all that they do; but for one run of torchrun.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributed, nn

import isthmus
from isthmus import (
    Autoencoder,
    ConditionalVariationalAutoencoder,
    DenoisingAutoencoder,
    GridSearch,
    SequenceAutoencoder,
    TabularAutoencoder,
    VariationalAutoencoder,
    cli,
    datasets,
)
from isthmus.core.source import Share
from isthmus.networks import MLP, Conv
from isthmus.randomness import DrawingFrom, DrawingShare
from isthmus.training.ranks import place_of_process

LONGEST = 150
"""Seconds after which a child is killed, and its test fails."""

CLOSE = 1e-4
"""By how much losses may differ, relative to what they are."""

SETTING = {"max_epochs": 3, "batch_size": 25, "random_state": 0}
"""Of 253 rows to train on the last batch has three, too few to be shared."""


def images():
    X, y = datasets.load("digits")
    return X[:303], y[:303]


def gappy():
    X = images()[0].reshape(303, -1)[:, 16:48].copy()
    X[np.random.default_rng(0).random(X.shape) < 0.2] = np.nan
    return X, None


def table():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=303), "b": rng.exponential(size=303), "c": rng.choice([*"xyz"], 303)})
    frame.loc[::7, "a"], frame.loc[::5, "c"] = np.nan, None
    return frame, None


def sequences():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(n, 2)).cumsum(0) for n in rng.integers(3, 30, 303)], None


CASES = {
    "deterministic": (partial(Autoencoder, 3), images),
    "variational": (partial(VariationalAutoencoder, 3), images),
    "learnt sigma": (partial(VariationalAutoencoder, 3, sigma="learned"), images),
    "gaussian noise": (partial(DenoisingAutoencoder, 3, corruption="gaussian"), images),
    "block": (partial(DenoisingAutoencoder, 3, corruption="block"), images),
    "conditional": (partial(ConditionalVariationalAutoencoder, 3, label_dropout=0.3), images),
    "gaps": (partial(Autoencoder, 3, corruption="masking"), gappy),
    "tabular": (partial(TabularAutoencoder, 3, corruption="masking"), table),
    "sequences": (partial(SequenceAutoencoder, 3), sequences),
    "dropout": (partial(Autoencoder, 3, network=MLP(hidden=(16,), dropout=0.3)), images),
    "convolutions": (partial(Autoencoder, 3, network=Conv(), monitor="mse"), images),
    "contractive": (partial(Autoencoder, 20, contraction_weight=0.1, weight_decay=1e-3, max_grad_norm=1.0), images),
    "no rows held out": (partial(Autoencoder, 3, validation_fraction=None), images),
}


def fitted(name):
    """What a run comes to."""
    family, rows = CASES[name]
    X, y = rows()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = family(**SETTING).fit(X, y)
    weights = torch.cat([tensor.double().flatten() for tensor in model.module_.state_dict().values()]).nan_to_num()
    return {
        "history": [
            {part: record[part] for part in ("train", "validation") if part in record} for record in model.history_
        ],
        "best": model.best_epoch_,
        "held out": model.held_out_.tolist(),
        "weights": weights.sum().item(),
        "score": float(np.mean(model.score_samples(X, y) if model.takes_conditions else model.score_samples(X))),
    }


def in_children(children, folder, target, *args, n=1, env=None):
    """Call a function in a child, or in several that torchrun would have started; return exit codes, and stderr."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    world = address | {"WORLD_SIZE": str(n), "LOCAL_WORLD_SIZE": str(n)} if n > 1 else {}
    folder.mkdir()
    begun = []
    for rank in map(str, range(n)):
        place = world | {"RANK": rank, "LOCAL_RANK": rank} if n > 1 else {}
        begun.append(children.Process(target=begin, args=(folder / rank, place | (env or {}), target, *args)))
        begun[-1].start()
    until = time.monotonic() + LONGEST
    for child in begun:
        child.join(max(0, until - time.monotonic()))
    hung = [child for child in begun if child.exitcode is None]
    for child in hung:
        os.killpg(child.pid, signal.SIGKILL)
    err = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.err"))
    assert not hung, f"hung for {LONGEST} seconds: {err}"
    return [child.exitcode for child in begun], err


def begin(path, env, target, *args):
    """Be such a child: a group of its own, with all that it starts, and what it prints in files."""
    os.setsid()
    os.environ.update(env)
    tempfile.tempdir = None  # to be looked for anew
    for number, end in ((1, ".out"), (2, ".err")):
        with path.with_suffix(end).open("w") as file:
            os.dup2(file.fileno(), number)
    target(*args)


def torchrun(*command):
    """Have torchrun start two processes, and return what they printed; where it hangs, all are killed."""
    child = subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        out, err = child.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        out, err = child.communicate()
        pytest.fail(f"{command} hung for {LONGEST} seconds: {out}\n{err}")
    assert child.returncode == 0, f"{out}\n{err}"
    return out


def losses(history, part="train"):
    return np.array([record[part]["loss"] for record in history])


def cases(folder):
    """Write what each case comes to in this process, which is one of several."""
    rank = int(os.environ["RANK"])
    results = {name: fitted(name) for name in CASES} | {"in parts": in_parts(), "search": searched()}
    results["other rows"] = error_of_other_rows(rank)
    (folder / f"{rank}.json").write_text(json.dumps(results))


def test_two_processes_come_to_what_one_does(children, tmp_path):
    codes, err = in_children(children, tmp_path / "said", cases, tmp_path, n=2)
    assert codes == [0, 0], err
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert ranks[0] == ranks[1], "each process has the whole result"
    assert "process 1 was given other rows than process 0" in ranks[0].pop("other rows")
    assert err.count("devices=3, nodes=1: 2 processes were started") == 1
    np.testing.assert_allclose(ranks[0].pop("in parts"), in_parts(), rtol=CLOSE)
    np.testing.assert_allclose(ranks[0].pop("search"), searched(), rtol=CLOSE)
    for name, found in ranks[0].items():
        alone = fitted(name)
        assert found["best"] == alone["best"], name
        assert found["held out"] == alone["held out"], name
        np.testing.assert_allclose(found["score"], alone["score"], rtol=CLOSE, err_msg=name)
        for before, after in zip(alone["history"], found["history"], strict=True):
            for part, figures in before.items():
                terms = {term: value for term, value in figures.items() if term != "active_units"}
                ours = {term: after[part][term] for term in terms}
                np.testing.assert_allclose([*ours.values()], [*terms.values()], rtol=CLOSE, atol=1e-9, err_msg=name)


def kills(record):
    """Kill each process that this one has started to train with it."""
    for other in Path("/proc").glob("[0-9]*"):
        try:
            parent = (other / "stat").read_text().rpartition(")")[2].split()[1]
            command = (other / "cmdline").read_text()
        except OSError:
            continue
        if parent == str(os.getpid()) and "LokyProcess" in command:
            os.kill(int(other.name), signal.SIGKILL)


def interrupts(record):
    if record["epoch"] == 2:
        os.kill(os.getpid(), signal.SIGINT)


def no_network():
    raise OSError("no network here")


class Unreadable(MLP):
    """A network that no other process can be given."""

    def __reduce__(self):
        return no_network, ()


def in_threads(*fits):
    """The losses of fits, of which the first trains in several processes when the others begin in other threads."""
    found = {}

    def fit(i, function):
        found[i] = losses(function().history_).tolist()

    threads = [threading.Thread(target=fit, args=(i, function)) for i, function in enumerate(fits)]
    threads[0].start()
    while threads[0].is_alive() and not distributed.is_initialized():
        time.sleep(0.001)
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[i] for i in range(len(threads))]


def from_python(folder):
    """Write what fits say that start processes, one after the other."""
    warnings.simplefilter("ignore")
    X, _ = images()
    setting = {"n_components": 3, "max_epochs": 4, "batch_size": 50, "random_state": 0}
    said = {}

    def error_of(model, X=X, **options):
        try:
            model.fit(X, **options)
        except BaseException as error:
            return [type(error).__name__, str(error)]

    class Unnamed(Autoencoder):  # which no other process can import
        pass

    def told(record):
        epochs.append(record["epoch"])
        return record["epoch"] == 3

    epochs = []
    model = Unnamed(devices=2, callbacks=[told], **setting).fit(np.tile(X, (40, 1, 1)).astype("f4"))
    said["stopped"] = [epochs, len(model.history_), model.transform(X).shape]
    said["text"] = error_of(model, np.full((5, 3), "a"))
    said["kept as it was"] = len(model.history_)
    said["killed"] = error_of(Autoencoder(devices=2, callbacks=[kills], **setting))
    said["interrupted"] = error_of(Autoencoder(callbacks=[interrupts], **setting), resume_from=folder / "run")
    resumed = VariationalAutoencoder(devices=2, **setting)
    said["another family"] = error_of(resumed, resume_from=folder / "run")
    resumed = Autoencoder(devices=2, **setting).fit(X, resume_from=folder / "run")
    said["resumed"] = [record["train"]["loss"] for record in resumed.history_]
    said["cannot be read"] = error_of(Autoencoder(devices=2, network=Unreadable(), **setting))
    model, alone = Autoencoder(devices=2, **setting), Autoencoder(lr=2e-3, **setting)
    said["in threads"] = in_threads(partial(model.fit, X), partial(alone.fit, X))
    said["left"] = [*map(str, Path(tempfile.gettempdir()).glob("isthmus-*"))]
    said["temporary files"] = tempfile.gettempdir()
    (folder / "said.json").write_text(json.dumps(said))


def test_a_fit_from_python_starts_its_processes_and_ends_them(children, tmp_path):
    (tmp_path / "tmp").mkdir()
    env = {"TMPDIR": str(tmp_path / "tmp")}
    codes, err = in_children(children, tmp_path / "child", from_python, tmp_path, env=env)
    assert codes == [0], err
    said = json.loads((tmp_path / "said.json").read_text())
    assert said["stopped"] == [[1, 2, 3], 3, [303, 3]]
    assert said["text"][0] == "InputError"
    assert "numbers" in said["text"][1]
    assert said["kept as it was"] == 3
    assert said["killed"][0] == "ChildProcessError"
    assert said["interrupted"][0] == "Interrupted"
    assert said["another family"][0] == "InputError"
    alone = Autoencoder(n_components=3, max_epochs=4, batch_size=50, random_state=0).fit(images()[0])
    np.testing.assert_allclose(said["resumed"], losses(alone.history_), rtol=CLOSE)
    assert said["cannot be read"][0] == "InputError"
    assert said["cannot be read"][1].endswith("cannot be given what fit was: OSError: no network here")
    by_itself = Autoencoder(lr=2e-3, n_components=3, max_epochs=4, batch_size=50, random_state=0).fit(images()[0])
    first, second = said["in threads"]
    np.testing.assert_allclose(first, losses(alone.history_), rtol=CLOSE)
    np.testing.assert_allclose(second, losses(by_itself.history_), rtol=CLOSE)
    assert said["left"] == []
    assert said["temporary files"] == env["TMPDIR"]


def dies(record):
    if record["epoch"] == 2:
        os.kill(os.getpid(), signal.SIGKILL)


def killed(folder):
    warnings.simplefilter("ignore")
    model = DenoisingAutoencoder(3, max_epochs=5, batch_size=25, random_state=0, callbacks=[dies])
    model.fit(images()[0], resume_from=folder, checkpoint_minutes=0)


def test_two_processes_that_are_killed_are_gone_on_with_by_one(children, tmp_path):
    codes, err = in_children(children, tmp_path / "said", killed, tmp_path / "run", n=2)
    assert -signal.SIGKILL in codes, err
    assert 0 not in codes, err
    X = images()[0]
    model = DenoisingAutoencoder(3, max_epochs=5, batch_size=25, random_state=0)
    seen = []
    resumed = model.set_params(callbacks=[seen.append]).fit(X, resume_from=tmp_path / "run")
    alone = model.set_params(callbacks=[]).fit(X)
    assert [record["epoch"] for record in seen] in ([2, 3, 4, 5], [3, 4, 5])
    np.testing.assert_allclose(losses(resumed.history_), losses(alone.history_), rtol=CLOSE)
    for name, tensor in alone.module_.state_dict().items():
        torch.testing.assert_close(resumed.module_.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)


def type_command(*words):
    sys.argv = ["isthmus", *map(str, words)]
    cli.main()


def test_the_command_writes_and_prints_once(children, tmp_path):
    command, several, said = ["train", "digits", "--epochs", "4"], ["--devices", "2", "--strategy", "ddp"], "said"
    started = [*command, *several, "--out", tmp_path / "started"]
    codes, err = in_children(children, tmp_path / said, type_command, *started)
    assert codes == [0], err
    outs = {
        "started": (tmp_path / said / "0.out").read_text(encoding="utf-8"),
        "torchrun": torchrun("-m", "isthmus", *command, "--out", tmp_path / "torchrun"),
    }
    assert {path.name for path in tmp_path.iterdir()} == {said, *outs}
    for name, out in outs.items():
        assert out.count("model and report") == out.count("kept: epoch 4 of 4") == 1
        files = {path.name for path in (tmp_path / name).iterdir()}
        assert files == {"config.json", "model.safetensors", "report.html", "run.json"}
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in outs]
    assert weights[0] == weights[1]
    alone = Autoencoder(max_epochs=4, random_state=0).fit(datasets.load("digits")[0])
    found = isthmus.load(tmp_path / "torchrun").history_
    np.testing.assert_allclose(losses(found), losses(alone.history_), rtol=CLOSE)


def test_machines_must_know_of_one_another(monkeypatch):
    for name in ("RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="nodes=2 needs NODE_RANK and MASTER_ADDR and MASTER_PORT in the environment"):
        Autoencoder(nodes=2).fit(images()[0])
    with pytest.raises(ValueError, match="partial_fit starts no processes"):
        Autoencoder(devices=2).partial_fit(images()[0])


def test_a_warning_of_the_number_of_processes_is_of_the_line_that_fits(monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "3", "MASTER_ADDR": "here", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("isthmus.models.processes._init_launched_group", lambda place: 1 / 0)
    with (
        pytest.warns(UserWarning, match="devices=2, nodes=1: 3 processes were started") as told,
        pytest.raises(ZeroDivisionError),
    ):
        Autoencoder(devices=2).fit(images()[0])
    assert [each.filename for each in told] == [__file__]


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({}, None),
        ({"RANK": "1", "WORLD_SIZE": "3", "MASTER_ADDR": "here", "MASTER_PORT": "1"}, (1, 3, 1, 3)),
        ({"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "here", "MASTER_PORT": "1"}, None),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "4"}, None),  # a shell of Slurm's, where nobody asks for several
    ],
)
def test_a_process_knows_its_place(said, place, monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    assert place_of_process() == place


def test_slurm_is_asked_where_as_many_processes_are_wanted_as_it_has(monkeypatch):
    for name, value in {"SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_NTASKS": "8", "SLURM_NNODES": "2"}.items():
        monkeypatch.setenv(name, value)
    assert place_of_process(8) == (5, 8, 1, 4)
    assert place_of_process(2) is None
    monkeypatch.setenv("SLURM_PROCID", "first")
    with pytest.raises(ValueError, match="SLURM_PROCID=first"):
        place_of_process(8)


def drawn(n, generator):
    """All ways in which noise, codes, penalties and modules draw for so many rows."""
    with DrawingFrom(generator):
        dropped = nn.functional.dropout(torch.ones(n, 3), 0.5)
        fused = torch.native_dropout(torch.ones(n, 2), 0.5, True)[0]
    return torch.cat(
        [
            torch.randn(n, 2, generator=generator),
            torch.rand(n, 3, generator=generator),
            torch.randint(0, 9, (n, 1), generator=generator).float(),
            torch.randint(5, (n,), generator=generator).float()[:, None],
            torch.empty(n, 2).exponential_(generator=generator),
            torch.empty(n, 2).normal_(generator=generator),
            torch.bernoulli(torch.full((n, 2), 0.3), generator=generator),
            torch.multinomial(torch.ones(n, 4), 1, generator=generator).float(),
            torch.normal(torch.zeros(n, 2), 1.0, generator=generator),
            dropped,
            fused,
        ],
        dim=1,
    )


@given(n=st.integers(1, 40), world=st.integers(2, 5), seed=st.integers(0, 99))
def test_each_row_gets_the_numbers_that_it_has_in_one_process(n, world, seed):
    whole = torch.Generator().manual_seed(seed)
    expected = drawn(n, whole)
    for rank in range(world):
        own, generator = Share(rank, world).of(n), torch.Generator().manual_seed(seed)
        with DrawingShare(rank, world, lambda own=own: (n, own)):
            assert torch.equal(drawn(own.stop - own.start, generator), expected[own])
        assert torch.equal(generator.get_state(), whole.get_state())


def test_what_is_drawn_for_no_rows_differs_from_process_to_process():
    found = []
    for rank in range(2):
        generator = torch.Generator().manual_seed(0)
        with DrawingShare(rank, 2, lambda rank=rank: (20, slice(10 * rank, 10 * rank + 10))):
            found.append(torch.rand(7, 3, generator=generator))
            found.append(generator.get_state())
    assert not torch.equal(found[0], found[2])
    assert torch.equal(found[1], found[3])


def in_parts():
    """The losses of two parts of the rows, one after the other."""
    X, _ = images()
    model = VariationalAutoencoder(3, batch_size=25, random_state=0)
    return losses(model.partial_fit(X[:150]).partial_fit(X[150:]).history_).tolist()


def searched():
    """The scores of a search that would train candidates beside one another, were this not one of several processes."""
    X, _ = images()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = GridSearch(Autoencoder(3, **SETTING), {"lr": [1e-3, 1e-2]}, cv=2, refit=False, n_jobs=2).fit(X)
    return search.cv_results_["mean_test_score"].tolist()


def error_of_other_rows(rank):
    X, _ = images()
    try:
        Autoencoder(devices=3).fit(X[:200] if rank == 0 else X[:201])
    except ValueError as error:
        return str(error)


def test_a_strategy_is_for_several_processes(run, tmp_path):
    status, _, err = run("train digits --out run --strategy ddp")
    assert status == 2
    assert "--strategy ddp is for several processes: give --devices or --nodes too" in err
    assert not (tmp_path / "run").exists()
