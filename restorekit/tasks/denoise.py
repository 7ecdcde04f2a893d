"""Denoising: Gaussian noise, known or estimated, in grey and colour pictures."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from typing_extensions import override

from restorekit.tasks.prelude import *

SMALLEST_SIGMA = 0.1 / 255
"""The sigma that a picture without any noise is denoised with."""
_SIGMA = Option(
    "Standard deviation of the noise on the scale 0..255, whatever the file's depth; auto estimates it on each image.",
    "NUMBER|auto",
)
_BLIND = Option("Let models estimate the noise level of each image, as `denoise --sigma auto` does.")


@dataclass(frozen=True)
class NoiseOptions:
    """Options of `restorekit degrade noise`."""

    sigma: Annotated[str, Option("Standard deviation of the noise on the scale 0..255.", "NUMBER")]
    seed: Annotated[int, base.SEED] = 0


class Noise(base.Degradation[NoiseOptions]):
    """Add Gaussian noise to images: IMG.png becomes IMG_noisy.png beside it.

    Integer images are rounded and clipped to their depth; float images keep values outside [0, 1].
    """

    name = "noise"
    participle = "noisy"
    Options = NoiseOptions

    def __init__(self, options: NoiseOptions) -> None:
        super().__init__(options)
        self.sigma = base.parse_simulated_sigma(options.sigma, "sigma")

    @override
    def __call__(self, picture: imaging.Picture) -> batch_files.Restored:
        worse, notes = base.with_noise(picture, picture.to_float(), self.sigma, self.options.seed)
        return batch_files.Restored(worse, parameters=(("sigma", 255 * self.sigma),), notes=notes)


@dataclass(frozen=True)
class NoiseSection(base.TrainingSection):
    """Gaussian noise, sigma = low + (high - low) u^power with u uniform in [0, 1]; on the 0..255 scale."""

    low: base.Sigma
    high: Annotated[float, Gt(0)]
    power: Annotated[float, Gt(0)]
    balance: float
    validation: Annotated[tuple[float, ...], MinLen(1)]

    @property
    @override
    def conditioning_range(self) -> tuple[float, float]:
        # A model for noise as faint as a step of 8 bits serves down to none.
        return 0.0 if self.low <= 1 else self.low, self.high

    @override
    def draw(self, clean: Tensor, generator: torch.Generator) -> physics_base.Measurement:
        sigma = random_sigmas(self.low, self.high, self.power, len(clean), generator)
        return self._noisy(clean, sigma, generator)

    @override
    def at(self, clean: Tensor, value: float, generator: torch.Generator) -> physics_base.Measurement:
        return self._noisy(clean, clean.new_full((len(clean),), value / 255), generator)

    def _noisy(self, clean: Tensor, sigma: Tensor, generator: torch.Generator) -> physics_base.Measurement:
        y = base.noisy(clean, sigma, generator)
        return physics_base.Measurement(y, y, sigma, sigma)


def random_sigmas(low: float, high: float, power: float, count: int, generator: torch.Generator) -> Tensor:
    """Return sigmas (low + (high - low) u^power) / 255 with u uniform in [0, 1], [count]."""
    return (low + (high - low) * torch.rand(count, generator=generator) ** power) / 255


def chambolle(noisy: Image, weight: float) -> Any:
    """Return Chambolle's estimate of an image, argmin_x ||x - y||^2 / (2 weight) + TV(x)."""
    from skimage.restoration import denoise_tv_chambolle

    axis = None if noisy.ndim == 2 else -1
    return denoise_tv_chambolle(noisy, weight=weight, channel_axis=axis)  # type: ignore[no-untyped-call]


def _tv(_: object, noisy: Image, sigma: float) -> Any:
    """Return total variation's estimate. Weights over sigma were best on photographs of BSDS500's training set."""
    return chambolle(noisy, float(np.interp(255 * sigma, (5, 15, 25), (0.48, 0.70, 0.85))) * sigma)


