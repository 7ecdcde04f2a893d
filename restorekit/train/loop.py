"""From a run to a weights file that describes itself."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from restorekit import zoo
from restorekit._version import __version__
from restorekit.errors import TrainingError
from restorekit.inference.runner import exact_convolutions, resolve_device
from restorekit.models import Measurement, Reconstructor, build, settings_json
from restorekit.pages.figures import check_plots
from restorekit.train import checkpoint as record
from restorekit.train.checkpoint import Checkpoint, Progress, load_checkpoint, save_checkpoint
from restorekit.train.data import NETWORK, Batches, Split, load_split, needs_chroma, step_generator
from restorekit.train.initial import initialise
from restorekit.train.objective import objective_of, validation_psnr
from restorekit.train.optimiser import average_decay, make_optimiser, optimiser_state, rate_factor, restore_state
from restorekit.train.process import World, compile_module, fastest_convolutions, stop_signals, world_of
from restorekit.train.recipe import PRECISIONS, Recipe


def export_weights(path: Path, recipe: Recipe, tensors: Mapping[str, Tensor], steps: int) -> None:
    """Write the weights of a run after `steps` steps, with the card of its recipe, not yet measured on any test set."""
    network = build(recipe.architecture, recipe.settings)
    architecture, settings = settings_json(network)
    card = zoo.ModelCard(
        name=recipe.name,
        architecture=architecture,
        settings=settings,
        task=recipe.task,
        channels=network.channels,
        conditioning_range=recipe.degradation.conditioning_range,
        parameters=sum(tensor.numel() for tensor in tensors.values()),
        description=recipe.description,
        recipe=recipe.name,
        recipe_sha256=recipe.sha256,
        training_data=recipe.training_data,
        steps=steps,
        package_version=__version__,
        licence="BSD-3-Clause",
    )
    zoo.save_weights(path, dict(tensors), card)


CHECKPOINT = "checkpoint.safetensors"
PROBE_IMAGES = 8
LEAST_ERROR = 1e-10
"""A crop of one flat colour may be restored without any error; 100 dB is enough said of it."""


@dataclass(frozen=True)
class TrainingReport:
    """Where a run stands, for the progress line.

    psnr: of the training loss, a running mean over crops of all noise levels, in dB. rate: the learning-rate factor.
    steps_per_second: over the current session. message: something to say aloud, or "".
    """

    step: int
    steps: int
    psnr: float
    rate: float
    steps_per_second: float
    message: str = ""


@dataclass(frozen=True)
class TrainingResult:
    """How a session ended: `finished` if the recipe's last step was taken, `interrupted` if a signal ended it."""

    weights: Path
    step: int
    best_psnr: float
    finished: bool
    interrupted: bool


def run(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    max_minutes: float | None = None,
    device: str = "auto",
    workers: int | None = None,
    report: Callable[[TrainingReport], None] = lambda _: None,
) -> TrainingResult:
    """Train `recipe` on the images under `data`; checkpoints, log, curves and weights go to the folder `out`.

    Started by `torchrun`, the processes share the work: each draws its own crops, gradients are averaged. For each
    of them `workers` more draw crops ahead, which changes nothing but the time it takes; None stands for what suits the
    device. SIGINT and SIGTERM end the run after the current step, with a checkpoint.

    Raises:
        DatasetError: nothing to train on. DeviceError: no such device. MissingExtraError: no matplotlib for the curves.
        TrainingError: `out` already holds a run (and `resume` is off), the checkpoint does not belong to the recipe, or
            crops cannot be drawn by other processes.
    """
    check_plots()
    precise, fast = exact_convolutions(), fastest_convolutions()
    with world_of(resolve_device(device)) as world, stop_signals() as stop, precise, fast:
        trainer = _Trainer(recipe, data, out, world, resume, workers, report)
        return trainer.run(stop, max_minutes)


