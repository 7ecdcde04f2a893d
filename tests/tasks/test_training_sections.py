"""What training sections make of clean crops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from restorekit.errors import TrainingError
from restorekit.image import recompress
from restorekit.models.kspace import UNMEASURED_ERROR
from restorekit.physics.blur import bicubic_error
from restorekit.physics.jpeg import rms_error, standard_table
from restorekit.settings import read_settings
from restorekit.tasks.cs_mri import KspaceSection
from restorekit.tasks.deblock import JpegSection
from restorekit.tasks.deblur import BlurSection
from restorekit.tasks.demosaic import MosaicSection
from restorekit.tasks.denoise import NoiseSection, random_sigmas
from restorekit.tasks.superres import DownsamplingSection
from restorekit.train.optimiser import without_border

NOISE = NoiseSection(low=5, high=60, power=1.5, balance=1.2, validation=(25,))
KSPACE = KspaceSection(low=20, high=40, noise=5, balance=2, validation=(30,))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def waves() -> torch.Tensor:
    """Four crops of waves, on 8 bits, [4, 1, 24, 26]."""
    rows, cols = torch.meshgrid(torch.arange(24), torch.arange(26), indexing="ij")
    image = 0.5 + 0.3 * (rows / 3).sin() * (cols / 4).cos()
    return ((image * 255).round() / 255).expand(4, 1, -1, -1).contiguous()


def small(one_size: bool) -> list[tuple[int, torch.Size]]:
    """The scales of sixty measurements, and the shapes of their small images."""
    section, generator = DownsamplingSection(0, 0, one_size), seeded()
    crops = torch.rand(2, 3, 48, 48, generator=generator)
    measurements = [section.draw(crops, generator) for _ in range(60)]
    return [(m.x0.shape[-1] // m.y.shape[-1], m.y.shape) for m in measurements]


def test_noise_has_the_sigma_it_is_said_to_have() -> None:
    clean = torch.full((3, 1, 200, 200), 0.5)
    for measured in (NOISE.draw(clean, seeded()), NOISE.at(clean, 25, seeded())):
        found = (measured.x0 - clean).std((1, 2, 3))
        assert torch.allclose(found, measured.conditioning, rtol=0.02)
        assert measured.mask is None
    assert torch.equal(NOISE.at(clean, 25, seeded()).conditioning, torch.full((3,), 25 / 255))


def test_sigmas_stay_in_their_range() -> None:
    sigmas = 255 * random_sigmas(NOISE.low, NOISE.high, NOISE.power, 1000, seeded())
    assert 5 <= float(sigmas.min()) < 6
    assert 59 < float(sigmas.max()) <= 60


def test_jpeg_crops_are_those_of_their_quality() -> None:
    clean = waves()
    measured = JpegSection(low=5, high=95, balance=1.2, validation=(10,)).at(clean, 10, seeded())
    expected = recompress((clean[0, 0] * 255).round().byte().numpy(), 10)
    assert np.array_equal((measured.x0[0, 0] * 255).round().byte().numpy(), expected)
    assert torch.allclose(measured.conditioning, torch.full((4,), rms_error(10)))


def test_chroma_has_its_own_tables_and_conditioning() -> None:
    clean = waves()
    section = JpegSection(low=10, high=11, balance=1.2, validation=(10,))
    measured = section.draw(clean, seeded(), chroma=True)
    errors = [rms_error(quality, chroma=True) for quality in (10, 11)]
    for crop, worse, error in zip(clean[:, 0], measured.x0[:, 0], measured.conditioning.tolist(), strict=True):
        table = standard_table(10 + int(np.argmin(np.abs(np.subtract(errors, error)))), chroma=True).tolist()
        expected = recompress((crop * 255).round().byte().numpy(), table)
        assert np.array_equal((worse * 255).round().byte().numpy(), expected)
    assert bool(torch.isin(measured.conditioning, torch.tensor(errors)).all())


def test_a_share_of_jpeg_crops_was_cut_after_compression() -> None:
    """Errors of the edge in the middle stay in its blocks, wherever those begin."""
    clean = torch.zeros(400, 1, 24, 24)
    clean[..., 12:] = 1
    section = JpegSection(low=10, high=11, balance=1.2, validation=(10,), shifted=0.5)
    wrong = ((section.draw(clean, seeded()).x0 - clean).abs() > 0.005).any(1).any(1)
    columns = [tuple(crop.nonzero().flatten().tolist()) for crop in wrong]
    on_grid = sum(set(found) <= set(range(8, 16)) and bool(found) for found in columns) / len(columns)
    assert 0.5 < on_grid < 0.7
    assert len(set(columns)) > 4


@pytest.mark.slow
def test_all_jpeg_qualities_are_drawn_coarse_ones_more_often() -> None:
    section = JpegSection(low=5, high=95, balance=1.2, validation=(10,))
    errors = section.draw(torch.zeros(3000, 1, 8, 8), seeded()).conditioning
    assert errors.min() == torch.tensor(rms_error(95))
    assert errors.max() == torch.tensor(rms_error(5))
    shares = torch.histc(errors.log(), 4) / 3000
    assert float(shares.min()) > 0.15


@pytest.mark.parametrize("seed", range(4))
def test_a_mosaic_keeps_observed_values_and_says_where_they_are(seed: int) -> None:
    clean = torch.rand(4, 3, 24, 26, generator=seeded())
    measured = MosaicSection().draw(clean, seeded(seed))
    assert measured.mask is not None
    assert torch.equal(measured.mask.sum(1), torch.ones(4, 24, 26))
    known = measured.mask == 1
    assert torch.equal(measured.x0[known], clean[known])
    assert not torch.allclose(measured.x0, clean)


@pytest.mark.parametrize("seed", range(6))
def test_blurred_crops_agree_with_their_physics(seed: int) -> None:
    section = BlurSection(1, 12, 1.5, 0.8, 3, 15, 0.4, (2.55,))
    clean = torch.rand(3, 1, 40, 40, generator=seeded())
    measured = section.draw(clean, seeded(seed))
    assert measured.x0 is measured.y
    assert torch.equal(measured.conditioning, measured.sigma)
    rest = (measured.y - measured.physics.A(clean)).std((1, 2, 3))
    torch.testing.assert_close(rest, measured.sigma, rtol=0.1, atol=0)
    flat = measured.physics.A(torch.ones(1, 1, 40, 40))
    torch.testing.assert_close(flat, torch.ones_like(flat))
    again = section.draw(clean, seeded(seed))
    assert torch.equal(again.y, measured.y)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_small_crops_agree_with_their_physics(scale: int) -> None:
    clean = torch.rand(2, 3, 48, 48, generator=seeded())
    measured = DownsamplingSection(noise=1, balance=2).at(clean, scale, torch.Generator())
    assert measured.y.shape[-1] == 48 // scale
    assert measured.x0.shape == clean.shape
    assert torch.equal(measured.conditioning, torch.full((2,), bicubic_error(scale)))
    # Torch repeats the pixels at the border, where the operator goes round.
    found, expected = (without_border(y, 1) for y in (measured.physics.A(clean), measured.y))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_all_scales_are_drawn() -> None:
    section, generator = DownsamplingSection(noise=1, balance=2), seeded()
    sides = {section.draw(torch.zeros(1, 1, 12, 12), generator).y.shape[-1] for _ in range(20)}
    assert sides == {6, 4, 3}


def test_small_images_may_have_one_size() -> None:
    seen = small(one_size=True)
    assert {shape for _, shape in seen} == {torch.Size([2, 3, 12, 12])}
    counts = [sum(scale == s for scale, _ in seen) for s in (2, 3, 4)]
    assert counts[0] < counts[1] < counts[2]


def test_small_images_have_the_size_that_the_scale_leaves() -> None:
    assert set(small(one_size=False)) == {(s, torch.Size([2, 3, 48 // s, 48 // s])) for s in (2, 3, 4)}


def test_only_the_scales_of_the_section_are_drawn() -> None:
    section, generator = DownsamplingSection(0, 0, one_size=True, scales=(2, 3)), seeded()
    assert (section.validation, section.conditioning_range) == ((2, 3), (2, 3))
    drawn = [section.draw(torch.rand(1, 3, 36, 36, generator=generator), generator) for _ in range(20)]
    assert {(m.x0.shape[-1], m.y.shape[-1]) for m in drawn} == {(24, 12), (36, 12)}


@pytest.mark.parametrize("scales", [(), (2, 4), (4, 3), (4, 4), (5,)])
def test_scales_that_no_range_on_a_card_can_tell_are_refused(scales: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"use \[2, 3, 4\] or neighbours"):
        DownsamplingSection(0, 0, scales=scales)


def test_scales_in_a_recipe_are_whole_numbers() -> None:
    with pytest.raises(TrainingError, match=r"scales\.0"):
        read_settings(DownsamplingSection, {"noise": 0, "balance": 0, "scales": (4.0,)}, "recipe", TrainingError)


def test_sampling_rates_and_noise_stay_in_their_range() -> None:
    clean = torch.rand(1, 2, 32, 32, generator=seeded())
    noises, lines = [], 0
    for seed in range(40):
        measured = KSPACE.draw(clean, seeded(seed))
        share = 1 - float(measured.conditioning) / UNMEASURED_ERROR
        assert 0.17 < share < 0.5  # One radial line more or less, of so few, is a good deal.
        noises.append(255 * float(measured.sigma))
        mask = measured.physics.A(clean)[0, 0] != 0
        lines += bool((mask == mask[:1]).all())
    assert max(noises) <= 5
    assert 10 < noises.count(0) < 30
    assert 5 < lines < 25  # Cartesian ones


def test_validation_of_k_space_is_radial_and_without_noise() -> None:
    for channels in (1, 2):
        clean = torch.rand(2, channels, 64, 64, generator=seeded())
        measured = KSPACE.at(clean, 30, seeded())
        assert measured.x0.shape == clean.shape
        assert torch.equal(measured.y, measured.physics.A(clean))
        error = float(measured.conditioning[0])
        assert error == pytest.approx(0.7 * UNMEASURED_ERROR, abs=0.02 * UNMEASURED_ERROR)
