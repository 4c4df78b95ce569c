"""Parts of a person's own: those of docs/own-parts.md fit, score, are saved, and are loaded where they are trusted."""

import functools
import re
import sys
import types
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import isthmus
from isthmus import Autoencoder, VariationalAutoencoder
from isthmus.models.units import of_no_use
from isthmus.parts import Code, Fit, Forward, GaussianBottleneck
from isthmus.training import Interrupted
from test_resume import StopAfter, assert_same

PAGE = (Path(__file__).parent.parent / "docs" / "own-parts.md").read_text(encoding="utf-8")
own = types.ModuleType("own_parts_page")
sys.modules["own_parts_page"] = own
for block in re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
    exec(compile(block, "own-parts.md", "exec"), own.__dict__)

ROWS = np.random.default_rng(0).normal(size=(120, 6)).astype(np.float32)
SMALL = {"n_components": 2, "max_epochs": 2, "random_state": 0}
LAST = SMALL | {"validation_fraction": None}


def noisy(x, generator=None):
    return x + torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)


def noisy_by_itself(x, generator=None):
    return x + torch.randn_like(x)


def slow_adagrad(groups):
    return torch.optim.Adagrad(groups, lr_decay=0.1)


def slow_adagrad_by(decay, groups):
    return torch.optim.Adagrad(groups, lr_decay=decay)


@functools.lru_cache
def cached(x, generator=None):
    return x


class WideTerm(own.Laplace):
    def forward(self, parameters):
        return WideRows(parameters)


class WideRows(own.LaplaceRows):
    def fit(self, x, observed=None):
        return Fit({"reconstruction": self.log_density(x)}, super().fit(x, observed).squared_error)


class Forgetful(own.FSQ):
    def __init__(self, steps=5):
        super().__init__(steps)


