"""Several modalities in one code."""

import dataclasses
import json
import math
import pickle
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.utils import get_tags
from torch import nn

import isthmus
from conftest import score_of
from isthmus import Autoencoder, MultimodalAutoencoder, OutlierDetector
from isthmus.core.corruption import hide_modalities
from isthmus.errors import NewCategoryWarning
from isthmus.formats.modalities import cost_at_mean
from isthmus.networks import LSTM, MLP, Conv, Modules, Transformer
from isthmus.networks.multimodal import Concatenation, Modality, ProductOfExperts, build_multimodal

SMALL = MLP(hidden=(32,))
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
QUICK = {"n_components": 6, "network": SMALL, "max_epochs": 2, "random_state": 0}
FAMILIES = {
    "concatenation": partial(MultimodalAutoencoder, **QUICK),
    "product of experts": partial(MultimodalAutoencoder, fusion="product_of_experts", **QUICK),
    "networks of their own": partial(
        MultimodalAutoencoder,
        networks={"upper": Conv(channels=(4,)), "kind": MLP(hidden=(), linear_path=None)},
        likelihoods={"upper": "bernoulli"},
        block_weights={"kind": 5},
        **QUICK,
    ),
}


@pytest.fixture(params=FAMILIES)
def family(request):
    return FAMILIES[request.param]


@pytest.fixture(scope="module")
def X(digits, digits_labels):  # noqa: N802
    """Halves of images, their edges' sums, a word and a truth value for each of 300 digits."""
    images, labels = digits[:300], digits_labels[:300]
    return {
        "upper": images[:, :4],
        "lower": images[:, 4:],
        "sums": 10 + 5 * images.sum(1).astype(np.float64),
        "kind": np.array(WORDS)[labels],
        "odd": labels % 2 == 1,
    }


@pytest.fixture(scope="module")
def frame(X):
    """Four numbers, a word and a truth value."""
    sums = pd.DataFrame(X["sums"][:, 2:6], columns=list("abcd"))
    return sums.assign(kind=X["kind"], odd=X["odd"])


BLOCKS = {"left": ["a", "b"], "right": ["d", "c"], "kind": ["kind"], "odd": ["odd"]}


def without(X, *names):
    return {name: values for name, values in X.items() if name not in names}


def rows_of(X, index):
    return {name: values[index] for name, values in X.items()}


def assert_same(one, other, **tolerance):
    assert list(one) == list(other)
    for name in one:
        assert one[name].dtype == other[name].dtype
        if one[name].dtype.kind == "f":
            np.testing.assert_allclose(one[name], other[name], **{"rtol": 0, "atol": 0} | tolerance)
        else:
            np.testing.assert_array_equal(one[name], other[name])


class TestFusion:
    def test_product_of_experts_is_the_product_of_densities(self, rng):
        """Held against the densities multiplied on a grid, and normalised."""
        mean, log_variance = rng.normal(size=(2, 3, 1)), rng.normal(size=(2, 3, 1))
        present = np.array([[True, False, True], [True, True, True]])
        codes = torch.tensor(np.concatenate([mean, log_variance], axis=2))
        h = ProductOfExperts()(codes, torch.tensor(present)).numpy()
        z = np.linspace(-12, 12, 20_001)
        for row in range(2):
            log_density = -0.5 * z**2
            for expert in np.flatnonzero(present[row]):
                log_density -= 0.5 * (z - mean[row, expert, 0]) ** 2 / np.exp(log_variance[row, expert, 0])
            density = np.exp(log_density - log_density.max())
            density /= density.sum()
            expected = (density * z).sum()
            np.testing.assert_allclose(h[row, 0], expected, atol=1e-8)
            np.testing.assert_allclose(np.exp(h[row, 1]), (density * (z - expected) ** 2).sum(), rtol=1e-6)

    def test_without_an_expert_it_is_the_prior(self):
        h = ProductOfExperts()(torch.full((1, 2, 4), torch.nan), torch.zeros(1, 2, dtype=torch.bool))
        assert torch.equal(h, torch.zeros(1, 4))

    def test_a_sure_expert_overrules_and_an_extreme_one_leaves_no_nan(self):
        codes = torch.tensor([[[3.0, -200.0], [-3.0, 200.0]]], requires_grad=True)
        h = ProductOfExperts()(codes, torch.ones(1, 2, dtype=torch.bool))
        np.testing.assert_allclose(h.detach(), [[3.0, -200.0]])
        h.sum().backward()
        assert codes.grad.isfinite().all()

    def test_concatenation_by_hand(self, rng):
        fusion = Concatenation(2, 3)
        codes = torch.tensor(rng.normal(size=(4, 2, 3)), dtype=torch.float32)
        present = torch.tensor([[True, True], [True, False], [False, True], [False, False]])
        weight, bias = fusion.linear.weight.detach().numpy(), fusion.linear.bias.detach().numpy()
        shown = np.where(present[:, :, None], codes, 0).reshape(4, 6)
        expected = np.concatenate([shown, present.numpy()], axis=1) @ weight.T + bias
        np.testing.assert_allclose(fusion(codes, present).detach(), expected, atol=1e-6)

    @pytest.mark.parametrize("fusion", ["concatenation", "product_of_experts"])
    def test_what_is_hidden_has_no_influence_on_the_code(self, fusion, rng):
        parts = [Modality(SMALL, (2, 3)), Modality(SMALL, (), 4)]
        encoder, _ = build_multimodal(parts, 5, fusion)
        x = torch.tensor(np.column_stack([rng.normal(size=(8, 6)), rng.integers(4, size=8)]), dtype=torch.float32)
        other = torch.tensor(np.column_stack([rng.normal(size=(8, 6)), x[:, 6:]]), dtype=torch.float32)
        known = torch.ones(8, 7, dtype=torch.bool)
        known[:, :6] = False
        assert torch.equal(encoder(x, None, known), encoder(other, None, known))
        assert not torch.allclose(encoder(x), encoder(other))
        assert not torch.allclose(encoder(x), encoder(x, None, known)), "absent is not the same as there"

    def test_an_encoder_that_takes_known_is_told(self):
        class Count(nn.Module):
            takes_known = True

            def forward(self, x, context, known):
                assert x.shape == known.shape
                return known.flatten(1).sum(1, keepdim=True).to(x)

        parts = [Modality(Modules(Count(), nn.Identity()), (2, 3)), Modality(Modules(Count(), nn.Identity()), (), 4)]
        encoder, _ = build_multimodal(parts, 1, "concatenation")
        nn.init.ones_(encoder.fusion.linear.weight)
        known = torch.tensor([[True, False, True, False, False, False, False], [True] * 7])
        h = encoder(torch.zeros(2, 7), None, known) - encoder.fusion.linear.bias
        assert h.flatten().tolist() == pytest.approx([2 + 1, 6 + 1 + 4 + 1]), "entries, and a flag each"


