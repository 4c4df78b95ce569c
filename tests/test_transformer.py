"""The transformer: patches, what is hidden, and what the encoder is not shown."""

import dataclasses
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.decomposition import PCA

from isthmus import (
    Autoencoder,
    ConditionalVariationalAutoencoder,
    DenoisingAutoencoder,
    TabularAutoencoder,
    VariationalAutoencoder,
)
from isthmus.core.batch import Batch
from isthmus.core.corruption import hide_patches
from isthmus.core.model import Model
from isthmus.core.patches import from_patches, patch_grid, to_patches
from isthmus.core.penalties.contractive import exact_squared_jacobian
from isthmus.networks import Transformer
from isthmus.networks.transformer import shown_tokens, sinusoids

SMALL = {"patch": 2, "width": 16, "heads": 2, "depth": 1}
MASKED = partial(DenoisingAutoencoder, corruption="masking", corruption_level=0.75, max_epochs=2, random_state=0)

# Each option beside a setting in which it counts.
OPTIONS = {
    "patch": ({}, 4),
    "width": ({}, 8),
    "depth": ({}, 2),
    "heads": ({}, 4),
    "decoder_depth": ({}, 2),
    "pooling": ({}, "token"),
    "dropout": ({}, 0.5),
    "activation": ({}, "relu"),
    "code_activation": ({}, "sigmoid"),
    "output_activation": ({}, "tanh"),
    "linear_path": ({}, "pca"),
}


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def pair(row_shape, n_components=5, seed=0, **params):
    """An encoder and a decoder whose last layers, too, have something to say."""
    torch.manual_seed(seed)
    encoder, decoder = Transformer(**{"width": 16, "heads": 2, "depth": 2, "linear_path": None} | params).build(
        row_shape, n_components
    )
    return encoder.eval(), decoder.eval()


@pytest.mark.parametrize(
    ("row_shape", "patch"),
    [
        ((8, 6), (2, 3)),
        ((3, 8, 8), (3, 4, 4)),
        ((64,), (8,)),
        ((50, 3), (5, 3)),
        ((7, 5), (4, 4)),
        ((2, 5, 9), (2, 3, 2)),
    ],
)
def test_patches_put_together_are_the_rows_again(row_shape, patch):
    x = torch.randn(2, *row_shape)
    patches = to_patches(x, patch)
    assert patches.shape == (2, np.prod(patch_grid(row_shape, patch)), np.prod(patch))
    assert torch.equal(from_patches(patches, row_shape, patch), x)
    assert torch.equal(from_patches(to_patches(x > 0, patch), row_shape, patch), x > 0)


def test_a_patch_is_a_square_of_all_channels():
    x = torch.randn(2, 3, 8, 12)
    patches = to_patches(x, Transformer(patch=4).patch_shape((3, 8, 12)))
    assert torch.equal(patches[1, 4], x[1, :, 4:8, 4:8].flatten())


def test_what_reaches_over_the_edge_is_zero():
    patches = to_patches(torch.ones(1, 5), (4,))
    assert patches.tolist() == [[[1, 1, 1, 1], [1, 0, 0, 0]]]


@pytest.mark.parametrize(
    ("patch", "row_shape", "expected"),
    [
        (4, (28, 28), (4, 4)),
        (4, (3, 32, 32), (3, 4, 4)),
        (4, (64,), (4,)),
        ((1, None), (100, 3), (1, 3)),
        (np.array([2, 7]), (28, 28), (2, 7)),
    ],
)
def test_the_shape_of_a_patch(patch, row_shape, expected):
    assert Transformer(patch=patch).patch_shape(row_shape) == expected


def test_along_time_a_number_is_one_of_steps():
    assert Transformer(patch=5).along_time().patch_shape((100, 3)) == (5, 3)
    assert Transformer(patch=(2, 1)).along_time().patch_shape((100, 3)) == (2, 1)


@pytest.mark.parametrize("row_shape", [(8, 8), (9, 7), (3, 8, 8), (64,), (5,), (30, 2)])
@pytest.mark.parametrize("moments", [1, 2])
@pytest.mark.parametrize("linear_path", ["pca", None])
def test_shapes(row_shape, moments, linear_path):
    network = Transformer(**SMALL, linear_path=linear_path)
    for n_context in (0, 3):
        encoder, decoder = network.build(row_shape, 5, moments=moments, n_context=n_context)
        x, z, context = torch.randn(4, *row_shape), torch.randn(4, 5), torch.randn(4, 3) if n_context else None
        assert encoder(x, context, None).shape == (4, 5 * moments)
        assert decoder(z, context).shape == x.shape


