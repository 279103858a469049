import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.auth import change_requests
from canteen.auth.models import ChangeRequest
from canteen.config import Config
from canteen.db import owner_engine, transaction
from canteen.registry import documents, elder_titles, elders, fact_requests
from canteen.registry.elders import NewFact
from canteen.registry.imports import fact_differences, import_runs, roster, templates
from canteen.registry.imports.bounds import FileTooLarge, Limits
from canteen.registry.imports.import_report import ImportReport
from canteen.registry.imports.import_runs import Changed, NoRun, NothingToApply, Unfinished, UnknownKind
from canteen.registry.imports.layouts import BadHeading
from canteen.registry.imports.roster_columns import ROSTER
from canteen.registry.models import Elder, ElderFact, ElderIdentity, ImportRun
from canteen.rulebooks.models import RulebookVersion
from tests.registry.people import OTHER, STREET, a_roster, an_elder, cells, confirm_all, number, some_areas

TODAY = clock.instant(date(2026, 11, 22), 600)
COUNTED = (Elder, ElderFact, ElderIdentity, ImportRun, events.Event)


@pytest.fixture(autouse=True)
def areas(session: Session):
    some_areas(session)
    with clock.at(TODAY):
        yield


def counts(session: Session) -> list[int]:
    found = [session.execute(select(func.count()).select_from(model)).scalar_one() for model in COUNTED]
    session.rollback()
    return found


def the_elder(session: Session, id_number: str | None = None):
    mac = elders.keys.keyring().mac(f"resident:{id_number or number()}")
    return session.execute(text("SELECT elder_id FROM identity_key WHERE number_mac = :mac"), {"mac": mac}).scalar_one()


def diner(session: Session, on: date):
    return elders.as_diner(session, uuid.UUID(str(the_elder(session))), on)


def apply(session: Session, folder: Path, *rows: list[str], name: str = "r.csv") -> ImportReport:
    path = a_roster(folder, *rows, name=name)
    session.rollback()
    report = import_runs.apply(path, "roster", "p-admin")
    confirm_all(session)
    return report


def test_checking_writes_nothing(session: Session, tmp_path: Path):
    before = counts(session)
    report = import_runs.check(a_roster(tmp_path, cells()), "roster", "p-admin")
    assert (report.rows, report.new, report.bad) == (1, 1, 0)
    assert counts(session) == before


def test_a_row_becomes_an_elder_whom_the_rules_see(session: Session, tmp_path: Path):
    report = apply(
        session,
        tmp_path,
        cells(classes="低保、独居", class_until="2026-12-31", care="3", household="H1", phone="13800000000"),
    )
    assert (report.new, report.bad) == (1, 0)
    seen = diner(session, date(2026, 6, 1))
    assert (seen.classes, seen.levels, seen.hukou[-1]) == (("alone", "dibao"), {"care": 3}, STREET)
    assert diner(session, date(2027, 1, 1)).classes == ()
    assert diner(session, date(2025, 12, 31)).hukou == ()


def test_the_same_file_twice_changes_nothing(session: Session, tmp_path: Path):
    apply(session, tmp_path, cells(classes="低保"))
    before = counts(session)
    again = import_runs.apply(tmp_path / "r.csv", "roster", "p-admin")
    assert (again.already, again.new, again.changed) == (True, 0, 0)
    assert counts(session) == before


def test_the_same_rows_in_another_file_change_nothing_either(session: Session, tmp_path: Path):
    apply(session, tmp_path, cells(classes="低保", phone="13800000000", status="入住养老机构"))
    before = counts(session)
    path = tmp_path / "r.xlsx"
    path.write_bytes(
        templates.workbook(session, ROSTER, [cells(classes="低保", phone="13800000000", status="入住养老机构")])
    )
    session.rollback()
    again = import_runs.apply(path, "roster", "p-admin")
    assert (again.already, again.same, again.changed) == (False, 1, 0)
    assert counts(session) == before


