"""Let a reviewer give an excess meal its benefit, from a limit that is free again or from another meal (ruling 5).

A meal whose day or cashier was not proven is released in the same way: it was excluded whole and used no limit.

This happens only by a reviewer's decision, never by itself. Under the lock of the person the meal is priced again with
what is free *now*. The limits it needs are granted to it as added uses, and the amount that both the new quote and the
sale contain moves from `excluded` to `open`. If another meal gives the benefit up, its amount moves from `open` to
`excluded` and its uses are freed in the same transaction. Both are booked to the earliest open period, so the next claim
lists them as adjustments. The database refuses a second reallocation of a meal, and one from a meal that received one.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterator, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.db import intern, transaction
from canteen.errors import Conflict, Forbidden, Invalid
from canteen.ledger import periods, transfers
from canteen.ledger.models import Period
from canteen.ledger.transfers import Move
from canteen.money import Fen
from canteen.places import Contract
from canteen.policy import quote as engine
from canteen.pos import lesser, slots
from canteen.pos.flags import UNCLAIMABLE
from canteen.pos.models import QuoteInput, Sale, Share, Void
from canteen.pos.sale_locks import lock_sale_parties, retried_if_overtaken
from canteen.pos.slots import Key, Use
from canteen.rulebooks.models import JoinedRulebook
from canteen.settlement.claims import claims, review, withheld_meals
from canteen.settlement.claims.claims import reason_given
from canteen.settlement.claims.review import NoFinding
from canteen.settlement.closing import budgets
from canteen.settlement.corrections import sale_history
from canteen.settlement.corrections.reallocation_quote import (
    ExcessMeal,
    NoRoom,
    NothingToGive,
    full_limits,
    given_now,
    grant_now,
    quote_now,
    read_meal,
)
from canteen.settlement.corrections.repricing import Repricing, lock_for_repricing, write
from canteen.settlement.models import BenefitReallocation, Claim, Finding, FindingAnswer, RevaluedSale

REASON = "reallocated"  # of both transfers


class RoomLeft(Conflict):
    code = "room_left"
    message = "享受次数或额度已经空出，可直接补入，不必由另一餐转出。"


class NothingToGiveUp(Conflict):
    code = "nothing_to_give_up"
    message = "所选的就餐没有占用这一次数（可能已撤单或已转出），请刷新后重新选择。"


class NotMovable(Conflict):
    code = "not_movable"
    message = "这笔就餐不能办理享受转让。"


class OutOfReach(Forbidden):
    code = "donor_out_of_reach"
    message = "占用这一次数的就餐属于您辖区以外的食堂，须由上级审核人员办理。"


def reallocate(
    finding_id: int,
    *,
    reason: str,
    by: str,
    from_: uuid.UUID | None = None,
    seen: int | None = None,
    within: Collection[str] | None = None,
) -> None:
    """Give the excess meal of a finding the benefit, and answer the finding so.

    from_   the meal that gives it up; None where its room is free again
    seen    the newest answer that the person's page knew of: a later one to this finding is a conflict
    within  contracts at which the person may judge; None for all

    Raises NoFinding, Invalid, NeedsReason, MoveNotOpen, SamePerson, Answered, NoRoom, RoomLeft, NothingToGiveUp,
    NothingToGive, NotMovable, OutOfReach.
    """
    _reallocate(finding_id, reason_given(reason, "请写明补入或转让的依据（至少 4 个字）。"), by, from_, seen, within)


@retried_if_overtaken
def _reallocate(
    finding_id: int, reason: str, by: str, from_: uuid.UUID | None, seen: int | None, within: Collection[str] | None
) -> None:
    """Reallocate in one transaction, by the order of locks: gates, persons by id, the claim, amounts by key, event."""
    with transaction() as session:
        finding, meals = _pair(session, finding_id, from_, within)
        sale, other = meals[0], meals[1] if len(meals) > 1 else None
        gates = _gates(session, meals)
        _lock_persons(session, meals)
        claim = session.execute(select(Claim).where(Claim.period_id == finding.period_id)).scalar_one()
        claim = review.open_claim(session, claim.id)
        _may(session, claim, meals, by)
        answered = _newest(session, finding_id, seen)
        _movable(session, meals)
        meal = read_meal(session, sale)
        _lock_limits(session, meal, meals)

        up = [] if other is None else _free(session, meal, other)
        repricing = Repricing(session, meal.inputs)
        quoted, usage = quote_now(meal, repricing)
        given = given_now(session, meal, quoted)
        if not given:
            raise NoRoom if other is None and full_limits(meal, repricing) else NothingToGive
        granted = grant_now(session, meal, repricing, quoted)

        fen, source = sum(given.values()), None if other is None else other.id
        number = events.record(
            session, "finding.reallocate", f"claim:{claim.number}", by=by,
            body={"finding": finding_id, "sale": str(sale.id), "from": str(source) if source else None, "fen": fen},
        )  # fmt: skip
        input_hash, input_body = repricing.document(usage)
        intern(session, QuoteInput, [{"hash": input_hash, "body": input_body}])
        session.add(
            BenefitReallocation(
                sale_id=sale.id, from_sale_id=source, finding_id=finding_id, input_hash=input_hash,
                fen=fen, reason=reason, by=by, at=clock.now(), recorded=number,
            )
        )  # fmt: skip
        session.add(
            FindingAnswer(
                finding_id=finding_id, n=answered + 1, outcome="accepted", reason=f"{_said(finding, other)}：{reason}",
                by=by, at=clock.now(), recorded=number,
            )
        )  # fmt: skip
        session.flush()
        write(session, granted, cause=cause(number), given_up=up, recorded=number)
        if other is not None:
            transfers.post(session, gates[other.id], list(_taken_away(session, other, up, number)))
        transfers.post(session, gates[sale.id], list(_moves(sale, given, number)))


def _said(finding: Finding, other: Sale | None) -> str:
    if other is not None:
        return "由另一餐转给本餐享受"
    return "名额空出后补入本餐" if finding.code == "excess_slot" else "核实后放行"


def cause(number: int) -> str:
    """Return the name by which transfers and uses cite the reallocation that made them."""
    return f"event:{number}"


# --- who may, and of which meals ---


def _pair(
    session: Session, finding_id: int, from_: uuid.UUID | None, within: Collection[str] | None
) -> tuple[Finding, list[Sale]]:
    """Return the finding and its meal, with the meal that gives the benefit up if there is one."""
    finding = session.get(Finding, finding_id)
    if finding is None:
        raise NoFinding
    if finding.sale_id is None or not review.grantable(finding.code, json.loads(finding.body), finding.fen):
        raise Invalid("只有超次享受和补传待核实的就餐可以补入或转让。")
    sale = session.get_one(Sale, finding.sale_id)
    if from_ is None:
        return finding, [sale]
    other = session.get(Sale, from_)
    if other is None or other.id == sale.id:
        raise NothingToGiveUp
    if within is not None and other.contract_id not in within:
        raise OutOfReach
    return finding, [sale, other]


def _gates(session: Session, meals: Sequence[Sale]) -> dict[uuid.UUID, Period]:
    """Return the open period of each meal's contract, with the gates locked in one order."""
    ordered = sorted(meals, key=lambda meal: (meal.contract_id, meal.service_day))
    return {
        meal.id: periods.gate(session, session.get_one(Contract, meal.contract_id), meal.service_day)
        for meal in ordered
    }


