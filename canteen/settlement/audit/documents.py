"""Check what was written of a period, one against the other: statement, claim, lines, counts and findings."""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import select

from canteen import keyset
from canteen.events import Event
from canteen.ledger.models import Period
from canteen.settlement.audit.differences import Difference, LineKey
from canteen.settlement.closing import gather, gather_persons, parties, statement
from canteen.settlement.closing.statement import Cut
from canteen.settlement.models import Claim, ClaimLine, Finding, Statement


class Counted:
    """Meals and persons counted a second way while the sales go by (人次, 人数).

    Of each person it keeps one number, whose bits say in which lines they have money: tens of thousands eat in a month.
    """

    def __init__(self, known: gather_persons.Clusters) -> None:
        self._merged = {uuid.UUID(person): uuid.UUID(root) for person, root in known.roots().items()}
        self.meals = 0
        self.line_meals: dict[LineKey, int] = defaultdict(int)
        self._persons: dict[uuid.UUID, int] = {}
        self._bits: dict[LineKey, int] = {}

    def add(self, elder: uuid.UUID | None, lines: Iterable[LineKey]) -> None:
        """Count a meal that was not voided, in total and in each line in which it has money."""
        if elder is None:
            return
        person, found = self._merged.get(elder, elder) if self._merged else elder, 0
        self.meals += 1
        for key in lines:
            self.line_meals[key] += 1
            bit = self._bits.get(key)
            if bit is None:
                bit = self._bits[key] = 1 << len(self._bits)
            found |= bit
        self._persons[person] = self._persons.get(person, 0) | found

    @property
    def persons(self) -> int:
        """Return how many persons ate."""
        return len(self._persons)

    def line_persons(self, key: LineKey) -> int:
        """Return how many persons have money in a line."""
        bit = self._bits.get(key, 0)
        return sum(1 for lines in self._persons.values() if lines & bit)


def differences(row: Period, cut: Cut, counted: Counted) -> Iterator[Difference]:
    """Find where statement, claim, findings and the chain of events contradict one another."""
    subject = f"period:{row.id}"
    stored = keyset.once(
        select(Statement.body, Statement.hash, Statement.sales_hash).where(Statement.period_id == row.id)
    )
    if not stored:
        yield Difference("statement", subject, "", "结算单")
        return
    body, digest, sales = stored[0]
    if statement.digest(body) != digest:
        yield Difference("statement_hash", subject, digest, statement.digest(body))
    _, again = statement.sales_hash(gather.content_hashes(row, cut))
    if again != sales:
        yield Difference("sales_hash", subject, sales, again)
    yield from _claim(row, digest, counted)
    if statement.digest(body) == digest:
        yield from _lines(row, body, counted)
        yield from _findings(row, body)
        yield from _names(row, cut, body)


def _names(row: Period, cut: Cut, body: str) -> Iterator[Difference]:
    """Compare the names in the statement with those in force at the cut-off."""
    stated = json.loads(body)
    asked = parties.PartiesAt(
        row.contract_id, row.district_id, cut.facts, stated["rulebooks"], stated["names"]["funds"]
    )
    with keyset.reader() as session:
        again = parties.at(session, asked).document()
    if again != stated["names"]:
        yield Difference("names", f"period:{row.id}", statement.canonical(stated["names"]), statement.canonical(again))


def _claim(row: Period, digest: str, counted: Counted) -> Iterator[Difference]:
    """Check that claim and drafting event cite the statement's hash, and that the claim's counts equal the sales'."""
    query = select(Claim.number, Claim.statement_hash, Claim.meals, Claim.persons).where(Claim.period_id == row.id)
    for number, named, meals, persons in keyset.once(query):
        drafted = select(Event.body).where(Event.subject == f"claim:{number}", Event.kind == "claim.draft")
        for hash_ in (named, *(json.loads(drafting)["statement"] for (drafting,) in keyset.once(drafted))):
            if hash_ != digest:
                yield Difference("statement_hash", f"claim:{number}", digest, hash_)
        if (meals, persons) != (counted.meals, counted.persons):
            yield Difference(
                "claim_counts", f"claim:{number}", f"{meals}/{persons}", f"{counted.meals}/{counted.persons}"
            )


def _lines(row: Period, body: str, counted: Counted) -> Iterator[Difference]:
    """Compare each claimed line with the statement, and meals and persons of the period's own lines with the sales."""
    columns = (
        ClaimLine.n, ClaimLine.kind, ClaimLine.fund, ClaimLine.service_month, ClaimLine.origin, ClaimLine.meals,
        ClaimLine.persons, ClaimLine.fen,
    )  # fmt: skip
    query = select(*columns).join(Claim, Claim.id == ClaimLine.claim_id).where(Claim.period_id == row.id)
    claimed: list[list[Any]] = [list(line) for line in keyset.once(query.order_by(ClaimLine.n))]
    stated: list[list[Any]] = json.loads(body)["lines"]
    if claimed != stated:
        yield Difference(
            "statement_lines", f"period:{row.id}", statement.canonical(stated), statement.canonical(claimed)
        )
    for _, kind, fund, month, _, meals, persons, _ in claimed:
        key = (kind, fund, month)
        again = (counted.line_meals[key], counted.line_persons(key))
        if kind == "meals" and (meals, persons) != again:
            yield Difference("line_counts", "/".join(key), f"{meals}/{persons}", f"{again[0]}/{again[1]}")


def _findings(row: Period, body: str) -> Iterator[Difference]:
    """Compare the stored findings with those that the statement names."""
    query = select(Finding.code, Finding.subject, Finding.fen, Finding.body).where(Finding.period_id == row.id)
    there = {(code, subject): f"{fen} {figures}" for code, subject, fen, figures in keyset.once(query)}
    stated = {(code, subject): f"{fen} {figures}" for code, subject, fen, figures in json.loads(body)["findings"]}
    for key in sorted(there.keys() | stated.keys()):
        if there.get(key) != stated.get(key):
            yield Difference("finding", "/".join(key), there.get(key, ""), stated.get(key, ""))
