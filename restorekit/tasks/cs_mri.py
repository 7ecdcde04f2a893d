"""Compressed sensing MRI: images from a part of their k-space."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from typing_extensions import override

from restorekit.errors import ModelMismatchError, ModelNotFoundError
from restorekit.tasks.prelude import *
from restorekit.types import CHANNELS, SamplingPattern

TV = "tv"
"""The name of total variation where a model can be named."""
_SIGPY_TV_WEIGHT, _SIGPY_WAVELET_WEIGHT = 0.03, 0.003
"""Of SigPy's priors, for images whose zero-filling has a peak of 1: the best of 0.0003, 0.001, 0.003, 0.01 and, for
total variation, 0.03 and 0.1, with SigPy's own numbers of iterations, on two training slices, 30 % radial, no noise."""

_scan_option = partial(Option, panel="Scan")
_MASK = _scan_option("The measured frequencies: an .npy of zeros and ones or a black and white picture.", "FILE")
_SIMULATE = _scan_option(
    "Make a mask: radial, cartesian or random, and the share of k-space to sample, as in radial:0.3.", "PATTERN:SHARE"
)
_CENTRED = _scan_option(
    "Whether zero frequency is in the middle of k-space and mask, or in their first row and column (default: a guess "
    "from where the energy is, with a message).",
    flags=("--centred/--not-centred",),
)
_NOISE = _scan_option(
    "Standard deviation of the noise in k-space, where 255 is the greatest value of the image. Pictures that are "
    "sampled get this noise.",
    "NUMBER",
    low=0,
    high=255,
)
_SEED = _scan_option("Seed of the mask and of the noise.", "N", low=0)
# Of the benchmark:
_SAMPLINGS = Option(
    "The part of k-space to keep: radial, cartesian or random, and the share; repeatable.", "PATTERN:SHARE"
)
_MASKS = Option("A mask of the part to keep, an .npy file or a picture; repeatable.", "FILE")
_MASKS_CENTRED = Option(
    "Whether the masks have zero frequency in the middle (default: a guess).", flags=("--centred/--not-centred",)
)
_NOISE_OF_ALL = Option(
    "Standard deviation of the noise in k-space, on the scale 0..255 of the image.", "NUMBER", low=0, high=255
)
_STEPS = Option("Iterations with a denoiser (default: 12).", "N", low=1)


def parse_sampling(text: str, option: str) -> tuple[SamplingPattern, float]:
    """Return a pattern and a sampling rate, such as radial:0.3. Raises UsageError for another text."""
    pattern, _, rate = text.partition(":")
    try:
        found = SamplingPattern(pattern), float(rate)
    except ValueError:
        known = ", ".join(f"{known}:0.3" for known in SamplingPattern)
        wanted = f"name a pattern and the share of k-space to sample, one of {known}"
        raise UsageError(f"{option} {text}: {wanted}") from None
    if not 0 < found[1] <= 1:
        raise UsageError(f"{option} {text}: the share is a number above 0 up to 1, as in radial:0.3")
    return found


@dataclass(frozen=True)
class SamplingOptions:
    """Options of every command that deals with a part of k-space."""

    mask: Annotated[Path | None, _MASK] = None
    simulate: Annotated[str | None, _SIMULATE] = None
    centred: Annotated[bool | None, _CENTRED] = None
    noise: Annotated[float, _NOISE] = 0.0
    seed: Annotated[int, _SEED] = 0

    def check(self) -> None:
        """Raise UsageError for options that make no sense together, UnreadableImageError for a mask that is missing."""
        if self.mask is not None and self.simulate is not None:
            raise UsageError("--mask and --simulate exclude each other")
        if self.simulate is not None:
            parse_sampling(self.simulate, "--simulate")
        if self.mask is not None:
            batch.check_exists(self.mask)

    def mask_source(self) -> fourier.MaskFile | fourier.DrawnMask | None:
        """Return the mask that the options ask for, if any."""
        self.check()
        if self.simulate is not None:
            return fourier.DrawnMask(fourier.Sampling(*parse_sampling(self.simulate, "--simulate")), self.seed)
        return None if self.mask is None else fourier.MaskFile(mri_files.read_mask(self.mask), self.centred)


