"""The convolutional pair, whose decoder returns exactly the size that the encoder was given."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from torch import nn

from isthmus.errors import InputError, InputTypeError
from isthmus.networks.activation import Activation, build_activation
from isthmus.networks.maps import NORMALIZATIONS, CentralCrop, Image, Maps, RefinedPath, Size, UNet
from isthmus.networks.pair import Decoder, Encoder, Path, check_pair, start_at_zero
from isthmus.networks.parameters import Parameters, check_truth_value, is_whole, values_of

Pool = Literal["max", "average"] | None

POOLS = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}
DENSE_SHARE = 0.02
"""Of the learning rate, what the layer from the encoder's map to the code gets beside a PCA that stays: it is the one
that learns of few images, by heart, where things are in them."""

UPSAMPLINGS = ("transposed", "nearest", "bilinear")
NUMBERS = ("channels", "kernel_size", "stride", "padding", "pool_size")
OF_DECODER = ("decoder_channels", "decoder_kernel_size", "decoder_stride")
WORDS = {"padding": "same", "pool_size": "global"}
"""What a parameter may be instead of a number."""


@dataclass(repr=False)
class Conv(Parameters):
    """Convolutional encoder and mirrored decoder, for images: rows (height, width) or (channels, height, width).

    A layer of the encoder is a convolution, its normalisation and activation, and pooling. The decoder undoes the
    layers from last to first, each to exactly the size that it was given, whatever that is; or it has layers of its
    own (``decoder_channels``), and what they give beyond the image is cropped, as much on either side.

    With a linear path the code is W x + f(x), as in :class:`MLP`, where f is the convolutional layers. V z draws an
    image, and the decoder's layers refine it: a small U-Net (Ronneberger et al. 2015), which adds what such images lack
    and starts at zero. What it adds is in proportion to the image's contrast: a sky stays smooth, though it be brighter
    than all that were trained on. From ``"pca"`` W and V stay as they are: what the layers see of one part of an image
    holds for every other, and what W and V would learn of few rows does not hold for others. A context comes in as
    constant channels, or through the linear layer that a dense decoder without refinement begins with.

    Parameters
    ----------
    channels : sequence of int, default (16, 32)
        Channels after each layer of the encoder.
    kernel_size, stride : int or sequence of int, default 3 and 2
        One for all layers, or one a layer.
    padding : int, "same" or a sequence of these, default "same"
        ``"same"`` is (kernel_size − 1) // 2: with an odd kernel, only stride and pooling make an image smaller.
    pool : {"max", "average"}, None or a sequence of these, default None
        What follows a layer's activation.
    pool_size : int, "global" or a sequence of these, default 2
        Side of what is pooled, where there is a pool; ``"global"`` is the whole of the image.
    activation : str or Module, default "silu"
        After each hidden layer: a name of PyTorch's in lower case, or a module. Where the feature map is the code, it
        has been through it too.
    code_activation : str, Module or None, default None
        After the encoder's last layer.
    output_activation : str, Module or None, default None
        After the decoder's last layer.
    normalization : {"batch", "layer"} or None, default None
        Between each layer and its activation; ``"layer"`` takes all channels and pixels of a row together.
    upsampling : {"transposed", "nearest", "bilinear"}, default "transposed"
        What the decoder enlarges by: transposed convolutions, or interpolation, each followed by a convolution.
        A mirrored pool is undone by interpolation in either case, by the nearest pixel for ``"transposed"``.
    decoder_channels : sequence of int or None, default None
        Channels after each layer of a decoder of its own but the last, which gives the image's. None is the mirror
        image.
    decoder_kernel_size, decoder_stride : int, sequence of int or None, default None
        Of such a decoder: one for all layers or one a layer, the last included. Transposed convolutions have no padding
        there, and convolutions after interpolation ``"same"``.
    dense : bool, default True
        Whether a linear layer each way lies between feature map and code. With False the code is the feature map
        itself, flattened, channel by channel, there is no linear path, and `n_components` must be its size. A Gaussian
        code's last convolution then gives two maps a channel, without activation.
    linear_path : {"pca", "random"} or None, default "pca"
        Whether there is a linear path, and whether ``fit`` starts it at the data's PCA or at random.
    refine : bool, default True
        Whether a mirrored decoder beside a linear path refines what that has drawn. With False, with a sparse code, and
        where several modalities share a code, the output is V z + g(z), g the decoder's layers, and W and V learn too.
    refine_normalization : {"contrast", "batch", "layer"} or None, default "contrast"
        Between each hidden layer of the refinement and its activation. ``"contrast"`` is ``"layer"``, which takes an
        image's contrast away, and gives it back: what is added is multiplied by the standard deviation of the drawn
        image's pixels around the mean of their channel.

    Examples
    --------
    >>> import torch
    >>> encoder, decoder = Conv(channels=(4, 8)).build((1, 17, 23), n_components=5)
    >>> code = encoder(torch.zeros(2, 1, 17, 23))
    >>> code.shape, decoder(code).shape
    (torch.Size([2, 5]), torch.Size([2, 1, 17, 23]))

    The feature map as the code; an error names its size:

    >>> Conv(dense=False).build((28, 28), n_components=64)
    Traceback (most recent call last):
    ...
    isthmus.errors.InputError: the feature map has 32×7×7 = 1568 units: set n_components=1568

    A decoder of its own, from 12×12 to 14×14 to 28×28:

    >>> network = Conv(
    ...     channels=(4, 16),
    ...     stride=1,
    ...     padding=0,
    ...     pool=(None, "max"),
    ...     decoder_channels=(4,),
    ...     decoder_kernel_size=(3, 2),
    ...     decoder_stride=(1, 2),
    ...     dense=False,
    ... )
    >>> encoder, decoder = network.build((28, 28), n_components=16 * 12 * 12)
    """

    channels: Sequence[int] = (16, 32)
    kernel_size: int | Sequence[int] = 3
    stride: int | Sequence[int] = 2
    padding: int | Literal["same"] | Sequence[int | Literal["same"]] = "same"
    pool: Pool | Sequence[Pool] = None
    pool_size: int | Literal["global"] | Sequence[int | Literal["global"]] = 2
    activation: Activation = "silu"
    code_activation: Activation = None
    output_activation: Activation = None
    normalization: Literal["batch", "layer"] | None = None
    upsampling: Literal["transposed", "nearest", "bilinear"] = "transposed"
    decoder_channels: Sequence[int] | None = None
    decoder_kernel_size: int | Sequence[int] | None = None
    decoder_stride: int | Sequence[int] | None = None
    dense: bool = True
    linear_path: Literal["pca", "random"] | None = "pca"
    refine: bool = True
    refine_normalization: Literal["contrast", "batch", "layer"] | None = "contrast"

    def build(
        self, row_shape: tuple[int, ...], n_components: int, *, moments: int = 1, n_context: int = 0
    ) -> tuple[nn.Module, nn.Module]:
        """Build an encoder and its decoder.

        Parameters
        ----------
        row_shape : tuple of int
            (height, width) or (channels, height, width), in pixels.
        n_components, moments, n_context : int
            As in :meth:`MLP.build`.

        Returns
        -------
        tuple of two Modules
            As in :meth:`MLP.build`.

        Raises
        ------
        ValueError
            If rows are no images or too small for the layers, `n_components` is not the size of a feature map that is
            the code, a decoder's own layers give less than the image, or a parameter has no meaning.
        """
        self._check()
        check_pair(self.linear_path, self.normalization, self.code_activation, moments)
        image, features = _image(row_shape), math.prod(row_shape)
        stages = self._stages(image[1:])
        feature_map = (stages[-1].channels, *stages[-1].after)
        if not self.dense and n_components != (units := math.prod(feature_map)):
            raise InputError(f"the feature map has {_times(feature_map)} = {units} units: set n_components={units}")
        has_linear = self.dense and self.linear_path is not None
        refines = has_linear and self.refine and self.decoder_channels is None
        there = self._there(image, stages, n_components, moments, n_context)
        back = self._unet(image, stages, n_context) if refines else self._back(image, stages, n_components, n_context)
        linear_there = nn.Linear(features + n_context, moments * n_components) if has_linear else None
        linear_back = nn.Linear(n_components + n_context, features) if has_linear else None
        if refines and self.linear_path == "pca":
            for path in (linear_there, linear_back):
                path.requires_grad_(False)  # type: ignore[union-attr]
            there[-1].share_of_rate = DENSE_SHARE  # type: ignore[assignment]
        n_channels = image[0] if self.refine_normalization == "contrast" else None
        path_back = RefinedPath(linear_back, back, n_context, n_channels) if refines else Path(linear_back, back)  # type: ignore[arg-type]
        return (
            Encoder(Path(linear_there, there), build_activation(self.code_activation), features, has_linear),
            Decoder(path_back, build_activation(self.output_activation), row_shape, has_linear),
        )

    def _there(
        self, image: Image, stages: list["_Stage"], n_components: int, moments: int, n_context: int
    ) -> nn.Sequential:
        layers: list[nn.Module] = [Maps(image, n_context)]
        channels = image[0] + n_context
        for stage in stages:
            # A mean and a log-variance may be any numbers: a map that holds them has no activation.
            is_gaussian_code = stage is stages[-1] and not self.dense and moments > 1
            channels_in, channels = channels, stage.channels * (moments if is_gaussian_code else 1)
            layers.append(nn.Conv2d(channels_in, channels, stage.kernel_size, stage.stride, stage.padding))
            if not is_gaussian_code:
                layers += self._activated(channels, self.normalization)
            if stage.pool is not None:
                layers.append(POOLS[stage.pool](stage.pool_size))
        layers.append(nn.Flatten())
        if self.dense:
            layers.append(nn.Linear(channels * math.prod(stages[-1].after), moments * n_components))
            if self.linear_path is not None:
                start_at_zero(layers[-1])
        return nn.Sequential(*layers)

    def _back(self, image: Image, stages: list["_Stage"], n_components: int, n_context: int) -> nn.Sequential:
        feature_map = (stages[-1].channels, *stages[-1].after)
        if self.dense:
            linear = nn.Linear(n_components + n_context, math.prod(feature_map))
            layers = [linear, Maps(feature_map), *self._activated(feature_map[0], self.normalization)]
        else:
            layers = [Maps(feature_map, n_context)]
        channels = feature_map[0] + (0 if self.dense else n_context)
        if self.decoder_channels is None:
            widths = [channels, *(stage.channels for stage in stages[-2::-1]), image[0]]
            steps = self._mirrored(widths, stages)
        else:
            widths = [channels, *_listed(self.decoder_channels), image[0]]
            steps = self._own(widths, stages[-1].after, image[1:])
        for step, channels in zip(steps[:-1], widths[1:], strict=False):
            layers += [*step, *self._activated(channels, self.normalization)]
        if self.dense and self.linear_path is not None:
            for layer in steps[-1]:
                start_at_zero(layer)
        return nn.Sequential(*layers, *steps[-1], nn.Flatten())

    def _unet(self, image: Image, stages: list["_Stage"], n_context: int) -> nn.Sequential:
        """Join the layers that refine an image, from flat rows to flat rows: the encoder's and their mirror image."""
        normalization = "layer" if self.refine_normalization == "contrast" else self.refine_normalization
        down: list[nn.Module] = []
        channels = image[0] + n_context
        for stage in stages:
            layer = nn.Conv2d(channels, stage.channels, stage.kernel_size, stage.stride, stage.padding)
            pool = [] if stage.pool is None else [POOLS[stage.pool](stage.pool_size)]
            down.append(nn.Sequential(layer, *self._activated(stage.channels, normalization), *pool))
            channels = stage.channels
        widths = [channels, *(stage.channels for stage in stages[-2::-1]), image[0]]
        *steps, last = self._mirrored(widths, stages)
        up = [
            nn.Sequential(*step, *self._activated(width, normalization))
            for step, width in zip(steps, widths[1:], strict=False)
        ]
        start_at_zero(nn.Sequential(*last))
        return UNet(Maps(image, n_context), down, [*up, nn.Sequential(*last)])

    def _mirrored(self, widths: list[int], stages: list["_Stage"]) -> list[list[nn.Module]]:
        """Undo each stage, from the last: from the size that it gave to exactly the size that it was given."""
        steps: list[list[nn.Module]] = []
        for (channels_in, channels), stage in zip(pairwise(widths), reversed(stages), strict=True):
            kernel_size, stride, padding = stage.kernel_size, stage.stride, stage.padding
            unstrided = _convolved(stage.before, kernel_size, 1, padding)
            if self.upsampling == "transposed":
                size, mode = stage.convolved, "nearest"
                left_over = ((unstrided[0] - 1) % stride, (unstrided[1] - 1) % stride)  # pixels past the last stride
                layer: nn.Module = nn.ConvTranspose2d(channels_in, channels, kernel_size, stride, padding, left_over)
            else:
                # Interpolation undoes pool and stride; a convolution, padded by the rest of its kernel, undoes another.
                size, mode = unstrided, self.upsampling
                layer = nn.Conv2d(channels_in, channels, kernel_size, padding=kernel_size - 1 - padding)
            steps.append([layer] if size == stage.after else [nn.Upsample(size=size, mode=mode), layer])
        return steps

    def _own(self, widths: list[int], size: Size, image_size: Size) -> list[list[nn.Module]]:
        """Build the decoder's own layers from a feature map of some size on; crop what they give beyond the image."""
        steps: list[list[nn.Module]] = []
        kernel_sizes = self._each("decoder_kernel_size", len(widths) - 1)
        strides = self._each("decoder_stride", len(widths) - 1)
        for (channels_in, channels), kernel_size, stride in zip(pairwise(widths), kernel_sizes, strides, strict=True):
            if self.upsampling == "transposed":
                steps.append([nn.ConvTranspose2d(channels_in, channels, kernel_size, stride)])
                size = ((size[0] - 1) * stride + kernel_size, (size[1] - 1) * stride + kernel_size)
            else:
                size = (size[0] * stride, size[1] * stride)
                padding = _same(kernel_size)
                layer = nn.Conv2d(channels_in, channels, kernel_size, padding=padding)
                steps.append([layer] if stride == 1 else [nn.Upsample(size=size, mode=self.upsampling), layer])
                size = _convolved(size, kernel_size, 1, padding)
        if size[0] < image_size[0] or size[1] < image_size[1]:
            raise InputError(
                f"the decoder's own layers give {_times(size)}, less than the image's {_times(image_size)}: "
                "raise decoder_kernel_size or decoder_stride"
            )
        if size != image_size:
            steps[-1].append(CentralCrop(image_size))
        return steps

    def _activated(self, channels: int, normalization: str | None) -> list[nn.Module]:
        normalized = [] if normalization is None else [NORMALIZATIONS[normalization](channels)]
        return [*normalized, build_activation(self.activation)]

    def _stages(self, size: Size) -> list["_Stage"]:
        """Work out each layer of the encoder, and the map's size on its way through it."""
        names = ("channels", "kernel_size", "stride", "padding", "pool", "pool_size")
        layers = zip(*(self._each(name, len(self.channels)) for name in names), strict=True)
        stages: list[_Stage] = []
        for i, (channels, kernel_size, stride, padding, pool, pool_size) in enumerate(layers, start=1):
            padding = _same(kernel_size) if padding == "same" else padding
            if padding >= kernel_size:
                raise InputError(f"padding={self.padding!r}: layer {i} needs less than its kernel_size={kernel_size}")
            convolved = _convolved(size, kernel_size, stride, padding)
            side = 1 if pool is None or pool_size == "global" else pool_size
            if min(convolved) < side:
                raise InputError(
                    f"layer {i} of Conv leaves nothing of its {_times(size)} map: "
                    "take fewer layers, or a smaller kernel_size, stride or pool_size"
                )
            pooled = convolved if pool is not None and pool_size == "global" else (side, side)
            after = (convolved[0] // pooled[0], convolved[1] // pooled[1])
            stages.append(_Stage(channels, kernel_size, stride, padding, pool, pooled, size, convolved, after))
            size = after
        return stages

    def _each(self, name: str, n_layers: int) -> list[Any]:
        """Return a parameter's value for each layer; a single value is every layer's."""
        value = getattr(self, name)
        values = _listed(value, n_layers)
        if len(values) != n_layers:
            raise InputError(f"{name}={value!r}: give one value for all, or one for each of {n_layers} layers")
        return values

    def _check(self) -> None:
        n_own = sum(getattr(self, name) is not None for name in OF_DECODER)
        if n_own not in (0, len(OF_DECODER)):
            raise InputError("give decoder_channels, decoder_kernel_size and decoder_stride together, or none of them")
        for name in ("channels", "decoder_channels"):
            if values_of(getattr(self, name)) is None and getattr(self, name) is not None:
                raise InputTypeError(
                    f"{name}={getattr(self, name)!r}: give whole numbers in a sequence, such as (16, 32)"
                )
        for name in (*NUMBERS, *(OF_DECODER if n_own else ())):
            _check_numbers(name, getattr(self, name), 0 if name == "padding" else 1, WORDS.get(name))
        if len(self.channels) == 0:
            raise InputError("channels=(): give at least one layer, or take an MLP")
        for name in ("dense", "refine"):
            check_truth_value(name, getattr(self, name))
        for pool in self._each("pool", len(self.channels)):
            if not isinstance(pool, str | None) or pool not in (None, *POOLS):
                raise InputError(f"unknown pool {pool!r}: give 'max', 'average' or None")
        if self.refine_normalization not in (None, "contrast", *NORMALIZATIONS):
            raise InputError(
                f"unknown refine_normalization {self.refine_normalization!r}: give 'contrast', 'batch', 'layer' or None"
            )
        if self.upsampling not in UPSAMPLINGS:
            raise InputError(f"unknown upsampling {self.upsampling!r}: give 'transposed', 'nearest' or 'bilinear'")


class _Stage(NamedTuple):
    """A layer of the encoder, with the size of the map before it, after its convolution, and after its pool."""

    channels: int
    kernel_size: int
    stride: int
    padding: int
    pool: str | None
    pool_size: Size
    before: Size
    convolved: Size
    after: Size


def _image(row_shape: tuple[int, ...]) -> Image:
    if len(row_shape) not in (2, 3):
        raise InputError(
            f"Conv needs images (height, width) or (channels, height, width), and rows have shape {row_shape}"
        )
    *channels, height, width = row_shape
    return (channels[0] if channels else 1, height, width)


def _convolved(size: Size, kernel_size: int, stride: int, padding: int) -> Size:
    height, width = ((side + 2 * padding - kernel_size) // stride + 1 for side in size)
    return height, width


def _same(kernel_size: int) -> int:
    """Return the padding that keeps a map's size at stride 1, for an odd kernel."""
    return (kernel_size - 1) // 2


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(str(side) for side in shape)


def _listed(value: object, n: int = 1) -> list[Any]:
    """Return what a sequence holds, or a single value `n` times; whole numbers of any library as int."""
    values = values_of(value)
    return [int(each) if is_whole(each) else each for each in ([value] * n if values is None else values)]


def _check_numbers(name: str, value: object, least: int, word: str | None) -> None:
    """Raise where `value` is no whole number from `least` on, nor a sequence of such, `word` standing for one too."""
    shown = f"{name}={' '.join(repr(value).split())}"  # an array's may have several lines
    for number in _listed(value):
        if isinstance(number, str) and number == word:
            continue
        if not is_whole(number):
            raise InputTypeError(f"{shown}: give whole numbers" + (f" or {word!r}" if word else ""))
        if number < least:
            raise InputError(f"{shown}: every number must be at least {least}")
