"""A compiled rulebook: frozen values, with conditions and benefits compiled once. Nothing here knows any one scheme."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from canteen.policy.bill import Bill
    from canteen.policy.case import Line

Test: TypeAlias = "Callable[[Bill], str]"
"""Returns '' where a condition matches, else the word of the first part that does not."""

Worth: TypeAlias = "Callable[[Bill, int, int], Exact]"
"""Takes the bill, the benefit's base and the running price (fen); returns the reduction of the base, not yet rounded."""

ByItem: TypeAlias = "Callable[[Bill, Sequence[int]], list[int]]"
"""Takes the bill and the fen left to pay of each position; returns the reduction of each."""


class Exact(NamedTuple):
    """The reduction of the base as a fraction, `off` / `over`, so that nothing is rounded early."""

    off: int
    over: int = 1


@dataclass(frozen=True, slots=True)
class Rounding:
    """To whole `unit` fen, by half_up, half_down, up or down; of the benefit, or of the price that is left."""

    of: str = "benefit"
    to: str = "fen"
    by: str = "half_up"


@dataclass(frozen=True, slots=True)
class Allowance:
    """A limit with a stable id. `limit` in its unit, or read from the diner's `scale`.

    `earlier` gives, by last day, the limits of earlier windows: their remainder is computed from them.
    """

    id: str
    unit: str
    scope: str
    window: str
    limit: int
    scale: str = ""
    where: str = "everywhere"
    carry: int = 0
    carry_most: int = 0
    carry_within: str = ""
    since: int = 0
    earlier: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Budget:
    """The money of a fund in a window, and what happens when it ends."""

    allowance: Allowance
    warn: int
    at_end: str
    next: Fund | None = None


@dataclass(frozen=True, slots=True)
class Fund:
    """A payer. `limits` apply to its shares alone; where `test` fails its share drops and the elder's price rises."""

    id: str
    name: str
    payer: str
    test: Test | None = None
    limits: tuple[LimitRef, ...] = ()
    budget: Budget | None = None


@dataclass(frozen=True, slots=True)
class SplitPart:
    """A fund's part of a rule's benefit: fixed fen, hundredths of a percent of what those leave, or a weight of the rest."""

    fund: Fund
    how: str
    amount: int
    test: Test | None = None
    instead: Fund | None = None
    limits: tuple[LimitRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Goods:
    """A named set of things on a menu: by item or by tag."""

    items: frozenset[str]
    tags: frozenset[str]

    def contains(self, line: Line) -> bool:
        return line.item in self.items or not self.tags.isdisjoint(line.tags)


@dataclass(frozen=True, slots=True)
class Base:
    """The part of the bill that a benefit is computed on, `whole` where nothing is left out; see Bill.base."""

    of: str = "left"
    leave_out: tuple[str, ...] = ()
    only: Goods | None = None
    but: Goods | None = None
    over: int = 0
    first: int | None = None
    whole: bool = field(init=False)

    def __post_init__(self) -> None:
        whole = not (self.leave_out or self.only or self.but or self.over) and self.first is None
        object.__setattr__(self, "whole", whole)

    def includes(self, line: Line | None) -> bool:
        """Tell whether a line of the meal counts; None is a meal of which only the amount is known."""
        if self.only is not None:
            return line is not None and self.only.contains(line)
        return "goods" not in self.leave_out and not (
            self.but is not None and line is not None and self.but.contains(line)
        )

    def includes_fee(self, fee: str) -> bool:
        return self.only is None and fee not in self.leave_out


@dataclass(frozen=True, slots=True)
class Step:
    """One tier of a rule: for whom, how much, of what, within which limits, and in which words.

    `by_item` gives the reduction of each position where the benefit names items; `listed` is a price list by item.
    """

    test: Test | None
    verb: str
    value: Any
    worth: Worth
    by_item: ByItem | None
    listed: Mapping[str, int] | None
    base: Base
    limits: tuple[LimitRef, ...]
    most: int | None
    label: str
    reason: str
    clause: str
    parts: tuple[SplitPart, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: for whom, how much, paid by which funds, how often."""

    id: str
    stage: str
    first_day: int
    last_day: int
    test: Test | None
    excludes: tuple[str, ...]
    only_above: bool
    floor: int
    rounding: Rounding
    stops: bool
    steps: tuple[Step, ...]
    clause: str
    reason: str


@dataclass(frozen=True, slots=True)
class Group:
    """Rules of which the best counts, or their sum, the first that matches, or each on the price the one before left."""

    id: str
    pick: str
    test: Test | None
    members: tuple[Rule | Group, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of the computation; each sees the price that the earlier ones left."""

    id: str
    order: int
    group: Group


@dataclass(frozen=True, slots=True)
class LimitRef:
    """An allowance as a rule or fund uses it; `suffix` completes its key where the scope asks for it.

    `key` is its key unless it counts by place; see Bill.key.
    """

    allowance: Allowance
    suffix: str
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.allowance.id + self.suffix)


@dataclass(frozen=True, slots=True)
class Rulebook:
    """Everything in force at a place: its stages in order, and the limits whose usage they need."""

    id: str
    title: str
    hash: str
    stages: tuple[Stage, ...]
    limit_refs: tuple[LimitRef, ...]
    asks: frozenset[str] = frozenset()
