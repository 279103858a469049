"""Rulebooks that draw on limits of every kind: five yuan off for everybody of sixty."""

from __future__ import annotations

from collections.abc import Sequence


def book(*allowances: str, budget: str = "", rules: int = 1, then: Sequence[str] = (), id_: str = "test-city") -> str:
    """A rulebook.

    allowances   each as YAML, its id first: all rules draw on all of them
    budget       of the fund `city`, as YAML; `then` names funds that may stand in for it
    rules        so many rules of five yuan, added up
    """
    names = ", ".join(each.split(",")[0].removeprefix("id: ") for each in allowances)
    lines = [
        "format: 1",
        f"id: {id_}",
        "title: 测试标准",
        "source: 测试",
        "from: 2020-01-01",
        "funds:",
        "  - {id: city, name: 市级, payer: subsidy" + (f", budget: {{{budget}}}}}" if budget else "}"),
        *(f"  - {{id: {fund}, name: 区级, payer: subsidy}}" for fund in then),
        "stages:",
        "  - id: subsidy",
        "    title: 补贴",
        "    pick: sum",
        "    rules:",
    ]
    for n in range(1, rules + 1):
        lines += [
            f"      - id: aged-{n}",
            "        label: 助餐补贴",
            "        reason: 年满 60 周岁",
            "        clause: 第一条",
            "        when: {age: {from: 60}}",
            "        less: 5.00",
            "        fund: city",
            *([f"        limits: [{names}]"] if names else []),
        ]
    if allowances:
        lines += ["allowances:", *(f"  - {{{each}}}" for each in allowances)]
    return "\n".join(lines) + "\n"
