"""Operating and construction money: published figures, and each word of the language by hand."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canteen import policy
from canteen.policy import days
from canteen.policy.canonical import canonical
from canteen.policy.funding import COUNTS, EACH, FUNDING, LINE, Worked, compute, funding_schema, lint
from canteen.policy.refusals import Problem, Refused
from canteen.rulebooks import yaml_reader

SCHEMES = Path(policy.__file__).parent / "schemes" / "funding"
DAY = days.of_iso("2026-03-02")


def published(name: str) -> dict[str, Any]:
    return dict(yaml_reader.read((SCHEMES / f"{name}.yaml").read_text(encoding="utf-8"), FUNDING))


def a_line(**words: Any) -> dict[str, Any]:
    line = {"id": "a", "label": "运营补贴", "clause": "例", "fund": "city", "each": "month", **words}
    return {"format": 1, "id": "t", "title": "例", "source": "例", "from": 0, "lines": [line]}


def given_to(scheme: dict[str, Any], *worked: Worked, each: str = "month") -> list[int]:
    return [grant.fen for grant in compute(scheme, each, DAY, worked)]


@pytest.mark.parametrize("path", sorted(SCHEMES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_published_scheme_is_sound(path: Path) -> None:
    scheme = published(path.stem)
    assert lint(scheme) == []
    assert canonical(scheme)


def test_beijing_pays_the_person_day_and_guangzhou_the_meal() -> None:
    """One elder at lunch and dinner is one person-day or two meals (rulings, case 46)."""
    elder = Worked("c1", kitchen="own", counts={"meals": 2, "person_days": 1})
    assert given_to(published("beijing-2022"), elder) == [300]
    assert given_to(published("guangzhou-city"), elder) == [600]
    assert given_to(published("guangzhou-city"), Worked("c2", kitchen="partner", counts={"meals": 2})) == [300]


def test_shenzhen_pays_the_subsidised_diner_and_the_delivery() -> None:
    month = Worked("c1", counts={"meals": 900, "subsidised_meals": 600, "deliveries": 40})
    assert given_to(published("shenzhen-2025"), month) == [120_000, 8000]


def test_anhui_and_qingdao_pay_once() -> None:
    assert given_to(published("anhui"), Worked("c", class_="canteen"), Worked("p", class_="point"), each="once") == [
        10_000_000,
        3_000_000,
    ]
    open_all_year, closed_at_times = Worked("a", counts={"days": 365}), Worked("b", counts={"days": 364})
    assert given_to(published("qingdao"), open_all_year, closed_at_times, each="once") == [10_000_000, 0]


def test_xiyang_pays_by_size_within_the_audited_cost() -> None:
    small, audited_low = (
        Worked("a", area=120, stage="accepted", audited=6_000_000),
        Worked("b", area=500, stage="accepted", audited=8_000_000),
    )
    assert given_to(published("xiyang"), small, audited_low, each="once") == [5_000_000, 8_000_000]
    assert given_to(published("xiyang"), Worked("c", area=120, audited=6_000_000), each="once") == [0]


def test_yingkou_and_wuxi_pay_by_grade() -> None:
    assert given_to(published("yingkou"), Worked("a", grade="excellent"), Worked("b", grade="fail")) == [1_000_000, 0]
    assert given_to(published("wuxi-2021"), Worked("a", class_="regional", grade="excellent"), each="year") == [
        5_000_000,
        10_000_000,
    ]


def test_gulous_pot_is_dealt_out_to_the_fen() -> None:
    sites = [
        Worked(f"c{n}", area=80 + 13 * n, counts={"meals": 1000 + 77 * n}, measures={"activities": n}) for n in range(7)
    ]
    dealt = given_to(published("fuzhou-gulou"), *sites, each="year")
    assert sum(dealt) == 10_500_000
    assert dealt == sorted(dealt)


@given(st.integers(0, 10**9), st.lists(st.tuples(st.integers(0, 9999), st.integers(1, 9999)), min_size=1, max_size=9))
def test_a_pot_is_never_more_nor_less_than_itself(fen: int, sites: list[tuple[int, int]]) -> None:
    weights = [{"measure": "meals", "percent": 3333}, {"measure": "area", "percent": 6667}]
    worked = [Worked(f"c{n}", area=area, counts={"meals": 1 + meals}) for n, (meals, area) in enumerate(sites)]
    assert sum(given_to(a_line(pot={"fen": fen, "weights": weights}), *worked)) == fen


def test_construction_in_stages_adds_up_to_the_whole() -> None:
    stages = [{"stage": "accepted", "percent": 3333}, {"stage": "year", "percent": 6667}]
    scheme = a_line(construction={"by_area": [{"from": 0, "fen": 1001}], "stages": stages})
    first, rest = (given_to(scheme, Worked("a", area=100, stage=stage))[0] for stage in ("accepted", "year"))
    assert (first, first + rest) == (333, 1001)


def test_a_grade_is_a_factor() -> None:
    factors = [{"grade": "excellent", "percent": 12_000}, {"grade": "pass", "percent": 8000}]
    scheme = a_line(fixed=10_000, factor_by_grade=factors)
    assert given_to(scheme, Worked("a", grade="excellent"), Worked("b", grade="pass"), Worked("c")) == [12_000, 8000, 0]


def test_penalties_apply_before_the_cap_and_never_below_zero() -> None:
    penalties = [{"code": "late", "clause": "迟报", "fen": 500}, {"code": "dirty", "clause": "卫生", "percent": 1000}]
    scheme = a_line(fixed=10_000, most=9000, penalties=penalties)
    assert given_to(
        scheme,
        Worked("none"),
        Worked("late twice", faults={"late": 2}),
        Worked("both", faults={"late": 2, "dirty": 1}),
        Worked("too often", faults={"late": 99}),
    ) == [9000, 9000, 8100, 0]


def test_a_band_of_headcount_pays_its_amount() -> None:
    steps = [{"from": 0, "below": 50, "fen": 1000}, {"from": 50, "fen": 2000}]
    scheme = a_line(by_count={"count": "persons", "steps": steps})
    assert given_to(scheme, *(Worked(str(n), counts={"persons": n}) for n in (0, 49, 50, 500))) == [
        1000,
        1000,
        2000,
        2000,
    ]


def test_who_falls_short_has_nothing_and_the_reason() -> None:
    scheme = a_line(per={"count": "meals", "fen": 100}, at_least={"days": 20, "meals": 300})
    [grant] = compute(scheme, "month", DAY, [Worked("a", counts={"days": 19, "meals": 400})])
    assert (grant.fen, grant.why) == (0, "未达到条件：服务天数 19，要求 20")


def test_a_scheme_pays_only_on_its_days_and_in_its_rhythm() -> None:
    scheme = {**a_line(fixed=100), "from": DAY, "to": DAY}
    worked = [Worked("a")]
    assert [len(compute(scheme, "month", DAY + by, worked)) for by in (-1, 0, 1)] == [0, 1, 0]
    assert compute(scheme, "year", DAY, worked) == []


OVER = [{"stage": "accepted", "percent": 6000}, {"stage": "year", "percent": 4001}]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "tier_gap",
            {"by_count": {"count": "persons", "steps": [{"from": 0, "below": 5, "fen": 1}, {"from": 6, "fen": 2}]}},
        ),
        ("tier_overlap", {"by_count": {"count": "persons", "steps": [{"from": 0, "fen": 1}, {"from": 6, "fen": 2}]}}),
        ("split_sum", {"pot": {"fen": 1, "weights": [{"measure": "area", "percent": 9999}]}}),
        ("tier_empty", {"by_count": {"count": "persons", "steps": [{"from": 6, "below": 6, "fen": 1}]}}),
        ("split_sum", {"construction": {"by_area": [{"from": 0, "fen": 1}], "stages": OVER}}),
        ("duplicate_id", {"by_grade": [{"grade": "good", "fen": 1}, {"grade": "good", "fen": 2}]}),
        ("one_of", {"fixed": 1, "per": {"count": "meals", "fen": 1}}),
    ],
)
def test_the_lint_finds(code: str, words: dict[str, Any]) -> None:
    assert [problem.code for problem in lint(a_line(**words))] == [code]


def test_the_lint_finds_duplicates_and_early_ends() -> None:
    scheme = a_line(fixed=1)
    twice = {**scheme, "lines": scheme["lines"] * 2, "from": DAY, "to": DAY - 1}
    assert [(one.code, one.path) for one in lint(twice)] == [
        ("ends_before_start", "to"),
        ("duplicate_id", "lines[1].id"),
    ]


def test_what_is_no_scheme_is_refused() -> None:
    with pytest.raises(Refused, match="missing_field"):
        compute({}, "month", DAY, [])


def test_the_schema_file_is_the_readers() -> None:
    kept = json.loads((SCHEMES.parent.parent / "funding.schema.json").read_text(encoding="utf-8"))
    assert kept == funding_schema()


def test_every_word_of_funding_is_in_the_manual() -> None:
    manual = (Path(policy.__file__).parents[2] / "docs" / "rulebook.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)(?:: \w+)?`", manual.partition("## 食堂一侧的钱")[2]))
    assert {*FUNDING.needed, *FUNDING.maybe, *LINE.needed, *LINE.maybe, *COUNTS, *EACH} <= named


# --- the handbook ------------------------------------------------------------------------------------------------

MANUAL = (SCHEMES.parents[3] / "docs" / "rulebook.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"^### `(\w+)`\n[^#]*?```money\n(.*?)```\n```grant\n(.*?)```", re.MULTILINE | re.DOTALL)
EXAMPLES = [(word, fragment, line) for word, fragment, lines in EXAMPLE.findall(MANUAL) for line in lines.splitlines()]


def worked_of(document: dict[str, Any], place: int) -> Worked:
    """Read a canteen of the handbook, with its numbers and codes as written there."""

    def numbers(word: str) -> dict[str, int]:
        return {name: int(number) for name, number in document.get(word, {}).items()}

    return Worked(
        f"c{place}",
        class_=document.get("class", ""),
        grade=document.get("grade", ""),
        kitchen=document.get("kitchen", ""),
        area=int(document.get("area", 0)),
        counts=numbers("counts"),
        stage=document.get("stage", ""),
        audited=int(document["audited"]) if "audited" in document else None,
        faults=numbers("faults"),
    )


@pytest.mark.parametrize(("word", "fragment", "line"), EXAMPLES, ids=lambda text: text if len(text) < 30 else "")
def test_each_handbook_example_gives_its_amounts(word: str, fragment: str, line: str) -> None:
    written = yaml_reader.tree(fragment)
    assert isinstance(written, dict)
    assert word in written
    usual = {"id": "a", "label": "运营补贴", "clause": "例", "fund": "city", "each": "month"}
    document = {"format": "1", "id": "t", "title": "例", "source": "例", "from": "2020-01-01"}
    problems: list[Problem] = []
    scheme = FUNDING.parse({**document, "lines": [{**usual, **written}]}, "", problems)
    assert problems == []
    assert isinstance(scheme, dict)
    assert lint(scheme) == []
    case, _, amounts = line.partition(" => ")
    given = yaml_reader.tree(case)
    canteens = [worked_of(one, place) for place, one in enumerate(given if isinstance(given, list) else [given])]
    found = given_to(scheme, *canteens, each=written.get("each", "month"))
    assert ", ".join(f"{fen // 100}.{fen % 100:02d}" for fen in found) == amounts.replace("-", "")


def test_every_word_of_canteen_money_has_an_example() -> None:
    assert {word for word, _, _ in EXAMPLES} == {*LINE.needed, *LINE.maybe} - {"id", "label", "clause", "fund", "note"}
