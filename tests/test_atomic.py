"""A model takes the place of another in one moment: whatever stands at the path, whoever reads or writes beside."""

import multiprocessing
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
import torch

import isthmus
from isthmus import runs
from isthmus.errors import InputError
from isthmus.saving import atomic, persistence
from isthmus.saving.atomic import replacing

FILES = ["config.json", "model.safetensors"]


@pytest.fixture(scope="module")
def models(digits_small):
    """Two models whose weights have other shapes."""
    return [isthmus.Autoencoder(k, max_epochs=1, random_state=k).fit(digits_small) for k in (2, 3)]


@pytest.fixture(scope="module")
def digits_small():
    """Few rows of few columns."""
    return torch.rand(20, 4, generator=torch.Generator().manual_seed(0)).numpy()


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def k_of(folder):
    return isthmus.load(folder).n_components


def write(folder, number):
    """Write weights and a config that both hold a number, and do not fit those of another."""
    persistence.write(folder, {"number": number}, {f"w{number}": torch.full((number + 1,), float(number))})


def read(folder):
    """Read them; a mixture of two is refused, or has two numbers."""

    def check(whole, described):
        number = whole["model"]["number"]
        if list(described) != [f"w{number}"]:
            raise InputError("a mixture")

    config, tensors = persistence.read(folder, check)
    number = config["model"]["number"]
    assert tensors[f"w{number}"].tolist() == [float(number)] * (number + 1)
    return number


def test_the_files_of_a_model_keep_their_names(models, tmp_path):
    models[0].save(tmp_path / "m")
    inode = (tmp_path / "m").stat().st_ino
    models[1].save(tmp_path / "m")
    assert names(tmp_path / "m") == FILES
    assert names(tmp_path) == ["m"]
    assert (tmp_path / "m").stat().st_ino == inode, "the folder is the one that it was"
    assert k_of(tmp_path / "m") == 3


def stop_before(patch, n, *, tidies=False):
    """Make the n-th renaming from now on raise; where nobody tidies up it is as if the process were killed."""
    count, rename = iter(range(n)), Path.replace

    def replace(self, target):
        if next(count, None) is None:
            raise KeyboardInterrupt
        return rename(self, target)

    patch.setattr(Path, "replace", replace)
    if not tidies:
        patch.setattr(Path, "unlink", lambda self, missing_ok=False: None)


@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize("again", [0, 1])
def test_killed_between_any_two_renamings(models, tmp_path, monkeypatch, n, again):
    folder = tmp_path / "m"
    models[0].save(folder)
    with monkeypatch.context() as patch:
        stop_before(patch, n)
        with pytest.raises(KeyboardInterrupt):
            models[1].save(folder)
    assert len(names(folder)) > 2
    assert k_of(folder) == (3 if n == 2 else 2), "one of them whole"
    models[again].save(folder)
    assert k_of(folder) == models[again].n_components
    assert names(folder) == FILES, "what was left is removed"


def test_the_weights_of_a_model_that_was_stopped_late_outlive_another_failure(models, tmp_path, monkeypatch):
    models[0].save(tmp_path)
    for n in (2, 1):  # the same model again, which fails earlier
        with monkeypatch.context() as patch:
            stop_before(patch, n, tidies=True)
            with pytest.raises(KeyboardInterrupt):
                models[1].save(tmp_path)
        assert k_of(tmp_path) == 3