# Methods: from k-space to an image.


class MriModels:
    """The method that was named: total variation, a network for MRI, a denoiser of grey images; or the default one."""

    note = ""

    def __init__(self, model: zoo.LoadedModel | str | None, *, offline: bool = False) -> None:
        self.named: zoo.LoadedModel | None = None
        if model is None:
            model = CsMri.models.general[1]
            try:
                zoo.find(model, offline=True)
            except ModelNotFoundError:  # total variation needs no file
                model = TV
        if model == TV:
            return
        self.named = zoo.load_model(zoo.find(model, offline=offline)) if isinstance(model, str) else model
        card = self.named.card
        if isinstance(self.named.network, kspace_networks.KspaceNetwork):
            return
        if card.task != selection.PRIOR_TASK or card.channels != 1:
            raise ModelMismatchError(
                f"{card.name} is a model to {card.task} {CHANNELS[card.channels]} images; one for "
                f"{CsMri.name}, a denoiser of grey images or {TV} would fit"
            )
        selection.check_prior(card)

    @property
    def name(self) -> str:
        """Of the model, or `tv`."""
        return TV if self.named is None else self.named.card.name

    def name_at(self, quality: str) -> str:
        """Return the name in tables, such as `denoise-gray-sc (best)`; total variation has but one quality."""
        return TV if self.named is None else f"{self.name} ({quality})"

    def method(self, settings: RunSettings, iterations: int | None) -> mri.MriMethod:
        """Return the method. Raises UsageError for iterations of a trained model, DeviceError for its device."""
        runner.resolve_device(settings.device)
        if self.named is None:
            return mri.TotalVariationMethod(settings, mri.TV_ITERATIONS if iterations is None else iterations)
        network = self.named.network
        if isinstance(network, kspace_networks.KspaceNetwork):
            plug_and_play.check_iterations(self.named, network.steps, iterations)
            return mri.NetworkMethod(settings, network.steps, self.named)
        return mri.DenoiserMethod(settings, mri.ITERATIONS if iterations is None else iterations, self.named)


def _fourier(mask: Tensor, *, real: bool) -> fourier.SampledFourier:
    return fourier.SampledFourierOfReal(mask) if real else fourier.SampledFourier(mask)


def _grey(picture: imaging.Picture) -> Image:
    if not picture.is_grey:
        raise UnsupportedImageError("a colour picture; k-space is simulated of a grey one")
    return picture.to_float()


# Degradation, training, benchmark.


class Kspace(base.Degradation[SamplingOptions]):
    """Sample the k-space of grey images, as an MRI scanner does: IMG.png becomes IMG_kspace.npy beside it.

    The output is complex, with zero frequency in the middle, and zero where --mask or --simulate takes no sample.
    """

    name = "kspace"
    participle = "kspace"
    Options = SamplingOptions

    def __init__(self, options: SamplingOptions) -> None:
        super().__init__(options)
        options.check()
        if options.mask is None and options.simulate is None:
            raise UsageError("name what to sample: --simulate radial:0.3 or --mask FILE")
        self._source: fourier.MaskFile | fourier.DrawnMask | None = None

    @override
    def files(self, max_pixels: int | None, strip_metadata: bool) -> batch_files.FileKind:
        return batch_files.ScanFiles(pictures=True, suffix=".npy", complex_valued=True, max_pixels=max_pixels)

    @override
    def __call__(self, picture: imaging.Picture) -> batch_files.Scan:
        source = self._source = self._source or self.options.mask_source()
        assert source is not None
        # The middle of the picture is the origin, as in files of scanners.
        x = torch.from_numpy(np.ascontiguousarray(np.fft.ifftshift(_grey(picture))))[None, None]
        mask, notes = source.mask(*x.shape[2:])
        y = _fourier(mask, real=True).observe(x, self.options.noise / 255, self.options.seed)
        k_space = np.fft.fftshift(fourier.complex_of(y).numpy(), axes=(1, 2))
        return batch_files.Scan(k_space, parameters=(("noise", self.options.noise),), notes=notes)


