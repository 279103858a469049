"""Find what a person must judge in a period. PURE: values in, findings out; same values, same findings.

The reader (`gather.py`) gathers the values; nothing here knows a database, a clock or a file.
Amounts are whole fen. `arrival` orders sales and voids over the whole city.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import groupby

from canteen.money import Fen
from canteen.pos import flags

SELLER = (flags.CASHIER_UNKNOWN, flags.CASHIER_NO_RIGHT, flags.NOT_LOGGED_IN)
CODES = (
    "price_differs",
    "excess_slot",
    "gap",
    "fork",
    "clock",
    "after_death",
    "likely_same",
    "payment_differs",
    "seller",
    "self_dated",
    "revaluation",
    "prorated",
    "day_provisional",
)


@dataclass(frozen=True, slots=True)
class PricedShare:
    """One share of a price: who pays how much of it, by which rule."""

    fund: str
    payer: str  # 'subsidy', 'concession', 'donation'
    rule: str
    fen: Fen


@dataclass(frozen=True, slots=True)
class SalePrice:
    """The result of a quote: due = list less the shares, plus the surcharge."""

    list_fen: Fen
    due_fen: Fen
    parts: tuple[PricedShare, ...]
    surcharge_fen: Fen = 0

    @property
    def adds_up(self) -> bool:
        return self.due_fen == self.list_fen - sum(part.fen for part in self.parts) + self.surcharge_fen

    def by_fund(self) -> dict[str, Fen]:
        """Sum subsidy fen by fund; funds that pay nothing are left out."""
        sums: Counter[str] = Counter()
        for part in self.parts:
            if part.payer == "subsidy":
                sums[part.fund] += part.fen
        return {fund: fen for fund, fen in sorted(sums.items()) if fen}

    def figures(self) -> tuple[Fen, Fen, Fen, dict[str, Fen]]:
        """Return list price, due, surcharge, and subsidies by fund."""
        return self.list_fen, self.due_fen, self.surcharge_fen, self.by_fund()

    def subsidy(self, rules: Iterable[str] | None = None) -> Fen:
        """Sum subsidy fen, of all rules or of some."""
        wanted = None if rules is None else set(rules)
        return sum(p.fen for p in self.parts if p.payer == "subsidy" and (wanted is None or p.rule in wanted))


@dataclass(frozen=True, slots=True)
class LimitUse:
    """The use of an allowance by a sale, asked and granted; `left` is the arrival of its void, None while there is none."""

    sale: str
    person: str
    allowance: str
    window: str
    unit: str  # 'meal', 'day', 'fen'
    limit: int
    asked: int
    granted: int
    day: date  # for a unit of days the meals of one civil day share it
    rules: tuple[str, ...]
    arrival: int
    left: int | None
    elsewhere: Fen | None = None  # of a budget: what other canteens drew on it; None for any other limit
    prorated: bool = False  # of a budget that is shared out at its end: named once for all its meals, not here


@dataclass(frozen=True, slots=True)
class Sold:
    """A sale as booked. `own` names the interned input and rulebook of our own quote."""

    id: str
    elder: str | None
    day: date
    tablet_day: date  # the day by the tablet's own clock
    skew_ms: int
    flags: tuple[str, ...]
    priced: SalePrice
    own: tuple[str, str]  # (input hash, rulebook hash)
    voided: bool
    arrived: date | None = None  # the day it arrived, where that is known


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment: its stated due, the sum of its tenders, and the sum of what its sales were sold for."""

    id: str
    due: Fen
    tendered: Fen
    fen: Fen
    sold: Fen
    sales: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """One record of a tablet's chain; `day` by the tablet's clock. `follows`: it is known to follow the record before it."""

    tablet: str
    epoch: int
    number: int
    hash: str
    previous: str
    day: date
    follows: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """Something for a person to judge. `fen` is the money in question, above zero where more was sold than is right."""

    code: str
    subject: str  # 'sale:<id>', 'tablet:<id>/<epoch>/<number>', 'payment:<id>', 'budget:<fund>/<first day>', 'calendar:<first day>'
    sale: str | None
    fen: Fen
    body: Mapping[str, object] = field(default_factory=dict)


