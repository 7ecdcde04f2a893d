"""Settings in files: TOML recipes and JSON cards become frozen dataclasses, and errors name the key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from restorekit.errors import RestorekitError

_T = TypeVar("_T")


class Settings:
    """Base of dataclasses that are read from files: no unknown keys, and no type taken for another."""

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "strict": True}


def read_settings(kind: type[_T], values: Mapping[str, Any], where: str, error: type[RestorekitError]) -> _T:
    """Return an instance of the dataclass `kind` with these values.

    Numbers may be bounded by `Annotated[int, annotated_types.Ge(1)]`; a ValueError from `__post_init__` is an error of
    the whole section.

    Args:
        kind: a frozen dataclass that inherits from `Settings`.
        values: what JSON can hold, by the names of its fields.
        where: the name of the file or section, for messages.
        error: the class of error to raise, whose message names the first key that is wrong.
    """
    from pydantic import TypeAdapter, ValidationError  # takes a tenth of a second

    try:
        return TypeAdapter(kind).validate_json(json.dumps(values))
    except ValidationError as found:
        first = found.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise error(f"{where}: {f'{key}: ' if key else ''}{first['msg'].removeprefix('Value error, ')}") from found
    except (TypeError, ValueError) as found:
        raise error(f"{where}: {found}") from found
