"""Camera RAW files for tests: small DNG files that LibRaw opens. See the DNG specification 1.4, chapter 4."""

import io

import tifffile

XYZ_TO_SRGB = (3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570)
_COLOUR_FILTER_ARRAY, _LINEAR_RAW = 32803, 34892


def bayer_dng(
    mosaic,
    pattern="rggb",
    *,
    black=(0, 0, 0, 0),
    white=65535,
    neutral=(0.5, 1, 0.8),
    matrix=XYZ_TO_SRGB,
    orientation=1,
    area=None,
):
    """A mosaic [H, W] of 16 bits.

    `black` of the first 2x2 pixels; `neutral` the camera's values of a grey surface; `matrix` from XYZ to the camera's.
    """
    tags = [
        (33421, "H", 2, (2, 2)),  # CFARepeatPatternDim
        (33422, "B", 4, bytes("rgb".index(colour) for colour in pattern)),  # CFAPattern
        (50711, "H", 1, 1),  # CFALayout: rectangular
        (50713, "H", 2, (2, 2)),  # BlackLevelRepeatDim
        (50714, "H", 4, tuple(black)),
        (50717, "H", 1, white),
        (50728, "2I", 3, _rationals(neutral)),  # AsShotNeutral
        (274, "H", 1, orientation),
    ]
    if area is not None:
        tags.append((50829, "H", 4, tuple(area)))  # ActiveArea: top, left, bottom, right
    return _dng(mosaic, _COLOUR_FILTER_ARRAY, matrix, tags)


def linear_dng(rgb):
    """An image [H, W, 3] of 16 bits in which every pixel has all its colours."""
    return _dng(rgb, _LINEAR_RAW, XYZ_TO_SRGB, [])


def _dng(pixels, photometric, matrix, tags):
    common = [
        (50706, "B", 4, bytes([1, 4, 0, 0])),  # DNGVersion
        (271, "s", 0, "Kamera"),
        (272, "s", 0, "Modell"),
        (50708, "s", 0, "Kamera Modell"),  # UniqueCameraModel
        (50721, "2i", 9, _rationals(matrix)),  # ColorMatrix1
        (50778, "H", 1, 21),  # CalibrationIlluminant1: D65
    ]
    file = io.BytesIO()
    extra = [(*tag, True) for tag in common + tags]
    tifffile.imwrite(file, pixels, photometric=photometric, metadata=None, software=False, extratags=extra)
    return file.getvalue()


def _rationals(values):
    return [part for value in values for part in (round(10000 * value), 10000)]
