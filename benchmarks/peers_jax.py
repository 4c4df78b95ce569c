"""The networks of peers_workloads.py in JAX: an epoch is one compiled function, a scan over its batches."""

import functools
import math

import jax
import jax.numpy as jnp
import optax
from jax import lax
from torch import nn

from peers_workloads import STEPS, VariationalPair

MAPS = ("NCHW", "OIHW", "NCHW")


def prepare(work, rows, test):
    """Return what trains the network that torch would build, from the weights that torch would draw."""
    template, optimizer = work.network(), optax.adam(work.lr)
    is_variational = isinstance(template, VariationalPair)
    rows, test = jnp.asarray(rows), jnp.asarray(test)

    def loss(weights, x, key):
        h = applied(template.encoder, "encoder", weights, x)
        if not is_variational:
            return jnp.square(applied(template.decoder, "decoder", weights, h) - x).mean()
        mean, log_variance = jnp.split(h, 2, axis=1)
        z = mean + jnp.exp(log_variance / 2) * jax.random.normal(key, mean.shape)
        divergence = 0.5 * (jnp.square(mean) + jnp.exp(log_variance) - 1 - log_variance).sum(1)
        error = jnp.square(applied(template.decoder, "decoder", weights, z) - x).sum(1)
        return (error + divergence).mean()

    def step(state, given):
        weights, moments = state
        index, key = given
        error, gradient = jax.value_and_grad(loss)(weights, rows[index], key)
        changes, moments = optimizer.update(gradient, moments)
        return (optax.apply_updates(weights, changes), moments), error

    @jax.jit
    def epoch(state, key):
        order = jax.random.permutation(key, len(rows)).reshape(-1, work.batch_size)
        return lax.scan(step, state, (order, jax.random.split(key, len(order))))

    measure = jax.jit(loss)

    def train(epochs, told):
        weights = {name: jnp.asarray(weight.numpy()) for name, weight in work.network().state_dict().items()}
        state, key = (weights, optimizer.init(weights)), jax.random.key(0)
        for _ in range(epochs):
            key, now = jax.random.split(key)
            state, errors = epoch(state, now)
            jax.block_until_ready((state, errors))
            told(functools.partial(measured, measure, state[0], test, key))

    return train


def measured(measure, weights, test, key):
    return float(measure(weights, test, key))


def applied(module, name, weights, x):
    """Return what a module of torch gives, its weights being found by their names."""
    of = functools.partial(parameter, weights, name)
    match module:
        case nn.Sequential():
            for i, layer in enumerate(module):
                x = applied(layer, f"{name}.{i}", weights, x)
            return x
        case nn.Linear():
            return x @ of("weight").T + of("bias")
        case nn.ReLU():
            return jax.nn.relu(x)
        case nn.LeakyReLU():
            return jax.nn.leaky_relu(x, module.negative_slope)
        case nn.Sigmoid():
            return jax.nn.sigmoid(x)
        case nn.Flatten():
            return x.reshape(len(x), -1)
        case nn.Unflatten():
            return x.reshape(len(x), *module.unflattened_size)
        case nn.Conv2d():
            maps = lax.conv_general_dilated(x, of("weight"), (1, 1), "VALID", dimension_numbers=MAPS)
            return maps + of("bias")[:, None, None]
        case nn.ConvTranspose2d():
            return transposed(module, of("weight"), x) + of("bias")[:, None, None]
        case nn.MaxPool2d() | nn.AvgPool2d():
            return pooled(module, x)
    return recurrent(module, name, weights, x)


def parameter(weights, name, last):
    return weights[f"{name}.{last}"]


def transposed(module, kernel, x):
    """Return a transposed convolution without padding: the maps spread out, then the kernel turned round."""
    margin = module.kernel_size[0] - 1
    kernel = jnp.flip(kernel, (2, 3)).swapaxes(0, 1)
    return lax.conv_general_dilated(
        x, kernel, (1, 1), [(margin, margin)] * 2, lhs_dilation=module.stride, dimension_numbers=MAPS
    )


def pooled(module, x):
    size = (1, 1, module.kernel_size, module.kernel_size)
    if isinstance(module, nn.MaxPool2d):
        return lax.reduce_window(x, -jnp.inf, lax.max, size, size, "VALID")
    return lax.reduce_window(x, 0.0, lax.add, size, size, "VALID") / math.prod(size)


def recurrent(module, name, weights, x):
    """Return the last state of a sequence, or the sequence that a code is unrolled to."""
    w, u, b, c = (weights[f"{name}.lstm.{each}_l0"] for each in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))

    def step(state, inputs):
        h, cell = state
        i, f, g, o = jnp.split(inputs + h @ u.T, 4, axis=1)
        cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(cell)
        return (h, cell), h

    if name == "encoder":
        start = jnp.zeros((2, len(x), u.shape[1]), x.dtype)
        return lax.scan(step, tuple(start), x.swapaxes(0, 1) @ w.T + b + c)[0][0]
    state = x @ weights[f"{name}.state.weight"].T + weights[f"{name}.state.bias"]
    inputs = jnp.broadcast_to(x @ w.T + b + c, (STEPS, len(x), len(b)))
    _, states = lax.scan(step, tuple(jnp.split(state, 2, axis=1)), inputs)
    frames = states @ weights[f"{name}.frame.weight"].T + weights[f"{name}.frame.bias"]
    return jnp.flip(frames.swapaxes(0, 1), 1)
