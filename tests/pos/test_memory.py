"""What tills keep in memory: an unrelated event leaves it alone, a related one counts at the next request."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from canteen import clock, events, memory, places
from canteen.auth.models import Grant
from canteen.db import db, transaction
from canteen.menus import changes
from canteen.pos import canteen_day, cashiers, pricing, scan_quotes
from canteen.pos.scan_quotes import Asked, Quoted
from canteen.registry import credentials, elders, identities
from canteen.registry.credentials import BlockedCard
from canteen.registry.elders import NewFact
from canteen.rulebooks import layers
from tests import world
from tests.rigs.states import state
from tests.world import NOON, World

TODAY = NOON.date()


@dataclass
class House:
    """A canteen and two elders with a card each."""

    till: World
    elders: Sequence[uuid.UUID]
    cards: Sequence[str]


@state
def house(session: Session) -> House:
    with clock.at(NOON):
        till = world.make(session)
        world.a_rulebook(session)
        ids = [world.an_elder(session), world.an_elder(session)]
        return House(till, ids, [world.a_card(session, each) for each in ids])


@pytest.fixture(autouse=True)
def _noon(app: Flask) -> Any:
    with clock.at(NOON):
        yield


def quote(house: House, n: int = 0) -> Quoted:
    session = db.session()
    answer = scan_quotes.quote(
        session, house.till.canteen, [Asked(house.cards[n], None, None, "dine_in", (("c1-set-a", 1),), None)],
        tablet_id=house.till.tablet,
    )  # fmt: skip
    session.rollback()
    return answer


def quoted_with(house: House, asked: list[str]) -> int:
    """How many statements a quote of the first elder takes."""
    asked.clear()
    quote(house)
    return len(asked)


def a_card_for(house: House) -> None:
    """Somebody else is given a card."""
    with transaction() as session:
        credentials.issue(session, [world.an_elder(session)], by="p-admin")


def another_elder_moves(house: House) -> None:
    with transaction() as session:
        elders.note(session, house.elders[1], [NewFact("household", "h9", TODAY)], "p-admin")


def another_card_is_lost(house: House) -> None:
    with transaction() as session:
        digest = credentials.find(session, house.cards[1]).digest
        credentials.report(session, digest, "lost", "p-admin", "lost")


def a_number_is_shown(house: House) -> None:
    with transaction() as session:
        events.record(session, "elder.reveal", str(house.elders[0]), by="p-admin")


def a_rulebook_of_elsewhere(house: House) -> None:
    text = world.GUARDED.replace("id: test-city", "id: other").replace("from: 2020-01-01", f"from: {TODAY}")
    world.a_rulebook(db.session(), text, layer="district", node=world.OTHER_DISTRICT, from_day=TODAY)


@pytest.mark.parametrize(
    "unrelated", [a_card_for, another_elder_moves, another_card_is_lost, a_number_is_shown, a_rulebook_of_elsewhere]
)
def test_an_unrelated_event_empties_nothing(house: House, asked: list[str], unrelated: Callable[[House], None]) -> None:
    quote(house)
    warm = quoted_with(house, asked)
    unrelated(house)

    assert quoted_with(house, asked) == warm + 1  # reads the events once
    assert quoted_with(house, asked) == warm


def test_an_event_of_an_unknown_kind_empties_all(house: House, asked: list[str]) -> None:
    quote(house)
    warm = quoted_with(house, asked)
    world.event(db.session())

    assert quoted_with(house, asked) > warm + 1


def test_a_death_stops_the_card_at_the_next_scan(house: House) -> None:
    quote(house)
    with transaction() as session:
        elders.note(session, house.elders[0], [NewFact("status", "deceased", TODAY - timedelta(days=2))], "p-admin")

    with pytest.raises(BlockedCard):
        quote(house)


def test_a_lost_card_stops_and_a_found_one_works_again(house: House) -> None:
    quote(house)
    for kind in ("lost", "found"):
        with transaction() as session:
            digest = credentials.find(session, house.cards[0]).digest
            credentials.report(session, digest, kind, "p-admin", "other")
        if kind == "lost":
            with pytest.raises(BlockedCard):
                quote(house)
    assert quote(house).answers[0].elder_id == house.elders[0]


def test_an_unknown_card_is_known_once_it_is_made_and_bound(house: House) -> None:
    session = db.session()
    place = pricing.place_at(session, "c1", NOON)
    with transaction():
        made = credentials.make(session, [None], batch="b", by="p-admin")[0]
    assert pricing.holder_of(session, made.digest, place, NOON) is None
    with transaction():
        elder = world.an_elder(session)
        credentials.bind(session, made.code, elder, "p-admin")

    place = pricing.place_at(session, "c1", NOON)
    assert pricing.holder_of(session, made.digest, place, NOON) == elder


def test_a_card_bound_stops_the_former_one(house: House) -> None:
    quote(house)
    with transaction() as session:
        blank = credentials.make(session, [None], batch="b", by="p-admin")[0]
        credentials.bind(session, blank.code, house.elders[0], "p-admin")

    with pytest.raises(BlockedCard):
        quote(house)


def test_a_merge_counts_for_both_at_the_next_quote(house: House) -> None:
    first, second = house.elders
    quote(house, 0), quote(house, 1)
    with transaction() as session:
        elders.note(session, second, [NewFact("merged", str(first), TODAY)], "p-admin")

    session = db.session()
    place = pricing.place_at(session, "c1", NOON)
    assert set(pricing.known(session, first, place).ids) == {first, second}
    assert set(pricing.known(session, second, place).ids) == {first, second}


def test_a_rulebook_published_here_counts_at_the_next_quote(house: House) -> None:
    before = quote(house).answers[0].priced.quote.due
    text = world.GUARDED.replace("id: test-city", "id: more").replace("from: 2020-01-01", f"from: {TODAY}")
    world.a_rulebook(db.session(), text.replace("aged", "more"), layer="district", node=world.DISTRICT, from_day=TODAY)

    assert quote(house).answers[0].priced.quote.due < before


def paths_asked(asked: list[str]) -> int:
    return sum("RECURSIVE" in each for each in asked)


def test_elders_of_one_area_share_its_path(house: House, asked: list[str]) -> None:
    quote(house, 0)
    asked.clear()
    quote(house, 1)
    with transaction() as session:
        elders.note(session, house.elders[0], [NewFact("household", "h8", TODAY)], "p-admin")
    quote(house, 0)

    assert paths_asked(asked) == 0


def test_an_area_that_moves_counts_at_the_next_quote(house: House, asked: list[str]) -> None:
    quote(house)
    with transaction() as session:
        events.record(session, "import.areas", "run", by="p-admin")
    asked.clear()
    quote(house)

    assert paths_asked(asked) > 0


def test_a_closure_counts_at_the_next_quote(house: House) -> None:
    assert not quote(house).place.flags
    with transaction() as session:
        session.add(places.Closure(canteen_id="c1", from_day=TODAY, to_day=TODAY, reason="停电"))
        events.record(session, "import.closures", "run", by="p-admin")

    assert "closed_day" in quote(house).place.flags


def test_a_new_price_counts_at_the_next_quote(house: House) -> None:
    assert quote(house).answers[0].priced.quote.list == 1200
    with transaction() as session:
        changes.price(session, "c1-set-a", 1500, TODAY, by="p-admin")

    assert quote(house).answers[0].priced.quote.list == 1500


def test_a_changed_name_counts_at_the_next_quote(house: House) -> None:
    title = quote(house).answers[0].title
    with transaction() as session:
        identities.amend(session, house.elders[0], "王秀英", "", "p-admin")

    assert quote(house).answers[0].title != title


def test_an_ended_role_counts_at_the_next_sale(house: House) -> None:
    session = db.session()
    place = pricing.place_at(session, "c1", NOON)
    assert cashiers.cashier_flag(session, "p-cashier", place, NOON) == ""
    with transaction():
        session.execute(update(Grant).values(ended_at=NOON - timedelta(hours=1)))
        events.record(session, "person.end_grant", "p-cashier", by="p-admin")

    place = pricing.place_at(session, "c1", NOON)
    assert cashiers.cashier_flag(session, "p-cashier", place, NOON) == "cashier_no_right"


def test_what_a_rolled_back_event_left_is_not_used(house: House) -> None:
    session = db.session()

    def stopped() -> bool:
        return pricing.known(session, house.elders[0], pricing.place_at(session, "c1", NOON)).stopped

    with pytest.raises(ZeroDivisionError), transaction():  # noqa: PT012 - what is seen inside it matters
        elders.note(session, house.elders[0], [NewFact("status", "deceased", TODAY - timedelta(days=2))], "p-admin")
        assert stopped()
        raise ZeroDivisionError

    assert not stopped()
    another_elder_moves(house)  # takes the number of the event that was rolled back
    assert not stopped()


def test_an_older_head_is_given_nothing_that_was_read_later(house: House) -> None:
    session, kept = db.session(), memory.Kept[int](10)
    older = events.head(session)
    world.event(session)
    newer = events.head(session)

    assert kept.get(session, newer, "key", lambda: 2, lambda _: ()) == 2
    assert kept.get(session, older, "key", lambda: 1, lambda _: ()) == 1
    assert kept.get(session, newer, "key", lambda: 3, lambda _: ()) == 3


def test_a_death_noted_under_a_merged_entry_counts(house: House) -> None:
    first, second = house.elders
    with transaction() as session:
        elders.note(session, second, [NewFact("merged", str(first), TODAY)], "p-admin")
    quote(house, 0), quote(house, 1)
    with transaction() as session:
        elders.note(session, second, [NewFact("status", "deceased", TODAY - timedelta(days=2))], "p-admin")

    for n in (0, 1):
        with pytest.raises(BlockedCard):
            quote(house, n)


def test_an_undone_merge_counts_for_both(house: House) -> None:
    first, second = house.elders
    session = db.session()
    with transaction():
        elders.note(session, second, [NewFact("merged", str(first), TODAY)], "p-admin")
    quote(house, 0), quote(house, 1)
    merge = next(fact for fact in elders.facts_about(session, second) if fact.kind == "merged")
    with transaction():
        elders.note(session, second, [NewFact("merged", "", TODAY, retracts=merge.id)], "p-admin")

    place = pricing.place_at(session, "c1", NOON)
    assert [pricing.known(session, each, place).ids for each in house.elders] == [(first,), (second,)]


def test_what_a_session_read_before_the_head_is_not_kept(house: House) -> None:
    with transaction() as session:
        held = [session.scalars(select(model)).all() for model in (places.Canteen, places.Contract, places.MealWindow)]
        for model, changed in (
            (places.Canteen, {"name": "新名食堂"}),
            (places.Contract, {"grade": "pass"}),
            (places.MealWindow, {"grace": 7}),
        ):
            session.execute(update(model), changed, execution_options={"synchronize_session": False})  # by others
        events.record(session, "import.canteens", "run", by="p-admin")
        pricing.place_at(session, "c1", NOON)
        assert held

    place = pricing.place_at(db.session(), "c1", NOON)
    assert place.contract is not None
    assert (place.canteen.name, place.contract.grade) == ("新名食堂", "pass")
    windows = canteen_day.canteen_day(db.session(), "c1", TODAY, place.head).windows
    assert {window.grace for window in windows} == {7}


def test_a_rulebook_rolled_back_is_stored_again(house: House) -> None:
    session = db.session()
    book = pricing.place_at(session, "c1", NOON).book
    with pytest.raises(ZeroDivisionError), transaction():  # noqa: PT012 - as a revaluation of two meals that fails
        layers.keep(session, book)
        layers.keep(session, book)
        raise ZeroDivisionError
    with transaction():
        layers.keep(session, book)

    assert layers.stored(session, book.hash).id == book.book.id


def looks(house: House, asked: list[str], between: Callable[[House], None]) -> int:
    """How often a checkout looks again after its locks, when an event falls between its head and them."""
    quote(house)
    sealed = world.seal(house.till, world.checkout_body(house.till, [house.cards[0]]))
    head = events.head(db.session())
    between(house)
    asked.clear()
    assert world.bring(house.till, sealed, head=head)[0].outcome == "created"
    return sum("max(event.number)" in each for each in asked)


@pytest.mark.parametrize("unrelated", [a_card_for, another_elder_moves, a_rulebook_of_elsewhere])
def test_a_checkout_goes_on_over_an_unrelated_event(
    house: House, asked: list[str], unrelated: Callable[[House], None]
) -> None:
    assert looks(house, asked, unrelated) == 1


def test_a_checkout_starts_again_after_a_merge(house: House, asked: list[str]) -> None:
    def merged(house: House) -> None:
        with transaction() as session:
            elders.note(session, house.elders[1], [NewFact("merged", str(house.elders[0]), TODAY)], "p-admin")

    assert looks(house, asked, merged) == 2


def test_a_checkout_starts_again_after_a_new_rulebook(house: House, asked: list[str]) -> None:
    def published(_: House) -> None:
        world.a_rulebook(db.session(), world.GUARDED, layer="city", node=world.CITY, from_day=TODAY)

    assert looks(house, asked, published) == 2
