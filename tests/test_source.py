"""A fit takes no more of its rows than a source gives: another kind of source can take the place of memory."""

import numpy as np
import pytest
import torch

from isthmus import Autoencoder, SequenceAutoencoder, SparseAutoencoder, VariationalAutoencoder
from isthmus.core.batch import Batch
from isthmus.core.source import WHOLE, Share, Source, cuts
from isthmus.models import learning
from isthmus.sources.memory import MemorySource

SETTING = {"max_epochs": 3, "random_state": 0}


class Stream:
    """Rows of which nothing is there but what is asked for: what is to be done to them is done to each batch anew."""

    def __init__(self, rows, functions=()):
        self._rows, self._functions = rows, functions

    def __len__(self):
        return len(self._rows)

    def _finished(self, batch):
        for function in self._functions:
            batch = function(batch)
        return batch

    def batches(self, size, generator=None, share=WHOLE, skip=0):
        yield from map(self._finished, self._rows.batches(size, generator, share, skip))

    def representative(self):
        return self._finished(self._rows.representative())

    def excerpt(self):
        return Stream(self._rows.excerpt(), self._functions)

    def sample(self, n, generator=None):
        return self._finished(self._rows.sample(n, generator))

    def fingerprint(self):
        return self._rows.fingerprint()

    def map(self, function):
        return Stream(self._rows, (*self._functions, function))

    def hold_out(self, share, generator):
        train, held_out, numbers = self._rows.hold_out(share, generator)
        return Stream(train, self._functions), held_out and Stream(held_out, self._functions), numbers


def test_a_stream_has_nothing_that_is_not_of_the_protocol():
    its = {name for name in vars(Stream) if not name.startswith("_")}
    assert its == {name for name in vars(Source) if not name.startswith("_")}


def weights(model):
    return torch.cat([tensor.flatten() for tensor in model.module_.state_dict().values()])


def ragged():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(length, 2)).cumsum(0) for length in rng.integers(3, 20, 40)]


@pytest.mark.parametrize(
    "model",
    [
        Autoencoder(2, **SETTING),
        Autoencoder(2, validation_fraction=None, batch_size=64, **SETTING),
        SparseAutoencoder(8, sparsity="topk", k=2, **SETTING),
        VariationalAutoencoder(2, corruption="swap", early_stopping=True, **SETTING),
        SequenceAutoencoder(4, **SETTING),
    ],
    ids=["plain", "no rows held out", "sparse", "variational", "sequences"],
)
def test_a_fit_from_a_stream_is_that_from_memory(model, table, monkeypatch):
    X = ragged() if isinstance(model, SequenceAutoencoder) else table
    from_memory, held_out = weights(model.fit(X)), model.held_out_
    parts = weights(model.partial_fit(X).partial_fit(X))
    monkeypatch.setattr(learning, "MemorySource", lambda rows: Stream(MemorySource(rows)))
    assert torch.equal(weights(model.fit(X)), from_memory)
    np.testing.assert_array_equal(model.held_out_, held_out)
    assert torch.equal(weights(model.partial_fit(X).partial_fit(X)), parts)


def test_gaps_are_filled_a_batch_at_a_time_too(table, monkeypatch, tmp_path):
    X = np.where(np.random.default_rng(0).random(table.shape) < 0.2, np.nan, table)
    X[:3] = np.nan
    model = Autoencoder(2, sigma="learned", **SETTING)
    from_memory = weights(model.fit(X, resume_from=tmp_path))
    monkeypatch.setattr(learning, "MemorySource", lambda rows: Stream(MemorySource(rows)))
    torch.testing.assert_close(weights(model.fit(X)), from_memory, rtol=1e-4, atol=1e-5)
    model.fit(X, resume_from=tmp_path)  # the run of these rows, which is at its end
    with pytest.raises(ValueError, match="other rows"):
        model.fit(X + 1, resume_from=tmp_path)


@pytest.mark.parametrize("index", [None, torch.tensor([7, 2, 9, 4, 0])])
def test_a_sample_is_spread_evenly_or_drawn(index):
    rows = MemorySource(Batch(torch.arange(10.0)[:, None]), index)
    own = list(range(10)) if index is None else index.tolist()
    assert rows.sample(100).x.flatten().tolist() == own
    assert rows.sample(2).x.flatten().tolist() == [own[0], own[len(own) // 2 + len(own) % 2]]
    drawn = rows.sample(3, torch.Generator().manual_seed(0)).x.flatten().tolist()
    assert len(set(drawn)) == 3
    assert set(drawn) < set(own)
    assert drawn != rows.sample(3, torch.Generator().manual_seed(1)).x.flatten().tolist()


def test_other_rows_have_another_fingerprint():
    x, context = torch.arange(6.0).view(3, 2), torch.ones(3, 1)
    prints = [
        MemorySource(batch).fingerprint()
        for batch in (Batch(x), Batch(x + 1), Batch(x.double()), Batch(x.view(2, 3)), Batch(x, context), Batch(x[:2]))
    ]
    assert len(set(prints)) == 6
    assert MemorySource(Batch(x.clone())).fingerprint() == prints[0]


@pytest.mark.parametrize(("n", "size"), [(1, 4), (4, 4), (5, 4), (6, 4), (8, 4), (9, 4), (5, 1)])
def test_cuts_hold_every_row_once(n, size):
    found = cuts(n, size)
    assert [row for start, end in found for row in range(start, end)] == list(range(n))
    assert all(end - start >= min(2, n, size) for start, end in found)


@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize("n", [7, 64, 97])
def test_the_shares_of_all_ranks_are_the_batch(n, world, seed):
    rows = MemorySource(Batch(torch.arange(n)[:, None]))

    def drawn(share=WHOLE):
        return list(rows.batches(16, None if seed is None else torch.Generator().manual_seed(seed), share))

    for batch, *parts in zip(drawn(), *(drawn(Share(rank, world)) for rank in range(world)), strict=True):
        assert torch.equal(torch.cat([part.x for part in parts]), batch.x)
        assert max(part.n_rows for part in parts) - min(part.n_rows for part in parts) <= 1
