"""Rows of a store with something done to each piece."""

from collections.abc import Callable, Iterator

from isthmus.sources.pieces import Piece, Store, said_where


class Prepared(Store):
    """Rows of another store, as a function makes them of its pieces.

    Parameters
    ----------
    store : Store
        Where they are.
    function : callable
        Gives as many rows as it is given.
    """

    def __init__(self, store: Store, function: Callable[[Piece], Piece]) -> None:
        self.store, self.function = store, function
        self.name, self.signature, self.is_fixed = store.name, store.signature, store.is_fixed
        self.sizes, self.at_once, self.parts = store.sizes, store.at_once, store.parts
        self.is_signed = store.is_signed

    def read(self, block: int, start: int = 0) -> Iterator[Piece]:
        """Yield a block's rows from its piece `start` on."""
        return self._made(self.store.read(block, start))

    def pieces(self) -> Iterator[Piece]:
        """Yield all rows in order."""
        return self._made(self.store.pieces())

    def _made(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        for piece in pieces:
            with said_where(piece):
                made = self.function(piece)
            yield made
