"""Notices about tablets that are ahead of the database: on their pages, and above the desk's first page."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Flask

from canteen.auth import guard
from canteen.auth.guard import Permission
from canteen.db import db
from canteen.pos import acknowledgements
from canteen.pos.acknowledgements import Ahead
from canteen.web import nav


def register(app: Flask) -> None:
    """Show the notices on the tablets' pages and the desk's first page."""
    app.jinja_env.globals["tablets_ahead"] = tablets_ahead
    nav.add_notices("behind", _behind)


def tablets_ahead() -> dict[str, list[str]]:
    """Return the sentences about each tablet that is ahead of the database, by tablet id."""
    found: dict[str, list[str]] = {}
    for each in acknowledgements.tablets_ahead(db.session()):
        found.setdefault(each.tablet, []).append(_sentence(each))
    return found


def _sentence(each: Ahead) -> str:
    run = each.run
    numbers = f"第 {run.epoch} 段第 {run.first}" + (f"–{run.last}" if run.last != run.first else "") + " 号"
    missing = f"服务器缺这台平板已上传的 {each.missing} 条记录（{numbers}），数据库可能是由较早的备份恢复的。"
    if each.revoked:
        return missing + "平板已停用，不会补传，请按缺号登记遗失。"
    if each.renewed:
        return missing + "平板下次联网时自动补传；平板已损坏的，请按缺号登记遗失。"
    return (
        missing + "请系统运维运行 canteen incarnation renew，平板随后自动补传。补传前请勿清除平板数据，可以照常收银。"
    )


def _behind() -> Iterator[nav.Notice]:
    """Warn that the database is older than its tablets, if the reader may see one of these tablets."""
    seen = guard.scope(Permission.SEE_TABLETS)
    calling = acknowledgements.calling(acknowledgements.tablets_ahead(db.session())) if seen else []
    if count := len({each.tablet for each in calling if seen.covers(each.canteen)}):
        text = f"服务器的数据比 {count} 台平板旧，已上传的记录有缺，可能是由较早的备份恢复的。请系统运维运行 canteen incarnation renew。"
        yield nav.Notice("bad", text, "tablet_desk.tablet_list", "查看平板")
