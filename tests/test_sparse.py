"""Sparse codes: units that are never on, the start and the term that keep them alive, and exact zeros."""

import warnings
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris, make_blobs

import isthmus
from isthmus import (
    Autoencoder,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    MultimodalAutoencoder,
    SequenceAutoencoder,
    SparseAutoencoder,
    TabularAutoencoder,
    VariationalAutoencoder,
)
from isthmus.core.bottlenecks.base import Code, are_on
from isthmus.core.bottlenecks.soft_threshold import SoftThreshold
from isthmus.core.bottlenecks.top_k import TopK
from isthmus.models import params
from isthmus.models.start import _row_directions
from isthmus.networks import MLP, Conv

LINEAR = MLP(hidden=())


def dictionary(n=3000, atoms=200, features=64, seed=0):
    """Rows that are sums of a few of many atoms, and the atoms."""
    rng = np.random.default_rng(seed)
    atoms = rng.normal(size=(atoms, features)) / 8
    return (rng.random((n, len(atoms))) < 0.03) * rng.gamma(2, 1, (n, len(atoms))) @ atoms, atoms


def never_on(model, X):
    return int((model.transform(X) == 0).all(0).sum())


def share_of_variance(model, X):
    return np.square(model.reconstruct(X) - X).mean() / X.var()


class TestTopK:
    def test_no_unit_of_an_over_complete_code_is_dead(self):
        X, atoms = dictionary()
        model = SparseAutoencoder(256, k=8, network=LINEAR, max_epochs=5, random_state=0).fit(X)
        assert model.dead_units_ == never_on(model, X) == 0
        assert share_of_variance(model, X) < 0.25  # it was 0.43, with 448 of 512 dead
        assert model.start_["mse"] < 0.5 * X.var()  # on rows held out; it was 0.59
        learnt = model.module_.decoder.path.linear.weight.detach().numpy()
        cosines = (atoms @ learnt) / np.outer(np.linalg.norm(atoms, axis=1), np.linalg.norm(learnt, axis=0))
        assert cosines.max(1).mean() > 0.7  # it was 0.48

    @pytest.mark.parametrize(
        "setting",
        [
            {"n_components": 100, "k": 5},
            {"n_components": 100, "k": 5, "network": MLP(hidden=(), tied=True)},
            {"n_components": 200, "k": 1, "network": LINEAR},
            {"n_components": 8, "k": 2, "network": LINEAR},
            {"n_components": 64, "k": 6, "network": Conv(channels=(4,))},
            {"n_components": 64, "k": 6, "network": MLP(hidden=(64,), normalization="batch")},
        ],
    )
    def test_hardly_a_unit_is_dead(self, digits, setting):
        model = SparseAutoencoder(**setting, max_epochs=3, random_state=0).fit(digits)
        assert model.dead_units_ == never_on(model, digits) <= 0.02 * model.n_components
        assert ((model.transform(digits) != 0).sum(1) == model.k).all()

    @pytest.mark.filterwarnings("ignore:the model is still the start")
    def test_rows_that_are_few_or_alike_or_have_constant_columns(self, rng):
        few = rng.normal(size=(40, 6))
        assert SparseAutoencoder(60, k=6, max_epochs=3, random_state=0).fit(few).dead_units_ <= 6
        directions, variance = _row_directions(np.repeat(few[:5] - few[:5].mean(0), 10, axis=0), 30, seed=0)
        assert len(np.unique(directions.round(6), axis=0)) > 10  # not five, though rows are
        assert (variance > 0).all()
        with pytest.warns(UserWarning, match="one value alone"):
            constant = SparseAutoencoder(12, k=3, max_epochs=3, random_state=0).fit(np.c_[few, np.ones(40)])
        assert constant.dead_units_ <= 1
        with pytest.warns(UserWarning, match="8 of the code's 8 units"):
            SparseAutoencoder(8, k=2, max_epochs=1, random_state=0).fit(np.ones((20, 5)))

    @pytest.mark.filterwarnings("ignore:.* units are on in no row")
    def test_the_start_knows_no_row_that_is_held_out(self, digits):
        X = digits[:300].reshape(300, -1)
        model = SparseAutoencoder(600, k=1, network=LINEAR, max_epochs=1, lr=1e-9, random_state=0).fit(X)
        assert np.square(model.reconstruct(X) - X).mean() < 0.6 * model.start_["mse"]  # nine of ten it knows by heart

    def test_units_without_a_linear_path_start_with_one_spread(self, digits):
        network = MLP(hidden=(64,), linear_path=None)
        model = SparseAutoencoder(50, k=5, network=network, random_state=0, max_epochs=1, lr=1e-9).fit(digits)
        x = torch.as_tensor(digits)
        h = model.module_.float().encode(isthmus.core.batch.Batch(x)).h.detach()
        assert h.mean(0).abs().max() < 0.2
        assert ((h.std(0) - 1).abs() < 0.2).all()

    def test_others_modules_are_left_as_they_are(self, digits):
        torch.manual_seed(0)
        encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        decoder = torch.nn.Sequential(torch.nn.Linear(10, 64), torch.nn.Unflatten(1, (8, 8)))
        network = isthmus.networks.Modules(encoder, decoder)
        model = SparseAutoencoder(10, k=5, network=network, max_epochs=1, lr=1e-12).fit(digits)
        np.testing.assert_allclose(model.module_.encoder[1].weight.detach(), encoder[1].weight.detach(), atol=1e-6)