def test_what_differs_is_added_from_its_day_and_the_past_stands(session: Session, tmp_path: Path):
    apply(session, tmp_path, cells(classes="低保、独居"))
    known_before = events.head(session)[0]
    report = apply(
        session, tmp_path, cells(classes="独居", residence=OTHER, since="2026-07-01", name="李秀瑛"), name="later.csv"
    )
    assert (report.changed, report.new) == (1, 0)
    assert diner(session, date(2026, 6, 30)).classes == ("alone", "dibao")
    july = diner(session, date(2026, 7, 1))
    assert (july.classes, july.residence[-1]) == (("alone",), OTHER)
    li = uuid.UUID(str(the_elder(session)))
    assert elders.as_diner(session, li, date(2026, 7, 1), known_before).classes == ("alone", "dibao")
    assert elder_titles.title(session, li).name == "李秀瑛"


def test_an_empty_cell_says_nothing_and_none_says_none(session: Session, tmp_path: Path):
    apply(session, tmp_path, cells(classes="低保", care="3"))
    apply(session, tmp_path, cells(classes="", since="2026-07-01", phone="13800000000"), name="b.csv")
    assert diner(session, date(2026, 8, 1)).classes == ("dibao",)
    apply(session, tmp_path, cells(classes="无", since="2026-08-01"), name="c.csv")
    assert diner(session, date(2026, 8, 1)).classes == ()
    assert diner(session, date(2026, 8, 1)).levels == {"care": 3}


def test_a_death_in_a_roster_is_not_undone_by_a_roster(session: Session, tmp_path: Path):
    apply(session, tmp_path, cells())
    apply(session, tmp_path, cells(status="已故", status_from="2026-11-01"), name="b.csv")
    assert diner(session, date(2026, 11, 2)).statuses == ("deceased",)
    assert diner(session, date(2026, 11, 1)).statuses == ()
    report = import_runs.check(
        a_roster(tmp_path, cells(status="正常", since="2026-11-03"), name="c.csv"), "roster", "p"
    )
    assert [fault.code for fault in report.faults] == ["cell_malformed"]


def test_somebody_back_from_a_home_is_normal_from_that_day(session: Session, tmp_path: Path):
    apply(session, tmp_path, cells(status="入住养老机构"))
    apply(session, tmp_path, cells(status="正常", since="2026-09-01"), name="b.csv")
    assert diner(session, date(2026, 8, 31)).statuses == ("institution",)
    assert diner(session, date(2026, 9, 1)).statuses == ()


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"number": "229901460305102"}, "证件号码", "id_15_digits"),
        ({"number": "2.29901194603051E+17"}, "证件号码", "id_rounded"),
        ({"number": number()[:15] + "000"}, "证件号码", "id_rounded"),
        ({"number": number()[:17] + ("0" if number()[17] != "0" else "1")}, "证件号码", "id_check_digit"),
        ({"number": number("19460230")}, "证件号码", "id_birth"),
        ({"number": ""}, "证件号码", "cell_malformed"),
        ({"name": ""}, "姓名", "cell_malformed"),
        ({"name": "李\ue000"}, "姓名", "name_malformed"),
        ({"birth": "1946-03-06"}, "出生日期", "cell_malformed"),
        ({"sex": "男"}, "性别", "cell_malformed"),
        ({"residence": "999999"}, "居住区划代码", "area_unknown"),
        ({"classes": "富裕"}, "人员类别", "cell_malformed"),
        ({"classes": "dibaoo"}, "人员类别", "cell_malformed"),
        ({"class_until": "2025-12-31"}, "类别截止日期", "cell_malformed"),
        ({"since": ""}, "生效日期", "cell_malformed"),
        ({"since": "46023"}, "生效日期", "cell_malformed"),
        ({"since": "2026-02-30"}, "生效日期", "cell_malformed"),
        ({"since": "2028-01-01"}, "生效日期", "cell_malformed"),
        ({"status": "已故", "status_from": "2026-11-23"}, "状态日期", "cell_malformed"),
        ({"status": "好"}, "状态", "cell_malformed"),
        ({"enrolled": "nowhere"}, "登记食堂", "cell_malformed"),
        ({"document": "hmt", "number": "H1234567800"}, "", "cell_malformed"),
    ],
)
def test_a_bad_row_is_named_without_the_persons_data(tmp_path: Path, changes: dict[str, str], field: str, code: str):
    report = import_runs.check(a_roster(tmp_path, cells(order="x"), cells(**changes)), "roster", "p-admin")
    faults = [fault for fault in report.faults if fault.row == 3]
    assert (field, code) in [(fault.field, fault.code) for fault in faults]
    output = str([fault.doc() for fault in faults])
    assert all(part not in output for part in (number()[6:14], "李秀英", changes.get("number") or "\0"))
    assert all(fault.reason.endswith("。") for fault in faults)