MODELS = {
    "laplace": (Autoencoder, lambda: {"likelihood": own.Laplace()}, [own.Laplace]),
    "tv": (Autoencoder, lambda: {"penalties": {"tv": (own.total_variation, 0.1)}}, [own.total_variation]),
    "fsq": (Autoencoder, lambda: {"bottleneck": own.FSQ(7)}, [own.FSQ]),
    "vq": (Autoencoder, lambda: {"bottleneck": own.VQ(8, 2)}, [own.VQ]),
    "tc": (VariationalAutoencoder, lambda: {"penalties": {"tc": (own.total_correlation, 2)}}, [own.total_correlation]),
    "mmd": (Autoencoder, lambda: {"penalties": {"mmd": (own.mmd, 10.0)}}, [own.mmd]),
    "corruption": (Autoencoder, lambda: {"corruption": noisy}, [noisy]),
    "prior": (
        VariationalAutoencoder,
        lambda: {"bottleneck": GaussianBottleneck(own.LaplacePrior(0.5))},
        [own.LaplacePrior],
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_it_fits_scores_and_is_saved(name, tmp_path):
    family, params, trusted = MODELS[name]
    model = family(**(LAST if name in ("laplace", "corruption", "fsq", "vq", "prior") else SMALL), **params()).fit(ROWS)
    assert np.isfinite(model.score_samples(ROWS)).all()
    assert model.transform(ROWS).shape == (120, 2)
    if "penalties" in params():
        assert set(params()["penalties"]) <= set(model.history_[0]["train"]) & set(model.history_[0]["validation"])
    else:
        assert not np.array_equal(model.score_samples(ROWS), family(**LAST).fit(ROWS).score_samples(ROWS))
    model.save(tmp_path / "m")
    again = isthmus.load(tmp_path / "m", trusted=trusted)
    np.testing.assert_array_equal(again.score_samples(ROWS), model.score_samples(ROWS))
    path = f"{trusted[0].__module__}:{trusted[0].__qualname__}"
    if trusted[0] is not noisy:
        path = path.replace("builtins:", "own_parts_page:")
    isthmus.load(tmp_path / "m", trusted=path)
    with pytest.raises(ValueError, match=r"it holds a part of your own, .*: give it, load\(folder, trusted="):
        isthmus.load(tmp_path / "m")


def test_laplace_is_torchs():
    x, mean = torch.randn(5, 3), torch.randn(5, 3)
    expected = torch.distributions.Laplace(mean, 1.0).log_prob(x)
    torch.testing.assert_close(own.Laplace()(mean).log_density(x), expected)
    torch.testing.assert_close(own.Laplace()(mean).fit(x).log_prob, expected.sum(1))


def test_codes_are_on_the_grid_and_in_the_codebook():
    codes = Autoencoder(**SMALL, bottleneck=own.FSQ(5)).fit_transform(ROWS)
    np.testing.assert_allclose(codes * 2, (codes * 2).round(), atol=1e-6)
    model = Autoencoder(**SMALL, bottleneck=own.VQ(8, 2)).fit(ROWS)
    book = model.module_.state_dict()["bottleneck.codebook"].numpy()
    assert np.abs(model.transform(ROWS)[:, None] - book).sum(2).min(1).max() < 1e-6
    assert "vq" in model.history_[0]["train"]


def test_the_decomposition_is_the_kl():
    mean, log_variance = torch.randn(50, 3), torch.randn(50, 3)
    z = mean + (log_variance / 2).exp() * torch.randn(50, 3)
    q = torch.distributions.Normal(mean, (log_variance / 2).exp()).log_prob(z).sum(1)
    p = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
    torch.testing.assert_close(sum(own.decomposition(Code(z, mean, {}, log_variance))), q - p)


def test_mmd_is_a_double_sum():
    z = torch.randn(9, 2)
    found = own.mmd(Forward(None, (), None, Code(z, z, {}), torch.Generator().manual_seed(3)))
    prior = torch.randn(z.shape, generator=torch.Generator().manual_seed(3))

    def k(a, b):
        return float(4 / (4 + (a - b).square().sum()))

    pairs = [(i, j) for i in range(9) for j in range(9)]
    alike = sum(k(z[i], z[j]) + k(prior[i], prior[j]) for i, j in pairs if i != j) / 72
    assert float(found) == pytest.approx(alike - 2 * sum(k(z[i], prior[j]) for i, j in pairs) / 81, abs=1e-5)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, partial(torch.optim.SGD, momentum=0.9), torch.optim.RMSprop])
def test_a_run_goes_on_to_the_bit(tmp_path, optimizer):
    params = {**LAST, "max_epochs": 4, "optimizer": optimizer, "lr_schedule": "constant", "lr": 1e-2}
    whole = Autoencoder(**params).fit(ROWS)
    assert not np.array_equal(whole.transform(ROWS), Autoencoder(**params | {"optimizer": None}).fit_transform(ROWS))

    def interrupt(record):
        if record["epoch"] == 2:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        Autoencoder(**params, callbacks=[interrupt]).fit(ROWS, resume_from=tmp_path, checkpoint_minutes=0)
    again = Autoencoder(**params).fit(ROWS, resume_from=tmp_path)
    np.testing.assert_array_equal(again.transform(ROWS), whole.transform(ROWS))
    with pytest.raises(ValueError, match="is of a run with optimizer="):
        Autoencoder(**params | {"optimizer": torch.optim.Adagrad}).fit(ROWS, resume_from=tmp_path)


@pytest.mark.parametrize("steps", [3, 13])
@pytest.mark.parametrize("optimizer", [partial(torch.optim.SGD, momentum=0.9), torch.optim.RMSprop, slow_adagrad])
def test_a_run_stopped_inside_an_epoch_goes_on_to_the_bit(tmp_path, monkeypatch, optimizer, steps):
    torch.manual_seed(0)  # of the codebook
    parts = {"optimizer": optimizer, "bottleneck": own.VQ(8, 2), "corruption": noisy, "likelihood": own.Laplace}
    params = SMALL | parts | {"batch_size": 16, "max_epochs": 3, "lr": 1e-4}
    params |= {"penalties": {"size": (size_of_code, 0.1)}}
    whole = Autoencoder(**params).fit(ROWS)
    with monkeypatch.context() as patch:
        StopAfter(patch, steps)
        with pytest.raises(Interrupted):
            Autoencoder(**params).fit(ROWS, resume_from=tmp_path)
    torch.rand(7)
    again = Autoencoder(**params).fit(ROWS, resume_from=tmp_path)
    assert_same(again, whole)


