"""Staff by template: accounts with their first roles. First passwords and PINs are made here and shown once."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen.auth import change_requests, guard, people
from canteen.auth.change_requests import RequestLine
from canteen.auth.models import Person
from canteen.auth.reach import Reach
from canteen.places import Area, Canteen, Operator
from canteen.registry.imports.columns import BadCell, Column, Row, Template, code, one_of, text
from canteen.registry.labels import NODES
from canteen.registry.text_forms import close_up
from canteen.web.security import settings

_TABLES: Final[dict[str, type[Area | Operator | Canteen]]] = {
    "area": Area,
    "operator": Operator,
    "canteen": Canteen,
}
_AT_COUNTER: Final = ("cashier", "manager")  # roles that log in at a tablet, by PIN
_READABLE: Final = "abcdefghjkmnpqrstuvwxyz23456789"


def login(cell: str) -> str:
    name = close_up(cell).lower()
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,31}", name, re.ASCII):
        raise BadCell("登录名为 2 至 32 位小写字母、数字、点或短横线。")
    return name


STAFF: Final = Template(
    "staff",
    "工作人员",
    (
        Column("login", "登录名", login, "小写字母和数字；同一人多个角色时写多行", required=True),
        Column("name", "姓名", text(40), "", required=True),
        Column("role", "角色", one_of(guard.ROLE_NAMES), "、".join(guard.ROLE_NAMES.values()), required=True),
        Column("node", "范围类型", one_of(NODES), "、".join(NODES.values()), required=True),
        Column("place", "范围编号", code, "区划代码、运营方编号或食堂编号", required=True, width=18),
    ),
    rows=2_000,
)


@dataclass(slots=True)
class Change:
    """One role of one person; `person_id` None where the account is made by this file."""

    kind: str
    login: str
    name: str
    grant: tuple[str, str, str]
    person_id: str | None


class Staff:
    """One run over a file of staff. `secrets`: what was made for new accounts, by login.

    Roles of the bureau are collected in `asked`, for a second administrator: one request of the whole file.
    """

    template: ClassVar = STAFF
    chunk: ClassVar = STAFF.rows
    asks: ClassVar = people.GRANT

    def __init__(self, session: Session, within: frozenset[str] | None, by: str) -> None:
        self._reach = Reach.of(session, by)
        self._seen: dict[tuple[str, str, str, str], str] = {}
        self._names: dict[str, str] = {}
        self._roles: dict[str, set[str]] = {}
        self.secrets: dict[str, str] = {}
        self.asked: list[RequestLine] = []
        self.places: set[tuple[str, str]] = set()
        self.waiting = 0

    def plan(self, session: Session, rows: Sequence[Row]) -> list[Change]:
        changes = []
        for row in rows:
            if row.faults:
                continue
            grant = (row.values["role"], row.values["node"], row.values["place"])
            person = session.execute(select(Person).where(Person.login == row.values["login"])).scalar_one_or_none()
            self._check(session, row, grant, person)
            if row.faults:
                continue
            grants = guard.live_grants(session, person.id) if person else []
            same = any((each.role, each.node_kind, each.node_id) == grant for each in grants)
            same = same or (person is not None and self._is_asked(session, person.id, grant))
            self.waiting += not same and people.waits(session, *grant, self._reach.by)
            kind = "same" if same else "changed" if person else "new"
            changes.append(Change(kind, row.values["login"], row.values["name"], grant, person.id if person else None))
        return changes

    def write(self, session: Session, changes: Sequence[Change], recorded: int, by: str) -> None:
        fresh: dict[str, list[Change]] = {}
        for change in changes:
            if change.person_id is not None:
                people.grant(change.person_id, *change.grant, by=by, asked=self.asked)
            else:
                fresh.setdefault(change.login, []).append(change)
        for name, first in fresh.items():
            self._create(name, first, by)
        self.places = set(people.places_of(self.asked))

    def _is_asked(self, session: Session, person_id: str, grant: tuple[str, str, str]) -> bool:
        """Return whether a second administrator is asked for this very role already."""
        waiting = change_requests.asked_about(session, people.GRANT, [person_id]).get(person_id, ())
        return any(line == people.line_of(person_id, *grant) for _, line in waiting)

    def _check(self, session: Session, row: Row, grant: tuple[str, str, str], person: Person | None) -> None:
        name = row.values["login"]
        if (first := self._seen.setdefault((name, *grant), row.place)) != row.place:
            row.refuse("登录名", BadCell(f"与{first}相同，请只保留一行。"))
        if self._names.setdefault(name, person.name if person else row.values["name"]) != row.values["name"]:
            row.refuse("姓名", BadCell("这个登录名属于另一位工作人员，请换一个登录名。"))
        self._check_person(row, person)
        self._check_apart(session, row, grant[0], person)
        role, kind, node = grant
        if session.get(_TABLES[kind], node) is None or not self._reach.grants(session, role, kind, node):
            row.refuse("范围编号", BadCell("没有这个编号，或不在您可以授权的范围内，请核对。"))

    def _check_person(self, row: Row, person: Person | None) -> None:
        """Refuse rights for oneself, for a shut account (opened by hand), and for a demo account outside the demo."""
        if person is not None and person.id == self._reach.by:
            row.refuse("登录名", BadCell("不能给自己授权，请另一位管理员办理。"))
        elif person is not None and person.disabled_at is not None:
            row.refuse("登录名", BadCell("这个账号已停用，请先在“人员”页面启用。"))
        elif person is None and settings().production and row.values["login"].startswith(people.DEMO):
            row.refuse("登录名", BadCell(f"{people.DEMO} 开头的登录名只用于演示，请换一个。"))

    def _check_apart(self, session: Session, row: Row, role: str, person: Person | None) -> None:
        """Refuse a second role for an auditor, in the file and among the granted."""
        roles = self._roles.setdefault(row.values["login"], set())
        if not roles and person is not None:
            roles |= {each.role for each in guard.live_grants(session, person.id)}
        if any((other == "auditor") != (role == "auditor") for other in roles):
            row.refuse("角色", BadCell("审计人员不能同时担任其他角色，请为审计另建账号。"))
        else:
            roles.add(role)

    def _create(self, name: str, first: list[Change], by: str) -> None:
        roles = {change.grant[0] for change in first}
        pin = _pin() if roles & set(_AT_COUNTER) else None
        password = None if roles == {"cashier"} else "".join(secrets.choice(_READABLE) for _ in range(12))
        grants = [each.grant for each in first]
        people.create(name, first[0].name, password=password, pin=pin, grants=grants, by=by, asked=self.asked)
        shown = [f"初始密码 {password}"] if password else []
        self.secrets[name] = "，".join(shown + ([f"收银口令 {pin}"] if pin else []))


def _pin() -> str:
    """Draw six digits of at least four kinds, so that no rule against patterns refuses them."""
    while True:
        pin = f"{secrets.randbelow(10**6):06d}"
        if len(set(pin)) >= 4 and pin not in "01234567890123456789" and pin not in "98765432109876543210":
            return pin
