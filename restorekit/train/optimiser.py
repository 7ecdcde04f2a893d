"""The optimiser of a network: which of its numbers go along by what rule, and the state it has, by their names."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from restorekit.models import AnyNetwork
from restorekit.train.recipe import OptimiserSettings
from restorekit.train.soap import SOAP

CONVOLUTION = 4
"""The dimensions of a convolution's kernels, which get the rate of matrices, but no preconditioner."""


def make_optimiser(network: AnyNetwork, settings: OptimiserSettings) -> SOAP:
    """Groups of parameters with their `rate`: dictionaries, kernels, all others, and those with rates of their own."""
    named = dict(network.named_parameters())
    own = [{"params": [named.pop(name)], "rate": rate} for name, rate in network.rates.items()]
    matrices = [named.pop(name) for name in network.matrices]
    kernels = [named.pop(name) for name, tensor in tuple(named.items()) if tensor.ndim == CONVOLUTION]
    groups = [
        {"params": matrices, "matrices": True, "rate": settings.matrix_rate},
        {"params": kernels, "kernels": True, "rate": settings.matrix_rate},
        {"params": list(named.values()), "rate": settings.scalar_rate},
        *own,
    ]
    return SOAP([group for group in groups if group["params"]], settings.betas, settings.epsilon)


def optimiser_state(network: AnyNetwork, optimiser: SOAP) -> dict[str, Tensor]:
    """A copy of all moments, as `parameter/entry`."""
    return {
        f"{name}/{entry}": tensor.clone()
        for name, parameter in network.named_parameters()
        for entry, tensor in optimiser.state[parameter].items()
    }


def restore_state(network: AnyNetwork, optimiser: SOAP, state: Mapping[str, Tensor]) -> None:
    """Put back what `optimiser_state` gave."""
    parameters = dict(network.named_parameters())
    for key, tensor in state.items():
        name, _, entry = key.rpartition("/")
        parameter = parameters[name]
        # A step count stays where the optimiser made it: on the CPU.
        optimiser.state[parameter][entry] = tensor if tensor.ndim == 0 else tensor.to(parameter.device)
