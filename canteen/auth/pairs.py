"""Pairs of accounts that may be one human's, named to the auditor: people judge, nothing is refused.

Two accounts are named when they logged in at a desk from one browser, known by its random id, or when one set the
password of the other shortly before both acted on one thing. Pairs that both acted on one thing are first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import combinations

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.auth import humans
from canteen.auth.models import ChangeAnswer, ChangeRequest, DeskLogin
from canteen.db import batches
from canteen.events import Event

NEAR = timedelta(hours=1)  # between two logins
LATELY = timedelta(days=400)  # of which the times of logins are compared; that a browser is shared is never forgotten
RESET = timedelta(days=7)  # between setting somebody's password and acting with them
_NO_ACTS = ("claim.draft", "claim.export")  # of the kinds of a claim's events

Ids = tuple[str, str]


@dataclass(slots=True)
class Pair:
    """Two accounts, by id.

    browsers   from how many browsers both logged in
    apart      the least time between a login of the one and of the other, in one browser, LATELY
    acted      what both acted on: 'change:17', 'claim:kA-202610/1'
    reset      one set the password of the other at most RESET before they acted on one thing
    tied       recorded as one human already
    """

    ids: Ids
    browsers: int = 0
    apart: timedelta | None = None
    acted: list[str] = field(default_factory=list)
    reset: bool = False
    tied: bool = False

    @property
    def near(self) -> bool:
        return self.apart is not None and self.apart <= NEAR


def pairs(session: Session) -> list[Pair]:
    """Return every pair: those that acted on one thing, then those that logged in within NEAR, then the others."""
    found, resets = _of_browsers(session), _resets(session)
    for ids, acted in _acting_together(session).items():
        shortly = any(timedelta(0) <= at - reset <= RESET for _, at in acted for reset in resets.get(ids, ()))
        if shortly or ids in found:
            pair = found.setdefault(ids, Pair(ids))
            pair.reset, pair.acted = shortly, sorted({subject for subject, _ in acted})
    human = humans.of(session, {one for pair in found.values() for one in pair.ids})
    for pair in found.values():
        pair.tied = human[pair.ids[0]] == human[pair.ids[1]]
    return sorted(
        found.values(), key=lambda pair: (not pair.acted, not pair.near, pair.apart or timedelta.max, pair.ids)
    )


def _of_browsers(session: Session) -> dict[Ids, Pair]:
    """Return the pairs by browser: who ever used it, from the index alone, and how near their logins were lately."""
    people_of: dict[str, list[str]] = {}
    used = select(DeskLogin.browser, DeskLogin.person_id).distinct()
    for browser, person in session.execute(used.order_by(DeskLogin.browser, DeskLogin.person_id)):
        people_of.setdefault(browser, []).append(person)
    shared = {browser: people for browser, people in people_of.items() if len(people) > 1}
    logins: dict[tuple[str, str], list[datetime]] = {}
    for some in batches(sorted(shared)):
        query = select(DeskLogin.browser, DeskLogin.person_id, DeskLogin.at).where(DeskLogin.browser.in_(some))
        for browser, person, at in session.execute(query.where(DeskLogin.at >= clock.now() - LATELY)):
            logins.setdefault((browser, person), []).append(at)
    for times in logins.values():
        times.sort()
    found: dict[Ids, Pair] = {}
    for browser, people in shared.items():
        for one, other in combinations(people, 2):
            pair = found.setdefault((one, other), Pair((one, other)))
            pair.browsers += 1
            gap = _least_gap(logins.get((browser, one), []), logins.get((browser, other), []))
            if gap is not None:
                pair.apart = gap if pair.apart is None else min(pair.apart, gap)
    return found


def _least_gap(some: Sequence[datetime], others: Sequence[datetime]) -> timedelta | None:
    """Return the least time between two of these, each in order; None where there are none of one."""
    gaps = []
    for at in some:
        place = bisect_left(others, at)
        gaps += [abs(at - other) for other in others[max(0, place - 1) : place + 1]]
    return min(gaps, default=None)


def _acting_together(session: Session) -> dict[Ids, list[tuple[str, datetime]]]:
    """Return, by pair, what both acted on, and when the later one did."""
    found: dict[Ids, list[tuple[str, datetime]]] = {}
    answered = select(ChangeRequest.id, ChangeRequest.asked_by, ChangeAnswer.by, ChangeAnswer.at)
    answered = answered.join(ChangeAnswer, ChangeAnswer.request_id == ChangeRequest.id)
    for number, asker, answerer, at in session.execute(answered):
        found.setdefault(_ids(asker, answerer), []).append((f"change:{number}", at))
    acts = select(Event.subject, Event.actor, Event.at).where(
        or_(and_(Event.kind.startswith("claim."), Event.kind.not_in(_NO_ACTS)), Event.kind.startswith("payout."))
    )
    actors_by_subject: dict[str, dict[str, datetime]] = {}
    for subject, actor, at in session.execute(acts.order_by(Event.number)):
        actors_by_subject.setdefault(subject, {})[actor] = at
    for subject, people in actors_by_subject.items():
        for one, other in combinations(sorted(people), 2):
            found.setdefault((one, other), []).append((subject, max(people[one], people[other])))
    return found


def _resets(session: Session) -> dict[Ids, list[datetime]]:
    """Return by pair when one of the two set the other's password or PIN."""
    query = select(Event.actor, Event.subject, Event.at).where(
        Event.kind.in_(("person.password", "person.pin")), Event.actor != Event.subject
    )
    found: dict[Ids, list[datetime]] = {}
    for actor, subject, at in session.execute(query):
        found.setdefault(_ids(actor, subject), []).append(at)
    return found


def _ids(one: str, other: str) -> Ids:
    return (one, other) if one <= other else (other, one)
