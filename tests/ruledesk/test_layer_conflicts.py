"""A district never lowers its city's benefits: an elder who would pay more is found before publishing."""

from __future__ import annotations

from datetime import date

import pytest
from sqlalchemy.orm import Session

from canteen import clock, places
from canteen.commands.policy import SCHEMES
from canteen.rulebooks import publications, yaml_reader
from canteen.ruledesk.proposal import Proposal
from canteen.ruledesk.publication import gate as desk
from canteen.ruledesk.publication import layer_conflicts
from tests import world
from tests.ruledesk.test_desk import town  # noqa: F401
from tests.settlement.conftest import MADE, Town, at

MARCH = date(2026, 3, 2)  # a Monday
CITY = """\
format: 1
id: test-city
title: 市级标准
source: 测试
from: 2020-01-01
funds:
  - {id: city, name: 市级, payer: subsidy}
allowances:
  - {id: test.day, unit: meal, scope: person, window: day, limit: 1}
stages:
  - id: subsidy
    title: 补贴
    rules:
      - {id: aged, label: 助餐补贴, reason: 年满 60 周岁, clause: 第一条, when: {age: {from: 60}%s}, less: 5.00, fund: city%s}
"""
DISTRICT = """\
format: 1
id: test-district
title: 区级标准
source: 测试
from: 2020-01-01
funds:
  - {id: district, name: 区级, payer: subsidy}
%sstages:
  - id: early
    title: 区里先减
    order: 1
    rules:
      - {id: r, label: 助餐补贴, reason: 区里先减, clause: 第一条, when: {%s}, less: 0.30, fund: district%s}
"""
DAILY = "allowances:\n  - {id: test.day, unit: meal, scope: person, window: day, limit: 1}\n"


def found(session: Session, city: str, district: str, first: date = date(2026, 2, 1)) -> list[str]:
    """Return the conflicts of a district's rulebook with its city's."""
    with clock.at(MADE):
        world.a_rulebook(session, city, from_day=first)
    session.rollback()
    proposal = Proposal("district", world.DISTRICT, yaml_reader.read(district), MARCH)
    return layer_conflicts.lowered(session, proposal, [places.canteen(session, "c1")], MARCH)


def city(when: str = "", limits: str = "") -> str:
    return CITY % (when, limits)


def test_a_district_that_only_adds_is_not_complained_of(town: Town) -> None:  # noqa: F811
    assert found(town.session, city(), DISTRICT % ("", "age: {from: 60}", "")) == []


LINES = (
    (", bill: {at_least: 11.37}", "age: {from: 60}"),  # only at the bound itself
    (", bill: {at_least: 12.00}", "age: {from: 63, below: 64}"),  # one year of age
    (", bill: {at_least: 12.00}", "age: {from: 60}, day_kind: holiday"),  # on other days than the first
    (", bill: {at_least: 12.00}", "age: {from: 60}, weekday: [7]"),
    (", bill: {at_least: 12.00}", "age: {from: 60}, mode: delivered"),
    (", bill: {at_least: 12.00}", "age: {from: 60}, period: breakfast"),
    (", bill: {at_least: 12.00}, class: [dibao]", "age: {from: 60}"),  # a class that only the city speaks of
    (", bill: {at_least: 12.00}", 'age: {from: 60}, not: {hukou: "220102"}'),  # who is registered elsewhere
    (", bill: {at_least: 12.00}", "age: {from: 60}, days: {from: 2026-07-01}"),  # from a later day on
)
"""Bounds of the city's rule, and whom the district gives something before."""


def test_who_pays_more_is_found_wherever_the_rules_draw_a_line(town: Town) -> None:  # noqa: F811
    for place, (bound, when) in enumerate(LINES):
        said = found(town.session, city(bound), DISTRICT % ("", when, ""), date(2026, 2, 1 + place))
        assert said, (bound, when)
        assert all(one.startswith("下级标准只能加、不能减（区县级）") for one in said)


def test_schemes_of_many_words_can_be_looked_at_as_a_district_s(town: Town) -> None:  # noqa: F811
    for name in ("demo-changchun", "shenzhen-2025", "tianjin-pilot", "zengcheng"):
        text = (SCHEMES / f"{name}.yaml").read_text(encoding="utf-8")
        proposal = Proposal("district", world.DISTRICT, yaml_reader.read(text), MARCH)
        layer_conflicts.lowered(town.session, proposal, [places.canteen(town.session, "c1")], MARCH)


def test_a_district_using_up_the_city_meal_at_breakfast_is_found(town: Town) -> None:  # noqa: F811
    limited = city(", period: [lunch, dinner]", ", limits: test.day")
    said = found(town.session, limited, DISTRICT % (DAILY, "age: {from: 60}, period: breakfast", ", limits: test.day"))
    assert "2 餐" in said[0] or "3 餐" in said[0]


def test_a_new_city_version_is_checked_against_its_districts(town: Town) -> None:  # noqa: F811
    with clock.at(MADE):
        world.a_rulebook(town.session, city(), from_day=date(2026, 2, 1))
        adds = publications.draft(DISTRICT % ("", "age: {from: 60}", ""), by="p-admin")
        bounded = publications.draft(city(", bill: {at_least: 12.00}").replace("市级标准", "市级新标准"), by="p-admin")
    with clock.at(at(date(2026, 2, 10))):
        publications.publish(adds, layer="district", node_id=world.DISTRICT, from_day=MARCH, by="p-chief")
        with pytest.raises(desk.NotFit, match="不能减（区县级）"):
            publications.publish(bounded, layer="city", node_id=world.CITY, from_day=date(2026, 4, 1), by="p-chief")
