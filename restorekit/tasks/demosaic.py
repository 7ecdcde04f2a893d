"""Demosaicking: mosaics in ordinary files, and the RAW files of cameras, which are developed as well."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from typing_extensions import override

from restorekit.tasks.prelude import *

_PATTERNS = tuple(BayerPattern)
_PATTERN = Option("Colours of the first 2x2 pixels, row by row.", "|".join(_PATTERNS), choices=_PATTERNS)
_EACH_PATTERN = replace(_PATTERN, help="Colours of the first 2x2 pixels, row by row; repeatable.")
_PATTERN_OF_FILE = replace(_PATTERN, help="Colours of the first 2x2 pixels, row by row; RAW files say it themselves.")


def parse_pattern(text: str) -> BayerPattern:
    """Return a Bayer pattern, in upper or lower case. Raises UsageError for another word."""
    if text.lower() not in _PATTERNS:
        raise UsageError(f"--pattern {text}: use one of {', '.join(_PATTERNS)}, the colours of the first 2x2 pixels")
    return BayerPattern(text.lower())


def demosaic_array(
    observed: Image, pattern: BayerPattern, network: networks.PatchNetwork, settings: RunSettings
) -> tuple[Image, RunReport]:
    """Return the RGB estimate [H, W, 3] in [0, 1] of a mosaic [H, W] of any size.

    The network is given the linear interpolation, as in training, and the mask of observed values; its estimate is then
    made to agree with the mosaic. A mosaic that is too small for the network is extended by a mirror that keeps its
    pattern.
    """
    height, width = observed.shape
    rows, columns = (bayer.mirror(side, 0, network.continued_length(side)) for side in (height, width))
    mosaic = torch.from_numpy(observed)
    filled, mask = _filled(mosaic[rows][:, columns].numpy(), pattern)
    rgb, report = runner.restore_array(filled, bayer.INTERPOLATION_ERROR, network, settings, mask=mask)
    agreeing = bayer.reconcile(torch.from_numpy(rgb[:height, :width]), mosaic, pattern)
    return agreeing.clamp_(0, 1).numpy(), report


def _filled(observed: Image, pattern: BayerPattern) -> tuple[Image, Image]:
    """Return a mosaic [H, W] interpolated linearly, and 1 where a value was observed, both [H, W, 3]."""
    filled = bayer.interpolate(torch.from_numpy(np.ascontiguousarray(observed))[None, None], pattern)[0]
    return filled.permute(1, 2, 0).numpy(), bayer.bayer_mask(observed.shape[0], observed.shape[1], pattern).numpy()


@dataclass(frozen=True)
class MosaicOptions:
    """Options of `restorekit degrade mosaic`."""

    pattern: Annotated[str, _PATTERN]


class Mosaic(base.Degradation[MosaicOptions]):
    """Keep one colour per pixel, as a Bayer sensor does: IMG.png becomes IMG_mosaic.png, a grey image, beside it.

    JPEG and WebP images become PNG files, as lossy compression would spoil a mosaic; -o names another format.
    """

    name = "mosaic"
    participle = "mosaic"
    Options = MosaicOptions
    channels = 1
    written_as = {"jpeg": "png", "webp": "png"}

    def __init__(self, options: MosaicOptions) -> None:
        super().__init__(options)
        self.pattern = parse_pattern(options.pattern)

    @override
    def __call__(self, picture: imaging.Picture) -> batch_files.Restored:
        if picture.is_grey:
            raise UnsupportedImageError("a grey picture; a mosaic is made of a colour picture")
        notes: tuple[str, ...] = ()
        if picture.alpha is not None:
            notes += ("alpha channel left out, as a mosaic has none",)
        if picture.metadata.icc:
            notes += ("ICC profile of a colour picture left out of a grey one",)
        height, width = picture.pixels.shape[:2]
        observed = bayer.bayer_mask(height, width, self.pattern).numpy().astype(bool)
        mosaic = imaging.Picture(picture.pixels[observed].reshape(height, width), replace(picture.metadata, icc=b""))
        return batch_files.Restored(mosaic, parameters=(("pattern", self.pattern.value),), notes=notes)


@dataclass(frozen=True)
class MosaicSection(base.TrainingSection):
    """A Bayer mosaic of a random pattern, interpolated linearly; the mask tells which values were observed."""

    balance: float = 0.0
    validation: ClassVar[tuple[float, ...]] = (0.0,)  # type: ignore[misc]
    """One entry, as there is nothing to vary."""

    @override
    def draw(self, clean: Tensor, generator: torch.Generator) -> physics_base.Measurement:
        return _interpolated(clean, _PATTERNS[int(torch.randint(len(_PATTERNS), (), generator=generator))])

    @override
    def at(self, clean: Tensor, value: float, generator: torch.Generator) -> physics_base.Measurement:
        return _interpolated(clean, BayerPattern.RGGB)


def _interpolated(clean: Tensor, pattern: BayerPattern) -> physics_base.Measurement:
    """Return all crops through one pattern."""
    mask = bayer.bayer_mask(clean.shape[2], clean.shape[3], pattern).permute(2, 0, 1).expand_as(clean)
    filled = bayer.interpolate((clean * mask).sum(1, keepdim=True), pattern)
    error = clean.new_full((len(clean),), bayer.INTERPOLATION_ERROR)
    return physics_base.Measurement(filled, filled, error, error, mask=mask)


def _bilinear(_: object, observed: Image, pattern: BayerPattern) -> Any:
    """Return the mean of the nearest observations, two or four; the mirror at the border keeps the pattern."""
    from scipy.ndimage import convolve

    cross = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]], np.float32) / 4
    square = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], np.float32) / 4
    channels = bayer.spread(torch.from_numpy(observed), pattern).numpy()
    return np.dstack([convolve(channels[..., c], cross if c == 1 else square, mode="mirror") for c in range(3)])


def _opencv(_: object, observed: Image, pattern: BayerPattern) -> Any:
    """Return OpenCV's edge-aware interpolation, which works in integers: of 16 bits here.

    Its older, shorter names of the patterns are those of other pixels: BayerRGGB is what was BayerBG.
    """
    import cv2

    code = getattr(cv2, f"COLOR_Bayer{pattern.upper()}2RGB_EA")
    return np.asarray(cv2.cvtColor(np.rint(observed * 65535).astype(np.uint16), code)) / 65535


def _menon(_: object, observed: Image, pattern: BayerPattern) -> Any:
    """D. Menon, S. Andriani and G. Calvagno, Demosaicing with directional filtering and a posteriori decision, 2007."""
    from colour_demosaicing import demosaicing_CFA_Bayer_Menon2007

    return demosaicing_CFA_Bayer_Menon2007(observed, pattern.upper())


@dataclass(frozen=True)
class DemosaicBenchmarkOptions:
    """Options of `restorekit eval demosaic`."""

    pattern: Annotated[list[str], _EACH_PATTERN]


class DemosaicBenchmark(base.Benchmark[BayerPattern]):
    """Keep one colour per pixel of clean images, restore the others with each method, and compare PSNR, SSIM and speed.

    No border is cropped. Grey images are left out. The table goes to standard error.
    """

    axis = "pattern"
    Options = DemosaicBenchmarkOptions
    baselines = {
        "bilinear": Baseline(_bilinear),
        "malvar": Baseline(lambda _, observed, pattern: _filled(observed, pattern)[0]),  # where the models start from
        "opencv": Baseline(_opencv, "cv2"),
        "menon": Baseline(_menon, "colour_demosaicing"),
    }
    protocol = (
        "Of each pixel one colour is kept, that which a Bayer sensor observes there, without noise and without further "
        "rounding."
    )

    def __init__(self, options: DemosaicBenchmarkOptions) -> None:
        self.conditions = tuple(parse_pattern(name) for name in options.pattern)

    @override
    def clean(self, picture: imaging.Picture) -> Image:
        if picture.is_grey:
            raise UnsupportedImageError("a grey image, of which there is nothing to demosaic")
        return picture.to_float()

    @override
    def degrade(self, clean: Image, condition: BayerPattern, seed: int) -> Image:
        observed: Image = bayer.mosaic(torch.from_numpy(clean), condition).numpy()
        return observed

    @override
    def describe(self, condition: BayerPattern) -> Condition:
        return Condition(condition.value, condition.value)

    @override
    def restore(self, observed: Image, condition: BayerPattern, run: Run) -> Image:
        return demosaic_array(observed, condition, run.models.fitting(3).patch_network, run.settings)[0]


@dataclass(frozen=True)
class DemosaicOptions:
    """Options of `restorekit demosaic`."""

    pattern: Annotated[str | None, _PATTERN_OF_FILE] = None


class Demosaic(base.Task[DemosaicOptions]):
    """Make colour images from mosaics: one-channel images of any depth, or RAW files of cameras.

    IMG.png becomes IMG_demosaiced.png beside it; a RAW file becomes a TIFF file of 16 bits in sRGB. Without --model,
    the model that measures best is used; with --explain, the best one that has atoms to show. RAW files need the extra
    `raw`.
    """

    name = "demosaic"
    participle = "demosaiced"
    Options = DemosaicOptions
    models = DefaultModels({3: "demosaic-color-unet"}, explained={3: "demosaic-color-groupsc"})
    channels = 3
    written_as = {"jpeg": "png"}
    camera_raw = True
    wording = base.Wording(
        "interpolated",
        "errors of interpolation",
        "One of the three colours of a pixel was observed. The others are interpolated first here, and count less in "
        "the steps that follow. At the very end the observed values are put back, which this page does not show.",
    )
    degradations = (Mosaic,)
    benchmark = DemosaicBenchmark
    training = {"mosaic": MosaicSection}

    @override
    def check(self, options: DemosaicOptions, inputs: Sequence[str]) -> None:
        if options.pattern is not None:
            parse_pattern(options.pattern)
            return

        # By its name such an input is no RAW file; folders and pipes may hold some.
        for path in map(Path, inputs):
            suffix = path.suffix.lower()
            if suffix in imaging.supported_suffixes and suffix not in imaging.raw_suffixes and not path.is_dir():
                raise UsageError(f"{imaging.show_path(path)}: name the mosaic's pattern, as in --pattern rggb")

    @override
    def prepare(self, options: DemosaicOptions, run: Run) -> batch.Operation:
        named = None if options.pattern is None else parse_pattern(options.pattern)
        model = run.models.fitting(3)

        def restore(picture: imaging.Picture) -> batch_files.Restored:
            observed, pattern = _mosaic_of(picture, named)
            rgb, report = demosaic_array(observed, pattern, model.patch_network, run.settings)
            trace = _trace(model, run, picture, observed, pattern, rgb) if run.explain else None
            after, notes = _developed(picture, rgb)
            return base.restored(picture, after, model, report, notes, trace, pattern=pattern.value)

        return restore


def _mosaic_of(picture: imaging.Picture, named: BayerPattern | None) -> tuple[Image, BayerPattern]:
    """Return the mosaic as the network knows mosaics: on the sRGB curve, neutral surfaces in equal values.

    A pattern is that of the pixels as they lie in the file, however the picture is turned to be seen.
    """
    if not picture.is_grey:
        raise UnsupportedImageError(
            "a colour picture, but a mosaic has one channel; `restorekit degrade mosaic` makes one"
        )
    if picture.alpha is not None:
        raise UnsupportedImageError("a picture with an alpha channel, which a mosaic has not; remove it first")
    camera = picture.metadata.camera
    pattern = _pattern_of(camera, named)
    observed = imaging.turn_back(picture.to_float(), picture.metadata.orientation)
    if camera is not None:
        observed = bayer.encode_srgb(bayer.balance_white(observed, camera.white_balance, pattern))
    return observed, pattern


def _pattern_of(camera: imaging.Camera | None, named: BayerPattern | None) -> BayerPattern:
    if camera is None:
        if named is None:
            raise UsageError("not a camera's RAW file, so its pattern is unknown; name it with --pattern")
        return named
    found = BayerPattern(camera.pattern)
    if named not in (None, found):
        raise UsageError(f"the file's pattern is {found}, not {named}; leave out --pattern for RAW files")
    return found


def _developed(picture: imaging.Picture, rgb: Image) -> tuple[imaging.Picture, tuple[str, ...]]:
    """Return the colour picture, of a RAW file in sRGB and upright, else as the mosaic lay, and remarks."""
    camera = picture.metadata.camera
    notes: tuple[str, ...] = ()
    if picture.metadata.jpeg is not None:
        notes += ("the mosaic was compressed as JPEG, which mixes its colours",)
    if camera is not None:
        rgb = bayer.encode_srgb(bayer.camera_to_srgb(bayer.decode_srgb(rgb), camera.to_srgb))
    else:
        rgb = imaging.turn(rgb, picture.metadata.orientation)
    metadata = replace(picture.metadata, icc=b"", camera=None)
    if picture.metadata.icc:
        notes += ("ICC profile of a grey picture left out of a colour one",)
    colour = imaging.Picture(np.empty(rgb.shape, picture.pixels.dtype), metadata).with_float(rgb)
    if camera is not None:
        colour = imaging.turn_upright(colour, camera.orientation, metadata.exif)
    return colour, notes


def _trace(
    model: zoo.LoadedModel, run: Run, picture: imaging.Picture, observed: Image, pattern: BayerPattern, rgb: Image
) -> base.RestorationTrace:
    """Return what the network had to do; of a RAW file, in the colours of its camera."""

    def truth_of(reference: imaging.Picture) -> Image:
        if picture.metadata.camera is not None:
            raise UsageError(
                "a RAW file is explained in the colours of its camera, which no picture has; leave out --reference"
            )
        return imaging.turn_back(reference.to_float(), picture.metadata.orientation)

    filled, mask = _filled(observed, pattern)
    stride = run.settings.quality.stride
    return base.RestorationTrace(model, bayer.INTERPOLATION_ERROR, stride, filled, rgb, truth_of, mask)


def demosaic(
    image: arrays.Array,
    pattern: Literal["rggb", "bggr", "grbg", "gbrg"],
    *,
    model: zoo.LoadedModel | str | None = None,
    quality: Literal["fast", "balanced", "best"] = "balanced",
    device: str = "auto",
    tile: int | Literal["auto"] = "auto",
) -> arrays.Array:
    """Make a colour image of a mosaic; return the same kind of array, of the same dtype and device.

    image: a NumPy array [H, W], which becomes [H, W, 3], or a tensor [H, W] or [1, H, W], which becomes [3, H, W], or
    [B, 1, H, W], which becomes [B, 3, H, W]. pattern: the colours of its first 2x2 pixels, row by row. The rest is as
    in `restorekit.denoise`. Raises UnsupportedImageError for a colour image.
    """
    if not isinstance(pattern, str):
        raise UsageError(f"pattern must be one of {', '.join(_PATTERNS)}, not {pattern!r}")
    return arrays.restore(Demosaic(), image, DemosaicOptions(pattern), model, quality=quality, device=device, tile=tile)
