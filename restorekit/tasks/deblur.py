"""Deblurring: a known blur kernel undone, by a model trained for it or with a denoiser as the prior."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from typing_extensions import override

from restorekit.tasks.denoise import random_sigmas
from restorekit.tasks.prelude import *

_ITERATIONS, _FIRST, _LAST, _WEIGHT, _LEAST_NOISE = 8, 49 / 255, 1.0, 0.3, 0.5 / 255
"""The splitting for denoisers, chosen on crops of training photographs, blurred by a Gaussian of sigma 2 with noise
2.55, and by motions."""
_REFILLS = 10
"""How often each iteration fills in the margin anew, as `CroppedBlur` does it. On crops of training photographs,
blurred with their surroundings, 10 gave 8 dB more than none for a motion of 15 pixels, and 0.7 dB more for a Gaussian
of sigma 2."""
_MARGIN = 4
"""How many times the reach of the kernel a picture is extended by, so that its opposite edges do not meet."""
_HALO = 24
_HALO_REACHES = 6
"""Windows of a large picture drop so many pixels, and so many times the reach of the kernel. Beyond, those of a
photograph agreed with the whole to 0.05 / 255 for a Gaussian of sigma 2 and to 0.3 / 255 for a motion of 15 pixels."""
_VALIDATION_SIGMA = 2.0
_GREATEST_EXTENT = 1000
_PATH_TURNS = 12
"""How often the path of a shaken camera changes its direction; it has as many points between turns."""

KERNEL = Option(
    "The blur, as the image of a point: a Gaussian (SIGMA in pixels), a straight motion (LENGTH in pixels, ANGLE in "
    "degrees anticlockwise from the right), or a grey picture or .npy array of odd sides, which is scaled to sum to 1.",
    "gaussian:SIGMA|motion:LENGTH,ANGLE|FILE",
)
_BEYOND_PICTURE = Option(
    "What lies beyond the edges: open, the mirror image; circular, the image itself, as in the papers.",
    "|".join(Boundary),
    choices=tuple(Boundary),
)
_BEYOND_SCENE = replace(
    _BEYOND_PICTURE, help="What lies beyond the edges: open, the scene goes on; circular, the image repeats."
)
_NOISE_TO_ADD = Option("Standard deviation of noise to add, on the scale 0..255.", "NUMBER")
_NOISES = Option("Standard deviation of the noise on the scale 0..255; repeatable (default: 2.55).", "NUMBER")
_USABLE = "use gaussian:SIGMA, motion:LENGTH,ANGLE, or the path of a grey picture or a .npy file"


def parse_boundary(text: str) -> Boundary:
    """Return a boundary by its name. Raises UsageError for another word."""
    if text not in tuple(Boundary):
        raise UsageError(f"--boundary {text}: use one of {', '.join(Boundary)}")
    return Boundary(text)


def check_kernel_name(text: str) -> list[float] | Path:
    """Return the numbers of gaussian:SIGMA or motion:LENGTH,ANGLE, or the path of a file. Raises UsageError."""
    kind, colon, numbers = text.partition(":")
    counts = {"gaussian": 1, "motion": 2}
    if not colon or kind not in counts:
        path = Path(text)
        if not path.exists():
            raise UsageError(f"--kernel {text}: no such file; {_USABLE}")
        return path
    try:
        values = [float(number) for number in numbers.split(",")]
    except ValueError:
        values = []
    if len(values) != counts[kind] or not all(map(math.isfinite, values)):
        raise UsageError(f"--kernel {text}: {_USABLE}, as in gaussian:2 or motion:15,30")
    if not 0 < values[0] <= _GREATEST_EXTENT:
        extent = "SIGMA" if kind == "gaussian" else "LENGTH"
        raise UsageError(f"--kernel {text}: {extent} is a number of pixels above 0, up to {_GREATEST_EXTENT}")
    return values


def read_kernel(text: str) -> Tensor:
    """Return a kernel by its name, [kh, kw], float64, summing to one.

    Raises UsageError for no such name and for no kernel, see `normalise_kernel`; ImageError for an unreadable file.
    """
    named = check_kernel_name(text)
    if isinstance(named, list):
        return blur.gaussian_kernel(*named) if len(named) == 1 else blur.motion_kernel(*named)
    try:
        return blur.normalise_kernel(_read_array(named) if named.suffix.lower() == ".npy" else _read_grey(named))
    except UsageError as error:
        raise UsageError(f"--kernel {imaging.show_path(named)}: {error}") from error


def _read_array(path: Path) -> Tensor:
    try:
        array = np.load(path, allow_pickle=False)
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "buif":
            raise ValueError("not numbers")
    except (OSError, ValueError, EOFError) as error:
        raise UnreadableImageError(f"{imaging.show_path(path)}: not a .npy file of numbers") from error
    return torch.from_numpy(array.astype(np.float64))


def _read_grey(path: Path) -> Tensor:
    pixels = imaging.read_picture(path).to_float()
    if pixels.ndim == 3:
        if (pixels != pixels[..., :1]).any():
            raise UsageError("a colour picture, but a kernel is grey")
        pixels = pixels[..., 0]
    return torch.from_numpy(pixels.astype(np.float64))


def _check_size(kernel: Tensor, shape: tuple[int, ...]) -> None:
    """Raise UsageError for a kernel that is higher or wider than an image of shape [H, W] or [H, W, C]."""
    if kernel.shape[0] > shape[0] or kernel.shape[1] > shape[1]:
        raise UsageError(
            f"a kernel of {kernel.shape[1]}x{kernel.shape[0]} pixels is larger than the picture, {shape[1]}x{shape[0]}"
        )


@dataclass(frozen=True, eq=False)
class Deblurring:
    """How an image is deblurred: argmin of 1/2 ||k * x - y||^2 + prior(x), the prior a model's.

    kernel: k, [kh, kw], normalised; see `physics.blur`. noise: standard deviation in [0, 1]. splitting: None for that
    of the model.
    """

    kernel: Tensor
    noise: float
    model: zoo.LoadedModel
    run: Run
    boundary: Boundary = Boundary.OPEN
    splitting: admm.Splitting | plug_and_play.LearnedSplitting | None = None

    def __call__(self, observed: Image) -> tuple[Image, RunReport]:
        """Return the estimate of an image [H, W] or [H, W, 3], in [0, 1], and what it took.

        Raises UsageError if the kernel is larger than the image.
        """
        _check_size(self.kernel, observed.shape)
        reach, channels = max(self.kernel.shape) // 2, 1 if observed.ndim == 2 else observed.shape[2]
        pixels = windowing.window_pixels(channels, runner.resolve_device(self.run.settings.device))
        windows = windowing.Windows(pixels, halo=_HALO + _HALO_REACHES * reach)
        if self.boundary is Boundary.OPEN or windows.one_suffices(*observed.shape[:2]):
            return windowing.solve_over_windows(self._solve, observed, windows, self.run.watch)
        # A periodic image that is too large for one window is continued at all sides, and cut back afterwards.
        margin, (height, width) = windows.margin, observed.shape[:2]
        sides = ((margin, margin), (margin, margin), (0, 0))[: observed.ndim]
        estimate, report = replace(self, boundary=Boundary.OPEN)(np.pad(observed, sides, mode="wrap"))
        return np.ascontiguousarray(estimate[margin : margin + height, margin : margin + width]), report

    def _solve(self, observed: Image) -> tuple[Image, RunReport]:
        """Deblur a window."""
        size, settings, kernel = (observed.shape[0], observed.shape[1]), self.run.settings, self.kernel
        y = runner.as_batch(observed, runner.resolve_device(settings.device))
        if self.boundary is Boundary.CIRCULAR:
            x0, physics = y, blur.CircularBlur(kernel)
        else:
            x0 = blur.extend_periodic(y, _MARGIN * (max(kernel.shape) // 2))
            physics = blur.CroppedBlur(kernel, (x0.shape[-2], x0.shape[-1]), size, _REFILLS)
        splitting = self.splitting or deblur_splitting(self.model)
        watch = self.run.watch
        x, report = plug_and_play.solve(
            self.model, lambda z, rho: physics.prox_l2(z, y, rho), x0, self.noise, splitting, settings, size, watch
        )
        return runner.as_pixels(x, observed.ndim), report


def deblur_splitting(
    model: zoo.LoadedModel, iterations: int | None = None
) -> admm.Splitting | plug_and_play.LearnedSplitting:
    """Return the splitting that a model has learned, or that of denoisers. Raises UsageError for other iterations."""
    of_denoisers = admm.Splitting(_ITERATIONS, _FIRST, _LAST, _WEIGHT, _LEAST_NOISE)
    return plug_and_play.splitting_for(model, of_denoisers, iterations)


@dataclass(frozen=True)
class BlurOptions:
    """Options of `restorekit degrade blur`."""

    kernel: Annotated[str, KERNEL]
    noise: Annotated[str, _NOISE_TO_ADD] = "0"
    boundary: Annotated[str, _BEYOND_PICTURE] = Boundary.OPEN.value
    seed: Annotated[int, base.SEED] = 0


class Blur(base.Degradation[BlurOptions]):
    """Blur images with a kernel, and add noise: IMG.png becomes IMG_blurred.png beside it.

    Integer images are rounded and clipped to their depth; float images keep values outside [0, 1].
    """

    name = "blur"
    participle = "blurred"
    Options = BlurOptions

    def __init__(self, options: BlurOptions) -> None:
        super().__init__(options)
        self.sigma = base.parse_simulated_sigma(options.noise, "noise", zero=True)
        self.boundary = parse_boundary(options.boundary)
        check_kernel_name(options.kernel)
        self.kernel: Tensor | None = None

    @override
    def __call__(self, picture: imaging.Picture) -> batch_files.Restored:
        kernel = self.kernel = read_kernel(self.options.kernel) if self.kernel is None else self.kernel
        height, width = picture.pixels.shape[:2]
        _check_size(kernel, picture.pixels.shape)
        x = runner.as_batch(picture.to_float(), torch.device("cpu"))
        if self.boundary is Boundary.OPEN:
            x = blur.extend_periodic(x, 2 * max(kernel.shape))
        blurred = runner.as_pixels(blur.CircularBlur(kernel).A(x)[..., :height, :width], picture.pixels.ndim)
        worse, notes = base.with_noise(picture, blurred, self.sigma, self.options.seed)
        return batch_files.Restored(worse, parameters=(("noise", 255 * self.sigma),), notes=notes)


@dataclass(frozen=True)
class BlurSection(base.TrainingSection):
    """Circular blur, then noise as in `NoiseSection`.

    Of three kernels one is a Gaussian of sigma `narrow` to `wide` pixels, one a straight motion of up to `longest`
    pixels, and one the path of a shaken camera, as long at most; with `longest` 0 all are Gaussians. Validation is by a
    Gaussian of two pixels.
    """

    low: base.Sigma
    high: Annotated[float, Gt(0)]
    power: Annotated[float, Gt(0)]
    narrow: Annotated[float, Gt(0)]
    wide: Annotated[float, Gt(0)]
    longest: base.Sigma
    balance: float
    validation: Annotated[tuple[float, ...], MinLen(1)]

    def __post_init__(self) -> None:
        """Raise ValueError if low > high or narrow > wide."""
        super().__post_init__()
        if self.narrow > self.wide:
            raise ValueError(f"narrow {self.narrow:g} is greater than wide {self.wide:g}")

    @property
    @override
    def conditioning_range(self) -> tuple[float, float]:
        return 0.0, self.high  # faint noise is no matter, down to none

    @override
    def draw(self, clean: Tensor, generator: torch.Generator) -> physics_base.Measurement:
        sigma = random_sigmas(self.low, self.high, self.power, len(clean), generator)
        return _blurred(clean, self._kernel(generator), sigma, generator)

    @override
    def at(self, clean: Tensor, value: float, generator: torch.Generator) -> physics_base.Measurement:
        sigma = clean.new_full((len(clean),), value / 255)
        return _blurred(clean, blur.gaussian_kernel(_VALIDATION_SIGMA), sigma, generator)

    def _kernel(self, generator: torch.Generator) -> Tensor:
        def draw(low: float, high: float) -> float:
            return low + (high - low) * float(torch.rand((), generator=generator))

        kind = int(torch.randint(3, (), generator=generator)) if self.longest else 0
        if kind == 0:
            return blur.gaussian_kernel(draw(self.narrow, self.wide))
        if kind == 1:
            return blur.motion_kernel(draw(1, self.longest), draw(0, 180))
        turns = torch.randn(_PATH_TURNS, generator=generator, dtype=torch.float64).cumsum(0)
        directions = turns.repeat_interleave(_PATH_TURNS)
        path = torch.stack((directions.sin(), directions.cos())).cumsum(1)
        centred = path - path.mean(1, keepdim=True)
        scale = draw(1, self.longest) / (2 * float(centred.abs().max()))
        return blur.path_kernel(*(scale * centred))


def _blurred(clean: Tensor, kernel: Tensor, sigma: Tensor, generator: torch.Generator) -> physics_base.Measurement:
    physics = blur.CircularBlur(kernel)
    y = base.noisy(physics.A(clean), sigma, generator)
    return physics_base.Measurement(y, y, sigma, sigma, physics)


@dataclass(frozen=True)
class DeblurBenchmarkOptions:
    """Options of `restorekit eval deblur`."""

    kernel: Annotated[str, KERNEL] = "gaussian:2"
    noise: Annotated[list[str] | None, _NOISES] = None


_WIENER_WEIGHT = 100.0
_TV_WEIGHT = 10.0
"""Of the priors over sigma^2: best on crops of six training photographs, blurred by a Gaussian of sigma 2 with noise of
2.55. Half as much or twice as much costs less than 0.2 dB."""
_TV_PENALTY = 0.01
_LEAST_WEIGHT = 1e-8
"""Without noise nothing but this keeps the filters from dividing by zero."""
_LEAST_RATIO = 1e-6
"""Where the blurred estimate is darker, Richardson and Lucy's ratio is taken for 0."""


