"""Who trains the networks of peers_workloads.py: isthmus, loops written by hand, and other libraries.

A competitor is a function of a workload and its training and test rows. What it returns trains a new network for so
many epochs, and calls `told` at the end of each with a function that measures the loss on the test rows.
"""

import math
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from peers_workloads import HIDDEN, SIGMA, WORKLOADS, Workload, loss, shuffled

Train = Callable[[int, Callable[..., None]], None]


@dataclass(frozen=True)
class Competitor:
    """Prepares one training; `packages` are installed for it, into an environment of their own.

    `models` are trained at once: an epoch sees as many times the rows. `share` is of the rows that it trains on.
    """

    prepare: Callable[[Workload, np.ndarray, np.ndarray], Train]
    workloads: tuple[str, ...]
    packages: tuple[str, ...] = ()
    models: int = 1
    share: float = 1.0


COMPETITORS: dict[str, Competitor] = {}


def competitor(name, *, workloads=tuple(WORKLOADS), **about):
    """Enter a function among the competitors; another column of isthmus is one more such function."""

    def enter(prepare):
        COMPETITORS[name] = Competitor(prepare, workloads, **about)
        return prepare

    return enter


def estimator_of(work, epochs):
    """Return isthmus' public estimator with exactly the network, the loss and the optimiser of the others."""
    from isthmus import Autoencoder, SequenceAutoencoder, VariationalAutoencoder
    from isthmus.networks import LSTM, MLP, Conv

    same = {"max_epochs": epochs, "batch_size": work.batch_size, "lr": work.lr, "lr_schedule": "constant"}
    same |= {"validation_fraction": None, "device": "cpu", "random_state": 0}
    plain = {"activation": "relu", "output_activation": "sigmoid", "linear_path": None}
    if work is WORKLOADS["deep"]:
        return Autoencoder(9, network=MLP(hidden=(128, 64, 36, 18), **plain), **same)
    if work is WORKLOADS["shallow"]:
        return Autoencoder(16, network=MLP(hidden=(512,), **plain), **same)
    if work is WORKLOADS["variational"]:
        network = MLP(hidden=(784, 784), **plain | {"activation": "leaky_relu"})
        return VariationalAutoencoder(64, network=network, sigma=SIGMA, **same)
    if work is WORKLOADS["recurrent"]:
        return SequenceAutoencoder(HIDDEN, network=LSTM(), sigma=1.0, **same)
    network = Conv(
        channels=(16, 4),
        kernel_size=4,
        stride=1,
        padding=0,
        pool=("max", "average"),
        pool_size=(2, 9),
        decoder_channels=(16, 4),
        decoder_kernel_size=(5, 5, 4),
        decoder_stride=2,
        dense=False,
        **plain | {"activation": "leaky_relu"},
    )
    return Autoencoder(4, network=network, **same)


def default_estimator_of(work, epochs):
    """Return isthmus with everything as it comes, but for the widths, the batch size and the number of epochs."""
    from isthmus import Autoencoder, SequenceAutoencoder, VariationalAutoencoder
    from isthmus.networks import MLP, Conv

    asked = {"max_epochs": epochs, "batch_size": work.batch_size, "device": "cpu", "random_state": 0}
    if work is WORKLOADS["deep"]:
        return Autoencoder(9, network=MLP(hidden=(128, 64, 36, 18)), **asked)
    if work is WORKLOADS["shallow"]:
        return Autoencoder(16, network=MLP(hidden=(512,)), **asked)
    if work is WORKLOADS["variational"]:
        return VariationalAutoencoder(64, network=MLP(hidden=(784, 784)), sigma=SIGMA, **asked)
    if work is WORKLOADS["recurrent"]:
        return SequenceAutoencoder(HIDDEN, **asked)
    return Autoencoder(4, network=Conv(), **asked)


def fitted(work, rows, test, estimator_of) -> Train:
    """Train by the `fit` of an estimator of isthmus, which a callback interrupts only to look at the clock."""

    def measure(model):
        if work is WORKLOADS["variational"]:  # the bound, without the density's constant
            return -float(model.score(test)) - test[0].size * math.log(SIGMA * math.sqrt(2 * math.pi))
        return float(np.square(model.reconstruct(test) - test).mean())

    def train(epochs, told):
        model = estimator_of(work, epochs)
        model.callbacks = [lambda record, model: told(lambda: measure(model))]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(rows)

    return train


