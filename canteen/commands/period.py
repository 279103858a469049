"""canteen period: close what is over, recompute a closed period, show the state of each."""

from __future__ import annotations

import json
import sys
from datetime import date
from typing import Any

import click
from sqlalchemy import select

from canteen import clock
from canteen.commands import installation
from canteen.db import db
from canteen.errors import Refusal
from canteen.ledger import periods
from canteen.ledger.models import Period
from canteen.places import Contract, NoContract
from canteen.settlement.audit import verify
from canteen.settlement.claims import claims, missing_records
from canteen.settlement.closing import close as period_close
from canteen.settlement.models import Claim, Statement

BY = "system"


class Month(click.ParamType[date]):
    """'2026-10', or a day '2026-10-15' of a period that is no calendar month; answers a day in it."""

    name = "month"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        try:
            return date.fromisoformat(value if len(value) > 7 else f"{value}-01")
        except (TypeError, ValueError):
            self.fail(f"{value!r} is neither a month like 2026-10 nor a day like 2026-10-15", param, ctx)


MONTH = Month()


def show(result: object, as_json: bool, lines: list[str]) -> None:
    """Print one result, for people or for programs."""
    click.echo(json.dumps(result, ensure_ascii=False, indent=2) if as_json else "\n".join(lines))


@click.group()
def period() -> None:
    """Close periods of contracts, verify them, show their status."""


@period.command("close")
@click.argument("contract", required=False)
@click.argument("month", type=MONTH, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def close(contract: str | None, month: date | None, as_json: bool) -> None:
    """Close MONTH (like 2026-10) of CONTRACT and draft its claim; without MONTH all that is over, oldest first.

    Safe to repeat: a closed period is shown again, not closed twice.
    """
    with installation():
        todo = [(contract, month)] if contract and month else _over(contract)
        done, failed = _close_each(todo)
        rows = [{"claim": one.claim, "statement": one.hash, "closed_now": one.flipped} for one in done]
        said = [
            f"{row['claim']}  {row['statement']}  {'closed' if row['closed_now'] else 'was closed'}" for row in rows
        ]
        if said or as_json or not failed:
            show(rows, as_json, said or ["Nothing is over and open."])
    for contract_id, (day, error) in failed.items():
        click.echo(
            f"close_failed: {contract_id} 含 {day} 的所属期未能结账（{type(error).__name__}: {error}）。"
            "已保存的数据不变，排除原因后请再次运行 canteen period close。",
            err=True,
        )
    if failed:
        sys.exit(1)


def _close_each(todo: list[tuple[str, date]]) -> tuple[list[period_close.Closed], dict[str, tuple[date, Exception]]]:
    """Close in this order. Where one fails the later ones of its contract wait, the other contracts do not."""
    done: list[period_close.Closed] = []
    failed: dict[str, tuple[date, Exception]] = {}
    for contract_id, day in todo:
        if contract_id in failed:
            continue
        try:
            done.append(period_close.close(contract_id, day, by=BY))
        except Exception as error:
            if isinstance(error, Refusal) and len(todo) == 1:
                raise
            db.session.rollback()
            failed[contract_id] = (day, error)
    return done, failed


def _over(contract: str | None) -> list[tuple[str, date]]:
    """List what is over and not computed yet, of one contract or all."""
    if contract is not None and db.session.get(Contract, contract) is None:
        raise NoContract
    found = period_close.due(db.session(), clock.today())
    killed = [db.session.get_one(Period, number) for number in period_close.unfinished(db.session())]
    todo = [(one.contract_id, one.to_day) for one in killed] + found
    db.session.rollback()
    return [(which, day) for which, day in todo if contract in {None, which}]


@period.command("verify")
@click.argument("contract")
@click.argument("month", type=MONTH, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def verify_(contract: str, month: date | None, as_json: bool) -> None:
    """Recompute closed periods of CONTRACT and name every difference; exit 1 if there is one.

    On a terminal it shows how many sales are done, how many there are, and how long the rest will take.
    """
    with installation():
        numbers = _closed(contract, month)
        with click.progressbar(
            length=sum(map(verify.sales_of, numbers)), label="Sales verified", show_pos=True, file=sys.stderr
        ) as shown:
            results = [verify.period(number, done=shown.update) for number in numbers]
        rows = [
            {
                "period": one.period_id,
                "sales": one.sales,
                "fen": one.fen,
                "differences": [[d.code, d.subject, d.there, d.expected] for d in one.differences],
            }
            for one in results
        ]
        said = []
        for one in results:
            said.append(f"period {one.period_id}: {one.sales} sales, {one.fen} fen, {len(one.differences)} differences")
            said += [f"  {d.code} {d.subject}: {d.there} should be {d.expected}" for d in one.differences]
        show(rows, as_json, said)
    if any(one.differences for one in results):
        click.echo("verify_differs: 复算不一致，请查看上列差异。", err=True)
        sys.exit(1)


def _closed(contract: str, month: date | None) -> list[int]:
    """Return ids of the closed periods asked for, oldest first. Raises NoPeriod when there is none."""
    query = select(Period.id).where(Period.contract_id == contract, Period.state == "closed").order_by(Period.from_day)
    if month is not None:
        query = query.where(Period.from_day <= month, Period.to_day >= month)
    numbers = list(db.session.execute(query).scalars())
    db.session.rollback()
    if not numbers:
        raise periods.NoPeriod
    return numbers


@period.command("status")
@click.argument("contract", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def status(contract: str | None, as_json: bool) -> None:
    """Show each period of each contract: open or closed, its claim, what tablets still owe."""
    with installation():
        query = select(Period).order_by(Period.contract_id, Period.from_day)
        if contract is not None:
            query = query.where(Period.contract_id == contract)
        numbers = [row.id for row in db.session.execute(query).scalars()]
        rows = [_status(number) for number in numbers]
    said = [
        f"{row['contract']} {row['from']}..{row['to']} {row['state']}"
        f" claim={row['claim'] or '-'} {row['claim_state'] or ''} fen={row['fen']} gaps={row['gaps']}"
        f" silent={','.join(row['silent']) or '-'}"
        for row in rows
    ]
    show(rows, as_json, said or ["No periods."])


def _status(period_id: int) -> dict[str, Any]:
    row = db.session.get_one(Period, period_id)
    claim = db.session.execute(select(Claim).where(Claim.period_id == period_id)).scalar_one_or_none()
    statement = db.session.get(Statement, period_id)
    found: dict[str, Any] = {
        "period": period_id,
        "contract": row.contract_id,
        "from": row.from_day.isoformat(),
        "to": row.to_day.isoformat(),
        "state": row.state,
        "statement": statement.hash if statement else None,
        "claim": claim.number if claim else None,
        "claim_state": claims.state(db.session(), claim.id) if claim else None,
        "fen": claim.fen if claim else None,
    }
    over = row.to_day < clock.today()
    found["gaps"] = (
        [f"{gap.tablet}/{gap.epoch}/{gap.first}-{gap.last}" for gap in missing_records.missing(row)] if over else []
    )
    found["silent"] = [one.tablet for one in missing_records.silent(row)] if over else []
    return found
