"""The desk's pages of settlement: a month's claims, one claim, its lines, its meals, findings, held meals, payouts."""

from __future__ import annotations

import tempfile
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any

from flask import Blueprint, current_app, g, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue

from canteen import clock
from canteen.auth import guard, humans
from canteen.auth.guard import NotCovered, Permission, allowed, own_account
from canteen.db import db
from canteen.errors import Conflict, Forbidden, Invalid, Refusal
from canteen.pos.lost_numbers import Run
from canteen.settlement import labels
from canteen.settlement.claims import claims, missing_records, payouts, review, steps, workflow
from canteen.settlement.claims.steps import Steps
from canteen.settlement.closing import adjustments, parties
from canteen.settlement.corrections import reallocation
from canteen.settlement.desk import explanation, exports, meal_queries, queries
from canteen.settlement.models import Claim, Held, Payout
from canteen.web import nav
from canteen.web.errors import status_of
from canteen.web.numbers import whole

bp = Blueprint("settlement", __name__)
nav.add("settlement.home", "结算", position=10)
nav.add("settlement.held_page", "暂缓", position=12)
nav.add("settlement.payouts_page", "拨付", position=14)

REFUSED = (Invalid, Conflict, Forbidden)
JUDGES = (Permission.REVIEW_CLAIM, Permission.DETERMINE)
PAYERS = (Permission.PAY_ENTER, Permission.PAY_CHECK)
INSIDERS = (*JUDGES, Permission.APPROVE_CLAIM, Permission.SEE_ELDERS, Permission.SEE_AUDIT)
MOST_DIGITS = 18
DONE = {
    "submit": "已申报，等待街道初审。",
    "review": "初审已通过，等待核定。",
    "return": "已退回食堂，退回原因已写明。",
    "determine": "已核定，等待审批。",
    "approve": "已审批。",
    "answered": "核实结论已保存。",
    "regranted": "已办理，补入的金额计入下一期申报。",
    "held": "已处理，结果计入申报。",
    "entered": "拨付已录入，等待另一人复核。",
    "confirmed": "复核通过，申报已拨付。",
    "refused": "已退回这笔拨付，可重新录入。",
}


def way() -> Steps:
    """The steps in force here."""
    return steps.of(current_app.config["CANTEEN"])


def _permission(act: str) -> Permission:
    return Permission[steps.PERMISSIONS[act]]


def reach(permission: Permission = Permission.SEE_CLAIMS) -> set[str]:
    """Contracts at which the caller holds a permission."""
    return guard.scope(permission).contracts(db.session())


def find(number: str, *permissions: Permission) -> Claim:
    """A claim within reach. Raises NotCovered as if it did not exist."""
    try:
        claim = claims.of_number(db.session(), number)
    except claims.NoClaim as missing:
        raise NotCovered from missing
    if not any(claim.contract_id in reach(permission) for permission in permissions or (Permission.SEE_CLAIMS,)):
        raise NotCovered
    return claim


def _insider(contract_id: str) -> bool:
    """Whether the caller may read why: a canteen's own people see neither classes nor deaths (rulings 12 and 14)."""
    return any(contract_id in reach(permission) for permission in INSIDERS)


def _done() -> str:
    return DONE.get(request.args.get("done", ""), "")


# --- a month ---


@bp.get("/desk")
@own_account
def front() -> ResponseReturnValue:
    """The desk opens with the first page that the caller may see."""
    return redirect(url_for("auth.home"))


@bp.get("/desk/claims")
@allowed(Permission.SEE_CLAIMS)
def home() -> ResponseReturnValue:
    """The claims of a month: state, counts, amounts by fund, findings; and what waits for the caller."""
    contracts = reach()
    session = db.session()
    wanted, state = request.args.get("month"), request.args.get("state")
    month = queries.month(session, contracts, wanted, state=state, after=request.args.get("after"))
    unchecked = queries.unchecked(session, [row.claim.id for row in month.rows])
    mine = {row.claim.id: _todo(row, unchecked) for row in month.rows}
    waiting = queries.open_periods(session, contracts, clock.today())
    return render_template(
        "settlement/month.html",
        month=month,
        state=state,
        mine=mine,
        waiting=waiting,
        unreckoned=queries.unreckoned(session, contracts),
        fund_names=month.fund_names,
    )


