"""API of a tablet besides selling: enrolment, what to show, log-in, and a manager's approval."""

from __future__ import annotations

import base64
import binascii
import hashlib
import uuid
from dataclasses import asdict
from typing import Any

from flask import Response, g, make_response, request
from marshmallow import fields, validate

from canteen import clock, places, settings
from canteen.auth import approvals, contacts, guard, logins, people, sessions, tablets
from canteen.auth.guard import Permission, allowed, public, tablet_signed
from canteen.auth.models import Tablet
from canteen.auth.tablets import BadKey
from canteen.db import db, transaction
from canteen.menus import changes, offers, points
from canteen.menus.offers import Offer
from canteen.places import MEALS
from canteen.pos import acknowledgements, cipher, incarnation, lost_numbers, voids
from canteen.web import security
from canteen.web.api import PREFIX, Blueprint, Strict

bp = Blueprint("tablets", __name__, url_prefix=f"{PREFIX}/pos", description="Tablets and who works on them")


class Named(Strict):
    id = fields.String(required=True)
    name = fields.String(required=True)


class CanteenShown(Named):
    profile = fields.String(required=True)
    day_turns_at = fields.Integer(required=True, metadata={"description": "minutes after midnight"})
    serving = fields.Boolean(required=True, metadata={"description": "whether it serves today"})


class Window(Strict):
    period = fields.String(required=True)
    starts = fields.Integer(required=True, metadata={"description": "minute of the day"})
    ends = fields.Integer(required=True)
    grace = fields.Integer(required=True, metadata={"description": "minutes either side that still count"})


class Item(Named):
    fen = fields.Integer(required=True)
    period = fields.String(required=True)
    tags = fields.List(fields.String(), required=True)
    sold_out = fields.Boolean(required=True)


class RecordKey(Strict):
    id = fields.String(required=True)
    point = fields.String(required=True, metadata={"description": "P-256, uncompressed, base64url"})


class Run(Strict):
    """Run of numbers of an epoch, both ends included."""

    epoch = fields.Integer(required=True)
    first = fields.Integer(required=True)
    last = fields.Integer(required=True)


class Contact(Strict):
    """Part of every answer: the incarnation, and which of the tablet's acknowledged numbers are missing here."""

    incarnation = fields.String(required=True)
    behind = fields.List(fields.Nested(Run), required=True)


class Boot(Contact):
    at = fields.String(required=True)
    day = fields.Date(required=True)
    tablet = fields.Nested(Named, required=True)
    canteen = fields.Nested(CanteenShown, required=True)
    points = fields.List(fields.Nested(Named), required=True)
    windows = fields.List(fields.Nested(Window), required=True)
    menu = fields.List(fields.Nested(Item), required=True)
    menu_version = fields.String(required=True, metadata={"description": "as in the answer of ping"})
    cashiers = fields.List(fields.Nested(Named), required=True)
    managers = fields.List(fields.Nested(Named), required=True)
    session = fields.Nested(Named, required=True, allow_none=True)
    lost = fields.List(fields.Nested(Run), required=True)
    lost_epochs = fields.List(
        fields.Integer(), required=True, metadata={"description": "for tablets whose page is older than `lost`"}
    )
    card = fields.String(required=True, metadata={"description": "what the card is called here"})
    contact_phone = fields.String(required=True, metadata={"description": "whom to call, or empty"})
    record_key = fields.Nested(RecordKey, required=True, metadata={"description": "to which records are encrypted"})


class Pinged(Contact):
    at = fields.String(
        required=True, metadata={"description": "to the millisecond: tablets measure their clocks by it"}
    )
    menu_version = fields.String(required=True, metadata={"description": "another one: load the menu anew"})


class OutOf(Strict):
    item = fields.String(required=True, validate=validate.Length(1, 80))
    period = fields.String(required=True, validate=validate.OneOf(MEALS))
    sold_out = fields.Boolean(required=True)


class Enrolment(Strict):
    code = fields.String(required=True, validate=validate.Length(1, 40))
    public_key = fields.String(required=True, validate=validate.Length(1, 200))
    tablet = fields.String(load_default=None, allow_none=True, validate=validate.Regexp(r"\A[0-9a-f]{16}\Z"))