class TestHiding:
    SIZES = (3, 1, 2)

    def hide(self, known, level, seed=0):
        return hide_modalities(torch.zeros(known.shape), known, self.SIZES, level, torch.Generator().manual_seed(seed))

    def test_one_stays_and_all_are_hidden_whole(self):
        known = torch.ones(5000, 6, dtype=torch.bool)
        shown = self.hide(known, 0.6)
        parts = shown.split(self.SIZES, dim=1)
        assert all(torch.equal(part.any(1), part.all(1)) for part in parts), "whole modalities"
        kept = torch.stack([part.any(1) for part in parts], dim=1)
        assert kept.any(1).all(), "never all"
        # P(all three drawn) = 0.6³, and then one of the three stays
        np.testing.assert_allclose(kept.float().mean(0), 0.4 + 0.6**3 / 3, atol=0.02)

    def test_the_ends_of_the_level(self):
        known = torch.ones(500, 6, dtype=torch.bool)
        assert self.hide(known, 0).all()
        kept = torch.stack([part.any(1) for part in self.hide(known, 1).split(self.SIZES, dim=1)], dim=1)
        assert (kept.sum(1) == 1).all()
        np.testing.assert_allclose(kept.float().mean(0), 1 / 3, atol=0.08)

    def test_what_was_missing_is_not_counted_on(self, rng):
        known = torch.tensor(rng.random((2000, 6)) < 0.3)
        shown = self.hide(known, 0.9)
        assert (shown & ~known).sum() == 0
        assert torch.equal(shown.any(1), known.any(1)), "one of those that are there stays"
        assert torch.equal(self.hide(known, 0.9), shown)
        assert not torch.equal(self.hide(known, 0.9, seed=1), shown)

    def test_no_known_is_all_known(self):
        generators = (torch.Generator().manual_seed(0) for _ in range(2))
        x = torch.zeros(50, 6)
        one, other = (
            hide_modalities(x, known, self.SIZES, 0.5, generator)
            for known, generator in zip((None, torch.ones(50, 6, dtype=torch.bool)), generators, strict=True)
        )
        assert torch.equal(one, other)


class TestWeights:
    def test_costs_are_the_likelihoods_own(self, rng):
        """The excess of −log p at the mean over −log p at the row itself, by scipy's densities."""
        from scipy import stats

        rows = rng.random((50, 4))
        at_mean = -stats.norm(rows.mean(0), 0.3).logpdf(rows).sum(1).mean()
        perfect = -stats.norm(rows, 0.3).logpdf(rows).sum(1).mean()
        assert cost_at_mean(rows, "gaussian", 0.3) == pytest.approx(at_mean - perfect)
        sigma = math.sqrt(rows.var(0).mean())
        assert cost_at_mean(rows, "gaussian", None) == pytest.approx(cost_at_mean(rows, "gaussian", sigma))
        p = rows.mean(0)
        cross = -(rows * np.log(p) + (1 - rows) * np.log(1 - p)).sum(1).mean()
        own = stats.bernoulli(rows).entropy().sum(1).mean()
        assert cost_at_mean(rows, "bernoulli", None) == pytest.approx(cross - own)
        labels = np.array([[0.0], [1], [1], [2], [np.nan]])
        assert cost_at_mean(labels, "categorical", None) == pytest.approx(stats.entropy([0.25, 0.5, 0.25]))

    @pytest.mark.parametrize("sigma", ["learned", 0.5])
    def test_balanced_gives_all_the_same_say(self, X, sigma):
        model = MultimodalAutoencoder(**QUICK, sigma=sigma, likelihoods={"lower": "bernoulli"}).fit(X)
        cells = model.format_.encode(X).x.astype(float)
        kinds = ["gaussian", "bernoulli", "gaussian", "categorical", "categorical"]
        parts = zip(model.format_.places, kinds, strict=True)
        costs = [cost_at_mean(cells[:, part], kind, None if sigma == "learned" else sigma) for (_, part), kind in parts]
        say = np.array(costs) * list(model.block_weights_.values())
        np.testing.assert_allclose(say, say[0])
        assert say.sum() == pytest.approx(sum(costs)), "the sum is what it was"

    def test_weights_are_in_the_loss_and_not_in_the_terms(self, X):
        model = MultimodalAutoencoder(**QUICK, block_weights={"kind": 3, "odd": 0}).fit(X)
        assert model.block_weights_ == {"upper": 1, "lower": 1, "sums": 1, "kind": 3, "odd": 0}
        for record in (model.history_[-1]["train"], model.history_[-1]["validation"]):
            terms = [record[f"reconstruction_{name}"] for name in X]
            assert record["loss"] == pytest.approx(np.dot(terms, list(model.block_weights_.values())), rel=1e-5)
        shares = [each.reshape(300, -1) for each in model.score_samples(X, per_feature=True).values()]
        np.testing.assert_allclose(model.score_samples(X), score_of(model, np.hstack(shares)), rtol=1e-5)

    def test_a_constant_modality_has_no_say_to_share(self, X):
        model = MultimodalAutoencoder(**QUICK).fit(X | {"nothing": np.ones((300, 2))})
        assert model.block_weights_["nothing"] == 1
        np.testing.assert_allclose(model.reconstruct(X)["nothing"], 1, atol=1e-4)