@competitor("isthmus")
def isthmus(work, rows, test):
    return fitted(work, rows, test, estimator_of)


@competitor("isthmus, compiled")
def isthmus_compiled(work, rows, test):
    return fitted(work, rows, test, lambda *asked: estimator_of(*asked).set_params(compile=True))


@competitor("isthmus, its defaults", share=0.9)
def isthmus_defaults(work, rows, test):
    return fitted(work, rows, test, default_estimator_of)


@competitor("isthmus, 16 at once", workloads=("deep", "shallow"), models=16)
def isthmus_many(work, rows, test):
    """Models that differ in their seeds, trained as one; what each epoch took is known when all have ended."""
    from functools import partial

    from isthmus.training.batched_fits import fit_batched

    def train(epochs, told):
        models = [estimator_of(work, epochs).set_params(random_state=seed) for seed in range(16)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit_batched([partial(model.fit, rows) for model in models])
        for epoch in range(epochs):
            seconds = sum(model.history_[epoch]["seconds"] for model in models)  # of each its share
            told(lambda: float(np.square(models[0].reconstruct(test) - test).mean()), seconds)

    return train


def loop(work, test, batches, **options) -> Train:
    """Train by the loop that one writes by hand."""
    test = torch.from_numpy(test)

    def train(epochs, told):
        network = work.network()
        optimizer = torch.optim.Adam(network.parameters(), lr=work.lr, **options)
        for _ in range(epochs):
            for x in batches():
                error = loss(network(x), x)
                optimizer.zero_grad()
                error.backward()
                optimizer.step()
            told(lambda: work.measure(network, test))

    return train


@competitor("bare loop, Adam")
def bare(work, rows, test):
    rows = torch.from_numpy(rows)
    return loop(work, test, lambda: shuffled(rows, work.batch_size))


@competitor("bare loop, fused Adam")
def bare_fused(work, rows, test):
    rows = torch.from_numpy(rows)
    return loop(work, test, lambda: shuffled(rows, work.batch_size), fused=True)


@competitor("bare loop, compiled step")
def compiled(work, rows, test):
    """Gradient and Adam in one graph; between two trainings weights and moments are set, not made anew."""
    torch._dynamo.config.allow_rnn = True
    rows, test = torch.from_numpy(rows), torch.from_numpy(test)
    network = work.network()
    weights = dict(network.named_parameters())
    weights = {name: weight.detach() for name, weight in weights.items()}
    first, second = ({name: torch.zeros_like(weight) for name, weight in weights.items()} for _ in range(2))
    count = torch.zeros(())

    def loss_of(weights, x):
        return loss(torch.func.functional_call(network, weights, (x,)), x)

    @torch.compile(fullgraph=True, dynamic=False)
    def step(weights, first, second, count, x):
        gradients, error = torch.func.grad_and_value(loss_of)(weights, x)
        count += 1
        rate, root = work.lr / (1 - 0.9**count), (1 - 0.999**count).sqrt()
        for name, gradient in gradients.items():
            first[name].lerp_(gradient, 0.1)
            second[name].mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            weights[name].sub_(rate * first[name] / (second[name].sqrt() / root + 1e-8))
        return error

    def train(epochs, told):
        for name, weight in work.network().state_dict().items():
            weights[name].copy_(weight)
        for moments in (*first.values(), *second.values(), count):
            moments.zero_()
        for _ in range(epochs):
            for x in shuffled(rows, work.batch_size):
                step(weights, first, second, count, x)
            told(lambda: work.measure(network, test))

    return train


class Images(Dataset):
    """Images as torchvision's MNIST and its ToTensor make them, one by one; without the axis of channels if flat."""

    def __init__(self, rows):
        self.row_shape = rows.shape[1:]
        self.pixels = torch.from_numpy((rows * 255).round().astype(np.uint8).reshape(-1, 28, 28))

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, index):
        image = Image.fromarray(self.pixels[index].numpy(), mode=None)
        pixels = torch.from_numpy(np.array(image, np.uint8, copy=True)).view(28, 28, 1)
        return pixels.permute(2, 0, 1).contiguous().to(torch.float32).div(255).view(self.row_shape)


