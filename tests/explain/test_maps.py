import numpy as np
import pytest

from restorekit.explain.trace import atom_counts, errors_where_unsure, patch_spread, without_grid


def test_the_spread_is_the_standard_deviation_over_the_patches_of_a_pixel(coding):
    channels, height, width = coding.observed.shape[1:]
    size = coding.patch_size
    estimates = [[[] for _ in range(width)] for _ in range(height)]
    for index, patch in enumerate(coding.patches.view(-1, channels, size, size).numpy()):
        region = coding.region(index)
        for row in range(size):
            for col in range(size):
                estimates[region.top + row][region.left + col].append(patch[:, row, col])
    expected = [[np.sqrt(np.var(pixel, axis=0).mean()) for pixel in row] for row in estimates]
    np.testing.assert_allclose(patch_spread(coding), expected, atol=1e-6)


def test_the_grid_of_patches_does_not_show():
    rows, cols = np.indices((12, 13))
    spread = (1 + rows % 3 + 2 * (cols % 3)).astype(np.float32)
    smooth = without_grid(spread, 3)
    np.testing.assert_allclose(smooth[1:-1, 1:-1], np.sqrt(np.square(spread[:3, :3]).mean()), rtol=1e-5)
    np.testing.assert_allclose(without_grid(spread, 1), spread, rtol=1e-6)
    bright_and_dark = np.random.default_rng(0).random((40, 400), np.float32) * np.float32(1e3)
    bright_and_dark[:, 200:] = 0
    assert not np.isnan(without_grid(bright_and_dark, 3)).any()


def test_atoms_are_counted(coding):
    counts = atom_counts(coding)
    assert counts.shape == (coding.grid.rows, coding.grid.cols)
    row, col = divmod(7, coding.grid.cols)
    assert counts[row, col] == sum(code != 0 for code in coding.codes[7].tolist())
    assert counts.max() > 0


def test_errors_where_patches_agree_and_where_not():
    spread = np.arange(10, dtype=np.float32).reshape(2, 5)
    error = np.zeros((2, 5), np.float32)
    error[0, :2], error[1, 3:] = [3, 4], [30, 40]
    assert errors_where_unsure(spread, error) == pytest.approx((np.sqrt(12.5), np.sqrt(1250)))