class TestContract:
    def test_shapes_and_dtypes(self, family, X):
        model = family().fit(X)
        assert model.transform(X).shape == (300, 6)
        assert model.n_features_in_ == 32 + 32 + 8 + 2
        for rows in (model.reconstruct(X), model.inverse_transform(model.transform(X)), model.impute(X)):
            assert list(rows) == list(X)
            for name, values in X.items():
                assert rows[name].shape == values.shape
                assert rows[name].dtype == values.dtype
        shares = model.score_samples(X, per_feature=True)
        assert [values.shape for values in shares.values()] == [values.shape for values in X.values()]
        assert model.score_samples(X).shape == (300,)
        assert model.set_output(transform="pandas").transform(X).shape == (300, 6)

    @pytest.mark.parametrize("network", [LSTM(hidden=8), Transformer(width=8, heads=2, depth=1)])
    def test_every_network_may_be_a_modalitys(self, X, network, tmp_path):
        model = MultimodalAutoencoder(**QUICK, networks={"upper": network}).fit(X)
        gaps = X | {"upper": np.where(np.arange(8) < 4, np.float32(np.nan), X["upper"])}
        filled = model.impute(gaps)["upper"]
        assert np.isfinite(filled).all()
        np.testing.assert_array_equal(filled[:, :, 4:], X["upper"][:, :, 4:])
        model.save(tmp_path / "model")
        np.testing.assert_array_equal(isthmus.load(tmp_path / "model").transform(gaps), model.transform(gaps))

    def test_clone_and_parameters(self, family):
        model = family()
        again = clone(model)
        assert repr(again.get_params()) == repr(model.get_params())
        assert not hasattr(again, "module_")
        assert get_tags(model).input_tags.dict
        assert model.set_params(modality_dropout=0.5).modality_dropout == 0.5
        with pytest.raises(ValueError, match="Invalid parameter"):
            model.set_params(modality=1)

    def test_equal_seeds_give_equal_weights(self, family, X):
        first = family().fit(X)
        again = family().fit(X)
        third = again.fit(without(X, "odd"))  # what was learnt of other rows leaves no trace
        assert_same(
            family().fit(without(X, "odd")).reconstruct(X | {"odd": None}), third.reconstruct(X | {"odd": None})
        )
        second = family().fit(X)
        for name, tensor in first.module_.state_dict().items():
            assert torch.equal(tensor, second.module_.state_dict()[name]), name
        assert not np.array_equal(first.transform(X), family(random_state=1).fit(X).transform(X))

    def test_rows_alone_and_in_a_batch(self, family, X):
        model = family().fit(X)
        rebuilt, scores, codes = model.reconstruct(X), model.score_samples(X), model.transform(X)
        for index in (slice(7, 8), slice(250, 300), np.arange(300)[::-1]):
            part = rows_of(X, index)
            np.testing.assert_allclose(model.transform(part), codes[index], atol=1e-5)
            np.testing.assert_allclose(model.score_samples(part), scores[index], rtol=1e-4, atol=1e-3)
            assert_same(model.reconstruct(part), rows_of(rebuilt, index), rtol=1e-4, atol=1e-4)

    def test_saved_and_pickled(self, family, X, tmp_path):
        model = family().fit(X)
        model.save(tmp_path / "model")
        for again in (isthmus.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
            assert repr(again) == repr(model)
            assert again.history_ == model.history_
            assert again.modalities_ == model.modalities_
            assert again.block_weights_ == model.block_weights_
            np.testing.assert_array_equal(again.transform(X), model.transform(X))
            np.testing.assert_array_equal(again.score_samples(X), model.score_samples(X))
            assert_same(again.reconstruct(X), model.reconstruct(X))
        again = isthmus.load(tmp_path / "model")
        again.partial_fit(X)
        assert again.n_iter_ == 3

    def test_all_that_is_learnt_is_in_the_config(self, X, tmp_path):
        FAMILIES["networks of their own"]().fit(X).save(tmp_path / "model")
        fitted = json.loads((tmp_path / "model" / "config.json").read_text())["model"]["fitted"]
        assert [modality["name"] for modality in fitted["modalities_"]] == list(X)
        assert fitted["modalities_"][4] == {"name": "odd", "shape": [], "dtype": "|b1", "classes": [False, True]} | {
            "columns": None,
            "dtypes": None,
            "levels": None,
        }

    def test_networks_of_ones_own_are_given_again(self, X, tmp_path):
        networks = {"sums": Modules(nn.Linear(8, 6), nn.Linear(6, 8))}
        model = MultimodalAutoencoder(networks=networks, **QUICK).fit(X)
        model.save(tmp_path / "model")
        with pytest.raises(ValueError, match="a network of your own: give it again"):
            isthmus.load(tmp_path / "model")
        again = isthmus.load(tmp_path / "model", network=networks)
        np.testing.assert_array_equal(again.transform(X), model.transform(X))

    def test_partial_fit_and_warm_start(self, family, X):
        model = family().partial_fit(X).partial_fit(without(X, "kind"))
        assert [record["epoch"] for record in model.history_] == [1, 2]
        warm = family(warm_start=True, validation_fraction=None).fit(X)
        before = warm.transform(X)
        assert not np.array_equal(warm.fit(X).transform(X), before)

    def test_fit_leaves_the_rows_and_the_parameters_alone(self, family, X):
        before = {name: values.copy() for name, values in X.items()}
        model = family()
        parameters = repr(model.get_params())
        model.fit(X).reconstruct(X, given=["kind"])
        assert_same(X, before)
        assert repr(model.get_params()) == parameters

    def test_interpolate_and_traverse(self, family, X):
        model = family().fit(X)
        A, B = rows_of(X, slice(3)), rows_of(X, slice(3, 6))
        steps = model.interpolate(A, B, 4)
        assert steps["upper"].shape == (3, 4, 4, 8)
        assert steps["kind"].shape == (3, 4)
        assert_same({name: values[:, 0] for name, values in steps.items()}, model.reconstruct(A), rtol=1e-3, atol=1e-3)
        assert model.traverse(A, unit=1, values=[0, 2])["lower"].shape == (3, 2, 4, 8)

    def test_outliers(self, family, X, tmp_path):
        detector = OutlierDetector(family(), contamination=0.1).fit(X)
        assert (detector.predict(X) == -1).mean() == pytest.approx(0.1, abs=0.005)
        detector.save(tmp_path / "detector")
        np.testing.assert_array_equal(isthmus.load(tmp_path / "detector").predict(X), detector.predict(X))

    def test_what_does_not_match_is_what_is_unusual(self, digits, digits_labels):
        """Rows with a wrong label are found, and found by the label's share."""
        rows = {"image": digits, "label": digits_labels.copy()}
        model = MultimodalAutoencoder(16, network=MLP(hidden=(64,)), max_epochs=40, random_state=0).fit(rows)
        wrong = {"image": digits[:200], "label": (digits_labels[:200] + 1) % 10}
        right = rows_of(rows, slice(200))
        share = [model.score_samples(each, per_feature=True)["label"] for each in (wrong, right)]
        assert (share[0] < share[1]).mean() > 0.95
        assert model.score(wrong) < model.score(right)


class TestMissing:
    def test_any_modality_may_be_left_out(self, family, X):
        model = family().fit(X)
        for name in X:
            left = without(X, name)
            filled = model.impute(left, n_iter=3)
            for rows in (model.reconstruct(left), filled):
                assert rows[name].shape == X[name].shape
                assert all(values.dtype.kind != "f" or np.isfinite(values).all() for values in rows.values())
            assert_same(model.reconstruct(left), model.reconstruct(X, given=list(left)))
            assert_same(model.reconstruct(left), model.reconstruct(X | {name: None}))
            np.testing.assert_array_equal(model.transform(left), model.transform(X, given=list(left)))
            assert not np.array_equal(model.transform(left), model.transform(X))
            assert_same(without(filled, name), left)

    def test_what_is_left_out_counts_nowhere(self, family, X):
        model = family().fit(X)
        other = X | {"upper": X["upper"][::-1], "kind": X["kind"][::-1]}
        given = ["lower", "sums", "odd"]
        np.testing.assert_array_equal(model.transform(X, given=given), model.transform(other, given=given))
        shares = model.score_samples(without(X, "upper"), per_feature=True)
        assert np.isnan(shares["upper"]).all()
        assert np.isfinite(shares["lower"]).all()

    def test_a_modality_of_nan_is_one_that_is_left_out(self, family, X):
        model = family().fit(X)
        rows = X | {"upper": np.full_like(X["upper"], np.nan), "kind": np.array([None] * 300)}
        np.testing.assert_array_equal(model.transform(rows), model.transform(without(X, "upper", "kind")))

    def test_single_values_that_are_missing(self, family, X, rng):
        gaps = {"upper": rng.random(X["upper"].shape) < 0.3, "kind": rng.random(300) < 0.3}
        rows = X | {
            "upper": np.where(gaps["upper"], np.float32(np.nan), X["upper"]),
            "kind": np.where(gaps["kind"], None, X["kind"]),
        }
        one_for_all = {"upper": gaps["upper"][0]}
        hidden = X | {"upper": np.where(gaps["upper"][0], np.float32(np.nan), X["upper"])}
        for training_rows in (X, rows):
            model = family().fit(training_rows)
            assert all(np.isfinite(record["train"]["loss"]) for record in model.history_)
            filled = model.impute(rows, n_iter=3)
            np.testing.assert_array_equal(filled["upper"][~gaps["upper"]], X["upper"][~gaps["upper"]])
            np.testing.assert_array_equal(filled["kind"][~gaps["kind"]], X["kind"][~gaps["kind"]])
            assert np.isfinite(filled["upper"]).all()
            assert set(filled["kind"]) <= set(X["kind"])
            assert_same(model.impute(X, gaps, n_iter=3), filled)
            assert_same(model.impute(X, one_for_all, n_iter=3), model.impute(hidden, n_iter=3))
        with pytest.raises(ValueError, match="mask has the shape"):
            model.impute(X, {"upper": gaps["kind"]})
        with pytest.raises(ValueError, match="mask holds int64 for 'kind'"):
            model.impute(X, {"kind": gaps["kind"].astype(int)})
        with pytest.raises(ValueError, match="unknown modality 'uper'"):
            model.impute(X, {"uper": gaps["upper"]})

    def test_a_row_of_which_nothing_is_known(self, family, X):
        model = family().fit(X)
        nothing = {"upper": np.full((2, 4, 8), np.nan, np.float32)}
        rows = model.reconstruct(nothing)
        assert all(values.dtype.kind != "f" or np.isfinite(values).all() for values in rows.values())
        np.testing.assert_allclose(model.score_samples(nothing), model.score(X), rtol=0.1)
        if model.fusion == "product_of_experts":
            np.testing.assert_array_equal(model.transform(nothing), 0)

    def test_a_class_that_was_not_there_at_fit_is_missing_and_costs_the_most(self, family, X):
        model = family().fit(X)
        other = X | {"kind": np.array(["ten"] * 300)}
        with pytest.warns(NewCategoryWarning, match="modality 'kind' holds the class ten"):
            codes = model.transform(other)
        np.testing.assert_array_equal(codes, model.transform(without(X, "kind")))
        left_out = model.score_samples(without(X, "kind"))
        assert (model.score_samples(other) < left_out - 1).all()
        shares = [model.score_samples(each, per_feature=True)["kind"] for each in (other, X)]
        assert shares[0].max() < shares[1].min()

    def test_one_modality(self, family, digits):
        model = family(networks=None, likelihoods=None, block_weights="balanced").fit({"image": digits})
        assert model.reconstruct({"image": digits})["image"].shape == digits.shape

    def test_labels_are_filled_in_from_images_and_images_from_labels(self, digits, digits_labels):
        rows = {"image": digits, "label": digits_labels}
        for fusion in ("concatenation", "product_of_experts"):
            model = MultimodalAutoencoder(
                16, fusion=fusion, network=MLP(hidden=(64,)), max_epochs=40, random_state=0
            ).fit(rows_of(rows, slice(1000)))
            test = rows_of(rows, slice(1000, None))
            guessed = model.reconstruct(test, given=["image"])["label"]
            assert (guessed == test["label"]).mean() > 0.85
            filled = model.impute(without(test, "label"), n_iter=10)
            np.testing.assert_array_equal(filled["image"], test["image"])
            assert (filled["label"] == test["label"]).mean() > 0.85
            drawn = model.reconstruct(test, given=["label"])["image"]
            error, at_mean = ((test["image"] - each) ** 2 for each in (drawn, digits[:1000].mean(0)))
            assert error.mean() < 0.75 * at_mean.mean()
            nothing = model.reconstruct({"image": np.full((1, 8, 8), np.nan)})["image"]
            assert ((test["image"] - nothing) ** 2).mean() < 1.1 * at_mean.mean()
            proba = model.predict_proba(test, "label")
            np.testing.assert_allclose(proba.sum(1), 1, atol=1e-5)
            np.testing.assert_array_equal(proba.argmax(1), guessed)
            told = model.predict_proba(test, "label", given=["image", "label"])
            assert (told.argmax(1) == test["label"]).mean() > (guessed == test["label"]).mean()


class TestVariational:
    def test_its_score_is_the_bound(self, X):
        """−loss of a row, with unit weights and β = 1, averaged over many draws, is the ELBO that the score gives."""
        model = FAMILIES["product of experts"]().fit(X)
        x = torch.tensor(model.format_.encode(X).x, dtype=torch.float32)
        batch = model.module_.filled(isthmus.core.batch.Batch(x))
        with torch.no_grad():
            generator = torch.Generator().manual_seed(0)
            draws = [sum(model.module_(batch, generator=generator).terms.values()) for _ in range(300)]
        drawn = -torch.stack(draws).mean(0).numpy()
        assert model.score(X) == pytest.approx(drawn.mean(), abs=0.5)

    def test_the_kl_term_weighs_beta(self, X):
        model = FAMILIES["product of experts"](beta=0.25).fit(X)
        record = model.history_[-1]["train"]
        recon = sum(weight * record[f"reconstruction_{name}"] for name, weight in model.block_weights_.items())
        assert record["loss"] == pytest.approx(recon + 0.25 * record["kl"], rel=1e-5)

    def test_sample(self, X):
        model = FAMILIES["product of experts"](validation_fraction=None).fit(X)
        rows = model.sample(4, random_state=0)
        assert rows["upper"].shape == (4, 4, 8)
        assert set(rows["kind"]) <= set(X["kind"])
        assert_same(rows, model.sample(4, random_state=0))
        assert not np.array_equal(rows["upper"], model.sample(4, random_state=1)["upper"])
        assert (model.log_likelihood(X, 300) > model.score_samples(X) - 1).all()
        for name in ("sample", "log_likelihood"):
            assert not hasattr(FAMILIES["concatenation"](), name)


class TestFrame:
    @pytest.fixture(params=["concatenation", "product_of_experts"])
    def model(self, request, frame):
        return MultimodalAutoencoder(blocks=BLOCKS, fusion=request.param, **QUICK).fit(frame)

    def test_a_frame_in_and_a_frame_out(self, model, frame):
        for rows in (model.reconstruct(frame), model.impute(frame), model.inverse_transform(model.transform(frame))):
            assert list(rows.columns) == list(frame.columns)
            assert list(rows.dtypes) == list(frame.dtypes)
        pd.testing.assert_frame_equal(model.impute(frame), frame)
        assert list(model.feature_names_in_) == list(frame.columns)
        assert model.n_features_in_ == 6

    def test_columns_find_their_block_whatever_their_order(self, model, frame):
        pd.testing.assert_frame_equal(model.reconstruct(frame[frame.columns[::-1]]), model.reconstruct(frame))
        by_hand = {
            "left": frame[["a", "b"]].to_numpy(),
            "right": frame[["d", "c"]].to_numpy(),
            "kind": frame["kind"],
            "odd": frame["odd"],
        }
        same = clone(model).set_params(blocks=None).fit(by_hand)
        np.testing.assert_array_equal(same.transform(by_hand), model.transform(frame))
        np.testing.assert_array_equal(same.reconstruct(by_hand)["right"], model.reconstruct(frame)[["d", "c"]])

    def test_blocks_that_are_missing(self, model, frame):
        left = frame.drop(columns=["c", "d", "kind"])
        np.testing.assert_array_equal(model.transform(left), model.transform(frame, given=["left", "odd"]))
        filled = model.impute(left)
        assert list(filled.columns) == list(frame.columns)
        pd.testing.assert_frame_equal(filled[["a", "b", "odd"]], frame[["a", "b", "odd"]])
        shares = model.score_samples(left, per_feature=True)
        assert list(shares.columns) == list(frame.columns)
        assert shares["c"].isna().all()
        assert shares["a"].notna().all()
        mask = pd.DataFrame(False, index=frame.index, columns=frame.columns)
        mask.loc[5, "kind"] = True
        assert model.impute(frame, mask).drop(columns="kind").equals(frame.drop(columns="kind"))

    def test_kinds_of_columns(self, frame):
        rows = frame.assign(
            kind=frame["kind"].astype("category"), odd=frame["odd"].astype("boolean"), a=frame["a"].astype("float32")
        )
        rows.loc[3, "odd"] = pd.NA
        rows.loc[4, "kind"] = None
        model = MultimodalAutoencoder(blocks=BLOCKS, **QUICK).fit(rows)
        filled = model.impute(rows)
        assert filled.notna().all(axis=None)
        assert str(filled["odd"].dtype) == "boolean"
        assert str(filled["kind"].dtype) == "category"

    def test_index_dtypes_and_levels(self, frame, tmp_path):
        """Also of a block of several dtypes, and of numbers that no float holds."""
        rows = frame.assign(
            a=np.arange(300) + 2**61 + 1,
            b=frame["b"].astype("float32"),
            c=frame["c"] > 12,
            d=pd.array(frame["d"].round(), dtype="Int16"),
            kind=pd.Categorical(frame["kind"], [*WORDS[::-1], "ten"], ordered=True),
        )
        rows.index = pd.Index([f"row {i % 290}" for i in range(300)], name="which")
        model = MultimodalAutoencoder(blocks=BLOCKS, **QUICK).fit(rows)
        model.save(tmp_path / "model")
        for each in (model, isthmus.load(tmp_path / "model")):
            pd.testing.assert_frame_equal(each.impute(rows), rows)
            for filled in (each.reconstruct(rows), each.impute(rows.drop(columns=["kind", "a", "b"]))):
                assert filled.index.equals(rows.index)
                assert filled.dtypes.equals(rows.dtypes)
            shares = each.score_samples(rows, per_feature=True)
            assert shares.index.equals(rows.index)
            np.testing.assert_allclose(score_of(each, shares), each.score_samples(rows), rtol=1e-4)
        mask = pd.DataFrame(False, rows.index, rows.columns)
        mask.iloc[7, [0, 2]] = True
        filled, there = model.impute(rows, mask), ~mask.to_numpy()
        assert (filled.to_numpy(dtype=object) == rows.to_numpy(dtype=object))[there].all()
        assert filled["a"].iloc[7] == model.impute(rows.mask(mask))["a"].iloc[7]

    def test_saved(self, model, frame, tmp_path):
        model.save(tmp_path / "model")
        again = isthmus.load(tmp_path / "model")
        pd.testing.assert_frame_equal(again.reconstruct(frame), model.reconstruct(frame))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda rows: rows.assign(e=1), "column 'e' of X is in none of the blocks"),
            (lambda rows: rows.drop(columns="b"), "column 'b' of the block 'left' is not in X"),
            (lambda rows: rows.assign(b="many"), "modality 'left' is no table of numbers: column 'b' holds text"),
            (lambda rows: rows.assign(kind=1), "modality 'kind' holds numbers, and was given words at fit"),
            (lambda rows: rows[[]], "X holds none of the modalities"),
        ],
    )
    def test_bad_frames(self, model, frame, change, message):
        with pytest.raises(ValueError, match=message):
            model.transform(change(frame))

    def test_bad_blocks(self, frame):
        with pytest.raises(ValueError, match="say which columns belong together"):
            MultimodalAutoencoder().fit(frame)
        with pytest.raises(ValueError, match="column 'a' is named twice in blocks"):
            MultimodalAutoencoder(blocks={"one": ["a", "b"], "two": ["a"]}).fit(frame)
        with pytest.raises(ValueError, match="and X is a dict: leave it out"):
            MultimodalAutoencoder(blocks=BLOCKS).fit({"a": frame[["a"]]})
        with pytest.raises(ValueError, match="column 'z' of the block 'left' is not in X"):
            MultimodalAutoencoder(blocks=BLOCKS | {"left": ["a", "b", "z"]}).fit(frame)
        with pytest.raises(ValueError, match="modality 'odd' has nothing but missing values"):
            MultimodalAutoencoder(blocks=BLOCKS).fit(frame.assign(odd=None))


