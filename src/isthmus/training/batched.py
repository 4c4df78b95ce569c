"""Runs whose models share one shape, trained as one batched model: their weights stacked, a step of all at once.

Each model has its own rows, seed, learning rate and weights on its terms. What a run draws, it draws from its own
generator in the order in which it would draw by itself; what is computed of it differs by rounding alone.
"""

import copy
import functools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from isthmus.core.batch import Batch
from isthmus.core.bottlenecks.gaussian import GaussianBottleneck
from isthmus.core.drawn import Drawn, standard_normal
from isthmus.core.model import Model
from isthmus.core.sigma import set_sigmas
from isthmus.core.source import Source, cuts
from isthmus.errors import InputError
from isthmus.training.batched_compiled import BatchedGraph
from isthmus.training.callbacks import Record
from isthmus.training.compiled import said, tell_why_not
from isthmus.training.evaluated import by_row, evaluated, figures_of
from isthmus.training.figures import LOOK
from isthmus.training.loop import SIGMA_ROWS, Interrupted
from isthmus.training.spikes import SpikeError, check_spike, probe_batch, start_of
from isthmus.training.stack import Stack, rates_of
from isthmus.training.state import Best, Evaluation, State

if TYPE_CHECKING:
    from lightning_fabric import Fabric

KEPT_NUMBERS = 2**23
"""Numbers in stacked rows that are the same each epoch up to which they are kept."""

HEAP = 2**23 - 2**12
"""Numbers in a tensor of just under 32 MB: glibc keeps what is freed of such sizes, once one was, and need not ask the
system for fresh pages, which cost more than the gradients in them."""

Rows = dict[str, Tensor]
"""What a step of all models is given: the rows, what is shown of them and what is drawn, stacked."""

Figures = dict[str, Tensor]


