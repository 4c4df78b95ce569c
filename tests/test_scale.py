"""A word about scales that do harm, and about no others."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning

from isthmus import Autoencoder, SequenceAutoencoder, TabularAutoencoder, VariationalAutoencoder
from isthmus.networks import MLP


@pytest.fixture(scope="module")
def bent():
    """Rows on a bent sheet, each column of unit spread; the last column is noise of its own."""
    rng = np.random.default_rng(0)
    t = rng.uniform(-1, 1, (600, 2))
    columns = [t, np.sin(3 * t), np.cos(3 * t), t.prod(1), t.sum(1) ** 2, rng.normal(size=600)]
    X = np.column_stack(columns)
    return ((X - X.mean(0)) / X.std(0) + 0.02 * rng.normal(size=X.shape)).astype(np.float32)


def quick(family=Autoencoder, **params):
    return family(3, max_epochs=1, network=MLP(hidden=(8,)), random_state=0, **params)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda X: X * 1e-9, "X has a spread of 1e-09 where sigma=1 is expected, and next to nothing will be learnt"),
        (lambda X: (X - X.min()) * 1e6 / np.ptp(X), "where sigma=1 is expected, and penalties and added noise will"),
        (lambda X: X * ([1e6] + [1] * 8), r"spread by a factor of 1e\+06, 0 the widest and \d the narrowest: stand"),
        (
            lambda X: pd.DataFrame(X * ([1] * 8 + [1e-4]), columns=list("abcdefghi")),
            "spread by a factor of 1e.04, '.' the widest and 'i' the narrowest: standardise .* or the narrow ones",
        ),
        (lambda X: np.where(np.arange(9) == 4, 7, X), "one value alone in column 4, of which nothing can be learnt"),
        (lambda X: np.where(np.arange(9) > 6, 7, X), r"one value alone in column 7 \(and 1 more\)"),
    ],
)
def test_a_scale_that_does_harm_is_told_with_the_cure(bent, change, line):
    with pytest.warns(UserWarning, match=line) as told:
        quick().fit(change(bent))
    told = [each for each in told if each.category is not ConvergenceWarning]
    assert len([each for each in told if "expected" not in str(each.message)]) <= 1
    assert all("\n" not in str(each.message) for each in told)
    assert {each.filename for each in told} == {__file__}, "it points to the line with fit"


@pytest.mark.parametrize("scale", [1e-1, 1, 1e3])
def test_other_scales_are_not(bent, digits, scale):
    quick().fit(bent * scale)
    quick().fit(bent * scale + 5 * scale)
    quick().fit(digits * scale)
    quick().fit(digits.reshape(-1, 64) * scale)  # constant pixels at the border, in a table too
    quick().fit((255 * digits).astype(np.uint8).reshape(-1, 64))


def test_nor_are_columns_of_families_that_scale(bent):
    wild = bent * 10.0 ** np.arange(-4, 5)
    quick(TabularAutoencoder).fit(wild)
    SequenceAutoencoder(2, max_epochs=1).fit(np.stack([wild] * 3))


def test_a_sigma_that_is_learnt_or_fits_goes_with_any_scale(bent):
    quick(sigma="learned").fit(bent * 1e-9)
    quick(sigma=1e-9).fit(bent * 1e-9)
    quick(VariationalAutoencoder).fit(bent * 1e6)


@pytest.mark.parametrize(
    ("change", "columns", "share"), [(1e-9, slice(None), 1.5), ([1] * 8 + [2e3], slice(8), 3)], ids=["tiny", "unequal"]
)
def test_the_harm_is_real(bent, change, columns, share):
    """What is warned about is rebuilt worse, next to the same rows standardised."""

    def error(scale):
        model = Autoencoder(3, max_epochs=60, network=MLP(hidden=(32, 32)), random_state=0)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            model.fit((bent[:400] * scale).astype(np.float32))
        rebuilt = model.reconstruct((bent[400:] * scale).astype(np.float32)) / scale
        return np.square(rebuilt - bent[400:])[:, columns].mean(), sum(
            each.category is not ConvergenceWarning for each in told
        )

    good, silent = error(np.ones(9))
    bad, told = error(np.broadcast_to(change, 9))
    assert (silent, told) == (0, 1)
    assert bad > share * good
