"""Parts of a person's own in every family, in what is made of several models, and in other processes."""

import copy
import math
import pickle
from dataclasses import dataclass
from functools import partial

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import Tensor, nn
from torch.distributions import Normal

import isthmus
from isthmus import (
    Autoencoder,
    ConditionalVariationalAutoencoder,
    MultimodalAutoencoder,
    OutlierDetector,
    SequenceAutoencoder,
    TabularAutoencoder,
    VariationalAutoencoder,
    compare,
)
from isthmus.core.batch import Batch
from isthmus.networks import MLP, Conv, Transformer
from isthmus.parts import Bottleneck, Code, Fit, GaussianBottleneck, Likelihood, Prior, squared_error

DIGITS, LABELS = (each[:150] for each in isthmus.datasets.load("digits"))
ROWS = np.random.default_rng(0).normal(size=(120, 6)).astype(np.float32)
TABLE = pd.DataFrame(DIGITS[:, 3, 2:5]).rename(columns=str).assign(label=LABELS.astype(str), low=LABELS < 5)
SMALL = {"n_components": 2, "max_epochs": 2, "random_state": 0}
TINY = Transformer(patch=4, width=16, depth=1, heads=2)


@dataclass(frozen=True)
class NormalRows:
    """Normal entries, each with a mean and a spread of its own."""

    mean: Tensor
    log_variance: Tensor

    def log_density(self, x):
        rest = (x - self.mean).square() / self.log_variance.exp()
        return -0.5 * (rest + self.log_variance + math.log(2 * math.pi))

    def fit(self, x, observed=None):
        density = self.log_density(x) if observed is None else self.log_density(x) * observed
        return Fit({"reconstruction": density.flatten(1).sum(1)}, squared_error(x, self.mean.detach(), observed))

    def sample(self, generator=None):
        noise = torch.randn(self.mean.shape, generator=generator, dtype=self.mean.dtype)
        return self.mean + (self.log_variance / 2).exp() * noise


class Spread(Likelihood):
    """A mean and the logarithm of a variance for each entry."""

    n_params = 2

    def forward(self, parameters):
        mean, log_variance = parameters.chunk(2, dim=1)
        return NormalRows(mean, log_variance.clamp(-6, 6))

    def cost_at_mean(self, x):
        return 0.5 * x.shape[1]


class Codebook(nn.Module, Bottleneck):
    """The nearest row of a codebook, which is learnt."""

    def __init__(self, size, units):
        super().__init__()
        self.size, self.units = size, units
        self.codebook = nn.Parameter(torch.linspace(-2, 2, size * units).view(size, units))

    def forward(self, h, generator=None):
        e = self.codebook[torch.cdist(h, self.codebook).argmin(1)]
        term = (h.detach() - e).square().sum(1) + 0.25 * (h - e.detach()).square().sum(1)
        return Code(h + (e - h).detach(), e, {"vq": term})


@dataclass(frozen=True)
class Mixture(Prior):
    """Two normals of spread 1 for each unit, so far from 0."""

    at: float = 2.0

    def sample(self, n, units, generator):
        signs = np.where(generator.standard_normal((n, units)) > 0, 1, -1)
        return torch.as_tensor(self.at * signs + generator.standard_normal((n, units))).float()

    def log_prob(self, z):
        each = [Normal(sign * self.at, 1.0).log_prob(z) for sign in (-1, 1)]
        return (torch.logaddexp(*each) - math.log(2)).sum(1)


def size_of_code(forward):
    return forward.code.mean.square().sum(1)


@dataclass(frozen=True)
class Faded:
    """A corruption with a parameter."""

    share: float

    def __call__(self, x, generator=None):
        return x * (1 - self.share)


OWN = {
    "likelihood": Spread(),
    "bottleneck": Codebook(6, 2),
    "penalties": {"size": (size_of_code, 0.1)},
    "corruption": Faded(0.2),
    "optimizer": partial(torch.optim.SGD, momentum=0.5),
}
PATHS = [f"{__name__}:{name}" for name in ("Spread", "Codebook", "size_of_code", "Faded")]


def reconstructed(model, x):
    """Return the normals that a model decodes rows to, by its network alone."""
    module = model.module_
    mean, log_variance = module.decoder(module.encode(Batch(x)).z).chunk(2, dim=1)
    return Normal(mean, (log_variance.clamp(-6, 6) / 2).exp())


