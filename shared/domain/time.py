"""Instants, and the days of a program's zone.

An instant is an integer: microseconds since 2000-01-01T00:00Z, as PostgreSQL keeps them (docs/adr/0001). Integers
compare, sort and add exactly, and cost a tenth of a `datetime`. Days exist only in a zone; `Calendar` is the one place
that turns the one into the other.
"""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final, NewType

Instant = NewType("Instant", int)
"""Microseconds since the first instant of the year 2000, UTC."""

EPOCH: Final = Instant(0)
"""Before everything: no event may have happened earlier."""

NEVER: Final = Instant(2**63 - 1)
"""An instant that does not come by itself; PostgreSQL has it as infinity."""

SECOND_US: Final = 1_000_000
HOUR_US: Final = 3_600 * SECOND_US
DAY_US: Final = 24 * HOUR_US

_UNIX_EPOCH_US = -946_684_800 * SECOND_US
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH_DATE = date(2000, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


def instant_of(moment: datetime) -> Instant:
    """The instant of an aware `moment`. Exact: no float is involved."""
    return Instant((moment - _EPOCH) // _MICROSECOND)


def from_unix_us(unix_us: int) -> Instant:
    """The instant that lies so many microseconds after 1970-01-01T00:00Z."""
    return Instant(unix_us + _UNIX_EPOCH_US)


def unix_ms(instant: Instant) -> int:
    """Whole milliseconds since 1970-01-01T00:00Z, as Kafka counts time."""
    return (instant - _UNIX_EPOCH_US) // 1000


def datetime_of(instant: Instant) -> datetime:
    """The same moment as an aware UTC `datetime`."""
    return _EPOCH + timedelta(microseconds=instant)


def rfc3339(instant: Instant) -> str:
    """The instant as text in UTC, with microseconds only where there are some: `2026-12-31T16:00:00Z`."""
    return datetime_of(instant).isoformat().removesuffix("+00:00") + "Z"


def add_months(day: date, months: int) -> date:
    """`day` moved by whole months; a day that the month lacks becomes its last one (31 Jan + 1 → 28 Feb)."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


class Calendar:
    """The days of one zone. Results are kept, since events of one day ask the same question again and again."""

    __slots__ = ("_days", "_hours", "_starts", "_today", "zone")

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        self._today: tuple[Instant, Instant, date] = (Instant(1), EPOCH, _EPOCH_DATE)
        """The day that was asked for last: from when, until when, and which."""
        self._hours: dict[int, int | None] = {}
        self._starts: dict[date, Instant] = {}
        self._days: dict[int, tuple[tuple[Instant, date], ...]] = {}

    def day_of(self, instant: Instant) -> date:
        """The local day at `instant`. A day that has begun does not end again: where a clock goes back over midnight,
        the hour that is repeated belongs to the new day."""
        begins_at, ends_at, today = self._today
        if begins_at <= instant < ends_at:
            return today
        day = self._day_of(instant)
        self._today = (self.start_of(day), self.end_of(day), day)
        return day

    def _day_of(self, instant: Instant) -> date:
        utc_day = instant // DAY_US
        days = self._days.get(utc_day)
        if days is None:
            days = self._days[utc_day] = self._local_days(utc_day)
        for start, day in days:
            if instant >= start:
                return day
        raise AssertionError("every instant lies in a day")  # pragma: no cover

    def start_of(self, day: date) -> Instant:
        """The first instant of a local date, also where midnight does not exist or exists twice."""
        start = self._starts.get(day)
        if start is None:
            start = self._starts[day] = self._first_instant(day)
        return start

    def end_of(self, day: date) -> Instant:
        """The first instant after a local date: what is valid through `day` ends here, exclusive."""
        return self.start_of(day + timedelta(days=1))

    def _local_days(self, utc_day: int) -> tuple[tuple[Instant, date], ...]:
        """The local dates that touch a UTC day, with their first instants, latest first.

        A local date is at most a day away from the UTC date (offsets lie within ±14 hours).
        """
        middle = _EPOCH_DATE + timedelta(days=utc_day)
        nearby = [middle + timedelta(days=shift) for shift in (1, 0, -1, -2)]
        return tuple((self.start_of(day), day) for day in nearby)

    def _first_instant(self, day: date) -> Instant:
        midnight = datetime(day.year, day.month, day.day, tzinfo=self.zone)
        first = instant_of(midnight)
        if self._local(first) == midnight.replace(tzinfo=None):
            return first
        # Midnight falls into a gap: the day starts where the gap ends, between the two readings of its offset.
        before, after = instant_of(midnight.replace(fold=1)), first
        while before < after:
            middle = Instant((before + after) // 2)
            if self._local(middle).date() >= day:
                after = middle
            else:
                before = Instant(middle + 1)
        return after

    def hour_of(self, instant: Instant) -> int:
        """What the hour hand shows at `instant`, 0 to 23."""
        number = instant // HOUR_US
        if number not in self._hours:
            self._hours[number] = self._offset(number)
        offset_us = self._hours[number]
        if offset_us is None:
            return self._local(instant).hour
        return (instant + offset_us) // HOUR_US % 24

    def _offset(self, number: int) -> int | None:
        """By how much local time is ahead during an hour of UTC, in microseconds; None where that changes in it."""
        first, last = Instant(number * HOUR_US), Instant((number + 1) * HOUR_US - 1)
        offsets = [(self._local(at) - _EPOCH.replace(tzinfo=None)) // _MICROSECOND - at for at in (first, last)]
        return offsets[0] if offsets[0] == offsets[1] else None

    def _local(self, instant: Instant) -> datetime:
        return datetime_of(instant).astimezone(self.zone).replace(tzinfo=None)
