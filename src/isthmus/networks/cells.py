"""What an encoder is given of the cells of a table."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from isthmus.core.likelihoods.categorical import one_hot

WIDEST = 50
"""Numbers that a category is embedded in, at the most."""

MOST_ONE_HOT = 128
"""Categories of a column up to which "auto" has a one among zeros for each."""


REACH = 3.0
"""How far from the mean, in standard deviations, the pieces of a number's range reach."""


class Cells(nn.Module):
    """Cells → numbers: those of a table as they are and in pieces, truth values as they are, categories as vectors.

    A number comes with a piecewise linear code: its range from −3 to 3 is cut into pieces, and each says how much of it
    lies below the number, from 0 to 1 (Gorishniy et al. 2022, eq. 1, there with quantiles for ends). What hinges on a
    threshold is then within reach of one layer. A category that is not known, −1, is zeros.

    Parameters
    ----------
    n_numbers, n_booleans : int
        How many columns come first that are numbers, and then truth values.
    sizes : sequence of int
        How many categories each of the other columns has.
    bins : int, default 0
        Pieces for each number.
    categories : {"auto", "onehot", "embedding"}, default "onehot"
        What a category becomes: a one among zeros, or a vector that is learnt, or one of these by how many the column
        has. k categories get vectors of (k + 1) // 2 numbers, at most 50, which begin with a mean square length of 1.

    Examples
    --------
    >>> Cells(0, 1, (2, 3))(torch.tensor([[0.5, 1, 0], [0.1, -1, 2]]))
    tensor([[0.5000, 0.0000, 1.0000, 1.0000, 0.0000, 0.0000],
            [0.1000, 0.0000, 0.0000, 0.0000, 0.0000, 1.0000]])
    >>> Cells(1, 0, (), bins=3)(torch.tensor([[0.5], [-9.0]]))
    tensor([[ 0.5000,  1.0000,  0.7500,  0.0000],
            [-9.0000,  0.0000,  0.0000,  0.0000]])
    """

    def __init__(
        self,
        n_numbers: int,
        n_booleans: int,
        sizes: Sequence[int],
        bins: int = 0,
        categories: Literal["auto", "onehot", "embedding"] = "onehot",
    ) -> None:
        super().__init__()
        self.n_numbers = n_numbers
        self.n_plain = n_numbers + n_booleans
        self.sizes = tuple(sizes)
        self.bins = bins if n_numbers else 0
        least = {"auto": MOST_ONE_HOT + 1, "onehot": None, "embedding": 0}[categories]
        self.are_embedded = [least is not None and size >= least for size in self.sizes]
        pairs = list(zip(self.sizes, self.are_embedded, strict=True))
        self.one_hot_sizes = [size for size, is_embedded in pairs if not is_embedded]
        self.embeddings = nn.ModuleList(_embedding(size) for size, is_embedded in pairs if is_embedded)

    @property
    def width(self) -> int:
        """How many numbers the encoder is given."""
        vectors: list[int] = [embedding.embedding_dim for embedding in self.embeddings]  # type: ignore[misc]
        return self.n_plain + self.n_numbers * self.bins + sum(self.one_hot_sizes) + sum(vectors)

    def forward(self, x: Tensor) -> Tensor:
        """Map (rows, columns) → (rows, width)."""
        plain, categories = x[:, : self.n_plain], x[:, self.n_plain :]
        given = [plain, *([self._pieces(x[:, : self.n_numbers])] if self.bins else [])]
        if not self.embeddings:
            return torch.cat([*given, one_hot(categories, self.sizes)], dim=1)
        is_embedded = torch.tensor(self.are_embedded, device=x.device)
        index = (categories[:, is_embedded].long() + 1).unbind(1)
        embedded = [embedding(i) for embedding, i in zip(self.embeddings, index, strict=True)]
        return torch.cat([*given, one_hot(categories[:, ~is_embedded], self.one_hot_sizes), *embedded], dim=1)

    def _pieces(self, numbers: Tensor) -> Tensor:
        """Return the share of each piece that lies below each number; shape (rows, numbers · bins)."""
        ends = torch.arange(self.bins, device=numbers.device, dtype=numbers.dtype)
        place = (numbers + REACH) * (self.bins / (2 * REACH))
        return (place[:, :, None] - ends).clamp(0, 1).flatten(1)


def _embedding(size: int) -> nn.Embedding:
    """Return a vector for each category, and before them one of zeros, that stays so, for what is not known."""
    width = min(WIDEST, (size + 1) // 2)
    embedding = nn.Embedding(size + 1, width, padding_idx=0)
    with torch.no_grad():
        embedding.weight.div_(width**0.5)  # or one column would outweigh all others in the PCA that a network starts at
    return embedding
