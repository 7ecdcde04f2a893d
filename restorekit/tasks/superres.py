"""Super-resolution: pictures enlarged, the high resolution of which a picture is the bicubic downsampling."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from typing_extensions import override

from restorekit.tasks.prelude import *

_SCALES = (2, 3, 4)
_SMALLER = Option("How many times smaller in height and width.", "2|3|4", low=2, high=4)
_SMALLER_EACH = replace(_SMALLER, help="How many times smaller in height and width; repeatable.")
_LARGER = replace(_SMALLER, help="How many times larger in height and width.")
_ITERATIONS = {2: 5, 3: 12, 4: 12}
_FIRST, _WEIGHT, _LEAST_NOISE = 20 / 255, 2.0, 1 / 255
"""ADMM for denoisers, chosen at scales 2 and 3 on crops of training photographs; half-quadratic splitting was worse
than no prior there."""
_NOISE_OF_SMALL = 1
"""The noise on the scale 0..255 that models to enlarge have seen; the conditioning on their cards is a scale."""
_MARGIN = 8
"""Pixels of low resolution that a picture is extended by."""
_HALO = 20
"""Pixels of low resolution that windows of a large picture drop if a denoiser enlarges it: those of a photograph agreed
with the whole to 0.05 / 255 beyond 16."""
_MULTIPLE = 12
"""Sides of benchmark images are cut to multiples of 2, 3 and 4, so that all scales are measured on the same pixels."""


@dataclass(frozen=True, eq=False)
class Enlarging:
    """How an image is enlarged: argmin of 1/2 ||A x - y||^2 + prior(x), A bicubic downsampling by `scale`.

    Raises UsageError for another scale or number of iterations than the model was trained for.
    """

    scale: int
    noise: float
    model: zoo.LoadedModel
    run: Run

    def __post_init__(self) -> None:
        card = self.model.card
        if card.task == Superres.name and not card.covers(self.scale):
            raise UsageError(f"scale {self.scale} is not one that {card.name} was made for; use {card.range_text}")
        _ = self.iterations

    @property
    def iterations(self) -> int:
        """How many there are; a network that enlarges takes a single step."""
        if self._enlarger is None:
            return self.splitting.iterations
        plug_and_play.check_iterations(self.model, 1, self.run.iterations)
        return 1

    @property
    def _enlarger(self) -> networks.Enlarger | None:
        return self.model.network if isinstance(self.model.network, networks.Enlarger) else None

    @property
    def splitting(self) -> admm.Splitting | plug_and_play.LearnedSplitting:
        """The schedule of an iterative model; for a denoiser one that fits the scale."""
        of_denoisers = admm.Splitting(_ITERATIONS[self.scale], _FIRST, None, _WEIGHT, _LEAST_NOISE)
        error = blur.bicubic_error(self.scale)
        return plug_and_play.splitting_for(self.model, of_denoisers, self.run.iterations, error)

    def __call__(self, observed: Image) -> tuple[Image, RunReport]:
        """Return an image [h, w] or [h, w, 3] at `scale` times its height and width, in [0, 1], and what it took.

        It is extended by about its mirror image, which agrees with torch at edges: see `bicubic_decimation`. A network
        that enlarges colour images is given a grey one three times over.
        """
        channels, enlarger = 1 if observed.ndim == 2 else observed.shape[2], self._enlarger
        seen = channels if enlarger is None else enlarger.channels
        # The first guess and the data step look one pixel further or, too little to show, everywhere.
        halo = _HALO if enlarger is None else enlarger.view + 1
        pixels = windowing.window_pixels(seen, runner.resolve_device(self.run.settings.device)) // self.scale**2
        windows = windowing.Windows(pixels, halo, self.scale)
        return windowing.solve_over_windows(self._solve, observed, windows, self.run.watch)

    def _solve(self, observed: Image) -> tuple[Image, RunReport]:
        """Enlarge a window."""
        scale, settings, enlarger = self.scale, self.run.settings, self._enlarger
        size = scale * observed.shape[0], scale * observed.shape[1]
        y = blur.extend_periodic(runner.as_batch(observed, runner.resolve_device(settings.device)), _MARGIN)
        if enlarger is None:
            physics, x0 = blur.bicubic_decimation(scale), blur.enlarge_bicubic(y, scale)
            noise, splitting, watch = self.noise, self.splitting, self.run.watch
            x, report = plug_and_play.solve(
                self.model, lambda z, rho: physics.prox_l2(z, y, rho), x0, noise, splitting, settings, size, watch
            )
        else:
            x, report = self._enlarged(enlarger, y, size)
        return runner.as_pixels(x, observed.ndim), report

    def _enlarged(self, enlarger: networks.Enlarger, y: Tensor, size: tuple[int, int]) -> tuple[Tensor, RunReport]:
        """Return the first rows and columns, `size`, of a network's image of y, [1, C, h, w], clamped to [0, 1].

        A grey image is the mean over the colours. At best it is the mean over the dihedral views: bicubic downsampling
        goes alike with all of them. `watch` is told of the step from the first guess.
        """
        started = time.perf_counter()
        network, sigma = enlarger.to(y.device), y.new_full((1,), self.noise)
        measurement = _measured(y.expand(-1, enlarger.channels, -1, -1), self.scale, sigma)

        def enlarge(view: int) -> Tensor:
            seen, guess = (dihedral.dihedral(image, view) for image in (measurement.y, measurement.x0))
            return network.reconstruct(replace(measurement, y=seen, x0=guess))

        best = self.run.settings.quality is Quality.BEST
        with runner.inference():
            x = patches.within_memory(lambda: dihedral.mean_over_dihedral(enlarge) if best else enlarge(0))
            estimate = x[..., : size[0], : size[1]]
            estimate = (estimate if y.shape[1] == x.shape[1] else estimate.mean(1, keepdim=True)).clamp(0, 1)
            if self.run.watch is not None:
                self.run.watch(estimate, float(differentiation.relative_change(measurement.x0, x)))
        return estimate, RunReport(str(x.device), 1, time.perf_counter() - started)


def _measured(y: Tensor, scale: int, sigma: Tensor) -> physics_base.Measurement:
    """Return the measurement of small images [B, C, h, w] whose noise is sigma, [B]."""
    error, x0 = y.new_full((len(y),), blur.bicubic_error(scale)), blur.enlarge_bicubic(y, scale)
    return physics_base.Measurement(y, x0, error, sigma, blur.bicubic_decimation(scale))


def _resized(
    picture: imaging.Picture, resize: Callable[[Tensor], Tensor], pixels: Image | None = None
) -> imaging.Picture:
    """Return a picture of another size and the same depth, `resize` being of images [B, C, H, W], alpha likewise.

    pixels: in place of those that were resized.
    """

    def sized(part: imaging.Picture, values: Image) -> imaging.Picture:
        return replace(part, pixels=np.empty(values.shape, part.pixels.dtype)).with_float(values)

    changed = sized(picture, _on_pixels(picture.to_float(), resize) if pixels is None else pixels)
    if picture.alpha is None:
        return changed
    alpha = imaging.Picture(picture.alpha, picture.metadata)
    return replace(changed, alpha=sized(alpha, _on_pixels(alpha.to_float(), resize)).pixels)


def _on_pixels(pixels: Image, function: Callable[[Tensor], Tensor]) -> Image:
    """Return what a function of images [B, C, H, W] makes of an image [H, W] or [H, W, C]."""
    return runner.as_pixels(function(runner.as_batch(pixels, torch.device("cpu"))), pixels.ndim)


@dataclass(frozen=True)
class DownsampleOptions:
    """Options of `restorekit degrade downsample`."""

    scale: Annotated[int, _SMALLER]


class Downsample(base.Degradation[DownsampleOptions]):
    """Shrink images by bicubic interpolation without antialiasing: IMG.png becomes IMG_small.png beside it.

    Sides are cut to multiples of the scale at the bottom and right.
    """

    name = "downsample"
    participle = "small"
    Options = DownsampleOptions

    @override
    def __call__(self, picture: imaging.Picture) -> batch_files.Restored:
        scale = self.options.scale
        height, width = picture.pixels.shape[:2]
        if min(height, width) < scale:
            raise UnsupportedImageError(f"{width}x{height} pixels, of which one in {scale} leaves nothing")
        small = _resized(picture, lambda x: blur.shrink_bicubic(x, scale))
        notes: tuple[str, ...] = ()
        if height % scale or width % scale:
            notes = (f"cut to multiples of {scale}: {width - width % scale}x{height - height % scale}",)
        return batch_files.Restored(small, parameters=(("scale", scale),), notes=notes)


@dataclass(frozen=True)
class DownsamplingSection(base.TrainingSection):
    """Bicubic downsampling by one of `scales`, with noise of up to `noise`, on the 0..255 scale.

    The scales are 2, 3 and 4 or neighbours among them. Every batch has one, s. With `one_size` only the top left
    s / max(scales) of its crops is made small, so that small images have one size, and s is drawn with a probability
    proportional to s^2, the larger having more to learn. The sides of crops are multiples of 12, so that every scale
    divides them. Validation is at every scale, without noise.
    """

    noise: base.Sigma
    balance: float
    one_size: bool = False
    scales: tuple[int, ...] = _SCALES

    def __post_init__(self) -> None:
        """Raise ValueError for scales that a range on a model card cannot tell."""
        parts = [_SCALES[first:last] for last in range(len(_SCALES) + 1) for first in range(last)]
        if self.scales not in parts:
            raise ValueError(f"scales {self.scales}: use {list(_SCALES)} or neighbours among them")

    @property
    def validation(self) -> tuple[float, ...]:  # type: ignore[override]
        """Every scale."""
        return tuple(map(float, self.scales))

    @property
    @override
    def conditioning_range(self) -> tuple[float, float]:
        return float(min(self.scales)), float(max(self.scales))

    @override
    def draw(self, clean: Tensor, generator: torch.Generator) -> physics_base.Measurement:
        shares = torch.tensor([float(scale**2 if self.one_size else 1) for scale in self.scales])
        scale = self.scales[int(torch.multinomial(shares, 1, generator=generator))]
        if self.one_size:
            height, width = (side * scale // max(self.scales) for side in clean.shape[-2:])
            clean = clean[..., :height, :width]
        return _small(clean, scale, self.noise / 255 * torch.rand(len(clean), generator=generator), generator)

    @override
    def at(self, clean: Tensor, value: float, generator: torch.Generator) -> physics_base.Measurement:
        return _small(clean, int(value), clean.new_zeros(len(clean)), generator)


def _small(clean: Tensor, scale: int, sigma: Tensor, generator: torch.Generator) -> physics_base.Measurement:
    return _measured(base.noisy(blur.shrink_bicubic(clean, scale), sigma, generator), scale, sigma)


def _bicubic(_: object, observed: Image, scale: int) -> Image:
    return _on_pixels(observed, lambda y: blur.enlarge_bicubic(y, scale))


@dataclass(frozen=True)
class SuperresBenchmarkOptions:
    """Options of `restorekit eval superres`."""

    scale: Annotated[list[int], _SMALLER_EACH]


class SuperresBenchmark(base.Benchmark[int]):
    """Shrink clean images, enlarge them with each method, and compare PSNR on all channels, SSIM and speed.

    Sides are cut to multiples of 12. The table goes to standard error.
    """

    axis = "scale"
    Options = SuperresBenchmarkOptions
    baselines = {"bicubic": Baseline(_bicubic, note="bicubic is bicubic interpolation")}
    protocol = (
        "Sides are cut to multiples of 12; low resolution is torch's interpolate(mode='bicubic', align_corners=False, "
        "antialias=False) in float32, neither clipped nor rounded."
    )

    def __init__(self, options: SuperresBenchmarkOptions) -> None:
        for scale in options.scale:
            _check_scale(scale)
        self.conditions = tuple(options.scale)

    @override
    def clean(self, picture: imaging.Picture) -> Image:
        height, width = (side - side % _MULTIPLE for side in picture.pixels.shape[:2])
        if min(height, width) == 0:
            raise UnsupportedImageError(f"less than {_MULTIPLE} pixels high or wide")
        return np.ascontiguousarray(picture.to_float()[:height, :width])

    @override
    def degrade(self, clean: Image, condition: int, seed: int) -> Image:
        return _on_pixels(clean, lambda x: blur.shrink_bicubic(x, condition))

    @override
    def describe(self, condition: int) -> Condition:
        return Condition(condition, f"x{condition}")

    @override
    def check(self, run: Run) -> None:
        for scale in self.conditions:
            run.models.preload(_conditioning(run.models, scale))
            if run.models.named is not None:
                Enlarging(scale, 0.0, run.models.named, run)

    @override
    def restore(self, observed: Image, condition: int, run: Run) -> Image:
        model = run.models.fitting(1 if observed.ndim == 2 else 3, _conditioning(run.models, condition))
        return Enlarging(condition, 0.0, model, run)(observed)[0]


def _check_scale(scale: int) -> None:
    if scale not in _SCALES:
        raise UsageError(f"scale {scale}: use one of {', '.join(map(str, _SCALES))}")


def _conditioning(models: zoo.ModelSelection, scale: int) -> int | None:
    """Return the scale, of which models to enlarge are made for some; None for denoisers, which serve at all."""
    return scale if models.task == Superres.name else None


@dataclass(frozen=True)
class SuperresOptions:
    """Options of `restorekit superres`."""

    scale: Annotated[int, _LARGER]
    noise: Annotated[str, base.NOISE] = "0"


class Superres(base.Task[SuperresOptions]):
    """Enlarge images, with a model trained for it or with a denoiser as the prior.

    IMG.png becomes IMG_enlarged.png beside it, a folder becomes FOLDER_enlarged/ with the same tree in it. The result
    shrinks to the input again by bicubic interpolation without antialiasing. Without --model, the model that measures
    best at the scale is used, or a denoiser where --iterations is given or --noise is above 1.
    """

    name = "superres"
    participle = "enlarged"
    Options = SuperresOptions
    models = DefaultModels(
        {1: "superres-color-enlarger", 3: "superres-color-enlarger"},
        specialists={1: ("superres-color-enlarger-4",), 3: ("superres-color-enlarger-4",)},
        takes_denoisers=True,
    )
    units = Units("scale")
    iterates = True
    degradations = (Downsample,)
    benchmark = SuperresBenchmark
    training = {"downsampling": DownsamplingSection}

    @override
    def check(self, options: SuperresOptions, inputs: Sequence[str]) -> None:
        base.parse_noise(options.noise)
        _check_scale(options.scale)

    @override
    def known(self, options: SuperresOptions) -> tuple[float | None, float | None]:
        return base.parse_noise(options.noise), options.scale

    @override
    def greatest_noise(self, card: zoo.ModelCard) -> float:
        return _NOISE_OF_SMALL if card.task == self.name else card.conditioning_range[1]

    @override
    def prepare(self, options: SuperresOptions, run: Run) -> batch.Operation:
        self.check(options, ())
        scale, named = options.scale, base.parse_noise(options.noise)
        conditioning = _conditioning(run.models, scale)
        base.check_noise(named, run.models.cards(conditioning), self.greatest_noise)
        if run.models.named is not None:
            Enlarging(scale, 0.0, run.models.named, run)

        def restore(picture: imaging.Picture) -> batch_files.Restored:
            model = run.models.fitting(1 if picture.is_grey else 3, conditioning)
            observed = picture.to_float()
            noise, notes = base.noise_of(observed, named, self.greatest_noise(model.card))
            enlarging = Enlarging(scale, noise, model, run)
            pixels, report = enlarging(observed)
            large = _resized(picture, lambda x: blur.enlarge_bicubic(x, scale), pixels)
            return base.restored(
                picture, large, model, report, notes, scale=scale, noise=255 * noise, iterations=enlarging.iterations
            )

        return restore


def superres(
    image: arrays.Array,
    scale: Literal[2, 3, 4],
    *,
    noise: float | Literal["auto"] = 0,
    iterations: int | None = None,
    model: zoo.LoadedModel | str | None = None,
    quality: Literal["fast", "balanced", "best"] = "balanced",
    device: str = "auto",
    tile: int | Literal["auto"] = "auto",
) -> arrays.Array:
    """Enlarge an image; return the same kind of array, `scale` times as high and wide, of its dtype and device.

    image: the result of bicubic downsampling without antialiasing. The rest is as in `restorekit.deblur`.
    """
    options = SuperresOptions(scale, str(noise))
    return arrays.restore(
        Superres(), image, options, model, iterations=iterations, quality=quality, device=device, tile=tile
    )
