import pytest
import torch

from restorekit.numerics.patches import aggregate_patches, coverage, extract_patches, patch_means


@pytest.mark.parametrize(("height", "width", "stride"), [(9, 9, 1), (17, 12, 1), (20, 31, 2), (23, 17, 3), (9, 40, 3)])
def test_aggregation_is_the_adjoint_of_extraction(height: int, width: int, stride: int) -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 3, height, width, dtype=torch.float64)
    patches = extract_patches(images, 9, stride)
    other = torch.randn_like(patches)
    back = aggregate_patches(other, height, width, 9, stride)
    assert torch.allclose((patches * other).sum(), (images * back).sum())


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_coverage_counts_the_patches_at_each_pixel(stride: int) -> None:
    counted = aggregate_patches(extract_patches(torch.ones(1, 1, 20, 15), 7, stride), 20, 15, 7, stride)
    assert torch.equal(counted[0, 0], coverage(20, 15, 7, stride))


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_patch_means_are_over_pixels_and_channels(stride: int) -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 3, 20, 15)
    direct = extract_patches(images, 7, stride).mean(2, keepdim=True)
    assert torch.allclose(patch_means(images, 7, stride), direct, atol=1e-6)
