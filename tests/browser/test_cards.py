"""Cards at the counter: a blank one is given out in one go, a lost one stops at once."""

from __future__ import annotations

import pytest

from canteen.db import db, transaction
from canteen.registry import credentials, documents, elders, print_runs
from tests import world
from tests.browser.conftest import Shop
from tests.browser.tills import Till
from tests.registry.people import number

pytestmark = pytest.mark.browser
NUMBER = number("19480612", 124)


def somebody_without_a_card(shop: Shop) -> str:
    """An elder known by an ID number, and the code of a blank card."""
    with shop.inside():
        new = elders.NewElder(
            "周玉兰",
            documents.parse("resident", NUMBER),
            hukou=world.COMMUNITY,
            residence=world.COMMUNITY,
            known_from=world.NOON.date(),
        )
        with transaction() as session:
            elders.register(session, new, "p-admin")
        with transaction() as session:
            batch = credentials.blank(session, 1, "p-admin")
        session = db.session()
        (face,) = print_runs.faces(session, batch)
        return face.code


def test_blank_card_is_bound_at_the_counter_and_sells_at_once(shop: Shop, till: Till) -> None:
    till.scan(somebody_without_a_card(shop))
    till.page.get_by_role("heading", name="这是一张空白卡").wait_for()
    till.press("dialog", NUMBER)
    till.page.click("dialog .primary")
    till.sees("周奶奶")
    till.due("7.00 元")
    till.pay("cash")
    till.sent()
    assert shop.count("sale") == 1


def test_a_lost_card_stops_at_once(shop: Shop, till: Till) -> None:
    code = somebody_without_a_card(shop)
    till.scan(code)
    till.press("dialog", NUMBER)
    till.page.click("dialog .primary")
    till.sees("周奶奶")
    till.page.click("button:has-text('取消这一单')")
    till.page.click("button:has-text('挂失')")
    till.press("dialog", NUMBER)
    till.page.click("dialog .primary")
    till.sees("已挂失")
    till.scan(code)
    till.sees("此卡已停用，请联系社区")


def test_a_number_that_is_not_on_the_roster_gives_no_card(shop: Shop, till: Till) -> None:
    till.scan(somebody_without_a_card(shop))
    till.press("dialog", number("19500101", 126))
    till.page.click("dialog .primary")
    till.sees("名册里没有这个证件号码")
    assert shop.rows("SELECT count(*) FROM credential_fact WHERE kind = 'bound'") == [(2,)]
