"""When a record proves the past day that it claims: pure cases, and what more evidence may do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canteen.pos.date_proof import Evidence, Mark, Silence, doubt
from canteen.pos.flags import DATED

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LEFT = datetime(2026, 11, 3, 8, tzinfo=UTC)
BACK = LEFT + 10 * DAY
SOLD = LEFT + 3 * HOUR
ALONE = Silence(LEFT, BACK, Mark(1, 17, 60_000, "boot", 2_000), 1, 40, 9_000)
HONEST = Evidence(
    stated=SOLD, arrived=BACK + timedelta(minutes=2), same_day=True, stamp_age=None, measured=True, epoch=1, number=18,
    mono_ms=60_000 + 3 * 3_600_000, boot="boot", silences=(ALONE,), chained=17, days=14,
)  # fmt: skip


def silence(**changed: object) -> Evidence:
    return replace(HONEST, silences=(replace(ALONE, **changed),))  # type: ignore[arg-type]


def before(**changed: object) -> Evidence:
    return silence(before=replace(ALONE.before, **changed))  # type: ignore[type-var]


def again(from_at: datetime, until_at: datetime) -> Silence:
    """Another time without contact, of the same page load."""
    return replace(ALONE, from_at=from_at, until_at=until_at)


LATER = BACK + 2 * HOUR
CASES: dict[str, tuple[Evidence, str]] = {
    "alone for ten days, brought at once": (HONEST, ""),
    "asleep at night: the monotonic clock stood still": (replace(HONEST, mono_ms=70_000), ""),
    "the last of a long upload": (replace(HONEST, number=40, arrived=BACK + timedelta(minutes=50)), ""),
    "a contact of nine minutes in between, too short for all": (
        replace(HONEST, silences=(ALONE, again(BACK + timedelta(minutes=9), LATER)), arrived=LATER + timedelta(minutes=1)), "",
    ),
    "over midnight on its way": (replace(HONEST, silences=(), stated=BACK, measured=False), ""),
    "a stamp": (replace(HONEST, stamp_age=10 * DAY, measured=False, silences=(), chained=99), ""),
    "a stamp of the year before last": (replace(HONEST, stamp_age=500 * DAY), "dated_long_ago"),
    "a stamp of another day than the sale's": (replace(HONEST, stamp_age=HOUR, same_day=False), "dated_otherwise"),
    "a clock that nobody measured": (replace(HONEST, measured=False), "dated_unmeasured"),
    "longer alone than the canteen may be": (replace(HONEST, days=9), "dated_too_long"),
    "the tablet was heard all the time": (replace(HONEST, silences=()), "dated_in_contact"),
    "before the tablet was alone": (replace(HONEST, stated=LEFT - HOUR), "dated_in_contact"),
    "an older page that reports nothing": (silence(before=None), "dated_unreported"),
    "reported nothing when it came back": (silence(number=None, epoch=None), "dated_unreported"),
    "started again meanwhile": (replace(HONEST, boot="other"), "dated_restarted"),
    "a monotonic clock that ran backwards": (replace(HONEST, mono_ms=59_000), "dated_restarted"),
    "a monotonic clock further on than the time stated": (replace(HONEST, mono_ms=9 * 3_600_000), "dated_restarted"),
    "numbered before it was alone": (before(number=18), "dated_numbers"),
    "not there yet at the first contact": (silence(number=17), "dated_numbers"),
    "of another epoch": (replace(HONEST, epoch=2), "dated_numbers"),
    "the clock was set meanwhile": (silence(skew_ms=3_600_000), "dated_clock_set"),
    "a record before it is missing": (replace(HONEST, number=20, chained=19), "dated_gap"),
    "kept back at the first contact": (replace(HONEST, arrived=BACK + 3 * HOUR), "dated_later_contact"),
    "kept back over a whole day in contact": (
        replace(HONEST, silences=(ALONE, again(BACK + 9 * HOUR, BACK + DAY)), arrived=BACK + DAY), "dated_later_contact",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_past_day_is_believed_when_the_evidence_is_of_a_piece(case: str) -> None:
    evidence, reason = CASES[case]
    assert doubt(evidence) == reason


def test_every_reason_to_doubt_a_day_has_a_case() -> None:
    assert {reason for _, reason in CASES.values() if reason} == DATED


Change = Callable[[Evidence], Evidence]
WORSE: dict[str, Change] = {
    "no stamp": lambda one: replace(one, stamp_age=None),
    "unmeasured": lambda one: replace(one, measured=False),
    "another page load": lambda one: replace(one, boot="other"),
    "fewer days allowed": lambda one: replace(one, days=one.days - 10),
    "came later": lambda one: replace(one, arrived=one.arrived + 2 * HOUR),
    "a gap": lambda one: replace(one, chained=one.number),
    "no silence": lambda one: replace(one, silences=()),
    "reported nothing": lambda one: replace(one, silences=tuple(replace(each, before=None) for each in one.silences)),
    "not there at the contact": lambda one: replace(
        one, silences=tuple(replace(each, number=one.number - 1) for each in one.silences)
    ),
    "clock set": lambda one: replace(one, silences=tuple(replace(each, skew_ms=10**7) for each in one.silences)),
}


@given(
    st.sampled_from([evidence for evidence, _ in CASES.values()]),
    st.sets(st.sampled_from(sorted(WORSE))),
    st.sampled_from(sorted(WORSE)),
)
def test_less_evidence_never_makes_a_doubted_day_believed(start: Evidence, absent: set[str], more: str) -> None:
    for name in sorted(absent):
        start = WORSE[name](start)
    if doubt(start):
        assert doubt(WORSE[more](start))


@given(st.datetimes(LEFT.replace(tzinfo=None), BACK.replace(tzinfo=None), timezones=st.just(UTC)), st.integers(0, 30))
def test_no_day_is_believed_further_back_than_the_canteen_allows(stated: datetime, days: int) -> None:
    if not doubt(replace(HONEST, stated=stated, days=days, mono_ms=60_000)):
        assert HONEST.arrived - stated <= max(timedelta(days=days), timedelta(minutes=15))