def _wiener(benchmark: DeblurBenchmark, observed: Image, noise: float) -> Image:
    """argmin_x 1/2 ||A x - y||^2 + w sigma^2 / 2 ||grad x||^2: for images whose power falls as 1 / frequency^2."""
    physics, y = benchmark.physics(observed)
    rows, cols = (2 - 2 * torch.cos(2 * math.pi * torch.fft.fftfreq(side)) for side in y.shape[-2:])
    system = _power(physics, y) + max(_WIENER_WEIGHT * noise**2, _LEAST_WEIGHT) * (rows[:, None] + cols)
    return runner.as_pixels(torch.fft.ifft2(torch.fft.fft2(physics.A_adjoint(y)) / system).real, observed.ndim)


def _tv(benchmark: DeblurBenchmark, observed: Image, noise: float) -> Image:
    """argmin_x 1/2 ||A x - y||^2 + w sigma^2 TV(x), channels sharing their edges."""
    physics, y = benchmark.physics(observed)
    weight, power = max(_TV_WEIGHT * noise**2, _LEAST_WEIGHT), _power(physics, y)
    x = admm.total_variation(physics.A_adjoint(y), power, weight, penalty=_TV_PENALTY)
    return runner.as_pixels(x, observed.ndim)


def _power(physics: Any, image: Tensor) -> Tensor:
    """Return |K|^2, the spectrum of A^T A, [H, W]."""
    impulse = torch.zeros_like(image[:1, :1])
    impulse[..., 0, 0] = 1
    power: Tensor = torch.fft.fft2(physics.A_adjoint(physics.A(impulse))).real[0, 0]
    return power


