"""The exception tree: everything restorekit raises on purpose, with the exit code each becomes on the command line.

A message is one sentence that says what was wrong, where, and what would work.
"""


class RestorekitError(Exception):
    """Base of every error raised on purpose. Exit code 1: this input failed, others may be done."""

    exit_code = 1


class UsageError(RestorekitError):
    """An argument that no input could make sense of (a negative sigma, an unknown pattern)."""

    exit_code = 2


class ImageError(RestorekitError):
    """A picture that cannot be read or written."""


class UnreadableImageError(ImageError):
    """Empty, truncated, or not an image at all."""


class UnsupportedImageError(ImageError):
    """A valid image of a kind that would be restored wrongly (animations, CMYK, more pages than one)."""


class ImageTooLargeError(ImageError):
    """More pixels than the decompression-bomb limit allows."""


class OutputError(RestorekitError):
    """An output that cannot be written: it exists, is read-only, or the disk is full."""


class WeightsError(RestorekitError):
    """A weights file that is truncated, foreign, or does not fit its own description."""


class ModelNotFoundError(RestorekitError):
    """No model of that name: not shipped, not on disk, not on the hub (or the hub may not be asked)."""

    exit_code = 2


class ModelMismatchError(RestorekitError):
    """A model for another task, channel count or sigma than the input asks for."""


class DeviceError(UsageError):
    """A device that this machine does not have."""


class MemoryExhaustedError(RestorekitError):
    """Memory ran out even on the smallest tile."""


class DatasetError(RestorekitError):
    """A training or evaluation folder with nothing usable in it."""


class TrainingError(RestorekitError):
    """A run that cannot start, resume or go on."""


class MissingExtraError(RestorekitError):
    """A feature whose optional dependency is not installed; the message names the extra."""

    exit_code = 2