class Enrolled(Strict):
    tablet = fields.Nested(Named, required=True)
    canteen = fields.Nested(Named, required=True)
    incarnation = fields.String(required=True)
    at = fields.String(required=True)


class PinLogin(Strict):
    person = fields.String(required=True, validate=validate.Length(1, 64))
    pin = fields.String(required=True, validate=validate.Length(1, 16))


class LoggedIn(Strict):
    person = fields.Nested(Named, required=True)
    manager = fields.Boolean(required=True)
    until = fields.String(required=True)


class NewPin(Strict):
    pin = fields.String(required=True, validate=validate.Length(1, 16))
    new_pin = fields.String(required=True, validate=validate.Length(1, 16))


class Asking(Strict):
    manager = fields.String(required=True, validate=validate.Length(1, 64))
    pin = fields.String(required=True, validate=validate.Length(1, 16))
    sale = fields.UUID(required=True)


class Given(Strict):
    approval = fields.String(required=True)
    approved_by = fields.String(required=True)
    at = fields.String(required=True)


@bp.post("/tablets")
@public("a tablet that is not let in yet brings a one-time code instead")
@bp.arguments(Enrolment)
@bp.response(201, Enrolled)
def enrol(asked: dict[str, Any]) -> dict[str, Any]:
    """Enrol this tablet. Repeating with the same code and key returns the same tablet."""
    tablet_id = tablets.enrol(asked["code"], _key(asked["public_key"]), asked["tablet"])
    session = db.session()
    tablet = session.get_one(Tablet, tablet_id)
    canteen = places.canteen(session, tablet.canteen_id)
    return {
        "tablet": _named(tablet),
        "canteen": _named(canteen),
        "incarnation": incarnation.current(session),
        "at": _now(),
    }


@bp.get("/ping")
@tablet_signed
@bp.response(200, Pinged)
def ping() -> dict[str, Any]:
    """Answer a tablet that checks its connection, every quarter of a minute, with the time."""
    contact, session = _contact(), db.session()
    canteen = places.canteen(session, g.tablet.canteen_id)
    day = clock.business_day(clock.now(), turns_at=canteen.day_turns_at)
    return {**contact, "at": _now(), "menu_version": _menu_version(offers.offers_on(session, canteen.id, day, g.head))}


@bp.put("/sold-out")
@tablet_signed
@allowed(Permission.SELL)
@bp.arguments(OutOf)
@bp.response(204)
def sold_out(asked: dict[str, Any]) -> Response:
    """Mark a dish as sold out at a meal of today, or as on sale again; all tablets of the canteen hear of it."""
    item = changes.item_of(db.session(), asked["item"])
    canteen = places.canteen(db.session(), g.tablet.canteen_id)
    if item.canteen_id != canteen.id:
        raise changes.NoItem
    day = clock.business_day(clock.now(), turns_at=canteen.day_turns_at)
    by = g.person.id
    with transaction() as session:
        changes.sold_out(session, asked["item"], day, asked["period"], gone=asked["sold_out"], by=by)
    return make_response("", 204)


@bp.get("/boot")
@tablet_signed
@bp.response(200, Boot)
def boot() -> dict[str, Any]:
    """Return what the tablet shows today: canteen, points, windows, menu, who may log in."""
    contact = _contact()
    session, tablet = db.session(), g.tablet
    canteen = places.canteen(session, tablet.canteen_id)
    day = clock.business_day(clock.now(), turns_at=canteen.day_turns_at)
    shown = offers.offers_on(session, canteen.id, day, g.head)
    decided = settings.kept(session, g.head)
    return {
        **contact,
        "at": _now(),
        "day": day,
        "tablet": _named(tablet),
        "canteen": _named(canteen)
        | {
            "profile": canteen.profile,
            "day_turns_at": canteen.day_turns_at,
            "serving": places.serves_on(session, canteen.id, day),
        },
        "points": [_named(point) for point in points.points_of(session, canteen.id, day)],
        "windows": places.windows_on(session, canteen.id, day),
        "menu": [_item(offer) for offer in shown],
        "menu_version": _menu_version(shown),
        "cashiers": [_named(person) for person in people.working_at(session, canteen.id, Permission.SELL)],
        "managers": [_named(person) for person in people.working_at(session, canteen.id, Permission.VOID_ANY)],
        "session": {"id": g.person.id, "name": g.person.name} if g.person else None,
        "lost": [asdict(run) for run in lost_numbers.confirmed(session, tablet.id)],
        "lost_epochs": lost_numbers.epochs_cut(session, tablet.id),
        "card": decided.text("card_name"),
        "contact_phone": decided.text("contact_phone"),
        "record_key": _record_key(),
    }