def _richardson_lucy(benchmark: DeblurBenchmark, observed: Image, noise: float) -> NDArray[Any]:
    """Return scikit-image's 50 iterations, which know of no noise, on the image continued as it repeats itself."""
    from skimage.restoration import richardson_lucy

    reach, taps = 2 * max(benchmark.kernel.shape), benchmark.kernel.numpy().astype(np.float32)

    def restore(plane: Image) -> NDArray[Any]:
        positive = np.pad(plane.clip(0, 1), reach, mode="wrap")
        estimate = richardson_lucy(positive, taps, filter_epsilon=_LEAST_RATIO)  # type: ignore[no-untyped-call]
        return np.asarray(estimate[reach:-reach, reach:-reach])

    return _by_plane(restore, observed)


def _unsupervised_wiener(benchmark: DeblurBenchmark, observed: Image, noise: float) -> NDArray[Any]:
    """Return scikit-image's, which finds the weights of noise and prior by sampling. Orieux et al., 2010."""
    from skimage.restoration import unsupervised_wiener

    taps: Any = benchmark.kernel.numpy().astype(np.float32)
    wiener: Any = unsupervised_wiener
    return _by_plane(lambda plane: wiener(plane, taps, rng=0, clip=False)[0], observed)


def _by_plane(restore: Callable[[Image], NDArray[Any]], observed: Image) -> NDArray[Any]:
    planes = np.moveaxis(np.atleast_3d(observed), 2, 0)
    return np.dstack([restore(np.ascontiguousarray(plane)) for plane in planes]).reshape(observed.shape)


