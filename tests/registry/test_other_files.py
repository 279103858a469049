import json
import threading
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock, places
from canteen.auth import change_requests, people, reach
from canteen.auth.models import ChangeLine, Grant, Person
from canteen.db import db, transaction
from canteen.events import Event
from canteen.ledger import periods
from canteen.places import Area, Canteen, Contract, Operator, Payee
from canteen.registry.imports import contracts, import_runs, templates
from canteen.registry.imports.bounds import BadFile
from canteen.registry.imports.canteens import span, week
from canteen.registry.imports.columns import BadCell
from canteen.registry.imports.contracts import Contracts
from canteen.registry.imports.import_report import ImportReport
from canteen.registry.imports.import_runs import KINDS, NothingToApply
from tests.registry.people import CITY, DISTRICT, STREET, confirm_all, some_areas

DAY = date(2026, 6, 1)
CREDIT = "91110000600037341L"  # a code that the standard's own check digit fits


@pytest.fixture(autouse=True)
def areas(session: Session):
    some_areas(session)
    with clock.at(clock.instant(date(2026, 11, 22), 600)):
        yield


def a_file(folder: Path, kind: str, *rows: dict[str, str], name: str = "f.csv") -> Path:
    columns = KINDS[kind].template.columns
    assert all(key in {column.key for column in columns} for row in rows for key in row)
    path = folder / name
    path.write_bytes(
        templates.separated(KINDS[kind].template, [[row.get(column.key, "") for column in columns] for row in rows])
    )
    return path


def apply(session: Session, folder: Path, kind: str, *rows: dict[str, str], name: str = "f.csv") -> ImportReport:
    path = a_file(folder, kind, *rows, name=name)
    session.rollback()
    report = import_runs.apply(path, kind, reach.SYSTEM)
    if kind == "contracts":
        confirm_all(session)
    return report


def faults(
    folder: Path, kind: str, *rows: dict[str, str], within: Sequence[str] | None = None
) -> list[tuple[int, str]]:
    inside = frozenset(within) if within is not None else None
    report = import_runs.check(a_file(folder, kind, *rows, name="bad.csv"), kind, reach.SYSTEM, within=inside)
    return [(fault.row, fault.field) for fault in report.faults]


def area(**values: str) -> dict[str, str]:
    return {"id": "229901002", "name": "新街道", "level": "街道", "parents": DISTRICT, "since": "2026-01-01"} | values


def canteen(**values: str) -> dict[str, str]:
    return {
        "id": "c1",
        "name": "康乐食堂",
        "area": STREET,
        "profile": "城市食堂",
        "seats": "60",
        "opened": "2025-01-01",
        "lunch": "10:30-13:00",
        "week": "周一至周六",
    } | values


def contract(**values: str) -> dict[str, str]:
    return {
        "id": "k1",
        "canteen": "c1",
        "operator": "康乐餐饮有限公司",
        "credit": CREDIT,
        "payee": "桂林街道办事处",
        "bank": "建设银行",
        "account": "6222020200112233445",
        "class": "公建民营",
        "grade": "良好",
        "from": "2026-01-01",
    } | values


# --- areas ---


def test_areas_are_read_in_any_order_of_rows(session: Session, tmp_path: Path):
    rows = [
        area(id="229901002003", name="新社区", level="社区", parents="229901002、JK"),
        area(),
        area(id="JK", name="经开区", level="功能区", parents=CITY),
    ]
    assert apply(session, tmp_path, "areas", *rows).new == 3
    assert set(places.path(session, "229901002003", DAY)) == {"229901002003", "229901002", "JK", DISTRICT, CITY}


def test_an_area_moves_from_a_day_on_and_may_be_renamed(session: Session, tmp_path: Path):
    apply(session, tmp_path, "areas", area())
    moved = area(parents="229902", since="2026-07-01", name="改名街道")
    assert apply(session, tmp_path, "areas", moved, name="b.csv").changed == 1
    assert DISTRICT in places.path(session, "229901002", date(2026, 6, 30))
    assert "229902" in places.path(session, "229901002", date(2026, 7, 1))
    assert DISTRICT not in places.path(session, "229901002", date(2026, 7, 1))
    assert session.get_one(Area, "229901002").name == "改名街道"
    session.rollback()
    assert apply(session, tmp_path, "areas", moved | {"name": "改名街道 "}, name="c.csv").same == 1


