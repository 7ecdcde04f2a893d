"""Deblocking: removing blocks, ringing and washed-out colour that JPEG compression left in pictures."""

from __future__ import annotations

import operator
from typing import Annotated, Literal

from typing_extensions import override

from restorekit.tasks.denoise import chambolle
from restorekit.tasks.prelude import *

_CHROMA_ERROR = 0.44
"""The share of the conditioning of chroma that is left of its error when it is restored; 0.3 and 0.6 do as well."""
_JPEG_BLOCK = 8
_TV_RATIO = 0.35
"""The weight of total variation over the RMS error: best on twelve photographs of BSDS500's training set."""
_FACTOR = Option("Quality factor of libjpeg; 10 is very bad.", "1..100", low=1, high=100)
_FACTORS = replace(_FACTOR, help="Quality factor of the compression; repeatable.")
_FACTOR_OR_TABLES = replace(
    _FACTOR,
    help="Quality factor of the compression (default: read from the tables of each JPEG). Name it for a file that once "
    "was a JPEG, or that was compressed twice.",
)


@dataclass(frozen=True)
class JpegOptions:
    """Options of `restorekit degrade jpeg`."""

    quality_factor: Annotated[int, _FACTOR]


class Jpeg(base.Degradation[JpegOptions]):
    """Compress images as JPEG: IMG.png becomes IMG_jpeg.jpg beside it.

    Where -o names another format, the decoded pixels of that JPEG are written. Colour is stored at half the resolution.
    """

    name = "jpeg"
    participle = "jpeg"
    Options = JpegOptions
    written_as = dict.fromkeys(("png", "tiff", "jpeg", "webp", "bmp", "pnm", "gif"), "jpeg")

    @override
    def __call__(self, picture: imaging.Picture) -> batch_files.Restored:
        quality = self.options.quality_factor
        known = (("quality_factor", quality),)
        if picture.pixels.dtype == np.uint8:
            decoded = replace(picture, pixels=imaging.recompress(picture.pixels, quality))
            return batch_files.Restored(decoded, (picture, quality), parameters=known)
        decoded = picture.with_float(_recompressed(picture.to_float(), quality))
        notes = (*base.scale_notes(picture), "compressed at 8 bits a channel")
        return batch_files.Restored(decoded, parameters=known, notes=notes)


def _recompressed(image: Image, quality: int | None) -> Image:
    """Return an image, clipped to [0, 1], in 8 bits; compressed and decoded unless `quality` is None."""
    pixels = figures.to_8_bits(image)
    shallow = pixels if quality is None else imaging.recompress(pixels, quality)
    return np.divide(shallow, np.float32(255), dtype=np.float32)


