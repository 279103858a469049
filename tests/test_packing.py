"""Bodies and inputs are stored packed, and come back as they were for ever."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from canteen import packing


@given(some.binary(max_size=600))
def test_whatever_was_packed_comes_back(content: bytes) -> None:
    assert packing.unpack(packing.pack(content)) == content


def test_the_words_given_beforehand_never_change() -> None:
    digest = hashlib.sha256(packing.WORDS_1).hexdigest()
    assert digest == "244a790914e2c4cfc5c669c0daced8409c63bca3e2c3e67cee0b87328e7fac02"


def test_what_packing_makes_no_smaller_is_kept_as_it_is() -> None:
    content = hashlib.sha256(b"no words").digest()
    assert packing.pack(content) == b"\0" + content


@pytest.mark.parametrize("damage", ["cut", "changed", "unknown", "empty"])
def test_damaged_bytes_are_refused(damage: str) -> None:
    stored = packing.pack(json.dumps({"sales": [{"id": n} for n in range(40)]}).encode())
    damaged = {"cut": stored[:-1], "changed": b"\1\xff\xff" + stored[3:], "unknown": b"\7" + stored[1:], "empty": b""}
    with pytest.raises(ValueError, match="bytes"):
        packing.unpack(damaged[damage])