class TestBadInput:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda X: X | {"uper": X["upper"]}, "X holds the modality 'uper', which was not there at fit"),
            (lambda X: {}, "X holds none of the modalities"),
            (
                lambda X: X | {"kind": X["kind"][:-1]},
                "differ in their numbers of rows: .*'lower' has 300.*'kind' has 299",
            ),
            (
                lambda X: X | {"upper": X["upper"][:, :3]},
                r"'upper' has rows of shape \(3, 8\), and had \(4, 8\) at fit",
            ),
            (
                lambda X: X | {"sums": np.full((300, 8), "many")},
                "modality 'sums' is no table of numbers: it holds text",
            ),
            (lambda X: X | {"sums": X["sums"] / 0.0}, "modality 'sums' contains infinity at row 0, column 0"),
            (lambda X: X | {"kind": np.arange(300)}, "modality 'kind' holds numbers, and was given words at fit"),
            (lambda X: X | {"odd": np.full(300, 7)}, "modality 'odd' holds numbers, and was given truth values at fit"),
            (lambda X: X | {"kind": X["upper"]}, "modality 'kind' has the shape"),
            (lambda X: X | {"kind": np.array([("a",)] * 299 + [None], dtype=object)}, "'kind' .*objects"),
            (lambda X: X | {"upper": np.zeros((300, 4, 8), complex)}, "modality 'upper' .*holds complex128"),
            (lambda X: {name: values[:0] for name, values in X.items()}, "X has 0 rows: give at least 1"),
        ],
    )
    @pytest.mark.filterwarnings("ignore:divide by zero")
    def test_rows_at_use(self, X, change, message):
        model = fitted(X)
        with pytest.raises(ValueError, match=message) as caught:
            model.transform(change(X))
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda X: X["sums"], "X is a ndarray: give a dict of arrays by name"),
            (lambda X: {3: X["sums"]}, "X has a modality by the name 3"),
            (lambda X: {}, "X holds no modality"),
            (lambda X: rows_of(X, slice(1)), "X has 1 rows: give at least 2"),
            (
                lambda X: X | {"upper": np.where(np.arange(8) == 2, np.nan, X["upper"])},
                "modality 'upper' is missing in every row at entry 0, 2",
            ),
            (lambda X: X | {"kind": [None] * 300}, "modality 'kind' has nothing but missing values"),
            (lambda X: X | {"kind": 3}, "modality 'kind' is a single value"),
            (lambda X: {"a": [[1.0, 2.0], [3.0]]}, "modality 'a' has rows of different lengths"),
        ],
    )
    def test_rows_to_fit(self, X, change, message):
        with pytest.raises((ValueError, TypeError), match=message) as caught:
            MultimodalAutoencoder(**QUICK).fit(change(X))
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"fusion": "sum"}, "unknown fusion 'sum'"),
            ({"modality_dropout": 1.2}, "modality_dropout == 1.2, must be <= 1"),
            ({"block_weights": "balance"}, "unknown block_weights 'balance': did you mean 'balanced'?"),
            ({"block_weights": {"upper": -1}}, r"block_weights\['upper'\] == -1, must be >= 0"),
            ({"block_weights": {"uper": 1}}, "block_weights names 'uper', which X does not hold"),
            ({"networks": MLP()}, "networks=.*: give a dict by the modalities' names"),
            ({"networks": {"upper": (3, 2)}}, r"networks\['upper'\]=\(3, 2\): give MLP"),
            ({"networks": {"image": MLP()}}, "networks names 'image', which X does not hold"),
            ({"networks": {"kind": Conv()}}, r"\(10,\)"),
            (
                {"networks": {"kind": MLP(output_activation="tanh")}},
                "modality 'kind' is categorical, which has its act",
            ),
            ({"network": MLP(code_activation="tanh"), "fusion": "product_of_experts"}, "a Gaussian code has no activ"),
            ({"networks": {"sums": Modules(nn.Linear(8, 6), nn.Linear(6, 7))}}, "cannot take rows of this shape"),
            ({"likelihoods": {"kind": "poisson"}}, r"unknown likelihoods\['kind'\] 'poisson'"),
            ({"likelihoods": {"sums": "bernoulli"}}, "modality 'sums' reaches from"),
            ({"likelihoods": {"upper": "categorical"}}, "modality 'upper' has the shape"),
            ({"likelihoods": {"kind": "gaussian"}}, "modality 'kind' is no table of numbers"),
            ({"beta": 2.0}, "beta=2.0 weighs the KL term of fusion='product_of_experts'"),
            ({"corruption": "masking"}, "corruption='masking' has no meaning here"),
            ({"contraction_weight": 1.0}, "contraction_weight has no meaning"),
            ({"sparsity": "kl"}, "sparsity='kl' has no meaning"),
            ({"sparsity": "topk", "fusion": "product_of_experts"}, "sparsity='topk' has no meaning"),
        ],
    )
    def test_parameters(self, X, parameters, message):
        with pytest.raises((ValueError, TypeError), match=message) as caught:
            MultimodalAutoencoder(**QUICK | parameters).fit(X)
        assert "\n" not in str(caught.value)

    def test_given(self, X):
        model = fitted(X)
        with pytest.raises(ValueError, match="unknown modality 'uper': did you mean 'upper'"):
            model.transform(X, given=["uper"])
        with pytest.raises(TypeError, match=r"give a list of modalities, such as \['upper'\]"):
            model.transform(X, given="upper")
        with pytest.raises(ValueError, match="unknown label 'upper'"):
            model.predict_proba(X, "upper")
        with pytest.raises(ValueError, match="given names no modality: name those to encode from"):
            model.reconstruct(X, given=[])
        with pytest.raises(ValueError, match="given names 'upper', which X does not hold: it holds 'lower', 'sums'"):
            model.reconstruct(without(X, "upper"), given=["upper"])
        label_alone = model.predict_proba({"kind": X["kind"]}, "kind")
        np.testing.assert_allclose(label_alone, label_alone[:1].repeat(300, axis=0), atol=1e-6)

    def test_parameters_of_a_modalitys_network(self):
        networks = {"upper": MLP(), "lower": SMALL}
        model = MultimodalAutoencoder(networks=networks)
        model.set_params(networks__upper__hidden=(3,), n_components=4)
        assert model.networks == {"upper": MLP(hidden=(3,)), "lower": SMALL}
        assert networks["upper"] == MLP(), "a person's own are left alone"
        assert model.get_params()["networks__upper__hidden"] == (3,)
        assert "networks__upper__hidden" not in model.get_params(deep=False)
        assert clone(model).set_params(networks__lower=Conv()).networks["lower"] == Conv()
        assert model.set_params(networks={"kind": MLP()}, networks__kind__hidden=(5,)).networks["kind"].hidden == (5,)
        with pytest.raises(ValueError, match="networks names 'kind'; give it there first"):
            model.set_params(networks__upper__hidden=(3,))
        with pytest.raises(ValueError, match="networks names none; give it there first"):
            MultimodalAutoencoder().set_params(networks__upper__hidden=(3,))

    def test_a_fit_that_fails_leaves_the_last_one(self, X):
        model = fitted(X)
        before = model.transform(X)
        with pytest.raises(ValueError, match="nothing but missing"):
            model.fit({"kind": [None, None]})
        np.testing.assert_array_equal(model.transform(X), before)