TWO_NUMBERS = {
    "rows": (Autoencoder, ROWS, None),
    "images": (Autoencoder, DIGITS, None),
    "channels": (partial(Autoencoder, network=Conv(channels=(4, 8))), np.stack([DIGITS, 1 - DIGITS], 1), None),
    "standardised": (partial(Autoencoder, scale="standard"), 5 * ROWS + 3, None),
    "transformer": (partial(Autoencoder, network=TINY), DIGITS, None),
    "variational": (VariationalAutoencoder, DIGITS, None),
    "variational, convolutions": (partial(VariationalAutoencoder, network=Conv(channels=(4, 8))), DIGITS, None),
    "conditional": (ConditionalVariationalAutoencoder, DIGITS, LABELS),
    "table": (TabularAutoencoder, TABLE, None),
}


@pytest.mark.parametrize("name", TWO_NUMBERS)
def test_a_likelihood_of_two_numbers_an_entry(name, tmp_path):
    family, X, y = TWO_NUMBERS[name]
    model = family(**SMALL, likelihood=Spread()).fit(X, y)
    scores, shares = model.score_samples(X), np.asarray(model.score_samples(X, per_feature=True))
    assert np.isfinite(scores).all()
    assert shares.shape == np.shape(X)
    if name in ("rows", "images", "channels", "transformer"):
        x = torch.tensor(X)
        with torch.no_grad():
            expected = reconstructed(model, x).log_prob(x).flatten(1).sum(1)
        np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-3)
    if name == "standardised":  # the density is of X, and not of standardised rows
        x = torch.tensor((X - model.mean_) / model.scale_).float()
        with torch.no_grad():
            expected = reconstructed(model, x).log_prob(x).sum(1) - np.log(model.scale_).sum()
        np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-3)
    check_gaps(model, X)
    model.save(tmp_path / "m")
    again = isthmus.load(tmp_path / "m", trusted=Spread)
    np.testing.assert_array_equal(again.score_samples(X), scores)
    if hasattr(model, "sample"):
        check_samples(model)
        assert (model.log_likelihood(X[:20], 50) > scores[:20] - 1).all()


def check_gaps(model, X):
    """Assert that a gap is filled in, and all else is left alone."""
    if isinstance(X, pd.DataFrame):
        gaps = X.copy()
        gaps.iloc[::2, 1] = np.nan
        pd.testing.assert_frame_equal(model.impute(gaps).drop(columns="1"), X.drop(columns="1"))
        assert not model.impute(gaps).isna().any(axis=None)
        return
    gaps = X.copy()
    gaps.reshape(len(X), -1)[::2, 5] = np.nan
    filled = model.impute(gaps)
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[~np.isnan(gaps)], X[~np.isnan(gaps)])
    assert np.isfinite(model.score_samples(gaps)).all()


def check_samples(model):
    """Assert that with noise each entry is drawn with its own spread around the mean that there is without."""
    means, drawn = (model.sample(400, noise=noise, random_state=0) for noise in (False, True))
    codes = GaussianBottleneck().prior.sample(400, model.n_components, np.random.RandomState(0))
    context = model.format_.context(None, 400)
    with torch.no_grad():
        distribution = model.module_.decode(codes, None if context is None else torch.tensor(context).float())
    np.testing.assert_allclose(means, distribution.mean.view(means.shape), atol=1e-5)
    deviation = (distribution.log_variance / 2).exp().view(means.shape).numpy()
    assert ((drawn - means) / deviation).std() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("model", "X", "match"),
    [
        (SequenceAutoencoder(likelihood=Spread()), DIGITS, "likelihood='Spread' takes several numbers a value"),
        (
            MultimodalAutoencoder(likelihood=Spread()),
            {"image": DIGITS, "label": LABELS},
            "likelihood=Spread has no meaning here: each modality has one that is named",
        ),
        (
            MultimodalAutoencoder(bottleneck=Codebook(6, 2)),
            {"image": DIGITS, "label": LABELS},
            "bottleneck=Codebook has no meaning here: the code is as fusion says",
        ),
        (MultimodalAutoencoder(penalties={"contractive": 0.1}), {"a": ROWS, "b": ROWS}, "nor a penalty 'contractive'"),
        (TabularAutoencoder(penalties={"contractive": 0.1}), TABLE, "for categories, nor a penalty 'contractive'"),
        (Autoencoder(network=MLP(tied=True), likelihood=Spread()), ROWS, "tied=True needs equal widths at both ends"),
        (VariationalAutoencoder(bottleneck="deterministic"), ROWS, "bottleneck=deterministic has no prior"),
        (
            VariationalAutoencoder(bottleneck=GaussianBottleneck(Mixture()), free_bits=0.1),
            ROWS,
            r"free_bits is of the KL to N\(0, 1\): leave it at 0",
        ),
    ],
)  # fmt: skip
def test_a_part_without_a_meaning_is_refused_in_one_line(model, X, match):
    with pytest.raises((ValueError, TypeError), match=match) as error:
        model.set_params(**SMALL).fit(X)
    assert "\n" not in str(error.value)


