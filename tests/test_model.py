"""What the sum of the parts does with what is hidden, and with what encoders are given."""

import pytest
import torch
from torch import nn

from isthmus.core.batch import Batch
from isthmus.core.likelihoods.gaussian import GaussianLikelihood
from isthmus.core.likelihoods.product import Block, ProductLikelihood
from isthmus.core.model import Model
from isthmus.core.parts import Parts


class MeanOfTheKnown(nn.Module):
    """An encoder that leaves out what it is not shown."""

    takes_known = True

    def forward(self, x, context, known):
        known = torch.ones_like(x, dtype=torch.bool) if known is None else known
        return (x * known).sum(1, keepdim=True) / known.sum(1, keepdim=True)


class Repeat(nn.Module):
    def forward(self, z, context=None):
        return z.expand(-1, 4)


def hide_the_first(x, known, generator):
    shown = torch.ones_like(x, dtype=torch.bool)
    shown[:, 0] = False
    return shown if known is None else shown & known


def test_a_hidden_entry_is_not_shown_and_is_all_that_counts():
    x = torch.tensor([[9.0, 1.0, 2.0, 3.0]])
    for hidden_only, expected in [(True, 49.0), (False, 49.0 + 2.0)]:
        model = Model(MeanOfTheKnown(), Repeat(), Parts(hiding=hide_the_first, hidden_only=hidden_only))
        outcome = model(Batch(x), model.corrupt(Batch(x)))
        assert outcome.code.z.item() == 2  # the mean of 1, 2 and 3
        assert outcome.squared_error.item() == expected
        whole = model(Batch(x))
        assert whole.code.z.item() == 3.75
        assert whole.counted is None


def test_an_entry_that_is_hidden_and_not_known_does_not_count():
    batch = Batch(torch.tensor([[9.0, 1.0, 2.0, 3.0]]), observed=torch.tensor([[False, True, True, True]]))
    model = Model(MeanOfTheKnown(), Repeat(), Parts(hiding=hide_the_first, hidden_only=True))
    assert model(batch, model.corrupt(batch)).squared_error.item() == 0


def test_a_sum_over_what_is_known_is_scaled_up_to_all():
    """Of a row whose known entries are like its hidden ones the code is that of the whole row."""
    fill = torch.tensor([1.0, 2.0, 3.0, 4.0])
    x, known = fill + 5, torch.tensor([[True, False, True, False], [False] * 4])
    for rescaled in (True, False):
        model = Model(nn.Linear(4, 1), nn.Identity(), Parts(rescaled=rescaled), row_shape=(4,))
        nn.init.ones_(model.encoder.weight)
        model.fill.copy_(fill)
        rows = model.filled(Batch(torch.where(known, x, torch.nan)))
        whole, mean = model.encode(Batch(x[None])).z.item(), model.encode(Batch(fill[None])).z.item()
        half, none = model.encode(rows).z.flatten().tolist()
        assert half == pytest.approx(whole if rescaled else (whole + mean) / 2)
        assert none == pytest.approx(mean), "a row of nothing is the mean"


def test_inputs_stand_before_the_encoder():
    model = Model(nn.Identity(), nn.Identity(), Parts(inputs=nn.Linear(4, 2)))
    x = torch.randn(3, 4)
    torch.testing.assert_close(model.encode(Batch(x)).z, model.inputs(x))


def test_each_block_is_a_term_of_its_own():
    likelihood = ProductLikelihood([Block("left", GaussianLikelihood(), 1), Block("right", GaussianLikelihood(), None)])
    model = Model(nn.Linear(4, 2), nn.Linear(2, 4), Parts(likelihood=likelihood, weights={"left": 3.0}))
    terms = model(Batch(torch.randn(5, 4))).terms
    assert list(terms) == ["left", "right"]
    torch.testing.assert_close(model.row_losses(terms), 3 * terms["left"] + terms["right"])
