"""Stretches of time that people ask about. Times are UTC, and edges lie on its quarters of an hour."""

from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from typing import Self

from msgspec import Struct

from agents.usage.rollups import day, quarter_hour

QUARTER, HOUR, DAY = timedelta(minutes=15), timedelta(hours=1), timedelta(days=1)
LONGEST = 366 * DAY
# Beyond them there is nothing to report, and the calendar of datetime ends.
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2199, 12, 31)


def days(first: date | None, last: date | None, today: date) -> tuple[date, date]:
    """Return the first and last day that somebody means who names one of them or both. Raises ValueError."""
    start, end = first or last or today, last or today
    if end < start or end - start >= LONGEST:
        raise ValueError("The last day comes after the first, and at most a year after it.")
    if start < FIRST_DAY or end > LAST_DAY:
        raise ValueError(f"Days lie between {FIRST_DAY} and {LAST_DAY}.")
    return start, end


class Lately(Enum):
    """The periods on offer, each with its length; those of several days begin at midnight."""

    AN_HOUR = "hour", HOUR
    A_DAY = "day", DAY
    DAYS_7 = "7d", 7 * DAY
    DAYS_30 = "30d", 30 * DAY
    DAYS_90 = "90d", 90 * DAY

    def __init__(self, code: str, length: timedelta) -> None:
        self.code = code
        self.length = length


class Stretch(Struct, frozen=True):
    """From `start`, up to `end` and not with it."""

    start: datetime
    end: datetime


class Period(Struct, frozen=True):
    """What is reported on, the stretch before it to compare it with, and the length of a step of its charts."""

    stretch: Stretch
    before: Stretch
    step: timedelta
    open_end: bool

    @classmethod
    def lately(cls, period: Lately, now: datetime) -> Self:
        if period.length > DAY:
            today = Stretch(day(now) - period.length + DAY, day(now) + DAY)
            return cls._under_way(today, now, step=DAY, shift=period.length)
        step = QUARTER if period is Lately.AN_HOUR else HOUR
        return cls._under_way(
            Stretch(quarter_hour(now) - period.length, quarter_hour(now) + QUARTER), now, step=step, shift=None
        )

    @classmethod
    def between(cls, first: date, last: date, now: datetime) -> Self:
        """Return the period of whole days, both included."""
        start, end = (datetime.combine(edge, time(), UTC) for edge in (first, last))
        length = end + DAY - start
        step = HOUR if length <= 2 * DAY else DAY
        if start <= now < start + length:
            return cls._under_way(Stretch(start, day(now) + DAY), now, step=step, shift=length)
        return cls(Stretch(start, start + length), Stretch(start - length, start), step, open_end=False)

    @classmethod
    def _under_way(cls, stretch: Stretch, now: datetime, *, step: timedelta, shift: timedelta | None) -> Self:
        """Return a period that is not over, compared with as much time, to the nearest quarter of an hour."""
        elapsed = max(QUARTER, round((now - stretch.start) / QUARTER) * QUARTER)
        before = stretch.start - (shift or elapsed)
        return cls(stretch, Stretch(before, before + elapsed), step, open_end=True)

    @property
    def steps(self) -> list[datetime]:
        count = -((self.stretch.start - self.stretch.end) // self.step)
        return [self.stretch.start + number * self.step for number in range(count)]
