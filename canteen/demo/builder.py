"""Builds the demo city: first places and people, then day by day what people did, each act at its time."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from canteen import clock, keyset
from canteen.auth import approvals, contacts
from canteen.clock import Span
from canteen.db import transaction
from canteen.demo import calendar, city, claim_moves, desk_work, elders, notice, plan, plants, staff
from canteen.demo.calendar import Story
from canteen.demo.elders import Somebody
from canteen.demo.past_sales import PastSales
from canteen.demo.plan import Outage, Visit
from canteen.demo.plants import Act, Stage
from canteen.demo.randomness import source
from canteen.demo.sites import SITES
from canteen.demo.tills import SENDING, Rung, Till, Wish
from canteen.settlement.models import Claim, Finding

SHOWN = 30  # cards on paper
LATE_SITE = "demo-luxiang"


@dataclass(frozen=True, slots=True)
class Size:
    """How large a city: elders on the roster, meals over the whole story."""

    elders: int = 3000
    meals: int = 6000


@dataclass(frozen=True, slots=True)
class Built:
    """A summary of the city built, for people to read."""

    story: Story
    elders: int
    checkouts: int
    claims: int
    findings: int
    cards: Path
    printed: int
    seconds: float


def build(seed: int, today: date, cards: Path, size: Size, report: Callable[[str], None]) -> Built:
    """Fill the empty database of the current application with the city on the morning of `today`.

    Same seed, day and size: same figures. Raises DemoFailed when the product answers otherwise than expected.
    """
    began = time.monotonic()
    story = calendar.story(today)
    people = elders.draw(seed, today, size.elders, elders.homes([site.street for site in SITES]))
    roles = plants.cast(people, today)
    with clock.at(story.made_at):
        report("Setting up places, accounts, rulebooks and the roster")
        city.name_installation(seed)
        city.build_places(story.first)
        who = staff.build()
        city.build_rulebooks(drafter=who["demo-admin"], publisher=who["demo-admin-2"], first=story.first)
        city.build_elders(people, by=who["demo-admin"], checker=who["demo-admin-2"])
        machines = city.build_tablets(seed, by=who["demo-it"])
        report("Making cards")
        shown = _shown(people, roles, today)
        digests = city.issue_cards(people, shown, by=who["demo-admin"])
        printed = city.print_cards(cards, by=who["demo-admin"])
        tills = _tills(seed, machines, who)
    stage = Stage(story.closed[2], roles, digests, tills, who["demo-admin"])
    down = _line_down(story)
    short = [outage for outage in plan.outages(seed, story.days()) if not down.starts < outage.ends < down.ends]
    past = PastSales({digest: elder for elder, digest in digests.items()})
    acting = _Acting(seed, tills, digests, [*short, down, *stage.outages()], who, past, story.closed[2].last)
    visits = plan.visits(seed, story.days(), people, size.meals, set(roles.values()))
    timeline = [
        *acting.visits(visits),
        *acting.ends(),
        *acting.late_void(story),
        *_heard(story, machines),
        *stage.acts(),
        stage.late(_last_weekday(story.closed[0])),
        *claim_moves.acts(story, who),
        *notice.acts(story, who),
        *desk_work.acts(story, who),
    ]
    _play(sorted(timeline, key=lambda act: act.at), story, past, report)
    claims, findings = _counted()
    return Built(story, len(people), len(visits), claims, findings, cards, printed, time.monotonic() - began)


def _shown(people: Sequence[Somebody], roles: dict[str, Somebody], today: date) -> list[uuid.UUID]:
    """Choose the elders with cards on paper: some of each age and class, couples; nobody dead or playing a part."""
    free = [one for one in people if one not in roles.values() and len(one.name) > 1]
    chosen: dict[uuid.UUID, None] = {}

    def add(some: Iterator[Somebody], count: int) -> None:
        for one in some:
            if count == 0:
                return
            if one.id not in chosen:
                chosen[one.id] = None
                count -= 1

    add((one for one in free if one.name[0] in "𠮷王李张" and any(ord(c) > 0x9FFF for c in one.name)), 2)
    add((one for one in free if one.age(today) >= 90), 4)
    add((one for one in free if "tekun" in one.classes or "dibao" in one.classes), 5)
    add((one for one in free if one.spouse and one.residence.startswith("220104")), 4)
    for low in (60, 70, 80):
        add((one for one in free if low <= one.age(today) < low + 10 and one.residence.startswith("220104")), 3)
    add((one for one in free if one.residence.startswith("220112")), 3)
    add(iter(free), SHOWN - len(chosen))
    return list(chosen)


def _tills(seed: int, machines: Sequence[city.Machine], who: dict[str, str]) -> dict[tuple[str, int], Till]:
    tills: dict[tuple[str, int], Till] = {}
    for machine in machines:
        n = sum(1 for site, _ in tills if site == machine.site)
        cashier = who[staff.cashier_of(machine.site)]
        tills[machine.site, n] = Till(machine.id, machine.site, cashier, source(seed, f"till {machine.site} {n}"))
    with transaction() as session:
        for till in tills.values():
            contacts.log(session, till.tablet, till.cashier, opens=True)
    return tills


def _last_weekday(month: Span) -> date:
    return month.last - timedelta(days=max(0, month.last.weekday() - 4))


def _line_down(story: Story) -> Outage:
    """Cut the village's line over the end of the oldest month and past its close: those meals arrive late."""
    oldest = story.closed[0]
    starts = clock.instant(_last_weekday(oldest), 10 * 60)
    return Outage(LATE_SITE, 0, starts, story.close_at(oldest) + timedelta(days=2, hours=5))


