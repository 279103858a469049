"""Proof that a secret is the one under which this database was written, from what is stored, oldest first.

The oldest row counts: a database into which somebody wrote under other keys still belongs to the first ones.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from canteen.places import Payee
from canteen.registry import keys
from canteen.registry.applications.models import Application
from canteen.registry.keys import Box, Unreadable
from canteen.registry.models import Agent, CardCode, Credential, Elder, ElderIdentity, IdentityKey

Sealed = tuple[bytes, str]  # ciphertext, and what it is bound to


def identity(session: Session, secret: bytes | None) -> bool | None:
    """Return whether `secret` opens an ID number, a telephone or an account; None when nothing is stored under it."""
    return _opens(keys.identity_box(secret) if secret else None, _identities(session))


def identity_lookup(session: Session, secret: bytes | None) -> bool | None:
    """Return whether the hashes of ID numbers were made under `secret`; None when there is none yet."""
    key = session.execute(
        select(IdentityKey.key_id).join(Elder, Elder.id == IdentityKey.elder_id).order_by(Elder.recorded).limit(1)
    ).scalar_one_or_none()
    return None if key is None else secret is not None and keys.name_of(secret) == key


def card_wrap(session: Session, secret: bytes | None) -> bool | None:
    """Return whether `secret` opens the row key or the code of a card; None when there is no card yet."""
    return _opens(keys.wrap_box(secret) if secret else None, _cards(session))


def card_salt(session: Session, secret: bytes | None) -> bool | None:
    """Return whether the oldest card was made with this salt; None when there is no card yet."""
    salt = session.execute(select(Credential.salt_id).order_by(Credential.recorded).limit(1)).scalar_one_or_none()
    return None if salt is None else secret is not None and keys.name_of(secret) == salt


def _opens(box: Box | None, sealed: Iterator[Sealed]) -> bool | None:
    found = next(sealed, None)
    if found is None:
        return None
    if box is None:
        return False
    try:
        box.open(*found)
    except Unreadable:
        return False
    return True


def _identities(session: Session) -> Iterator[Sealed]:
    for column, field in ((ElderIdentity.number_cipher, "number"), (ElderIdentity.phone_cipher, "phone")):
        oldest = select(column, ElderIdentity.elder_id).where(column.is_not(None)).order_by(ElderIdentity.id).limit(1)
        for sealed, elder in session.execute(oldest):
            yield sealed or b"", f"elder.{field} {elder}"
    for sealed, payee in session.execute(select(Payee.account_cipher, Payee.id).order_by(Payee.id).limit(1)):
        yield sealed, f"payee.account {payee}"
    for sealed, elder in session.execute(select(Agent.phone_cipher, Agent.elder_id).order_by(Agent.id).limit(1)):
        yield sealed, f"agent.phone {elder}"
    oldest_details = select(Application.details_cipher, Application.id).order_by(Application.id).limit(1)
    for sealed, number in session.execute(oldest_details):
        yield sealed, f"application.details {number}"


def _cards(session: Session) -> Iterator[Sealed]:
    wrapped: ColumnElement[bool] = Credential.row_key.is_not(None)
    oldest = select(Credential.row_key, Credential.id).where(wrapped).order_by(Credential.recorded).limit(1)
    for sealed, card in session.execute(oldest):
        yield sealed or b"", f"credential.row_key {card}"
    for sealed, card in session.execute(select(CardCode.cipher, CardCode.credential_id).limit(1)):
        yield sealed, f"card_code {card}"
