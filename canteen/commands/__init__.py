"""The groups of the `canteen` command, one file each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask

from canteen import startup
from canteen.app import create_app
from canteen.db import db


@contextmanager
def installation(*, checked: bool = True, keys: bool = True) -> Iterator[Flask]:
    """Yield the application named by the environment, opened for one command; its connections are closed after.

    checked  False to look at an installation that may not be fit to work
    keys     False for commands that only read what is not sealed
    Raises what `startup.check` raises.
    """
    app = create_app()
    with app.app_context():
        try:
            if checked:
                startup.check(keys=keys)
            yield app
        finally:
            db.session.remove()
            db.engine.dispose()
