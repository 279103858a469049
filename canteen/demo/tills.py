"""A till of the demo city: quotes by the real quoting, seals by the real envelope, sends by the real `records.accept`."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from canteen import clock, keyset
from canteen.auth.models import Tablet
from canteen.demo.randomness import uid
from canteen.policy import quote as engine
from canteen.pos import envelope, records, scan_quotes
from canteen.pos.scan_quotes import Answer, Asked, Quoted

PAYING = timedelta(seconds=25)  # from the quote to the payment
SENDING = timedelta(seconds=27)  # from the quote until it is stored and sent
NOTES = (1000, 2000, 5000, 10000)  # fen of the notes that elders pay with
Document = dict[str, Any]
Twist = Callable[[Document], None]


class DemoFailed(RuntimeError):
    """The product answered otherwise than the demo expects: one of the two is wrong."""


@dataclass(frozen=True, slots=True)
class Wish:
    """The order of one diner: their card's digest or None for a guest, one dish or an amount."""

    credential: str | None
    item: str | None
    amount: int | None = None


@dataclass(frozen=True, slots=True)
class Rung:
    """A checkout as rung up: ids and dues of its sales in order."""

    sales: tuple[uuid.UUID, ...]
    dues: tuple[int, ...]
    at: datetime


def checkout_body(
    quoted: Quoted, ids: Sequence[uuid.UUID], *, cashier: str, tender: Document, how: str, mono: int, boot: str
) -> Document:
    """Return the body of a tablet's checkout record: the quoted sales and one payment. The tablet's own is `basket.js`.

    ids         of the sales in their order, and last of the payment
    how, mono   how the cards were read, and the monotonic ms at which the quote came
    """
    *sales, payment = map(str, ids)
    return {
        "sales": [_sale(quoted, answer, sale, how, mono) for answer, sale in zip(quoted.answers, sales, strict=True)],
        "payment": {"id": payment, "due": due_of(quoted), "tenders": [tender]},
        "cashier": cashier,
        "clock": {"offset_ms": 0, "boot": boot},
    }


def due_of(quoted: Quoted) -> int:
    """Return the fen to be paid for a whole checkout."""
    return sum(answer.priced.quote.due for answer in quoted.answers)


def _sale(quoted: Quoted, answer: Answer, sale: str, how: str, mono: int) -> Document:
    return {
        "id": sale,
        "canteen": quoted.place.canteen.id,
        "point": None,
        "elder": str(answer.elder_id) if answer.elder_id else None,
        "credential": answer.credential,
        "guest": answer.guest,
        "how": how if answer.elder_id else "none",
        "mode": answer.mode,
        "day": quoted.place.day.isoformat(),
        "period": quoted.place.period,
        "lines": [
            {"item": e.item, "name": e.name, "fen": e.fen, "quantity": e.quantity, "tags": list(e.tags)}
            for e in answer.lines
        ],
        "amount": answer.amount,
        "quote": engine.quote_doc(answer.priced.quote),
        "input": answer.priced.document,
        "input_hash": answer.priced.hash,
        "rulebook": answer.rulebook,
        "stamp": answer.stamp,
        "quoted_mono": mono,
        "flags": list(quoted.place.flags),
    }


