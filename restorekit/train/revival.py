"""Residual blocks that training has lost, and that may begin anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from restorekit.models.convolution import ResidualBlock, begin_anew

LEAST_CHANGE = 0.03
"""Lost blocks of trained networks were found to change their features by 1.5 % or less, all others by 10 % or more."""


@torch.no_grad()
def revive_blocks(network: nn.Module, restore: Callable[[], object], generator: torch.Generator) -> int:
    """Let residual blocks h + f(h) begin anew for which ||f(h)|| < 0.03 ||h|| while `restore` runs `network`; how many.

    A convolution without biases in front of a relu can come to be negative nearly wherever there is a picture. Its
    block then changes nothing to speak of. How often features are active is no measure: some are so seldom, and matter.
    """
    # Blocks that a shallower network did not have have yet to begin.
    blocks = [
        module for module in network.modules() if isinstance(module, ResidualBlock) and module.second.weight.any()
    ]
    if not blocks:
        return 0
    changes = dict.fromkeys(blocks, 0.0)
    features = dict.fromkeys(blocks, 0.0)

    def measure(block: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        assert isinstance(block, ResidualBlock)
        changes[block] += float((output - inputs[0]).square().sum(dtype=torch.float64))
        features[block] += float(inputs[0].square().sum(dtype=torch.float64))

    hooks = [block.register_forward_hook(measure) for block in blocks]
    try:
        restore()
    finally:
        for hook in hooks:
            hook.remove()
    lost = [block for block in blocks if changes[block] < LEAST_CHANGE**2 * features[block]]
    for block in lost:
        begin_anew(block, generator)
    return len(lost)
