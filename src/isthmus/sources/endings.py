"""What the names of files that are read and written end in."""

from pathlib import Path

from isthmus.errors import InputError

DELIMITED = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
"""Tables in text."""

READABLE = (".npy", ".npz", *DELIMITED, ".parquet")
WRITABLE = (".npy", ".csv", ".parquet")


def ending(path: Path) -> str:
    """Return what a file's name ends in, such as .csv or .csv.gz, in lower case."""
    return "".join(path.suffixes[-2:] if path.suffix.lower() == ".gz" else path.suffixes[-1:]).lower()


def is_sharded(path: Path) -> bool:
    """Tell whether it is a folder of Parquet files."""
    return path.is_dir() and bool(shards_of(path))


def shards_of(path: Path) -> list[Path]:
    """Return the Parquet files of a folder, in order of their names, or the one file."""
    if not path.is_dir():
        return [path]
    inside = (each for each in path.rglob("*.parquet") if each.is_file())
    return sorted(each for each in inside if not any(p.startswith(("_", ".")) for p in each.relative_to(path).parts))


def check_apart(output: Path, source: Path) -> None:
    """Raise ValueError where a result would be written over what it is of, or among its files."""
    to, of = output.resolve(), source.resolve()
    if not of.exists():
        return
    if to == of and of.is_file():
        raise InputError(f"{output} holds the rows themselves: give another name for the result")
    if of.is_dir() and (to == of or of in to.parents):
        raise InputError(f"{output} is in {source}, among the rows themselves: give another place for the results")


def check_folder_apart(folder: Path, source: Path) -> None:
    """Raise ValueError where results in a folder would be among the rows that they are of, or around them."""
    check_apart(folder, source)
    if folder.resolve() in source.resolve().parents:
        raise InputError(f"{folder} holds the rows themselves, {source}: give another folder for the results")
