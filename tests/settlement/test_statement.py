"""A statement's bytes: one order, one form, one hash."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

from canteen.settlement.closing import statement
from canteen.settlement.closing.checks import Finding
from canteen.settlement.closing.statement import Cut, Figures, Key

FIGURES = Figures(
    contract="k1", district="220104", first=date(2026, 10, 1), last=date(2026, 10, 31), cut=Cut(9, 90, 3, 30),
    lines=statement.numbered({Key("meals", "city", "2026-10"): (2, 1, 1000)}), totals={"meals": 2}, excluded={"limit": 500},
    tenders={"cash": 1400}, sales=2, sales_hash="ab", rulebooks=("b1",), silent=("t1",),
    findings=(Finding("clock", "sale:s1", "s1", 500, {"skew_ms": 400000}),), names={},
)  # fmt: skip


def test_the_same_figures_give_the_same_bytes_in_any_map_order():
    one = replace(FIGURES, totals={"meals": 2, "due": 1}, tenders={"cash": 1, "mobile": 2})
    other = replace(FIGURES, totals={"due": 1, "meals": 2}, tenders={"mobile": 2, "cash": 1})

    assert statement.body(one) == statement.body(other)


def test_a_fen_more_gives_another_hash():
    more = replace(FIGURES, lines=statement.numbered({Key("meals", "city", "2026-10"): (2, 1, 1001)}))

    assert statement.digest(statement.body(more)) != statement.digest(statement.body(FIGURES))


def test_every_figure_stands_in_the_bytes():
    whole = json.loads(statement.body(FIGURES))

    assert whole["fen"] == 1000
    assert whole["cut"] == {"facts": 9, "records": 90}
    assert whole["silent_tablets"] == ["t1"]
    assert whole["findings"] == [["clock", "sale:s1", 500, '{"skew_ms":400000}']]
    assert statement.lines_of(statement.body(FIGURES)) == list(FIGURES.lines)


def test_lines_sort_by_kind_month_fund_without_empty_ones():
    lines = statement.numbered(
        {
            Key("adjustment", "city", "2026-09", "k1-202609/1"): (1, 1, -500),
            Key("meals", "street", "2026-10"): (1, 1, 200),
            Key("meals", "city", "2026-10"): (2, 1, 1000),
            Key("supplement", "city", "2026-09", "k1-202609"): (0, 0, 0),
        }
    )

    assert [(line.n, line.key.kind, line.key.fund) for line in lines] == [
        (1, "meals", "city"), (2, "meals", "street"), (3, "adjustment", "city"),
    ]  # fmt: skip


def test_the_sales_hash_does_not_depend_on_the_order_of_reading():
    assert statement.sales_hash(sorted(["b", "a"])) == statement.sales_hash(sorted(["a", "b"]))
    assert statement.sales_hash(["a"]) != statement.sales_hash(["a", "a"])


def test_a_claim_number_names_the_month_or_both_days():
    number = statement.claim_number
    assert number("k1", date(2026, 10, 1), date(2026, 10, 31), whole_month=True) == "k1-202610"
    assert number("k1", date(2026, 10, 5), date(2026, 10, 31), whole_month=False) == "k1-20261005-20261031"
