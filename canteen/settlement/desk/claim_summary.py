"""Read whose claim it is and of when: names as its statement gives them, its funds, its period."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import keyset
from canteen.money import Fen
from canteen.places import Canteen, Contract
from canteen.pos.models import Sale
from canteen.settlement.claims import claims
from canteen.settlement.closing import close, gather, lines, parties
from canteen.settlement.labels import say
from canteen.settlement.models import Claim, ClaimLine, Statement


@dataclass(frozen=True, slots=True)
class About:
    """The parties, dates and totals of a claim."""

    number: str
    state: str
    canteen: str
    operator: str
    district: str
    payee: str
    bank: str
    account_tail: str
    first: date
    last: date
    fen: Fen
    meals: int
    persons: int
    guests: int  # meals of guests, staff and others: counted apart (ruling 28)
    fund_names: dict[str, str]
    facts: int  # the event that its names are as of
    called_now: str = ""  # the canteen's present name, where that is another

    def heading(self) -> list[tuple[str, str]]:
        """Return what is printed above the table."""
        return [
            ("申报单号", self.number),
            ("食堂", self.canteen),
            ("运营方", self.operator),
            ("区县", self.district),
            ("收款单位", self.payee),
            ("开户行", self.bank),
            ("账号尾号", self.account_tail),
            ("所属期", f"{self.first.isoformat()} 至 {self.last.isoformat()}"),
            ("状态", say("state", self.state)),
            ("服务人次", str(self.meals)),
            ("服务人数", str(self.persons)),
            ("另有散客等人次", str(self.guests)),
        ]


def about(session: Session, claim: Claim, state: str | None = None) -> About:
    """Read names and dates of a claim, the names as in its statement; its state too, where the caller has not."""
    query = (
        select(Statement.body, Statement.facts_at, Canteen.name)
        .select_from(Statement)
        .join(Contract, Contract.id == claim.contract_id)
        .join(Canteen, Canteen.id == Contract.canteen_id)
    )
    body, facts, called_now = session.execute(query.where(Statement.period_id == claim.period_id)).one()
    stated = json.loads(body)
    named = parties.Parties(**stated["names"])
    return About(
        number=claim.number,
        state=claims.state(session, claim.id) if state is None else state,
        canteen=named.canteen,
        operator=named.operator,
        district=named.district,
        payee=named.payee,
        bank=named.bank,
        account_tail=named.account_tail,
        first=claim.from_day,
        last=claim.to_day,
        fen=claim.fen,
        meals=claim.meals,
        persons=claim.persons,
        guests=stated.get("totals", {}).get("guests", 0),
        fund_names=dict(named.funds),
        facts=facts,
        called_now=called_now if called_now != named.canteen else "",
    )


def funds(session: Session, claim: Claim) -> list[str]:
    """List the funds of a claim's lines, in order."""
    query = select(ClaimLine.fund).where(ClaimLine.claim_id == claim.id).distinct()
    return sorted(session.execute(query).scalars())


def funds_sold(claim: Claim) -> list[str]:
    """List the funds that a claim's meals were sold with, in order, also those of which nothing may be claimed."""
    return lines.funds(close.load(claim.period_id))


def has_surcharges(claim: Claim) -> bool:
    """Tell whether a price list added to the menu's price of any meal of the claim's period."""
    period = close.load(claim.period_id)
    query = select(Sale.id).where(gather.belongs(period, close.cut_of(period)[0]), Sale.surcharge_fen > 0)
    return bool(keyset.once(query.limit(1)))