def test_a_first_save_that_fails_leaves_nothing(models, tmp_path, monkeypatch):
    monkeypatch.setattr(persistence, "put_in_place", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        models[0].save(tmp_path / "m")
    assert names(tmp_path) == []


def test_a_link_to_a_folder_is_followed(models, tmp_path):
    for target in ("there", "not yet"):
        link = tmp_path / f"link to {target}"
        link.symlink_to(target)
        if target == "there":
            models[0].save(tmp_path / target)
        models[1].save(link)
        assert str(link.readlink()) == target
        assert k_of(tmp_path / target) == k_of(link) == 3
        assert names(tmp_path / target) == FILES


def test_the_working_directory(models, tmp_path, monkeypatch):
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    for model in models:
        model.save(".")
        assert k_of(".") == model.n_components
        assert names(Path.cwd()) == names(tmp_path / "cwd") == FILES
    assert names(tmp_path) == ["cwd"]


def test_a_mount_point(models, tmp_path):
    mount = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path], capture_output=True, text=True)
    if mount.returncode:
        pytest.skip(f"cannot mount: {mount.stderr.strip()}")
    try:
        for model in models:
            model.save(tmp_path)
            assert k_of(tmp_path) == model.n_components
        assert names(tmp_path) == FILES
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_run_in_a_mount_point_is_replaced(run, tmp_path):
    (tmp_path / "t.csv").write_text("a,b,c\n" + "".join(f"{i},{i * i % 7},{i % 3}\n" for i in range(40)))
    (tmp_path / "run").mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path / "run"], capture_output=True, text=True)
    if mount.returncode:
        pytest.skip(f"cannot mount: {mount.stderr.strip()}")
    try:
        assert run("train t.csv --epochs 1 --components 1 --out run")[::2] == (0, "")
        assert run("train t.csv --epochs 1 --components 2 --out run --overwrite")[::2] == (0, "")
        assert k_of(tmp_path / "run") == 2
        assert names(tmp_path) == ["run", "t.csv"]
        assert names(tmp_path / "run") == [*FILES, "report.html", "run.json"]
    finally:
        subprocess.run(["umount", tmp_path / "run"], check=True)


def test_other_files_and_folders_stay_as_they_are(models, tmp_path):
    models[0].save(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "plots").mkdir()
    (tmp_path / ".model-mine.safetensors").write_text("mine too")
    (tmp_path / ".weights-mine.safetensors").write_text("and this")
    before = {path.name: path.stat() for path in tmp_path.iterdir() if path.name not in FILES}
    models[1].save(tmp_path)
    assert {path.name: path.stat() for path in tmp_path.iterdir() if path.name not in FILES} == before


# Readers and writers at the same time.


def saving(folder, stop, offset):
    i = 0
    while not stop.is_set():
        write(folder, (i + offset) % 7)
        i += 1


def test_readers_beside_writers(tmp_path):
    """Threads that write other models by turns, and threads and a process that read: each finds one of them, whole."""
    write(tmp_path, 0)
    stop, found, failed = threading.Event(), set(), []

    def loading():
        try:
            while not stop.is_set():
                found.add(read(tmp_path))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=saving, args=(tmp_path, stop, offset)) for offset in (0, 3)]
    threads += [threading.Thread(target=loading) for _ in range(2)]
    child = multiprocessing.get_context("fork").Process(target=many_reads, args=(tmp_path, 300))
    child.start()
    for thread in threads:
        thread.start()
    time.sleep(1.5)
    stop.set()
    for thread in threads:
        thread.join()
    child.join()
    assert not failed, failed
    assert child.exitcode == 0
    assert found == set(range(7))
    assert names(tmp_path) == FILES


def many_reads(folder, n):
    for _ in range(n):
        read(folder)


def test_a_model_that_is_saved_all_the_time_is_said(tmp_path, monkeypatch):
    write(tmp_path, 0)
    monkeypatch.setattr(persistence, "PATIENCE", 0.05)
    turns = iter(range(1, 10**6))

    def check(whole, described):
        write(tmp_path, next(turns) % 5)
        raise InputError("a mixture")

    with pytest.raises(BlockingIOError, match="is saved to all the time"):
        persistence.read(tmp_path, check)


