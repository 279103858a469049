"""Show one meal with its explanation, and withhold it from its claim."""

from __future__ import annotations

import uuid

from flask import g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from canteen.auth.guard import NotCovered, Permission, allowed
from canteen.db import db
from canteen.errors import Invalid, Refusal
from canteen.settlement.claims import claims, review
from canteen.settlement.closing import parties
from canteen.settlement.desk import claim_queries, explanation, meal_queries
from canteen.settlement.desk.blueprint import JUDGES, REFUSED, bp, done_text, is_insider, reach
from canteen.settlement.models import Claim
from canteen.web.errors import status_of


@bp.get("/desk/meals/<uuid:sale>")
@allowed(Permission.SEE_CLAIMS, Permission.SEE_SALES)
def meal_page(sale: uuid.UUID) -> ResponseReturnValue:
    return _meal_page(sale)


def _meal_page(sale: uuid.UUID, refusal: Refusal | None = None) -> ResponseReturnValue:
    told = _told(sale)
    insider, claim = is_insider(told.sale.contract_id), _claim_of(told)
    facts = claim_queries.facts_at(db.session(), claim.id) if claim else None
    called = parties.of_claims([claim.id])[claim.id].funds if claim else parties.fund_names()
    (meal,) = meal_queries.by_ids([sale], named=facts, insider=insider)
    told = _told(sale, insider=insider, named=facts)
    contract_id = told.sale.contract_id
    claim = _claim_of(told)
    judges = any(contract_id in reach(permission) for permission in JUDGES)
    open_ = claim is not None and claims.state(db.session(), claim.id) in review.OPEN_STATES
    page = render_template(
        "settlement/meal.html",
        meal=meal,
        told=told,
        claim=claim,
        insider=insider,
        may_withhold=judges and open_ and meal.claimable > 0 and not told.withheld,
        may_release=judges and not meal.voided,
        fund_names=called,
        done=done_text(),
        refusal=refusal,
    )
    return page, 200 if refusal is None else status_of(refusal)


def _told(sale: uuid.UUID, *, insider: bool = False, named: int | None = None) -> explanation.Explanation:
    told = explanation.of(db.session(), sale, insider=insider, named=named)
    contracts = reach() | reach(Permission.SEE_SALES)
    if told is None or told.sale.contract_id not in contracts:
        raise NotCovered
    return told


def _claim_of(told: explanation.Explanation) -> Claim | None:
    """The claim of the period that the meal was booked to, if that is closed."""
    return claims.claim_of_sale(db.session(), told.sale.id)


@bp.post("/desk/meals/<uuid:sale>/withhold")
@allowed(*JUDGES)
def withhold(sale: uuid.UUID) -> ResponseReturnValue:
    """Keep one meal out of its claim."""
    told = _told(sale)
    claim = _claim_of(told)
    if claim is None or not any(claim.contract_id in reach(permission) for permission in JUDGES):
        raise NotCovered
    outcome = request.form.get("outcome", "")
    try:
        if outcome not in {"held", "disallowed"}:
            raise Invalid
        review.withhold(claim.id, sale, outcome, reason=request.form.get("reason", ""), by=g.person.id)
    except REFUSED as refusal:
        return _meal_page(sale, refusal)
    return redirect(url_for("settlement.meal_page", sale=sale, done="withheld"))
