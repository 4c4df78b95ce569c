"""Folders of images, read some at a time."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from isthmus.sources.images import as_text, looked_through, read_pixels
from isthmus.sources.pieces import Piece, Store, cut_evenly
from isthmus.sources.pixels import Seen


class Pictures(Store):
    """The images of a folder, in the order of their names; subfolders are the labels.

    They are what :func:`isthmus.datasets.load_folder` reads, and have to be of one size.

    Parameters
    ----------
    folder : path
    """

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._look = looked_through(folder)
        self._paths, self._labels = list(self._look.headers), self._look.labels
        self.names = [as_text(path, folder) for path in self._paths]
        n, row_shape = len(self._paths), self._look.row_shape
        self.sizes, self.at_once = cut_evenly(n, int(np.prod(row_shape)) * (4 if self._look.is_deep else 1))
        self.parts = [(self.name, len(self.sizes))]
        sizes = "".join(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}\n" for path in self._paths)
        self.signature = f"images {hashlib.sha256(sizes.encode('utf-8', 'surrogateescape')).hexdigest()}"

    def read(self, block: int, start: int = 0) -> Iterator[Piece]:
        """Yield a block's images."""
        if start:
            return
        own = slice(block * self.at_once, block * self.at_once + self.sizes[block])
        paths, labels = self._paths[own], None if self._labels is None else self._labels[own]
        X = np.empty((len(paths), *self._look.row_shape), np.float32 if self._look.is_deep else np.uint8)
        for i, path in enumerate(paths):
            X[i] = read_pixels(path, self._look, Seen())
        yield Piece(X, labels, f"{self.name}, from {paths[0].name}")
