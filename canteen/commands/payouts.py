"""canteen payouts: enter a voucher, check it as a second person, list what waits."""

from __future__ import annotations

from datetime import date
from typing import Any

import click
from sqlalchemy import select

from canteen.commands import installation
from canteen.commands.claims import (
    as_person,
    json_option,
    login_option,
    password_option,
    permission_for,
    workflow_config,
)
from canteen.commands.period import MONTH, show
from canteen.db import db
from canteen.money import show as yuan
from canteen.settlement.claims import claims as claim_reads
from canteen.settlement.claims import payouts as paying
from canteen.settlement.labels import say
from canteen.settlement.models import Claim, Payout


@click.group()
def payouts() -> None:
    """Pay approved claims: one person enters a voucher, another checks it."""


@payouts.command("enter")
@click.argument("number")
@click.argument("voucher")
@click.argument("paid_on", type=MONTH)
@login_option
@password_option
@json_option
def enter(number: str, voucher: str, paid_on: date, login: str, password: str, as_json: bool) -> None:
    """Enter VOUCHER, paid on PAID_ON (like 2026-11-05), for claim NUMBER."""
    with installation():
        claim = claim_reads.of_number(db.session(), number)
        claim_id, contract, workflow_steps = claim.id, claim.contract_id, workflow_config(claim)
        person = as_person(login, password, permission_for("enter"), contract)
        payout = paying.enter(claim_id, voucher=voucher, paid_on=paid_on, by=person, workflow_steps=workflow_steps)
        show({"payout": payout, "claim": number}, as_json, [f"payout {payout} of {number} waits for a second person"])


@payouts.command("check")
@click.argument("payout", type=int)
@click.option("--refuse", "reason", default=None, help="Refuse it, and why; without it the payout is confirmed.")
@login_option
@password_option
@json_option
def check(payout: int, reason: str | None, login: str, password: str, as_json: bool) -> None:
    """Confirm or refuse PAYOUT as the second person."""
    with installation():
        found = db.session.get(Payout, payout)
        if found is None:
            raise paying.NoPayout
        claim = db.session.get_one(Claim, found.claim_id)
        contract, workflow_steps = claim.contract_id, workflow_config(claim)
        person = as_person(login, password, permission_for("check"), contract)
        outcome = "confirmed" if reason is None else "refused"
        state = paying.check(payout, outcome, by=person, reason=reason or "", workflow_steps=workflow_steps)
        show(
            {"payout": payout, "outcome": outcome, "state": state}, as_json, [f"payout {payout}: {say('state', state)}"]
        )


@payouts.command("list")
@click.option("--contract", help="Of one contract.")
@json_option
def list_(contract: str | None, as_json: bool) -> None:
    """List payouts, with the second person's check where there is one."""
    with installation():
        query = select(Claim).order_by(Claim.from_day, Claim.number)
        if contract is not None:
            query = query.where(Claim.contract_id == contract)
        numbers = [(claim.id, claim.number) for claim in db.session.execute(query).scalars()]
        rows = [_row(number, one) for claim_id, number in numbers for one in paying.of_claim(db.session(), claim_id)]
    said = [
        f"{r['payout']}  {r['claim']}  {r['voucher']}  {yuan(r['fen'])} 元  {r['outcome'] or 'waits'}" for r in rows
    ]
    show(rows, as_json, said or ["No payouts."])


def _row(number: str, one: paying.PayoutStatus) -> dict[str, Any]:
    return {
        "payout": one.payout.id,
        "claim": number,
        "voucher": one.payout.voucher,
        "paid_on": one.payout.paid_on.isoformat(),
        "fen": one.payout.fen,
        "payee": one.payout.payee_name,
        "outcome": one.outcome,
    }
