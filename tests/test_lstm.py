"""The LSTM pair: its equations by hand, its order, and what padding may not do."""

import dataclasses

import numpy as np
import pytest
import torch

from isthmus import Autoencoder, ConditionalVariationalAutoencoder, VariationalAutoencoder
from isthmus.networks import LSTM

# Each option beside a setting in which it counts.
OPTIONS = {
    "hidden": ({}, 6),
    "layers": ({}, 2),
    "conditioned": ({}, True),
    "dropout": ({"layers": 2}, 0.5),
}


@pytest.fixture
def sequences(rng):
    """Forty waves of 12 steps and 2 features, of various speed."""
    time = np.arange(12) * rng.uniform(0.2, 0.8, size=(40, 1))
    return np.stack([np.sin(time), np.cos(time)], axis=2).astype(np.float32)


def built(network=None, *, n_context=0, **params):
    torch.manual_seed(0)
    return (network or LSTM(**params)).build((7, 3), 4, n_context=n_context)


def cell(lstm, x, h, c, layer=0):
    """One step of one layer, as Hochreiter & Schmidhuber's gates read (Gers et al. 2000)."""
    w_x, w_h = getattr(lstm, f"weight_ih_l{layer}"), getattr(lstm, f"weight_hh_l{layer}")
    b_x, b_h = getattr(lstm, f"bias_ih_l{layer}"), getattr(lstm, f"bias_hh_l{layer}")
    i, f, g, o = (x @ w_x.T + b_x + h @ w_h.T + b_h).chunk(4, dim=1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def test_the_code_is_the_last_hidden_state():
    encoder, _ = built()
    x = torch.randn(5, 7, 3)
    h = c = torch.zeros(5, 4)
    for step in range(7):
        h, c = cell(encoder.lstm, x[:, step], h, c)
    torch.testing.assert_close(encoder(x), h)


def test_of_another_width_a_linear_map_brings_it_to_the_code():
    encoder, _ = built(hidden=6)
    x = torch.randn(5, 7, 3)
    torch.testing.assert_close(encoder(x), encoder.code(encoder.lstm(x)[0][:, -1]))
    torch.manual_seed(0)
    gaussian, _ = LSTM().build((7, 3), 4, moments=2)
    assert gaussian(x).shape == (5, 8)


@pytest.mark.parametrize("conditioned", [False, True])
def test_the_first_frame_that_is_made_is_the_last_step(conditioned):
    """The decoder's equations, step by step: the frames stand from the end to the beginning."""
    _, decoder = built(conditioned=conditioned)
    z = torch.randn(5, 4)
    h, c = decoder.state(z).chunk(2, dim=1)
    frame = torch.zeros(5, 3)
    expected = []
    for _ in range(7):
        h, c = cell(decoder.lstm, torch.cat([z, frame], dim=1) if conditioned else z, h, c)
        frame = decoder.frame(h)
        expected.insert(0, frame)
    torch.testing.assert_close(decoder(z), torch.stack(expected, dim=1))


def test_layers_have_states_of_their_own():
    _, decoder = built(layers=2)
    z = torch.randn(5, 4)
    state = decoder.state(z).reshape(5, 2, 2, 4)  # hidden states and cells, each of both layers
    h, c = list(state[:, 0].unbind(1)), list(state[:, 1].unbind(1))
    for layer in range(2):
        h[layer], c[layer] = cell(decoder.lstm, z if layer == 0 else h[0], h[layer], c[layer], layer)
    torch.testing.assert_close(decoder(z)[:, -1], decoder.frame(h[1]))


def test_the_end_comes_first_whatever_the_length():
    _, decoder = built(n_context=1)
    z = torch.randn(1, 4).expand(2, -1)
    short, long = decoder(z, torch.tensor([[3.0], [7.0]]))
    torch.testing.assert_close(short[:3], long[4:])
    assert not torch.allclose(short[0], long[0])


def test_what_stands_in_the_padding_changes_nothing():
    encoder, _ = built(n_context=1)
    x, lengths = torch.randn(4, 7, 3), torch.tensor([[7.0], [1.0], [4.0], [6.0]])
    other = x.clone()
    for row, length in zip(other, lengths.flatten().int(), strict=True):
        row[length:] = 1e6
    assert torch.equal(encoder(x, lengths), encoder(other, lengths))
    for i, length in enumerate(lengths.flatten().int()):  # alone, and never padded
        torch.testing.assert_close(encoder(x[i : i + 1, :length], lengths[i : i + 1]), encoder(x, lengths)[i : i + 1])


def test_forget_gates_start_open():
    encoder, _ = built()
    assert (encoder.lstm.bias_ih_l0[4:8] == 1).all()


def test_every_option_is_here():
    assert {field.name for field in dataclasses.fields(LSTM)} == set(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_changes_the_model(sequences, option):
    setting, value = OPTIONS[option]

    def rebuilt(**params):
        model = Autoencoder(4, network=LSTM(**params), max_epochs=2, random_state=0)
        return model.fit(sequences).reconstruct(sequences)

    assert not np.array_equal(rebuilt(**setting), rebuilt(**setting | {option: value}))


@pytest.mark.parametrize("family", [Autoencoder, VariationalAutoencoder])
@pytest.mark.filterwarnings("ignore:the code has collapsed", "ignore:X has one value alone in column")
def test_any_family_may_have_it(sequences, family):
    model = family(3, network=LSTM(hidden=16), max_epochs=60, lr=0.02, random_state=0).fit(sequences)
    error = np.square(model.reconstruct(sequences) - sequences).mean()
    assert error < 0.3 * sequences.var(0).mean()
    one_feature = family(3, network=LSTM(), max_epochs=1, random_state=0).fit(sequences[:, :, 0])
    assert one_feature.reconstruct(sequences[:, :, 0]).shape == (40, 12)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"hidden": 0}, ValueError, "hidden=0: give at least 1"),
        ({"hidden": (8, 4)}, TypeError, "hidden=(8, 4): give a whole number"),
        ({"layers": 0}, ValueError, "layers=0: give at least 1"),
        ({"layers": None}, TypeError, "layers=None: give a whole number"),
        ({"conditioned": 1}, TypeError, "conditioned=1: give True or False"),
        ({"layers": 2, "dropout": 1}, ValueError, "dropout=1: give a share"),
        ({"dropout": 0.1}, ValueError, "falls between layers, and there is one: give layers=2"),
    ],
)
def test_a_parameter_without_a_meaning(sequences, params, error, message):
    with pytest.raises(error) as caught:
        Autoencoder(4, network=LSTM(**params)).fit(sequences)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rows_that_are_no_sequences(sequences):
    with pytest.raises(ValueError, match="LSTM takes rows of shape"):
        Autoencoder(4, network=LSTM()).fit(np.zeros((5, 3, 4, 4)))
    with pytest.raises(ValueError, match="LSTM takes no condition"):
        ConditionalVariationalAutoencoder(4, network=LSTM()).fit(sequences, np.arange(40) % 2)
