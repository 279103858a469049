"""Write a statement's figures as bytes. PURE: same values, same bytes (P16)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from canteen.money import Fen
from canteen.settlement.closing.checks import Finding

KINDS = ("meals", "supplement", "adjustment", "released", "carried", "revaluation")
VERSION = 1
DayFund = tuple[date, str]
"""A service day and a fund."""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """The identity of a claim line; `origin` is the number of the claim (and line) that it follows, or ''."""

    kind: str
    fund: str
    service_month: str
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: distinct meals and persons with money in it, and fen, below zero where it takes back."""

    n: int
    key: Key
    meals: int
    persons: int
    fen: Fen


@dataclass(frozen=True, slots=True)
class Cut:
    """The cut-off of a period: the last event and record that are read; `_before`: those of the period before."""

    facts: int
    records: int
    facts_before: int
    records_before: int


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of a closed period."""

    contract: str
    district: str
    first: date
    last: date
    cut: Cut
    lines: tuple[Line, ...]
    totals: Mapping[str, Fen]  # meals, persons, guests, list, due, surcharge, and fen by payer of valid sales
    excluded: Mapping[str, Fen]  # by reason
    tenders: Mapping[str, Fen]  # by kind
    sales: int
    sales_hash: str
    rulebooks: tuple[str, ...]
    silent: tuple[str, ...]  # tablets not heard from since the period ended
    findings: tuple[Finding, ...]
    names: Mapping[str, Any]  # of canteen, operator, district, payee and funds
    days: Mapping[DayFund, Fen] = field(default_factory=dict)  # not in the statement: of what its lines are the sums

    @property
    def fen(self) -> Fen:
        return sum(line.fen for line in self.lines)


def canonical(value: object) -> str:
    """Write canonical JSON: sorted keys, no blanks; only integers, texts, lists, booleans and null occur."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def body(figures: Figures) -> str:
    """Write the statement's text, which is hashed, stored and never changed."""
    return canonical(
        {
            "version": VERSION,
            "names": dict(figures.names),
            "contract": figures.contract,
            "district": figures.district,
            "from": figures.first.isoformat(),
            "to": figures.last.isoformat(),
            "cut": {"facts": figures.cut.facts, "records": figures.cut.records},
            "before": {"facts": figures.cut.facts_before, "records": figures.cut.records_before},
            "lines": [
                [
                    line.n,
                    line.key.kind,
                    line.key.fund,
                    line.key.service_month,
                    line.key.origin,
                    line.meals,
                    line.persons,
                    line.fen,
                ]
                for line in figures.lines
            ],
            "fen": figures.fen,
            "totals": dict(figures.totals),
            "excluded": dict(figures.excluded),
            "tenders": dict(figures.tenders),
            "sales": {"count": figures.sales, "hash": figures.sales_hash},
            "rulebooks": list(figures.rulebooks),
            "silent_tablets": list(figures.silent),
            "findings": [
                [finding.code, finding.subject, finding.fen, canonical(finding.body)] for finding in figures.findings
            ],
        }
    )


def digest(text: str) -> str:
    """Return the SHA-256 of a statement's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def numbered(sums: Mapping[Key, tuple[int, int, Fen]]) -> tuple[Line, ...]:
    """Sort lines in their one order and number them from 1; a line of no meals and no money is left out."""
    kept = [(key, *sums[key]) for key in sorted(sums, key=_rank) if any(sums[key])]
    return tuple(Line(n, key, meals, persons, fen) for n, (key, meals, persons, fen) in enumerate(kept, 1))


def _rank(key: Key) -> tuple[int, str, str, str]:
    return KINDS.index(key.kind), key.service_month, key.fund, key.origin


def sales_hash(hashes: Iterable[str]) -> tuple[int, str]:
    """Return the count of content hashes and the SHA-256 over them, sorted, one per line."""
    whole, count = hashlib.sha256(), 0
    for one in hashes:
        whole.update(one.encode() + b"\n")
        count += 1
    return count, whole.hexdigest()


def claim_number(contract: str, first: date, last: date, *, whole_month: bool) -> str:
    """Return the number that people cite: contract and month, or both days where it is no calendar month."""
    when = f"{first:%Y%m}" if whole_month else f"{first:%Y%m%d}-{last:%Y%m%d}"
    return f"{contract}-{when}"


def lines_of(text: str) -> Sequence[Line]:
    """Read the lines of a stored statement."""
    rows = json.loads(text)["lines"]
    return [Line(n, Key(kind, fund, month, origin), m, p, fen) for n, kind, fund, month, origin, m, p, fen in rows]
