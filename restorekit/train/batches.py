"""The batches of a run: each follows from the seed, the process and the step alone, and may be drawn elsewhere."""

from __future__ import annotations

import multiprocessing
import os
import signal
import warnings
from collections.abc import Generator, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from restorekit.errors import TrainingError
from restorekit.models import Recording
from restorekit.train.data import Split
from restorekit.train.degradation import Observation
from restorekit.train.recipe import Recipe
from restorekit.train.sources import draw_batch, sources_of

Batch = tuple[Tensor, Observation | Recording]
"""Clean crops [B, C, H, W], and what is observed of them."""

DATA, NETWORK = 0, 1
"""What the random numbers of a step are for."""

MOST_WORKERS = 8
FORK = "fork"
"""Pictures need not be sent to processes that begin as copies of this one."""
PATIENCE = 300
"""Seconds for a batch, after which the processes that draw them are taken to be stuck."""


def step_generator(recipe: Recipe, rank: int, step: int, purpose: int) -> torch.Generator:
    """Random numbers for a purpose at a step of the process `rank`, the same whenever they are asked for."""
    seed = np.random.SeedSequence([recipe.seed % 2**64, rank, step, purpose]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(seed[0]))


class Batches:
    """The batch of every step of a recipe, for the process `rank`."""

    def __init__(self, recipe: Recipe, split: Split, rank: int) -> None:
        self.recipe, self.rank = recipe, rank
        self.sources = sources_of(recipe, split)

    def __getitem__(self, step: int) -> Batch:
        return draw_batch(self.sources, self.recipe, step_generator(self.recipe, self.rank, step, DATA))

    def from_step(self, first: int, workers: int | None, device: torch.device) -> Generator[Batch]:
        """The batches of the steps from `first` on, in order, drawn ahead by so many processes, or here if by none.

        If `workers` is None, there are as many as suit the device. To close the iterator ends them.

        Raises:
            TrainingError: this system cannot have such processes, or one of them was killed or got stuck.
        """
        workers = _default_workers(device) if workers is None else workers
        if workers and not _can_fork():
            raise TrainingError("processes that prepare batches cannot be had on this system; use --workers 0")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This DataLoader will create")  # More than there are processors.
            loader = DataLoader(
                _Guarded(self),
                batch_size=None,
                sampler=range(first, self.recipe.optimiser.steps),
                num_workers=workers,
                pin_memory=device.type == "cuda",
                timeout=PATIENCE if workers else 0,
                worker_init_fn=_undisturbed,
                multiprocessing_context=FORK if workers else None,
            )
            batches = iter(loader)
        try:
            while (batch := self._next(batches, workers)) is not None:
                yield batch
        finally:
            if isinstance(batches, _MultiProcessingDataLoaderIter):
                # An error on its way out holds on to them, and the interpreter would wait for them at its end.
                batches._shutdown_workers()

    @staticmethod
    def _next(batches: Iterator[Batch | Exception], workers: int) -> Batch | None:
        try:
            batch = next(batches, None)
        except RuntimeError as error:
            if not workers:
                raise
            raise TrainingError(
                "a process that prepares batches was killed or got stuck, perhaps for lack of memory; "
                "go on with --resume and fewer --workers"
            ) from error
        if isinstance(batch, Exception):
            raise batch
        return batch


class _Guarded(Dataset[Batch | Exception]):
    """Errors as values, which come from other processes as they are: raised there they would become long texts."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __getitem__(self, step: int) -> Batch | Exception:
        try:
            return self.batches[step]
        except Exception as error:
            return error


def _default_workers(device: torch.device) -> int:
    """On a GPU, which would wait for batches, one for each other processor; a CPU has none to spare."""
    if device.type != "cuda" or not _can_fork():
        return 0
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_WORKERS, max(0, processors // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1))


def _can_fork() -> bool:
    return FORK in multiprocessing.get_all_start_methods()


def _undisturbed(_: int) -> None:
    """Ctrl-C and the end of a job reach every process, and are the trainer's to answer, who then ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
