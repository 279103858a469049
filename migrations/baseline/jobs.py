"""Jobs that one host at a time works on, and when a scheduler last looked."""

from __future__ import annotations

from canteen import invariants
from migrations.baseline.tables import big, check, instant, table, text


def create() -> None:
    table(
        "job_run",
        text("job", primary_key=True),
        text("key", primary_key=True),
        text("state"),
        big("token"),
        text("holder"),
        instant("lease_until"),
        big("tries"),
        instant("started_at"),
        instant("finished_at", nullable=True),
        text("error"),
        check("state", "state IN ('running', 'done', 'failed')"),
    )
    table(
        "scheduler_beat",
        big("id", primary_key=True),
        text("holder"),
        instant("at"),
        big("starts"),
        check("one_row", "id = 1"),
    )
    invariants.allow("INSERT, UPDATE", "job_run", "scheduler_beat")
