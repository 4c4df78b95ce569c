"""Which epoch's weights are kept: the attribute, the warning, and that what is printed and drawn is of them."""

import json
import math
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import isthmus
from isthmus import (
    Autoencoder,
    ConditionalVariationalAutoencoder,
    DenoisingAutoencoder,
    MultimodalAutoencoder,
    OutlierDetector,
    SequenceAutoencoder,
    SparseAutoencoder,
    TabularAutoencoder,
    VariationalAutoencoder,
    report,
)
from isthmus.models.building import set_fitted
from isthmus.networks import MLP
from isthmus.reproduce import vae_cvae
from isthmus.reproduce.study import Split
from isthmus.training import checkpoint

NOISE = np.random.default_rng(0).normal(size=(120, 6))
"""Of which nothing is better than PCA."""

SV2 = Path(__file__).parent / "saved" / "v2"


def squared_error(model, X):
    return np.square(model.reconstruct(X) - X).mean(dtype=float)


def plots(page):
    return json.loads(re.search(r"const plots = (\{.*?\}), thumbnails = ", page, re.DOTALL).group(1))


def bent(rng):
    """Rows so few and noisy that a network learns them by heart."""
    sheet = rng.normal(size=(80, 2))
    features = np.column_stack([sheet, sheet.prod(1), sheet.sum(1)])
    return features @ rng.normal(size=(4, 12)) + 0.7 * rng.normal(size=(80, 12))


LONG = {"max_epochs": 60, "lr": 0.01, "lr_schedule": "constant", "batch_size": 16, "random_state": 0}
"""Long after the best epoch."""


@pytest.fixture(scope="module")
def overfitted():
    """Rows, and a model whose last epochs are far worse on held-out ones than the one that is kept."""
    X = bent(np.random.default_rng(0))
    return X, Autoencoder(3, network=MLP(hidden=(64,), linear_path=None), **LONG).fit(X)


def test_the_epoch_is_that_of_the_weights(overfitted):
    X, model = overfitted
    losses = [record["validation"]["loss"] for record in model.history_]
    assert model.best_epoch_ == 1 + int(np.argmin(losses))
    record = model.history_[model.best_epoch_ - 1]["validation"]
    assert record["mse"] == pytest.approx(squared_error(model, X[model.held_out_]), rel=1e-4)
    assert model.history_[-1]["validation"]["mse"] > 1.1 * record["mse"], "or the test would tell nothing"
    assert len(model.held_out_) == 20


def test_the_start_that_is_kept_is_told():
    with pytest.warns(ConvergenceWarning, match=r"the model is still the start \(PCA\)") as told:
        model = Autoencoder(2, max_epochs=10, random_state=0).fit(NOISE)
    assert len(told) == 1
    assert "\n" not in str(told[0].message)
    assert model.best_epoch_ == 0
    assert model.start_["mse"] == pytest.approx(squared_error(model, NOISE[model.held_out_]), rel=1e-4)


def test_nothing_is_told_where_an_epoch_is_kept(digits):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Autoencoder(8, max_epochs=5, random_state=0).fit(digits).best_epoch_ > 0


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"network": MLP(hidden=(4,), linear_path=None)}, "the untrained start"),
        ({"warm_start": True}, r"what this fit began with \(warm_start\)"),
    ],
)
def test_a_start_that_is_no_pca_is_not_called_so(params, words):
    with pytest.warns(ConvergenceWarning, match=f"the model is still {words}"):
        Autoencoder(2, lr=1e-12, max_epochs=1, random_state=0, **params).fit(NOISE)


def test_a_family_that_scales_itself_is_not_told_to_scale():
    with pytest.warns(ConvergenceWarning) as told:
        TabularAutoencoder(2, max_epochs=1, lr=1e-12, random_state=0).fit(NOISE)
    assert "standardised" not in str(told[0].message)


def test_without_held_out_rows_it_is_the_last():
    model = Autoencoder(2, max_epochs=3, validation_fraction=None, random_state=0).fit(NOISE)
    assert (model.best_epoch_, model.held_out_.size) == (3, 0)
    assert model.partial_fit(NOISE).best_epoch_ == 4


