"""Complaints and their steps, food sent to points, telephone orders, other services: all are facts."""

from __future__ import annotations

from canteen import invariants
from migrations.baseline.tables import big, blob, check, day, index, instant, table, text, to

OUT_OF_TURN = """NEW.n <> (SELECT coalesce(max(n), 0) + 1 FROM complaint_step WHERE complaint_id = NEW.complaint_id)
                 OR (NEW.n = 1) <> (NEW.kind = 'register')
                 OR EXISTS (SELECT 1 FROM complaint_step s
                            WHERE s.complaint_id = NEW.complaint_id AND s.n = NEW.n - 1
                            AND (s.kind = 'close' OR (NEW.kind IN ('return', 'close') AND s.kind <> 'answer')))"""
CLOSED_BY_WHO_ANSWERED = """NEW.kind = 'close' AND EXISTS
    (SELECT 1 FROM complaint_step s
     WHERE s.complaint_id = NEW.complaint_id AND s.kind = 'answer' AND s."by" = NEW."by")"""


def create() -> None:
    _complaints()


def _complaints() -> None:
    table(
        "complaint",
        big("id", primary_key=True, autoincrement=False),
        text("canteen_id", to("canteen.id")),
        day("received_on"),
        text("channel"),
        text("category"),
        text("caller_name"),
        blob("contact_cipher", nullable=True),
        text("words"),
        text("by"),
        instant("at"),
        big("recorded"),
        check(
            "codes",
            "channel IN ('phone', 'visit', 'letter', '12345', '12349') AND category IN "
            "('food', 'hygiene', 'price', 'subsidy', 'manners', 'delivery', 'other')",
        ),
        check("words", "words <> ''"),
    )
    index("ix_complaint_canteen_id", "complaint", "canteen_id")
    table(
        "complaint_step",
        big("complaint_id", to("complaint.id"), primary_key=True),
        big("n", primary_key=True, autoincrement=False),
        text("kind"),
        text("words"),
        text("assignee"),
        day("due_on"),
        text("by"),
        instant("at"),
        big("recorded"),
        check("kind", "kind IN ('register', 'assign', 'answer', 'return', 'close')"),
        check("words", "kind NOT IN ('answer', 'return', 'close') OR words <> ''"),
    )
    invariants.protect("complaint", "complaint_step")
    invariants.refuse_insert("complaint_in_turn", "complaint_step", OUT_OF_TURN)
    invariants.refuse_insert("complaint_two_people", "complaint_step", CLOSED_BY_WHO_ANSWERED)
