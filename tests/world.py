"""A small world for tests: one city, a canteen, a contract, elders with cards, a tablet. Builders take only what matters to the test.

The world is made on a day well inside its contract, so that periods before and after exist.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from canteen import clock, config, events, places
from canteen.auth import contacts
from canteen.auth.models import Grant, Person, Tablet
from canteen.db import db, transaction
from canteen.demo import tills
from canteen.memory import Head
from canteen.menus.models import MenuItem, MenuPrice
from canteen.pos import envelope, records, scan_quotes
from canteen.pos.scan_quotes import Asked
from canteen.registry import credentials, elders, keys
from canteen.registry.models import Elder
from canteen.rulebooks import publications

CITY, DISTRICT, STREET, COMMUNITY = "220100", "220104", "220104001", "220104001001"
OTHER_DISTRICT, OTHER_STREET = "220103", "220103001"
NOON = clock.instant(date(2026, 5, 12), 11 * 60 + 30)
LONG_AGO = clock.instant(date(2020, 1, 1))

GUARDED = """\
format: 1
id: test-city
title: 测试标准
source: 测试
from: 2020-01-01
funds:
  - {id: city, name: 市级, payer: subsidy}
stages:
  - id: subsidy
    title: 补贴
    rules:
      - id: aged
        label: 助餐补贴
        reason: 年满 60 周岁
        clause: 第一条
        when: {age: {from: 60}}
        less: 5.00
        fund: city
"""
LIMITED = (
    GUARDED
    + """\
        limits: [test.monthly]
allowances:
  - {id: test.monthly, unit: fen, scope: person, window: month, limit_fen: 12.00}
