"""Past meals under another rulebook: what it would have cost, who gains or loses, when each budget would end.

Each meal is priced twice, under the rulebook it had and under the proposal, in the order in which meals were eaten;
what each of the two worlds used of its limits is counted as it goes. Each distinct input is quoted once a day. Meals
are read by keyset pages, a day at a time, so memory stays flat and no read outlives a page.
"""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.clock import Span
from canteen.db import db
from canteen.places import Contract
from canteen.policy import case, days
from canteen.policy import quote as engine
from canteen.policy.case import Diner, Meal, Taken
from canteen.policy.outcome import Use
from canteen.policy.rules import Rulebook
from canteen.pos.models import QuoteInput, Sale, SaleUse, Void
from canteen.registry.models import ElderFact
from canteen.rulebooks import layers
from canteen.ruledesk.proposing import Layers, Proposal, covered, on_any_day
from canteen.settlement import paging

PAGE = 4000
TOP = 20
_PERSONS = 50_000  # diners kept parsed
_BANDS = (
    (0, 60, "60 岁以下"),
    (60, 70, "60–69 岁"),
    (70, 80, "70–79 岁"),
    (80, 90, "80–89 岁"),
    (90, 999, "90 岁及以上"),
)
_MONEY = frozenset({"week", "quarter", "year"})

Progress = Callable[[int, int], bool]
"""Told how many meals are done of how many; answers whether to go on."""


class Cancelled(Exception):
    """Somebody asked the replay to stop."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What matters of a quote."""

    due: int
    subsidy: int
    funds: tuple[tuple[str, str, int], ...]  # fund, payer, fen
    uses: tuple[Use, ...]


@dataclass
class World:
    """One of the two: what was used of each limit so far, by holder, allowance and window."""

    long: dict[tuple[Any, str, str], Taken] = field(default_factory=dict)
    today: dict[tuple[Any, str, str], Taken] = field(default_factory=dict)
    quotes: dict[tuple[Any, ...], Outcome] = field(default_factory=dict)
    wanted: dict[tuple[str, str], list[engine.Wanted]] = field(default_factory=dict)
    ended: dict[tuple[str, str], int] = field(default_factory=dict)
    limits: dict[tuple[str, str], int] = field(default_factory=dict)
    priced: int = 0

    def next_day(self) -> None:
        self.today.clear()
        self.quotes.clear()
        self.wanted.clear()

    def price(self, book: Rulebook, diner: Diner, meal: Meal, texts: tuple[str, str], who: object) -> Outcome:
        """The meal in this world, and its uses counted. `texts` are those that diner and meal were read from."""
        wanted = self.wanted.get((book.hash, texts[1]))
        if wanted is None:
            wanted = self.wanted[book.hash, texts[1]] = engine.wanted(book, diner, meal)
        taken = tuple(found for want in wanted if (found := self._taken(want, who)) is not None)
        key = (book.hash, *texts, taken)
        outcome = self.quotes.get(key)
        if outcome is None:
            outcome = self.quotes[key] = _outcome(engine.quote(book, diner, meal, taken))
            self.priced += 1
        for use in outcome.uses:
            self._use(use, who, meal.day)
        return outcome

    def _taken(self, want: engine.Wanted, who: object) -> Taken | None:
        holder = "budget" if want.scope == "budget" else who
        if holder is None:
            return None
        key = (holder, want.allowance, want.window)
        return (self.today if "/" in want.window else self.long).get(key)

    def _use(self, use: Use, who: object, day: int) -> None:
        holder = "budget" if use.scope == "budget" else who
        if holder is None:
            return
        rows = self.today if "/" in use.window else self.long
        key = (holder, use.allowance, use.window)
        had = rows.get(key) or Taken(use.allowance, use.window)
        if use.unit == "fen":
            now = Taken(use.allowance, use.window, had.count, had.fen + use.amount, had.days)
        elif use.unit == "day":
            now = Taken(use.allowance, use.window, had.count, had.fen, tuple(sorted({*had.days, day})))
        else:
            now = Taken(use.allowance, use.window, had.count + 1, had.fen, had.days)
        rows[key] = now
        if use.scope == "budget":
            self.limits[use.allowance, use.window] = use.limit
            if now.fen >= use.limit:
                self.ended.setdefault((use.allowance, use.window), day)


