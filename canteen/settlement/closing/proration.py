"""Share a budget out pro rata when its window is over (按比例核减). The rule is in docs/rulebook.md, `budget`.

The first close of a period that reaches the window's last day reads, under the budget's lock, what all valid meals
asked, and writes down each contract's part. Every contract is then booked by its own close, before its period's row is
flipped: so its claim holds what may be claimed, and a close that is killed or run twice books once. In which order the
contracts close does not matter. What arrives later draws on what the parts left, as limits are counted at the sale.
"""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import and_, func, insert, or_, select, tuple_
from sqlalchemy.orm import Session

from canteen import clock, events, keyset
from canteen.ledger import transfers
from canteen.ledger.models import Period, Transfer
from canteen.ledger.queries import TARGET, net, to_target, with_ends
from canteen.ledger.transfers import Move
from canteen.money import Fen, split
from canteen.places import Canteen, Contract
from canteen.policy import budget_ids
from canteen.pos import pricing, slots
from canteen.pos.models import AmountUsed, Proration, Record, Sale, SaleUse, UseChange, Void
from canteen.settlement.closing import budgets
from canteen.settlement.closing.checks import Finding
from canteen.settlement.models import (
    ProratedShare,
    ProrationBooked,
    ProrationPart,
    RevaluedShare,
    WithheldAnswer,
    WithheldMeal,
)

PRORATED = "budget.prorate"
REASON = "prorated"

Key = slots.Key  # allowance, window
ShareKey = tuple[uuid.UUID, int]  # sale, share


def parts(room: Fen, asked: Sequence[Fen]) -> list[Fen]:
    """Share `room` out: all that was asked where it suffices, else pro rata by largest remainder, ties to the earlier.

    The parts sum to the lesser of `room` and all that was asked, and none is more than was asked.
    """
    return list(asked) if sum(asked) <= room else split(room, asked)


def reductions(part: Fen, asked: Mapping[ShareKey, Fen], taken_back: Mapping[uuid.UUID, Fen]) -> dict[ShareKey, Fen]:
    """Return the fen that each share loses, by (sale, share), if all shares together get `part`; only those that lose.

    taken_back  fen of each sale that revaluations took back; they count towards its loss
    """
    left, found = Counter(taken_back), dict[ShareKey, Fen]()
    ordered = sorted(asked)
    for (sale, share_n), fen in zip(ordered, parts(part, [asked[key] for key in ordered]), strict=True):
        lost = asked[sale, share_n] - fen
        before = min(left[sale], lost)
        left[sale] -= before
        if lost > before:
            found[sale, share_n] = lost - before
    return found


def beyond(granted: Fen, asked: Mapping[ShareKey, Fen]) -> dict[ShareKey, Fen]:
    """Compute what a late meal's shares lose: all beyond what its budget still granted, the first served first."""
    found = dict[ShareKey, Fen]()
    for key in sorted(asked):
        kept = min(asked[key], granted)
        granted -= kept
        if asked[key] > kept:
            found[key] = asked[key] - kept
    return found


# --- at the close ---


def book(session: Session, period: Period, *, by: str) -> None:
    """Book to the period what budgets ended by then do not bear; the caller holds the period locked and open."""
    canteen = session.get_one(Contract, period.contract_id).canteen_id
    found = over(session, period, canteen)
    if not found:
        return
    slots.lock_budgets(session, found)
    for key in sorted(found):
        shared = session.get(Proration, key, populate_existing=True) or _share_out(session, key, by)
        lost = _of_parts(session, shared, period, found[key])
        lost |= _of_late(session, shared, period, canteen, found[key])
        _write(session, shared, period, lost)


def over(session: Session, period: Period, canteen: str) -> dict[Key, set[str]]:
    """Find prorated budgets that the contract drew on and whose window ended by the period's end; with rulebooks."""
    found: dict[Key, set[str]] = defaultdict(set)
    for allowance, window, book_hash, last in _windows(session, period.contract_id, canteen):
        if last <= period.to_day:
            found[allowance, window].add(book_hash)
    return dict(found)


def until(session: Session, contract: Contract) -> date:
    """Return the last day of all windows the contract drew on: until then it has periods to close, even if ended."""
    found = _windows(session, contract.id, contract.canteen_id)
    return max((last for *_, last in found), default=date.min)


