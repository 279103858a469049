"""The files of a district as its offices send them: templates filled in, and five lists as streets keep them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from shutil import copyfile
from typing import Final

from canteen.registry.imports import templates
from canteen.registry.imports.import_runs import KINDS
from tests.registry.people import CITY, DISTRICT, STREET, number
from tests.registry.test_layouts import OLD, street_register

COMMUNITY, OTHER_STREET = "229901001001", "229901002"
SINCE: Final = "2026-01-01"
ACCOUNT, CREDIT = "6222020200112233445", "91110000600037341L"

TABLES: Final[Mapping[str, list[dict[str, str]]]] = {
    "areas": [
        {"id": CITY, "name": "演示市", "level": "市", "parents": "", "since": SINCE},
        {"id": DISTRICT, "name": "演示区", "level": "区县", "parents": CITY, "since": SINCE},
        {"id": STREET, "name": "演示街道", "level": "街道", "parents": DISTRICT, "since": SINCE},
        {"id": OTHER_STREET, "name": "东风街道", "level": "街道", "parents": DISTRICT, "since": SINCE},
        {"id": COMMUNITY, "name": "桂林社区", "level": "社区", "parents": STREET, "since": SINCE},
    ],
    "canteens": [
        {
            "id": "c1",
            "name": "康乐食堂",
            "area": STREET,
            "profile": "城市食堂",
            "seats": "60",
            "opened": "2025-01-01",
            "lunch": "00:00-24:00",
            "week": "每天",
            "since": SINCE,
        }
    ],
    "contracts": [
        {
            "id": "k1",
            "canteen": "c1",
            "operator": "康乐餐饮有限公司",
            "credit": CREDIT,
            "payee": "康乐餐饮有限公司",
            "bank": "建设银行",
            "account": ACCOUNT,
            "class": "公建民营",
            "grade": "良好",
            "from": "2026-01-01",
        }
    ],
    "staff": [
        {"login": "wang", "name": "王秀兰", "role": "收银员", "node": "食堂", "place": "c1"},
        {"login": "chen", "name": "陈志强", "role": "食堂负责人", "node": "食堂", "place": "c1"},
        {"login": "she", "name": "周社", "role": "街道审核", "node": "区划", "place": COMMUNITY},
        {"login": "jie", "name": "郑街", "role": "街道审核", "node": "区划", "place": STREET},
    ],
    "menus": [
        {
            "canteen": "c1",
            "id": "m1",
            "name": "荤素套餐",
            "category": "套餐",
            "periods": "午餐",
            "price": "12.00",
            "position": "1",
        },
        {
            "canteen": "c1",
            "id": "m2",
            "name": "红烧肉",
            "category": "荤菜",
            "periods": "午餐",
            "price": "18.00",
            "position": "2",
        },
    ],
    "points": [{"canteen": "c1", "id": "w1", "name": "一号窗口", "kind": "堂食窗口"}],
}


def fill(folder: Path) -> None:
    """Write the templates of a place, filled in, as `areas.csv`, `canteens.csv` …"""
    for kind, rows in TABLES.items():
        template = KINDS[kind].template
        cells = [[row.get(column.key, "") for column in template.columns] for row in rows]
        (folder / f"{kind}.csv").write_bytes(templates.separated(template, cells))


def messy(folder: Path) -> None:
    """Write what five offices send.

    old.xls       an old workbook with titles, an error cell, a hidden row and a hidden sheet
    register.xlsx a street's register with merged titles, its own column titles and signatures below
    words.csv     words that nobody else uses, in GB18030
    page.xls      a page of a website, named like a workbook
    dibao.csv     who has the minimum living allowance, one with a number whose end a spreadsheet rounded away
    """
    copyfile(OLD, folder / "old.xls")
    street_register(folder / "register.xlsx")
    told = [
        "称呼,证号,楼栋,住哪",
        f"赵玉兰,{number('19400101', 201)},3,东风街道",
        f"钱进,{number('19410101', 203)},4,东风街道",
    ]
    (folder / "words.csv").write_bytes("\r\n".join(told).encode("gb18030"))
    (folder / "map.yaml").write_text(
        "columns: {称呼: 姓名, 证号: 证件号码, 楼栋: 不导入, 住哪: 居住区划代码}\nfill: {生效日期: 2026-01-01}\n",
        encoding="utf-8",
    )
    (folder / "page.xls").write_bytes(b"<html><body><table><tr><td>x</td></tr></table></body></html>")
    rounded = number("19400101", 201)[:-3] + "000"
    (folder / "dibao.csv").write_text(
        f"姓名,身份证号,人员类别,生效日期\n赵玉兰,{number('19400101', 201)},低保,2026-12-01\n钱进,{rounded},低保,2026-12-01\n",
        encoding="utf-8",
    )
