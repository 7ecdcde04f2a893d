"""Settings in files: TOML recipes and JSON cards become frozen dataclasses, and errors name the key."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, TypeVar

from restorekit.errors import RestorekitError

_T = TypeVar("_T")


class Settings:
    """Base of dataclasses that are read from files: no unknown keys, and no type taken for another."""

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "strict": True, "allow_inf_nan": False}


def read_settings(kind: type[_T], values: Mapping[str, Any], where: str, error: type[RestorekitError]) -> _T:
    """Return an instance of `kind`, a frozen dataclass of `Settings`, with these values: what JSON can hold, by field.

    Numbers may be bounded by `Annotated[int, annotated_types.Ge(1)]`; a ValueError from `__post_init__` is an error of
    the whole section. Raises `error`; its message names `where`, the file or section, and the first key that is wrong.
    """
    from pydantic import ValidationError  # takes a tenth of a second

    hashable: Any = kind  # classes are, but mypy does not know it
    try:
        settings: _T = _reader_of(hashable).validate_json(json.dumps(values))
        return settings
    except ValidationError as found:
        first = found.errors(include_url=False)[0]
        key = ".".join(part if (part := str(one)).isprintable() else ascii(part)[1:-1] for one in first["loc"])
        raise error(f"{where}: {f'{key}: ' if key else ''}{first['msg'].removeprefix('Value error, ')}") from found
    except (TypeError, ValueError) as found:
        raise error(f"{where}: {found}") from found


@lru_cache
def _reader_of(kind: type[Any]) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