def test_a_local_class_is_given_by_its_rulebooks_code(session: Session, tmp_path: Path):
    with transaction():
        values = {"scheme": "s", "version": 1, "yaml": "", "drafted_by": "p", "drafted_at": clock.now(), "recorded": 1}
        session.add(RulebookVersion(hash="h", body='{"classes":["model_worker"]}', **values))
    rows = [cells(classes="model_worker"), cells(number=number(order=104), classes="MODEL_WORKER")]
    report = import_runs.check(a_roster(tmp_path, *rows), "roster", "p-admin")
    assert [(fault.row, fault.field) for fault in report.faults] == [(3, "人员类别")]


def test_good_rows_are_applied_and_bad_ones_named(session: Session, tmp_path: Path):
    report = apply(session, tmp_path, cells(), cells(number=number()[:15] + "000"), cells(number=number(order=104)))
    assert (report.rows, report.new, report.bad) == (3, 2, 1)
    run = session.execute(select(ImportRun)).scalar_one()
    assert (run.state, run.rows, run.bad_rows, run.applied_event) == ("applied", 3, 1, events.head(session)[0])
    assert "李" not in run.report
    assert session.execute(select(func.count()).where(events.Event.kind == "import.roster")).scalar_one() == 1


def test_a_file_without_a_good_row_is_refused(session: Session, tmp_path: Path):
    before = counts(session)
    with pytest.raises(NothingToApply) as refused:
        apply(session, tmp_path, cells(number="1"))
    assert str(refused.value.details["rows"]).startswith("['第 2 行 ")
    assert counts(session) == before


def test_one_number_twice_in_a_file_is_one_row(tmp_path: Path):
    report = import_runs.check(a_roster(tmp_path, cells(), cells(name="王芳")), "roster", "p-admin")
    assert [(fault.row, fault.code) for fault in report.faults] == [(3, "row_repeated")]
    assert "第 2 行" in report.faults[0].reason


def test_the_match_is_by_number_alone_never_by_name_and_birth(session: Session, tmp_path: Path):
    apply(session, tmp_path, cells(), cells(number=number(order=104)))
    assert session.execute(select(func.count()).select_from(Elder)).scalar_one() == 2


def test_a_number_ending_in_000_passes_once_registered_by_hand(session: Session, tmp_path: Path):
    order = 100
    born = next(
        f"1946{m:02d}{d:02d}"
        for m in range(1, 13)
        for d in range(1, 29)
        if number(f"1946{m:02d}{d:02d}", order)[17] == "0"
    )
    rounded = number(born, order)
    assert documents.looks_rounded(rounded)
    path = a_roster(tmp_path, cells(number=rounded))
    assert [fault.code for fault in import_runs.check(path, "roster", "p").faults] == ["id_rounded"]
    an_elder(session, order=order, born=born)
    assert import_runs.check(path, "roster", "p").bad == 0


def test_an_importer_of_one_district_cannot_write_about_another(tmp_path: Path):
    path = a_roster(tmp_path, cells(), cells(number=number(order=104), hukou=OTHER, residence=OTHER))
    report = import_runs.check(path, "roster", "p-admin", within=frozenset({STREET}))
    assert [(fault.row, fault.code) for fault in report.faults] == [(3, "outside_scope")]


