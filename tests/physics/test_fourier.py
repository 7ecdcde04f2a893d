"""Sampled Fourier transforms, for complex and for real images."""

import pytest
import torch
from operator_checks import check_operator

from restorekit.errors import UsageError
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


def test_k_space_is_numpys():
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


def test_noise_is_in_the_samples_alone():
    mask = random_mask((32, 32))
    physics = SampledFourier(mask)
    noise = physics.observe(torch.zeros(1, 2, 32, 32), 0.1, 5)
    assert (noise[..., ~mask] == 0).all()
    assert abs(float(noise[..., mask].std()) - 0.1) < 0.01


@pytest.mark.parametrize("mask", [torch.zeros(4, 4), torch.full((4, 4), 2), torch.ones(1, 4, 4)])
def test_masks_that_are_none(mask):
    with pytest.raises(UsageError, match="mask"):
        SampledFourier(mask)
