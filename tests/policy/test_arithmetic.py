"""The arithmetic of both engines: splits, roundings, days and ages; and what a quote may use and say."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from canteen.policy import days
from canteen.policy.benefits import round_to
from canteen.policy.canonical import canonical
from canteen.policy.case import Case, Diner, Line, Meal, MealCanteen, Taken, case_doc, read_case
from canteen.policy.explanation import CLASS_WORDS
from canteen.policy.outcome import WHY
from canteen.policy.quote import quote, say, wanted
from canteen.policy.refusals import Refused
from canteen.policy.rulebook import load
from canteen.policy.rules import Fund, Group, Rulebook, SplitPart
from canteen.policy.splits import portions
from tests.policy.generate import JUNK, a_book, spoiled
from tests.policy.test_cases import scheme
from tests.policy.test_twin import drawn_cases


def test_uses_stay_within_limits_and_belong_to_rules_that_count(
    rounds: Callable[[int, int], int],
) -> None:
    seen = 0
    for seed in range(rounds(300, 10_000)):
        body = a_book(Random(seed))
        for doc in drawn_cases(Random(seed), body):
            book, case = load(body), read_case(doc)
            found = quote(book, case.diner, case.meal, case.taken)
            assert {one.why for one in found.passed} <= set(WHY)
            asked = {(one.allowance, one.window) for one in wanted(book, case.diner, case.meal)}
            for use in found.uses:
                assert (use.allowance, use.window) in asked
                assert set(use.rules) <= {share.rule for share in found.shares} | counting(book)
                assert use.scope == "budget" or use.unit == "day" or use.amount <= use.limit
                seen += 1
    assert seen > rounds(300, 10_000)


def counting(book: Rulebook) -> set[str]:
    """Return ids of the rules that count a meal for which they give nothing."""

    def of(group: Group) -> Iterator[str]:
        for each in group.members:
            if isinstance(each, Group):
                yield from of(each)
            elif any(step.verb == "count" for step in each.steps):
                yield each.id

    return {each for stage in book.stages for each in of(stage.group)}


def test_anything_at_all_gives_a_case_or_a_named_refusal(rounds: Callable[[int, int], int]) -> None:
    sound = case_doc(Diner(), Meal(20_000, "lunch", MealCanteen("c1"), amount=1000), ())
    spoilt = [spoiled(Random(seed), sound) for seed in range(rounds(3000, 50_000))]
    codes = [refused_code(document) for document in (*spoilt, *JUNK)]
    assert len({code for code in codes if code}) > 5


def refused_code(document: object) -> str:
    try:
        found = read_case(document)
    except Refused as refused:
        return refused.code
    return "" if isinstance(found, Case) else "no case"


# --- money, days, words ------------------------------------------------------------------------------------------


@given(
    st.integers(0, 10_000_000),
    st.lists(st.tuples(st.sampled_from(["fen", "ratio"]), st.integers(1, 10_000)), min_size=1, max_size=6),
    st.integers(0, 10_000),
)
def test_the_parts_of_a_benefit_add_up(fen: int, split: list[tuple[str, int]], percent: int) -> None:
    fund = Fund("city", "市", "subsidy")
    parts = [SplitPart(fund, how, amount) for how, amount in split]
    parts += [SplitPart(fund, "percent", percent), SplitPart(fund, "ratio", 1)]
    dealt = portions(fen, parts)
    assert sum(dealt) == fen
    assert min(dealt) >= 0


def test_ten_yuan_in_three_even_parts() -> None:
    fund = Fund("city", "市", "subsidy")
    assert portions(1000, [SplitPart(fund, "ratio", 1)] * 3) == [334, 333, 333]


def test_a_claim_sums_meal_shares_instead_of_splitting_the_total() -> None:
    fund = Fund("city", "市", "subsidy")
    halves = [portions(255, [SplitPart(fund, "ratio", 1)] * 2) for _ in range(101)]
    assert [sum(half) for half in zip(*halves, strict=True)] == [12_928, 12_827]
    assert sum(sum(half) for half in halves) == 25_755


@given(st.integers(0, 10**12), st.integers(1, 10**6))
def test_rounding_moves_by_less_than_a_unit(part: int, whole: int) -> None:
    low, high = round_to(part, whole, "down"), round_to(part, whole, "up")
    assert low * whole <= part <= high * whole
    assert high - low == (part % whole > 0)
    assert low <= round_to(part, whole, "half_down") <= round_to(part, whole, "half_up") <= high


@given(st.integers(days.EARLIEST, days.LATEST))
def test_a_civil_number_is_a_day_and_back(number: int) -> None:
    assert days.civil(*days.ymd(number)) == number
    assert days.of_iso(days.iso(number)) == number
    assert days.first_of("week", number) in range(number - 6, number + 1)
    assert days.weekday(days.first_of("week", number)) == 1


def test_civil_numbers_are_those_of_the_clock() -> None:
    for number in range(-3000, 60_000, 7):
        day = date(1970, 1, 1) + timedelta(days=number)
        assert days.ymd(number) == (day.year, day.month, day.day)
        assert days.weekday(number) == day.isoweekday()


def aged(birth: str, on: str, reckoning: str = "birthday", leap_day: str = "mar1") -> int:
    return days.age(days.of_iso(birth), days.of_iso(on), reckoning, leap_day)


def test_a_leap_day_birthday_defaults_to_the_first_of_march() -> None:
    assert [aged("1956-02-29", f"2026-0{day}") for day in ("2-28", "3-01")] == [69, 70]
    assert [aged("1956-02-29", f"2026-02-{day}", leap_day="feb28") for day in (27, 28)] == [69, 70]
    assert [aged("1956-02-29", f"2028-02-{day}") for day in (28, 29)] == [71, 72]
    assert [aged("1956-02-29", f"2026-03-0{day}", "day_after") for day in (1, 2)] == [69, 70]


def test_each_way_to_count_ages_turns_on_its_own_day() -> None:
    born = "1946-12-15"
    assert [aged(born, day) for day in ("2026-12-14", "2026-12-15")] == [79, 80]
    assert [aged(born, day, "day_after") for day in ("2026-12-15", "2026-12-16")] == [79, 80]
    assert [aged(born, day, "month_first") for day in ("2026-11-30", "2026-12-01")] == [79, 80]
    assert [aged(born, day, "next_month_first") for day in ("2026-12-31", "2027-01-01")] == [79, 80]
    assert [aged(born, day, "year_difference") for day in ("2025-12-31", "2026-01-01")] == [79, 80]


def test_the_counter_never_names_a_class() -> None:
    book = load(scheme("lanzhou"))
    diner = Diner(birth_day=-10_000, hukou=("620102",), classes=("dibao",))
    said = say(quote(book, diner, Meal(20_000, "lunch", MealCanteen("c1"), (Line("set", 1500),)), []))
    assert said.counter == "原价15.00元，助餐补贴12.00元，请付3.00元。"
    assert not any(word in said.counter for word in CLASS_WORDS)
    assert "低保老人付 3 元" in said.audit
    assert "15.00 - 12.00 = 3.00" in said.audit


def test_a_rule_that_is_used_up_may_want_the_elder_asked() -> None:
    rule = {"id": "a", "label": "补贴", "reason": "例", "clause": "例", "less": 300, "fund": "city", "used_up": "ask"}
    book = load(
        canonical(
            {
                "format": 1,
                "id": "t",
                "title": "例",
                "source": "例",
                "from": 0,
                "funds": [{"id": "city", "name": "市", "payer": "subsidy"}],
                "stages": [{"id": "s", "title": "例", "rules": [rule]}],
            }
        )
    )
    meal = Meal(20_000, "lunch", MealCanteen("c1"), amount=1000)
    assert quote(book, Diner(), meal, []).checks == ()
    used = quote(book, Diner(), meal, [Taken("guard.meal", "20000/lunch", count=1)])
    assert (used.due, [check.code for check in used.checks]) == (1000, ["ask"])
