"""The convolutional network: every parameter, every size, and published networks layer for layer."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from torch import nn

from isthmus import Autoencoder, MultimodalAutoencoder, SparseAutoencoder
from isthmus.core.batch import Batch
from isthmus.core.model import Model
from isthmus.core.penalties.contractive import exact_squared_jacobian
from isthmus.networks import MLP, Conv, Modules

OWN_DECODER = {"decoder_channels": (4,), "decoder_kernel_size": 5, "decoder_stride": (3, 2)}

# Each option beside a setting in which it counts.
OPTIONS = {
    "channels": ({}, (8, 4)),
    "kernel_size": ({}, (5, 3)),
    "stride": ({}, (2, 1)),
    "padding": ({}, (1, 0)),
    "pool": ({}, (None, "max")),
    "pool_size": ({"pool": "average", "stride": 1}, (2, 3)),
    "activation": ({}, "tanh"),
    "code_activation": ({}, "sigmoid"),
    "output_activation": ({}, "tanh"),
    "normalization": ({}, "layer"),
    "upsampling": ({}, "nearest"),
    "decoder_channels": (OWN_DECODER, (6,)),
    "decoder_kernel_size": (OWN_DECODER, (6, 4)),
    "decoder_stride": (OWN_DECODER, (2, 3)),
    "dense": ({}, False),
    "linear_path": ({}, None),
    "refine": ({}, False),
    "refine_normalization": ({}, "layer"),
}


def build(network, row_shape=(1, 12, 13), n_components=3, **options):
    torch.manual_seed(0)
    return network.build(row_shape, n_components, **options)


def code_size(network, row_shape):
    """The size of the feature map, which is the only code that a network without dense layers can have."""
    try:
        network.build(row_shape, 3)
    except ValueError as error:
        _, found, size = str(error).rpartition("set n_components=")
        if found:
            return int(size)
        raise
    return 3


def outputs(network, row_shape=(1, 12, 13)):
    """What a network with random weights, its last layers included, gives for random rows."""
    encoder, decoder = build(network, row_shape, code_size(network, row_shape))
    for part in (encoder, decoder):
        for parameter in part.parameters():
            nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(parameter.numel()))
    return decoder(encoder(torch.randn(4, *row_shape, generator=torch.Generator().manual_seed(0))))


def test_every_option_is_here():
    assert {field.name for field in dataclasses.fields(Conv)} == set(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_changes_the_network(option):
    setting, value = OPTIONS[option]
    plain, changed = outputs(Conv(**setting)), outputs(Conv(**setting | {option: value}))
    assert plain.shape == changed.shape == (4, 1, 12, 13)
    assert not torch.equal(plain, changed)


# What two published networks are, in isthmus and written out in PyTorch.
PUBLISHED = {
    "pool after the last layer": (
        Conv(
            channels=(4, 16),
            kernel_size=3,
            stride=1,
            padding=0,
            pool=(None, "max"),
            activation="relu",
            output_activation="tanh",
            decoder_channels=(4,),
            decoder_kernel_size=(3, 2),
            decoder_stride=(1, 2),
            dense=False,
        ),
        (16, 12, 12),
        [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 16, 3), nn.ReLU(), nn.MaxPool2d(2)],
        [nn.ConvTranspose2d(16, 4, 3), nn.ReLU(), nn.ConvTranspose2d(4, 1, 2, stride=2), nn.Tanh()],
    ),
    "pools of two kinds": (
        Conv(
            channels=(16, 4),
            kernel_size=4,
            stride=1,
            padding=0,
            pool=("max", "average"),
            pool_size=(2, 9),
            activation="relu",
            output_activation="sigmoid",
            decoder_channels=(16, 4),
            decoder_kernel_size=(5, 5, 4),
            decoder_stride=2,
            dense=False,
        ),
        (4, 1, 1),
        [nn.Conv2d(1, 16, 4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 4, 4), nn.ReLU(), nn.AvgPool2d(9)],
        [
            nn.ConvTranspose2d(4, 16, 5, stride=2),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 4, 5, stride=2),
            nn.ReLU(),
            nn.ConvTranspose2d(4, 1, 4, stride=2),
            nn.Sigmoid(),
        ],
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_network_layer_for_layer(name):
    network, code_shape, there, back = PUBLISHED[name]
    encoder, decoder = network.build((1, 28, 28), math.prod(code_shape))
    x = torch.rand(5, 1, 28, 28)
    for ours, theirs in ((encoder, nn.Sequential(*there)), (decoder, nn.Sequential(*back))):
        weights = list(ours.state_dict().values())
        assert [weight.shape for weight in weights] == [weight.shape for weight in theirs.state_dict().values()]
        theirs.load_state_dict(dict(zip(theirs.state_dict(), weights, strict=True)))
    h = encoder(x)
    torch.testing.assert_close(h, nn.Sequential(*there)(x).flatten(1))
    expected = nn.Sequential(*back)(h.unflatten(1, code_shape))
    assert expected.shape == x.shape
    torch.testing.assert_close(decoder(h), expected)


def layers_of(values, n_layers):
    return st.one_of(values, st.lists(values, min_size=n_layers, max_size=n_layers).map(tuple))


@st.composite
def networks(draw, **fixed):
    n_layers = draw(st.integers(1, 3))
    return Conv(
        channels=draw(st.lists(st.integers(1, 4), min_size=n_layers, max_size=n_layers)),
        kernel_size=draw(layers_of(st.integers(1, 5), n_layers)),
        stride=draw(layers_of(st.integers(1, 3), n_layers)),
        padding=draw(layers_of(st.sampled_from(["same", 0, 1]), n_layers)),
        pool=draw(layers_of(st.sampled_from([None, "max", "average"]), n_layers)),
        pool_size=draw(layers_of(st.sampled_from([1, 2, 3, "global"]), n_layers)),
        upsampling=draw(st.sampled_from(["transposed", "nearest", "bilinear"])),
        dense=draw(st.booleans()),
        **fixed,
    )


row_shapes = st.one_of(
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(1, 20)),
)


@settings(deadline=None, max_examples=150)
@given(networks(linear_path=None), row_shapes, st.sampled_from([1, 2]), st.sampled_from([0, 2]))
def test_any_size_comes_back(network, row_shape, moments, n_context):
    try:
        n_components = code_size(network, row_shape)
    except ValueError as error:
        assume("leaves nothing of" not in str(error) and "needs less than its kernel_size" not in str(error))
        raise
    encoder, decoder = build(network, row_shape, n_components, moments=moments, n_context=n_context)
    x = torch.randn(3, *row_shape)
    context = [torch.randn(3, n_context)] if n_context else []
    h = encoder(x, *context)
    assert h.shape == (3, moments * n_components)
    y = decoder(h[:, :n_components], *context)
    assert y.shape == x.shape
    (torch.randn_like(y) * y).sum().add((torch.randn_like(h) * h).sum()).backward()
    for name, parameter in [*encoder.named_parameters(), *decoder.named_parameters()]:
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@settings(deadline=None, max_examples=100)
@given(
    row_shapes,
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 4)), min_size=1, max_size=3),
    st.sampled_from(["transposed", "nearest", "bilinear"]),
    st.booleans(),
)
def test_a_decoder_of_its_own_gives_the_size_or_says_what_is_missing(row_shape, layers, upsampling, dense):
    channels, kernel_sizes, strides = zip(*layers, strict=True)
    network = Conv(
        channels=(2, 3),
        decoder_channels=channels[:-1],
        decoder_kernel_size=kernel_sizes,
        decoder_stride=strides,
        upsampling=upsampling,
        dense=dense,
    )
    n_components = 3 if dense else 3 * math.prod(math.ceil(side / 4) for side in row_shape[-2:])
    try:
        _, decoder = network.build(row_shape, n_components)
    except ValueError as error:
        assert "the decoder's own layers give" in str(error)  # noqa: PT017
    else:
        assert decoder(torch.randn(2, n_components)).shape == (2, *row_shape)


def test_an_image_too_large_is_cropped_in_its_middle():
    network = Conv(channels=(1,), stride=1, dense=False, decoder_channels=(), decoder_kernel_size=4, decoder_stride=1)
    _, decoder = build(network, (6, 7), 42)
    z = torch.randn(2, 42)
    layer = next(module for module in decoder.modules() if isinstance(module, nn.ConvTranspose2d))
    whole = layer(z.unflatten(1, (1, 6, 7)))
    assert whole.shape[2:] == (9, 10)
    torch.testing.assert_close(decoder(z), whole[:, 0, 1:7, 1:8])


def test_interpolation_by_hand():
    network = Conv(channels=(3,), upsampling="nearest", dense=False)
    _, decoder = build(network, (5, 5), 27)
    z = torch.randn(2, 27)
    layer = next(module for module in decoder.modules() if isinstance(module, nn.Conv2d))
    enlarged = nn.functional.interpolate(z.unflatten(1, (3, 3, 3)), size=(5, 5))
    torch.testing.assert_close(decoder(z), nn.functional.conv2d(enlarged, layer.weight, layer.bias, padding=1)[:, 0])


def test_the_mirror_is_the_encoders_transpose():
    network = Conv(channels=(3,), kernel_size=4, stride=3, padding=1, dense=False, activation=None)
    row_shape = (1, 11, 14)
    encoder, decoder = build(network, row_shape, code_size(network, row_shape))
    (weight, bias), (transposed, bias_back) = encoder.double().parameters(), decoder.double().parameters()
    with torch.no_grad():
        transposed.copy_(weight)
        bias.zero_()
        bias_back.zero_()
    x = torch.randn(2, *row_shape).double()
    h = encoder(x)
    z = torch.randn_like(h)
    torch.testing.assert_close((h * z).sum(), (x * decoder(z)).sum())


def test_a_global_pool_takes_the_whole_map():
    encoder, _ = build(Conv(channels=(2, 5), pool=(None, "average"), pool_size="global", dense=False), (9, 14), 5)
    layers = list(encoder.path.deep)
    x = torch.randn(3, 9, 14)
    torch.testing.assert_close(encoder(x), nn.Sequential(*layers[:-2])(x.flatten(1)).mean((2, 3)))


@pytest.mark.parametrize("dense", [True, False])
def test_a_linear_path_begins_alone_and_is_there_for_dense_codes(dense):
    network = Conv(dense=dense)
    encoder, decoder = build(network, (8, 8), code_size(network, (8, 8)), n_context=2)
    context = torch.randn(5, 2)
    if not dense:
        assert encoder.path.linear is decoder.path.linear is encoder.centre is decoder.scale is None
        return
    assert encoder.path.linear.weight.shape == (3, 64 + 2)
    assert decoder.path.linear.weight.shape == (64, 3 + 2)
    assert encoder.centre.shape == decoder.centre.shape == (64,)
    x, z = torch.randn(5, 8, 8), torch.randn(5, 3)
    torch.testing.assert_close(encoder(x, context), encoder.path.linear(torch.cat([x.flatten(1), context], 1)))
    torch.testing.assert_close(decoder(z, context).flatten(1), decoder.path.linear(torch.cat([z, context], 1)))


def test_context_comes_in_as_constant_maps():
    network = Conv(channels=(4,), dense=False)
    encoder, decoder = build(network, (3, 6, 6), 36, n_context=2)
    x, z, context = torch.randn(5, 3, 6, 6), torch.randn(5, 36), torch.randn(5, 2)
    first = encoder.path.deep[1]
    maps = context[:, :, None, None].expand(5, 2, 6, 6)
    by_hand = nn.functional.silu(first(torch.cat([x, maps], 1))).flatten(1)
    torch.testing.assert_close(encoder(x, context), by_hand)
    by_hand = decoder.path.deep[1](torch.cat([z.unflatten(1, (4, 3, 3)), maps[:, :, :3, :3]], 1))
    torch.testing.assert_close(decoder(z, context), by_hand)


def test_a_gaussian_feature_map_has_no_activation():
    encoder, decoder = build(Conv(channels=(4, 6), activation="relu", dense=False), (8, 8), 24, moments=2)
    h = encoder(9 * torch.randn(50, 8, 8))
    assert h.shape == (50, 48)
    assert h.min() < 0
    assert decoder(h[:, :24]).shape == (50, 8, 8)


def test_normalization():
    for name, cls in (("batch", nn.BatchNorm2d), ("layer", nn.GroupNorm)):
        network = Conv(normalization=name, refine_normalization=name)
        for part, n in zip(build(network), (2, 3), strict=True):  # the U-Net goes down and up
            assert sum(isinstance(module, cls) for module in part.modules()) == n
    encoder, _ = build(Conv(normalization="layer"))
    (norm, _) = (module for module in encoder.modules() if isinstance(module, nn.GroupNorm))
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.randn(4, 16, 5, 6)
    torch.testing.assert_close(norm(x), nn.GroupNorm.forward(norm, x))


@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
@pytest.mark.parametrize("pool", [None, "max", "average"])
@pytest.mark.parametrize("linear_path", ["pca", None])
def test_the_exact_jacobian_and_its_gradient(normalization, pool, linear_path):
    network = Conv(channels=(3, 4), pool=pool, normalization=normalization, linear_path=linear_path)
    encoder, decoder = build(network, (12, 17), 3)
    nn.init.normal_(encoder.path.deep[-1].weight)
    model = Model(encoder, decoder).double().eval()
    x = torch.randn(4, 12, 17).double()
    term = exact_squared_jacobian(model.encode, Batch(x))
    term.sum().backward()

    rows = x.clone().requires_grad_()
    h = encoder(rows)
    gradients = [torch.autograd.grad(h[:, j].sum(), rows, create_graph=True)[0] for j in range(3)]
    expected = sum(gradient.square().flatten(1).sum(1) for gradient in gradients)
    torch.testing.assert_close(term, expected)
    weight = encoder.path.deep[1].weight
    (by_hand,) = torch.autograd.grad(expected.sum(), weight)
    torch.testing.assert_close(weight.grad, by_hand)


@pytest.mark.parametrize(
    ("params", "row_shape", "message"),
    [
        ({}, (5,), r"Conv needs images .*, and rows have shape \(5,\)"),
        ({}, (2, 3, 4, 5), r"rows have shape \(2, 3, 4, 5\)"),
        ({"kernel_size": (3, 3, 3)}, (8, 8), r"kernel_size=\(3, 3, 3\): .* one for each of 2 layers"),
        ({"pool": ("max",)}, (8, 8), r"pool=\('max',\): .* one for each of 2 layers"),
        ({"pool": "mean"}, (8, 8), "unknown pool 'mean': give 'max', 'average' or None"),
        ({"normalization": "instance"}, (8, 8), "unknown normalization 'instance'"),
        ({"refine_normalization": "instance"}, (8, 8), "unknown refine_normalization 'instance'"),
        ({"upsampling": "bicubic"}, (8, 8), "unknown upsampling 'bicubic'"),
        ({"linear_path": "ica"}, (8, 8), "unknown linear_path 'ica'"),
        ({"activation": "rellu"}, (8, 8), "did you mean 'relu'"),
        ({"channels": ()}, (8, 8), "at least one layer"),
        ({"channels": (4, 0)}, (8, 8), r"channels=\(4, 0\): every number must be at least 1"),
        ({"stride": 0}, (8, 8), "stride=0: every number must be at least 1"),
        ({"padding": -1}, (8, 8), "padding=-1: every number must be at least 0"),
        ({"padding": 3}, (8, 8), "padding=3: layer 1 needs less than its kernel_size=3"),
        ({"pool_size": 0}, (8, 8), "pool_size=0: every number must be at least 1"),
        ({"kernel_size": 5, "padding": 0}, (8, 8), "layer 2 of Conv leaves nothing of its 2×2 map"),
        ({"pool": "max", "stride": 1, "pool_size": 9}, (8, 8), "layer 1 of Conv leaves nothing of its 8×8 map"),
        ({"decoder_channels": (4,)}, (8, 8), "decoder_channels, decoder_kernel_size and decoder_stride together"),
        (OWN_DECODER | {"decoder_stride": (1, 1, 1)}, (8, 8), "decoder_stride=.* one for each of 2 layers"),
        (OWN_DECODER | {"decoder_kernel_size": 1}, (8, 9), "own layers give 7×13, less than the image's 8×9"),
        ({"dense": False}, (28, 28), "the feature map has 32×7×7 = 1568 units: set n_components=1568"),
    ],
)
def test_a_mistake_gets_one_line(params, row_shape, message):
    with pytest.raises(ValueError, match=message) as raised:
        Conv(**params).build(row_shape, 3)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"channels": 32}, r"channels=32: give whole numbers in a sequence, such as \(16, 32\)"),
        ({"channels": (1.5,)}, "channels=.*give whole numbers"),
        ({"decoder_channels": "4", "decoder_kernel_size": 3, "decoder_stride": 1}, "decoder_channels='4'"),
        ({"kernel_size": "3"}, "kernel_size='3': give whole numbers"),
        ({"padding": "valid"}, "padding='valid': give whole numbers or 'same'"),
        ({"pool_size": None}, "pool_size=None: give whole numbers or 'global'"),
        ({"dense": 1}, "dense=1: give True or False"),
        ({"channels": (True, 2)}, r"channels=\(True, 2\): give whole numbers"),
        ({"kernel_size": np.full((2, 2), 3)}, "kernel_size=.*give whole numbers"),
        ({"stride": np.array(2)}, r"stride=array\(2\): give whole numbers"),
    ],
)
def test_a_value_of_another_kind_gets_one_line(params, message):
    with pytest.raises(TypeError, match=message) as raised:
        Conv(**params).build((8, 8), 3)
    assert "\n" not in str(raised.value)


def test_numbers_may_come_in_arrays():
    arrays = {"channels": (4, 6), "kernel_size": (3, 5), "stride": (1, 2), "pool": ("max", None)}
    networks = Conv(**arrays), Conv(**{name: np.array(values, object) for name, values in arrays.items()})
    shapes = [[weight.shape for part in build(network) for weight in part.parameters()] for network in networks]
    assert shapes[0] == shapes[1]
    encoder, _ = build(MLP(hidden=np.array([5, 4])))
    assert [layer.out_features for layer in encoder.path.deep if isinstance(layer, nn.Linear)][:2] == [5, 4]


@pytest.mark.parametrize("hidden", [(True, 2), 5.0, None])
def test_widths_of_another_kind(hidden):
    with pytest.raises(TypeError, match=r"hidden=.*: give whole numbers in a sequence"):
        MLP(hidden=hidden).build((8,), 3)


@pytest.mark.parametrize("network", [MLP(), Conv()])
def test_a_gaussian_code_and_a_context(network):
    encoder, decoder = build(network, (8, 8), 3, moments=2, n_context=4)
    assert encoder.path.linear.weight.shape == (6, 64 + 4)
    assert decoder.path.linear.weight.shape == (64, 3 + 4)
    x, context = torch.randn(5, 8, 8), torch.randn(5, 4)
    for part, width in ((encoder, 6), (decoder, 64)):  # the deep parts, which begin at zero, see the context too
        for parameter in part.path.deep.parameters():
            nn.init.normal_(parameter, std=0.1)
        nn.init.zeros_(part.path.linear.weight)
        rows = x if part is encoder else x[:, 0, :3]
        assert part(rows, context).flatten(1).shape == (5, width)
        assert not torch.allclose(part(rows, context), part(rows, -context))
    with pytest.raises(ValueError, match="a Gaussian code has no activation: leave code_activation=None"):
        dataclasses.replace(network, code_activation="relu").build((8, 8), 3, moments=2)


@pytest.mark.parametrize("options", [{"moments": 2}, {"n_context": 1}])
def test_tied_weights_are_for_plain_codes(options):
    with pytest.raises(ValueError, match="set tied=False"):
        MLP(tied=True).build((8,), 3, **options)


def test_the_closed_form_of_a_jacobian_leaves_the_context_out():
    encoder, _ = build(MLP(hidden=(), code_activation="sigmoid"), (6,), 3, n_context=2)
    x, context = torch.randn(4, 6, requires_grad=True), torch.randn(4, 2)
    h = encoder(x, context)
    gradients = [torch.autograd.grad(h[:, j].sum(), x, retain_graph=True)[0] for j in range(3)]
    torch.testing.assert_close(
        encoder.squared_jacobian(h, x, context), sum(gradient.square().sum(1) for gradient in gradients)
    )
    encoder, _ = build(MLP(hidden=()), (6,), 3, moments=2)
    assert encoder.squared_jacobian(torch.zeros(4, 3), x, context) is None


def test_modules_take_the_same_arguments():
    encoder, decoder = Modules(nn.Linear(4, 4), nn.Linear(2, 4)).build((4,), 2, moments=2, n_context=3)
    assert encoder(torch.zeros(1, 4)).shape == decoder(torch.zeros(1, 2)).shape == (1, 4)


@pytest.mark.parametrize("network", [Conv(channels=(4, 8)), Conv(channels=(4, 2), linear_path=None, dense=False)])
def test_an_estimator_learns_and_comes_back_from_disk(digits, network, tmp_path):
    import isthmus

    model = Autoencoder(8, network=network, random_state=0, max_epochs=15).fit(digits)
    assert model.history_[-1]["train"]["mse"] < model.history_[0]["train"]["mse"]
    assert model.reconstruct(digits).shape == digits.shape
    model.save(tmp_path / "run")
    np.testing.assert_array_equal(isthmus.load(tmp_path / "run").transform(digits), model.transform(digits))


def test_parameters_can_be_searched():
    model = Autoencoder(network=Conv()).set_params(network__channels=(4,), network__pool="max")
    assert model.network == Conv(channels=(4,), pool="max")


def test_refinement_starts_at_what_the_linear_path_draws_and_leaves_it_there(digits):
    model = Autoencoder(5, network=Conv(channels=(8, 8)), max_epochs=20, random_state=0).fit(digits)
    pca = PCA(5).fit(digits.reshape(-1, 64))
    path = model.module_.decoder.path
    drawn = nn.functional.linear(torch.eye(5), path.linear.weight.cpu())
    span = pca.components_.T @ pca.components_
    np.testing.assert_allclose(drawn.numpy() @ span, drawn.numpy(), atol=1e-4)
    error = np.square(pca.inverse_transform(pca.transform(digits.reshape(-1, 64))) - digits.reshape(-1, 64)).mean()
    assert np.square(model.reconstruct(digits) - digits).mean() < 0.9 * error
    assert model.start_["mse"] == pytest.approx(error, rel=0.1)


def test_a_refined_image_is_what_is_drawn_and_a_unet_of_it():
    _, decoder = build(Conv(channels=(3, 4), activation="relu", refine_normalization=None), (8, 8), 3)
    path = decoder.path
    for parameter in path.parameters():
        nn.init.normal_(parameter, std=0.3)
    z = torch.randn(5, 3)
    _, (first, _), (second, _), (third, _), (fourth,) = path.deep
    drawn = path.linear(z)
    x = (drawn / (1 + drawn.abs() / 8)).view(5, 1, 8, 8)
    half = first(x).relu()
    back = third(second(half).relu()).relu() + half
    torch.testing.assert_close(decoder(z).flatten(1), drawn + fourth(back).flatten(1))


def test_refinement_by_contrast():
    """By hand: layer normalisation, and the spread of the drawn pixels around their channel's mean before it all."""
    _, decoder = build(Conv(channels=(3,), activation="relu"), (2, 8, 8), 3)
    path = decoder.path
    for parameter in path.parameters():
        nn.init.normal_(parameter, std=0.3)
    z = torch.randn(5, 3)
    drawn = path.linear(z).view(5, 2, 8, 8)
    _, (down, norm, _), (up,) = path.deep
    added = up(nn.functional.group_norm(down(drawn / (1 + drawn.abs() / 8)), 1, norm.weight, norm.bias).relu())
    spread = (drawn - drawn.mean((2, 3), keepdim=True)).square().mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(decoder(z), drawn + (spread + 0.01).sqrt() * added)