def _windows(session: Session, contract: str, canteen: str) -> list[tuple[str, str, str, date]]:
    """Read (allowance, window, rulebook, last day) of the prorated budgets that the contract's meals drew on."""
    query = (
        select(SaleUse.allowance, SaleUse.window, Sale.own_rulebook_hash)
        .join(Sale, Sale.id == SaleUse.sale_id)
        .where(SaleUse.person_id == pricing.budget_uuid(canteen), Sale.contract_id == contract)
        .distinct()
    )
    return [
        (allowance, window, book_hash, budgets.last_day(session, book_hash, allowance, window))
        for allowance, window, book_hash in session.execute(query).all()
        if budgets.prorated(session, book_hash, allowance)
    ]


def _share_out(session: Session, key: Key, by: str) -> Proration:
    """Sum what everybody asked of a window and store the contracts' parts. Under the budget's lock, once."""
    ((records,),) = session.execute(select(func.coalesce(func.max(Record.id), 0))).all()
    asked, other = Counter[str](), 0
    for contract, book_hash, fen in _asked_by_contract(session, key, records):
        if budgets.prorated(session, book_hash, key[0]):
            asked[contract] += fen
        else:
            other += fen
    ((limit,),) = session.execute(
        select(func.max(SaleUse.limited_to)).where(*_drawn_by(session, key)).join(Sale, Sale.id == SaleUse.sale_id)
    ).all()
    other += _added(session, key)
    contracts = sorted(contract for contract, fen in asked.items() if fen)
    shared = Proration(
        allowance=key[0], window=key[1], limit_fen=limit, other_fen=other, asked_fen=sum(asked.values()),
        records=records, recorded=0, at=clock.now(),
    )  # fmt: skip
    found = parts(shared.room, [asked[contract] for contract in contracts])
    body = {
        "limit": limit,
        "other": other,
        "asked": shared.asked_fen,
        "records": records,
        "parts": {contract: [asked[contract], fen] for contract, fen in zip(contracts, found, strict=True)},
    }
    shared.recorded = events.record(session, PRORATED, subject(key), by=by, body=body)
    session.add(shared)
    session.flush()
    for contract, fen in zip(contracts, found, strict=True):
        session.add(
            ProrationPart(
                allowance=key[0], window=key[1], contract_id=contract, asked_fen=asked[contract], part_fen=fen
            )
        )
    session.flush()
    _use_up(session, key, shared)
    return shared


def _use_up(session: Session, key: Key, shared: Proration) -> None:
    """Count the budget as used by what it was found to bear: an earlier void may have left it counted as less."""
    borne = min(shared.limit_fen, shared.other_fen + shared.asked_fen)
    missing = borne - slots.fen_drawn(session, [key]).get(key, 0)
    if missing > 0:
        row = {"person_id": pricing.PRORATED, "allowance": key[0], "window": key[1], "used": missing}
        session.execute(insert(AmountUsed).values(**row, limited_to=shared.limit_fen))


def _of_parts(session: Session, shared: Proration, period: Period, books: Collection[str]) -> dict[ShareKey, Fen]:
    """Compute what the contract's meals lose by its part: all at its first close, later those released again."""
    key = (shared.allowance, shared.window)
    part = session.get(ProrationPart, (*key, period.contract_id))
    if part is None:
        return {}
    waiting, let_in = kept_out(session, key, period.contract_id)
    booked = session.get(ProrationBooked, (*key, period.contract_id)) is not None
    if booked and not let_in:
        return {}
    asked = asked_by_share(session, key, period.contract_id, books, shared.records)
    lost = reductions(part.part_fen, asked, taken_back(session, shared.allowance, {sale for sale, _ in asked}))
    left = gone(session, {sale for sale, _ in lost})
    if not booked:
        session.add(
            ProrationBooked(allowance=key[0], window=key[1], contract_id=period.contract_id, period_id=period.id)
        )
        session.flush()
    return {
        (sale, n): fen
        for (sale, n), fen in lost.items()
        if sale not in left and sale not in waiting and (not booked or sale in let_in)
    }


def _of_late(
    session: Session, shared: Proration, period: Period, canteen: str, books: Collection[str]
) -> dict[ShareKey, Fen]:
    """Compute what meals lose that arrived after the window was shared out and are booked to the period."""
    query = (
        with_ends(
            select(Sale.id, Transfer.share_n, SaleUse.granted, net("open"))
            .select_from(SaleUse)
            .join(Sale, Sale.id == SaleUse.sale_id)
            .join(Transfer, _as_sold(shared.allowance))
        )
        .where(
            SaleUse.person_id == pricing.budget_uuid(canteen),
            SaleUse.allowance == shared.allowance,
            SaleUse.window == shared.window,
            Sale.record_id > shared.records,
            Sale.contract_id == period.contract_id,
            Sale.own_rulebook_hash.in_(sorted(books)),
            Transfer.period_id == period.id,
        )
        .group_by(Sale.id, Transfer.share_n, SaleUse.granted)
    )
    asked: dict[uuid.UUID, dict[ShareKey, Fen]] = defaultdict(dict)
    granted: dict[uuid.UUID, Fen] = {}
    for sale, share_n, given, fen in session.execute(query):
        assert share_n is not None  # no transfer of a sale's own is without its share
        granted[sale] = given
        asked[sale][sale, share_n] = int(fen)
    left = gone(session, asked)
    return {
        key: fen for sale, mine in asked.items() if sale not in left for key, fen in beyond(granted[sale], mine).items()
    }


