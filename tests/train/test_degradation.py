import numpy as np
import pytest
import torch

from restorekit.image import recompress
from restorekit.physics.jpeg import error_level, standard_table
from restorekit.train.degradation import JpegSettings, MosaicSettings, NoiseSettings, random_sigmas


def crops(channels: int) -> torch.Tensor:
    rows, cols = torch.meshgrid(torch.arange(24), torch.arange(26), indexing="ij")
    image = 0.5 + 0.3 * (rows / 3).sin() * (cols / 4).cos()
    return ((image * 255).round() / 255).expand(4, channels, -1, -1).contiguous()


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_noise_has_the_level_it_is_said_to_have() -> None:
    noise = NoiseSettings(low=5, high=60, power=1.5, balance=1.2, validation=(25,))
    clean = torch.full((3, 1, 200, 200), 0.5)
    for observed in (noise.draw(clean, seeded()), noise.at(clean, 25, seeded())):
        found = (observed.x0 - clean).std((1, 2, 3))
        assert torch.allclose(found, observed.conditioning, rtol=0.02)
        assert observed.mask is None
    assert torch.equal(noise.at(clean, 25, seeded()).conditioning, torch.full((3,), 25 / 255))


def test_levels_stay_in_their_range() -> None:
    noise = NoiseSettings(low=5, high=60, power=1.5, balance=1.2, validation=(25,))
    levels = 255 * random_sigmas(noise.low, noise.high, noise.power, 1000, seeded())
    assert 5 <= float(levels.min()) < 6
    assert 59 < float(levels.max()) <= 60


def test_jpeg_crops_are_those_of_their_quality() -> None:
    clean = crops(1)
    observed = JpegSettings(low=5, high=95, balance=1.2, validation=(10,)).at(clean, 10, seeded())
    expected = recompress((clean[0, 0] * 255).round().byte().numpy(), 10)
    assert np.array_equal((observed.x0[0, 0] * 255).round().byte().numpy(), expected)
    assert torch.allclose(observed.conditioning, torch.full((4,), error_level(10)))


def test_chroma_has_its_own_tables_and_level() -> None:
    clean = crops(1)
    settings = JpegSettings(low=10, high=11, balance=1.2, validation=(10,))
    observed = settings.draw(clean, seeded(), chroma=True)
    levels = [error_level(quality, chroma=True) for quality in (10, 11)]
    for crop, worse, level in zip(clean[:, 0], observed.x0[:, 0], observed.conditioning.tolist(), strict=True):
        table = standard_table(10 + int(np.argmin(np.abs(np.subtract(levels, level)))), chroma=True).tolist()
        expected = recompress((crop * 255).round().byte().numpy(), table)
        assert np.array_equal((worse * 255).round().byte().numpy(), expected)
    assert bool(torch.isin(observed.conditioning, torch.tensor(levels)).all())


def test_a_share_of_jpeg_crops_was_cut_after_it_was_compressed() -> None:
    """What is wrong with the edge in the middle keeps to the blocks it is in, wherever they begin."""
    clean = torch.zeros(400, 1, 24, 24)
    clean[..., 12:] = 1
    settings = JpegSettings(low=10, high=11, balance=1.2, validation=(10,), shifted=0.5)
    wrong = ((settings.draw(clean, seeded()).x0 - clean).abs() > 0.005).any(1).any(1)
    columns = [tuple(crop.nonzero().flatten().tolist()) for crop in wrong]
    on_grid = sum(set(found) <= set(range(8, 16)) and bool(found) for found in columns) / len(columns)
    assert 0.5 < on_grid < 0.7
    assert len(set(columns)) > 4


def test_all_jpeg_qualities_are_drawn_coarse_ones_more_often() -> None:
    settings = JpegSettings(low=5, high=95, balance=1.2, validation=(10,))
    levels = settings.draw(torch.zeros(3000, 1, 8, 8), seeded()).conditioning
    assert levels.min() == torch.tensor(error_level(95))
    assert levels.max() == torch.tensor(error_level(5))
    shares = torch.histc(levels.log(), 4) / 3000
    assert float(shares.min()) > 0.15


@pytest.mark.parametrize("seed", range(4))
def test_a_mosaic_keeps_what_was_observed_and_tells_where(seed: int) -> None:
    clean = torch.rand(4, 3, 24, 26, generator=seeded())
    observed = MosaicSettings().draw(clean, torch.Generator().manual_seed(seed))
    assert observed.mask is not None
    assert torch.equal(observed.mask.sum(1), torch.ones(4, 24, 26))
    known = observed.mask == 1
    assert torch.equal(observed.x0[known], clean[known])
    assert not torch.allclose(observed.x0, clean)
