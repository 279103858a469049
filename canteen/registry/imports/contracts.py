"""Contracts by template: who runs a canteen, who is paid, from when. A contract once made only ever ends.

A contract that pays an account which no contract of its canteen paid before is made once a second person confirms it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, ClassVar, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from stdnum.cn import uscc

from canteen import events, places
from canteen.auth import change_requests
from canteen.auth.change_requests import Kind, Overtaken, RequestLine, Shown
from canteen.auth.guard import Permission
from canteen.auth.models import ChangeRequest
from canteen.ledger.models import Period
from canteen.places import Area, Canteen, Contract, Operator, Payee
from canteen.registry import keys
from canteen.registry.imports.columns import (
    BadCell,
    Column,
    NoEnd,
    Row,
    Template,
    code,
    day,
    end,
    one_of,
    text,
    written_day,
)
from canteen.registry.labels import CANTEEN_CLASSES, GRADES
from canteen.registry.text_forms import close_up

KIND: Final = "contract"  # of change, for a second person
MADE: Final = "contract.made"  # who said who is paid: he does not pay


_SIGN = "[0-9A-HJ-NP-RTUW-Y]"  # letters but I, O, S, V and Z
CREDIT_CODE = re.compile(rf"[1-9ANY]{_SIGN}\d{{6}}{_SIGN}{{10}}", re.ASCII)


def credit_code(cell: str) -> str:
    """Read a 统一社会信用代码: 18 characters, the last a check character (GB 32100). Raises BadCell.

    The first place is the registering authority: a digit, or N for agriculture (village collectives), A, Y. python-stdnum
    2.2 takes digits alone there, so only its check character is asked.
    """
    number = close_up(cell).upper()
    if not CREDIT_CODE.fullmatch(number) or uscc.calc_check_digit(number[:-1]) != number[-1]:
        raise BadCell("统一社会信用代码校验不符，请对照营业执照核对。")
    return number


def account(cell: str) -> str:
    """Read a bank account: digits, as text."""
    number = close_up(cell)
    if not re.fullmatch(r"\d{6,32}", number, re.ASCII):
        raise BadCell("账号应为 6 至 32 位数字，且该列须为文本格式，请核对。")
    return number


CONTRACTS: Final = Template(
    "contracts",
    "运营协议",
    (
        Column("id", "协议编号", code, "与纸质协议一致", required=True, width=18),
        Column("canteen", "食堂编号", code, "", required=True),
        Column("operator", "运营方名称", text(60), "", required=True, width=26),
        Column("credit", "统一社会信用代码", credit_code, "村集体等没有的不填", width=22),
        Column("payee", "收款单位", text(60), "补贴拨付给谁，可与运营方不同", required=True, width=26),
        Column("bank", "开户行", text(60), "", required=True, width=22),
        Column("account", "收款账号", account, "本列须为文本格式，前面的 0 才不会丢失", required=True, width=24),
        Column("class", "食堂类别", one_of(CANTEEN_CLASSES), "、".join(CANTEEN_CLASSES.values()), required=True),
        Column("grade", "考核等级", one_of(GRADES), "、".join(GRADES.values()) + "；未考核不填"),
        Column("from", "起始日期", day, "", required=True, numeric=written_day),
        Column(
            "to",
            "截止日期",
            end,
            "协议的最后一天；空着不改动已登记的截止日期，新协议即长期有效；取消截止日期填“无”",
            numeric=written_day,
        ),
    ),
    rows=5_000,
)


@dataclass(slots=True)
class Change:
    """One contract: made, or given an end."""

    kind: str
    values: dict[str, Any] = field(repr=False)
    waits: bool = False  # for a second person


class Contracts:
    """One run over a file of contracts. `within`: the areas that the importer answers for; None is everywhere.

    confirmed    a second person confirmed the new accounts; else contracts that bring one are collected in `asked`
    """

    template: ClassVar = CONTRACTS
    chunk: ClassVar = CONTRACTS.rows
    asks: ClassVar = KIND

    def __init__(self, session: Session, within: frozenset[str] | None, by: str, *, confirmed: bool = False) -> None:
        self._within, self._confirmed = within, confirmed
        self.asked: list[RequestLine] = []
        self.places: set[tuple[str, str]] = set()
        self._waiting: dict[str, dict[str, Any]] = {}
        self._canteens = {each.id: each for each in session.execute(select(Canteen)).scalars()}
        self._names: dict[str, str] = {}
        self._spans: dict[str, list[tuple[str, date, date | None]]] = {}
        self._ends: dict[str, date | None] = {}
        for each in session.execute(select(Contract)).scalars():
            self._spans.setdefault(each.canteen_id, []).append((each.id, each.from_day, each.to_day))
            self._ends[each.id] = each.to_day

    @property
    def waiting(self) -> int:
        return len(self.asked)

    def plan(self, session: Session, rows: Sequence[Row]) -> list[Change]:
        seen, changes = dict[str, str](), list[Change]()
        ids = [str(row.values["id"]) for row in rows if "id" in row.values]
        asked = {} if self._confirmed else change_requests.asked_about(session, KIND, ids)
        self._waiting = {name: values_of(found[-1][1]) for name, found in asked.items()}
        # Contracts that the file ends are written first, wherever they are in it.
        for row in sorted(rows, key=lambda row: row.values.get("id") not in self._ends):
            if row.faults:
                continue
            values = row.values
            if (first := seen.setdefault(values["id"], row.place)) != row.place:
                row.refuse("协议编号", BadCell(f"与{first}相同，请只保留一行。"))
            canteen = self._canteens.get(values["canteen"])
            if canteen is None or (self._within is not None and canteen.area_id not in self._within):
                row.refuse("食堂编号", BadCell("没有这个食堂，或不在您负责的区域内，请核对。"))
            self._check_days(row)
            self._check_operator(session, row)
            if not row.faults and (change := self._change(session, row)) is not None:
                changes.append(change)
        return changes

    def write(
        self, session: Session, changes: Sequence[Change], recorded: int, by: str, *, confirmed_by: str = ""
    ) -> None:
        changes = [change for change in changes if not change.waits]
        for change in changes:
            values = change.values
            known = session.get(Contract, values["id"])
            if known is not None:
                known.to_day = _last(values, known.to_day)
                continue
            operator = _operator(session, values, self._canteens[values["canteen"]])
            payee = _payee(session, values)
            session.add(
                Contract(
                    id=values["id"],
                    canteen_id=values["canteen"],
                    operator_id=operator.id,
                    payee_id=payee.id,
                    district_id=self._canteens[values["canteen"]].district_id,
                    canteen_class=values["class"],
                    grade=values.get("grade", ""),
                    from_day=values["from"],
                    to_day=_last(values, None),
                )
            )
            session.flush()
        if made := [change.values["id"] for change in changes if change.kind == "new"]:
            body: dict[str, object] = {"contracts": made}
            body |= {"confirmed_by": confirmed_by} if confirmed_by else {}
            events.record(session, MADE, f"event:{recorded}", by=by, body=body)
        session.flush()

    def _check_days(self, row: Row) -> None:
        first, last = row.values["from"], _last(row.values, self._ends.get(row.values["id"]))
        if last is not None and last < first:
            row.refuse("截止日期", BadCell("早于起始日期，请核对。"))
            return
        spans = self._spans.setdefault(row.values["canteen"], [])
        for other, starts, ends in spans:
            if other != row.values["id"] and starts <= (last or date.max) and first <= (ends or date.max):
                row.refuse(
                    "起始日期", BadCell(f"与协议 {other} 的期间重叠：同一食堂同一天只能有一份协议，请先终止前一份。")
                )
        spans[:] = [each for each in spans if each[0] != row.values["id"]] + [(row.values["id"], first, last)]

    def _check_operator(self, session: Session, row: Row) -> None:
        """Refuse one credit code for two operators, in the file and among the known."""
        credit, name = row.values.get("credit"), row.values["operator"]
        if credit is None:
            return
        known = session.execute(select(Operator.name).where(Operator.credit_code == credit)).scalar_one_or_none()
        if self._names.setdefault(credit, known or name) != name:
            row.refuse("运营方名称", BadCell("这个统一社会信用代码登记的是另一个名称，请对照营业执照核对。"))

    def _change(self, session: Session, row: Row) -> Change | None:
        values = row.values
        known = session.get(Contract, values["id"])
        if known is None:
            return self._new(session, row)
        operator, payee = session.get_one(Operator, known.operator_id), session.get_one(Payee, known.payee_id)
        before = (known.canteen_id, known.canteen_class, known.from_day, operator.name, payee.name, payee.bank)
        after = tuple(values[key] for key in ("canteen", "class", "from", "operator", "payee", "bank"))
        if (
            before != after
            or _account_of(payee) != values["account"]
            or known.grade != values.get("grade", known.grade)
        ):
            row.refuse("协议编号", BadCell("协议已登记，除截止日期外不能改；内容有变请终止后另立新协议。"))
            return None
        ends = _last(values, known.to_day)
        if ends == known.to_day:
            return Change("same", values)
        closed = _closed_to(session, known.id)
        if ends is not None and closed is not None and ends < closed:
            row.refuse("截止日期", BadCell(f"这份协议已结账到 {closed:%Y-%m-%d}，截止日期不能早于这一天。"))
            return None
        return Change("changed", values)

    def _new(self, session: Session, row: Row) -> Change | None:
        """Plan a new contract; one with a new account is asked for, once."""
        values = row.values
        if self._confirmed or _paid_before(session, values):
            return Change("new", values)
        if values["id"] in self._waiting:
            if self._waiting[values["id"]] == values:
                return Change("same", values)
            row.refuse("协议编号", BadCell("这份协议的另一版内容正待复核，请先到“待复核”页面办理。"))
            return None
        self.asked.append(_line_of(values))
        self.places.add(("canteen", values["canteen"]))
        return Change("new", values, waits=True)


def _line_of(values: dict[str, Any]) -> RequestLine:
    """Return a contract as a line of a request, its account sealed."""
    stated = {key: value.isoformat() if isinstance(value, date) else value for key, value in values.items()}
    box = keys.keyring().identity
    sealed = box.seal(values["account"].encode(), f"contract.account {values['id']}").hex()
    return RequestLine(values["id"], stated | {"account": sealed})


def values_of(line: RequestLine) -> dict[str, Any]:
    """Return the contract that a line asks for, as its row was read."""
    stated, context = dict(line.asked), f"contract.account {line.subject}"
    stated["account"] = keys.keyring().identity.open(bytes.fromhex(stated["account"]), context).decode()
    return stated | {key: date.fromisoformat(stated[key]) for key in ("from", "to") if key in stated}


def perform(session: Session, request: ChangeRequest, lines: Sequence[RequestLine], by: str) -> None:
    """Make the contracts, in the asker's name. Raises Overtaken when one of them can no longer be made."""
    events.wait(session)
    rows = [Row(n, values_of(line), []) for n, line in enumerate(lines, 1)]
    importer = Contracts(session, None, request.asked_by, confirmed=True)
    changes = importer.plan(session, rows)
    if faults := [f"{row.values['id']}：{fault.reason}" for row in rows for fault in row.faults]:
        raise Overtaken(f"不能照原样办理：{faults[0]} 请不予通过，由经办人重新提交。")
    importer.write(session, changes, request.id, request.asked_by, confirmed_by=by)


