import threading
import time
import uuid
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from canteen.db import db, transaction
from canteen.registry import cards, credentials, elders, print_runs
from canteen.registry.cards import ScanForeign, ScanMalformed
from canteen.registry.credentials import BatchTooLarge, BlockedCard, CardTaken, Made, UnboundCard, UnknownCard
from canteen.registry.elders import NewFact
from canteen.registry.models import CardCode, Credential, CredentialFact
from tests.registry.people import an_elder, some_areas

MAY = date(2026, 5, 1)


@pytest.fixture(autouse=True)
def areas(session: Session):
    some_areas(session)


def a_card(session: Session, elder: uuid.UUID) -> Made:
    with transaction():
        return credentials.make(session, [elder], batch="test", by="p-admin")[0]


def test_a_card_is_known_by_its_code_and_by_its_number(session: Session):
    li = an_elder(session)
    card = a_card(session, li)
    by_code = credentials.resolve(session, card.code, on=MAY)
    by_number = credentials.resolve(session, card.number, on=MAY)
    assert (by_code.elder_id, by_code.credential_digest, by_code.how) == (li, card.digest, "card")
    assert (by_number.elder_id, by_number.credential_digest, by_number.how) == (li, card.digest, "number")


def test_the_database_keeps_a_code_sealed_until_printed(session: Session):
    card = a_card(session, an_elder(session))
    everything = str(session.execute(select(Credential.digest, Credential.number)).all())
    sealed = session.execute(select(CardCode.cipher)).scalar_one()
    assert card.code not in everything
    assert card.code.encode() not in sealed
    assert card.code not in repr(card)
    with transaction():
        assert print_runs.printed(session, "test", "p-admin") == 1
    assert session.execute(select(func.count()).select_from(CardCode)).scalar_one() == 0
    assert credentials.resolve(session, card.code, on=MAY)


def test_each_scan_that_is_no_card_says_what_it_is(session: Session):
    for scan, refusal in (
        ("https://example.com", ScanForeign),
        ("12345", ScanMalformed),
        (cards.new_code(), UnknownCard),
        (cards.new_number(), UnknownCard),
    ):
        with pytest.raises(refusal) as refused:
            credentials.resolve(session, scan, on=MAY)
        assert refused.value.message.isascii() is False


def test_a_blank_card_is_bound_in_one_call_and_again_is_the_same(session: Session):
    li = an_elder(session)
    with transaction():
        credentials.blank(session, 2, "p-admin")
    number = session.execute(select(Credential.number).limit(1)).scalar_one()
    with pytest.raises(UnboundCard):
        credentials.resolve(session, number, on=MAY)
    for _ in range(2):
        with transaction():
            credentials.bind(session, number, li, "p-cashier")
    assert credentials.resolve(session, number, on=MAY).elder_id == li
    assert session.execute(select(func.count()).select_from(CredentialFact)).scalar_one() == 1


def test_a_card_of_one_elder_is_not_given_to_another(session: Session):
    card = a_card(session, an_elder(session))
    wang = an_elder(session, order=104)
    with pytest.raises(CardTaken), transaction():
        credentials.bind(session, card.code, wang, "p-cashier")


def test_a_new_card_ends_the_old_and_limits_follow_the_person(session: Session):
    li = an_elder(session)
    old = a_card(session, li)
    with transaction():
        new = credentials.make(session, [None], batch="blank", by="p-admin")[0]
        credentials.bind(session, new.code, li, "p-cashier")
    with pytest.raises(BlockedCard):
        credentials.resolve(session, old.code, on=MAY)
    assert credentials.resolve(session, new.code, on=MAY).elder_id == li


def test_a_lost_card_is_dead_at_once_and_lives_again_when_found(session: Session):
    card = a_card(session, an_elder(session))
    with transaction():
        credentials.report(session, card.digest, "lost", "p-cashier", "lost")
    for scan in (card.code, card.number):
        with pytest.raises(BlockedCard, match="请联系社区"):
            credentials.resolve(session, scan, on=MAY)
    with transaction():
        credentials.report(session, card.digest, "found", "p-cashier", "other")
    assert credentials.resolve(session, card.code, on=MAY)


def test_a_blocked_card_stays_blocked(session: Session):
    card = a_card(session, an_elder(session))
    with transaction():
        credentials.report(session, card.digest, "blocked", "p-admin", "misuse")
        credentials.report(session, card.digest, "blocked", "p-admin", "misuse")
    assert session.execute(select(func.count()).where(CredentialFact.kind == "blocked")).scalar_one() == 1
    with pytest.raises(BlockedCard), transaction():
        credentials.report(session, card.digest, "found", "p-cashier", "other")


def test_the_card_of_the_dead_reads_like_any_stopped_card(session: Session):
    li = an_elder(session)
    card = a_card(session, li)
    with transaction():
        elders.note(session, li, [NewFact("status", "deceased", MAY)], "p-admin")
    assert credentials.resolve(session, card.code, on=MAY)
    with pytest.raises(BlockedCard) as refused:
        credentials.resolve(session, card.code, on=date(2026, 5, 2))
    assert refused.value.message == "此卡已停用，请联系社区"


