"""Instants are exact, and a day of a zone starts where its clocks say, whatever they do at midnight."""

from datetime import UTC, date, datetime, timedelta

import pytest

from shared.domain.time import Calendar, Instant, add_months, datetime_of, from_unix_us, instant_of, rfc3339, unix_ms
from tests.property.naive_rating import zone_info

TICK = 1


HALF_AN_HOUR_US = 1_800_000_000


def instant(text: str) -> Instant:
    return instant_of(datetime.fromisoformat(text))


def test_instants_are_exact_microseconds() -> None:
    assert instant("2000-01-01T00:00:00Z") == 0
    assert instant("2000-01-01T00:00:01.000001Z") == 1_000_001
    assert instant("1999-12-31T23:59:59.999999Z") == -1
    # 2100-01-01 is 100 years of 365 days and 25 leap days (2000 to 2096) after 2000-01-01.
    assert instant("2100-01-01T00:00:00.000001Z") == (100 * 365 + 25) * 86_400 * 1_000_000 + 1


def test_unix_time_goes_in_and_out_exactly() -> None:
    # 30 years of 365 days and 7 leap days (1972 to 1996) lie between 1970 and 2000.
    new_year_2000_us = (30 * 365 + 7) * 86_400 * 1_000_000
    assert from_unix_us(new_year_2000_us + 1) == 1
    assert unix_ms(Instant(0)) == new_year_2000_us // 1000
    assert unix_ms(Instant(-1)) == new_year_2000_us // 1000 - 1


def test_an_instant_has_no_offset() -> None:
    assert instant("2026-12-31T23:59:59+08:00") == instant("2026-12-31T15:59:59Z")
    assert datetime_of(instant("2026-12-31T23:59:59+08:00")) == datetime(2026, 12, 31, 15, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("2026-12-31T23:59:59+08:00", "2026-12-31T15:59:59Z"),
        ("2026-12-31T16:00:00.000001Z", "2026-12-31T16:00:00.000001Z"),
        ("2026-12-31T16:00:00.5Z", "2026-12-31T16:00:00.500000Z"),
    ],
)
def test_instants_are_written_in_utc(moment: str, text: str) -> None:
    assert rfc3339(instant(moment)) == text


@pytest.mark.parametrize(
    ("zone", "day", "start", "end"),
    [
        ("UTC", "2026-05-20", "2026-05-20T00:00Z", "2026-05-21T00:00Z"),
        ("Asia/Shanghai", "2026-12-31", "2026-12-30T16:00Z", "2026-12-31T16:00Z"),
        ("Asia/Kathmandu", "2026-05-20", "2026-05-19T18:15Z", "2026-05-20T18:15Z"),
        # The outermost offsets: +14 and −11.
        ("Pacific/Kiritimati", "2026-05-20", "2026-05-19T10:00Z", "2026-05-20T10:00Z"),
        ("Pacific/Midway", "2026-05-20", "2026-05-20T11:00Z", "2026-05-21T11:00Z"),
        # 23 hours, then 25: the clocks change at 02:00.
        ("America/New_York", "2026-03-08", "2026-03-08T05:00Z", "2026-03-09T04:00Z"),
        ("America/New_York", "2026-11-01", "2026-11-01T04:00Z", "2026-11-02T05:00Z"),
        # Half an hour: +11 becomes +10:30, and back.
        ("Australia/Lord_Howe", "2026-04-05", "2026-04-04T13:00Z", "2026-04-05T13:30Z"),
        ("Australia/Lord_Howe", "2026-10-04", "2026-10-03T13:30Z", "2026-10-04T13:00Z"),
        # No midnight: 24:00 of the day before is 01:00.
        ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00Z", "2026-04-24T21:00Z"),
        ("America/Santiago", "2026-09-06", "2026-09-06T04:00Z", "2026-09-07T03:00Z"),
        # Midnight in the middle of the gap: at 23:30 it is 00:30.
        ("America/Toronto", "1919-03-31", "1919-03-31T04:30Z", "1919-04-01T04:00Z"),
        # At 24:00 it is 23:00 again: the day has 25 hours, and the next one begins the second time.
        ("Africa/Cairo", "2026-10-29", "2026-10-28T21:00Z", "2026-10-29T22:00Z"),
        # At 01:00 it is midnight again: the day begins the first time.
        ("America/Havana", "2024-11-03", "2024-11-03T04:00Z", "2024-11-04T05:00Z"),
        # Samoa went from 29 to 31 December: the day between starts and ends where they meet.
        ("Pacific/Apia", "2011-12-29", "2011-12-29T10:00Z", "2011-12-30T10:00Z"),
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00Z", "2011-12-30T10:00Z"),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00Z", "2011-12-31T10:00Z"),
    ],
)
def test_where_a_local_day_starts_and_ends(zone: str, day: str, start: str, end: str) -> None:
    calendar = Calendar(zone_info(zone))
    local = date.fromisoformat(day)
    assert rfc3339(calendar.start_of(local)) == rfc3339(instant(start))
    assert rfc3339(calendar.end_of(local)) == rfc3339(instant(end))
    if start != end:
        assert calendar.day_of(instant(start)) == local
        assert calendar.day_of(Instant(instant(end) - TICK)) == local
        assert calendar.day_of(Instant(instant(start) - TICK)) < local
        assert calendar.day_of(instant(end)) > local


