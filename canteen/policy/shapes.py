"""The form of documents, defined once: checked, read from text, and shown as a JSON Schema.

A shape has three methods. `check` lists what is wrong with a JSON value; `parse` makes the JSON value from a tree
of bare texts (what the strict YAML reader gives: amounts as yuan, days as 2026-11-22, percents as 85%); `schema`
is its JSON Schema. Rulebooks, cases and quotes are all checked against shapes, so the three can never drift apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import TypeAlias

from canteen import money
from canteen.policy import days
from canteen.policy.canonical import LARGEST
from canteen.policy.refusals import Problem, shown

Problems: TypeAlias = list[Problem]
Json: TypeAlias = object

_END = r"$(?!\n)"  # in some regex engines $ also matches before a last line break
_CODE_MARKS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:@#/")


class Shape:
    """The contract of every shape; scalars answer `parse` by `of_text`."""

    wanted = ""

    def check(self, value: Json, path: str, out: Problems) -> None:
        raise NotImplementedError

    def parse(self, tree: Json, path: str, out: Problems) -> Json:
        """Return the JSON value of a tree of texts; what cannot be read is listed and stays as it is."""
        if not isinstance(tree, str):
            out.append(Problem("not_text", path, "此处应是一个值，不是一组内容", "", self.wanted))
            return tree
        try:
            value = self.of_text(tree)
        except ValueError:
            out.append(Problem("not_readable", path, "写法不对", shown(tree), self.wanted))
            return tree
        self.check(value, path, out)
        return value

    def of_text(self, text: str) -> Json:
        raise NotImplementedError

    def schema(self) -> dict[str, Json]:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Whole(Shape):
    """A whole number from `least` to `most`, both included."""

    least: int = 0
    most: int = LARGEST
    wanted: str = "整数"
    number: str = "整数"

    def check(self, value: Json, path: str, out: Problems) -> None:
        if type(value) is not int:
            out.append(Problem("not_a_number", path, "写法不对", shown(value), self.number))
        elif not self.least <= value <= self.most:
            out.append(Problem("out_of_range", path, "超出范围", shown(value), f"{self.least} 到 {self.most}"))

    def parse(self, tree: Json, path: str, out: Problems) -> Json:
        """Parse as any shape does; show a value out of range as it was written."""
        found: Problems = []
        value = Shape.parse(self, tree, path, found)
        for one in found:
            if one.code == "out_of_range":
                edges = f"{self.as_text(self.least)} 到 {self.as_text(self.most)}"
                out.append(replace(one, found=shown(tree), expected=edges))
            else:
                out.append(one)
        return value

    def as_text(self, value: int) -> str:
        """Write the value as a clerk does."""
        return str(value)

    def of_text(self, text: str) -> Json:
        digits = text.removeprefix("-")
        if not digits.isascii() or not digits.isdigit() or len(digits) > 16:
            raise ValueError(text)
        return int(text)

    def schema(self) -> dict[str, Json]:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class Fen(Whole):
    """An amount: whole fen in JSON, yuan with at most two decimals in text."""

    most: int = 10_000_000
    wanted: str = "以元为单位的金额，如 3.00"
    number: str = "以分为单位的整数，如 300"

    def as_text(self, value: int) -> str:
        return money.show(value)

    def of_text(self, text: str) -> Json:
        return money.yuan(text)


@dataclass(frozen=True, slots=True)
class Day(Whole):
    """A day: its civil number in JSON, 2026-11-22 in text."""

    least: int = days.EARLIEST
    most: int = days.LATEST
    wanted: str = "日期，如 2026-11-22"
    number: str = "日期，如 2026-11-22"

    def as_text(self, value: int) -> str:
        return days.iso(value)

    def of_text(self, text: str) -> Json:
        return days.of_iso(text)


@dataclass(frozen=True, slots=True)
class Percent(Whole):
    """A proportion: hundredths of a percent in JSON (85% is 8500), with its sign in text."""

    most: int = 10_000
    wanted: str = "百分数，如 85%"
    number: str = "万分数，85% 是 8500"

    def as_text(self, value: int) -> str:
        return money.show(value).removesuffix(".00") + "%"

    def of_text(self, text: str) -> Json:
        if not text.endswith("%"):
            raise ValueError(text)
        return money.yuan(text[:-1])


@dataclass(frozen=True, slots=True)
class Minute(Whole):
    """A time of day: minutes after midnight in JSON, 09:30 in text."""

    most: int = 24 * 60
    wanted: str = "时刻，如 09:30"
    number: str = "当天第几分钟，09:30 是 570"

    def as_text(self, value: int) -> str:
        return f"{value // 60:02d}:{value % 60:02d}"

    def of_text(self, text: str) -> Json:
        hour, colon, minute = text.partition(":")
        if not (colon and text.isascii() and len(hour) == len(minute) == 2 and (hour + minute).isdigit()):
            raise ValueError(text)
        if int(minute) > 59:
            raise ValueError(text)
        return int(hour) * 60 + int(minute)


@dataclass(frozen=True, slots=True)
class Text(Shape):
    """Words for people: one line, not empty."""

    longest: int = 200
    wanted: str = "一行文字"

    def check(self, value: Json, path: str, out: Problems) -> None:
        if not isinstance(value, str):
            out.append(Problem("not_text", path, "应为文字", shown(value), self.wanted))
        elif not 0 < len(value) <= self.longest:
            out.append(Problem("bad_length", path, "文字不能为空，也不能过长", shown(value), f"1 到 {self.longest} 字"))
        elif any(mark < " " or mark == "\x7f" or "\ud800" <= mark <= "\udfff" for mark in value):
            out.append(Problem("bad_character", path, "含有不能使用的字符", shown(value), self.wanted))

    def of_text(self, text: str) -> Json:
        return text

    def schema(self) -> dict[str, Json]:
        marks = r"^[^\u0000-\u001f\u007f\ud800-\udfff]*" + _END
        return {"type": "string", "minLength": 1, "maxLength": self.longest, "pattern": marks}


@dataclass(frozen=True, slots=True)
class Code(Shape):
    """An id or a code: ASCII letters, digits and . _ - : @ # /"""

    longest: int = 80
    wanted: str = "代码（字母、数字和 . _ - : @ # /）"

    def check(self, value: Json, path: str, out: Problems) -> None:
        if not isinstance(value, str):
            out.append(Problem("not_a_code", path, "应为代码", shown(value), self.wanted))
        elif not 0 < len(value) <= self.longest or not _CODE_MARKS.issuperset(value):
            out.append(Problem("not_a_code", path, "代码写法不对", shown(value), self.wanted))

    def of_text(self, text: str) -> Json:
        return text

    def schema(self) -> dict[str, Json]:
        return {"type": "string", "pattern": f"^[A-Za-z0-9._:@#/-]{{1,{self.longest}}}{_END}"}


