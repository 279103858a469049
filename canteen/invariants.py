"""What the database itself refuses: which triggers and rights there must be, and how migrations make them.

`canteen doctor` compares a database with these lists. A migration that adds a table of facts or a trigger adds its name.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from canteen.errors import Refusal

OWNER, APP, AUDITOR = "canteen_owner", "canteen_app", "canteen_auditor"
CHAIN = 7_340_001  # PostgreSQL advisory lock of the chain of events, kept to the end of the transaction

MADE_MEANWHILE = "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;"
INSUFFICIENT_PRIVILEGE, UNDEFINED_OBJECT = "42501", "42704"  # of PostgreSQL


class RolesMissing(Refusal):
    """The roles of PostgreSQL are not there and this login may not make them; `details` has the statements."""

    code = "roles_missing"
    message = (
        "数据库里缺少本系统的角色，当前登录无权建立。请数据库管理员用超级用户在本库执行下列语句一次，再重新运行本命令。"
    )


# Tables of facts: rows are added and never changed.
FACTS = (
    "event", "record", "sale", "sale_use", "void",
    "quote_input", "share_terms", "transfer", "account", "elder", "elder_fact", "elder_identity", "elder_photo", "identity_key",
    "credential", "credential_fact", "rulebook", "publication", "joined_rulebook", "statement", "finding",
    "finding_answer", "claim", "claim_line", "claimed_day", "decision", "withheld_meal", "withheld_answer", "payout", "payout_check",
    "publication_file", "calendar_day", "revaluation", "revaluation_order", "revalued_sale", "revalued_share",
    "use_change", "refund_given", "proration", "proration_part", "proration_booked", "prorated_share",
    "change_request", "change_line", "change_answer", "desk_login",
    "benefit_reallocation", "name_entry", "tablet_silence", "till_login", "key_check", "menu_price", "setting",
    "application", "application_class", "application_opinion", "agent", "agent_end", "complaint", "complaint_step",
)  # fmt: skip
# Further conditions on new rows, by the name of their trigger; the conditions are in the migrations.
ON_INSERT = (
    "event_gapless", "period_chained", "transfer_booked", "claim_whole_periods",
    "decision_in_turn", "decision_two_people", "payout_two_people", "revaluation_two_people", "revalued_period",
    "revalued_not_voided", "decision_known_move", "decision_paid_by_two", "proration_within_limit",
    "prorated_within_share", "reallocation_not_voided", "use_change_caused",
    "use_change_covered", "use_change_not_voided", "change_two_people", "lost_apart",
    "sale_lists", "share_terms_known", "record_tenders", "menu_price_in_turn", "claimed_days_whole", "setting_in_turn",
    "application_one_open", "opinion_in_turn", "opinion_two_people",
    "complaint_in_turn", "complaint_two_people",
)  # fmt: skip

# Of tables of state: what a changed row must satisfy, and which keep all their rows; conditions in the migrations.
ON_CHANGE = ("period_flips_once", "lost_confirmed_once")
KEPT = ("period", "lost_numbers")

# Tables that are state, not facts: the application may change their rows, and where named, remove them.
CHANGED = (
    "slot", "amount_used", "attempts", "web_session", "tablet", "person", "role_grant", "enrolment_code",
    "lost_numbers", "card_code", "import_run", "job_run", "area", "area_link", "operator", "payee", "canteen",
    "meal_window", "serving_days", "closure", "serving_point", "contract", "installation",
    "rulebook_draft", "simulation", "revaluation_run", "scheduler_beat", "tablet_ahead",
    "claim_export", "claim_export_part", "menu_item", "menu_plan", "sold_out", "menu_photo",
)  # fmt: skip
REMOVED = ("slot", "card_code", "attempts", "web_session", "tablet_ahead", "claim_export_part", "menu_plan")

# Tables whose names are kept when they change, each by a trigger that adds to name_entry.
NAMED = ("canteen", "operator", "payee", "area", "person", "tablet")


def wanted(dialect: str) -> set[str]:
    """Return the names of the triggers that must exist in the present schema."""
    postgresql = dialect == "postgresql"
    acts = ("change", "truncate") if postgresql else ("update", "delete", "replace")
    kept = ("delete", "truncate") if postgresql else ("delete", "replace")
    named = ("named",) if postgresql else ("named_new", "named_changed")
    names = {f"law_{table}_no_{act}" for table in FACTS for act in acts}
    names |= {f"law_{table}_no_{act}" for table in KEPT for act in kept}
    names |= {f"law_{table}_{act}" for table in NAMED for act in named}
    return names | {f"law_{name}" for name in (*ON_INSERT, *ON_CHANGE)}


def installed_triggers(connection: Connection) -> set[str]:
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
    """Return what the roles may do beyond their part, each as a sentence. PostgreSQL only."""
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


# --- for migrations: triggers and rights, made on the connection of the migration that runs ---


def prepare() -> None:
    """Make the function and grants that all triggers and rights of PostgreSQL need; for the first migration."""
    if _postgresql():
        _run(
            """CREATE FUNCTION law_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
               BEGIN RAISE EXCEPTION 'law: %', TG_NAME USING ERRCODE = '23001'; END $$"""
        )
        _run(f"GRANT USAGE ON SCHEMA public TO {APP}, {AUDITOR}")
        _run(f"GRANT SELECT ON alembic_version TO {APP}, {AUDITOR}")


def allow(rights: str, *tables: str) -> None:
    """Give the application `rights` (as GRANT writes them) on tables, and both roles SELECT. PostgreSQL alone has roles."""
    if _postgresql():
        names = ", ".join(tables)
        _run(f"GRANT SELECT ON {names} TO {APP}, {AUDITOR}")
        _run(f"GRANT {rights} ON {names} TO {APP}")
        _run(f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {APP}")


def view(name: str, query: str) -> None:
    """Create a view that both roles may read and nobody may write."""
    _run(f"CREATE VIEW {name} AS {query}")
    if _postgresql():
        _run(f"GRANT SELECT ON {name} TO {APP}, {AUDITOR}")


def protect(*tables: str) -> None:
    """Make tables append-only: triggers refuse UPDATE, DELETE, TRUNCATE and REPLACE; the application may INSERT."""
    for table in tables:
        if _postgresql():
            _refuse_all(table, "change", "UPDATE OR DELETE")
        else:
            _refuse_all(table, "update", "UPDATE")
            _refuse_all(table, "delete", "DELETE")
        _refuse_emptying(table)
    allow("INSERT", *tables)


def refuse_removal(table: str) -> None:
    """Let no row leave `table`, not by DELETE, TRUNCATE or REPLACE. Rows may change."""
    _refuse_all(table, "delete", "DELETE")
    _refuse_emptying(table)


def refuse_insert(name: str, table: str, condition: str, *, first: str = "") -> None:
    """Create the trigger law_{name}: an INSERT into `table` is refused when the SQL `condition` on NEW is true.

    first   on PostgreSQL, a statement to run first, to take a lock; on SQLite writers wait for each other anyway
    """
    _refuse(name, f"BEFORE INSERT ON {table}", condition, first)


def refuse_added(name: str, table: str, condition: str) -> None:
    """Create the trigger law_{name} like `refuse_insert`, on PostgreSQL run once a statement, after its rows were added.

    condition   `{for_share}` in it, after a LIMIT, keeps the rows read locked on PostgreSQL
    """
    if not _postgresql():
        _refuse(name, f"BEFORE INSERT ON {table}", condition.format(for_share=""))
        return
    wrong = condition.format(for_share=" FOR SHARE").replace("NEW.", "added.")
    _run(
        f"""CREATE FUNCTION law_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF EXISTS (SELECT 1 FROM added WHERE {wrong}) THEN
                    RAISE EXCEPTION 'law: {name}' USING ERRCODE = '23001';
                END IF;
                RETURN NULL; END $$"""  # noqa: S608 - conditions of ours
    )
    _run(
        f"""CREATE TRIGGER law_{name} AFTER INSERT ON {table} REFERENCING NEW TABLE AS added
            FOR EACH STATEMENT EXECUTE FUNCTION law_{name}()"""
    )


def refuse_change(name: str, table: str, condition: str) -> None:
    """Create the trigger law_{name}: an UPDATE of `table` is refused when the `condition` on OLD and NEW is true."""
    _refuse(name, f"BEFORE UPDATE ON {table}", condition)


def day_after(day: str) -> str:
    """Return the SQL for the day after the SQL expression `day`."""
    return f"{day} + 1" if _postgresql() else f"date({day}, '+1 day')"


def keep_names(*tables: str) -> None:
    """Make triggers that enter each new name of these tables' rows, and each changed one, in name_entry.

    A payee's bank and account are entered with the name. A change takes the lock of the events' chain: so no period
    closes between the number that it reads and its commit.
    """
    for table in tables:
        kept = ["name", "bank", "account_tail", "account_cipher"] if table == "payee" else ["name"]
        values = ", ".join(f"NEW.{column}" for column in kept)
        entry = f"""INSERT INTO name_entry (kind, subject, n, name, bank, account_tail, account_cipher, recorded)
                    SELECT '{table}', NEW.id,
                           (SELECT coalesce(max(n), 0) + 1 FROM name_entry WHERE kind = '{table}' AND subject = NEW.id),
                           {values if table == "payee" else f"{values}, '', '', NULL"},
                           (SELECT coalesce(max(number), 0) + 1 FROM event)"""  # noqa: S608 - names of ours
        changed = f"UPDATE OF {', '.join(kept)}"
        if _postgresql():
            same = " AND ".join(f"NEW.{column} IS NOT DISTINCT FROM OLD.{column}" for column in kept)
            body = f"""IF TG_OP = 'UPDATE' THEN
                           IF {same} THEN
                               RETURN NULL;
                           END IF;
                           PERFORM pg_advisory_xact_lock({CHAIN});
                       END IF;
                       {entry};
                       RETURN NULL;"""
            _row_trigger(f"{table}_named", f"AFTER INSERT OR {changed} ON {table}", body)
        else:
            differs = " OR ".join(f"NEW.{column} IS NOT OLD.{column}" for column in kept)
            _run(f"CREATE TRIGGER law_{table}_named_new AFTER INSERT ON {table} BEGIN {entry}; END")
            _run(
                f"CREATE TRIGGER law_{table}_named_changed AFTER {changed} ON {table} WHEN {differs} BEGIN {entry}; END"
            )


def _postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _run(statement: str) -> None:
    op.get_bind().execute(text(statement))


def _refuse_all(table: str, act: str, statements: str, each: str = "ROW") -> None:
    """Create the trigger law_{table}_no_{act}, which refuses `statements` on `table`, whatever is in the rows."""
    name = f"{table}_no_{act}"
    if _postgresql():
        _run(f"CREATE TRIGGER law_{name} BEFORE {statements} ON {table} FOR EACH {each} EXECUTE FUNCTION law_refuse()")
    else:
        _refuse(name, f"BEFORE {statements} ON {table}", "1")


def _refuse_emptying(table: str) -> None:
    """Refuse what removes rows past a trigger on DELETE: TRUNCATE, on SQLite INSERT OR REPLACE."""
    if _postgresql():
        _refuse_all(table, "truncate", "TRUNCATE", each="STATEMENT")
        return
    inspector = inspect(op.get_bind())
    keys = [inspector.get_pk_constraint(table)["constrained_columns"]]
    keys += [key["column_names"] for key in inspector.get_unique_constraints(table)]
    same = {columns[0]: " AND ".join(f'"{name}" = NEW."{name}"' for name in columns) for columns in keys}
    refusals = "; ".join(
        f"SELECT RAISE(ABORT, 'law: {table}_no_replace {first}') WHERE EXISTS (SELECT 1 FROM {table} WHERE {condition})"  # noqa: S608 - names of ours
        for first, condition in same.items()
    )
    _run(f"CREATE TRIGGER law_{table}_no_replace BEFORE INSERT ON {table} BEGIN {refusals}; END")


def _refuse(name: str, when: str, condition: str, first: str = "") -> None:
    if _postgresql():
        body = f"""{first}
                   IF {condition} THEN
                       RAISE EXCEPTION 'law: {name}' USING ERRCODE = '23001';
                   END IF;
                   RETURN NEW;"""
        _row_trigger(name, when, body)
    else:
        _run(f"CREATE TRIGGER law_{name} {when} WHEN {condition} BEGIN SELECT RAISE(ABORT, 'law: {name}'); END")


def _row_trigger(name: str, when: str, body: str) -> None:
    """Create a PostgreSQL trigger for each row, and the function of the same name that it runs."""
    _run(f"CREATE FUNCTION law_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$")
    _run(f"CREATE TRIGGER law_{name} {when} FOR EACH ROW EXECUTE FUNCTION law_{name}()")


def make_roles(connection: Connection) -> None:
    """Make the three roles where they are missing, and let this login act as each of them. PostgreSQL only.

    Raises RolesMissing where the login may not; `details` then has the statements that a superuser runs once.
    """
    login = str(connection.execute(text("SELECT quote_ident(session_user)")).scalar_one())
    if needed := _missing(connection, login):
        try:
            for statement in needed:
                connection.execute(text(f"DO $$ BEGIN {statement}; {MADE_MEANWHILE} END $$"))
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != INSUFFICIENT_PRIVILEGE:
                raise
            connection.rollback()
            raise RolesMissing(details={"sql": [f"{statement};" for statement in needed]}) from error


def let_act(connection: Connection, login: str) -> None:
    """Let the role `login` act as the application. PostgreSQL only.

    Raises RolesMissing when there is no such role, or this login may not say so.
    """
    name = str(connection.execute(text("SELECT quote_ident(:login)"), {"login": login}).scalar_one())
    grant = f"GRANT {APP} TO {name}"
    try:
        connection.execute(text(grant))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in {INSUFFICIENT_PRIVILEGE, UNDEFINED_OBJECT}:
            raise
        connection.rollback()
        raise RolesMissing(details={"sql": [f"CREATE ROLE {name} LOGIN;", f"{grant};"]}) from error


def _missing(connection: Connection, login: str) -> list[str]:
    """Return the statements that make what is missing: roles, and this login's membership of them."""
    there = set(connection.execute(text("SELECT rolname FROM pg_roles WHERE rolname LIKE 'canteen\\_%'")).scalars())
    needed = [f"CREATE ROLE {role} NOLOGIN" for role in (OWNER, APP, AUDITOR) if role not in there]
    member = text("SELECT pg_has_role(session_user, CAST(:role AS name), 'MEMBER')")
    for role, passed_on in ((OWNER, ""), (APP, " WITH ADMIN OPTION")):  # it lets the application's own login act
        if role not in there or not connection.execute(member, {"role": role}).scalar_one():
            needed.append(f"GRANT {role} TO {login}{passed_on}")
    return needed
