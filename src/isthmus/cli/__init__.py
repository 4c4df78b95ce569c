"""The command line: parse, call, print; one file a group of verbs."""

# ruff: noqa: I001  (in the order in which --help lists the verbs)
from isthmus.cli.app import app, main
from isthmus.cli import data, train, compare, encode, fill, generate, reports

__all__ = ["app", "compare", "data", "encode", "fill", "generate", "main", "reports", "train"]
