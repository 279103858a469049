"""The groups of the `canteen` command, one file each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask

from canteen.app import create_app
from canteen.db import db


@contextmanager
def installation() -> Iterator[Flask]:
    """The application that the environment names, opened for one command; its connections are closed after."""
    app = create_app()
    with app.app_context():
        try:
            yield app
        finally:
            db.session.remove()
            db.engine.dispose()
