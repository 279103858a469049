"""People, their roles and sessions; tablets and who logged in at them; changes that need a second person."""

from __future__ import annotations

from canteen import invariants
from migrations.baseline.tables import big, blob, check, flag, index, instant, table, text, to, unique

ASKED_BY_THE_SAME = 'EXISTS (SELECT 1 FROM change_request r WHERE r.id = NEW.request_id AND r.asked_by = NEW."by")'


def create() -> None:
    _people()
    _tablets()
    _sessions()
    _changes()


def _people() -> None:
    table(
        "person",
        text("id", primary_key=True),
        text("login"),
        text("name"),
        text("password_hash", nullable=True),
        text("pin_hash", nullable=True),
        instant("disabled_at", nullable=True),
        instant("changed_at"),
        flag("must_change"),
        check("way_in", "password_hash IS NOT NULL OR pin_hash IS NOT NULL OR disabled_at IS NOT NULL"),
        unique("login"),
    )
    table(
        "role_grant",
        big("id", primary_key=True),
        text("person_id", to("person.id")),
        text("role"),
        text("node_kind"),
        text("node_id"),
        text("granted_by"),
        instant("granted_at"),
        instant("ended_at", nullable=True),
        text("ended_by", nullable=True),
        check("node", "node_kind IN ('area', 'operator', 'canteen')"),
        check("role", "role IN ('cashier', 'manager', 'reviewer', 'finance', 'admin', 'auditor', 'operator_it')"),
    )
    index("ix_role_grant_person_id", "role_grant", "person_id")
    table(
        "attempts",
        text("key", primary_key=True),
        big("failures"),
        instant("since"),
        instant("locked_until", nullable=True),
        check("failures", "failures >= 0"),
    )
    invariants.allow("INSERT, UPDATE", "person", "role_grant")
    invariants.allow("INSERT, UPDATE, DELETE", "attempts")
    invariants.keep_names("person")


def _tablets() -> None:
    table(
        "tablet",
        text("id", primary_key=True),
        text("name"),
        text("canteen_id", to("canteen.id")),
        blob("public_key"),
        instant("enrolled_at"),
        text("enrolled_by"),
        instant("seen_at", nullable=True),
        instant("revoked_at", nullable=True),
        big("skew_ms", nullable=True),
        big("epoch", nullable=True),
        big("number", nullable=True),
        big("mono_ms", nullable=True),
        text("boot", nullable=True),
    )
    index("ix_tablet_canteen_id", "tablet", "canteen_id")
    table(
        "enrolment_code",
        text("digest", primary_key=True),
        text("canteen_id", to("canteen.id")),
        text("name"),
        text("made_by"),
        instant("made_at"),
        instant("expires_at"),
        text("tablet_id", to("tablet.id"), nullable=True),
    )
    table(
        "tablet_ahead",
        text("tablet_id", to("tablet.id"), primary_key=True),
        big("epoch", primary_key=True),
        big("received"),
        big("acknowledged"),
        text("incarnation"),
        instant("since"),
        check("numbers", "epoch >= 1 AND received >= 0 AND acknowledged > received"),
    )
    table(
        "tablet_silence",
        big("id", primary_key=True),
        text("tablet_id", to("tablet.id")),
        instant("from_at"),
        big("epoch", nullable=True),
        big("number", nullable=True),
        big("mono_ms", nullable=True),
        text("boot", nullable=True),
        big("skew_ms", nullable=True),
        instant("until_at"),
        big("until_epoch", nullable=True),
        big("until_number", nullable=True),
        big("until_skew_ms", nullable=True),
        check("order", "until_at > from_at"),
        unique("tablet_id", "from_at"),
    )
    table(
        "till_login",
        big("id", primary_key=True),
        text("tablet_id", to("tablet.id")),
        text("person_id"),
        flag("opens"),
        instant("at"),
    )
    index("ix_till_login_tablet", "till_login", "tablet_id", "at")
    invariants.allow("INSERT, UPDATE", "tablet", "enrolment_code")
    invariants.allow("INSERT, UPDATE, DELETE", "tablet_ahead")
    invariants.keep_names("tablet")
    invariants.protect("tablet_silence", "till_login")


def _sessions() -> None:
    table(
        "web_session",
        text("id", primary_key=True),
        text("person_id", to("person.id")),
        text("tablet_id", to("tablet.id"), nullable=True),
        text("csrf"),
        instant("made_at"),
        instant("seen_at"),
        instant("ended_at", nullable=True),
    )
    index("ix_web_session_person_id", "web_session", "person_id")
    table(
        "desk_login",
        text("browser", primary_key=True),
        text("person_id", to("person.id"), primary_key=True),
        instant("at", primary_key=True),
    )
    invariants.allow("INSERT, UPDATE, DELETE", "web_session")
    invariants.protect("desk_login")


def _changes() -> None:
    table(
        "change_request",
        big("id", primary_key=True, autoincrement=False),
        text("kind"),
        text("subject"),
        text("places"),
        text("asked_by"),
        instant("asked_at"),
    )
    table(
        "change_line",
        big("request_id", to("change_request.id"), primary_key=True),
        big("n", primary_key=True, autoincrement=False),
        text("subject"),
        text("asked"),
    )
    index("ix_change_line_subject", "change_line", "subject")
    table(
        "change_answer",
        big("request_id", to("change_request.id"), primary_key=True),
        text("outcome"),
        text("reason"),
        text("by"),
        instant("at"),
        check("outcome", "outcome IN ('confirmed', 'refused')"),
        check("reason", "outcome = 'confirmed' OR reason <> ''"),
    )
    invariants.protect("change_request", "change_line", "change_answer")
    invariants.refuse_insert("change_two_people", "change_answer", ASKED_BY_THE_SAME)