def test_a_bad_area_is_named(tmp_path: Path):
    assert faults(tmp_path, "areas", area(parents="1")) == [(2, "上级代码")]
    assert faults(tmp_path, "areas", area(id="229901", level="市", parents="")) == [(2, "级别")]
    assert faults(tmp_path, "areas", area(level="市", parents=DISTRICT)) == [(2, "上级代码")]
    assert faults(tmp_path, "areas", area(), area()) == [(3, "区划代码")]
    assert faults(tmp_path, "areas", area(), within=[STREET]) == [(2, "上级代码")]
    assert faults(tmp_path, "areas", area(), within=[DISTRICT]) == []


def test_an_area_elsewhere_is_not_moved_into_ones_own(session: Session, tmp_path: Path):
    apply(session, tmp_path, "areas", area(id="229902001", parents="229902"))
    taken = area(id="229902001", parents=DISTRICT, since="2026-07-01")
    assert faults(tmp_path, "areas", taken, within=[DISTRICT, STREET]) == [(2, "区划代码")]
    given = area(id="229902001", parents="229902", name="改名街道")
    assert faults(tmp_path, "areas", given, within=[DISTRICT, STREET])[0] == (2, "区划代码")


def test_areas_below_a_bad_row_are_bad_and_the_rest_is_applied(session: Session, tmp_path: Path):
    below = area(id="229901002003", name="新社区", level="社区", parents="229901002")
    under = area(id="229901003", name="好街道")
    report = apply(session, tmp_path, "areas", below, area(parents="999999"), under)
    assert ([(fault.row, fault.field) for fault in report.faults], report.new) == (
        [(2, "上级代码"), (3, "上级代码")],
        1,
    )
    assert session.get(Area, "229901003") is not None


def test_no_area_lies_in_itself_or_in_no_district(tmp_path: Path):
    ring = [area(id=one, level="功能区", parents=other) for one, other in (("JK", "GX"), ("GX", "JK"))]
    assert faults(tmp_path, "areas", *ring) == [(2, "上级代码"), (3, "上级代码")]
    assert faults(tmp_path, "areas", area(parents="")) == [(2, "上级代码")]


# --- canteens ---


def test_a_canteen_serves_as_its_row_says(session: Session, tmp_path: Path):
    assert apply(session, tmp_path, "canteens", canteen()).new == 1
    made = session.get_one(Canteen, "c1")
    assert (made.district_id, made.profile, made.seats) == (DISTRICT, "counter", 60)
    assert [(w.period, w.starts, w.ends, w.grace) for w in places.windows_on(session, "c1", DAY)] == [
        ("lunch", 630, 780, 15)
    ]
    assert places.serves_on(session, "c1", date(2026, 6, 6))
    assert not places.serves_on(session, "c1", date(2026, 6, 7))


def test_offline_days_follow_the_canteens_kind_by_default(session: Session, tmp_path: Path):
    rows = [canteen(), canteen(id="c2", profile="村级助餐点"), canteen(id="c3", offline="7")]
    apply(session, tmp_path, "canteens", *rows)
    assert [session.get_one(Canteen, each).offline_days for each in ("c1", "c2", "c3")] == [3, 14, 7]
    session.rollback()
    assert apply(session, tmp_path, "canteens", canteen(id="c3"), name="b.csv").same == 1
    assert apply(session, tmp_path, "canteens", canteen(id="c3", offline="5"), name="c.csv").changed == 1
    assert session.get_one(Canteen, "c3").offline_days == 5
    assert faults(tmp_path, "canteens", canteen(offline="61")) == [(2, "可断网天数")]


def test_new_windows_are_valid_from_their_day(session: Session, tmp_path: Path):
    apply(session, tmp_path, "canteens", canteen())
    later = canteen(lunch="11:00-13:30", dinner="16:30-18:30", week="每天", since="2026-06-01")
    assert apply(session, tmp_path, "canteens", later, name="b.csv").changed == 1
    assert places.windows_on(session, "c1", date(2026, 5, 31))[0].starts == 630
    assert [window.starts for window in places.windows_on(session, "c1", DAY)] == [660, 990]
    assert places.serves_on(session, "c1", date(2026, 6, 7))
    session.rollback()
    assert apply(session, tmp_path, "canteens", later | {"name": "康乐食堂 "}, name="c.csv").same == 1


