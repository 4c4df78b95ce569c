"""Check the docstrings of all public names by numpydoc's own validation; ``make lint`` runs it.

Which checks, ``[tool.numpydoc_validation]`` in ``pyproject.toml`` says. Two rules are added:

- A method or function that takes something says what it raises (RS01).
- A class that says "All other parameters are those of :class:`isthmus.Autoencoder`" need not describe these again, but
  for one whose default is another here (PR01).
"""

import inspect
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpydoc.docscrape import get_doc_object
from numpydoc.validate import Validator, get_validation_checks, validate

import isthmus

ROOT = Path(__file__).parent.parent
OTHERS = re.compile(r"other\s+parameters\s+are\s+those\s+of\s+:class:`([\w.]+)`")

NEVER_RAISE = ("adopt", "another_step", "get_params", "recurrent")
"""Methods that take what isthmus made or checked."""


class Docstring(Validator):
    """A docstring, with the parameters that it leaves to that of another class."""

    def __init__(self, obj_name: str) -> None:
        super().__init__(get_doc_object(self._load_obj(obj_name)))

    @property
    def parameter_mismatches(self) -> list[tuple[str, str]]:
        """Leave out what another class describes."""
        missing = set(self.signature_parameters) - set(self.doc_all_parameters)
        here, there = missing - set(self.left_to_others()), self.left_to_others()
        faults = [fault for fault in super().parameter_mismatches if fault[0] != "PR01"]
        unlike = [name for name in missing & set(there) if there[name] != _default(self.code_obj, name)]
        return faults + [("PR01", f"Parameter {name!r} not documented") for name in sorted(here | set(unlike))]

    def left_to_others(self) -> dict[str, Any]:
        """Return the parameters that the class described by another has from there, and their defaults."""
        other = OTHERS.search(self.raw_doc) if inspect.isclass(self.obj) else None
        if other is None:
            return {}
        described = Docstring(other[1])
        own = {name: _default(described.code_obj, name) for name in described.doc_all_parameters}
        return described.left_to_others() | own

    @property
    def lacks_raises(self) -> bool:
        """Whether it is of what takes something, and says nothing of errors."""
        takes = self.is_function_or_method and self.name.split(".")[-1] not in NEVER_RAISE and self.signature_parameters
        return bool(takes) and "Raises" not in self.section_titles


def _default(kind: Any, name: str) -> Any:
    parameter = inspect.signature(kind).parameters.get(name)
    return inspect.Parameter.empty if parameter is None else parameter.default


def public_names() -> Iterator[str]:
    """Give each public name once: classes and functions, and what classes define, by the first class that has it."""
    seen: set[Any] = set()
    for module in (isthmus, isthmus.datasets, isthmus.networks, isthmus.data):
        for name in module.__all__:
            found, path = getattr(module, name), f"{module.__name__}.{name}"
            if inspect.ismodule(found):
                continue
            yield path
            for method in members(found) if inspect.isclass(found) else ():
                member = inspect.getattr_static(found, method)
                if id(member) not in seen:
                    seen.add(id(member))
                    yield f"{path}.{method}"


def members(kind: type) -> list[str]:
    """Return the public methods and properties of a class that isthmus writes, which not all are that it has."""
    found = {name: getattr(kind, name) for name in dir(kind) if not name.startswith("_") and hasattr(kind, name)}
    code = {name: each.fget if isinstance(each, property) else inspect.unwrap(each) for name, each in found.items()}
    return [
        name
        for name, function in code.items()
        if (inspect.isfunction(function) or inspect.ismethod(function))
        and function.__module__.startswith("isthmus")
        and not isinstance(inspect.getattr_static(kind, name), staticmethod)
    ]


def main() -> int:
    """Print a line a fault; return how many there are, 1 at the most."""
    chosen = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["numpydoc_validation"]["checks"]
    checks = get_validation_checks(set(chosen))
    lines = []
    for name in public_names():
        result = validate(name, Docstring)
        faults = [fault for fault in result["errors"] if fault[0] in checks]
        if Docstring(name).lacks_raises:
            faults.append(("RS01", "No Raises section found"))
        lines += [f"{Path(result['file'])}:{result['file_line']}: {name}: {code} {text}" for code, text in faults]
    print("\n".join(lines) or f"the docstrings of {len(list(public_names()))} public names are in order")
    return min(len(lines), 1)


if __name__ == "__main__":
    sys.exit(main())
