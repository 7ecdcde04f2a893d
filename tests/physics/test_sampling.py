"""Sampling masks: their share, their shape, and where zero frequency lies."""

import numpy as np
import pytest

from restorekit.errors import UsageError
from restorekit.physics.kspace import CENTRE_SHARE, Sampling, centredness, radial_lines
from restorekit.types import SamplingPattern


@pytest.mark.parametrize("pattern", SamplingPattern)
@pytest.mark.parametrize("size", [(256, 256), (64, 48), (33, 50)])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_the_share_is_reached(pattern, size, share):
    mask = Sampling(pattern, share).mask(*size, seed=1)
    assert tuple(mask.shape) == size
    assert abs(float(mask.float().mean()) - share) < 1.5 / min(size)
    assert mask[0, 0]  # zero frequency


@pytest.mark.parametrize("pattern", SamplingPattern)
def test_all_and_next_to_nothing(pattern):
    assert Sampling(pattern, 1).mask(9, 12).all()
    assert Sampling(pattern, 1e-6).mask(9, 12).any()
    assert Sampling(pattern, 0.5).mask(1, 1).all()


@pytest.mark.parametrize("pattern", [SamplingPattern.CARTESIAN, SamplingPattern.RANDOM])
def test_seeds(pattern):
    sampling = Sampling(pattern, 0.3)
    assert (sampling.mask(32, 32, 1) == sampling.mask(32, 32, 1)).all()
    assert (sampling.mask(32, 32, 1) != sampling.mask(32, 32, 2)).any()


def test_radial_masks_are_those_of_the_literature():
    """The shares of the masks that ADMM-Net and ISTA-Net are tested on, to the last sample."""
    samples = {27: 6695, 55: 13233, 85: 19789, 117: 26273, 152: 32753}
    assert {lines: int(radial_lines(256, 256, lines).sum()) for lines in samples} == samples


def test_radial_masks_are_lines_through_the_centre():
    mask = radial_lines(33, 33, 8)
    assert (mask == mask[::-1, ::-1]).all()
    assert mask[16].all()
    assert mask[:, 16].all()
    assert mask.diagonal().all()


def test_cartesian_masks_are_whole_columns_around_a_full_centre():
    mask = np.fft.fftshift(Sampling(SamplingPattern.CARTESIAN, 0.3).mask(40, 100, 0).numpy())
    assert (mask.all(0) == mask.any(0)).all()
    central = round(100 * CENTRE_SHARE)
    assert mask[:, 50 - central // 2 : 50 + central // 2].all()


def test_random_masks_are_denser_at_the_centre():
    mask = np.fft.fftshift(Sampling(SamplingPattern.RANDOM, 0.3).mask(64, 64, 0).numpy())
    assert mask[24:40, 24:40].mean() > 2 * mask.mean() > 2 * mask[:8, :8].mean()


@pytest.mark.parametrize("share", [0, -1, 1.1, float("nan")])
def test_shares_that_are_none(share):
    with pytest.raises(UsageError, match="share"):
        Sampling(SamplingPattern.RADIAL, share)


@pytest.mark.parametrize("pattern", SamplingPattern)
@pytest.mark.parametrize("size", [(64, 64), (33, 50)])
def test_where_zero_frequency_is(pattern, size):
    mask = Sampling(pattern, 0.3).mask(*size).numpy()
    assert centredness(mask) < 0 < centredness(np.fft.fftshift(mask))
    assert centredness(np.ones(size)) == 0
