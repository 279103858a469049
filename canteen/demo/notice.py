"""Next year's notice as the bureau is writing it: a draft at the rule desk, and one simulation of it over a real month."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from canteen import clock
from canteen.demo import areas
from canteen.demo.calendar import Story
from canteen.demo.city import SCHEMES
from canteen.demo.plants import Act
from canteen.rulebooks import yaml_reader
from canteen.ruledesk.editor import drafts, yaml_patch
from canteen.ruledesk.simulation import simulation_jobs

READING = "# 征求意见稿的读法：B 类的增加部分由市级财政承担；市级财政按月控制预算，用完以后照常供餐、列队待补。\n"
BUDGET = {"limit": "2000.00", "window": "month", "at_end": "queue", "warn": "80%"}


def acts(story: Story, staff: Mapping[str, str]) -> list[Act]:
    """Make the admin's last afternoon: the draft is written and replayed over the newest closed month."""

    def write() -> None:
        text = written(story.last.year + 1)
        document = yaml_reader.read(text)
        by = staff["demo-admin"]
        drafts.start(text, str(document["title"]), layer="city", node_id=areas.CITY, by=by)
        month = clock.month_of(story.closed[2].first)
        number = simulation_jobs.ask(document, layer="city", node_id=areas.CITY, over=[month], by=by)
        if simulation_jobs.run(number, "demo") != "done":
            raise RuntimeError(f"the demo's simulation {number} did not end well")

    return [Act(clock.instant(story.last, 15 * 60), write)]


def written(year: int) -> str:
    """Return the draft's YAML: the scheme in force with a yuan more from eighty years on, and a budget."""
    text = (SCHEMES / "demo-changchun.yaml").read_text("utf-8")
    tree: Any = yaml_reader.tree(text)
    tree["title"] = f"演示·长春市敬老餐厅助餐补贴标准（{year} 年征求意见稿）"
    tree["from"] = f"{year}-01-01"
    city = next(fund for fund in tree["funds"] if fund["id"] == "demo.city")
    city["budget"] = BUDGET
    rules = next(stage for stage in tree["stages"] if stage["id"] == "subsidy")["rules"]
    older = next(rule for rule in rules if rule["id"] == "b")
    older |= {"less": "6.00", "reason": "B 类：八十周岁及以上老人每餐补贴 6 元（市 3、区 2、街道 1）"}
    older["split"][0]["fen"] = "3.00"
    return READING + yaml_patch.rewrite(text, tree)
