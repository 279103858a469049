"""The rule desk on a real session: drafts, previews, replays, publishing by two people, the calendar of holidays."""

from __future__ import annotations

import io
import re
from datetime import date
from typing import Any

import pytest
from flask import Flask
from python_calamine import CalamineWorkbook
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import calendars, clock, events, jobs, places
from canteen.auth import humans
from canteen.db import transaction
from canteen.pos import pricing
from canteen.rulebooks import layers, publications, yaml_reader
from canteen.rulebooks.models import Publication, PublicationFile, Simulation
from canteen.ruledesk.editor import drafts
from canteen.ruledesk.editor.preview import Asked, preview_meal
from canteen.ruledesk.proposal import Layers, Proposal
from canteen.ruledesk.publication import gate as desk
from canteen.ruledesk.simulation import meal_replay, simulation_jobs
from canteen.settlement.closing import schedule
from tests import world
from tests.auth.house import Browser, a_person
from tests.rigs.states import state
from tests.settlement.conftest import MADE, Town, at, people

JAN5, JAN6, JAN7 = date(2026, 1, 5), date(2026, 1, 6), date(2026, 1, 7)
MORE = world.GUARDED.replace("less: 5.00", "less: 6.50")
MONTHLY = world.LIMITED.replace("title: 测试标准", "title: 测试标准（每月限额）")
BUDGET = world.GUARDED.replace(
    "{id: city, name: 市级, payer: subsidy}",
    "{id: city, name: 市级, payer: subsidy, budget: {limit: 9.00, window: month, at_end: stop}}",
)


@state
def town(app: Flask, session: Session) -> Town:
    with clock.at(MADE):
        till = world.make(session)
        world.a_rulebook(session)
        people(session, "p-manager")
    made = Town(till, session)
    made.elder()
    made.elder(born=date(1963, 5, 1), classes=["dibao"])
    for day in (JAN5, JAN6, JAN7):
        made.sell(day, *made.cards)
    return made


def replay(text: str, *, layer: str = "city", node: str = world.CITY) -> dict[str, Any]:
    return meal_replay.run(yaml_reader.read(text), layer, node, ["2026-01"], lambda _done, _total: True)


# --- replaying ---


def test_replaying_the_rulebook_in_force_costs_what_was_booked(town: Town) -> None:
    found = replay(world.GUARDED)

    assert (found["meals"], found["changed"], found["open"]) == (6, 0, 0)
    assert found["subsidy"] == [3000, 3000]
    assert found["due"] == [4200, 4200]
    assert found["people"] == {"gain": [0, 0], "lose": [0, 0], "same": [2, 0]}


def test_a_draft_is_costed_by_fund_place_age_and_class(town: Town) -> None:
    found = replay(MORE)

    assert found["funds"] == {"city": [3000, 3900, "subsidy"]}
    assert found["by"]["district"] == {world.DISTRICT: [6, 3000, 3900]}
    assert found["by"]["canteen"] == {"c1": [6, 3000, 3900]}
    assert found["by"]["age"] == {"60–69 岁": [3, 1500, 1950], "80–89 岁": [3, 1500, 1950]}
    assert found["by"]["class"] == {"": [3, 1500, 1950], "dibao": [3, 1500, 1950]}
    assert found["people"]["gain"] == [2, 900]
    assert [one["fen"] for one in found["most_gain"]] == [450, 450]


def test_limits_are_used_up_in_the_order_of_meals(town: Town) -> None:
    found = replay(MONTHLY)  # twelve yuan a month each: 5 + 5 + 2

    assert found["subsidy"] == [3000, 2400]
    assert [found["by"]["day"][day.isoformat()][2] for day in (JAN5, JAN6, JAN7)] == [1000, 1000, 400]


def test_the_day_a_budget_would_end_is_named(town: Town) -> None:
    (budget,) = replay(BUDGET)["budgets"]
    assert budget == {"fund": "city", "from": "2026-01-01", "limit": 900, "used": 900, "ended": "2026-01-05"}


def test_a_voided_meal_is_not_replayed(town: Town) -> None:
    sale = town.sell(date(2026, 1, 8), town.cards[0])[0]
    town.void(sale, at(date(2026, 1, 8), 12))
    assert replay(MORE)["meals"] == 6


def test_a_meal_is_left_open_where_the_past_has_no_fact_for_it(town: Town) -> None:
    asks = MORE.replace("when: {age: {from: 60}}", "when: {level: {scale: care, from: 2}}")
    found = replay(asks)
    assert (found["meals"], found["open"], found["open_why"]) == (0, 6, {"level": 6})


