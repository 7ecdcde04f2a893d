"""The names that a file of a task starts from: `from restorekit.tasks.prelude import *`.

NumPy, torch and our own modules that need them are loaded at their first use: a bad option is told before torch is
imported.
"""
# ruff: noqa: F401 - tasks import these names from here

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotated_types import Ge, Gt, Interval, MinLen

from restorekit.errors import UnreadableImageError, UnsupportedImageError, UsageError
from restorekit.tasks import base
from restorekit.tasks.base import Baseline, Condition, Run
from restorekit.types import BayerPattern, Boundary, DefaultModels, Option, Quality, RunReport, RunSettings, Units

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from restorekit import image as imaging
    from restorekit import models as networks
    from restorekit import zoo
    from restorekit.batch import files as batch_files
    from restorekit.batch import run as batch
    from restorekit.image import mri as mri_files
    from restorekit.inference import mri, plug_and_play, runner
    from restorekit.inference import windows as windowing
    from restorekit.models import kspace as kspace_networks
    from restorekit.numerics import dihedral, patches
    from restorekit.pages import figures
    from restorekit.physics import base as physics_base
    from restorekit.physics import blur, jpeg
    from restorekit.physics import kspace as fourier
    from restorekit.physics import mosaic as bayer
    from restorekit.physics import noise as noise_model
    from restorekit.solvers import admm, differentiation
    from restorekit.tasks import arrays
    from restorekit.zoo import selection

    Image = NDArray[np.float32]
else:

    class _Lazy:
        """A module that is imported when one of its names is asked for."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, name: str) -> Any:
            return getattr(importlib.import_module(self._name), name)

    NDArray = Image = Tensor = Any
    np, torch = _Lazy("numpy"), _Lazy("torch")
    for _name, _module in {
        "arrays": "tasks.arrays", "zoo": "zoo", "imaging": "image", "networks": "models", "batch_files": "batch.files",
        "batch": "batch.run", "mri_files": "image.mri", "mri": "inference.mri",
        "plug_and_play": "inference.plug_and_play", "runner": "inference.runner", "windowing": "inference.windows",
        "kspace_networks": "models.kspace", "dihedral": "numerics.dihedral", "patches": "numerics.patches",
        "physics_base": "physics.base", "blur": "physics.blur", "jpeg": "physics.jpeg", "fourier": "physics.kspace",
        "bayer": "physics.mosaic", "noise_model": "physics.noise", "admm": "solvers.admm",
        "differentiation": "solvers.differentiation",
        "selection": "zoo.selection", "figures": "pages.figures",
    }.items():  # fmt: skip
        globals()[_name] = _Lazy(f"restorekit.{_module}")
