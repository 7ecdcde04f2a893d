"""The linear operators: what holds for all, and that each is what it is called."""

import numpy as np
import pytest
import torch
from operator_checks import check_operator
from scipy.ndimage import convolve
from torch.nn.functional import interpolate

from restorekit.errors import UsageError
from restorekit.physics.base import Identity, Masked
from restorekit.physics.blur import SCALES, BlurDecimation, CircularBlur, CroppedBlur, bicubic_decimation
from restorekit.physics.mosaic import bayer_mask, mosaic
from restorekit.types import BayerPattern


def kernel(height, width):
    return torch.rand(height, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 0.3


@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (2, 3, 7, 10), (3, 1, 9, 5), (1, 2, 1, 6)])
def test_operators_of_any_size(shape):
    check_operator(Identity(), shape)
    mask = torch.rand(shape[-2:], generator=torch.Generator().manual_seed(2)) < 0.4
    check_operator(Masked(mask), shape)
    for sides in ((1, 1), (3, 5), (11, 9)):
        check_operator(CircularBlur(kernel(*sides)), shape)


@pytest.mark.parametrize("scale", [1, *SCALES])
@pytest.mark.parametrize("sides", [(1, 1), (2, 3), (3, 2)])
def test_decimation_by_any_scale(scale, sides):
    shape = (2, 3, scale * sides[0], scale * sides[1])
    check_operator(BlurDecimation(kernel(4, 5), (-1, 2), scale), shape)
    if scale > 1:
        check_operator(bicubic_decimation(scale), shape)


@pytest.mark.parametrize(("size", "observed"), [((9, 12), (7, 8)), ((8, 5), (8, 3))])
def test_a_cropped_blur_is_an_operator(size, observed):
    taps = kernel(3, 5) / 8
    physics = CroppedBlur(taps, size, observed, refills=1000)
    check_operator(physics, (2, 3, *size))
    x = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(0))
    assert torch.equal(physics.A(x), CircularBlur(taps).A(x)[..., : observed[0], : observed[1]])


def test_blur_is_a_convolution_centred_on_the_kernel():
    x = torch.randn(2, 3, 9, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    taps = kernel(3, 5)
    expected = np.stack([[convolve(plane, taps.numpy(), mode="wrap") for plane in image] for image in x.numpy()])
    assert CircularBlur(taps).A(x).numpy() == pytest.approx(expected)


def test_a_bayer_mask_keeps_the_values_of_the_mosaic():
    x = torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    mask = bayer_mask(5, 6, BayerPattern.GRBG).permute(2, 0, 1)
    assert torch.equal(Masked(mask).A(x).sum(1)[0], mosaic(x[0].permute(1, 2, 0), BayerPattern.GRBG))


@pytest.mark.parametrize("scale", SCALES)
def test_bicubic_decimation_is_that_of_torch(scale):
    x = torch.rand(2, 3, 5 * scale, 6 * scale, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = interpolate(x, scale_factor=1 / scale, mode="bicubic", align_corners=False, antialias=False)
    found = bicubic_decimation(scale).A(x)
    edge = 1 if scale == 2 else 0
    inner = (..., slice(edge, 5 - edge), slice(edge, 6 - edge))
    torch.testing.assert_close(found[inner], expected[inner])
    mirrored = torch.cat((x, x.flip(-2)), -2)
    mirrored = torch.cat((mirrored, mirrored.flip(-1)), -1)
    torch.testing.assert_close(bicubic_decimation(scale).A(mirrored)[..., :5, :6], expected)


def test_observations_have_seeded_noise():
    x = torch.full((1, 1, 64, 64), 0.5)
    physics = CircularBlur(torch.full((3, 3), 1 / 9))
    observed = physics.observe(x, 0.1, 3)
    assert torch.equal(observed, physics.observe(x, 0.1, 3))
    assert float(observed.std()) == pytest.approx(0.1, rel=0.05)


def test_wrong_operators_are_refused():
    with pytest.raises(UsageError, match="odd"):
        CircularBlur(torch.ones(4, 3))
    with pytest.raises(UsageError, match="zeros and ones"):
        Masked(torch.full((3, 3), 0.5))
    with pytest.raises(UsageError, match="use one of 2, 3, 4"):
        bicubic_decimation(5)
    with pytest.raises(UsageError, match="decimated by 2"):
        bicubic_decimation(2).A(torch.zeros(1, 1, 5, 4))