class TestRevival:
    def test_by_hand(self):
        h = torch.tensor([[3.0, 1.0, -1.0], [2.0, 0.5, -3.0], [4.0, 3.9, -2.0], [5.0, 2.0, 1.0]])
        code = TopK(1)(h)
        assert code.h is h
        # Units 1 and 2 are idle; a unit is on in 4 // 3 = 1 row on average.
        expected = torch.tensor([[3.0, 0, 0], [2, 0, 0], [4, 3.9, 0], [5, 0, 1]])
        assert torch.equal(TopK(1).with_idle_units(code), expected)

    def test_nothing_where_every_unit_is_on(self):
        assert TopK(1).with_idle_units(TopK(1)(torch.eye(3))) is None

    @pytest.mark.filterwarnings("ignore:.* units are on in no row")
    def test_it_is_a_term_of_the_training_alone(self, digits):
        model = SparseAutoencoder(40, k=2, network=MLP(linear_path="random"), max_epochs=2, random_state=0).fit(digits)
        record = model.history_[-1]
        assert record["train"]["revival"] > 0
        assert "revival" not in record["validation"]
        loss = record["train"]["reconstruction"] + params.REVIVAL_WEIGHT * record["train"]["revival"]
        assert record["train"]["loss"] == pytest.approx(loss, rel=1e-5)

    @pytest.mark.filterwarnings("ignore:.* units are on in no row")
    def test_it_revives(self, digits, monkeypatch):
        def dead():
            network = MLP(hidden=(), linear_path="random")
            return SparseAutoencoder(100, k=5, network=network, max_epochs=20, random_state=0).fit(digits).dead_units_

        alive = dead()
        monkeypatch.setattr(params, "REVIVAL_WEIGHT", 0.0)
        assert alive < dead()

    @pytest.mark.parametrize("family", [Autoencoder, DenoisingAutoencoder, ContractiveAutoencoder])
    def test_siblings(self, digits, family):
        model = family(40, sparsity="topk", k=4, max_epochs=1, random_state=0).fit(digits)
        assert model.dead_units_ == never_on(model, digits) <= 1
        assert "revival" in model.history_[0]["train"]


class TestL1:
    def test_it_is_the_proximal_operator(self):
        h, theta = torch.linspace(-2, 2, 9).double(), 0.7
        z = torch.linspace(-3, 3, 60_001).double()
        best = z[(0.5 * (z - h[:, None]).square() + theta * z.abs()).argmin(1)]
        torch.testing.assert_close(SoftThreshold(theta)(h[None]).z[0], best, atol=1e-4, rtol=0)

    def test_it_gives_exact_zeros(self, digits):
        def zeros(weight):
            model = SparseAutoencoder(64, sparsity="l1", sparsity_weight=weight, max_epochs=5, random_state=0)
            return (model.fit_transform(digits) == 0).mean()

        assert zeros(0) == 0
        assert 0.05 < zeros(0.01) < zeros(0.1)

    def test_units_beyond_the_principal_axes_live(self):
        X, _ = dictionary()
        model = SparseAutoencoder(256, sparsity="l1", network=LINEAR, max_epochs=5, random_state=0).fit(X)
        assert model.dead_units_ == never_on(model, X) < 20
        assert share_of_variance(model, X) < 0.1

    def test_an_older_file_keeps_its_meaning(self, digits, tmp_path):
        model = SparseAutoencoder(16, sparsity="l1", max_epochs=1, random_state=0).fit(digits)
        model.save(tmp_path / "new")
        np.testing.assert_array_equal(isthmus.load(tmp_path / "new").transform(digits), model.transform(digits))
        del model.threshold_, model.dead_units_  # as format 2 has them not
        model.save(tmp_path / "old")
        old = isthmus.load(tmp_path / "old")
        codes = old.transform(digits)
        assert (codes != 0).all()
        z = np.sign(codes) * np.maximum(np.abs(codes) - 0.1, 0)
        np.testing.assert_allclose(z, model.transform(digits), atol=1e-6)
        assert not hasattr(old.set_params(warm_start=True).fit(digits), "threshold_")

    def test_a_gaussian_code_keeps_the_penalty_alone(self, digits):
        model = VariationalAutoencoder(4, sparsity="l1", max_epochs=1, random_state=0).fit(digits)
        assert not hasattr(model, "threshold_")
        assert not hasattr(model, "dead_units_")
        assert (model.transform(digits) != 0).all()
        parts = {"image": digits, "mean": digits.mean((1, 2))}
        experts = partial(MultimodalAutoencoder, 4, sparsity="l1", max_epochs=1, random_state=0)
        assert not hasattr(experts(fusion="product_of_experts").fit(parts), "threshold_")
        assert experts().fit(parts).threshold_ == 0.1

    def test_a_new_fit_forgets(self, digits):
        model = SparseAutoencoder(8, sparsity="l1", max_epochs=1, random_state=0).fit(digits)
        assert model.threshold_ == 0.1
        model.set_params(warm_start=True, sparsity_weight=0.2).fit(digits)
        assert model.threshold_ == 0.2
        model.set_params(warm_start=False, sparsity=None).fit(digits)
        assert not hasattr(model, "threshold_")
        assert not hasattr(model, "dead_units_")