@dataclass(frozen=True)
class KspaceSection(base.TrainingSection):
    """Sampling rates between two, in percent, by a mask of a random pattern that is drawn anew for each batch.

    Noise of k-space, on the 0..255 scale: none for half of the batches, up to `noise` for the others. Images of two
    channels are complex, those of one are known to be real. Validation is by pseudo-radial masks, without noise.
    """

    low: Annotated[float, Interval(ge=0, le=100)]
    high: Annotated[float, Interval(ge=0, le=100)]
    noise: base.Sigma
    balance: float
    validation: Annotated[tuple[float, ...], MinLen(1)]

    @override
    def draw(self, clean: Tensor, generator: torch.Generator) -> physics_base.Measurement:
        patterns = tuple(SamplingPattern)
        chance = torch.rand(2, generator=generator).tolist()
        pattern, seed = torch.randint(1 << 30, (2,), generator=generator).tolist()
        rate = (self.low + (self.high - self.low) * chance[0]) / 100
        noise = max(0.0, 2 * chance[1] - 1) * self.noise / 255
        return _sampled(clean, fourier.Sampling(patterns[pattern % len(patterns)], rate), seed, noise, generator)

    @override
    def at(self, clean: Tensor, value: float, generator: torch.Generator) -> physics_base.Measurement:
        return _sampled(clean, fourier.Sampling(SamplingPattern.RADIAL, value / 100), 0, 0.0, generator)


def _sampled(
    clean: Tensor, sampling: fourier.Sampling, seed: int, noise: float, generator: torch.Generator
) -> physics_base.Measurement:
    physics = _fourier(sampling.mask(clean.shape[2], clean.shape[3], seed), real=clean.shape[1] == 1)
    y = physics.observe(clean, noise, generator)
    return kspace_networks.kspace_measurement(physics, y, clean.new_full((len(clean),), noise))


@dataclass(frozen=True)
class KspaceMask:
    """A condition: which frequencies are kept, under a name such as `radial:0.3` or that of a file.

    real: whether the images are known to be real.
    """

    name: str
    source: fourier.MaskFile | fourier.DrawnMask
    real: bool = True

    def physics(self, height: int, width: int) -> fourier.SampledFourier:
        """Return the operator for images of that size. Raises UnsupportedImageError for a mask of another."""
        return _fourier(self.source.mask(height, width)[0], real=self.real)


def _solver(method: Callable[[CsMriBenchmark, Any, Tensor], Tensor]) -> Callable[..., Image]:
    """Return the method of a baseline by what it makes of the operator and k-space."""
    return lambda benchmark, observed, mask: benchmark.solved(observed, mask, partial(method, benchmark))


def _sigpy(name: str, benchmark: CsMriBenchmark, physics: fourier.SampledFourier, y: Tensor) -> Tensor:
    """argmin_x 1/2 ||A x - y||^2 + lambda ||G x||_1 over complex images, G finite differences or Daubechies 4 wavelets.

    Of an image known to be real the real part is taken.
    """
    from sigpy.mri import app

    tv, wavelet = (app.TotalVariationRecon, _SIGPY_TV_WEIGHT), (app.L1WaveletRecon, _SIGPY_WAVELET_WEIGHT)
    recon, least = tv if name == "tv" else wavelet
    zero_filled = physics.A_adjoint(y)
    scale = mri.peak_of(zero_filled) or 1.0
    # SigPy has the zero frequency in the middle, and the origin of images too.
    k_space, mask = (np.fft.fftshift(values.numpy()) for values in (fourier.complex_of(y)[0] / scale, physics.mask))
    weight = max(least, mri.TV_WEIGHT * benchmark.noise / scale)
    weights, coils = mask.astype(np.float32)[None], np.ones_like(k_space)[None]
    image = recon(k_space[None], coils, weight, weights=weights, show_pbar=False).run()
    x = fourier.channels_of(torch.from_numpy(np.fft.ifftshift(image))[None])
    return scale * x[:, : zero_filled.shape[1]]


