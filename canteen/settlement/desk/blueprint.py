"""Provide what the pages of settlement share: the blueprint, who reaches which claim, what was done just before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from flask import Blueprint, g, request

from canteen import settings
from canteen.auth import guard
from canteen.auth.guard import NotCovered, Permission
from canteen.db import db
from canteen.errors import Conflict, Forbidden, Invalid, Refusal
from canteen.settlement.claims import claims, steps
from canteen.settlement.claims.steps import WorkflowSteps
from canteen.settlement.models import Claim
from canteen.web import nav

bp = Blueprint("settlement", __name__)
nav.add("settlement.home", "结算", position=10)
nav.add("settlement.withheld_page", "暂缓", position=12)
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
    "reallocated": "已办理，补入的金额计入下一期申报。",
    "withheld": "已处理，结果计入申报。",
    "entered": "拨付已录入，等待另一人复核。",
    "confirmed": "复核通过，申报已拨付。",
    "refused": "已退回这笔拨付，可重新录入。",
}


def workflow_config(made_at: datetime) -> WorkflowSteps:
    """Return the workflow steps of a claim made then; the settings are read once a request."""
    if "settings" not in g:
        g.settings = settings.read(db.session())
    return steps.of(g.settings, made_at)


def permission_of(act: str) -> Permission:
    return Permission[steps.PERMISSIONS[act]]


def reach(permission: Permission = Permission.SEE_CLAIMS) -> set[str]:
    """Return the contracts at which the caller has a permission."""
    return guard.scope(permission).contracts(db.session())


def find(number: str, *permissions: Permission) -> Claim:
    """Return a claim within reach. Raises NotCovered as if it did not exist."""
    try:
        claim = claims.of_number(db.session(), number)
    except claims.NoClaim as missing:
        raise NotCovered from missing
    if not any(claim.contract_id in reach(permission) for permission in permissions or (Permission.SEE_CLAIMS,)):
        raise NotCovered
    return claim


def is_insider(contract_id: str) -> bool:
    """Tell whether the caller may read why: a canteen's own people see no classes or deaths (rulings 12 and 14)."""
    return any(contract_id in reach(permission) for permission in INSIDERS)


def done_text() -> str:
    return DONE.get(request.args.get("done", ""), "")


def signed_fen(text: str) -> int | None:
    """Read an amount that a page carried, below zero too; None where it carried none."""
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) <= MOST_DIGITS else None


def judging_contracts() -> set[str]:
    """Return the contracts at which the caller judges."""
    return set[str]().union(*(reach(permission) for permission in JUDGES))


def each_by_itself(ticked: Sequence[int], act: Callable[[int], Any], nothing: str) -> Refusal | None:
    """Do each by itself; what was refused is left undone and reported with how many were done."""
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
    messages = "；".join(dict.fromkeys(refusal.message for refusal in refused))
    return type(refused[0])(f"{done} 项已办，{len(refused)} 项未办：{messages}")
