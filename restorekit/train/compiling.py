"""Compiling the training step where the machine can."""

from __future__ import annotations

import importlib.util
import os
import shutil

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