@dataclass(frozen=True, slots=True)
class OneOf(Shape):
    """One of a few words."""

    values: tuple[str, ...]

    @property
    def wanted(self) -> str:  # type: ignore[override]  # the words themselves are what is wanted
        return " / ".join(self.values)

    def check(self, value: Json, path: str, out: Problems) -> None:
        if value not in self.values:
            out.append(Problem("not_a_choice", path, "不在可选范围内", shown(value), self.wanted))

    def of_text(self, text: str) -> Json:
        return text

    def schema(self) -> dict[str, Json]:
        return {"enum": list(self.values)}


@dataclass(frozen=True, slots=True)
class Flag(Shape):
    """Yes or no: true and false in JSON, yes and no in text."""

    wanted: str = "yes 或 no"

    def check(self, value: Json, path: str, out: Problems) -> None:
        if not isinstance(value, bool):
            out.append(Problem("not_a_flag", path, "应为是或否", shown(value), self.wanted))

    def of_text(self, text: str) -> Json:
        return {"yes": True, "no": False}.get(text, text)

    def schema(self) -> dict[str, Json]:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class OrNull(Shape):
    """The shape, or null; a text cannot say null, it leaves the field out."""

    inner: Shape

    def check(self, value: Json, path: str, out: Problems) -> None:
        if value is not None:
            self.inner.check(value, path, out)

    def parse(self, tree: Json, path: str, out: Problems) -> Json:
        return self.inner.parse(tree, path, out)

    def schema(self) -> dict[str, Json]:
        return {"anyOf": [self.inner.schema(), {"type": "null"}]}


@dataclass(frozen=True, slots=True)
class ListOf(Shape):
    """A list of one shape; `ordered` lists are sorted and without repeats. A single text is read as a list of one."""

    inner: Shape
    least: int = 0
    most: int = 200
    ordered: bool = False
    wanted: str = "一个列表"

    def check(self, value: Json, path: str, out: Problems) -> None:
        if not isinstance(value, list):
            out.append(Problem("not_a_list", path, "应为列表", shown(value), self.wanted))
            return
        if not self.least <= len(value) <= self.most:
            out.append(Problem("bad_length", path, "项数不对", str(len(value)), f"{self.least} 到 {self.most} 项"))
        for place, inner in enumerate(value[: self.most]):
            self.inner.check(inner, f"{path}[{place}]", out)
        if not self.ordered or not all(isinstance(inner, str) for inner in value):
            return
        if len(set(value)) < len(value):
            out.append(Problem("repeated", path, "同一项写了两次", shown(value), "不重复的列表"))
        elif value != sorted(value):
            out.append(Problem("not_ordered", path, "应按代码排序", shown(value), "排序后的列表"))

    def parse(self, tree: Json, path: str, out: Problems) -> Json:
        items = [tree] if isinstance(tree, str) else tree
        if not isinstance(items, list):
            out.append(Problem("not_a_list", path, "应为列表", "", self.wanted))
            return tree
        read: list[Json] = [self.inner.parse(item, f"{path}[{place}]", out) for place, item in enumerate(items)]
        if self.ordered and all(isinstance(item, str) for item in read):
            read = [*sorted({str(item) for item in read})]
        if not self.least <= len(read) <= self.most:
            out.append(Problem("bad_length", path, "项数不对", str(len(read)), f"{self.least} 到 {self.most} 项"))
        return read

    def schema(self) -> dict[str, Json]:
        shape: dict[str, Json] = {"type": "array", "items": self.inner.schema(), "maxItems": self.most}
        if self.least:
            shape["minItems"] = self.least
        if self.ordered:
            shape["uniqueItems"] = True
        return shape