def _todo(row: queries.Row, unchecked: set[int]) -> str:
    """The act that a claim waits for, if it is the caller's to do; '' otherwise."""
    if row.state == "approved":
        act = "check" if row.claim.id in unchecked else "enter"
        return act if row.claim.contract_id in reach(_permission(act)) else ""
    forward = [move for move in _moves(row.claim.contract_id, row.state) if move != "return"]
    return forward[0] if forward else ""


def _moves(contract_id: str, state: str) -> list[str]:
    """The moves that the caller's rights open for a claim in `state`."""
    return [move for move in way().moves_from(state) if contract_id in reach(_permission(move))]


# --- one claim ---


@bp.get("/desk/claims/<number>")
@allowed(Permission.SEE_CLAIMS)
def claim_page(number: str) -> ResponseReturnValue:
    return _claim_page(number)


def _claim_page(number: str, refusal: Refusal | None = None) -> ResponseReturnValue:
    claim = find(number)
    session = db.session()
    claim_id, contract_id, period_id = claim.id, claim.contract_id, claim.period_id
    state = claims.state(session, claim_id)
    doers, me = claims.doers(session, claim_id), g.person.id
    open_moves = _moves(contract_id, state)
    barred = {
        move: [
            rival for rival in sorted(way().rivals(move)) if doers.get(rival) and humans.same(session, me, doers[rival])
        ]
        for move in open_moves
    }
    period = meal_queries.period_of(claim)
    missing = missing_records.missing(period) if state in {"draft", "returned"} else []
    also_held = {
        gap: [
            each for each in missing_records.held_by(gap.tablet, Run(gap.epoch, gap.first, gap.last)) if each != number
        ]
        for gap in missing
    }
    claim = find(number)
    page = render_template(
        "settlement/claim.html",
        claim=claim,
        notices=adjustments.titles(),
        about=meal_queries.about(claim),
        state=state,
        lines=claims.lines(session, claim_id),
        history=queries.history(session, claim_id),
        open_moves=open_moves,
        barred=barred,
        findings=meal_queries.findings(claim),
        unanswered=claims.unanswered(session, period_id),
        missing=missing,
        also_held=also_held,
        quarantined=missing_records.quarantined(period) if state in {"draft", "returned"} else 0,
        silent=missing_records.silent(period) if state in {"draft", "returned"} else [],
        payouts=payouts.of_claim(session, claim_id),
        may_export=contract_id in reach(Permission.EXPORT),
        may_enter=state == "approved" and contract_id in reach(Permission.PAY_ENTER),
        judges=any(contract_id in reach(permission) for permission in JUDGES),
        insider=_insider(contract_id),
        seen=len(queries.history(session, claim_id)),
        done=_done(),
        refusal=refusal,
        typed=request.form.get("reason", "") if refusal else "",
    )
    return page, 200 if refusal is None else status_of(refusal)


@bp.app_template_global()
def finding_name(code: str, insider: bool) -> str:
    return labels.finding_name(code, insider=insider)


@bp.post("/desk/claims/<number>/move")
@allowed(*(_permission(move) for move in (*steps.ORDER, "return")))
def move(number: str) -> ResponseReturnValue:
    """Make a move; the form says how many decisions its reader had seen."""
    act = request.form.get("move", "")
    if act not in (*steps.ORDER, "return"):
        raise NotCovered
    claim_id = find(number, _permission(act)).id
    seen = request.form.get("seen", "")
    try:
        workflow.move(
            claim_id, act, by=g.person.id, reason=request.form.get("reason", ""), way=way(),
            at=whole(seen) if seen.isdecimal() else None, approved=_fen(request.form.get("approved", "")),
        )  # fmt: skip
    except REFUSED as refusal:
        return _claim_page(number, refusal)
    return redirect(url_for("settlement.claim_page", number=number, done=act))


def _fen(text: str) -> int | None:
    """An amount that a page carried, below zero too; None where it carried none."""
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) <= MOST_DIGITS else None


