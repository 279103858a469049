"""Compute what a meal's new price changes, by fund: the new value less all that was booked before. PURE.

The elder is never asked for money afterwards. Where the due would rise, nothing is booked and a person judges
(ruling 20); where it falls or stays, each fund's difference is booked with its sign, and what the elder overpaid
goes on the refund list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from canteen.money import Fen
from canteen.settlement.closing.checks import SalePrice

BOOKED, DUE_RISES, OTHER_PAYER = "booked", "due_rises", "other_payer"


@dataclass(frozen=True, slots=True)
class Fund:
    """One fund's part. `fen` is what is booked: 0 or new - before; `over_limit` is what the limits left no room for."""

    fund: str
    before: Fen
    new: Fen
    fen: Fen
    over_limit: Fen


@dataclass(frozen=True, slots=True)
class Changed:
    """The changes of one meal; `refund` is what the elder overpaid."""

    outcome: str
    due_before: Fen
    due: Fen
    funds: tuple[Fund, ...]

    @property
    def refund(self) -> Fen:
        return self.due_before - self.due if self.outcome == BOOKED else 0


def same(one: SalePrice, other: SalePrice) -> bool:
    """Return whether the elder and every other payer pay the same by both quotes."""
    return one.figures()[1:] == other.figures()[1:] and _others(one) == _others(other)


def changed(
    *, reference: SalePrice, new: SalePrice, wished: SalePrice, before: Mapping[str, Fen], due_before: Fen
) -> Changed | None:
    """Return what a revaluation changes of a meal; None if nothing.

    reference   our quote of the meal as it was known before
    new         our quote as it is known now, with the slots that are free
    wished      the same if no slot were taken
    before      fen by fund that were booked and may be claimed, earlier differences included
    due_before  what the elder has paid, less refunds due already
    """
    values = new.by_fund()
    beyond = {fund: fen - values.get(fund, 0) for fund, fen in wished.by_fund().items()}
    over_limit = {fund: fen for fund, fen in beyond.items() if fen > 0}
    if same(new, reference):
        funds = tuple(Fund(fund, before.get(fund, 0), before.get(fund, 0), 0, fen) for fund, fen in over_limit.items())
        return Changed(BOOKED, due_before, due_before, funds) if over_limit else None
    outcome = _outcome(reference, new, due_before)
    found = []
    for fund in sorted({fund for fund, fen in before.items() if fen} | values.keys() | over_limit.keys()):
        had, value = before.get(fund, 0), values.get(fund, 0)
        fen = value - had if outcome == BOOKED else 0
        if had != value or fund in over_limit:
            found.append(Fund(fund, had, value, fen, over_limit.get(fund, 0)))
    return Changed(outcome, due_before, new.due_fen, tuple(found))


def _outcome(reference: SalePrice, new: SalePrice, due_before: Fen) -> str:
    if _others(new) - _others(reference) or new.surcharge_fen < reference.surcharge_fen:
        return OTHER_PAYER  # a canteen or a donor would pay more of its own: no machine books that
    return DUE_RISES if new.due_fen > due_before else BOOKED


def _others(priced: SalePrice) -> Counter[tuple[str, str]]:
    """Return the shares of canteens and donors, by payer and fund."""
    sums: Counter[tuple[str, str]] = Counter()
    for part in priced.parts:
        if part.payer != "subsidy":
            sums[part.payer, part.fund] += part.fen
    return sums