def _outcome(quote: engine.Quote) -> Outcome:
    return Outcome(
        quote.due,
        sum(share.fen for share in quote.shares if share.payer == "subsidy"),
        tuple((share.fund, share.payer, share.fen) for share in quote.shares),
        quote.uses,
    )


@dataclass
class Tally:
    """Sums of the replay."""

    meals: int = 0
    changed: int = 0
    list_fen: int = 0
    due: list[int] = field(default_factory=lambda: [0, 0])
    subsidy: list[int] = field(default_factory=lambda: [0, 0])
    funds: dict[str, list[Any]] = field(default_factory=dict)
    by: dict[str, dict[str, list[int]]] = field(default_factory=lambda: defaultdict(dict))
    people: dict[str, list[Any]] = field(default_factory=dict)  # elder -> [fen saved, meals, age, canteen]
    open: Counter[str] = field(default_factory=Counter)
    open_meals: int = 0

    def add(self, sale: Any, diner: Diner, before: Outcome, after: Outcome) -> None:
        self.meals += 1
        self.changed += before.funds != after.funds
        self.list_fen += sale.list_fen
        for place, one in enumerate((before, after)):
            self.due[place] += one.due
            self.subsidy[place] += one.subsidy
            for fund, payer, fen in one.funds:
                self.funds.setdefault(fund, [0, 0, payer])[place] += fen
        years = None if diner.birth_day is None else days.age(diner.birth_day, clock.civil(sale.service_day))
        for kind, keys in (
            ("district", (sale.district_id,)),
            ("canteen", (sale.canteen_id,)),
            ("age", (_band(years),)),
            ("class", diner.classes or ("",)),
            ("day", (sale.service_day.isoformat(),)),
        ):
            for key in keys:
                row = self.by[kind].setdefault(key, [0, 0, 0])
                row[0] += 1
                row[1] += before.subsidy
                row[2] += after.subsidy
        if sale.elder_id is not None:
            person = self.people.setdefault(str(sale.elder_id), [0, 0, years, sale.canteen_id])
            person[0] += before.due - after.due
            person[1] += 1


def _band(years: int | None) -> str:
    return "非老人" if years is None else next(word for low, high, word in _BANDS if low <= years < high or high == 999)


def run(
    document: Mapping[str, Any], layer: str, node_id: str, months: Sequence[str], go_on: Progress
) -> dict[str, Any]:
    """Replay `months` ('2026-10') under a rulebook at a place. Raises Cancelled when `go_on` says no."""
    started = time.monotonic()
    spans = [Span.month(date.fromisoformat(f"{month}-01")) for month in sorted(months)]
    replay = _Replay(dict(document), layer, node_id, spans)
    total = replay.count()
    done = 0
    if not go_on(0, total):
        raise Cancelled
    for span in spans:
        day = span.first
        while day <= span.last:
            for rows in replay.pages(day):
                for row in rows:
                    replay.meal(row)
                done += sum(1 for row in rows if row.canteen_id in replay.here)
                if not go_on(done, total):
                    raise Cancelled
            replay.next_day()
            day += timedelta(days=1)
    return replay.result(time.monotonic() - started)


