"""Replay past meals under another rulebook: its cost, who gains or loses, when each budget would end.

Each meal as it was booked is compared with what it would have cost under the proposal. Meals are priced day by day in
the order of arrival, and the limits they would have used are counted; a meal voided later uses its limits until then,
as it did. Meals are read by keyset pages, a day at a time, so memory stays flat and no read outlives a page.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, func, or_, select

from canteen import clock, events, keyset, places
from canteen.clock import Span
from canteen.ledger.models import Transfer
from canteen.ledger.queries import net, with_ends
from canteen.places import Contract
from canteen.policy import budget_ids, case, days
from canteen.policy.case import Diner, Meal, Taken
from canteen.policy.rules import Rulebook
from canteen.pos import pricing, share_terms
from canteen.pos.checkout_rows import arrival_of
from canteen.pos.models import QuoteInput, Sale, SaleUse, ShareTerms, Void
from canteen.ruledesk.proposal import Layers, Proposal, covered, on_any_day
from canteen.ruledesk.simulation.missing_facts import LASTING, Households, Needs
from canteen.ruledesk.simulation.totals import Totals
from canteen.ruledesk.simulation.usage_replay import CountedFor, Funds, MealResult, UsageReplay, base_id, subsidy_of
from canteen.settlement.closing import gather_persons
from canteen.settlement.closing.statement import Cut

PAGE = 4000
_PERSONS = 20_000  # diners kept parsed

Progress = Callable[[int, int], bool]
"""Takes how many meals are done of how many; answers whether to go on."""


class Cancelled(Exception):
    """Raised when the replay was asked to stop."""


def run(
    document: Mapping[str, Any], layer: str, node_id: str, months: Sequence[str], go_on: Progress
) -> dict[str, Any]:
    """Replay `months` ('2026-10') under a rulebook at a place. Raises Cancelled when `go_on` says no."""
    started = time.monotonic()
    spans = [Span.month(date.fromisoformat(f"{month}-01")) for month in sorted(months)]
    replay = _Replay(dict(document), layer, node_id, spans)
    total, done = replay.count(), 0
    if not go_on(0, total):
        raise Cancelled
    for span in _joined(spans):
        replay.begin(span.first)
        for day in _days(span):
            for rows in replay.pages(day):
                done += replay.page(rows)
                if not go_on(done, total):
                    raise Cancelled
        replay.end(span.last)
    return replay.result(time.monotonic() - started)


def _joined(spans: Sequence[Span]) -> list[Span]:
    """Join consecutive months to one stretch."""
    found: list[Span] = []
    for span in spans:
        if found and found[-1].last + timedelta(days=1) == span.first:
            found[-1] = Span(found[-1].first, span.last)
        else:
            found.append(span)
    return found


def _days(span: Span) -> Iterator[date]:
    day = span.first
    while day <= span.last:
        yield day
        day += timedelta(days=1)


class _Replay:
    def __init__(self, document: dict[str, Any], layer: str, node_id: str, spans: Sequence[Span]) -> None:
        self.spans = spans
        moved = on_any_day(document, clock.civil(spans[0].first))
        with keyset.reader() as session:
            self.layers = Layers(session, Proposal(layer, node_id, moved))
            self.areas = {one.id: one.area_id for one in covered(session, layer, node_id, spans[-1].last)}
            rows = list(session.execute(select(Contract.id, Contract.canteen_id)))
            self.needs = Needs.of(document, session)
            head = events.head(session)[0]
        self.contracts = [number for number, canteen in rows if canteen in self.areas]
        self.elsewhere = [number for number, canteen in rows if canteen not in self.areas]
        self.usage, self.totals, self.texts = UsageReplay(), Totals(), _Texts()
        merged = gather_persons.clusters(Cut(head, 0, 0, 0)).roots()
        self.roots = {uuid.UUID(one): uuid.UUID(root) for one, root in merged.items()}
        self.households = Households(self.roots)
        self.since = self.until = date.min
        self.persons: set[uuid.UUID] = set()
        self.unsure: dict[tuple[object, ...], str] = {}
        self.books: dict[tuple[str, ...], Rulebook] = {}
        if self.elsewhere:
            eaters = keyset.once(self._of_months(select(Sale.elder_id).where(Sale.elder_id.is_not(None)).distinct()))
            self.persons = {self._person(row[0]) for row in eaters}

    def _of_months(self, query: Any) -> Any:
        months = [clock.month_of(span.first) for span in self.spans]
        return query.where(Sale.contract_id.in_(self.contracts), Sale.service_month.in_(months))

    def _person(self, elder: uuid.UUID) -> uuid.UUID:
        return self.roots.get(elder, elder)

    def count(self) -> int:
        return int(keyset.once(self._of_months(select(func.count()).select_from(Sale)))[0][0])

    # --- a stretch of days --------------------------------------------------------------------------------------

    def begin(self, first: date) -> None:
        """Begin a stretch of months: limits start with what the books say was used since the stretch before."""
        self.since = first
        books = [self.layers.at(nodes, first).book for nodes in self._nodes(first)]
        kinds = {ref.allowance.window for book in books for ref in book.limit_refs} & set(LASTING)
        for book in books:
            self.usage.know(book)
        names = {str(days.first_of(kind, clock.civil(first))) for kind in kinds}
        carried = {ref.allowance.id for book in books for ref in book.limit_refs if ref.allowance.carry}
        if names or carried:
            known = {ref.allowance.id for book in books for ref in book.limit_refs}
            self._seed(first, names, known, carried)

    def end(self, last: date) -> None:
        self.until = last

    def _nodes(self, on: date) -> set[tuple[str, ...]]:
        """Return the areas of every canteen that the proposal counts at, with the canteen itself."""
        with keyset.reader() as session:
            paths = {area: tuple(places.path(session, area, on)) for area in set(self.areas.values())}
        return {(*paths[area], canteen) for canteen, area in self.areas.items()}

    def _seed(self, first: date, names: set[str], known: set[str], carried: set[str]) -> None:
        columns = (SaleUse.person_id, SaleUse.allowance, SaleUse.window, Sale.service_day, SaleUse.unit)
        query = (
            select(*columns, func.sum(SaleUse.granted), func.count())
            .join(Sale, Sale.id == SaleUse.sale_id)
            .outerjoin(Void, Void.sale_id == Sale.id)
            .where(Void.id.is_(None), SaleUse.granted > 0)
            .where(Sale.service_day < first, Sale.service_day > self.until)
            .group_by(*columns)
        )
        if not carried:
            query = query.where(SaleUse.window.in_(names))
        for rows in keyset.rows(query, columns, page=PAGE):
            for person, allowance, window, day, unit, fen, times in rows:
                base = base_id(allowance)
                if base in known and (window in names or base in carried):
                    whole = (clock.civil(day),) * times if unit == "day" else ()
                    taken = Taken(
                        allowance, window, times if unit == "meal" else 0, int(fen) if unit == "fen" else 0, whole
                    )
                    self.usage.seed(allowance, window, self._person(person), taken)

    # --- meals --------------------------------------------------------------------------------------------------

    def pages(self, day: date) -> Iterator[Sequence[Any]]:
        """Yield a day's meals in order of arrival; of other canteens those of the same elders, for their limits."""
        self.usage.begin(clock.civil(day))
        self.texts.begin()
        self.unsure.clear()
        self.books.clear()
        query = (
            select(
                Sale.arrival, Sale.id, Sale.service_day, Sale.canteen_id, Sale.district_id, Sale.elder_id,
                Sale.list_fen, Sale.due_fen, ShareTerms.terms, Sale.share_fens, QuoteInput.body, Void.record_id.label("void_record"),
                Void.arrived_at.label("voided_at"),
            )
            .join(ShareTerms, ShareTerms.hash == Sale.share_terms)
            .join(QuoteInput, QuoteInput.hash == Sale.own_input_hash)
            .outerjoin(Void, Void.sale_id == Sale.id)
            .where(Sale.service_day == day)
        )  # fmt: skip
        wanted: ColumnElement[bool] = Sale.contract_id.in_(self.contracts)
        if self.elsewhere:
            eaters = self._of_months(select(Sale.elder_id).where(Sale.elder_id.is_not(None))).scalar_subquery()
            theirs = or_(Sale.elder_id.in_(eaters), Sale.elder_id.in_(self.roots))
            wanted = or_(wanted, Sale.contract_id.in_(self.elsewhere) & theirs)
        return keyset.rows(query.where(wanted), [Sale.arrival], page=PAGE)

    def page(self, rows: Sequence[Any]) -> int:
        """Replay a page of meals; return how many of them count."""
        inside = [row for row in rows if row.canteen_id in self.areas]
        booked = _Booked([row.id for row in inside if row.void_record is None], self.texts)
        for row in rows:
            self._meal(row, booked)
        return len(inside)

    def _meal(self, sale: Any, booked: _Booked) -> None:
        inside = sale.canteen_id in self.areas
        person = None if sale.elder_id is None else self._person(sale.elder_id)
        if not inside and person not in self.persons:
            return
        self.usage.pass_by((sale.service_day, sale.arrival))
        diner, meal, texts = self.texts.read(sale.body)
        why = self.needs.before(diner, meal)
        book = self._book((*meal.canteen.areas, sale.canteen_id), sale.service_day)
        who, known = self._counted_for(person, sale.service_day)
        after = None if why else self.usage.price(book, diner, meal, texts, who)
        if after is not None and person is not None:
            why = self._why(after, book, meal.day, household=known)
        if after is not None and not why:
            self._use(sale, after, who, meal)
        if not inside:
            return
        if sale.void_record is not None:
            self.totals.voided += 1
        elif after is None or why:
            self.totals.open[why] += 1
        else:
            before, unsettled = booked.outcome(sale)
            self.totals.unsettled += unsettled
            self.totals.add(sale, person, diner, before, after)

    def _book(self, nodes: tuple[str, ...], day: date) -> Rulebook:
        """Return the rulebook of a canteen, joined once a day."""
        found = self.books.get(nodes)
        if found is None:
            found = self.books[nodes] = self.layers.at(nodes, day).book
        return found

    def _why(self, after: MealResult, book: Rulebook, day: int, *, household: bool) -> str:
        """Return why a price is not sure; it depends on the limits that it draws on, and is found once a day."""
        key = (book.hash, household, *(use.allowance for use in after.uses))
        found = self.unsure.get(key)
        if found is None:
            since = clock.civil(self.since)
            found = self.unsure[key] = self.needs.after(after.uses, book, day, since, household=household)
        return found

    def _counted_for(self, person: uuid.UUID | None, on: date) -> tuple[CountedFor, bool]:
        """Return the owners whose limits count, and whether the household is known."""
        if person is None:
            return CountedFor(None, None), False
        household = self.households.of(person, on)
        return CountedFor(person, pricing.household_uuid(household) if household else person), household != ""

    def _use(self, sale: Any, after: MealResult, who: CountedFor, meal: Meal) -> None:
        self.usage.use(after.uses, who, meal.day)
        if sale.void_record is not None:
            at = (clock.business_day(sale.voided_at), arrival_of(sale.void_record))
            self.usage.void(at, after.uses, who, meal.day)

    # --- what was found -----------------------------------------------------------------------------------------

    def result(self, seconds: float) -> dict[str, Any]:
        """Return everything that page, workbook and command show, as JSON."""
        return self.totals.document() | {
            "budgets": self._budgets(),
            "notes": self.needs.classes,
            "distinct": self.usage.priced,
            "seconds": round(seconds, 1),
            "per_minute": round(self.totals.meals / seconds * 60) if seconds else 0,
        }

    def _budgets(self) -> list[dict[str, Any]]:
        """Return each budget met, with what was used and the day it would end."""
        found = []
        for (allowance, window), limit in sorted(self.usage.limits.items()):
            ended = self.usage.ended.get((allowance, window))
            found.append(
                {
                    "fund": allowance.removeprefix(budget_ids.PREFIX),
                    "from": clock.day_of(int(window)).isoformat(),
                    "limit": limit,
                    "used": self.usage.spent(allowance, window),
                    "ended": clock.day_of(ended).isoformat() if ended is not None else None,
                }
            )
        return found


