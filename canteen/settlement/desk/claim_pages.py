"""Show the claims of a month, one claim and the meals behind a line; make the moves of a claim."""

from __future__ import annotations

from flask import g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from canteen import clock
from canteen.auth.guard import NotCovered, Permission, allowed, own_account
from canteen.db import db
from canteen.errors import Refusal
from canteen.settlement.claims import claims, steps, workflow
from canteen.settlement.closing import adjustments, parties
from canteen.settlement.desk import (
    claim_queries,
    claim_view,
    line_queries,
    payout_queries,
)
from canteen.settlement.desk.blueprint import (
    JUDGES,
    REFUSED,
    bp,
    done_text,
    find,
    is_insider,
    permission_of,
    reach,
    signed_fen,
    workflow_config,
)
from canteen.settlement.models import Claim
from canteen.web.errors import status_of
from canteen.web.numbers import whole

# --- a month ---


@bp.get("/desk")
@own_account
def front() -> ResponseReturnValue:
    """Open the desk with the first page that the caller may see."""
    return redirect(url_for("auth.home"))


@bp.get("/desk/claims")
@allowed(Permission.SEE_CLAIMS)
def home() -> ResponseReturnValue:
    """Show the claims of a month: state, counts, amounts by fund, findings; and what waits for the caller."""
    contracts = reach()
    session = db.session()
    wanted, state = request.args.get("month"), request.args.get("state")
    month = claim_queries.month(session, contracts, wanted, state=state, after=request.args.get("after"))
    unchecked = payout_queries.unchecked(session, [row.claim.id for row in month.rows])
    mine = {row.claim.id: _todo(row, unchecked) for row in month.rows}
    waiting = claim_queries.open_periods(session, contracts, clock.today())
    return render_template(
        "settlement/month.html",
        month=month,
        state=state,
        mine=mine,
        waiting=waiting,
        without_statement=claim_queries.without_statement(session, contracts),
        fund_names=month.fund_names,
    )


def _todo(row: claim_queries.ClaimRow, unchecked: set[int]) -> str:
    """Return the act that a claim waits for, if it is the caller's to do; '' otherwise."""
    if row.state == "approved":
        act = "check" if row.claim.id in unchecked else "enter"
        return act if row.claim.contract_id in reach(permission_of(act)) else ""
    forward = [move for move in _open_moves(row.claim, row.state) if move != "return"]
    return forward[0] if forward else ""


def _open_moves(claim: Claim, state: str) -> list[str]:
    """Return the moves that the caller's rights open for a claim in `state`."""
    moves = workflow_config(claim.made_at).moves_from(state)
    return [move for move in moves if claim.contract_id in reach(permission_of(move))]


# --- one claim ---


@bp.get("/desk/claims/<number>")
@allowed(Permission.SEE_CLAIMS)
def claim_page(number: str) -> ResponseReturnValue:
    return _claim_page(number)


def _claim_page(number: str, refusal: Refusal | None = None) -> ResponseReturnValue:
    claim = find(number)
    contract_id = claim.contract_id
    viewer = claim_view.Viewer(
        g.person.id,
        may=lambda permission: contract_id in reach(permission),
        judges=any(contract_id in reach(permission) for permission in JUDGES),
        insider=is_insider(contract_id),
    )
    page = render_template(
        "settlement/claim.html",
        view=claim_view.of(claim, viewer, workflow_config(claim.made_at), lambda state: _open_moves(claim, state)),
        done=done_text(),
        refusal=refusal,
        typed=request.form.get("reason", "") if refusal else "",
    )
    return page, 200 if refusal is None else status_of(refusal)


@bp.post("/desk/claims/<number>/move")
@allowed(*(permission_of(move) for move in (*steps.ORDER, "return")))
def move(number: str) -> ResponseReturnValue:
    """Make a move; the form says how many decisions its reader had seen."""
    act = request.form.get("move", "")
    if act not in (*steps.ORDER, "return"):
        raise NotCovered
    claim = find(number, permission_of(act))
    claim_id, workflow_steps = claim.id, workflow_config(claim.made_at)
    seen = request.form.get("seen", "")
    try:
        workflow.move(
            claim_id, act, by=g.person.id, reason=request.form.get("reason", ""), workflow_steps=workflow_steps,
            at=whole(seen) if seen.isdecimal() else None, approved=signed_fen(request.form.get("approved", "")),
        )  # fmt: skip
    except REFUSED as refusal:
        return _claim_page(number, refusal)
    return redirect(url_for("settlement.claim_page", number=number, done=act))


@bp.get("/desk/claims/<number>/lines/<int:n>")
@allowed(Permission.SEE_CLAIMS)
def line_page(number: str, n: int) -> ResponseReturnValue:
    """Show the meals behind one line."""
    claim = find(number)
    line = next((one for one in claims.lines(db.session(), claim.id) if one.n == n), None)
    if line is None:
        raise NotCovered
    named = parties.of_claims(db.session(), [claim.id])[claim.id]
    insider = is_insider(claim.contract_id)
    page = line_queries.line_meals(claim, line, request.args.get("after"), insider=insider)
    return render_template(
        "settlement/line.html", number=number, named=named, line=line, page=page, notices=adjustments.titles(),
        days=line_queries.line_days(claim, line),
    )  # fmt: skip