def _heard(story: Story, machines: Sequence[city.Machine]) -> list[Act]:
    """Let tablets be heard before each close, except the one whose line is down."""

    def hear(silent: str) -> Callable[[], None]:
        def run() -> None:
            for machine in machines:
                if machine.site != silent:
                    city.heard(machine.id)

        return run

    befores = [(story.close_at(month) - timedelta(hours=1), n == 0) for n, month in enumerate(story.closed)]
    acts = [Act(at, hear(LATE_SITE if late else "")) for at, late in befores]
    return [*acts, Act(clock.instant(story.last, 21 * 60), hear(""))]


class _Acting:
    """Turns visits into acts at the tills, by the outages.

    past, until   what was usual on a day up to `until` is rung up there, many at once
    """

    def __init__(
        self,
        seed: int,
        tills: dict[tuple[str, int], Till],
        digests: dict[uuid.UUID, str],
        outages: Sequence[Outage],
        who: dict[str, str],
        past: PastSales,
        until: date,
    ) -> None:
        self._rng = source(seed, "acting")
        self._tills, self._digests, self._outages, self._who = tills, digests, outages, who
        self._rung: dict[Visit, Rung] = {}
        self._past, self._until = past, until

    def visits(self, visits: Sequence[Visit]) -> list[Act]:
        possible = (v for v in visits if not (v.repeat and self._cut_off(v.site.id, v.till, v.at)))
        return [act for visit in possible for act in self._visit(visit)]

    def ends(self) -> list[Act]:
        """Send what waited when a line is back."""

        def send(outage: Outage) -> Callable[[], None]:
            return lambda: self._tills[outage.site, outage.till].send(outage.ends)

        return [Act(outage.ends, send(outage)) for outage in self._outages]

    def late_void(self, story: Story) -> list[Act]:
        """Void a meal of the oldest month after its close: a line below zero in the next claim."""
        oldest = story.closed[0]
        at = story.close_at(oldest) + timedelta(days=3, hours=5)

        def run() -> None:
            visit, rung = next(
                (visit, rung)
                for visit, rung in reversed(self._rung.items())
                if visit.site.id == "demo-nanhu" and not visit.void and len(rung.sales) == 1 and visit.diners
                and clock.business_day(visit.at) <= oldest.last and rung.dues[0]
            )  # fmt: skip
            self._void(visit, rung, at, "月底核对账目时发现重复记餐", approved=True)
            self._tills[visit.site.id, visit.till].send(at)

        return [Act(at, run)]

    def _visit(self, visit: Visit) -> Iterator[Act]:
        till = self._tills[visit.site.id, visit.till]
        undone_at = visit.at + timedelta(minutes=26 if visit.approved else 3)
        cut_off = self._cut_off(visit.site.id, visit.till, visit.at)
        usual = not visit.repeat and not cut_off and clock.business_day(visit.at) <= self._until

        def ring() -> None:
            counter = self._past.ring if usual else Till.ring
            rung = counter(till, visit.at, self._wishes(visit), pays=visit.pays, how=visit.how, mode=visit.mode)
            self._rung[visit] = rung
            self._send(visit, visit.at)

        def undo() -> None:
            self._void(visit, self._rung[visit], undone_at, visit.void, approved=visit.approved)
            self._send(visit, undone_at)

        yield Act(visit.at, ring, waits=usual)
        if visit.void:
            yield Act(undone_at, undo)

    def _send(self, visit: Visit, at: datetime) -> None:
        if not self._cut_off(visit.site.id, visit.till, at):
            self._tills[visit.site.id, visit.till].send(at + SENDING)

    def _cut_off(self, site: str, till: int, at: datetime) -> bool:
        return any(outage.covers(site, till, at) for outage in self._outages)

    def _void(self, visit: Visit, rung: Rung, at: datetime, reason: str, *, approved: bool) -> None:
        till = self._tills[visit.site.id, visit.till]
        manager = self._who[staff.manager_of(visit.site.operator)]
        by = None
        if approved:
            with clock.at(at):
                token = approvals.give(manager, tablet_id=till.tablet, sale_id=rung.sales[0])
            by = (manager, token)
        till.void(at, rung, reason, by=by)

    def _wishes(self, visit: Visit) -> list[Wish]:
        who: list[str | None] = [self._digests[one.id] for one in visit.diners] + [None] * visit.guests
        if visit.amounts:
            return [Wish(digest, None, fen) for digest, fen in zip(who, visit.amounts, strict=True)]
        return [Wish(digest, city.item_id(visit.site, dish)) for digest, dish in zip(who, visit.dishes, strict=True)]


def _play(timeline: Sequence[Act], story: Story, past: PastSales, report: Callable[[str], None]) -> None:
    """Do every act at its time. Raises RuntimeError for what lies past the story's last day."""
    over = clock.instant(story.last, 24 * 60)
    month = ""
    for act in timeline:
        if act.at >= over:
            raise RuntimeError(f"an act after the last day: {act.at}")
        if (now := clock.month_of(clock.business_day(act.at))) != month:
            month = now
            report(f"Serving {month}")
        if not act.waits:
            past.write()
        with clock.at(act.at):
            act.run()
    past.write()


def _counted() -> tuple[int, int]:
    return len(keyset.once(select(Claim.id))), len(keyset.once(select(Finding.id)))
