"""A rulebook in Chinese words: for whom, how much, paid by whom, how often, by which clause.

Every word of the grammar is shown, unknown ones by their own name, so that rulebooks that read alike are alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from canteen import money
from canteen.policy import days
from canteen.policy.grammar import BENEFITS
from canteen.registry.labels import CANTEEN_CLASSES, CLASSES, GRADES, STATUSES

Names = Mapping[str, str]
"""Names of areas and canteens by code; a code without one is shown as it is."""

Tell: TypeAlias = Callable[[Any], str]
SayWith: TypeAlias = Callable[[Any, Names], str]

PICKS = {"best": "就高不就低", "sum": "叠加享受", "first": "按顺序取第一项", "chain": "逐项折上折"}
PAYERS = {"subsidy": "补贴资金", "concession": "餐厅让利", "donation": "捐助"}
UNITS = {"meal": "餐", "day": "天", "fen": "元"}
WINDOWS = {
    "period": "每餐别", "day": "每天", "week": "每周（周一至周日）", "month": "每月", "quarter": "每季度", "year": "每年",
    "ever": "总共",
}  # fmt: skip
SCOPES = {"person": "每人", "rule": "每人每项标准", "fund": "每人每项资金", "household": "每户"}
AREA_LEVELS = {"province": "省", "city": "市", "district": "区县", "street": "街道（乡镇）", "village": "社区（村）"}
WHERE = {"everywhere": "", "canteen": "同一食堂内", **{level: f"同一{name}内" for level, name in AREA_LEVELS.items()}}
PERIODS = {"breakfast": "早餐", "lunch": "午餐", "dinner": "晚餐"}
DAY_KINDS = {"workday": "工作日", "weekend": "周末", "holiday": "法定节假日", "makeup": "调休上班日"}
MODES = {"dine_in": "堂食", "take_away": "打包", "delivered": "送餐", "collected": "代领"}
KINDS = {"elder": "老人", "guest": "其他就餐人员", "spouse": "配偶", "volunteer": "志愿者", "staff": "工作人员"}
RECKONINGS = {
    "birthday": "生日当天满岁", "day_after": "生日次日满岁", "month_first": "生日当月一日满岁",
    "next_month_first": "生日次月一日满岁", "year_difference": "按年份相减",
}  # fmt: skip
APPROVALS = {"same_day": "批准当日", "next_day": "批准次日", "next_month": "批准次月一日"}
DEATHS = {"date": "身故当日之后", "month_end": "身故当月最后一天之后"}
ENDS = {
    "stop": "停止补贴，按原价",
    "queue": "照常供餐，列队待补",
    "prorate": "期末按比例核减",
    "next": "改由下一项资金承担",
}
ROUND_TO = {"fen": "分", "jiao": "角", "yuan": "元"}
ROUND_BY = {"half_up": "四舍五入", "half_down": "五舍六入", "up": "进位", "down": "舍去"}
LEFT_OUT = {"delivery": "送餐费", "goods": "餐食", "packaging": "包装费"}


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One rule, or one tier of it."""

    id: str
    who: str
    gives: str
    paid: str
    limits: str
    clause: str
    label: str
    reason: str
    more: str


@dataclass(frozen=True, slots=True)
class Section:
    """A stage or a group in it: its rules in order."""

    id: str
    title: str
    pick: str
    when: str
    rows: tuple[RuleRow, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """The whole rulebook in words; `facts` are pairs of a heading and its text."""

    title: str
    facts: tuple[tuple[str, str], ...]
    funds: tuple[tuple[str, str, str], ...]  # id, name, what else
    limits: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]


def read(document: Mapping[str, Any], names: Names) -> Text:
    """Say a well-formed document in words."""
    return Text(
        document["title"],
        tuple(facts(document, names)),
        tuple((one["id"], one["name"], fund(one, names)) for one in document.get("funds", ())),
        tuple((one["id"], allowance(one)) for one in document.get("allowances", ())),
        tuple(section for stage in document["stages"] for section in _sections(stage, stage["title"], document, names)),
    )


