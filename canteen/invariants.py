"""Which triggers and rights must stand. Migrations assert it when they end, `canteen doctor` at any time."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, inspect, text

OWNER, APP, AUDITOR = "canteen_owner", "canteen_app", "canteen_auditor"
CHAIN = 7_340_001  # PostgreSQL advisory lock of the chain of events: held to the end of the transaction

# Tables of facts: rows are added and never changed.
FACTS = (
    "event", "record", "sale_key", "sale", "sale_line", "share", "sale_use", "void", "payment", "tender",
    "quote_input", "transfer", "account", "elder", "elder_fact", "elder_identity", "elder_photo", "identity_key",
    "credential", "credential_fact", "rulebook", "publication", "joined_rulebook", "statement", "finding",
    "finding_answer", "claim", "claim_line", "decision", "held", "held_answer", "payout", "payout_check",
    "publication_file", "calendar_day", "revaluation", "revaluation_order", "revalued_sale", "revalued_share",
    "added_use", "refund_given", "prorating", "prorating_part", "prorating_booked", "prorated_share", "given_up_use",
    "change_request", "change_line", "change_answer", "desk_login",
    "regrant", "name_entry", "surcharge", "tablet_silence", "till_login", "key_check",
)  # fmt: skip
# What a new row must satisfy besides, by the name of its trigger; the conditions stand in the migrations.
ON_INSERT = (
    "event_gapless", "period_chained", "transfer_period", "transfer_accounts", "claim_whole_periods",
    "decision_in_turn", "decision_two_people", "payout_two_people", "revaluation_two_people", "revalued_period",
    "revalued_standing", "decision_known_move", "decision_paid_by_two", "prorating_within_limit",
    "prorated_within_share", "regrant_standing", "given_up_granted", "change_two_people", "lost_apart",
)  # fmt: skip

# Of tables of state: what a changed row must satisfy, and which keep all their rows; conditions in the migrations.
ON_CHANGE = ("lost_confirmed_once",)
KEPT = ("lost_numbers",)

# Tables that are state, not facts: the application may change their rows, and where named, remove them.
CHANGED = (
    "slot", "amount_used", "attempts", "web_session", "tablet", "person", "role_grant", "enrolment_code",
    "lost_numbers", "card_code", "import_run", "job_run", "area", "area_link", "operator", "payee", "canteen",
    "meal_window", "serving_days", "closure", "serving_point", "contract", "menu_item", "installation",
    "rulebook_draft", "simulation", "revaluation_run", "scheduler_beat", "tablet_ahead",
)  # fmt: skip
REMOVED = ("slot", "card_code", "attempts", "web_session", "tablet_ahead")

# Tables whose names are kept when they change, each by a trigger that adds to name_entry.
NAMED = ("canteen", "operator", "payee", "area", "person", "tablet")


class InvariantMissing(RuntimeError):
    """A trigger that guards the facts does not stand."""


def expected(facts: Iterable[str], on_insert: Iterable[str], dialect: str) -> set[str]:
    """Names of the triggers that must stand on a database of `dialect`."""
    acts = ("change", "truncate") if dialect == "postgresql" else ("update", "delete", "replace")
    names = {f"law_{table}_no_{act}" for table in facts for act in acts}
    names |= {f"law_{name}" for name in on_insert} | {"law_period_flips_once", "law_period_no_delete"}
    return names | ({"law_period_no_truncate"} if dialect == "postgresql" else set())


def wanted(dialect: str) -> set[str]:
    """Names of the triggers that must stand in the present schema."""
    acts = ("",) if dialect == "postgresql" else ("_new", "_changed")
    names = expected(FACTS, (*ON_INSERT, *ON_CHANGE), dialect)
    names |= {f"law_{table}_named{act}" for table in NAMED for act in acts}
    names |= {f"law_{table}_no_delete" for table in KEPT}
    return names | ({"law_period_no_replace"} if dialect == "sqlite" else set())


def standing(connection: Connection) -> set[str]:
    """Return the names of the triggers of invariants that exist and are enabled."""
    if connection.dialect.name == "postgresql":
        query = """SELECT tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
                   WHERE NOT tgisinternal AND tgenabled IN ('O', 'A') AND tgname LIKE 'law\\_%'"""
    else:
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'law\\_%' ESCAPE '\\'"
    return {row[0] for row in connection.execute(text(query))}


def hollow(connection: Connection) -> set[str]:
    """Return the invariants' triggers whose body refuses nothing and keeps no name: one may have been written over."""
    if connection.dialect.name == "postgresql":
        query = """SELECT tgname FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid
                   WHERE NOT tgisinternal AND tgname LIKE 'law\\_%' AND prosrc NOT LIKE '%RAISE EXCEPTION ''law: %'
                   AND prosrc NOT LIKE '%INSERT INTO name_entry%'"""
    else:
        query = """SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'law\\_%' ESCAPE '\\'
                   AND sql NOT LIKE '%RAISE(ABORT, ''law: %' AND sql NOT LIKE '%INSERT INTO name_entry%'"""
    return {row[0] for row in connection.execute(text(query))}


