"""Making the training step fast where the machine can."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def compile_module(module: nn.Module, device: torch.device) -> bool:
    """Compile `module` in place, and say whether it was: on a CPU that needs a C++ compiler, on a GPU Triton."""
    if device.type == "cuda":
        able = importlib.util.find_spec("triton") is not None
    else:
        able = any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++"))
    if able:
        module.compile()
    return able


@contextmanager
def fastest_convolutions() -> Iterator[None]:
    """All crops are of one size: on a GPU it is tried once which way to convolve them takes the least time."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