@dataclass(frozen=True, slots=True)
class MapOf(Shape):
    """An object from codes to one shape."""

    inner: Shape
    most: int = 50
    key: Code = Code()
    wanted: str = "一组“代码: 值”"

    def check(self, value: Json, path: str, out: Problems) -> None:
        if not isinstance(value, dict):
            out.append(Problem("not_an_object", path, "应为一组字段", shown(value), self.wanted))
            return
        if len(value) > self.most:
            out.append(Problem("bad_length", path, "项数过多", str(len(value)), f"至多 {self.most} 项"))
        for key in sorted(value, key=str)[: self.most]:
            self.key.check(key, path, out)
            self.inner.check(value[key], f"{path}.{key}", out)

    def parse(self, tree: Json, path: str, out: Problems) -> Json:
        if not isinstance(tree, dict):
            out.append(Problem("not_an_object", path, "应为一组字段", "", self.wanted))
            return tree
        return {key: self.inner.parse(value, f"{path}.{key}", out) for key, value in tree.items()}

    def schema(self) -> dict[str, Json]:
        return {
            "type": "object",
            "maxProperties": self.most,
            "propertyNames": self.key.schema(),
            "additionalProperties": self.inner.schema(),
        }


@dataclass(frozen=True, slots=True)
class Record(Shape):
    """Named fields, no others. Of each tuple in `one_of` exactly one field is given, of `some_of` at least one."""

    needed: Mapping[str, Shape] = field(default_factory=dict)
    maybe: Mapping[str, Shape] = field(default_factory=dict)
    one_of: tuple[tuple[str, ...], ...] = ()
    some_of: tuple[str, ...] = ()
    wanted: str = "一组字段"

    def check(self, value: Json, path: str, out: Problems) -> None:
        if not isinstance(value, dict):
            out.append(Problem("not_an_object", path, "写法不对", shown(value), self._form()))
            return
        self._names(value, path, out)
        for name in sorted(key for key in value if isinstance(key, str)):
            if (shape := self._shape(name)) is not None:
                shape.check(value[name], _under(path, name), out)

    def parse(self, tree: Json, path: str, out: Problems) -> Json:
        if not isinstance(tree, dict):
            out.append(Problem("not_an_object", path, "写法不对", shown(tree), self._form()))
            return tree
        self._names(tree, path, out)
        read: dict[str, Json] = {}
        for name, inner in tree.items():
            shape = self._shape(name)
            read[name] = inner if shape is None else shape.parse(inner, _under(path, name), out)
        return read

    def schema(self) -> dict[str, Json]:
        fields = {**self.needed, **self.maybe}
        shape: dict[str, Json] = {
            "type": "object",
            "properties": {name: fields[name].schema() for name in sorted(fields)},
            "additionalProperties": False,
        }
        if self.needed:
            shape["required"] = sorted(self.needed)
        choices: list[Json] = [{"oneOf": [{"required": [name]} for name in names]} for names in self.one_of]
        if self.some_of:
            choices.append({"anyOf": [{"required": [name]} for name in self.some_of]})
        if choices:
            shape["allOf"] = choices
        return shape

    def _form(self) -> str:
        """Name the wanted fields, where they are few."""
        fields = [*self.needed, *self.maybe]
        return f"{self.wanted}：{'、'.join(fields)}" if len(fields) <= 8 else self.wanted

    def _shape(self, name: str) -> Shape | None:
        return self.needed.get(name) or self.maybe.get(name)

    def _names(self, value: dict[str, Json], path: str, out: Problems) -> None:
        """Check the fields: none unknown or missing, and only one of those that exclude each other."""
        for name in sorted(value, key=str):
            if not isinstance(name, str) or self._shape(name) is None:
                fields = sorted({*self.needed, *self.maybe})
                allowed = "、".join(get_close_matches(shown(name), fields) or fields)
                out.append(Problem("unknown_field", _under(path, shown(name)), "没有这个字段", shown(name), allowed))
        for name in sorted(self.needed):
            if name not in value:
                out.append(Problem("missing_field", path, f"缺少字段 {name}", "", name))
        for names in self.one_of:
            there = [name for name in names if name in value]
            if len(there) != 1:
                out.append(Problem("one_of", path, "只能且必须写其中一项", "、".join(there) or "无", "、".join(names)))
        if self.some_of and not any(name in value for name in self.some_of):
            out.append(Problem("some_of", path, "至少写一项", "无", "、".join(self.some_of)))


def _under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