# Columns of facts and periods that the application may name in an UPDATE: a row lock asks for one, a period closes.
MAY_CHANGE = {("elder", "made_at"), ("claim", "made_at"), ("period", "state"), ("period", "closed_at")}


def excess_rights(connection: Connection) -> list[str]:
    """What the roles may do beyond their part, each as a sentence. PostgreSQL only."""
    columns = """SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
                 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND attnum > 0 AND NOT attisdropped
                 AND has_column_privilege(:role, c.oid, attnum, 'UPDATE')"""
    may = {(table, column) for table, column in connection.execute(text(columns), {"role": APP})}
    kept = {*FACTS, "period"}
    troubles = [f"{APP} may UPDATE {table}.{column}" for table, column in sorted(may - MAY_CHANGE) if table in kept]
    for role, rights, allowed in (
        (APP, ("DELETE",), set(REMOVED)),
        (APP, ("TRUNCATE", "TRIGGER"), set[str]()),
        (AUDITOR, ("INSERT", "UPDATE", "DELETE", "TRUNCATE", "TRIGGER"), set[str]()),
    ):
        for right in rights:
            tables = """SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
                        AND has_table_privilege(:role, oid, :right)"""
            found = set(connection.execute(text(tables), {"role": role, "right": right}).scalars())
            troubles += [f"{role} may {right} {table}" for table in sorted(found - allowed)]
    more = """SELECT rolname FROM pg_roles WHERE rolname IN (:app, :auditor)
              AND (rolsuper OR rolcreaterole OR pg_has_role(rolname, :owner, 'MEMBER'))"""
    above = connection.execute(text(more), {"app": APP, "auditor": AUDITOR, "owner": OWNER}).scalars()
    return troubles + [f"{role} may do what the owner may" for role in sorted(above)]


def assert_triggers(connection: Connection, names: set[str]) -> None:
    """Raises InvariantMissing naming what is not there, or there and not expected."""
    there = standing(connection)
    if there != names:
        raise InvariantMissing(f"missing {sorted(names - there)}, unexpected {sorted(there - names)}")


def protect(connection: Connection, *tables: str) -> None:
    """Make tables append-only: triggers refuse UPDATE, DELETE, TRUNCATE and REPLACE; roles get the rights of facts.

    For migrations from 0008 on; earlier ones carry their own copy.
    """
    for table in tables:
        if connection.dialect.name == "postgresql":
            _protect_postgresql(connection, table)
        else:
            _protect_sqlite(connection, table)


def _protect_postgresql(connection: Connection, table: str) -> None:
    for act, when, each in (("change", "UPDATE OR DELETE", "ROW"), ("truncate", "TRUNCATE", "STATEMENT")):
        connection.exec_driver_sql(
            f"""CREATE TRIGGER law_{table}_no_{act} BEFORE {when} ON {table}
                FOR EACH {each} EXECUTE FUNCTION law_refuse()"""
        )
    connection.exec_driver_sql(f"GRANT SELECT, INSERT ON {table} TO {APP}")
    connection.exec_driver_sql(f"GRANT SELECT ON {table} TO {AUDITOR}")


def _protect_sqlite(connection: Connection, table: str) -> None:
    inspector = inspect(connection)
    unique = [inspector.get_pk_constraint(table)["constrained_columns"]]
    unique += [key["column_names"] for key in inspector.get_unique_constraints(table)]
    same = [" AND ".join(f'"{name}" = NEW."{name}"' for name in columns) for columns in unique]
    taken = " OR ".join(f"EXISTS (SELECT 1 FROM {table} WHERE {condition})" for condition in same)  # noqa: S608 - names of ours
    _sqlite_trigger(connection, f"{table}_no_update", f"BEFORE UPDATE ON {table}", "1")
    _sqlite_trigger(connection, f"{table}_no_delete", f"BEFORE DELETE ON {table}", "1")
    _sqlite_trigger(connection, f"{table}_no_replace", f"BEFORE INSERT ON {table}", taken)


def refuse_insert(connection: Connection, name: str, table: str, condition: str) -> None:
    """Create the trigger law_{name}: an INSERT into `table` is refused when the SQL `condition` on NEW is true."""
    _refuse(connection, name, f"BEFORE INSERT ON {table}", condition)


def refuse_change(connection: Connection, name: str, table: str, condition: str) -> None:
    """Create the trigger law_{name}: an UPDATE of `table` is refused when the `condition` on OLD and NEW is true."""
    _refuse(connection, name, f"BEFORE UPDATE ON {table}", condition)


