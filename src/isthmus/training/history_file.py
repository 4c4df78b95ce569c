"""The history of a run in a file beside its checkpoint, to which each epoch adds a line."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from isthmus.errors import InputError
from isthmus.saving.attributes import JsonObject
from isthmus.saving.untrusted import opened, opened_to_change, parse

HISTORY = "checkpoint.history.jsonl"
"""The epochs' records, one a line, which are appended to; a checkpoint says how many bytes of it are its own."""


class Records:
    """The history of a run in a file beside its checkpoint, of which just what is new is written.

    What a process that was killed has written beyond what its checkpoint knows of is written over.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.epochs, self.bytes, self.digest = path, 0, 0, hashlib.sha256()

    def keep(self, history: Sequence[JsonObject]) -> JsonObject:
        """Bring to the disk what is new of a history, and return what a checkpoint must know of it."""
        new = "".join(json.dumps(record) + "\n" for record in history[self.epochs :]).encode()
        if new or not self.path.exists():
            with opened_to_change(self.path) as file:
                if os.fstat(file.fileno()).st_size < self.bytes:
                    raise OSError("it was cut while the run was kept there")
                file.seek(self.bytes)
                file.write(new)
                file.truncate()
                file.flush()
                os.fsync(file.fileno())
            self.digest.update(new)
            self.epochs, self.bytes = len(history), self.bytes + len(new)
        return {"epochs": self.epochs, "bytes": self.bytes, "sha256": self.digest.hexdigest()}

    def read(self, known: JsonObject) -> list[JsonObject]:
        """Return the history that a checkpoint knows of.

        Raises
        ------
        ValueError
            If it is not there whole and unaltered.
        """
        epochs, length = known["epochs"], known["bytes"]
        if not type(epochs) is type(length) is int or not 0 <= epochs <= length:
            raise InputError("its history has no length")
        with opened(self.path) as file:
            if os.fstat(file.fileno()).st_size < length:
                raise InputError(f"{self.path} is truncated")
            content = file.read(length)
        digest = hashlib.sha256(content)
        if digest.hexdigest() != known["sha256"]:
            raise InputError(f"{self.path} is altered: its checksum differs")
        history = [parse(line) for line in content.splitlines()]
        if len(history) != epochs:
            raise InputError(f"{self.path} has {len(history)} epochs, and the checkpoint {epochs}")
        self.epochs, self.bytes, self.digest = epochs, length, digest
        return history
