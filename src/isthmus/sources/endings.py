"""What the names of files that are read and written end in."""

from pathlib import Path

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
