import gc
import io
import re
import uuid
from datetime import date
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
import zxingcpp
from flask import Flask
from PIL import Image
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from canteen import clock, events
from canteen.db import db, transaction
from canteen.events import Event
from canteen.registry import credentials, documents, elders, lookup, print_runs
from canteen.registry.elders import NewElder, NewFact
from canteen.registry.imports import import_runs, templates
from canteen.registry.imports.roster_columns import ROSTER
from canteen.registry.models import CardCode, Elder, ElderPhoto, ImportRun
from tests.auth.house import CITY, EAST, EAST_STREET, WEST, WEST_STREET, Browser, a_person
from tests.registry.people import confirm_all, number

NUMBER = number(region="220102")


def an_elder(area: str = EAST_STREET, name: str = "李秀英", id_number: str = NUMBER) -> uuid.UUID:
    document = documents.parse("resident", id_number)
    with transaction() as session:
        new = NewElder(name, document, hukou=area, residence=area, known_from=date(2020, 1, 1), phone="13800000000")
        return elders.register(session, new, "system")


def alert(answer: TestResponse) -> str:
    """What the page says went wrong."""
    found = re.search(r'role="alert">\s*(?:<p>)?([^<]+)', answer.text)
    return found[1] if found else ""


@pytest.fixture(autouse=True)
def admin(city: None, desk: Browser) -> Browser:
    """The administrator of the eastern district, logged in."""
    a_person("east", ("admin", "area", EAST))
    desk.log_in("east")
    return desk


def count(model: type, *where: object) -> int:
    found: int = db.session().execute(select(func.count()).select_from(model).where(*where)).scalar_one()  # type: ignore[arg-type]
    db.session.rollback()
    return found


# --- elders ---


def test_an_elder_is_found_by_name_number_or_card_masked(admin: Browser):
    li = an_elder()
    with transaction() as session:
        card = credentials.issue(session, [li], "system")[0]
    listed = admin.post("/desk/elders", q="李").text
    assert "李秀英" in listed
    assert "2201**********" in listed
    for asked in (NUMBER, f"{card.number[:4]} {card.number[4:]}", card.code):
        assert admin.post("/desk/elders", q=asked).location == f"/desk/elders/{li}"
    page = admin.get(f"/desk/elders/{li}")
    assert "李奶奶" in page.text
    assert NUMBER not in page.text + listed
    assert card.code not in page.text
    assert card.number[:4] in page.text


def test_who_is_asked_for_stands_in_no_address(admin: Browser):
    an_elder()
    page = admin.get("/desk/elders").text
    assert re.search(r'<form class="search" method="post"', page)
    assert "李秀英" in admin.get("/desk/elders?q=nobody").text


def test_elders_of_another_district_do_not_exist_here(admin: Browser):
    wang = an_elder(WEST_STREET, "王芳")
    assert "王芳" not in admin.post("/desk/elders", q="王").text
    assert "没有找到" in admin.post("/desk/elders", q=NUMBER).text
    assert admin.get(f"/desk/elders/{wang}").status_code == 404
    for act in ("note", "bind", "issue", "amend", "nonsense"):
        assert admin.post(f"/desk/elders/{wang}/{act}", scan="1", kind="class").status_code == 404
    assert admin.post(f"/desk/elders/{wang}/number", reason="核对证件").status_code == 404
    assert count(Event, Event.subject == str(wang)) == 1


def test_a_person_is_registered_at_the_desk(admin: Browser):
    form = {"name": "李秀英", "document": "resident", "hukou": EAST_STREET, "since": "2026-01-01", "class": "dibao"}
    wrong = admin.post("/desk/elders/new", **form, number=NUMBER[:17] + ("1" if NUMBER[17] != "1" else "2"))
    assert wrong.status_code == 422
    assert "校验不符" in alert(wrong)
    outside = admin.post("/desk/elders/new", **(form | {"hukou": WEST_STREET}), number=NUMBER)
    assert "不在您负责的区域" in alert(outside)
    done = admin.post("/desk/elders/new", **form, number=NUMBER)
    assert done.status_code == 302
    assert "低保" in admin.get(done.location).text
    assert alert(admin.post("/desk/elders/new", **form, number=NUMBER)).startswith("这个证件号码已经登记过")


