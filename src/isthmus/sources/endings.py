"""What the names of files that are read and written end in."""

from pathlib import Path

DELIMITED = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
"""Tables in text."""

READABLE = (".npy", ".npz", *DELIMITED, ".parquet")
WRITABLE = (".npy", ".csv", ".parquet")


def ending(path: Path) -> str:
    """Return what a file's name ends in, such as .csv or .csv.gz, in lower case."""
    return "".join(path.suffixes[-2:] if path.suffix.lower() == ".gz" else path.suffixes[-1:]).lower()