def test_a_simulation_runs_once_and_can_be_cancelled(town: Town) -> None:
    document = yaml_reader.read(MORE)
    asked = {"layer": "city", "node_id": world.CITY, "over": ["2026-01"], "by": "p-admin"}
    first, second = (simulation_jobs.ask(document, **asked) for _ in range(2))  # type: ignore[arg-type]
    simulation_jobs.cancel(second)

    outcomes = schedule.on_request(jobs.holder_name())

    assert outcomes == {f"rules.simulate/{first}": "done"}
    assert schedule.on_request(jobs.holder_name()) == {}
    town.session.expire_all()
    row = town.session.get_one(Simulation, first)
    assert (row.state, row.meals) == ("done", 6)
    found = simulation_jobs.result(row)
    assert found is not None
    assert found["subsidy"] == [3000, 3900]
    assert town.session.get_one(Simulation, second).state == "cancelled"
    with pytest.raises(simulation_jobs.IsOver):
        simulation_jobs.cancel(first)


def test_a_running_replay_stops_when_it_is_cancelled(town: Town) -> None:
    def cancelled(done: int, _total: int) -> bool:
        return done == 0

    with pytest.raises(meal_replay.Cancelled):
        meal_replay.run(yaml_reader.read(MORE), "city", world.CITY, ["2026-01"], cancelled)


# --- publishing ---


def version(text: str) -> str:
    return publications.draft(text, by="p-admin")


def publish(digest: str, day: date, by: str = "p-chief", *, layer: str = "city", node: str = world.CITY) -> int:
    return publications.publish(digest, layer=layer, node_id=node, from_day=day, by=by)


def test_a_second_person_publishes_and_what_was_seen_is_kept(town: Town) -> None:
    digest = version(MORE)
    town.close("2026-01")
    with clock.at(at(date(2026, 2, 10))):
        with pytest.raises(publications.SamePerson):
            publish(digest, date(2026, 2, 11), "p-admin")
        with transaction() as writing:  # another account of the same human being
            events.record(writing, humans.TIED, "p-second", by="system", body={"other": "p-admin"})
        with pytest.raises(publications.SamePerson):
            publish(digest, date(2026, 2, 11), "p-second")
        number = publish(digest, date(2026, 2, 11))

    kept = town.session.get_one(PublicationFile, number)
    assert "减 6.50 元" in kept.diff
    assert '"periods": 1, "days": 31' in kept.gate
    assert '"replayed": 6' in kept.gate
    rates = {
        day: layers.in_force(town.session, "c1", [world.CITY], day).hash
        for day in (date(2026, 2, 10), date(2026, 2, 11))
    }
    assert len(set(rates.values())) == 2


def test_a_back_dated_notice_is_refused_and_nothing_is_published(town: Town) -> None:
    digest = version(MORE)
    with clock.at(at(date(2026, 2, 10))), pytest.raises(desk.BackDated):
        publish(digest, date(2026, 2, 9))
    assert town.session.execute(select(Publication).where(Publication.rulebook_hash == digest)).all() == []


def test_a_version_is_never_in_force_outside_its_own_dates(town: Town) -> None:
    digest = version(MORE.replace("from: 2020-01-01", "from: 2026-03-01"))
    with clock.at(at(date(2026, 2, 10))):
        with pytest.raises(desk.NotFit, match="起始日"):
            publish(digest, date(2026, 2, 28))
        publish(digest, date(2026, 3, 1))


def test_a_district_that_redefines_its_city_s_fund_is_refused(town: Town) -> None:
    lower = world.GUARDED.replace("id: test-city", "id: test-district")
    lower = lower.replace("{id: city, name: 市级, payer: subsidy}", "{id: city, name: 市级, payer: concession}")
    digest = version(lower)
    with clock.at(at(date(2026, 2, 10))), pytest.raises(desk.NotFit, match="test-city"):
        publish(digest, date(2026, 3, 1), layer="district", node=world.DISTRICT)


LOWERS = """\
format: 1
id: test-district
title: 区里先减
source: 测试
from: 2020-01-01
funds:
  - {id: district, name: 区级, payer: subsidy}
stages:
  - id: early
    title: 先减
    order: 1
    rules:
      - {id: r, label: 助餐补贴, reason: 先减一元, clause: 第一条, less: 1.00, fund: district}
"""


