"""Which triggers and rights must stand. Migrations assert it when they end, `canteen doctor` at any time."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, text

OWNER, APP, AUDITOR = "canteen_owner", "canteen_app", "canteen_auditor"

# Tables of facts: rows are added and never changed.
FACTS = (
    "event", "record", "sale_key", "sale", "sale_line", "share", "sale_use", "void", "payment", "tender",
    "quote_input", "transfer", "account", "elder", "elder_fact", "elder_identity", "elder_photo", "identity_key",
    "credential", "credential_fact", "rulebook", "publication", "joined_rulebook", "statement", "finding",
    "finding_answer", "claim", "claim_line", "decision", "held", "held_answer", "payout", "payout_check",
    "publication_file", "calendar_day", "revaluation", "revaluation_order", "revalued_sale", "revalued_share",
    "added_use", "refund_given",
)  # fmt: skip
# What a new row must satisfy besides, by the name of its trigger; the conditions stand in the migrations.
ON_INSERT = (
    "event_gapless", "period_chained", "transfer_period", "transfer_accounts", "claim_whole_periods",
    "decision_in_turn", "decision_two_people", "payout_two_people", "revaluation_two_people", "revalued_period",
    "revalued_standing",
)  # fmt: skip

# Tables that are state, not facts: the application may change their rows, and where named, remove them.
CHANGED = (
    "slot", "amount_used", "attempts", "web_session", "tablet", "person", "role_grant", "enrolment_code",
    "lost_epoch", "card_code", "import_run", "job_run", "area", "area_link", "operator", "payee", "canteen",
    "meal_window", "serving_days", "closure", "serving_point", "contract", "menu_item", "installation",
    "rulebook_draft", "simulation", "revaluation_run",
)  # fmt: skip
REMOVED = ("slot", "card_code", "attempts", "web_session")


class LawMissing(RuntimeError):
    """A trigger that guards the facts does not stand."""


def expected(facts: Iterable[str], on_insert: Iterable[str], dialect: str) -> set[str]:
    """Names of the triggers that must stand on a database of `dialect`."""
    acts = ("change", "truncate") if dialect == "postgresql" else ("update", "delete", "replace")
    names = {f"law_{table}_no_{act}" for table in facts for act in acts}
    names |= {f"law_{name}" for name in on_insert} | {"law_period_flips_once", "law_period_no_delete"}
    return names | ({"law_period_no_truncate"} if dialect == "postgresql" else set())


def wanted(dialect: str) -> set[str]:
    """Names of the triggers that must stand in the present schema."""
    return expected(FACTS, ON_INSERT, dialect)


def standing(connection: Connection) -> set[str]:
    """Names of the law triggers that stand and are enabled."""
    if connection.dialect.name == "postgresql":
        query = """SELECT tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
                   WHERE NOT tgisinternal AND tgenabled IN ('O', 'A') AND tgname LIKE 'law\\_%'"""
    else:
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'law\\_%' ESCAPE '\\'"
    return {row[0] for row in connection.execute(text(query))}


def assert_triggers(connection: Connection, names: set[str]) -> None:
    """Raises LawMissing naming what is not there, or there and not expected."""
    there = standing(connection)
    if there != names:
        raise LawMissing(f"missing {sorted(names - there)}, unexpected {sorted(there - names)}")


def grants(facts: Iterable[str], changed_tables: Iterable[str], removed_tables: Iterable[str]) -> list[str]:
    """The rights of the three roles over the first tables, as statements for PostgreSQL; later ones grant their own."""
    changed, removed = ", ".join(changed_tables), ", ".join(removed_tables)
    return [
        f"GRANT USAGE ON SCHEMA public TO {APP}, {AUDITOR}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {APP}, {AUDITOR}",
        f"GRANT INSERT ON {', '.join(facts)}, period TO {APP}",
        f"GRANT INSERT, UPDATE ON {changed} TO {APP}",
        f"GRANT DELETE ON {removed} TO {APP}",
        f"GRANT UPDATE (state, closed_at) ON period TO {APP}",
        # a row lock asks for the right to update some column; the trigger still refuses every update
        f"GRANT UPDATE (made_at) ON elder, claim TO {APP}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {APP}",
    ]


def make_roles(connection: Connection) -> None:
    """Make the three roles where they are missing, and let this login act as the owner. PostgreSQL only."""
    for role in (OWNER, APP, AUDITOR):
        connection.execute(
            text(
                f"""DO $$ BEGIN CREATE ROLE {role} NOLOGIN;
                    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"""
            )
        )
