"""Read who a claim is of, who is paid and what its funds are called, as of the close: in the statement, under its hash."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import keyset, names
from canteen.places import Contract
from canteen.rulebooks.models import JoinedRulebook, Publication, RulebookVersion
from canteen.settlement.models import Claim, Statement


@dataclass(frozen=True, slots=True)
class Parties:
    """Names, and the tail of the account; `funds` by id."""

    canteen: str
    operator: str
    district: str
    payee: str
    bank: str
    account_tail: str
    funds: Mapping[str, str]

    def document(self) -> dict[str, Any]:
        """Return the names as they are stored in a statement."""
        return {
            "canteen": self.canteen,
            "operator": self.operator,
            "district": self.district,
            "payee": self.payee,
            "bank": self.bank,
            "account_tail": self.account_tail,
            "funds": dict(self.funds),
        }


@dataclass(frozen=True, slots=True)
class PartiesAt:
    """A request for the names of a contract's parties as of event `facts`, and of these funds.

    rulebooks  hashes of the joined rulebooks that the period's meals were sold under: what they call a fund holds
    """

    contract_id: str
    district_id: str
    facts: int
    rulebooks: Collection[str]
    funds: Collection[str]


def of_claims(session: Session, claim_ids: Collection[int]) -> dict[int, Parties]:
    """Read the parties of each claim, as its statement names them. Leaves the read open."""
    query = select(Claim.id, keyset.json_of(Statement.body)["names"])
    query = query.join(Statement, Statement.period_id == Claim.period_id).where(Claim.id.in_(claim_ids))
    return {claim: Parties(**stated) for claim, stated in session.execute(query)}


def at(session: Session, asked: PartiesAt) -> Parties:
    """Read the parties as they were at an event."""
    query = select(Contract.canteen_id, Contract.operator_id, Contract.payee_id)
    canteen, operator, payee = session.execute(query.where(Contract.id == asked.contract_id)).one()
    paid = names.of(session, "payee", [payee]).entry(payee, asked.facts)
    assert paid is not None
    called = Funds(session).at(asked.facts) | _fund_names_of(session, asked.rulebooks)
    return Parties(
        canteen=names.of(session, "canteen", [canteen]).at(canteen, asked.facts),
        operator=names.of(session, "operator", [operator]).at(operator, asked.facts),
        district=names.of(session, "area", [asked.district_id]).at(asked.district_id, asked.facts),
        payee=paid.name,
        bank=paid.bank,
        account_tail=paid.account_tail,
        funds={fund: called.get(fund, fund) for fund in sorted(asked.funds)},
    )


class Funds:
    """The name of each fund in the rulebooks: of two names the one in a published rulebook wins, and of those the later."""

    def __init__(self, session: Session) -> None:
        self._session = session
        drafted = session.execute(select(RulebookVersion.hash, RulebookVersion.recorded))
        self._drafted = [(row[0], row[1]) for row in drafted]
        self._published = defaultdict[str, list[int]](list)
        for digest, recorded in session.execute(select(Publication.rulebook_hash, Publication.recorded)):
            self._published[digest].append(recorded)

    def at(self, upto: int | None = None) -> dict[str, str]:
        """Return names by id, as of an event; present ones for None."""
        last = sys.maxsize if upto is None else upto
        order = [
            (max((one for one in self._published[digest] if one <= last), default=0), drafted, digest)
            for digest, drafted in self._drafted
            if drafted <= last
        ]
        return _names_of(self._session, [digest for _, _, digest in sorted(order)])


_FUNDS: dict[str, dict[str, str]] = {}  # by rulebook hash: a version never changes


def fund_names(session: Session, upto: int | None = None) -> dict[str, str]:
    """Return what each fund is called, as of an event; now for None."""
    return Funds(session).at(upto)


def _names_of(session: Session, hashes: Sequence[str]) -> dict[str, str]:
    """Return what these rulebooks call each fund; the later in the order wins."""
    called: dict[str, str] = {}
    if missing := [digest for digest in hashes if digest not in _FUNDS]:
        query = select(RulebookVersion.hash, RulebookVersion.body).where(RulebookVersion.hash.in_(missing))
        for digest, body in session.execute(query):
            _FUNDS[digest] = {fund["id"]: fund["name"] for fund in json.loads(body).get("funds", ())}
    for digest in hashes:
        called |= _FUNDS[digest]
    return called


def _fund_names_of(session: Session, joined: Collection[str]) -> dict[str, str]:
    """Return fund names as in the rulebooks that a period's meals were sold under."""
    rows = session.execute(
        select(JoinedRulebook.parts).where(JoinedRulebook.hash.in_(joined)).order_by(JoinedRulebook.hash)
    )
    parts = {part for (text,) in rows for part in json.loads(text)}
    ordered = select(RulebookVersion.hash).where(RulebookVersion.hash.in_(parts)).order_by(RulebookVersion.recorded)
    return _names_of(session, [row[0] for row in session.execute(ordered)])