def _lock_persons(session: Session, meals: Sequence[Sale]) -> None:
    """Lock the eaters, and in whose rows their uses stand. Raises NotMovable for a guest's meal."""
    if any(meal.elder_id is None for meal in meals):
        raise NotMovable
    lock_sale_parties(session, meals)


def _lock_limits(session: Session, meal: ExcessMeal, meals: Sequence[Sale]) -> None:
    """Lock the limits the meal may use and the donor's uses; the persons are locked first. Raises RetryTransaction."""
    lock_for_repricing(
        session,
        [meal.inputs],
        most=meals[0].list_fen,
        names={each for sale in meals for each in slots.counted_for(session, sale.id)[1]},
        given_up=[use for sale in meals[1:] for use in slots.current_uses(session, sale.id)],
    )


def _may(session: Session, claim: Claim, meals: Sequence[Sale], by: str) -> None:
    """Refuse a move by the person who sold the meal or submitted its claim. Raises SamePerson."""
    for meal in meals:
        review.not_own(session, claim, meal, by)
        theirs = claims.claim_of_sale(session, meal.id)
        if theirs is not None and theirs.id != claim.id:
            review.not_own(session, theirs, meal, by)


def _newest(session: Session, finding_id: int, seen: int | None) -> int:
    """Return how many answers the finding has. Raises Answered when one came that the page did not know of."""
    query = select(FindingAnswer).where(FindingAnswer.finding_id == finding_id).order_by(FindingAnswer.n.desc())
    last = session.execute(query.limit(1)).scalar_one_or_none()
    if last is not None and seen is not None and last.id > seen:
        raise review.Answered
    return 0 if last is None else last.n


