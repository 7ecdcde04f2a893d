"""The base of all tasks: how pictures went wrong, and everything that follows from it.

A task is one file with a `Task`, its `Degradation`s (`restorekit degrade`), its `Benchmark` (`restorekit eval`), its
`TrainingSection`s (recipes) and its function in Python. Tasks are imported before it is known whether there is anything
to do, so they take NumPy, torch and all that needs them from `tasks.prelude`, which loads them at their first use.
"""

from __future__ import annotations

import importlib.util
import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar

from annotated_types import Ge, Interval

from restorekit.errors import MissingExtraError, UsageError
from restorekit.settings import Settings
from restorekit.types import CHANNELS, DefaultModels, Option, RunReport, RunSettings, Units

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from restorekit.batch.files import FileKind, PictureFiles, Restored
    from restorekit.batch.run import Operation
    from restorekit.image import Picture
    from restorekit.inference.plug_and_play import Watch
    from restorekit.physics.base import Measurement
    from restorekit.zoo import LoadedModel, ModelCard, ModelSelection

    Image = NDArray[np.float32]

O = TypeVar("O")  # noqa: E741 - the options of a task
C = TypeVar("C", bound=Hashable)
AUTO = "auto"
NO_FORMATS: Mapping[str, str] = MappingProxyType({})
NOISE = Option("Standard deviation of the noise on the scale 0..255; auto estimates it on each image.", "NUMBER|auto")
SEED = Option("Seed of the noise; it makes the same noise on every image.", "N", low=0)


@dataclass(frozen=True)
class Run:
    """How to run a task.

    models: those to choose from. settings: quality, device, tile size. iterations: how many, None for as many as
    measured best. watch: told of every iteration on a picture. explain: whether `Restored.trace` is wanted.
    Raises DeviceError if this machine has no such device.
    """

    models: ModelSelection
    settings: RunSettings
    iterations: int | None = None
    watch: Watch | None = None
    explain: bool = False

    def __post_init__(self) -> None:
        from restorekit.inference.runner import resolve_device

        resolve_device(self.settings.device)


@dataclass(frozen=True)
class Wording:
    """Words about a task on the page of `--explain`.

    before: what the picture was like. harm: what the network tells detail from. about: sentences on what the network
    was given, `error` standing for its conditioning on the scale 0 to 255.
    """

    before: str
    harm: str
    about: str


@dataclass(frozen=True, eq=False)
class RestorationTrace:
    """One image on its way through a network; images are [H, W] or [H, W, 3] with values about [0, 1].

    model: the network and its card. conditioning, stride: what else it was told, the conditioning in [0, 1]. observed,
    restored: the image before and after. mask: 1 where a value was observed and 0 where it was interpolated, like the
    image; None if all were observed. truth_of: makes of a clean picture the image that `restored` should have been.
    """

    model: LoadedModel
    conditioning: float
    stride: int
    observed: Image
    restored: Image
    truth_of: Callable[[Picture], Image]
    mask: NDArray[Any] | None = None