def test_partial_fit_after_fit_is_not_undone(digits):
    """At a constant rate it goes on with the state of the fit, whose best weights took the place of the new ones."""
    model = Autoencoder(4, lr_schedule="constant", max_epochs=2, random_state=0).fit(digits[:300])
    before = model.transform(digits[:50])
    model.partial_fit(digits[:300])
    assert np.abs(model.transform(digits[:50]) - before).max() > 1e-4
    assert (model.best_epoch_, model.start_) == (3, None)


FAMILIES = {
    "denoising": (DenoisingAutoencoder, NOISE, None),
    "variational": (VariationalAutoencoder, NOISE, None),
    "conditional": (ConditionalVariationalAutoencoder, NOISE, np.arange(120) % 2),
    "tabular": (TabularAutoencoder, pd.DataFrame({"a": NOISE[:, 0], "b": np.where(NOISE[:, 1] > 0, "x", "y")}), None),
    "sequence": (SequenceAutoencoder, NOISE[:, :, None], None),
    "modalities": (MultimodalAutoencoder, {"a": NOISE[:, :3], "b": NOISE[:, 3:]}, None),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_keeps_it(name, tmp_path):
    family, X, y = FAMILIES[name]
    model = family(2, max_epochs=2, random_state=0).fit(X, y)
    assert type(model.best_epoch_) is int
    assert 0 <= model.best_epoch_ <= 2
    model.save(tmp_path / "model")
    assert isthmus.load(tmp_path / "model").best_epoch_ == model.best_epoch_


def test_a_detector_says_it_of_its_autoencoder(tmp_path):
    detector = OutlierDetector(Autoencoder(2, max_epochs=1, lr=1e-12, random_state=0)).fit(NOISE)
    detector.save(tmp_path / "model")
    assert isthmus.load(tmp_path / "model").autoencoder_.best_epoch_ == 0


def test_the_bar_ends_with_the_epoch_that_is_kept(overfitted, capsys):
    X, model = overfitted
    clone(model).set_params(verbose=1).fit(X)
    lowest = min(record["validation"]["loss"] for record in model.history_)
    last = " ".join(capsys.readouterr().out.split()).rpartition("60/60")[2]
    assert f"kept: epoch {model.best_epoch_}, loss held out {lowest:.5g}" in last


def test_of_older_models_it_is_not_made_up():
    folder = next(path for path in sorted(SV2.iterdir()) if path.name.startswith("plain") or path.name == "autoencoder")
    model = isthmus.load(folder)
    assert not hasattr(model, "best_epoch_")
    X = np.random.default_rng(0).random((20, *model.row_shape_))
    page = report.model_page(model, X, None, "old")
    assert "kept: epoch" not in page
    assert "The model is still" not in page


@pytest.mark.parametrize("epoch", [-1, 3, 1.5, True, "1"])
def test_an_epoch_that_cannot_be_is_refused(epoch):
    fitted = {"n_features_in_": 2, "row_shape_": [2], "history_": [{"epoch": 1}, {"epoch": 2}]}

    def take(best_epoch):
        model = isthmus.Autoencoder()
        set_fitted(model, fitted | {"best_epoch_": best_epoch})
        model.check_fitted()

    take(2)
    with pytest.raises(ValueError, match="best_epoch_"):
        take(epoch)


def test_a_resumed_run_keeps_the_same_epoch(tmp_path, overfitted):
    X, whole = overfitted

    class KilledError(Exception):
        pass

    def kill(record):
        if record["epoch"] == whole.best_epoch_ + 2:
            raise KilledError

    network = MLP(hidden=(64,), linear_path=None)
    with pytest.raises(KilledError):
        Autoencoder(3, network=network, callbacks=[kill], **LONG).fit(X, resume_from=tmp_path)
    again = Autoencoder(3, network=network, **LONG).fit(X, resume_from=tmp_path)
    assert again.best_epoch_ == whole.best_epoch_
    np.testing.assert_array_equal(again.held_out_, whole.held_out_)
    np.testing.assert_array_equal(again.transform(X), whole.transform(X))


def test_a_checkpoint_that_does_not_know_its_best_epoch_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "VERSION", 1)
    Autoencoder(2, max_epochs=1, random_state=0).fit(NOISE, resume_from=tmp_path)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="is of another version: resume it with the isthmus that wrote it"):
        Autoencoder(2, max_epochs=1, random_state=0).fit(NOISE, resume_from=tmp_path)