@pytest.mark.parametrize("heading", ["姓名,号码\n李,1", "姓名\n李", "姓名,姓名,证件号码,生效日期\n李,李,1,2026-01-01"])
def test_a_heading_that_is_not_the_templates_is_refused(tmp_path: Path, heading: str):
    (path := tmp_path / "a.csv").write_text(heading, "utf-8")
    with pytest.raises(BadHeading, match=r"模板|一列"):
        import_runs.check(path, "roster", "p-admin")


def test_columns_may_stand_in_any_order_and_be_left_out(session: Session, tmp_path: Path):
    (path := tmp_path / "a.csv").write_text(f'生效日期,身份证号,姓名\n2026/1/1,="{number()}",李 秀英\n', "utf-8")
    report = import_runs.apply(path, "roster", "p-admin")
    assert (report.new, report.bad) == (1, 0)


def test_a_file_altered_after_the_check_is_not_applied(tmp_path: Path):
    checked = import_runs.check(a_roster(tmp_path, cells()), "roster", "p-admin")
    path = a_roster(tmp_path, cells(name="王芳"))
    with pytest.raises(Changed):
        import_runs.apply(path, "roster", "p-admin", expect=checked.file_hash)


def test_our_template_reads_back_18_digits_exactly(session: Session, tmp_path: Path):
    (path := tmp_path / "t.xlsx").write_bytes(templates.workbook(session, ROSTER, [cells()]))
    session.rollback()
    assert import_runs.check(path, "roster", "p-admin").new == 1


def test_18_digits_in_a_number_cell_are_refused_with_the_remedy(tmp_path: Path):
    path = tmp_path / "n.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["姓名", "证件号码", "生效日期"])
        sheet.write_row(1, 0, ["李秀英", int(number(order=103)[:17] + "1"), "2026-01-01"])
    (fault,) = import_runs.check(path, "roster", "p-admin").faults
    assert (fault.row, fault.code) == (2, "id_rounded")
    assert "文本" in fault.reason


def test_merged_cells_and_broken_formulas_are_never_empty(tmp_path: Path):
    path = tmp_path / "m.xlsx"
    rows = [[number(order=order), "低保"] for order in (104, 106)]
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["生效日期", "姓名", "证件号码", "人员类别"])
        for at, row in enumerate(rows, start=1):
            sheet.write_row(at, 0, ["2026-01-01", "李秀英", *row])
        sheet.merge_range(1, 0, 2, 0, "2026-01-01")
        sheet.write_formula(1, 3, "=VLOOKUP(1,F1:G9,2)", None, "#N/A")
    report = import_runs.check(path, "roster", "p-admin")
    assert [(fault.row, fault.field) for fault in report.faults] == [(2, "人员类别"), (3, "生效日期")]
    assert "合并" in report.faults[1].reason


def test_an_unknown_kind_is_refused(tmp_path: Path):
    with pytest.raises(UnknownKind):
        import_runs.check(a_roster(tmp_path, cells()), "weather", "p-admin")


# --- large rosters: staged in short transactions, visible by one flip ---


@pytest.fixture
def in_steps(monkeypatch: pytest.MonkeyPatch):
    """Every roster counts as large, two rows at a time."""
    monkeypatch.setattr(import_runs, "AT_ONCE", 0)
    monkeypatch.setattr(roster.Roster, "chunk", 2)


@pytest.mark.usefixtures("in_steps")
def test_a_large_roster_comes_to_the_same_as_a_small_one(session: Session, tmp_path: Path):
    apply(session, tmp_path, cells(classes="低保"))
    rows = [cells(number=number(order=order)) for order in range(104, 116, 2)]
    report = apply(session, tmp_path, cells(classes="无", since="2026-07-01"), *rows, name="b.csv")
    assert (report.new, report.changed) == (6, 1)
    assert session.execute(select(func.count()).where(elders.visible())).scalar_one() == 7
    assert diner(session, date(2026, 7, 1)).classes == ()
    assert import_runs.apply(tmp_path / "b.csv", "roster", "p").already


