"""Where text for people goes."""

from __future__ import annotations

from rich.console import Console


def make_console(*, stderr: bool) -> Console:
    """A console that shows text as it is, wide enough for any table where it is no terminal."""
    console = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = 200
    return console