class DeblurBenchmark(base.Benchmark[float]):
    """Blur clean images circularly, add noise, deblur them with each method, and compare PSNR, SSIM and speed.

    The table goes to standard error.
    """

    axis = "noise"
    Options = DeblurBenchmarkOptions
    untouched = "blurred"
    seeded = True
    baselines = {
        "blurred": Baseline(lambda _, observed, __: observed, note="blurred is the untouched input"),
        "wiener": Baseline(_wiener),
        "tv": Baseline(_tv),
        "richardson-lucy": Baseline(_richardson_lucy),
        "unsupervised-wiener": Baseline(_unsupervised_wiener),
    }

    def __init__(self, options: DeblurBenchmarkOptions) -> None:
        noises = options.noise or ["2.55"]
        self.conditions = tuple(base.parse_simulated_sigma(noise, "noise", zero=True) for noise in noises)
        self.kernel_name = options.kernel
        check_kernel_name(options.kernel)

    @cached_property
    def kernel(self) -> Tensor:
        """Return the kernel, [kh, kw]. Raises as `read_kernel` does."""
        return read_kernel(self.kernel_name)

    @override
    def prepare(self, seed: int, *, slices: bool) -> None:
        _ = self.kernel

    @property
    @override
    def protocol(self) -> str:
        height, width = self.kernel.shape
        return (
            f"Images are blurred by the kernel {self.kernel_name}, {width}x{height} pixels, as if they were periodic; "
            "then seeded Gaussian noise, its sigma on the scale 0..255, is added in float32, neither clipped nor "
            "rounded."
        )

    def physics(self, image: Image) -> tuple[Any, Tensor]:
        """Return the blur, and an image [H, W] or [H, W, C] as [1, C, H, W]."""
        return blur.CircularBlur(self.kernel), runner.as_batch(image, torch.device("cpu"))

    @override
    def clean(self, picture: imaging.Picture) -> Image:
        self._check_size(picture.pixels.shape)
        return picture.to_float()

    @override
    def degrade(self, clean: Image, condition: float, seed: int) -> Image:
        self._check_size(clean.shape)
        physics, x = self.physics(clean)
        return runner.as_pixels(physics.observe(x, condition, seed), clean.ndim)

    @override
    def describe(self, condition: float) -> Condition:
        sigma = round(255 * condition, 6)
        return Condition(sigma, f"noise {sigma:g}")

    @override
    def check(self, run: Run) -> None:
        for noise in self.conditions:
            base.check_noise(noise, run.models.cards(), self.task.greatest_noise)
        run.models.preload()

    @override
    def restore(self, observed: Image, condition: float, run: Run) -> Image:
        model = run.models.fitting(1 if observed.ndim == 2 else 3)
        return Deblurring(self.kernel, condition, model, run, Boundary.CIRCULAR)(observed)[0]

    def _check_size(self, shape: tuple[int, ...]) -> None:
        if self.kernel.shape[0] > shape[0] or self.kernel.shape[1] > shape[1]:
            raise UnsupportedImageError(f"{shape[1]}x{shape[0]} pixels, smaller than the kernel")