def fitted(X, **parameters):
    return MultimodalAutoencoder(**QUICK | {"max_epochs": 1} | parameters).fit(X)


class TestWhatRowsMayComeAs:
    def test_labels_of_every_kind(self, digits, digits_labels):
        X, y = digits[:200], digits_labels[:200]
        words = np.array(list("abcdefghij"))[y]
        for labels in (y, y.astype(np.uint8), y.astype(float), words, words.astype(object), y > 4, torch.tensor(y)):
            rows = {"image": X, "label": labels}
            model = MultimodalAutoencoder(**QUICK).fit(rows)
            assert len(model.modalities_[1].classes) == (2 if labels.dtype == bool else 10)
            told = model.impute(rows)["label"]
            np.testing.assert_array_equal(told, np.asarray(labels))
            assert told.dtype == np.asarray(labels).dtype

    def test_numbers_one_a_row(self, digits, digits_labels):
        rows = {"image": digits, "ink": digits.sum((1, 2)).astype(np.float32)}
        model = MultimodalAutoencoder(**QUICK | {"max_epochs": 10}).fit(rows)
        ink = model.reconstruct(rows, given=["image"])["ink"]
        assert ink.shape == (1437,)
        assert np.corrcoef(ink, rows["ink"])[0, 1] > 0.9
        as_number = MultimodalAutoencoder(**QUICK, likelihoods={"label": "gaussian"})
        as_number.fit({"image": digits, "label": digits_labels})
        assert as_number.modalities_[1].classes is None

    def test_bytes_and_tensors(self, digits):
        grey = (255 * digits[:100]).round().astype(np.uint8)
        codes = MultimodalAutoencoder(**QUICK).fit_transform({"image": grey})
        scaled = grey.astype(np.float32) / 255
        for rows in (scaled, torch.tensor(scaled, requires_grad=True), scaled.tolist(), torch.tensor(grey)):
            again = MultimodalAutoencoder(**QUICK).fit_transform({"image": rows})
            np.testing.assert_allclose(again, codes, atol=1e-3)

    def test_brain_floats(self, digits):
        ink = torch.tensor(digits.sum((1, 2))).bfloat16()
        told = MultimodalAutoencoder(**QUICK).fit({"image": digits, "ink": ink}).impute({"ink": ink})["ink"]
        np.testing.assert_array_equal(told, ink.float().numpy())