def refuse_removal(connection: Connection, table: str) -> None:
    """Create the trigger law_{table}_no_delete: no row leaves `table`."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            f"""CREATE TRIGGER law_{table}_no_delete BEFORE DELETE ON {table}
                FOR EACH ROW EXECUTE FUNCTION law_refuse()"""
        )
    else:
        _sqlite_trigger(connection, f"{table}_no_delete", f"BEFORE DELETE ON {table}", "1")


def _refuse(connection: Connection, name: str, when: str, condition: str) -> None:
    if connection.dialect.name != "postgresql":
        _sqlite_trigger(connection, name, when, condition)
        return
    connection.exec_driver_sql(
        f"""CREATE FUNCTION law_{name}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF {condition} THEN
                    RAISE EXCEPTION 'law: {name}' USING ERRCODE = '23001';
                END IF;
                RETURN NEW;
            END $$"""
    )
    connection.exec_driver_sql(f"CREATE TRIGGER law_{name} {when} FOR EACH ROW EXECUTE FUNCTION law_{name}()")


def _sqlite_trigger(connection: Connection, name: str, when: str, condition: str) -> None:
    connection.exec_driver_sql(
        f"CREATE TRIGGER law_{name} {when} WHEN {condition} BEGIN SELECT RAISE(ABORT, 'law: {name}'); END"
    )


# What the entry of a name takes from its row; a payee's bank and account stand with the name.
_PLAIN, _PAYEE = "name, '', '', NULL", "name, bank, account_tail, account_cipher"
_ENTRY = """INSERT INTO name_entry (kind, subject, n, name, bank, account_tail, account_cipher, recorded)
            SELECT '{table}', {row}.id, {n}, {columns}, {recorded} {rows}"""


def keep_names(connection: Connection, *tables: str) -> None:
    """Enter the names that stand, and make triggers that enter each new and each changed one.

    A change takes the lock of the events' chain: so no period closes between the number that it reads and its commit.
    """
    for table in tables:
        columns = (_PAYEE if table == "payee" else _PLAIN).split(", ")
        there = {"table": table, "row": table, "n": 1, "columns": ", ".join(columns), "recorded": 0}
        connection.exec_driver_sql(_ENTRY.format(**there, rows=f"FROM {table}"))
        taken = [name if name.startswith("'") or name == "NULL" else f"NEW.{name}" for name in columns]
        entry = _ENTRY.format(
            table=table,
            row="NEW",
            n=f"(SELECT coalesce(max(n), 0) + 1 FROM name_entry WHERE kind = '{table}' AND subject = NEW.id)",  # noqa: S608 - names of ours
            columns=", ".join(taken),
            recorded="(SELECT coalesce(max(number), 0) + 1 FROM event)",
            rows="",
        )
        kept = [name for name in columns if f"NEW.{name}" in taken]
        if connection.dialect.name == "postgresql":
            _keep_names_postgresql(connection, table, kept, entry)
        else:
            _keep_names_sqlite(connection, table, kept, entry)


def _keep_names_postgresql(connection: Connection, table: str, kept: list[str], entry: str) -> None:
    same = " AND ".join(f"NEW.{name} IS NOT DISTINCT FROM OLD.{name}" for name in kept)
    connection.exec_driver_sql(
        f"""CREATE FUNCTION law_{table}_named() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF TG_OP = 'UPDATE' THEN
                    IF {same} THEN
                        RETURN NULL;
                    END IF;
                    PERFORM pg_advisory_xact_lock({CHAIN});
                END IF;
                {entry};
                RETURN NULL;
            END $$"""
    )
    connection.exec_driver_sql(
        f"""CREATE TRIGGER law_{table}_named AFTER INSERT OR UPDATE OF {", ".join(kept)} ON {table}
            FOR EACH ROW EXECUTE FUNCTION law_{table}_named()"""
    )


def _keep_names_sqlite(connection: Connection, table: str, kept: list[str], entry: str) -> None:
    differs = " OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in kept)
    for act, when in (("new", "INSERT"), ("changed", f"UPDATE OF {', '.join(kept)}")):
        condition = "" if act == "new" else f" WHEN {differs}"
        connection.exec_driver_sql(
            f"CREATE TRIGGER law_{table}_named_{act} AFTER {when} ON {table}{condition} BEGIN {entry}; END"
        )


def grant_state(connection: Connection, *tables: str, removable: bool = False) -> None:
    """Give the roles their rights on tables of state: the application may INSERT and UPDATE, the auditor reads."""
    if connection.dialect.name != "postgresql":
        return
    names = ", ".join(tables)
    connection.exec_driver_sql(f"GRANT SELECT, INSERT, UPDATE{', DELETE' if removable else ''} ON {names} TO {APP}")
    connection.exec_driver_sql(f"GRANT SELECT ON {names} TO {AUDITOR}")


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