def of_prices(
    sales: Iterable[Sold], quotes: Mapping[tuple[str, str], SalePrice | None], excess: Mapping[str, frozenset[str]]
) -> Iterator[Finding]:
    """Compare the price of each valid sale with our own quote.

    quotes  our quote of each distinct (input, rulebook); None when those books cannot price it
    excess  rules of a sale that drew on an allowance not granted: their part is named as excess, not here
    """
    for sale in sales:
        if sale.voided:
            continue
        own = quotes[sale.own]
        if own is None:
            yield Finding("price_differs", f"sale:{sale.id}", sale.id, sale.priced.subsidy(), {"ours": None})
            continue
        sold, ours = _without(sale.priced, own, excess.get(sale.id, frozenset()))
        if sold.figures() == ours.figures():
            continue
        body: dict[str, object] = {
            "list": [sold.list_fen, ours.list_fen],
            "due": [sold.due_fen, ours.due_fen],
            "sold": sold.by_fund(),
            "ours": ours.by_fund(),
        }
        if sold.surcharge_fen != ours.surcharge_fen:
            body["surcharge"] = [sold.surcharge_fen, ours.surcharge_fen]
        yield Finding("price_differs", f"sale:{sale.id}", sale.id, sold.subsidy() - ours.subsidy(), body)


def _without(sold: SalePrice, ours: SalePrice, rules: frozenset[str]) -> tuple[SalePrice, SalePrice]:
    """Return both prices with the shares of `rules` left to the elder, so that an excess meal is named once."""

    def less(priced: SalePrice) -> SalePrice:
        kept = tuple(part for part in priced.parts if part.rule not in rules)
        lost = sum(part.fen for part in priced.parts) - sum(part.fen for part in kept)
        return SalePrice(priced.list_fen, priced.due_fen + lost, kept, priced.surcharge_fen)

    return (less(sold), less(ours)) if rules else (sold, ours)


@dataclass(slots=True)
class _Window:
    """The usage of one allowance by one person while its uses are replayed."""

    limit: int
    days: Counter[date] = field(default_factory=Counter)
    amount: int = 0

    def adds(self, use: LimitUse) -> int:
        """Return what `use` as granted would add: nothing for a civil day that is in use already."""
        return 0 if use.unit == "day" and self.days[use.day] else use.granted

    def take(self, use: LimitUse) -> None:
        self.amount += self.adds(use)
        self.days[use.day] += bool(use.granted)

    def leave(self, use: LimitUse) -> None:
        self.days[use.day] -= bool(use.granted)
        self.amount -= self.adds(use)


@dataclass(frozen=True, slots=True)
class Excess:
    """A use that exceeds its allowance. `beyond`: it was granted all the same (after a merge)."""

    use: LimitUse
    beyond: bool
    fits_now: bool
    used_by: tuple[str, ...]

    def body(self) -> dict[str, object]:
        """Return the figures a reviewer judges by."""
        return {
            "allowance": self.use.allowance,
            "unit": self.use.unit,
            "window": self.use.window,
            "limit": self.use.limit,
            "asked": self.use.asked,
            "granted": self.use.granted,
            "used_by": list(self.used_by),
            "fits_now": self.fits_now,
            "beyond": self.beyond,
        }


def excess(uses: Iterable[LimitUse], clusters: Mapping[str, str]) -> list[Excess]:
    """Find excess uses, replayed per person in order of arrival over the whole city.

    uses      of every person who ate in the period, in each window touched, wherever they ate
    clusters  person -> the one they are known to be the same as (ruling 42); absent means themselves

    A use not granted although there was room was refused for another reason and is no excess. A budget is everybody's:
    only what it did not bear of a meal is excess, since in which order the canteens drew on it does not matter.
    """
    groups: dict[tuple[str, str, str], list[LimitUse]] = defaultdict(list)
    for use in uses:
        groups[clusters.get(use.person, use.person), use.allowance, use.window].append(use)
    found = [one for _, group in sorted(groups.items()) for one in _replay(group)]
    return [one for one in found if not one.use.prorated]


