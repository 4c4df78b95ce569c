"""Penalties against closed forms and against autograd."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from isthmus import ContractiveAutoencoder
from isthmus.core.batch import Batch
from isthmus.core.bottlenecks.base import Code
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.bottlenecks.top_k import TopK
from isthmus.core.model import Model
from isthmus.core.parts import Parts
from isthmus.core.penalties.base import Forward
from isthmus.core.penalties.contractive import contractive, exact_squared_jacobian, hutchinson_squared_jacobian
from isthmus.core.penalties.sparsity import kl_sparsity, l1
from isthmus.core.penalties.weight_decay import weight_decay
from isthmus.networks import MLP
from isthmus.networks.slopes import BY_INPUT, BY_VALUE


def build(network, features=7, units=4, bottleneck=None):
    torch.manual_seed(0)
    model = Model(*network.build((features,), units), Parts(bottleneck=bottleneck or Deterministic())).double().eval()
    if getattr(model.encoder, "scale", None) is not None:
        model.encoder.scale.fill_(1.7)
        for layer in model.encoder.path.deep or ():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight)
    return model


def autograd_jacobian(model, x):
    """The slow twin: one row, one full Jacobian at a time."""
    rows = [torch.autograd.functional.jacobian(lambda row: model.encode(Batch(row[None])).mean[0], row) for row in x]
    return torch.stack(rows).square().sum((1, 2))


def forward(model, x, generator=None):
    shown = Batch(x)
    code = model.encode(shown)
    closed_form, by_layers = model._jacobian(shown)
    return Forward(
        model.encode, list(model.parameters()), shown, code, generator, closed_form, squared_products=by_layers
    )


def of(code):
    return Forward(None, [], None, code)


def term(model, x):
    return contractive(forward(model, x))


WITH_SLOPES = (*BY_VALUE, *BY_INPUT)


@pytest.mark.parametrize("activation", WITH_SLOPES)
@pytest.mark.parametrize("path", [None, "random"])
def test_one_layer_has_the_closed_form(activation, path):
    model = build(MLP(hidden=(), code_activation=activation(), linear_path=path), units=20)
    x = torch.randn(5, 7, dtype=torch.double)
    h = model.encode(Batch(x)).mean
    assert model.encoder.squared_jacobian(h, x) is not None
    torch.testing.assert_close(term(model, x), autograd_jacobian(model, x))
    weights = [each for name, each in model.encoder.named_parameters() if name.endswith("weight")]
    jacobian = torch.func.vmap(torch.func.jacrev(lambda row: model.encode(Batch(row[None])).mean[0]))(x)
    expected = torch.autograd.grad(jacobian.square().sum((1, 2)), weights, torch.arange(5.0).double())
    for of_term in (term(model, x), model.encoder.squared_jacobian(h.clone(), x)):  # of a copy, x is gone through again
        torch.testing.assert_close(torch.autograd.grad(of_term, weights, torch.arange(5.0).double()), expected)


def test_what_goes_into_an_activation_is_not_computed_again():
    model = build(MLP(hidden=(), code_activation="silu"))
    x, calls = torch.randn(5, 7, dtype=torch.double), []
    model.encoder.path.linear.register_forward_hook(lambda *given: calls.append(1))
    assert (term(model, x) > 0).all()
    assert len(calls) == 1


@pytest.mark.parametrize("activation", [*WITH_SLOPES, partial(nn.ELU, 0.3), partial(nn.ReLU, inplace=True)])
@pytest.mark.parametrize("path", [None, "random"])
@pytest.mark.parametrize("along", ["units", "signs"])
def test_deep_layers_are_gone_through_as_autograd_does(activation, path, along):
    """The term and its gradients, in double precision."""
    model = build(MLP(hidden=(6, 5), activation=activation(), code_activation=activation(), linear_path=path), units=3)
    x = 3 * torch.randn(5, 7, dtype=torch.double)
    vectors = torch.eye(3).double() if along == "units" else torch.randn(5, 2, 3).double()
    found = model._jacobian(Batch(x))[1](vectors)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda row: model.encode(Batch(row[None])).mean[0]))(x)
    expected = (vectors @ jacobian).square().sum((1, 2))
    torch.testing.assert_close(found, expected)
    weights = list(model.encoder.parameters())
    upstream = torch.randn(5, dtype=torch.double)
    for ours, theirs in zip(
        torch.autograd.grad(found, weights, upstream, allow_unused=True),
        torch.autograd.grad(expected, weights, upstream, allow_unused=True),
        strict=True,
    ):
        zero = torch.zeros(())
        torch.testing.assert_close(*(zero if each is None or not each.any() else each for each in (ours, theirs)))


@pytest.mark.parametrize(
    ("options", "by_layers"),
    [
        ({}, True),
        ({"tied": True}, True),
        ({"dropout": 0.5}, False),
        ({"normalization": "layer"}, False),
        ({"normalization": "batch"}, False),
        ({"activation": "softplus"}, False),
        ({"code_activation": "softplus"}, False),
        ({"activation": nn.SiLU(inplace=True)}, False),
        ({"activation": nn.GELU("tanh")}, False),
    ],
)
def test_what_has_no_closed_form_is_left_to_autograd(options, by_layers):
    model = build(MLP(hidden=(6, 5), **options), units=3)
    x = torch.randn(5, 7, dtype=torch.double)
    torch.testing.assert_close(term(model, x), autograd_jacobian(model, x))  # in use there is no dropout
    model.train()
    shown = Batch(x)
    assert (model._jacobian(shown)[1] is not None) is by_layers
    assert forward(model, x).squared_jacobian(torch.zeros(5, 3)) is None
    assert (contractive(forward(model, x)) > 0).all()


@pytest.mark.parametrize("hidden", [(), (6,)])
def test_a_context_is_no_input_that_is_moved(hidden):
    torch.manual_seed(0)
    model = Model(*MLP(hidden=hidden, code_activation="silu").build((7,), 3, n_context=2)).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    shown = Batch(torch.randn(5, 7).double(), torch.randn(5, 2).double())
    code = model.encode(shown)
    closed_form, by_layers = model._jacobian(shown)
    assert (by_layers is None) is (hidden == ())
    found = contractive(Forward(None, [], shown, code, None, closed_form, squared_products=by_layers))
    torch.testing.assert_close(found, exact_squared_jacobian(model.encode, shown))


def test_layers_are_gone_through_without_autograd(digits, monkeypatch):
    """So the term costs a deep encoder of any width a few products of matrices."""
    monkeypatch.setattr(torch.autograd, "grad", lambda *args, **options: pytest.fail("a backward pass for the term"))
    for units in (3, 20):
        model = ContractiveAutoencoder(units, network=MLP(hidden=(12, 8)), max_epochs=1, random_state=0).fit(digits)
        assert model.history_[0]["train"]["contractive"] > 0


def test_sigmoid_closed_form_by_hand():
    model = build(MLP(hidden=(), code_activation="sigmoid", linear_path=None))
    x = torch.randn(5, 7, dtype=torch.double)
    weight = model.encoder.path.linear.weight
    h = torch.sigmoid(x @ weight.T + model.encoder.path.linear.bias)
    by_hand = ((h * (1 - h)) ** 2 * (weight**2).sum(1)).sum(1)
    torch.testing.assert_close(term(model, x), by_hand)


@pytest.mark.parametrize(
    ("network", "bottleneck"),
    [
        (MLP(hidden=(6,)), Deterministic()),
        (MLP(hidden=(6, 5), activation="tanh", linear_path=None), Deterministic()),
        (MLP(hidden=(), code_activation="silu"), Deterministic()),
        (MLP(hidden=()), TopK(2)),
        (MLP(hidden=(6,), code_activation="sigmoid", normalization="layer"), Deterministic()),
    ],
)
def test_small_codes_are_exact(network, bottleneck):
    model = build(network, units=3, bottleneck=bottleneck)
    x = torch.randn(5, 7, dtype=torch.double)
    torch.testing.assert_close(term(model, x), autograd_jacobian(model, x))


def test_wide_codes_are_estimated_without_bias():
    model = build(MLP(hidden=(6,)), units=20)
    x = torch.randn(3, 7, dtype=torch.double)
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([hutchinson_squared_jacobian(model.encode, Batch(x), generator).detach() for _ in range(4000)])
    exact = exact_squared_jacobian(model.encode, Batch(x))
    error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - exact).abs() < 4 * error).all()
    assert draws.std() > 0
    for by_layers in (False, True):
        given = forward(model, x, generator.manual_seed(1))
        term = contractive(given if by_layers else given._replace(squared_products=None))
        generator.manual_seed(1)
        torch.testing.assert_close(term, hutchinson_squared_jacobian(model.encode, Batch(x), generator))


def test_the_contractive_term_has_gradients():
    for units in (4, 20):
        model = build(MLP(hidden=(6,)), units=units)
        x = torch.randn(3, 7, dtype=torch.double)
        contractive(forward(model, x, torch.Generator().manual_seed(0))).mean().backward()
        assert model.encoder.path.linear.weight.grad.abs().sum() > 0


def test_a_linear_encoder_pays_weight_decay():
    model = build(MLP(hidden=(), linear_path=None))
    x = torch.randn(5, 7, dtype=torch.double)
    encoder_decay = model.encoder.path.linear.weight.square().sum()
    torch.testing.assert_close(term(model, x), encoder_decay.expand(5))
    both = weight_decay(forward(model, x))
    torch.testing.assert_close(both, encoder_decay + model.decoder.path.linear.weight.square().sum())


def test_kl_sparsity_by_hand():
    model = build(MLP(hidden=(), code_activation="sigmoid"))
    x = torch.randn(5, 7, dtype=torch.double)
    mean = model.encode(Batch(x)).mean.detach().numpy().mean(0)
    rho = 0.1
    by_hand = np.sum(rho * np.log(rho / mean) + (1 - rho) * np.log((1 - rho) / (1 - mean)))
    value = kl_sparsity(forward(model, x), target=rho)
    assert value.shape == ()
    assert value.item() == pytest.approx(by_hand, rel=1e-12)


def test_kl_sparsity_is_finite_for_dead_units():
    code = Deterministic()(torch.tensor([[0.0, 1.0], [0.0, 1.0]]))
    assert kl_sparsity(of(code), target=0.05).isfinite()


def test_l1_by_hand():
    code = Deterministic()(torch.tensor([[1.0, -2.0], [0.0, 0.5]]))
    assert l1(of(code)).tolist() == [3.0, 0.5]


def test_top_k_keeps_the_largest():
    code = TopK(2)(torch.tensor([[3.0, -5.0, 1.0, 2.0]]))
    assert code.z.tolist() == [[3.0, 0.0, 0.0, 2.0]]


def test_loss_is_the_weighted_sum_of_mean_terms(digits):
    torch.manual_seed(0)
    penalties = {"contractive": contractive, "l1": l1, "weight_decay": weight_decay}
    weights = {"contractive": 0.3, "l1": 0.2, "weight_decay": 0.01}
    model = Model(*MLP(hidden=(16,)).build((8, 8), 4), Parts(penalties=penalties, weights=weights))
    terms = model(Batch(torch.tensor(digits[:32]))).terms
    expected = terms["reconstruction"].mean() + sum(weights[name] * terms[name].mean() for name in penalties)
    torch.testing.assert_close(model.row_losses(terms).mean(), expected)


class Contextual(nn.Module):
    """A layer that is told a condition."""

    def __init__(self, width_in, width_out):
        super().__init__()
        self.layer = nn.Linear(width_in + 1, width_out)

    def forward(self, x, context):
        return self.layer(torch.cat([x, context], 1))


def test_encoder_decoder_and_penalties_are_given_the_context():
    model = Model(Contextual(7, 2), Contextual(2, 7), Parts(penalties={"contractive": contractive}))
    x = torch.randn(5, 7)
    zero, one = (model(Batch(x, told)).terms for told in (torch.zeros(5, 1), torch.ones(5, 1)))
    assert not torch.equal(zero["reconstruction"], one["reconstruction"])
    assert zero["contractive"].shape == (5,)


def test_a_code_that_goes_by_steps_has_no_slope():
    """Of an entry of a codebook, and of a code without a gradient at all, as of finite differences."""
    book = torch.linspace(-1, 1, 6, dtype=torch.float64).view(3, 2).requires_grad_()
    for codes in (book, book.detach()):

        def encode(rows, generator, codes=codes):
            z = codes[torch.cdist(rows.x[:, :2], codes).argmin(1)]
            return Code(z, z, {})

        for squared_jacobian in (exact_squared_jacobian, hutchinson_squared_jacobian):
            found = squared_jacobian(encode, Batch(torch.randn(4, 3, dtype=torch.float64)))
            np.testing.assert_array_equal(found, np.zeros(4))
