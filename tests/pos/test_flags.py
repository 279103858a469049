"""The codes noted of a sale: each says, in one place, whether the sale's subsidy may be claimed."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from canteen.config import ROOT
from canteen.pos import flags, notices
from canteen.settlement.labels import WORDS

CODES = {value for name, value in vars(flags).items() if name.isupper() and isinstance(value, str)}


def test_each_flag_claims_nothing_is_released_or_only_noted() -> None:
    listed = Counter([*flags.UNCLAIMABLE, *flags.RELEASABLE, *flags.NOTED])
    assert set(listed) == CODES
    assert set(listed.values()) == {1}


def test_what_is_not_theirs_is_unclaimable_or_releasable() -> None:
    assert flags.NOT_THEIRS <= flags.CLAIMS_NOTHING
    assert flags.CLAIMS_NOTHING == flags.UNCLAIMABLE | flags.RELEASABLE


def test_flags_are_made_in_their_own_module_alone() -> None:
    makers = {path.name for path in (ROOT / "canteen/pos").rglob("*.py") if _makes_flags(path)}
    assert makers == {"flags.py"}


def _makes_flags(path: Path) -> bool:
    """Whether a module turns a text into a Flag, past the lists; the type checker refuses a bare text where one is due."""
    calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return any(isinstance(of, ast.Name) and of.id == "Flag" for of in calls)


@pytest.mark.parametrize("code", sorted(CODES))
def test_each_flag_has_its_chinese_word(code: str) -> None:
    assert WORDS[f"flag.{code}"]


@pytest.mark.parametrize("code", sorted(flags.CLAIMS_NOTHING))
def test_each_reason_to_claim_nothing_is_shown_to_the_canteen(code: str) -> None:
    assert notices.what(code) != notices.OTHER
    assert WORDS[f"excluded.{code}"]
    assert (code in notices.WAITS) == (code in flags.RELEASABLE)