class Task(ABC, Generic[O]):
    """One way in which pictures go wrong, and how they are restored; the docstring is the help of its command.

    name: of its command, and on cards. participle: what it makes of a picture, in names of outputs. Options: a frozen
    dataclass of what else users say, its fields annotated by `types.Option`. models: the default ones. units: of the
    conditioning, None where there is none. channels: of its outputs, None for those of the input. written_as: formats
    of inputs to write another format for. camera_raw: whether it reads RAW files. wording: for `--explain`, None where
    nothing can be explained. iterates: whether it takes `--iterations` and `--trajectory`.
    """

    name: ClassVar[str]
    participle: ClassVar[str]
    Options: ClassVar[type[Any]]
    models: ClassVar[DefaultModels]
    units: ClassVar[Units | None] = None
    channels: ClassVar[int | None] = None
    written_as: ClassVar[Mapping[str, str]] = NO_FORMATS
    camera_raw: ClassVar[bool] = False
    wording: ClassVar[Wording | None] = None
    iterates: ClassVar[bool] = False
    degradations: ClassVar[tuple[type[Degradation[Any]], ...]] = ()
    benchmark: ClassVar[type[Benchmark[Any]] | None] = None
    training: ClassVar[Mapping[str, type[TrainingSection]]] = MappingProxyType({})

    @abstractmethod
    def prepare(self, options: O, run: Run) -> Operation:
        """Return the operation on one picture. Raises UsageError for options that the models were not made for.

        Raises ModelNotFoundError if a default model is missing.
        """

    def check(self, options: O, inputs: Sequence[str]) -> None:
        """Raise UsageError for inputs that the options do not fit, before anything is loaded."""

    def select(
        self,
        options: O | None,
        model: LoadedModel | str | None = None,
        *,
        iterations: int | None = None,
        offline: bool = False,
        explained: bool = False,
    ) -> ModelSelection:
        """Return the models to choose from; see `ModelSelection`. `options` are None for a benchmark.

        Where the task takes denoisers and none is named, they take the place of models that cannot do it: a model that
        was trained for the task has a number of iterations of its own, and was made for less noise.
        """
        from restorekit.tasks import get_task
        from restorekit.zoo import ModelSelection
        from restorekit.zoo.selection import PRIOR_TASK

        trained = ModelSelection(self.name, self.models, model, offline=offline, explained=explained)
        if model is not None or not self.models.takes_denoisers:
            return trained
        noise, conditioning = (None, None) if options is None else self.known(options)
        sigma, cards = round(255 * (noise or 0), 6), trained.cards(conditioning)
        if iterations is None and all(sigma <= self.greatest_noise(card) for card in cards):
            return trained
        return ModelSelection(PRIOR_TASK, get_task(PRIOR_TASK).models, offline=offline)

    def known(self, options: O) -> tuple[float | None, float | None]:
        """Return the noise that options name, in [0, 1], and the conditioning in units of cards; None if unknown."""
        return None, None

    def greatest_noise(self, card: ModelCard) -> float:
        """Return the sigma on 0..255 up to which a model was made for the task."""
        return card.conditioning_range[1]

    def files(self, options: O, inputs: Sequence[str], *, max_pixels: int | None, strip_metadata: bool) -> FileKind:
        """Return the kind of files that the command deals with."""
        return picture_files(self, max_pixels, strip_metadata)

    def reference_of(self, options: O, inputs: Sequence[str]) -> Path | None:
        """Return the clean picture of a plot of iterations where the input itself is one."""
        return None

    def check_reference(self, options: O, inputs: Sequence[str], reference: Path | None) -> None:
        """Raise UsageError where a reference cannot be compared with the result."""

    def images_of(self, card: ModelCard) -> str:
        """Return a word for the images that a model takes; a default model may take others than it has channels for."""
        taken = {card.channels, *(channels for channels, name in self.models.general.items() if name == card.name)}
        taken |= {channels for channels, names in self.models.specialists.items() if card.name in names}
        return " and ".join(CHANNELS[channels] for channels in sorted(taken))


class Degradation(ABC, Generic[O]):
    """A way to make pictures worse on purpose, an operation of a batch; the docstring is the help of its command.

    name: as in `restorekit degrade NAME`. The rest is as in `Task`.
    """

    name: ClassVar[str]
    participle: ClassVar[str]
    Options: ClassVar[type[Any]]
    channels: ClassVar[int | None] = None
    written_as: ClassVar[Mapping[str, str]] = NO_FORMATS

    def __init__(self, options: O) -> None:
        """Raise UsageError for options that make no sense."""
        self.options = options

    @abstractmethod
    def __call__(self, picture: Picture) -> Any:
        """Return the picture made worse, an `Account`."""

    def files(self, max_pixels: int | None, strip_metadata: bool) -> FileKind:
        """Return the kind of files that the command deals with."""
        return picture_files(self, max_pixels, strip_metadata)


