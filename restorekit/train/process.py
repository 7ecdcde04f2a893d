"""One process or several: what `torchrun` started is found in the environment, and a single process needs nothing."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import torch
import torch.distributed as dist
from torch import Tensor, nn

from restorekit.errors import TrainingError


@dataclass(frozen=True)
class World:
    """This process's place among `size` processes, `rank` from 0; rank 0 writes all files."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process is the one that validates and writes."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Whether the flag is up in any process; all processes must ask together."""
        if self.size == 1:
            return flag
        raised = torch.tensor([float(flag)], device=self.device)
        dist.all_reduce(raised, dist.ReduceOp.MAX)
        return bool(raised.item())

    def from_lead(self, tensor: Tensor) -> Tensor:
        """The lead's value of `tensor`, in every process."""
        if self.size > 1:
            dist.broadcast(tensor, 0)
        return tensor


@contextmanager
def world_of(device: torch.device) -> Iterator[World]:
    """Join the processes that `torchrun` started (WORLD_SIZE, RANK, LOCAL_RANK), or be alone."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(0, 1, device)
        return
    rank, local_rank = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    if device.type == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise TrainingError(f"process {local_rank} of this machine has no GPU: {torch.cuda.device_count()} found")
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(rank, size, device)
        # A process that leaves while the lead still writes takes the others' connections down with it.
        dist.barrier()
    finally:
        dist.destroy_process_group()


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; outside the main thread, where signals do not arrive, nothing sets it."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handler(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, old in before.items():
            signal.signal(number, old)


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
