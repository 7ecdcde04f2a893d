import torch
from torch import nn

from restorekit.models.convolution import ResidualBlock
from restorekit.models.enlarger import Enlarger, EnlargerSettings
from restorekit.train.downsampling import DownsamplingSettings
from restorekit.train.initial import reinitialize_dead_blocks


def test_blocks_that_are_never_active_begin_anew_and_the_others_stay() -> None:
    network = Enlarger(EnlargerSettings(1, 8, 3))
    clean = torch.rand(2, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    measurement = DownsamplingSettings(noise=0, balance=0).at(clean, 2, torch.Generator())
    alive, lost = network.blocks[0], network.blocks[1]
    assert isinstance(lost, ResidualBlock)
    features = network.head(measurement.y, measurement.sigma)
    with torch.no_grad():
        network.tails[0].weight.normal_(generator=torch.Generator().manual_seed(1))
        lost.first.weight.zero_()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    restored = network(measurement)
    assert reinitialize_dead_blocks(network, lambda: network(measurement), torch.Generator().manual_seed(2)) == 1
    after = network.state_dict()
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert changed == {"blocks.1.first.weight", "blocks.1.second.weight"}
    torch.testing.assert_close(network(measurement), restored)
    assert (lost.first(alive(features)) > 0).float().mean() > 0.2
    assert reinitialize_dead_blocks(network, lambda: network(measurement), torch.Generator().manual_seed(2)) == 0


def test_a_block_that_is_seldom_active_but_matters_stays() -> None:
    block = ResidualBlock(4)
    features = torch.zeros(1, 4, 20, 20)
    features[..., 7, 7] = 1
    with torch.no_grad():
        block.first.weight.copy_(-block.first.weight.abs())
        block.first.weight[0, :, 1, 1] = 5
    assert (block.first(features) > 0).float().mean() < 1e-3
    assert reinitialize_dead_blocks(nn.Sequential(block), lambda: block(features), torch.Generator()) == 0
