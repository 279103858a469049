"""Rulebooks and their publication by two people, drafts and simulations, and the bureau's table of holidays."""

from __future__ import annotations

from canteen import invariants
from migrations.baseline.tables import big, check, day, index, instant, table, text, to, unique


def create() -> None:
    _published()
    _drafts()
    table(
        "calendar_day",
        big("id", primary_key=True),
        day("day"),
        text("kind"),
        text("name"),
        text("by"),
        instant("at"),
        big("recorded"),
        check("kind", "kind IN ('workday', 'weekend', 'holiday', 'makeup', '')"),
    )
    index("ix_calendar_day_day", "calendar_day", "day")
    invariants.protect("calendar_day")


def _published() -> None:
    table(
        "rulebook",
        text("hash", primary_key=True),
        text("scheme"),
        big("version"),
        text("body"),
        text("yaml"),
        text("drafted_by"),
        instant("drafted_at"),
        big("recorded"),
        unique("scheme", "version"),
    )
    table(
        "publication",
        big("id", primary_key=True),
        text("rulebook_hash", to("rulebook.hash")),
        text("scheme"),
        text("layer"),
        text("node_id"),
        day("from_day"),
        day("to_day", nullable=True),
        text("drafted_by"),
        text("published_by"),
        instant("published_at"),
        big("recorded"),
        check("days", "to_day IS NULL OR to_day >= from_day"),
        check("layer", "layer IN ('city', 'district', 'street', 'canteen')"),
        check("two_people", "published_by <> drafted_by"),
        unique("layer", "node_id", "scheme", "from_day"),
    )
    table(
        "publication_file",
        big("publication_id", to("publication.id"), primary_key=True),
        text("diff"),
        text("gate"),
        text("replay", nullable=True),
    )
    table(
        "joined_rulebook",
        text("hash", primary_key=True),
        text("body"),
        text("parts"),
    )
    invariants.protect("rulebook", "publication", "publication_file", "joined_rulebook")


def _drafts() -> None:
    table(
        "rulebook_draft",
        big("id", primary_key=True),
        text("title"),
        text("yaml"),
        text("layer"),
        text("node_id"),
        text("state"),
        text("hash", nullable=True),
        text("by"),
        big("changes"),
        instant("made_at"),
        instant("changed_at"),
        check("layer", "layer IN ('city', 'district', 'street', 'canteen')"),
        check("state", "state IN ('open', 'submitted', 'dropped')"),
    )
    table(
        "simulation",
        big("id", primary_key=True),
        text("title"),
        text("body"),
        text("hash"),
        text("layer"),
        text("node_id"),
        text("months"),
        text("by"),
        instant("asked_at"),
        text("state"),
        big("meals"),
        big("of_meals"),
        instant("started_at", nullable=True),
        instant("finished_at", nullable=True),
        text("result", nullable=True),
        text("error"),
        check("layer", "layer IN ('city', 'district', 'street', 'canteen')"),
        check("state", "state IN ('waiting', 'running', 'done', 'failed', 'cancelled')"),
    )
    invariants.allow("INSERT, UPDATE", "rulebook_draft", "simulation")
