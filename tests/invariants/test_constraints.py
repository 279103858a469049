"""What must never happen is refused by the database; drop the constraint and it happens (so it is that which refuses)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from canteen import clock, events, invariants
from canteen.config import Config
from canteen.db import Base, owner_engine, transaction
from canteen.ledger import periods, transfers
from canteen.ledger.models import Period
from canteen.ledger.transfers import Move
from canteen.places import Contract
from tests import world
from tests.rigs.states import state

Break = Callable[[], None]


@pytest.fixture
def owner(config: Config, app: Flask) -> Engine:
    """The schema's owner: may drop triggers, as the application may not."""
    return owner_engine(config.database_url)


def run(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def drop_trigger(engine: Engine, name: str) -> None:
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            found = {name}
        else:
            query = "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = :name"
            found = set(connection.execute(text(query), {"name": name}).scalars())
    on = "" if engine.dialect.name == "sqlite" else f" ON {found.pop()}"
    run(engine, f"DROP TRIGGER {name}{on}")


def refused(act: Break) -> bool:
    """Whether the database refused, by a trigger, a constraint or a missing right, and nothing else went wrong."""
    with pytest.raises(DBAPIError, match=r"law:|constraint|permission denied"):
        act()
    return True


def booked(session: Session, day: date, *, fen: int = 100) -> None:
    """One transfer of service day `day`, booked as the ledger would."""
    with transaction():
        period = periods.gate(session, session.get_one(Contract, "k1"), day)
        transfers.post(session, period, [Move("city", "granted", "open", fen, "meal", "test", "test", day)])


def close(session: Session, day: date) -> None:
    with transaction():
        found = next(p for p in periods.chain(session, "k1") if p.from_day <= day <= p.to_day)
        periods.flip(session, found.id)


# --- append-only ---


def test_a_fact_is_neither_changed_nor_removed_nor_replaced(session: Session, owner: Engine) -> None:
    world.make(session)
    booked(session, date(2026, 5, 12))
    world.event(session)
    session.rollback()
    for table, column in (("transfer", "fen"), ("event", "kind"), ("account", "fund")):
        value = "fen + 1" if column == "fen" else "'x'"
        for statement in (f"UPDATE {table} SET {column} = {value}", f"DELETE FROM {table}"):
            assert refused(partial(run, owner, statement)), statement


def test_it_is_the_trigger_that_refuses_the_change(session: Session, owner: Engine) -> None:
    world.make(session)
    booked(session, date(2026, 5, 12))
    session.rollback()
    act = "update" if owner.dialect.name == "sqlite" else "change"
    drop_trigger(owner, f"law_transfer_no_{act}")
    run(owner, "UPDATE transfer SET fen = fen + 1")


def test_every_table_of_facts_carries_its_triggers(owner: Engine) -> None:
    with owner.connect() as connection:
        assert invariants.installed_triggers(connection) == invariants.wanted(owner.dialect.name)


def test_sqlite_replaces_no_fact_even_without_the_pragma(sqlite_url: str) -> None:
    engine = owner_engine(sqlite_url)
    insert = """INSERT {} INTO event (number, at, actor, kind, subject, body, previous, hash)
                VALUES (1, '2026-01-01T00:00:00.000000Z', 'a', 'k', 's', '{{}}', '{}', 'h')"""
    run(engine, insert.format("", events.FIRST))
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA recursive_triggers = OFF")
        connection.commit()
        with pytest.raises(IntegrityError):
            connection.exec_driver_sql(insert.format("OR REPLACE", events.FIRST))


def test_the_app_role_lacks_the_right_even_without_triggers(app: Flask, session: Session, owner: Engine) -> None:
    if owner.dialect.name == "sqlite":
        assert invariants.wanted("sqlite") >= {f"law_{table}_no_delete" for table in invariants.FACTS}
        return
    world.make(session)
    booked(session, date(2026, 5, 12))
    session.rollback()
    for table in invariants.FACTS:
        for statement in (f'DELETE FROM "{table}"', f'TRUNCATE "{table}" CASCADE'):
            with pytest.raises(DBAPIError, match="permission denied"):
                session.execute(text(statement))
            session.rollback()


# --- the event chain ---


def test_events_have_no_gap_and_name_the_hash_before(session: Session, owner: Engine) -> None:
    for _ in range(3):
        world.event(session)
    number, digest = events.head(session)
    session.rollback()
    at = "2026-01-01T00:00:00.000000Z"
    row = "INSERT INTO event (number, at, actor, kind, subject, body, previous, hash) VALUES ({}, '{}', 'a', 'k', 's', '{{}}', '{}', 'h')"
    assert refused(lambda: run(owner, row.format(number + 2, at, digest)))
    assert refused(lambda: run(owner, row.format(number + 1, at, "0" * 64)))
    drop_trigger(owner, "law_event_gapless")
    run(owner, row.format(number + 2, at, "0" * 64))
    assert [found.number for found in events.breaks(session)] == [4, 5, 5]


# --- periods ---


def test_periods_of_a_contract_are_one_chain_without_gaps(session: Session, owner: Engine) -> None:
    world.make(session)
    booked(session, date(2026, 3, 5))
    session.rollback()
    row = "INSERT INTO period (contract_id, district_id, from_day, to_day, state) VALUES ('k1', '220104', '{}', '{}', 'open')"
    assert refused(lambda: run(owner, row.format("2026-05-01", "2026-05-31")))
    assert refused(lambda: run(owner, row.format("2026-03-31", "2026-04-30")))
    run(owner, row.format("2026-04-01", "2026-04-30"))
    drop_trigger(owner, "law_period_chained")
    run(owner, row.format("2026-06-01", "2026-06-30"))


def test_a_period_only_closes_once_in_order_and_keeps_its_days(session: Session, owner: Engine) -> None:
    world.make(session)
    booked(session, date(2026, 2, 5))
    session.rollback()
    closed = "UPDATE period SET state = 'closed', closed_at = '2026-03-03T00:00:00.000000Z' WHERE from_day = '{}'"
    assert refused(lambda: run(owner, closed.format("2026-02-01")))  # January is open
    run(owner, closed.format("2026-01-01"))
    assert refused(
        lambda: run(owner, "UPDATE period SET state = 'open', closed_at = NULL WHERE from_day = '2026-01-01'")
    )
    assert refused(lambda: run(owner, "UPDATE period SET to_day = '2026-02-27' WHERE from_day = '2026-02-01'"))
    assert refused(lambda: run(owner, "DELETE FROM period"))
    drop_trigger(owner, "law_period_flips_once")
    run(owner, "UPDATE period SET state = 'open', closed_at = NULL WHERE from_day = '2026-01-01'")


def test_a_transfer_is_booked_to_its_or_the_earliest_open_period(session: Session) -> None:
    world.make(session)
    booked(session, date(2026, 1, 20), fen=1)
    booked(session, date(2026, 2, 20), fen=2)
    with clock.at(clock.instant(date(2026, 2, 3))):
        close(session, date(2026, 1, 31))
    booked(session, date(2026, 1, 25), fen=4)
    rows = session.execute(
        text("SELECT p.from_day, t.fen FROM transfer t JOIN period p ON p.id = t.period_id ORDER BY t.fen")
    )
    assert [(str(day), fen) for day, fen in rows] == [("2026-01-01", 1), ("2026-02-01", 2), ("2026-02-01", 4)]


def test_a_movement_into_a_closed_period_is_refused(session: Session, owner: Engine) -> None:
    world.make(session)
    booked(session, date(2026, 1, 20))
    with clock.at(clock.instant(date(2026, 2, 3))):
        close(session, date(2026, 1, 31))

    def into_closed() -> None:
        with transaction():
            january = session.query(Period).order_by(Period.from_day).first()
            assert january is not None
            move = Move("city", "granted", "open", 7, "meal", "test", "test", date(2026, 1, 20))
            transfers.post(session, january, [move])

    assert refused(into_closed)
    session.rollback()
    drop_trigger(owner, "law_transfer_booked")
    into_closed()


def test_a_transfer_moves_money_between_its_contracts_accounts(session: Session, owner: Engine) -> None:
    world.make(session)
    booked(session, date(2026, 1, 20))
    session.rollback()
    copy = """INSERT INTO transfer (source_id, target_id, fen, movement, fund, contract_id, district_id, service_month,
              service_day, period_id, reason, cause, at)
              SELECT {}, target_id, {}, movement, {}, contract_id, district_id, service_month, service_day, period_id,
              reason, cause, at FROM transfer LIMIT 1"""
    assert refused(lambda: run(owner, copy.format("source_id", "0", "fund")))
    assert refused(lambda: run(owner, copy.format("target_id", "fen", "fund")))
    assert refused(lambda: run(owner, copy.format("source_id", "fen", "'other'")))
    run(owner, copy.format("source_id", "fen", "fund"))
    drop_trigger(owner, "law_transfer_booked")
    run(owner, copy.format("source_id", "fen", "'other'"))
    if owner.dialect.name == "postgresql":  # on SQLite the table would go with its rows
        drop_constraint(owner, "transfer", "ck_transfer_moves_money")
        run(owner, copy.format("source_id", "0", "fund"), copy.format("target_id", "fen", "fund"))


# --- sales and limits ---


@state
def sold(session: Session) -> str:
    """Id of a sale that used one subsidised meal of its period, on a limit of one."""
    till = world.make(session)
    world.a_rulebook(session)
    card = world.a_card(session, world.an_elder(session))
    with clock.at(world.NOON):
        sale = world.sell(till, card).sales[0]
    session.rollback()
    return sale


def drop_constraint(engine: Engine, table: str, name: str) -> None:
    """On SQLite a constraint goes with its table's text: the table is made anew without it, rows and all."""
    if engine.dialect.name == "postgresql":
        run(engine, f"ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE")
        return
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA writable_schema = ON")
        made = connection.execute(
            text("SELECT sql FROM sqlite_master WHERE name = :table"), {"table": table}
        ).scalar_one()
        kept = "\n".join(line for line in made.splitlines() if f"CONSTRAINT {name} " not in line)
        kept = kept.replace(", \n)", "\n)")
        assert kept != made
    run(engine, f"DROP TABLE {table}", kept)


COPY_SLOT = """INSERT INTO slot (person_id, allowance, window_start, n, limited_to, unit_day, sale_id)
               VALUES ({slot[0]!r}, {slot[1]!r}, {slot[2]!r}, {n}, 1, NULL, {slot[3]!r})"""


def slot_of(engine: Engine) -> tuple[str, ...]:
    with engine.connect() as connection:
        row = connection.execute(text("SELECT person_id, allowance, window_start, sale_id FROM slot")).one()
    return tuple(str(value) for value in row)


@pytest.mark.parametrize(
    ("n", "constraint"), [(1, "pk_slot"), (2, "ck_slot_within_limit"), (0, "ck_slot_within_limit")]
)
def test_a_slot_is_used_once_and_never_past_its_limit(owner: Engine, sold: str, n: int, constraint: str) -> None:
    slot = slot_of(owner)
    second = COPY_SLOT.format(slot=slot, n=n)
    assert sold == slot[3]
    assert refused(partial(run, owner, second))
    drop_constraint(owner, "slot", constraint)
    run(owner, second)


def test_an_amount_used_never_passes_its_limit(owner: Engine, session: Session) -> None:
    elder = world.an_elder_alone(session)
    session.rollback()
    row = f"""INSERT INTO amount_used (person_id, allowance, window_start, used, limited_to)
              VALUES ('{elder}', 'a', '1', {{used}}, 100)"""
    assert refused(partial(run, owner, row.format(used=101)))
    run(owner, row.format(used=100))
    assert refused(partial(run, owner, "UPDATE amount_used SET used = used + 1"))
    drop_constraint(owner, "amount_used", "ck_amount_used_within_limit")
    run(owner, "DELETE FROM amount_used", row.format(used=101))


def test_a_sale_id_is_taken_once_for_ever(owner: Engine, sold: str) -> None:
    again = copy_of(owner, sold, content_hash="own_input_hash")
    if owner.dialect.name == "sqlite":
        drop_trigger(owner, "law_sale_no_replace")
    assert refused(partial(run, owner, again))
    if owner.dialect.name == "postgresql":  # on SQLite the table would go with its rows
        drop_constraint(owner, "sale", "pk_sale")
        run(owner, again)


def copy_of(engine: Engine, sale: str, **given: str) -> str:
    """Write the statement that copies a row of `sale` with other values in the columns given."""
    with engine.connect() as connection:
        columns = [column["name"] for column in inspect(connection).get_columns("sale")]
    values = ", ".join(given.get(name, f'"{name}"') for name in columns)
    names = ", ".join(f'"{name}"' for name in columns)
    return f"INSERT INTO sale ({names}) SELECT {values} FROM sale WHERE id = '{sale}'"


OTHER = "'00000000-0000-4000-8000-000000000009'"
TERMS_OF = """'[["city", "{}", "r", "", "", "", ""]]'"""
SURCHARGE_OF = """'[["r", "", "", {}, "", ""]]'"""
LINE_OF = """'[["i", "n", {}, {}, ""]]'"""


@pytest.mark.parametrize(
    ("column", "wrong", "right"),
    [
        ("share_fens", "'[0]'", "'[1]'"),
        ("share_fens", "'[]'", "'[1]'"),
        ("share_fens", "'[1,1]'", "'[2]'"),
        ("share_fens", "'[1.5]'", "'[3]'"),
        ("surcharges", SURCHARGE_OF.format(-1), SURCHARGE_OF.format(1)),
        ("lines", LINE_OF.format(-1, 1), LINE_OF.format(0, 1)),
        ("lines", LINE_OF.format(1, 0), LINE_OF.format(1, 1)),
    ],
)
def test_what_a_sale_lists_has_whole_amounts(owner: Engine, sold: str, column: str, wrong: str, right: str) -> None:
    again = copy_of(owner, sold, id=OTHER, **{column: wrong})
    with pytest.raises(DBAPIError):
        run(owner, again)
    drop_trigger(owner, "law_sale_lists")
    run(owner, again)
    run(owner, copy_of(owner, sold, id=OTHER.replace("9'", "8'"), **{column: right}))


def test_a_sale_is_shared_on_terms_that_are_there(owner: Engine, sold: str) -> None:
    unknown = copy_of(owner, sold, id=OTHER, share_terms="content_hash")
    with pytest.raises(DBAPIError):
        run(owner, unknown)
    drop_trigger(owner, "law_sale_lists")
    run(owner, unknown)


@pytest.mark.parametrize(("payer", "size"), [("elder", 1), ("subsidy", 2)])
def test_terms_name_known_payers_and_their_number(owner: Engine, sold: str, payer: str, size: int) -> None:
    row = "INSERT INTO share_terms (hash, size, terms) SELECT {}, {}, {} FROM sale WHERE id = '{}'"
    wrong = row.format("content_hash", size, TERMS_OF.format(payer), sold)
    with pytest.raises(DBAPIError):
        run(owner, wrong)
    run(owner, row.format("rulebook_hash", 1, TERMS_OF.format("donation"), sold))
    drop_trigger(owner, "law_share_terms_known")
    run(owner, wrong)


@pytest.mark.parametrize(("given", "change", "kind"), [(499, -1, "cash"), (600, 0, "cash"), (500, 0, "debt")])
def test_a_tender_gives_what_is_due_and_its_change(
    owner: Engine, sold: str, given: int, change: int, kind: str
) -> None:
    assert sold
    with owner.connect() as connection:
        columns = [each["name"] for each in inspect(connection).get_columns("record") if each["name"] != "id"]
    tender = f"""'[["{kind}", 500, {given}, {change}, ""]]'"""
    new = {"number": "99", "payment_id": OTHER, "tenders": tender}
    names = ", ".join(f'"{name}"' for name in columns)
    values = ", ".join(new.get(name, f'"{name}"') for name in columns)
    again = f"INSERT INTO record ({names}) SELECT {values} FROM record"
    assert refused(partial(run, owner, again))
    drop_trigger(owner, "law_record_tenders")
    run(owner, again)


@pytest.mark.parametrize("view", ["payment", "tender", "sale_line", "share", "surcharge"])
def test_nobody_writes_through_a_view(owner: Engine, sold: str, view: str) -> None:
    assert sold
    with owner.connect() as connection:
        assert connection.execute(text(f"SELECT count(*) FROM {view}")).scalar_one() == 1 - (view == "surcharge")
    column = "due" if view == "payment" else "fen"
    for statement in (f"UPDATE {view} SET {column} = 7", f"DELETE FROM {view}"):
        with pytest.raises(DBAPIError):
            run(owner, statement)


@pytest.mark.parametrize(("due", "added"), [("list_fen + 1", "0"), ("401", "400 - list_fen"), ("399", "400")])
def test_a_sale_costs_no_more_than_its_price_and_surcharge(owner: Engine, sold: str, due: str, added: str) -> None:
    row = copy_of(owner, sold, id=OTHER, due_fen=due, surcharge_fen=added)
    assert refused(partial(run, owner, row))
    if owner.dialect.name == "postgresql":  # on SQLite the table would go with its rows
        drop_constraint(owner, "sale", "ck_sale_money")
        run(owner, row)


def test_a_sale_is_voided_once(owner: Engine, sold: str) -> None:
    row = f"""INSERT INTO void (id, sale_id, record_id, service_month, district_id, cashier_id, reason, refund_fen,
              refund_kind, tablet_at, arrived_at) SELECT '{{}}', id, record_id, service_month, district_id, cashier_id,
              'x', 0, 'free', tablet_at, arrived_at FROM sale WHERE id = '{sold}'"""
    run(owner, row.format("00000000-0000-4000-8000-000000000001"))
    if owner.dialect.name == "sqlite":
        drop_trigger(owner, "law_void_no_replace")
    assert refused(partial(run, owner, row.format("00000000-0000-4000-8000-000000000002")))
    if owner.dialect.name == "postgresql":  # on SQLite the table would go with its rows
        drop_constraint(owner, "void", "uq_void_sale_id")
        run(owner, row.format("00000000-0000-4000-8000-000000000002"))


def test_no_share_sale_or_record_is_changed_or_removed(owner: Engine, sold: str) -> None:
    assert sold
    changes = {"sale": "due_fen = 0", "record": "state = 'quarantined'", "sale_use": "granted = 0"}
    changes |= {
        "quote_input": "body = hash",
        "share_terms": "size = 9",
        "joined_rulebook": "body = 'x'",
        "elder_fact": "value = 'x'",
    }
    changes |= {"credential_fact": "reason = 'x'", "publication": "node_id = 'x'", "rulebook": "body = 'x'"}
    for table, change in changes.items():
        assert refused(partial(run, owner, f"UPDATE {table} SET {change}")), table
        assert refused(partial(run, owner, f"DELETE FROM {table}")), table


# --- two people ---


def test_a_rulebook_is_not_published_by_who_drafted_it(session: Session, owner: Engine) -> None:
    world.make(session)
    digest = world.a_rulebook(session)
    session.rollback()
    row = f"""INSERT INTO publication (rulebook_hash, scheme, layer, node_id, from_day, drafted_by, published_by,
              published_at, recorded) VALUES ('{digest}', 's', 'city', 'x', '2026-01-01', 'a', '{{}}',
              '2026-01-01T00:00:00.000000Z', 1)"""
    assert refused(lambda: run(owner, row.format("a")))
    run(owner, row.format("b"))
    if owner.dialect.name == "postgresql":  # on SQLite the table would go with its rows
        drop_constraint(owner, "publication", "ck_publication_two_people")
        run(owner, row.format("a").replace("'2026-01-01', 'a'", "'2026-01-02', 'a'"))


def test_schema_and_models_are_the_same(owner: Engine) -> None:
    with owner.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        differences: list[Any] = compare_metadata(context, Base.metadata)
    assert differences == []