@dataclass(frozen=True)
class DeblurOptions:
    """Options of `restorekit deblur`. kernel: its name, or in Python an array [kh, kw]."""

    kernel: Annotated[str, KERNEL]
    noise: Annotated[str, base.NOISE] = base.AUTO
    boundary: Annotated[str, _BEYOND_SCENE] = Boundary.OPEN.value
    taps: Any = None


class Deblur(base.Task[DeblurOptions]):
    """Sharpen images whose blur is known, with a model trained for it or with a denoiser as the prior.

    IMG.png becomes IMG_deblurred.png beside it, a folder becomes FOLDER_deblurred/ with the same tree in it.
    """

    name = "deblur"
    participle = "deblurred"
    Options = DeblurOptions
    models = DefaultModels({1: "denoise-gray-groupsc", 3: "deblur-color-unet"}, takes_denoisers=True)
    units = Units("noise", " (of 255)")
    iterates = True
    degradations = (Blur,)
    benchmark = DeblurBenchmark
    training = {"blur": BlurSection}

    @override
    def check(self, options: DeblurOptions, inputs: Sequence[str]) -> None:
        base.parse_noise(options.noise)
        parse_boundary(options.boundary)
        if options.taps is None:
            check_kernel_name(options.kernel)

    @override
    def known(self, options: DeblurOptions) -> tuple[float | None, float | None]:
        return base.parse_noise(options.noise), None

    @override
    def prepare(self, options: DeblurOptions, run: Run) -> batch.Operation:
        self.check(options, ())
        named, edges = base.parse_noise(options.noise), Boundary(options.boundary)
        if options.taps is None:
            kernel = read_kernel(options.kernel)
        else:
            kernel = blur.normalise_kernel(torch.as_tensor(options.taps, device="cpu"))
        base.check_noise(named, run.models.cards(), self.greatest_noise)
        if run.models.named is not None:
            deblur_splitting(run.models.named, run.iterations)

        def restore(picture: imaging.Picture) -> batch_files.Restored:
            model = run.models.fitting(1 if picture.is_grey else 3)
            observed = picture.to_float()
            noise, notes = base.noise_of(observed, named, self.greatest_noise(model.card))
            splitting = deblur_splitting(model, run.iterations)
            sharp, report = Deblurring(kernel, noise, model, run, edges, splitting)(observed)
            after, iterations = picture.with_float(sharp), splitting.iterations
            return base.restored(picture, after, model, report, notes, noise=255 * noise, iterations=iterations)

        return restore