class Keeper:
    """A corruption that keeps not what it was made of, and has a method that is one too."""

    def __init__(self, level):
        self.other = level

    def __call__(self, x, generator=None):
        return x * self.other

    def method(self, x, generator=None):
        return x


def kinds_without_a_path():
    class Local(own.Laplace):
        pass

    class Rounded(own.FSQ):
        pass

    class Flat(own.LaplacePrior):
        pass

    def halved(x, generator=None):
        return x / 2

    def optimizer(groups, momentum=0.0):
        return torch.optim.SGD(groups, momentum=momentum)

    return {
        "a local class": {"likelihood": Local},
        "an object of one": {"likelihood": Local()},
        "a local bottleneck": {"bottleneck": Rounded()},
        "a prior of a local class": {"bottleneck": GaussianBottleneck(Flat())},
        "an object that lacks its arguments": {"bottleneck": Forgetful(7)},
        "a lambda": {"penalties": {"a": (lambda forward: forward.code.mean.sum(), 1.0)}},
        "a lambda as a corruption": {"corruption": lambda x, generator=None: x},
        "a local function": {"corruption": halved},
        "a method": {"corruption": Keeper(1.0).method},
        "a callable that lacks its arguments": {"corruption": Keeper(1.0)},
        "a partial of a local function": {"optimizer": partial(optimizer, momentum=0.5)},
        "a partial with arguments by place": {"optimizer": partial(slow_adagrad_by, 0.1)},
        "a cached function": {"corruption": cached},
    }


