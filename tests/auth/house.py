"""A small city with people in it, a browser that keeps its cookies, and a tablet that signs what it sends."""

from __future__ import annotations

import base64
import functools
import json
import re
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from canteen import clock
from canteen.auth import pins, tablets
from canteen.auth.models import Grant, Person
from canteen.db import db, transaction
from canteen.places import Area, AreaLink, Canteen, Contract, Installation, Operator, Payee
from canteen.registry import keys

PASSWORD = "apricot-kettle-42"
PIN = "135792"
CITY, EAST, WEST, EAST_STREET, EAST_COMMUNITY, WEST_STREET = (
    "220100",
    "220102",
    "220103",
    "220102001",
    "220102001001",
    "220103001",
)
LONG_AGO = date(2020, 1, 1)


@functools.cache
def password_hash() -> str:
    return pins.hash_password(PASSWORD, "nobody")


def build_city() -> None:
    """A city of two districts: canteen 'east' run by operator 'kang', canteen 'west' by 'le'."""
    areas = (
        (CITY, "长春市", "city", None),
        (EAST, "南关区", "district", CITY),
        (WEST, "宽城区", "district", CITY),
        (EAST_STREET, "新春街道", "street", EAST),
        (EAST_COMMUNITY, "平治社区", "community", EAST_STREET),
        (WEST_STREET, "新发街道", "street", WEST),
    )
    with transaction() as session:
        session.add(Installation(id=1, incarnation="i" * 32, demo=False, made_at=clock.now()))
        session.add_all(Area(id=code, name=name, level=level) for code, name, level, _ in areas)
        session.add_all(Operator(id=each, name=each, credit_code=None) for each in ("kang", "le"))
        sealed = keys.keyring().identity.seal(b"6222000000001234", "payee.account payee")
        session.add(Payee(id="payee", name="街道办", bank="建行", account_cipher=sealed, account_tail="1234"))
        session.flush()
        session.add_all(
            AreaLink(area_id=code, parent_id=above, from_day=LONG_AGO, to_day=None)
            for code, _, _, above in areas
            if above
        )
        for canteen, area, district in (("east", EAST_COMMUNITY, EAST), ("west", WEST_STREET, WEST)):
            session.add(
                Canteen(
                    id=canteen,
                    name=f"{canteen}餐厅",
                    area_id=area,
                    district_id=district,
                    profile="counter",
                    seats=40,
                    opened_on=LONG_AGO,
                )
            )
        session.flush()
        contract(session, "east-kang", "east", "kang", EAST)
        contract(session, "west-le", "west", "le", WEST)


def contract(
    session: Session,
    name: str,
    canteen: str,
    operator: str,
    district: str,
    since: date = LONG_AGO,
    until: date | None = None,
) -> None:
    session.add(
        Contract(
            id=name,
            canteen_id=canteen,
            operator_id=operator,
            payee_id="payee",
            district_id=district,
            canteen_class="public_private",
            grade="A",
            from_day=since,
            to_day=until,
        )
    )


def a_person(login: str, *grants: tuple[str, str, str], pin: bool = False, must_change: bool = False) -> str:
    """An account with PASSWORD (and PIN) and roles, put there without asking anybody."""
    with transaction() as session:
        session.add(
            Person(
                id=f"id-{login}",
                login=login,
                name=f"{login}同志",
                password_hash=password_hash(),
                pin_hash=pins.hash_pin(PIN) if pin else None,
                disabled_at=None,
                changed_at=clock.now(),
                must_change=must_change,
            )
        )
        session.flush()
        for role, kind, node in grants:
            session.add(
                Grant(
                    person_id=f"id-{login}",
                    role=role,
                    node_kind=kind,
                    node_id=node,
                    granted_by="system",
                    granted_at=clock.now(),
                    ended_at=None,
                    ended_by=None,
                )
            )
    return f"id-{login}"


@dataclass
class Browser:
    """Someone at a desk: forms are sent with the token of their page."""

    client: FlaskClient

    def get(self, path: str, **options: Any) -> TestResponse:
        answer = self.client.get(path, **options)
        db.session.rollback()  # a server's request ends its reading; the test's context would keep it open
        return answer

    def token(self, page: str) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', self.get(page).text)
        return found[1] if found else ""

    def post(self, path: str, *, at: str = "/desk/account", **fields: str) -> TestResponse:
        return self.client.post(path, data={"csrf": self.token(at), **fields})

    def log_in(self, login: str, password: str = PASSWORD) -> TestResponse:
        return self.post("/login", at="/login", login=login, password=password)

    def log_out(self) -> TestResponse:
        return self.post("/logout")

    @property
    def cookie(self) -> str | None:
        found = self.client.get_cookie("desk")
        return found.value if found else None


@dataclass
class Till:
    """A tablet with a key of its own."""

    client: FlaskClient
    tablet: str = ""
    report: str = ""
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )

    def sign(self, method: str, path: str, body: bytes = b"", at: str | None = None) -> dict[str, str]:
        at = at or clock.local(clock.now()).isoformat() + self.report
        der = self.key.sign(tablets.signed_text(method, path, at, body), ec.ECDSA(hashes.SHA256()))
        r, s = decode_dss_signature(der)
        raw = base64.urlsafe_b64encode(r.to_bytes(32) + s.to_bytes(32)).decode().rstrip("=")
        return {"X-Tablet": self.tablet, "X-Tablet-At": at, "X-Tablet-Signature": raw}

    def call(self, method: str, path: str, body: object = None) -> TestResponse:
        text = b"" if body is None else json.dumps(body).encode()
        kind = None if body is None else "application/json"
        return self.client.open(
            path, method=method, data=text, content_type=kind, headers=self.sign(method, path, text)
        )

    def log_in(self, person: str, pin: str = PIN) -> TestResponse:
        return self.call("POST", "/api/v1/pos/sessions", {"person": person, "pin": pin})


def a_till(app: Flask, canteen: str) -> Till:
    till = Till(app.test_client())
    till.tablet = tablets.enrol(tablets.make_code(canteen, "一号窗口", by="system").code, till.public_key)
    return till


def end_grants(person_id: str) -> None:
    with transaction() as session:
        for grant in session.query(Grant).filter_by(person_id=person_id):
            grant.ended_at, grant.ended_by = clock.now(), "system"


def the_session() -> Session:
    return db.session()
