"""How the demo's claims go: the oldest month is paid, the middle one lies in review, the newest is a draft with findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import select

from canteen import clock, keyset
from canteen.clock import Span
from canteen.db import db
from canteen.demo.calendar import Story
from canteen.demo.plants import Act
from canteen.demo.sites import SITES, Site
from canteen.demo.staff import manager_of
from canteen.settlement.claims import claims, payouts, workflow
from canteen.settlement.closing import close
from canteen.settlement.models import Claim

REVIEWED = 3  # of the middle month's claims: the others wait
RETURNED = "demo-zhengyang"


def acts(story: Story, staff: Mapping[str, str]) -> list[Act]:
    """Make the closes and claim moves, each at its time by the right person; none after the story's last day."""
    oldest, middle, _ = story.closed
    found = [Act(story.close_at(month), _close(month)) for month in story.closed]
    for site in SITES:
        found += _paid(site, oldest, story.close_at(oldest), staff)
    for n, site in enumerate(SITES):
        found += _in_review(site, n, middle, story.close_at(middle), staff)
    over = clock.instant(story.last, 24 * 60)
    return [act for act in found if act.at < over]


def _close(month: Span) -> Callable[[], None]:
    def run() -> None:
        for site in SITES:
            close.close(site.contract, month.last, by="system")

    return run


def _paid(site: Site, month: Span, closed: datetime, staff: Mapping[str, str]) -> list[Act]:
    """Submit, review, determine, approve, pay: five people, the payer checked by another."""
    steps = (
        (1, "submit", staff[manager_of(site.operator)]),
        (3, "review", staff["demo-street"]),
        (6, "determine", staff["demo-finance-1"]),
        (9, "approve", staff["demo-finance-2"]),
    )
    found = [Act(_at(closed, days), _move(site, month, act, by)) for days, act, by in steps]

    def pay() -> None:
        claim = claim_of(site, month)
        if claims.state(db.session(), claim) != "approved":
            return
        db.session.rollback()
        voucher = f"演拨〔{month.first.year}〕第{month.first.month:02d}{SITES.index(site) + 1:02d}号"
        payout = payouts.enter(claim, voucher=voucher, paid_on=clock.today(), by=staff["demo-finance-1"])
        payouts.check(payout, "confirmed", by=staff["demo-finance-2"])

    return [*found, Act(_at(closed, 12), pay)]


def _in_review(site: Site, n: int, month: Span, closed: datetime, staff: Mapping[str, str]) -> list[Act]:
    found = [Act(_at(closed, 1), _move(site, month, "submit", staff[manager_of(site.operator)]))]
    if n < REVIEWED:
        found.append(Act(_at(closed, 3), _move(site, month, "review", staff["demo-street"])))
    elif site.id == RETURNED:
        reason = "请补充当月停业两天的说明后再报。"
        found.append(Act(_at(closed, 4), _move(site, month, "return", staff["demo-street"], reason)))
    return found


def _at(closed: datetime, days: int) -> datetime:
    """Return an instant within office hours, some days after the close."""
    return clock.instant(clock.business_day(closed) + timedelta(days=days), 10 * 60)


def _move(site: Site, month: Span, act: str, by: str, reason: str = "") -> Callable[[], None]:
    def run() -> None:
        workflow.move(claim_of(site, month), act, by=by, reason=reason)

    return run


def claim_of(site: Site, month: Span) -> int:
    """Return the id of a canteen's claim of a month."""
    ((found,),) = keyset.once(select(Claim.id).where(Claim.contract_id == site.contract, Claim.from_day == month.first))
    return found
