"""Where the time of a training step goes: isthmus' loop beside the bare loop, part by part. `peers.py --profile`.

With one thread it is the processor's time, which other programs on the machine hardly change; with several the clock's.
"""

import contextlib
import functools
import statistics
import time
from collections import defaultdict
from unittest.mock import patch

import lightning_fabric
import torch
from lightning_fabric.wrappers import _FabricOptimizer

from isthmus import datasets
from isthmus.core import model as core
from isthmus.core.bottlenecks.gaussian import GaussianBottleneck
from isthmus.core.likelihoods import gaussian
from isthmus.networks import lstm, pair
from isthmus.sources.memory import MemorySource
from isthmus.training import loop, step
from isthmus.training.adam import FusedAdam
from isthmus.training.state import State
from peers_competitors import estimator_of
from peers_workloads import WORKLOADS, loss, sines

EPOCHS, ROUNDS = 2, 5
WHOLE = "the whole step"
PARTS = [  # where it is, its name there, and what it is called here
    (pair.Encoder, "forward", "network, forward"),
    (pair.Decoder, "forward", "network, forward"),
    (lstm.Encoder, "forward", "network, forward"),
    (lstm.Decoder, "forward", "network, forward"),
    (GaussianBottleneck, "__call__", "code and its KL"),
    (GaussianBottleneck, "measure", "figures for the record"),
    (gaussian.Gaussian, "fit", "loss"),
    (step, "outcome_of", "terms around the network"),
    (core.Model, "row_losses", "weights of the terms"),
    (torch.optim.Optimizer, "zero_grad", "zero_grad"),
    (FusedAdam, "zero_grad", "zero_grad"),
    (torch.Tensor, "backward", "backward"),
    (lightning_fabric.Fabric, "backward", "Fabric around backward"),
    (torch.optim.Adam, "step", "Adam"),
    (FusedAdam, "step", "Adam"),
    (_FabricOptimizer, "step", "Fabric around Adam"),
    (step, "figures_of", "figures for the record"),
    (loop, "check_epoch", "look for spikes"),
    (State, "snapshot", "snapshot of the epoch"),
    (loop, "as_in_training", "probe after the epoch"),
]


class Spans:
    """Seconds in each part, less those in the parts inside of it."""

    def __init__(self):
        self.now = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
        self.seconds = defaultdict(float)
        self.inside = []

    @contextlib.contextmanager
    def span(self, name):
        self.inside.append(0.0)
        began = self.now()
        try:
            yield
        finally:
            whole = self.now() - began
            self.seconds[name] += whole - self.inside.pop()
            if self.inside:
                self.inside[-1] += whole

    def timed(self, function, name):
        @functools.wraps(function)
        def run(*args, **kwargs):
            with self.span(name):
                return function(*args, **kwargs)

        return run

    def each(self, generator_function, name):
        @functools.wraps(generator_function)
        def run(*args, **kwargs):
            items = generator_function(*args, **kwargs)
            while True:
                with self.span(name):
                    item = next(items, None)
                if item is None:
                    return
                yield item

        return run


def of_isthmus(work, rows):
    """Return the microseconds a step of each part of isthmus' fit, its first epoch left out."""
    spans, began = Spans(), []

    def told(record):
        if record["epoch"] == 1:
            spans.seconds.clear()
        began.append(spans.now())
        if len(began) == 1 + EPOCHS:
            spans.seconds["whole"] = began[-1] - began[0]
            spans.seconds, spans.kept = defaultdict(float), spans.seconds

    with contextlib.ExitStack() as patches:
        patches.enter_context(patch.object(MemorySource, "batches", spans.each(MemorySource.batches, "batches")))
        for owner, name, called in PARTS:
            patches.enter_context(patch.object(owner, name, spans.timed(getattr(owner, name), called)))
        model = estimator_of(work, 1 + EPOCHS)
        model.callbacks = [told]
        model.fit(rows)
    return per_step(spans.kept, work, rows)


def of_bare(work, rows):
    """Return the same of the bare loop with fused Adam."""
    spans, rows = Spans(), torch.from_numpy(rows)
    network = work.network()
    optimizer = torch.optim.Adam(network.parameters(), lr=work.lr, fused=True)
    for epoch in range(1 + EPOCHS):
        if epoch == 1:
            spans.seconds.clear()
            began = spans.now()
        for index in torch.randperm(len(rows)).split(work.batch_size):
            with spans.span("batches"):
                x = rows[index]
            with spans.span("network, forward"):
                output = network(x)
            with spans.span("loss"):
                error = loss(output, x)
            with spans.span("zero_grad"):
                optimizer.zero_grad()
            with spans.span("backward"):
                error.backward()
            with spans.span("Adam"):
                optimizer.step()
    spans.seconds["whole"] = spans.now() - began
    return per_step(spans.seconds, work, rows)


def per_step(seconds, work, rows):
    steps = EPOCHS * len(rows) / work.batch_size
    parts = {name: 1e6 * value / steps for name, value in seconds.items()}
    whole = parts.pop("whole")
    return parts | {"the rest": whole - sum(parts.values()), WHOLE: whole}


def profile(asked):
    """Print a table: medians of rounds, of which each trains both."""
    torch.set_num_threads(asked.threads)
    for name in asked.workloads:
        work = WORKLOADS[name]
        count = round(asked.share * work.rows / work.batch_size) * work.batch_size
        rows = sines(count) if work.dataset == "sines" else datasets.load(work.dataset).X[:count]
        rows = rows.reshape(count, *work.row_shape).astype("float32")
        rounds = [(of_isthmus(work, rows), of_bare(work, rows)) for _ in range(ROUNDS)]
        ours, bare = (medians(column) for column in zip(*rounds, strict=True))
        print(f"{name}: {work.title}; {asked.threads} threads asked for; microseconds a step\n")
        print("| | isthmus | % | bare loop, fused Adam | % |\n|---|---|---|---|---|")
        for part in sorted(ours, key=lambda part: (part == WHOLE, -ours[part])):
            theirs = f"{bare[part]:.1f} | {100 * bare[part] / bare[WHOLE]:.0f}" if part in bare else "– | –"
            print(f"| {part} | {ours[part]:.1f} | {100 * ours[part] / ours[WHOLE]:.0f} | {theirs} |")
        print()


def medians(rounds):
    return {part: statistics.median(each[part] for each in rounds) for part in rounds[0]}
