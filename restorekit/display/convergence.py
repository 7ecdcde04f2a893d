"""A plot of how iterations came to their result."""

from __future__ import annotations

import io
from collections.abc import Sequence

from restorekit.errors import MissingExtraError


def check_plots() -> None:
    """Raise MissingExtraError if plots cannot be drawn: to be asked before work starts."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("a plot needs matplotlib: pip install 'restorekit[train]'") from error


def draw_convergence(residuals: Sequence[float], psnrs: Sequence[float], title: str) -> bytes:
    """A PNG file: ||x_k+1 - x_k|| / ||x_k|| by iteration and, above it, the PSNR where there is one.

    Args:
        residuals: of each iteration, from the first on.
        psnrs: as many in dB, or none.
        title: such as the name of the picture.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    check_plots()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5 if psnrs else 3), layout="constrained")
    axes = list(figure.subplots(2 if psnrs else 1, 1, sharex=True, squeeze=False)[:, 0])
    axes[0].set_title(title)
    if psnrs:
        axes[0].plot(range(1, len(psnrs) + 1), psnrs, marker=".")
        axes[0].set_ylabel("PSNR, dB")
    axes[-1].semilogy(range(1, len(residuals) + 1), residuals, marker=".", color="tab:gray")
    axes[-1].set_ylabel("relative change")
    axes[-1].set_xlabel("iteration")
    for axis in axes:
        axis.grid(alpha=0.3)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=120)
    return drawn.getvalue()
