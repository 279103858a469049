"""What the body of a record may say, and which differences make another sale."""

from __future__ import annotations

import copy
import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canteen.pos import orders


def body() -> dict[str, Any]:
    sale = {
        "id": "7b0a3f0e-2f0e-4a51-9d55-0a8f4f0b2c11",
        "canteen": "c1",
        "point": None,
        "elder": str(uuid.UUID(int=7)),
        "credential": "a" * 64,
        "guest": None,
        "how": "camera",
        "mode": "dine_in",
        "day": "2026-05-12",
        "period": "lunch",
        "lines": [{"item": "set-a", "name": "荤素套餐", "fen": 1200, "quantity": 1, "tags": []}],
        "amount": None,
        "quote": {"list": 1200, "due": 700},
        "input": {},
        "input_hash": "b" * 64,
        "rulebook": "c" * 64,
        "stamp": None,
        "quoted_mono": None,
        "flags": [],
    }
    tender = {"kind": "cash", "fen": 700, "given": 1000, "change": 300, "reference": ""}
    return {
        "sales": [sale],
        "payment": {"id": str(uuid.UUID(int=9)), "due": 700, "tenders": [tender]},
        "cashier": "p1",
        "clock": {"offset_ms": None, "boot": "boot-1"},
    }


def read(document: object) -> orders.Checkout:
    return orders.read_checkout(json.dumps(document, ensure_ascii=False).encode())


def shuffled(value: Any, order: list[int]) -> Any:
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (order[hash(key) % len(order)], key))
        return {key: shuffled(value[key], order) for key in keys}
    if isinstance(value, list):
        return [shuffled(inner, order) for inner in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) and order[0] % 2 else value


@given(st.lists(st.integers(0, 99), min_size=3, max_size=9))
def test_key_order_and_number_form_do_not_make_another_sale(order: list[int]) -> None:
    assert read(shuffled(body(), order)).sales[0].content_hash == read(body()).sales[0].content_hash


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("sales", 0, "elder"), str(uuid.UUID(int=8))),
        (("sales", 0, "day"), "2026-05-13"),
        (("sales", 0, "lines", 0, "fen"), 1300),
        (("sales", 0, "quote", "due"), 701),
        (("sales", 0, "how"), "typed"),
        (("payment", "tenders", 0, "reference"), "x"),
        (("cashier",), "p2"),
    ],
)
def test_one_business_field_changed_is_another_sale(path: tuple[Any, ...], value: object) -> None:
    changed = copy.deepcopy(body())
    inner: Any = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    assert read(changed).sales[0].content_hash != read(body()).sales[0].content_hash


def test_one_payment_may_be_as_large_as_ten_sales_together() -> None:
    whole = orders.MOST_FEN * orders.MOST_SALES
    large = body()
    large["payment"].update(due=whole)
    large["payment"]["tenders"][0].update(fen=whole, given=whole, change=0)
    assert read(large).paid == whole


@pytest.mark.parametrize(
    "spoil",
    [
        lambda b: b["sales"][0].pop("id"),
        lambda b: b["sales"][0].update(extra=1),
        lambda b: b["sales"][0].update(elder=None),
        lambda b: b["sales"][0].update(guest="guest"),
        lambda b: b["sales"][0].update(amount=1200),
        lambda b: b["sales"][0].update(lines=[]),
        lambda b: b["sales"][0].update(mode="flying"),
        lambda b: b["sales"].append(b["sales"][0]),
        lambda b: b["payment"]["tenders"][0].update(change=299),
        lambda b: b["payment"]["tenders"][0].update(fen=-1),
        lambda b: b["sales"][0]["lines"][0].update(fen=12.5),
        lambda b: b.update(sales=[]),
    ],
)
def test_a_body_of_another_shape_is_refused_by_name(spoil: Any) -> None:
    spoilt = body()
    spoil(spoilt)
    with pytest.raises(orders.BodyMalformed):
        read(spoilt)


@pytest.mark.parametrize("raw", [b"", b"{", b"null", b"[]", b'{"a": NaN}', b"\xff\xfe", b"[" * 5000, b'"x"', b"1e999"])
def test_bytes_that_are_no_body_are_refused_and_not_a_crash(raw: bytes) -> None:
    with pytest.raises(orders.BodyMalformed):
        orders.read_checkout(raw)
