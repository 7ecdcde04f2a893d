"""Compiling the training step where the machine can."""

from __future__ import annotations

import importlib.util
import os
import shutil

import torch
from torch import nn


def compiled(module: nn.Module, device: torch.device) -> tuple[nn.Module, bool]:
    """`module` compiled, and whether it was: on a CPU that needs a C++ compiler, on a GPU Triton."""
    if device.type == "cuda":
        able = importlib.util.find_spec("triton") is not None
    else:
        able = any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++"))
    if not able:
        return module, False
    module.compile()
    return module, True
