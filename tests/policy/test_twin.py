"""The tablet's engine gives the same bytes as ours, over drawn rulebooks and cases, also spoiled ones."""

import copy
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from canteen.policy.canonical import canonical
from canteen.policy.case import read_case
from canteen.policy.quote import wanted
from canteen.policy.refusals import Refused
from canteen.policy.rulebook import load
from tests.policy.generate import JUNK, WORDS, Doc, a_book, a_case, a_scheme, a_taking, spoiled
from tests.policy.tablet import Tablet, ours

CASES = 10
"""How many cases a drawn book is asked."""


@pytest.fixture(scope="module")
def tablet() -> Iterator[Tablet]:
    with Tablet() as tablet:
        yield tablet


def drawn_cases(rng: Random, body: bytes) -> list[Doc]:
    try:
        book = load(body)
    except Refused:
        return []
    found = [a_case(rng) for _ in range(CASES)]
    for doc in found:
        case = read_case(doc)
        doc["taken"] = a_taking(rng, wanted(book, case.diner, case.meal), case.meal.day)
    return found


def test_both_engines_quote_the_same_bytes(tablet: Tablet, rounds: Callable[[int, int], int]) -> None:
    asked = 0
    for seed in range(rounds(600, 15_000)):
        rng = Random(seed)
        body = a_book(rng)
        cases = drawn_cases(rng, body)
        compare(tablet, body, cases, seed)
        asked += len(cases)
    assert asked >= rounds(4000, 100_000)


def test_both_engines_refuse_the_same_documents_alike(tablet: Tablet, rounds: Callable[[int, int], int]) -> None:
    refused = 0
    for seed in range(rounds(500, 10_000)):
        rng = Random(seed)
        scheme = spoiled(rng, a_scheme(rng))
        body = json.dumps(scheme, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        cases = [spoiled(rng, a_case(rng)) for _ in range(CASES)]
        refused += "refused" in compare(tablet, body.encode(errors="surrogatepass"), cases, seed)
    assert refused > rounds(100, 2000)


@pytest.mark.parametrize(
    "change", ["spaces", "order", "escapes", "float", "minus zero", "twice", "mark", "cut", "large"]
)
def test_a_rulebook_written_otherwise_is_refused_by_both(tablet: Tablet, change: str) -> None:
    text = canonical(a_scheme(Random(1))).decode()
    assert "answers" in compare(tablet, text.encode(), [], 1)
    changed = {
        "spaces": text + "\n",
        "order": '{"zz":1,' + text[1:],
        "escapes": text.replace('"format"', '"\\u0066ormat"'),
        "float": text.replace('"format":1', '"format":1.0'),
        "minus zero": text.replace('"format":1', '"format":-0'),
        "twice": '{"format":1,' + text[1:],
        "mark": "\ufeff" + text,
        "cut": text[:-1],
        "large": text.replace('"format":1', '"format":9007199254740993'),
    }[change]
    answer = compare(tablet, changed.encode(), [], 1)
    assert answer["refused"][0] == "not_canonical"


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"\xed\xa0\x80", b'"\\ud800"', b"[" * 5000, b"NaN", b"1e999", b"{}", b"0"]
)
def test_bytes_that_are_no_rulebook_are_refused_by_both(tablet: Tablet, body: bytes) -> None:
    assert compare(tablet, body, [], 0)["refused"][0] in ("not_canonical", "missing_field", "not_an_object")


@pytest.mark.parametrize("word", [*WORDS, *(junk for junk in JUNK if isinstance(junk, str))])
def test_rare_characters_pass_both_engines_alike(tablet: Tablet, word: str) -> None:
    rng = Random(3)
    scheme = a_scheme(rng)
    scheme["title"] = word
    for fund in scheme["funds"]:
        fund["name"] = word
    body = json.dumps(scheme, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    compare(tablet, body.encode(errors="surrogatepass"), [a_case(rng)], 3)


# --- comparing, and making the smallest case of a difference -----------------------------------------------------


def compare(tablet: Tablet, body: bytes, cases: list[Doc], seed: int) -> Doc:
    """Return the common answer. Fails with the smallest book and case on which the engines differ."""
    texts = [json.dumps(case) for case in cases]
    mine, theirs = ours(body, texts), tablet.answers(body, texts)
    if alike(mine, theirs):
        return mine
    for case, text in zip(cases, texts, strict=True):
        if not alike(ours(body, [text]), tablet.answers(body, [text])):
            pytest.fail(failure_text(tablet, *smallest(tablet, json.loads(body), case), seed))
    pytest.fail(f"seed {seed}: ours {mine}, the tablet's {theirs} of {body!r}")


def alike(mine: Doc, theirs: Doc) -> bool:
    """Compare refusals by code, and by path where the text is JSON: parsers stop at different places."""
    if mine.get("refused", [""])[0] == "not_canonical":
        return bool(theirs.get("refused", [""])[0] == "not_canonical")
    return mine == theirs


def smallest(tablet: Tablet, book: Doc, case: Doc) -> tuple[Doc, Doc]:
    """Reduce the book and case to the least on which the engines still differ."""
    found = {"book": book, "case": case}
    for _ in range(30):
        before = canonical(found)
        for path in sorted(paths(found, ()), key=len):
            smaller = without(found, path)
            if smaller is not None and differs(tablet, smaller):
                found = smaller
        if canonical(found) == before:
            break
    return found["book"], found["case"]


def differs(tablet: Tablet, pair: Doc) -> bool:
    if set(pair) != {"book", "case"}:
        return False
    body, text = canonical(pair["book"]), json.dumps(pair["case"])
    return not alike(ours(body, [text]), tablet.answers(body, [text]))


def paths(value: Any, here: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*here, key)
        yield from paths(one, (*here, key))


def without(value: Doc, path: tuple[Any, ...]) -> Doc | None:
    """Copy a document without the place at the path; None where it is gone already."""
    copied: Any = copy.deepcopy(value)
    holder = copied
    try:
        for key in path[:-1]:
            holder = holder[key]
        del holder[path[-1]]
    except (KeyError, IndexError, TypeError):
        return None
    return dict(copied)


def failure_text(tablet: Tablet, book: Doc, case: Doc, seed: int) -> str:
    body, text = canonical(book), json.dumps(case)
    shown = {"book": book, "case": case, "ours": ours(body, [text]), "tablet": tablet.answers(body, [text])}
    return f"seed {seed}: the engines differ\n{json.dumps(shown, ensure_ascii=False, indent=1, sort_keys=True)}"
