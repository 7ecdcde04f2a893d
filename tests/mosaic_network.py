"""A stand-in for a network that demosaicks: it interpolates, and insists on being asked the right way."""

import torch

from restorekit.models import PatchNetwork
from restorekit.physics.mosaic import INTERPOLATION_ERROR, bayer_mask, interpolate
from restorekit.types import BayerPattern
from tests.cards import bare_card

CARD = bare_card("interpolator", "demosaic", 3, (0.0, 0.0))


class Interpolator(PatchNetwork):
    """Gives the linear interpolation back, and insists on being given it as in training, with the mask it is of."""

    channels = 3
    patch_size = 7
    halo = 0
    bytes_per_patch = 1

    def forward(self, observed, conditioning, stride=1, tile_size=None, mask=None):
        height, width = observed.shape[-2:]
        assert min(height, width) >= self.patch_size
        assert torch.allclose(conditioning, torch.tensor(INTERPOLATION_ERROR))
        first = mask[0, :, :2, :2].argmax(0).flatten().tolist()
        pattern = BayerPattern("".join("rgb"[channel] for channel in first))
        assert torch.equal(mask[0], bayer_mask(height, width, pattern).permute(2, 0, 1))
        assert torch.allclose(observed, interpolate((observed * mask).sum(1, keepdim=True), pattern))
        return observed.clone(), torch.ones(height, width)
