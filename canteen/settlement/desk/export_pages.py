"""Have a claim's workbook written, show how far it is, and send it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from flask import g, redirect, render_template, send_file, url_for
from flask.typing import ResponseReturnValue

from canteen.auth.guard import NotCovered, Permission, allowed
from canteen.db import db
from canteen.settlement.desk import claim_summary, export_jobs, exports
from canteen.settlement.desk.blueprint import PAYERS, bp, find, is_insider, reach
from canteen.settlement.models import Claim, ClaimExport


def _reader_of(claim: Claim) -> tuple[bool, bool]:
    """Return (insider, accounts) of the caller: which workbook of the claim is theirs to read."""
    return is_insider(claim.contract_id), any(claim.contract_id in reach(permission) for permission in PAYERS)


@bp.get("/desk/claims/<number>/export.xlsx")
@allowed(Permission.EXPORT)
def export(number: str) -> ResponseReturnValue:
    """Have the claim and its meals written as a workbook in the background, however small: one way for all."""
    found = find(number, Permission.EXPORT)
    claim_id, (insider, accounts) = found.id, _reader_of(found)
    of_meals = export_jobs.meals(db.session(), found)
    job = export_jobs.ask(claim_id, of_meals, insider=insider, accounts=accounts, by=g.person.id)
    return redirect(url_for("settlement.export_page", number=number, job=job))


@bp.get("/desk/claims/<number>/exports/<int:job>")
@allowed(Permission.EXPORT)
def export_page(number: str, job: int) -> ResponseReturnValue:
    """Show how far a workbook is written, and where to take it."""
    claim, row = _own(number, job)
    return render_template(
        "settlement/export.html",
        about=claim_summary.about(db.session(), claim),
        row=row,
        percent=min(99, row.meals * 100 // max(row.of_meals, 1)),
        until=row.finished_at + export_jobs.KEPT if row.finished_at else None,
    )


@bp.get("/desk/claims/<number>/exports/<int:job>.xlsx")
@allowed(Permission.EXPORT)
def export_file(number: str, job: int) -> ResponseReturnValue:
    """Send a workbook that was written in the background, and record who took it."""
    claim, row = _own(number, job)
    if row.state != "done":
        return redirect(url_for("settlement.export_page", number=number, job=job))
    claim_id, written = claim.id, exports.Exported(Path(), row.hash, row.meals)
    db.session.rollback()
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the answer
    for part in export_jobs.parts(job):
        file.write(part)
    file.seek(0)
    exports.record(claim_id, written, by=g.person.id)
    return send_file(
        file,
        mimetype="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        as_attachment=True,
        download_name=f"结算单-{number}.xlsx",
        max_age=0,
    )


def _own(number: str, job: int) -> tuple[Claim, ClaimExport]:
    """Return a claim within reach and an export of it for readers like the caller. Raises NotCovered."""
    claim, row = find(number, Permission.EXPORT), db.session().get(ClaimExport, job)
    if row is None or row.claim_id != claim.id or (row.insider, row.accounts) != _reader_of(claim):
        raise NotCovered
    return claim, row