# Each option beside a setting in which it counts.
OPTIONS = {
    "blocks": ({}, None),  # TestFrame
    "networks": ({}, {"lower": MLP(hidden=(8,))}),
    "likelihoods": ({}, {"lower": "bernoulli"}),
    "fusion": ({}, "product_of_experts"),
    "modality_dropout": ({}, 0.8),
    "block_weights": ({}, {"kind": 20}),
    "sigma": ({"block_weights": {}}, 0.3),
    "beta": ({"fusion": "product_of_experts", "max_epochs": 20}, 0.1),
    "network": ({}, MLP(hidden=(16,))),
    "likelihood": ({"likelihoods": {"sums": "gaussian"}}, "bernoulli"),
    "sparsity": ({}, "l1"),
    "weight_decay": ({}, 0.1),
}


def test_every_option_is_here():
    own, shared = ({field.name for field in dataclasses.fields(each)} for each in (MultimodalAutoencoder, Autoencoder))
    assert own - shared <= set(OPTIONS)


@pytest.mark.parametrize("option", [option for option in OPTIONS if option != "blocks"])
def test_an_option_changes_the_model(X, option):
    setting, value = OPTIONS[option]
    one, other = (
        MultimodalAutoencoder(**QUICK | setting | changed).fit(X).reconstruct(X)["upper"]
        for changed in ({}, {option: value})
    )
    assert np.abs(one - other).max() > 1e-4


