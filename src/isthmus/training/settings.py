"""What a run was begun with: rows and parameters, which it can only go on with as they were."""

import json
from collections.abc import Mapping
from pathlib import Path

from isthmus.core.description import are_alike
from isthmus.errors import InputError, shown
from isthmus.saving.attributes import JsonObject
from isthmus.saving.untrusted import MOST_HEADER, check_counts

MOST_ABOUT = MOST_HEADER // 2
"""Bytes of what is said of a run, in the header of its checkpoint; as much is left for the names of its tensors."""


def check_readable(about: JsonObject) -> None:
    """Raise ValueError where what is said of a run would be refused when it is read."""
    content = json.dumps(about).encode()
    fault = f"they take {len(content)} bytes, and {MOST_ABOUT} are kept" if len(content) > MOST_ABOUT else None
    try:
        check_counts(content)
    except InputError as error:
        fault = str(error)
    if fault is not None:
        raise InputError(f"the run could not be kept, as its parameters are too long: {fault}; give shorter ones")


FREE = ("verbose", "device", "devices", "nodes", "random_state", "compile")
"""Parameters that a run may go on with others of: the seed that it began with is in the checkpoint."""


def check_same(path: Path, about: JsonObject, found: JsonObject) -> None:
    """Raise ValueError where a run would go on as another one than it was begun as."""
    if found.get("precision") != about["precision"]:
        raise InputError(
            f"{path} is of a run in {found.get('precision')}, and this one would be in {about['precision']}: say it by "
            "precision, or delete the file to start afresh"
        )
    if found.get("rows") != about["rows"]:
        raise InputError(f"{path} is of a run with other rows: give those again, or delete it to start afresh")
    if found.get("warm") != about["warm"]:
        raise InputError(f"{path} is of a run whose warm_start was not this one's: delete it to start afresh")
    before, now = found.get("params"), about["params"]
    seed = found.get("seed")
    if not isinstance(before, dict) or type(seed) is not int or not 0 <= seed < 2**31:
        raise InputError(f"{path} is altered: it does not say how its run was begun; delete it to start afresh")
    other = [name for name in {*before, *now} - {*FREE} if before.get(name) != now.get(name)]
    unsaved_before, unsaved = found.get("unsaved"), about.get("unsaved", {})
    if isinstance(unsaved_before, dict):  # older checkpoints do not say what of a parameter JSON cannot hold
        names = {*unsaved_before, *unsaved} - {*FREE}
        other += [name for name in names if _differ(unsaved_before.get(name), unsaved.get(name))]
    if other:
        name = min(other)
        was, is_now = (_said(name, *each) for each in ((before, unsaved_before), (now, unsaved)))
        same = " in other code or settings" if was == is_now else ""
        raise InputError(
            f"{path} is of a run with {name}={was}, and not {is_now}{same}: set it back, or delete the file to start "
            "afresh"
        )


def check_products(path: Path, found: JsonObject, products: str) -> None:
    """Raise ValueError where a run would go on with products in another dtype; older checkpoints do not say theirs."""
    params = found.get("params")
    asked = params.get("precision") if isinstance(params, dict) else None
    before = found.get("products", "torch.bfloat16" if asked == "bf16-mixed" else found.get("precision"))
    if before != products:
        raise InputError(
            f"{path} is of a run with products in {before}, and this one's would be in {products}: machines differ in "
            "what they are fast at; go on where it began, or delete the file to start afresh"
        )


def _differ(one: object, other: object) -> bool:
    return not isinstance(one, dict) or not isinstance(other, dict) or not are_alike(one, other)


def _said(name: str, params: Mapping[str, object], unsaved: object) -> str:
    described = unsaved.get(name) if isinstance(unsaved, dict) else None
    return shown(described.get("said") if isinstance(described, dict) else repr(params.get(name)), 300)
