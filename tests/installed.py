"""Models in memory in place of those on disk."""

import pytest

from restorekit.errors import ModelNotFoundError
from restorekit.zoo import LoadedModel, selection


def install(monkeypatch: pytest.MonkeyPatch) -> dict[str, LoadedModel]:
    """Return the models that can be found from now on, by name; none at first."""
    models: dict[str, LoadedModel] = {}

    def find(name: str, offline: bool) -> str:
        if name not in models:
            raise ModelNotFoundError(f"no model is called {name}")
        return name

    monkeypatch.setattr(selection, "find", find)
    monkeypatch.setattr(selection, "load_model", models.__getitem__)
    monkeypatch.setattr(selection, "shipped_files", lambda: {name: name for name in models})
    monkeypatch.setattr(selection, "read_card", lambda name: models[name].card)
    return models
