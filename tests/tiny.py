"""A sparse coder small enough for tests, with numbers that depend on nothing but the seed."""

import torch

from restorekit.models import SparseCoding, SparseCodingSettings


def tiny_network(channels: int = 1, scales: int = 2, patch_size: int = 5, steps: int = 3) -> SparseCoding:
    generator = torch.Generator().manual_seed(0)
    settings = SparseCodingSettings(channels, patch_size, 16, steps, (0.02, 0.1, 0.3), scales)
    network = SparseCoding(settings)
    network.initialise(torch.randn(channels * patch_size**2, 16, generator=generator))
    return network.eval().requires_grad_(False)
