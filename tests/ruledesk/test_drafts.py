"""A clerk's input is stored whole or refused: no row is lost, nothing is submitted without its source."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from canteen import clock
from canteen.db import db, transaction
from canteen.places import Area, AreaLink
from canteen.rulebooks import publications, yaml_reader, yaml_writer
from canteen.ruledesk.editor import drafts, form_input, forms
from canteen.ruledesk.editor.preview import Asked, BadPreview, preview_meal
from canteen.ruledesk.proposal import Proposal
from canteen.ruledesk.publication import gate as desk
from tests import world
from tests.ruledesk.test_desk import MORE, enter, publish, town, version  # noqa: F401
from tests.settlement.conftest import Town, at


def of_rules(number: int) -> str:
    head, between, rule = MORE.partition("    rules:\n")
    return head + between + "".join(rule.replace("id: aged", f"id: r{n}") for n in range(number))


def as_sent(text: str) -> dict[str, str]:
    form = forms.form_of(yaml_reader.tree(text))
    assert form is not None
    return dict(form_input.of_mapping(form))


def test_a_form_with_too_many_rows_loses_none_of_them(enter, session: Session) -> None:  # noqa: ANN001, F811
    maker = enter("maker")
    number = drafts.start(of_rules(75), "草稿", layer="city", node_id=world.CITY, by="id-maker")
    page = f"/desk/ruledesk/drafts/{number}"

    assert maker.post(page, **as_sent(of_rules(75)), act="save", seen="0").status_code == 302
    assert drafts.find(session, number).yaml == of_rules(75)
    session.rollback()
    refused = maker.post(page, **as_sent(of_rules(120)), act="save", seen="1")
    assert (refused.status_code, "没有保存" in refused.text) == (422, True)
    assert drafts.find(session, number).yaml == of_rules(75)
    session.rollback()
    assert maker.post(page, **{"act": "try", f"stages-{'9' * 5000}-id": "x"}).status_code == 200


def test_leaving_the_form_for_yaml_or_simulation_keeps_the_input(
    enter,  # noqa: ANN001, F811
    session: Session,
) -> None:
    maker = enter("maker")
    number = drafts.start(MORE, "草稿", layer="city", node_id=world.CITY, by="id-maker")
    page = f"/desk/ruledesk/drafts/{number}"
    for seen, (act, title, onward) in enumerate(
        (("yaml", "甲", f"{page}/yaml?"), ("simulate", "乙", "/desk/ruledesk/simulations?"), ("save", "丙", f"{page}?"))
    ):
        answer = maker.post(page, **{**as_sent(MORE), "title": title}, act=act, seen=str(seen))
        assert answer.location.startswith(onward)
        assert f"title: {title}\n" in maker.get(f"{page}/yaml").text
    answer = maker.post(f"{page}/yaml", yaml=MORE.replace("测试标准", "丁"), act="form", seen="3")
    assert answer.location.startswith(f"{page}?")
    assert 'value="丁"' in maker.get(answer.location).text


def test_a_stale_form_is_neither_previewed_nor_saved(enter) -> None:  # noqa: ANN001, F811
    maker = enter("maker")
    number = drafts.start(MORE, "草稿", layer="city", node_id=world.CITY, by="id-maker")
    drafts.save(number, MORE.replace("6.50", "7.00"), seen=0, by="id-maker")
    page = f"/desk/ruledesk/drafts/{number}?done=saved"
    for act in ("try", "save"):
        answer = maker.post(page, **as_sent(MORE), act=act, seen="0")
        assert "在别的窗口里改过了" in answer.text
        assert "草稿已保存" not in answer.text
    assert "请付5.50元" in maker.post(page, **as_sent(MORE), act="try", seen="1").text


@pytest.mark.parametrize("escape", [r"\ud800", r"\0", r"\x07"])
def test_unstorable_characters_are_located(escape: str) -> None:
    document, (fault,) = drafts.check(MORE.replace("title: 测试标准", f'title: "标准{escape}"'))
    assert document is None
    assert (fault.line, fault.code) == (3, "bad_character")


@pytest.mark.parametrize("mark", ["\x85", "\u2028", "\u2029"])
def test_foreign_line_ends_are_written_as_they_are_read(mark: str) -> None:
    tree = {"title": f"甲{mark}乙", "of": [f"甲{mark}乙"]}
    assert yaml_reader.tree(yaml_writer.dump(tree)) == tree
    assert yaml_reader.tree(f"title: {yaml_writer.inline(tree['title'])}") == {"title": tree["title"]}


def test_a_draft_that_does_not_name_its_source_is_not_submitted(enter, session: Session) -> None:  # noqa: ANN001, F811
    maker = enter("maker")
    made = maker.post("/desk/ruledesk/drafts", title="新", scheme="new", place=f"city/{world.CITY}", template="plain")
    text = drafts.find(session, int(made.location.rpartition("/")[2])).yaml
    session.rollback()
    assert "还没有写明依据的文件" in maker.get(made.location).text

    answer = maker.post(made.location, **as_sent(text), act="submit", seen="0")
    assert (answer.status_code, "填写文件名称和文号" in answer.text) == (422, True)
    named = {**as_sent(text), "source": "民发〔2026〕1 号"}
    assert "/versions/" in maker.post(made.location, **named, act="submit", seen="1").location


def test_an_elder_is_previewed_on_any_day(town: Town) -> None:  # noqa: F811
    workdays = MORE.replace("{age: {from: 60}}", "{age: {from: 60}, day_kind: [workday, makeup]}")
    proposal = Proposal("city", world.CITY, yaml_reader.read(workdays))
    saturday = date(2026, 3, 7)
    due = [preview_meal(town.session, proposal, None, Asked(day=day), saturday).quote.due for day in ("", "2026-03-09")]
    assert due == [1200, 550]
    with pytest.raises(BadPreview):
        preview_meal(town.session, proposal, None, Asked(day="下周一"), saturday)


def test_a_functional_area_has_rulebooks_as_a_district_has(enter, town: Town) -> None:  # noqa: ANN001, F811
    with transaction() as session:
        session.add(Area(id="220171", name="高新区", level="functional"))
        session.flush()
        for child, parent in (("220171", world.CITY), (world.COMMUNITY, "220171")):
            session.add(AreaLink(area_id=child, parent_id=parent, from_day=date(2020, 1, 1), to_day=None))
    maker = enter("maker")
    assert "功能区 · 高新区" in maker.get("/desk/ruledesk").text
    made = maker.post("/desk/ruledesk/drafts", title="新", scheme="new", place="district/220171", template="plain")
    assert made.status_code == 302
    assert maker.post("/desk/ruledesk/drafts", title="新", place="street/220171", template="plain").status_code == 404
    added = MORE.replace("test-city", "zone").replace("city, name", "zone, name").replace("fund: city", "fund: zone")
    digest = version(added)
    with clock.at(at(date(2026, 2, 10))):
        assert publish(digest, date(2026, 3, 1), layer="district", node="220171")


def test_meals_eaten_today_keep_today_s_price(town: Town) -> None:  # noqa: F811
    digest, today = version(MORE), date(2026, 1, 7)
    with clock.at(at(today, 13)):
        with pytest.raises(desk.BackDated):
            publish(digest, today)
        publish(digest, date(2026, 1, 8))


# --- two at once ---


def at_once(app: Flask, *acts: Callable[[], object]) -> list[str]:
    """Run acts at the same moment; return 'done' or the kind of refusal of each, sorted."""
    together, outcomes = threading.Barrier(len(acts)), list[str]()

    def go(act: Callable[[], object]) -> None:
        with app.app_context():
            together.wait()
            try:
                act()
                outcomes.append("done")
            except Exception as error:  # noqa: BLE001 - whatever is raised is reported
                outcomes.append(type(error).__name__)
            finally:
                db.session.remove()

    threads = [threading.Thread(target=go, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(outcomes)


def test_of_two_publications_at_once_one_is_refused(app: Flask, town: Town) -> None:  # noqa: F811
    one, other = version(MORE), version(MORE.replace("6.50", "6.70"))
    day = clock.today() + timedelta(days=3)
    town.session.rollback()
    outcomes = at_once(app, lambda: publish(one, day), lambda: publish(other, day), lambda: publish(one, day, "p-3"))
    assert outcomes.count("done") == 1
    assert set(outcomes) <= {"done", "PublishedMeanwhile", "PublishedThatDay"}


def test_a_publication_during_the_gate_check_is_checked_too(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    one, other = version(MORE), version(MORE.replace("6.50", "6.70"))
    day = clock.today() + timedelta(days=3)

    def slow(*asked: Any) -> publications.Seen:
        seen = desk.look(*asked)
        monkeypatch.setattr(publications, "_gates", [desk.look])
        publish(other, day + timedelta(days=1))
        return seen

    monkeypatch.setattr(publications, "_gates", [slow])
    with pytest.raises(publications.PublishedMeanwhile):
        publish(one, day)


def test_a_draft_submitted_twice_at_once_is_one_complete_version(app: Flask, town: Town) -> None:  # noqa: F811
    number = drafts.start(MORE, "草稿", layer="city", node_id=world.CITY, by="p-admin")
    twin = drafts.start(MORE, "草稿", layer="city", node_id=world.CITY, by="p-admin")
    later = MORE.replace("6.50", "7.00")
    outcomes = at_once(
        app,
        lambda: drafts.submit(number, by="p-admin"),
        lambda: drafts.submit(number, by="p-admin"),
        lambda: drafts.save(number, later, seen=0, by="p-admin"),
        lambda: drafts.submit(twin, by="p-admin"),
    )
    assert set(outcomes) == {"done", "NoDraft"}
    row = drafts.find(town.session, number)
    assert row.hash is not None
    assert drafts.version(town.session, row.hash).yaml == row.yaml
