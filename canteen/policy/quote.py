"""The engine: the price of one meal for a diner under a rulebook, the funds that pay the rest, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from canteen.policy.bill import Bill
from canteen.policy.canonical import Document
from canteen.policy.case import Diner, Meal, Taken
from canteen.policy.documents import document_schema
from canteen.policy.explanation import Sentences, sentences
from canteen.policy.grammar import PAYERS, ROUND_BY, ROUND_TO
from canteen.policy.outcome import Check, Passed, Rounded, Share, Surcharge, Use
from canteen.policy.refusals import Problem, Refused
from canteen.policy.rules import LimitRef, Rulebook
from canteen.policy.shapes import Code, Fen, Flag, ListOf, OneOf, Problems, Record, Text, Whole
from canteen.policy.stacking import Running, Used, judge

__all__ = ["Quote", "Sentences", "Wanted", "quote", "quote_doc", "quote_schema", "read_quote", "say", "wanted"]


@dataclass(frozen=True, slots=True)
class Quote:
    """The price of one meal, in fen: `due` = `list` less all shares, and all surcharges besides."""

    list: int
    shares: tuple[Share, ...]
    passed: tuple[Passed, ...]
    uses: tuple[Use, ...]
    rounding: tuple[Rounded, ...]
    checks: tuple[Check, ...]
    due: int
    surcharges: tuple[Surcharge, ...] = ()

    @property
    def surcharge_fen(self) -> int:
        """Return what is to be paid above the list price, in fen."""
        return sum(one.fen for one in self.surcharges)

    @property
    def adds_up(self) -> bool:
        return self.due == self.list - sum(share.fen for share in self.shares) + self.surcharge_fen


@dataclass(frozen=True, slots=True)
class Wanted:
    """An allowance and a window whose usage the engine needs."""

    allowance: str
    window: str
    unit: str
    scope: str


def quote(book: Rulebook, diner: Diner, meal: Meal, taken: Sequence[Taken]) -> Quote:
    """Price one meal under the rulebook in force on its day.

    Each stage of the book works on the price that the earlier ones left. `taken` is the diner's earlier usage of each
    allowance; an allowance not listed counts as unused. All shares together never exceed the list price; no share is
    set against a surcharge.
    """
    bill = Bill(diner, meal, taken)
    running = Running(bill.list, (), {}, (), (), {})
    passed, used = list[Passed](), list[Used]()
    rounding, checks = list[Rounded](), list[Check]()
    for stage in book.stages:
        outcome = judge(stage.group, bill, running, running)
        running = running.after(outcome)
        passed += outcome.passed
        used += outcome.used
        rounding += outcome.rounding
        checks += outcome.checks
    if book.asks:
        checks += _asked(book, passed)
    return Quote(
        bill.list, running.shares, tuple(passed), _uses(bill, used), tuple(rounding), tuple(checks),
        running.left + sum(one.fen for one in running.surcharges), running.surcharges,
    )  # fmt: skip


def _asked(book: Rulebook, passed: Sequence[Passed]) -> list[Check]:
    """Return the used-up rules that want the elder asked before the meal is sold without them."""
    used_up = [one for one in passed if one.why == "used_up" and one.rule in book.asks]
    return [Check("ask", one.rule, one.clause, 0, 0, breach=False) for one in used_up]


def _uses(bill: Bill, used: Sequence[Used]) -> tuple[Use, ...]:
    """Merge uses: each allowance once, however many rules draw on it; amounts add up."""
    found: dict[str, tuple[LimitRef, int, list[str]]] = {}
    for rule, ref, amount in used:
        key = bill.key(ref)
        _, before, rules = found.get(key, (ref, 0, []))
        if rule not in rules:
            rules.append(rule)
        found[key] = (ref, before + amount if ref.allowance.unit == "fen" else 1, rules)
    return tuple(
        Use(
            key, ref.allowance.unit, ref.allowance.scope, bill.window(ref.allowance), bill.limit(ref), amount,
            tuple(rules), bill.meal.day,
        )
        for key, (ref, amount, rules) in found.items()
    )  # fmt: skip


def wanted(book: Rulebook, diner: Diner, meal: Meal) -> list[Wanted]:
    """List every allowance and window whose usage may change this meal's price."""
    bill, found = Bill(diner, meal, ()), dict[tuple[str, str], Wanted]()
    for ref in book.limit_refs:
        allowance, key = ref.allowance, bill.key(ref)
        for window in (*bill.carried_windows(allowance), bill.window(allowance)):
            found[key, window] = Wanted(key, window, allowance.unit, allowance.scope)
    return list(found.values())


