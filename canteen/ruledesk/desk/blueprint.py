"""Give the pages of the rule desk their blueprint, the places within reach, and the note of what was just done."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request
from sqlalchemy import select

from canteen.auth import guard
from canteen.auth.guard import NotCovered, Permission
from canteen.db import db
from canteen.errors import Conflict, Forbidden, Invalid, Missing
from canteen.places import Area, Canteen
from canteen.policy import rulebook as books
from canteen.rulebooks.models import LAYER_OF, LAYERS, RulebookVersion
from canteen.web import filters, nav

bp = Blueprint("ruledesk", __name__)
nav.add("ruledesk.home", "补贴标准", position=20)
nav.add("ruledesk.calendar", "节假日", position=22)

REFUSED = (Invalid, Conflict, Forbidden, Missing)
LAYER_WORDS = {"city": "市级", "district": "区县级", "street": "街道（乡镇）级", "canteen": "食堂级"}
LEVEL_WORDS = {**LAYER_WORDS, "functional": "功能区"}
TEMPLATES = (
    ("tiers", "按年龄分档"), ("classes", "按人员类别"), ("percent", "打折"), ("free", "高龄免费餐"), ("plain", "每餐补贴"),
)  # fmt: skip
DONE = {
    "saved": "草稿已保存。",
    "submitted": "已提交为新版本，等待另一位同事发布。",
    "dropped": "草稿已删除。",
    "published": "已发布。",
    "arranged": "节假日安排已保存，从下一次计价起生效。",
    "asked": "已开始模拟，完成后在本页显示结果。",
    "cancelled": "已取消。",
}
filters.add_labels({f"layer.{code}": word for code, word in LAYER_WORDS.items()})


def done() -> str:
    """Return what was done just before, once; sending a form again from such an address shows nothing."""
    return DONE.get(request.args.get("done", ""), "") if request.method == "GET" else ""


def covers(permission: Permission, layer: str, node_id: str) -> bool:
    """Tell whether the caller has a permission over a whole place."""
    kind = "canteen" if layer == "canteen" else "area"
    return guard.scope(permission).covers_node(db.session(), kind, node_id)


def need(permission: Permission, layer: str, node_id: str) -> None:
    """Refuse a place out of reach, or a district called a city, as if it did not exist. Raises NotCovered."""
    area = db.session.get(Area, node_id) if layer != "canteen" else None
    wrong = area is not None and LAYER_OF.get(area.level) != layer
    if layer not in LAYERS or not covers(permission, layer, node_id) or wrong:
        raise NotCovered


def reachable(permission: Permission) -> list[tuple[str, str]]:
    """List ('layer/node', name) of the places where the caller may act, most general first."""
    session, scope = db.session(), guard.scope(permission)
    areas = session.execute(select(Area).where(Area.level.in_(LAYER_OF)).order_by(Area.id)).scalars()
    within = scope.areas(session)
    found = [
        (f"{LAYER_OF[one.level]}/{one.id}", f"{LEVEL_WORDS[one.level]} · {one.name}")
        for one in areas
        if one.id in within
    ]
    found.sort(key=lambda one: LAYERS.index(one[0].partition("/")[0]))
    canteens = session.execute(select(Canteen).order_by(Canteen.id)).scalars()
    own = scope.canteens(session)
    return found + [(f"canteen/{one.id}", f"食堂级 · {one.name}") for one in canteens if one.id in own]


def document_of(version: RulebookVersion) -> dict[str, Any]:
    document = books.parse(version.body.encode())
    assert isinstance(document, dict)
    return document
