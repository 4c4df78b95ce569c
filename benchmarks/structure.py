"""How large and how entangled the source is: lines, functions, overrides, circles, and what a fit passes through."""

import ast
import collections
import contextlib
import io
import re
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from typer.testing import CliRunner

import isthmus
from isthmus import cli

SOURCE = Path(isthmus.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
ANY = re.compile(r"\bAny\b")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def body_lines(node):
    """Return the lines of a function without its docstring."""
    first = node.body[0]
    has_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = first.end_lineno - first.lineno + 1 if has_docstring else 0
    return node.end_lineno - node.lineno + 1 - docstring


def functions():
    """Yield (lines without docstring, file, name) of every function."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, FUNCTIONS):
                yield body_lines(node), path.relative_to(SOURCE), node.name


def overridden():
    """Return the private methods of isthmus' classes that a subclass overrides."""
    methods, bases = collections.defaultdict(set), collections.defaultdict(list)
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                # Classes of one name in several files are taken together.
                methods[node.name] |= {each.name for each in node.body if isinstance(each, FUNCTIONS)}
                bases[node.name] += [ast.unparse(base).split("[")[0].rpartition(".")[2] for base in node.bases]
    found = set()
    for name in methods:
        for above in ancestors(name, bases):
            both = methods[name] & methods.get(above, set())
            found |= {each for each in both if each.startswith("_") and not each.startswith("__")}
    return sorted(found)


def ancestors(name, bases):
    """Return all classes above one, by name."""
    above = bases.get(name, [])
    return {*above, *(each for base in above for each in ancestors(base, bases))}


def imports():
    """Return which files each file imports, by dotted names below isthmus."""
    names = {module_of(path): path for path in FILES}
    found = {}
    for name, path in names.items():
        there = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("isthmus"):
                inside = node.module.removeprefix("isthmus").removeprefix(".")
                parts = [f"{inside}.{alias.name}".removeprefix(".") for alias in node.names]
                there |= {part if part in names else inside for part in parts}
        found[name] = {each for each in there if each in names and each != name}
    return found


def module_of(path):
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def circles(arrows):
    """Return the groups of names of which each can be reached from each other."""
    reach = {name: set(those) for name, those in arrows.items()}
    for middle in reach:
        for name, those in reach.items():
            if middle in those:
                reach[name] = those | reach[middle]
    return sorted({tuple(sorted({name, *(o for o in reach[name] if name in reach.get(o, ()))}))
                   for name in reach if name in reach[name]})  # fmt: skip


def by_room(arrows):
    """Return the arrows between rooms."""
    found = collections.defaultdict(set)
    for name, those in arrows.items():
        found[name.split(".")[0]] |= {each.split(".")[0] for each in those} - {name.split(".")[0]}
    return found


def passed_through(work):
    """Return the functions of isthmus that are called, as (file, line)."""
    work()  # what is imported at first use is no part of the way
    seen = set()

    def note(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(str(SOURCE)):
            code = frame.f_code
            if not code.co_name.startswith("<"):
                seen.add((code.co_filename, code.co_qualname))

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return seen


def told(seen):
    return f"{len(seen)} functions in {len({file for file, _ in seen})} files"


def fit():
    isthmus.Autoencoder(2, max_epochs=1, random_state=0).fit(np.random.default_rng(0).normal(size=(100, 8)))


def train():
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        frame = pd.DataFrame({"a": rng.normal(size=200), "b": rng.choice(["x", "y"], 200)})
        frame.to_csv(f"{folder}/table.csv", index=False)
        arguments = f"train {folder}/table.csv --model tabular --epochs 1 --out {folder}/run".split()
        result = CliRunner().invoke(cli.app, arguments, env={"COLUMNS": "200"})
        assert result.exit_code == 0, result.output


def main():
    warnings.simplefilter("ignore")
    text = {path: path.read_text(encoding="utf-8") for path in FILES}
    lengths = {path: len(each.splitlines()) for path, each in text.items()}
    longest = max(lengths, key=lengths.get)
    length, file, name = max(functions())
    print(f"lines of src: {sum(lengths.values()):,} in {len(FILES)} files")
    print(f"longest file: {lengths[longest]} ({longest.relative_to(SOURCE)});", end=" ")
    print(f"over 400: {sum(each > 400 for each in lengths.values())}")
    print(f"longest function: {length} ({name} in {file}); over 40: {sum(n > 40 for n, _, _ in functions())}")
    print(f"private methods that are overridden: {len(overridden())} ({', '.join(overridden())})")
    print(f"Any: {sum(len(ANY.findall(each)) for each in text.values())}")
    for what, work in (("Autoencoder.fit", fit), ("train table.csv --model tabular", train)):
        with contextlib.redirect_stdout(io.StringIO()):
            seen = passed_through(work)
        print(f"{what}: {told(seen)}")
    arrows = imports()
    print(f"circles of files: {circles(arrows) or 'none'}")
    print(f"circles of rooms: {circles(by_room(arrows)) or 'none'}")


if __name__ == "__main__":
    main()