"""
)


@dataclass
class World:
    """Ids of the world; `till` sells on its tablet."""

    canteen: str = "c1"
    contract: str = "k1"
    tablet: str = "t1"
    cashier: str = "p-cashier"
    number: int = 0  # of the tablet's newest record
    previous: str = envelope.FIRST


def make(
    session: Session, *, canteen: str = "c1", contract: str = "k1", tablet: str = "t1", profile: str = "counter"
) -> World:
    """Areas, a canteen serving every day, a contract from 2025 on, a cashier, a tablet."""
    since = date(2020, 1, 1)
    with transaction():
        if session.get(places.Area, CITY) is None:
            _areas(session, since)
        session.add(places.Operator(id=f"o-{canteen}", name="康乐餐饮", credit_code=None))
        payee, box = f"y-{canteen}", keys.keyring().identity
        sealed = box.seal(b"6222000000000001", f"payee.account {payee}")
        session.add(
            places.Payee(id=payee, name="康乐餐饮", bank="工商银行", account_cipher=sealed, account_tail="0001")
        )
        session.flush()
        session.add(
            places.Canteen(
                id=canteen,
                name="康乐食堂",
                area_id=COMMUNITY,
                district_id=DISTRICT,
                profile=profile,
                seats=60,
                day_turns_at=0,
                opened_on=since,
            )
        )
        session.flush()
        for period, starts, ends in (("breakfast", 390, 540), ("lunch", 630, 810), ("dinner", 990, 1140)):
            session.add(
                places.MealWindow(canteen_id=canteen, period=period, starts=starts, ends=ends, grace=15, from_day=since)
            )
        session.add(
            places.Contract(
                id=contract,
                canteen_id=canteen,
                operator_id=f"o-{canteen}",
                payee_id=f"y-{canteen}",
                district_id=DISTRICT,
                canteen_class="public_private",
                grade="good",
                from_day=date(2026, 1, 1),
                to_day=None,
            )
        )
        a_dish(session, canteen, f"{canteen}-set-a", "荤素套餐", 1200, since=since)
        if session.get(Person, "p-cashier") is None:
            config.current().secret("pepper")  # of which the PIN below would be made
            session.add(Person(id="p-cashier", login="cashier", name="小王", pin_hash="x", changed_at=clock.now()))
            session.flush()
        session.add(
            Grant(
                person_id="p-cashier",
                role="cashier",
                node_kind="canteen",
                node_id=canteen,
                granted_by="p-admin",
                granted_at=clock.now(),
            )
        )
        session.add(
            Tablet(
                id=tablet,
                name="一号机",
                canteen_id=canteen,
                public_key=b"k",
                enrolled_at=clock.now(),
                enrolled_by="p-cashier",
            )
        )
        session.flush()
        log_in(session, tablet, "p-cashier")
    return World(canteen=canteen, contract=contract, tablet=tablet)


def a_dish(session: Session, canteen: str, item: str, name: str, fen: int, *, since: date, position: int = 1) -> None:
    """A dish for lunch with one price, entered on the day from which it is valid."""
    session.add(MenuItem(id=item, canteen_id=canteen, name=name, periods="lunch", position=position))
    session.flush()
    price = {"from_day": since, "n": 1, "fen": fen, "entered": since, "by": "p-admin", "at": LONG_AGO, "recorded": 0}
    session.add(MenuPrice(item_id=item, **price))


def log_in(session: Session, tablet: str, person: str, *, at: datetime = LONG_AGO) -> None:
    """The cashier logged in at the tablet, long before anything else happened unless stated otherwise."""
    with clock.at(at):
        contacts.log(session, tablet, person, opens=True)


def _areas(session: Session, since: date) -> None:
    rows = (
        ("220000", "吉林省", "province", None),
        (CITY, "长春市", "city", "220000"),
        (DISTRICT, "朝阳区", "district", CITY),
        (STREET, "桂林街道", "street", DISTRICT),
        (COMMUNITY, "惠民社区", "community", STREET),
        (OTHER_DISTRICT, "宽城区", "district", CITY),
        (OTHER_STREET, "新发街道", "street", OTHER_DISTRICT),
    )
    for code, name, level, _ in rows:
        session.add(places.Area(id=code, name=name, level=level))
    session.flush()
    for code, _, _, parent in rows:
        if parent:
            session.add(places.AreaLink(area_id=code, parent_id=parent, from_day=since, to_day=None))


def an_elder(
    session: Session,
    *,
    born: date = date(1944, 3, 5),
    classes: Sequence[str] = (),
    hukou: str = COMMUNITY,
    household: str = "",
    name: str = "",
) -> uuid.UUID:
    """An elder of the city, 82 years old and of a name of their own unless stated otherwise; the first is 李秀英."""
    since = date(2020, 1, 1)
    lives_with = [elders.NewFact("household", household, since)] if household else []
    with transaction():
        new = elders.NewElder(
            name=name or a_name(session.execute(select(func.count()).select_from(Elder)).scalar_one()),
            birth=born,
            sex="f",
            hukou=hukou,
            residence=hukou,
            known_from=date(2020, 1, 1),
            facts=[*(elders.NewFact("class", code, since) for code in classes), *lives_with],
        )
        return elders.register(session, new, "p-admin")


def a_name(n: int) -> str:
    """Names that differ: two of one name and birth date are likely one person."""
    return "李秀英" if n == 0 else f"李秀{chr(0x4E00 + n)}"


def an_elder_alone(session: Session) -> uuid.UUID:
    """An elder in an otherwise empty city."""
    with transaction():
        if session.get(places.Area, CITY) is None:
            _areas(session, date(2020, 1, 1))
    return an_elder(session)


def a_card(session: Session, elder: uuid.UUID, *, at: datetime | None = None) -> str:
    """Make a card bound to the elder; return its scan."""
    with clock.at(at or clock.instant(date(2026, 1, 2))), transaction():
        issued = credentials.issue(session, [elder], by="p-admin", batch="test")
    return issued[0].code


def a_rulebook(
    session: Session, text: str = GUARDED, *, layer: str = "city", node: str = CITY, from_day: date = date(2020, 1, 1)
) -> str:
    """Publish a rulebook by two people on the day that it begins; answers its hash."""
    with clock.at(min(clock.now(), clock.instant(from_day))):
        digest = publications.draft(text, by="p-admin")
        publications.publish(digest, layer=layer, node_id=node, from_day=from_day, by="p-chief")
    return digest


def event(session: Session) -> int:
    """Some event, for rows that must name one."""
    with transaction():
        return events.record(session, "test.event", "x", by="system")


def checkout_body(
    world: World, scans: Sequence[str | None], *, items: Sequence[str] | None = None, amount: int | None = None
) -> dict[str, Any]:
    """Quote at the present moment and answer the body of a checkout that pays in cash, exactly."""
    session: Session = db.session()
    wanted = tuple((item, 1) for item in (items or [f"{world.canteen}-set-a"])) if amount is None else ()
    asked = [Asked(scan, None, None if scan else "guest", "dine_in", wanted, amount) for scan in scans]
    quoted = scan_quotes.quote(session, world.canteen, asked, tablet_id=world.tablet)
    session.rollback()
    ids = [uuid.uuid4() for _ in (*quoted.answers, "payment")]
    due = tills.due_of(quoted)
    tender = {"kind": "cash", "fen": due, "given": due, "change": 0, "reference": ""}
    return tills.checkout_body(
        quoted, ids, cashier=world.cashier, tender=tender, how="camera", mono=1000, boot="boot-1"
    )


def void_body(sale: str, *, fen: int = 700, cashier: str = "p-cashier", approval: str | None = None) -> dict[str, Any]:
    """Make the body of a void by the cashier of the sale."""
    return {
        "id": str(uuid.uuid4()),
        "sale": sale,
        "cashier": cashier,
        "approved_by": None,
        "approval": approval,
        "reason": "打错了",
        "refund": {"kind": "cash", "fen": fen},
    }


def seal(
    world: World, body: dict[str, Any], *, kind: str = "checkout", at: datetime | None = None, mono: int = 2000
) -> dict[str, Any]:
    """The next envelope of the world's tablet."""
    world.number += 1
    sealed = envelope.seal(
        body,
        kind=kind,
        tablet=world.tablet,
        epoch=1,
        number=world.number,
        previous=world.previous,
        at=at or clock.local(clock.now()),
        mono_ms=mono,
        boot="boot-1",
    )
    world.previous = sealed["hash"]
    return sealed


def bring(world: World, *sealed: dict[str, Any], head: Head | None = None) -> list[records.Result]:
    """Send envelopes as the world's tablet; `head`: the newest event when they came in."""
    session: Session = db.session()
    tablet = session.get_one(Tablet, world.tablet)
    session.rollback()
    return records.accept([json.loads(json.dumps(each)) for each in sealed], tablet, head)


def sell(world: World, *scans: str | None, **options: Any) -> records.Result:
    """One checkout, quoted and paid now."""
    return bring(world, seal(world, checkout_body(world, scans, **options)))[0]
