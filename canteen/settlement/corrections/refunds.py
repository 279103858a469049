"""退差: elders who overpaid because a rule or a fact was known late, what they are owed at which canteen, and what was given.

Owed is what revaluations found overpaid on meals that stand, less what was handed back and signed for. A person says
that it was; nothing is taken back.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from canteen import clock, events, names
from canteen.db import retried, transaction
from canteen.errors import Conflict
from canteen.money import Fen
from canteen.places import Canteen
from canteen.pos.models import Sale, Void
from canteen.registry import elders
from canteen.registry.models import ElderIdentity
from canteen.settlement.models import RefundGiven, RevaluedSale
from canteen.workbook import Book, yuan

COLUMNS = ("序号", "食堂", "姓名", "身份证号（脱敏）", "人次", "退差金额", "重估编号", "领取人签字", "日期")


class OwedOtherwise(Conflict):
    code = "refund_changed"
    message = "应退金额已变化或已由他人登记，请刷新后再办。"


@dataclass(frozen=True, slots=True)
class Owed:
    """The sum owed to an elder at a canteen; below zero if a meal was voided after its refund was given."""

    canteen: str
    canteen_name: str
    elder: uuid.UUID
    name: str
    number: str  # masked
    meals: int
    fen: Fen
    revaluations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Given:
    """A refund handed back, under the names of that moment."""

    row: RefundGiven
    canteen_name: str
    name: str
    by: str


def owed(session: Session, canteens: Collection[str], elder: uuid.UUID | None = None) -> list[Owed]:
    """Return who is owed what at these canteens, by canteen and name."""
    query = (
        select(
            Sale.canteen_id, Sale.elder_id, RevaluedSale.sale_id, RevaluedSale.revaluation_id, RevaluedSale.refund_fen
        )
        .join(Sale, Sale.id == RevaluedSale.sale_id)
        .outerjoin(Void, Void.sale_id == Sale.id)
        .where(Sale.canteen_id.in_(canteens), Sale.elder_id.is_not(None), Void.id.is_(None))
        .where(RevaluedSale.refund_fen > 0)
    )
    given = select(
        RefundGiven.canteen_id, RefundGiven.elder_id, func.sum(RefundGiven.fen), func.sum(RefundGiven.meals)
    ).where(RefundGiven.canteen_id.in_(canteens))
    if elder is not None:
        query, given = query.where(Sale.elder_id == elder), given.where(RefundGiven.elder_id == elder)
    sums: dict[tuple[str, uuid.UUID], list[Fen]] = {}
    meals: dict[tuple[str, uuid.UUID], set[uuid.UUID]] = {}
    causes: dict[tuple[str, uuid.UUID], set[int]] = {}
    for canteen, who, sale, number, fen in session.execute(query):
        assert who is not None
        sums.setdefault((canteen, who), [0, 0])[0] += fen
        meals.setdefault((canteen, who), set()).add(sale)
        causes.setdefault((canteen, who), set()).add(number)
    for canteen, who, fen, count in session.execute(given.group_by(RefundGiven.canteen_id, RefundGiven.elder_id)):
        row = sums.setdefault((canteen, who), [0, 0])
        row[0] -= int(fen)
        row[1] -= int(count)
    people = _people(session, {who for _, who in sums})
    called = dict(session.execute(select(Canteen.id, Canteen.name).where(Canteen.id.in_(canteens))).all())
    found = [
        Owed(
            canteen, called[canteen], who, *people.get(who, ("", "")),
            max(0, len(meals.get((canteen, who), ())) + count), fen, tuple(sorted(causes.get((canteen, who), ()))),
        )
        for (canteen, who), (fen, count) in sums.items() if fen
    ]  # fmt: skip
    return sorted(found, key=lambda row: (row.canteen, row.name, str(row.elder)))


def _people(session: Session, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, tuple[str, str]]:
    """Name and masked number of each elder."""
    found: dict[uuid.UUID, tuple[str, str]] = {}
    ordered = sorted(ids)
    for at in range(0, len(ordered), 500):
        query = select(ElderIdentity.elder_id, ElderIdentity.name, ElderIdentity.number_masked)
        rows = query.where(ElderIdentity.elder_id.in_(ordered[at : at + 500])).order_by(ElderIdentity.id)
        found |= {who: (name, number or "") for who, name, number in session.execute(rows)}
    return found


@retried
def give(canteen: str, elder: uuid.UUID, fen: Fen, *, by: str) -> int:
    """Note that an elder was handed `fen`, all that is owed, and signed for it; answers the entry's number.

    Raises NoElder, OwedOtherwise when another amount is owed now.
    """
    with transaction() as session:
        elders.lock(session, elder)
        found = [row for row in owed(session, [canteen], elder) if row.fen > 0]
        if not found or found[0].fen != fen:
            raise OwedOtherwise
        last = select(func.coalesce(func.max(RefundGiven.n), 0)).where(
            RefundGiven.canteen_id == canteen, RefundGiven.elder_id == elder
        )
        n = session.execute(last).scalar_one() + 1
        body = {"elder": str(elder), "fen": fen, "meals": found[0].meals}
        recorded = events.record(session, "refund.give", f"canteen:{canteen}", by=by, body=body)
        session.execute(
            insert(RefundGiven).values(
                canteen_id=canteen, elder_id=elder, n=n, fen=fen, meals=found[0].meals, by=by, at=clock.now(),
                recorded=recorded,
            )
        )  # fmt: skip
        return n


def given(session: Session, canteens: Collection[str]) -> list[Given]:
    """Return the newest hundred refunds that were handed back."""
    newest = select(RefundGiven).where(RefundGiven.canteen_id.in_(canteens)).order_by(RefundGiven.recorded.desc())
    rows = session.execute(newest.limit(100)).scalars().all()
    called = names.of(session, "canteen", {row.canteen_id for row in rows})
    staff = names.of(session, "person", {row.by for row in rows})
    known = _elders(session, {row.elder_id for row in rows})
    return [
        Given(
            row,
            called.at(row.canteen_id, row.recorded),
            known.at(str(row.elder_id), row.recorded),
            staff.at(row.by, row.recorded),
        )
        for row in rows
    ]


def _elders(session: Session, ids: Collection[uuid.UUID]) -> names.Names:
    """Return all names that these elders were registered under."""
    query = select(ElderIdentity.elder_id, ElderIdentity.recorded, ElderIdentity.name)
    found: dict[str, list[names.Entry]] = {}
    for elder, recorded, name in session.execute(
        query.where(ElderIdentity.elder_id.in_(ids)).order_by(ElderIdentity.id)
    ):
        found.setdefault(str(elder), []).append(names.Entry(recorded, name, "", "", None))
    return names.Names(found)


def workbook(rows: Collection[Owed], path: Path) -> None:
    """Write the list to be signed: a sheet a canteen, numbers masked and as text, amounts exact, no formula (P30)."""
    book = Book(path)
    by_canteen: dict[str, list[Owed]] = {}
    for row in rows:
        by_canteen.setdefault(row.canteen, []).append(row)
    for canteen, mine in sorted(by_canteen.items()) or [("", [])]:
        sheet = book.sheet(f"退差 {canteen}"[:31].strip(), (6, 18, 12, 22, 8, 12, 12, 24, 14))
        sheet.title(f"老年助餐退差清单　{mine[0].canteen_name if mine else ''}")
        sheet.head(COLUMNS)
        for n, row in enumerate(mine, 1):
            cited = "、".join(f"R{number}" for number in row.revaluations)
            sheet.row((n, row.canteen_name, row.name, row.number, row.meals, yuan(row.fen), cited, "", ""))
        sheet.row(("合计", None, None, None, sum(row.meals for row in mine), yuan(sum(row.fen for row in mine))))
    book.close()
