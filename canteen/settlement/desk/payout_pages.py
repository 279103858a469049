"""Show the payouts within reach, enter a voucher, and check it as the second person."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from flask import g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from canteen import clock
from canteen.auth.guard import NotCovered, Permission, allowed
from canteen.db import db
from canteen.errors import Refusal
from canteen.settlement.claims import payouts
from canteen.settlement.desk import payout_queries
from canteen.settlement.desk.blueprint import REFUSED, bp, done_text, find, reach, workflow_config
from canteen.settlement.models import Claim, Payout
from canteen.web.days import required_day
from canteen.web.errors import status_of


@bp.get("/desk/payouts")
@allowed(Permission.SEE_CLAIMS)
def payouts_page() -> ResponseReturnValue:
    return _payouts_page()


def _payouts_page(refusal: Refusal | None = None) -> ResponseReturnValue:
    page = render_template(
        "settlement/payouts.html",
        paying=payout_queries.paying(db.session(), reach()),
        enters=reach(Permission.PAY_ENTER),
        checks=reach(Permission.PAY_CHECK),
        today=clock.today(),
        wrong=(request.view_args or {}).get("number") if refusal else None,
        form=request.form,
        done=done_text(),
        refusal=refusal,
    )
    return page, 200 if refusal is None else status_of(refusal)


@bp.post("/desk/claims/<number>/payouts")
@allowed(Permission.PAY_ENTER)
def enter_payout(number: str) -> ResponseReturnValue:
    """Enter the voucher of an approved claim."""
    claim = find(number, Permission.PAY_ENTER)
    claim_id, workflow_steps = claim.id, workflow_config(claim.made_at)
    return _paying(
        lambda: payouts.enter(
            claim_id, voucher=request.form.get("voucher", ""), paid_on=_paid_on(request.form.get("paid_on", "")),
            by=g.person.id, workflow_steps=workflow_steps,
        ),
        "entered",
    )  # fmt: skip


@bp.post("/desk/payouts/<int:payout>/check")
@allowed(Permission.PAY_CHECK)
def check_payout(payout: int) -> ResponseReturnValue:
    """Confirm or refuse a payout, as the second person."""
    row = db.session.get(Payout, payout)
    claim = db.session.get_one(Claim, row.claim_id) if row else None
    if claim is None or claim.contract_id not in reach(Permission.PAY_CHECK):
        raise NotCovered
    outcome, workflow_steps = request.form.get("outcome", ""), workflow_config(claim.made_at)
    return _paying(
        lambda: payouts.check(
            payout, outcome, by=g.person.id, reason=request.form.get("reason", ""), workflow_steps=workflow_steps
        ),
        outcome,
    )


def _paying(act: Callable[[], Any], done: str) -> ResponseReturnValue:
    try:
        act()
    except REFUSED as refusal:
        return _payouts_page(refusal)
    return redirect(url_for("settlement.payouts_page", done=done))


def _paid_on(text: str) -> date:
    return required_day(text, payouts.BadPayDay("请填写拨付日期。"))
