"""Show the findings of a claim, take their answers, and give an excess meal the benefit."""

from __future__ import annotations

import uuid

from flask import g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from canteen.auth.guard import NotCovered, Permission, allowed
from canteen.db import db
from canteen.errors import Invalid, Refusal
from canteen.settlement import labels
from canteen.settlement.claims import review
from canteen.settlement.corrections import reallocation, reallocation_queries
from canteen.settlement.desk import claim_queries, claim_summary, finding_queries, meal_queries
from canteen.settlement.desk.blueprint import (
    JUDGES,
    REFUSED,
    bp,
    done_text,
    each_by_itself,
    find,
    is_insider,
    judging_contracts,
    reach,
    signed_fen,
)
from canteen.settlement.models import Claim
from canteen.web.errors import status_of
from canteen.web.numbers import whole

SIZE = 200  # findings on a page


@bp.app_template_global()
def finding_name(code: str, insider: bool) -> str:
    return labels.finding_name(code, insider=insider)


@bp.get("/desk/claims/<number>/findings")
@allowed(Permission.SEE_CLAIMS)
def findings_page(number: str) -> ResponseReturnValue:
    return _findings_page(number)


def _findings_page(number: str, refusal: Refusal | None = None) -> ResponseReturnValue:
    claim = find(number)
    judges = any(claim.contract_id in reach(permission) for permission in JUDGES)
    session = db.session()
    after = max(whole(request.args.get("after", "")), 0)
    about, groups = claim_summary.about(session, claim), finding_queries.groups(session, claim)
    page_and_next = finding_queries.findings(session, claim, after=after, most=SIZE + 1)
    found = page_and_next[:SIZE]
    following = found[-1].id if len(page_and_next) > SIZE else None
    sales = [one.sale for one in found if one.sale]
    meals = {meal.id: meal for meal in meal_queries.by_ids(sales, named=about.facts)}
    found.sort(key=lambda one: (meals[one.sale].day if one.sale in meals else about.first, one.id))
    page = render_template(
        "settlement/findings.html",
        number=number,
        about=about,
        findings=found,
        counts={group.code: group.count for group in groups},
        after=after or None,
        following=following,
        meals=meals,
        judging=judges and about.state in review.OPEN_STATES,
        insider=is_insider(claim.contract_id),
        done=done_text(),
        refusal=refusal,
        form=request.form,
        ticked=set(request.form.getlist("finding")),
        grantable=review.grantable,
    )
    return page, 200 if refusal is None else status_of(refusal)


@bp.post("/desk/claims/<number>/findings")
@allowed(*JUDGES)
def answer(number: str) -> ResponseReturnValue:
    """Judge the ticked findings alike, each by itself: one that cannot be answered leaves the others answered."""
    claim = find(number, *JUDGES)
    asked = [whole(one) for one in request.form.getlist("finding")]
    known = {found.id: found for found in finding_queries.findings(db.session(), claim, only=asked)}
    ticked = [one for one in asked if one in known]
    outcome, reason = request.form.get("outcome", ""), request.form.get("reason", "")
    seen = signed_fen(request.form.get("seen", ""))

    def judge(number: int) -> None:
        found = known[number]
        if outcome == "accepted" and review.releasable(found.code, found.body, found.fen):
            reallocation.reallocate(number, reason=reason, by=g.person.id, seen=seen, within=judging_contracts())
        else:
            review.answer(number, outcome, reason=reason, by=g.person.id, seen=seen)

    refusal = each_by_itself(ticked, judge, "请先勾选要处理的事项。")
    if refusal is not None:
        return _findings_page(number, refusal)
    after = request.args.get("after")
    return redirect(url_for("settlement.findings_page", number=number, done="answered", after=after))


@bp.get("/desk/claims/<number>/findings/<int:finding>/reallocation")
@allowed(*JUDGES)
def reallocation_page(number: str, finding: int) -> ResponseReturnValue:
    """Show an excess meal beside the meals that use its limits, so that a reviewer can reallocate the benefit."""
    return _reallocation_page(number, finding)


def _reallocation_page(number: str, finding: int, refusal: Refusal | None = None) -> ResponseReturnValue:
    claim = find(number, *JUDGES)
    session = db.session()
    about, found = claim_summary.about(session, claim), _excess(claim, finding)
    sale = found.sale
    assert sale is not None
    reallocated = reallocation_queries.of_sale(session, sale)
    donors = [] if reallocated else reallocation_queries.donors(session, sale)
    within = {
        meal: contract
        for meal, contract in claim_queries.contracts_of_sales(session, donors)
        if contract in judging_contracts()
    }
    meals = {one.id: one for one in meal_queries.by_ids([sale, *sorted(within)], named={sale: about.facts})}
    meal = meals.pop(sale)
    page = render_template(
        "settlement/reallocation.html",
        number=number,
        about=about,
        found=found,
        meal=meal,
        others=list(meals.values()),
        beyond_reach=len(donors) - len(within),
        reallocated=reallocated,
        open=about.state in review.OPEN_STATES,
        refusal=refusal,
        form=request.form,
    )
    return page, 200 if refusal is None else status_of(refusal)


def _excess(claim: Claim, finding: int) -> finding_queries.FindingRow:
    """Return the finding of an excess or unproven meal of the claim. Raises NotCovered."""
    found = next(iter(finding_queries.findings(db.session(), claim, only=[finding])), None)
    if found is None or found.sale is None or not review.grantable(found.code, found.body, found.fen):
        raise NotCovered
    return found


@bp.post("/desk/claims/<number>/findings/<int:finding>/reallocation")
@allowed(*JUDGES)
def reallocate(number: str, finding: int) -> ResponseReturnValue:
    """Give an excess meal the benefit, out of what is free or from the meal that was chosen."""
    _excess(find(number, *JUDGES), finding)
    chosen = request.form.get("from", "")
    try:
        if chosen != "free" and not _is_uuid(chosen):
            raise Invalid("请先选择补入，或选择由哪一餐转出。")
        reallocation.reallocate(
            finding, reason=request.form.get("reason", ""), by=g.person.id, within=judging_contracts(),
            from_=None if chosen == "free" else uuid.UUID(chosen), seen=signed_fen(request.form.get("seen", "")),
        )  # fmt: skip
    except REFUSED as refusal:
        return _reallocation_page(number, finding, refusal)
    return redirect(url_for("settlement.findings_page", number=number, done="reallocated"))


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
