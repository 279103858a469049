"""The columns of the roster: how we call them, how streets call them, and what their cells may hold."""

from __future__ import annotations

import re
from typing import Final

from canteen.registry import documents
from canteen.registry.facts import WITHDRAWN
from canteen.registry.imports.columns import (
    BadCell,
    Column,
    PassedCell,
    Template,
    area,
    day,
    end,
    listed,
    mobile,
    one_of,
    quantity,
    whole,
    written_day,
)
from canteen.registry.imports.columns import code as plain_code
from canteen.registry.labels import CLASSES, DOCUMENTS, SEXES, STATUSES, code_of
from canteen.registry.text_forms import BadPhone, close_up, name_of, phone_of

SCALES: Final = ("care", "disability")  # columns that rate on a scale of this name
CARE: Final = SCALES[0]
NORMAL: Final = "normal"
_YES: Final = frozenset({"是", "有", "√", "✓", "✔", "Y", "y", "YES", "1", "对"})
_NO: Final = frozenset({"否", "无", "没有", "×", "✗", "N", "n", "NO", "0", "不是"})
_GRADES: Final = {"一": 1, "二": 2, "三": 3, "四": 4, "Ⅰ": 1, "Ⅱ": 2, "Ⅲ": 3, "Ⅳ": 4}
_PHONES: Final = re.compile(r"[/、,;，；|\s]+")


def flag_of(code: str) -> str:
    """Return the key of the column that says by yes or no whether somebody is of a class."""
    return f"is_{code}"


def _class(cell: str) -> str:
    found = code_of(CLASSES, cell) or (cell if re.fullmatch(r"[A-Za-z0-9._-]{1,40}", cell, re.ASCII) else None)
    if found is None:
        raise BadCell(f"没有这一类，可填：{'、'.join(CLASSES.values())}；没有填“无”。")
    return found


def _yes(cell: str) -> bool:
    said = close_up(cell)
    if said not in _YES | _NO:
        raise BadCell("请填“是”或“否”。")
    return said in _YES


def grade(cell: str) -> int | None:
    """Read a disability grade, 1 (most severe) to 4, as 一级 or 1; None where the cell says that there is none."""
    said = close_up(cell).removesuffix("级")
    if said in _NO:
        return None
    found = _GRADES.get(said) or (int(said) if said in {"1", "2", "3", "4"} else None)
    if found is None:
        raise BadCell("残疾等级请填一级、二级、三级或四级；没有填“无”。")
    return found


def phone(cell: str) -> str:
    """Read a telephone number. Raises PassedCell for several, with the first, and for one that is none."""
    try:
        return phone_of(cell)
    except BadPhone:
        for each in _PHONES.split(cell):
            try:
                if first := phone_of(each):
                    raise PassedCell("写了不止一个号码，只登记能识别的第一个。", value=first)
            except BadPhone:
                continue
        raise PassedCell("电话看不懂，没有登记：请在老人页面补上。") from None


def _flags() -> tuple[Column, ...]:
    return tuple(
        Column(flag_of(code), f"是否{word}", _yes, "是、否；空着不改动", also=(word, f"是否{word}户"), width=8)
        for code, word in CLASSES.items()
    )


_ADDRESS: Final = "区划代码或名称（见“区划代码”表），填到街道或社区，如 桂林街道；有同名的写上上级"