@dataclass(frozen=True)
class CsMriBenchmarkOptions:
    """Options of `restorekit eval cs-mri`."""

    sampling: Annotated[list[str] | None, _SAMPLINGS] = None
    mask: Annotated[list[Path] | None, _MASKS] = None
    centred: Annotated[bool | None, _MASKS_CENTRED] = None
    noise: Annotated[float, _NOISE_OF_ALL] = 0.0
    iterations: Annotated[int | None, _STEPS] = None


class CsMriBenchmark(base.Benchmark[KspaceMask]):
    """Sample the k-space of clean grey images, reconstruct them with each method, and compare PSNR, SSIM and speed.

    A folder of .npy files instead of pictures has complex slices: float [slices, 2, H, W], the real and the imaginary
    part, or complex [slices, H, W]. The table goes to standard error.
    """

    axis = "mask"
    Options = CsMriBenchmarkOptions
    untouched = "zero-filling"
    seeded = True
    takes_slices = True
    noise: float
    baselines = {
        "zero-filling": Baseline(
            _solver(lambda _, physics, y: physics.A_adjoint(y)), note="zero-filling takes the rest of k-space for zero"
        ),
        "tv": Baseline(_solver(lambda self, physics, y: mri.tv_reconstruction(physics, y, self.noise))),
        "sigpy-tv": Baseline(_solver(partial(_sigpy, "tv")), "sigpy"),
        "sigpy-wavelet": Baseline(_solver(partial(_sigpy, "wavelet")), "sigpy"),
    }

    def __init__(self, options: CsMriBenchmarkOptions) -> None:
        self.options, self.noise = options, options.noise / 255
        for text in options.sampling or []:
            parse_sampling(text, "--sampling")
        for path in options.mask or []:
            batch.check_exists(path)
        if not options.sampling and not options.mask:
            raise UsageError("name what to keep of k-space: --sampling radial:0.3 or --mask FILE")

    @override
    def prepare(self, seed: int, *, slices: bool) -> None:
        sources: list[tuple[str, fourier.MaskFile | fourier.DrawnMask]] = []
        for text in self.options.sampling or []:
            sources.append((text, fourier.DrawnMask(fourier.Sampling(*parse_sampling(text, "--sampling")), seed)))
        for path in self.options.mask or []:
            sources.append((path.stem, fourier.MaskFile(mri_files.read_mask(path), self.options.centred)))
        self.conditions = tuple(KspaceMask(name, source, not slices) for name, source in sources)

    @property
    @override
    def protocol(self) -> str:
        noise = "no noise is added" if self.noise == 0 else f"noise of {255 * self.noise:g} / 255 is added to k-space"
        images, known = "Grey images, taken as real,", "the mask and that the image is real"
        if not all(mask.real for mask in self.conditions):
            images = "Complex slices, divided by their greatest magnitude,"
            known = "the mask; magnitudes are compared with magnitudes"
        done = f"{images} are Fourier transformed (orthonormal) and sampled by the mask; {noise}"
        return f"{done}. Methods know {known}."

    @override
    def clean(self, picture: imaging.Picture) -> Image:
        if not picture.is_grey:
            raise UnsupportedImageError("a colour picture; k-space is simulated of grey ones")
        clean = picture.to_float()
        for mask in self.conditions:
            mask.source.mask(*clean.shape)
        return clean

    @override
    def degrade(self, clean: NDArray[Any], condition: KspaceMask, seed: int) -> Image:
        image = torch.from_numpy(clean)[None]
        channels = image[None] if condition.real else fourier.channels_of(image)
        observed = condition.physics(*clean.shape).observe(channels, self.noise, seed)
        return np.asarray(observed[0].numpy(), np.float32)

    @override
    def describe(self, condition: KspaceMask) -> Condition:
        return Condition(condition.name, condition.name, round(100 * condition.source.share))

    @override
    def check(self, run: Run) -> None:
        self._method(run).check_noise(self.noise)

    @override
    def restore(self, observed: Image, condition: KspaceMask, run: Run) -> Image:
        method = self._method(run)
        return self.solved(observed, condition, lambda physics, y: method(physics, y, self.noise)[0])

    def solved(self, observed: Image, condition: KspaceMask, method: Callable[[Any, Tensor], Tensor]) -> Image:
        """Return the image [H, W], of a complex one the magnitude, that a method makes of k-space [2, H, W]."""
        image = method(condition.physics(*observed.shape[1:]), torch.from_numpy(observed)[None])[0]
        return np.asarray((image[0] if condition.real else image.norm(dim=0)).numpy(), np.float32)

    def _method(self, run: Run) -> mri.MriMethod:
        return cast("MriModels", run.models).method(run.settings, self.options.iterations)


