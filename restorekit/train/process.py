"""The surroundings of a run: processes that `torchrun` started, signals, and what makes steps fast."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn

from restorekit.errors import TrainingError


@dataclass(frozen=True)
class World:
    """This process's place among `size` processes, `rank` from 0; SIGINT and SIGTERM set `stop`."""

    rank: int
    size: int
    device: torch.device
    stop: threading.Event

    @property
    def leads(self) -> bool:
        """Whether this is the process that validates and writes."""
        return self.rank == 0

    def greatest(self, value: float) -> float:
        """Return the greatest value of all processes, which must ask together."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], device=self.device)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return shared.item()


@contextmanager
def join_world(device: torch.device) -> Iterator[World]:
    """Join the processes that `torchrun` started (WORLD_SIZE, RANK, LOCAL_RANK), or be alone.

    Meanwhile signals end no process, and a GPU takes the fastest way to convolve, as all crops are of one size.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), 0
    if size > 1:
        rank, device = int(os.environ["RANK"]), _own_device(device, int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    stop, benchmark = threading.Event(), torch.backends.cudnn.benchmark
    is_main = threading.current_thread() is threading.main_thread()  # Only this thread may handle signals.
    signals = (signal.SIGINT, signal.SIGTERM) if is_main else ()
    handlers = {number: signal.signal(number, lambda *_: stop.set()) for number in signals}
    torch.backends.cudnn.benchmark = True
    try:
        yield World(rank, size, device, stop)
        if size > 1:
            # A process that leaves while the lead still writes takes the others' connections down with it.
            dist.barrier()
    finally:
        torch.backends.cudnn.benchmark = benchmark
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if size > 1:
            dist.destroy_process_group()


def _own_device(device: torch.device, local_rank: int) -> torch.device:
    if device.type != "cuda":
        return device
    if local_rank >= torch.cuda.device_count():
        raise TrainingError(f"process {local_rank} of this machine has no GPU: {torch.cuda.device_count()} found")
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def compile_module(module: nn.Module, device: torch.device) -> bool:
    """Compile `module` in place and return True, or False without Triton for a GPU or a C++ compiler for a CPU."""
    if device.type == "cuda":
        able = importlib.util.find_spec("triton") is not None
    else:
        able = any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++"))
    if able:
        module.compile()
    return able
