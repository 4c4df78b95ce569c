"""Disks that fill up, vanish or become read-only in the middle of a run."""

import copy
import shutil
import subprocess

import pytest

import isthmus
from isthmus import Autoencoder
from isthmus.networks import MLP
from isthmus.training.checkpoint import CHECKPOINT, read_about
from isthmus.training.history_file import HISTORY
from test_resume import assert_same

SMALL = Autoencoder(4, network=MLP(hidden=(16,)), max_epochs=6, random_state=0)


@pytest.fixture(autouse=True)
def every_epoch(monkeypatch):
    """However long writing takes, a checkpoint is written at the end of each epoch."""
    monkeypatch.setattr("isthmus.training.keeper.SHARE", 0)


@pytest.fixture
def disk(tmp_path):
    """A disk of a megabyte; as only root may mount one, others skip."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def fill(disk):
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def at_epoch(n, action):
    return lambda record: action() if record["epoch"] == n else None


def test_a_disk_that_fills_up(disk, digits):
    undisturbed = copy.deepcopy(SMALL).fit(digits)
    run = copy.deepcopy(SMALL).set_params(callbacks=[at_epoch(3, lambda: fill(disk))])
    with pytest.raises(OSError, match=r"cannot keep the run: .*No space left on device; what was kept before is whole"):
        run.fit(digits, resume_from=disk / "run")
    assert not hasattr(run, "module_")
    assert sorted(path.name for path in (disk / "run").iterdir()) == [".lock", HISTORY, CHECKPOINT]
    assert read_about(disk / "run" / CHECKPOINT)["epoch"] == 2
    (disk / "filler").unlink()
    assert_same(copy.deepcopy(SMALL).fit(digits, resume_from=disk / "run"), undisturbed)


def test_a_disk_that_fills_up_leaves_the_model_that_was_there(disk, digits):
    model = copy.deepcopy(SMALL).set_params(max_epochs=1).fit(digits)
    model.save(disk / "model")
    fill(disk)
    with pytest.raises(OSError, match="No space left on device"):
        copy.deepcopy(SMALL).set_params(max_epochs=2).fit(digits).save(disk / "model")
    (disk / "filler").unlink()
    again = isthmus.load(disk / "model")
    assert (again.transform(digits) == model.transform(digits)).all()
    assert sorted(path.name for path in disk.iterdir()) == ["model"]


def test_a_disk_that_becomes_read_only(tmp_path, digits, monkeypatch):
    def freeze():
        monkeypatch.setattr("isthmus.saving.atomic.os.access", lambda path, mode: False)

    undisturbed = copy.deepcopy(SMALL).fit(digits)
    run = copy.deepcopy(SMALL).set_params(callbacks=[at_epoch(3, freeze)])
    with pytest.raises(OSError, match=r"cannot keep the run: .* is read-only; .* what was kept before is whole"):
        run.fit(digits, resume_from=tmp_path / "run")
    monkeypatch.undo()
    assert_same(copy.deepcopy(SMALL).fit(digits, resume_from=tmp_path / "run"), undisturbed)


def test_a_folder_that_vanishes(tmp_path, digits):
    run = copy.deepcopy(SMALL).set_params(callbacks=[at_epoch(3, lambda: shutil.rmtree(tmp_path / "run"))])
    with pytest.raises(FileNotFoundError, match="run has vanished while the run was kept there"):
        run.fit(digits, resume_from=tmp_path / "run")
