"""Applications for the meal subsidy with the opinions given on them."""

from __future__ import annotations

from canteen import invariants
from migrations.baseline.tables import big, blob, check, day, flag, index, instant, table, text, to, uid

# The newest opinion closes an application: refused by either step, or agreed by the street.
_OPEN = """EXISTS (SELECT 1 FROM application a WHERE a.elder_id = NEW.elder_id AND NOT EXISTS (
                SELECT 1 FROM application_opinion o
                WHERE o.application_id = a.id AND (o.outcome = 'refused' OR o.step = 'street')))"""
_OUT_OF_TURN = """NEW.step = 'street' AND NOT EXISTS (
                SELECT 1 FROM application_opinion o
                WHERE o.application_id = NEW.application_id AND o.step = 'community' AND o.outcome = 'agreed')"""
_ALONE = """NEW.step = 'street' AND (
                EXISTS (SELECT 1 FROM application a WHERE a.id = NEW.application_id AND a.taken_by = NEW."by")
                OR EXISTS (SELECT 1 FROM application_opinion o
                           WHERE o.application_id = NEW.application_id AND o."by" = NEW."by"))"""


def create() -> None:
    table(
        "application",
        big("id", primary_key=True, autoincrement=False),
        uid("elder_id", to("elder.id")),
        text("area_id", to("area.id")),
        text("canteen_id", to("canteen.id"), nullable=True),
        flag("registers"),
        text("mode"),
        blob("details_cipher"),
        text("notice"),
        text("consent"),
        text("taken_by"),
        instant("taken_at"),
        check("mode", "mode IN ('dine_in', 'delivered')"),
        check("consent", "consent IN ('signed', 'fingerprint', 'by_agent')"),
        check("notice", "notice <> ''"),
    )
    index("ix_application_elder", "application", "elder_id")
    index("ix_application_area", "application", "area_id", "id")
    index("ix_application_canteen", "application", "canteen_id", "id")
    table(
        "application_class",
        big("application_id", to("application.id"), primary_key=True),
        text("class_code", primary_key=True),
    )
    table(
        "application_opinion",
        big("application_id", to("application.id"), primary_key=True),
        text("step", primary_key=True),
        text("outcome"),
        text("reason"),
        day("effective_from", nullable=True),
        text("by"),
        instant("at"),
        big("recorded"),
        check("step", "step IN ('community', 'street')"),
        check("outcome", "outcome IN ('agreed', 'refused')"),
        check("reason", "outcome = 'agreed' OR reason <> ''"),
        check("effective", "(effective_from IS NOT NULL) = (step = 'street' AND outcome = 'agreed')"),
    )
    invariants.protect("application", "application_class", "application_opinion")
    lock = "PERFORM 1 FROM elder WHERE id = NEW.elder_id FOR NO KEY UPDATE;"
    invariants.refuse_insert("application_one_open", "application", _OPEN, first=lock)
    invariants.refuse_insert("opinion_in_turn", "application_opinion", _OUT_OF_TURN)
    invariants.refuse_insert("opinion_two_people", "application_opinion", _ALONE)
