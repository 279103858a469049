"""Fill in a form: read what a browser sent, add and remove rows, start from templates."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from werkzeug.datastructures import MultiDict

from canteen.errors import Invalid
from canteen.ruledesk.editor.forms import Form, Fund, Limit, Part, Rule, Stage, Tier, Who
from canteen.web.numbers import whole

MOST_ROWS = 100  # of one list; the language takes fewer, so what is too long is reported by lint and never cut off here


class TooManyRows(Invalid):
    code = "form_too_long"
    message = "内容太多，表单放不下，没有保存。请改在 YAML 中修改。"


def of_request(sent: MultiDict[str, str]) -> Form:
    """Read the form that a browser sent; field names say the place, like `stages-0-rules-1-who-age_from`.

    Raises TooManyRows: a row left out would be a row taken out.
    """
    found = _bind(Form, "", sent)
    assert isinstance(found, Form)
    return found


def _bind(kind: type, prefix: str, sent: MultiDict[str, str]) -> Any:
    values: dict[str, Any] = {}
    for one in fields(kind):
        name, of = f"{prefix}{one.name}", one.metadata.get("of")
        if of is None:
            values[one.name] = sent.get(name, "").strip()
        elif of is str:
            values[one.name] = sent.getlist(name)
        elif one.default_factory is list:
            row = re.compile(rf"{name}-([0-9]{{1,6}})-")
            numbers = sorted({int(found[1]) for key in sent if (found := row.match(key))})
            if len(numbers) > MOST_ROWS:
                raise TooManyRows
            values[one.name] = [_bind(of, f"{name}-{number}-", sent) for number in numbers]
        else:
            values[one.name] = _bind(of, f"{name}-", sent)
    return kind(**values)


def of_mapping(form: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Return what a browser would send of a form."""
    for one in fields(form):
        value = getattr(form, one.name)
        if isinstance(value, list):
            for place, inner in enumerate(value):
                if is_dataclass(inner):
                    yield from of_mapping(inner, f"{prefix}{one.name}-{place}-")
                else:
                    yield f"{prefix}{one.name}", inner
        elif is_dataclass(value):
            yield from of_mapping(value, f"{prefix}{one.name}-")
        else:
            yield f"{prefix}{one.name}", value


def change(form: Form, act: str) -> None:
    """Add a row for 'add:stages-0-rules', remove one for 'drop:stages-0-rules-1'; ignore anything else."""
    verb, _, path = act.partition(":")
    steps = path.split("-")
    place: Any = form
    for step in steps[:-1]:
        place = _into(place, step)
        if place is None:
            return
    last = steps[-1]
    if verb == "add" and is_dataclass(place) and isinstance(getattr(place, last, None), list):
        getattr(place, last).append(_new(last, getattr(place, last), form))
    elif verb == "drop" and isinstance(place, list) and 0 <= whole(last) < len(place):
        del place[whole(last)]


def settle(form: Form) -> None:
    """Note that the form was saved as it is: each piece is now at its own place in the tree."""
    lists: list[list[Any]] = [form.funds, form.limits, form.stages, *(stage.rules for stage in form.stages)]
    for rows in lists:
        for place, row in enumerate(rows):
            row.at = str(place)


def _into(place: Any, step: str) -> Any:
    if isinstance(place, list):
        return place[whole(step)] if 0 <= whole(step) < len(place) else None
    return getattr(place, step, None)


def _new(name: str, rows: list[Any], form: Form) -> Any:
    """Make a fresh row with an id of its own."""
    taken = {getattr(row, "id", "") for row in rows}
    if name in ("rules", "stages"):
        taken = {rule.id for stage in form.stages for rule in stage.rules} | {stage.id for stage in form.stages}
    stem = {"funds": "fund", "limits": "limit", "rules": "rule", "stages": "stage"}.get(name, "")
    number = next(n for n in range(1, 1000) if f"{stem}{n}" not in taken and f"{_scheme(form)}.{stem}{n}" not in taken)
    fund = form.funds[0].id if form.funds else ""
    made: Mapping[str, Any] = {
        "funds": Fund(id=f"{_scheme(form)}.{stem}{number}", name="财政补贴"),
        "limits": Limit(id=f"{_scheme(form)}.{stem}{number}"),
        "stages": Stage(id=f"{stem}{number}", title="补贴"),
        "rules": Rule(id=f"{stem}{number}", reason="每餐补贴", clause="第一条", value="1.00", parts=[Part(fund)]),
        "tiers": Tier(age_from="60", value="1.00"),
        "parts": Part(fund, "fen", "1.00"),
    }
    return made[name]


def _scheme(form: Form) -> str:
    return form.id or "scheme"


# --- templates -------------------------------------------------------------------------------------------------------


UNFILLED = "（请填写文件名称和文号）"
"""The placeholder for the source until the writer names it; no version is made of it."""


def template(name: str, *, scheme: str, title: str, place: str, first_day: str) -> Form:
    """Return a form to start from: 'tiers', 'classes', 'percent', 'free'; any other is one plain rule."""
    form = Form(id=scheme, title=title, source=UNFILLED, first_day=first_day, place=place)
    fund = f"{scheme}.fund1"
    form.funds = [Fund(id=fund, name="财政补贴")]
    form.limits = [Limit(id=f"{scheme}.daily", note="每人每日一餐")]
    form.stages = [Stage(id="subsidy", title="就餐补贴", rules=_rules(name, fund, f"{scheme}.daily"))]
    return form


def _rules(name: str, fund: str, limit: str) -> list[Rule]:
    paid: dict[str, Any] = {"parts": [Part(fund)], "limits": [limit]}
    aged = Who(age_from="60")
    if name == "tiers":
        tiers = [Tier("60", "70", "1.00"), Tier("70", "80", "2.00"), Tier("80", "", "3.00")]
        reason = "六十周岁及以上老人按年龄分档补贴"
        return [Rule(id="aged", reason=reason, clause="第一条", tiers=tiers, **paid)]
    if name == "classes":
        poor = Who(age_from="60", classes=["tekun", "dibao"])
        return [
            Rule(id="a", reason="特困、低保老人每餐补贴", clause="第一条", who=poor, value="5.00", **paid),
            Rule(id="b", reason="六十周岁及以上老人每餐补贴", clause="第二条", who=aged, value="2.00", **paid),
        ]
    if name == "percent":
        return [
            Rule(id="aged", label="敬老价", reason="六十周岁及以上老人八五折", clause="第一条", who=aged,
                 verb="pay_percent", value="85%", **paid)
        ]  # fmt: skip
    if name == "free":
        oldest = Who(age_from="90")
        return [
            Rule(id="oldest", label="免费餐", reason="九十周岁及以上老人每日一餐免费", clause="第一条", who=oldest,
                 verb="free", most="20.00", used_up="next", **paid)
        ]  # fmt: skip
    return [Rule(id="aged", reason="六十周岁及以上老人每餐补贴", clause="第一条", who=aged, value="2.00", **paid)]