def _write(session: Session, shared: Proration, period: Period, lost: Mapping[ShareKey, Fen]) -> None:
    if not lost:
        return
    days = dict[uuid.UUID, Any]()
    for some in _batches(sorted({sale for sale, _ in lost})):
        found = session.execute(select(Sale.id, Sale.service_day).where(keyset.among(Sale.id, some)))
        for sale, day in found:
            days[sale] = day
    session.execute(
        insert(ProratedShare),
        [
            {
                "sale_id": sale,
                "share_n": n,
                "allowance": shared.allowance,
                "window": shared.window,
                "period_id": period.id,
                "fen": fen,
            }
            for (sale, n), fen in sorted(lost.items())
        ],
    )
    fund, cause = budget_ids.fund_of(shared.allowance), f"proration:{shared.allowance}/{shared.window}"
    moves = [
        Move(fund, "open", "excluded", fen, "verdict", REASON, cause, days[sale], sale, n)
        for (sale, n), fen in sorted(lost.items())
    ]
    transfers.post(session, period, moves)


# --- what was asked ---


def _as_sold(allowance: str) -> Any:
    """Read what a sale booked of the budget's fund when it arrived: the share, and what of it could not be claimed."""
    return and_(
        Transfer.sale_id == Sale.id, Transfer.fund == budget_ids.fund_of(allowance), Transfer.cause.like("sale:%")
    )


def _drawn_by(session: Session, key: Key) -> tuple[Any, ...]:
    budget_rows = [pricing.budget_uuid(canteen) for canteen in session.execute(select(Canteen.id)).scalars()]
    return keyset.among(SaleUse.person_id, budget_rows), SaleUse.allowance == key[0], SaleUse.window == key[1]


def _asked_by_contract(session: Session, key: Key, records: int) -> Iterator[tuple[str, str, Fen]]:
    """Sum (contract, rulebook, fen) that a window's valid meals, arrived up to a record, booked as claimable."""
    query = (
        with_ends(
            select(Sale.contract_id, Sale.own_rulebook_hash, net("open"))
            .select_from(SaleUse)
            .join(Sale, Sale.id == SaleUse.sale_id)
            .join(Transfer, _as_sold(key[0]))
        )
        .outerjoin(Void, and_(Void.sale_id == Sale.id, Void.record_id <= records))
        .where(*_drawn_by(session, key), Sale.record_id <= records, Void.id.is_(None))
        .group_by(Sale.contract_id, Sale.own_rulebook_hash)
    )
    for contract, book_hash, fen in session.execute(query).all():
        yield contract, book_hash, int(fen)


def asked_by_share(
    session: Session, key: Key, contract: str, books: Collection[str], records: int
) -> dict[ShareKey, Fen]:
    """Compute what each share of the contract's prorated meals asked, of those valid when the window was shared out."""
    canteen = session.get_one(Contract, contract).canteen_id
    query = (
        with_ends(
            select(Sale.id, Transfer.share_n, net("open"))
            .select_from(SaleUse)
            .join(Sale, Sale.id == SaleUse.sale_id)
            .join(Transfer, _as_sold(key[0]))
        )
        .outerjoin(Void, and_(Void.sale_id == Sale.id, Void.record_id <= records))
        .where(SaleUse.person_id == pricing.budget_uuid(canteen), SaleUse.allowance == key[0])
        .where(SaleUse.window == key[1], Sale.contract_id == contract, Sale.record_id <= records, Void.id.is_(None))
        .where(Sale.own_rulebook_hash.in_(sorted(books)))
        .group_by(Sale.id, Transfer.share_n)
    )
    return {(sale, share_n): int(fen) for sale, share_n, fen in session.execute(query) if share_n is not None and fen}


def _added(session: Session, key: Key) -> Fen:
    """Sum what revaluations took of the budget for valid meals: only what was free, so it is subtracted whole."""
    query = select(func.coalesce(func.sum(UseChange.amount), 0)).outerjoin(Void, Void.sale_id == UseChange.sale_id)
    query = query.where(UseChange.amount > 0)
    return int(
        session.execute(
            query.where(UseChange.allowance == key[0], UseChange.window == key[1], Void.id.is_(None))
        ).scalar_one()
    )


