"""Pricing past meals again with rules or facts known late, and booking the differences (decision 0013; rulings 18, 19).

Each unvoided sale of the revaluation's places and days is quoted again from its stored input. What a limit holds is
asked under the person's lock, as at a sale: a benefit that is new takes only slots that are still free, first meal
first, and gives none back. A difference is booked once for a sale and revaluation, to the period that is open.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, TypeVarTuple

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from canteen import calendars, clock, keyset, places
from canteen.db import db, transaction
from canteen.ledger import periods
from canteen.places import Contract
from canteen.policy import case
from canteen.policy import quote as engine
from canteen.policy.case import Case, Diner
from canteen.policy.quote import Quote, Wanted
from canteen.policy.rulebook import canonical, digest
from canteen.policy.rules import Rulebook
from canteen.pos import pricing, slots
from canteen.pos.flags import CLAIMS_NOTHING
from canteen.pos.models import Record, Sale, Void
from canteen.pos.pricing import Place
from canteen.pos.sale_locks import retried_if_overtaken
from canteen.registry import elders
from canteen.registry.elders import Known
from canteen.rulebooks import late_notices, layers
from canteen.rulebooks.late_notices import Books
from canteen.rulebooks.layers import InForce
from canteen.rulebooks.models import Revaluation
from canteen.settlement.claims import review
from canteen.settlement.closing import budgets
from canteen.settlement.closing.requote import of_quote
from canteen.settlement.corrections import delta, repricing, revaluation_booking
from canteen.settlement.corrections.delta import BOOKED, Changed
from canteen.settlement.corrections.repricing import Again, Before, Key, Meal, Tally

Ts = TypeVarTuple("Ts")
PAGE = 1000
BATCH = 40  # sales booked in one transaction: their elders wait so long at most


class Work:
    """One revaluation at work. `known_at`: the event up to which facts and calendar are read; None reads all."""

    def __init__(self, row: Revaluation, known_at: int | None, *, preview: bool) -> None:
        session = db.session()
        self.id, self.cause, self.first, self.last = row.id, row.cause, row.from_day, row.to_day
        self.row = row
        self.known_at = known_at
        self.books = Books(session, row if preview else None)
        self._stored: dict[str, Rulebook | None] = {}
        self._kinds: dict[date, str] = {}
        self.persons = list(elders.cluster(session, row.elder_id)[1]) if row.elder_id else []
        self.supposed: dict[tuple[uuid.UUID, Key], list[tuple[slots.LimitRequest, date]]] | None = (
            {} if preview else None
        )
        self.tally = Tally()
        self._contracts = [
            contract
            for contract, area, canteen in session.execute(
                select(Contract.id, places.Canteen.area_id, places.Canteen.id).join(
                    places.Canteen, places.Canteen.id == Contract.canteen_id
                )
            ).all()
            if row.cause == "facts" or self._within(session, area, canteen)
        ]
        session.expunge(row)
        session.rollback()

    def _within(self, session: Session, area: str, canteen: str) -> bool:
        """Whether a canteen lay within the place on some day; each meal is asked again by its own areas."""
        days = (self.first, self.last)
        return any(late_notices.covers(self.row, (*places.path(session, area, day), canteen)) for day in days)

    def count(self) -> int:
        """How many sales there are to look at."""
        among = self._mine(select(func.count()).select_from(Sale))
        return int(keyset.once(among.where(Sale.service_day >= self.first, Sale.service_day <= self.last))[0][0])

    def _mine(self, query: Select[*Ts]) -> Select[*Ts]:
        """The unvoided sales of the revaluation's places, or of its elder."""
        found = query.outerjoin(Void, Void.sale_id == Sale.id).where(Void.id.is_(None))
        if self.persons:
            return found.where(Sale.elder_id.in_(self.persons))
        return found.where(Sale.contract_id.in_(self._contracts))

    def days(self) -> Iterator[date]:
        day = self.first
        while day <= self.last:
            yield day
            day += timedelta(days=1)

    def pages(self, day: date) -> Iterator[list[Meal]]:
        """The day's unvoided sales in order of arrival."""
        query = self._mine(
            select(
                Sale.arrival, Sale.id, Sale.service_day, Sale.contract_id, Sale.canteen_id, Sale.elder_id, Sale.due_fen,
                Sale.own_input_hash, Sale.own_rulebook_hash, Sale.flags,
            )
        ).where(Sale.service_day == day)  # fmt: skip
        for page in keyset.rows(query, (Sale.arrival,), page=PAGE):
            found = []
            for arrival, sale, on, contract, canteen, elder, due, input_hash, book, flags in page:
                self.tally.meals += 1
                if CLAIMS_NOTHING.isdisjoint(flags.split()):
                    found.append(Meal(sale, arrival, on, contract, canteen, elder, due, (input_hash, book)))
                else:
                    self.tally.left["barred"] += 1
            yield found

    # --- a page: what can be told without any lock ---

    def page(self, meals: Sequence[Meal]) -> None:
        """Reckon a page of meals again: booked unless this is a preview."""
        session = db.session()
        candidates = []
        for meal, before in self._gather(session, meals):
            if self._touched(session, meal, before):
                candidates.append(meal)
        session.rollback()
        for at in range(0, len(candidates), BATCH):
            batch = candidates[at : at + BATCH]
            for again in self._suppose(batch) if self.supposed is not None else self._book(batch):
                self.tally.add(again)

    def _gather(self, session: Session, meals: Sequence[Meal]) -> Iterator[tuple[Meal, Before]]:
        """What stands of these sales; those that must be left as they are, are counted and left out."""
        ids = [meal.id for meal in meals]
        done, last, differences, refunds = repricing.earlier(session, ids)
        judged = repricing.judged_of(session, ids)
        voided = set(session.execute(select(Void.sale_id).where(keyset.among(Void.sale_id, ids))).scalars())
        standing = review.standing(session, ids)
        inputs = repricing.inputs_of(session, {meal.own[0] for meal in meals} | {key[0] for key in last.values()})
        for meal in meals:
            asked, now = inputs.get(meal.own[0]), last.get(meal.id, meal.own)
            before = None if asked is None else self._before(session, asked, inputs[now[0]], now[1])
            if why := self._leave(meal, before, done, judged, voided):
                self.tally.left[why] += 1
                continue
            assert before is not None
            for (fund, _), fen in standing.get(meal.id, ()):
                before.booked[fund] = before.booked.get(fund, 0) + fen
            for fund, fen in differences.get(meal.id, {}).items():
                before.booked[fund] = before.booked.get(fund, 0) + fen
            eaten = replace(before.meal, day_kind=self._kind(session, meal.day))
            yield meal, replace(before, meal=eaten, due=meal.due - refunds[meal.id])

    def _kind(self, session: Session, day: date) -> str:
        """What kind of day it was, as known now: a calendar may be entered after its days."""
        if day not in self._kinds:
            self._kinds[day] = calendars.kind_on(session, day, self.known_at)
        return self._kinds[day]

    def _recount(self, session: Session, batch: Sequence[Meal]) -> list[tuple[Meal, Before]]:
        """What stands of sales looked at before: whatever was counted then is not counted twice."""
        left = Counter(self.tally.left)
        found = list(self._gather(session, batch))
        self.tally.left = left
        return found

    def _leave(
        self,
        meal: Meal,
        before: Before | None,
        done: set[tuple[int, uuid.UUID]],
        judged: set[uuid.UUID],
        voided: set[uuid.UUID],
    ) -> str:
        """Why a sale is left as it is, or ''."""
        if (self.id, meal.id) in done:
            return "done"
        if meal.id in voided:
            return "voided"
        if meal.id in judged:
            return "judged"
        if before is None:
            return "unpriced"
        nodes = (*before.meal.canteen.areas, meal.canteen)
        if not late_notices.covers(self.row, nodes):
            return "elsewhere"
        return "" if self.cause == "facts" or self.books.is_newest(self.id, meal.day) else "superseded"

    def _before(self, session: Session, asked: Case, newest: Case, book_hash: str) -> Before | None:
        """None where the stored rulebooks cannot price the sale any more."""
        book = self._book_stored(session, book_hash)
        try:
            reference = None if book is None else engine.quote(book, newest.diner, newest.meal, newest.taken)
        except ValueError:
            return None
        return None if reference is None else Before(asked, asked.meal, newest.diner, reference, {}, 0)

    def _book_stored(self, session: Session, digest_: str) -> Rulebook | None:
        if digest_ not in self._stored:
            try:
                self._stored[digest_] = layers.stored(session, digest_)
            except layers.NoRulebook:
                self._stored[digest_] = None
        return self._stored[digest_]

    def _touched(self, session: Session, meal: Meal, before: Before) -> bool:
        """Whether the meal must be looked at under the locks: its price, or what it takes of a limit, is another."""
        book, diner = self._book_of(session, meal, before), self._diner(session, meal, before)
        new = engine.quote(book.book, diner, before.meal, before.asked.taken)
        if not delta.same(of_quote(new), of_quote(before.reference)):
            return True
        known = {(use.allowance, use.window): use.amount for use in before.reference.uses}
        return any(known.get((use.allowance, use.window), 0) < use.amount for use in new.uses)

    def _book_of(self, session: Session, meal: Meal, before: Before) -> InForce:
        return self.books.at(session, (*before.meal.canteen.areas, meal.canteen), meal.day)

    def _diner(self, session: Session, meal: Meal, before: Before) -> Diner:
        """Who ate: as known when last reckoned, or for facts known late as known now."""
        if self.cause != "facts" or meal.elder is None:
            return before.diner
        return elders.as_diner(session, meal.elder, meal.day, self.known_at)

    # --- a batch, under its locks or supposed ---

    def _suppose(self, batch: Sequence[Meal]) -> list[Again]:
        """What would be booked; nothing is written, what would be taken of limits is remembered."""
        session = db.session()
        found = []
        for meal, before in self._recount(session, batch):
            place, person = self._at(session, meal)
            if (again := self._reckon(session, meal, before, place, person)) is not None:
                found.append(again)
        session.rollback()
        return found

    @retried_if_overtaken
    def _book(self, batch: Sequence[Meal]) -> list[Again]:
        """One transaction, by the order of locks: period gates, persons by id, amounts by key."""
        with transaction() as session:
            gates = self._gates(session, batch)
            people = {meal.id: self._at(session, meal) for meal in batch}
            roots = {person.root for _, person in people.values() if person is not None}
            slots.lock_persons(session, roots)
            if any(p is not None and elders.cluster(session, p.root)[0] != p.root for _, p in people.values()):
                raise slots.RetryTransaction
            if not self.books.is_current(session):  # a newer notice may have been run on these meals
                self.books = Books(session)
            gathered = self._recount(session, batch)
            self._hold(session, gathered, people)
            if any(meal.elder is None for meal in batch):  # a guest's sale is held only now
                if not self.books.is_current(session):
                    raise slots.RetryTransaction
                gathered = self._recount(session, batch)
            found = []
            for meal, before in gathered:
                again = self._reckon(session, meal, before, *people[meal.id])
                if again is None:
                    continue
                revaluation_booking.write(session, self.id, again, gates[meal.contract, meal.day])
                found.append(again)
            return found

    def _gates(self, session: Session, batch: Sequence[Meal]) -> dict[tuple[str, date], Any]:
        wanted = sorted({(meal.contract, meal.day) for meal in batch})
        return {key: periods.gate(session, session.get_one(Contract, key[0]), key[1]) for key in wanted}

    def _at(self, session: Session, meal: Meal) -> tuple[Place, Known | None]:
        place = pricing.place_at(session, meal.canteen, clock.instant(meal.day, 12 * 60))
        return place, elders.known(session, meal.elder, meal.day) if meal.elder else None

    def _hold(
        self,
        session: Session,
        gathered: Sequence[tuple[Meal, Before]],
        people: dict[uuid.UUID, tuple[Place, Known | None]],
    ) -> None:
        """Hold households, budgets and guests' sales that these meals may draw on; after the persons."""
        alone, budgets = set[uuid.UUID](), dict[Key, int]()
        most = 0
        for meal, before in gathered:
            book, person = self._book_of(session, meal, before), people[meal.id][1]
            if meal.elder is None:
                alone.add(meal.id)
            limits = {ref.allowance.id: ref.allowance.limit for ref in book.book.limit_refs}
            for want in engine.wanted(book.book, self._diner(session, meal, before), before.meal):
                if want.scope == "budget":
                    budgets[want.allowance, want.window] = limits.get(
                        want.allowance, limits.get(want.allowance.rpartition("@")[0], 0)
                    )
                elif want.scope == "household" and person is not None and person.household:
                    alone.add(pricing.household_uuid(person.household))
            most += before.reference.list
        slots.lock_names(session, alone, budgets, most)
        slots.lock_budget_rows(
            session, {pricing.budget_uuid(place.canteen.id) for place, _ in people.values()}, budgets
        )

    # --- one meal ---

    def _reckon(self, session: Session, meal: Meal, before: Before, place: Place, person: Known | None) -> Again | None:
        """The meal priced again. A limit it knew then is read as it stood then, a new one as it stands now.

        Where a use that it did not have finds no room, its limit is read as it stands now and the meal priced once
        more: so another rule may take its place, and what is lacking is told.
        """
        book, diner = self._book_of(session, meal, before), self._diner(session, meal, before)
        wants = engine.wanted(book.book, diner, before.meal)
        own, whose = repricing.own_uses(session, meal.id), pricing.counted_ids(person, place)
        taken = self._taken(session, wants, place, person, pricing.later_windows(book, diner, before.meal))
        pricing.count_lent(taken, book, diner, before.meal)
        known = self._known_then(session, meal, before)
        usage = {(one.allowance, one.window): one for one in before.asked.taken}
        wished = engine.quote(book.book, diner, before.meal, before.asked.taken)
        short = {(want.allowance, want.window) for want in wants} - known
        seen: set[Key] = set()
        while True:
            seen |= short
            usage |= {key: repricing.usage_now(key, taken, own) for key in short}
            quoted = engine.quote(book.book, diner, before.meal, repricing.listed(usage))
            short = {key for key in self._short(quoted, taken, own, whose, meal.day) if key not in seen}
            if not short:
                break
        changed = delta.changed(
            reference=of_quote(before.reference),
            new=of_quote(quoted),
            wished=of_quote(wished),
            before=before.booked,
            due_before=before.due,
        )
        if changed is not None and changed.outcome == BOOKED and self._beyond(book, quoted, changed, taken):
            self.tally.left["budget_over"] += 1
            return None
        if changed is None and not any(repricing.more(ask, own) for ask in pricing.limit_requests(quoted)):
            return None
        changed = changed or Changed(BOOKED, before.due, before.due, ())  # only a limit that counts it from now on
        uses, rows = self._take(session, meal, quoted, taken, own, whose) if changed.outcome == BOOKED else ((), ())
        body = canonical(case.case_doc(diner, before.meal, repricing.listed(usage)))
        return Again(meal, changed, book, digest(body), body.decode(), uses, rows)

    def _beyond(self, book: InForce, quoted: Quote, changed: Changed, taken: slots.Usages) -> bool:
        """Whether the meal would get more of a budget that is shared out at its end than is free of it: so it stays as it is."""
        for ask in pricing.limit_requests(quoted):
            if ask.scope == "budget" and budgets.prorated_by(book.body, ask.allowance):
                used = taken.get((ask.allowance, ask.window), slots.Usage()).fen
                more = sum(one.fen for one in changed.funds if one.fen > 0 and slots.counts_fund(ask, one.fund))
                if more > max(0, ask.limited_to - used):
                    return True
        return False

    def _known_then(self, session: Session, meal: Meal, before: Before) -> set[Key]:
        """Limits that our quote of then asked for: the stored input tells what was used of them."""
        book = self._book_stored(session, meal.own[1])
        wants = engine.wanted(book, before.asked.diner, before.asked.meal) if book else []
        return {(want.allowance, want.window) for want in wants}

    def _taken(
        self, session: Session, wants: Sequence[Wanted], place: Place, person: Known | None, later: set[str]
    ) -> slots.Usages:
        """What of these limits is taken now, in these windows and `later` ones, with what the preview supposes."""
        whose = pricing.counted_ids(person, place)
        budgets = {(want.allowance, want.window) for want in wants if want.scope == "budget"}
        rest = [want for want in wants if want.scope != "budget"] if person else []
        ids = sorted({each for want in rest for each in whose.get(want.scope, whose["person"])})
        found = slots.read_usages(session, ids, sorted({want.window for want in rest} | later), budgets=budgets)
        for key in {(want.allowance, want.window) for want in wants} if self.supposed else ():
            for holder in {*ids, *whose["budget"]}:
                for ask, day in self.supposed.get((holder, key), ()) if self.supposed else ():
                    found.setdefault(key, slots.Usage()).grant(holder, ask, day)
        return found

    def _short(
        self,
        quoted: Quote,
        taken: slots.Usages,
        own: dict[Key, repricing.Own],
        whose: dict[str, tuple[uuid.UUID, ...]],
        day: date,
    ) -> Iterator[Key]:
        """Limits that have no room for what the quote takes besides what the sale has."""
        for ask in pricing.limit_requests(quoted):
            key, holder = (ask.allowance, ask.window), pricing.counted_for(ask.scope, whose)
            more, used = repricing.more(ask, own), taken.get((ask.allowance, ask.window), slots.Usage())
            if holder is None or not more:
                continue
            room = ask.limited_to - used.fen >= more if ask.unit == "fen" else repricing.is_free(used, holder, ask, day)
            if not room:
                yield key

    def _take(
        self,
        session: Session,
        meal: Meal,
        quoted: Quote,
        taken: slots.Usages,
        own: dict[Key, repricing.Own],
        whose: dict[str, tuple[uuid.UUID, ...]],
    ) -> tuple[tuple[dict[str, Any], ...], tuple[dict[str, object], ...]]:
        """Take what the quote asks besides what the sale has; the rows of uses and of new slots."""
        uses, rows = [], []
        newest = session.execute(select(func.coalesce(func.max(Record.id), 0))).scalar_one()
        for ask in sorted(pricing.limit_requests(quoted), key=lambda ask: (ask.allowance, ask.window)):
            holder, more = pricing.counted_for(ask.scope, whose), repricing.more(ask, own)
            if holder is None or not more:
                continue
            wanted = replace(ask, amount=more)
            if self.supposed is not None:
                key = (holder, (ask.allowance, ask.window))
                self.supposed.setdefault(key, []).append((wanted, meal.day))
                continue
            taking = slots.grant(holder, wanted, taken, meal.day)
            if ask.unit == "fen" and taking.granted:
                slots.write_draws(session, [(holder, wanted, taking.granted)])
            if taking.new and taking.n is not None:
                rows.append(slots.slot_row(holder, ask, taking.n, meal.day, meal.id))
            if taking.granted:
                uses.append(
                    {
                        "sale_id": meal.id,
                        "allowance": ask.allowance,
                        "window": ask.window,
                        "cause": revaluation_booking.cause(self.id),
                        "person_id": taking.counted_for,
                        "unit": ask.unit,
                        "limited_to": ask.limited_to,
                        "granted": taking.granted,
                        "n": taking.n,
                        "rules": " ".join(ask.rules),
                        "after_record": newest,
                    }
                )
        return tuple(uses), tuple(rows)