def test_issuing_twice_makes_one_card(session: Session):
    li, wang = an_elder(session), an_elder(session, order=104)
    with transaction():
        assert len(credentials.issue(session, [li], "p-admin")) == 1
    with transaction():
        assert len(credentials.issue(session, [li, wang, wang], "p-admin")) == 1
    with transaction():
        assert credentials.issue(session, [li, wang], "p-admin") == []


def test_a_replaced_card_is_blocked_and_the_new_awaits_printing(session: Session):
    li = an_elder(session)
    old = a_card(session, li)
    with transaction():
        new = credentials.replace(session, old.digest, "p-admin", "damaged")
    with pytest.raises(BlockedCard):
        credentials.resolve(session, old.code, on=MAY)
    assert credentials.resolve(session, new.code, on=MAY).elder_id == li
    with pytest.raises(BlockedCard), transaction():
        credentials.replace(session, old.digest, "p-admin", "damaged")
    assert [card.number for card, state in credentials.of_elder(session, li) if state.works] == [new.number]


def test_a_batch_is_bounded(session: Session):
    for count in (0, credentials.BATCH_LIMIT + 1):
        with pytest.raises(BatchTooLarge), transaction():
            credentials.blank(session, count, "p-admin")


def test_numbers_for_people_are_unique_by_the_database_itself(session: Session):
    a_card(session, an_elder(session))
    with pytest.raises(Exception, match=r"(?i)unique|duplicate|law"), transaction():
        session.execute(
            text(
                "INSERT INTO credential (id, kind, digest, number, salt_id, made_at, recorded) "
                "SELECT :id, kind, 'other', number, salt_id, made_at, recorded FROM credential"
            ),
            {"id": "00000000-0000-0000-0000-000000000001"},
        )


def test_one_blank_card_at_two_counters_goes_to_one_elder(session: Session, app: Flask):
    li, wang = an_elder(session), an_elder(session, order=104)
    with transaction():
        card = credentials.make(session, [None], batch="blank", by="p-admin")[0]
    ready, outcomes = threading.Barrier(2), list[str]()

    def counter(elder: uuid.UUID) -> None:
        with app.app_context():
            ready.wait()
            try:
                with transaction() as own:
                    credentials.bind(own, card.code, elder, "p-cashier")
                outcomes.append("bound")
            except CardTaken:
                outcomes.append("taken")
            finally:
                db.session.remove()

    session.rollback()
    threads = [threading.Thread(target=counter, args=(elder,)) for elder in (li, wang)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["bound", "taken"]
    assert session.execute(select(func.count()).where(CredentialFact.kind == "bound")).scalar_one() == 1


def at_once(session: Session, app: Flask, act: Callable[[Session], object], refused: type[Exception]) -> int:
    """How many of two desks that do the same at one moment were not refused."""
    session.rollback()
    ready, done = threading.Barrier(2), list[object]()

    def desk() -> None:
        with app.app_context():
            ready.wait()
            try:
                with transaction() as own:
                    done.append(act(own))
            except refused:
                pass
            finally:
                db.session.remove()

    threads = [threading.Thread(target=desk) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(done)


@pytest.fixture
def slow_maker(monkeypatch: pytest.MonkeyPatch):
    """Making cards takes a moment, so that two desks are at it together."""
    numbers = credentials._fresh_numbers

    def slow(*args: Any) -> list[str]:
        time.sleep(0.2)
        return numbers(*args)

    monkeypatch.setattr(credentials, "_fresh_numbers", slow)


@pytest.mark.usefixtures("slow_maker")
def test_two_desks_that_issue_or_replace_at_once_make_one_card(session: Session, app: Flask):
    li = an_elder(session)
    assert at_once(session, app, lambda own: credentials.issue(own, [li], "p-admin"), BlockedCard) == 2
    (old,) = [card for card, _ in credentials.of_elder(session, li)]
    digest = old.digest
    assert at_once(session, app, lambda own: credentials.replace(own, digest, "p-admin", "damaged"), BlockedCard) == 1
    assert [state.works for _, state in credentials.of_elder(session, li)].count(True) == 1
    assert session.execute(select(func.count()).select_from(Credential)).scalar_one() == 2


def test_a_lost_card_that_was_replaced_never_works_again(session: Session):
    li = an_elder(session)
    lost = a_card(session, li)
    with transaction():
        credentials.report(session, lost.digest, "lost", "p-cashier", "lost")
        new = credentials.issue(session, [li], "p-admin")[0]
    with pytest.raises(BlockedCard), transaction():
        credentials.report(session, lost.digest, "found", "p-cashier", "other")
    assert [card.number for card, state in credentials.of_elder(session, li) if state.works] == [new.number]
