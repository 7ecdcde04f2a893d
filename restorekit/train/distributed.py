"""One process or several: what `torchrun` started is found in the environment, and a single process needs nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

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
