"""Loading a model by its name, its path, or from the hub."""

import restorekit
from restorekit.zoo import LoadedModel, find, load_model


def load(path_or_name: str, *, offline: bool = False) -> LoadedModel:
    """Return a model by its name, the path of a weights file, or `org/name` on the Hugging Face hub.

    Raises ModelNotFoundError if there is no such model, WeightsError if the file is damaged or foreign.
    """
    return load_model(find(path_or_name, offline=offline))


def __getattr__(name: str) -> object:
    # Earlier versions had the functions of tasks here.
    return getattr(restorekit, name)
