"""Show the sales that claim nothing until a reviewer looks at them: their day or their cashier is not proven.

They are listed from their arrival on; the close then names each in a finding, by which it is released or left out.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select

from canteen import keyset
from canteen.auth import guard
from canteen.auth.guard import Permission, allowed
from canteen.db import db
from canteen.money import Fen
from canteen.pos.models import DOUBTED, Sale, Void
from canteen.settlement.desk import meal_queries
from canteen.settlement.desk.meal_queries import MealRow
from canteen.settlement.models import BenefitReallocation, Claim, Finding
from canteen.web import nav

bp = Blueprint("doubted", __name__)
nav.add("doubted.home", "补传核实", position=13)

SHOWN, COUNTED = 200, 10_000


@dataclass(frozen=True, slots=True)
class Doubted:
    """A sale whose day or cashier is not proven. `claim`: where its finding is answered, '' before the close."""

    sale: uuid.UUID
    day: date
    arrived_at: datetime
    why: tuple[str, ...]
    fen: Fen
    claim: str
    meal: MealRow


def waiting(contracts: Collection[str], *, insider: bool = True) -> tuple[list[Doubted], int]:
    """List sales neither voided nor released, newest day first: the first ones, and how many there are, up to COUNTED."""
    query = (
        select(Sale.id, Sale.service_day, Sale.arrived_at, Sale.flags)
        .outerjoin(Void, Void.sale_id == Sale.id)
        .outerjoin(BenefitReallocation, BenefitReallocation.sale_id == Sale.id)
        .where(DOUBTED, Sale.contract_id.in_(contracts), Void.id.is_(None), BenefitReallocation.sale_id.is_(None))
        .order_by(Sale.service_day.desc(), Sale.id)
    )
    rows = keyset.once(query.limit(SHOWN))
    ((count,),) = keyset.once(select(func.count()).select_from(query.order_by(None).limit(COUNTED).subquery()))
    ids = [row.id for row in rows]
    named = select(Finding.sale_id, Claim.number).join(Claim, Claim.period_id == Finding.period_id)
    named = named.where(Finding.sale_id.in_(ids), Finding.code.in_(("self_dated", "seller")))
    claims = dict(keyset.once(named))
    meals = {meal.id: meal for meal in meal_queries.by_ids(ids, insider=insider)}
    return [
        Doubted(row.id, row.service_day, row.arrived_at, _why(row.flags), sum(part.fen for part in meals[row.id].subsidies), claims.get(row.id, ""), meals[row.id])
        for row in rows
    ], count  # fmt: skip


def _why(flags: str) -> tuple[str, ...]:
    return tuple(flag for flag in flags.split() if flag.startswith("dated_") or flag == "cashier_not_logged_in")


@bp.get("/desk/doubted")
@allowed(Permission.SEE_SALES)
def home() -> ResponseReturnValue:
    """Show what waits for a reviewer, at every canteen within reach."""
    rows, count = waiting(guard.scope(Permission.SEE_SALES).contracts(db.session()), insider=False)
    return render_template("settlement/doubted.html", rows=rows, count=count)