@contextmanager
def full_after(config: Config, elders_at_most: int) -> Iterator[None]:
    """The database takes no further elder, as if its disk were full."""
    engine = owner_engine(config.database_url)
    refused = f"(SELECT count(*) FROM elder) >= {elders_at_most}"
    made = [f"CREATE TRIGGER full BEFORE INSERT ON elder WHEN {refused} BEGIN SELECT RAISE(ABORT, 'full'); END"]
    gone = ["DROP TRIGGER full"]
    if not config.sqlite:
        body = f"BEGIN IF {refused} THEN RAISE 'full' USING ERRCODE = '53100'; END IF; RETURN NEW; END"
        made = [
            f"CREATE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$",
            "CREATE TRIGGER is_full BEFORE INSERT ON elder FOR EACH ROW EXECUTE FUNCTION is_full()",
        ]
        gone = ["DROP FUNCTION is_full CASCADE"]
    for statements in (made, gone):
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))
        if statements is made:
            yield
    engine.dispose()


@pytest.mark.usefixtures("in_steps")
def test_broken_off_nothing_shows_and_the_same_file_goes_on(session: Session, config: Config, tmp_path: Path):
    apply(session, tmp_path, cells())
    rows = [cells(number=number(order=order)) for order in range(104, 112, 2)]
    path = a_roster(tmp_path, cells(name="李秀瑛", since="2026-07-01"), *rows, name="big.csv")
    with full_after(config, 2), pytest.raises((Unfinished, OperationalError)):
        import_runs.apply(path, "roster", "p-admin")
    assert session.execute(select(func.count()).where(elders.visible())).scalar_one() == 1
    assert session.execute(select(func.count()).select_from(Elder)).scalar_one() == 2
    session.rollback()
    with pytest.raises(Unfinished):
        import_runs.apply(a_roster(tmp_path, cells(number=number(order=120)), name="other.csv"), "roster", "p-admin")
    report = import_runs.apply(path, "roster", "p-admin")
    assert (report.bad, report.changed) == (0, 1)
    assert session.execute(select(func.count()).where(elders.visible())).scalar_one() == 5
    assert {run.state for run in import_runs.runs(session)} == {"applied"}


@pytest.mark.usefixtures("in_steps")
def test_a_broken_off_import_whose_file_is_lost_may_be_let_stand(session: Session, config: Config, tmp_path: Path):
    path = a_roster(tmp_path, *(cells(number=number(order=order)) for order in range(104, 112, 2)))
    with full_after(config, 2), pytest.raises((Unfinished, OperationalError)):
        import_runs.apply(path, "roster", "p-admin")
    run = session.execute(select(ImportRun.id)).scalar_one()
    session.rollback()
    with transaction():
        import_runs.accept(session, run, "p-admin")
    assert session.execute(select(func.count()).where(elders.visible())).scalar_one() == 2
    with pytest.raises(NoRun), transaction():
        import_runs.accept(session, run, "p-admin")