def test_modality_dropout_is_what_lets_a_modality_be_missing(digits, digits_labels):
    rows = {"image": digits[:1000], "label": digits_labels[:1000]}
    test = {"image": digits[1000:], "label": digits_labels[1000:]}
    right = {}
    for level in (0.0, 0.3):
        model = MultimodalAutoencoder(
            16, network=MLP(hidden=(64,)), modality_dropout=level, max_epochs=30, random_state=0
        ).fit(rows)
        right[level] = (model.reconstruct(test, given=["image"])["label"] == test["label"]).mean()
    assert right[0.3] > right[0.0] + 0.05


@pytest.mark.parametrize(
    ("fitted", "given"),
    [([3, 7], ["3", "7"]), (["3", "7"], [3.0, 7.0]), (["3", "7"], [3, 7]), ([True, False], ["True", "false"])],
    ids=str,
)
def test_labels_may_be_written_otherwise(fitted, given):
    rows = np.random.default_rng(0).random((40, 4))
    model = MultimodalAutoencoder(2, max_epochs=1, random_state=0).fit({"rows": rows, "label": np.array(fitted * 20)})
    as_fitted, otherwise = ({"label": np.array(each * 2)} for each in (fitted, given))
    np.testing.assert_array_equal(model.transform(otherwise), model.transform(as_fitted))


