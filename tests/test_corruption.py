"""Every corruption does what its name says, at its rate, from its generator."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.core.corruption import HIDINGS, NOISES, dropout, gaussian, hide_block, salt_and_pepper, swap

ROWS, FEATURES = 300, 40


def rows(seed=0):
    # Continuous values, so that a changed entry differs from what it was.
    return torch.rand(ROWS, FEATURES, generator=torch.Generator().manual_seed(seed)) + 1


def corrupt(name, x, level, seed=1):
    generator = torch.Generator().manual_seed(seed)
    if name in NOISES:
        return NOISES[name](x, level, generator)
    shown = HIDINGS[name](x, None, level, generator)
    return x if shown is None else x.masked_fill(~shown, 0)


def hidden_by_block(shape, level):
    return ~hide_block(torch.ones(shape), None, level, torch.Generator().manual_seed(0))


@given(level=st.floats(0, 1))
@settings(deadline=None, max_examples=25)
@pytest.mark.parametrize("name", ["masking", "salt_and_pepper", "swap"])
def test_rate(name, level):
    x = rows()
    changed = (corrupt(name, x, level) != x).double().mean().item()
    spread = (level * (1 - level) / x.numel()) ** 0.5
    # salt-and-pepper leaves the one lowest and highest entry as they are where it hits them
    assert abs(changed - level) <= 5 * spread + 2 / x.numel()


@pytest.mark.parametrize("name", HIDINGS)
def test_what_is_not_known_is_not_shown(name):
    x, known = rows(), rows(1) > 1.2
    shown, of_all = (HIDINGS[name](x, each, 0.5, torch.Generator().manual_seed(1)) for each in (known, None))
    assert torch.equal(shown, of_all & known)


@pytest.mark.parametrize("level", [0.0, 0.3, 0.5, 1.0])
def test_dropout_keeps_the_mean(level):
    x = rows()
    y = dropout(x, level, torch.Generator().manual_seed(1))
    assert abs((y == 0).double().mean().item() - level) < 0.03
    torch.testing.assert_close(y[y != 0], (x / (1 - level) if level < 1 else x)[y != 0])


def test_gaussian_has_its_deviation():
    noise = gaussian(torch.zeros(1000, 50), 0.7, torch.Generator().manual_seed(1))
    assert noise.std().item() == pytest.approx(0.7, rel=0.02)
    assert noise.mean().item() == pytest.approx(0, abs=0.02)


def test_salt_and_pepper_in_equal_parts():
    x = rows()
    y = salt_and_pepper(x, 0.5, torch.Generator().manual_seed(1))
    changed = y[y != x]
    assert set(changed.tolist()) == {x.min().item(), x.max().item()}
    assert (changed == x.max()).double().mean().item() == pytest.approx(0.5, abs=0.03)


def test_swap_takes_the_same_column_of_another_row():
    x = torch.arange(ROWS * 3.0).view(ROWS, 3)
    y = swap(x, 1.0, torch.Generator().manual_seed(1))
    assert (y != x).all()
    assert (y % 3 == x % 3).all()
    images = x.view(ROWS, 1, 3)
    assert torch.equal(
        swap(images, 0.5, torch.Generator().manual_seed(1)).flatten(1), swap(x, 0.5, torch.Generator().manual_seed(1))
    )


def test_swap_leaves_a_row_alone_that_has_no_other():
    x = torch.rand(1, 5)
    assert torch.equal(swap(x, 1.0), x)


@pytest.mark.parametrize("name", [*NOISES, *HIDINGS])
def test_only_the_generator_counts(name):
    x = rows()
    first = corrupt(name, x, 0.4)
    torch.rand(17)
    assert torch.equal(first, corrupt(name, x, 0.4))
    assert not torch.equal(first, corrupt(name, x, 0.4, seed=2))
    assert torch.equal(x, rows()), "the rows themselves are left alone"


@pytest.mark.parametrize("name", [*NOISES, *HIDINGS])
def test_level_zero_changes_nothing(name):
    assert torch.equal(corrupt(name, rows(), 0.0), rows())


@given(
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    channels=st.sampled_from([None, 1, 3]),
    level=st.floats(0.05, 1),
)
@settings(deadline=None, max_examples=40)
def test_block_hides_one_rectangle_in_all_channels(height, width, channels, level):
    shape = (50, height, width) if channels is None else (50, channels, height, width)
    hidden = hidden_by_block(shape, level)
    if channels is not None:
        assert torch.equal(hidden, hidden[:, :1].expand_as(hidden))
        hidden = hidden[:, 0]
    for image in hidden:
        rows, columns = image.any(1), image.any(0)
        assert torch.equal(image, rows[:, None] & columns), "a rectangle"
        for side in (rows, columns):
            places = side.nonzero().flatten()
            assert places[-1] - places[0] + 1 == len(places), "in one piece"


def test_block_hides_its_share():
    images = (2000, 28, 28)
    for level in (0.1, 0.25, 0.5, 1.0):
        hidden = hidden_by_block(images, level)
        assert hidden.float().mean().item() == pytest.approx(level, rel=0.03)
    hidden = hidden_by_block(images, 0.25)
    middle, corner = hidden[:, 14, 14].float().mean(), hidden[:, 0, 0].float().mean()
    assert middle > corner > 0
    run = hidden_by_block((2000, 30), 0.4)
    assert (run.sum(1) == 12).all()
