"""Image restoration with small, readable, unrolled networks.

>>> import restorekit
>>> clean = restorekit.denoise(noisy, sigma=25)
"""

from importlib import import_module
from inspect import isfunction
from typing import TYPE_CHECKING

from restorekit._version import __version__
from restorekit.errors import RestorekitError
from restorekit.tasks import TASKS, get_task

if TYPE_CHECKING:
    from restorekit.api import load
    from restorekit.tasks.cs_mri import cs_mri
    from restorekit.tasks.deblock import deblock
    from restorekit.tasks.deblur import deblur
    from restorekit.tasks.demosaic import demosaic
    from restorekit.tasks.denoise import denoise
    from restorekit.tasks.superres import superres

__all__ = ["RestorekitError", "__version__", "cs_mri", "deblock", "deblur", "demosaic", "denoise", "load", "superres"]


def __getattr__(name: str) -> object:
    # torch takes a second to import; `restorekit --help` should not wait for it.
    if name == "load":
        return import_module("restorekit.api").load
    place = TASKS.get(name.replace("_", "-"))
    if place is None:
        raise AttributeError(f"module 'restorekit' has no attribute {name!r}")
    module = import_module(place.partition(":")[0])
    own = vars(module).get(name)
    if isfunction(own) and own.__module__ == module.__name__:
        return own
    return import_module("restorekit.tasks.arrays").function_of(get_task(name.replace("_", "-")))


def __dir__() -> list[str]:
    return sorted({*__all__, *(name.replace("-", "_") for name in TASKS)})