@dataclass(frozen=True, slots=True)
class _Sold:
    """Fen by fund and payer of shares as sold, and the public money among them; shared by sales, so not to be changed."""

    funds: Funds
    subsidy: int


class _Booked:
    """Sales as booked: shares as sold, less what was excluded from settlement."""

    def __init__(self, sales: Sequence[uuid.UUID], texts: _Texts) -> None:
        self._texts, self._excluded = texts, dict[uuid.UUID, Counter[str]]()
        if not sales:
            return
        for number, fund, fen in keyset.bare(_EXCLUDED.where(keyset.among(Transfer.sale_id, sales))):
            if number and fen:
                self._excluded.setdefault(number, Counter())[fund] += int(fen)

    def outcome(self, sale: Any) -> tuple[MealResult, int]:
        """Return the meal as booked, and the fen of subsidy that was sold but excluded."""
        sold = self._texts.sold(sale.terms, sale.share_fens)
        out = self._excluded.get(sale.id)
        if out is None:
            return MealResult(sale.due_fen, sold.subsidy, sold.funds), 0
        funds = dict(sold.funds)
        for fund, fen in out.items():
            funds[fund, "subsidy"] = funds.get((fund, "subsidy"), 0) - fen
        funds = {key: fen for key, fen in funds.items() if fen}
        return MealResult(sale.due_fen, subsidy_of(funds), funds), out.total()