def test_facts_are_recorded_with_days_and_retracted_on_record(admin: Browser):
    li = an_elder()
    at = f"/desk/elders/{li}"
    noted = admin.post(f"{at}/note", **{"kind": "class", "value": "dibao", "from": "2026-01-01", "to": "2026-12-31"})
    assert noted.location == f"{at}?done=asked"
    confirm_all(db.session())
    page = admin.get(at).text
    fact = re.search(r'name="fact" value="(\d+)">', page[page.index("低保") :])
    assert fact is not None
    assert admin.post(f"{at}/take_back", fact=fact[1]).location == f"{at}?done=taken_back"
    assert "已更正" in admin.get(at).text
    assert "刷新" in alert(admin.post(f"{at}/take_back", fact=fact[1]))
    assert "日期" in alert(admin.post(f"{at}/note", **{"kind": "class", "value": "dibao", "from": "soon"}))


def test_a_level_is_written_as_a_number(admin: Browser):
    at = f"/desk/elders/{an_elder()}"
    assert admin.post(f"{at}/note", **{"kind": "level", "value": "3", "from": "2026-01-01"}).location.endswith("asked")
    confirm_all(db.session())
    assert "照护等级 3" in admin.get(at).text
    assert "整数" in alert(admin.post(f"{at}/note", **{"kind": "level", "value": "care=3", "from": "2026-01-01"}))
    dead = {"kind": "status", "value": "deceased", "from": "2199-01-01"}
    assert "今天以后" in alert(admin.post(f"{at}/note", **dead))
    assert "电话" in alert(admin.post(f"{at}/amend", name="李秀英", phone="找社区"))


def test_the_whole_number_is_shown_only_with_a_reason_on_record(admin: Browser):
    at = f"/desk/elders/{an_elder()}"
    assert "原因" in alert(admin.post(f"{at}/number", reason="x"))
    assert count(Event, Event.kind == "elder.reveal") == 0
    assert NUMBER in admin.post(f"{at}/number", reason="核对申请表").text
    assert count(Event, Event.kind == "elder.reveal") == 1
    assert NUMBER not in admin.get(at).text


def test_a_reviewer_may_bind_and_report_but_make_no_card(desk: Browser):
    li = an_elder()
    with transaction() as session:
        card = credentials.make(session, [None], batch="b", by="system")[0]
    a_person("street", ("reviewer", "area", EAST_STREET))
    desk.log_in("street")
    at = f"/desk/elders/{li}"
    page = desk.get(at).text
    assert "扫空白卡" in page
    assert "登记变化" in page
    assert "按重估办理" not in page
    assert desk.post(f"{at}/bind", scan=f"{card.code}\n").location == f"{at}?done=bound"
    own = {"card": str(card.id)}
    assert desk.post(f"{at}/lose", **own).location == f"{at}?done=lost"
    assert "已挂失" in desk.get(at).text
    assert desk.post(f"{at}/find", **own).location == f"{at}?done=found"
    for act in ("block", "replace", "issue"):
        assert desk.post(f"{at}/{act}", **own).status_code == 403


def test_a_card_of_somebody_else_is_not_touched_from_this_page(admin: Browser):
    li, wang = an_elder(), an_elder(WEST_STREET, "王芳", number(order=104))
    with transaction() as session:
        card = credentials.issue(session, [wang], "system")[0]
    assert admin.post(f"/desk/elders/{li}/block", card=str(card.id), reason="lost").status_code == 404
    assert credentials.find(db.session(), card.number)
    assert not credentials.state_of(db.session(), card.id).blocked


def test_a_scan_that_is_no_blank_card_is_explained(admin: Browser):
    li = an_elder()
    for scan, sentence in (("https://x", "不是助餐卡"), ("123", "没有读全")):
        answer = admin.post(f"/desk/elders/{li}/bind", scan=scan)
        assert answer.status_code == 422
        assert sentence in alert(answer)


def test_merged_people_are_shown_as_one(admin: Browser):
    an_elder()
    twin = an_elder(name="李秀瑛", id_number=number(order=104))
    assert "指明" in alert(admin.post(f"/desk/elders/{twin}/merge", other="李秀英"))
    assert admin.post(f"/desk/elders/{twin}/merge", other=NUMBER).location.endswith("done=merged")
    assert "同一人" in admin.get(f"/desk/elders/{twin}").text