def deblur(
    image: arrays.Array,
    kernel: NDArray[Any] | Tensor | str,
    *,
    noise: float | Literal["auto"] = "auto",
    boundary: Literal["open", "circular"] = "open",
    iterations: int | None = None,
    model: zoo.LoadedModel | str | None = None,
    quality: Literal["fast", "balanced", "best"] = "balanced",
    device: str = "auto",
    tile: int | Literal["auto"] = "auto",
) -> arrays.Array:
    """Undo a blur that is known; return the same kind of array, of the same shape, dtype and device.

    kernel: the image of a point, [kh, kw] of odd sides, which is made to sum to 1; or, as on the command line,
    "gaussian:SIGMA", "motion:LENGTH,ANGLE" or the path of a picture or an .npy file. noise: standard deviation of the
    noise on the 0..255 scale; "auto" estimates it. boundary: whether the scene goes on beyond the edges, or the image
    repeats itself. iterations: how many, None for as many as measured best. model: trained for this or to denoise. The
    rest is as in `restorekit.denoise`.
    """
    if not isinstance(kernel, (str, np.ndarray, torch.Tensor)):
        raise UsageError(f"a kernel is an array, a tensor or a name such as 'gaussian:2', not {kernel!r}")
    named, taps = (kernel, None) if isinstance(kernel, str) else ("", kernel)
    options = DeblurOptions(named, str(noise), boundary, taps)
    return arrays.restore(
        Deblur(), image, options, model, iterations=iterations, quality=quality, device=device, tile=tile
    )