ROSTER: Final = Template(
    "roster",
    "老人名册",
    (
        Column(
            "name",
            "姓名",
            name_of,
            "与身份证一致；少数民族姓名用“·”分隔",
            required=True,
            also=("老人姓名", "人员姓名", "对象姓名", "补贴对象", "受助人姓名", "服务对象", "服务对象姓名", "名字"),
        ),
        Column(
            "document",
            "证件类型",
            one_of(DOCUMENTS),
            "居民身份证（不填即是）、港澳台居民证件、外国人证件",
            also=("证件种类", "证件类别"),
        ),
        Column(
            "number",
            "证件号码",
            close_up,
            "18 位身份证号码；本列须为文本格式",
            required=True,
            also=(
                "身份证号", "身份证号码", "公民身份号码", "公民身份证号", "公民身份证号码", "居民身份证号", "居民身份证号码",
                "身份证", "身份号码", "证件号", "老人身份证号", "老人身份证号码",
            ),
            width=24,
            numeric=documents.looks_lost,
        ),
        Column("sex", "性别", one_of(SEXES), "女、男；身份证号码能判断时可不填", width=8),
        Column(
            "birth",
            "出生日期",
            day,
            "1946-03-05；身份证号码能判断时可不填",
            also=("出生年月日", "生日", "出生日"),
            numeric=written_day,
        ),
        Column(
            "hukou",
            "户籍区划代码",
            area,
            _ADDRESS,
            also=(
                "户籍区县", "户籍街道", "户籍乡镇", "户籍社区", "户籍村", "户籍", "户籍地", "户籍所在地", "户口所在地",
                "户口所在", "户籍地址", "户口地址", "户口",
            ),
            width=18,
            joined=True,
        ),
        Column(
            "residence",
            "居住区划代码",
            area,
            _ADDRESS,
            also=(
                "区县", "所在区", "街道", "乡镇", "街道乡镇", "所属街道", "所在街道", "居住街道", "社区", "村", "社区村",
                "村社区", "所属社区", "所在社区", "居住社区", "居住地", "现居住地", "常住地", "居住地址", "现居住地址",
                "现住址", "家庭住址", "家庭地址", "住址", "地址", "常住地址", "详细地址",
            ),
            width=18,
            joined=True,
        ),
        Column(
            "classes",
            "人员类别",
            listed(_class),
            f"{'、'.join(CLASSES.values())}；多项用“、”分隔；没有填“无”",
            also=("人员类型", "老人类别", "老人类型", "对象类别", "身份类别", "救助类别", "类别", "保障类别"),
            width=20,
        ),
        Column(
            "class_until",
            "类别截止日期",
            end,
            "本行各类别的到期日；空着不改动已登记的到期日，新类别即长期有效；取消到期日填“无”",
            also=("类别到期日", "有效期至", "截止日期"),
            numeric=written_day,
        ),
        Column(
            "care",
            "照护等级",
            whole(0, 9),
            "0 至 9 的整数，按当地评估标准",
            also=("护理等级", "失能等级", "评估等级"),
            width=10,
            numeric=quantity,
        ),
        Column(
            "disability",
            "残疾等级",
            grade,
            "一级、二级、三级、四级；没有填“无”",
            also=("残疾级别", "伤残等级"),
            width=10,
            numeric=lambda digits: digits in {"1", "2", "3", "4"},
        ),
        Column("household", "家庭编号", plain_code, "低保等按户认定时填写，同户相同", also=("户号", "家庭号")),
        Column("enrolled", "登记食堂", listed(plain_code), "食堂编号；多项用“、”分隔；没有填“无”"),
        Column(
            "phone",
            "联系电话",
            phone,
            "本人或家属电话；座机带区号，本列须为文本格式",
            also=("电话", "手机", "手机号", "手机号码", "电话号码", "联系方式", "本人电话", "老人电话"),
            width=16,
            numeric=mobile,
        ),
        Column(
            "status",
            "状态",
            one_of({NORMAL: "正常", **{code: word for code, word in STATUSES.items() if code != WITHDRAWN}}),
            "正常、已故、入住养老机构、迁出、暂停",
            also=("人员状态",),
        ),
        Column("status_from", "状态日期", day, "“状态”从哪一天起；空着即从生效日期起", numeric=written_day),
        Column(
            "since",
            "生效日期",
            day,
            "本行内容从哪一天起有效",
            required=True,
            also=("生效时间", "起始日期", "享受日期"),
            numeric=written_day,
        ),
    ),
    rows=200_000,
    further=_flags(),
)  # fmt: skip
