"""Arrays that lie in memory in whatever way: the same numbers, to the bit; and rows of which nothing is known."""

import numpy as np
import pytest
import torch

from isthmus import Autoencoder, ConditionalVariationalAutoencoder, SequenceAutoencoder, TabularAutoencoder


def packed(X):
    """A view of a field that is not aligned."""
    table = np.zeros(X.shape, dtype=[("mark", "u1"), ("value", X.dtype)])
    table["value"] = X
    return table["value"]


LAYOUTS = {
    "reversed": lambda X: np.ascontiguousarray(X[::-1])[::-1],
    "Fortran": np.asfortranarray,
    "swapped": lambda X: X.astype(X.dtype.newbyteorder()),
    "packed": packed,
    "unaligned": lambda X: np.frombuffer(b"x" + X.tobytes(), X.dtype, X.size, 1).reshape(X.shape),
    "every other": lambda X: np.repeat(X, 2, axis=-1)[..., ::2],
    "gradient": lambda X: torch.tensor(X, requires_grad=True),
    "transposed tensor": lambda X: torch.tensor(X.T.copy()).permute(*range(X.ndim)[::-1]),
    "masked": np.ma.MaskedArray,
}
FAMILIES = {
    "plain": Autoencoder,
    "images": Autoencoder,
    "conditional": ConditionalVariationalAutoencoder,
    "tabular": TabularAutoencoder,
    "sequence": SequenceAutoencoder,
}


@pytest.fixture(scope="module", params=FAMILIES)
def known(request):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 4, 3) if request.param in ("images", "sequence") else (40, 5))
    y = {"y": rng.normal(size=40)} if request.param == "conditional" else {}
    make = lambda: FAMILIES[request.param](2, max_epochs=1, random_state=0)  # noqa: E731
    return make, make().fit(X, **y), X, y


@pytest.mark.parametrize("layout", LAYOUTS)
def test_how_an_array_lies_in_memory_changes_nothing(layout, known):
    make, model, X, y = known
    given = LAYOUTS[layout](X)
    told = {name: LAYOUTS[layout](values) for name, values in y.items()}
    again = make().fit(given, **told)
    marks = np.zeros(X.shape, bool)
    marks[:, 0] = True
    for name in ("transform", "reconstruct", "score_samples"):
        expected = np.asarray(getattr(model, name)(X, **y))
        for each in (model, again):
            np.testing.assert_array_equal(np.asarray(getattr(each, name)(given, **told)), expected, err_msg=name)
    filled = model.impute(given, LAYOUTS[layout](marks) if layout != "gradient" else marks, n_iter=2, **told)
    np.testing.assert_array_equal(np.asarray(filled), np.asarray(model.impute(X, marks, n_iter=2, **y)))
    Z = np.asarray(model.transform(X, **y))
    np.testing.assert_array_equal(
        np.asarray(model.inverse_transform(LAYOUTS[layout](Z), **told)), np.asarray(model.inverse_transform(Z, **y))
    )


def test_fields_are_to_be_a_frame():
    X = np.zeros(5, dtype=[("a", float), ("b", float)])
    with pytest.raises(ValueError, match="structured array with the fields a, b: give a DataFrame"):
        Autoencoder(1, max_epochs=1).fit(X)


def test_rows_of_which_nothing_is_known_are_not_held_out():
    X = np.random.default_rng(0).normal(size=(80, 4))
    X[10:70] = np.nan
    model = Autoencoder(2, max_epochs=2, random_state=0).fit(X)
    assert len(model.held_out_)
    assert not np.isnan(X[model.held_out_]).any()
    assert np.isfinite([record["validation"]["mse"] for record in model.history_]).all()


def test_a_list_of_masked_rows_is_a_masked_table():
    """A list of masked arrays is an array without the mask, to NumPy."""
    X = np.random.default_rng(0).normal(size=(30, 4))
    model = Autoencoder(2, max_epochs=1).fit(X)
    X[3, 2] = X[5, :2] = -999
    masked = np.ma.masked_equal(X, -999)
    for method in ("transform", "score_samples", "reconstruct", "impute"):
        np.testing.assert_array_equal(getattr(model, method)(list(masked)), getattr(model, method)(masked))


def test_tensors_with_a_gradient_in_a_list():
    sequences = [torch.randn(length, 2, requires_grad=True) for length in (5, 7, 9, 6, 5, 8)]
    plain = [each.detach().numpy() for each in sequences]
    model = SequenceAutoencoder(2, max_epochs=1).fit(sequences)
    for method in ("transform", "score_samples", "reconstruct", "impute"):
        for one, other in zip(getattr(model, method)(sequences), getattr(model, method)(plain), strict=True):
            np.testing.assert_array_equal(one, other)


def test_half_numbers_of_torch_are_those_of_numpy():
    X = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float16)
    model = Autoencoder(2, max_epochs=1).fit(X)
    np.testing.assert_array_equal(model.transform(torch.from_numpy(X)), model.transform(X))
