"""A month of very many meals at one canteen, written in bulk, for benchmarks: as checkouts would have left them.

Prices, inputs and explanations are the real engine's, hashes are the real ones; only the records are thin (a
body with no more than the sale's id). `canteen period verify` must find nothing after the close.
"""

from __future__ import annotations

import itertools
import json
import random
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.auth.models import Tablet
from canteen.clock import Span
from canteen.db import transaction
from canteen.demo import sites
from canteen.demo.bulk import CANTEEN, CASHIER, CONTRACT, TABLET, Counters, Rows, record_ids, rows_of, write
from canteen.demo.randomness import source, uid
from canteen.ledger import periods
from canteen.ledger.models import Account
from canteen.places import Canteen, Contract, MealWindow
from canteen.policy.case import Diner
from canteen.pos import pricing
from canteen.registry.models import Elder, ElderFact
from canteen.rulebooks import layers
from canteen.rulebooks.layers import InForce

EACH = 20  # meals an elder eats in the month, each on another day
PART = 20_000  # meals a batch


def add(seed: int, meals: int, month: Span) -> str:
    """Write `meals` meals of a past month at a canteen made for it, whose period stays open; answers its contract."""
    rng = source(seed, "volume")
    with transaction() as session:
        _place(session, month)
    elders = _elders(rng, -(-meals // EACH))
    with transaction() as session:
        book = layers.in_force(
            session, CANTEEN, pricing.place_at(session, CANTEEN, _noon(month.first)).areas, month.first
        )
        layers.keep(session, book)
        period = periods.gate(session, session.get_one(Contract, CONTRACT), month.first)
        accounts = _accounts(session, book)
        connection, counters = session.connection(), Counters()
        places = {day: pricing.place_at(session, CANTEEN, _noon(day)) for day in _days(month)}
        plan = _plan(rng, elders, month, meals)
        while part := list(itertools.islice(plan, PART)):
            counters.records = record_ids(connection, len(part))
            write(connection, rows_of(rng, part, places, book, period, accounts, counters))
    return CONTRACT


def _place(session: Session, month: Span) -> None:
    """Make the canteen beside the first one, run and paid like it."""
    model = session.get_one(Canteen, sites.SITES[0].id)
    operator, payee = sites.SITES[0].operator, sites.SITES[0].payee
    session.add(
        Canteen(
            id=CANTEEN,
            name="演示·大数据食堂",
            area_id=model.area_id,
            district_id=model.district_id,
            profile="counter",
            seats=5000,
            day_turns_at=0,
            opened_on=month.first,
        )
    )
    session.flush()
    session.add(MealWindow(canteen_id=CANTEEN, period="lunch", starts=600, ends=840, grace=15, from_day=month.first))
    session.add(
        Contract(
            id=CONTRACT,
            canteen_id=CANTEEN,
            operator_id=operator,
            payee_id=payee,
            district_id=model.district_id,
            canteen_class="public_private",
            grade="good",
            from_day=month.first,
            to_day=None,
        )
    )
    at = clock.instant(month.first, 6 * 60)
    session.add(
        Tablet(
            id=TABLET,
            name="大数据",
            canteen_id=CANTEEN,
            public_key=b"none",
            enrolled_at=at,
            enrolled_by=CASHIER,
            seen_at=clock.instant(month.last, 24 * 60),
        )
    )
    session.flush()
    events.record(session, "demo.volume", CANTEEN, by="system")


def _elders(rng: random.Random, count: int) -> list[tuple[uuid.UUID, Diner]]:
    """Make elders without names, each with a birthday of their own; half live in the canteen's street."""
    with transaction() as session:
        home = session.get_one(Canteen, CANTEEN).area_id
        recorded = events.record(session, "import.roster", "volume", by="system", body={"rows": count})
        at, since = clock.now(), date(2020, 1, 1)
        path = pricing.place_at(session, CANTEEN, _noon(clock.today())).areas
        found: list[tuple[uuid.UUID, Diner]] = []
        rows: Rows = defaultdict(list)
        for _ in range(count):
            elder, birth = uid(rng), date(1928, 1, 1) + timedelta(days=rng.randrange(37 * 365))
            classes = ("dibao",) if rng.random() < 0.05 else ()
            rows[Elder].append({"id": elder, "made_at": at, "recorded": recorded})
            facts = [("birth", birth.isoformat(), birth), ("residence", home, since), ("hukou", home, since)]
            for kind, value, day in [*facts, *(("class", code, since) for code in classes)]:
                fact = {"elder_id": elder, "kind": kind, "value": value, "from_day": day, "to_day": None}
                rows[ElderFact].append(fact | {"recorded": recorded, "source": "import", "retracts": None})
            found.append((elder, _diner(birth, path, classes, since)))
        for model, some in rows.items():
            session.execute(insert(model), some)
    return found


def _diner(birth: date, path: tuple[str, ...], classes: tuple[str, ...], since: date) -> Diner:
    return Diner(
        kind="elder",
        birth_day=clock.civil(birth),
        hukou=path,
        residence=path,
        residence_since=clock.civil(since),
        classes=classes,
    )


def _accounts(session: Session, book: InForce) -> dict[tuple[str, str], int]:
    """Return the ids of all accounts that the month's transfers touch, opened beforehand."""
    wanted = {("", kind) for kind in ("elder", "cash", "mobile")}
    funds = {fund["id"] for layer in json.loads(book.body)["layers"] for fund in layer.get("funds", ())}
    wanted |= {(fund, kind) for fund in funds for kind in ("granted", "open", "donated")}
    session.execute(
        insert(Account), [{"contract_id": CONTRACT, "fund": fund, "kind": kind} for fund, kind in sorted(wanted)]
    )
    rows = session.execute(select(Account.fund, Account.kind, Account.id).where(Account.contract_id == CONTRACT))
    return {(fund, kind): number for fund, kind, number in rows}


def _days(month: Span) -> list[date]:
    return [month.first + timedelta(days=n) for n in range((month.last - month.first).days + 1)]


def _noon(day: date) -> datetime:
    return clock.instant(day, 11 * 60 + 30)


def _plan(
    rng: random.Random, elders: Sequence[tuple[uuid.UUID, Diner]], month: Span, meals: int
) -> Iterator[tuple[date, uuid.UUID, Diner]]:
    """Yield (day, elder, diner), in order of days, each elder at most once a day."""
    days = _days(month)
    by_day: dict[date, list[int]] = {day: [] for day in days}
    left = meals
    for at in range(len(elders)):
        for day in rng.sample(days, min(EACH, left)):
            by_day[day].append(at)
        left -= min(EACH, left)
    for day, some in by_day.items():
        for at in some:
            yield day, *elders[at]