def test_a_portrait_is_cut_to_shape_and_stripped(admin: Browser):
    li = an_elder()
    picture = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    Image.new("RGB", (900, 700), "navy").save(picture, "JPEG", exif=exif)
    answer = admin.client.post(
        f"/desk/elders/{li}/set_photo",
        data={"csrf": admin.token("/desk/account"), "photo": (io.BytesIO(picture.getvalue()), "a.jpg")},
    )
    assert answer.location.endswith("done=photo")
    shown = admin.get(f"/desk/elders/{li}/photo")
    assert shown.mimetype == "image/jpeg"
    assert Image.open(io.BytesIO(shown.data)).size == (240, 320)
    assert b"secret" not in shown.data
    bad = {"csrf": admin.token("/desk/account"), "photo": (io.BytesIO(b"GIF89a"), "a.jpg")}
    assert "照片" in alert(admin.client.post(f"/desk/elders/{li}/set_photo", data=bad))
    assert count(ElderPhoto) == 1


def test_correcting_name_and_phone_keeps_the_number_sealed(admin: Browser):
    li = an_elder()
    admin.post(f"/desk/elders/{li}/amend", name="李秀瑛", phone="13900000000")
    page = admin.get(f"/desk/elders/{li}").text
    assert "李秀瑛" in page
    assert "13900000000" in page
    assert NUMBER in admin.post(f"/desk/elders/{li}/number", reason="核对申请表").text


def test_an_agent_is_named_and_ended_at_the_desk(admin: Browser):
    at = f"/desk/elders/{an_elder()}"
    form = {"agent": "王强", "relation": "女儿", "agent_phone": "13800002222", "from": "2026-01-01"}
    assert "电话" in alert(admin.post(f"{at}/name_agent", **(form | {"agent_phone": ""})))
    assert admin.post(f"{at}/name_agent", **form).location == f"{at}?done=agent_named"
    assert "已经登记" in alert(admin.post(f"{at}/name_agent", **form))
    page = admin.get(at).text
    assert "可代领" in page
    number_of = re.search(r'name="agent" value="(\d+)"', page)
    assert number_of is not None
    assert admin.post(f"{at}/end_agent", agent=number_of[1]).location == f"{at}?done=agent_ended"
    assert "没有登记代领人" in admin.get(at).text
    assert "刷新" in alert(admin.post(f"{at}/end_agent", agent="x"))


# --- cards ---


def test_blank_cards_are_made_downloaded_and_confirmed(admin: Browser):
    assert "1 到 5000" in alert(admin.post("/desk/cards/blank", count="many"))
    assert admin.post("/desk/cards/blank", count="12").location.endswith("done=made")
    batch = print_runs.waiting(db.session())[0].name
    db.session.rollback()
    sheet = admin.post(f"/desk/cards/{batch}/sheets", part="1")
    assert sheet.mimetype == "application/pdf"
    with pypdfium2.PdfDocument(sheet.data) as document:
        found = [
            each.text for page in document for each in zxingcpp.read_barcodes(page.render(scale=200 / 72).to_pil())
        ]
    assert len(found) == 12
    assert count(Event, Event.kind == "cards.download") == 1
    assert admin.post(f"/desk/cards/{batch}/printed").location.endswith("done=printed")
    assert count(CardCode) == 0
    assert admin.post(f"/desk/cards/{batch}/sheets", part="1").status_code == 404
    assert "空白卡" in admin.post("/desk/cards/find", scan=found[0]).text


def test_an_areas_cards_go_to_residents_without_one(admin: Browser):
    li, _ = an_elder(), an_elder(WEST_STREET, "王芳", number(order=104))
    assert "区划" in alert(admin.post("/desk/cards/issue", area=WEST_STREET))
    assert admin.post("/desk/cards/issue", area=EAST_STREET).location.endswith("done=made")
    assert admin.post("/desk/cards/issue", area=EAST).location.endswith("done=none")
    session = db.session()
    assert [state.works for _, state in credentials.of_elder(session, li)] == [True]
    assert count(CardCode) == 1


