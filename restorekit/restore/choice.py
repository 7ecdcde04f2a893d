"""Which model restores a picture: the one that was named, or the task's default."""

from __future__ import annotations

from contextlib import suppress

from restorekit.errors import ModelMismatchError, ModelNotFoundError
from restorekit.restore.engine import Quality
from restorekit.zoo import LoadedModel, default_models, find, load_model

PRIOR_TASK = "denoise"
"""What the models are made for that can be the prior of other tasks."""
_TAKE_PRIORS = ("deblur", "superres")
"""The tasks that are done with a denoiser as well as with a model trained for them."""
_KINDS = {1: "grey", 2: "complex", 3: "colour"}


class ModelChoice:
    """The model that was named, or the default one of the task, which for some tasks depends on the picture.

    To denoise there is a default model for grey and one for colour pictures; a demosaicked picture has always three
    channels, and what is deblocked always one, so that these tasks have one default, and take no other kind of model.
    Tasks with a prior take models that were trained for them, and denoisers.

    Args:
        task: one of `zoo.card.TASKS`.
        model: a loaded one, a name or the path of a weights file, or None for the default models.
        offline: never ask the hub.

    Raises:
        ModelNotFoundError, WeightsError, ModelMismatchError: the model named is not there, damaged, or of another task.

    """

    def __init__(self, task: str, model: LoadedModel | str | None, *, offline: bool = False) -> None:
        self._task = task
        self._offline = offline
        self._names = default_models(task)
        self._defaults: dict[int, LoadedModel] = {}
        self._given = load_model(find(model, offline=offline)) if isinstance(model, str) else model
        if self._given is not None:
            self._check(self._given)

    @property
    def name(self) -> str:
        """The name of the model that was named, or of the only default, or else `default`; see `note`."""
        if self._given is not None:
            return self._given.card.name
        return next(iter(self._names.values())) if len(self._names) == 1 else "default"

    def name_at(self, quality: Quality) -> str:
        """What tables of an evaluation call it, such as `denoise-gray-sc (best)`."""
        return f"{self.name} ({quality.value})"

    @property
    def note(self) -> str:
        """Which models the name `default` stands for; empty if there is no such question."""
        if self.name != "default":
            return ""
        return "default: " + ", ".join(f"{name} for {_KINDS[count]} images" for count, name in self._names.items())

    def candidates(self) -> tuple[LoadedModel, ...]:
        """The models in question: the one that was named, or the default ones that are installed.

        A default model that is not installed is missed when a picture needs it.
        """
        if self._given is not None:
            return (self._given,)
        found = []
        for channels in self._names:
            with suppress(ModelNotFoundError):
                found.append(self._default(channels))
        return tuple(found)

    def fitting(self, channels: int) -> LoadedModel:
        """The model for pictures of 1 or 3 channels.

        Raises:
            ModelMismatchError: the model named is for others. ModelNotFoundError: the default one is not installed.
        """
        if self._given is None:
            return self._default(channels)
        if self._given.card.channels != channels:
            raise ModelMismatchError(
                f"a {_KINDS[channels]} picture, but {self._given.card.name} is a model for "
                f"{_KINDS[self._given.card.channels]} ones; {self._names[channels]} would fit"
            )
        return self._given

    def _default(self, channels: int) -> LoadedModel:
        if channels not in self._defaults:
            name = self._names[channels]
            try:
                path = find(name, offline=self._offline)
            except ModelNotFoundError as error:
                raise ModelNotFoundError(
                    f"{name}, the default model to {self._task}, is not installed; name another with --model"
                ) from error
            self._defaults[channels] = load_model(path)
        return self._defaults[channels]

    def _check(self, model: LoadedModel) -> None:
        """Raise ModelMismatchError for a model of another task, or of channels that the task has no use for."""
        card, usable = model.card, " and ".join(self._names.values())
        tasks = (self._task, PRIOR_TASK) if self._task in _TAKE_PRIORS else (self._task,)
        if card.task not in tasks:
            raise ModelMismatchError(f"{card.name} is a model to {card.task}, not to {self._task}; {usable} would fit")
        if card.channels not in self._names:
            wanted = " or ".join(_KINDS[channels] for channels in self._names)
            raise ModelMismatchError(
                f"{card.name} is for {_KINDS[card.channels]} images, and to {self._task} takes one for {wanted} "
                f"images; {usable} would fit"
            )
