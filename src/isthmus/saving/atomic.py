"""Files that are either whole or not there: written under a temporary name, flushed to disk, renamed.

A temporary file is locked as long as its writer lives. So whoever writes to the same path next can tell what a killed
process has left there from what another is writing now, and removes it: nothing piles up.
"""

import itertools
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where nothing is locked, and what was left stays
    fcntl = None  # type: ignore[assignment]

OURS = "-isthmus-"
"""In the name of every temporary file."""

LONGEST_STEM = 40
"""Letters of a path's name that are in the temporary one: with what is put around them it is no longer than allowed."""

PATIENCE = 60.0
"""Seconds that a folder is waited for while another process changes it, which takes one a few milliseconds."""


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; on success it takes the place of `path`, else it is removed.

    Folders on the way are made.

    Raises
    ------
    OSError
        If the folder cannot be made or written, in one line that names it.
    """
    with temporary(path) as new:
        yield new
        flush(new)
        new.replace(path)
        flush_folder(new.parent)


@contextmanager
def temporary(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; it is removed, unless it was renamed.

    Folders on the way are made.

    Raises
    ------
    OSError
        If the folder cannot be made or written, in one line that names `path`.
    """
    path = Path(path)
    check_writable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _one_line_of(path), _new_file(path) as new:
        yield new


@contextmanager
def _one_line_of(path: Path) -> Iterator[None]:
    """Name what was to be written where an error does not say it: a full disk's does not."""
    try:
        yield
    except OSError as error:
        if error.strerror is not None and error.filename is None:
            raise OSError(f"cannot write {path}: {error.strerror}") from error
        raise


@contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """Make a temporary file of this process's own; of those that nobody writes to any more none is left."""
    for number in itertools.count(0 if fcntl is not None else secrets.randbits(32)):
        name = _name(path, number)
        remove_left(name)
        with suppress(FileExistsError):
            # Never by way of the umask, which is of all threads: the system itself takes it from the mode.
            descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _flags("O_CLOEXEC", "O_NOFOLLOW"), 0o666)
            if _hold(descriptor, name):
                break
    if fcntl is None:
        os.close(descriptor)  # Windows renames no file that is open
    try:
        yield name
    finally:
        if fcntl is None:
            name.unlink(missing_ok=True)
        else:
            if _is_named(descriptor, name):  # else it was renamed, and the name may be another's by now
                name.unlink()
            os.close(descriptor)
            _remove_left_after(path, number)


def _remove_left_after(path: Path, number: int) -> None:
    """Remove what processes have left that wrote to the path beside a killed one or this one."""
    for after in itertools.count(number + 1):
        name = _name(path, after)
        if not name.exists():
            return
        remove_left(name)


def _name(path: Path, number: int) -> Path:
    return path.with_name(f".{path.stem[:LONGEST_STEM]}{OURS}{number}{path.suffix}")


def _hold(descriptor: int, name: Path) -> bool:
    """Lock a file that was just made; False where another took it for one that was left, and has removed it."""
    if fcntl is not None:
        with suppress(OSError):  # of a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    if _is_named(descriptor, name):
        return True
    os.close(descriptor)
    return False


def _is_named(descriptor: int, name: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), name.lstat())
    except FileNotFoundError:
        return False


def remove_left(name: Path) -> None:
    """Remove a temporary file where nobody is writing to it any more.

    Where the file system has no locks, one that is there counts as written to.
    """
    if fcntl is None:
        return
    with suppress(OSError):  # there is none, or it is another's
        descriptor = os.open(name, os.O_RDWR | _flags("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_named(descriptor, name):
                name.unlink()
        finally:
            os.close(descriptor)


@contextmanager
def alone_in(folder: Path) -> Iterator[bool]:
    """Keep other processes and threads out of the few renamings that change a folder.

    Yields
    ------
    bool
        Whether they are kept out: some network file systems cannot lock a folder, nor can Windows.

    Raises
    ------
    BlockingIOError
        If another has been at it for a minute.
    """
    if fcntl is None:
        yield False
        return
    descriptor = os.open(folder, os.O_RDONLY | _flags("O_CLOEXEC"))
    try:
        yield _waited_for(descriptor, folder)
    finally:
        os.close(descriptor)


def _waited_for(descriptor: int, folder: Path) -> bool:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError as error:
            if time.monotonic() > until:
                raise BlockingIOError(
                    f"cannot write {folder}: another process has locked it for {PATIENCE:.0f} s; end that one"
                ) from error
            time.sleep(0.001)
        except OSError:
            return False


def _flags(*names: str) -> int:
    """Return those of `open`'s flags that this system has."""
    return sum(getattr(os, name, 0) for name in names)


def flush(path: Path) -> None:
    """Bring a file's content to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Bring a renaming to the disk, where the system can: Windows cannot open folders."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def in_folder(path: str | Path) -> Iterator[Path]:
    """Give a folder to write to, made where there was none, also where a link leads; on errors a new one is removed."""
    folder = Path(path)
    check_writable(folder / "file")
    target = Path(os.path.realpath(folder))  # a link that leads nowhere yet
    is_new = not target.exists()
    target.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    except BaseException:
        if is_new:
            with suppress(OSError):  # another process is writing there too
                target.rmdir()
        raise


def check_writable(path: str | Path) -> None:
    """Raise OSError in one line where `path` could not be written; nothing is left behind."""
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder")
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(f"cannot write {path}: {folder} is a file; choose another place")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"cannot write {path}: {folder} is read-only; choose another place")