def test_positions_are_vaswanis():
    """PE(pos, 2i) = sin(pos / 10000^(2i/d)), by hand; in two dimensions half of the width for each axis."""
    positions = sinusoids((20,), 8)
    for place in (0, 7, 19):
        for i in range(4):
            angle = place / 10000 ** (2 * i / 8)
            assert positions[place, i].item() == pytest.approx(np.sin(angle), abs=1e-5)
            assert positions[place, 4 + i].item() == pytest.approx(np.cos(angle), abs=1e-5)
    plane = sinusoids((3, 5), 8).view(3, 5, 8)
    torch.testing.assert_close(plane[:, 2, :4], sinusoids((3,), 4))
    torch.testing.assert_close(plane[1, :, 4:], sinusoids((5,), 4))
    torch.testing.assert_close(sinusoids((1, 3, 5), 8), sinusoids((3, 5), 8))
    assert len(torch.unique(sinusoids((14, 14), 64), dim=0)) == 196


def test_positions_of_a_longer_sequence_begin_alike():
    torch.testing.assert_close(sinusoids((100, 1), 16)[:30], sinusoids((30, 1), 16))


def test_shown_tokens_are_gathered_in_their_order():
    tokens = torch.arange(12.0).view(2, 6, 1)
    shown = torch.tensor([[0, 1, 0, 0, 1, 0], [1, 0, 0, 0, 0, 0]], dtype=torch.bool)
    gathered, absent = shown_tokens(tokens, shown)
    assert gathered[0].flatten().tolist() == [1, 4]
    assert gathered[1, 0].item() == 6
    assert absent.tolist() == [[False, False], [False, True]]
    gathered, absent = shown_tokens(tokens, shown[:1].expand(2, -1))
    assert gathered[1].flatten().tolist() == [7, 10]
    assert absent is None