@dataclass(frozen=True)
class JpegSection(base.TrainingSection):
    """JPEG compression of luma with quality factors 1..100, drawn so that log(rms_error) is uniform between two.

    A share `shifted` of the crops has its blocks begin anywhere, as in a picture that was cut after it was compressed.
    In a share `chroma` of the steps crops are of Cb or Cr instead, at the resolution they are stored in, with the
    tables and the conditioning of chroma; validation is on luma.
    """

    low: Annotated[int, Interval(ge=1, le=100)]
    high: Annotated[int, Interval(ge=1, le=100)]
    balance: float
    validation: Annotated[tuple[float, ...], MinLen(1)]
    shifted: base.Share = 0.0
    chroma: base.Share = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError unless low < high."""
        if self.low >= self.high:
            raise ValueError(f"high {self.high} must be greater than low {self.low}")

    @property
    def needs_chroma(self) -> bool:  # type: ignore[override]
        """Whether some steps are on chroma."""
        return self.chroma > 0

    @override
    def sources(self, split: base.Split) -> tuple[base.Source, ...]:
        if not self.needs_chroma:
            return super().sources(split)
        luma = base.Source(split.training, self.draw, 1 - self.chroma)
        return luma, base.Source(split.chroma, partial(self.draw, chroma=True), self.chroma)

    @override
    def draw(self, clean: Tensor, generator: torch.Generator, *, chroma: bool = False) -> physics_base.Measurement:
        drawn = torch.multinomial(self._odds(), len(clean), replacement=True, generator=generator)
        offsets = torch.zeros(len(clean), 2, dtype=torch.int64)
        if self.shifted:
            elsewhere = torch.rand(len(clean), 1, generator=generator) < self.shifted
            offsets = torch.randint(_JPEG_BLOCK, offsets.shape, generator=generator) * elsewhere
        return _compressed(clean, [self.low + int(place) for place in drawn], offsets.tolist(), chroma=chroma)

    @override
    def at(self, clean: Tensor, value: float, generator: torch.Generator) -> physics_base.Measurement:
        return _compressed(clean, [round(value)] * len(clean), [(0, 0)] * len(clean))

    def _odds(self) -> Tensor:
        """Return for each quality the stretch of log(rms_error) that is nearest to it."""
        errors = torch.tensor([jpeg.rms_error(quality) for quality in range(self.low, self.high + 1)]).log()
        return torch.gradient(errors)[0].abs()


def _compressed(
    clean: Tensor, qualities: Sequence[int], offsets: Sequence[Sequence[int]], *, chroma: bool = False
) -> physics_base.Measurement:
    pixels = (clean[:, 0] * 255).round().to(torch.uint8).numpy()
    worse = []
    for crop, quality, (down, right) in zip(pixels, qualities, offsets, strict=True):
        more = np.pad(crop, ((down, 0), (right, 0)), mode="reflect")
        worse.append(imaging.recompress(more, jpeg.standard_table(quality, chroma=chroma).tolist())[down:, right:])
    error = torch.tensor([jpeg.rms_error(quality, chroma=chroma) for quality in qualities])
    y = torch.from_numpy(np.stack(worse))[:, None].float() / 255
    return physics_base.Measurement(y, y, error, error)


@dataclass(frozen=True)
class DeblockBenchmarkOptions:
    """Options of `restorekit eval deblock`."""

    quality_factor: Annotated[list[int], _FACTORS]


class DeblockBenchmark(base.Benchmark[int]):
    """Compress clean images as JPEG, deblock them with each method, and compare PSNR, SSIM and speed.

    Only luma is measured, as in the literature. The table goes to standard error.
    """

    axis = "quality_factor"
    Options = DeblockBenchmarkOptions
    untouched = "jpeg"
    baselines = {
        "jpeg": Baseline(lambda _, compressed, __: compressed, note="jpeg is the untouched input"),
        "tv": Baseline(lambda _, compressed, quality: chambolle(compressed, _TV_RATIO * jpeg.rms_error(quality))),
    }
    protocol = (
        "Luma (ITU-R BT.601 over the full range, rounded to 8 bits; of grey images the image itself) is compressed as "
        "a grey JPEG by libjpeg and decoded; methods get the decoded luma."
    )

    def __init__(self, options: DeblockBenchmarkOptions) -> None:
        for quality in options.quality_factor:
            jpeg.scale_of(quality)
        self.conditions = tuple(options.quality_factor)

    @override
    def clean(self, picture: imaging.Picture) -> Image:
        return _recompressed(_luma_of(picture), None)

    @override
    def degrade(self, clean: Image, condition: int, seed: int) -> Image:
        return _recompressed(clean, condition)

    @override
    def describe(self, condition: int) -> Condition:
        return Condition(condition, f"quality {condition}")

    @override
    def restore(self, observed: Image, condition: int, run: Run) -> Image:
        model = run.models.fitting(1)
        if not model.card.covers(condition):
            low, high = model.card.conditioning_range
            raise UsageError(f"{model.card.name} was not made for quality factor {condition}; use {low:g} to {high:g}")
        return runner.restore_array(observed, jpeg.rms_error(condition), model.patch_network, run.settings)[0]


@dataclass(frozen=True)
class DeblockOptions:
    """Options of `restorekit deblock`."""

    quality_factor: Annotated[int | None, _FACTOR_OR_TABLES] = None


class Deblock(base.Task[DeblockOptions]):
    """Remove the traces of JPEG compression: blocks, ringing, washed-out colour.

    IMG.jpg becomes IMG_deblocked.png beside it, so that it is not compressed again; -o names another format. A folder
    becomes FOLDER_deblocked/ with the same tree in it.
    """

    name = "deblock"
    participle = "deblocked"
    Options = DeblockOptions
    models = DefaultModels({1: "deblock-gray-unet"}, explained={1: "deblock-gray-groupsc"})
    units = Units("quality factor")
    written_as = {"jpeg": "png"}
    wording = base.Wording(
        "compressed",
        "errors of compression",
        "Compression has left errors of about {error:.2g} on the scale 0 to 255. You see luma, the lightness of the "
        "picture; the planes of its colours go through the same network.",
    )
    degradations = (Jpeg,)
    benchmark = DeblockBenchmark
    training = {"jpeg": JpegSection}

    @override
    def images_of(self, card: zoo.ModelCard) -> str:
        return "grey and colour"  # the planes of a colour picture go through one by one

    @override
    def prepare(self, options: DeblockOptions, run: Run) -> batch.Operation:
        if options.quality_factor is not None:
            jpeg.scale_of(options.quality_factor)
        model = run.models.fitting(1)
        return lambda picture: _deblocked(picture, options.quality_factor, model, run)


def _deblocked(picture: imaging.Picture, named: int | None, model: zoo.LoadedModel, run: Run) -> batch_files.Restored:
    """Restore luma, then each of Cb and Cr at the resolution it was stored in."""

    def run_network(plane: Image, error: float, share: float) -> tuple[Image, RunReport]:
        restored, report = runner.restore_array(plane, error, model.patch_network, run.settings)
        return plane + np.float32(share) * (restored - plane), report

    coding = picture.metadata.jpeg
    quality, chroma_quality = _qualities_of(coding, named)
    taken, share, notes = _within_range(quality, model)
    error = jpeg.rms_error(taken)
    planes = [picture.to_float()] if picture.is_grey else list(np.moveaxis(jpeg.rgb_to_ycbcr(picture.to_float()), 2, 0))
    compressed = planes[0]
    planes[0], report = run_network(compressed, error, share)
    reports = [report]
    # Where the subsampling is not known, colour at full resolution must not be lost.
    subsampling = (1, 1) if coding is None else coding.subsampling
    taken, share, _ = _within_range(chroma_quality, model)
    chroma_error = jpeg.rms_error(taken, chroma=True)
    # Which pixels share a sample depends on rows and columns as they lie in the file.
    orientation = picture.metadata.orientation
    guide = imaging.turn_back(planes[0], orientation)
    for index in range(1, len(planes)):
        samples = jpeg.stored_samples(imaging.turn_back(planes[index], orientation), subsampling)
        samples, report = run_network(samples, chroma_error, share)
        planes[index] = imaging.turn(
            jpeg.enlarge_guided(samples, guide, subsampling, _CHROMA_ERROR * chroma_error), orientation
        )
        reports.append(report)
    trace = None
    if run.explain:
        trace = base.RestorationTrace(model, error, run.settings.quality.stride, compressed, planes[0], _luma_of)
    after = picture.with_float(planes[0] if picture.is_grey else jpeg.ycbcr_to_rgb(np.dstack(planes)))
    return base.restored(picture, after, model, RunReport.total(reports), notes, trace, quality_factor=quality)


def _qualities_of(coding: imaging.JpegCoding | None, named: int | None) -> tuple[int, int]:
    """Return the quality of luma and of chroma, which encoders may choose apart."""
    if named is not None:
        return named, named
    if coding is None:
        raise UsageError(
            "not a JPEG file, so its quality factor is unknown; name that of its compression with --quality-factor"
        )
    luma = jpeg.quality_of(coding.luma)
    return luma, jpeg.quality_of(coding.chroma, chroma=True) if coding.chroma else luma


def _within_range(quality: int, model: zoo.LoadedModel) -> tuple[float, float, tuple[str, ...]]:
    """Return the quality factor, clipped to the model's range, the share of the change to make, and a remark.

    A finer quality than the model was made for has less of an error than the network looks for. Of the change it finds,
    (rms_error(quality) / rms_error(taken))^4 is made; with the square, photographs at 98 lost 0.1 dB.
    """
    low, high = model.card.conditioning_range
    taken = min(max(quality, low), high)
    found = f"quality {quality} taken as {taken:g}, the nearest that {model.card.name} was made for"
    if quality <= taken:
        return taken, 1.0, (found,) if quality < taken else ()
    share = (jpeg.rms_error(quality) / jpeg.rms_error(taken)) ** 4
    return taken, share, (f"{found}, and {100 * share:.0f} % of the change made",)


def _luma_of(picture: imaging.Picture) -> Image:
    pixels = picture.to_float()
    return pixels if picture.is_grey else jpeg.rgb_to_ycbcr(pixels)[..., 0]


def deblock(
    image: arrays.Array,
    quality_factor: int,
    *,
    model: zoo.LoadedModel | str | None = None,
    quality: Literal["fast", "balanced", "best"] = "balanced",
    device: str = "auto",
    tile: int | Literal["auto"] = "auto",
) -> arrays.Array:
    """Remove the traces of JPEG compression; return the same kind of array, of the same shape, dtype and device.

    quality_factor: of the compression, 1 to 100, as libjpeg counts. The rest is as in `restorekit.denoise`.
    """
    try:
        options = DeblockOptions(operator.index(quality_factor))
    except TypeError:
        raise UsageError(f"quality_factor must be a whole number from 1 to 100, not {quality_factor!r}") from None
    return arrays.restore(Deblock(), image, options, model, quality=quality, device=device, tile=tile)
