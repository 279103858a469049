"""A closed period speaks by the names of its close: whatever is renamed later, its documents and pages stay as they are."""

from __future__ import annotations

import json
import uuid
from datetime import date
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from canteen import clock, events, invariants, names
from canteen.auth.models import Person, Tablet
from canteen.db import transaction
from canteen.places import Area, Canteen, Operator, Payee
from canteen.registry.models import ElderIdentity
from canteen.settlement.audit import verify
from canteen.settlement.claims import payouts, review, steps, workflow
from canteen.settlement.closing import close, parties, statement
from canteen.settlement.desk import exports
from canteen.settlement.models import Statement
from tests import world
from tests.auth.house import Browser, a_person
from tests.invariants.test_constraints import drop_trigger, owner, run
from tests.settlement.conftest import RULES, Town, at, fresh

__all__ = ["owner"]
JAN5, JAN6, FEB = date(2026, 1, 5), date(2026, 1, 6), date(2026, 2, 6)


def close_january(town: Town) -> int:
    """January closed, one of its meals struck out, its claim paid; answers the claim."""
    sale = town.sell(JAN5, town.cards[0])[0]
    town.sell(JAN6, town.cards[0])
    town.close("2026-01")
    claim_id = town.claim("2026-01").id
    with clock.at(at(FEB)):
        review.withhold(claim_id, uuid.UUID(sale), "disallowed", reason="查无此人", by="p-street")
        for act, by in zip(steps.ORDER, ("p-manager", "p-street", "p-finance", "p-chief2"), strict=True):
            workflow.move(claim_id, act, by=by)
        entered = payouts.enter(claim_id, voucher="2026-01", paid_on=FEB, by="p-pay")
        payouts.check(entered, "confirmed", by="p-check")
    return claim_id


def rename_everything(town: Town) -> None:
    """Canteen, operator, payee with bank and account, district, tablet, every clerk, the elder, and the fund."""
    with clock.at(at(date(2026, 2, 20))):
        with transaction() as session:
            for table in (Canteen, Operator, Payee, Area, Tablet, Person):
                for row in session.execute(select(table)).scalars():  # type: ignore[attr-defined]
                    row.name = f"新{row.name}"
            for payee in session.execute(select(Payee)).scalars():
                payee.bank, payee.account_tail, payee.account_cipher = "新银行", "9999", b"y"
            number = events.record(session, "elder.identity", "x", by="p-admin")
            known = session.execute(select(ElderIdentity)).scalars().one()
            session.add(
                ElderIdentity(
                    elder_id=known.elder_id, name="新姓名", pinyin="", document=known.document, number_cipher=known.number_cipher,
                    number_masked="", phone_cipher=None, recorded=number,
                )
            )  # fmt: skip
        world.a_rulebook(town.session, RULES.replace("name: 市级", "name: 新市级"), from_day=date(2026, 3, 1))


def exported(claim_id: int, folder: Path) -> list[str]:
    """The hashes of the claim's file, for each kind of reader."""
    readers = [(insider, accounts) for insider in (True, False) for accounts in (True, False)]
    return [exports.claim(claim_id, folder / "x.xlsx", insider=one, accounts=other).hash for one, other in readers]


def test_a_settled_month_s_file_is_the_same_after_every_rename(town: Town, tmp_path: Path) -> None:
    claim_id = close_january(town)
    before = exported(claim_id, tmp_path)

    rename_everything(town)

    assert exported(claim_id, tmp_path) == before
    assert verify.period(town.claim("2026-01").period_id).differences == ()


def test_the_statement_names_who_it_is_of_under_its_hash(town: Town) -> None:
    close_january(town)
    body, hash_ = town.session.execute(select(Statement.body, Statement.hash)).one()
    assert json.loads(body)["names"] == {
        "account_tail": "0001", "bank": "工商银行", "canteen": "康乐食堂", "district": "朝阳区", "funds": {"city": "市级"},
        "operator": "康乐餐饮", "payee": "康乐餐饮",
    }  # fmt: skip
    rename_everything(town)

    again = statement.body(close.compute(town.claim("2026-01").period_id))

    assert (again, statement.digest(again)) == (body, hash_)


def test_a_name_that_differs_from_the_statement_is_found(town: Town, owner: Any) -> None:
    close_january(town)
    drop = "update" if owner.dialect.name == "sqlite" else "change"
    drop_trigger(owner, f"law_name_entry_no_{drop}")
    town.session.rollback()
    run(owner, "UPDATE name_entry SET name = '别的食堂' WHERE kind = 'canteen'")

    found = verify.period(town.claim("2026-01").period_id).differences

    assert [one.code for one in found] == ["names"]


def test_without_its_trigger_a_new_name_would_be_lost(town: Town, owner: Any, session: Session) -> None:
    session.rollback()
    for trigger in invariants.wanted(owner.dialect.name):
        if trigger.startswith("law_canteen_named") and not trigger.endswith("_new"):
            drop_trigger(owner, trigger)
    with transaction():
        session.get_one(Canteen, "c1").name = "改名"

    assert names.of(session, "canteen", ["c1"]).at("c1") == "康乐食堂"


def test_names_are_shown_as_of_any_event(town: Town, session: Session) -> None:
    first = world.event(session)
    with transaction():
        session.get_one(Canteen, "c1").name = "二号"
    second = world.event(session)
    with transaction():
        session.get_one(Canteen, "c1").seats = 7  # no name: no entry
    known = names.of(session, "canteen", ["c1", "c9"])

    assert [known.at("c1", number) for number in (0, first, second, None)] == ["康乐食堂", "康乐食堂", "二号", "二号"]
    assert len(known.entries["c1"]) == 2
    assert known.at("c9") == "c9"


PAGES = ("", "/lines/1", "/findings")


def test_pages_of_a_closed_month_show_old_and_present_names(app: Flask, town: Town, session: Session) -> None:
    with clock.at(at(JAN5, 8)):
        a_person("maker", ("finance", "area", world.CITY))
    close_january(town)
    rename_everything(town)
    session.rollback()
    number, desk = "/desk/claims/k1-202601", Browser(app.test_client())
    sale = town.session.execute(text("SELECT id FROM sale ORDER BY service_day LIMIT 1")).scalar_one()
    town.session.rollback()
    pages = (*(number + one for one in PAGES), "/desk/claims", f"/desk/meals/{sale}")

    with clock.at(at(date(2026, 2, 21))):  # no other period is over: those show their present names
        desk.log_in("maker")
        shown = {page: desk.get(page).text for page in pages}
        paid = desk.get("/desk/payouts").text

    assert "现名：新康乐食堂" in shown[number]
    main = {page: body[body.index("<main") :].replace("现名：新康乐食堂", "") for page, body in shown.items()}
    assert not [page for page, body in main.items() if "新" in body]
    assert all("康乐食堂" in body for body in main.values())
    assert "新康乐食堂" not in paid
    assert "p-pay /" in paid


def test_parties_of_many_claims_are_read_as_of_their_own_close(town: Town) -> None:
    town.sell(JAN5, town.cards[0])
    town.close("2026-01")
    with clock.at(at(date(2026, 2, 10))), transaction() as session:
        session.get_one(Canteen, "c1").name = "二号"
    town.close("2026-02")
    january, february = town.claim("2026-01").id, town.claim("2026-02").id

    found = parties.of_claims(fresh(), [january, february])

    assert (found[january].canteen, found[february].canteen) == ("康乐食堂", "二号")