def test_a_bad_canteen_is_named(session: Session, tmp_path: Path):
    assert faults(tmp_path, "canteens", canteen(area="1")) == [(2, "所在区划代码")]
    assert faults(tmp_path, "canteens", canteen(area=CITY)) == [(2, "所在区划代码")]
    assert faults(tmp_path, "canteens", canteen(lunch="13:00-10:30")) == [(2, "午餐时间")]
    assert faults(tmp_path, "canteens", canteen(week="有空")) == [(2, "营业日")]
    assert faults(tmp_path, "canteens", canteen(seats="六十")) == [(2, "座位数")]
    assert faults(tmp_path, "canteens", canteen(), within=["229902"]) == [(2, "所在区划代码")]
    apply(session, tmp_path, "canteens", canteen())
    assert faults(tmp_path, "canteens", canteen(area="229902")) == [(2, "所在区划代码")]


def test_a_meal_period_no_longer_served_ends_the_day_before(session: Session, tmp_path: Path):
    apply(session, tmp_path, "canteens", canteen(dinner="16:30-18:30"))
    stops = canteen(lunch="", dinner="不供应", since="2026-06-01")
    assert apply(session, tmp_path, "canteens", stops, name="b.csv").changed == 1
    assert [w.period for w in places.windows_on(session, "c1", date(2026, 5, 31))] == ["lunch", "dinner"]
    assert [w.period for w in places.windows_on(session, "c1", DAY)] == ["lunch"]
    session.rollback()
    assert apply(session, tmp_path, "canteens", stops | {"name": "康乐食堂 "}, name="c.csv").same == 1
    assert faults(tmp_path, "canteens", stops | {"lunch": "无", "since": "2025-01-01"}) == [
        (2, "午餐时间"),
        (2, "晚餐时间"),
    ]


@pytest.mark.parametrize(
    ("cell", "days"),
    [
        ("每天", "1111111"),
        ("周一至周五", "1111100"),
        ("一三五", "1010100"),
        ("周六、周日", "0000011"),
        ("1111110", "1111110"),
    ],
)
def test_weeks_are_read_as_people_write_them(cell: str, days: str):
    assert week(cell) == days


def test_times_of_day_are_read_in_full_width_too():
    assert span("１０：３０—１３：００") == (630, 780)
    with pytest.raises(BadCell):
        span("25:00-26:00")


# --- closures ---


def closure(**values: str) -> dict[str, str]:
    return {"canteen": "c1", "from": "2026-06-01", "to": "2026-06-03", "reason": "装修"} | values


def test_a_closure_is_for_its_days_and_can_be_shortened(session: Session, tmp_path: Path):
    apply(session, tmp_path, "canteens", canteen(week="每天"))
    assert apply(session, tmp_path, "closures", closure(), name="a.csv").new == 1
    assert [places.serves_on(session, "c1", date(2026, 6, day)) for day in (1, 3, 4)] == [False, False, True]
    session.rollback()
    assert apply(session, tmp_path, "closures", closure(to="2026-06-01"), name="b.csv").changed == 1
    assert places.serves_on(session, "c1", date(2026, 6, 2))
    session.rollback()
    assert apply(session, tmp_path, "closures", closure(to="2026/6/1"), name="c.csv").same == 1


def test_a_bad_closure_is_named(session: Session, tmp_path: Path):
    apply(session, tmp_path, "canteens", canteen())
    assert faults(tmp_path, "closures", closure(canteen="c9")) == [(2, "食堂编号")]
    assert faults(tmp_path, "closures", closure(), within=["229902"]) == [(2, "食堂编号")]
    assert faults(tmp_path, "closures", closure(to="2026-05-31")) == [(2, "停业截止日")]
    assert faults(tmp_path, "closures", closure(), closure()) == [(3, "停业起始日")]
    assert faults(tmp_path, "closures", closure(), closure(**{"from": "2026-06-03"})) == [(3, "停业起始日")]


# --- contracts ---


@pytest.fixture
def with_canteen(session: Session, tmp_path: Path):
    apply(session, tmp_path, "canteens", canteen(), canteen(id="c2", name="长者食堂"))


@pytest.mark.usefixtures("with_canteen")
def test_contracts_share_operator_and_payee_account_sealed(session: Session, tmp_path: Path):
    assert apply(session, tmp_path, "contracts", contract(), contract(id="k2", canteen="c2")).new == 2
    made = places.find_contract(session, "c1", DAY)
    assert (made.canteen_class, made.grade, made.district_id) == ("public_private", "good", DISTRICT)
    assert session.execute(select(Operator.credit_code)).scalars().all() == [CREDIT]
    payee = session.execute(select(Payee)).scalar_one()
    assert payee.account_tail == "3445"
    assert b"6222020200112233445" not in payee.account_cipher