def _nlm(_: object, noisy: Image, sigma: float) -> Any:
    """Return fast non-local means, patches of 5x5 within 6 pixels.

    From sigma 15 up, h = 0.6 sigma was better on photographs of BSDS500's training set than scikit-image's 0.8 sigma.
    """
    from skimage.restoration import denoise_nl_means

    sizes: dict[str, Any] = {"patch_size": 5, "patch_distance": 6, "channel_axis": None if noisy.ndim == 2 else -1}
    return denoise_nl_means(noisy, h=0.6 * sigma, sigma=sigma, fast_mode=True, **sizes)


def _bm3d(_: object, noisy: Image, sigma: float) -> Any:
    """Return the estimate of both stages, by the standard profile; of colour images in the package's opponent space."""
    import bm3d

    return (bm3d.bm3d if noisy.ndim == 2 else bm3d.bm3d_rgb)(noisy, sigma)


@dataclass(frozen=True)
class DenoiseBenchmarkOptions:
    """Options of `restorekit eval denoise`."""

    sigma: Annotated[list[str], Option("Standard deviation of the noise on the scale 0..255; repeatable.", "NUMBER")]
    blind: Annotated[bool, _BLIND] = False


class DenoiseBenchmark(base.Benchmark[float]):
    """Add seeded noise to clean images, remove it with each method, and compare PSNR, SSIM and speed.

    The noise is neither clipped nor rounded, as in the literature. The table goes to standard error.
    """

    axis = "sigma"
    Options = DenoiseBenchmarkOptions
    untouched = "noisy"
    seeded = True
    baselines = {
        "noisy": Baseline(lambda _, noisy, __: noisy, note="noisy is the untouched input"),
        "tv": Baseline(_tv),
        "nlm": Baseline(_nlm),
        "bm3d": Baseline(_bm3d, "bm3d", "The licence of bm3d allows non-commercial use only"),
    }
    protocol = "Seeded Gaussian noise, its sigma on the scale 0..255, is added in float32, neither clipped nor rounded."

    def __init__(self, options: DenoiseBenchmarkOptions) -> None:
        self.blind = options.blind
        self.conditions = tuple(base.parse_simulated_sigma(sigma, "sigma") for sigma in options.sigma)

    @override
    def baseline(self, name: str) -> base.Method:
        method = super().baseline(name)
        return lambda noisy, sigma: noisy if sigma == 0 else method(noisy, sigma)  # methods divide by it

    @override
    def degrade(self, clean: Image, condition: float, seed: int) -> Image:
        return noise_model.add_gaussian_noise(clean, condition, seed)

    @override
    def describe(self, condition: float) -> Condition:
        sigma = round(255 * condition, 6)
        return Condition(sigma, f"sigma {sigma:g}")

    @override
    def check(self, run: Run) -> None:
        for sigma in self.conditions:
            _check_sigma(sigma, run.models)
        super().check(run)

    @override
    def method_name(self, run: Run) -> str:
        return super().method_name(run) + (", blind" if self.blind else "")

    @override
    def restore(self, observed: Image, condition: float, run: Run) -> Image:
        model, sigma, _ = _choose_model(observed, None if self.blind else condition, run.models)
        return runner.restore_array(observed, sigma, model.patch_network, run.settings)[0]


@dataclass(frozen=True)
class DenoiseOptions:
    """Options of `restorekit denoise`."""

    sigma: Annotated[str, _SIGMA]


