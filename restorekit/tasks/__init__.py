"""The tasks by name: one file each, and one line here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restorekit.tasks.base import Task, TrainingSection

TASKS: dict[str, str] = {
    "denoise": "restorekit.tasks.denoise:Denoise",
    "demosaic": "restorekit.tasks.demosaic:Demosaic",
    "deblock": "restorekit.tasks.deblock:Deblock",
    "deblur": "restorekit.tasks.deblur:Deblur",
    "superres": "restorekit.tasks.superres:Superres",
    "cs-mri": "restorekit.tasks.cs_mri:CsMri",
}
"""The class of each task, as `module:Class`."""


def get_task(name: str) -> Task[Any]:
    """Return the task of that name, one of `TASKS`."""
    module, _, kind = TASKS[name].partition(":")
    task: Task[Any] = getattr(import_module(module), kind)()
    return task


def all_tasks() -> tuple[Task[Any], ...]:
    """Return every task, in the order of the registry."""
    return tuple(get_task(name) for name in TASKS)


def training_sections() -> dict[str, type[TrainingSection]]:
    """Return the sections of a training recipe that say how clean crops are degraded, by name."""
    return {name: section for task in all_tasks() for name, section in task.training.items()}


def default_of(name: str) -> tuple[str, ...]:
    """Return the tasks that use a model where none is named, at some conditioning or for some pictures."""
    return tuple(task.name for task in all_tasks() if name in task.models.names())
