"""Properties of every quote, over drawn rulebooks and cases."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

import pytest

from canteen import money
from canteen.policy import days, stacking
from canteen.policy.bill import Bill
from canteen.policy.canonical import canonical, parse
from canteen.policy.case import Case, Taken, case_doc, read_case
from canteen.policy.quote import Quote, quote, quote_doc, read_quote, wanted
from canteen.policy.refusals import Refused
from canteen.policy.rulebook import join, lint, load
from canteen.policy.rules import Fund, Group, Rule, Rulebook, SplitPart
from canteen.policy.splits import portions
from tests.policy.generate import TODAY, Doc, a_case, a_scheme, a_taking

CASES = 6

Rounds = Callable[[int, int], int]


def drawn(count: int, *, first: int = 0) -> Iterator[tuple[Random, Doc, Rulebook, Case]]:
    """Draw schemes that load, each with cases."""
    for seed in range(first, first + count):
        rng = Random(seed)
        scheme = a_scheme(rng)
        try:
            book = load(canonical(scheme))
        except Refused:
            continue
        for _ in range(CASES):
            document = a_case(rng)
            case = read_case(document)
            document["taken"] = a_taking(rng, wanted(book, case.diner, case.meal), case.meal.day)
            yield rng, scheme, book, read_case(document)


def quoted(book: Rulebook, case: Case) -> Quote:
    return quote(book, case.diner, case.meal, case.taken)


def rules(book: Rulebook) -> dict[str, Rule]:
    def inside(member: Rule | Group) -> list[Rule]:
        return [member] if isinstance(member, Rule) else [one for inner in member.members for one in inside(inner)]

    return {rule.id: rule for stage in book.stages for rule in inside(stage.group)}


def test_the_list_price_less_shares_and_with_surcharges_is_due(rounds: Rounds) -> None:
    paid = 0
    for _, _, book, case in drawn(rounds(250, 17_000)):
        found = quoted(book, case)
        shared = sum(share.fen for share in found.shares)
        assert found.list == case.meal.list_fen == found.due + shared - found.surcharge_fen
        assert shared <= found.list
        assert all(one.fen > 0 for one in (*found.shares, *found.surcharges))
        paid += bool(found.shares)
    assert paid > rounds(300, 10_000)


def test_due_is_never_below_zero_or_an_applied_floor(rounds: Rounds) -> None:
    for _, _, book, case in drawn(rounds(250, 17_000)):
        found, known = quoted(book, case), rules(book)
        assert found.due >= 0
        floors = [known[share.rule].floor for share in found.shares]
        assert found.due >= min([found.list, *floors])


def test_a_quote_is_read_back_from_its_own_document(rounds: Rounds) -> None:
    for _, _, book, case in drawn(rounds(250, 17_000)):
        found = quoted(book, case)
        assert read_quote(parse(canonical(quote_doc(found)))) == found


def test_the_same_question_has_the_same_bytes(rounds: Rounds) -> None:
    for _, scheme, book, case in drawn(rounds(150, 5000)):
        again = read_case(parse(canonical(case_doc(case.diner, case.meal, case.taken))))
        reloaded = load(canonical(dict(reversed(scheme.items()))))
        assert canonical(quote_doc(quoted(book, case))) == canonical(quote_doc(quoted(reloaded, again)))


def test_what_is_not_wanted_changes_no_price(rounds: Rounds) -> None:
    for rng, scheme, book, case in drawn(rounds(300, 10_000)):
        asked = {(one.allowance, one.window) for one in wanted(book, case.diner, case.meal)}
        names = [one["id"] for one in scheme.get("allowances", ())]
        windows = [str(days.first_of(kind, case.meal.day)) for kind in days.WINDOWS]
        windows.append(f"{case.meal.day}/{case.meal.period}")
        idle = tuple(
            Taken(name, window, count=rng.randint(1, 9), fen=rng.randint(1, 9999), days=(case.meal.day,))
            for name in names
            for window in windows
            if (name, window) not in asked
        )
        more = replace(case, taken=(*case.taken, *idle))
        assert quoted(book, case) == quoted(book, more)


@pytest.mark.parametrize("seed", range(200))
def test_parts_of_a_benefit_sum_to_it_where_one_takes_the_rest(seed: int) -> None:
    rng = Random(seed)
    parts = [a_part(rng, how) for how in rng.choices(("fen", "percent", "ratio"), k=rng.randint(0, 5))]
    percents = sum(part.amount for part in parts if part.how == "percent")
    parts.insert(rng.randint(0, len(parts)), a_part(rng, "ratio"))
    fen = rng.choice([0, 1, 2, 99, 255, 1001, 4_952_000_000])
    if percents > 10_000:
        parts = [part for part in parts if part.how != "percent"]

    dealt = portions(fen, parts)

    assert sum(dealt) == fen
    assert min(dealt) >= 0
    assert all(got <= part.amount for got, part in zip(dealt, parts, strict=True) if part.how == "fen")


def a_part(rng: Random, how: str) -> SplitPart:
    book = load(canonical(a_rule({"less": 100}, scope="person")))
    fund = next(part.fund for rule in rules(book).values() for step in rule.steps for part in step.parts)
    return SplitPart(
        fund, how, {"fen": rng.randint(0, 500), "percent": rng.randint(0, 6000), "ratio": rng.randint(1, 9)}[how]
    )


@pytest.mark.parametrize("seed", range(200))
def test_a_split_sums_and_is_fair_to_the_fen(seed: int) -> None:
    rng = Random(seed)
    weights = [rng.randint(0, 10_000) for _ in range(rng.randint(1, 12))]
    weights[0] += 1
    fen = rng.choice([0, 1, 7, 100, 255, 99_999, 4_952_000_000])

    parts = money.split(fen, weights)

    assert sum(parts) == fen
    for part, weight in zip(parts, weights, strict=True):
        assert fen * weight // sum(weights) <= part <= fen * weight // sum(weights) + 1


# --- more used, more to pay --------------------------------------------------------------------------------------

JUMPY = frozenset({"used", "bill", "excludes", "only_if", "rounding"})
"""Words by which a used-up limit may rightly end in a lower price; besides, a group of `first` and an amount that several
rules have in common. test_steadiness.py has an example of each, docs/rulebook.md the reason."""


def steady(value: object) -> object:
    """Return the scheme without jumps."""
    if isinstance(value, list):
        return [steady(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    kept = {key: steady(inner) for key, inner in value.items() if key not in JUMPY}
    if kept.get("pick") == "first":
        kept["pick"] = "best"
    return kept


def in_common(book: Rulebook) -> set[str]:
    """Return amount limits and budgets that more than one rule draws on."""
    drawn_on = [name for rule in rules(book).values() for name in set(amounts(rule))]
    return {name for name in drawn_on if drawn_on.count(name) > 1}


def amounts(rule: Rule) -> Iterator[str]:
    refs = [ref for step in rule.steps for ref in step.limits]
    for part in (part for step in rule.steps for part in step.parts):
        refs += part.limits
        for fund in followed(part.fund) + (followed(part.instead) if part.instead else []):
            refs += fund.limits
            yield from [fund.budget.allowance.id] if fund.budget else []
    yield from (ref.allowance.id for ref in refs if ref.allowance.unit == "fen")


def followed(fund: Fund) -> list[Fund]:
    """Yield the fund and those that its budget passes on to."""
    return [fund, *(followed(fund.budget.next) if fund.budget and fund.budget.next else [])]


def test_more_used_before_never_lowers_the_price(rounds: Rounds) -> None:
    tried = raised = 0
    for seed in range(rounds(600, 40_000)):
        rng = Random(seed)
        scheme = steady(a_scheme(rng))
        try:
            book = load(canonical(scheme))
        except Refused:
            continue
        for _ in range(CASES):
            case = read_case(a_case(rng))
            asked = wanted(book, case.diner, case.meal)
            before = read_case({**case_doc(case.diner, case.meal, ()), "taken": a_taking(rng, asked, case.meal.day)})
            after = replace(before, taken=tuple(more(rng, one) for one in before.taken))
            cheaper, dearer = quoted(book, before), quoted(book, after)
            assert cheaper.due <= dearer.due or in_common(book), (seed, scheme, before, after)
            tried += 1
            raised += cheaper.due < dearer.due
    assert tried > rounds(1000, 40_000)
    assert raised > rounds(5, 400)


def more(rng: Random, one: Taken) -> Taken:
    days = tuple({*one.days, *([min(one.days) - 1] if one.days and rng.random() < 0.5 else [])})
    return replace(one, count=one.count + (one.count > 0), fen=one.fen + (one.fen > 0) * rng.randint(0, 900), days=days)


# --- versions ----------------------------------------------------------------------------------------------------


def test_a_later_version_changes_no_earlier_quote(rounds: Rounds) -> None:
    for rng, scheme, book, case in drawn(rounds(300, 10_000)):
        if case.meal.day > TODAY:
            continue
        later = {**a_scheme(rng, "later"), "from": TODAY + 1, "allowances": [], "sets": [], "funds": []}
        if not loads(later):
            later = {**{name: value for name, value in later.items() if name != "when"}, "stages": []}
        both = load(join([canonical(scheme), canonical(later)]))
        now, then = quoted(book, case), quoted(both, case)
        assert (now.due, now.shares, now.uses, now.rounding) == (then.due, then.shares, then.uses, then.rounding)


def loads(scheme: Doc) -> bool:
    try:
        load(canonical(scheme))
    except Refused:
        return False
    return True


def a_rule(words: Doc, **allowance: object) -> Doc:
    rule = {"id": "r", "label": "助餐", "reason": "助餐", "clause": "一", "fund": "city", **words}
    limited = {"id": "t.month", "unit": "fen", "window": "month", "limit_fen": 500, **allowance}
    return {
        "format": 1, "id": "t", "title": "测试", "source": "测试", "from": TODAY - 9, "allowances": [limited],
        "funds": [{"id": "city", "name": "市级", "payer": "subsidy"}],
        "stages": [{"id": "s", "title": "补贴", "rules": [rule]}],
    }  # fmt: skip


@pytest.mark.parametrize("scope", ["person", "rule", "fund", "household"])
def test_a_credit_is_limited_whatever_its_scope(scope: str) -> None:
    book = load(canonical(a_rule({"credit": "t.month"}, scope=scope)))
    meal = {"day": TODAY, "period": "lunch", "canteen": {"id": "c"}, "amount": 1200}
    case = read_case({"diner": {"kind": "elder"}, "meal": meal})
    assert quoted(book, case).due == 700
    [asked] = [one for one in wanted(book, case.diner, case.meal) if one.unit == "fen"]
    spent = replace(case, taken=(Taken(asked.allowance, asked.window, fen=400),))
    assert quoted(book, spent).due == 1100


@pytest.mark.parametrize(("scope", "codes"), [("person", []), ("household", []), ("rule", ["used_scope"])])
def test_a_condition_on_usage_reads_persons_and_households(scope: str, codes: list[str]) -> None:
    when = {"used": {"allowance": "t.month", "from": 1}}
    assert [problem.code for problem in lint(a_rule({"less": 100, "when": when}, scope=scope))] == codes


def test_a_split_over_the_whole_is_refused_when_loaded() -> None:
    scheme = a_rule(
        {"less": 100, "split": [{"fund": "city", "percent": 6000}, {"fund": "city", "percent": 4001}]}, scope="person"
    )
    with pytest.raises(Refused) as refused:
        load(canonical(scheme))
    assert refused.value.code == "split_sum"


def test_the_dearest_meal_has_a_quote_that_reads_back() -> None:
    book = load(canonical(a_rule({"free": "all"}, scope="person")))
    lines = [{"item": "feast", "fen": 1_000_000, "qty": 99}] * 50
    meal = {"day": TODAY, "period": "lunch", "canteen": {"id": "c"}, "lines": lines}
    found = quoted(book, read_case({"diner": {"kind": "elder"}, "meal": meal}))
    assert (found.list, found.due) == (4_950_000_000, 0)
    assert read_quote(parse(canonical(quote_doc(found)))) == found


def test_whatever_passes_lint_loads(rounds: Rounds) -> None:
    passed = 0
    for seed in range(rounds(300, 20_000)):
        scheme = a_scheme(Random(seed))
        if all(problem.severity != "error" for problem in lint(scheme)):
            load(canonical(scheme))
            passed += 1
    assert passed > 0


# --- tiers, fixed prices, surcharges -----------------------------------------------------------------------------

PAID_BY = {"fund": "shop"}
SHOP = [{"id": "shop", "name": "让利", "payer": "concession"}, {"id": "city", "name": "市级", "payer": "subsidy"}]


def a_small_book(*stages: list[Doc], **words: object) -> Rulebook:
    """Make a book from stages of rules that give only what matters."""
    said = {"label": "助餐", "reason": "助餐", "clause": "一"}
    written = [
        {"id": f"s{n}", "title": "步", "pick": "sum", "rules": [{"id": f"r{n}.{m}", **said, **PAID_BY, **one} for m, one in enumerate(rules)]}
        for n, rules in enumerate(stages)
    ]  # fmt: skip
    head = {"format": 1, "id": "t", "title": "测试", "source": "测试", "from": TODAY - 9, "funds": SHOP}
    return load(canonical({**head, "stages": written, **words}))


def a_tray(rng: Random, items: str = "abc") -> Case:
    lines = [{"item": rng.choice(items), "fen": rng.randint(1, 3000), "qty": rng.randint(1, 3)} for _ in range(4)]
    fees = {"delivery": rng.choice([0, 200]), "packaging": rng.choice([0, 100])}
    meal = {"day": TODAY, "period": "lunch", "canteen": {"id": "c"}, "lines": lines, "fees": fees}
    return read_case({"diner": {"kind": "elder", "levels": {"care": rng.randint(0, 3)}}, "meal": meal})


EARLIER: list[Doc] = [
    {"off": 1000}, {"off": 3333}, {"less": 500}, {"pay_percent": 8500}, {"off": 2500, "base": {"only": "some"}},
    {"less": 300, "base": {"but": "some"}}, {"free_set": {"set": "some"}}, {"off": 5000, "base": {"leave_out": ["delivery"]}},
    {"prices": [{"item": "b", "price": 100}]}, {"pay": 2000, "base": {"only": "some"}}, {"less": 200, "base": {"first": 1000}},
]  # fmt: skip
SOME: list[Doc] = [{"id": "some", "items": ["a", "b"]}]


@pytest.mark.parametrize("earlier", EARLIER, ids=str)
def test_a_price_list_asks_its_price_whatever_was_off_before(earlier: Doc) -> None:
    rng = Random(str(earlier))
    book = a_small_book([earlier], [{"prices": [{"item": "a", "price": 700}]}], sets=SOME)
    alone = a_small_book([earlier], sets=SOME)
    for _ in range(40):
        case = a_tray(rng)
        bill = Bill(case.diner, case.meal, ())
        running = stacking.Running(bill.list, (), {}, (), (), {})
        running = running.after(stacking.judge(alone.stages[0].group, bill, running, running))
        left = bill.left_at(running)
        assert sum(left) == running.left
        assert all(0 <= one <= most for one, most in zip(left, bill.listed(), strict=True))
        lines = case.meal.lines
        off = sum(max(0, fen - 700 * line.qty) for fen, line in zip(left, lines, strict=False) if line.item == "a")
        more = sum(max(0, 700 - line.fen) * line.qty for line in lines if line.item == "a")
        before, found = quoted(alone, case), quoted(book, case)
        assert (found.due, found.surcharge_fen) == (before.due - off + more, before.surcharge_fen + more)


@pytest.mark.parametrize("earlier", [one for one in EARLIER if "only" not in str(one) and "pay" not in one], ids=str)
@pytest.mark.parametrize("together", [True, False])
def test_a_fixed_price_is_what_is_paid_in_the_end(earlier: Doc, together: bool) -> None:
    rng, fixed = Random(str(earlier)), {"pay": 900, "base": {"of": "list"}}
    book = a_small_book([earlier, fixed], sets=SOME) if together else a_small_book([earlier], [fixed], sets=SOME)
    for _ in range(20):
        case = a_tray(rng)
        before = quoted(a_small_book([earlier], sets=SOME), case)
        found = quoted(book, case)
        assert found.due - found.surcharge_fen == min(900, before.due - before.surcharge_fen)


def test_no_other_item_and_no_benefit_changes_a_surcharge() -> None:
    rng, raised = Random(5), {"prices": [{"item": "a", "price": 1500}]}
    for _ in range(60):
        case = a_tray(rng)
        due = sum(max(0, 1500 - line.fen) * line.qty for line in case.meal.lines if line.item == "a")
        only_a = replace(case, meal=replace(case.meal, lines=tuple(one for one in case.meal.lines if one.item == "a")))
        for stages in ([[raised]], [[{"off": 5000}], [raised]], [[raised], [{"free": "all"}]], [[raised, raised]]):
            book = a_small_book(*stages)
            assert quoted(book, case).surcharge_fen == due
            assert quoted(book, case).due >= due
            if only_a.meal.lines:
                assert quoted(book, only_a).surcharge_fen == due


def test_what_others_tiers_had_used_changes_nothing_for_this_one() -> None:
    tiers = [{"from": n, "below": n + 1, "credit": f"t.{n}"} for n in range(3)] + [{"from": 3, "off": 1000}]
    limits = [
        {"id": f"t.{n}", "unit": "fen", "scope": "person", "window": "month", "limit_fen": 1000 * (n + 1)}
        for n in range(3)
    ]
    book = a_small_book([{"by_level": {"scale": "care", "steps": tiers}}], allowances=limits)
    rng = Random(9)
    for _ in range(40):
        case = a_tray(rng)
        level = case.diner.levels["care"]
        mine = f"t.{level}"
        asked = wanted(book, case.diner, case.meal)
        others = tuple(Taken(one.allowance, one.window, fen=10**6) for one in asked if one.allowance != mine)
        found = quoted(book, case)
        assert found == quoted(book, replace(case, taken=others))
        assert {use.allowance for use in found.uses} == ({mine} if level < 3 and found.shares else set())