def test_a_district_lowering_what_its_city_gives_is_refused(town: Town) -> None:
    ten = MORE.replace("when: {age: {from: 60}}", "when: {age: {from: 60}, bill: {at_least: 12.00}}")
    with clock.at(MADE):
        world.a_rulebook(town.session, ten, from_day=date(2026, 2, 1))
    digest = version(LOWERS)
    canteen = places.canteen(town.session, "c1")
    proposal = Proposal("district", world.DISTRICT, yaml_reader.read(LOWERS))
    preview = preview_meal(town.session, proposal, canteen, Asked(age="70", price="12.00"), date(2026, 2, 12))
    assert preview.above is not None
    assert preview.quote.due > preview.above
    with clock.at(at(date(2026, 2, 10))), pytest.raises(desk.NotFit, match="只能加、不能减"):
        publish(digest, date(2026, 3, 1), layer="district", node=world.DISTRICT)


def test_the_gate_finds_changed_days_of_closed_periods(town: Town) -> None:
    town.close("2026-01")
    proposal = Proposal("city", world.CITY, yaml_reader.read(MORE), date(2026, 1, 6))
    with clock.at(at(date(2026, 2, 10))):
        gate = desk.gate(proposal)
    assert (gate.passes, len(gate.changed), gate.differing) == (False, 26, 4)


def test_layers_proposed_are_joined_as_layers_in_force_are(town: Town) -> None:
    nodes = ("220000", world.CITY, world.DISTRICT, world.STREET, world.COMMUNITY, "c1")
    digest = version(MORE)
    proposed = Layers(town.session, Proposal("city", world.CITY, yaml_reader.read(MORE), date(2026, 3, 1)))
    before = layers.in_force(town.session, "c1", nodes[:-1], date(2026, 2, 28))
    assert proposed.at(nodes, date(2026, 2, 28)).hash == before.hash
    town.session.rollback()
    with clock.at(at(date(2026, 2, 10))):
        publish(digest, date(2026, 3, 1))
    after = layers.in_force(town.session, "c1", nodes[:-1], date(2026, 3, 1))
    assert proposed.at(nodes, date(2026, 3, 1)).hash == after.hash != before.hash


# --- drafts and trying ---


def test_a_draft_is_private_and_two_windows_do_not_overwrite(app: Flask, session: Session) -> None:
    number = drafts.start(MORE, "草稿", layer="city", node_id=world.CITY, by="p-admin")
    drafts.save(number, MORE.replace("测试标准", "新名称"), seen=0, by="p-admin")
    assert drafts.find(session, number).title == "新名称"
    session.rollback()
    with pytest.raises(drafts.ChangedMeanwhile):
        drafts.save(number, MORE, seen=0, by="p-admin")
    with pytest.raises(drafts.NotYours):
        drafts.save(number, MORE, seen=1, by="p-chief")

    digest = drafts.submit(number, by="p-admin")

    assert drafts.version(session, digest).drafted_by == "p-admin"
    session.rollback()
    with pytest.raises(drafts.NoDraft):
        drafts.save(number, MORE, seen=1, by="p-admin")


def test_bad_yaml_answers_line_found_and_expected() -> None:
    document, (fault,) = drafts.check(MORE.replace("less: 6.50", "less: six"))
    assert document is None
    assert (fault.line, fault.found, fault.expected) == (17, "six", "以元为单位的金额，如 3.00")


def test_an_invented_elder_is_previewed_with_the_layers_in_force(town: Town) -> None:
    canteen = places.canteen(town.session, "c1")
    document = yaml_reader.read(
        MORE.replace("test-city", "test-more").replace("city, name", "extra, name").replace("fund: city", "fund: extra")
    )
    proposal = Proposal("district", world.DISTRICT, document)
    asked = Asked(age="82", price="12.00", home=world.COMMUNITY)
    together = preview_meal(town.session, proposal, canteen, asked, JAN7)
    alone = preview_meal(town.session, proposal, canteen, Asked(age="82", price="12.00", alone=True), JAN7)
    assert (together.quote.due, alone.quote.due) == (50, 550)
    assert alone.counter == "原价12.00元，助餐补贴6.50元，请付5.50元。"


# --- the calendar ---


def test_an_entered_day_counts_at_the_next_quote_and_is_undone(town: Town) -> None:
    monday = date(2026, 3, 9)

    def kind() -> str:
        place = pricing.place_at(town.session, "c1", at(monday))
        town.session.rollback()
        return place.day_kind

    with clock.at(at(date(2026, 2, 1))):
        assert kind() == "workday"
        calendars.arrange(monday, monday, "holiday", "庙会", by="p-admin")
        assert kind() == "holiday"
        assert [(one.day, one.origin) for one in calendars.year(town.session, 2026) if one.name == "庙会"] == [
            (monday, "bureau")
        ]
        town.session.rollback()
        calendars.arrange(monday, monday, "", "", by="p-admin")
        assert kind() == "workday"
        with pytest.raises(calendars.DayPassed):
            calendars.arrange(date(2026, 2, 1), monday, "holiday", "", by="p-admin")


