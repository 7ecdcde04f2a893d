"""The networks that reconstruct images from a part of their k-space."""

import pytest
import torch

from restorekit.errors import WeightsError
from restorekit.models import build
from restorekit.models.kspace import (
    CsSparseCoding,
    CsSparseCodingSettings,
    CsTv,
    CsUNet,
    CsUNetSettings,
    KspaceSettings,
    kspace_measurement,
)
from restorekit.physics.kspace import SampledFourier, SampledFourierOfReal, Sampling
from restorekit.types import SamplingPattern
from tests.tiny import tiny_network

KNOTS = (0.01, 0.03)


def cs_tv() -> CsTv:
    return CsTv(KspaceSettings(2, 4, KNOTS))


def cs_sc(variance: bool = True) -> CsSparseCoding:
    network = CsSparseCoding(CsSparseCodingSettings(2, 3, KNOTS, 5, 16, variance))
    assert network.load_compatible_weights(tiny_network())
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        network.momentum.copy_(torch.tensor([0.0, 0.2, -0.3]))
        for matrix in (network.coding.analysis, network.coding.dictionary):
            matrix += 0.02 * torch.randn(matrix.shape, generator=generator)
        if variance:
            network.feedback.fill_(0.3)
    return network


def cs_unet() -> CsUNet:
    network = CsUNet(CsUNetSettings(2, 3, KNOTS, (4, 6), 1))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        network.denoiser.tail.weight.normal_(0, 0.1, generator=generator)
    return network


NETWORKS = pytest.mark.parametrize(
    "make", [cs_tv, cs_sc, lambda: cs_sc(variance=False), cs_unet], ids=["tv", "sc-var", "sc", "unet"]
)


def measurement(height=12, width=14, channels=2, pattern=SamplingPattern.RANDOM, share=0.4, noise=0.0, batch=2):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch, channels, height, width, generator=generator, dtype=torch.float64)
    mask = Sampling(pattern, share).mask(height, width)
    physics = SampledFourierOfReal(mask) if channels == 1 else SampledFourier(mask)
    y = physics.observe(images, noise, generator)
    return physics, y, kspace_measurement(physics, y, torch.full((batch,), noise, dtype=y.dtype))


@NETWORKS
def test_gradients_agree_with_finite_differences(make):
    network = make().double()
    _, _, recorded = measurement(6, 7, batch=1, noise=0.05)
    network.forward = network.reconstruct
    names = [name for name, _ in network.named_parameters()]

    def reconstructed(*values):
        return torch.func.functional_call(network, dict(zip(names, values, strict=True)), (recorded, 2))

    numbers = tuple(parameter.detach().clone().requires_grad_() for parameter in network.parameters())
    assert torch.autograd.gradcheck(reconstructed, numbers, fast_mode=True)


@NETWORKS
def test_measured_frequencies_are_kept(make):
    network = make().double().requires_grad_(False)
    network.log_error.fill_(8.0)  # Estimates that may be far off, so that the samples alone count.
    for channels in (1, 2):
        physics, y, recorded = measurement(channels=channels, share=0.5)
        assert physics.A_adjoint(physics.A(network.reconstruct(recorded)) - y).abs().max() < 1e-8


@NETWORKS
@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_the_scale_of_k_space_does_not_matter(make, scale):
    network = make().double().requires_grad_(False)
    physics, y, recorded = measurement(noise=0.02)
    scaled = kspace_measurement(physics, scale * y, scale * recorded.sigma)
    assert torch.allclose(network.reconstruct(scaled) / scale, network.reconstruct(recorded), atol=1e-9)


@NETWORKS
def test_zeros_give_zeros(make):
    physics, y, recorded = measurement()
    network = make().double().requires_grad_(False)
    assert not network.reconstruct(kspace_measurement(physics, 0 * y, recorded.sigma)).any()


@NETWORKS
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (3, 4), (13, 11)])
@pytest.mark.parametrize("stride", [1, 3])
def test_images_of_any_size(make, height, width, stride):
    network = make().double().requires_grad_(False)
    physics, y, recorded = measurement(height, width, pattern=SamplingPattern.RADIAL, share=1.0)
    assert torch.allclose(network.reconstruct(recorded, stride), physics.A_adjoint(y), atol=0.02)


@NETWORKS
def test_overwriting_changes_nothing_but_the_speed(make):
    network = make().double()
    _, _, recorded = measurement(37, 41)
    plain = network.reconstruct(recorded).detach()
    with torch.no_grad():
        assert torch.allclose(network.reconstruct(recorded), plain)


