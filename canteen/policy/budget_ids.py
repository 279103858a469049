"""Ids under which the budgets of funds are counted: 'budget.city', and 'budget.city@c1' where each place has its own."""

from __future__ import annotations

PREFIX = "budget."


def budget_id(fund: str) -> str:
    """Return the id of a fund's budget: 'city' -> 'budget.city'."""
    return PREFIX + fund


def is_budget(allowance: str) -> bool:
    """Tell whether the id is that of a fund's budget."""
    return allowance.startswith(PREFIX)


def fund_of(allowance: str) -> str:
    """Return the fund of a budget's id: 'budget.city@c1' -> 'city'."""
    return allowance.removeprefix(PREFIX).partition("@")[0]
