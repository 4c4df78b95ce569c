"""The rooms of the house import downwards only."""

import ast
from pathlib import Path

import isthmus

SOURCE = Path(isthmus.__file__).parent

ROOMS = {  # room: the rooms that it may import from
    "errors": set(),
    "starting": set(),
    "threads": set(),
    "randomness": set(),
    "saving": set(),
    "core": set(),
    "networks": {"core"},
    "parts": {"core"},
    "formats": {"core", "saving"},
    "sources": {"formats", "saving", "core"},
    "data": {"sources"},
    "training": {"core", "saving", "randomness", "threads"},
    "models": {"training", "saving", "sources", "formats", "networks", "core", "threads", "randomness"},
    "search": {"training", "models"},
    "evaluation": {"models", "core"},
    "comparison": {"evaluation", "models", "training", "formats", "sources", "networks", "core", "threads"},
    "reproduce": {"comparison", "evaluation", "models", "formats", "sources", "networks", "core"},
    "report": {"reproduce", "comparison", "evaluation", "models", "formats", "sources", "core", "saving"},
    "runs": {"training", "saving", "formats", "sources"},
    "cli": {
        "runs",
        "training",
        "report",
        "reproduce",
        "comparison",
        "evaluation",
        "models",
        "formats",
        "sources",
        "networks",
        "saving",
        "threads",
        "starting",
        "isthmus",
    },
    "__main__": {"cli"},
}


def imported_rooms(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "isthmus":
            inside = node.module.split(".")[1:]
            names = inside[:1] or [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [
                ".".join(alias.name.split(".")[1:2]) or "isthmus"
                for alias in node.names
                if alias.name.startswith("isthmus")
            ]
        yield from names


def test_every_arrow_points_down():
    for path in SOURCE.rglob("*.py"):
        room = path.relative_to(SOURCE).with_suffix("").parts[0]
        if room == "__init__":
            continue
        wrong = set(imported_rooms(path)) - ROOMS[room] - {room, "errors"}  # which all may raise
        assert not wrong, f"{path} imports from {wrong}"


def imported_files():
    """Return which files each file imports, by dotted names below isthmus; also where it is for types alone."""
    names = {".".join(path.relative_to(SOURCE).with_suffix("").parts): path for path in SOURCE.rglob("*.py")}
    names = {name.removesuffix(".__init__"): path for name, path in names.items() if name != "__init__"}
    found = {}
    for name, path in names.items():
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        modules = [node for node in nodes if isinstance(node, ast.ImportFrom) and (node.module or "")[:7] == "isthmus"]
        there = {(f"{node.module}.{alias.name}"[8:], node.module[8:]) for node in modules for alias in node.names}
        found[name] = {inner if inner in names else outer for inner, outer in there} & set(names) - {name}
    return found


def test_no_circle_of_files():
    left = imported_files()
    while left:
        free = [name for name, those in left.items() if not those & set(left)]
        assert free, f"each of these can be reached from another: {sorted(left)}"
        for name in free:
            del left[name]


def test_core_and_networks_know_torch_alone():
    for room in ("core", "networks"):
        for path in (SOURCE / room).glob("*.py"):
            text = path.read_text(encoding="utf-8")
            for library in ("sklearn", "numpy", "pandas", "lightning", "pathlib"):
                assert f"import {library}" not in text, path
                assert f"from {library}" not in text, path


def test_public_names():
    for name in isthmus.__all__:
        assert getattr(isthmus, name) is not None