class _Replay:
    def __init__(self, document: dict[str, Any], layer: str, node_id: str, spans: Sequence[Span]) -> None:
        session = db.session()
        self.spans = spans
        self.first = clock.civil(spans[0].first)
        moved = on_any_day(document, self.first)
        self.layers = Layers(session, Proposal(layer, node_id, moved))
        self.document = document
        self.here = {one.id for one in covered(session, layer, node_id, spans[-1].last)}
        rows = list(session.execute(select(Contract.id, Contract.canteen_id)))
        self.contracts = [number for number, canteen in rows if canteen in self.here]
        self.elsewhere = [number for number, canteen in rows if canteen not in self.here]
        self.before, self.after, self.tally = World(), World(), Tally()
        self._books: dict[str, Rulebook | None] = {}
        self._diners: dict[str, Diner] = {}
        self._meals: dict[str, Meal] = {}
        self._needs = _Needs.of(document, session)
        session.rollback()
        self._elders: set[Any] = set()
        if self.elsewhere:
            self._elders = {row[0] for row in paging.once(self._of_month(select(Sale.elder_id).distinct()))}
        self._seed()

    def _of_month(self, query: Any) -> Any:
        months = [clock.month_of(span.first) for span in self.spans]
        return query.where(Sale.contract_id.in_(self.contracts), Sale.service_month.in_(months))

    def count(self) -> int:
        return int(paging.once(self._of_month(select(func.count()).select_from(Sale)))[0][0])

    def pages(self, day: date) -> Iterator[Sequence[Any]]:
        """The meals of a day in order of arrival; of other canteens those of the same elders, for their limits."""
        contracts = [*self.contracts, *self.elsewhere]
        query = (
            select(
                Sale.arrival, Sale.service_day, Sale.canteen_id, Sale.district_id, Sale.elder_id, Sale.list_fen,
                Sale.own_rulebook_hash, QuoteInput.body,
            )
            .join(QuoteInput, QuoteInput.hash == Sale.own_input_hash)
            .outerjoin(Void, Void.sale_id == Sale.id)
            .where(Sale.service_day == day, Sale.contract_id.in_(contracts), Void.id.is_(None))
        )  # fmt: skip
        return paging.rows(query, [Sale.arrival], page=PAGE)

    def _seed(self) -> None:
        """What was used before the first day of windows that hold it: both worlds begin with the past's facts."""
        names = {str(days.first_of(kind, self.first)) for kind in ("week", "month", "quarter", "year")} | {"0"}
        query = (
            select(
                SaleUse.person_id, SaleUse.allowance, SaleUse.window, SaleUse.unit, Sale.service_day, SaleUse.granted
            )
            .join(Sale, Sale.id == SaleUse.sale_id)
            .outerjoin(Void, Void.sale_id == Sale.id)
            .where(SaleUse.window.in_(names), Sale.service_day < self.spans[0].first, SaleUse.granted > 0)
            .where(Void.id.is_(None))
        )
        for person, allowance, window, unit, day, granted in paging.once(query):
            holder = "budget" if allowance.startswith("budget.") else person
            for world in (self.before, self.after):
                key = (holder, allowance, window)
                had = world.long.get(key) or Taken(allowance, window)
                whole = tuple(sorted({*had.days, clock.civil(day)})) if unit == "day" else had.days
                count, fen = had.count + (unit == "meal"), had.fen + (granted if unit == "fen" else 0)
                world.long[key] = Taken(allowance, window, count, fen, whole)

    def next_day(self) -> None:
        self.before.next_day()
        self.after.next_day()
        self._meals.clear()
        if len(self._diners) > _PERSONS:
            self._diners.clear()

    def meal(self, sale: Any) -> None:
        here = sale.canteen_id in self.here
        if not here and sale.elder_id not in self._elders:
            return
        diner, meal, texts = self._read(sale.body)
        old = self._book(sale.own_rulebook_hash)
        new = self.layers.at((*meal.canteen.areas, sale.canteen_id), sale.service_day).book
        reason = "rulebook_gone" if old is None else self._needs.missing(diner, meal, new, self.first)
        if old is None or reason:
            if here:
                self.tally.open_meals += 1
                self.tally.open[reason] += 1
            return
        before = self.before.price(old, diner, meal, texts, sale.elder_id)
        after = self.after.price(new, diner, meal, texts, sale.elder_id)
        if here:
            self.tally.add(sale, diner, before, after)

    def _read(self, body: str) -> tuple[Diner, Meal, tuple[str, str]]:
        """Diner and meal of an input; canonical JSON lets each part be known by its text."""
        who, _, rest = body.partition(',"meal":')
        what, _, _ = rest.rpartition(',"taken":')
        diner, meal = self._diners.get(who), self._meals.get(what)
        if diner is None or meal is None:
            asked = case.read_case(json.loads(body))
            diner = self._diners[who] = asked.diner
            meal = self._meals[what] = asked.meal
        return diner, meal, (who, what)

    def _book(self, digest: str) -> Rulebook | None:
        if digest not in self._books:
            try:
                self._books[digest] = layers.stored(db.session(), digest)
            except layers.NoRulebook:
                self._books[digest] = None
            db.session.rollback()
        return self._books[digest]

    def result(self, seconds: float) -> dict[str, Any]:
        """Everything that the page, the workbook and the command show, as JSON."""
        tally = self.tally
        changes = {elder: row for elder, row in tally.people.items() if row[0]}
        ordered = sorted(changes.items(), key=lambda one: (one[1][0], one[0]))
        gain = [row[0] for row in changes.values() if row[0] > 0]
        lose = [-row[0] for row in changes.values() if row[0] < 0]
        return {
            "meals": tally.meals,
            "changed": tally.changed,
            "list": tally.list_fen,
            "due": tally.due,
            "subsidy": tally.subsidy,
            "funds": tally.funds,
            "by": {kind: dict(sorted(rows.items())) for kind, rows in tally.by.items()},
            "people": {
                "gain": [len(gain), sum(gain)],
                "lose": [len(lose), sum(lose)],
                "same": [len(tally.people) - len(changes), 0],
            },
            "most_gain": [_person(one) for one in reversed(ordered[-TOP:]) if one[1][0] > 0],
            "most_lose": [_person(one) for one in ordered[:TOP] if one[1][0] < 0],
            "budgets": self._budgets(),
            "open": tally.open_meals,
            "open_why": dict(tally.open),
            "notes": self._needs.notes,
            "distinct": self.before.priced + self.after.priced,
            "seconds": round(seconds, 1),
            "per_minute": round(tally.meals / seconds * 60) if seconds else 0,
        }

    def _budgets(self) -> list[dict[str, Any]]:
        """Each budget met, with what was used and the day it would end."""
        found = []
        for (allowance, window), limit in sorted(self.after.limits.items()):
            used = self.after.long[("budget", allowance, window)].fen
            ended = self.after.ended.get((allowance, window))
            found.append(
                {
                    "fund": allowance.removeprefix("budget."),
                    "from": clock.day_of(int(window)).isoformat(),
                    "limit": limit,
                    "used": used,
                    "ended": clock.day_of(ended).isoformat() if ended is not None else None,
                }
            )
        return found


