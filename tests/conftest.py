"""Fixtures; and one thread a worker, as two workers share two cores."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

import isthmus

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits():
    """Training rows of the digits, (1437, 8, 8), in [0, 1]."""
    return isthmus.datasets.load("digits").X


@pytest.fixture(scope="session")
def digits_labels():
    return isthmus.datasets.load("digits").y


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def table():
    """A small table with structure: 200 rows on a bent sheet in 6 dimensions."""
    rng = np.random.default_rng(0)
    sheet = rng.normal(size=(200, 2))
    bent = np.column_stack([sheet, np.sin(sheet), sheet.prod(1, keepdims=True), sheet.sum(1, keepdims=True)])
    return (bent + 0.05 * rng.normal(size=bent.shape)).astype(np.float32)


@pytest.fixture(scope="session")
def data_dir():
    """The folder with real data, of which some tests have need."""
    folder = os.environ.get("ISTHMUS_DATA")
    if not folder or not Path(folder, "mnist").is_dir():
        pytest.skip("ISTHMUS_DATA names no folder with real data")
    return Path(folder)