def test_an_unannounced_year_is_provisional_until_entered(app: Flask, session: Session) -> None:
    assert not calendars.provisional(session, 2024)
    assert calendars.provisional(session, 2099)
    session.rollback()
    calendars.arrange(date(2099, 10, 1), date(2099, 10, 3), "holiday", "国庆节", by="p-admin")
    assert calendars.provisional(session, 2099)  # other days of the regulation are not spoken of yet
    for first, last in ((date(2099, 1, 1), date(2099, 1, 3)), (date(2099, 5, 1), date(2099, 5, 5))):
        calendars.arrange(first, last, "holiday", "", by="p-admin")
    assert not calendars.provisional(session, 2099)
    assert calendars.kind_on(session, date(2099, 10, 2)) == "holiday"


# --- pages ---


@pytest.fixture
def enter(app: Flask, town: Town):
    a_person("maker", ("admin", "area", world.CITY))
    a_person("chief", ("admin", "area", world.CITY))
    a_person("far", ("admin", "area", world.OTHER_DISTRICT))
    a_person("auditor", ("auditor", "area", world.CITY))

    def log_in(login: str) -> Browser:
        browser = Browser(app.test_client())
        browser.log_in(login)
        return browser

    return log_in


def test_from_a_template_to_a_published_version_by_two_people(enter, session: Session) -> None:  # noqa: ANN001
    maker, chief = enter("maker"), enter("chief")
    made = maker.post(
        "/desk/ruledesk/drafts", title="新办法", scheme="new", place=f"city/{world.CITY}", template="tiers"
    )
    page = maker.get(made.location)
    assert "试一位老人" in page.text
    assert "请付10.00元" in page.text

    submitted = maker.post(f"{made.location}/yaml", yaml=MORE.replace("test-city", "new"), seen="0", act="submit")
    version_url = submitted.location.partition("?")[0]
    assert "减 6.50 元" in chief.get(version_url).text
    place = {"place": f"city/{world.CITY}", "from": date.fromordinal(clock.today().toordinal() + 1).isoformat()}
    assert "不能是同一人" in maker.post(f"{version_url}/publish", **place).text
    published = chief.post(f"{version_url}/publish", **place)
    assert "发布记录" in chief.get(published.location).text
    assert "已结账所属期" in chief.get(published.location).text
    beyond = enter("far").get(published.location).text
    assert "与此前标准的差异" in beyond
    assert "已结账所属期" not in beyond  # figures of meals that another district serves
    assert "将生效" in maker.get("/desk/ruledesk").text


def test_others_drafts_and_simulations_are_as_if_not_there(enter, session: Session) -> None:  # noqa: ANN001
    number = drafts.start(MORE, "草稿", layer="city", node_id=world.CITY, by="id-maker")
    asked = simulation_jobs.ask(
        yaml_reader.read(MORE), layer="city", node_id=world.CITY, over=["2026-01"], by="id-maker"
    )
    chief, far, auditor = enter("chief"), enter("far"), enter("auditor")
    assert chief.get(f"/desk/ruledesk/drafts/{number}").status_code == 404
    assert chief.get(f"/desk/ruledesk/simulations?draft={number}").status_code == 404
    assert far.get(f"/desk/ruledesk/simulations/{asked}").status_code == 404
    assert far.post("/desk/calendar", first="2099-01-01", kind="holiday").status_code == 403
    assert auditor.get("/desk/ruledesk").status_code == 200


def test_readers_of_rulebooks_see_simulations_but_cannot_act(enter, session: Session) -> None:  # noqa: ANN001
    asked = simulation_jobs.ask(
        yaml_reader.read(MORE), layer="city", node_id=world.CITY, over=["2026-01"], by="id-maker"
    )
    auditor = enter("auditor")
    listed, shown = auditor.get("/desk/ruledesk/simulations"), auditor.get(f"/desk/ruledesk/simulations/{asked}")
    assert f"/desk/ruledesk/simulations/{asked}" in listed.text
    assert "开始模拟" not in listed.text
    assert "取消</button>" not in shown.text
    assert auditor.post(f"/desk/ruledesk/simulations/{asked}/cancel").status_code == 403
    place = {"place": f"city/{world.CITY}", "month": "2026-01"}
    assert auditor.post("/desk/ruledesk/simulations", rulebook="", **place).status_code == 403


