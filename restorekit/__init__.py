"""Image restoration with small, readable, unrolled networks.

>>> import restorekit
>>> clean = restorekit.denoise(noisy, sigma=25)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from restorekit._version import __version__
from restorekit.errors import RestorekitError

if TYPE_CHECKING:
    from restorekit.api import cs_mri, deblock, deblur, demosaic, denoise, load, superres

_FUNCTIONS = ("cs_mri", "deblock", "deblur", "demosaic", "denoise", "load", "superres")

__all__ = ["RestorekitError", "__version__", "cs_mri", "deblock", "deblur", "demosaic", "denoise", "load", "superres"]


def __getattr__(name: str) -> object:
    # torch takes a second to import; `restorekit --help` should not wait for it.
    if name in _FUNCTIONS:
        from restorekit import api

        return getattr(api, name)
    raise AttributeError(f"module 'restorekit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
