"""What of a parameter no JSON can hold, modules and functions, in a few words and a digest: to tell two apart.

The digest is the same in another process: it goes by names, numbers and code, never by addresses or hashes. Weights
are told apart by their shapes alone, as a run that goes on has its own.
"""

import hashlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
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


Seen = dict[int, object]
"""What was looked at, by its address, and kept alive, as another's address may else be the same."""

PLAIN = (bool, int, float, complex, str, bytes, type(None))


def description_of(value: object) -> dict[str, str]:
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
    parts = "\n".join(_parts(value, {}, codes))
    said = " ".join(ADDRESS.sub("", repr(value)).split())
    return {
        "said": said if len(said) <= LONGEST else said[:LONGEST] + "…",
        "sha256": hashlib.sha256(parts.encode()).hexdigest(),
        "code": hashlib.sha256("\n".join(codes).encode()).hexdigest(),
        "python": PYTHON,
    }


def are_alike(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Tell whether two descriptions are of the same; code that another Python has compiled is not compared."""
    names = ("sha256", "code") if one.get("python") == other.get("python") else ("sha256",)
    return all(one.get(name) == other.get(name) for name in names)


def _parts(value: object, seen: Seen, codes: list[str]) -> Iterator[str]:
    """Yield lines that say what a value is, and whatever is in it; put what its code is into `codes`."""
    if isinstance(value, PLAIN):
        yield repr(value)
        return
    if id(value) in seen:
        yield "again"
        return
    seen[id(value)] = value
    if isinstance(value, Tensor) or hasattr(value, "__array_interface__"):
        yield from _array(value)
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _parts(name, seen, codes)
            yield from _parts(each, seen, codes)
    elif isinstance(value, list | tuple):
        yield f"{len(value)} values"
        for each in value:
            yield from _parts(each, seen, codes)
    elif isinstance(value, set | frozenset):
        yield from _set(value, codes)
    elif isinstance(value, FunctionType | MethodType | partial | type):
        yield from _callable(value, seen, codes)
    else:
        yield from _object(value, seen, codes)


def _set(values: Iterable[object], codes: list[str]) -> Iterator[str]:
    """Yield what is in a set, in an order that does not go by addresses or hashes."""
    members = []
    for value in values:
        own: list[str] = []
        members.append((list(_parts(value, {}, own)), own))
    for lines, own in sorted(members):
        yield "in a set:"
        yield from lines
        codes.extend(own)


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


def _callable(value: FunctionType | MethodType | partial[object] | type, seen: Seen, codes: list[str]) -> Iterator[str]:
    if isinstance(value, type):
        yield _name(value)
        yield from _class(value, seen, codes)
    elif isinstance(value, MethodType):
        yield from _parts(value.__func__, seen, codes)
        yield from _parts(value.__self__, seen, codes)
    elif isinstance(value, partial):
        yield "partial"
        yield from _parts([value.func, value.args, value.keywords], seen, codes)
    else:
        yield _name(value)
        if value.__module__.partition(".")[0] not in LIBRARIES:
            codes.extend(_code(value.__code__))
            yield from _globals(value, seen, codes)
        yield from _parts([value.__defaults__, value.__kwdefaults__], seen, codes)
        for cell in value.__closure__ or ():
            with suppress(ValueError):  # which is yet to be filled
                yield from _parts(cell.cell_contents, seen, codes)


def _object(value: object, seen: Seen, codes: list[str]) -> Iterator[str]:
    """Yield class and attributes of a module, or of another object; what a library's object shows of itself."""
    yield _name(type(value))
    yield from _class(type(value), seen, codes)
    slots = [name for each in type(value).__mro__ for name in _slots(each) if hasattr(value, name)]
    attributes = {name: getattr(value, name) for name in slots} | dict(getattr(value, "__dict__", {}))
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


def _name(value: object) -> str:
    return f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', '')}"


def _class(kind: type, seen: Seen, codes: list[str]) -> Iterator[str]:
    """Yield what a class, and those that it comes from up to the libraries', hold: values and functions."""
    for each in kind.__mro__:
        if each.__module__.partition(".")[0] in LIBRARIES:
            continue
        for name, member in sorted(vars(each).items()):
            function = getattr(member, "__func__", getattr(member, "fget", member))
            if isinstance(function, FunctionType):
                codes.append(name)
                yield from _parts(function, seen, codes)
            elif isinstance(member, (*PLAIN, list, tuple, dict, set, frozenset, Tensor)) and not name.startswith("__"):
                yield f"{name}:"
                yield from _parts(member, seen, codes)


def _slots(kind: type) -> tuple[str, ...]:
    names = vars(kind).get("__slots__", ())
    return (names,) if isinstance(names, str) else tuple(names)


def _globals(function: FunctionType, seen: Seen, codes: list[str]) -> Iterator[str]:
    """Yield the numbers, texts and functions of its module that a function goes by."""
    for name in sorted({*function.__code__.co_names} & {*function.__globals__}):
        value = function.__globals__[name]
        if isinstance(value, (*PLAIN, tuple, FunctionType)):
            yield f"{name}:"
            yield from _parts(value, seen, codes)


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