@bp.get("/desk/claims/<number>/lines/<int:n>")
@allowed(Permission.SEE_CLAIMS)
def line_page(number: str, n: int) -> ResponseReturnValue:
    """The meals behind one line."""
    claim = find(number)
    line = next((one for one in claims.lines(db.session(), claim.id) if one.n == n), None)
    if line is None:
        raise NotCovered
    about = meal_queries.about(claim)
    claim = find(number)
    insider = _insider(claim.contract_id)
    page = queries.line_meals(db.session(), claim, line, request.args.get("after"), insider=insider)
    notices = adjustments.titles()
    return render_template("settlement/line.html", number=number, about=about, line=line, page=page, notices=notices)


@bp.get("/desk/claims/<number>/export.xlsx")
@allowed(Permission.EXPORT)
def export(number: str) -> ResponseReturnValue:
    """The claim and its meals as a workbook; who took it is recorded."""
    found = find(number, Permission.EXPORT)
    claim_id, insider = found.id, _insider(found.contract_id)
    pays = any(found.contract_id in reach(permission) for permission in PAYERS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "claim.xlsx"
        written = exports.claim(claim_id, path, insider=insider, accounts=pays)
        exports.record(claim_id, written, by=g.person.id)
        file = path.open("rb")  # stays readable after the folder is gone, and is closed with the answer
    return send_file(
        file,
        mimetype="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        as_attachment=True,
        download_name=f"结算单-{number}.xlsx",
        max_age=0,
    )


# --- findings ---


@bp.get("/desk/claims/<number>/findings")
@allowed(Permission.SEE_CLAIMS)
def findings_page(number: str) -> ResponseReturnValue:
    return _findings_page(number)


def _findings_page(number: str, refusal: Refusal | None = None) -> ResponseReturnValue:
    claim = find(number)
    state = claims.state(db.session(), claim.id)
    judges = any(claim.contract_id in reach(permission) for permission in JUDGES)
    about, found = meal_queries.about(claim), meal_queries.findings(claim)
    sales = [one.sale for one in found if one.sale]
    meals = {meal.id: meal for meal in meal_queries.by_ids(sales, named=about.facts)}
    found.sort(key=lambda one: (meals[one.sale].day if one.sale in meals else about.first, one.id))
    page = render_template(
        "settlement/findings.html",
        number=number,
        about=about,
        findings=found,
        meals=meals,
        judging=judges and state in review.OPEN_STATES,
        insider=_insider(claim.contract_id),
        done=_done(),
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
    known = {found.id: found for found in meal_queries.findings(claim)}
    ticked = [whole(one) for one in request.form.getlist("finding") if whole(one) in known]
    outcome, reason = request.form.get("outcome", ""), request.form.get("reason", "")
    seen = _fen(request.form.get("seen", ""))

    def judge(number: int) -> None:
        found = known[number]
        if outcome == "accepted" and review.releasable(found.code, found.body, found.fen):
            reallocation.give(number, reason=reason, by=g.person.id, seen=seen, within=_where_judging())
        else:
            review.answer(number, outcome, reason=reason, by=g.person.id, seen=seen)

    refusal = _each(ticked, judge, "请先勾选要处理的事项。")
    if refusal is not None:
        return _findings_page(number, refusal)
    return redirect(url_for("settlement.findings_page", number=number, done="answered"))


@bp.get("/desk/claims/<number>/findings/<int:finding>/regrant")
@allowed(*JUDGES)
def regrant_page(number: str, finding: int) -> ResponseReturnValue:
    """An excess meal beside the meals that hold what it lacks: who reviews may give it the benefit."""
    return _regrant_page(number, finding)


def _regrant_page(number: str, finding: int, refusal: Refusal | None = None) -> ResponseReturnValue:
    claim = find(number, *JUDGES)
    open_ = claims.state(db.session(), claim.id) in review.OPEN_STATES
    about, found = meal_queries.about(claim), _excess(claim, finding)
    sale = found.sale
    assert sale is not None
    session = db.session()
    told = reallocation.of_sale(session, sale)
    holding = [] if told else reallocation.holders(session, sale)
    within = {
        meal: contract
        for meal, contract in queries.contracts_of_sales(session, holding)
        if contract in _where_judging()
    }
    (meal,) = meal_queries.by_ids([sale], named=about.facts)
    page = render_template(
        "settlement/regrant.html",
        number=number,
        about=about,
        found=found,
        meal=meal,
        others=meal_queries.by_ids(sorted(within)),
        beyond_reach=len(holding) - len(within),
        told=told,
        open=open_,
        refusal=refusal,
        form=request.form,
    )
    return page, 200 if refusal is None else status_of(refusal)


def _where_judging() -> set[str]:
    """Contracts at which the caller judges."""
    return set[str]().union(*(reach(permission) for permission in JUDGES))


def _excess(claim: Claim, finding: int) -> meal_queries.Found:
    """The finding of an excess or unproven meal of the claim. Raises NotCovered."""
    found = next((one for one in meal_queries.findings(claim) if one.id == finding), None)
    if found is None or found.sale is None or not review.grantable(found.code, found.body, found.fen):
        raise NotCovered
    return found


@bp.post("/desk/claims/<number>/findings/<int:finding>/regrant")
@allowed(*JUDGES)
def regrant(number: str, finding: int) -> ResponseReturnValue:
    """Give an excess meal the benefit, out of what is free or from the meal that was chosen."""
    _excess(find(number, *JUDGES), finding)
    chosen = request.form.get("from", "")
    try:
        if chosen != "free" and not _is_uuid(chosen):
            raise Invalid("请先选择补入，或选择由哪一餐转出。")
        reallocation.give(
            finding, reason=request.form.get("reason", ""), by=g.person.id, within=_where_judging(),
            take_from=None if chosen == "free" else uuid.UUID(chosen), seen=_fen(request.form.get("seen", "")),
        )  # fmt: skip
    except REFUSED as refusal:
        return _regrant_page(number, finding, refusal)
    return redirect(url_for("settlement.findings_page", number=number, done="regranted"))


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _each(ticked: Sequence[int], act: Callable[[int], Any], nothing: str) -> Refusal | None:
    """Do each by itself; what was refused stays undone and is told with how many were done."""
    if not ticked:
        return Invalid(nothing)
    refused: list[Refusal] = []
    for number in ticked:
        try:
            act(number)
        except REFUSED as refusal:
            refused.append(refusal)
    if not refused or len(refused) == len(ticked) == 1:
        return refused[0] if refused else None
    done = len(ticked) - len(refused)
    told = "；".join(dict.fromkeys(refusal.message for refusal in refused))
    return type(refused[0])(f"{done} 项已办，{len(refused)} 项未办：{told}")


# --- one meal ---


@bp.get("/desk/meals/<uuid:sale>")
@allowed(Permission.SEE_CLAIMS, Permission.SEE_SALES)
def meal_page(sale: uuid.UUID) -> ResponseReturnValue:
    return _meal_page(sale)


def _meal_page(sale: uuid.UUID, refusal: Refusal | None = None) -> ResponseReturnValue:
    told = _told(sale)
    insider, claim = _insider(told.sale.contract_id), _claim_of(told)
    facts = queries.facts_at(db.session(), claim.id) if claim else None
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
        may_hold=judges and open_ and meal.claimable > 0 and not told.held,
        may_release=judges and not meal.voided,
        fund_names=called,
        done=_done(),
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


@bp.post("/desk/meals/<uuid:sale>/hold")
@allowed(*JUDGES)
def hold(sale: uuid.UUID) -> ResponseReturnValue:
    """Keep one meal out of its claim."""
    told = _told(sale)
    claim = _claim_of(told)
    if claim is None or not any(claim.contract_id in reach(permission) for permission in JUDGES):
        raise NotCovered
    outcome = request.form.get("outcome", "")
    try:
        if outcome not in {"held", "disallowed"}:
            raise Invalid
        review.hold(claim.id, sale, outcome, reason=request.form.get("reason", ""), by=g.person.id)
    except REFUSED as refusal:
        return _meal_page(sale, refusal)
    return redirect(url_for("settlement.meal_page", sale=sale, done="held"))


# --- held meals ---


@bp.get("/desk/held")
@allowed(Permission.SEE_CLAIMS)
def held_page() -> ResponseReturnValue:
    return _held_page()


def _held_page(refusal: Refusal | None = None) -> ResponseReturnValue:
    rows = queries.held_rows(db.session(), reach())
    judged = set[str]().union(*(reach(permission) for permission in JUDGES))
    contracts = dict(queries.contracts_of(db.session(), [row.claim for row in rows]))
    judged_here = {row.held.id for row in rows if contracts[row.claim] in judged}
    groups = [list(group) for _, group in groupby(rows, key=lambda row: (row.held.claim_id, row.held.sale_id))]
    fen, meals = sum(row.held.fen for row in rows), _held_meals(rows)
    page = render_template(
        "settlement/held.html",
        groups=groups,
        fen=fen,
        judged=judged_here,
        meals=meals,
        form=request.form,
        ticked=set(request.form.getlist("held")),
        done=_done(),
        refusal=refusal,
    )
    return page, 200 if refusal is None else status_of(refusal)


def _held_meals(rows: Sequence[queries.HeldRow]) -> dict[uuid.UUID, meal_queries.Meal]:
    """The meals of these rows, each under the names of its claim's close."""
    by_facts: dict[int, set[uuid.UUID]] = defaultdict(set)
    for row in rows:
        by_facts[row.facts].add(row.held.sale_id)
    found: dict[uuid.UUID, meal_queries.Meal] = {}
    for facts, sales in by_facts.items():
        found |= {meal.id: meal for meal in meal_queries.by_ids(sorted(sales), named=facts)}
    return found


@bp.post("/desk/held")
@allowed(*JUDGES)
def clear() -> ResponseReturnValue:
    """Release the ticked held meals to the next claim, or strike them out, each by itself."""
    boxes = request.form.getlist("held")  # a box stands for all shares of a meal
    ticked = [number for box in boxes for one in box.split(",") if (number := whole(one)) >= 0]
    rows = [db.session.get(Held, number) for number in ticked]
    if not all(row and _judged(db.session.get_one(Claim, row.claim_id).contract_id) for row in rows):
        raise NotCovered
    outcome, reason = request.form.get("outcome", ""), request.form.get("reason", "")
    refusal = _each(
        ticked, lambda number: review.clear(number, outcome, reason=reason, by=g.person.id), "请先勾选要处理的就餐。"
    )
    if refusal is not None:
        return _held_page(refusal)
    return redirect(url_for("settlement.held_page", done="held"))


def _judged(contract_id: str) -> bool:
    return any(contract_id in reach(permission) for permission in JUDGES)


# --- payouts ---


@bp.get("/desk/payouts")
@allowed(Permission.SEE_CLAIMS)
def payouts_page() -> ResponseReturnValue:
    return _payouts_page()


def _payouts_page(refusal: Refusal | None = None) -> ResponseReturnValue:
    page = render_template(
        "settlement/payouts.html",
        paying=queries.paying(db.session(), reach()),
        enters=reach(Permission.PAY_ENTER),
        checks=reach(Permission.PAY_CHECK),
        today=clock.today(),
        wrong=(request.view_args or {}).get("number") if refusal else None,
        form=request.form,
        done=_done(),
        refusal=refusal,
    )
    return page, 200 if refusal is None else status_of(refusal)


@bp.post("/desk/claims/<number>/payouts")
@allowed(Permission.PAY_ENTER)
def enter_payout(number: str) -> ResponseReturnValue:
    """Enter the voucher of an approved claim."""
    claim_id = find(number, Permission.PAY_ENTER).id
    return _paying(
        lambda: payouts.enter(
            claim_id, voucher=request.form.get("voucher", ""), paid_on=_day(request.form.get("paid_on", "")),
            by=g.person.id, way=way(),
        ),
        "entered",
    )  # fmt: skip


@bp.post("/desk/payouts/<int:payout>/check")
@allowed(Permission.PAY_CHECK)
def check_payout(payout: int) -> ResponseReturnValue:
    """The second person's word."""
    row = db.session.get(Payout, payout)
    if row is None or db.session.get_one(Claim, row.claim_id).contract_id not in reach(Permission.PAY_CHECK):
        raise NotCovered
    outcome = request.form.get("outcome", "")
    return _paying(
        lambda: payouts.check(payout, outcome, by=g.person.id, reason=request.form.get("reason", ""), way=way()),
        outcome,
    )


def _paying(act: Callable[[], Any], done: str) -> ResponseReturnValue:
    try:
        act()
    except REFUSED as refusal:
        return _payouts_page(refusal)
    return redirect(url_for("settlement.payouts_page", done=done))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise payouts.BadPayDay("请填写拨付日期。") from None
