"""Make the whole schema of 0.2.0, subject by subject (decision 0028).

Keys carry service month and district from the start, so that one database per district stays a migration
(decision 0008); months are no partitions (decision 0037).

Revision: 0020, beyond the migrations of development: a database at one of those is not taken for this
"""

from __future__ import annotations

from canteen import invariants
from migrations.baseline import (
    applications,
    corrections,
    events,
    jobs,
    ledger,
    menus,
    people,
    places,
    pos,
    registry,
    rulebooks,
    services,
    settings,
    settlement,
)

revision = "0020"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    invariants.prepare()
    first = (events, settings, places, menus, people, registry, applications, rulebooks)
    for part in (*first, ledger, pos, settlement, corrections, services, jobs):
        part.create()