@dataclass(eq=False)
class Run:
    """One call of :func:`isthmus.training.loop.run`, and what became of it."""

    fabric: "Fabric"
    state: State
    train: Source
    validation: Source | None
    options: dict[str, Any]
    """``epochs``, ``batch_size``, ``at_once``, ``callbacks``, ``roll_back`` and ``compiled``."""

    failed: bool = False
    """Whether its loss spiked or was not finite: it is to be trained by itself, from its start."""

    shape: tuple[object, ...] | None = None
    """What those have in common that are trained as one with it."""

    begun: tuple[dict[str, Tensor], Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.begun = (copy.deepcopy(self.state.model.state_dict()), self.state.generator.get_state())

    def begin_again(self) -> None:
        """Put the weights, and what is drawn from, back to where they were."""
        state = self.state
        state.model.load_state_dict(self.begun[0])
        state.generator.set_state(self.begun[1])
        state.best = state.start = None
        state.history.clear()
        state.epoch = 0


class BatchedTraining:
    """The training of runs that share one shape, and go on epoch by epoch with one another."""

    def __init__(self, runs: Sequence[Run], stop: Callable[[], bool]) -> None:
        n_steps = [run.options["epochs"] * len(cuts(len(run.train), run.options["batch_size"])) for run in runs]
        rates = rates_of([run.state for run in runs], n_steps)
        first_of = {id(each): k for k, each in reversed(list(enumerate(rates)))}
        order = sorted(range(len(runs)), key=lambda k: first_of[id(rates[k])])  # one step of Adam for those of one rate
        self.runs, self.rates = [runs[k] for k in order], [rates[k] for k in order]
        self.stop = stop
        first = self.runs[0]
        self.options, self.monitor = first.options, first.state.monitor
        self.stack = Stack([run.state.model for run in self.runs])
        names = {id(weight): name for name, weight in first.state.model.named_parameters()}
        groups = first.state.optimizer.param_groups
        self.names = [[names[id(weight)] for weight in group["params"]] for group in groups]
        self.sigma_rows = [run.train.sample(SIGMA_ROWS) for run in self.runs]
        self._kept: dict[str, list[tuple[Rows, int]]] = {}
        self.epochs, self.over = 0, set[int]()
        self.generators = [run.state.generator for run in self.runs]
        self.function = batched(self.stack.skeleton, None)
        self.graph: BatchedGraph | None = None
        if self.options["compiled"]:
            self.graph = BatchedGraph(self.stack, self.function, self.names, self.rates)

    def epoch(self) -> None:
        """Train for one epoch; runs that are over, or fail, go no further."""
        began, sizes, steps = time.perf_counter(), [], []
        self.stack.skeleton.train()
        models = [run.state.model for run in self.runs]
        shares = shares_of(models, self.epochs)
        sources = [
            run.train.batches(self.options["batch_size"], generator)
            for run, generator in zip(self.runs, self.generators, strict=True)
        ]
        for batches in zip(*sources, strict=True):
            rows = stacked_rows(models, batches, self.generators)
            steps.append(self._step(rows, shares))
            sizes.append(batches[0].n_rows)
            if self.stop():
                raise Interrupted(2)
        self.epochs += 1
        self._end(_columns(steps), np.array(sizes, float), began)

    def _step(self, rows: Rows, shares: Rows) -> Figures:
        """Change all weights by a batch of each model, and return their figures."""
        stack = self.stack
        if self.graph is not None and rows["x"].shape[1] == min(self.options["batch_size"], len(self.runs[0].train)):
            try:
                return self.graph(rows, shares)
            except Exception as error:  # of dynamo, of the compiler, of the linker: the eager step says what is true
                tell_why_not(said(error))
                self.graph = None
        _, figures, losses = self.function(stack.weights(), stack.buffers, rows, shares)
        gradients = torch.autograd.grad(losses.sum(), list(stack.bases.values()))
        with torch.no_grad():
            stack.update(gradients, self.names, self.rates)
        return figures

    def _end(self, columns: dict[str, np.ndarray], sizes: np.ndarray, began: float) -> None:
        """Look at what the epoch has left, write it down, and sort out the runs that go no further."""
        found = _means(columns, sizes)
        probed = self._evaluation("probe", training=True)[0]
        going = [(k, self.runs[k]) for k in self.going]
        for k, run in going:
            set_sigmas(run.state.model, self.sigma_rows[k])  # which writes into the stack
        validated = self._evaluation("validation") if self.runs[0].validation is not None else None
        seconds = (time.perf_counter() - began) / len(going)
        for k, run in going:
            state, probe = run.state, {name: float(values[k]) for name, values in probed.items()}
            losses = columns["loss"][:, k]
            run.failed = not (np.isfinite(losses).all() and math.isfinite(probe["loss"])) or self._spikes(
                state, columns["mse"][:, k], losses, sizes, probe
            )
            if run.failed:
                continue
            state.epoch += 1
            record: Record = {"epoch": state.epoch, "seconds": seconds}
            record["train"] = {name: float(values[k]) for name, values in found.items()}
            if validated is not None and state.best is not None:
                record["validation"] = {name: float(values[k]) for name, values in validated[0].items()}
                state.best.consider(state.model, Evaluation(record["validation"], validated[1][k]), state.epoch)
            state.history.append(record)
            state.stopped = sum(bool(callback(record)) for callback in run.options["callbacks"]) > 0
        self._go_on([k for k, run in going if not run.failed and not run.state.stopped])

    def _spikes(
        self, state: State, mse: np.ndarray, losses: np.ndarray, sizes: np.ndarray, probe: dict[str, float]
    ) -> bool:
        """Tell whether the run would step back, looking as often as it would."""
        if state.start is None:
            return False
        sums = [np.cumsum(np.nan_to_num(each) * sizes) for each in (mse, losses)]
        rows = np.cumsum(sizes)
        try:
            for i in sorted({*range(LOOK - 1, len(sizes), LOOK), len(sizes) - 1}):
                found = {"mse": sums[0][i] / state.start.rows, "loss": sums[1][i] / rows[i]}
                check_spike(state, found, state.start.means)
            check_spike(state, probe, state.start.probe)
        except SpikeError:
            return True
        return False

    def _go_on(self, kept: list[int]) -> None:
        """Train on with these runs alone; in a compiled graph, which is of so many, the others stay for nothing."""
        ended = set(self.going) - set(kept)
        for k in ended:
            finish(self.runs[k])
            self.over.add(k)
            self.generators[k] = torch.Generator()
        if self.graph is not None or not ended or not kept:
            return
        self.runs, self.rates = [self.runs[k] for k in kept], [self.rates[k] for k in kept]
        self.sigma_rows = [self.sigma_rows[k] for k in kept]
        self.generators = [self.generators[k] for k in kept]
        self.over.clear()
        self._kept.clear()
        self.stack.only(kept, [run.state.model for run in self.runs])

    @property
    def going(self) -> list[int]:
        """The numbers of the runs that are not over."""
        return [k for k in range(len(self.runs)) if k not in self.over]

    def _evaluation(self, which: str, *, training: bool = False) -> tuple[dict[str, np.ndarray], Tensor]:
        """Return the means of the terms of rows that are not trained on, and each row's measure; a row a model."""
        self.stack.skeleton.train(training)
        function, steps, sizes, measures = batched(self.stack.skeleton, self.monitor), [], [], []
        shares = shares_of([run.state.model for run in self.runs], math.inf)
        with torch.no_grad():
            for rows, size in self._same_each_epoch(which):
                by_rows, figures, _ = function(self.stack.weights(), self.stack.buffers, rows, shares)
                steps.append(figures)
                sizes.append(size)
                measures.append(by_rows)
        return _means(_columns(steps), np.array(sizes, float)), torch.cat(measures, 1)

    def _same_each_epoch(self, which: str) -> Iterable[tuple[Rows, int]]:
        """Give the rows that are looked at after each epoch, with the same draws each time; few are kept."""
        if which in self._kept:
            return self._kept[which]
        numbers, found = 0, []
        for rows, size in self._looked_at(which):
            numbers += sum(tensor.numel() for tensor in rows.values())
            if numbers > KEPT_NUMBERS:
                return self._looked_at(which)
            found.append((rows, size))
        self._kept[which] = found
        return found

    def _looked_at(self, which: str) -> Iterator[tuple[Rows, int]]:
        sources: list[Iterable[Batch]] = []
        for run in self.runs:
            if which == "probe":
                sources.append(
                    [probe_batch(run.state, functools.partial(run.train.batches, self.options["batch_size"]))]
                )
            elif run.validation is not None:
                sources.append(run.validation.batches(self.options["at_once"]))
        generators = [torch.Generator(run.state.device).manual_seed(0) for run in self.runs]
        for batches in zip(*sources, strict=True):
            yield stacked_rows([run.state.model for run in self.runs], batches, generators), batches[0].n_rows


def batched(skeleton: Model, monitor: str | None) -> Callable[..., tuple[Any, Figures, Tensor]]:
    """Return the function of stacked weights, buffers, rows and shares that takes the terms of all models at once."""

    def one(weights: Rows, buffers: Rows, rows: Rows, shares: Rows) -> tuple[Any, Figures, Tensor]:
        batch = Batch(rows["x"], rows.get("context"), rows.get("observed"))
        shown = Batch._make(rows.get(f"shown_{name}", value) for name, value in batch._asdict().items())
        drawn = Drawn(rows["noise"]) if "noise" in rows else None
        outcome = functional_call(skeleton, (weights, buffers), (batch, shown, drawn))
        terms = (shares[name] * term if name in shares else term for name, term in outcome.terms.items())
        row_losses = functools.reduce(torch.add, terms)
        loss = row_losses.mean()
        figures = figures_of(skeleton, outcome, loss, batch)
        if monitor is None:
            return (), figures, loss
        is_loss = monitor == "loss" or monitor not in figures
        return row_losses if is_loss else by_row(monitor, outcome, figures, batch), figures, loss

    return torch.vmap(one)


def shares_of(models: Sequence[Model], epoch: float) -> Rows:
    """Return each model's weights of the terms, after so many epochs, where one is, or was, another than 1."""
    like, shares = next(models[0].parameters()), {}
    for name in {*models[0].weights, *models[0].warm_up}:
        if any(name in model.warm_up or model.weight(name) != 1 for model in models):
            shares[name] = like.new_tensor([model.weight(name, epoch) for model in models])
    return shares


def stacked_rows(models: Sequence[Model], batches: Sequence[Batch], generators: Sequence[torch.Generator]) -> Rows:
    """Draw, for each model by its own generator, what it is shown and its code's noise, and stack all."""
    columns: dict[str, list[Tensor]] = {}
    for model, batch, generator in zip(models, batches, generators, strict=True):
        shown = model.corrupt(batch, generator)
        found = {name: value for name, value in batch._asdict().items() if value is not None}
        others = shown._asdict().items()
        found |= {f"shown_{name}": value for name, value in others if value is not getattr(batch, name)}
        if isinstance(model.bottleneck, GaussianBottleneck):
            found["noise"] = standard_normal(batch.x.new_empty(1).expand(batch.n_rows, width_of_code(model)), generator)
        for name, value in found.items():
            columns.setdefault(name, []).append(value)
    return {name: torch.stack(values) for name, values in columns.items()}


def width_of_code(model: Model) -> int:
    """Return how many units the code has, which the last layer of the encoder says."""
    layers = [part for part in model.encoder.modules() if isinstance(part, torch.nn.Linear)]
    return layers[-1].out_features // int(model.bottleneck.n_params)


def _columns(steps: Sequence[Figures]) -> dict[str, np.ndarray]:
    """Return each figure of all steps, of shape (steps, models)."""
    return {name: torch.stack([step[name] for step in steps]).double().cpu().numpy() for name in steps[0]}


def _means(columns: dict[str, np.ndarray], sizes: np.ndarray) -> dict[str, np.ndarray]:
    """Average over rows; the squared error over batches of which something is known."""
    means = {name: (sizes / sizes.sum()) @ column for name, column in columns.items()}
    known = np.where(np.isnan(columns["mse"]), 0, sizes[:, None])
    if not (known == sizes[:, None]).all():
        with np.errstate(invalid="ignore"):
            means["mse"] = (np.nan_to_num(columns["mse"]) * known).sum(0) / known.sum(0)
    return means


def finish(run: Run) -> None:
    """Give a model weights of its own: the best, or those that it has, or its first where it is to begin again."""
    state = run.state
    for weight in state.model.parameters():
        weight.data = weight.data.clone(memory_format=torch.contiguous_format)
    if run.failed:
        run.begin_again()
    elif state.best is not None:
        state.model.load_state_dict(state.best.weights)


def _begin(run: Run) -> None:
    """Look at the rows before the first step, as the run would by itself."""
    state, options = run.state, run.options
    if run.validation is not None:
        state.best = Best.begin(
            state.model, evaluated(state, run.validation.batches(options["at_once"])), state.monitor
        )
    if options["roll_back"]:
        asked = {name: options[name] for name in ("epochs", "batch_size", "at_once")}
        state.start = start_of(state, run.train, **asked)


def train_batched(runs: Sequence[Run], stop: Callable[[], bool] = lambda: False) -> None:
    """Train runs of one shape to their ends; those that `failed` are back at their start."""
    torch.empty(HEAP)
    try:
        for run in runs:
            _begin(run)
        training = BatchedTraining(runs, stop)
        for _ in range(training.options["epochs"]):
            if training.going:
                training.epoch()
        for k in training.going:
            finish(training.runs[k])
    except (InputError, MemoryError, RuntimeError):  # one of them raises it by itself, or there is memory for few
        for run in runs:
            run.failed = True
            finish(run)