@pytest.mark.usefixtures("with_canteen")
def test_a_contract_once_made_only_ends(session: Session, tmp_path: Path):
    apply(session, tmp_path, "contracts", contract())
    assert faults(tmp_path, "contracts", contract(account="6222020200112233446")) == [(2, "协议编号")]
    assert faults(tmp_path, "contracts", contract(payee="另一单位")) == [(2, "协议编号")]
    assert apply(session, tmp_path, "contracts", contract(to="2026-06-30"), name="b.csv").changed == 1
    follower = contract(id="k2", operator="另一餐饮", credit="", **{"from": "2026-07-01"})
    assert apply(session, tmp_path, "contracts", follower, name="c.csv").new == 1
    assert places.find_contract(session, "c1", date(2026, 7, 1)).id == "k2"
    assert session.execute(select(Contract.to_day).where(Contract.id == "k1")).scalar_one() == date(2026, 6, 30)


@pytest.mark.usefixtures("with_canteen")
def test_a_contract_does_not_end_before_what_is_closed(session: Session, tmp_path: Path):
    apply(session, tmp_path, "contracts", contract())
    with transaction():
        first = periods.gate(session, session.get_one(Contract, "k1"), date(2026, 1, 1))
    with clock.at(clock.instant(first.to_day, 36 * 60)), transaction():
        assert periods.flip(session, first.id)
    assert faults(tmp_path, "contracts", contract(to="2026-01-30")) == [(2, "截止日期")]
    assert apply(session, tmp_path, "contracts", contract(to="2026-01-31"), name="b.csv").changed == 1
    assert apply(session, tmp_path, "contracts", contract(to="2026-01-31", grade=""), name="c.csv").same == 1


@pytest.mark.usefixtures("with_canteen")
def test_a_bad_contract_is_named(tmp_path: Path):
    assert faults(tmp_path, "contracts", contract(credit="91110000600037341X")) == [(2, "统一社会信用代码")]
    assert faults(tmp_path, "contracts", contract(account="6.22202E+18")) == [(2, "收款账号")]
    assert faults(tmp_path, "contracts", contract(canteen="c9")) == [(2, "食堂编号")]
    assert faults(tmp_path, "contracts", contract(), contract(id="k2")) == [(3, "起始日期")]
    assert faults(tmp_path, "contracts", contract(to="2025-12-31")) == [(2, "截止日期")]


@pytest.mark.parametrize("code", ["91220104MF0Y5XGA4W", "N2220104MF0Y5XGA4C", "n2220104mf0y5xga4c"])
def test_credit_codes_of_companies_and_villages_are_read(code: str):
    assert contracts.credit_code(code) == code.upper()


@pytest.mark.parametrize(
    "code", ["N2220104MF0Y5XGA4D", "B2220104MF0Y5XGA4C", "N2220104MF0Y5XGA4", "N222O104MF0Y5XGA4C", ""]
)
def test_a_mistyped_credit_code_is_refused(code: str):
    with pytest.raises(BadCell):
        contracts.credit_code(code)


@pytest.mark.usefixtures("with_canteen")
def test_one_file_ends_a_contract_and_makes_the_next(session: Session, tmp_path: Path):
    apply(session, tmp_path, "contracts", contract())
    follower = contract(id="k2", operator="另一餐饮", credit="", **{"from": "2026-07-01"})
    report = apply(session, tmp_path, "contracts", follower, contract(to="2026-06-30"), name="b.csv")
    assert (report.new, report.changed, report.bad) == (1, 1, 0)
    again = apply(session, tmp_path, "contracts", contract(), follower, name="c.csv")
    assert (again.same, again.bad) == (2, 0)


@pytest.mark.usefixtures("with_canteen")
def test_a_credit_code_is_one_operator(session: Session, tmp_path: Path):
    other = contract(id="k2", canteen="c2", operator="另一餐饮")
    assert faults(tmp_path, "contracts", contract(), other) == [(3, "运营方名称")]
    apply(session, tmp_path, "contracts", contract())
    assert faults(tmp_path, "contracts", other) == [(2, "运营方名称")]


