"""What an encoder is given of the cells of a table."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from isthmus.core.likelihood import one_hot

WIDEST = 50
"""Numbers that a category is embedded in, at the most."""


class Cells(nn.Module):
    """Cells → numbers: the first columns as they are, then categories, each one-hot or by an embedding that is learnt.

    A category that is not known, −1, is zeros.

    Parameters
    ----------
    n_numbers : int
        How many columns come first that are numbers.
    sizes : sequence of int
        How many categories each of the other columns has.
    categories : {"onehot", "embedding"}
        How categories become numbers. An embedding of k categories has (k + 1) // 2 numbers, at most 50.

    Examples
    --------
    >>> Cells(1, (2, 3), "onehot")(torch.tensor([[0.5, 1, 0], [0.1, -1, 2]]))
    tensor([[0.5000, 0.0000, 1.0000, 1.0000, 0.0000, 0.0000],
            [0.1000, 0.0000, 0.0000, 0.0000, 0.0000, 1.0000]])
    """

    def __init__(self, n_numbers: int, sizes: Sequence[int], categories: Literal["onehot", "embedding"]) -> None:
        super().__init__()
        self.n_numbers = n_numbers
        self.sizes = tuple(sizes)
        # The first vector of each stands for what is not known; it is zero, and stays so.
        self.embeddings = nn.ModuleList(
            nn.Embedding(size + 1, min(WIDEST, (size + 1) // 2), padding_idx=0)
            for size in self.sizes
            if categories == "embedding"
        )

    @property
    def width(self) -> int:
        """How many numbers the encoder is given."""
        if self.embeddings:
            return self.n_numbers + sum(embedding.embedding_dim for embedding in self.embeddings)  # type: ignore[misc]
        return self.n_numbers + sum(self.sizes)

    def forward(self, x: Tensor) -> Tensor:
        """Map (rows, columns) → (rows, width)."""
        numbers, categories = x[:, : self.n_numbers], x[:, self.n_numbers :]
        if not self.embeddings:
            return torch.cat([numbers, one_hot(categories, self.sizes)], dim=1)
        index = (categories.long() + 1).unbind(1)
        embedded = [embedding(i) for embedding, i in zip(self.embeddings, index, strict=True)]
        return torch.cat([numbers, *embedded], dim=1)