def test_a_card_leads_to_its_holder_within_ones_own_places(admin: Browser):
    li, wang = an_elder(), an_elder(WEST_STREET, "王芳", number(order=104))
    with transaction() as session:
        own, foreign = credentials.issue(session, [li, wang], "system")
    assert admin.post("/desk/cards/find", scan=own.code).location == f"/desk/elders/{li}"
    answer = admin.post("/desk/cards/find", scan=foreign.code)
    assert answer.status_code == 404
    assert "王芳" not in answer.text


def test_batches_of_another_district_do_not_exist_here(admin: Browser, app: Flask):
    wang = an_elder(WEST_STREET, "王芳")
    a_person("west", ("admin", "area", WEST))
    with transaction() as session:
        named = credentials.issue(session, [wang], "id-west")[0]
        blank, own = (credentials.blank(session, 1, f"id-{maker}") for maker in ("west", "east"))
    batch = db.session().get_one(CardCode, named.id).batch
    db.session.rollback()
    shown = admin.get("/desk/cards").text
    assert [each in shown for each in (batch, blank, own)] == [False, False, True]
    for each in (batch, blank):
        assert admin.post(f"/desk/cards/{each}/sheets", part="1").status_code == 404
        assert admin.post(f"/desk/cards/{each}/printed").status_code == 404
    assert count(CardCode) == 3
    colleague = Browser(app.test_client())  # who answers for all places
    a_person("city", ("admin", "area", CITY))
    colleague.log_in("city")
    for each in (batch, blank, own):
        assert colleague.post(f"/desk/cards/{each}/sheets", part="1").status_code == 200


def test_who_may_not_make_cards_sees_no_batches(desk: Browser):
    with transaction() as session:
        batch = credentials.blank(session, 1, "system")
    a_person("street", ("reviewer", "area", EAST_STREET))
    desk.log_in("street")
    assert batch not in desk.get("/desk/cards").text
    for path in ("blank", f"{batch}/sheets", f"{batch}/printed", "issue"):
        assert desk.post(f"/desk/cards/{path}").status_code == 403


def test_a_batch_is_printed_by_who_answers_for_all_its_holders(admin: Browser):
    li, wang = an_elder(), an_elder(WEST_STREET, "王芳", number(order=104))
    a_person("west", ("admin", "area", WEST))
    a_person("root", ("admin", "area", CITY))
    with transaction() as session:
        credentials.issue(session, [li], "system", batch="of-east")
        credentials.make(session, [li, wang], batch="of-both", by="system")
        blank = credentials.blank(session, 1, "system")
    admin.post("/desk/cards/blank", count="1")
    own = ({each.name for each in print_runs.waiting(db.session())} - {"of-east", "of-both", blank}).pop()
    db.session.rollback()

    def shown(login: str) -> set[str]:
        admin.log_in(login)
        return {each for each in ("of-east", "of-both", blank, own) if each in admin.get("/desk/cards").text}

    assert shown("root") == {"of-east", "of-both", blank, own}
    assert shown("east") == {"of-east", own}
    assert shown("west") == set()
    for batch in ("of-east", "of-both", blank, own):
        assert admin.post(f"/desk/cards/{batch}/sheets", part="1").status_code == 404
        assert admin.post(f"/desk/cards/{batch}/printed").status_code == 404
    assert count(CardCode) == 5
    assert count(Event, Event.kind == "cards.download") == 0


# --- imports ---


def send(desk: Browser, data: bytes, **fields: str) -> TestResponse:
    form = {"csrf": desk.token("/desk/account"), "kind": "roster", "file": (io.BytesIO(data), "名册.csv"), **fields}
    return desk.client.post("/desk/imports", data=form)


def a_roster(*changes: dict[str, str]) -> bytes:
    usual = {"name": "李秀英", "number": NUMBER, "hukou": EAST_STREET, "since": "2026-01-01"}
    return templates.separated(
        ROSTER, [[(usual | row).get(column.key, "") for column in ROSTER.columns] for row in changes]
    )


def test_a_roster_is_checked_then_applied_and_stands_in_the_list(admin: Browser):
    data = a_roster({}, {"number": NUMBER[:15]}, {"number": number(order=104), "hukou": WEST_STREET})
    checked = send(admin, data, act="check")
    assert "检查结果" in checked.text
    assert "18 位" in checked.text
    assert "不在您负责的区域" in checked.text
    assert NUMBER[:15] not in checked.text
    assert count(Elder) == 0
    expect = re.search(r'name="expect" value="([0-9a-f]{64})"', checked.text)
    assert expect is not None
    applied = send(admin, data, act="apply", expect=expect[1])
    assert "已导入，立即生效" in applied.text
    assert count(Elder) == 1
    assert "名册.csv" in admin.get("/desk/imports").text
    assert "以前已经导入过" in send(admin, data, act="apply").text


