"""The language of rulebooks: its words and where they may be used. Their meaning is in the other modules.

The document has the form of the YAML that a clerk writes; only its scalars differ (fen, civil days, hundredths of a
percent, minutes). docs/rulebook.md shows each word.
"""

from __future__ import annotations

from canteen.policy import days
from canteen.policy.canonical import Document
from canteen.policy.case import DAY_KINDS, KINDS, MODES, PERIODS
from canteen.policy.documents import Either, Named, document_schema
from canteen.policy.shapes import Code, Day, Fen, Flag, ListOf, Minute, OneOf, Percent, Record, Shape, Text, Whole

FORMAT = 1
PAYERS = ("subsidy", "concession", "donation")
PICKS = ("best", "sum", "first", "chain")
UNITS = ("meal", "day", "fen")
SCOPES = ("person", "rule", "fund", "household")
AREA_LEVELS = ("province", "city", "district", "street", "village")
HERE = ("everywhere", "canteen", *AREA_LEVELS)
BUDGET_ENDS = ("stop", "queue", "prorate", "next")
ROUND_TO = ("fen", "jiao", "yuan")
ROUND_BY = ("half_up", "half_down", "up", "down")

_CODES = ListOf(Code(), least=1)
_AMOUNT = Fen(most=10_000_000)
_LEFT_OUT = ListOf(OneOf(("delivery", "goods", "packaging")), least=1, ordered=True)


# --- conditions -------------------------------------------------------------------------------------------------

CONDITION = Named("condition", lambda: _condition())  # noqa: PLW0108 - it is defined below

_BILL = Record(
    maybe={
        "at_least": _AMOUNT,
        "above": _AMOUNT,
        "below": _AMOUNT,
        "of": OneOf(("left", "list")),
        "leave_out": _LEFT_OUT,
        "only": Code(),
        "but": Code(),
    },
    some_of=("at_least", "above", "below"),
)

_CONDITION = Record(
    maybe={
        "all": ListOf(CONDITION, least=1, most=30),
        "any": ListOf(CONDITION, least=1, most=30),
        "not": CONDITION,
        "age": Record(maybe={"from": Whole(0, 150), "below": Whole(1, 151)}, some_of=("from", "below")),
        "hukou": _CODES,
        "lives": _CODES,
        "lived": Record(needed={"in": _CODES, "months": Whole(1, 1200)}),
        "lived_months": Whole(1, 1200),
        "birthday": OneOf(("day", "month")),
        "class": _CODES,
        "level": Record(
            needed={"scale": Code()},
            maybe={"from": Whole(-1_000_000), "below": Whole(-1_000_000)},
            some_of=("from", "below"),
        ),
        "draws": _CODES,
        "status": _CODES,
        "enrolled": _CODES,
        "canteen": _CODES,
        "canteen_class": _CODES,
        "canteen_grade": _CODES,
        "canteen_level": Record(maybe={"from": Whole(0, 1000), "below": Whole(1, 1001)}, some_of=("from", "below")),
        "canteen_in": _CODES,
        "same": Record(needed={"level": OneOf(AREA_LEVELS), "of": OneOf(("hukou", "residence"))}),
        "period": ListOf(OneOf(PERIODS), least=1),
        "day_kind": ListOf(OneOf(DAY_KINDS), least=1),
        "weekday": ListOf(Whole(1, 7), least=1, most=7),
        "month_day": ListOf(Whole(1, 31), least=1, most=31),
        "days": Record(maybe={"from": Day(), "to": Day()}, some_of=("from", "to")),
        "table": Record(maybe={"from": Whole(1, 99), "below": Whole(2, 100)}, some_of=("from", "below")),
        "mode": ListOf(OneOf(MODES), least=1),
        "bill": _BILL,
        "has_item": Code(),
        "ordered_by": Record(needed={"time": Minute()}, maybe={"days_before": Whole(0, 30)}),
        "kind": ListOf(OneOf(KINDS), least=1),
        "used": Record(
            needed={"allowance": Code()},
            maybe={"every": Whole(2, 1_000_000), "from": Whole(0), "below": Whole(1)},
            some_of=("from", "below"),
        ),
    },
    some_of=(
        "all", "any", "not", "age", "hukou", "lives", "lived", "lived_months", "birthday", "class", "level", "draws",
        "status", "enrolled", "canteen", "canteen_class", "canteen_grade", "canteen_level", "canteen_in", "same",
        "period", "day_kind", "weekday", "month_day", "days", "table", "mode", "bill", "has_item", "ordered_by", "kind",
        "used",
    ),
)  # fmt: skip