def say(quote: Quote) -> Sentences:
    """Say a quote in two Chinese sentences: for the cashier to read aloud, without classes, and for an auditor."""
    return sentences(quote.list, quote.shares, quote.surcharges, quote.passed, quote.checks, quote.due)


# --- JSON -------------------------------------------------------------------------------------------------------

_AMOUNT = Fen(most=10_000_000_000)  # 50 lines of 99 things of 10,000 yuan each, and fees
_RULE, _CLAUSE = Code(160), Text(120)
_WORD = Code()
QUOTE = Record(
    needed={
        "list": _AMOUNT,
        "shares": ListOf(
            Record(
                needed={
                    "fund": Code(),
                    "payer": OneOf(PAYERS),
                    "rule": _RULE,
                    "clause": _CLAUSE,
                    "stage": _RULE,
                    "fen": Fen(least=1, most=10_000_000_000),
                    "label": Text(80),
                    "reason": Text(120),
                }
            ),
            most=500,
        ),
        "passed": ListOf(
            Record(needed={"rule": _RULE, "clause": _CLAUSE, "why": _WORD, "reason": Text(160)}), most=5000
        ),
        "uses": ListOf(
            Record(
                needed={
                    "allowance": Code(240),
                    "unit": OneOf(("meal", "day", "fen")),
                    "scope": OneOf(("person", "rule", "fund", "household", "budget")),
                    "window": _WORD,
                    "limit": Whole(0),
                    "amount": Whole(1),
                    "rules": ListOf(_RULE, least=1, most=500),
                    "day": Whole(-100_000, 100_000),
                }
            ),
            most=500,
        ),
        "rounding": ListOf(
            Record(
                needed={
                    "rule": _RULE,
                    "to": OneOf(ROUND_TO),
                    "by": OneOf(ROUND_BY),
                    "before": _AMOUNT,
                    "after": _AMOUNT,
                    "fund": Code(),
                }
            ),
            most=500,
        ),
        "checks": ListOf(
            Record(
                needed={
                    "code": _WORD,
                    "rule": _RULE,
                    "clause": _CLAUSE,
                    "limit": Whole(0),
                    "found": Whole(0),
                    "breach": Flag(),
                }
            ),
            most=500,
        ),
        "due": _AMOUNT,
    },
    maybe={
        "surcharges": ListOf(
            Record(
                needed={
                    "rule": _RULE,
                    "clause": _CLAUSE,
                    "stage": _RULE,
                    "fen": Fen(least=1, most=10_000_000_000),
                    "label": Text(80),
                    "reason": Text(120),
                }
            ),
            least=1,
            most=500,
        )
    },
)


def quote_doc(quote: Quote) -> Document:
    """Return the JSON of a quote; surcharges are named only where there are any."""
    added: Document = {"surcharges": [one._asdict() for one in quote.surcharges]} if quote.surcharges else {}
    return {
        "list": quote.list,
        "shares": [one._asdict() for one in quote.shares],
        "passed": [one._asdict() for one in quote.passed],
        "uses": [{**one._asdict(), "rules": list(one.rules)} for one in quote.uses],
        "rounding": [one._asdict() for one in quote.rounding],
        "checks": [one._asdict() for one in quote.checks],
        "due": quote.due,
        **added,
    }


def read_quote(document: object) -> Quote:
    """Read a quote from a JSON document and check its sum. Raises Refused for anything else."""
    problems: Problems = []
    QUOTE.check(document, "", problems)
    if problems:
        raise Refused(problems[0])
    assert isinstance(document, dict)
    found = Quote(
        list=document["list"],
        shares=tuple(Share(**one) for one in document["shares"]),
        passed=tuple(Passed(**one) for one in document["passed"]),
        uses=tuple(Use(**{**one, "rules": tuple(one["rules"])}) for one in document["uses"]),
        rounding=tuple(Rounded(**one) for one in document["rounding"]),
        checks=tuple(Check(**one) for one in document["checks"]),
        due=document["due"],
        surcharges=tuple(Surcharge(**one) for one in document.get("surcharges", ())),
    )
    if not found.adds_up:
        raise Refused(Problem("does_not_add_up", "due", "实付不等于原价减各方分担再加加价"))
    return found


def quote_schema() -> Document:
    """Return the JSON Schema of a quote (kept as quote.schema.json)."""
    return document_schema(QUOTE, "QUOTE: list price, who pays what, what is added, what is due")
