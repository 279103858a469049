"""A day of a form is read in one place: ISO text, and nothing else raises into a page."""

from __future__ import annotations

from datetime import date

import pytest

from canteen.errors import Invalid
from canteen.web.days import read_day, required_day


def test_iso_text_is_read_as_its_day() -> None:
    assert read_day("2026-05-12") == required_day("2026-05-12", Invalid()) == date(2026, 5, 12)


@pytest.mark.parametrize("text", ["", "2026-02-30", "0000-01-01", "12.5.2026", "2026-05-12T00:00", "一月"])
def test_text_that_writes_no_day_is_none_or_refused(text: str) -> None:
    assert read_day(text) is None
    with pytest.raises(Invalid, match="哪天"):
        required_day(text, Invalid("请填写哪天。"))