@pytest.mark.parametrize("kind", kinds_without_a_path())
def test_what_has_no_import_path_is_refused_where_the_run_is_kept(tmp_path, kind):
    params = kinds_without_a_path()[kind]
    (name,) = params
    began = []
    model = Autoencoder(**SMALL | params, callbacks=[began.append])
    with pytest.raises(ValueError, match=f"^{name}=.* could not be saved: define it in a module") as error:
        model.fit(ROWS, resume_from=tmp_path)
    assert "\n" not in str(error.value)
    assert not began
    model.fit(ROWS)
    if name in ("likelihood", "bottleneck"):  # without which the weights mean nothing
        with pytest.raises(ValueError, match=f"^{name}=.* could not be saved: define it in a module"):
            model.save(tmp_path / "m")
    else:
        with pytest.warns(
            UserWarning, match=rf"^{name}(\['a'\])?=.* is not saved with the model: define it in a module"
        ):
            model.save(tmp_path / "m")
        again = isthmus.load(tmp_path / "m")
        assert getattr(again, name) is None
        np.testing.assert_array_equal(again.transform(ROWS), model.transform(ROWS))


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"likelihood": "gausian"}, "unknown likelihood 'gausian': did you mean 'gaussian'"),
        ({"likelihood": 3}, "likelihood=3: give an isthmus.parts.Likelihood, or one of"),
        ({"bottleneck": "fsq"}, "unknown bottleneck 'fsq': give one of 'deterministic', 'gaussian'"),
        ({"bottleneck": 3}, "bottleneck=3: give an isthmus.parts.Bottleneck, or one of 'deterministic', 'gaussian'"),
        (
            {"bottleneck": GaussianBottleneck(3)},
            "bottleneck=GaussianBottleneck has prior=3: give an isthmus.parts.Prior",
        ),
        ({"bottleneck": own.FSQ, "sparsity": "topk"}, "give sparsity=None beside bottleneck=FSQ, or take another fam"),
        (
            {"bottleneck": "gaussian", "sparsity": "kl"},
            r"sparsity='kl' needs a code in \(0, 1\), and that of bottleneck=gaussian is drawn from a normal: give",
        ),
        ({"bottleneck": own.VQ}, "bottleneck=VQ cannot be built"),
        ({"penalties": [own.mmd]}, "penalties=.*: give a dict"),
        ({"penalties": {"mmd": own.mmd}}, "give \\(function of a Forward, weight\\)"),
        ({"penalties": {"contractiv": 0.1}}, "unknown penalty 'contractiv': did you mean 'contractive'"),
        ({"penalties": {"l1": -0.1}}, r"penalties\['l1'\] == -0.1, must be >= 0"),
        (
            {"penalties": {"l1": 0.1}, "sparsity": "l1"},
            r"penalties\['l1'\]=0.1: its weight is given by a parameter too",
        ),
        ({"corruption": lambda x: x}, "raises TypeError: .*unexpected keyword argument 'generator'"),
        (
            {"corruption": lambda x, generator=None: x[:, :2]},
            r"gives torch.float32 of shape \(2, 2\): give rows as they",
        ),
        ({"corruption": lambda x, generator=None: x.double()}, "gives torch.float64 of shape"),
        ({"corruption": lambda x, generator=None: x / 0 * 0}, "gives NaN where x has none: give numbers"),
        ({"corruption": lambda x, generator=None: None}, "gives NoneType of shape"),
        ({"likelihood": WideTerm()}, "the term 'reconstruction' is of shape"),
        ({"penalties": {"loss": (own.mmd, 1)}}, "which is that of another term"),
        ({"penalties": {"wide": (lambda forward: forward.code.z, 1)}}, "the term 'wide' is of shape"),
        ({"optimizer": "SGD"}, "optimizer='SGD': give a class of torch.optim"),
        ({"optimizer": torch.optim.LBFGS}, "optimizer=LBFGS"),
        ({"monitor": "los"}, "unknown monitor 'los': did you mean 'loss'"),
        ({"monitor": "mse", "validation_fraction": None}, "monitor='mse' is of held-out rows"),
        ({"likelihood": own.Laplace, "sigma": 2.0}, "sigma=2.0 has no meaning for likelihood='Laplace'"),
    ],
)
def test_what_is_no_part_is_said_in_one_line(params, match):
    with pytest.raises((ValueError, TypeError), match=match):
        Autoencoder(**SMALL, **params).fit(ROWS)


def test_a_variational_code_needs_a_prior():
    with pytest.raises(ValueError, match="bottleneck=FSQ has no prior"):
        VariationalAutoencoder(**SMALL, bottleneck=own.FSQ()).fit(ROWS)


def test_the_best_epoch_is_by_the_monitor():
    params = {**SMALL, "max_epochs": 8, "lr": 1e-2, "penalties": {"size": (size_of_code, 1e-4)}}
    model = Autoencoder(**params, monitor="size").fit(ROWS)
    values = [model.start_["size"], *(record["validation"]["size"] for record in model.history_)]
    assert values[model.best_epoch_] <= values[0]
    by_loss = Autoencoder(**params).fit(ROWS)
    assert model.history_[0]["validation"] == by_loss.history_[0]["validation"], "the training is the same"
    # Heavier codes fit better: what is best by the one is not by the other.
    assert values[model.best_epoch_] < values[by_loss.best_epoch_]


def test_a_penalty_of_a_higher_weight_is_smaller():
    light, heavy = (
        Autoencoder(**LAST | {"max_epochs": 8}, penalties={"size": (size_of_code, weight)}).fit(ROWS)
        for weight in (0.0, 5.0)
    )
    assert size_of(heavy) < 0.8 * size_of(light)


def size_of(model):
    return np.square(model.transform(ROWS)).sum(1).mean()


def size_of_code(forward):
    return forward.code.mean.square().sum(1)


