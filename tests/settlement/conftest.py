"""A canteen whose first months are January and February 2026: sold in, closed, claimed."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from canteen import clock
from canteen.auth.models import Person
from canteen.db import db, transaction
from canteen.ledger.models import Period
from canteen.pos import records
from canteen.settlement.claims import claims
from canteen.settlement.closing import close as period_close
from canteen.settlement.desk import export_jobs
from canteen.settlement.models import Claim, Finding
from tests import world
from tests.auth.house import Browser
from tests.rigs.states import state
from tests.world import World

MADE = clock.instant(date(2026, 1, 2), 9 * 60)
RULES = world.GUARDED.replace(
    "stages:",
    "  - id: street\n    name: 街道\n    payer: subsidy\nstages:",
)


def at(day: date, hour: int = 11, minute: int = 30) -> datetime:
    """An instant of `day` in Shanghai; lunch unless given."""
    return clock.instant(day, hour * 60 + minute)


@dataclass
class Town:
    """One canteen's till and elders, and the close of its months."""

    till: World
    session: Session
    cards: list[str] = field(default_factory=list)
    elders: list[uuid.UUID] = field(default_factory=list)

    def elder(self, **options: Any) -> str:
        """Another elder; answers the card."""
        with clock.at(MADE):
            elder = world.an_elder(self.session, **options)
            card = world.a_card(self.session, elder)
        self.elders.append(elder)
        self.cards.append(card)
        return card

    def sell(self, day: date, *cards: str | None, hour: int = 11, minute: int = 30, **options: Any) -> list[str]:
        """A checkout at that moment; answers the sale ids."""
        with clock.at(at(day, hour, minute)):
            result = world.sell(self.till, *cards, **options)
        assert result.outcome in {"created", "kept"}, result
        return list(result.sales)

    def sealed(self, day: date, *cards: str | None, hour: int = 11, minute: int = 30, **options: Any) -> dict[str, Any]:
        """A checkout made at that moment and kept on the tablet."""
        with clock.at(at(day, hour, minute)):
            return world.seal(self.till, world.checkout_body(self.till, cards, **options))

    def bring(self, arrives: datetime, *sealed: dict[str, Any]) -> list[records.Result]:
        """Records that arrive at that moment."""
        with clock.at(arrives):
            return world.bring(self.till, *sealed)

    def void(self, sale: str, when: datetime, *, refund: int = 700) -> records.Result:
        """A manager's void at that moment."""
        from canteen.auth import approvals  # noqa: PLC0415 - needs the application

        with clock.at(when):
            body = {
                "id": str(uuid.uuid4()),
                "sale": sale,
                "cashier": self.till.cashier,
                "approved_by": "p-manager",
                "approval": approvals.give("p-manager", tablet_id=self.till.tablet, sale_id=uuid.UUID(sale)),
                "reason": "老人没吃",
                "refund": {"kind": "cash", "fen": refund},
            }
            return world.bring(self.till, world.seal(self.till, body, kind="void"))[0]

    def close(self, month: str, *, on: date | None = None) -> period_close.Closed:
        """Close a month on the fourth of the next, unless given."""
        span = clock.Span.month(date.fromisoformat(f"{month}-01"))
        when = on or date.fromordinal(span.last.toordinal() + 4)
        with clock.at(at(when, 6, 0)):
            return period_close.close(self.till.contract, span.first, by="system")

    def claim(self, month: str) -> Claim:
        self.session.rollback()
        return claims.of_number(self.session, f"{self.till.contract}-{month.replace('-', '')}")

    def lines(self, month: str) -> list[tuple[str, str, str, str, int, int, int]]:
        """(kind, fund, month, origin, meals, persons, fen) of a claim's lines."""
        return [
            (line.kind, line.fund, line.service_month, line.origin, line.meals, line.persons, line.fen)
            for line in claims.lines(self.session, self.claim(month).id)
        ]

    def findings(self, month: str) -> list[Finding]:
        period = self.claim(month).period_id
        return list(
            self.session.execute(select(Finding).where(Finding.period_id == period).order_by(Finding.id)).scalars()
        )

    def period(self, month: str) -> Period:
        first = date.fromisoformat(f"{month}-01")
        return self.session.execute(
            select(Period).where(Period.contract_id == self.till.contract, Period.from_day == first)
        ).scalar_one()


@state
def town(session: Session) -> Town:
    with clock.at(MADE):
        till = world.make(session)
        world.a_rulebook(session)
        people(session, "p-manager", "p-street", "p-finance", "p-chief2", "p-pay", "p-check")
    made = Town(till, session)
    made.elder()
    return made


def people(session: Session, *ids: str) -> None:
    """Accounts by these ids, without any right."""
    with transaction():
        for number in ids:
            session.add(Person(id=number, login=number, name=number, pin_hash="x", changed_at=clock.now()))


def exported(desk: Browser, claim: str) -> TestResponse:
    """Return the workbook of the claim at this address, asked for, written by the scheduler and taken."""
    page = desk.get(f"{claim}/export.xlsx").headers["Location"]
    export_jobs.tick("test")
    return desk.get(f"{page}.xlsx")


def fresh() -> Session:
    """The session with nothing remembered."""
    db.session.rollback()
    db.session.expire_all()
    return db.session()
