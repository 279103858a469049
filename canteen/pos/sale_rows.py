"""The rows of a checkout, table by table, and the transfers that book its money."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy.orm import Session

from canteen import clock
from canteen.db import Base
from canteen.ledger import transfers
from canteen.ledger.models import Period, Transfer
from canteen.ledger.transfers import Move
from canteen.pos import arrival_checks, arrivals, share_terms
from canteen.pos.arrivals import Arrival
from canteen.pos.checkout_rows import Checked, Row
from canteen.pos.models import QuoteInput, Sale, SaleUse, Slot
from canteen.pos.orders import Checkout, Line
from canteen.pos.pricing import Place
from canteen.pos.verdicts import Judged

# What each element of a list holds, in this order
TENDER = ("kind", "fen", "given", "change", "reference")
LINE = ("item_id", "name", "fen", "quantity", "tags")
SURCHARGE = ("rule", "clause", "stage", "fen", "label", "reason")


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
    inputs = {hash_: body for j in judged for hash_, body in ((j.own.hash, j.own.body), j.sold_input)}
    payment = {
        "payment_id": order.payment_id,
        "payment_due": order.due,
        "payment_fen": order.paid,
        "tenders": in_json((one.kind, one.fen, one.given, one.change, one.reference) for one in order.tenders),
    }
    tables: dict[type[Base], Sequence[Row]] = {
        QuoteInput: [{"hash": hash_, "body": body} for hash_, body in sorted(inputs.items())],
        Sale: [_sale(n, j, order, arrival, place, period.contract_id) | keys for n, j in enumerate(judged)],
        SaleUse: [use for j in judged for use in j.uses],
        Slot: [slot for j in judged for slot in j.slots],
        Transfer: transfers.rows(session, period, list(_moves(order, judged, place))),
    }
    return Checked({**arrivals.row(arrival), **payment}, tables)


def in_json(elements: Iterable[Sequence[Any]]) -> str:
    """Write a list that a row holds, of elements that are lists of values: views read the elements as rows."""
    return json.dumps([*elements], ensure_ascii=False, separators=(",", ":"))


def out_of_json(fields: Sequence[str], text: str | None) -> list[dict[str, Any]]:
    """Read a list that a row holds, as the views do: the values of each element by name; [] for None."""
    return [dict(zip(fields, element, strict=True)) for element in json.loads(text or "[]")]


def _sale(n: int, j: Judged, order: Checkout, arrival: Arrival, place: Place, contract_id: str) -> dict[str, Any]:
    return {
        "id": j.order.id,
        "content_hash": j.order.content_hash,
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
        "lines": in_json(line_row(line) for line in j.order.lines),
        "share_terms": share_terms.of(j.sold.shares).hash,
        "share_fens": share_terms.fens(j.sold.shares),
        "surcharges": in_json(j.sold.surcharges),
        "flags": " ".join(j.flags),
        "to_check": arrival_checks.stands_out(
            j,
            tablet_day=clock.business_day(arrival.envelope.at, turns_at=place.canteen.day_turns_at),
            day=place.day,
            payment_differs=arrival_checks.payment_differs(order),
        ),
    }


def line_row(line: Line) -> Sequence[Any]:
    """Make the element of `sale.lines` for an item on the tray."""
    return line.item, line.name, line.fen, line.quantity, " ".join(line.tags)


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
