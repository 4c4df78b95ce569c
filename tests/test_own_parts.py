"""Parts of a person's own: those of docs/own-parts.md fit, score, are saved, and are loaded where they are trusted."""

import re
import sys
import types
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import isthmus
from isthmus import Autoencoder, VariationalAutoencoder
from isthmus.parts import Code, Forward

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


MODELS = {
    "laplace": (Autoencoder, lambda: {"likelihood": own.Laplace()}, [own.Laplace]),
    "tv": (Autoencoder, lambda: {"penalties": {"tv": (own.total_variation, 0.1)}}, [own.total_variation]),
    "fsq": (Autoencoder, lambda: {"bottleneck": own.FSQ(7)}, [own.FSQ]),
    "vq": (Autoencoder, lambda: {"bottleneck": own.VQ(8, 2)}, [own.VQ]),
    "tc": (VariationalAutoencoder, lambda: {"penalties": {"tc": (own.total_correlation, 2)}}, [own.total_correlation]),
    "mmd": (Autoencoder, lambda: {"penalties": {"mmd": (own.mmd, 10.0)}}, [own.mmd]),
    "corruption": (Autoencoder, lambda: {"corruption": noisy}, [noisy]),
}


@pytest.mark.parametrize("name", MODELS)
def test_it_fits_scores_and_is_saved(name, tmp_path):
    family, params, trusted = MODELS[name]
    model = family(**(LAST if name in ("laplace", "corruption", "fsq", "vq") else SMALL), **params()).fit(ROWS)
    assert np.isfinite(model.score_samples(ROWS)).all()
    assert model.transform(ROWS).shape == (120, 2)
    if "penalties" in params():
        assert set(params()["penalties"]) <= set(model.history_[0]["train"]) & set(model.history_[0]["validation"])
    else:
        assert not np.array_equal(model.reconstruct(ROWS), family(**LAST).fit(ROWS).reconstruct(ROWS))
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


@pytest.mark.parametrize("name", ["likelihood", "bottleneck", "penalties", "corruption", "optimizer"])
def test_what_has_no_import_path_is_refused_where_the_run_is_kept(tmp_path, name):
    class Local(own.Laplace):
        pass

    class Rounded(own.FSQ):
        pass

    params = {
        "likelihood": Local(),
        "bottleneck": Rounded(),
        "penalties": {"a": (lambda forward: forward.code.mean.sum(), 1.0)},
        "corruption": lambda x, generator=None: x,
        "optimizer": lambda groups: torch.optim.SGD(groups),
    }
    with pytest.raises(ValueError, match=f"{name}=.* could not be saved: define it in a module"):
        Autoencoder(**SMALL, **{name: params[name]}).fit(ROWS, resume_from=tmp_path)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"likelihood": "gausian"}, "unknown likelihood 'gausian': did you mean 'gaussian'"),
        ({"likelihood": 3}, "likelihood=3: give an isthmus.parts.Likelihood, or one of"),
        ({"bottleneck": "fsq"}, "bottleneck='fsq': give an isthmus.parts.Bottleneck"),
        ({"bottleneck": own.FSQ, "sparsity": "topk"}, "give sparsity=None beside bottleneck"),
        ({"bottleneck": own.VQ}, "bottleneck=VQ cannot be built"),
        ({"penalties": [own.mmd]}, "penalties=.*: give a dict"),
        ({"penalties": {"mmd": own.mmd}}, "give \\(function of a Forward, weight\\)"),
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
