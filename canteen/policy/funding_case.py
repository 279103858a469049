"""The input of a funding scheme: a span, and the facts of each canteen in it.

Reading its JSON is total: any input gives a FundingCase or a Refused that names the place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from canteen.policy.canonical import Document
from canteen.policy.documents import document_schema
from canteen.policy.funding import COUNTS, EACH, Worked
from canteen.policy.refusals import Problem, Refused
from canteen.policy.shapes import Code, Day, Fen, ListOf, MapOf, OneOf, Problems, Record, Whole

_NUMBER = Whole(0, 1_000_000_000)
CANTEEN = Record(
    needed={"id": Code()},
    maybe={
        "class": Code(),
        "grade": Code(),
        "kitchen": Code(),
        "area": Whole(0, 10_000_000),
        "counts": Record(maybe=dict.fromkeys(COUNTS, _NUMBER)),
        "measures": MapOf(_NUMBER),
        "stage": Code(),
        "audited": Fen(most=100_000_000_000),
        "faults": MapOf(Whole(0, 10_000)),
    },
)
FUNDING_CASE = Record(
    needed={"day": Day(), "each": OneOf(EACH), "canteens": ListOf(CANTEEN, least=1)},
)


@dataclass(frozen=True, slots=True)
class FundingCase:
    """One input of a funding scheme: the rhythm, a day of the span, and the canteens as they were in it."""

    day: int
    each: str
    canteens: tuple[Worked, ...]


def is_funding_case(document: object) -> bool:
    """Tell whether a case is of a funding scheme, by its form: it has canteens and neither diner nor meal."""
    return isinstance(document, dict) and "canteens" in document and not {"diner", "meal"} & set(document)


def read_funding_case(document: object) -> FundingCase:
    """Read a funding case from a JSON document. Raises Refused with the first problem found."""
    if isinstance(document, dict) and {"diner", "meal"} & set(document):
        message = "这是一餐的案例；食堂资金标准的案例写一期里各食堂的情况"
        raise Refused(Problem("meal_case", "", message, "、".join(sorted({"diner", "meal"} & set(document))), _FORM))
    problems: Problems = []
    FUNDING_CASE.check(document, "", problems)
    if problems:
        raise Refused(problems[0])
    assert isinstance(document, dict)
    seen = set[str]()
    for place, one in enumerate(document["canteens"]):
        path = f"canteens[{place}]"
        if one["id"] in seen:
            raise Refused(Problem("duplicate_id", f"{path}.id", "同一食堂写了两次", one["id"], "每家食堂一项"))
        seen.add(one["id"])
        for name in sorted({"area", *COUNTS} & set(one.get("measures", {}))):
            where = "area" if name == "area" else f"counts.{name}"
            raise Refused(Problem("measure_known", f"{path}.measures.{name}", "这个数有自己的位置", name, where))
    return FundingCase(document["day"], document["each"], tuple(_canteen(one) for one in document["canteens"]))


_FORM = "day、each、canteens"


def _canteen(doc: Mapping[str, Any]) -> Worked:
    return Worked(
        canteen=doc["id"],
        class_=doc.get("class", ""),
        grade=doc.get("grade", ""),
        kitchen=doc.get("kitchen", ""),
        area=doc.get("area", 0),
        counts=dict(doc.get("counts", {})),
        measures=dict(doc.get("measures", {})),
        stage=doc.get("stage", ""),
        audited=doc.get("audited"),
        faults=dict(doc.get("faults", {})),
    )


def funding_case_schema() -> Document:
    """Return the JSON Schema of a case (kept as funding_case.schema.json)."""
    return document_schema(FUNDING_CASE, "FUNDING CASE: what is known of each canteen in a span")