def test_a_streets_columns_are_asked_for_once_and_remembered(admin: Browser):
    def street_file(id_number: str) -> bytes:
        return f"称呼,证号,户籍,楼栋\n李秀英,{id_number},{EAST_STREET},3\n".encode()

    asked = send(admin, street_file(NUMBER), act="check", sender=EAST_STREET)
    assert asked.status_code == 422
    assert [f'name="column:{title}"' in asked.text for title in ("称呼", "证号", "楼栋")] == [True] * 3
    assert 'name="fill:since"' in asked.text
    said = {"column:称呼": "name", "column:证号": "number", "column:楼栋": "-", "fill:since": "2026-01-01"}
    checked = send(admin, street_file(NUMBER), act="check", sender=EAST_STREET, **said)
    assert "整份都按 2026-01-01" in checked.text
    assert 'name="column:称呼" value="name"' in checked.text
    assert "已导入" in send(admin, street_file(NUMBER), act="apply", sender=EAST_STREET, **said).text
    later = send(admin, street_file(number(order=104)), act="check", sender=EAST_STREET)
    assert 'for="column-1"' not in later.text
    assert "缺少必填的“生效日期”列" in alert(later)
    assert "称呼" in alert(send(admin, street_file(number(order=104)), act="check"))
    assert send(admin, street_file(NUMBER), act="check", sender=WEST_STREET).status_code == 404


def test_a_roster_handed_in_has_no_name_on_the_disk(admin: Browser, monkeypatch: pytest.MonkeyPatch):
    seen, checked = list[Path](), import_runs.check

    def check(path: Path, *args: Any, **options: Any) -> Any:
        seen.append(path.readlink())
        return checked(path, *args, **options)

    monkeypatch.setattr(import_runs, "check", check)
    workbook = templates.workbook(db.session(), ROSTER, [])
    db.session.rollback()
    for data in (a_roster({}), workbook):
        answer = send(admin, data, act="check")
        assert "检查结果" in answer.text or "没有数据" in alert(answer)
    assert len(seen) == 2
    assert not any(path.exists() for path in seen)


def test_another_file_than_the_one_checked_is_refused(admin: Browser):
    answer = send(admin, a_roster({}), act="apply", expect="0" * 64)
    assert answer.status_code == 409
    assert "不同" in alert(answer)
    assert count(Elder) == 0


def test_an_interrupted_roster_blocks_others_until_accepted(admin: Browser, app: Flask):
    with transaction() as session:
        begun = events.record(session, "import.begin", "r", by="id-east")
        values = {"file_name": "甲.csv", "rows": 0, "bad_rows": 0, "report": "{}", "state": "staged", "by": "id-east"}
        session.add(ImportRun(id="r", kind="roster", file_hash="0" * 64, at=clock.now(), begun_event=begun, **values))
    a_person("west", ("admin", "area", WEST))
    west = Browser(app.test_client())
    west.log_in("west")
    waiting = send(west, a_roster({"hukou": WEST_STREET}), act="apply")
    assert "另一份名册" in alert(waiting)
    assert "甲.csv" not in waiting.text
    assert west.post("/desk/imports/r/accept").status_code == 404
    assert "怎样处理" in admin.get("/desk/imports").text
    assert admin.post("/desk/imports/r/accept").status_code == 302
    assert "已导入" in send(west, a_roster({"hukou": WEST_STREET}), act="apply").text


def test_a_file_that_is_no_table_is_explained(admin: Browser):
    answer = send(admin, b"\x89PNG\r\n\x1a\n" + bytes(range(256)), act="check")
    assert answer.status_code == 422
    assert alert(answer).endswith("。")
    missing = admin.client.post("/desk/imports", data={"csrf": admin.token("/desk/account"), "kind": "roster"})
    assert "选择文件" in alert(missing)


