"""Days as pages and addresses send them: ISO text such as 2026-01-05."""

from __future__ import annotations

from datetime import date

from canteen.errors import Refusal


def read_day(text: str) -> date | None:
    """Read a day; None for any text that writes none."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def required_day(text: str, refusal: Refusal) -> date:
    """Read a day. Raises the refusal for any text that writes none."""
    found = read_day(text)
    if found is None:
        raise refusal
    return found