def taken_back(session: Session, allowance: str, sales: Collection[uuid.UUID]) -> dict[uuid.UUID, Fen]:
    """Read what revaluations took back from the budget's fund of each of these sales."""
    found = Counter[uuid.UUID]()
    for some in _batches(sorted(sales)):
        query = select(RevaluedShare.sale_id, func.sum(-RevaluedShare.fen)).where(
            keyset.among(RevaluedShare.sale_id, some),
            RevaluedShare.fund == budget_ids.fund_of(allowance),
            RevaluedShare.fen < 0,
        )
        found.update({sale: int(fen) for sale, fen in session.execute(query.group_by(RevaluedShare.sale_id))})
    return dict(found)


def kept_out(session: Session, key: Key, contract: str) -> tuple[set[uuid.UUID], set[uuid.UUID]]:
    """Read the window's meals that reviewers keep out of a claim, and those that they released again."""
    query = (
        select(WithheldMeal.sale_id, WithheldAnswer.outcome)
        .join(SaleUse, SaleUse.sale_id == WithheldMeal.sale_id)
        .join(Sale, Sale.id == WithheldMeal.sale_id)
        .outerjoin(WithheldAnswer, WithheldAnswer.withheld_id == WithheldMeal.id)
        .outerjoin(
            ProratedShare, and_(ProratedShare.sale_id == WithheldMeal.sale_id, ProratedShare.allowance == key[0])
        )
        .where(SaleUse.allowance == key[0], SaleUse.window == key[1], Sale.contract_id == contract)
        .where(ProratedShare.sale_id.is_(None))
    )
    rows = session.execute(query).all()
    kept = {sale for sale, outcome in rows if outcome != "released"}
    return kept, {sale for sale, outcome in rows if outcome == "released"} - kept


def gone(session: Session, sales: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Find which of these sales' money has left `open` by a void or by a person's decision."""
    found = set[uuid.UUID]()
    judged = and_(Transfer.movement == "verdict", Transfer.cause.not_like("sale:%"), Transfer.reason != REASON)
    struck = and_(Transfer.movement == "disallow", TARGET.kind == "disallowed")
    for some in _batches(sorted(sales)):
        query = to_target(select(Transfer.sale_id)).where(
            keyset.among(Transfer.sale_id, some), or_(Transfer.movement == "void", judged, struck)
        )
        found |= {sale for (sale,) in session.execute(query) if sale is not None}
    return found


def _batches(ids: Sequence[uuid.UUID]) -> Iterator[Sequence[uuid.UUID]]:
    for at in range(0, len(ids), keyset.PAGE):
        yield ids[at : at + keyset.PAGE]


# --- what it is called ---


def subject(key: Key) -> str:
    """Return a finding's subject, 'budget:city/20820': a fund, with its place if any, and the window's first day."""
    return f"budget:{key[0].removeprefix(budget_ids.PREFIX)}/{clock.day_of(int(key[1])).isoformat()}"


def findings(period: Period) -> Iterator[Finding]:
    """Make a finding for each fund and window prorated in the period: what it had, was asked, and is lost here."""
    query = (
        select(ProratedShare.allowance, ProratedShare.window, func.sum(ProratedShare.fen), func.count(ProratedShare.sale_id.distinct()))
        .where(ProratedShare.period_id == period.id)
        .group_by(ProratedShare.allowance, ProratedShare.window)
    )  # fmt: skip
    lost = {(allowance, window): (int(fen), meals) for allowance, window, fen, meals in keyset.once(query)}
    if not lost:
        return
    own_parts = {
        (allowance, window): (asked, part)
        for allowance, window, asked, part in keyset.once(
            select(
                ProrationPart.allowance, ProrationPart.window, ProrationPart.asked_fen, ProrationPart.part_fen
            ).where(ProrationPart.contract_id == period.contract_id)
        )
    }
    found = select(
        Proration.allowance, Proration.window, Proration.limit_fen, Proration.other_fen, Proration.asked_fen
    ).where(tuple_(Proration.allowance, Proration.window).in_(sorted(lost)))
    for allowance, window, limit, other, asked in keyset.once(found):
        key = (allowance, window)
        fen, meals = lost[key]
        own, part = own_parts.get(key, (0, 0))
        body = {
            "fund": budget_ids.fund_of(allowance),
            "from": clock.day_of(int(window)).isoformat(),
            "limit": limit,
            "other": other,
            "asked": asked,
            "here": own,
            "part": part,
            "meals": meals,
        }
        yield Finding("prorated", subject(key), None, fen, body)
