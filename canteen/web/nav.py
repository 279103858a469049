"""The menu of the desk: each package names its pages, the guard shows those the caller may open."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from flask import current_app


@dataclass(frozen=True, slots=True, order=True)
class MenuEntry:
    """A page in the menu; `position` orders it."""

    position: int
    endpoint: str
    label: str
    count: Callable[[str], int] | None = field(default=None, compare=False)  # of what waits for a person


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice at the top of the desk's front page. `kind`: '', 'warn' or 'bad'."""

    kind: str
    text: str
    endpoint: str  # where it is mended
    label: str


_entries: dict[str, MenuEntry] = {}
_notices: dict[str, Callable[[], Iterable[Notice]]] = {}


def add(endpoint: str, label: str, *, position: int, count: Callable[[str], int] | None = None) -> None:
    """Put a page into the menu; naming it again replaces it. `count` returns how much waits there for a person id."""
    _entries[endpoint] = MenuEntry(position, endpoint, label, count)


def entries() -> list[MenuEntry]:
    """Return the entries whose pages this application serves, in order."""
    return [entry for entry in sorted(_entries.values()) if entry.endpoint in current_app.view_functions]


def add_notices(name: str, notices_of: Callable[[], Iterable[Notice]]) -> None:
    """Show on every page what `notices_of` returns for the present caller; naming it again replaces it."""
    _notices[name] = notices_of


def notices() -> list[Notice]:
    """Return all notices for the present caller."""
    return [notice for _, notices_of in sorted(_notices.items()) for notice in notices_of()]
