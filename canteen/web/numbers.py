"""Whole numbers as pages and addresses send them: one too large for a column is no number."""

from __future__ import annotations

from typing import Any

from flask import Flask
from werkzeug.routing import IntegerConverter

LARGEST = 2**31 - 1
"""The largest value of an Integer column in PostgreSQL."""


def whole(text: str, otherwise: int = -1) -> int:
    """Return the number written in ASCII digits, from 0 to LARGEST; `otherwise` for any other text."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(LARGEST))):
        return otherwise
    return int(text) if int(text) <= LARGEST else otherwise


class _Whole(IntegerConverter):
    """`<int:number>` of an address: a larger one is an address that does not exist."""

    regex = "[0-9]{1,10}"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"max": LARGEST, **kwargs})


def register(app: Flask) -> None:
    """Bound the numbers in addresses; before any page is registered."""
    app.url_map.converters["int"] = _Whole