def test_a_callback_may_take_the_estimator():
    seen = []

    def look(record, estimator):
        seen.append(estimator.transform(ROWS[:3]).shape)

    plain, told = Autoencoder(**SMALL).fit(ROWS), Autoencoder(**SMALL, callbacks=[look]).fit(ROWS)
    assert seen == [(3, 2), (3, 2)]
    np.testing.assert_array_equal(plain.transform(ROWS), told.transform(ROWS))


def test_early_stopping_is_by_the_monitor():
    """The lowest of the measure is waited on, not that of the loss, which falls for longer."""
    params = {**SMALL, "max_epochs": 12, "lr": 1e-2, "early_stopping": True, "patience": 2, "lr_schedule": "constant"}
    params |= {"penalties": {"size": (size_of_code, 1e-4)}}
    model = Autoencoder(**params, monitor="size").fit(ROWS)
    sizes = [record["validation"]["size"] for record in model.history_]
    assert len(sizes) < 12
    assert len(sizes) == 1 + int(np.argmin(sizes)) + 2
    assert len(Autoencoder(**params).fit(ROWS).history_) > len(sizes)


def test_every_example_of_the_page_runs():
    """Those in the text too, with fewer epochs: what they say is what MODELS tries."""
    examples = re.findall(r"`(\w*Autoencoder\([^`]*\))`", PAGE)
    assert len(examples) == 8
    for example in examples:
        model = eval(example, vars(own) | vars(isthmus.models))
        model.set_params(max_epochs=1, random_state=0).fit(ROWS)
        assert np.isfinite(model.score_samples(ROWS)).all(), example


def test_a_penalty_by_name_is_that_of_its_parameter():
    named = {"contractive": "contraction_weight", "weight_decay": "weight_decay"}
    for name, parameter in named.items():
        one, other = (Autoencoder(**SMALL, **each) for each in ({"penalties": {name: 0.1}}, {parameter: 0.1}))
        np.testing.assert_array_equal(one.fit_transform(ROWS), other.fit_transform(ROWS))
    model = Autoencoder(**LAST, penalties={"l1": 0.5}).fit(ROWS)
    assert not hasattr(model, "threshold_")
    assert np.abs(model.transform(ROWS)).sum() < np.abs(Autoencoder(**LAST).fit_transform(ROWS)).sum()


def test_a_bottleneck_by_name(tmp_path):
    plain, named = (Autoencoder(**SMALL, bottleneck=each).fit(ROWS) for each in (None, "deterministic"))
    np.testing.assert_array_equal(plain.transform(ROWS), named.transform(ROWS))
    model, variational = (
        family(**SMALL, sigma=1.0, **each).fit(ROWS)
        for family, each in ((Autoencoder, {"bottleneck": "gaussian"}), (VariationalAutoencoder, {}))
    )
    np.testing.assert_array_equal(model.score_samples(ROWS), variational.score_samples(ROWS))
    np.testing.assert_array_equal(model.log_likelihood(ROWS, 5), variational.log_likelihood(ROWS, 5))
    for noise in (False, True):
        rows = (each.sample(5, noise=noise, random_state=3) for each in (model, variational))
        np.testing.assert_array_equal(*rows)
    model.save(tmp_path / "m")
    again = isthmus.load(tmp_path / "m")
    assert again.bottleneck == "gaussian"
    np.testing.assert_array_equal(again.score_samples(ROWS), model.score_samples(ROWS))


class Wide(own.LaplacePrior):
    """Far from 0, so that rows that are drawn tell of it."""

    def sample(self, n, units, generator):
        return 1000 + super().sample(n, units, generator)


class WideCode(GaussianBottleneck):
    def __init__(self):
        super().__init__(Wide())


@pytest.mark.parametrize("bottleneck", ["gaussian", GaussianBottleneck, GaussianBottleneck(Wide()), WideCode])
def test_a_code_with_a_prior_generates(bottleneck):
    model = Autoencoder(**LAST, bottleneck=bottleneck)
    assert hasattr(model, "sample"), "known by the parameters"
    assert hasattr(model, "log_likelihood")
    model.fit(ROWS)
    is_far = np.abs(model.sample(5, random_state=0)).min(1).max() > 10
    assert is_far == (bottleneck not in ("gaussian", GaussianBottleneck))
    gap = model.log_likelihood(ROWS, 300) - model.score_samples(ROWS)
    assert (gap > -1).all()
    assert gap.mean() > -0.1, "the one is a lower bound of the other"
    model.set_params(bottleneck=None)
    assert model.sample(2).shape == (2, 6), "a fitted model is used as it is"


