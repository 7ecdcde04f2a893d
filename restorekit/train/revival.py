"""Residual blocks that training has lost, and that may begin anew."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from restorekit.models.convolution import ResidualBlock, begin_anew

LEAST_ACTIVITY = 1e-3
"""The share of values behind a block's relu that are not zero, below which it counts as lost."""


@torch.no_grad()
def revive_blocks(network: nn.Module, restore: Callable[[], object], generator: torch.Generator) -> int:
    """Let residual blocks begin anew whose features are hardly ever active while `restore` runs `network`; how many.

    A convolution without biases in front of a relu can come to be negative wherever there is a picture. Its block
    then changes nothing, and nothing changes it.
    """
    blocks = [module for module in network.modules() if isinstance(module, ResidualBlock)]
    active = dict.fromkeys(blocks, 0)
    values = dict.fromkeys(blocks, 0)

    def count(block: ResidualBlock) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_: nn.Module, __: object, inner: Tensor) -> None:
            active[block] += int((inner > 0).sum())
            values[block] += inner.numel()

        return hook

    hooks = [block.first.register_forward_hook(count(block)) for block in blocks]
    try:
        restore()
    finally:
        for hook in hooks:
            hook.remove()
    lost = [block for block in blocks if active[block] < LEAST_ACTIVITY * values[block]]
    for block in lost:
        begin_anew(block, generator)
    return len(lost)