def _movable(session: Session, meals: Sequence[Sale]) -> None:
    """Raise NotMovable or Answered if a meal is voided, unclaimable, revalued, prorated, or was judged before."""
    ids = [meal.id for meal in meals]
    mine = BenefitReallocation.sale_id.in_(ids) | BenefitReallocation.from_sale_id.in_(ids)
    if session.execute(select(BenefitReallocation.sale_id).where(mine).limit(1)).first():
        raise review.Answered("这笔就餐的享受已经补入或转让过，每餐只能办理一次；请刷新后查看。")
    if session.execute(select(Void.id).where(Void.sale_id.in_(ids)).limit(1)).first():
        raise NotMovable("就餐已撤单，不能补入或转出，请刷新后查看。")
    if any(not UNCLAIMABLE.isdisjoint(meal.flags.split()) for meal in meals):
        raise NotMovable("这笔就餐因其他原因不予申报（如无卡、停用卡、不在供餐时段），不能补入或转让。")
    if session.execute(select(RevaluedSale.id).where(RevaluedSale.sale_id.in_(ids)).limit(1)).first():
        raise NotMovable("这笔就餐已经重估，不能再补入或转让；请按重估结果办理。")
    if any(_prorated(session, meal) for meal in meals):
        raise NotMovable("这笔就餐的补贴预算按比例分摊，不能单笔补入或转让。")
    if sale_history.judged_of(session, ids):
        raise NotMovable("这笔就餐已暂缓或核减，请先处理暂缓或核减，再办理享受转让。")


def _prorated(session: Session, meal: Sale) -> bool:
    """Return whether the meal draws on a prorated budget, which is shared by all meals and so cannot be moved."""
    drawn = slots.budgets_of(session, meal.id)
    if not drawn:
        return False
    query = select(JoinedRulebook.body).where(JoinedRulebook.hash == meal.own_rulebook_hash)
    body = session.execute(query).scalar_one_or_none()
    return body is not None and any(budgets.prorated_by(body, allowance) for allowance, _ in drawn)


# --- the meal that gives it up ---


def _free(session: Session, meal: ExcessMeal, other: Sale) -> list[Use]:
    """Free the other meal's uses of the limits this meal needs, and return them. Raises RoomLeft if it needs none freed."""
    repricing = Repricing(session, meal.inputs)
    full = full_limits(meal, repricing)
    if not full and given_now(session, meal, quote_now(meal, repricing)[0]):
        raise RoomLeft
    up = _tied_uses(session, other, full)
    slots.release_uses(session, up)
    session.flush()
    return up


def _tied_uses(session: Session, other: Sale, full: set[Key]) -> list[Use]:
    """Return the donor's uses of the wanted limits and of limits tied to them by a rule. Raises NothingToGiveUp."""
    uses = slots.current_uses(session, other.id)
    found = [use for use in uses if use.key in full]
    if not found:
        raise NothingToGiveUp
    rules = _tied_rules(uses, found)
    if any(share.payer != "subsidy" for share, _ in _drawing(session, other, rules)):
        raise NotMovable("这一次数由食堂让利或捐赠承担，已经给予，不能转让。")
    return [use for use in uses if not rules.isdisjoint(use.rules)]


def _tied_rules(uses: Sequence[Use], first: Sequence[Use]) -> set[str]:
    """Return all rules that draw on one of the first uses, or share a use with one that does."""
    rules = {rule for use in first for rule in use.rules}
    while True:
        more = {rule for use in uses if not rules.isdisjoint(use.rules) for rule in use.rules} - rules
        if not more:
            return rules
        rules |= more


def _drawing(session: Session, other: Sale, rules: Collection[str]) -> Iterator[tuple[Share, Fen]]:
    """Yield the shares of a meal of which these rules of our own quote bear something, and how much."""
    meal = read_meal(session, other)
    own = engine.quote(meal.inputs.book.book, meal.inputs.diner, meal.inputs.meal, meal.usage)
    for share, borne in zip(meal.shares, lesser.borne(meal.shares, own.shares), strict=True):
        if fen := lesser.by_rules(borne, rules):
            yield share, fen


def _taken_away(session: Session, other: Sale, up: Sequence[Use], number: int) -> Iterator[Move]:
    """Yield moves open -> excluded of the shares that draw on the uses given up."""
    rules = {rule for use in up for rule in use.rules}
    open_fen = withheld_meals.open_shares(session, other.id)
    for share, borne in _drawing(session, other, rules):
        if fen := min(open_fen.get((share.fund, share.n), 0), borne):
            yield Move(
                share.fund, "open", "excluded", fen, "verdict", REASON, cause(number), other.service_day, other.id,
                share.n,
            )  # fmt: skip


def _moves(sale: Sale, given: dict[tuple[str, int], Fen], number: int) -> Iterator[Move]:
    """Yield moves excluded -> open."""
    for (fund, n), fen in sorted(given.items()):
        yield Move(fund, "excluded", "open", fen, "verdict", REASON, cause(number), sale.service_day, sale.id, n)
