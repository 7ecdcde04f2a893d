"""Sampled Fourier transforms of complex and real images; masks: their share, their shape, and zero frequency."""

import numpy as np
import pytest
import torch
from operator_checks import check_operator

from restorekit.errors import UsageError
from restorekit.physics import kspace
from restorekit.physics.kspace import SampledFourier, SampledFourierOfReal, Sampling, channels_of, complex_of
from restorekit.types import SamplingPattern

SIZES = [(8, 8), (7, 10), (9, 5), (1, 6)]


def random_mask(size):
    mask = torch.rand(size, generator=torch.Generator().manual_seed(3)) < 0.4
    mask[0, 0] = True
    return mask


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("batch", [1, 3])
def test_operators_of_any_size(size, batch):
    check_operator(SampledFourier(random_mask(size)), (batch, 2, *size))
    check_operator(SampledFourierOfReal(random_mask(size)), (batch, 1, *size))


@pytest.mark.parametrize("operator", [SampledFourier, SampledFourierOfReal])
def test_all_samples_give_the_image_back(operator):
    x = torch.randn(2, 1 if operator is SampledFourierOfReal else 2, 5, 6, dtype=torch.float64)
    physics = operator(torch.ones(5, 6))
    torch.testing.assert_close(physics.A_adjoint(physics.A(x)), x)
    torch.testing.assert_close(physics.A(x).norm(), x.norm())  # orthonormal


def test_k_space_is_that_of_fft2():
    x = torch.randn(1, 2, 6, 5, dtype=torch.float64)
    y = complex_of(SampledFourier(torch.ones(6, 5)).A(x))
    torch.testing.assert_close(y, torch.fft.fft2(complex_of(x), norm="ortho"))
    torch.testing.assert_close(channels_of(complex_of(x)), x)


@pytest.mark.parametrize("operator", [SampledFourier, SampledFourierOfReal])
def test_a_small_weight_of_the_prior_keeps_float32_exact(operator):
    generator = torch.Generator().manual_seed(0)
    mask = Sampling(SamplingPattern.RANDOM, 0.3).mask(64, 64)
    physics = operator(mask)
    x = torch.rand(1, 1 if operator is SampledFourierOfReal else 2, 64, 64, generator=generator)
    z = x + 0.1 * torch.randn(x.shape, generator=generator)
    single = physics.prox_l2(z, physics.A(x), 1e-4)
    double = physics.prox_l2(z.double(), physics.A(x.double()), 1e-4)
    torch.testing.assert_close(single.double(), double, rtol=0, atol=2e-3)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("operator", [SampledFourier, SampledFourierOfReal])
def test_each_frequency_may_have_a_weight_of_its_own(operator, size):
    generator = torch.Generator().manual_seed(0)
    physics = operator(random_mask(size))
    channels = 1 if operator is SampledFourierOfReal else 2
    x, z = (torch.randn(2, channels, *size, dtype=torch.float64, generator=generator) for _ in range(2))
    weight = 0.1 + torch.rand(2, 1, *size, dtype=torch.float64, generator=generator)
    weight = weight + weight.flip((2, 3)).roll((1, 1), (2, 3))
    y = physics.A(x)

    def energy(image):
        misfit = (physics.A(image) - y).square().sum()
        changed = complex_of(image - z)
        return misfit + (weight[:, 0] * torch.fft.fft2(changed, norm="ortho").abs().square()).sum()

    assert torch.func.grad(energy)(physics.prox_l2(z, y, weight)).abs().max() < 1e-12


def test_noise_is_only_in_the_samples():
    mask = random_mask((32, 32))
    physics = SampledFourier(mask)
    noise = physics.observe(torch.zeros(1, 2, 32, 32), 0.1, 5)
    assert (noise[..., ~mask] == 0).all()
    assert abs(float(noise[..., mask].std()) - 0.1) < 0.01


@pytest.mark.parametrize("mask", [torch.zeros(4, 4), torch.full((4, 4), 2), torch.ones(1, 4, 4)])
def test_other_masks_are_refused(mask):
    with pytest.raises(UsageError, match="mask"):
        SampledFourier(mask)


@pytest.mark.parametrize("pattern", SamplingPattern)
@pytest.mark.parametrize("size", [(256, 256), (64, 48), (33, 50)])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_the_share_is_reached(pattern, size, share):
    mask = Sampling(pattern, share).mask(*size, seed=1)
    assert tuple(mask.shape) == size
    assert abs(float(mask.float().mean()) - share) < 1.5 / min(size)
    assert mask[0, 0]  # zero frequency


@pytest.mark.parametrize("pattern", SamplingPattern)
def test_a_share_of_one_measures_all_and_a_tiny_one_something(pattern):
    assert Sampling(pattern, 1).mask(9, 12).all()
    assert Sampling(pattern, 1e-6).mask(9, 12).any()
    assert Sampling(pattern, 0.5).mask(1, 1).all()


@pytest.mark.parametrize("pattern", [SamplingPattern.CARTESIAN, SamplingPattern.RANDOM])
def test_masks_depend_on_the_seed(pattern):
    sampling = Sampling(pattern, 0.3)
    assert (sampling.mask(32, 32, 1) == sampling.mask(32, 32, 1)).all()
    assert (sampling.mask(32, 32, 1) != sampling.mask(32, 32, 2)).any()


def test_radial_masks_are_those_of_the_literature():
    """The shares of the masks that ADMM-Net and ISTA-Net are tested on, to the last sample."""
    samples = {27: 6695, 55: 13233, 85: 19789, 117: 26273, 152: 32753}
    assert {lines: int(kspace.radial_lines(256, 256, lines).sum()) for lines in samples} == samples


def test_radial_masks_are_lines_through_the_centre():
    mask = kspace.radial_lines(33, 33, 8)
    assert (mask == mask[::-1, ::-1]).all()
    assert mask[16].all()
    assert mask[:, 16].all()
    assert mask.diagonal().all()


def test_cartesian_masks_are_whole_columns_around_a_full_centre():
    mask = np.fft.fftshift(Sampling(SamplingPattern.CARTESIAN, 0.3).mask(40, 100, 0).numpy())
    assert (mask.all(0) == mask.any(0)).all()
    central = round(100 * kspace.CENTRE_SHARE)
    assert mask[:, 50 - central // 2 : 50 + central // 2].all()


def test_random_masks_are_denser_at_the_centre():
    mask = np.fft.fftshift(Sampling(SamplingPattern.RANDOM, 0.3).mask(64, 64, 0).numpy())
    assert mask[24:40, 24:40].mean() > 2 * mask.mean() > 2 * mask[:8, :8].mean()


@pytest.mark.parametrize("share", [0, -1, 1.1, float("nan")])
def test_a_share_outside_0_to_1_is_refused(share):
    with pytest.raises(UsageError, match="share"):
        Sampling(SamplingPattern.RADIAL, share)


@pytest.mark.parametrize("pattern", SamplingPattern)
@pytest.mark.parametrize("size", [(64, 64), (33, 50)])
def test_centredness_says_where_zero_frequency_is(pattern, size):
    mask = Sampling(pattern, 0.3).mask(*size).numpy()
    assert kspace.centredness(mask) < 0 < kspace.centredness(np.fft.fftshift(mask))
    assert kspace.centredness(np.ones(size)) == 0
