"""Write a claim's workbook in the background: asked for at the desk, run once by any free scheduler, kept a day.

The finished file lies in the database, in sealed parts, so that any host may send it and none needs another's disk.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Select, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from canteen import clock, jobs, keyset
from canteen.db import retried, transaction
from canteen.registry import keys
from canteen.settlement.closing import schedule
from canteen.settlement.desk import exports
from canteen.settlement.models import Claim, ClaimExport, ClaimExportPart, Statement

JOB = "claims.export"
LEASE = timedelta(minutes=2)  # a person waits at a page, so the job of a killed process restarts soon
KEPT = timedelta(days=1)
TELL = 1.0  # seconds between two notes of progress
PART = 1 << 20  # bytes
UNDER_WAY = ("waiting", "running")


class _Overtaken(Exception):
    """Another process works on this export: our lease is over."""


def meals(session: Session, claim: Claim) -> int:
    """Return how many meals a claim's workbook lists, without those that were voided."""
    body = session.execute(select(Statement.body).where(Statement.period_id == claim.period_id)).scalar_one()
    totals = json.loads(body).get("totals", {})
    return int(totals.get("meals", 0)) + int(totals.get("guests", 0))


def ask(claim_id: int, of_meals: int, *, insider: bool, accounts: bool, by: str) -> int:
    """Return the id of the export under way for such a reader; ask for one where there is none."""
    same = select(ClaimExport.id).where(
        ClaimExport.claim_id == claim_id, ClaimExport.insider == insider, ClaimExport.accounts == accounts,
        ClaimExport.state.in_(UNDER_WAY),
    )  # fmt: skip
    try:
        with transaction() as session:
            if (known := session.execute(same).scalar_one_or_none()) is not None:
                return known
            row = ClaimExport(
                claim_id=claim_id, insider=insider, accounts=accounts, by=by, asked_at=clock.now(), state="waiting",
                meals=0, of_meals=of_meals, finished_at=None, hash="", size=0,
            )  # fmt: skip
            session.add(row)
            session.flush()
            return row.id
    except IntegrityError:  # another click asked in the same moment
        return ask(claim_id, of_meals, insider=insider, accounts=accounts, by=by)


def tick(holder: str) -> dict[str, str]:
    """Remove files older than a day, then write what was asked for, oldest first."""
    remove_old()
    query = select(ClaimExport.id).where(ClaimExport.state.in_(UNDER_WAY)).order_by(ClaimExport.id)
    outcomes = {f"{JOB}/{number}": run(number, holder) for (number,) in keyset.once(query)}
    return {key: outcome for key, outcome in outcomes.items() if outcome != "not_ours"}


def run(export_id: int, holder: str) -> str:
    """Write an export if it is ours to write: 'done', 'failed', 'overtaken' or 'not_ours'."""
    outcome = jobs.run_once(JOB, str(export_id), partial(_work, export_id), holder, LEASE)
    if outcome == "failed":
        _change(export_id, state="failed", finished_at=clock.now())
    return outcome


def _work(export_id: int, lease: jobs.Lease) -> None:
    with keyset.reader() as session:
        row = session.get_one(ClaimExport, export_id)
    noted = 0.0

    def go_on(count: int) -> None:
        nonlocal noted
        if time.monotonic() - noted < TELL:
            return
        noted = time.monotonic()
        if not (jobs.renew(lease) and _change(export_id, state="running", meals=count)):
            raise _Overtaken

    try:
        go_on(0)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "claim.xlsx"
            written = exports.claim(row.claim_id, path, insider=row.insider, accounts=row.accounts, go_on=go_on)
            _keep(export_id, written)
    except _Overtaken:
        return


@retried
def _keep(export_id: int, written: exports.Exported) -> None:
    """Put the file into the database, once: of two processes that finish, the later finds it there."""
    box, size = keys.keyring().identity, written.path.stat().st_size
    with transaction() as session, written.path.open("rb") as file:
        values = {"meals": written.meals, "finished_at": clock.now(), "hash": written.hash, "size": size}
        if session.execute(_changed(export_id, state="done", **values)).scalar_one_or_none() is None:
            return
        for n, block in enumerate(iter(partial(file.read, PART), b"")):
            sealed = box.seal(block, _about(export_id, n))
            session.execute(insert(ClaimExportPart), {"export_id": export_id, "n": n, "content": sealed})


def _about(export_id: int, n: int) -> str:
    return f"claim_export_part {export_id}/{n}"


def parts(export_id: int) -> Iterator[bytes]:
    """Yield the finished file part by part."""
    box = keys.keyring().identity
    query: Select[int, bytes] = select(ClaimExportPart.n, ClaimExportPart.content).where(
        ClaimExportPart.export_id == export_id
    )
    for page in keyset.rows(query, (ClaimExportPart.n,), page=1):
        for n, sealed in page:
            yield box.open(sealed, _about(export_id, n))


def remove_old() -> None:
    """Remove the files that were finished more than a day ago; that they were made stays known."""
    old = select(ClaimExport.id).where(ClaimExport.state == "done", ClaimExport.finished_at < clock.now() - KEPT)
    ids = [number for (number,) in keyset.once(old)]
    if not ids:
        return
    with transaction() as session:
        session.execute(delete(ClaimExportPart).where(ClaimExportPart.export_id.in_(ids)))
        session.execute(update(ClaimExport).where(ClaimExport.id.in_(ids)).values(state="removed"))


@retried
def _change(export_id: int, **values: Any) -> bool:
    with transaction() as session:
        return session.execute(_changed(export_id, **values)).scalar_one_or_none() is not None


def _changed(export_id: int, **values: Any) -> Any:
    """Change an export that is not over; the statement answers its id, or nothing."""
    return (
        update(ClaimExport)
        .where(ClaimExport.id == export_id, ClaimExport.state.in_(UNDER_WAY))
        .values(**values)
        .returning(ClaimExport.id)
        .execution_options(synchronize_session=False)
    )


schedule.also(tick)
