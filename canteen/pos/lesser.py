"""Limit a sale's shares to the server's own quote: of each fund the lesser of the two sums is claimable. PURE."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol

from canteen.money import Fen


class FundShare(Protocol):
    """A share as sold or quoted."""

    @property
    def fund(self) -> str: ...
    @property
    def payer(self) -> str: ...
    @property
    def rule(self) -> str: ...
    @property
    def fen(self) -> Fen: ...


Borne = Counter[str]
"""Fen of one share as sold, by the rule of our quote that bears it: that rule's limits count it."""


def borne(sold: Sequence[FundShare], ours: Iterable[FundShare]) -> list[Borne]:
    """Return what our quote bears of each share as sold.

    The sum over the shares of a fund is the lesser of the sold and our sum. A rule's amount goes to the share of the
    same rule first; the rest is assigned in the order of the shares, from our rules in their order.
    """
    left: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for part in ours:
        left[part.fund, part.payer][part.rule] += part.fen
    found = [Borne() for _ in sold]
    for own in (True, False):
        for share, taken in zip(sold, found, strict=True):
            rules = left[share.fund, share.payer]
            for rule in [share.rule] if own else list(rules):
                if fen := min(share.fen - taken.total(), rules[rule]):
                    taken[rule] += fen
                    rules[rule] -= fen
    return found


def by_rules(taken: Borne, rules: Iterable[str]) -> Fen:
    """Sum the fen of a share that are borne by these rules."""
    return sum(taken[rule] for rule in rules)