class CsMri(base.Task[SamplingOptions]):
    """Reconstruct magnetic resonance images from a part of their k-space (compressed sensing).

    SCAN.npy becomes SCAN_reconstructed.png beside it: magnitudes, 16 bits; -o names an .npy (complex) or .nii.gz file.
    Inputs are .npy, .npz, fastMRI's .h5 and BART's .cfl, of one coil; every slice is reconstructed. Pictures are
    sampled first, with --simulate or --mask, and reconstructed in their own format. --model takes a model trained for
    this task, a denoiser of grey images, or tv, for total variation.
    """

    name = "cs-mri"
    participle = "reconstructed"
    Options = SamplingOptions
    models = DefaultModels({1: "cs-mri-unet"}, takes_denoisers=True)
    units = Units("sampled", " %")
    iterates = True
    degradations = (Kspace,)
    benchmark = CsMriBenchmark
    training = {"kspace": KspaceSection}

    @override
    def check(self, options: SamplingOptions, inputs: Sequence[str]) -> None:
        options.check()

    @override
    def select(
        self, options: object, model: zoo.LoadedModel | str | None = None, *, offline: bool = False, **_: Any
    ) -> Any:
        return MriModels(model, offline=offline)

    @override
    def images_of(self, card: zoo.ModelCard) -> str:
        return "grey and complex"

    @override
    def files(
        self, options: SamplingOptions, inputs: Sequence[str], *, max_pixels: int | None, strip_metadata: bool
    ) -> batch_files.FileKind:
        if self._are_pictures(options, inputs):
            return super().files(options, inputs, max_pixels=max_pixels, strip_metadata=strip_metadata)
        return batch_files.ScanFiles(max_pixels=max_pixels)

    @override
    def reference_of(self, options: SamplingOptions, inputs: Sequence[str]) -> Path | None:
        return Path(inputs[0]) if self._are_pictures(options, inputs) else None

    @override
    def check_reference(self, options: SamplingOptions, inputs: Sequence[str], reference: Path | None) -> None:
        if reference is not None and not self._are_pictures(options, inputs):
            raise UsageError("--reference is for pictures that are sampled; the image of a scan has another scale")

    def _are_pictures(self, options: SamplingOptions, inputs: Sequence[str]) -> bool:
        """Return whether inputs are pictures: none is named like k-space, and a folder or stream is to be sampled."""
        suffixes = [Path(name).suffix.lower() for name in inputs]
        sampled = options.mask is not None or options.simulate is not None
        if not sampled or any(suffix in mri_files.KSPACE_SUFFIXES for suffix in suffixes):
            return False
        return options.simulate is not None or all(suffixes)

    @override
    def prepare(self, options: SamplingOptions, run: Run) -> batch.Operation:
        method = cast("MriModels", run.models).method(run.settings, run.iterations)
        source, noise = options.mask_source(), options.noise / 255
        method.check_noise(noise)

        def restore(item: imaging.Picture | batch_files.Slices) -> batch_files.Restored | batch_files.Scan:
            if not isinstance(item, imaging.Picture):
                return _reconstruct(item, source, options.centred, noise, method, run)
            # A picture is sampled first, as a scanner does.
            assert source is not None
            x = torch.from_numpy(_grey(item))[None, None]
            mask, notes = source.mask(*x.shape[2:])
            physics = _fourier(mask, real=True)
            image, report = method(physics, physics.observe(x, noise, options.seed), noise, run.watch)
            known = (("noise", options.noise), ("iterations", method.iterations))
            after = item.with_float(image[0, 0].numpy())
            return batch_files.Restored(after, model=run.models.name, parameters=known, report=report, notes=notes)

        return restore