def test_a_new_class_in_a_later_chunk_is_told():
    rows = np.random.default_rng(0).random((40, 4))
    model = MultimodalAutoencoder(2, max_epochs=1, random_state=0)
    model.partial_fit({"rows": rows, "label": np.array(["a", "b"] * 20)})
    with pytest.warns(
        UserWarning, match="'label' holds the class c, which was not there at the first fit: it is taken"
    ):
        model.partial_fit({"rows": rows, "label": np.array(["a", "c"] * 20)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.partial_fit({"rows": rows, "label": np.array(["a", None] * 20, dtype=object)})
        model.partial_fit({"rows": rows})


def test_masks_of_a_frame_go_by_its_columns():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(40, 4)), columns=list("abcd"))
    blocks = {"left": ["d", "a"], "right": ["c", "b"]}
    model = MultimodalAutoencoder(2, blocks=blocks, max_epochs=1, random_state=0).fit(table)
    mask = pd.DataFrame(rng.random((40, 4)) < 0.3, columns=list("abcd"))
    expected = model.impute(table, mask)
    assert not expected.equals(table)
    for form in (mask[list("dcba")], mask.astype("boolean"), mask.astype(object), mask.to_numpy()):
        pd.testing.assert_frame_equal(model.impute(table, form), expected)
    row = mask.iloc[0]
    pd.testing.assert_frame_equal(model.impute(table, row[list("dcba")]), model.impute(table, row.to_numpy()))
    left = model.impute(table, mask[["a", "d"]])
    pd.testing.assert_frame_equal(left, model.impute(table, mask.assign(b=False, c=False)))
    for wrong, line in (
        (mask.astype(object).where(mask, "no"), "column 'a' of mask holds"),
        (mask.astype(int), "column 'a' of mask holds int64: give True"),
        (mask[:7], r"mask has the shape \(7, 4\), and X 40 rows"),
        (mask[["a"]], r"mask has the columns \['a'\]: give those of X"),
        (mask.to_numpy()[:, :3], r"mask has the shape \(40, 3\)"),
    ):
        with pytest.raises(ValueError, match=line):
            model.impute(table, wrong)


def test_a_class_that_is_new_stays_as_it_is_where_gaps_are_filled(rng):
    X = {"x": rng.normal(size=(60, 3)), "label": rng.choice(["a", "b"], 60)}
    setting = {"max_epochs": 1, "random_state": 0}
    model = MultimodalAutoencoder(2, **setting).fit(X)
    new = {"x": X["x"][:3], "label": np.array(["long", "a", None], dtype=object)}
    with pytest.warns(NewCategoryWarning, match="modality 'label' holds the class long"):
        filled = model.impute(new)["label"]
    assert filled.tolist()[:2] == ["long", "a"]
    assert filled[2] in ("a", "b")
    with pytest.warns(NewCategoryWarning, match="holds the class long"):
        hidden = model.impute(new, {"label": np.array([True, False, False])})["label"]
    assert hidden[0] in ("a", "b"), "which was asked for"
    frame = pd.DataFrame(X["x"], columns=list("pqr")).assign(label=X["label"])
    model = MultimodalAutoencoder(2, blocks={"x": list("pqr"), "label": ["label"]}, **setting).fit(frame)
    with pytest.warns(NewCategoryWarning, match="holds the class long"):
        filled = model.impute(frame[:3].assign(label=new["label"]))["label"]
    assert filled.tolist()[:2] == ["long", "a"]
