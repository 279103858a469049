"""Sum what a run of a revaluation, or its preview, found."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from canteen.settlement.corrections.delta import BOOKED
from canteen.settlement.corrections.revaluation_repricing import RepricedSale


@dataclass
class Tally:
    """Sums of a run or a preview."""

    meals: int = 0
    changed: int = 0
    funds: dict[str, list[int]] = field(default_factory=dict)  # fund -> [added, taken back]
    canteens: dict[str, dict[str, int]] = field(default_factory=dict)  # canteen -> fund or '' (refunds) -> fen
    refund: int = 0
    elders: set[uuid.UUID] = field(default_factory=set)
    findings: Counter[str] = field(default_factory=Counter)
    over_limit: list[int] = field(default_factory=lambda: [0, 0])  # meals, fen
    left: Counter[str] = field(default_factory=Counter)  # why meals were left as they are

    def add(self, repriced: RepricedSale) -> None:
        """Add the changes of one sale."""
        changed, canteen = repriced.changed, self.canteens.setdefault(repriced.sale.canteen, {"": 0})
        if changed.outcome != BOOKED:
            self.findings[changed.outcome] += 1
            return
        self.changed += any(fund.fen for fund in changed.funds) or changed.refund > 0
        for fund in changed.funds:
            row = self.funds.setdefault(fund.fund, [0, 0])
            row[fund.fen < 0] += fund.fen
            canteen[fund.fund] = canteen.get(fund.fund, 0) + fund.fen
        if beyond := sum(fund.over_limit for fund in changed.funds):
            self.over_limit[0] += 1
            self.over_limit[1] += beyond
        if changed.refund and repriced.sale.elder:
            self.refund += changed.refund
            canteen[""] += changed.refund
            self.elders.add(repriced.sale.elder)

    def doc(self) -> dict[str, Any]:
        """Return the sums as JSON values, for pages and commands."""
        return {
            "meals": self.meals,
            "changed": self.changed,
            "funds": {fund: row for fund, row in sorted(self.funds.items()) if any(row)},
            "canteens": {key: row for key, row in sorted(self.canteens.items()) if any(row.values())},
            "refund": self.refund,
            "elders": len(self.elders),
            "findings": dict(sorted(self.findings.items())),
            "over_limit": self.over_limit,
            "left": dict(sorted(self.left.items())),
        }
