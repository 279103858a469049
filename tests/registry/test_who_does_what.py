"""Who does what with the roster, and where: every role × act × place, each cell with its outcome."""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import Callable
from typing import Final

import pytest
from flask import Flask

from canteen.auth import change_requests
from canteen.auth.models import ROLES
from canteen.db import db, transaction
from canteen.registry import documents, fact_requests, lookup
from canteen.registry.elders import NewFact
from canteen.registry.imports import import_runs, templates
from tests.auth.house import EAST, EAST_COMMUNITY, EAST_STREET, WEST_STREET, Browser, a_person
from tests.registry.people import SINCE
from tests.registry.test_pages import NUMBER, an_elder

# shut: the role has no such right · hidden: as if there were nobody · refused: told why · asked: waits for a second person
HOLDERS: Final = {
    "cashier": ("cashier", "canteen", "east"),
    "manager": ("manager", "canteen", "east"),
    "community": ("reviewer", "area", EAST_COMMUNITY),
    "street": ("reviewer", "area", EAST_STREET),
    "finance": ("finance", "area", EAST),
    "bureau": ("admin", "area", EAST),
    "auditor": ("auditor", "area", EAST),
    "it": ("operator_it", "area", EAST),
}
KEEPERS: Final = ("community", "street", "bureau")
ACTS: Final = {
    "register": ("done", "refused"),
    "roster": ("done", "refused"),
    "deaths": ("done", "refused"),
    "residents": ("done", "refused"),
    "classes": ("asked", "refused"),
    "die": ("done", "hidden"),
    "move": ("done", "hidden"),
    "institution": ("done", "hidden"),
    "class": ("asked", "hidden"),
    "amend": ("done", "hidden"),
    "confirm": ("hidden", "hidden"),  # the bureau's in its own area
}


def expected(holder: str, act: str, place: str) -> str:
    if act == "confirm":
        return ("done" if place == "own" else "hidden") if holder == "bureau" else "shut"
    if holder not in KEEPERS:
        return "shut"
    return ACTS[act][place == "other"]


CELLS: Final = [(holder, act, place) for holder in HOLDERS for act in ACTS for place in ("own", "other")]


def test_the_table_has_every_role() -> None:
    assert {role for role, _, _ in HOLDERS.values()} == set(ROLES)


@pytest.mark.parametrize(("holder", "act", "place"), CELLS, ids=["-".join(cell) for cell in CELLS])
def test_a_role_does_an_act_at_a_place_or_is_told_why_not(
    city: None, app: Flask, holder: str, act: str, place: str
) -> None:
    a_person("caller", HOLDERS[holder])
    desk = Browser(app.test_client())
    desk.log_in("caller")
    area = EAST_COMMUNITY if place == "own" else WEST_STREET
    assert DO[act](desk, area) == expected(holder, act, place)


def _register(desk: Browser, area: str) -> str:
    answer = desk.post(
        "/desk/elders/new",
        name="李秀英",
        document="resident",
        number=NUMBER,
        hukou=area,
        residence=area,
        since="2026-01-01",
    )
    return _outcome(answer.status_code, answer.location)


def _import(kind: str, titles: dict[str, str]) -> Callable[[Browser, str], str]:
    def do(desk: Browser, area: str) -> str:
        if kind != "roster":
            an_elder(area)
        columns = import_runs.template_of(kind).columns
        usual = {"姓名": "李秀英", "证件号码": NUMBER, "生效日期": "2026-01-01", "居住区划代码": area} | titles
        data = templates.separated(import_runs.template_of(kind), [[usual.get(column.title, "") for column in columns]])
        form = {"csrf": desk.token("/desk/account"), "kind": kind, "act": "apply"}
        answer = desk.client.post("/desk/imports", data=form | {"file": (io.BytesIO(data), "名单.csv")})
        db.session.rollback()
        if answer.status_code == 403:
            return "shut"
        if "不在您负责的区域" in answer.text:
            return "refused"
        assert "已导入" in answer.text, re.findall(r'role="alert">\s*(.*)', answer.text)
        return "asked" if change_requests.asked_about(db.session(), fact_requests.KIND, [str(_the_elder())]) else "done"

    return do


def _the_elder() -> uuid.UUID | None:
    return lookup.by_document(db.session(), documents.parse("resident", NUMBER))


def _act(act: str, /, **fields: str) -> Callable[[Browser, str], str]:
    def do(desk: Browser, area: str) -> str:
        elder = an_elder(area)
        sent = {key.rstrip("_"): value for key, value in fields.items()}
        answer = desk.post(f"/desk/elders/{elder}/{act}", **sent)
        return _outcome(answer.status_code, answer.location)

    return do


def _confirm(desk: Browser, area: str) -> str:
    request = a_request(an_elder(area))
    return _outcome(*_sent(desk, f"/desk/changes/{request}"))


def _sent(desk: Browser, path: str) -> tuple[int, str | None]:
    answer = desk.post(path, act="confirm")
    return answer.status_code, answer.location


def a_request(elder: uuid.UUID) -> int:
    """Something asked for by somebody else."""
    with transaction() as session:
        fact_requests.note(session, elder, [NewFact("class", "tekun", SINCE)], "system")
        (waiting,) = change_requests.asked_about(session, fact_requests.KIND, [str(elder)])[str(elder)]
        return waiting[0].id


def _outcome(status: int, location: str | None) -> str:
    if status == 302:
        return "asked" if "asked" in (location or "") else "done"
    return {403: "shut", 404: "hidden", 422: "refused"}[status]


DO: Final[dict[str, Callable[[Browser, str], str]]] = {
    "register": _register,
    "roster": _import("roster", {}),
    "deaths": _import("deaths", {"死亡日期": "2026-01-01"}),
    "residents": _import("residents", {"入住日期": "2026-01-01"}),
    "classes": _import("classes", {"人员类别": "特困"}),
    "die": _act("note", kind="status", value="deceased", from_="2026-01-01"),
    "move": _act("note", kind="residence", value=EAST_STREET, from_="2199-01-01"),
    "institution": _act("note", kind="status", value="institution", from_="2026-01-01"),
    "class": _act("note", kind="class", value="tekun", from_="2026-01-01"),
    "amend": _act("amend", name="李秀荣", phone=""),
    "confirm": _confirm,
}
