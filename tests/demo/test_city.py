"""The demo city at a tenth of its size: what it must contain, on both databases."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from canteen import clock, config
from canteen.auth.models import Person
from canteen.commands import demo as command
from canteen.demo import access_data, calendar, database, elders, plants
from canteen.demo.database import AlreadyBuilding, NoDemoInProduction, NotADemo
from canteen.demo.sites import SITES
from canteen.events import breaks
from canteen.ledger.models import Period
from canteen.places import Installation
from canteen.pos.models import Record, Sale, Void
from canteen.registry.models import CardCode
from canteen.rulebooks.models import RulebookDraft, Simulation
from canteen.ruledesk.editor import drafts
from canteen.ruledesk.simulation import simulation_jobs
from canteen.settlement.audit import verify
from canteen.settlement.claims import claims
from canteen.settlement.models import Claim, ClaimLine, Finding, Payout, PayoutCheck
from tests.demo.conftest import SEED, SIZE, TODAY, City

STORY = calendar.story(TODAY)


def _figures(session: Any) -> dict[str, list[tuple[Any, ...]]]:
    """All that must be the same for the same seed, day and size."""
    sales = select(Sale.contract_id, Sale.service_day, func.count(), func.sum(Sale.list_fen), func.sum(Sale.due_fen))
    lines = select(
        Claim.number, ClaimLine.kind, ClaimLine.fund, ClaimLine.service_month, ClaimLine.meals, ClaimLine.fen
    )
    found = {
        "sales": sales.group_by(Sale.contract_id, Sale.service_day).order_by(Sale.contract_id, Sale.service_day),
        "elders": select(Sale.elder_id, func.count()).group_by(Sale.elder_id).order_by(Sale.elder_id),
        "lines": lines.join(Claim, Claim.id == ClaimLine.claim_id).order_by(Claim.number, ClaimLine.n),
        "findings": select(Finding.code, Finding.fen, Finding.body).order_by(Finding.code),
        "voids": select(Void.sale_id, Void.refund_fen).order_by(Void.sale_id),
    }
    return {name: sorted(map(tuple, session.execute(query)), key=str) for name, query in found.items()}


def test_the_same_seed_day_and_size_give_the_same_figures(cities: dict[str, City]) -> None:
    figures = []
    for made in cities.values():
        with made.opened() as session:
            figures.append(_figures(session))
    assert figures[0]["sales"]
    assert figures[0] == figures[1]


def test_each_finding_is_planted_once_and_nothing_else_found(city: City) -> None:
    with city.opened() as session:
        rows = session.execute(select(Finding.code, Period.from_day).join(Period, Period.id == Finding.period_id)).all()
    assert sorted(code for code, _ in rows) == sorted(
        ("price_differs", "excess_slot", "gap", "fork", "clock", "after_death", "payment_differs")
    )
    assert {day for _, day in rows} == {STORY.closed[2].first}


def test_the_unusual_but_right_is_booked_and_not_found(city: City) -> None:
    people = elders.draw(SEED, TODAY, SIZE.elders, elders.homes([site.street for site in SITES]))
    roles = plants.cast(people, TODAY)
    with city.opened() as session:
        accused = set(session.execute(select(Finding.sale_id)).scalars())
        eaten = {
            role: list(session.execute(select(Sale.id).where(Sale.elder_id == one.id)).scalars())
            for role, one in roles.items()
            if "near" in role or role == "outside"
        }
    assert {role: len(sales) for role, sales in eaten.items()} == dict.fromkeys(eaten, 1) | {"excess_near": 3}
    assert not accused & {sale for sales in eaten.values() for sale in sales}


def test_each_finding_names_the_sale_of_its_player(city: City) -> None:
    people = elders.draw(SEED, TODAY, SIZE.elders, elders.homes([site.street for site in SITES]))
    roles = plants.cast(people, TODAY)
    playing = {"price_differs": "price", "excess_slot": "excess", "clock": "clock", "after_death": "death"}
    with city.opened() as session:
        rows = session.execute(select(Finding.code, Sale.elder_id).join(Sale, Sale.id == Finding.sale_id))
        named: dict[str, uuid.UUID | None] = dict(rows.all())
    assert {code: named[code] for code in playing} == {code: roles[role].id for code, role in playing.items()}


def test_every_closed_period_passes_the_recomputation(city: City) -> None:
    with city.opened() as session:
        closed = list(session.execute(select(Period.id).where(Period.state == "closed")).scalars())
        session.rollback()
        assert len(closed) == 3 * len(SITES)
        assert {number: verify.period(number).differences for number in closed} == dict.fromkeys(closed, ())


def test_claims_are_paid_in_review_or_drafts_by_age(city: City) -> None:
    with city.opened() as session:
        states: dict[date, list[str]] = {}
        for number, first in session.execute(select(Claim.id, Claim.from_day).order_by(Claim.id)).all():
            states.setdefault(first, []).append(claims.state(session, number))
        payouts = session.execute(select(func.count()).select_from(Payout)).scalar_one()
        confirmed = session.execute(select(func.count()).where(PayoutCheck.outcome == "confirmed")).scalar_one()
    oldest, middle, newest = (states[month.first] for month in STORY.closed)
    assert set(oldest) <= {"paid", "settled"}
    assert payouts == confirmed == oldest.count("paid") > 0
    assert set(middle) == {"submitted", "reviewed", "returned"}
    assert set(newest) == {"draft"}


def test_late_meals_and_late_voids_are_in_the_next_claim(city: City) -> None:
    with city.opened() as session:
        kinds = select(ClaimLine.kind, ClaimLine.fen).join(Claim).where(Claim.from_day == STORY.closed[1].first)
        rows = session.execute(kinds).all()
    assert any(kind == "supplement" and fen > 0 for kind, fen in rows)
    assert any(kind == "adjustment" and fen < 0 for kind, fen in rows)


def test_nothing_is_quarantined_and_the_chain_is_unbroken(city: City) -> None:
    with city.opened() as session:
        assert not list(session.execute(select(Record.reason).where(Record.state == "quarantined")).scalars())
        assert not list(breaks(session))
        assert session.execute(select(Installation.demo)).scalar_one() is True


def test_demo_accounts_are_marked_for_production_to_refuse(city: City) -> None:
    with city.opened() as session:
        logins = list(session.execute(select(Person.login)).scalars())
    assert len(logins) == 18
    assert all(login.startswith("demo-") for login in logins)


def test_cards_are_on_paper_and_their_codes_destroyed(city: City) -> None:
    assert city.cards.read_bytes().startswith(b"%PDF")
    with city.opened() as session:
        rows = session.execute(select(CardCode.batch, func.count()).group_by(CardCode.batch)).all()
    assert [tuple(row) for row in rows] == [("demo-rest", SIZE.elders - 30)]


def test_a_build_that_ends_badly_leaves_nothing_behind(tmp_path: Path) -> None:
    settings = replace(config.from_environment({"CANTEEN_DATA": str(tmp_path)}), demo=True)
    with pytest.raises(RuntimeError, match="power cut"), database.building(settings):
        raise RuntimeError("power cut")
    assert not (tmp_path / "canteen.db").exists()
    assert not database.stands(settings)


def test_only_one_process_builds_at_a_time(tmp_path: Path) -> None:
    settings = replace(config.from_environment({"CANTEEN_DATA": str(tmp_path)}), demo=True)
    with database.building(settings):
        side = list(tmp_path.glob(".canteen.db.building*"))
        with pytest.raises(AlreadyBuilding), database.building(settings):
            pass
        assert list(tmp_path.glob(".canteen.db.building*")) == side != []
    assert (tmp_path / "canteen.db").exists()


def test_a_failed_rebuild_leaves_the_printed_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_seed: int, _today: date, cards: Path, *_: object) -> None:
        cards.parent.mkdir(exist_ok=True)
        cards.write_bytes(b"half")
        raise RuntimeError("power cut")

    settings = replace(config.from_environment({"CANTEEN_DATA": str(tmp_path)}), demo=True)
    access_data.cards_of(settings).parent.mkdir()
    access_data.cards_of(settings).write_bytes(b"whole")
    monkeypatch.setattr(command, "build_city", fail)
    with pytest.raises(RuntimeError, match="power cut"):
        command.build_anew(settings, SEED, TODAY, SIZE)
    assert access_data.cards_of(settings).read_bytes() == b"whole"


def test_a_database_that_is_no_demo_is_never_built_over(sqlite_url: str, tmp_path: Path) -> None:
    settings = config.from_environment({"CANTEEN_DATABASE_URL": sqlite_url, "CANTEEN_DATA": str(tmp_path)})
    with pytest.raises(NotADemo), database.building(settings, anew=True):
        pass


def test_production_has_no_demo(tmp_path: Path) -> None:
    settings = replace(config.from_environment({"CANTEEN_DATA": str(tmp_path)}), production=True)
    with pytest.raises(NoDemoInProduction):
        database.stands(settings)


def test_a_demo_that_stands_is_left_alone(city: City) -> None:
    before = clock.now()
    assert database.stands(city.config)
    with city.opened() as session:
        assert session.execute(select(Installation.made_at)).scalar_one() < before


def test_a_draft_and_its_simulation_are_at_the_rule_desk(city: City) -> None:
    with city.opened() as session:
        draft = session.execute(select(RulebookDraft)).scalar_one()
        simulated = session.execute(select(Simulation)).scalar_one()
        found = simulation_jobs.result(simulated)
        states, yaml = (draft.state, simulated.state), draft.yaml
    document, faults = drafts.check(yaml)
    assert (states, faults, yaml.startswith("# 征求意见稿的读法")) == (("open", "done"), [], True)
    assert document is not None
    assert found is not None
    assert found["open"] == 0
    assert found["meals"] > 0
    assert found["subsidy"][1] >= found["subsidy"][0] > 0
    assert [one["fund"] for one in found["budgets"]] == ["demo.city"]
