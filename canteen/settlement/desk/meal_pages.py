"""Show one meal with its explanation, and withhold it from its claim."""

from __future__ import annotations

import uuid

from flask import g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from canteen.auth.guard import NotCovered, Permission, allowed
from canteen.db import db
from canteen.errors import Invalid, Refusal
from canteen.pos.models import Sale
from canteen.settlement.claims import claims, review
from canteen.settlement.closing import parties
from canteen.settlement.desk import claim_queries, explanation, meal_queries
from canteen.settlement.desk.blueprint import JUDGES, REFUSED, bp, done_text, is_insider, reach
from canteen.web.errors import status_of


@bp.get("/desk/meals/<uuid:sale>")
@allowed(Permission.SEE_CLAIMS, Permission.SEE_SALES)
def meal_page(sale: uuid.UUID) -> ResponseReturnValue:
    return _meal_page(sale)


def _meal_page(sale: uuid.UUID, refusal: Refusal | None = None) -> ResponseReturnValue:
    session = db.session()
    row = _within_reach(sale)  # kept, so that the explanation finds it loaded
    contract_id = row.contract_id
    insider, claim = is_insider(contract_id), claims.claim_of_sale(session, sale)
    facts = claim_queries.facts_at(session, claim.id) if claim else None
    called = parties.of_claims(session, [claim.id])[claim.id].funds if claim else parties.fund_names(session)
    (meal,) = meal_queries.by_ids([sale], named=facts, insider=insider)
    explained = explanation.of(session, sale, insider=insider, named=facts)
    assert explained is not None
    judges = any(contract_id in reach(permission) for permission in JUDGES)
    open_ = claim is not None and claims.state(session, claim.id) in review.OPEN_STATES
    page = render_template(
        "settlement/meal.html",
        meal=meal,
        explained=explained,
        claim=claim,
        insider=insider,
        may_withhold=judges and open_ and meal.claimable > 0 and not explained.withheld,
        may_release=judges and not meal.voided,
        fund_names=called,
        done=done_text(),
        refusal=refusal,
    )
    return page, 200 if refusal is None else status_of(refusal)


def _within_reach(sale: uuid.UUID) -> Sale:
    """Return a meal within reach. Raises NotCovered as if it did not exist."""
    row = db.session.get(Sale, sale)
    if row is None or row.contract_id not in reach() | reach(Permission.SEE_SALES):
        raise NotCovered
    return row


@bp.post("/desk/meals/<uuid:sale>/withhold")
@allowed(*JUDGES)
def withhold(sale: uuid.UUID) -> ResponseReturnValue:
    """Keep one meal out of its claim."""
    _within_reach(sale)
    claim = claims.claim_of_sale(db.session(), sale)
    if claim is None or not any(claim.contract_id in reach(permission) for permission in JUDGES):
        raise NotCovered
    outcome = request.form.get("outcome", "")
    try:
        if outcome not in {"withheld", "disallowed"}:
            raise Invalid
        review.withhold(claim.id, sale, outcome, reason=request.form.get("reason", ""), by=g.person.id)
    except REFUSED as refusal:
        return _meal_page(sale, refusal)
    return redirect(url_for("settlement.meal_page", sale=sale, done="withheld"))
