"""What canteens and streets of the demo city write at the desk besides claims: complaints and what else a place does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from canteen import clock
from canteen.db import transaction
from canteen.demo.calendar import Story
from canteen.demo.plants import Act
from canteen.demo.sites import SITES
from canteen.demo.staff import manager_of
from canteen.services import complaints
from canteen.services.complaints import NewComplaint

WORDS = (
    ("12345", "food", "中午的红烧肉偏咸，老人吃不下。"),
    ("visit", "manners", "排队时窗口催得急，老人听不清。"),
    ("phone", "hygiene", "餐桌擦得不干净。"),
)


def acts(story: Story, staff: Mapping[str, str]) -> list[Act]:
    """Make three complaints: one closed, one answered, one of the last day that waits."""
    days = (story.closed[2].first, story.last - timedelta(days=4), story.last)
    found = []
    for n, (day, (channel, category, words)) in enumerate(zip(days, WORDS, strict=True)):
        found.append(Act(clock.instant(day, 9 * 60 + n), _complain(n, channel, category, words, staff)))
    return found


def _complain(n: int, channel: str, category: str, words: str, staff: Mapping[str, str]) -> Callable[[], None]:
    site = SITES[n]

    def run() -> None:
        new = NewComplaint(site.id, clock.today(), channel, category, words)
        street, manager = staff["demo-street"], staff[manager_of(site.operator)]
        with transaction() as session:
            number = complaints.register(session, new, by=street)
            if n < 2:
                complaints.take_step(session, number, "answer", "已查实并整改，向老人致歉。", by=manager)
            if n == 0:
                complaints.take_step(session, number, "close", "电话回访，老人满意。", by=street)

    return run
