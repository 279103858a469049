"""Compare two versions of a rulebook in meaning: the people, amounts, payers, limits and dates that differ, in Chinese.

The text that people read (prose) is compared under stable ids, so spelling, and order where it means nothing, do not
matter. Where the documents differ but read alike, the field is shown as written, so that nothing that may change a
price is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from canteen.policy.grammar import ALLOWANCE, FUND, RULE, RULEBOOK, SET
from canteen.policy.shapes import Shape
from canteen.rulebooks import yaml_writer
from canteen.ruledesk.editor import prose
from canteen.ruledesk.editor.prose import Names, RuleRow

_FIELDS = {
    "who": "对象", "gives": "标准", "paid": "承担", "limits": "限额", "clause": "条款", "label": "柜台用语",
    "reason": "理由", "more": "其他",
}  # fmt: skip
_READ_IN = {
    "when": "对象", "fund": "承担", "split": "承担", "limits": "限额", "used_up": "限额", "clause": "条款",
    "label": "柜台用语", "reason": "理由", "from": "其他", "to": "其他", "only_if": "其他", "base": "其他",
    "floor": "其他", "most": "其他", "rounding": "其他", "excludes": "其他", "note": "其他",
}  # fmt: skip
"""Where a rule's field is read; all others (what it gives, its tiers) may be read in any."""
Doc = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference. `before` or `after` is '' where it is in one version only."""

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


def compare(before: Doc | None, after: Doc, names: Names) -> list[Difference]:
    """List everything that differs from one document to the other; from none, everything is new."""
    old: Doc = before or {"id": after["id"], "title": "", "stages": [], "source": "", "from": after["from"]}
    names = distinct(names)
    was, now = _named_apart(old), _named_apart(after)
    found = [*_whole(was, now, names)]
    found += _listed("funds", "资金", FUND, old, after, lambda one: prose.fund(one, names))
    found += _listed("allowances", "限额", ALLOWANCE, old, after, prose.allowance)
    found += _listed("sets", "餐品集合", SET, old, after, _goods)
    return [*found, *_stages(was, now, names), *_rules(was, now, names)]


def distinct(names: Names) -> dict[str, str]:
    """Return names of places, with the code where two have the same name."""
    often = Counter(names.values())
    return {code: f"{name}（{code}）" if often[name] > 1 else name for code, name in names.items()}


def _named_apart(document: Doc) -> dict[str, Any]:
    """Return the document with funds of one name distinguished by their ids."""
    funds = list(document.get("funds", ()))
    often = Counter(one["name"] for one in funds)
    apart = [{**one, "name": f"{one['name']}（{one['id']}）"} if often[one["name"]] > 1 else one for one in funds]
    return {**document, "funds": apart} if funds else dict(document)


# --- the whole, funds, limits, sets ----------------------------------------------------------------------------------


def _whole(old: Doc, new: Doc, names: Names) -> Iterator[Difference]:
    for word, name in (("id", "编号"), ("title", "名称")):
        if old[word] != new[word]:
            yield Difference("全文", name, old[word], new[word])
    differences = list(_changed("全文", _facts(old, names), _facts(new, names)))
    yield from differences
    lists = ("id", "title", "stages", "funds", "allowances", "sets")
    heads = [{name: one[name] for name in one if name not in lists} for one in (old, new)]
    if not differences:
        yield from _as_written("全文", RULEBOOK, *heads)


def _facts(document: Doc, names: Names) -> dict[str, str]:
    """Return what applies to the whole, rows of one heading joined; sets are compared on their own."""
    found: dict[str, str] = {}
    for heading, text in prose.facts({**document, "sets": ()}, names):
        found[heading] = f"{found[heading]}；{text}" if heading in found else text
    return found


def _changed(where: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Difference]:
    for name in [*old, *(name for name in new if name not in old)]:
        if old.get(name, "") != new.get(name, ""):
            yield Difference(where, name, old.get(name, ""), new.get(name, ""))


def _listed(
    kind: str, word: str, shape: Shape, old: Doc, new: Doc, in_words: Callable[[Any], str]
) -> Iterator[Difference]:
    """Compare funds, limits and sets by id."""
    was, now = ({one["id"]: one for one in each.get(kind, ())} for each in (old, new))
    for name in [*was, *(name for name in now if name not in was)]:
        one, other = was.get(name), now.get(name)
        before, after = (_called(each, in_words) if each else "" for each in (one, other))
        if before != after:
            yield Difference(f"{word} {name}", word, before, after)
        elif one and other:
            yield from _as_written(f"{word} {name}", shape, one, other)


def _called(one: Doc, in_words: Callable[[Any], str]) -> str:
    return f"{one['name']}（{in_words(one)}）" if "name" in one else in_words(one)


def _goods(one: Doc) -> str:
    parts = [("餐品 ", one.get("items", ())), ("标签 ", one.get("tags", ()))]
    return "；".join(word + "、".join(sorted(goods)) for word, goods in parts if goods)


def _as_written(where: str, shape: Shape, old: Doc, new: Doc, *, only: Sequence[str] = ()) -> Iterator[Difference]:
    """Yield fields that differ though they read alike, as the YAML has them."""
    fields = [name for name in sorted({*old, *new}) if (not only or name in only) and old.get(name) != new.get(name)]
    was, now = (yaml_writer.texts({name: one[name] for name in fields if name in one}, shape) for one in (old, new))
    for name in fields:
        before, after = (yaml_writer.inline(one[name]) if name in one else "" for one in (was, now))
        if before != after:
            yield Difference(where, f"写法（{name}）", before, after)


# --- stages ----------------------------------------------------------------------------------------------------------


def _stages(old: Doc, new: Doc, names: Names) -> Iterator[Difference]:
    """Compare stages and groups: their words, and the order of their members where it counts."""
    was, now = ({one.id: one for one in prose.read(each, names).sections} for each in (old, new))
    members = [{group["id"]: group for stage in each["stages"] for group in _groups(stage)} for each in (old, new)]
    for name in [*was, *(name for name in now if name not in was)]:
        before, after = was.get(name), now.get(name)
        where = f"步骤 {(after or before).title}"  # type: ignore[union-attr]
        if before is None or after is None:
            yield Difference(where, "步骤", _stage_text(before), _stage_text(after))
            continue
        words = (("名称", "title"), ("取法", "pick"), ("条件", "when"))
        for what, attribute in words:
            if (one := getattr(before, attribute)) != (other := getattr(after, attribute)):
                yield Difference(where, what, one or "无", other or "无")
        if members[1][name].get("pick", "best") != "best":
            yield from _order(where, "标准的先后", *([each["id"] for each in part[name]["rules"]] for part in members))
    yield from _order("全文", "步骤的先后", *([stage["id"] for stage in each["stages"]] for each in (old, new)))


def _groups(group: Doc) -> Iterator[Doc]:
    yield group
    for one in group["rules"]:
        if "rules" in one:
            yield from _groups(one)


def _stage_text(section: prose.Section | None) -> str:
    if section is None:
        return ""
    return f"{section.title}（{section.id}）：{section.pick}" + (f"，前提：{section.when}" if section.when else "")


def _order(where: str, what: str, old: Sequence[str], new: Sequence[str]) -> Iterator[Difference]:
    """Return the order of what both have."""
    was, now = [one for one in old if one in new], [one for one in new if one in old]
    if was != now:
        yield Difference(where, what, "、".join(was), "、".join(now))


# --- rules -----------------------------------------------------------------------------------------------------------


def _rules(old: Doc, new: Doc, names: Names) -> Iterator[Difference]:
    was, now = ({one["id"]: (one, place) for one, place in _placed(each)} for each in (old, new))
    for name in [*was, *(name for name in now if name not in was)]:
        one, other = was.get(name), now.get(name)
        before = list(prose.rows_of(one[0], old, names)) if one else []
        after = list(prose.rows_of(other[0], new, names)) if other else []
        where = f"标准 {name}（{(after or before)[0].clause}）"
        if one is None or other is None:
            yield Difference(where, "标准", _rows_text(before), _rows_text(after))
            continue
        if one[1] != other[1]:
            yield Difference(where, "所在步骤", one[1], other[1])
        differences = list(_rows(where, before, after))
        yield from differences
        yield from _unsaid(where, one[0], other[0], {each.what for each in differences})


def _placed(document: Doc) -> Iterator[tuple[Doc, str]]:
    """Return each rule with its stage and groups."""
    for stage in document["stages"]:
        yield from _inside(stage, f"{stage['title']}（{stage['id']}）")


def _inside(group: Doc, place: str) -> Iterator[tuple[Doc, str]]:
    for one in group["rules"]:
        if "rules" in one:
            yield from _inside(one, f"{place} · {one['id']}")
        else:
            yield one, place


def _rows(where: str, before: Sequence[RuleRow], after: Sequence[RuleRow]) -> Iterator[Difference]:
    if len(before) == len(after) == 1:
        yield from _changed(where, _cells(before[0]), _cells(after[0]))
    else:
        yield from _tiers(where, before, after)


def _unsaid(where: str, old: Doc, new: Doc, shown: set[str]) -> Iterator[Difference]:
    """Yield fields of a rule that differ though the words for them do not."""
    fields = {name for name in {*old, *new} if old.get(name) != new.get(name)}
    silent = [name for name in fields if (_READ_IN[name] not in shown if name in _READ_IN else not shown)]
    if silent:
        yield from _as_written(where, RULE, old, new, only=silent)


def _cells(row: RuleRow) -> dict[str, str]:
    return {word: getattr(row, name) or "无" for name, word in _FIELDS.items()}


def _rows_text(rows: Sequence[RuleRow]) -> str:
    """Write whole rows: what a rule takes off means nothing without its base, cap and limits."""
    return "；".join(_row_text(row) for row in rows)


def _row_text(row: RuleRow) -> str:
    limits = f"限额 {row.limits}" if row.limits else ""
    return "，".join(
        part for part in (f"{row.who}：{row.gives}", f"由{row.paid or '无人'}承担", row.more, limits) if part
    )


def _tiers(where: str, before: Sequence[RuleRow], after: Sequence[RuleRow]) -> Iterator[Difference]:
    """Compare tiers by whom they are for, and where several are for the same, by their order."""
    was, now = _by_who(before), _by_who(after)
    for who in [*was, *(who for who in now if who not in was)]:
        one, other = was.get(who), now.get(who)
        if one is None or other is None:
            yield Difference(where, "档次", _rows_text([one] if one else []), _rows_text([other] if other else []))
        else:
            yield from _changed(f"{where} {who}", _cells(one), _cells(other))
    yield from _order(where, "档次的先后", list(was), list(now))


def _by_who(rows: Sequence[RuleRow]) -> dict[str, RuleRow]:
    found: dict[str, RuleRow] = {}
    for row in rows:
        who, number = row.who, 1
        while who in found:
            number += 1
            who = f"{row.who}（{number}）"
        found[who] = row
    return found
