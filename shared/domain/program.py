"""The program: which rules give points, in which wallets, from when and for how long. Versioned, and pure data."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import Literal, NamedTuple, assert_never

from shared.domain.filters import Window
from shared.domain.ids import ProgramVersion, RuleId, Wallet
from shared.domain.model import Order
from shared.domain.program_behaviours import BehaviourRule, Task
from shared.domain.streak import Streak
from shared.domain.time import DAY_US, Calendar, Instant, add_months


@dataclass(frozen=True, slots=True)
class Rate:
    """Points per major unit of the currency, exactly: numerator / denominator."""

    numerator: int
    denominator: int


@dataclass(frozen=True, slots=True)
class Step:
    """`points` for every full `every` minor units that the order has (每满)."""

    every: int
    points: int


@dataclass(frozen=True, slots=True)
class Threshold:
    """`points` once, for an order that has at least `at_least` minor units (满200送50)."""

    at_least: int
    points: int


@dataclass(frozen=True, slots=True)
class PerItem:
    """`points` for every piece, whatever it cost."""

    points: int


Earning = Rate | Step | Threshold | PerItem
"""How many points a rule gives, out of the lines that it counts."""


@dataclass(frozen=True, slots=True)
class Never:
    """Points that stay."""


@dataclass(frozen=True, slots=True)
class AfterDays:
    """Valid through the local day that lies `days` after the day of activation."""

    days: int


@dataclass(frozen=True, slots=True)
class AfterMonths:
    """Valid through the local day that lies `months` after the day of activation, clamped to the month's end."""

    months: int


@dataclass(frozen=True, slots=True)
class EndOfYear:
    """Valid through 31 December, `years_later` years after the year of activation."""

    years_later: int


Expiry = Never | AfterDays | AfterMonths | EndOfYear


@dataclass(frozen=True, slots=True)
class Pending:
    """Points of day D stay pending through D + `days`; with `exact`, for `days` × 24 hours from the payment."""

    days: int
    exact: bool


LineField = Literal["category", "brand", "sku"]


@dataclass(frozen=True, slots=True)
class Match:
    """To what a rule applies. None means any; a line or an order that lacks the field matches only None."""

    categories: frozenset[str] | None = None
    brands: frozenset[str] | None = None
    skus: frozenset[str] | None = None
    channels: frozenset[str] | None = None
    stores: frozenset[str] | None = None
    of_line: tuple[tuple[LineField, frozenset[str]], ...] = field(init=False)
    """Of which fields a line must have one of which values to count, out of an order that counts."""
    every_order: bool = field(init=False)
    """Whether any order will do."""

    def __post_init__(self) -> None:
        wanted: list[tuple[LineField, frozenset[str] | None]] = [
            ("category", self.categories),
            ("brand", self.brands),
            ("sku", self.skus),
        ]
        object.__setattr__(self, "of_line", tuple((name, values) for name, values in wanted if values is not None))
        object.__setattr__(self, "every_order", self.channels is self.stores is None)

    def order(self, order: Order) -> bool:
        """Whether the rule looks at this order at all."""
        return (self.channels is None or order.channel in self.channels) and (
            self.stores is None or order.store in self.stores
        )