def _replay(group: Sequence[LimitUse]) -> Iterator[Excess]:
    ordered = sorted(group, key=lambda use: (use.arrival, use.sale))
    window = _Window(limit=max(use.limit for use in ordered), amount=max(use.elsewhere or 0 for use in ordered))
    steps = [(use.arrival, 0, use) for use in ordered] + [(use.left, 1, use) for use in ordered if use.left is not None]
    over: list[tuple[LimitUse, bool]] = []
    for _, leaving, use in sorted(steps, key=lambda step: (step[0], step[1], step[2].sale)):
        if leaving:
            window.leave(use)
            continue
        would_be = window.amount + window.adds(use) + use.asked - use.granted
        beyond = use.elsewhere is None and window.amount + window.adds(use) > window.limit
        window.take(use)
        if use.left is None and would_be > window.limit and (use.elsewhere is None or use.asked > use.granted):
            over.append((use, beyond))
    free = window.limit - window.amount
    users = [use.sale for use in ordered if use.left is None and use.granted]
    for use, beyond in over:
        ungranted = use.asked - use.granted
        fits = not beyond and 0 < ungranted <= free
        free -= ungranted if fits else 0
        yield Excess(use, beyond, fits, tuple(sale for sale in users if sale != use.sale))


def of_uses(found: Iterable[Excess], sold: Mapping[str, SalePrice]) -> Iterator[Finding]:
    """Make one finding per sale of its excess uses, with the subsidy that draws on them and whether it would fit now.

    sold  the sales of the period that stand: only these are named
    A subsidy that draws on several limits counts once.
    """
    named: dict[str, list[dict[str, object]]] = defaultdict(list)
    rules: dict[str, set[str]] = defaultdict(set)
    fen: Counter[str] = Counter()
    for one in found:
        use = one.use
        if use.sale in sold:
            named[use.sale].append(one.body())
            rules[use.sale].update(use.rules)
            subsidy = sold[use.sale].subsidy(use.rules)
            fen[use.sale] += min(subsidy, use.asked - use.granted) if use.unit == "fen" else subsidy
    for sale in sorted(named):
        at_stake = min(fen[sale], sold[sale].subsidy(rules[sale]))
        yield Finding("excess_slot", f"sale:{sale}", sale, at_stake, {"uses": named[sale]})


def excess_rules(found: Iterable[Excess]) -> dict[str, frozenset[str]]:
    """Return the rules of each sale that drew on an allowance with no room left."""
    rules: dict[str, set[str]] = defaultdict(set)
    for one in found:
        rules[one.use.sale].update(one.use.rules)
    return {sale: frozenset(named) for sale, named in rules.items()}


def of_clocks(sales: Iterable[Sold]) -> Iterator[Finding]:
    """Find sales whose tablet's clock was off by over five minutes, or whose day is contradicted or proved by no clock.

    A sale that claims nothing for want of proof of its day is named for that, with what its clock showed.
    """
    for sale in sales:
        if sale.voided:
            continue
        body = {"skew_ms": sale.skew_ms, "tablet_day": sale.tablet_day.isoformat(), "day": sale.day.isoformat()}
        if flags.SELF_DATED in sale.flags:
            body |= {"arrived": sale.arrived.isoformat() if sale.arrived else "", "flags": list(sale.flags)}
            yield Finding("self_dated", f"sale:{sale.id}", sale.id, sale.priced.subsidy(), body)
        elif (
            timedelta(milliseconds=abs(sale.skew_ms)) > flags.SKEW_NOTED or sale.tablet_day != sale.day or _unsure(sale)
        ):
            yield Finding("clock", f"sale:{sale.id}", sale.id, sale.priced.subsidy(), body)


def _unsure(sale: Sold) -> bool:
    """Tell whether the day may be another: by a flag, or because an unmeasured clock differs from the arrival's."""
    if not {flags.CLOCK, flags.CLOCK_DAY}.isdisjoint(sale.flags):
        return True
    return flags.CLOCK_UNMEASURED in sale.flags and sale.arrived not in {None, sale.day}