def test_the_day_that_samoa_skipped_has_no_instant() -> None:
    calendar = Calendar(zone_info("Pacific/Apia"))
    turn = instant("2011-12-30T10:00Z")
    assert calendar.day_of(Instant(turn - TICK)) == date(2011, 12, 29)
    assert calendar.day_of(turn) == date(2011, 12, 31)


def test_an_hour_that_comes_twice_stays_in_its_day() -> None:
    cairo = Calendar(zone_info("Africa/Cairo"))
    assert cairo.day_of(instant("2026-10-29T20:59:59Z")) == date(2026, 10, 29)  # 23:59:59, the first time
    assert cairo.day_of(instant("2026-10-29T21:00:00Z")) == date(2026, 10, 29)  # 23:00:00, the second time
    havana = Calendar(zone_info("America/Havana"))
    assert havana.day_of(instant("2024-11-03T04:30:00Z")) == date(2024, 11, 3)  # 00:30, the first time
    assert havana.day_of(instant("2024-11-03T05:30:00Z")) == date(2024, 11, 3)  # 00:30, the second time


@pytest.mark.parametrize(
    "zone", ["Africa/Cairo", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Beirut"]
)
def test_every_hour_of_a_year_lies_in_the_day_that_its_clock_shows(zone: str) -> None:
    calendar, info = Calendar(zone_info(zone)), zone_info(zone)
    first = datetime(2010, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    for hour in range(2 * 366 * 24):
        moment = first + timedelta(hours=hour)
        day = calendar.day_of(instant_of(moment))
        assert day == moment.astimezone(info).date()
        assert calendar.start_of(day) <= instant_of(moment) < calendar.end_of(day)


@pytest.mark.parametrize(
    ("zone", "moment", "hour"),
    [
        # Lord Howe puts its clocks back from 02:00 by half an hour, at 15:00 UTC: 01:30 to 01:59 comes twice.
        ("Australia/Lord_Howe", "2026-04-04T14:59:59.999999Z", 1),
        ("Australia/Lord_Howe", "2026-04-04T15:00:00Z", 1),
        ("Australia/Lord_Howe", "2026-04-04T15:30:00Z", 2),
        # Newfoundland put them on from 00:01 to 01:01, at 03:31 UTC: within an hour of UTC, and of its own.
        ("America/St_Johns", "2010-03-14T03:30:59.999999Z", 0),
        ("America/St_Johns", "2010-03-14T03:31:00Z", 1),
        ("America/St_Johns", "2010-03-14T03:29:59Z", 23),
        ("Asia/Kathmandu", "2026-01-01T18:14:59Z", 23),
        ("Asia/Kathmandu", "2026-01-01T18:15:00Z", 0),
    ],
)
def test_the_hour_that_a_clock_shows(zone: str, moment: str, hour: int) -> None:
    calendar = Calendar(zone_info(zone))
    assert calendar.hour_of(instant(moment)) == hour
    assert calendar.hour_of(instant(moment)) == hour, "also when it is asked again"


@pytest.mark.parametrize("zone", ["Africa/Cairo", "America/New_York", "America/St_Johns", "Pacific/Apia"])
def test_a_day_does_not_depend_on_which_was_asked_for_before(zone: str) -> None:
    """Half an hour before and after each midnight of two years, forwards and backwards."""
    calendar, first = Calendar(zone_info(zone)), date(2010, 1, 1)
    starts = sorted({calendar.start_of(first + timedelta(days=n)) for n in range(730)})
    moments = [Instant(start + shift) for start in starts for shift in (-HALF_AN_HOUR_US, -1, 0, HALF_AN_HOUR_US)]
    alone = [Calendar(zone_info(zone)).day_of(moment) for moment in moments]
    assert [calendar.day_of(moment) for moment in moments] == alone
    assert [calendar.day_of(moment) for moment in reversed(moments)] == alone[::-1]


def test_days_before_the_epoch() -> None:
    calendar = Calendar(zone_info("UTC"))
    assert calendar.day_of(Instant(-1)) == date(1999, 12, 31)
    assert calendar.start_of(date(1999, 12, 31)) == -86_400_000_000


@pytest.mark.parametrize(
    ("day", "months", "moved"),
    [
        ("2026-01-31", 1, "2026-02-28"),
        ("2028-01-31", 1, "2028-02-29"),
        ("2026-01-30", 1, "2026-02-28"),
        ("2026-02-28", 1, "2026-03-28"),
        ("2026-05-31", 1, "2026-06-30"),
        ("2026-11-30", 3, "2027-02-28"),
        ("2026-12-31", 1, "2027-01-31"),
        ("2028-02-29", 12, "2029-02-28"),
        ("2028-02-29", 48, "2032-02-29"),
        ("2026-12-15", 12, "2027-12-15"),
        ("2026-05-20", 0, "2026-05-20"),
    ],
)
def test_months_clamp_to_the_last_day(day: str, months: int, moved: str) -> None:
    assert add_months(date.fromisoformat(day), months) == date.fromisoformat(moved)