def test_a_finished_simulation_is_masked_and_exported(enter, session: Session) -> None:  # noqa: ANN001
    number = simulation_jobs.ask(
        yaml_reader.read(MORE), layer="city", node_id=world.CITY, over=["2026-01"], by="id-maker"
    )
    maker = enter("maker")
    assert "取消</button>" in maker.get(f"/desk/ruledesk/simulations/{number}").text
    simulation_jobs.run(number, "here")
    page = maker.get(f"/desk/ruledesk/simulations/{number}")
    assert "李＊＊" in page.text
    assert "李秀英" not in page.text
    assert "30.00 → 39.00" in page.text
    with maker.get(f"/desk/ruledesk/simulations/{number}/export.xlsx") as answer:
        book = CalamineWorkbook.from_filelike(io.BytesIO(answer.data))
    taken = select(events.Event.actor).where(
        events.Event.kind == "simulation.export", events.Event.subject == f"simulation:{number}"
    )
    assert session.execute(taken).scalars().all() == ["id-maker"]
    session.rollback()
    assert book.get_sheet_by_name("按区县").to_python()[1] == ["朝阳区", world.DISTRICT, 6.0, 30.0, 39.0, 9.0]
    for title, sheet in (
        *((title, title) for title in ("按资金", "按区县", "按食堂", "按年龄", "按人员类别")),
        ("补贴逐日数字", "逐日"),
    ):
        rows = book.get_sheet_by_name(sheet).to_python()[1:]
        assert [_shown(row) for row in rows] == _table(page.text, title)


def _shown(row: list[Any]) -> list[str]:
    """Show a row of the workbook as the page does: no code, meals as whole numbers, yuan with two decimals."""
    name = row[0].isoformat() if isinstance(row[0], date) else row[0]
    cells = row[1:] if isinstance(row[1], float) else row[2:]
    meals = [f"{int(cells[0]):,}"] if cells[0] != "" else []
    return [name, *meals, *(f"{cell:,.2f}" for cell in cells[1:])]


def _table(text: str, title: str) -> list[list[str]]:
    """Return the body of the page's table of this caption."""
    found = re.search(rf"<caption[^>]*>{title}</caption>.*?<tbody>(.*?)</tbody>", text, re.DOTALL)
    assert found
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", found[1], re.DOTALL)]


def test_a_number_beyond_any_column_is_simply_not_found(enter, session: Session) -> None:  # noqa: ANN001
    number = drafts.start(MORE, "草稿", layer="city", node_id=world.CITY, by="id-maker")
    maker = enter("maker")
    for large in (str(2**31), "9" * 40, "9" * 5000):
        for page in ("drafts", "publications", "simulations"):
            assert maker.get(f"/desk/ruledesk/{page}/{large}").status_code == 404
        assert maker.get(f"/desk/ruledesk/simulations?draft={large}").status_code == 200
        assert maker.get(f"/desk/calendar?year={large}").status_code == 200
        where = {"place": f"city/{world.CITY}", "month": "2026-01"}
        assert maker.post("/desk/ruledesk/simulations", rulebook=f"draft:{large}", **where).status_code == 404
        assert maker.post(f"/desk/ruledesk/drafts/{number}/yaml", yaml=MORE, seen=large).status_code == 409
        answer = maker.post(f"/desk/ruledesk/drafts/{number}", **{"act": "try", "stages-0-at": large})
        assert answer.status_code == 200
        assert maker.post(f"/desk/ruledesk/drafts/{number}", act=f"drop:funds-{large}", seen=large).status_code == 409


def test_an_invalid_day_is_asked_for_again(enter, session: Session) -> None:  # noqa: ANN001
    digest, chief = version(MORE), enter("chief")
    for wrong in ("", "2026-02-30", "下月"):
        answer = chief.post(
            f"/desk/ruledesk/versions/{digest}/publish", **{"place": f"city/{world.CITY}", "from": wrong}
        )
        assert (answer.status_code, "请填写生效日期" in answer.text) == (422, True)


def test_a_district_named_as_a_city_is_no_place(enter, session: Session) -> None:  # noqa: ANN001
    maker, wrong = enter("maker"), f"city/{world.DISTRICT}"
    sent = {"rulebook": f"version:{version(MORE)}", "month": "2026-01"}
    assert maker.post("/desk/ruledesk/simulations", place=wrong, **sent).status_code == 404
    assert maker.post("/desk/ruledesk/drafts", place=wrong, template="tiers").status_code == 404
