"""The chain of events, the installation and what its secrets are checked against."""

from __future__ import annotations

from canteen import invariants
from migrations.baseline.tables import big, check, flag, index, instant, table, text, unique

GAPLESS = f"""NEW.number <> (SELECT coalesce(max(number), 0) + 1 FROM event)
    OR NEW.previous <> coalesce((SELECT hash FROM event ORDER BY number DESC LIMIT 1), '{"0" * 64}')"""


def create() -> None:
    table(
        "event",
        big("number", primary_key=True, autoincrement=False),
        instant("at"),
        text("actor"),
        text("kind"),
        text("subject"),
        text("body"),
        text("previous"),
        text("hash"),
        unique("hash"),
    )
    index("ix_event_kind", "event", "kind")
    index("ix_event_subject", "event", "subject")
    invariants.protect("event")
    invariants.refuse_insert("event_gapless", "event", GAPLESS)
    table(
        "installation",
        big("id", primary_key=True),
        text("incarnation"),
        flag("demo"),
        instant("made_at"),
        check("one_row", "id = 1"),
    )
    invariants.allow("INSERT, UPDATE", "installation")
    table(
        "key_check",
        text("name", primary_key=True),
        text("value"),
        instant("at"),
    )
    invariants.protect("key_check")
