"""The conditions of a route on its caller, written on the view itself. A view without it is never served.

The decorators only mark; `canteen.auth.guard` looks at the mark before the view or its schema is touched.
They may be in any order among decorators that keep a function's attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from flask import Flask
from flask.typing import RouteCallable
from sqlalchemy.orm import Session

V = TypeVar("V", bound=Callable[..., Any])

MARK = "__door__"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Door:
    """permissions: any one of them opens; tablet: the request must be signed by an enrolled tablet;
    public: why anyone may pass; loopback: callers on this machine pass without a permission;
    account: any logged-in person passes; revoked: a tablet that was shut out may still call;
    reads: why a POST that only reads is no GET; most: bytes of a body, where they may be more than usual;
    newest: how the newest event is read, by a route of tablets that reads something else with it.
    """

    permissions: tuple[str, ...] = ()
    tablet: bool = False
    public: str = ""
    loopback: bool = False
    account: bool = False
    revoked: bool = False
    reads: str = ""
    most: int = 0
    newest: Callable[[Session], tuple[int, str]] | None = None


def allowed(*permissions: str, loopback: bool = False) -> Callable[[V], V]:
    """Demand that the caller has one of `permissions` somewhere; the scope says where exactly."""
    if not permissions:
        raise ValueError("a door needs a permission")
    return _marking(permissions=tuple(permissions), loopback=loopback)


def public(why: str) -> Callable[[V], V]:
    """Let anyone call; `why` is the reason shown in the list of routes."""
    if not why:
        raise ValueError("a public door needs its reason")
    return _marking(public=why)


def own_account(view: V) -> V:
    """Let any logged-in person call: the view concerns the caller's own account alone."""
    return _marking(account=True)(view)


def tablet_signed(view: V) -> V:
    """Demand the signature of an enrolled tablet on the request; with @allowed also a cashier's session on it."""
    return _marking(tablet=True)(view)


def even_revoked(view: V) -> V:
    """Let a revoked tablet call too, with @tablet_signed; `g.tablet.revoked_at` tells the view."""
    return _marking(revoked=True)(view)


def reads_only(why: str) -> Callable[[V], V]:
    """Mark a POST that changes nothing; `why` it is not a GET: mostly as its words must not be in an address (P28)."""
    if not why:
        raise ValueError("a reading POST needs its reason")
    return _marking(reads=why)


def newest_read_by(read: Callable[[Session], tuple[int, str]]) -> Callable[[V], V]:
    """Let `read` answer number and hash of the newest event, which each request of a tablet begins with."""
    return _marking(newest=read)


def takes(most: int) -> Callable[[V], V]:
    """Allow a request body of up to `most` bytes, where a file is handed over."""
    return _marking(most=most)


def door_of(app: Flask, endpoint: str, method: str) -> Door | None:
    """Return the door of a route, or None when it has none."""
    view: RouteCallable | None = app.view_functions.get(endpoint)
    kind = getattr(view, "view_class", None)
    marked: object = view if kind is None else getattr(kind, method.lower(), None)
    return getattr(marked, MARK, None) or _listed(app).get(endpoint)


def list_public(app: Flask, endpoint: str, why: str) -> None:
    """Open an endpoint whose view is not ours to mark, such as Flask's static files."""
    _listed(app)[endpoint] = Door(public=why)


def undoored(app: Flask) -> Iterator[str]:
    """Yield 'METHOD /rule endpoint' of every route that names no door."""
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"OPTIONS"}):
            door = door_of(app, rule.endpoint, method)
            if door is None or not (door.permissions or door.public or door.tablet or door.account):
                yield f"{method} {rule.rule} {rule.endpoint}"


def _listed(app: Flask) -> dict[str, Door]:
    found: dict[str, Door] = app.extensions.setdefault("canteen-doors", {})
    return found


def _marking(**parts: Any) -> Callable[[V], V]:
    def mark(view: V) -> V:
        setattr(view, MARK, replace(getattr(view, MARK, None) or Door(), **parts))
        return view

    return mark