@dataclass(slots=True)
class Till:
    """One tablet with its chain of records and its outbox."""

    tablet: str
    canteen: str
    cashier: str
    rng: random.Random
    number: int = 0
    previous: str = envelope.FIRST
    outbox: list[Document] = field(default_factory=list)
    expected: list[tuple[str, ...]] = field(default_factory=list)

    def ring(
        self,
        at: datetime,
        wishes: Sequence[Wish],
        *,
        pays: str = "cash",
        how: str = "camera",
        mode: str = "dine_in",
        skew: timedelta = timedelta(0),
        twist: Twist | None = None,
        outcome: tuple[str, ...] = ("created",),
    ) -> Rung:
        """Quote at `at`, take the money, and put the record into the outbox.

        skew      by how much the tablet's clock is ahead
        twist     changes the body before it is sealed
        outcome   what `records.accept` may answer, when it is sent
        """
        return self.sell(self._quote(at, wishes, mode), at, pays=pays, how=how, skew=skew, twist=twist, outcome=outcome)

    def sell(
        self,
        quoted: Quoted,
        at: datetime,
        *,
        pays: str = "cash",
        how: str = "camera",
        skew: timedelta = timedelta(0),
        twist: Twist | None = None,
        outcome: tuple[str, ...] = ("created",),
    ) -> Rung:
        """Take the money for what was quoted at `at`, and put the record into the outbox: see `ring`."""
        body = self._body(quoted, pays, how, at)
        if twist is not None:
            twist(body)
        self._put(body, "checkout", at + PAYING, skew, outcome)
        sales = tuple(uuid.UUID(sale["id"]) for sale in body["sales"])
        return Rung(sales, tuple(answer.priced.quote.due for answer in quoted.answers), at)

    def void(self, at: datetime, rung: Rung, reason: str, *, by: tuple[str, str] | None = None) -> None:
        """Undo the only sale of a checkout; `by` is the manager who allowed it and the token of that."""
        body = {
            "id": str(uid(self.rng)),
            "sale": str(rung.sales[0]),
            "cashier": self.cashier,
            "approved_by": by[0] if by else None,
            "approval": by[1] if by else None,
            "reason": reason,
            "refund": {"kind": "cash" if rung.dues[0] else "free", "fen": rung.dues[0]},
        }
        self._put(body, "void", at, timedelta(0), ("created",))

    def lose(self) -> None:
        """Make a record and chain it, but never send it."""
        self.number += 1
        self.previous = f"{self.rng.getrandbits(256):064x}"

    def send(self, at: datetime) -> None:
        """Bring all that waits, as heard at `at`. Raises DemoFailed when an answer is not among those expected."""
        if not self.outbox:
            return
        with clock.at(at):
            results = records.accept(self.outbox, Tablet(id=self.tablet, canteen_id=self.canteen))
        for result, expected in zip(results, self.expected, strict=True):
            if result.outcome not in expected:
                raise DemoFailed(f"{self.tablet} {result.id}: {result.outcome} {result.reason} {result.message}")
        self.outbox.clear()
        self.expected.clear()

    def taken(self) -> list[Document]:
        """Return all that waits, and leave nothing waiting."""
        waiting = list(self.outbox)
        self.outbox.clear()
        self.expected.clear()
        return waiting

    def _quote(self, at: datetime, wishes: Sequence[Wish], mode: str) -> Quoted:
        asked = [
            Asked(
                scan=None,
                credential=wish.credential,
                guest=None if wish.credential else "guest",
                mode=mode,
                items=((wish.item, 1),) if wish.item else (),
                amount=wish.amount,
            )
            for wish in wishes
        ]
        with clock.at(at), keyset.reader() as session:
            return scan_quotes.quote(session, self.canteen, asked, tablet_id=self.tablet)

    def _body(self, quoted: Quoted, pays: str, how: str, at: datetime) -> Document:
        ids = [uid(self.rng) for _ in (*quoted.answers, "payment")]
        tender = self._tender(due_of(quoted), pays)
        mono, boot = self._mono(at), self._boot(at)
        return checkout_body(quoted, ids, cashier=self.cashier, tender=tender, how=how, mono=mono, boot=boot)

    def _tender(self, due: int, pays: str) -> Document:
        if due == 0:
            return {"kind": "free", "fen": 0, "given": 0, "change": 0, "reference": ""}
        if pays == "mobile":
            reference = f"DEMO{self.rng.randrange(10**8):08d}"
            return {"kind": "mobile", "fen": due, "given": due, "change": 0, "reference": reference}
        enough = [note for note in NOTES if note >= due] or [due]
        given = due if self.rng.random() < 0.4 else enough[0]
        return {"kind": "cash", "fen": due, "given": given, "change": given - due, "reference": ""}

    def _put(self, body: Document, kind: str, at: datetime, skew: timedelta, outcome: tuple[str, ...]) -> None:
        self.number += 1
        sealed = envelope.seal(
            body,
            kind=kind,
            tablet=self.tablet,
            epoch=1,
            number=self.number,
            previous=self.previous,
            at=clock.local(at + skew),
            mono_ms=self._mono(at),
            boot=self._boot(at),
        )
        self.previous = sealed["hash"]
        self.outbox.append(json.loads(json.dumps(sealed)))
        self.expected.append(outcome)

    def _mono(self, at: datetime) -> int:
        """Return milliseconds since the tablet was started that morning, at six."""
        started = clock.instant(clock.business_day(at), 6 * 60)
        return max(0, round((at - started).total_seconds() * 1000))

    def _boot(self, at: datetime) -> str:
        return f"boot-{clock.business_day(at).isoformat()}"