@dataclass(frozen=True)
class Condition:
    """How strong a degradation was, for people and for JSON.

    value: as users write it: 25, "rggb". label: such as `sigma 25`. number: that of a model card for a value that is
    text, as "radial:0.3" is 30 there.
    """

    value: float | str
    label: str
    number: float = 0.0

    @property
    def on_card(self) -> float:
        """The number that a model card has for it."""
        return self.number if isinstance(self.value, str) else self.value


Method = Callable[["Image", Any], "NDArray[Any]"]
"""A method to measure: from the observed image and its condition to an estimate of the clean image."""


@dataclass(frozen=True)
class Baseline:
    """A well-known method to compare with.

    method: takes the benchmark, the observed image and its condition. package: the one of the extra `baselines` that it
    needs. note: a sentence for the help.
    """

    method: Callable[[Any, Image, Any], Any]
    package: str = ""
    note: str = ""


class Benchmark(ABC, Generic[C]):
    """How a task is measured: clean images are degraded under several conditions and restored by several methods.

    axis: the name of a condition in JSON: `sigma`, `quality_factor`, `pattern`. Options: a frozen dataclass of the
    options of `restorekit eval TASK`; the docstring of the class is its help. baselines: other methods by name.
    untouched: the baseline that does nothing, None where an observation has not the shape of a clean image. seeded:
    whether anything is drawn at random. takes_slices: whether a folder may hold complex slices.
    conditions: those to measure under, all different.
    """

    axis: ClassVar[str]
    Options: ClassVar[type[Any]]
    baselines: ClassVar[Mapping[str, Baseline]] = {}
    untouched: ClassVar[str | None] = None
    seeded: ClassVar[bool] = False
    takes_slices: ClassVar[bool] = False
    task: Task[Any]
    conditions: tuple[C, ...]

    @abstractmethod
    def __init__(self, options: Any) -> None:
        """Raise UsageError for options that make no sense."""

    @property
    @abstractmethod
    def protocol(self) -> str:
        """What is done to the images, in sentences, for whoever compares the figures."""

    @abstractmethod
    def degrade(self, clean: Image, condition: C, seed: int) -> Image:
        """Return what is observed of a clean image, of any shape, such as a mosaic's [H, W].

        Random numbers must depend on `seed` alone, which differs from image to image, not between conditions.
        """

    @abstractmethod
    def describe(self, condition: C) -> Condition:
        """Return the condition as users know it."""

    @abstractmethod
    def restore(self, observed: Image, condition: C, run: Run) -> Image:
        """Return the estimate of the models in [0, 1], of the shape of the clean image."""

    def baseline(self, name: str) -> Method:
        """Return one of `baselines`. Raises UsageError for another name, MissingExtraError without its package."""
        import numpy as np

        if name not in self.baselines:
            raise UsageError(f"no baseline is named {name!r}; choose {', '.join(self.baselines)}")
        chosen = self.baselines[name]
        if chosen.package and importlib.util.find_spec(chosen.package) is None:
            missing = f"{name} needs the package {chosen.package}: pip install 'restorekit[baselines]'"
            raise MissingExtraError(f"{missing}; {chosen.note}" if chosen.note else missing)
        return lambda observed, condition: np.asarray(chosen.method(self, observed, condition), np.float32)

    def clean(self, picture: Picture) -> Image:
        """Return the image that estimates are compared with, [H, W] or [H, W, 3] in [0, 1].

        Raises UnsupportedImageError for a picture of no use, such as a grey one to demosaic; it is left out by name.
        """
        return picture.to_float()

    def check(self, run: Run) -> None:
        """Load the models, and raise UsageError for a condition that they were not made for."""
        for condition in self.conditions:
            run.models.preload(self.describe(condition).on_card)

    def prepare(self, seed: int, *, slices: bool) -> None:
        """Prepare for clean images, or for complex slices, before anything is measured."""

    def method_name(self, run: Run) -> str:
        """Return the name of the models in tables."""
        return run.models.name_at(run.settings.quality)