class _Trainer:
    def __init__(
        self,
        recipe: Recipe,
        data: Path,
        out: Path,
        world: World,
        resume: bool,
        workers: int | None,
        report: Callable[[TrainingReport], None],
    ) -> None:
        self.recipe, self.out, self.world, self.report = recipe, out, world, report
        checkpoint = self._open(resume)
        with torch.random.fork_rng():
            torch.manual_seed(recipe.seed)
            self.network = build(recipe.architecture, recipe.settings)
        least = max(round(recipe.data.crop / recipe.data.enlarge), self.network.patch_size)
        self.split: Split = load_split(
            data, self.network.channels, least, recipe.data.validation_every, chroma=needs_chroma(recipe)
        )
        self.batches, self.workers = Batches(recipe, self.split, world.rank), workers
        self.progress = Progress(recipe.sha256, processes=world.size)
        self.psnr = record.RunningMean()
        self.probe = self._probe_crops()
        self.network.to(world.device)
        if checkpoint is None:
            initialise(self.network, recipe, self.split.training, self._probe_psnr, lambda text: self._say(0.0, text))
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimiser = make_optimiser(self.network, recipe.optimiser)
        self.best = _tensors(self.average)
        self.snapshot = _tensors(self.network)
        if checkpoint is not None:
            self._restore(checkpoint)
        objective = objective_of(self.network, recipe)
        self.compiled = compile_module(objective.compilable, world.device)
        self.objective: nn.Module = objective if world.size == 1 else DistributedDataParallel(objective)

    def run(self, stop: threading.Event, max_minutes: float | None) -> TrainingResult:
        """Step until the recipe ends, the time is up or `stop` is set."""
        if self.world.leads:
            self.out.mkdir(parents=True, exist_ok=True)
        started, first = time.monotonic(), self.progress.step
        before = self.progress.seconds
        steps = self.recipe.optimiser.steps
        how = "compiled" if self.compiled else "not compiled (no C++ compiler, or no Triton for this GPU)"
        self._say(0.0, f"training on {self.world.device} with {len(self.split.training)} images, step {how}")
        with closing(self.batches.from_step(first, self.workers, self.world.device)) as batches:
            for batch in batches:
                self._step(*batch)
                elapsed = time.monotonic() - started
                self.progress = replace(self.progress, step=self.progress.step + 1, seconds=before + elapsed)
                self._say((self.progress.step - first) / elapsed, "")
                due = self.progress.step % self.recipe.safety.check_every == 0 or self.progress.step == steps
                over = max_minutes is not None and elapsed > 60 * max_minutes
                over = self.world.any(stop.is_set() or over)
                if due or over:
                    self._check()
                if over:
                    break
        finished = self.progress.step >= steps
        weights = self.out / f"{self.recipe.name}.safetensors"
        if self.world.leads:
            export_weights(weights, self.recipe, self.best, self.progress.best_step)
        interrupted = stop.is_set() and not finished
        return TrainingResult(weights, self.progress.step, self.progress.best_psnr, finished, interrupted)

    def _open(self, resume: bool) -> Checkpoint | None:
        path = self.out / CHECKPOINT
        if path.exists() and not resume:
            raise TrainingError(f"{self.out} already holds a run; go on with it by --resume, or name another folder")
        if self.out.exists() and not self.out.is_dir():
            raise TrainingError(f"{self.out} is a file; name a folder for the run")
        if not path.exists():
            return None
        checkpoint = load_checkpoint(path)
        if checkpoint.progress.recipe_sha256 != self.recipe.sha256:
            raise TrainingError(f"the run in {self.out} was started from another recipe or another version of it")
        processes = checkpoint.progress.processes
        if processes != self.world.size:
            raise TrainingError(f"the run in {self.out} had {processes} processes, not {self.world.size}")
        if self.world.leads:
            record.truncate_log(self.out, checkpoint.progress.step)
        return checkpoint

    def _step(self, clean: Tensor, observed: Measurement) -> None:
        settings, strides = self.recipe.optimiser, self.recipe.data.strides
        factor = rate_factor(self.progress.step, settings) * self.progress.rate_scale
        for group in self.optimiser.param_groups:
            group["lr"] = group["rate"] * factor
        # Every process must draw the same stride: it follows from the step alone.
        stride = strides[self.progress.step % len(strides)]
        device = self.world.device
        precision = PRECISIONS[settings.precision]
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            generator = step_generator(self.recipe, self.world.rank, self.progress.step, NETWORK)
            loss, errors = self.objective(observed.to(device), clean.to(device, non_blocking=True), stride, generator)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        decay = average_decay(self.progress.step, settings)
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1 - decay)
        self.psnr.add(-10 * errors.clamp_min(LEAST_ERROR).log10().mean())

    def _check(self) -> None:
        """Backtrack if training lost ground, else take a snapshot; validate the average; write everything down."""
        probe = self._probe_psnr()
        event = ""
        if not probe > self.progress.probe_psnr - self.recipe.safety.drop:
            event = (
                f"training PSNR fell from {self.progress.probe_psnr:.2f} to {probe:.2f} dB: back to the last snapshot"
            )
            self._backtrack()
        else:
            self.snapshot = _tensors(self.network)
            self.progress = replace(self.progress, probe_psnr=probe)
        if self.world.leads:
            validation = self._validation_psnr(self.average, self.split.validation)
            mean = fmean(validation.values())
        else:
            validation, mean = {}, 0.0
        mean = float(self.world.from_lead(torch.tensor([mean], device=self.world.device)).item())
        if mean > self.progress.best_psnr:
            self.best = _tensors(self.average)
            self.progress = replace(self.progress, best_psnr=mean, best_step=self.progress.step)
        if not self.world.leads:
            return
        rate = rate_factor(self.progress.step, self.recipe.optimiser) * self.progress.rate_scale
        check = record.Check(
            self.progress.step, self.progress.seconds, rate, self.psnr.value(), probe, mean, validation, event
        )
        record.append_check(self.out, check)
        record.draw_curves(self.out, self.recipe.name)
        save_checkpoint(
            self.out / CHECKPOINT,
            Checkpoint(
                self.progress,
                _tensors(self.network),
                _tensors(self.average),
                self.best,
                optimiser_state(self.network, self.optimiser),
                self.snapshot,
            ),
        )
        self.psnr = record.RunningMean()
        by_level = ", ".join(f"{value:.2f} at {level}" for level, value in validation.items())
        self._say(
            0.0, f"step {self.progress.step}: validation {mean:.3f} dB ({by_level}){'; ' if event else ''}{event}"
        )

    def _backtrack(self) -> None:
        self.network.load_state_dict(self.snapshot)
        self.average.load_state_dict(self.snapshot)
        self.optimiser.state.clear()  # The moments belong to the weights that were thrown away.
        slower = self.progress.rate_scale * self.recipe.safety.slow_down
        self.progress = replace(self.progress, rate_scale=slower)

    def _restore(self, checkpoint: Checkpoint) -> None:
        self.network.load_state_dict(checkpoint.network)
        self.average.load_state_dict(checkpoint.average)
        self.best, self.snapshot = checkpoint.best, checkpoint.snapshot
        self.progress = checkpoint.progress
        restore_state(self.network, self.optimiser, checkpoint.optimiser)

    def _probe_crops(self) -> list[Tensor]:
        count = len(self.split.training)
        return [self.split.training[index * count // PROBE_IMAGES] for index in range(min(PROBE_IMAGES, count))]

    def _probe_psnr(self) -> float:
        return fmean(self._validation_psnr(self.network, self.probe).values())

    def _validation_psnr(self, network: Reconstructor, images: Sequence[Tensor]) -> dict[str, float]:
        return validation_psnr(network, images, self.recipe, self.world.device)

    def _say(self, steps_per_second: float, message: str) -> None:
        if not self.world.leads:
            return
        settings = self.recipe.optimiser
        rate = rate_factor(self.progress.step, settings) * self.progress.rate_scale
        self.report(
            TrainingReport(self.progress.step, settings.steps, self.psnr.recent(), rate, steps_per_second, message)
        )


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