class Denoise(base.Task[DenoiseOptions]):
    """Remove Gaussian noise from images.

    IMG.png becomes IMG_denoised.png beside it, a folder becomes FOLDER_denoised/ with the same tree in it. Without
    --model, each image gets the model that measures best, in grey or in colour, at its noise level; with --explain, the
    best one that has atoms to show.
    """

    name = "denoise"
    participle = "denoised"
    Options = DenoiseOptions
    models = DefaultModels(
        {1: "denoise-gray-groupsc", 3: "denoise-color-groupsc"},
        specialists={1: ("denoise-gray-unet",), 3: ("denoise-color-unet",)},
    )
    units = Units("sigma", " (of 255)")
    wording = base.Wording("noisy", "noise", "The noise has a standard deviation of {error:.3g} on the scale 0 to 255.")
    degradations = (Noise,)
    benchmark = DenoiseBenchmark
    training = {"noise": NoiseSection}

    @override
    def check(self, options: DenoiseOptions, inputs: object) -> None:
        base.parse_sigma(options.sigma, "sigma", auto=True)

    @override
    def prepare(self, options: DenoiseOptions, run: Run) -> batch.Operation:
        named = base.parse_sigma(options.sigma, "sigma", auto=True)
        if named is not None:
            _check_sigma(named, run.models)

        def restore(picture: imaging.Picture) -> batch_files.Restored:
            observed = picture.to_float()
            model, sigma, notes = _choose_model(observed, named, run.models)
            estimate, report = runner.restore_array(observed, sigma, model.patch_network, run.settings)
            trace = None
            if run.explain:
                stride = run.settings.quality.stride
                trace = base.RestorationTrace(model, sigma, stride, observed, estimate, imaging.Picture.to_float)
            return base.restored(picture, picture.with_float(estimate), model, report, notes, trace, sigma=255 * sigma)

        return restore


def _check_sigma(sigma: float, models: zoo.ModelSelection) -> None:
    """Raise UsageError, naming the range, for a sigma in [0, 1] that one of the models was not made for."""
    of_255 = round(255 * sigma, 6)
    for card in models.cards(of_255):
        if not (of_255 > 0 and card.covers(of_255)):
            low, high = card.conditioning_range
            least = f"from {low:g}" if low > 0 else "above 0"
            raise UsageError(
                f"sigma {of_255:g} is not a noise level that {card.name} was made for; "
                f"use a number {least} up to {high:g} (on the scale 0..255), or auto"
            )


def _choose_model(
    observed: Image, sigma: float | None, models: zoo.ModelSelection
) -> tuple[zoo.LoadedModel, float, tuple[str, ...]]:
    """Return the model for an image, its sigma in [0, 1] within the model's range, and remarks; None: estimate it."""
    channels = 1 if observed.ndim == 2 else observed.shape[2]
    if sigma is not None:
        return models.fitting(channels, 255 * sigma), sigma, ()

    estimate = noise_model.estimate_sigma(observed)
    model = models.fitting(channels, 255 * estimate)
    low, high = (limit / 255 for limit in model.card.conditioning_range)
    taken = min(max(estimate, low, SMALLEST_SIGMA), high)
    found = f"noise estimated as sigma {255 * estimate:.3g}"
    if taken != estimate:
        found += f", taken as {255 * taken:.3g}, the nearest that {model.card.name} was made for"
    return model, taken, (found,)


def denoise(
    image: arrays.Array,
    sigma: float | Literal["auto"],
    *,
    model: zoo.LoadedModel | str | None = None,
    quality: Literal["fast", "balanced", "best"] = "balanced",
    device: str = "auto",
    tile: int | Literal["auto"] = "auto",
) -> arrays.Array:
    """Remove Gaussian noise; return the same kind of array, of the same shape, dtype and device.

    image: a NumPy array [H, W] or [H, W, 3], or a tensor [H, W], [C, H, W] or [B, C, H, W]. Integers are taken on the
    scale of their type, floats on [0, 1]. sigma: standard deviation of the noise on the 0..255 scale, whatever the
    type; "auto" estimates it. model: a loaded model, a name or path, or None for the one that measures best on such
    images. quality: fast, balanced or best; see `types.Quality`. device: auto, cpu, cuda or cuda:N. tile: pixels across
    a tile. Raises UsageError for an argument that makes no sense, ModelMismatchError for a model for other images.
    """
    options = DenoiseOptions(str(sigma))
    return arrays.restore(Denoise(), image, options, model, quality=quality, device=device, tile=tile)
