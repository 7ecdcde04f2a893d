"""A non-local network small enough for tests, and its run over a window."""

from dataclasses import replace

import pytest
import torch

from restorekit.explain.trace import trace_coding
from restorekit.models import SparseCoding
from tests.tiny import tiny_network


def nonlocal_network(channels):
    """Some of every knob: gains, feedback, similar patches."""
    local = tiny_network(channels)
    settings = replace(local.settings, prior="group", refresh=(1, 2), neighbours=5, feedback=True, gains=True)
    network = SparseCoding(settings)
    network.load_state_dict(local.state_dict(), strict=False)
    with torch.no_grad():
        network.synthesis_gain.copy_(torch.linspace(0.5, 1.5, network.synthesis_gain.numel()).view(-1, 16))
        network.target_feedback.fill_(0.3)
        network.mean_feedback.fill_(0.2)
    return network.eval().requires_grad_(False)


@pytest.fixture(params=[(1, False), (3, False), (1, True), (3, True)], ids=["grey", "colour", "group", "colour group"])
def network(request):
    channels, similar = request.param
    return nonlocal_network(channels) if similar else tiny_network(channels)


@pytest.fixture
def window(network):
    ramp = torch.linspace(0.2, 0.8, 23)[None, :, None] * torch.ones(network.channels, 23, 29)
    return (ramp + 0.1 * torch.randn(ramp.shape, generator=torch.Generator().manual_seed(1)))[None]


@pytest.fixture(params=[1, 2])
def coding(network, window, request):
    return trace_coding(network, window, 0.1, request.param)
