"""The Python interface: load a model, restore an array. A task may have its own function in its file."""

from restorekit.tasks.arrays import Array, restore
from restorekit.zoo import LoadedModel, find, load_model

__all__ = ["Array", "load", "restore"]


def load(path_or_name: str, *, offline: bool = False) -> LoadedModel:
    """Return a model by its name, the path of a weights file, or `org/name` on the Hugging Face hub.

    Raises ModelNotFoundError if there is no such model, WeightsError if the file is damaged or foreign.
    """
    return load_model(find(path_or_name, offline=offline))
