"""What a rule or a multiplier of a program document looks at: orders and lines, times and days."""

from typing import Annotated, Literal, Self, get_args

from pydantic import ConfigDict, Field, model_validator

from shared.contracts.program_fields import Moment, Part, Words
from shared.domain import filters as domain
from shared.domain.time import instant_of

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
"""In the order in which the core counts them, from Monday on."""


class _OrderFilters(Part):
    channels: Words | None = None
    """Orders that came through one of these channels."""
    stores: Words | None = None
    """Orders of one of these stores."""
    payment_methods: Words | None = None
    """Orders that were paid in one of these ways."""

    def to_domain(self) -> domain.Match:
        return domain.Match(**{name: frozenset(words) for name, words in self if words is not None})


class MatchDocument(_OrderFilters):
    """To what a rule applies; a filter that is left out lets everything through."""

    categories: Words | None = None
    """Lines of one of these categories."""
    brands: Words | None = None
    """Lines of one of these brands."""
    skus: Words | None = None
    """Lines with one of these SKUs."""
    exclude_categories: Words | None = None
    """Not the lines of these categories."""
    exclude_brands: Words | None = None
    """Not the lines of these brands."""
    exclude_skus: Words | None = None
    """Not the lines with these SKUs."""


OF_LINES = MatchDocument.model_fields.keys() - _OrderFilters.model_fields.keys()
"""The filters that look at lines."""


class OrderMatchDocument(_OrderFilters):
    """To which orders a multiplier applies; a filter that is left out lets every order through."""

    @model_validator(mode="before")
    @classmethod
    def _no_lines(cls, written: object) -> object:
        of_lines = [name for name in written if name in OF_LINES] if isinstance(written, dict) else []
        if of_lines:
            raise ValueError(
                f"{' and '.join(of_lines)}: a multiplier looks at whole orders, by channels, stores and"
                " payment_methods; for some lines only, write a rule with this match, and name it in rules"
            )
        return written


class WindowDocument(Part):
    """A time in which a rule gives points, or a multiplier makes them more."""

    from_: Annotated[Moment, Field(alias="from")]
    """Its first instant."""
    until: Moment
    """The first instant after it."""

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.until <= self.from_:
            raise ValueError("it ends before it starts; until is the first instant after it")
        return self

    def to_domain(self) -> domain.Window:
        return domain.Window(instant_of(self.from_), instant_of(self.until))


class DaysDocument(Part):
    """Days that come back, in the program's zone: exactly one of `days_of_month` and `weekdays`."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    days_of_month: Annotated[list[Annotated[int, Field(ge=1, le=31)]], Field(min_length=1, max_length=31)] | None = None
    """These days of every month that has them."""
    weekdays: Annotated[list[Weekday], Field(min_length=1, max_length=7)] | None = None
    """These days of every week."""

    @classmethod
    def birthday(cls) -> "DaysDocument":
        """What the word `birthday` stands for: neither of them, which nobody can write."""
        return cls.model_construct()

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.days_of_month is None) == (self.weekdays is None):
            raise ValueError("give exactly one of days_of_month and weekdays, or write birthday")
        return self

    def to_domain(self) -> domain.Days:
        if self.days_of_month is not None:
            return domain.DaysOfMonth(frozenset(self.days_of_month))
        if self.weekdays is not None:
            return domain.Weekdays(frozenset(WEEKDAYS.index(name) for name in self.weekdays))
        return domain.Birthday()
