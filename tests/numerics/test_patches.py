"""Patches taken and added up, and the blocks of patches that tiles are made of."""

from collections import Counter

import pytest
import torch
from torch import Tensor

from restorekit.errors import MemoryExhaustedError
from restorekit.numerics import patches as grids
from restorekit.numerics.patches import GridBlock, accumulate_blocks, aggregate_patches, extract_patches, grid_blocks


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
    assert torch.equal(counted[0, 0], grids.coverage(20, 15, 7, stride))


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_patch_means_are_over_pixels_and_channels(stride: int) -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 3, 20, 15)
    direct = extract_patches(images, 7, stride).mean(2, keepdim=True)
    assert torch.allclose(grids.patch_means(images, 7, stride), direct, atol=1e-6)


def positions(block: GridBlock) -> list[tuple[int, int]]:
    return [
        (block.top + row * block.stride, block.left + col * block.stride)
        for row in range(block.rows)
        for col in range(block.cols)
    ]


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("tile_size", [9, 10, 16, 33, 500])
@pytest.mark.parametrize(("height", "width"), [(9, 9), (10, 50), (37, 22), (9, 61)])
def test_every_patch_of_the_grid_is_in_one_block_and_the_last_row_and_column_always(
    height: int, width: int, tile_size: int, stride: int
) -> None:
    blocks = grid_blocks(height, width, 9, stride, tile_size)
    found = Counter(position for block in blocks for position in positions(block))
    rows = sorted({*range(0, height - 8, stride), height - 9})
    cols = sorted({*range(0, width - 8, stride), width - 9})
    assert found == Counter((row, col) for row in rows for col in cols)
    for block in blocks:
        down, across = block.window(9)
        assert down.stop - down.start <= max(9, tile_size)
        assert across.stop - across.start <= max(9, tile_size)
        assert down.stop <= height
        assert across.stop <= width


def test_a_block_is_cut_where_memory_runs_out_and_nothing_is_lost() -> None:
    def estimate(block: GridBlock) -> tuple[Tensor, Tensor]:
        if block.rows * block.cols > 6:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")
        down, across = block.window(3)
        shape = (1, 1, down.stop - down.start, across.stop - across.start)
        return torch.ones(shape), torch.ones(shape[2:])

    like = torch.zeros(1, 1, 14, 19)
    blocks = grid_blocks(14, 19, 3, 2, 11)
    sums, covered = accumulate_blocks(estimate, blocks, 3, like)
    assert (covered > 0).all()
    assert torch.equal(sums[0, 0], covered)


def test_a_single_patch_without_memory_is_an_error_that_says_so() -> None:
    def estimate(block: GridBlock) -> tuple[Tensor, Tensor]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(MemoryExhaustedError, match="smallest tile"):
        accumulate_blocks(estimate, grid_blocks(20, 20, 3, 1, 20), 3, torch.zeros(1, 1, 20, 20))


def test_other_errors_pass_through() -> None:
    def estimate(block: GridBlock) -> tuple[Tensor, Tensor]:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        accumulate_blocks(estimate, grid_blocks(20, 20, 3, 1, 20), 3, torch.zeros(1, 1, 20, 20))
