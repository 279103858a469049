"""Read from the rulebooks that meals were sold under which budgets are prorated, and when their window ends."""

from __future__ import annotations

import json
from datetime import date, timedelta
from functools import lru_cache

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.policy import budget_ids, days
from canteen.rulebooks.models import JoinedRulebook

_known: dict[str, dict[str, str]] = {}  # of rulebooks by hash: a hash never names another rulebook


def prorated(session: Session, book: str, allowance: str) -> bool:
    """Tell whether the rulebook that a meal was judged under prorates this budget at its end."""
    return budget_ids.is_budget(allowance) and budget_ids.fund_of(allowance) in _prorated(session, book)


def prorated_by(body: str, allowance: str) -> bool:
    """Tell the same from a joined rulebook's text, which may not be stored yet."""
    return budget_ids.is_budget(allowance) and budget_ids.fund_of(allowance) in _read(body)


def last_day(session: Session, book: str, allowance: str, window: str) -> date:
    """Return the last day of a window of a prorated budget, as that rulebook counts windows."""
    kind, first = _prorated(session, book)[budget_ids.fund_of(allowance)], int(window)
    longest = {"month": 31, "quarter": 92, "year": 366}[kind]
    following = next(day for day in range(first + 27, first + longest + 1) if days.first_of(kind, day) > first)
    return clock.day_of(following) - timedelta(days=1)


def _prorated(session: Session, book: str) -> dict[str, str]:
    """Read the funds of a stored rulebook whose budget is prorated: fund -> kind of its window."""
    if book not in _known:
        query = select(JoinedRulebook.body).where(JoinedRulebook.hash == book)
        body = session.execute(query).scalar_one_or_none()
        if body is None:
            return {}
        _known[book] = _read(body)
    return _known[book]


@lru_cache(64)
def _read(body: str) -> dict[str, str]:
    return {
        fund["id"]: fund["budget"]["window"]
        for layer in json.loads(body)["layers"]
        for fund in layer.get("funds", ())
        if fund.get("budget", {}).get("at_end") == "prorate"
    }
