"""Codes noted of a sale as it arrives, and which of them leave its subsidy out of the claim.

Each code is in exactly one of UNCLAIMABLE, RELEASABLE and NOTED. The counter, the corrections and the audit of a closed
period all use these sets; codes written by the counter have the type `Flag`, made only here.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Literal, NewType

Flag = NewType("Flag", str)
FlagOrNone = Flag | Literal[""]

NO_CONTRACT: Final = Flag("no_contract")
OUTSIDE_WINDOW: Final = Flag("outside_window")
CLOSED_DAY: Final = Flag("closed_day")
NO_CREDENTIAL: Final = Flag("no_credential")
CARD_DEAD: Final = Flag("card_dead")
CARD_OF_ANOTHER: Final = Flag("card_of_another")

SELF_DATED: Final = Flag("self_dated")
NOT_LOGGED_IN: Final = Flag("cashier_not_logged_in")

CLOCK: Final = Flag("clock")  # off by more than SKEW_NOTED
CLOCK_DAY: Final = Flag("clock_day")  # the tablet's clock shows another day, or nothing proves the day
CLOCK_UNMEASURED: Final = Flag("clock_unmeasured")
DAY_PROVISIONAL: Final = Flag("day_provisional")  # a rule asks the kind of day, and the year's calendar is not entered
CASHIER_UNKNOWN: Final = Flag("cashier_unknown")
CASHIER_NO_RIGHT: Final = Flag("cashier_no_right")
INPUT_DIFFERS: Final = Flag("input_differs")

# Why a past day is not proven; noted besides SELF_DATED
DATED_OTHERWISE: Final = Flag("dated_otherwise")  # the time stated is of another day than the sale's
DATED_LONG_AGO: Final = Flag("dated_long_ago")  # stamped, but more than a year back
DATED_UNMEASURED: Final = Flag("dated_unmeasured")  # the tablet's clock was not measured in that page load
DATED_TOO_LONG: Final = Flag("dated_too_long")  # alone for longer than the canteen may be
DATED_IN_CONTACT: Final = Flag("dated_in_contact")  # the tablet was heard at that time, and did not bring it
DATED_UNREPORTED: Final = Flag("dated_unreported")  # at a contact the tablet sent no state of itself
DATED_RESTARTED: Final = Flag("dated_restarted")  # not the measured page load, or its monotonic clock does not agree
DATED_NUMBERS: Final = Flag("dated_numbers")  # numbered before that time, or after the first contact that followed
DATED_CLOCK_SET: Final = Flag("dated_clock_set")  # the tablet's clock was set meanwhile
DATED_GAP: Final = Flag("dated_gap")  # records before it are missing, or it follows none
DATED_LATER_CONTACT: Final = Flag("dated_later_contact")  # not brought at the first contact afterwards

SKEW_NOTED: Final = timedelta(minutes=5)
"""A tablet's clock that is off by more is flagged at the counter and named at the close (ruling 4)."""

UNCLAIMABLE: Final = frozenset({NO_CONTRACT, OUTSIDE_WINDOW, CLOSED_DAY, NO_CREDENTIAL, CARD_DEAD, CARD_OF_ANOTHER})
"""Flags for which no subsidy of the sale may ever be claimed."""

RELEASABLE: Final = frozenset({SELF_DATED, NOT_LOGGED_IN})
"""Flags for which a sale claims nothing, and is counted in no limit, until a reviewer releases it."""

CLAIMS_NOTHING: Final = UNCLAIMABLE | RELEASABLE
"""Flags with which no subsidy of a sale went into the claim when it arrived."""

NOT_THEIRS: Final = RELEASABLE | {CARD_DEAD, CARD_OF_ANOTHER}
"""Flags with which the meal may be somebody else's, or of another day: it counts in no limit of the person named."""

DATED: Final = frozenset(
    {
        DATED_OTHERWISE, DATED_LONG_AGO, DATED_UNMEASURED, DATED_TOO_LONG, DATED_IN_CONTACT, DATED_UNREPORTED,
        DATED_RESTARTED, DATED_NUMBERS, DATED_CLOCK_SET, DATED_GAP, DATED_LATER_CONTACT,
    }
)  # fmt: skip
"""Reasons why nothing proves a past day."""

NOTED: Final = DATED | {
    CLOCK, CLOCK_DAY, CLOCK_UNMEASURED, DAY_PROVISIONAL, CASHIER_UNKNOWN, CASHIER_NO_RIGHT, INPUT_DIFFERS,
}  # fmt: skip
"""Flags that leave the claim as it is: they appear in a finding or a remark."""