def shown(session: Session, lines: Sequence[RequestLine]) -> list[Shown]:
    """Return each contract in words: the payee until then and the new one, with the whole account to compare."""
    found, asked = [], [(line, values_of(line)) for line in lines]
    at = {values["canteen"] for _, values in asked}
    canteens = dict(session.execute(select(Canteen.id, Canteen.name).where(Canteen.id.in_(at))).all())
    paid = select(Contract.canteen_id, Payee).join(Payee, Contract.payee_id == Payee.id)
    rows = session.execute(paid.where(Contract.canteen_id.in_(at)).order_by(Contract.from_day))
    payees = dict(rows.all())  # the newest wins
    for line, values in asked:
        payee = payees.get(values["canteen"])
        before = f"收款：{payee.name}，{payee.bank}，尾号 {payee.account_tail}" if payee else "没有运营协议"
        after = f"运营方：{values['operator']}；收款：{values['payee']}，{values['bank']}，账号 {values['account']}"
        name = canteens.get(values["canteen"], values["canteen"])
        found.append(Shown(name, f"协议 {line.subject}", before, after, values["from"].isoformat()))
    return found


def _paid_before(session: Session, values: dict[str, Any]) -> bool:
    """Return whether a contract of the canteen paid this very account before."""
    earlier = select(Payee).join(Contract, Contract.payee_id == Payee.id)
    same = (Payee.name == values["payee"], Payee.bank == values["bank"], Payee.account_tail == values["account"][-4:])
    rows = session.execute(earlier.where(Contract.canteen_id == values["canteen"], *same)).scalars()
    return any(_account_of(payee) == values["account"] for payee in rows)