@pytest.mark.parametrize("bottleneck", [None, "deterministic", "gausian", 3, own.FSQ, own.FSQ(), own.VQ(8, 2), own.VQ])
def test_one_without_a_prior_does_not(bottleneck):
    before = torch.get_rng_state()
    model = Autoencoder(**SMALL, bottleneck=bottleneck)
    assert not hasattr(model, "sample")
    assert not hasattr(model, "log_likelihood")
    assert torch.equal(before, torch.get_rng_state())
    model.set_params(bottleneck=None).fit(ROWS).set_params(bottleneck="gaussian")
    assert not hasattr(model, "sample"), "it is fitted as a point"


@pytest.mark.filterwarnings("ignore:the code has collapsed")
@pytest.mark.parametrize("future", [0, 2])
def test_sequences_and_tables_are_generated(future):
    X, gaussian = ROWS.reshape(40, 6, 3), SMALL | {"bottleneck": "gaussian"}
    model = isthmus.SequenceAutoencoder(**gaussian, future_steps=future).fit(X)
    assert model.sample(4, noise=True, random_state=0).shape == (4, 6, 3)
    assert (model.log_likelihood(X, 300) > model.score_samples(X) - 1).all()
    blind = isthmus.SequenceAutoencoder(**gaussian, future_steps=2, reconstruction=False)
    assert not hasattr(blind, "sample"), "nothing would rebuild what is drawn"
    table = pd.DataFrame(ROWS[:, :2]).rename(columns=str).assign(sign=np.where(ROWS[:, 0] > 0, "+", "-"))
    model = isthmus.TabularAutoencoder(**gaussian).fit(table)
    rows = model.sample(50, noise=True, random_state=0)
    assert list(rows.columns) == list(table.columns)
    assert set(rows["sign"]) == {"+", "-"}
    known = model.log_likelihood(table, 300)
    assert (known > model.score_samples(table) - 1).all()
    assert (model.log_likelihood(table.assign(sign="new"), 300) < known.max()).all()


def test_a_code_that_has_collapsed_is_told_of_with_what_is_left_to_try():
    tries = {
        VariationalAutoencoder(): "a lower beta, beta_warm_up=10 or free_bits=0.1",
        VariationalAutoencoder(beta_warm_up=5, free_bits=0.2): "a lower beta",
        VariationalAutoencoder(sigma=1.0, free_bits=0.2): "sigma='learned', a lower beta or beta_warm_up=10",
        VariationalAutoencoder(likelihood="bernoulli", free_bits=0.2): "a lower beta or beta_warm_up=10",
        VariationalAutoencoder(bottleneck=GaussianBottleneck(Wide())): "a lower beta or beta_warm_up=10",
        Autoencoder(bottleneck="gaussian"): "sigma='learned'",
        Autoencoder(bottleneck="gaussian", sigma="learned"): "a lower sigma than is learnt",
        Autoencoder(bottleneck="gaussian", likelihood="bernoulli"): "a family that has beta: VariationalAutoencoder",
        isthmus.MultimodalAutoencoder(fusion="product_of_experts"): "a lower beta",
    }
    for model, cures in tries.items():
        (line,) = of_no_use({"active_units": 0}, model.get_params(deep=False), starts_at_pca=True)
        assert line == f"the code has collapsed: no unit tells anything of X; try {cures}"


def test_another_bottleneck_is_told_of_at_a_warm_start():
    model = Autoencoder(**SMALL, warm_start=True).fit(ROWS).set_params(bottleneck="gaussian")
    with pytest.raises(ValueError, match="n_components, network, bottleneck, likelihood or sigma is not what it was"):
        model.fit(ROWS)


