"""The rows that checkouts would have left, made in bulk: mirrors `canteen.pos.checkout_rows` table by table.

Differences from it are found by `canteen period verify`, which the tests run over such a month.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, insert, select

from canteen import clock
from canteen.db import Base
from canteen.demo import sites
from canteen.demo.randomness import uid
from canteen.ledger.models import Period, Transfer
from canteen.policy.case import Diner, Meal
from canteen.pos import envelope, pricing, sale_rows, share_terms
from canteen.pos.checkout_rows import IN_BYTES, arrival_of
from canteen.pos.models import (
    QuoteInput,
    Record,
    Sale,
    SaleUse,
    ShareTerms,
    Slot,
)
from canteen.pos.orders import Line
from canteen.pos.pricing import Place, Priced
from canteen.rulebooks.layers import InForce

CANTEEN, CONTRACT, TABLET, CASHIER = "demo-volume", "k-demo-volume", "volume00", "demo-volume"
Rows = dict[type[Base], list[dict[str, Any]]]  # by name of column


@dataclass(slots=True)
class Counters:
    """Where numbers go on: ids kept for this batch's records, the tablet's chain."""

    records: Iterator[int] = field(default_factory=lambda: iter(()))
    previous: str = envelope.FIRST
    number: int = 0
    inputs: set[str] = field(default_factory=set)  # interned so far: two elders may request the same
    terms: set[str] = field(default_factory=set)


def rows_of(
    rng: random.Random,
    part: Sequence[tuple[date, uuid.UUID, Diner]],
    places: dict[date, Place],
    book: InForce,
    period: Period,
    accounts: dict[tuple[str, str], int],
    counters: Counters,
) -> Rows:
    rows: Rows = defaultdict(list)
    menu = [dish for dish in sites.SITES[0].menu if dish.period == "lunch"]
    for n, (day, elder, diner) in enumerate(part):
        place, dish = places[day], rng.choice(menu)
        line = Line(f"{CANTEEN}-{menu.index(dish):02d}", dish.name, dish.fen, 1, tuple(dish.tags.split()))
        meal: Meal = pricing.meal_of(place, "dine_in", (line,), None)
        priced = pricing.price(book, diner, meal, {})
        if priced.hash not in counters.inputs:
            counters.inputs.add(priced.hash)
            rows[QuoteInput].append({"hash": priced.hash, "body": priced.body})
        terms = share_terms.of(priced.quote.shares)
        if terms.hash not in counters.terms:
            counters.terms.add(terms.hash)
            rows[ShareTerms].append(terms.row)
        at = clock.instant(day, 630) + timedelta(seconds=n % 9000)
        sale = uid(rng)
        record = _record(rows, counters, sale, at)
        _sale(rows, sale, record, elder, place, line, priced, book, at)
        _payment(rows, uid(rng), priced.quote.due, place, period, accounts, at, rng.random() < 0.5)
        _shares(rows, sale, elder, priced, place, period, accounts, at)
    return rows


def _record(rows: Rows, counters: Counters, sale: uuid.UUID, at: datetime) -> int:
    record = next(counters.records)
    counters.number += 1
    body = f'{{"sale":"{sale}"}}'.encode()
    sent = envelope.Envelope(
        tablet=TABLET,
        epoch=1,
        number=counters.number,
        previous=counters.previous,
        hash="",
        at_text=clock.local(at).isoformat(timespec="milliseconds"),
        mono_ms=counters.number,
        boot="volume",
        kind="checkout",
        body=body,
    )
    counters.previous = envelope.record_hash(sent)
    rows[Record].append(
        {
            "id": record,
            "tablet_id": TABLET,
            "epoch": 1,
            "number": sent.number,
            "previous": sent.previous,
            "hash": counters.previous,
            "version": sent.version,
            "cipher": sent.cipher,
            "key_id": None,
            "kind": sent.kind,
            "body": body,
            "tablet_at": sent.at_text,
            "mono_ms": sent.mono_ms,
            "boot": sent.boot,
            "arrived_at": at,
            "state": "accepted",
            "reason": "",
            "resolves": None,
        }
    )
    return record


def _sale(
    rows: Rows,
    sale: uuid.UUID,
    record: int,
    elder: uuid.UUID,
    place: Place,
    line: Line,
    priced: Priced,
    book: InForce,
    at: datetime,
) -> None:
    month = clock.month_of(place.day)
    content = hashlib.sha256(sale.bytes).hexdigest()
    rows[Sale].append(
        {
            "id": sale,
            "content_hash": content,
            "service_month": month,
            "district_id": place.canteen.district_id,
            "record_id": record,
            "payment_id": None,  # set by _payment
            "arrival": arrival_of(record),
            "contract_id": CONTRACT,
            "canteen_id": CANTEEN,
            "point_id": None,
            "elder_id": elder,
            "guest": None,
            "credential": hashlib.sha256(elder.bytes).hexdigest(),
            "how_read": "camera",
            "cashier_id": CASHIER,
            "service_day": place.day,
            "period": place.period,
            "mode": "dine_in",
            "tablet_at": at,
            "estimated_at": at,
            "arrived_at": at,
            "skew_ms": 0,
            "online": True,
            "amount": None,
            "list_fen": priced.quote.list,
            "due_fen": priced.quote.due,
            "surcharge_fen": priced.quote.surcharge_fen,
            "rulebook_hash": book.hash,
            "own_rulebook_hash": book.hash,
            "sold_input_hash": priced.hash,
            "own_input_hash": priced.hash,
            "known_at": place.head[0],
            "lines": sale_rows.in_json([sale_rows.line_row(line)]),
            "share_terms": share_terms.of(priced.quote.shares).hash,
            "share_fens": share_terms.fens(priced.quote.shares),
            "surcharges": sale_rows.in_json(priced.quote.surcharges),
            "flags": "",
            "to_check": False,  # sold as we quoted it, by a right clock
        }
    )


def _payment(
    rows: Rows,
    payment: uuid.UUID,
    due: int,
    place: Place,
    period: Period,
    accounts: dict[tuple[str, str], int],
    at: datetime,
    cash: bool,
) -> None:
    rows[Sale][-1]["payment_id"] = payment
    kind = "free" if due == 0 else "cash" if cash else "mobile"
    rows[Record][-1] |= {
        "payment_id": payment,
        "payment_due": due,
        "payment_fen": due,
        "tenders": sale_rows.in_json([(kind, due, due, 0, "")]),
    }
    if due:
        ends = (accounts["", "elder"], accounts["", kind])
        _transfer(rows, ends, due, "payment", "", f"payment:{payment}", "paid", place, period, at)


def _shares(
    rows: Rows,
    sale: uuid.UUID,
    elder: uuid.UUID,
    priced: Priced,
    place: Place,
    period: Period,
    accounts: dict[tuple[str, str], int],
    at: datetime,
) -> None:
    for n, share in enumerate(priced.quote.shares, 1):
        if share.payer == "concession":
            continue
        target = "open" if share.payer == "subsidy" else "donated"
        ends = (accounts[share.fund, "granted"], accounts[share.fund, target])
        _transfer(rows, ends, share.fen, "meal", share.fund, f"sale:{sale}", share.rule, place, period, at, (sale, n))
    for request in pricing.limit_requests(priced.quote):
        if request.unit == "fen":
            raise RuntimeError("the volume month knows no allowances of money")
        rows[SaleUse].append(
            {
                "sale_id": sale,
                "allowance": request.allowance,
                "window_start": request.window,
                "person_id": elder,
                "unit": request.unit,
                "limited_to": request.limited_to,
                "asked": 1,
                "granted": 1,
                "n": 1,
                "rules": " ".join(request.rules),
            }
        )
        rows[Slot].append(
            {
                "person_id": elder,
                "allowance": request.allowance,
                "window_start": request.window,
                "n": 1,
                "limited_to": request.limited_to,
                "unit_day": place.day if request.unit == "day" else None,
                "sale_id": sale,
            }
        )


def _transfer(
    rows: Rows,
    ends: tuple[int, int],
    fen: int,
    movement: str,
    fund: str,
    cause: str,
    reason: str,
    place: Place,
    period: Period,
    at: datetime,
    share: tuple[uuid.UUID, int] | None = None,
) -> None:
    rows[Transfer].append(
        {
            "source_id": ends[0],
            "target_id": ends[1],
            "fen": fen,
            "movement": movement,
            "sale_id": share[0] if share else None,
            "share_n": share[1] if share else None,
            "fund": fund,
            "contract_id": CONTRACT,
            "district_id": period.district_id,
            "service_month": clock.month_of(place.day),
            "service_day": place.day,
            "period_id": period.id,
            "reason": reason,
            "cause": cause,
            "at": at,
        }
    )


# --- writing ---

ORDER = (QuoteInput, ShareTerms, Record, Sale, SaleUse, Slot, Transfer)


def write(connection: Connection, rows: Rows) -> None:
    """Write one batch, parents before children: COPY on PostgreSQL, executemany on SQLite."""
    for model in ORDER:
        if model is ShareTerms:  # canteens share them
            query = select(ShareTerms.hash).where(ShareTerms.hash.in_([row["hash"] for row in rows[model]]))
            there = set(connection.execute(query).scalars())
            rows[model] = [row for row in rows[model] if row["hash"] not in there]
        if not rows[model]:
            continue
        if connection.dialect.name == "postgresql":
            _copy(connection, model, rows[model])
        else:
            connection.execute(insert(model.__table__), rows[model])  # type: ignore[arg-type]


def _copy(connection: Connection, model: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    keys = list(rows[0])
    names = ", ".join(f'"{key}"' for key in keys)
    types = {key: model.__table__.columns[key].type for key in keys}
    stored = {key: kind.process_bind_param for key, kind in types.items() if isinstance(kind, IN_BYTES)}
    raw: Any = connection.connection.driver_connection
    with raw.cursor() as cursor, cursor.copy(f'COPY "{model.__tablename__}" ({names}) FROM STDIN') as copy:
        for row in rows:
            copy.write_row([stored[key](row[key], None) if key in stored else row[key] for key in keys])


def record_ids(connection: Connection, count: int) -> Iterator[int]:
    """Yield ids that nobody else will give to a record."""
    if connection.dialect.name == "postgresql":
        sequence = "nextval(pg_get_serial_sequence('record', 'id'))"
        drawn = connection.exec_driver_sql(f"SELECT {sequence} FROM generate_series(1, {count})").scalars()  # noqa: S608
        return iter(sorted(drawn))
    last = connection.execute(select(func.coalesce(func.max(Record.id), 0))).scalar_one()
    return iter(range(last + 1, last + 1 + count))