def masked(row_shape, patch, level=0.75, rows=6, seed=0):
    x = torch.randn(rows, *row_shape)
    return x, hide_patches(x, None, level, patch, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("level", [0.01, 0.3, 0.5, 0.75, 1.0])
def test_the_share_of_patches_that_is_hidden(level, generator):
    x = torch.randn(200, 8, 8)
    shown = to_patches(hide_patches(x, None, level, (2, 2), generator), (2, 2))
    assert torch.equal(shown.any(2), shown.all(2)), "whole patches"
    hidden = (~shown.any(2)).sum(1)
    assert hidden.unique().tolist() == [min(max(round(level * 16), 1), 15)]
    assert len(shown.any(2).unique(dim=0)) > min(100, 15 - 1), "each row draws its own"


def test_every_patch_is_hidden_equally_often(generator):
    shown = to_patches(hide_patches(torch.zeros(4000, 16), None, 0.75, (2,), generator), (2,)).any(2)
    np.testing.assert_allclose(shown.float().mean(0), 0.25, atol=0.03)


def test_what_is_not_known_is_not_counted_among_the_patches(generator):
    known = torch.ones(50, 12, 3, dtype=torch.bool)
    known[:25, 5:] = False  # sequences of 5 steps among those of 12
    shown = hide_patches(torch.zeros(50, 12, 3), known, 0.4, (1, 3), generator)
    assert not (shown & ~known).any()
    assert shown[:, :, 0].sum(1).tolist() == [3] * 25 + [7] * 25


def test_nothing_is_hidden_at_level_zero_or_of_a_single_patch(generator):
    assert hide_patches(torch.zeros(3, 8, 8), None, 0.0, (2, 2), generator) is None
    assert hide_patches(torch.zeros(3, 4, 4), None, 0.75, (4, 4), generator) is None
    known = torch.tensor([[True, False, False, False], [True] * 4])
    shown = hide_patches(torch.zeros(2, 4), known, 1.0, (1,), generator)
    assert shown.sum(1).tolist() == [1, 1]
    assert shown[0, 0], "the one patch that a row has is shown"


@pytest.mark.parametrize("pooling", ["mean", "token"])
@pytest.mark.parametrize("linear_path", ["random", None])
@pytest.mark.parametrize(
    ("row_shape", "patch"), [((8, 8), (2, 2)), ((3, 8, 8), (3, 4, 4)), ((20, 3), (1, 3)), ((30,), (4,))]
)
def test_what_stands_in_hidden_patches_changes_nothing(row_shape, patch, pooling, linear_path):
    encoder, _ = pair(row_shape, patch=patch, pooling=pooling, linear_path=linear_path)
    if linear_path:
        torch.nn.init.normal_(encoder.path.head.weight)
    x, shown = masked(row_shape, patch)
    code = encoder(x, None, shown)
    assert torch.equal(code, encoder(torch.where(shown, x, 1000.0), None, shown))
    assert not torch.allclose(code, encoder(torch.where(shown, x + 0.1, x), None, shown))
    assert not torch.allclose(code, encoder(x, None, None))
    for place in shown[0].nonzero()[:: max(1, len(shown[0].nonzero()) // 5)]:
        changed = x.clone()
        changed[(0, *place)] += 3
        assert not torch.allclose(code[0], encoder(changed, None, shown)[0])


def test_a_patch_that_is_known_in_part_has_the_mean_at_its_gaps():
    encoder, _ = pair((8, 8), patch=4)
    encoder.centre.copy_(torch.randn(64))
    encoder.scale.fill_(2.0)
    x, known = torch.randn(3, 8, 8), torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.5
    code = encoder(x, None, known)
    torch.testing.assert_close(code, encoder(torch.where(known, x, encoder.centre.view(8, 8))))
    assert torch.equal(code, encoder(torch.where(known, x, -1000.0), None, known))


def test_the_linear_path_is_scaled_up_to_whole_rows():
    """W x over what is known, over the share that is known, by hand; over less than a tenth it is no further scaled."""
    encoder, _ = pair((8, 8), patch=2, linear_path="random")
    weight, bias = encoder.path.linear.weight, encoder.path.linear.bias
    x, known = torch.randn(3, 8, 8), torch.ones(3, 8, 8, dtype=torch.bool)
    known[1, 2:], known[2, 1:] = False, False
    known[2, :, 4:] = False
    for i, share in enumerate([1, 1 / 4, 1 / 10]):
        expected = weight @ (x[i] * known[i]).flatten() / share + bias
        torch.testing.assert_close(encoder(x, None, known)[i], expected)


def test_all_known_is_none_known_to_be_hidden():
    for pooling in ("mean", "token"):
        encoder, _ = pair((8, 8), patch=2, pooling=pooling, linear_path="random")
        x = torch.randn(3, 8, 8)
        torch.testing.assert_close(encoder(x, None, torch.ones_like(x, dtype=torch.bool)), encoder(x))


def test_where_a_patch_lies_counts():
    encoder, _ = pair((8, 8), patch=2)
    x = torch.randn(3, 8, 8)
    assert not torch.allclose(encoder(x), encoder(x.roll(2, dims=1)), atol=1e-4)


@pytest.mark.parametrize("pooling", ["mean", "token"])
@pytest.mark.parametrize("grad", [False, True])
def test_codes_are_the_same_alone_and_in_company(pooling, grad):
    """Rows with as many shown patches and with others, and none; with torch's fast path and without."""
    encoder, _ = pair((12, 3), patch=(1, None), pooling=pooling)
    x = torch.randn(6, 12, 3, dtype=torch.float64)
    known = torch.arange(12)[None, :, None] < torch.tensor([12, 7, 3, 1, 0, 7])[:, None, None]
    known = known.expand_as(x)
    with torch.set_grad_enabled(grad):
        encoder.double()
        together = encoder(x, None, known)
        assert together.isfinite().all()
        for i in range(6):
            torch.testing.assert_close(
                encoder(x[i : i + 1], None, known[i : i + 1])[0], together[i], rtol=1e-9, atol=1e-9
            )
    assert not torch.allclose(together[1], together[5])


def test_hidden_patches_are_not_computed():
    """Exactly as many tokens go through the layers as are shown, and one that goes with them."""
    encoder, _ = pair((8, 8), patch=2)
    seen = []
    encoder.path.layers[0].register_forward_pre_hook(lambda module, args: seen.append(args[0].shape[1]))
    x, shown = masked((8, 8), (2, 2))
    encoder(x, None, shown)
    encoder(x)
    assert seen == [1 + 4, 1 + 16]


def test_layers_start_each_at_their_own_weights():
    encoder, _ = pair((8, 8))
    first, second = (layer.linear1.weight for layer in encoder.path.layers)
    assert not torch.equal(first, second)


def test_the_loss_counts_hidden_patches_alone(digits):
    """Against a sum by hand, from the model's own encoder and decoder."""
    model = MASKED(8, network=Transformer(**SMALL)).fit(digits)
    module, x = model.module_, torch.tensor(digits[:50])
    batch = Batch(x)
    shown = module.corrupt(batch, torch.Generator().manual_seed(3))
    assert torch.equal(shown.x[shown.observed], x[shown.observed])
    with torch.no_grad():
        outcome = module(batch, shown)
        rebuilt = module.decoder(module.encoder(x, None, shown.observed))
    squared_error = [
        sum(
            (x[i, r, c] - rebuilt[i, r, c]).item() ** 2
            for r in range(8)
            for c in range(8)
            if not shown.observed[i, r, c]
        )
        for i in range(50)
    ]
    hidden = (~shown.observed).sum((1, 2))
    assert hidden.tolist() == [48] * 50
    np.testing.assert_allclose(outcome.squared_error, squared_error, rtol=1e-4)
    log_prob = -0.5 * np.array(squared_error) - 48 * 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(outcome.terms["reconstruction"], -log_prob, rtol=1e-4)


def test_at_use_nothing_is_hidden(digits):
    model = MASKED(8, network=Transformer(**SMALL)).fit(digits)
    np.testing.assert_array_equal(model.transform(digits), model.transform(digits))
    with torch.no_grad():
        code = model.module_.encoder(torch.tensor(digits), None, None)
    np.testing.assert_allclose(model.transform(digits), code, atol=1e-5)


def test_missing_patches_are_filled_in_from_the_shown_ones(digits):
    model = MASKED(8, network=Transformer(**SMALL)).fit(digits)
    gaps = np.zeros_like(digits, dtype=bool)
    gaps[:, 2:4, 2:6] = True
    X = np.where(gaps, np.float32(np.nan), digits)
    filled = model.impute(X, n_iter=1)
    np.testing.assert_array_equal(filled, model.impute(X, n_iter=100))
    np.testing.assert_array_equal(filled[~gaps], digits[~gaps])
    np.testing.assert_allclose(filled[gaps], model.reconstruct(X)[gaps], atol=1e-6)


def test_other_corruptions_are_by_the_entry(digits):
    model = DenoisingAutoencoder(4, network=Transformer(**SMALL), corruption="gaussian", max_epochs=1).fit(digits)
    assert model.module_.hiding is None
    assert model.module_.corruption is not None
    assert not model.module_.hidden_only


def test_hidden_patches_are_learnt_from_the_shown_ones(digits):
    """Held against what needs no model: the mean image, and the one mean pixel."""
    train, test = digits[:1200], digits[1200:]
    network = Transformer(patch=2, width=32, depth=2, linear_path="pca")
    model = MASKED(16, network=network, max_epochs=20).fit(train)
    _, shown = masked((8, 8), (2, 2), rows=len(test))
    shown = shown.numpy()
    filled = model.impute(test, ~shown)

    def error(rows):
        return np.square(rows - test)[~shown].mean()

    assert error(filled) < 0.85 * error(train.mean(0)) < error(train.mean())
    whole = np.square(model.reconstruct(test) - test).mean()
    assert whole < 0.6 * np.square(train.mean(0) - test).mean(), "an image shown whole is rebuilt whole"


def test_it_starts_at_pca_and_improves_on_it(digits):
    flat = digits.reshape(-1, 64)
    pca = PCA(8).fit(flat)
    error = np.square(pca.inverse_transform(pca.transform(flat)) - flat).mean()
    network = Transformer(**SMALL, linear_path="pca")
    model = Autoencoder(8, network=network, max_epochs=1, random_state=0).fit(digits)
    assert model.start_["mse"] == pytest.approx(error, rel=0.15)
    model.set_params(max_epochs=8).fit(digits)
    assert np.square(model.reconstruct(digits) - digits).mean() < error


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_changes_the_model(digits, option):
    setting, value = OPTIONS[option]

    def reconstruction(**params):
        network = Transformer(**SMALL | params)
        model = Autoencoder(4, network=network, max_epochs=1, random_state=0, validation_fraction=None)
        return model.fit(digits[:300]).reconstruct(digits[:50])

    assert not np.array_equal(reconstruction(**setting), reconstruction(**setting, **{option: value}))


def test_every_option_is_here():
    assert {field.name for field in dataclasses.fields(Transformer)} == set(OPTIONS)


@pytest.mark.parametrize(
    ("params", "error", "says"),
    [
        ({"patch": 0}, ValueError, "patch=0: give at least 1"),
        ({"patch": 2.5}, TypeError, "patch=2.5: give a whole number"),
        ({"patch": (2, "3")}, TypeError, "give a whole number"),
        ({"patch": (2,)}, ValueError, r"patch=\(2,\) has 1 axes, and rows have shape \(8, 8\)"),
        ({"width": 30, "heads": 4}, ValueError, "width=30 cannot be shared out among heads=4"),
        ({"width": 0}, ValueError, "width=0: give at least 2"),
        ({"depth": True}, TypeError, "depth=True: give a whole number"),
        ({"decoder_depth": 0}, ValueError, "decoder_depth=0: give at least 1"),
        ({"heads": "4"}, TypeError, "heads='4': give a whole number"),
        ({"pooling": "max"}, ValueError, "unknown pooling 'max': give 'mean' or 'token'"),
        ({"dropout": 1.0}, ValueError, r"dropout=1.0: give a share in \[0, 1\)"),
        ({"activation": "gelo"}, ValueError, "did you mean 'gelu'"),
        ({"linear_path": "ica"}, ValueError, "unknown linear_path 'ica'"),
    ],
)
def test_a_bad_value_is_one_line(digits, params, error, says):
    with pytest.raises(error, match=says) as caught:
        Autoencoder(3, network=Transformer(**params), max_epochs=1).fit(digits)
    assert "\n" not in str(caught.value)


def test_a_gaussian_code_has_no_activation(digits):
    with pytest.raises(ValueError, match="a Gaussian code has no activation"):
        VariationalAutoencoder(3, network=Transformer(code_activation="tanh")).fit(digits)


def test_a_condition_reaches_encoder_and_decoder(digits, digits_labels):
    network = Transformer(**SMALL, linear_path="pca")
    model = ConditionalVariationalAutoencoder(4, network=network, max_epochs=3, random_state=0).fit(
        digits, digits_labels
    )
    ones, twos = (model.transform(digits[:5], y=np.full(5, label)) for label in (1, 2))
    assert not np.allclose(ones, twos)
    assert not np.allclose(*(model.inverse_transform(ones, y=np.full(5, label)) for label in (1, 2)))
    encoder, _ = Transformer(**SMALL).build((8, 8), 4, n_context=10)
    x = torch.zeros(2, 8, 8)
    assert not torch.allclose(*encoder(x, torch.eye(10)[:2], None))


def test_built_without_a_context_it_pays_no_heed_to_one():
    encoder, decoder = Transformer(**SMALL).along_time().build((12, 3), 4)
    x, z, lengths = torch.randn(2, 12, 3), torch.randn(2, 4), torch.tensor([[12.0], [5.0]])
    torch.testing.assert_close(encoder(x, lengths, None), encoder(x))
    torch.testing.assert_close(decoder(z, lengths), decoder(z))


@pytest.mark.parametrize("n_components", [4, 20])
def test_the_contractive_penalty_is_the_jacobians_norm(digits, n_components):
    encoder, decoder = pair((8, 8), n_components, patch=4)
    model = Model(encoder, decoder)
    x = torch.randn(3, 8, 8)
    jacobian = torch.autograd.functional.jacobian(lambda rows: encoder(rows).sum(0), x)  # (units, rows, 8, 8)
    torch.testing.assert_close(
        exact_squared_jacobian(model.encode, Batch(x)), jacobian.square().sum((0, 2, 3)), rtol=1e-4, atol=1e-5
    )
    Autoencoder(
        n_components, network=Transformer(**SMALL | {"patch": 4}), contraction_weight=0.1, max_epochs=1, random_state=0
    ).fit(digits[:100])


def test_a_mixed_table_with_gaps(rng):
    """Cells become several numbers each: what is missing, or hidden in training, is at its fill."""
    numbers = rng.normal(size=(200, 2))
    table = pd.DataFrame({"a": numbers[:, 0], "b": numbers.sum(1), "c": np.where(numbers[:, 0] > 0, "high", "low")})
    table.loc[::5, "b"] = np.nan
    for corruption in ("swap", "masking"):
        network = Transformer(**SMALL | {"patch": 1})
        model = TabularAutoencoder(2, network=network, corruption=corruption, max_epochs=2, random_state=0).fit(table)
        assert np.isfinite(model.transform(table)).all()
        pd.testing.assert_frame_equal(model.impute(table).loc[1:4], table.loc[1:4])
        assert not model.impute(table).isna().any(axis=None)
