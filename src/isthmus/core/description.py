"""What of a parameter no JSON can hold, modules and functions, in a few words and a digest: to tell two apart.

The digest is the same in another process: it goes by names, numbers and code, never by addresses or hashes. Weights
are told apart by their shapes alone, as a run that goes on has its own.
"""

import hashlib
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn

LONGEST = 200
"""Letters of what is shown of a parameter."""

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")

TORCHS_OWN = frozenset(vars(nn.Module()))
"""Attributes of every module."""

HOOKS = ("_forward_hooks", "_forward_pre_hooks")

PYTHON = ".".join(map(str, sys.version_info[:2]))
"""On which the bytes of compiled code depend."""

LIBRARIES = ("torch", "isthmus", "builtins", "numpy", "collections", "typing", "abc", "functools")
"""Packages whose code is taken to be the same wherever they are imported: a checkpoint is of a version of these."""


def description_of(value: Any) -> dict[str, str]:
    """Describe a parameter.

    Returns
    -------
    dict of str to str
        ``said``, for people; ``sha256``, of its class, its settings and whatever it is made of; ``code``, of the
        functions that are no library's; and the ``python`` by which that was compiled.

    Examples
    --------
    >>> description_of(nn.LeakyReLU(0.1)) == description_of(nn.LeakyReLU(0.1))
    True
    >>> description_of(nn.LeakyReLU(0.1))["sha256"] == description_of(nn.LeakyReLU(0.2))["sha256"]
    False
    """
    codes: list[str] = []
    parts = "\n".join(_parts(value, set(), codes))
    said = " ".join(ADDRESS.sub("", repr(value)).split())
    return {
        "said": said if len(said) <= LONGEST else said[:LONGEST] + "…",
        "sha256": hashlib.sha256(parts.encode()).hexdigest(),
        "code": hashlib.sha256("\n".join(codes).encode()).hexdigest(),
        "python": PYTHON,
    }


def are_alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two descriptions are of the same; code that another Python has compiled is not compared."""
    names = ("sha256", "code") if one.get("python") == other.get("python") else ("sha256",)
    return all(one.get(name) == other.get(name) for name in names)


def _parts(value: Any, seen: set[int], codes: list[str]) -> Iterator[str]:
    """Yield lines that say what a value is, and whatever is in it; put what its code is into `codes`."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        yield repr(value)
        return
    if id(value) in seen:
        yield "again"
        return
    seen.add(id(value))
    if isinstance(value, Tensor) or hasattr(value, "__array_interface__"):
        yield from _array(value)
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield f"{name!r}:" if isinstance(name, str | int) else "a key:"
            yield from _parts(each, seen, codes)
    elif isinstance(value, list | tuple):
        yield f"{len(value)} values"
        for each in value:
            yield from _parts(each, seen, codes)
    elif isinstance(value, set | frozenset):
        yield repr(sorted(map(repr, value)))
    elif isinstance(value, FunctionType | MethodType | partial | type):
        yield from _callable(value, seen, codes)
    else:
        yield from _object(value, seen, codes)


def _array(value: Any) -> Iterator[str]:
    """Yield shape and dtype; of what is no weight to be learnt also the numbers."""
    yield f"{type(value).__name__} {tuple(value.shape)} {value.dtype}"
    if isinstance(value, nn.Parameter):
        return
    if not isinstance(value, Tensor):
        content = repr(value.tolist()).encode() if value.dtype.hasobject else value.tobytes()
    else:
        value = value.detach().cpu().contiguous()
        content = value.view(torch.uint8).numpy().tobytes() if value.numel() and value.ndim else repr(value).encode()
    yield hashlib.sha256(content).hexdigest()


def _callable(value: Any, seen: set[int], codes: list[str]) -> Iterator[str]:
    if isinstance(value, type):
        yield _name(value)
        _code_of_class(value, codes)
    elif isinstance(value, MethodType):
        yield from _parts(value.__func__, seen, codes)
        yield from _parts(value.__self__, seen, codes)
    elif isinstance(value, partial):
        yield "partial"
        yield from _parts([value.func, value.args, value.keywords], seen, codes)
    else:
        yield _name(value)
        codes.extend(_code(value.__code__))
        yield from _parts([value.__defaults__, value.__kwdefaults__], seen, codes)
        for cell in value.__closure__ or ():
            with suppress(ValueError):  # which is yet to be filled
                yield from _parts(cell.cell_contents, seen, codes)


def _object(value: Any, seen: set[int], codes: list[str]) -> Iterator[str]:
    """Yield class and attributes of a module, or of another object; what a library's object shows of itself."""
    yield _name(type(value))
    _code_of_class(type(value), codes)
    attributes = dict(getattr(value, "__dict__", {}))
    if isinstance(value, nn.Module):
        yield value.extra_repr()
        attributes = {name: each for name, each in attributes.items() if name not in TORCHS_OWN}
        attributes |= {name: list(vars(value)[name].values()) for name in HOOKS if vars(value)[name]}
        attributes |= value._parameters | value._modules
        kept = {name for name in value._buffers if name not in value._non_persistent_buffers_set}
        for name, buffer in value._buffers.items():  # those that are in the checkpoint are as they were there
            yield name
            if buffer is not None:
                yield from _array(nn.Parameter(buffer, requires_grad=False) if name in kept else buffer)
    elif "__repr__" in {name for each in type(value).__mro__[:-1] for name in vars(each)}:
        yield ADDRESS.sub("", repr(value))
    for name, each in sorted(attributes.items()):
        yield f"{name}:"
        yield from _parts(each, seen, codes)


def _name(value: Any) -> str:
    return f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', '')}"


def _code_of_class(kind: type[Any], codes: list[str]) -> None:
    """Add the functions of a class, and of those that it comes from, up to the libraries'."""
    for each in kind.__mro__:
        if each.__module__.partition(".")[0] in LIBRARIES:
            continue
        for name, member in sorted(vars(each).items()):
            function = getattr(member, "__func__", getattr(member, "fget", member))
            if isinstance(function, FunctionType):
                codes.append(name)
                codes.extend(_code(function.__code__))


def _code(code: CodeType) -> Iterator[str]:
    """Yield what a compiled function does: not where it stands, nor on which lines."""
    yield hashlib.sha256(code.co_code).hexdigest()
    yield repr((code.co_names, code.co_varnames, code.co_freevars, code.co_argcount, code.co_kwonlyargcount))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code(constant)
        elif isinstance(constant, frozenset):
            yield repr(sorted(map(repr, constant)))
        else:
            yield repr(constant)
