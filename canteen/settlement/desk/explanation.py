"""Explain one meal: what was known, which rule gave what by which clause, which were passed over, and the outcome."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock, names
from canteen.ledger.models import Transfer
from canteen.ledger.queries import SOURCE, TARGET, with_ends
from canteen.money import Fen, show
from canteen.policy import case
from canteen.policy import quote as engine
from canteen.pos.models import QuoteInput, Record, Sale, SaleUse, Void
from canteen.pos.sale_rows import LINE, SURCHARGE, TENDER, out_of_json
from canteen.rulebooks import layers
from canteen.settlement.corrections import reallocation_queries
from canteen.settlement.desk import display_names
from canteen.settlement.labels import excluded_name, say
from canteen.settlement.models import Claim, Finding, WithheldAnswer, WithheldMeal


@dataclass(frozen=True, slots=True)
class ShownTransfer:
    """One transfer of a meal's money, as people read it."""

    at: datetime
    source: str
    target: str
    fund: str
    fen: Fen
    movement: str
    reason: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that the desk shows of one meal."""

    sale: Sale
    lines: list[dict[str, Any]]  # as the sale's lists hold them
    surcharges: list[dict[str, Any]]
    own: engine.Quote | None
    names: display_names.Names
    facts: list[tuple[str, str]]
    uses: list[SaleUse]
    moves: list[ShownTransfer]
    payment_due: Fen  # over all sales of the checkout
    tenders: list[dict[str, Any]]
    void: Void | None
    findings: list[tuple[Finding, str]]
    withheld: list[tuple[WithheldMeal, WithheldAnswer | None]]
    reallocation: reallocation_queries.MovedBenefit | None


def of(session: Session, sale_id: uuid.UUID, *, insider: bool = True, named: int | None = None) -> Explanation | None:
    """Explain a sale; None when there is no such sale.

    insider  whether the reader may read of deaths (ruling 12)
    named    the event that the names of areas and canteens are as of; None for the present
    """
    sale = session.get(Sale, sale_id)
    if sale is None:
        return None
    lines, surcharges, tenders, payment_due, body, void = session.execute(
        select(Sale.lines, Sale.surcharges, Record.tenders, Record.payment_due, QuoteInput.body, Void)
        .join(Record, Record.id == Sale.record_id)
        .join(QuoteInput, QuoteInput.hash == Sale.own_input_hash)
        .outerjoin(Void, Void.sale_id == Sale.id)
        .where(Sale.id == sale_id)
    ).one()
    asked, rules = _asked(body), layers.stored_body(session, sale.own_rulebook_hash)
    book = display_names.of_book(rules)
    return Explanation(
        sale=sale,
        lines=out_of_json(LINE, lines),
        surcharges=out_of_json(SURCHARGE, surcharges),
        own=_own(asked, sale.own_rulebook_hash, rules),
        names=book,
        facts=_facts(session, asked, sale.service_day, book, named),
        uses=_all(session, select(SaleUse).where(SaleUse.sale_id == sale_id).order_by(SaleUse.allowance)),
        moves=_shown_transfers(session, sale_id, book, insider=insider),
        payment_due=payment_due or 0,
        tenders=out_of_json(TENDER, tenders),
        void=void,
        findings=[
            (finding, number)
            for finding, number in session.execute(
                select(Finding, Claim.number)
                .join(Claim, Claim.period_id == Finding.period_id)
                .where(Finding.sale_id == sale_id)
                .order_by(Finding.id)
            )
        ],
        withheld=[
            (kept, said)
            for kept, said in session.execute(
                select(WithheldMeal, WithheldAnswer)
                .outerjoin(WithheldAnswer, WithheldAnswer.withheld_id == WithheldMeal.id)
                .where(WithheldMeal.sale_id == sale_id)
                .order_by(WithheldMeal.id)
            )
        ],
        reallocation=reallocation_queries.of_sale(session, sale_id, named=named),
    )


def _all(session: Session, query: Any) -> list[Any]:
    return list(session.execute(query).scalars())


def _asked(body: str) -> case.Case | None:
    try:
        return case.read_case(json.loads(body))
    except ValueError:
        return None


def _own(asked: case.Case | None, digest: str, rules: str | None) -> engine.Quote | None:
    """Quote the meal again from what was stored."""
    if asked is None or rules is None:
        return None
    try:
        return engine.quote(layers.loaded(digest, rules), asked.diner, asked.meal, asked.taken)
    except ValueError:
        return None


def _facts(
    session: Session, asked: case.Case | None, day: date, book: display_names.Names, named: int | None
) -> list[tuple[str, str]]:
    """Describe the diner as the rules saw them on the day."""
    if asked is None or asked.diner.kind != "elder":
        return []
    diner = asked.diner
    facts = []
    if diner.birth_day is not None:
        born = clock.day_of(diner.birth_day)
        age = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
        facts.append(("出生日期", f"{born.isoformat()}（当日 {age} 周岁）"))
    areas = names.of(session, "area", {*diner.hukou, *diner.residence})
    facts += [
        ("户籍地", " / ".join(areas.at(code, named) for code in diner.hukou)),
        ("居住地", " / ".join(areas.at(code, named) for code in diner.residence)),
        ("人员类别", display_names.classes(diner.classes)),
        ("评定等级", "、".join(f"{scale} {level}" for scale, level in sorted(diner.levels.items()))),
        ("人员状态", display_names.statuses(diner.statuses)),
        ("领取待遇", "、".join(diner.benefits)),
    ]
    taken = [
        f"{book.limits.get(one.allowance, one.allowance)}：{book.window(one.allowance, one.window)} 已用 "
        + (f"{one.count} 次" if one.count else f"{show(one.fen)} 元")
        for one in asked.taken
        if one.count or one.fen
    ]
    facts.append(("此前已用", "；".join(taken)))
    return [(name, value) for name, value in facts if value]


def _why(row: Transfer, book: display_names.Names, *, insider: bool) -> str:
    if row.movement == "revalue":
        return f"重估 R{row.cause.rpartition(':')[2]}"
    if row.movement == "verdict":
        return excluded_name(row.reason, insider=insider)
    return {"payment": "收款"}.get(row.movement) or book.labels.get(row.reason, row.reason)


def _shown_transfers(
    session: Session, sale_id: uuid.UUID, book: display_names.Names, *, insider: bool
) -> list[ShownTransfer]:
    rows = session.execute(
        with_ends(select(Transfer, SOURCE.kind, TARGET.kind)).where(Transfer.sale_id == sale_id).order_by(Transfer.id)
    )
    return [
        ShownTransfer(
            row.at, say("account", from_kind), say("account", to_kind), row.fund, row.fen, row.movement,
            _why(row, book, insider=insider),
        )
        for row, from_kind, to_kind in rows
    ]  # fmt: skip
