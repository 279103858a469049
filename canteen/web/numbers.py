"""Whole numbers as pages and addresses send them: one that no column holds is no number."""

from __future__ import annotations

from typing import Any

from flask import Flask
from werkzeug.routing import IntegerConverter

LARGEST = 2**31 - 1
"""What a column of the type Integer holds in PostgreSQL."""


def whole(text: str, otherwise: int = -1) -> int:
    """The number that ASCII digits write, from 0 to LARGEST; `otherwise` for any other text."""
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
