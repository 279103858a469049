"""The tablet's API: quotes to read, records to bring. Shapes in schemas, every rule elsewhere."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import asdict
from typing import Any

from flask import g, request
from marshmallow import ValidationError, fields, validate, validates_schema

from canteen import clock, places
from canteen.auth.guard import Permission, allowed, even_revoked, tablet_signed
from canteen.auth.tablets import KnownTablet
from canteen.db import db
from canteen.policy.quote import quote_doc
from canteen.pos import acknowledgements, notices, pricing, records, scan_quotes
from canteen.pos.models import HOW_READ, MODES
from canteen.pos.orders import MOST_FEN, MOST_SALES
from canteen.pos.scan_quotes import Answer, Asked, Quoted
from canteen.web.api import Blueprint, Strict

bp = Blueprint("pos_api", __name__, url_prefix="/api/v1", description="What tablets ask and bring")


class AskedLine(Strict):
    item = fields.String(required=True, validate=validate.Length(1, 64))
    quantity = fields.Integer(required=True, strict=True, validate=validate.Range(1, 99))


class AskedSale(Strict):
    """A scan, a credential from an earlier answer, or a guest; with lines of the menu or one amount."""

    scan = fields.String(load_default=None, allow_none=True, validate=validate.Length(1, 512))
    credential = fields.String(load_default=None, allow_none=True, validate=validate.Regexp(r"\A[0-9a-f]{64}\Z"))
    elder = fields.UUID(load_default=None, allow_none=True)
    guest = fields.String(
        load_default=None, allow_none=True, validate=validate.OneOf(("guest", "staff", "volunteer", "spouse"))
    )
    how = fields.String(load_default="none", validate=validate.OneOf(HOW_READ))
    mode = fields.String(load_default="dine_in", validate=validate.OneOf(MODES))
    lines = fields.List(fields.Nested(AskedLine), load_default=list, validate=validate.Length(max=20))
    amount = fields.Integer(load_default=None, allow_none=True, strict=True, validate=validate.Range(0, MOST_FEN))

    @validates_schema
    def _one_of_each(self, data: dict[str, Any], **_: Any) -> None:
        known = data["scan"] is not None or data["credential"] is not None
        if known == (data["guest"] is not None):
            raise ValidationError("a scan or a guest", "scan")
        if bool(data["lines"]) == (data["amount"] is not None):
            raise ValidationError("lines or one amount", "lines")


class QuotesIn(Strict):
    canteen = fields.String(required=True, validate=validate.Length(1, 64))
    sales = fields.List(fields.Nested(AskedSale), required=True, validate=validate.Length(1, MOST_SALES))


class RecordsIn(Strict):
    records = fields.List(fields.Raw(required=True), required=True, validate=validate.Length(1, records.MOST_RECORDS))


@bp.post("/pos/quotes")
@allowed(Permission.SELL)
@tablet_signed
@bp.arguments(QuotesIn)
@bp.response(200)
def quotes(asked: dict[str, Any]) -> dict[str, Any]:
    """Quote a checkout: list price, shares, due, and a stamp for each sale. Nothing is stored."""
    session = db.session()
    canteen_id = _own(g.tablet, asked["canteen"])
    wanted = [
        Asked(
            scan=sale["scan"],
            credential=sale["credential"],
            guest=sale["guest"],
            mode=sale["mode"],
            items=tuple((line["item"], line["quantity"]) for line in sale["lines"]),
            amount=sale["amount"],
        )
        for sale in asked["sales"]
    ]
    who = {"tablet_id": g.tablet.id, "cashier": g.person.id}
    return _quoted(scan_quotes.quote(session, canteen_id, wanted, **who, head=g.head))


@bp.post("/records")
@tablet_signed
@even_revoked
@bp.arguments(RecordsIn)
@bp.response(200)
def bring(batch: dict[str, Any]) -> dict[str, Any]:
    """Book records in their order; one answer each. The same record may be brought again for ever."""
    tablet: KnownTablet = g.tablet
    heard = acknowledgements.hear(tablet, request.args)  # before booking: what comes now would hide what is missing
    results = records.accept(batch["records"], tablet, g.head)
    return {
        **asdict(heard),
        "at": clock.now().isoformat(),
        "results": [
            {
                "id": result.id,
                "outcome": result.outcome,
                "sales": list(result.sales),
                "excluded": [{"sale": each.sale, "fen": each.fen, "reason": each.reason} for each in result.excluded],
                "notices": [{"sale": sale, "say": say} for sale, say in _notices(result).items()],
                "reason": result.reason,
                "message": result.message,
            }
            for result in results
        ],
    }


def _notices(result: records.Result) -> dict[str, str]:
    """Return the message to the cashier about each sale, by its id."""
    return notices.sentences((each.sale, each.fen, each.reason) for each in result.excluded)


def _own(tablet: KnownTablet, canteen_id: str) -> str:
    """Refuse a canteen other than the tablet's own as if it did not exist."""
    if canteen_id != tablet.canteen_id:
        raise places.NoCanteen
    return canteen_id


def _quoted(quoted: Quoted) -> dict[str, Any]:
    return {
        "at": quoted.at.isoformat(timespec="milliseconds"),
        "day": quoted.place.day.isoformat(),
        "period": quoted.place.period,
        "flags": list(quoted.place.flags),
        "sales": [_answer(answer) for answer in quoted.answers],
    }


def _answer(answer: Answer) -> dict[str, Any]:
    title = answer.title
    photo = f"data:image/jpeg;base64,{b64encode(answer.photo).decode()}" if answer.photo else None
    return {
        "elder": str(answer.elder_id) if answer.elder_id else None,
        "credential": answer.credential,
        "diner": {"title": title.surname_title, "initial": title.initial, "photo": photo} if title else None,
        "guest": answer.guest,
        "mode": answer.mode,
        "lines": [
            {"item": e.item, "name": e.name, "fen": e.fen, "quantity": e.quantity, "tags": list(e.tags)}
            for e in answer.lines
        ],
        "amount": answer.amount,
        "quote": quote_doc(answer.priced.quote),
        "input": answer.priced.document,
        "input_hash": answer.priced.hash,
        "rulebook": answer.rulebook,
        "stamp": answer.stamp,
        "say": pricing.say(answer.priced.quote),
        "repeat": answer.repeat,
    }
