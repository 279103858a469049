"""Gather the pages of rulebooks under their one blueprint, which the application registers."""

from __future__ import annotations

from canteen.ruledesk.desk import calendar_pages, draft_pages, publish_pages, rulebook_pages
from canteen.ruledesk.desk.blueprint import bp

PAGES = (rulebook_pages, draft_pages, publish_pages, calendar_pages)  # each adds its routes when imported

__all__ = ["PAGES", "bp"]
