"""What training minimises, the PSNR that it is judged by, and the optimiser of all parameters."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from restorekit.models import Measurement, Reconstructor
from restorekit.numerics.metrics import psnr
from restorekit.tasks.base import FULL_SCALE
from restorekit.train.data import COMPLEX, centre_crop
from restorekit.train.recipe import OptimiserSettings, Recipe

REFERENCE = 25 / FULL_SCALE
NEGLIGIBLE = 1e-4  # a mean squared error of 40 dB: flat crops easily get better, and must not outweigh all others
STRIDE = 2  # validation codes every second patch: a quarter of the work, and the same ranking of weights
TILE_SIZE = 160


class Objective(nn.Module):
    """mean_b (c_b / 25)^-balance e_b, with c_b the conditioning and e_b the squared error of crop b.

    e_b = sum_i n_i (x_hat_i - x_i)^2 / sum_i n_i over the pixels i that are `margin` or more from the border of the
    crop, with the weights n_i that the network gives beside its images: operators take crops to be periodic, and their
    seams are unlike any photograph. A measurement of the top left of the crop is compared with that part. If a network
    gives several images to be fitted, e_b is the mean over them.

    Squared error grows about like c^balance, so the first factor lets faint and strong degradations count alike. With
    the loss "logarithmic" it is mean_b log(e_b + 1e-4), where each crop counts alike, as in a mean PSNR.
    """

    def __init__(self, network: Reconstructor, recipe: Recipe) -> None:
        super().__init__()
        self.network, self.margin = network, recipe.data.margin
        self.loss, self.balance = recipe.loss, recipe.degradation.balance

    @property
    def compilable(self) -> nn.Module:
        """The module that is worth compiling."""
        return self if self.network.repeated is self.network else self.network.repeated

    def forward(
        self, measurement: Measurement, clean: Tensor, stride: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return the loss, and the mean squared error of each crop, [B]; clean is [B, C, H, W]."""
        fitted = self.network.fitted(measurement, stride, generator)
        errors = torch.stack([self._squared_error(x, weight, clean) for x, weight in fitted]).mean(0)
        if self.loss == "logarithmic":
            return (errors + NEGLIGIBLE).log().mean(), errors.detach()
        return (errors * (measurement.conditioning / REFERENCE) ** -self.balance).mean(), errors.detach()

    def _squared_error(self, x: Tensor, weight: Tensor | None, clean: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        difference = without_border(x - clean[..., :height, :width], self.margin)
        if weight is None:
            return difference.square().mean((1, 2, 3))
        weight = without_border(weight, self.margin)
        return (difference.square() * weight).mean((1, 2, 3)) / weight.mean()


def without_border(images: Tensor, margin: int) -> Tensor:
    """Return images [..., H, W] without the `margin` pixels along each side."""
    return images[..., margin : images.shape[-2] - margin, margin : images.shape[-1] - margin]


@torch.no_grad()
def validation_psnr(
    network: Reconstructor, images: Sequence[Tensor], recipe: Recipe, device: torch.device
) -> dict[str, float]:
    """Return the mean PSNR in dB over the middle crops of `images`, for each entry of the section's `validation`."""
    crops = [centre_crop(image, recipe.data.validation_crop) for image in images]

    def psnr_of(index: int, conditioning: float) -> float:
        clean = crops[index]
        measurement = recipe.degradation.at(clean, conditioning, torch.Generator().manual_seed(index))
        restored = network.reconstruct(measurement.to(device), STRIDE, TILE_SIZE)
        restored = restored.clamp(-1 if clean.shape[1] == COMPLEX else 0, 1).cpu()
        # A picture smaller than the crop may have been cut to a multiple of the scale.
        clean = clean[..., : restored.shape[-2], : restored.shape[-1]]
        return psnr(*(without_border(image, recipe.data.margin) for image in (restored, clean)))

    # What was compiled for the crops of training would be compiled anew for these.
    with torch.compiler.set_stance("force_eager"):
        return {
            f"{each:g}": fmean(psnr_of(index, each) for index in range(len(crops)))
            for each in recipe.degradation.validation
        }


ITERATIONS = 5
COEFFICIENTS = 3.4445, -4.7750, 2.0315
# Gradients of a smaller norm make steps that are shorter in proportion, so that kernels that nothing needs rest.
LEAST_NORM = 1e-12
COVARIANCE_DECAY = 0.98
REFRESH_STEPS = 10
CONVOLUTION = 4  # the number of dimensions of a convolution's kernels


def orthogonalised(gradients: Tensor) -> Tensor:
    """Return about U V^T for each gradient U S V^T, [..., outputs, inputs, height, width], in the same shape.

    X <- P X with P = a + b X X^T + c (X X^T)^2, from the gradient divided by its norm; singular values end between 0.7
    and 1.2. The few directions that prevail in images then do not hold back the others. A kernel with more outputs than
    inputs gets longer steps, so that each output moves as far.

    A kernel is far wider than it is high, so the iteration follows the small X X^T <- P X X^T P, and multiplies X by
    the product of all P once, at the end: the same but for rounding, in at most half the time.

    Source: Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024.
    """
    outputs, inputs = gradients.shape[-4], gradients.shape[-3:].numel()
    matrices = gradients.reshape(-1, outputs, inputs)
    x = matrices.mT if outputs > inputs else matrices
    norm = x.norm(dim=(-2, -1), keepdim=True)
    x = x / norm.clamp_min(LEAST_NORM)
    a, b, c = COEFFICIENTS
    square, identity = x @ x.mT, torch.eye(x.shape[-2], dtype=x.dtype, device=x.device)
    product = identity
    for _ in range(ITERATIONS):
        factor = a * identity + torch.baddbmm(square, square, square, beta=b, alpha=c)
        product, square = factor @ product, factor @ square @ factor
    x = product @ x
    x = x.mT if outputs > inputs else x
    turned: Tensor = max(1.0, outputs / inputs) ** 0.5 * (norm / LEAST_NORM).clamp_max(1) * x
    return turned.reshape(gradients.shape)


class SOAP(torch.optim.Optimizer):
    """Adam, in the eigenbases of the gradients' covariances for groups with `matrices`.

    For a matrix with gradient G: L <- b L + (1 - b) G G^T, R <- b R + (1 - b) G^T G, with eigenvectors Q_L, Q_R. Adam's
    second moment is that of Q_L^T G Q_R; its step is taken there and turned back. Every `REFRESH_STEPS` steps one step
    of orthogonal iteration refreshes the bases. The dictionaries of a sparse coder are few, small and badly
    conditioned: a full preconditioner is cheap there, and worth more than twice the steps. Kernels of convolutions, in
    groups with `kernels`, are too large for that, and follow their orthogonalised momentum (Muon).

    Source: Vyas et al., SOAP: Improving and Stabilizing Shampoo using Adam (2024).
    """

    def __init__(self, groups: Iterable[dict[str, Any]], betas: tuple[float, float], epsilon: float) -> None:
        defaults = {"lr": 0.0, "betas": betas, "eps": epsilon, "matrices": False, "kernels": False}
        super().__init__(groups, defaults)

    @override
    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # No step here evaluates a closure.
        for group in self.param_groups:
            moved = [(parameter, parameter.grad) for parameter in group["params"] if parameter.grad is not None]
            if group["kernels"]:
                self._update_kernels(moved, group)
                continue
            for parameter, gradient in moved:
                self._update(parameter, gradient, group)

    def _update_kernels(self, moved: Sequence[tuple[Tensor, Tensor]], group: dict[str, Any]) -> None:
        # All of a shape at once: a GPU takes as long to begin a product of small matrices as to compute it.
        alike: defaultdict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for kernel, gradient in moved:
            if not self.state[kernel]:
                self.state[kernel]["first"] = torch.zeros_like(kernel)
            alike[kernel.shape].append((kernel, gradient))
        decay = group["betas"][0]
        for same in alike.values():
            kernels, gradients = map(list, zip(*same, strict=True))
            firsts: list[Tensor] = [self.state[kernel]["first"] for kernel in kernels]
            torch._foreach_lerp_(firsts, gradients, 1 - decay)
            ahead = torch._foreach_lerp(gradients, firsts, decay)  # Nesterov's momentum
            torch._foreach_add_(kernels, orthogonalised(torch.stack(ahead)).unbind(), alpha=-group["lr"])

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"], zeros = torch.zeros(()), torch.zeros_like(parameter)
            state["first"], state["second"] = zeros, zeros.clone()
            if group["matrices"]:
                state["rows"], state["columns"] = gradient @ gradient.T, gradient.T @ gradient
                state["rows_basis"] = torch.linalg.eigh(state["rows"])[1]
                state["columns_basis"] = torch.linalg.eigh(state["columns"])[1]
        state["step"] += 1
        beta1, beta2 = group["betas"]
        first, second = state["first"], state["second"]
        first.lerp_(gradient, 1 - beta1)
        if group["matrices"]:
            left, right = state["rows_basis"], state["columns_basis"]
            turned = left.T @ gradient @ right
            mean = left.T @ first @ right
        else:
            turned, mean = gradient, first
        second.mul_(beta2).addcmul_(turned, turned, value=1 - beta2)
        age = state["step"].item()
        scale = (second / (1 - beta2**age)).sqrt_().add_(group["eps"])
        change = mean / (1 - beta1**age) / scale
        if group["matrices"]:
            change = left @ change @ right.T
            state["rows"].lerp_(gradient @ gradient.T, 1 - COVARIANCE_DECAY)
            state["columns"].lerp_(gradient.T @ gradient, 1 - COVARIANCE_DECAY)
            if age % REFRESH_STEPS == 0:
                for side in ("rows", "columns"):
                    state[f"{side}_basis"] = torch.linalg.qr(state[side] @ state[f"{side}_basis"])[0]
        parameter.add_(change, alpha=-group["lr"])


def rate_factor(step: int, settings: OptimiserSettings) -> float:
    """Return min(1, (t + 1) / warmup) (1 + cos(pi t / T)) / 2 for step t of T; it multiplies every learning rate."""
    warm = min(1.0, (step + 1) / max(1, settings.warmup))
    return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / settings.steps)))


def average_decay(step: int, settings: OptimiserSettings) -> float:
    """Return the decay of the weight average: less at first, so that the average does not remember the start."""
    return min(settings.average_decay, (1 + step) / (10 + step))


def make_optimiser(network: Reconstructor, settings: OptimiserSettings) -> SOAP:
    """Group the parameters, each group with its `rate`: matrices, kernels, others, and those with their own rates."""
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


def optimiser_state(network: Reconstructor, optimiser: SOAP) -> dict[str, Tensor]:
    """Return a copy of all moments, as `parameter/entry`."""
    return {
        f"{name}/{entry}": tensor.clone()
        for name, parameter in network.named_parameters()
        for entry, tensor in optimiser.state[parameter].items()
    }


def restore_state(network: Reconstructor, optimiser: SOAP, state: Mapping[str, Tensor]) -> None:
    """Put back the moments that `optimiser_state` returned."""
    parameters = dict(network.named_parameters())
    for key, tensor in state.items():
        name, _, entry = key.rpartition("/")
        parameter = parameters[name]
        # Step counts stay on the CPU, where the optimiser made them.
        optimiser.state[parameter][entry] = tensor if tensor.ndim == 0 else tensor.to(parameter.device)