def figures(out):
    """The figures of the closing line, on the rows trained on and on those held out."""
    return [float(figure) for figure in re.findall(r"([\d.e+-]+) on the", out)]


def test_train_prints_the_figures_of_what_it_saves(run, tmp_path, overfitted):
    X, whole = overfitted
    np.save(tmp_path / "x.npy", X)
    setting = "--components 3 --hidden 64 --set network__linear_path=None --epochs 60 --lr 0.01 --batch-size 16"
    status, out, _ = run(f"train x.npy {setting} --set lr_schedule=constant --out run")
    assert status == 0
    model = isthmus.load(tmp_path / "run")
    held_out = np.isin(np.arange(80), whole.held_out_)
    expected = [squared_error(model, X[rows]) for rows in (~held_out, held_out)]
    assert figures(out) == pytest.approx(expected, rel=1e-3)
    assert model.history_[-1]["validation"]["mse"] > 1.1 * expected[1], "or the test would tell nothing"
    assert f"kept: epoch {whole.best_epoch_} of 60; squared error an entry" in out
    assert "60 rows trained on" in out
    assert "20 rows held out" in out


@pytest.mark.filterwarnings("default:the model is still")
def test_train_says_that_pca_is_what_came_out(run, tmp_path):
    np.save(tmp_path / "x.npy", NOISE)
    status, out, err = run("train x.npy --epochs 3 --out run")
    assert status == 0
    model = isthmus.load(tmp_path / "run")
    assert err.count("\n") == 1
    assert err.startswith("isthmus: the model is still the start (PCA): no epoch was better")
    assert "kept: epoch 0 of 3, the start (PCA)" in out
    sizes = 90, 30
    assert np.average(figures(out), weights=sizes) == pytest.approx(squared_error(model, NOISE), rel=1e-3)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "The model is still the start (PCA): no epoch was better" in page
    assert f"squared error an entry {squared_error(model, NOISE):.4g} on the 120 training rows" in page


@pytest.mark.parametrize(
    ("model", "start"),
    [
        (Autoencoder(2), "the start (PCA)"),
        (VariationalAutoencoder(2), "the start (probabilistic PCA)"),
        (SparseAutoencoder(8, k=2), "the start (a linear dictionary)"),
        (SparseAutoencoder(8, sparsity="l1"), "the start (a linear dictionary)"),
        (Autoencoder(2, network=MLP(linear_path=None)), "the untrained start"),
    ],
)
def test_what_is_kept_is_named_as_what_it_is(model, start):
    with pytest.warns(ConvergenceWarning, match=f"the model is still {re.escape(start)}: "):
        model.set_params(lr=1e-30, max_epochs=1, random_state=0).fit(NOISE)
    assert model.best_epoch_ == 0


def test_train_prints_what_a_table_is_rebuilt_like(run, tmp_path):
    frame = pd.DataFrame({"a": NOISE[:, 0], "b": NOISE[:, 1], "c": np.where(NOISE[:, 2] > 0, "x", "y")})
    frame.iloc[::9, 1] = np.nan
    frame.to_csv(tmp_path / "t.csv", index=False)
    status, out, _ = run(
        "train t.csv --model tabular --components 1 --epochs 2 --set validation_fraction=None --out run"
    )
    assert status == 0
    frame = pd.read_csv(tmp_path / "t.csv")
    rebuilt = isthmus.load(tmp_path / "run").reconstruct(frame)
    lost = np.mean([np.nanmean(np.square(frame[name] - rebuilt[name])) / np.nanvar(frame[name]) for name in "ab"])
    assert f"rebuilt: {lost:.1%} of the numbers' variance lost and {(frame.c == rebuilt.c).mean():.1%}" in out
    assert "kept: epoch 2 of 2" in out


@pytest.mark.parametrize("future", ["", "--set future_steps=3 --set reconstruction=False"])
def test_train_prints_what_sequences_are_rebuilt_like(run, tmp_path, future):
    steps = np.sin(np.arange(90) / 5)
    np.save(tmp_path / "s.npy", steps)
    setting = "--model sequence --window 12 --stride 3 --components 2 --epochs 2 --set validation_fraction=None"
    status, out, _ = run(f"train s.npy {setting} {future} --out run")
    assert status == 0
    model, X = isthmus.load(tmp_path / "run"), isthmus.data.windows(steps, 12, 3)
    expected = model.score(X) if future else squared_error(model, X)
    name = "log-likelihood of what comes" if future else "squared error an entry"
    assert f"; {name} {expected:.4g}" in out


