"""Which model restores a picture: the one that was named, or the task's default."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property

from restorekit.errors import ModelMismatchError, ModelNotFoundError
from restorekit.restore.case import sparse_coding_of
from restorekit.restore.engine import Quality
from restorekit.zoo import CHANNELS, LoadedModel, ModelCard, default_model, default_models, find, load_model, stand_ins

PRIOR_TASK = "denoise"
"""What the models are made for that can be the prior of other tasks."""
_TAKE_PRIORS = ("deblur", "superres")
"""The tasks that are done with a denoiser as well as with a model trained for them."""

_FAINT_NOISE, _STRONG_NOISE = 1, 50
"""On the scale 0..255: solvers ask their prior to remove much at the beginning and little at the end."""


class ModelChoice:
    """The model that was named, or the default one of the task, which for some tasks depends on the picture.

    To denoise there is a default model for grey and one for colour pictures; a demosaicked picture has always three
    channels, and what is deblocked always one, so that these tasks have one default, and take no other kind of model.
    Where the level of the degradation is known, such as the noise level or the scale to enlarge by, a model that is
    better at it may stand in for the default.
    Tasks with a prior take models that were trained for them, and denoisers for all levels.

    Args:
        task: one of `zoo.card.TASKS`.
        model: a loaded one, a name or the path of a weights file, or None for the default models.
        offline: never ask the hub.
        explained: whether what is done is to be explained, for which U-Nets have nothing to show.

    Raises:
        ModelNotFoundError, WeightsError, ModelMismatchError: the model named is not there, damaged, or of another task
            or only a part of the levels that a prior needs. UsageError: it is to be explained and has no atoms.

    """

    def __init__(
        self, task: str, model: LoadedModel | str | None, *, offline: bool = False, explained: bool = False
    ) -> None:
        self._task = task
        self._offline = offline
        self._explained = explained
        self._names = default_models(task, explained=explained)
        self._defaults: dict[str, LoadedModel] = {}
        self._given = load_model(find(model, offline=offline)) if isinstance(model, str) else model
        if self._given is not None:
            self._check(self._given)

    @property
    def task(self) -> str:
        """The task whose defaults are chosen from; denoisers may do another, as its prior."""
        return self._task

    @property
    def name(self) -> str:
        """The name of the model that was named, or of the only default, or else `default`; see `note`."""
        if self._given is not None:
            return self._given.card.name
        names = {*self._names.values(), *(name for cards in self._stand_ins.values() for name in cards)}
        return names.pop() if len(names) == 1 else "default"

    def name_at(self, quality: Quality) -> str:
        """What tables of an evaluation call it, such as `denoise-gray-sc (best)`."""
        return f"{self.name} ({quality.value})"

    @property
    def note(self) -> str:
        """Which models the name `default` stands for; empty if there is no such question."""
        if self.name != "default":
            return ""
        orders = {channels: self._order(channels) for channels in self._names}
        if len(set(orders.values())) == 1:
            return f"default: {orders.popitem()[1]}"
        return f"default: {'; '.join(f'for {CHANNELS[channels]} images {order}' for channels, order in orders.items())}"

    def _order(self, channels: int) -> str:
        """Which model is used up to, or at, which level."""
        better = []
        for name, card in self._stand_ins.get(channels, {}).items():
            low, high = card.level_range
            better.append(f"{name} {'at' if low == high else 'up to'} {high:g}")
        general = self._names[channels]
        return ", ".join([*better, f"else {general}"]) if better else general

    def candidates(self, level: float | None = None) -> tuple[LoadedModel, ...]:
        """The models in question at a level, see `fitting`: the one that was named, or the default ones.

        A default model that is not installed is missed when a picture needs it.
        """
        if self._given is not None:
            return (self._given,)
        found = []
        for channels in self._names:
            with suppress(ModelNotFoundError):
                found.append(self._default(channels, level))
        return tuple(found)

    def fitting(self, channels: int, level: float | None = None) -> LoadedModel:
        """The model for pictures of 1 or 3 channels.

        level: of their degradation, as in `ModelCard.level_range`; None if the model has to serve at every level.

        Raises:
            ModelMismatchError: the model named is for others. ModelNotFoundError: the default one is not installed.
            WeightsError: the default one, or one that may stand in for it, is damaged.
        """
        if self._given is None:
            return self._default(channels, level)
        if self._given.card.channels != channels and not self._is_default(self._given, channels):
            raise ModelMismatchError(
                f"a {CHANNELS[channels]} picture, but {self._given.card.name} is a model for "
                f"{CHANNELS[self._given.card.channels]} ones; {self._names[channels]} would fit"
            )
        return self._given

    def _is_default(self, model: LoadedModel, channels: int) -> bool:
        """Whether pictures of so many channels have the model by default, which then takes both kinds of them."""
        return model.card.name == self._names[channels] or model.card.name in self._stand_ins.get(channels, {})

    @cached_property
    def _stand_ins(self) -> dict[int, dict[str, ModelCard]]:
        return {} if self._explained else stand_ins(self._task)

    def _default_name(self, channels: int, level: float | None) -> str:
        if level is not None:
            for name, card in self._stand_ins.get(channels, {}).items():
                if card.covers(level):
                    return name
        return self._names[channels]

    def _default(self, channels: int, level: float | None) -> LoadedModel:
        name = self._default_name(channels, level)
        if name not in self._defaults:
            try:
                path = find(name, offline=self._offline)
            except ModelNotFoundError as error:
                raise ModelNotFoundError(
                    f"{name}, the default model to {self._task}, is not installed; name another with --model"
                ) from error
            self._defaults[name] = load_model(path)
        return self._defaults[name]

    def _check(self, model: LoadedModel) -> None:
        """Raise ModelMismatchError for a model of another task, or of channels that the task has no use for.

        Raise UsageError for one that has nothing to show where it is to be explained.
        """
        card, usable = model.card, " and ".join(dict.fromkeys(self._names.values()))
        tasks = (self._task, PRIOR_TASK) if self._task in _TAKE_PRIORS else (self._task,)
        if card.task not in tasks:
            raise ModelMismatchError(f"{card.name} is a model to {card.task}, not to {self._task}; {usable} would fit")
        if card.channels not in self._names:
            wanted = " or ".join(CHANNELS[channels] for channels in self._names)
            raise ModelMismatchError(
                f"{card.name} is for {CHANNELS[card.channels]} images, and to {self._task} takes one for {wanted} "
                f"images; {usable} would fit"
            )
        if self._task != PRIOR_TASK and card.task == PRIOR_TASK:
            check_prior(card)
        if self._explained:
            sparse_coding_of(model)


def check_prior(card: ModelCard) -> None:
    """Raise ModelMismatchError for a denoiser that can be no prior, for it was made for a part of the levels alone."""
    low, high = card.level_range
    if low > _FAINT_NOISE or high < _STRONG_NOISE:
        raise ModelMismatchError(
            f"{card.name} was made for noise of sigma {low:g} to {high:g} alone, and a prior has to remove noise from "
            f"{_FAINT_NOISE} to {_STRONG_NOISE}; {default_model(PRIOR_TASK, card.channels)} would fit"
        )
