"""The counter's API for cards: give out a blank one, report one lost or found, with the person present.

The person is identified by the ID number on their own document; it comes in the body, never in an address, and the answer
contains no part of it.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

from flask import g
from marshmallow import fields, validate
from sqlalchemy.orm import Session

from canteen import clock
from canteen.auth.guard import Permission, allowed, tablet_signed
from canteen.db import transaction
from canteen.registry import credentials, documents, elder_titles, lookup
from canteen.registry.credentials import UnboundCard, UnknownCard
from canteen.registry.elders import NoElder
from canteen.web.api import PREFIX, Blueprint, Strict

bp = Blueprint("card_counter", __name__, url_prefix=f"{PREFIX}/pos/cards", description="Cards at the counter")

_SCAN: Final = validate.Length(1, 512)
_NUMBER: Final = validate.Length(1, 40)
_DOCUMENT: Final = validate.OneOf(("resident", "hmt", "foreign"))


class Binding(Strict):
    scan = fields.String(required=True, validate=_SCAN, metadata={"description": "a blank card: its code or number"})
    id_number = fields.String(required=True, validate=_NUMBER)
    document = fields.String(load_default="resident", validate=_DOCUMENT)


class Loss(Strict):
    id_number = fields.String(required=True, validate=_NUMBER)
    document = fields.String(load_default="resident", validate=_DOCUMENT)


class Finding(Strict):
    scan = fields.String(required=True, validate=_SCAN)


class Done(Strict):
    title = fields.String(required=True, metadata={"description": "李奶奶"})
    initial = fields.String(required=True)
    cards = fields.List(fields.String(), required=True, metadata={"description": "8-digit numbers that were touched"})


@bp.post("/bindings")
@tablet_signed
@allowed(Permission.CARD_COUNTER)
@bp.arguments(Binding)
@bp.response(201, Done)
def bind(asked: dict[str, str]) -> dict[str, Any]:
    """Give a blank card to the person whose ID number this is; their former cards stop. Safe to repeat."""
    with transaction() as session:
        elder_id = _elder(session, asked)
        card = credentials.bind(session, asked["scan"], elder_id, g.person.id)
        return _done(session, elder_id, [card.number or ""])


@bp.post("/losses")
@tablet_signed
@allowed(Permission.CARD_COUNTER)
@bp.arguments(Loss)
@bp.response(201, Done)
def lose(asked: dict[str, str]) -> dict[str, Any]:
    """Report every working card of this person lost from now on, until it is found."""
    with transaction() as session:
        elder_id = _elder(session, asked)
        working = [card for card, state in credentials.of_elder(session, elder_id) if state.works]
        for card in working:
            credentials.report(session, card.digest, "lost", g.person.id, "lost")
        return _done(session, elder_id, [card.number or "" for card in working])


@bp.post("/findings")
@tablet_signed
@allowed(Permission.CARD_COUNTER)
@bp.arguments(Finding)
@bp.response(201, Done)
def find(asked: dict[str, str]) -> dict[str, Any]:
    """Report a lost card found, in its holder's hand: it works again. One blocked for good stays blocked."""
    with transaction() as session:
        card = credentials.find(session, asked["scan"])
        holder = credentials.state_of(session, card.id).elder_id
        if holder is None:
            raise UnboundCard
        credentials.report(session, card.digest, "found", g.person.id, "other")
        return _done(session, holder, [card.number or ""])


def _elder(session: Session, asked: dict[str, str]) -> uuid.UUID:
    """Find the elder by the number asked. Raises BadNumber and its kin; NoElder."""
    found = lookup.by_document(session, documents.parse(asked["document"], asked["id_number"]))
    if found is None:
        raise NoElder("名册里没有这个证件号码，请核对；新来的老人请先到社区登记。")
    return found


def _done(session: Session, elder_id: uuid.UUID, numbers: list[str]) -> dict[str, Any]:
    if not numbers:
        raise UnknownCard("这位老人没有可以挂失的卡。")
    title = elder_titles.title(session, elder_id, clock.today())
    return {"title": title.surname_title, "initial": title.initial, "cards": numbers}
