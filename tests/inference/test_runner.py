"""The image, its conditioning and its mask on their way to a network."""

import numpy as np
import pytest
import torch

from restorekit.errors import UsageError
from restorekit.inference import runner
from restorekit.inference.runner import restore_array
from restorekit.models import PatchNetwork
from restorekit.types import RunSettings
from tests.tiny import tiny_network

SETTINGS = RunSettings(device="cpu")


class Fill(PatchNetwork):
    """Gives back the image where it was observed and the conditioning elsewhere; keeps the mask."""

    channels, patch_size, halo, bytes_per_patch = 3, 9, 0, 1

    def forward(self, observed, conditioning, stride, tile_size, mask):
        self.mask = mask
        filled = torch.where(mask > 0, observed, conditioning[:, None, None, None])
        return filled, torch.ones(observed.shape[-2:])


class Precise(Fill):
    """Notes whether convolutions on a GPU would be exact."""

    def forward(self, *arguments, **more):
        self.exact = not torch.backends.cudnn.allow_tf32
        return super().forward(*arguments, **more)


def test_convolutions_are_exact_while_restoring_and_as_they_were_afterwards():
    image = np.full((12, 12, 3), 0.5, np.float32)
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    network = Precise()
    restore_array(image, 0.0, network, SETTINGS, image)
    assert network.exact
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark) == before


def test_a_precision_chosen_by_its_newer_name_stays():
    convolutions = torch.backends.cudnn.conv
    before = convolutions.fp32_precision
    convolutions.fp32_precision = "ieee"
    try:
        restore_array(np.zeros((12, 12, 3), np.float32), 0.0, Fill(), SETTINGS, np.ones((12, 12)))
        assert convolutions.fp32_precision == "ieee"
    finally:
        convolutions.fp32_precision = before


@pytest.mark.parametrize("shape", [(20, 31), (20, 31, 3), (5, 4, 3), (1, 12)])
def test_a_mask_goes_along_with_its_image(shape):
    rng = np.random.default_rng(0)
    image = rng.random((*shape[:2], 3), dtype=np.float32)
    mask = rng.integers(0, 2, shape, np.uint8)
    network = Fill()
    restored, _ = restore_array(image, 0.25, network, SETTINGS, mask)
    every_channel = mask if mask.ndim == 3 else np.stack([mask] * 3, -1)
    np.testing.assert_array_equal(restored, np.where(every_channel, image, np.float32(0.25)))
    assert network.mask.shape == (1, 3, max(shape[0], 9), max(shape[1], 9))
    assert network.mask.dtype == torch.float32


def test_a_mask_is_mirrored_as_its_image_is():
    image = np.random.default_rng(0).random((4, 20, 3), dtype=np.float32)
    network = Fill()
    restore_array(image, 0.0, network, SETTINGS, (image > 0.5).astype(np.float32))
    seen = network.mask[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(seen[:4], image > 0.5)
    np.testing.assert_array_equal(seen[4:7], (image > 0.5)[2::-1])


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(UsageError, match=r"mask of shape \[3, 8\] does not fit an image of shape \[8, 8, 3\]"):
        restore_array(np.zeros((8, 8, 3), np.float32), 0.1, tiny_network(3), SETTINGS, np.ones((3, 8)))


def test_tiles_of_non_local_models_follow_the_memory_that_is_free(monkeypatch):
    network = tiny_network(prior="group")
    image = np.random.default_rng(0).random((150, 200), dtype=np.float32)
    monkeypatch.setattr(runner, "LEAST_CPU_MEMORY", 1)
    tiles = []
    for free in (2**40, 2 * 64 * 64 * network.bytes_per_patch):
        monkeypatch.setattr(runner, "free_memory", lambda free=free: free)
        restored, report = restore_array(image, 0.1, network, SETTINGS)
        assert restored.shape == image.shape
        tiles.append(report.tiles)
    assert tiles[0] == 1
    assert tiles[1] > 1