def _condition() -> Shape:
    return _CONDITION


# --- what is given ----------------------------------------------------------------------------------------------

BENEFITS = (
    "off", "pay_percent", "less", "pay", "at_most", "free", "free_set", "free_up_to", "credit", "prices", "seat",
    "top_up", "suggest", "ceiling", "ceiling_fen", "round_price", "count",
)  # fmt: skip
"""The verbs; a rule, or each of its steps, gives exactly one."""

_GIVES = {
    "off": Percent(),
    "pay_percent": Percent(),
    "less": _AMOUNT,
    "pay": _AMOUNT,
    "at_most": Percent(),
    "free": OneOf(("all",)),
    "free_set": Record(needed={"set": Code()}, maybe={"qty": Whole(1, 99)}),
    "free_up_to": _AMOUNT,
    "credit": Code(),
    "prices": ListOf(Record(needed={"item": Code(), "price": _AMOUNT}), least=1),
    "seat": Record(needed={"price": _AMOUNT}),
    "suggest": _AMOUNT,
    "top_up": _AMOUNT,
    "ceiling": Percent(),
    "ceiling_fen": _AMOUNT,
    "round_price": Record(needed={"to": OneOf(ROUND_TO), "by": OneOf(ROUND_BY)}),
    "count": OneOf(("meal",)),
}

_SPLIT = ListOf(
    Record(
        needed={"fund": Code()},
        maybe={
            "fen": _AMOUNT,
            "percent": Percent(),
            "ratio": Whole(1, 10_000),
            "rest": Flag(),
            "when": CONDITION,
            "instead": Code(),
        },
        one_of=(("fen", "percent", "ratio", "rest"),),
    ),
    least=1,
    most=12,
)

_STEP_WORDS = {
    **_GIVES,
    "label": Text(30),
    "reason": Text(120),
    "clause": Text(120),
    "most": _AMOUNT,
    "split": _SPLIT,
}
_AGE_STEP = Record(needed={"from": Whole(0, 150)}, maybe={"below": Whole(1, 151), **_STEP_WORDS}, one_of=(BENEFITS,))
_LEVEL_STEP = Record(
    needed={"from": Whole(-1_000_000)}, maybe={"below": Whole(-1_000_000), **_STEP_WORDS}, one_of=(BENEFITS,)
)
_CLASS_STEP = Record(maybe={"class": _CODES, "when": CONDITION, **_STEP_WORDS}, one_of=(BENEFITS,))
_SET_STEP = Record(needed={"set": Code()}, maybe=_STEP_WORDS, one_of=(BENEFITS,))

_BASE = Record(
    maybe={
        "of": OneOf(("left", "list")),
        "leave_out": _LEFT_OUT,
        "only": Code(),
        "but": Code(),
        "over": _AMOUNT,
        "first": _AMOUNT,
    }
)
ROUNDING = Record(maybe={"of": OneOf(("benefit", "price")), "to": OneOf(ROUND_TO), "by": OneOf(ROUND_BY)})

RULE = Record(
    needed={"id": Code(60), "label": Text(30), "reason": Text(120), "clause": Text(120)},
    maybe={
        **_GIVES,
        "by_age": ListOf(_AGE_STEP, least=1, most=30),
        "by_level": Record(needed={"scale": Code(), "steps": ListOf(_LEVEL_STEP, least=1, most=30)}),
        "by_class": ListOf(_CLASS_STEP, least=1, most=30),
        "from": Day(),
        "to": Day(),
        "when": CONDITION,
        "excludes": _CODES,
        "only_if": OneOf(("bill_above_benefit",)),
        "base": _BASE,
        "floor": _AMOUNT,
        "most": _AMOUNT,
        "rounding": ROUNDING,
        "limits": _CODES,
        "used_up": OneOf(("next", "stop", "ask")),
        "fund": Code(),
        "split": _SPLIT,
        "note": Text(300),
    },
    one_of=((*BENEFITS, "by_age", "by_level", "by_class"),),
)
MEMBER = Named("member", lambda: _member())  # noqa: PLW0108 - it is defined below
_MEMBER = Either(
    "pick",
    Record(
        needed={"id": Code(60), "pick": OneOf(PICKS), "rules": ListOf(MEMBER, least=1, most=60)},
        maybe={"when": CONDITION},
    ),
    RULE,
)