_EXCLUDED: Final = (
    with_ends(select(Transfer.sale_id, Transfer.fund, net("excluded")))
    .where(Transfer.movement == "verdict")
    .group_by(Transfer.sale_id, Transfer.fund)
)


class _Texts:
    """A cache of diners, meals and shares by their JSON text, which identifies each."""

    def __init__(self) -> None:
        self._diners: OrderedDict[str, Diner] = OrderedDict()
        self._meals: dict[str, Meal] = {}
        self._sold: dict[tuple[str, str], _Sold] = {}

    def begin(self) -> None:
        """Begin a day: forget the meals of the day before."""
        self._meals.clear()
        self._sold.clear()

    def sold(self, terms: str, fens: str) -> _Sold:
        """Return what a sale's shares come to."""
        found = self._sold.get((terms, fens))
        if found is None:
            funds: Funds = {}
            for one in share_terms.shares(terms, fens):
                key = (one["fund"], one["payer"])
                funds[key] = funds.get(key, 0) + one["fen"]
            found = self._sold[terms, fens] = _Sold(funds, subsidy_of(funds))
        return found

    def read(self, body: str) -> tuple[Diner, Meal, tuple[str, str]]:
        who, _, rest = body.partition(',"meal":')
        what, _, _ = rest.rpartition(',"taken":')
        diner, meal = self._diners.get(who), self._meals.get(what)
        if diner is None or meal is None:
            asked = case.known_case(json.loads(body))
            diner = self._diners[who] = asked.diner
            meal = self._meals[what] = asked.meal
            if len(self._diners) > _PERSONS:
                self._diners.popitem(last=False)
        return diner, meal, (who, what)
