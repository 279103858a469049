"""Choose the months of the demo: three that are closed, and the one that runs. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from canteen import clock
from canteen.clock import Span

MONTHS = 3


@dataclass(frozen=True, slots=True)
class Story:
    """Three closed months, oldest first, and the last day on which meals were eaten: the day before `today`."""

    closed: tuple[Span, Span, Span]
    last: date
    close_day: int
    close_hour: int

    @property
    def first(self) -> date:
        return self.closed[0].first

    @property
    def made_at(self) -> datetime:
        """Return when the city was set up: the morning some weeks before the first meal."""
        return clock.instant(self.first - timedelta(days=20), 9 * 60)

    def close_at(self, month: Span) -> datetime:
        """Return when a month is closed."""
        return clock.instant(month.last + timedelta(days=self.close_day), self.close_hour * 60)

    def days(self) -> list[date]:
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]


def story(today: date, close_day: int = 3, close_hour: int = 6) -> Story:
    """Return the story on the morning of `today`; a month whose close is due only today is still open."""
    newest = Span.month(today.replace(day=1) - timedelta(days=1))
    if today.day <= close_day:
        newest = Span.month(newest.first - timedelta(days=1))
    months = [newest]
    while len(months) < MONTHS:
        months.insert(0, Span.month(months[0].first - timedelta(days=1)))
    return Story((months[0], months[1], months[2]), today - timedelta(days=1), close_day, close_hour)
