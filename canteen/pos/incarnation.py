"""Incarnation of this installation's database: a tablet that meets another one sends again all that it keeps."""

from __future__ import annotations

import uuid

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import events
from canteen.db import transaction
from canteen.errors import Conflict
from canteen.places import Installation


class NotInstalled(Conflict):
    code = "not_installed"
    message = "数据库还没有安装标识，请先运行 canteen init。"


class NothingCalls(Conflict):
    code = "incarnation_current"
    message = "没有平板比数据库知道得多，不必更换安装标识。若刚从备份恢复，请加 --force。"


def current(session: Session) -> str:
    """Read the present incarnation, never cached; '' before `canteen init`."""
    found: str | None = session.execute(select(Installation.incarnation)).scalar_one_or_none()
    return found or ""


def renew(*, by: str, because: list[str], force: bool = False) -> str:
    """Give the database a new random incarnation and return it; running servers send it from their next answer on.

    because    the reasons, for the event; without any, `force` is needed
    Raises NothingCalls, NotInstalled.
    """
    if not because and not force:
        raise NothingCalls
    with transaction() as session:
        row = session.get(Installation, 1, with_for_update=True)
        if row is None:
            raise NotInstalled
        before, row.incarnation = row.incarnation, uuid.uuid4().hex
        session.flush()
        body = {"before": before, "after": row.incarnation, "because": because, "forced": force}
        events.record(session, "incarnation.renew", "installation", by=by, body=body)
        return row.incarnation
