"""Facts about elders that may raise a benefit: asked for by one person, confirmed by another, without effect before.

What only ends or lowers is valid at once. A roster's gained classes are one request, confirmed at once for all its lines.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, Final

from sqlalchemy import column, func, insert, inspect, select, table
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.auth import change_requests
from canteen.auth.change_requests import Kind, Overtaken, RequestLine, Shown
from canteen.auth.guard import Permission
from canteen.auth.models import ChangeRequest
from canteen.db import Uid, batches
from canteen.registry import benefit_gains, elders, fact_lines
from canteen.registry import facts as dated
from canteen.registry.elders import NewElder, NewFact
from canteen.registry.facts import Fact
from canteen.registry.labels import SEXES
from canteen.registry.models import ElderFact, ElderIdentity

KIND: Final = "elder.facts"
AREAS: Final = ("residence", "hukou")
_SALE: Final = table("sale", column("elder_id", Uid()), column("service_day"))
_FACTS: Final[Any] = inspect(ElderFact).local_table  # the table itself: thousands of rows at once
_NOTHING: Final = "无"


def note(
    session: Session, elder_id: uuid.UUID, facts: Sequence[NewFact], by: str, within: Collection[str] | None = None
) -> bool:
    """Record what may be valid at once and ask for the rest; return whether anything was asked for.

    within    areas that the asker answers for; the confirmer answers for one of them too
    Raises NoElder, BadFact, FactGone.
    """
    elders.lock_parties(session, elder_id, facts)
    facts = elders.check_facts(session, elder_id, facts)
    known = _person(session, elder_id)
    kinds = benefit_gains.raising_kinds(known, facts, clock.today())
    merges = [fact for fact in facts if fact.kind == "merged"]
    if merges and not any(_merge_raises(session, known, fact) for fact in merges):
        kinds -= {"merged"}
    asked = [fact for fact in facts if fact.kind in kinds]
    if at_once := [fact for fact in facts if fact.kind not in kinds]:
        elders.note(session, elder_id, at_once, by)
    if asked:
        line = line_of(elder_id, asked, "desk")
        change_requests.ask(session, KIND, str(elder_id), [line], place_of(known, within), by=by)
    return bool(asked)


def register(session: Session, new: NewElder, by: str, within: Collection[str] | None = None) -> tuple[uuid.UUID, bool]:
    """Put somebody on the roster and ask for the classes and levels; answers the id, and whether any were asked for.

    Raises what `elders.register` raises.
    """
    elders.facts_of_new(session, new)
    asked = [fact for fact in new.facts if fact.kind in benefit_gains.ENTITLING]
    rest = [fact for fact in new.facts if fact.kind not in benefit_gains.ENTITLING]
    elder_id = elders.register(session, replace(new, facts=rest), by)
    if asked:
        places = place_of(elders.facts_about(session, elder_id), within)
        change_requests.ask(session, KIND, str(elder_id), [line_of(elder_id, asked, "desk")], places, by=by)
    return elder_id, bool(asked)


def line_of(elder_id: uuid.UUID, facts: Iterable[NewFact], source: str) -> RequestLine:
    """Return facts about an elder as a line of a request."""
    return RequestLine(str(elder_id), {"source": source, "facts": [_doc(fact) for fact in facts]})


def facts_of(line: RequestLine) -> list[NewFact]:
    """Return the facts that a line asks for."""
    return [
        NewFact(
            doc["kind"],
            doc["value"],
            date.fromisoformat(doc["from"]),
            date.fromisoformat(doc["to"]) if doc["to"] else None,
            doc["retracts"],
        )
        for doc in line.asked["facts"]
    ]


def place_of(facts: Iterable[Fact], within: Collection[str] | None) -> list[tuple[str, str]]:
    """Return an area of the elder that the asker answers for: where the elder lives before where registered."""
    codes_by_kind = {fact.kind: fact.value for fact in facts if fact.kind in AREAS and fact.value}
    codes = [codes_by_kind[kind] for kind in AREAS if kind in codes_by_kind]
    own = [code for code in codes if within is None or code in within]
    return [("area", code) for code in (own or codes)[:1]]


def waiting_about(session: Session, ids: Collection[uuid.UUID]) -> list[tuple[ChangeRequest, Shown]]:
    """Return the waiting requests about these entries of one person, in words."""
    asked = change_requests.asked_about(session, KIND, [str(each) for each in ids])
    pairs = [pair for found in asked.values() for pair in found]
    return list(zip([request for request, _ in pairs], shown(session, [line for _, line in pairs]), strict=True))


def _doc(fact: NewFact) -> dict[str, Any]:
    return {
        "kind": fact.kind,
        "value": fact.value,
        "from": fact.from_day.isoformat(),
        "to": fact.to_day.isoformat() if fact.to_day else None,
        "retracts": fact.retracts,
    }


def _person(session: Session, elder_id: uuid.UUID) -> list[Fact]:
    """Return every fact of the person: of all entries of the cluster."""
    facts = elders.facts_about(session, elder_id)
    _, ids = elders.cluster_in(facts, elder_id)
    return [fact for fact in facts if fact.elder_id in ids]


def _merge_raises(session: Session, known: Sequence[Fact], fact: NewFact) -> bool:
    if not fact.value:
        return True  # apart again, each has limits of its own
    other = _person(session, uuid.UUID(fact.value))
    return benefit_gains.merge_raises(dated.unretracted(known), dated.unretracted(other))


# --- confirming ---


def perform(session: Session, request: ChangeRequest, lines: Sequence[RequestLine], by: str) -> None:
    """Write the facts asked for, in the asker's name. Raises Overtaken, and what `elders.note` raises.

    Of a roster's many lines, those whose facts somebody answered meanwhile are left out; the event counts them.
    """
    if len(lines) == 1:
        line = lines[0]
        elder_id, source = uuid.UUID(line.subject), str(line.asked["source"])
        elders.note(session, elder_id, facts_of(line), request.asked_by, source=source, confirmed_by=by)
        return
    events.wait(session)
    rows, left_out = _rows(session, lines)
    if not rows:
        raise Overtaken
    body = {"request": request.id, "facts": len(rows), "left_out": left_out, "confirmed_by": by}
    recorded = events.record(session, "elder.note_many", request.subject, by=request.asked_by, body=body)
    session.execute(insert(_FACTS), [row | {"recorded": recorded} for row in rows])


def _rows(session: Session, lines: Sequence[RequestLine]) -> tuple[list[dict[str, Any]], int]:
    """Return the rows of the facts that may still be written, and how many lines were overtaken."""
    wanted = [fact.retracts for line in lines for fact in facts_of(line) if fact.retracts is not None]
    gone = set[int]()
    for part in batches(wanted):
        answered = select(ElderFact.retracts).where(ElderFact.retracts.in_(part))
        gone |= {each for each in session.execute(answered).scalars() if each is not None}
    rows, left_out = list[dict[str, Any]](), 0
    for line in lines:
        facts = facts_of(line)
        if gone.intersection(fact.retracts for fact in facts if fact.retracts is not None):
            left_out += 1
            continue
        source = str(line.asked["source"])
        rows += [elders.fact_values(uuid.UUID(line.subject), fact, source, 0) for fact in facts]
    return rows, left_out


# --- showing ---


def shown(session: Session, lines: Sequence[RequestLine]) -> list[Shown]:
    """Return each line in words: the person, before and after, the first day, and what that affects."""
    ids = [uuid.UUID(line.subject) for line in lines]
    known = elders.facts_of_many(session, ids) if ids else {}
    every = [fact for facts in known.values() for fact in facts]
    asked = {id(line): facts_of(line) for line in lines}
    new = [fact for facts in asked.values() for fact in benefit_gains.as_facts((), facts)]
    names, people, ate = fact_lines.names_of(session, [*every, *new]), _people(session, ids), _meals(session, ids)
    found = []
    for line, elder_id in zip(lines, ids, strict=True):
        name, masked = people.get(elder_id, ("", ""))
        before, after, since, warning = _in_words(session, known[elder_id], asked[id(line)], names)
        meals = sum(since <= day < clock.today() for day in ate.get(elder_id, ()))
        if since < clock.today():
            warning += f"生效日期早于今天，其间已就餐 {meals} 次。"
        found.append(Shown(name, masked, before, after, since.isoformat(), warning, f"/desk/elders/{elder_id}"))
    return found


def _in_words(
    session: Session, known: Sequence[Fact], new: Sequence[NewFact], names: dict[str, str]
) -> tuple[str, str, date, str]:
    before, after, days, warnings = list[str](), list[str](), list[date](), list[str]()
    for kind in dict.fromkeys(fact.kind for fact in new):
        facts = [fact for fact in new if fact.kind == kind]
        if kind == "merged" and facts[0].value:
            mine, theirs, warning = _merge_in_words(session, known, facts[0], names)
            before.append(mine)
            after.append(theirs)
            warnings.append(warning)
            days.append(facts[0].from_day)
            continue
        turns = benefit_gains.changes(known, facts, kind)
        day, earlier, later = turns[0] if turns else (facts[0].from_day, [], [])
        word = fact_lines.KIND_WORDS[kind]
        before.append(f"{word}：{_values(earlier, names)}")
        after.append(f"{word}：{_values(later, names)}{_until(later, day, facts)}")
        days.append(day)
    return "；".join(before), "；".join(after), min(days), "".join(warnings)


def _until(later: Sequence[Fact], day: date, facts: Sequence[NewFact]) -> str:
    ends = {fact.to_day for fact in later if fact.to_day is not None and fact.to_day in {new.to_day for new in facts}}
    return f"（至 {min(ends)}）" if ends else ""


def _merge_in_words(
    session: Session, known: Sequence[Fact], fact: NewFact, names: dict[str, str]
) -> tuple[str, str, str]:
    other_id = uuid.UUID(fact.value)
    other = _person(session, other_id)
    name, masked = _people(session, [other_id]).get(other_id, ("", ""))
    today = clock.today()
    mine, theirs = (dated.on_day(dated.unretracted(facts), today) for facts in (known, other))
    both = {each.value: each for each in [*mine, *theirs] if each.kind == "class"}
    warning = ""
    for kind, word in (("birth", "出生日期"), ("sex", "性别")):
        values = [next((each.value for each in facts if each.kind == kind), "") for facts in (mine, theirs)]
        if values[0] != values[1]:
            said = [SEXES.get(value, value) or "不详" for value in values]
            warning += f"{word}不同：{said[0]} 与 {said[1]}，请核对是否同一人。"
    before = f"本登记类别：{_values([each for each in mine if each.kind == 'class'], names)}"
    before += f"；另一登记 {name} {masked} 类别：{_values([each for each in theirs if each.kind == 'class'], names)}"
    return before, f"合并为同一人，类别：{_values(list(both.values()), names)}", warning


def _values(facts: Sequence[Fact], names: dict[str, str]) -> str:
    return "、".join(sorted({fact_lines.in_words(fact, names) for fact in facts})) or _NOTHING


def _people(session: Session, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, tuple[str, str]]:
    """Name and masked number of these elders, as they are now."""
    newest = select(func.max(ElderIdentity.id)).where(ElderIdentity.elder_id.in_(ids)).group_by(ElderIdentity.elder_id)
    rows = session.execute(
        select(ElderIdentity.elder_id, ElderIdentity.name, ElderIdentity.number_masked).where(
            ElderIdentity.id.in_(newest)
        )
    )
    return {elder_id: (name, masked) for elder_id, name, masked in rows}


def _meals(session: Session, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[date]]:
    """Return the days on which these elders ate."""
    ate: dict[uuid.UUID, list[date]] = {}
    for elder_id, day in session.execute(
        select(_SALE.c.elder_id, _SALE.c.service_day).where(_SALE.c.elder_id.in_(ids))
    ):
        ate.setdefault(elder_id, []).append(day if isinstance(day, date) else date.fromisoformat(day))
    return ate


change_requests.register(Kind(KIND, "老人信息", Permission.CONFIRM_ELDERS, perform, shown))
