"""Every mistake has one clear line."""

import numpy as np
import pandas as pd
import pytest
from torch import nn

from isthmus import Autoencoder, OutlierDetector, SparseAutoencoder, compare, datasets
from isthmus.data import files
from isthmus.networks import MLP, Modules

ROWS = np.random.default_rng(0).normal(size=(30, 5))


def with_value(value, row=3, column=2):
    rows = ROWS.copy()
    rows[row, column] = value
    return rows


def fit(X=ROWS, **params):
    return Autoencoder(max_epochs=1, **params).fit(X)


CASES = {
    "a column of NaN": (lambda: fit(with_value(np.nan, row=slice(None))), "nothing but NaN in column 2"),
    "a column of NaN in a frame": (
        lambda: fit(pd.DataFrame(with_value(np.nan, row=slice(None)), columns=list("abcde"))),
        "nothing but NaN in column 'c'",
    ),
    "infinity in a frame": (
        lambda: fit(pd.DataFrame(with_value(np.inf), columns=list("abcde"))),
        "infinity at row 3, column 'c'",
    ),
    "infinity beside NaN": (
        lambda: fit(np.where(ROWS > 1, np.nan, with_value(np.inf))),
        r"infinity at row 3, column 2 \(1 such",
    ),
    "NaN to compare": (lambda: compare(with_value(np.nan)), "NaN at row 3, column 2 "),
    "infinity": (lambda: fit(with_value(-np.inf)), "infinity at row 3, column 2"),
    "infinity at use": (lambda: fit().transform(with_value(np.inf)), "infinity at row 3"),
    "infinity in an image": (lambda: fit(with_value(np.inf).reshape(-1, 1, 5)), "infinity at row 3"),
    "NaN in codes": (lambda: fit().inverse_transform([[np.nan, 1]]), "NaN"),
    "a mask of numbers": (lambda: fit().impute(ROWS, np.zeros(ROWS.shape)), "mask holds float64: give True where"),
    "a mask of another shape": (lambda: fit().impute(ROWS, np.ones(4, bool)), r"mask has the shape \(4,\)"),
    "a mask the wrong way round": (
        lambda: fit().impute(ROWS, np.zeros(ROWS.shape, bool).T),
        r"mask has the shape \(5, 30\)",
    ),
    "values that are none": (lambda: fit().traverse(ROWS, 0, []), "minimum of 1 is required"),
    "values with NaN": (lambda: fit().traverse(ROWS, 0, [np.nan]), "values contains NaN"),
    "values in two rows": (lambda: fit().traverse(ROWS, 0, [[1, 2], [3, 4]]), "should be a 1d array"),
    "a weight of NaN": (lambda: fit(weight_decay=np.nan), "weight_decay == nan, must be finite"),
    "sigma without effect": (lambda: fit(np.abs(ROWS) / 9, likelihood="bernoulli", sigma=0.5), "sigma=0.5 has no"),
    "no turns": (lambda: fit().impute(ROWS, n_iter=0), "n_iter == 0"),
    "ends that are not pairs": (lambda: fit().interpolate(ROWS[:2], ROWS[:3]), "A has 2 rows and B 3"),
    "a way of one step": (lambda: fit().interpolate(ROWS[:2], ROWS[:2], 1), "n_steps == 1"),
    "an unknown way": (lambda: fit().interpolate(ROWS[:2], ROWS[:2], path="round"), "unknown path 'round'"),
    "a unit that is not there": (lambda: fit().traverse(ROWS, 2), "unit == 2, must be <= 1"),
    "no sigma": (lambda: fit(sigma=0.0), "sigma == 0.0"),
    "sigma by another word": (lambda: fit(sigma="learnt"), "unknown sigma 'learnt': did you mean 'learned'"),
    "one row": (lambda: fit(ROWS[:1]), r"1 sample\(s\)"),
    "no rows": (lambda: fit(ROWS[:0]), r"0 sample\(s\)"),
    "no columns": (lambda: fit(ROWS[:, :0]), r"0 feature\(s\)"),
    "one dimension": (lambda: fit(ROWS[0]), "Expected 2D array, got 1D array"),
    "five dimensions": (lambda: fit(np.zeros((2, 2, 2, 2, 2))), "dim 5|expected <= 2"),
    "wrong number of features": (
        lambda: fit().transform(ROWS[:, :4]),
        "X has 4 features, but Autoencoder is expecting 5",
    ),
    "wrong size of images": (lambda: fit(np.zeros((9, 4, 4))).transform(np.zeros((9, 4, 5))), "X has 20 features"),
    "wrong width of codes": (
        lambda: fit().inverse_transform(np.zeros((3, 7))),
        "7 columns, but the codes have n_components=2",
    ),
    "text": (lambda: fit([["a", "b"], ["c", "d"]]), "X holds text where numbers are needed"),
    "text in a frame": (lambda: fit(pd.DataFrame({"a": [1, 2], "name": ["x", "y"]})), "column 'name' holds text"),
    "ragged": (lambda: fit([[1.0, 2.0], [3.0]]), "inhomogeneous|sequence"),
    "negative for Bernoulli": (lambda: fit(likelihood="bernoulli"), r"needs X in \[0, 1\]"),
    "Bernoulli twice": (
        lambda: fit(np.abs(ROWS) / 9, likelihood="bernoulli", network=MLP(output_activation="sigmoid")),
        "leave output_activation=None",
    ),
    "KL on a code out of range": (
        lambda: fit(sparsity="kl", network=MLP(code_activation="relu")),
        r"a code in \(0, 1\)",
    ),
    "unknown activation": (
        lambda: fit(network=MLP(activation="rely")),
        "unknown activation 'rely': did you mean 'relu'",
    ),
    "unknown likelihood": (lambda: fit(likelihood="gausian"), "unknown likelihood 'gausian': did you mean 'gaussian'"),
    "unknown corruption": (lambda: fit(corruption="blur"), "unknown corruption 'blur'"),
    "unknown sparsity": (lambda: fit(sparsity="top_k"), "unknown sparsity 'top_k': did you mean 'topk'"),
    "unknown schedule": (lambda: fit(lr_schedule="cosine"), "unknown lr_schedule"),
    "unknown device": (lambda: fit(device="tpuu"), "device='tpuu'"),
    "a device that is not here": (lambda: fit(device="cuda:77"), "device='cuda:77'"),
    "unknown precision": (lambda: fit(precision="3"), "unknown precision '3': give one of 'auto'"),
    "unknown normalisation": (lambda: fit(network=MLP(normalization="group")), "unknown normalization 'group'"),
    "unknown linear path": (lambda: fit(network=MLP(linear_path="ica")), "unknown linear_path 'ica'"),
    "a width alone": (lambda: fit(network=MLP(hidden=64)), r"hidden=64: give whole numbers in a sequence"),
    "half a width": (lambda: fit(network=MLP(hidden=(6.5,))), "give whole numbers"),
    "tied to text": (lambda: fit(network=MLP(tied="false")), "tied='false': give True or False"),
    "a network by name": (lambda: fit(network="mlp"), r"network='mlp': give MLP\(...\)"),
    "an activation by number": (lambda: fit(network=MLP(activation=5)), "activation 5: give a name"),
    "no activation of one input": (lambda: fit(network=MLP(activation="glu")), "unknown activation 'glu'"),
    "a switch by text": (lambda: fit(early_stopping="false"), "early_stopping must be an instance of"),
    "a device that needs more": (lambda: fit(device="tpu"), "device='tpu'"),
    "a network that cannot take the rows": (
        lambda: fit(n_components=2, network=Modules(nn.Linear(4, 2), nn.Linear(2, 5))),
        "the network cannot take rows of this shape",
    ),
    "a gap in the labels": (lambda: compare(ROWS, ["a", None] * 15), "row 1 has no label"),
    "no seeds": (lambda: compare(ROWS, seeds=0), "seeds == 0"),
    "a name that is PCA's": (lambda: compare(ROWS, models={"PCA-2": Autoencoder()}), "names that PCA's do not have"),
    "a detector to compare": (lambda: compare(ROWS, models={"o": OutlierDetector()}), "give autoencoders of isthmus"),
    "no width": (lambda: fit(network=MLP(hidden=(8, 0))), "every width must be at least 1"),
    "full dropout": (lambda: fit(network=MLP(dropout=1.0)), r"dropout=1.0: give a share in \[0, 1\)"),
    "no components": (lambda: fit(n_components=0), "n_components == 0, must be >= 1"),
    "half a component": (lambda: fit(n_components=2.5), "n_components must be an instance of"),
    "no batch": (lambda: fit(batch_size=0), "batch_size == 0"),
    "negative rate": (lambda: fit(lr=-1), "lr == -1"),
    "negative weight": (lambda: fit(weight_decay=-1), "weight_decay == -1"),
    "all rows held out": (lambda: fit(validation_fraction=1.0), "validation_fraction == 1.0"),
    "more than all corrupted": (lambda: fit(corruption="masking", corruption_level=1.5), r"a share in \[0, 1\]"),
    "more on than there are": (lambda: SparseAutoencoder(4, k=5).fit(ROWS), "k=5 is more than n_components=4"),
    "contamination": (lambda: OutlierDetector(contamination=0.9).fit(ROWS), "contamination == 0.9"),
    "unknown dataset": (
        lambda: datasets.load("fashon_mnist"),
        "unknown dataset 'fashon_mnist': did you mean 'fashion_mnist'",
    ),
    "unknown dataset, nothing like it": (lambda: datasets.load("zzz"), "unknown dataset 'zzz': there are digits"),
    "unknown split": (lambda: datasets.load("digits", "validation"), "unknown split"),
    "unknown model": (
        lambda: compare(ROWS, models=["shallow"]),
        "unknown model 'shallow': compare knows 'under-complete'",
    ),
    "unknown network parameter": (
        lambda: Autoencoder().set_params(network__depth=3),
        "MLP has no parameter 'depth': it has hidden",
    ),
    "unknown parameter": (lambda: Autoencoder().set_params(depth=3), "Invalid parameter 'depth'"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_has_its_line(case):
    act, pattern = CASES[case]
    with pytest.raises((ValueError, TypeError), match=pattern) as error:
        act()
    if case != "one dimension":  # scikit-learn's own words, which it checks
        assert "\n" not in str(error.value), error.value


FILES = {
    "no such file": ("rows.csv", None, FileNotFoundError, "there is no file .*rows.csv"),
    "unknown ending": ("rows.xlsx", b"", ValueError, r"rows.xlsx: give a file that ends in .npy"),
    "empty table": ("rows.csv", b"", ValueError, "cannot read .*rows.csv: No columns"),
    "ragged table": ("rows.csv", b"a,b\n1,2\n1,2,3,4\n", ValueError, "cannot read .*rows.csv: .*line 3"),
    "binary table": ("rows.csv", b"a,b\n\xff\xfe,2\n", ValueError, "not UTF-8"),
    "text column": ("rows.csv", b"a,name\n1,x\n2,y\n", ValueError, "column 'name' holds no numbers"),
    "broken parquet": ("rows.parquet", b"PAR1 but no more", ValueError, "cannot read .*rows.parquet"),
    "broken array": ("rows.npy", b"\x93NUMPY but no more", ValueError, "cannot read .*rows.npy"),
    "text for an array": ("rows.npy", b"1,2,3", ValueError, "cannot read .*rows.npy"),
    "broken archive": ("rows.npz", b"PK but no more", ValueError, "cannot read .*rows.npz"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_table(case, tmp_path):
    name, content, error, pattern = FILES[case]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=pattern) as raised:
        files.read(tmp_path / name)
    assert "\n" not in str(raised.value)


def test_an_unknown_column(tmp_path):
    pd.DataFrame({"a": [1, 2], "b": [3, 4]}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ValueError, match="no column 'c': it has 'a', 'b'"):
        files.read(tmp_path / "t.csv", label="c")
    np.savez(tmp_path / "t.npz", rows=[1], others=[2])
    with pytest.raises(ValueError, match="holds the arrays rows, others"):
        files.read(tmp_path / "t.npz")
    np.savez(tmp_path / "t.npz", X=[1])
    with pytest.raises(ValueError, match="no array 'c': it holds X"):
        files.read(tmp_path / "t.npz", label="c")
    np.save(tmp_path / "t.npy", [1])
    with pytest.raises(ValueError, match="leave the label out"):
        files.read(tmp_path / "t.npy", label="c")


def test_objects_in_arrays_are_not_unpickled(tmp_path):
    np.save(tmp_path / "t.npy", np.array([{"a": 1}], dtype=object))
    np.savez(tmp_path / "t.npz", X=np.array([{"a": 1}], dtype=object))
    for name in ("t.npy", "t.npz"):
        with pytest.raises(ValueError, match="cannot read"):
            files.read(tmp_path / name)


def test_methods_before_fit():
    from sklearn.exceptions import NotFittedError

    for method in ("transform", "reconstruct", "score_samples", "inverse_transform"):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            getattr(Autoencoder(), method)(ROWS)
    with pytest.raises(NotFittedError):
        OutlierDetector().predict(ROWS)


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write .*file/model.*is a file"):
        fit().save(tmp_path / "file" / "model")
    with pytest.raises(OSError, match="cannot write"):
        files.write(tmp_path / "file" / "codes.csv", ROWS, list("abcde"))
    with pytest.raises(ValueError, match=r"ends in .npy, .csv, .parquet"):
        files.write(tmp_path / "codes.txt", ROWS, list("abcde"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