FULL_SCALE = 255.0
"""Sigmas in recipes and options are on the 0..255 scale; images have full scale 1."""
Sigma = Annotated[float, Ge(0)]
"""A standard deviation of noise on the 0..255 scale."""
Share = Annotated[float, Interval(ge=0, le=1)]


@dataclass(frozen=True)
class Split:
    """Images [C, H, W] for training and for validation: uint8, or float16 if they come from complex slices.

    chroma: Cb and Cr of those for training, [1, ceil(H / 4), ceil(W / 4)], where they were asked for.
    """

    training: list[Tensor]
    validation: list[Tensor]
    chroma: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """Images [C, H, W] that crops are cut from, the function that degrades them, and its share of the steps."""

    images: Sequence[Tensor]
    draw: Callable[[Tensor, torch.Generator], Measurement]
    share: float


class TrainingSection(Settings, ABC):
    """The section of a training recipe that says how clean crops are degraded; subclasses are frozen dataclasses.

    balance: a crop's squared error is weighed by (conditioning / 25)^-balance, so that faint and strong degradations
    count alike. validation: the values to validate at, in the units of users. needs_chroma: whether `Split.chroma` is
    wanted.
    """

    balance: float
    validation: tuple[float, ...]
    needs_chroma: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Raise ValueError if low > high."""
        low, high = getattr(self, "low", 0), getattr(self, "high", 0)
        if low > high:
            raise ValueError(f"low {low:g} is greater than high {high:g}")

    @property
    def conditioning_range(self) -> tuple[float, float]:
        """The least and the greatest conditioning for the card of a model, in its units: `low` and `high`, if any."""
        return float(getattr(self, "low", 0)), float(getattr(self, "high", 0))

    @abstractmethod
    def draw(self, clean: Tensor, generator: torch.Generator) -> Measurement:
        """Degrade clean crops [B, C, H, W] in [0, 1] at random."""

    @abstractmethod
    def at(self, clean: Tensor, value: float, generator: torch.Generator) -> Measurement:
        """Degrade all crops alike, by a value in the units of users."""

    def sources(self, split: Split) -> tuple[Source, ...]:
        """Return where crops come from; their shares add up to 1."""
        return (Source(split.training, self.draw, 1.0),)


def command_help(kind: type[Any]) -> str:
    """Return the help of a command from the docstring of its class."""
    return inspect.cleandoc(kind.__doc__ or "")


def picture_files(of: Task[Any] | Degradation[Any], max_pixels: int | None, strip_metadata: bool) -> PictureFiles:
    """Return the kind of files of a task or degradation that makes pictures of pictures."""
    from restorekit.batch.files import PictureFiles

    camera_raw = isinstance(of, Task) and of.camera_raw
    return PictureFiles(of.written_as, camera_raw, of.channels, max_pixels, strip_metadata)


def parse_sigma(value: object, name: str, *, zero: bool = False, auto: bool = False) -> float | None:
    """Return a sigma on the scale 0..255, a number or its text, as one in [0, 1], or None for `auto`.

    name: of the option. zero: whether it may be 0. auto: whether it may be left to an estimate. Raises UsageError.
    """
    if auto and value == AUTO:
        return None
    try:
        sigma = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        sigma = math.nan
    if not (math.isfinite(sigma) and (sigma >= 0 if zero else sigma > 0)):
        usable = f"a number {'of 0 or more' if zero else 'above 0'} (on the scale 0..255){', or auto' if auto else ''}"
        raise UsageError(f"{name} {value} is not a noise level; use {usable}")
    return sigma / 255


def parse_simulated_sigma(value: object, name: str, *, zero: bool = False) -> float:
    """Return the sigma of noise to be made, at most 255 on the scale 0..255, as one in [0, 1]."""
    with suppress(UsageError):
        sigma = parse_sigma(value, name, zero=zero)
        if sigma is not None and sigma <= 1:
            return sigma
    raise UsageError(f"{name} {value} is not a noise level; use a number {'from 0' if zero else 'above 0 up'} to 255")


def parse_noise(value: object) -> float | None:
    """Return the noise level of an option `--noise`, in [0, 1], or None for `auto`. Raises UsageError."""
    return parse_sigma(value, "noise", zero=True, auto=True)


def noisy(clean: Tensor, sigma: Tensor, generator: torch.Generator) -> Tensor:
    """Return images [B, C, H, W] with Gaussian noise, neither clipped nor rounded; sigma is [B]."""
    import torch

    return clean + sigma[:, None, None, None] * torch.randn(clean.shape, generator=generator)


def restored(
    before: Picture,
    after: Picture,
    model: LoadedModel,
    report: RunReport,
    notes: tuple[str, ...] = (),
    trace: RestorationTrace | None = None,
    **parameters: float | str,
) -> Restored:
    """Return the account of a picture that a model restored, with `scale_notes` before other remarks."""
    from restorekit.batch.files import Restored

    notes, known = scale_notes(before) + notes, tuple(parameters.items())
    return Restored(after, model=model.card.name, parameters=known, report=report, notes=notes, trace=trace)


def scale_notes(picture: Picture) -> tuple[str, ...]:
    """Return a remark on float pixels so far outside [0, 1] that noise does not explain it."""
    if picture.pixels.dtype.kind != "f":
        return ()
    low, high = float(picture.pixels.min()), float(picture.pixels.max())
    if low >= -1 and high <= 2:
        return ()
    return (f"values from {low:.4g} to {high:.4g} were taken as [0, 1], as floats are; what was outside is cut off",)


def with_noise(picture: Picture, clean: Image, sigma: float, seed: int) -> tuple[Picture, tuple[str, ...]]:
    """Return the picture with noise on the pixels `clean`, in its own depth, and a remark if that cuts noise off."""
    from restorekit.physics.noise import add_gaussian_noise

    if sigma == 0:
        return picture.with_float(clean), ()
    noisy = add_gaussian_noise(clean, sigma, seed)
    if picture.pixels.dtype.kind == "f":
        return replace(picture, pixels=noisy.astype(picture.pixels.dtype)), ()
    return picture.with_float(noisy), (f"noise rounded and clipped to {8 * picture.pixels.itemsize} bits",)


def check_noise(noise: float | None, cards: Sequence[ModelCard], greatest: Callable[[ModelCard], float]) -> None:
    """Raise UsageError for a sigma in [0, 1] above the greatest, on 0..255, that one of the models was made for."""
    from restorekit.zoo.selection import PRIOR_TASK

    for card in cards:
        if noise is not None and not 0 <= round(255 * noise, 6) <= greatest(card):
            raise UsageError(
                f"noise {255 * noise:g} is more than {card.name} was made for; "
                f"use a number from 0 to {greatest(card):g} (on the scale 0..255), or auto"
                + ("" if card.task == PRIOR_TASK else ", or name a denoiser with --model")
            )


def noise_of(observed: Image, noise: float | None, greatest: float) -> tuple[float, tuple[str, ...]]:
    """Return the sigma that was named, or that of an image, at most `greatest` of 255; and a remark."""
    if noise is not None:
        return noise, ()
    from restorekit.physics.noise import estimate_sigma

    estimate = estimate_sigma(observed)
    taken = min(estimate, greatest / 255)
    found = f"noise estimated as sigma {255 * estimate:.3g}"
    return taken, (found if taken == estimate else f"{found}, taken as {255 * taken:.3g}, the most the model knows",)