@pytest.mark.usefixtures("in_steps")
def test_facts_noted_during_a_large_roster_are_not_overwritten(
    session: Session, app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    apply(session, tmp_path, cells(classes="低保"))
    li, judged, passes = uuid.UUID(str(the_elder(session))), roster.Roster.plan, list[int]()
    session.rollback()

    def desk() -> None:
        with app.app_context(), clock.at(TODAY), transaction() as own:
            (dibao,) = [fact for fact in elders.facts_about(own, li) if fact.kind == "class"]
            elders.note(own, li, [NewFact("class", "", dibao.from_day, None, dibao.id)], "p-desk")

    def slow(*args: Any) -> Any:
        changes = judged(*args)
        args[1].rollback()
        passes.append(1)
        if len(passes) == 2:  # the first is the check
            (clerk := threading.Thread(target=desk)).start()
            clerk.join()
        return changes

    monkeypatch.setattr(roster.Roster, "plan", slow)
    report = apply(session, tmp_path, cells(classes="独居", since="2026-07-01"), name="b.csv")
    assert (report.changed, len(passes)) == (1, 3)
    assert diner(session, date(2026, 6, 1)).classes == ()
    assert diner(session, date(2026, 7, 1)).classes == ("alone",)


@pytest.mark.usefixtures("in_steps")
def test_an_interrupted_roster_of_changes_leaves_nothing_behind(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    apply(session, tmp_path, cells())
    before = counts(session)
    with killed_before_the_flip(monkeypatch), pytest.raises(KeyboardInterrupt):
        apply(session, tmp_path, cells(classes="独居", since="2026-07-01"), name="b.csv")
    assert counts(session) == before
    assert apply(session, tmp_path, cells(classes="低保"), name="c.csv").changed == 1


@pytest.mark.usefixtures("in_steps")
def test_broken_off_just_before_the_flip_the_same_file_makes_it(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = a_roster(tmp_path, *(cells(number=number(order=order)) for order in range(104, 112, 2)))
    session.rollback()
    with killed_before_the_flip(monkeypatch), pytest.raises(KeyboardInterrupt):
        import_runs.apply(path, "roster", "p-admin")
    assert session.execute(select(func.count()).where(elders.visible())).scalar_one() == 0
    session.rollback()
    assert import_runs.apply(path, "roster", "p-admin").run is not None
    assert session.execute(select(func.count()).where(elders.visible())).scalar_one() == 4


@contextmanager
def killed_before_the_flip(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def dies(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(roster.Roster, "overtaken", dies)
        yield


# --- what is stated against what is valid ---


def test_differences_come_to_nothing_once_applied():
    known = [elders.Fact(7, None, "class", "dibao", date(2026, 1, 1), None, 3)]
    since = date(2026, 7, 1)
    added = fact_differences.differences([NewFact("class", "alone", since)], known, since, {"classes": ("alone",)})
    assert added == [
        NewFact("class", "alone", since),
        NewFact("class", "dibao", date(2026, 1, 1), date(2026, 6, 30), retracts=7),
    ]
    now = [elders.Fact(8, None, "class", "alone", since, None, 4)]
    assert fact_differences.differences([NewFact("class", "alone", since)], now, since, {"classes": ("alone",)}) == []


def test_a_roster_is_limited_too(tmp_path: Path):
    with pytest.raises(FileTooLarge):
        import_runs.check(a_roster(tmp_path, cells()), "roster", "p", limits=Limits(file=10))


# --- what a second person confirms ---


def asked(folder: Path, *rows: list[str], name: str = "r.csv") -> ImportReport:
    """Apply a file without the second person's answer."""
    return import_runs.apply(a_roster(folder, *rows, name=name), "roster", "p-admin")


def test_a_rosters_people_are_added_and_its_classes_wait(session: Session, tmp_path: Path):
    numbers = [number(order=order) for order in (102, 104, 106)]
    report = asked(
        tmp_path, *(cells(number=each, classes="低保", care="2") for each in numbers[:2]), cells(number=numbers[2])
    )
    assert (report.new, report.waiting) == (3, 2)
    assert diner(session, date(2026, 6, 1)).classes == ()
    assert diner(session, date(2026, 6, 1)).hukou[-1] == STREET
    request = session.execute(select(ChangeRequest)).scalar_one()
    assert (request.id, request.kind, request.subject) == (report.request, "elder.facts", report.run)
    lines = fact_requests.shown(session, change_requests.lines_of(session, request.id))
    assert {line.detail for line in lines} == {documents.parse("resident", each).masked for each in numbers[:2]}
    assert {(line.before, line.after) for line in lines} == {
        ("人员类别：无；评估等级：无", "人员类别：低保；评估等级：照护等级 2")
    }
    assert confirm_all(session) == 1
    seen = diner(session, date(2026, 6, 1))
    assert (seen.classes, seen.levels) == (("dibao",), {"care": 2})


def test_a_replacing_class_waits_and_the_old_one_stays(session: Session, tmp_path: Path):
    apply(session, tmp_path, cells(classes="低保"))
    report = asked(tmp_path, cells(classes="特困", since="2026-07-01", phone="13800000000"), name="b.csv")
    assert (report.changed, report.waiting) == (1, 1)
    assert diner(session, date(2026, 8, 1)).classes == ("dibao",)
    confirm_all(session)
    assert diner(session, date(2026, 8, 1)).classes == ("tekun",)
    assert diner(session, date(2026, 6, 30)).classes == ("dibao",)


def test_a_row_that_only_strikes_or_corrects_waits_for_nobody(session: Session, tmp_path: Path):
    apply(session, tmp_path, cells(classes="低保"))
    report = asked(tmp_path, cells(classes="无", since="2026-07-01", name="李秀瑛"), name="b.csv")
    assert (report.changed, report.waiting, report.request) == (1, 0, None)
    assert diner(session, date(2026, 8, 1)).classes == ()


def test_a_move_back_dated_by_a_roster_waits(session: Session, tmp_path: Path):
    apply(session, tmp_path, cells())
    report = asked(tmp_path, cells(residence=OTHER, since="2026-11-21"), name="b.csv")
    assert report.waiting == 1
    assert diner(session, date(2026, 11, 22)).residence[-1] == STREET
    session.rollback()
    assert asked(tmp_path, cells(residence=OTHER, since="2026-11-22"), name="c.csv").waiting == 0
    assert diner(session, date(2026, 11, 22)).residence[-1] == OTHER


def test_a_corrected_file_does_not_ask_again_for_what_waits(session: Session, tmp_path: Path):
    asked(tmp_path, cells(classes="低保"), cells(number="1"))
    again = asked(tmp_path, cells(classes="低保"), cells(number=number(order=104), classes="低保"), name="b.csv")
    assert (again.new, again.same, again.waiting) == (1, 1, 1)
    assert confirm_all(session) == 2
    session.rollback()
    assert asked(tmp_path, cells(classes="低保"), name="c.csv").same == 1


def test_a_check_tells_how_many_would_wait_and_asks_for_nothing(session: Session, tmp_path: Path):
    report = import_runs.check(a_roster(tmp_path, cells(classes="低保")), "roster", "p-admin")
    assert (report.waiting, report.request) == (1, None)
    assert session.execute(select(ChangeRequest)).first() is None


@pytest.mark.usefixtures("in_steps")
def test_a_large_rosters_classes_are_one_batch_of_the_flip(session: Session, tmp_path: Path):
    rows = [cells(number=number(order=order), classes="低保") for order in range(104, 116, 2)]
    apply(session, tmp_path, cells())
    report = asked(tmp_path, cells(classes="低保"), *rows, name="b.csv")
    assert (report.new, report.changed, report.waiting) == (6, 1, 7)
    assert confirm_all(session) == 1
    facts = session.execute(select(ElderFact.recorded).where(ElderFact.kind == "class")).scalars().all()
    assert (len(facts), len(set(facts))) == (7, 1)


@pytest.mark.usefixtures("in_steps")
def test_an_interrupted_rosters_classes_are_asked_for_at_its_end(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = a_roster(tmp_path, *(cells(number=number(order=order), classes="低保") for order in range(104, 112, 2)))
    session.rollback()
    with killed_before_the_flip(monkeypatch), pytest.raises(KeyboardInterrupt):
        import_runs.apply(path, "roster", "p-admin")
    assert session.execute(select(ChangeRequest)).first() is None
    session.rollback()
    assert import_runs.apply(path, "roster", "p-admin").waiting == 4


def test_a_batch_leaves_out_whom_somebody_changed_meanwhile(session: Session, tmp_path: Path):
    numbers = [number(order=order) for order in (102, 104, 106)]
    apply(session, tmp_path, *(cells(number=each, classes="低保") for each in numbers))
    asked(tmp_path, *(cells(number=each, classes="特困", since="2026-07-01") for each in numbers), name="b.csv")
    with transaction():
        li = uuid.UUID(str(the_elder(session)))
        (noted,) = [fact for fact in elders.facts_about(session, li) if fact.kind == "class"]
        elders.note(session, li, [NewFact("class", "", noted.from_day, None, noted.id)], "p-desk")
    confirm_all(session)
    assert diner(session, date(2026, 8, 1)).classes == ()
    body = session.execute(select(events.Event.body).where(events.Event.kind == "elder.note_many")).scalars().all()[-1]
    assert '"left_out":1' in body
