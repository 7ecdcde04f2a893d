import numpy as np
import pytest
from torch import nn

from tests.benchmarks.peers import DnCNN, FFDNet, Neighbour


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_networks_have_the_published_sizes() -> None:
    # 556,096 are published for DnCNN as trained: 15 times two scales and offsets of batch normalisation for each of 64
    # features, where the merged network has one bias, and no bias in the last layer.
    assert parameters(DnCNN()) == 556_096 - 15 * 64 + 1
    assert round(parameters(FFDNet(1)), -3) == 485_000
    assert round(parameters(FFDNet(3)), -3) == 852_000


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", [DnCNN, FFDNet])
def test_an_image_of_odd_size_keeps_it(channels: int, kind: type[DnCNN | FFDNet]) -> None:
    shape = (7, 5) if channels == 1 else (7, 5, channels)
    noisy = np.random.default_rng(0).random(shape, dtype=np.float32)
    assert Neighbour("peer", kind(channels).eval())(noisy, 0.1).shape == shape
