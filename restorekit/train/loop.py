"""The training loop: steps on random crops; now and then validate, backtrack if need be, and write everything down."""

import copy
import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from restorekit import zoo
from restorekit.errors import TrainingError
from restorekit.inference.runner import exact_convolutions, resolve_device
from restorekit.models import Measurement, SparseCoding, build
from restorekit.models.convolutional import ResidualBlock, reinitialize
from restorekit.pages.figures import check_plots
from restorekit.train import checkpoint as files
from restorekit.train import optimiser as optimising
from restorekit.train.data import NETWORK, Batches, learn_dictionary, load_split, step_generator
from restorekit.train.recipe import Recipe

PROBE_IMAGES = 8
REPORT_AGE = 0.5  # the PSNR of a report may be as many seconds old
LEAST_CHANGE = 0.03  # dead blocks of trained networks change their features by 1.5 % or less, others by 10 % or more
LEAST_ERROR = 1e-10  # a crop of one flat colour may be restored without any error, which counts as 100 dB


@dataclass(frozen=True)
class TrainingReport:
    """Where a run stands, for the progress line.

    psnr: running mean of the training PSNR over all crops since the last check, in dB. rate: the learning-rate factor.
    steps_per_second: over the current session. message: news for the user, or "".
    """

    step: int
    steps: int
    psnr: float
    rate: float
    steps_per_second: float
    message: str = ""


Report = Callable[[TrainingReport], None]


@dataclass(frozen=True)
class TrainingResult:
    """How a session ended: `finished` if the recipe's last step was taken, `interrupted` if a signal ended it."""

    weights: Path
    step: int
    best_psnr: float
    finished: bool
    interrupted: bool


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
        rank, own = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
        if device.type == "cuda" and own >= (count := torch.cuda.device_count()):
            raise TrainingError(f"process {own} of this machine has no GPU: {count} found")
        if device.type == "cuda":
            device = torch.device("cuda", own)
            torch.cuda.set_device(device)
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


def compile_module(module: nn.Module, device: torch.device) -> bool:
    """Compile `module` in place and return True, or False without Triton for a GPU or a C++ compiler for a CPU."""
    compilers = (os.environ.get("CXX", "c++"), "g++", "clang++")
    able = find_spec("triton") is not None if device.type == "cuda" else any(map(shutil.which, compilers))
    if able:
        module.compile()
    return able


def run(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    max_minutes: float | None = None,
    device: str = "auto",
    workers: int | None = None,
    report: Report = lambda _: None,
) -> TrainingResult:
    """Train `recipe` on the images under `data`; checkpoints, log, curves and weights go to the folder `out`.

    Processes that `torchrun` started share the work: each draws its own crops, and gradients are averaged. For each of
    them `workers` more draw crops ahead, which changes only the speed; None is for as many as suit the device. SIGINT
    and SIGTERM end the run after the current step, with a checkpoint. Raises DatasetError: nothing to train on;
    DeviceError: no such device; MissingExtraError: no matplotlib for the curves; TrainingError: `out` already holds a
    run (and `resume` is off), the checkpoint is of another recipe, or crops cannot be drawn by other processes.
    """
    check_plots()
    with join_world(resolve_device(device)) as world, exact_convolutions():
        return _Trainer(recipe, data, out, world, resume, report).train(workers, max_minutes)