class Choice(StrEnum):
    """Which rule of an exclusive group gives its points for an order; of those that would give none, no one is."""

    FIRST = "first"
    """The first in the program's order."""
    BEST = "best"
    """The one that gives the most; of equal ones the first in the program's order."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Gives points of `wallet` for what matches, in orders that are paid `during` a time (None: always).

    Of the rules of a `group`, only one gives its points for an order.
    """

    rule_id: RuleId
    wallet: Wallet
    earning: Earning
    match: Match
    pending: Pending | None
    during: Window | None
    group: str | None
    every_order: bool = field(init=False)
    """Whether it looks at any order, whenever it is paid."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "every_order", self.match.every_order and self.during is None)

    def looks_at(self, order: Order) -> bool:
        """Whether the order was paid in its time, and where it has to be."""
        during = self.during
        in_time = during is None or during.begins_at <= order.occurred_at < during.ends_at
        return in_time and self.match.order(order)


@dataclass(frozen=True, slots=True)
class WalletPolicy:
    """A wallet. Spendable points are kept in lots; a counter (growth) has a lot only while something of it is due."""

    wallet: Wallet
    spendable: bool
    expiry: Expiry


@dataclass(frozen=True, slots=True)
class Base:
    """What counts beyond the money paid for a line after discounts, without tax (SEMANTICS, Accrual)."""

    tax: bool
    paid_in_points: bool
    shipping: bool


class Validity(NamedTuple):
    """When points become active (None: at once) and when they end (None: never)."""

    activates_at: Instant | None
    expires_at: Instant | None


@dataclass(frozen=True, slots=True)
class Program:
    """One version of the program."""

    version: ProgramVersion
    effective_from: Instant
    calendar: Calendar
    currency: str
    base: Base
    wallets: dict[Wallet, WalletPolicy]
    rules: tuple[Rule, ...]
    groups: Mapping[str, Choice]
    allowed_lateness_us: int
    late_tolerance_us: int
    future_tolerance_us: int
    behaviours: tuple[BehaviourRule, ...] = ()
    streaks: tuple[Streak, ...] = ()
    tasks: tuple[Task, ...] = ()
    alike: tuple[tuple[Rule, int], ...] = field(init=False, compare=False)
    """Each rule with the number of the first that earns the same out of the same lines: what one gives, the other gives
    too, and it is computed once an order. Growth mostly counts as the points do."""
    _validity_by_day: dict[tuple[RuleId, date], Validity] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        first: dict[tuple[object, Earning], int] = {}
        alike = [
            (rule, first.setdefault((rule.match.of_line, rule.earning), number))
            for number, rule in enumerate(self.rules)
        ]
        object.__setattr__(self, "alike", tuple(alike))

    def streak(self, name: RuleId) -> Streak | None:
        """The streak of a name; None where this version has none."""
        return next((streak for streak in self.streaks if streak.rule_id == name), None)

    def validity(self, rule: Rule, paid_at: Instant, day: date) -> Validity:
        """From when until when points are good that `rule` gives for a payment at `paid_at`, on the local `day`."""
        if rule.pending is not None and rule.pending.exact:
            activates_at = Instant(paid_at + rule.pending.days * DAY_US)
            expiry = self.wallets[rule.wallet].expiry
            return Validity(activates_at, self._end(expiry, self.calendar.day_of(activates_at)))
        validity = self._validity_by_day.get((rule.rule_id, day))
        if validity is None:
            expiry = self.wallets[rule.wallet].expiry
            validity = self._validity_by_day[rule.rule_id, day] = self._of_day(rule.pending, expiry, day)
        return validity

    def _of_day(self, pending: Pending | None, expiry: Expiry, day: date) -> Validity:
        if pending is None:
            return Validity(None, self._end(expiry, day))
        active_day = day + timedelta(days=pending.days + 1)
        return Validity(self.calendar.start_of(active_day), self._end(expiry, active_day))

    def _end(self, expiry: Expiry, active_day: date) -> Instant | None:
        match expiry:
            case Never():
                return None
            case AfterDays(days):
                return self.calendar.end_of(active_day + timedelta(days=days))
            case AfterMonths(months):
                return self.calendar.end_of(add_months(active_day, months))
            case EndOfYear(years_later):
                return self.calendar.end_of(date(active_day.year + years_later, 12, 31))
            case _:
                assert_never(expiry)


class Programs:
    """All versions of an installation's program. An event is decided by the one in force when it happened."""

    __slots__ = ("_by_number", "_starts", "_versions", "allowed_lateness_us")

    def __init__(self, versions: list[Program]) -> None:
        if not versions:
            raise ValueError("at least one program version is needed")
        self._versions = sorted(versions, key=lambda program: (program.effective_from, program.version))
        self._starts = [program.effective_from for program in self._versions]
        self._by_number = {program.version: program for program in versions}
        self.allowed_lateness_us = max(program.allowed_lateness_us for program in versions)
        """The largest of all versions: the watermark and every event use the same."""

    def __len__(self) -> int:
        return len(self._versions)

    def in_force(self, at: Instant) -> Program | None:
        """The version in force at an instant; None before the first."""
        index = bisect_right(self._starts, at)
        return self._versions[index - 1] if index else None

    def version(self, number: ProgramVersion) -> Program:
        """The version of a number, which has decided something before."""
        return self._by_number[number]