@bp.post("/sessions")
@tablet_signed
@bp.arguments(PinLogin)
@bp.response(201, LoggedIn)
def log_in(asked: dict[str, str]) -> Response:
    """Open a session of a cashier on this tablet by PIN; the cookie `till` carries it."""
    entered = logins.by_pin(asked["person"], asked["pin"], g.tablet, Permission.SELL)
    session = db.session()
    manager = guard.scope_of(session, entered.person_id, Permission.VOID_ANY).covers(g.tablet.canteen_id)
    shown = {"person": {"id": entered.person_id, "name": entered.name}, "manager": manager, "until": logins.until()}
    response = make_response(LoggedIn().dump(shown), 201)
    security.set_cookie(response, "till", entered.token)
    return response


@bp.delete("/sessions")
@tablet_signed
@bp.response(204)
def log_out() -> Response:
    """End the cashier's session on the server. Without one nothing happens."""
    if g.person is not None:
        session_id, person_id, tablet_id = g.person.session_id, g.person.id, g.tablet.id
        with transaction() as session:
            sessions.end(session, session_id)
            contacts.log(session, tablet_id, person_id, opens=False)
    response = make_response("", 204)
    security.drop_cookie(response, "till")
    return response


@bp.put("/pin")
@tablet_signed
@allowed(Permission.SELL)
@bp.arguments(NewPin)
@bp.response(204)
def change_pin(asked: dict[str, str]) -> Response:
    """Set the PIN that the cashier chose; all other sessions of the cashier end."""
    person_id, tablet_id = g.person.id, g.tablet.id
    logins.by_pin(person_id, asked["pin"], g.tablet, Permission.SELL, opens=False)
    with transaction() as session:
        people.set_own_pin(session, person_id, asked["new_pin"])
        token = sessions.start(session, person_id, tablet_id)
    response = make_response("", 204)
    security.set_cookie(response, "till", token)
    return response


@bp.post("/approvals")
@tablet_signed
@allowed(Permission.VOID_OWN)
@bp.arguments(Asking)
@bp.response(201, Given)
def approve(asked: dict[str, Any]) -> dict[str, str]:
    """Issue the approval of one void from this tablet by a manager's PIN."""
    sale_id: uuid.UUID = asked["sale"]
    tablet_id = g.tablet.id
    entered = logins.by_pin(asked["manager"], asked["pin"], g.tablet, Permission.VOID_ANY, opens=False)
    voids.refuse_own(db.session(), sale_id, entered.person_id)
    token = approvals.give(entered.person_id, tablet_id=tablet_id, sale_id=sale_id)
    return {"approval": token, "approved_by": entered.person_id, "at": _now()}


def _key(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadKey from error


def _contact() -> dict[str, Any]:
    return asdict(acknowledgements.hear(g.tablet, request.args))


def _record_key() -> dict[str, str]:
    key = cipher.public_key()
    return {"id": key.id, "point": base64.urlsafe_b64encode(key.point).rstrip(b"=").decode()}


def _now() -> str:
    return clock.local(clock.now()).isoformat(timespec="milliseconds")


def _named(row: Any) -> dict[str, str]:
    return {"id": row.id, "name": row.name}


def _item(offer: Offer) -> dict[str, Any]:
    return _named(offer) | {
        "fen": offer.fen,
        "period": offer.period,
        "tags": list(offer.tags),
        "sold_out": offer.sold_out,
    }


def _menu_version(shown: tuple[Offer, ...]) -> str:
    """Return what changes when the menu of the day does: tablets compare it and load the menu anew."""
    return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]
