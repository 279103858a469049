"""Read and check the workflow of claims as set: which moves a claim can make, and which two nobody may make both.

The path of a claim: draft -> submit -> review (street) -> determine -> approve -> paid by a checked voucher.
A bureau may leave out steps or keep more people apart; maker and approver are always two people (P23).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from canteen import settings
from canteen.errors import Invalid
from canteen.settings import Settings

START, RETURNED = "draft", "returned"
FINAL = ("paid", "carried", "settled")
APPROVED_TO = {1: "approved", 0: "settled", -1: "carried"}  # by the sign of what was approved
FLOOR = (("submit", "approve"), ("determine", "approve"), ("enter", "check"))
ORDER = ("submit", "review", "determine", "approve")
PERMISSIONS = {
    "submit": "SUBMIT_CLAIM",
    "review": "REVIEW_CLAIM",
    "return": "RETURN",
    "determine": "DETERMINE",
    "approve": "APPROVE_CLAIM",
    "enter": "PAY_ENTER",
    "check": "PAY_CHECK",
}
_REACHED = {"submit": "submitted", "review": "reviewed", "determine": "determined", "approve": "approved"}


class BadSteps(Invalid):
    code = "bad_workflow"
    message = "审批流程的设置有误，请管理员在“设置”页改正。"


@dataclass(frozen=True, slots=True)
class WorkflowSteps:
    """The steps in force, in order, and the pairs of acts that one person may not both do on a claim."""

    order: tuple[str, ...] = ORDER
    apart: frozenset[frozenset[str]] = frozenset()

    def sources(self, move: str) -> tuple[str, ...]:
        """Return the states from which `move` may be made; none when it is not a step here.

        A claim that passed a step which was left out meanwhile goes on to the next one, or back.
        """
        if move == "return":
            return tuple(_REACHED[step] for step in ORDER[:-1])
        if move not in self.order:
            return ()
        at = self.order.index(move)
        if at == 0:
            return (START, RETURNED)
        return tuple(_REACHED[step] for step in ORDER[ORDER.index(self.order[at - 1]) : ORDER.index(move)])

    def target(self, move: str, approved: int) -> str:
        """Return the state that `move` leads to; an approval of nothing or less has nothing to pay (ruling 10)."""
        if move == "return":
            return RETURNED
        return APPROVED_TO[(approved > 0) - (approved < 0)] if move == "approve" else _REACHED[move]

    def moves_from(self, state: str) -> tuple[str, ...]:
        """Return the moves open in `state`, the forward one first."""
        return tuple(move for move in (*self.order, "return") if state in self.sources(move))

    def parted(self, first: str, second: str) -> bool:
        """Return whether two acts may not be one person's."""
        return frozenset((first, second)) in self.apart

    def conflicting_moves(self, move: str) -> frozenset[str]:
        """Return the acts whose actor may not make `move`."""
        return frozenset(other for pair in self.apart if move in pair for other in pair if other != move)


def make(order: Sequence[str] = ORDER, apart: Iterable[Sequence[str]] | None = None) -> WorkflowSteps:
    """Make the steps in `order`; `apart` adds to the floor, and left out keeps all who move a claim apart.

    Raises BadSteps for an unknown step, a missing submit or approve, or an order that is not ours.
    """
    if list(order) != [step for step in ORDER if step in order] or not {"submit", "approve"} <= set(order):
        raise BadSteps("审批流程应依次包含申报（submit）与审批（approve），中间可设初审（review）、核定（determine）。")
    pairs = _all_pairs(order) if apart is None else [tuple(pair) for pair in apart]
    for pair in pairs:
        if len(set(pair)) != 2 or not set(pair) <= PERMISSIONS.keys():
            raise BadSteps(f"不相容岗位应为两个不同的步骤：{'、'.join(pair)}。")
    return WorkflowSteps(tuple(order), frozenset(frozenset(pair) for pair in (*pairs, *FLOOR)))


def _all_pairs(order: Sequence[str]) -> list[tuple[str, ...]]:
    return [(first, second) for at, first in enumerate(order) for second in order[at + 1 :]]


def read(text: str) -> WorkflowSteps:
    """Read steps from JSON: {"steps": ["submit", …], "apart": [["submit", "review"], …]}. Raises BadSteps."""
    try:
        given = json.loads(text)
    except ValueError as error:
        raise BadSteps from error
    if not isinstance(given, Mapping) or not given.keys() <= {"steps", "apart"}:
        raise BadSteps
    order, apart = given.get("steps", ORDER), given.get("apart")
    if not _texts(order) or not (apart is None or (isinstance(apart, list) and all(_texts(pair) for pair in apart))):
        raise BadSteps
    return make(order, apart)


def of(decided: Settings, made_at: datetime) -> WorkflowSteps:
    """Return the steps of a claim: those known when it was made, whatever is set later. Raises BadSteps."""
    return read(decided.text(KEY, at=made_at))


def write(order: Sequence[str], apart: Iterable[Sequence[str]]) -> str:
    """Return steps as they are stored. Raises BadSteps as `make` does."""
    found = make(order, apart)
    pairs = sorted(sorted(pair, key=list(PERMISSIONS).index) for pair in found.apart)
    return json.dumps({"steps": list(found.order), "apart": pairs}, separators=(",", ":"))


def _normal(text: str) -> str:
    found = read(text)
    return write(found.order, [tuple(pair) for pair in found.apart])


def _texts(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(one, str) for one in value)


DEFAULT = make()
KEY = "claim_steps"
settings.define(
    settings.Kind(
        KEY,
        "申报的审批步骤",
        write(ORDER, _all_pairs(ORDER)),
        "申报和审批必有，初审和核定可以不设；申报、核定与审批，拨付的录入与复核，总是由不同的人办理。",
        _normal,
        takes_effect="用于起用以后结账的所属期；已经生成的申报按原来的步骤办。",
        older="CANTEEN_WORKFLOW",
    )
)