def _member() -> Shape:
    return _MEMBER


STAGE = Record(
    needed={"id": Code(60), "title": Text(60), "rules": ListOf(MEMBER, least=1, most=60)},
    maybe={"pick": OneOf(PICKS), "order": Whole(0, 1000), "when": CONDITION},
)


# --- funds, limits, and the whole ------------------------------------------------------------------------------

BUDGET = Record(
    needed={
        "limit": Fen(most=500_000_000_000),  # times 100% it is a safe integer, with a meal's fen above it
        "window": OneOf(("month", "quarter", "year")),
        "at_end": OneOf(BUDGET_ENDS),
    },
    maybe={"warn": Percent(), "next": Code(), "where": OneOf(HERE)},
)
FUND = Record(
    needed={"id": Code(60), "name": Text(30), "payer": OneOf(PAYERS)},
    maybe={"when": CONDITION, "limits": _CODES, "budget": BUDGET, "note": Text(300)},
)
ALLOWANCE_ID = Code(57)  # with @canteen (80) and #scheme/rule (40, 60) the key of a use has 240 marks at most
ALLOWANCE = Record(
    needed={"id": ALLOWANCE_ID, "unit": OneOf(UNITS), "scope": OneOf(SCOPES), "window": OneOf(days.WINDOWS)},
    maybe={
        "was": ALLOWANCE_ID,
        "limit": Whole(1, 1_000_000),
        "limit_fen": Fen(least=1),
        "limit_level": Code(),
        "where": OneOf(HERE),
        "carry": Record(
            needed={"windows": Whole(1, 24)},
            maybe={"most_fen": Fen(least=1), "most": Whole(1, 1_000_000), "within": OneOf(("quarter", "year"))},
        ),
        "earlier": ListOf(
            Record(
                needed={"to": Day()},
                maybe={"limit": Whole(1, 1_000_000), "limit_fen": Fen(least=1)},
                one_of=(("limit", "limit_fen"),),
            ),
            least=1,
            most=24,
        ),
        "from": Day(),
        "note": Text(300),
    },
    one_of=(("limit", "limit_fen", "limit_level"),),
)
SET = Record(
    needed={"id": Code(60)}, maybe={"items": _CODES, "tags": _CODES, "name": Text(30)}, some_of=("items", "tags")
)
ACKNOWLEDGED = Record(needed={"code": Code(), "rule": Code(60), "clause": Text(120)}, maybe={"note": Text(300)})

RULEBOOK = Record(
    needed={
        "format": Whole(FORMAT, FORMAT),
        "id": Code(40),
        "title": Text(80),
        "source": Text(300),
        "from": Day(),
        "stages": ListOf(STAGE, most=20),
    },
    maybe={
        "to": Day(),
        "place": Code(),
        "age": Record(maybe={"reckoning": OneOf(days.RECKONINGS), "leap_day": OneOf(days.LEAP_DAYS)}),
        "approval": OneOf(days.APPROVALS),
        "death": OneOf(days.DEATHS),
        "rounding": ROUNDING,
        "floor": _AMOUNT,
        "menu": Record(needed={"from": _AMOUNT, "to": _AMOUNT}),
        "guard": ALLOWANCE_ID,
        "when": CONDITION,
        "funds": ListOf(FUND, most=30),
        "allowances": ListOf(ALLOWANCE, most=40),
        "sets": ListOf(SET, most=40),
        "acknowledged": ListOf(ACKNOWLEDGED, most=40),
    },
)
"""One scheme."""

JOINED = Record(needed={"format": Whole(FORMAT, FORMAT), "layers": ListOf(RULEBOOK, most=30)})
"""The layers in force somewhere, most general first."""


def rulebook_schema() -> Document:
    """Return the JSON Schema of a rulebook (kept as rulebook.schema.json)."""
    return document_schema(RULEBOOK, "RULEBOOK: one published scheme", (CONDITION, MEMBER))
