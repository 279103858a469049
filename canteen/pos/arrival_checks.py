"""Tell, as a sale arrives, whether the close of its period must look at it by itself.

A period has many sales and few of them differ from what the server expects. What is compared here is immutable, so the
close reads the outcome, `sale.to_check`, instead of comparing every sale again; the audit compares all of them.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from canteen.policy.quote import Quote
from canteen.pos import flags
from canteen.pos.orders import Checkout
from canteen.pos.verdicts import Judged

LOOKED_AT: Final = frozenset(
    {
        flags.SELF_DATED, flags.CLOCK, flags.CLOCK_DAY, flags.CLOCK_UNMEASURED,
        flags.CASHIER_UNKNOWN, flags.CASHIER_NO_RIGHT, flags.NOT_LOGGED_IN,
    }
)  # fmt: skip
"""Flags of which a check of the close makes a finding, always or under a condition of its own."""


def payment_differs(order: Checkout) -> bool:
    """Tell whether the payment and what its sales were sold for do not agree."""
    return not order.paid == order.due == sum(int(sale.quote["due"]) for sale in order.sales)


def prices_differ(sold: Quote, own: Quote) -> bool:
    """Tell whether two quotes differ in a figure, or in who pays what of it by which rule."""
    return _figures(sold) != _figures(own)


def stands_out(judged: Judged, *, tablet_day: date, day: date, payment_differs: bool) -> bool:
    """Tell whether the close must look at the sale.

    tablet_day       the day by the tablet's own clock; `day` is the one that the meal counts on
    payment_differs  of the checkout that the sale belongs to
    """
    noted = not LOOKED_AT.isdisjoint(judged.flags)
    skewed = timedelta(milliseconds=abs(judged.times.skew_ms)) > flags.SKEW_NOTED
    refused = any(use["asked"] != use["granted"] for use in judged.uses)
    return (
        payment_differs
        or noted
        or skewed
        or tablet_day != day
        or refused
        or prices_differ(judged.sold, judged.own.quote)
    )


def _figures(quote: Quote) -> tuple[int, int, int, list[tuple[str, str, str, int]]]:
    shares = [(share.fund, share.payer, share.rule, share.fen) for share in quote.shares]
    return quote.list, quote.due, quote.surcharge_fen, shares
