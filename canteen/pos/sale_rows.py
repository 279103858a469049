"""The rows of a checkout, table by table, and the transfers that book its money."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy.orm import Session

from canteen import clock
from canteen.db import Base
from canteen.ledger import transfers
from canteen.ledger.models import Period, Transfer
from canteen.ledger.transfers import Move
from canteen.pos import arrivals, pricing
from canteen.pos.arrivals import Arrival
from canteen.pos.checkout_rows import Checked, Row
from canteen.pos.models import Payment, QuoteInput, Sale, SaleKey, SaleLine, SaleUse, Slot, Surcharge, Tender
from canteen.pos.models import Share as ShareRow
from canteen.pos.orders import Checkout, SaleOrder
from canteen.pos.pricing import Place
from canteen.pos.verdicts import Judged, Verdict


def of_checkout(
    session: Session,
    order: Checkout,
    arrival: Arrival,
    judged: Sequence[Judged],
    place: Place,
    period: Period,
) -> Checked:
    """Make all rows of this checkout, by table."""
    keys = {"service_month": clock.month_of(place.day), "district_id": place.canteen.district_id}
    month = {"service_month": keys["service_month"]}
    inputs = {hash_: body for j in judged for hash_, body in ((j.own.hash, j.own.body), j.sold_input)}
    payment = {"id": order.payment_id, "contract_id": period.contract_id, "due": order.due, "fen": order.paid, **keys}
    tables: dict[type[Base], Sequence[Row]] = {
        SaleKey: [{"sale_id": j.order.id, "content_hash": j.order.content_hash, **month} for j in judged],
        QuoteInput: [{"hash": hash_, "body": body} for hash_, body in sorted(inputs.items())],
        Payment: [payment],
        Tender: [{"payment_id": order.payment_id, "n": n, **asdict(t)} for n, t in enumerate(order.tenders, 1)],
        Sale: [_sale(n, j, order, arrival, place, period.contract_id) | keys for n, j in enumerate(judged)],
        SaleLine: [row for j in judged for row in _lines(j.order)],
        ShareRow: [_share(j.order.id, verdict) | keys for j in judged for verdict in j.verdicts],
        Surcharge: [
            {"sale_id": j.order.id, "n": n, **s._asdict()} for j in judged for n, s in enumerate(j.sold.surcharges, 1)
        ],
        SaleUse: [use for j in judged for use in j.uses],
        Slot: [slot for j in judged for slot in j.slots],
        Transfer: transfers.rows(session, period, list(_moves(order, judged, place))),
    }
    return Checked(arrivals.row(arrival), tables)


def _sale(n: int, j: Judged, order: Checkout, arrival: Arrival, place: Place, contract_id: str) -> dict[str, Any]:
    return {
        "id": j.order.id,
        "payment_id": order.payment_id,
        "arrival": n,
        "contract_id": contract_id,
        "canteen_id": place.canteen.id,
        "point_id": j.order.point,
        "elder_id": j.order.elder,
        "guest": j.order.guest,
        "credential": j.order.credential,
        "how_read": j.order.how,
        "cashier_id": order.cashier,
        "service_day": place.day,
        "period": place.period,
        "mode": j.order.mode,
        "tablet_at": arrival.envelope.at,
        "estimated_at": j.times.estimated_at,
        "arrived_at": arrival.at,
        "skew_ms": j.times.skew_ms,
        "online": j.times.online,
        "amount": j.order.amount,
        "list_fen": j.sold.list,
        "due_fen": j.sold.due,
        "surcharge_fen": j.sold.surcharge_fen,
        "rulebook_hash": j.order.rulebook,
        "own_rulebook_hash": place.book.hash,
        "sold_input_hash": j.sold_input[0],
        "own_input_hash": j.own.hash,
        "known_at": place.head[0],
        "explanation": pricing.explain(j.sold),
        "flags": " ".join(j.flags),
    }


def _lines(sale: SaleOrder) -> Iterator[dict[str, Any]]:
    for n, line in enumerate(sale.lines, 1):
        yield {
            "sale_id": sale.id,
            "n": n,
            "item_id": line.item,
            "name": line.name,
            "fen": line.fen,
            "quantity": line.quantity,
            "tags": " ".join(line.tags),
        }


def _share(sale_id: uuid.UUID, verdict: Verdict) -> dict[str, Any]:
    share = verdict.share
    return {
        "sale_id": sale_id,
        "n": verdict.n,
        "fund": share.fund,
        "payer": share.payer,
        "rule": share.rule,
        "clause": share.clause,
        "stage": share.stage,
        "fen": share.fen,
        "label": share.label,
        "reason": share.reason,
    }


def _moves(order: Checkout, judged: Sequence[Judged], place: Place) -> Iterator[Move]:
    """Yield the moves: subsidies granted -> open, the unclaimable open -> excluded, donations, the elders' own money."""
    for j in judged:
        for verdict in j.verdicts:
            share = verdict.share
            if share.payer == "concession":
                continue
            target = "open" if share.payer == "subsidy" else "donated"
            about = {
                "cause": f"sale:{j.order.id}",
                "service_day": place.day,
                "sale_id": j.order.id,
                "share_n": verdict.n,
            }
            yield Move(share.fund, "granted", target, share.fen, "meal", share.rule, **about)  # type: ignore[arg-type]
            if verdict.excluded:
                yield Move(share.fund, "open", "excluded", verdict.excluded, "verdict", verdict.reason, **about)  # type: ignore[arg-type]
    for tender in order.tenders:
        if tender.fen and tender.kind != "free":
            cause = f"payment:{order.payment_id}"
            yield Move("", "elder", tender.kind, tender.fen, "payment", "paid", cause, place.day)