def test_compare_names_the_models_that_are_still_their_start():
    models = {"still": Autoencoder(2, lr=1e-12), "moved": Autoencoder(2, validation_fraction=None)}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = isthmus.compare(NOISE, models=models, seeds=2, max_epochs=2)
    told = [str(each.message) for each in told if issubclass(each.category, ConvergenceWarning)]
    assert len(told) == 1
    assert "in every fit of 'still': no epoch was better" in told[0]
    assert "moved" not in told[0]
    assert found.table["best_epoch"].tolist()[1:] == [0, 2]
    page = report.comparison_page(found, "noise")
    assert page.count("The model is still") == 1


def test_the_curves_mark_the_epoch(overfitted):
    X, model = overfitted
    found = plots(report.model_page(model, X, None, "x"))["curves-0"]
    assert {shape["x0"] for shape in found["layout"]["shapes"]} == {model.best_epoch_}
    assert len(found["layout"]["shapes"]) == 3, "reconstruction, loss, squared error"
    assert found["data"][-1]["name"] == f"kept: epoch {model.best_epoch_}"
    start = Autoencoder(2, max_epochs=1, lr=1e-12, random_state=0).fit(NOISE)
    assert plots(report.model_page(start, NOISE, None, "x"))["curves-0"]["data"][-1]["name"] == "kept: the start"


def test_a_term_of_the_training_alone_has_no_curve_of_held_out_rows(digits):
    model = SparseAutoencoder(100, k=2, max_epochs=2, random_state=0).fit(digits[:200])
    alone = set(model.history_[0]["train"]) - set(model.history_[0]["validation"])
    assert alone == {"revival"}
    traces = plots(report.model_page(model, digits[:50], None, "x"))["curves-0"]["data"]
    names = [trace["name"] for trace in traces]
    assert names.count("training") == names.count("held out") + 1


def test_epochs_of_partial_fit_have_no_held_out_rows(digits):
    model = Autoencoder(2, max_epochs=2, random_state=0).fit(digits[:200]).partial_fit(digits[:200])
    found = plots(report.model_page(model, digits[:50], None, "x"))["curves-0"]["data"]
    assert [list(trace["x"]) for trace in found[:2]] == [[1, 2, 3], [1, 2]]
    assert found[-1]["name"] == "kept: epoch 3"


def test_the_loss_is_called_the_bound_where_it_is_it(digits):
    X = digits[:400]
    model = VariationalAutoencoder(2, max_epochs=3, random_state=0).fit(X)
    titles = [
        note["text"] for note in plots(report.model_page(model, X, None, "x"))["curves-0"]["layout"]["annotations"]
    ]
    assert "loss: minus the bound (ELBO), nats a row" in titles
    record = ([{"validation": model.start_}, *model.history_])[model.best_epoch_]["validation"]
    assert -record["loss"] == pytest.approx(model.score(X[model.held_out_]), abs=1.5), "the same quantity, by one draw"
    weighted = VariationalAutoencoder(2, beta=2, max_epochs=1, random_state=0).fit(X)
    titles = [n["text"] for n in plots(report.model_page(weighted, X, None, "x"))["curves-0"]["layout"]["annotations"]]
    assert "loss: the weighted sum, nats a row" in titles


def test_the_reproduction_prints_a_sum_and_a_bound_by_their_names(digits):
    X = digits[:200]
    setting = {"sigma": vae_cvae.SIGMA, "max_epochs": 1, "validation_fraction": None, "random_state": 0}
    model = VariationalAutoencoder(2, **setting).fit(X)
    terms = vae_cvae.terms(model, Split(X, None, X, None))
    assert terms["bound, test, nats"] == pytest.approx(model.score(X))
    assert terms["squared error + KL, test"] > 64 * squared_error(model, X), "the code is drawn, and the KL is above 0"
    constant = 64 * (0.5 * math.log(2 * math.pi) + math.log(vae_cvae.SIGMA))
    assert -terms["bound, test, nats"] - terms["squared error + KL, test"] == pytest.approx(constant)