@pytest.mark.parametrize("make", [cs_tv, cs_sc, lambda: cs_sc(variance=False)])
def test_a_periodic_image_may_begin_anywhere(make):
    network = make().double().requires_grad_(False)
    physics, y, recorded = measurement()
    moved = physics.A(physics.A_adjoint(y).roll((3, 5), (2, 3)))
    again = kspace_measurement(physics, moved, recorded.sigma)
    assert torch.allclose(network.reconstruct(again), network.reconstruct(recorded).roll((3, 5), (2, 3)), atol=1e-9)


def test_real_and_imaginary_part_are_coded_as_two_images():
    network = cs_sc().double().requires_grad_(False)
    _, y, recorded = measurement(16, 16, pattern=SamplingPattern.RADIAL, batch=1)
    mask = recorded.physics.spectrum
    symmetric = mask | mask.flip((0, 1)).roll((1, 1), (0, 1))
    real = recorded.x0[:, :1]
    complex_, of_real = SampledFourier(symmetric), SampledFourierOfReal(symmetric)
    noise = torch.zeros(1, dtype=y.dtype)
    both = network.reconstruct(kspace_measurement(complex_, complex_.A(torch.cat([real, 0 * real], 1)), noise))
    alone = network.reconstruct(kspace_measurement(of_real, of_real.A(real), noise))
    assert torch.allclose(both[:, :1], alone)
    assert both[:, 1:].abs().max() < 1e-12


def test_a_unet_at_stride_1_is_the_mean_over_the_symmetries():
    network = cs_unet().double().requires_grad_(False)
    physics, y, _ = measurement(16, 16, share=0.5, batch=1)
    image, noise = physics.A_adjoint(y), torch.zeros(1, dtype=y.dtype)
    symmetric = SampledFourier(physics.spectrum & physics.spectrum.T)
    straight, across = (
        network.reconstruct(kspace_measurement(symmetric, symmetric.A(part), noise), 1) for part in (image, image.mT)
    )
    assert torch.allclose(straight, across.mT, atol=1e-9)
    assert not torch.allclose(
        straight, network.reconstruct(kspace_measurement(symmetric, symmetric.A(image), noise), 2)
    )


def test_a_unet_takes_images_as_periodic():
    network = cs_unet().double().requires_grad_(False)
    x = torch.rand(1, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    conditioning = torch.full((1,), 0.02, dtype=x.dtype)
    prior = network._prior(conditioning, 0 * conditioning, 3)
    gone_on = torch.cat([x, x], 2)[..., :8, :].repeat(1, 1, 1, 2)[..., :8]
    assert torch.equal(prior(0, x).image, prior(0, gone_on).image[..., :6, :6])


def test_each_image_is_denoised_at_its_own_noise_and_each_part_by_itself():
    network = cs_unet().double().requires_grad_(False)
    x = torch.randn(2, 2, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    conditioning, noise = torch.tensor([0.01, 0.02], dtype=x.dtype), torch.tensor([0.0, 0.3], dtype=x.dtype)
    together = network._prior(conditioning, noise, 3)(1, x).image
    for image in range(2):
        alone = network._prior(conditioning[image : image + 1], noise[image : image + 1], 3)
        for part in range(2):
            single = alone(1, x[image : image + 1, part : part + 1]).image
            assert torch.allclose(together[image, part], single[0, 0])


def test_a_unet_starts_from_a_denoiser():
    network = CsUNet(CsUNetSettings(2, 3, KNOTS, (4, 6), 1))
    denoiser = cs_unet().denoiser
    assert network.load_compatible_weights(denoiser)
    assert torch.equal(network.denoiser.tail.weight, denoiser.tail.weight)
    assert network.load_compatible_weights(cs_unet())
    assert not network.load_compatible_weights(tiny_network())


def test_a_denoiser_of_other_patches_is_refused_as_a_start():
    network = CsSparseCoding(CsSparseCodingSettings(2, 3, KNOTS, 7, 16))
    assert not network.load_compatible_weights(tiny_network())
    assert not network.load_compatible_weights(cs_sc())


@pytest.mark.parametrize("settings", [{"steps": 0}, {"knots": [0]}, {"widths": []}, {"blocks": 0}, {"odd": 1}])
def test_wrong_settings_of_a_unet_are_refused_by_name(settings):
    good = {"channels": 1, "steps": 3, "knots": [0, 0.1], "widths": [4, 6], "blocks": 1}
    assert build("cs-unet", good).settings.widths == (4, 6)
    with pytest.raises(WeightsError, match=next(iter(settings))):
        build("cs-unet", {**good, **settings})


@pytest.mark.parametrize("settings", [{"steps": 0}, {"knots": []}, {"variance": 1}, {"odd": 1}])
def test_wrong_settings_of_sparse_coding_are_refused_by_name(settings):
    good = {"channels": 2, "patch_size": 5, "atoms": 16, "steps": 3, "knots": [0.1]}
    assert build("cs-sc", good).settings.variance is False
    with pytest.raises(WeightsError, match=next(iter(settings))):
        build("cs-sc", {**good, **settings})
