"""What a bureau decides of its installation, dated and append-only."""

from __future__ import annotations

from canteen import invariants
from migrations.baseline.tables import big, check, day, instant, table, text

KEYS = (
    "key IN ('card_brand', 'card_name', 'claim_steps', 'close_day', 'close_hour', 'contact_phone', 'posting_days', "
    "'retention_years')"
)


def create() -> None:
    table(
        "setting",
        text("key", primary_key=True),
        day("from_day", primary_key=True),
        big("n", primary_key=True, autoincrement=False),
        text("value"),
        day("entered"),
        text("by"),
        instant("at"),
        big("recorded"),
        check("key", KEYS),
        check("not_backdated", "from_day >= entered"),
    )
    invariants.protect("setting")
    invariants.refuse_insert(
        "setting_in_turn",
        "setting",
        """NEW.n <> (SELECT coalesce(max(n), 0) + 1 FROM setting
                     WHERE key = NEW.key AND from_day = NEW.from_day)""",
    )
