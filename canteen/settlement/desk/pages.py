"""Gather the pages of settlement under their one blueprint, which the application registers."""

from __future__ import annotations

from canteen.settlement.desk import claim_pages, export_pages, finding_pages, meal_pages, payout_pages, withheld_pages
from canteen.settlement.desk.blueprint import bp

PAGES = (
    claim_pages,
    export_pages,
    finding_pages,
    meal_pages,
    payout_pages,
    withheld_pages,
)  # each adds its routes when imported

__all__ = ["PAGES", "bp"]