def test_refinement_is_told_the_context_too():
    _, decoder = build(Conv(channels=(3,)), (8, 8), 3, n_context=2)
    nn.init.normal_(decoder.path.deep[-1][-1].weight)
    nn.init.zeros_(decoder.path.linear.weight)
    z, context = torch.randn(4, 3), torch.randn(4, 2)
    assert not torch.equal(decoder(z, context), decoder(z, context + 1))


@pytest.mark.parametrize("linear_path", ["pca", "random", None])
def test_what_refines_learns_and_what_is_refined_stays(linear_path):
    pair = build(Conv(linear_path=linear_path))
    fixed = [name for part in pair for name, weight in part.named_parameters() if not weight.requires_grad]
    assert fixed == (["path.linear.weight", "path.linear.bias"] * 2 if linear_path == "pca" else [])


def test_a_sparse_code_and_modalities_have_no_refinement(digits):
    sparse = SparseAutoencoder(16, network=Conv(channels=(4,)), max_epochs=1, random_state=0).fit(digits)
    rows = digits.reshape(len(digits), 8, 8)
    both = {"upper": rows[:, :4], "lower": rows[:, 4:]}
    several = MultimodalAutoencoder(4, network=Conv(channels=(4,)), max_epochs=1, random_state=0).fit(both)
    for model in (sparse, several):
        assert all(weight.requires_grad for weight in model.module_.parameters())
        assert not any(type(module).__name__ == "UNet" for module in model.module_.modules())
