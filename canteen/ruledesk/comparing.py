"""Two versions of a rulebook compared in meaning: which people, amounts, payers, limits, dates differ, in Chinese.

What is compared is what people read (prose) under stable ids, so order and spelling of the text do not matter;
where only the words of the document differ and prose tells nothing, the fields are named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from canteen.policy.canonical import canonical
from canteen.ruledesk import prose
from canteen.ruledesk.prose import Names, Row

_FIELDS = {
    "who": "对象", "gives": "标准", "paid": "承担", "limits": "限额", "clause": "条款", "label": "柜台用语",
    "reason": "理由", "more": "其他",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs. `before` or `after` is '' where it stands in one version only."""

    where: str
    what: str
    before: str
    after: str

    def __str__(self) -> str:
        if not self.before:
            return f"{self.where}：新增{self.what}“{self.after}”"
        if not self.after:
            return f"{self.where}：取消{self.what}“{self.before}”"
        return f"{self.where}：{self.what}由“{self.before}”改为“{self.after}”"

    @property
    def doc(self) -> dict[str, str]:
        return asdict(self)


def compare(before: Mapping[str, Any] | None, after: Mapping[str, Any], names: Names) -> list[Difference]:
    """Everything that differs from one document to the other; from none, everything is new."""
    old = before or {"title": "", "stages": [], "source": "", "from": after["from"]}
    found = [*_whole(old, after, names), *_named("funds", "资金", old, after, lambda one: prose.fund(one, names))]
    found += _named("allowances", "限额", old, after, prose.allowance)
    found += [*_stages(old, after, names), *_rules(old, after, names)]
    if not found and before is not None and canonical(before) != canonical(after):
        words = [word for word in sorted({*before, *after}) if before.get(word) != after.get(word)]
        found.append(Difference("文件", "写法", "、".join(words), "、".join(words) + "（含义的文字说明相同）"))
    return found


def _whole(old: Mapping[str, Any], new: Mapping[str, Any], names: Names) -> Iterator[Difference]:
    if old["title"] != new["title"]:
        yield Difference("全文", "名称", old["title"], new["title"])
    yield from _changed("全文", dict(prose.facts(old, names)), dict(prose.facts(new, names)))


def _changed(where: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Difference]:
    for name in [*old, *(name for name in new if name not in old)]:
        if old.get(name, "") != new.get(name, ""):
            yield Difference(where, name, old.get(name, ""), new.get(name, ""))


def _named(kind: str, word: str, old: Mapping[str, Any], new: Mapping[str, Any], tell: Any) -> Iterator[Difference]:
    """Funds and limits, by id."""
    was = {one["id"]: _called(one, tell) for one in old.get(kind, ())}
    now = {one["id"]: _called(one, tell) for one in new.get(kind, ())}
    for name in [*was, *(name for name in now if name not in was)]:
        if was.get(name) != now.get(name):
            yield Difference(f"{word} {name}", word, was.get(name, ""), now.get(name, ""))


def _called(one: Mapping[str, Any], tell: Any) -> str:
    return f"{one['name']}（{tell(one)}）" if "name" in one else tell(one)


def _stages(old: Mapping[str, Any], new: Mapping[str, Any], names: Names) -> Iterator[Difference]:
    was, now = ({one.id: one for one in _sections(each, names)} for each in (old, new))
    for name, after in now.items():
        if (before := was.get(name)) is None:
            continue
        words = [
            ("步骤", before.title, after.title),
            ("取法", before.pick, after.pick),
            ("条件", before.when, after.when),
        ]
        for what, one, other in words:
            if one != other:
                yield Difference(f"步骤 {after.title}", what, one or "无", other or "无")
        ordered = "顺序" in after.pick or "逐项" in after.pick
        common = [[row.id for row in each.rows if row.id in {r.id for r in rest.rows}] for each, rest in
                  ((before, after), (after, before))]  # fmt: skip
        if ordered and common[0] != common[1]:
            yield Difference(f"步骤 {after.title}", "标准的先后", "、".join(common[0]), "、".join(common[1]))
    common_stages = [[one for one in each if one in rest] for each, rest in ((was, now), (now, was))]
    if common_stages[0] != common_stages[1]:
        yield Difference("全文", "步骤的先后", "、".join(common_stages[0]), "、".join(common_stages[1]))


def _sections(document: Mapping[str, Any], names: Names) -> Sequence[prose.Section]:
    return prose.read(document, names).sections


def _rules(old: Mapping[str, Any], new: Mapping[str, Any], names: Names) -> Iterator[Difference]:
    was, now = _by_rule(old, names), _by_rule(new, names)
    for name in [*was, *(name for name in now if name not in was)]:
        before, after = was.get(name, []), now.get(name, [])
        where = f"标准 {name}（{(after or before)[0].clause}）"
        if not before or not after:
            yield Difference(where, "标准", _told(before), _told(after))
        elif len(before) == len(after) == 1:
            yield from _changed(where, _cells(before[0]), _cells(after[0]))
        else:
            yield from _tiers(where, before, after)


def _by_rule(document: Mapping[str, Any], names: Names) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for section in _sections(document, names):
        for row in section.rows:
            found.setdefault(row.id, []).append(row)
    return found


def _cells(row: Row) -> dict[str, str]:
    return {word: getattr(row, name) or "无" for name, word in _FIELDS.items()}


def _told(rows: Sequence[Row]) -> str:
    return "；".join(f"{row.who}：{row.gives}，由{row.paid or '无人'}承担" for row in rows)


def _tiers(where: str, before: Sequence[Row], after: Sequence[Row]) -> Iterator[Difference]:
    """Tiers are known by whom they are for."""
    was, now = {row.who: row for row in before}, {row.who: row for row in after}
    for who in [*was, *(who for who in now if who not in was)]:
        one, other = was.get(who), now.get(who)
        if one is None or other is None:
            yield Difference(where, "档次", _told([one] if one else []), _told([other] if other else []))
        else:
            yield from _changed(f"{where} {who}", _cells(one), _cells(other))