def test_of_penalties_those_that_can_be_kept_are_saved(tmp_path):
    other = lambda forward: forward.code.mean.sum(1)  # noqa: E731 - it has no import path
    penalties = {"l1": 0.1, "other": (other, 0.1), "size": (size_of_code, 0.2)}
    model = Autoencoder(**SMALL, penalties=penalties).fit(ROWS)
    with pytest.warns(UserWarning, match=r"^penalties\['other'\]=.* is not saved with the model") as told:
        model.save(tmp_path / "m")
    assert len(told) == 1
    again = isthmus.load(tmp_path / "m", trusted=[size_of_code])
    assert again.penalties == {"l1": 0.1, "size": (size_of_code, 0.2)}
    np.testing.assert_array_equal(again.transform(ROWS), model.transform(ROWS))
    with pytest.raises(ValueError, match=r"^penalties=.* could not be saved: define it in a module"):
        model.fit(ROWS, resume_from=tmp_path / "run")


def test_a_corruption_draws_from_the_runs_generator():
    """With the generator that it is given, or with none: a seed settles it, and torch's own is left alone."""
    for corruption in (noisy, noisy_by_itself):
        torch.manual_seed(5)
        one = Autoencoder(**LAST, corruption=corruption).fit_transform(ROWS)
        before = torch.get_rng_state()
        other = Autoencoder(**LAST, corruption=corruption).fit_transform(ROWS)
        assert torch.equal(before, torch.get_rng_state())
        np.testing.assert_array_equal(one, other)
        assert not np.array_equal(
            one, Autoencoder(**LAST | {"random_state": 1}, corruption=corruption).fit_transform(ROWS)
        )


def test_a_corruption_is_shown_what_is_missing_as_nan():
    seen = []

    def look(x, generator=None):
        seen.append(x.isnan().sum(0))
        return x

    gaps = ROWS.copy()
    gaps[::3, 2] = np.nan
    Autoencoder(**LAST, corruption=look).fit(gaps)
    assert seen[-1].tolist() == [0, 0, 40, 0, 0, 0]


@pytest.mark.parametrize("name", MODELS)
def test_it_goes_on_from_where_it_was(name, tmp_path):
    """By warm_start, by partial_fit, and after it was loaded: what the part has learnt is there."""
    family, params, trusted = MODELS[name]
    once = family(**LAST | {"lr": 1e-9, "warm_start": True}, **params()).fit(ROWS)
    book = {key: each.clone() for key, each in once.module_.state_dict().items() if key.startswith("bottleneck")}
    codes = once.transform(ROWS)
    once.save(tmp_path / "m")
    warm = once.fit(ROWS)
    loaded = isthmus.load(tmp_path / "m", trusted=trusted)
    for model in (warm, loaded.partial_fit(ROWS), loaded.partial_fit(ROWS)):
        np.testing.assert_allclose(model.transform(ROWS), codes, atol=1e-4)
        for key, each in book.items():
            torch.testing.assert_close(model.module_.state_dict()[key], each, atol=1e-6, rtol=0)
    assert loaded.n_iter_ == 4
    terms = {"tv", "tc", "mmd"} & {name}
    assert terms <= set(loaded.history_[-1]["train"])


class Few(own.VQ):
    """A codebook of a size that needs no argument."""

    def __init__(self):
        super().__init__(8, 2)


def test_how_a_codebook_is_settled():
    """By random_state where the class is given, else by what torch draws from when it is made."""
    one, same, other = (
        Autoencoder(**LAST | {"random_state": seed}, bottleneck=Few).fit(ROWS).module_.bottleneck.codebook
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    books = []
    for _ in range(2):
        torch.manual_seed(0)
        books.append(own.VQ(8, 2))
        before = torch.get_rng_state()
        books[-1] = Autoencoder(**LAST, bottleneck=books[-1]).fit(ROWS).module_.bottleneck.codebook
        assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(*books)