def test_two_writers_one_wins_whole(tmp_path):
    """Both have written their weights when the first comes to put them in place."""
    barrier = threading.Barrier(4)

    def save(number):
        barrier.wait()
        for _ in range(20):
            write(tmp_path, number)

    threads = [threading.Thread(target=save, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read(tmp_path) in range(4)
    assert names(tmp_path) == FILES


def test_a_folder_that_another_has_locked(tmp_path, monkeypatch):
    write(tmp_path, 0)
    monkeypatch.setattr(atomic, "PATIENCE", 0.05)
    with atomic.alone_in(tmp_path), pytest.raises(BlockingIOError, match="another process has locked it"):
        write(tmp_path, 1)
    assert read(tmp_path) == 0
    assert names(tmp_path) == FILES


@pytest.mark.parametrize("flock", [None, "refuses"])
def test_without_locks(tmp_path, monkeypatch, flock):
    """On Windows, and on network file systems that have none."""

    class Refusing:
        LOCK_EX = LOCK_NB = 0

        @staticmethod
        def flock(descriptor, how):
            raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(atomic, "fcntl", None if flock is None else Refusing)
    for number in (0, 1):
        write(tmp_path, number)
        assert read(tmp_path) == number
        assert names(tmp_path) == FILES


# Temporary files.


def hang_while_writing(path, begun):
    with replacing(path) as file:
        file.write_text("half")
        begun.set()
        time.sleep(60)


@pytest.mark.parametrize("name", ["result.csv", "x" * 240 + ".csv", ".hidden", "no ending"])
def test_what_a_killed_process_left_is_removed_and_no_more(tmp_path, name):
    path = tmp_path / name
    context = multiprocessing.get_context("fork")
    children = []
    for _ in range(3):
        begun = context.Event()
        child = context.Process(target=hang_while_writing, args=(path, begun))
        child.start()
        children.append(child)
        assert begun.wait(10)
    assert len(names(tmp_path)) == 3
    for child in children[::2]:
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    with replacing(path) as file:
        file.write_text("whole")
    assert path.read_text() == "whole"
    assert len(names(tmp_path)) == 2, "what the one that lives is writing is left alone"
    os.kill(children[1].pid, signal.SIGKILL)
    children[1].join()
    for _ in range(2):
        with replacing(path) as file:
            file.write_text("whole")
    assert names(tmp_path) == [name]


def test_the_mode_is_as_the_umask_says_and_nobody_changes_that(tmp_path, monkeypatch):
    before = os.umask(0o027)
    try:
        monkeypatch.setattr(os, "umask", lambda mask: 1 / 0)
        write(tmp_path / "m", 0)
        assert [path.stat().st_mode & 0o777 for path in sorted((tmp_path / "m").iterdir())] == [0o640, 0o640]
        assert (tmp_path / "m").stat().st_mode & 0o777 == 0o750
    finally:
        monkeypatch.undo()
        os.umask(before)


# Runs that take the place of others.


@pytest.mark.parametrize("n", range(5))
def test_a_run_that_was_killed_while_it_took_the_place(run, tmp_path, monkeypatch, n):
    (tmp_path / "t.csv").write_text("a,b,c\n" + "".join(f"{i},{i * i % 7},{i % 3}\n" for i in range(40)))
    assert run("train t.csv --epochs 1 --components 1 --out run")[0] == 0
    take_place = runs.take_place

    def killed(target):
        with monkeypatch.context() as inner:
            stop_before(inner, n)
            take_place(target)

    with monkeypatch.context() as patch:
        patch.setattr(runs, "take_place", killed)
        assert run("train t.csv --epochs 1 --components 2 --out run --overwrite")[0] != 0
    assert k_of(tmp_path / "run") == (1 if n < 2 else 2)
    assert run("train --resume run")[0] == 0
    assert k_of(tmp_path / "run") == 2
    assert names(tmp_path) == ["run", "t.csv"]
    assert names(tmp_path / "run") == [*FILES, "report.html", "run.json"]


def test_a_finished_run_is_never_abandoned(run, tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("a,b,c\n" + "".join(f"{i},{i * i % 7},{i % 3}\n" for i in range(40)))

    def closed(*_, **__):
        raise BrokenPipeError(32, "Broken pipe")

    for out in ("run", "run --overwrite"):
        with monkeypatch.context() as patch:
            patch.setattr(isthmus.cli.train, "say", closed)
            assert run(f"train t.csv --model tabular --epochs 1 --components 1 --out {out}")[0] != 0
        assert run("train --resume run")[0] == 0
        assert names(tmp_path / "run") == [*FILES, "report.html", "run.json"]
        assert runs.read(tmp_path / "run")["finished"]
