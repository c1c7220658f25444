"""What a rule or a multiplier looks at: orders and lines by what they are, and the times and days they were paid at."""

from dataclasses import dataclass, field
from datetime import date
from typing import Literal, assert_never

from shared.domain.facts import Order
from shared.domain.member import Profile
from shared.domain.time import Instant

LineField = Literal["category", "brand", "sku"]


OfLine = tuple[tuple[LineField, frozenset[str], bool], ...]
"""Of which fields a line must have one of which values to count (True), or none of them (False)."""


@dataclass(frozen=True, slots=True)
class Match:
    """To what a rule applies. None means any; a line or an order that lacks the field has none of the values."""

    categories: frozenset[str] | None = None
    brands: frozenset[str] | None = None
    skus: frozenset[str] | None = None
    exclude_categories: frozenset[str] | None = None
    exclude_brands: frozenset[str] | None = None
    exclude_skus: frozenset[str] | None = None
    channels: frozenset[str] | None = None
    stores: frozenset[str] | None = None
    payment_methods: frozenset[str] | None = None
    of_line: OfLine = field(init=False)
    """What a line must have to count, out of an order that counts."""
    every_order: bool = field(init=False)
    """Whether any order will do."""

    def __post_init__(self) -> None:
        asked: list[tuple[LineField, frozenset[str] | None, bool]] = [
            ("category", self.categories, True),
            ("brand", self.brands, True),
            ("sku", self.skus, True),
            ("category", self.exclude_categories, False),
            ("brand", self.exclude_brands, False),
            ("sku", self.exclude_skus, False),
        ]
        of_line = tuple((name, values, wanted) for name, values, wanted in asked if values is not None)
        object.__setattr__(self, "of_line", of_line)
        object.__setattr__(self, "every_order", self.channels is self.stores is self.payment_methods is None)

    def order(self, order: Order) -> bool:
        """Whether the rule looks at this order at all."""
        return (
            (self.channels is None or order.channel in self.channels)
            and (self.stores is None or order.store in self.stores)
            and (self.payment_methods is None or order.payment_method in self.payment_methods)
        )


@dataclass(frozen=True, slots=True)
class Window:
    """From an instant (inclusive) to another (exclusive)."""

    begins_at: Instant
    ends_at: Instant

    def holds(self, at: Instant) -> bool:
        """Whether an instant lies in it."""
        return self.begins_at <= at < self.ends_at


@dataclass(frozen=True, slots=True)
class Birthday:
    """The member's birthday."""


@dataclass(frozen=True, slots=True)
class DaysOfMonth:
    """Some days of every month; a month that lacks one of them has no such day."""

    days: frozenset[int]


@dataclass(frozen=True, slots=True)
class Weekdays:
    """Some days of every week; Monday is 0."""

    days: frozenset[int]


Days = Birthday | DaysOfMonth | Weekdays
"""Days that come back."""


def is_on(days: Days, day: date, profile: Profile) -> bool:
    """Whether a local day is one of them, for a member."""
    if isinstance(days, Birthday):
        return profile.has_birthday_on(day)
    if isinstance(days, DaysOfMonth):
        return day.day in days.days
    if isinstance(days, Weekdays):
        return day.weekday() in days.days
    assert_never(days)
