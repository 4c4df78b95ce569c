"""Files that are either whole or not there: written under a temporary name, flushed to disk, renamed."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; on success it takes the place of `path`, else it is removed.

    Folders on the way are made.

    Raises
    ------
    OSError
        If the folder cannot be made or written, in one line that names it.
    """
    path = Path(path)
    check_writable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())  # mkstemp's files are the owner's alone
        temporary.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise OSError(f"cannot write {path}: No space left on device") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """Bring a renaming to the disk, where the system can: Windows cannot open folders."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Give a temporary folder beside `path` to fill; on success it takes the place of `path`, else it is removed.

    Files of a folder that was there before are kept where the new one has none of that name. At no moment is neither
    folder whole on disk: the old one stands aside, under a hidden name, until the new one is in its place.
    """
    path = Path(path).absolute()
    check_writable(path / "file")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        if not path.exists():
            temporary.rename(path)
            return
        aside = _put_in_place(temporary, path)
        for old in aside.iterdir():
            if not (path / old.name).exists():
                old.rename(path / old.name)
        shutil.rmtree(aside)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def exchange_folders(new: Path, old: Path) -> None:
    """Put a folder in the place of another beside it, of which nothing is left."""
    if not old.exists():
        new.rename(old)
        return
    shutil.rmtree(_put_in_place(new, old), ignore_errors=True)


def _put_in_place(new: Path, old: Path) -> Path:
    """Rename a folder to another's name; return where that stands aside then."""
    aside = Path(tempfile.mkdtemp(prefix=f".{old.name}-old-", dir=old.parent))
    old.rename(aside)
    try:
        new.rename(old)
    except OSError:
        aside.rename(old)
        raise
    return aside


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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