@pytest.mark.usefixtures("with_canteen")
def test_collectives_of_one_name_are_one_only_as_neighbours(session: Session, tmp_path: Path):
    apply(session, tmp_path, "areas", area())
    apply(session, tmp_path, "canteens", canteen(id="c3", area="229901002", opened="2026-01-01"), name="c.csv")
    village = {"operator": "幸福村村民委员会", "credit": ""}
    rows = [contract(id=f"k{at}", canteen=f"c{at}", **village) for at in (1, 2, 3)]
    assert apply(session, tmp_path, "contracts", *rows).new == 3
    one, two, three = session.execute(select(Contract.operator_id).order_by(Contract.id)).scalars()
    assert (one == two, one == three) == (True, False)


@pytest.mark.usefixtures("with_canteen")
def test_two_files_at_once_make_no_two_contracts_for_a_day(
    session: Session, app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    before = contract(id="k0", to="2025-12-31", **{"from": "2025-01-01"})
    apply(session, tmp_path, "contracts", before)  # who is paid is known: no second person is asked
    paths = [
        a_file(tmp_path, "contracts", contract(id=f"k{n}", **{"from": f"2026-0{n}-01"}), name=f"{n}.csv")
        for n in (1, 2)
    ]
    session.rollback()
    planned, ready, outcomes = Contracts.plan, threading.Barrier(2), list[str]()

    def slow(*args: Any) -> Any:
        time.sleep(0.2)
        return planned(*args)

    def desk(path: Path) -> None:
        with app.app_context(), clock.at(clock.instant(date(2026, 11, 22), 600)):
            ready.wait()
            try:
                outcomes.append("applied" if import_runs.apply(path, "contracts", reach.SYSTEM).new else "nothing")
            except NothingToApply:
                outcomes.append("nothing")
            finally:
                db.session.remove()

    monkeypatch.setattr(Contracts, "plan", slow)
    threads = [threading.Thread(target=desk, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["applied", "nothing"]
    assert len(session.execute(select(Contract.id)).scalars().all()) == 2


def new_contract(folder: Path, name: str = "f.csv", **values: str) -> ImportReport:
    """Apply a file of one contract without the second person's answer."""
    return import_runs.apply(a_file(folder, "contracts", contract(**values), name=name), "contracts", "p-admin")


@pytest.mark.usefixtures("with_canteen")
def test_a_contract_with_a_new_account_needs_a_second_person(session: Session, tmp_path: Path):
    report = new_contract(tmp_path)
    assert (report.new, report.waiting) == (1, 1)
    assert session.execute(select(Contract.id)).first() is None
    assert session.execute(select(Payee.id)).first() is None
    (line,) = contracts.shown(session, change_requests.lines_of(session, report.request or 0))
    assert (line.name, line.before) == ("康乐食堂", "没有运营协议")
    assert "桂林街道办事处，建设银行，账号 6222020200112233445" in line.after
    stored = session.execute(select(ChangeLine.asked)).scalar_one()
    assert "6222020200112233445" not in stored
    confirm_all(session)
    assert places.find_contract(session, "c1", DAY).id == "k1"
    body = session.execute(select(Event.actor, Event.body).where(Event.kind == contracts.MADE)).one()
    assert (body[0], json.loads(body[1])) == ("p-admin", {"contracts": ["k1"], "confirmed_by": "p-chief"})


@pytest.mark.usefixtures("with_canteen")
def test_a_renewal_that_pays_the_same_account_waits_for_nobody(session: Session, tmp_path: Path):
    apply(session, tmp_path, "contracts", contract(to="2026-06-30"))
    assert new_contract(tmp_path, "b.csv", id="k2", **{"from": "2026-07-01", "to": "2026-12-31"}).waiting == 0
    assert places.find_contract(session, "c1", date(2026, 7, 1)).id == "k2"
    session.rollback()
    other = new_contract(tmp_path, "c.csv", id="k3", account="6222020200112233446", **{"from": "2027-01-01"})
    assert other.waiting == 1
    elsewhere = new_contract(tmp_path, "d.csv", id="k4", canteen="c2")
    assert elsewhere.waiting == 1


@pytest.mark.usefixtures("with_canteen")
def test_a_waiting_contract_is_asked_for_once(session: Session, tmp_path: Path):
    new_contract(tmp_path)
    same = a_file(tmp_path, "contracts", contract() | {"grade": "良好 "}, name="b.csv")
    assert import_runs.check(same, "contracts", "p-admin").same == 1
    assert faults(tmp_path, "contracts", contract(account="6222020200112233446")) == [(2, "协议编号")]


@pytest.mark.usefixtures("with_canteen")
def test_a_contract_that_no_longer_fits_is_not_made(session: Session, tmp_path: Path):
    new_contract(tmp_path)
    new_contract(tmp_path, "b.csv", id="k2", account="6222020200112233446")
    with pytest.raises(change_requests.Overtaken, match="k2"):
        confirm_all(session)
    assert session.execute(select(Contract.id)).scalars().all() == ["k1"]


# --- staff ---


def staff(**values: str) -> dict[str, str]:
    return {"login": "wang", "name": "王芳", "role": "收银员", "node": "食堂", "place": "c1"} | values


@pytest.mark.usefixtures("with_canteen")
def test_staff_get_accounts_and_first_secrets_shown_once(session: Session, tmp_path: Path):
    rows = [staff(), staff(place="c2"), staff(login="zhao", name="赵敏", role="街道审核", node="区划", place=STREET)]
    report = apply(session, tmp_path, "staff", *rows)
    assert report.new == 3
    assert set(report.secrets) == {"wang", "zhao"}
    assert "口令" in report.secrets["wang"]
    assert "密码" in report.secrets["zhao"]
    assert not any(secret in str(report.doc()) for secret in report.secrets.values())
    assert len(session.execute(select(Grant)).scalars().all()) == 3
    assert session.execute(select(Person.must_change).where(Person.login == "zhao")).scalar_one() is True
    session.rollback()
    more = apply(session, tmp_path, "staff", *rows, staff(role="食堂负责人"), name="b.csv")
    assert (more.same, more.changed, more.secrets) == (3, 1, {})


@pytest.mark.usefixtures("with_canteen")
def test_bad_staff_are_named(session: Session, tmp_path: Path):
    assert faults(tmp_path, "staff", staff(place="c9")) == [(2, "范围编号")]
    assert faults(tmp_path, "staff", staff(role="经理")) == [(2, "角色")]
    assert faults(tmp_path, "staff", staff(login="王")) == [(2, "登录名")]
    assert faults(tmp_path, "staff", staff(), staff(name="李芳", place="c2")) == [(3, "姓名")]
    assert faults(tmp_path, "staff", staff(), staff()) == [(3, "登录名")]


@pytest.mark.usefixtures("with_canteen")
def test_refused_staff_are_named_and_the_rest_is_applied(session: Session, tmp_path: Path):
    own = people.create(
        "chief", "主任", password="apricot-kettle-42", grants=[("admin", "area", CITY)], by=reach.SYSTEM
    )
    gone = people.create("gone", "旧人", password="apricot-kettle-42", by=reach.SYSTEM)
    people.disable(gone, by=reach.SYSTEM)
    audits = staff(login="shen", name="沈", role="审计", node="区划", place=CITY)
    rows = [
        staff(login="chief", name="主任"),
        staff(login="gone", name="旧人"),
        audits,
        audits | {"role": "财务"},
        staff(),
    ]
    path = a_file(tmp_path, "staff", *rows)
    session.rollback()
    report = import_runs.apply(path, "staff", own)
    assert [(fault.row, fault.field) for fault in report.faults] == [(2, "登录名"), (3, "登录名"), (5, "角色")]
    assert set(report.secrets) == {"shen", "wang"}


@pytest.mark.usefixtures("with_canteen")
def test_a_files_bureau_roles_are_one_batch_to_confirm(session: Session, tmp_path: Path):
    confirm_all(session)  # makes one administrator; with the next one the command line gives no role alone
    people.create("second", "乙", password="apricot-kettle-42", grants=[("admin", "area", CITY)], by=reach.SYSTEM)
    rows = [staff(login=each, name=each, role="财务", node="区划", place=DISTRICT) for each in ("zhao", "qian")]
    report = apply(session, tmp_path, "staff", staff(), *rows)
    assert (report.new, report.waiting) == (3, 2)
    assert {grant.role for grant in session.execute(select(Grant)).scalars()} == {"admin", "cashier"}
    assert apply(session, tmp_path, "staff", staff(login="li", name="李"), *rows, name="b.csv").same == 2
    assert confirm_all(session) == 1
    granted = select(Grant.role).where(Grant.role == "finance")
    assert session.execute(granted).scalars().all() == ["finance", "finance"]


# --- every kind ---


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_template_reads_back_empty_as_such(session: Session, tmp_path: Path, kind: str):
    (path := tmp_path / "t.xlsx").write_bytes(templates.workbook(session, KINDS[kind].template))
    session.rollback()
    with pytest.raises(BadFile, match="没有数据"):
        import_runs.check(path, kind, reach.SYSTEM)