def grey(x, generator=None):
    return x * torch.rand(x.shape, generator=generator)


def grey_numbers(x, generator=None):
    return torch.cat([grey(x[:, :3], generator), x[:, 3:].roll(1, 0)], dim=1)


@pytest.mark.parametrize("categories", ["onehot", "embedding"])
def test_a_corruption_of_a_table_leaves_categories_what_they_are(categories):
    model = TabularAutoencoder(**SMALL, corruption=grey_numbers, categories=categories).fit(TABLE)
    assert np.isfinite(model.score_samples(TABLE)).all()
    with pytest.raises(ValueError, match=r"corruption=grey gives what is no category: .* the last 1 are categories"):
        TabularAutoencoder(**SMALL, corruption=grey, categories=categories).fit(TABLE)


@pytest.mark.parametrize(("family", "X"), [(SequenceAutoencoder, DIGITS), (TabularAutoencoder, TABLE)])
def test_any_family_may_have_a_gaussian_code(family, X, tmp_path):
    model = family(**SMALL, bottleneck="gaussian").fit(X)
    assert model.history_[0]["train"]["kl"] > 0
    module, form = model.module_, model.format_
    given = form.encode_to_score(X)
    with torch.no_grad():
        code = module.encode(module.filled(Batch(torch.tensor(given.x))))
    assert code.log_variance is not None
    kl = torch.distributions.kl_divergence(Normal(code.mean, (code.log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(code.terms["kl"], kl)
    model.save(tmp_path / "m")
    np.testing.assert_array_equal(isthmus.load(tmp_path / "m").score_samples(X), model.score_samples(X))


def test_rows_that_cannot_be_drawn():
    class Fixed(Spread):
        def forward(self, parameters):
            rows = super().forward(parameters)
            return type("Rows", (), {"mean": rows.mean, "fit": rows.fit, "log_density": rows.log_density})()

    model = VariationalAutoencoder(**SMALL, likelihood=Fixed()).fit(ROWS)
    assert model.sample(3).shape == (3, 6)
    with pytest.raises(ValueError, match=r"likelihood='Fixed' has no sample\(generator\): add it"):
        model.sample(3, noise=True)


@pytest.fixture(scope="module")
def model():
    params = SMALL | {"n_components": 1, "validation_fraction": None, "sigma": 0.5, "max_epochs": 5}
    return VariationalAutoencoder(**params, bottleneck=GaussianBottleneck(Mixture())).fit(ROWS)


class TestPrior:
    """Codes are held against a mixture of two normals: everything that asks the prior asks that one."""

    def test_samples_are_of_the_prior(self, model):
        drawn = model.sample(2000, random_state=1)
        codes = Mixture().sample(2000, 1, np.random.RandomState(1)).numpy()
        np.testing.assert_array_equal(drawn, model.inverse_transform(codes))
        assert codes.std() == pytest.approx(math.sqrt(1 + 2**2), rel=0.05)

    def grid(self, model, rows):
        """Return log p(x, z) over a grid of z, of shape (grid, rows), and the grid."""
        z = torch.linspace(-12, 12, 4801, dtype=torch.float64)[:, None]
        with torch.no_grad():
            mean = copy.deepcopy(model.module_).double().decode(z).mean
            likelihood = Normal(mean[:, None], 0.5).log_prob(rows[None]).sum(2)
        both = [Normal(sign * 2.0, 1.0).log_prob(z) for sign in (-1, 1)]
        return likelihood + torch.logaddexp(*both) - math.log(2), z[:, 0]

    def test_the_likelihood_is_the_integral_and_the_bound_lies_below(self, model):
        rows = torch.tensor(ROWS[:10]).double()
        joint, z = self.grid(model, rows)
        exact = torch.logsumexp(joint, 0) + math.log(z[1] - z[0])
        np.testing.assert_allclose(model.log_likelihood(rows.numpy(), 2000), exact, atol=0.15)
        bound = model.score_samples(rows.numpy())
        assert (bound < exact.numpy() + 0.05).all()
        with torch.no_grad():
            code = copy.deepcopy(model.module_).double().encode(Batch(rows))
        q = Normal(code.mean, (code.log_variance / 2).exp()).log_prob(z[:, None, None]).sum(2).exp() * (z[1] - z[0])
        entropy = Normal(code.mean, (code.log_variance / 2).exp()).entropy().sum(1)
        np.testing.assert_allclose(bound, (q * joint).sum(0) + entropy, atol=0.15)

    def test_what_is_filled_in_is_of_the_likeliest_code(self, model):
        rows = torch.tensor(ROWS[:10]).double()
        gaps = ROWS[:10].astype(float)
        gaps[:, 3] = np.nan
        known = [0, 1, 2, 4, 5]
        z = torch.linspace(-12, 12, 4801, dtype=torch.float64)[:, None]
        with torch.no_grad():
            mean = copy.deepcopy(model.module_).double().decode(z).mean
        likelihood = Normal(mean[:, None, known], 0.5).log_prob(rows[None][:, :, known]).sum(2)
        best = (likelihood + Mixture().log_prob(z)[:, None]).argmax(0)
        near = np.abs(model.impute(gaps)[:, 3] - mean[best, 3].numpy()) < 0.02
        assert near.sum() >= 8, "the search ends at a mode, and of two by far the most at the higher one"

    def test_it_is_saved_with_its_parameters(self, model, tmp_path):
        model.save(tmp_path / "m")
        with pytest.raises(ValueError, match=f"it holds a part of your own, {__name__}:Mixture"):
            isthmus.load(tmp_path / "m")
        again = isthmus.load(tmp_path / "m", trusted=Mixture)
        assert again.module_.bottleneck.prior == Mixture(2.0)
        np.testing.assert_array_equal(again.log_likelihood(ROWS, 5), model.log_likelihood(ROWS, 5))


@pytest.mark.parametrize("wide", [False, True])
def test_a_detector_holds_them(tmp_path, wide):
    X = DIGITS[:40] if wide else ROWS
    detector = OutlierDetector(Autoencoder(**SMALL, **OWN)).fit(X)
    assert len(detector.autoencoders_) == (3 if wide else 1)
    books = [each.module_.bottleneck.codebook for each in detector.autoencoders_]
    assert len({book.data_ptr() for book in books} | {OWN["bottleneck"].codebook.data_ptr()}) == len(books) + 1
    torch.testing.assert_close(OWN["bottleneck"].codebook, Codebook(6, 2).codebook)
    detector.save(tmp_path / "m")
    for trusted in ((), PATHS[:3], PATHS[1:]):
        with pytest.raises(ValueError, match="it holds a part of your own"):
            isthmus.load(tmp_path / "m", trusted=trusted)
    for trusted in (PATHS, [Spread, Codebook, size_of_code, Faded]):
        again = isthmus.load(tmp_path / "m", trusted=trusted)
        np.testing.assert_array_equal(again.decision_function(X), detector.decision_function(X))
        assert again.autoencoder_.corruption == Faded(0.2)


def test_they_are_compared_cloned_and_searched():
    models = {"own": Autoencoder(**SMALL, **OWN), "plain": Autoencoder(**SMALL)}
    found = compare(ROWS, models=models, seeds=2)
    assert np.isfinite(found.table.loc[["own", "plain"], "mse"]).all()
    for again in (clone(models["own"]), copy.deepcopy(models["own"])):
        assert repr(again.get_params()) == repr(models["own"].get_params())
        assert again.bottleneck is not OWN["bottleneck"]
        np.testing.assert_array_equal(again.fit_transform(ROWS), models["own"].fit_transform(ROWS))
    fitted = copy.deepcopy(models["own"].fit(ROWS))
    np.testing.assert_array_equal(fitted.score_samples(ROWS), models["own"].score_samples(ROWS))
    grid = {"bottleneck": ["deterministic", Codebook(2, 2), Codebook(32, 2)], "penalties": [None, {"l1": 0.1}]}
    search = GridSearchCV(Autoencoder(**SMALL), grid, cv=2, error_score="raise").fit(ROWS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_["bottleneck"] == "deterministic", "a codebook can say less"


def codes_of(pickled, fitted):
    model = pickle.loads(pickled)
    return (model if fitted else model.fit(ROWS)).transform(ROWS)


def test_they_go_to_other_processes():
    model = Autoencoder(**SMALL, **OWN)
    jobs = [joblib.delayed(codes_of)(pickle.dumps(model), False)]
    here = model.fit(ROWS).transform(ROWS)
    jobs.append(joblib.delayed(codes_of)(pickle.dumps(model), True))
    for there in joblib.Parallel(n_jobs=2)(jobs):
        np.testing.assert_array_equal(there, here)


def test_a_column_may_be_called_as_a_part_is_saved(tmp_path):
    """In a plain parameter a dict's keys are a person's: "path" and "class" among them."""
    table = TABLE.rename(columns={"2": "path", "0": "class"})
    kinds = {"path": "category", "class": "number"}
    TabularAutoencoder(**SMALL, kinds=kinds).fit(table).save(tmp_path / "m")
    assert isthmus.load(tmp_path / "m").kinds == kinds