def _last(values: dict[str, Any], known: date | None) -> date | None:
    """Return the last valid day after the row: the known one for an empty cell, none where it says so."""
    stated: date | NoEnd | None = values.get("to")
    return None if isinstance(stated, NoEnd) else stated or known


def _closed_to(session: Session, contract_id: str) -> date | None:
    """Return the last day of the closed periods, which do not change."""
    query = select(func.max(Period.to_day)).where(Period.contract_id == contract_id, Period.state == "closed")
    return session.execute(query).scalar()


def _operator(session: Session, values: dict[str, Any], canteen: Canteen) -> Operator:
    """Return the operator of this credit code, or of this name where the row has none; made when new.

    Names of firms are their own; of village collectives there are many of one name: only a neighbour's is the same.
    """
    credit = values.get("credit")
    same = Operator.credit_code == credit if credit else Operator.name == values["operator"]
    for found in session.execute(select(Operator).where(same).order_by(Operator.credit_code.is_(None))).scalars():
        if found.credit_code is not None or _is_near(session, found, canteen, values["from"]):
            return found
    made = Operator(id=f"op-{secrets.token_hex(4)}", name=values["operator"], credit_code=credit)
    session.add(made)
    session.flush()
    return made


def _is_near(session: Session, operator: Operator, canteen: Canteen, on: date) -> bool:
    """Return whether an operator runs, or ran, a canteen in the same street."""
    run = select(Canteen.area_id).join(Contract, Contract.canteen_id == Canteen.id)
    areas = set(session.execute(run.where(Contract.operator_id == operator.id)).scalars())
    theirs = set[str]().union(*(places.path(session, area, on) for area in areas))
    around = theirs.intersection(places.path(session, canteen.area_id, on))
    streets = select(Area.id).where(Area.id.in_(around), Area.level == "street")
    return session.execute(streets).first() is not None


def _payee(session: Session, values: dict[str, Any]) -> Payee:
    """Return the payee with this very account; made when new."""
    alike = select(Payee).where(Payee.name == values["payee"], Payee.account_tail == values["account"][-4:])
    for payee in session.execute(alike).scalars():
        if payee.bank == values["bank"] and _account_of(payee) == values["account"]:
            return payee
    payee_id, box = f"payee-{secrets.token_hex(4)}", keys.keyring().identity
    payee = Payee(
        id=payee_id,
        name=values["payee"],
        bank=values["bank"],
        account_cipher=box.seal(values["account"].encode(), f"payee.account {payee_id}"),
        account_tail=values["account"][-4:],
    )
    session.add(payee)
    session.flush()
    return payee


def _account_of(payee: Payee) -> str:
    return keys.keyring().identity.open(payee.account_cipher, f"payee.account {payee.id}").decode()


change_requests.register(Kind(KIND, "运营协议（收款账号）", Permission.PLACES, perform, shown))