def of_sellers(sales: Iterable[Sold]) -> Iterator[Finding]:
    """Find sales rung up by somebody unknown, without the right to sell at that canteen, or not logged in there."""
    for sale in sales:
        seller_flags = [flag for flag in SELLER if flag in sale.flags]
        if seller_flags and not sale.voided:
            yield Finding("seller", f"sale:{sale.id}", sale.id, sale.priced.subsidy(), {"flags": seller_flags})


def of_deaths(sales: Iterable[Sold], deaths: Mapping[str, date]) -> Iterator[Finding]:
    """Find meals dated after the day of death; a meal on that day is valid (ruling 11)."""
    for sale in sales:
        died = deaths.get(sale.elder) if sale.elder else None
        if died is not None and sale.day > died and not sale.voided:
            body = {"died": died.isoformat(), "day": sale.day.isoformat()}
            yield Finding("after_death", f"sale:{sale.id}", sale.id, sale.priced.subsidy(), body)


def of_likely(sales: Iterable[Sold], twins: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Find meals that somebody who is likely the same person ate too, under another entry of the roster.

    twins  sale -> the unvoided sales of the same day and meal to entries of the same name, birth date and street
    """
    for sale in sales:
        if sale.id in twins and not sale.voided:
            yield Finding(
                "likely_same", f"sale:{sale.id}", sale.id, sale.priced.subsidy(), {"also": list(twins[sale.id])}
            )


def of_payments(payments: Iterable[Paid]) -> Iterator[Finding]:
    """Find payments that differ from what their sales were sold for, or whose parts do not add up."""
    for paid in payments:
        if paid.fen == paid.tendered == paid.due == paid.sold:
            continue
        body = {"fen": paid.fen, "tendered": paid.tendered, "due": paid.due, "sold": paid.sold}
        sale = paid.sales[0] if len(paid.sales) == 1 else None
        yield Finding("payment_differs", f"payment:{paid.id}", sale, paid.fen - paid.sold, body)


def of_chain(
    links: Iterable[Link], first: date, last: date, starts: Mapping[tuple[str, int], int] | None = None
) -> Iterator[Finding]:
    """Find gaps and forks in tablets' numbers that can touch the days `first` to `last`, both included.

    links   by tablet, epoch, number and hash: two neighbours are kept in memory at a time, however long the chains;
            where one is left out, the next `follows`
    starts  (tablet, epoch) -> the number from which its links are given; 1 where absent

    A run of missing numbers is one gap, named by its first number; it lies between the days of its neighbours.
    """
    starts = starts or {}
    for (tablet, epoch), chain in groupby(links, key=lambda link: (link.tablet, link.epoch)):
        before: list[Link] = []
        expected = starts.get((tablet, epoch), 1)
        for number, same in groupby(chain, key=lambda link: link.number):
            same_number = list(same)
            if all(link.follows for link in same_number):
                before, expected = same_number, number + 1
                continue
            days = [link.day for link in (*before, *same_number)]
            touches = min(days) <= last and max(days) >= first
            if number > expected and touches:
                body = {"from": expected, "to": number - 1, "between": [min(days).isoformat(), max(days).isoformat()]}
                yield Finding("gap", f"tablet:{tablet}/{epoch}/{expected}", None, 0, body)
            if fork := _fork(before if number == expected else [], same_number):
                touching = [link.day for link in same_number if first <= link.day <= last]
                if touching:
                    yield Finding("fork", f"tablet:{tablet}/{epoch}/{number}", None, 0, {"why": fork})
            before, expected = same_number, number + 1


def _fork(before: Sequence[Link], same_number: Sequence[Link]) -> str:
    """Say why `same_number` forks: two records with one number, or one that follows no record before it."""
    if len(same_number) > 1:
        return "two_records"
    known = {link.hash for link in before}
    return "not_following" if known and same_number[0].previous not in known else ""


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Sort findings in their one order: by the list of codes, then subject."""
    return sorted(findings, key=lambda finding: (CODES.index(finding.code), finding.subject))