def _reconstruct(
    k_space: batch_files.Slices,
    source: fourier.MaskFile | fourier.DrawnMask | None,
    centred: bool | None,
    noise: float,
    method: mri.MriMethod,
    run: Run,
) -> batch_files.Scan:
    """Reconstruct slices of k-space [S, H, W], one after another; the images are complex and on its scale.

    noise: standard deviation in the real and the imaginary part of k-space, over the greatest magnitude of the image
    that zero-filling makes of all slices. The rest is as in `arrange`.
    """
    if run.watch is not None and len(k_space) > 1:
        raise UnsupportedImageError(f"{len(k_space)} slices; the iterations of one alone can be plotted")
    samples = fourier.arrange(k_space, source, centred)
    physics = _fourier(samples.mask, real=False)
    k_spaces = [fourier.channels_of(torch.from_numpy(np.ascontiguousarray(slice_))[None]) for slice_ in samples.slices]
    noise = noise * max(mri.peak_of(physics.A_adjoint(y)) for y in k_spaces)
    runs = [method(physics, y, noise, run.watch) for y in k_spaces]
    images = np.stack([fourier.complex_of(image)[0].numpy() for image, _ in runs])
    if samples.centred:
        images = np.fft.fftshift(images, axes=(1, 2))
    return batch_files.Scan(
        images.astype(np.complex64),
        model=run.models.name,
        parameters=(("slices", len(images)), ("iterations", method.iterations)),
        report=RunReport.total([report for _, report in runs]),
        notes=samples.notes,
    )


def cs_mri(
    kspace: arrays.Array,
    mask: NDArray[Any] | Tensor | None = None,
    *,
    centred: bool = True,
    noise: float = 0,
    iterations: int | None = None,
    model: zoo.LoadedModel | str | None = None,
    quality: Literal["fast", "balanced", "best"] = "balanced",
    device: str = "auto",
) -> arrays.Array:
    """Reconstruct images from a part of their k-space; return complex64, an array or a tensor of the same shape.

    kspace: of one coil, a complex array or tensor, [H, W] or [slices, H, W]. mask: which frequencies were measured,
    zeros and ones, [H, W], or [1, W] for whole columns; None for those that are not zero. centred: whether zero
    frequency is in the middle of k-space and mask, or else at [0, 0]. noise: its standard deviation in k-space, 255
    being the greatest magnitude of the image. iterations: how many, None for as many as measured best, or as the model
    was trained for. model: a loaded model, a name or path, trained for this or to denoise grey images; "tv" for total
    variation; or None for the default one. The rest is as in `restorekit.denoise`. Raises UnsupportedImageError for a
    mask of another shape, or an empty one.
    """
    settings = RunSettings.parse(quality, device, None)
    run = Run(CsMri().select(None, model), settings, iterations)
    method = cast("MriModels", run.models).method(settings, iterations)
    method.check_noise(noise / 255)
    source = None if mask is None else fourier.MaskFile(_checked(mask, "a mask", "biuf", (2,)) != 0, centred)
    slices = _checked(kspace, "k-space", "c", (2, 3)).astype(np.complex64)
    stacked = slices.reshape(-1, *slices.shape[-2:])
    images = _reconstruct(stacked, source, centred, noise / 255, method, run).slices.reshape(slices.shape)
    return torch.from_numpy(images).to(kspace.device) if isinstance(kspace, torch.Tensor) else images


def _checked(values: NDArray[Any] | Tensor, name: str, kinds: str, dimensions: tuple[int, ...]) -> NDArray[Any]:
    """Return an array. Raises UsageError for another kind of numbers (as in `dtype.kind`), or not finite ones."""
    array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values
    if not isinstance(array, np.ndarray) or array.dtype.kind not in kinds or array.ndim not in dimensions:
        numbers, slices = "complex" if kinds == "c" else "real", "slices, " * (3 in dimensions)
        raise UsageError(f"{name} must be an array or a tensor of {numbers} numbers, [{slices}H, W]")
    if not array.size or not np.isfinite(array).all():
        raise UsageError(f"{name} is empty, or holds NaN or infinite values")
    return array
