"""Show the withheld meals of every claim within reach, and release or disallow them."""

from __future__ import annotations

from itertools import groupby

from flask import g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from canteen.auth.guard import NotCovered, Permission, allowed
from canteen.db import db
from canteen.errors import Refusal
from canteen.settlement.claims import review
from canteen.settlement.desk import meal_queries, withheld_queries
from canteen.settlement.desk.blueprint import JUDGES, bp, done_text, each_by_itself, reach
from canteen.settlement.models import Claim, WithheldMeal
from canteen.web.errors import status_of
from canteen.web.numbers import whole


@bp.get("/desk/withheld")
@allowed(Permission.SEE_CLAIMS)
def withheld_page() -> ResponseReturnValue:
    return _withheld_page()


def _withheld_page(refusal: Refusal | None = None) -> ResponseReturnValue:
    after = request.args.get("after")
    waiting = withheld_queries.waiting(db.session(), reach(), after)
    rows, judged = waiting.rows, set[str]().union(*(reach(permission) for permission in JUDGES))
    judged_here = {row.withheld.id for row in rows if row.contract in judged}
    groups = [list(group) for _, group in groupby(rows, key=lambda row: (row.withheld.claim_id, row.withheld.sale_id))]
    facts = {row.withheld.sale_id: row.facts for row in rows}  # each meal under the names of its claim's close
    meals = {meal.id: meal for meal in meal_queries.by_ids(sorted(facts), named=facts)}
    page = render_template(
        "settlement/withheld.html",
        groups=groups,
        waiting=waiting,
        after=after,
        judged=judged_here,
        meals=meals,
        form=request.form,
        ticked=set(request.form.getlist("withheld")),
        done=done_text(),
        refusal=refusal,
    )
    return page, 200 if refusal is None else status_of(refusal)


@bp.post("/desk/withheld")
@allowed(*JUDGES)
def clear() -> ResponseReturnValue:
    """Release the ticked withheld meals to the next claim, or disallow them, each by itself."""
    boxes = request.form.getlist("withheld")  # a box covers all shares of a meal
    ticked = [number for box in boxes for one in box.split(",") if (number := whole(one)) >= 0]
    rows = [db.session.get(WithheldMeal, number) for number in ticked]
    if not all(row and _judged(db.session.get_one(Claim, row.claim_id).contract_id) for row in rows):
        raise NotCovered
    outcome, reason = request.form.get("outcome", ""), request.form.get("reason", "")
    refusal = each_by_itself(
        ticked, lambda number: review.clear(number, outcome, reason=reason, by=g.person.id), "请先勾选要处理的就餐。"
    )
    if refusal is not None:
        return _withheld_page(refusal)
    return redirect(url_for("settlement.withheld_page", done="withheld", after=request.args.get("after")))


def _judged(contract_id: str) -> bool:
    return any(contract_id in reach(permission) for permission in JUDGES)
