"""A back-dated notice at the desk and from the shell: offered as revaluation, previewed, confirmed by a second person."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from datetime import date

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import cli, clock, jobs
from canteen.config import Config
from canteen.db import db, transaction
from canteen.registry import elders
from canteen.rulebooks import publications
from canteen.rulebooks.models import RevaluationOrder
from canteen.settlement.closing import schedule
from canteen.settlement.models import RevaluedSale
from tests import world
from tests.auth.house import Browser, a_person
from tests.rigs.states import state
from tests.settlement import late
from tests.settlement.conftest import MADE, Town, people

Ran = tuple[int, str, str]
DAYS = {"first": "2026-01-01", "last": "2026-01-31", "reason": late.NOTICE}
PLACE = {"place": f"city/{world.CITY}"}


@state
def town(app: Flask, session: Session) -> Town:
    with clock.at(MADE):
        till = world.make(session)
        world.a_rulebook(session)
        people(session, "p-manager")
    made = Town(till, session)
    made.elder()
    made.sell(date(2026, 1, 12), made.cards[0])
    made.close("2026-01")
    return made


@pytest.fixture
def enter(app: Flask, town: Town) -> Callable[[str], Browser]:
    a_person("maker", ("admin", "area", world.CITY))
    a_person("chief", ("admin", "area", world.CITY))
    a_person("far", ("admin", "area", world.OTHER_DISTRICT))

    def log_in(login: str) -> Browser:
        browser = Browser(app.test_client())
        browser.log_in(login)
        return browser

    return log_in


def test_a_back_dated_notice_needs_a_preview_and_a_second_person(
    enter: Callable[[str], Browser], session: Session
) -> None:
    digest = publications.draft(late.SIX, by="id-maker")
    maker, chief, far = enter("maker"), enter("chief"), enter("far")
    url = f"/desk/ruledesk/versions/{digest}"
    refused = chief.post(f"{url}/publish", **PLACE, **{"from": "2026-01-01"}).text
    assert "请对以前的日期办理“重估”" in refused
    assert "重估预览" in refused

    asked = maker.post(f"{url}/revalue", **PLACE, **DAYS)
    page = asked.location.partition("?")[0]
    assert far.get(page).status_code == 404
    assert "预览完成后才能确认" in chief.get(page).text
    assert chief.post(f"{page}/confirm").status_code == 409
    schedule.on_request(jobs.holder_name())
    shown = chief.get(page).text
    assert "预览（未入账）" in shown
    assert "减 6.00 元" in shown
    assert "1.00" in shown
    assert session.execute(select(RevaluedSale)).all() == []
    session.rollback()
    assert "须由经办人以外" in maker.post(f"{page}/confirm").text
    assert far.post(f"{page}/confirm").status_code == 404
    assert chief.post(f"{page}/confirm").status_code == 302
    schedule.on_request(jobs.holder_name())
    assert "入账结果" in maker.get(page).text
    row = session.execute(select(RevaluedSale)).scalar_one()
    assert (row.outcome, row.refund_fen) == ("booked", 100)
    order = session.get_one(RevaluationOrder, row.revaluation_id)
    assert (order.made_by, order.by) == ("id-maker", "id-chief")
    assert "减 6.00 元" in order.diff
    assert json.loads(order.preview)["funds"] == {"city": [100, 0]}
    listed = f">R{row.revaluation_id} "  # not the bare number: a random token may contain it
    session.rollback()
    assert listed in chief.get("/desk/revaluations").text
    assert listed not in far.get("/desk/revaluations").text


def test_future_days_and_a_missing_reason_are_refused_in_words(enter: Callable[[str], Browser]) -> None:
    digest = publications.draft(late.SIX, by="id-maker")
    chief = enter("chief")
    url = f"/desk/ruledesk/versions/{digest}/revalue"
    assert "都须在今天以前" in chief.post(url, **PLACE, **{**DAYS, "last": clock.today().isoformat()}).text
    assert "都须在今天以前" in chief.post(url, **PLACE, **{**DAYS, "last": "昨天"}).text
    assert "请写明依据" in chief.post(url, **PLACE, **{**DAYS, "reason": "无"}).text
    assert enter("far").post(url, **PLACE, **DAYS).status_code == 404


def test_facts_known_late_are_asked_for_at_the_desk(enter: Callable[[str], Browser], town: Town) -> None:
    elder = town.elders[0]
    with transaction():
        elders.note(town.session, elder, [elders.NewFact("class", "dibao", date(2026, 1, 1))], "p-admin")
    maker, far = enter("maker"), enter("far")
    assert "按迟到登记的信息重估：李＊＊" in maker.get(f"/desk/revaluations?elder={elder}").text
    assert "按迟到登记的信息重估" not in far.get(f"/desk/revaluations?elder={elder}").text
    assert far.post("/desk/revaluations", elder=str(elder), **DAYS).status_code == 404
    asked = maker.post("/desk/revaluations", elder=str(elder), **DAYS)
    assert re.search(r"/desk/revaluations/1\b", asked.location)
    schedule.on_request(jobs.holder_name())
    assert "没有需要补或冲的差额" in maker.get(asked.location).text


@pytest.fixture
def canteen(
    app: Flask, config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ran]:
    """Run `canteen policy revalue notice …` as the shell does: exit code, stdout, stderr."""
    monkeypatch.setenv("CANTEEN_DATABASE_URL", config.database_url)
    monkeypatch.setenv("CANTEEN_DATA", str(config.data_dir))
    monkeypatch.setenv("CANTEEN_KEYS", str(config.keys_dir))
    monkeypatch.setenv("CANTEEN_PRODUCTION", "0")

    def run(*words: str) -> Ran:
        db.session.rollback()
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["canteen", "policy", "revalue", *words])
        code = 0
        try:
            cli.main()
        except SystemExit as done:
            code = int(done.code or 0)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def test_two_clerks_revalue_from_the_shell(canteen: Callable[..., Ran], town: Town) -> None:
    a_person("maker", ("admin", "area", world.CITY))
    a_person("chief", ("admin", "area", world.CITY))
    a_person("far", ("admin", "area", world.OTHER_DISTRICT))
    digest = publications.draft(late.SIX, by="id-maker")
    days = ("2026-01-01", "2026-01-31", "--reason", late.NOTICE)
    assert canteen("notice", digest[:12], world.CITY, *days, "--by", "far")[0] == 1
    code, out, _ = canteen("notice", digest[:12], world.CITY, *days, "--by", "maker", "--json")
    assert (code, json.loads(out)["funds"], json.loads(out)["preview"]) == (0, {"city": [100, 0]}, True)
    code, _, err = canteen("confirm", "1", "--by", "maker")
    assert (code, "same_person" in err) == (1, True)
    code, out, _ = canteen("confirm", "1", "--by", "chief")
    assert (code, "booked: 1 meals, 1 with a difference" in out) == (0, True)
    code, out, _ = canteen("run", "1", "--by", "chief", "--json")
    assert (code, json.loads(out)["left"]) == (0, {"done": 1})
    code, out, _ = canteen("list", "--json")
    assert (code, json.loads(out)[0]["confirmed"]) == (0, True)
