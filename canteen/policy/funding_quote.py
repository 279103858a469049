"""The result of a funding scheme for one case: each canteen's grants by line and clause, and why others get none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from canteen import money
from canteen.policy import days
from canteen.policy.canonical import Document
from canteen.policy.documents import document_schema
from canteen.policy.funding import EACH, PASSED, FundingGrant, weigh
from canteen.policy.funding_case import FundingCase
from canteen.policy.shapes import Code, Day, Fen, ListOf, OneOf, Record, Text, Whole

_MOST = Fen(most=2**53 - 1)
_SAID = {"canteen": Code(), "rule": Code(101), "clause": Text(120), "label": Text(30), "reason": Text(20_000)}
FUNDING_QUOTE = Record(
    needed={
        "format": Whole(1, 1),
        "scheme": Code(40),
        "day": Day(),
        "each": OneOf(EACH),
        "grants": ListOf(Record(needed={**_SAID, "fund": Code(60), "fen": Fen(least=1, most=2**53 - 1)}), most=12_000),
        "passed": ListOf(Record(needed={**_SAID, "why": OneOf(PASSED)}), most=12_000),
        "total": _MOST,
    }
)


@dataclass(frozen=True, slots=True)
class FundingQuote:
    """Every line for every canteen of a case, in the scheme's order; amounts in fen."""

    scheme: str
    title: str
    day: int
    each: str
    grants: tuple[FundingGrant, ...]

    @property
    def total(self) -> int:
        return sum(grant.fen for grant in self.grants)


def quote_funding(scheme: Mapping[str, Any], case: FundingCase) -> FundingQuote:
    """Compute what the scheme gives each canteen of the case. Raises Refused where it is no funding scheme."""
    found = weigh(scheme, case.each, case.day, case.canteens)
    return FundingQuote(scheme["id"], scheme["title"], case.day, case.each, tuple(found))


def funding_quote_doc(quote: FundingQuote) -> Document:
    """Return the JSON of a quote: `grants` above zero, and under `passed` what gives nothing and why."""
    return {
        "format": 1,
        "scheme": quote.scheme,
        "day": quote.day,
        "each": quote.each,
        "grants": [{**_said(one), "fund": one.fund, "fen": one.fen} for one in quote.grants if not one.passed],
        "passed": [{**_said(one), "why": one.passed} for one in quote.grants if one.passed],
        "total": quote.total,
    }


def _said(one: FundingGrant) -> dict[str, object]:
    names = {"canteen": one.canteen, "rule": one.line, "clause": one.clause}
    return {**names, "label": one.label, "reason": one.why}


def funding_sentences(quote: FundingQuote) -> list[str]:
    """Say a quote in words for the desk: a line for each canteen and line of the scheme, then the sum."""
    said = [f"{quote.title}（{quote.scheme}），{_span(quote.each, quote.day)}："]
    for one in quote.grants:
        if one.passed:
            said.append(f"{one.canteen}：没有{one.label}（{one.line}，{one.clause}）：{one.why}。")
        else:
            paid = f"{one.canteen}：{one.label}{money.show(one.fen)}元，由{one.fund}承担"
            said.append(f"{paid}（{one.line}，{one.clause}）：{one.why}。")
    return [*said, f"合计{money.show(quote.total)}元。"]


def _span(each: str, day: int) -> str:
    year, month, _ = days.ymd(day)
    spans = {"month": f"{year}年{month}月", "quarter": f"{year}年第{(month + 2) // 3}季度", "year": f"{year}年"}
    return spans.get(each, f"一次性（{days.iso(day)}）")


def funding_quote_schema() -> Document:
    """Return the JSON Schema of a quote (kept as funding_quote.schema.json)."""
    return document_schema(FUNDING_QUOTE, "FUNDING QUOTE: what each canteen is given by each line, and why")