@competitor("loop of tutorials")
def tutorial(work, rows, test):
    dataset = TensorDataset(torch.from_numpy(rows)) if work.dataset == "sines" else Images(rows)
    loader = DataLoader(dataset, batch_size=work.batch_size, shuffle=True)
    return loop(work, test, lambda: (x[0] if isinstance(x, list) else x for x in loader))


@competitor("pythae", packages=("pythae",))
def pythae(work, rows, test):
    from pythae.models import AE, AEConfig, BetaVAE, BetaVAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.pipelines import TrainingPipeline
    from pythae.trainers import BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    is_variational = work is WORKLOADS["variational"]

    class Encoder(BaseEncoder):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x):
            if not is_variational:
                return ModelOutput(embedding=self.net(x))
            mean, log_variance = self.net(x).chunk(2, dim=1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, z):
            return ModelOutput(reconstruction=self.net(z))

    class Told(TrainingCallback):
        def __init__(self, told, network):
            self.tell = lambda: told(lambda: work.measure(network, torch.from_numpy(test)))

        def on_epoch_end(self, training_config, **kwargs):
            self.tell()

    def train(epochs, told):
        network = work.network()
        sizes = {"input_dim": work.row_shape, "latent_dim": 1}  # of its own networks, which are not used
        parts = {"encoder": Encoder(network.encoder), "decoder": Decoder(network.decoder)}
        # ½ squared error + ½ KL: half of the others' loss, to which Adam is blind.
        model = BetaVAE(BetaVAEConfig(beta=0.5, **sizes), **parts) if is_variational else AE(AEConfig(**sizes), **parts)
        with tempfile.TemporaryDirectory() as folder:
            settings = BaseTrainerConfig(
                output_dir=folder,
                num_epochs=epochs,
                per_device_train_batch_size=work.batch_size,
                learning_rate=work.lr,
                no_cuda=True,
            )
            TrainingPipeline(training_config=settings, model=model)(rows, callbacks=[Told(told, network)])

    return train


@competitor("PyOD", workloads=("deep", "shallow"), packages=("pyod",))
def pyod(work, rows, test):
    from pyod.models.auto_encoder import AutoEncoder

    class Detector(AutoEncoder):
        """Its own network has a ReLU on the code and none that is mirrored; it is given the one of the others."""

        def build_model(self):
            self.model = work.network()

        def epoch_update(self):
            self.told(lambda: work.measure(self.model, torch.from_numpy(test)))

    def train(epochs, told):
        plain = {"preprocessing": False, "optimizer_params": {}, "verbose": 0, "device": "cpu"}
        detector = Detector(lr=work.lr, epoch_num=epochs, batch_size=work.batch_size, **plain)
        detector.told = told
        detector.fit(rows)

    return train


@competitor("skorch", packages=("skorch",))
def skorch(work, rows, test):
    from skorch import NeuralNet
    from skorch.callbacks import Callback

    class Net(NeuralNet):
        def get_loss(self, y_pred, y_true, *args, **kwargs):
            return loss(y_pred, y_true)

    class Told(Callback):
        def __init__(self, told):
            self.told = told

        def on_epoch_end(self, net, **kwargs):
            self.told(lambda: work.measure(net.module_, torch.from_numpy(test)))

    def train(epochs, told):
        net = Net(
            work.network,
            criterion=nn.MSELoss,
            optimizer=torch.optim.Adam,
            lr=work.lr,
            max_epochs=epochs,
            batch_size=work.batch_size,
            iterator_train__shuffle=True,
            train_split=None,
            verbose=0,
            callbacks=[("told", Told(told))],
        )
        net.fit(rows, rows)

    return train


@competitor("JAX", packages=("jax", "optax"))
def jax(work, rows, test):
    from peers_jax import prepare

    return prepare(work, rows, test)
