"""Networks small enough for tests, with numbers that depend on nothing but the seed."""

import torch

from restorekit.models import Enlarger, SparseCoding, SparseCodingSettings
from restorekit.models.convolutional import EnlargerSettings


def tiny_network(
    channels: int = 1, scales: int = 2, patch_size: int = 5, steps: int = 3, prior: str = "sparse", masked: bool = False
) -> SparseCoding:
    generator = torch.Generator().manual_seed(0)
    nonlocal_ = prior != "sparse"
    settings = SparseCodingSettings(
        channels,
        patch_size,
        16,
        steps,
        (0.02, 0.1, 0.3),
        scales,
        prior=prior,
        refresh=(1, 2) if nonlocal_ else (),
        neighbours=6 if nonlocal_ else 0,
        feedback=nonlocal_,
        gains=nonlocal_,
        masked=masked,
    )
    network = SparseCoding(settings)
    network.initialise(torch.randn(channels * patch_size**2, 16, generator=generator))
    return network.eval().requires_grad_(False)


def tiny_enlarger(channels: int = 3, blocks: int = 2) -> Enlarger:
    generator = torch.Generator().manual_seed(0)
    network = Enlarger(EnlargerSettings(channels, width=8, blocks=blocks))
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.1, generator=generator)
    return network.eval().requires_grad_(False)
