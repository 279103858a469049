"""Verdicts of a database that is older than the lesser per fund: each is checked by the rule in force when it was given.

Then a share was borne by the same rule of our own quote alone. What was booked so stands, whatever the period says of
it; a revaluation is how more is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import select

from canteen import keyset
from canteen.places import Installation
from canteen.settlement.closing.checks import Part, Priced


def upto() -> int:
    """The newest record whose sales were judged rule by rule; 0 in a database that never did."""
    found = keyset.once(select(Installation.judged_by_rule_upto))
    return int(found[0][0]) if found else 0


def borne(sold: Sequence[Part], own: Priced | None) -> list[Counter[str]]:
    """Of each subsidy share as sold, what the same rule of our own quote bears; nothing without a quote."""
    left = Counter[tuple[str, str]]()
    for part in own.parts if own else ():
        left[part.fund, part.rule] += part.fen
    found = []
    for part in sold:
        fen = min(part.fen, left[part.fund, part.rule]) if part.payer == "subsidy" else 0
        left[part.fund, part.rule] -= fen
        found.append(Counter({part.rule: fen}))
    return found