class _Trainer:
    def __init__(self, recipe: Recipe, data: Path, out: Path, world: World, resume: bool, report: Report) -> None:
        self.recipe, self.out, self.world, self.report = recipe, out, world, report
        self.state = files.TrainingState(recipe.sha256, processes=world.size)
        self.psnr = RunningMean()
        checkpoint = self._open(resume)
        with torch.random.fork_rng():
            torch.manual_seed(recipe.seed)
            self.network = build(recipe.architecture, recipe.settings)
        least = max(round(recipe.data.crop / recipe.data.enlarge), self.network.patch_size)
        chroma = recipe.degradation.needs_chroma
        self.split = load_split(data, self.network.channels, least, recipe.data.validation_every, chroma=chroma)
        images, count = self.split.training, len(self.split.training)
        self.probe = [images[index * count // PROBE_IMAGES] for index in range(min(PROBE_IMAGES, count))]
        self.network.to(world.device)
        if checkpoint is None:
            self._initialise()
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimiser = optimising.make_optimiser(self.network, recipe.optimiser)
        self.best, self.snapshot = _copy(self.average), _copy(self.network)
        if checkpoint is not None:
            self.network.load_state_dict(checkpoint.network)
            self.average.load_state_dict(checkpoint.average)
            self.best, self.snapshot, self.state = checkpoint.best, checkpoint.snapshot, checkpoint.state
            optimising.restore_state(self.network, self.optimiser, checkpoint.optimiser)
        objective = optimising.Objective(self.network, recipe)
        self.compiled = compile_module(objective.compilable, world.device)
        self.objective: nn.Module = objective if world.size == 1 else DistributedDataParallel(objective)

    def train(self, workers: int | None, max_minutes: float | None) -> TrainingResult:
        """Take steps until the recipe ends, the time is up or a signal comes."""
        state, steps, check_every = self.state, self.recipe.optimiser.steps, self.recipe.safety.check_every
        stop = self.world.stop
        if self.world.leads:
            self.out.mkdir(parents=True, exist_ok=True)
        started, first, before = time.monotonic(), state.step, state.seconds
        how = "compiled" if self.compiled else "not compiled (no C++ compiler, or no Triton for this GPU)"
        self._say(f"training on {self.world.device} with {len(self.split.training)} images, step {how}")
        drawn = Batches(self.recipe, self.split, self.world.rank).from_step(first, workers, self.world.device)
        with closing(drawn) as batches:
            for clean, measurement in batches:
                self._step(clean, measurement)
                elapsed = time.monotonic() - started
                state.step, state.seconds = state.step + 1, before + elapsed
                self._say("", (state.step - first) / elapsed)
                late = max_minutes is not None and elapsed > 60 * max_minutes
                over = self.world.greatest(float(stop.is_set() or late)) > 0
                if over or state.step % check_every == 0 or state.step == steps:
                    self._check()
                if over:
                    break
        finished = state.step >= steps
        weights = self.out / f"{self.recipe.name}.safetensors"
        if self.world.leads:
            files.export_weights(weights, self.recipe, self.best, state.best_step)
        return TrainingResult(weights, state.step, state.best_psnr, finished, stop.is_set() and not finished)

    def _open(self, resume: bool) -> files.Checkpoint | None:
        exists = (self.out / files.CHECKPOINT).exists()
        if exists and not resume:
            raise TrainingError(f"{self.out} already holds a run; go on with it by --resume, or name another folder")
        if self.out.exists() and not self.out.is_dir():
            raise TrainingError(f"{self.out} is a file; name a folder for the run")
        if not exists:
            return None
        checkpoint = files.load_checkpoint(self.out)
        if checkpoint.state.recipe_sha256 != self.recipe.sha256:
            raise TrainingError(f"the run in {self.out} was started from another recipe or other settings of it")
        if (processes := checkpoint.state.processes) != self.world.size:
            raise TrainingError(f"the run in {self.out} had {processes} processes, not {self.world.size}")
        if self.world.leads:
            files.truncate_log(self.out, checkpoint.state.step)
        return checkpoint

    def _initialise(self) -> None:
        """Set the weights that the recipe begins from: its warm start, a dictionary learned on images, or neither."""
        network, recipe = self.network, self.recipe
        generator = torch.Generator().manual_seed(recipe.seed)
        if recipe.warm_start:
            source = zoo.load_model(zoo.find(recipe.warm_start)).network.to(self.world.device)
            if not network.load_compatible_weights(source):
                raise TrainingError(f"warm start {recipe.warm_start} has settings that do not fit the recipe")
            if dead := reinitialize_dead_blocks(network, self._probe_psnr, generator):
                blocks = "1 residual block" if dead == 1 else f"{dead} residual blocks"
                self._say(f"{blocks} of {recipe.warm_start} changed next to nothing: begun anew")
        elif recipe.dictionary is not None:
            if not isinstance(network, SparseCoding):
                raise TrainingError(f"a network of {recipe.architecture} has no dictionary to learn at the start")
            self._say("learning the initial dictionary")
            sizes = network.settings.patch_size, network.settings.atoms
            network.initialise(learn_dictionary(self.split.training, *sizes, recipe.dictionary, generator))

    def _step(self, clean: Tensor, measurement: Measurement) -> None:
        step, settings, device = self.state.step, self.recipe.optimiser, self.world.device
        for group in self.optimiser.param_groups:
            group["lr"] = group["rate"] * self._rate()
        # Every process must take the same stride: it follows from the step alone.
        stride = self.recipe.data.strides[step % len(self.recipe.data.strides)]
        generator = step_generator(self.recipe, self.world.rank, step, NETWORK)
        measurement, clean = measurement.to(device), clean.to(device, non_blocking=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            loss, errors = self.objective(measurement, clean, stride, generator)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        share = 1 - optimising.average_decay(step, settings)
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), share)
        self.psnr.add(-10 * errors.clamp_min(LEAST_ERROR).log10().mean())

    def _rate(self) -> float:
        return optimising.rate_factor(self.state.step, self.recipe.optimiser) * self.state.rate_scale

    def _check(self) -> None:
        """Backtrack if training lost ground, else take a snapshot; validate the average; write everything down."""
        state, probe, event = self.state, self._probe_psnr(), ""
        if probe > state.probe_psnr - self.recipe.safety.drop:
            self.snapshot, state.probe_psnr = _copy(self.network), probe
        else:
            event = f"training PSNR fell from {state.probe_psnr:.2f} to {probe:.2f} dB: back to the last snapshot"
            self.network.load_state_dict(self.snapshot)
            self.average.load_state_dict(self.snapshot)
            self.optimiser.state.clear()  # The moments belong to the weights that were thrown away.
            state.rate_scale *= self.recipe.safety.slow_down
        validation = {}
        if self.world.leads:
            validation = optimising.validation_psnr(self.average, self.split.validation, self.recipe, self.world.device)
        mean = self.world.greatest(fmean(validation.values()) if validation else -math.inf)
        if mean > state.best_psnr:
            self.best, state.best_psnr, state.best_step = _copy(self.average), mean, state.step
        if not self.world.leads:
            return
        numbers = state.step, state.seconds, self._rate(), self.psnr.value(), probe, mean
        files.append_check(self.out, files.Check(*numbers, validation, event))
        files.draw_curves(self.out, self.recipe.name)
        weights = self.network.state_dict(), self.average.state_dict(), self.best
        moments = optimising.optimiser_state(self.network, self.optimiser)
        files.save_checkpoint(self.out, files.Checkpoint(self.state, *weights, moments, self.snapshot))
        self.psnr = RunningMean()
        each = ", ".join(f"{psnr:.2f} at {name}" for name, psnr in validation.items())
        self._say(f"step {state.step}: validation {mean:.3f} dB ({each}){f'; {event}' if event else ''}")

    def _probe_psnr(self) -> float:
        return fmean(optimising.validation_psnr(self.network, self.probe, self.recipe, self.world.device).values())

    def _say(self, message: str, steps_per_second: float = 0.0) -> None:
        if self.world.leads:
            step, steps = self.state.step, self.recipe.optimiser.steps
            numbers = step, steps, self.psnr.value(REPORT_AGE), self._rate(), steps_per_second
            self.report(TrainingReport(*numbers, message))


class RunningMean:
    """A mean of tensors that stay where they were computed, because reading one waits for the GPU."""

    def __init__(self) -> None:
        self.sum: Tensor | float = 0.0
        self.count, self.read, self.read_at = 0, 0.0, -math.inf

    def add(self, value: Tensor) -> None:
        """Count one more."""
        self.sum, self.count = self.sum + value, self.count + 1

    def value(self, age: float = 0.0) -> float:
        """Return the mean as it was at most `age` seconds ago, or 0 of nothing."""
        now = time.monotonic()
        if self.count and now >= self.read_at + age:
            self.read, self.read_at = float(self.sum) / self.count, now
        return self.read


def _copy(network: nn.Module) -> Mapping[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


@torch.no_grad()
def reinitialize_dead_blocks(network: nn.Module, restore: Callable[[], object], generator: torch.Generator) -> int:
    """Reinitialise residual blocks h + f(h) with ||f(h)|| < 0.03 ||h|| while `restore` runs; return their number.

    A convolution without biases in front of a relu can become negative nearly everywhere on natural images; its block
    then changes next to nothing. The share of active features is no measure: some are rarely active, and matter.
    """
    # A block that a shallower network did not have is still zero, and not dead.
    residual = [module for module in network.modules() if isinstance(module, ResidualBlock)]
    blocks = [block for block in residual if block.second.weight.any()]
    changes, features = dict.fromkeys(blocks, 0.0), dict.fromkeys(blocks, 0.0)

    def measure(block: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(block, ResidualBlock)
        changes[block] += float((output - inputs[0]).square().sum(dtype=torch.float64))
        features[block] += float(inputs[0].square().sum(dtype=torch.float64))

    hooks = [block.register_forward_hook(measure) for block in blocks]
    try:
        if blocks:
            restore()
    finally:
        for hook in hooks:
            hook.remove()
    dead = [block for block in blocks if changes[block] < LEAST_CHANGE**2 * features[block]]
    for block in dead:
        reinitialize(block, generator)
    return len(dead)