def _person(one: tuple[str, list[Any]]) -> dict[str, Any]:
    elder, (saved, meals, years, canteen) = one
    return {"elder": elder, "fen": saved, "meals": meals, "age": years, "canteen": canteen}


@dataclass(frozen=True, slots=True)
class _Needs:
    """What a rulebook asks of a meal that the past may not have noted."""

    scales: frozenset[str]  # asked for, and never rated of anybody
    lived: bool
    ordered: bool
    goods: bool
    household: bool
    known: frozenset[str]  # allowances that were counted in the past
    notes: list[str]

    @classmethod
    def of(cls, document: Mapping[str, Any], session: Session) -> _Needs:
        words = list(_words(document))
        rated = {
            str(value).partition(":")[0].partition("=")[0]
            for value in session.execute(select(ElderFact.value).where(ElderFact.kind == "level").distinct()).scalars()
        }
        classes = set(session.execute(select(ElderFact.value).where(ElderFact.kind == "class").distinct()).scalars())
        scales = {value for word, value in words if word in ("scale", "limit_level")}
        asked = {code for word, value in words if word == "class" for code in value}
        known = set(session.execute(select(SaleUse.allowance).distinct()).scalars())
        return cls(
            frozenset(scales - rated),
            any(word == "lived_months" for word, _ in words),
            any(word == "ordered_by" for word, _ in words),
            any(word in ("has_item", "free_set", "prices", "only", "but") for word, _ in words),
            any(word == "scope" and value == "household" for word, value in words),
            frozenset(name.partition("@")[0].partition("#")[0] for name in known),
            sorted(asked - classes),
        )

    def missing(self, diner: Diner, meal: Meal, book: Rulebook, first: int) -> str:
        """Why a meal must be left open; '' when the past knows all that is asked."""
        if diner.kind == "elder" and (why := self._of_person(diner)):
            return why
        if self.ordered and meal.ordered_at is None:
            return "ordered_at"
        if self.goods and not meal.lines:
            return "lines"
        for lean in book.leans:
            kind = lean.allowance.window
            if kind in _MONEY and days.first_of(kind, meal.day) < first and lean.allowance.id not in self.known:
                return "used_before"
        return ""

    def _of_person(self, diner: Diner) -> str:
        if diner.birth_day is None:
            return "birth_day"
        if self.scales:
            return "level"
        if self.lived and diner.residence_since is None:
            return "residence_since"
        return "household" if self.household else ""


def _words(value: object) -> Iterator[tuple[str, Any]]:
    """Every word of a document with what it says."""
    if isinstance(value, list):
        for inner in value:
            yield from _words(inner)
    elif isinstance(value, dict):
        for word, inner in value.items():
            yield word, inner
            yield from _words(inner)