class TestDeadUnits:
    def test_what_on_means(self):
        low, high = torch.tensor([0.0, -1.0, 0.04, 0.0]), torch.tensor([0.0, 0.0, 0.045, 0.9])
        assert are_on(low, high).tolist() == [False, True, True, True]
        assert are_on(low, high, 0.01).tolist() == [False, True, False, True]

    @pytest.mark.parametrize(
        ("setting", "cure"),
        [
            ({"sparsity": "topk", "k": 1, "network": MLP(linear_path="random")}, "a larger k"),
            ({"sparsity": "l1", "sparsity_weight": 1e3}, "a lower sparsity_weight"),
            (
                {"sparsity": "kl", "sparsity_weight": 1e4, "sparsity_target": 0.001, "lr": 0.5, "network": LINEAR},
                "a higher sparsity_target",
            ),
        ],
    )
    def test_they_are_told_of_in_one_line(self, digits, setting, cure):
        model = SparseAutoencoder(60, **setting, validation_fraction=None, max_epochs=10, random_state=0)
        with pytest.warns(UserWarning, match=cure) as told:
            model.fit(digits)
        (message,) = {str(each.message) for each in told}
        assert message.startswith(f"{model.dead_units_} of the code's 60 units are on in no row of X")
        assert "\n" not in message

    def test_they_are_those_of_the_kept_weights_and_saved(self, digits, tmp_path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = MLP(hidden=(), linear_path="random")
            model = SparseAutoencoder(60, k=1, network=network, max_epochs=5, random_state=0).fit(digits)
        assert model.dead_units_ == never_on(model, digits) > 0
        model.save(tmp_path / "model")
        assert isthmus.load(tmp_path / "model").dead_units_ == model.dead_units_

    def test_partial_fit_counts(self, digits):
        model = SparseAutoencoder(60, k=5, random_state=0)
        for _ in range(2):
            model.partial_fit(digits)
        assert model.dead_units_ == never_on(model, digits)

    def test_in_tables_sequences_and_several_modalities(self, digits, digits_labels, table):
        import pandas as pd

        kept = {"max_epochs": 2, "random_state": 0}
        frame = pd.DataFrame(table).rename(columns=str)
        for sparsity in ("topk", "l1", "kl"):
            tabular = TabularAutoencoder(20, sparsity=sparsity, k=4, **kept).fit(frame)
            sequences = SequenceAutoencoder(8, sparsity=sparsity, k=4, network=LINEAR, **kept).fit(digits[:200])
            assert {tabular.dead_units_, sequences.dead_units_} <= {0, 1}
        parts = {"image": digits[:200], "label": digits_labels[:200]}
        assert MultimodalAutoencoder(8, sparsity="topk", k=4, **kept).fit(parts).dead_units_ <= 1


@pytest.mark.parametrize("X", [load_iris().data, make_blobs(300, 5, random_state=0)[0]], ids=["iris", "blobs"])
def test_many_units_of_few_columns_start_steady(X):
    """Units that are nearly the same one, and read out by great weights of either sign, would make the error jump."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message="the squared error rose")
        SparseAutoencoder(max_epochs=40, random_state=0).fit(X)


def test_a_code_without_a_contest_has_no_revival():
    with pytest.raises(AssertionError):
        TopK(1).with_idle_units(Code(torch.ones(1, 1), torch.ones(1, 1), {}))