def facts(document: Mapping[str, Any], names: Names) -> Iterator[tuple[str, str]]:
    """Yield what applies to the whole rulebook."""
    yield "依据", document["source"]
    yield "有效期", span(document) or "长期"
    if "place" in document:
        yield "适用地区", names.get(document["place"], document["place"])
    if when := condition(document.get("when"), names):
        yield "总条件", when
    age = document.get("age", {})
    if "reckoning" in age:
        yield "年龄计算", RECKONINGS[age["reckoning"]]
    if "leap_day" in age:
        yield "二月二十九日生日", "平年按二月二十八日" if age["leap_day"] == "feb28" else "平年按三月一日"
    if "approval" in document:
        yield "批准后起算", APPROVALS[document["approval"]]
    if "death" in document:
        yield "身故后停止", DEATHS[document["death"]]
    if "floor" in document:
        yield "老人最低自付", _yuan(document["floor"])
    if "rounding" in document:
        yield "取整", rounding(document["rounding"])
    yield from _rarer_facts(document)


def _rarer_facts(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "menu" in document:
        yield "餐价范围", f"{_yuan(document['menu']['from'])} 至 {_yuan(document['menu']['to'])}"
    if "guard" in document:
        text = "取消“每人每餐一次”" if document["guard"] == "none" else document["guard"]
        yield "默认限制", text
    for one in document.get("sets", ()):
        goods = [*one.get("items", ()), *one.get("tags", ())]
        yield f"餐品集合 {one.get('name', one['id'])}", "、".join(sorted(goods))
    for one in document.get("acknowledged", ()):
        yield "原文如此", f"{one['rule']}：{one['code']}（{one['clause']}）{one.get('note', '')}"


def span(document: Mapping[str, Any]) -> str:
    """Write '2026年1月1日起', '… 至 …', or ''."""
    first = f"{days.iso(document['from'])} 起" if "from" in document else ""
    return first + (f"，至 {days.iso(document['to'])} 止" if "to" in document else "")


def fund(one: Mapping[str, Any], names: Names) -> str:
    """Say what a fund is, when it pays, and its budget."""
    parts = [PAYERS[one["payer"]]]
    if when := condition(one.get("when"), names):
        parts.append(f"限{when}")
    if limits := one.get("limits"):
        parts.append("限额 " + "、".join(sorted(limits)))
    if budget := one.get("budget"):
        parts.append(
            f"预算{WINDOWS[budget['window']]} {_yuan(budget['limit'])}{_where(budget)}，用完后{ENDS[budget['at_end']]}"
            + (f"（{budget['next']}）" if "next" in budget else "")
            + (f"，用到 {percent(budget['warn'])} 时提醒" if "warn" in budget else "")
        )
    if "note" in one:
        parts.append(one["note"])
    return "；".join(parts)


def _where(one: Mapping[str, Any]) -> str:
    text = WHERE[one.get("where", "everywhere")]
    return f"（{text}）" if text else ""


def allowance(one: Mapping[str, Any]) -> str:
    """Say a limit in words: 每人每天 1 餐."""
    if "limit_level" in one:
        amount = f"按评定“{one['limit_level']}”"
    elif "limit_fen" in one:
        amount = _yuan(one["limit_fen"])
    else:
        amount = f"{one['limit']} {UNITS[one['unit']]}"
    carry = one.get("carry")
    carried = f"，未用的可结转 {carry['windows']} 期" if carry else ""
    if carry and ("most_fen" in carry or "most" in carry):
        most = _yuan(carry["most_fen"]) if "most_fen" in carry else f"{carry['most']} {UNITS[one['unit']]}"
        carried += f"（至多 {most}）"
    if carry and "within" in carry:
        carried += f"，限同一{'季度' if carry['within'] == 'quarter' else '年'}之内"
    carried += "".join(f"，{days.iso(each['to'])} 以前按 {_of(each, one['unit'])}" for each in one.get("earlier", ()))
    since = f"，自 {days.iso(one['from'])} 起计" if "from" in one else ""
    note = f"（{one['note']}）" if "note" in one else ""
    note += f"（沿用 {one['was']} 的已用次数）" if "was" in one else ""
    return f"{SCOPES[one['scope']]}{WINDOWS[one['window']]} {amount}{_where(one)}{carried}{since}{note}"


def _of(limit: Mapping[str, Any], unit: str) -> str:
    return _yuan(limit["limit_fen"]) if "limit_fen" in limit else f"{limit['limit']} {UNITS[unit]}"


def _yuan(fen: int) -> str:
    return f"{money.show(fen)} 元"


def percent(value: int) -> str:
    return money.show(value).removesuffix(".00") + "%"


# --- rules -----------------------------------------------------------------------------------------------------------


def _sections(group: Mapping[str, Any], title: str, document: Mapping[str, Any], names: Names) -> Iterator[Section]:
    """Yield the group itself, then the groups in it."""
    own = [one for one in group["rules"] if "rules" not in one]
    rows = tuple(row for one in own for row in rows_of(one, document, names))
    order = f"，次序 {group['order']}" if "order" in group else ""
    when = condition(group.get("when"), names)
    yield Section(group["id"], title, PICKS[group.get("pick", "best")] + order, when, rows)
    for one in group["rules"]:
        if "rules" in one:
            yield from _sections(one, f"{title} · {one['id']}", document, names)


def rows_of(rule: Mapping[str, Any], document: Mapping[str, Any], names: Names) -> Iterator[RuleRow]:
    """Return a rule's tiers, each as a row; a rule without tiers is one row."""
    who = condition(rule.get("when"), names)
    for own, tier in _steps(rule, names):
        one = {**rule, **own}
        yield RuleRow(
            id=rule["id"],
            who="，".join(part for part in (who, tier) if part) or "所有就餐老人",
            gives=gives(one) + (f"，本档最多 {_yuan(own['most'])}" if "most" in own and own is not rule else ""),
            paid=paid(one, document, names),
            limits=_limits(rule),
            clause=one["clause"],
            label=one["label"],
            reason=one["reason"],
            more=_more(rule, names),
        )


def _steps(rule: Mapping[str, Any], names: Names) -> Iterator[tuple[Mapping[str, Any], str]]:
    if "by_age" in rule:
        for step in rule["by_age"]:
            yield step, age(step)
    elif "by_level" in rule:
        scale = rule["by_level"]["scale"]
        for step in rule["by_level"]["steps"]:
            yield step, f"评定“{scale}”{_range(step)}"
    elif "by_class" in rule:
        for step in rule["by_class"]:
            both = {**step.get("when", {}), **({"class": step["class"]} if "class" in step else {})}
            yield step, condition(both, names) or "其他"
    else:
        yield rule, ""


def gives(one: Mapping[str, Any]) -> str:
    """Say what a rule or tier gives."""
    verb = next(word for word in BENEFITS if word in one)
    return _GIVES[verb](one[verb])


_GIVES: Mapping[str, Tell] = {
    "off": lambda value: f"减 {percent(value)}",
    "pay_percent": lambda value: f"老人付 {percent(value)}",
    "less": lambda value: f"减 {_yuan(value)}",
    "pay": lambda value: f"老人付 {_yuan(value)}",
    "at_most": lambda value: f"老人价不超过原价的 {percent(value)}",
    "free": lambda _value: "全免",
    "free_set": lambda value: f"“{value['set']}”免费" + (f" {value['qty']} 份" if "qty" in value else ""),
    "free_up_to": lambda value: f"{_yuan(value)}以内全免",
    "credit": lambda value: f"从额度“{value}”中支付",
    "prices": lambda value: "按价目：" + "、".join(f"{one['item']} {_yuan(one['price'])}" for one in value),
    "seat": lambda value: f"整桌 {_yuan(value['price'])}，按座位分摊",
    "suggest": lambda value: f"自愿付费，建议 {_yuan(value)}",
    "top_up": lambda value: f"补足到共减 {_yuan(value)}",
    "ceiling_fen": lambda value: f"限价：不得高于 {_yuan(value)}（只核对，不出钱）",
    "ceiling": lambda value: f"限价：不得高于原价的 {percent(value)}（只核对，不出钱）",
    "count": lambda _value: "只计次数，不减免",
    "round_price": lambda value: f"抹零到{ROUND_TO[value['to']]}（{ROUND_BY[value['by']]}）",
}


_AMOUNTS: Mapping[str, Tell] = {
    "fen": _yuan,
    "percent": percent,
    "ratio": lambda value: f"{value} 份",
    "rest": lambda _value: "其余",
}


def paid(one: Mapping[str, Any], document: Mapping[str, Any], names: Names) -> str:
    """Say which fund pays, part by part."""
    called = {each["id"]: each["name"] for each in document.get("funds", ())}
    if "split" not in one:
        return str(called.get(one.get("fund", ""), one.get("fund", "")))
    parts = []
    for part in one["split"]:
        name = called.get(part["fund"], part["fund"])
        when = condition(part.get("when"), names)
        how = next(word for word in ("fen", "percent", "ratio", "rest") if word in part)
        amount = _AMOUNTS[how](part[how])
        instead = f"，否则由{called.get(part['instead'], part['instead'])}" if "instead" in part else ""
        parts.append(f"{name} {amount}" + (f"（限{when}{instead}）" if when or instead else ""))
    return "、".join(parts)


def _limits(rule: Mapping[str, Any]) -> str:
    used_up = {"next": "；用完后取次优标准", "stop": "；用完后按原价", "ask": "；用完后询问本人，按原价"}.get(
        rule.get("used_up", ""), ""
    )
    return "、".join(sorted(rule.get("limits", ()))) + used_up


def _more(rule: Mapping[str, Any], names: Names) -> str:
    """Say everything else of a rule."""
    parts = []
    if "from" in rule or "to" in rule:
        parts.append(f"有效期 {span(rule)}".replace(" ，", " "))
    if rule.get("only_if"):
        parts.append("餐费高于补贴时才补")
    if "base" in rule:
        parts.append(_base(rule["base"]))
    if "floor" in rule:
        parts.append(f"老人至少付 {_yuan(rule['floor'])}")
    if "most" in rule:
        parts.append(f"最多 {_yuan(rule['most'])}")
    if "rounding" in rule:
        parts.append(rounding(rule["rounding"]))
    if "excludes" in rule:
        parts.append("不与 " + "、".join(sorted(rule["excludes"])) + " 同享")
    if "note" in rule:
        parts.append(rule["note"])
    return "；".join(parts)


def _base(base: Mapping[str, Any]) -> str:
    parts = ["按原价计算" if base.get("of") == "list" else "按减后价计算"]
    if "leave_out" in base:
        parts.append("不含" + "、".join(LEFT_OUT[one] for one in base["leave_out"]))
    if "only" in base:
        parts.append(f"只算“{base['only']}”")
    if "but" in base:
        parts.append(f"不算“{base['but']}”")
    if "over" in base:
        parts.append(f"只算超出 {_yuan(base['over'])} 的部分")
    if "first" in base:
        parts.append(f"只算前 {_yuan(base['first'])}")
    return "，".join(parts)


def rounding(one: Mapping[str, Any]) -> str:
    of = "老人价" if one.get("of") == "price" else "优惠额"
    return f"{of}取整到{ROUND_TO[one.get('to', 'fen')]}（{ROUND_BY[one.get('by', 'half_up')]}）"


# --- conditions ------------------------------------------------------------------------------------------------------


def condition(one: Mapping[str, Any] | None, names: Names) -> str:
    """Say a record of conditions in words; '' for none."""
    return "，".join(_word(word, one[word], names) for word in sorted(one)) if one else ""


def _word(word: str, value: Any, names: Names) -> str:
    if word in ("all", "any"):
        joined = ("，" if word == "all" else "，或").join(condition(part, names) for part in value)
        return joined if word == "all" else f"（{joined}）"
    if word == "not":
        return f"不是（{condition(value, names)}）"
    say = _WORDS.get(word)
    return say(value, names) if say else f"{word}：{value}"


def age(span: Mapping[str, Any]) -> str:
    """Write {from 60, below 80} as 60–79 岁."""
    if "from" not in span:
        return f"{span['below']} 岁以下"
    return f"{span['from']} 岁及以上" if "below" not in span else f"{span['from']}–{span['below'] - 1} 岁"


def _range(span: Mapping[str, Any]) -> str:
    low = f" {span['from']} 以上" if "from" in span else ""
    return low + (f" {span['below']} 以下（不含）" if "below" in span else "")


def _listed(words: Mapping[str, str], before: str = "", after: str = "") -> SayWith:
    def say(value: list[Any], names: Names) -> str:
        labels = sorted(words.get(str(one)) or names.get(str(one), str(one)) for one in value)
        return before + "、".join(labels) + after

    return say


def _bill(value: Mapping[str, Any], _names: Names) -> str:
    of = "原价" if value.get("of") == "list" else "餐费"
    parts = [f"{of}满 {_yuan(value['at_least'])}"] if "at_least" in value else []
    parts += [f"{of}高于 {_yuan(value['above'])}"] if "above" in value else []
    parts += [f"{of}低于 {_yuan(value['below'])}"] if "below" in value else []
    parts += ["不含" + "、".join(LEFT_OUT[one] for one in value["leave_out"])] if "leave_out" in value else []
    parts += [f"只算“{value['only']}”"] if "only" in value else []
    parts += [f"不算“{value['but']}”"] if "but" in value else []
    return "，".join(parts)


def _days(value: Mapping[str, Any], _names: Names) -> str:
    low = f"{days.iso(value['from'])} 起" if "from" in value else ""
    return low + (f"至 {days.iso(value['to'])} 止" if "to" in value else "")


def _same(value: Mapping[str, Any], _names: Names) -> str:
    whose = "户籍" if value["of"] == "hukou" else "居住地"
    return f"食堂与{whose}同一{AREA_LEVELS[value['level']]}"


def _ordered(value: Mapping[str, Any], _names: Names) -> str:
    before = value.get("days_before", 0)
    when = f"提前 {before} 天的 " if before else "当天 "
    return f"{when}{value['time'] // 60:02d}:{value['time'] % 60:02d} 前预订"


_WORDS: Mapping[str, SayWith] = {
    "age": lambda value, _names: age(value),
    "hukou": _listed({}, "户籍在"),
    "lives": _listed({}, "居住在"),
    "lived": lambda value, names: f"{_listed({}, '在', '')(value['in'], names)}连续居住满 {value['months']} 个月",
    "birthday": lambda value, _names: "生日当天" if value == "day" else "生日当月",
    "month_day": lambda value, _names: "每月 " + "、".join(str(one) for one in sorted(value)) + " 日",
    "table": lambda value, _names: f"围桌就餐，每桌座位{_range(value)}",
    "lived_months": lambda value, _names: f"居住满 {value} 个月",
    "class": _listed(CLASSES),
    "level": lambda value, _names: f"评定“{value['scale']}”{_range(value)}",
    "draws": _listed({}, "领取"),
    "status": _listed(STATUSES, "状态为"),
    "enrolled": _listed({}, "登记在"),
    "canteen": _listed({}, "在"),
    "canteen_class": _listed(CANTEEN_CLASSES, "", "食堂"),
    "canteen_grade": _listed(GRADES, "考核", "的食堂"),
    "canteen_level": lambda value, _names: f"食堂级别{_range(value)}",
    "canteen_in": _listed({}, "食堂在"),
    "same": _same,
    "period": _listed(PERIODS),
    "day_kind": _listed(DAY_KINDS),
    "weekday": lambda value, _names: "星期" + "、".join("一二三四五六日"[one - 1] for one in sorted(value)),
    "days": _days,
    "mode": _listed(MODES),
    "bill": _bill,
    "has_item": lambda value, _names: f"点了“{value}”",
    "ordered_by": _ordered,
    "kind": _listed(KINDS),
    "used": lambda value, _names: (
        f"“{value['allowance']}”" + (f"每 {value['every']} 次中" if "every" in value else "") + f"已用{_range(value)}"
    ),
}