def test_a_check_beside_the_form_answers_the_result_alone(admin: Browser):
    form = {"csrf": admin.token("/desk/account"), "kind": "roster", "file": (io.BytesIO(a_roster({})), "a.csv")}
    part = admin.client.post("/desk/imports", data=form | {"act": "check"}, headers={"HX-Request": "true"})
    assert "检查结果" in part.text
    assert "<html" not in part.text


@pytest.mark.parametrize("kind", ["roster", "areas", "canteens", "closures", "contracts", "staff"])
def test_templates_are_handed_out(admin: Browser, kind: str):
    assert admin.get(f"/desk/imports/{kind}.xlsx").data.startswith(b"PK")
    assert admin.get(f"/desk/imports/{kind}.csv").data.startswith(b"\xef\xbb\xbf")
    assert admin.get(f"/desk/imports/{kind}.exe").status_code == 404


def test_imports_are_for_those_who_may(desk: Browser):
    a_person("money", ("finance", "area", EAST))
    desk.log_in("money")
    assert desk.get("/desk/imports").status_code == 403
    assert send(desk, a_roster({})).status_code == 403


def test_who_moved_away_is_seen_but_changed_by_the_new_street(desk: Browser):
    li = an_elder()
    with transaction() as session:
        facts = [NewFact(kind, WEST_STREET, clock.today()) for kind in ("hukou", "residence")]
        elders.note(session, li, facts, "system")
    a_person("street", ("reviewer", "area", EAST_STREET))
    desk.log_in("street")
    assert "登记变化" not in desk.get(f"/desk/elders/{li}").text
    assert "现在所在的街道" in alert(desk.post(f"/desk/elders/{li}/amend", name="李秀荣", phone=""))


def test_first_passwords_are_shown_once_and_kept_nowhere(desk: Browser):
    a_person("city", ("admin", "area", CITY))
    desk.log_in("city")
    data = "登录名,姓名,角色,范围类型,范围编号\nzhao,赵敏,收银员,食堂,east\n".encode()
    page = send(desk, data, act="apply", kind="staff").text
    pin = re.search(r"收银口令 (\d{6})", page)
    assert pin is not None
    assert pin[1] not in desk.get("/desk/imports?kind=staff").text
    assert pin[1] not in " ".join(db.session().execute(select(Event.body)).scalars())


# --- looking up ---


def test_names_with_marks_of_the_pattern_are_only_names(session: Session):
    an_elder()
    assert lookup.find(session, "%", {EAST_STREET}) == []
    assert lookup.find(session, "李_英", {EAST_STREET}) == []
    assert len(lookup.find(session, "李 秀", {EAST_STREET})) == 1
    assert lookup.find(session, "李", set()) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # what the test's own client sends
def test_only_an_import_may_have_a_large_body(admin: Browser):
    blank = "\n".join([",".join(column.title for column in ROSTER.columns), *[" " * 60 + "," * 15] * 120_000])
    assert len(blank) > 8 * 1024 * 1024
    assert "没有数据" in alert(send(admin, blank.encode(), act="check"))
    assert send(admin, blank.encode() * 3, act="check").status_code == 413
    picture = {"csrf": admin.token("/desk/account"), "photo": (io.BytesIO(blank.encode()), "a.jpg")}
    assert admin.client.post(f"/desk/elders/{an_elder()}/set_photo", data=picture).status_code == 413
    gc.collect()


def test_likely_same_entries_are_listed_and_merged(desk: Browser):
    one, two = an_elder(), an_elder(id_number=number(region="220102", order=104))
    an_elder(area=WEST_STREET, id_number=number(region="220102", order=106))
    page = desk.get("/desk/elders/likely").text
    assert page.count("李秀英 ·") == 1
    assert str(one) in page
    assert str(two) in page
    assert "/desk/elders/likely" in desk.get("/desk/elders").text
    first = re.findall(r'name="twin" value="([^"]+)"', page)
    (form,) = re.findall(r'action="(/desk/elders/[^"]+/merge)"', page)
    answer = desk.post(form, at="/desk/elders/likely", twin=first[0])
    assert answer.status_code == 302
    assert "没有要合并的" in desk.post(form, at="/desk/elders/likely", twin=str(uuid.uuid4())).text
    confirm_all(db.session())
    assert "没有这样的登记" in desk.get("/desk/elders/likely").text
