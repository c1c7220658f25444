"""The program: which rules give points, in which wallets, from when and for how long. Versioned, and pure data."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple, assert_never

from shared.domain.circumstances import Asked, asked_by
from shared.domain.condition import Activation, Condition
from shared.domain.facts import Order
from shared.domain.filters import Birthday, Match, OfLine, Window
from shared.domain.ids import MultiplierId, ProgramVersion, RuleId, Wallet
from shared.domain.multiplier import ByTier, Multiplier, Stacking
from shared.domain.program_behaviours import BehaviourRule, Task
from shared.domain.program_budgets import Budget, BudgetKey
from shared.domain.program_caps import Cap
from shared.domain.referral import ReferralRule, WaitingDays
from shared.domain.streak import Streak
from shared.domain.tally import TallyKey, first_day
from shared.domain.time import DAY_US, NEVER, Calendar, Instant, add_months


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


class OnRefund(StrEnum):
    """What becomes of a threshold's bonus when something of its order is given back (SEMANTICS, Refunds)."""

    RECOMPUTE = "recompute"
    """It is taken back as soon as what remains is below the threshold."""
    PRORATA = "prorata"
    """It is taken back by line, like everything else."""
    KEEP = "keep"
    """It stays while at least half of what it counted remains."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """`points` once, for an order that has at least `at_least` minor units (满200送50)."""

    at_least: int
    points: int
    on_refund: OnRefund


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
    """Points of day D stay pending through D + `days`; with `exact`, for `days` × 24 hours from the payment.

    With `until` they become active as soon as a behaviour of that name tells of their order, and without `days` not
    before.
    """

    days: int | None
    exact: bool
    until: str | None = None


class Choice(StrEnum):
    """Which rule of an exclusive group gives its points for an order; of those that would give none, no one is."""

    FIRST = "first"
    """The first in the program's order."""
    BEST = "best"
    """The one that gives the most; of equal ones the first in the program's order."""


Selection = tuple[OfLine, bool]
"""What a rule counts of an order: the lines that have what is asked, by their pieces or else by their money."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Gives points of `wallet` for what matches, in orders that are paid `during` a time (None: always).

    Of the rules of a `group`, only one gives its points for an order. With `first_order` it looks only at the first
    accepted order of a member, and with `when` only at orders for which that condition holds. Where it gives points, it
    gives no less than `at_least` and no more than `at_most`.
    """

    rule_id: RuleId
    wallet: Wallet
    earning: Earning
    match: Match
    pending: Pending | None
    during: Window | None
    group: str | None
    first_order: bool = False
    at_least: int = 0
    at_most: int | None = None
    when: Condition | None = None
    every_order: bool = field(init=False)
    """Whether it looks at any order, whoever pays it and when."""
    counts_some: bool = field(init=False)
    """Whether it asks for a threshold that only some lines of an order count towards."""
    of: RuleId = field(init=False)
    """The rule itself, also where this is what a multiplier adds to it, by the name that the journal has for that."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "of", RuleId(self.rule_id.partition("/")[0]))
        every_order = self.match.every_order and self.during is None and self.when is None and not self.first_order
        object.__setattr__(self, "every_order", every_order)
        object.__setattr__(self, "counts_some", bool(self.match.of_line) and isinstance(self.earning, Threshold))

    @property
    def selection(self) -> Selection:
        """What it counts of an order."""
        return self.match.of_line, isinstance(self.earning, PerItem)

    def looks_at(self, order: Order, *, first_order: bool, about: Activation | None) -> bool:
        """Whether the order was paid in its time, where and how it has to be, and is the first one if it has to be;
        and only then, whether its condition holds. `about` is there where a condition may be asked."""
        in_time = self.during is None or self.during.holds(order.occurred_at)
        if not (in_time and (first_order or not self.first_order) and self.match.order(order)):
            return False
        return self.when is None or (about is not None and about.meets(self.when))


@dataclass(frozen=True, slots=True)
class WalletPolicy:
    """A wallet. Spendable points are kept in lots; a counter (growth) has a lot only while something of it is due."""

    wallet: Wallet
    spendable: bool
    expiry: Expiry


class Shortfall(StrEnum):
    """What becomes of points that a refund takes back when the member has spent them (SEMANTICS, Refunds)."""

    DEBT = "debt"
    """The member owes them."""
    CLIP = "clip"
    """They are written off."""
    CASH_OFFSET = "cash_offset"
    """They are told to the shop, which keeps their worth from what it gives back."""


@dataclass(frozen=True, slots=True)
class Refunds:
    """How points are taken back. A refund whose order does not come within `wait_us` is an orphan."""

    shortfall: Shortfall
    wait_us: int


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
    refunds: Refunds
    allowed_lateness_us: int
    late_tolerance_us: int
    future_tolerance_us: int
    stacking: Stacking = Stacking.ADDITIVE
    multipliers: tuple[Multiplier, ...] = ()
    """In the order in which they stack: those by tier come first, then the others as they were given."""
    parts: Mapping[tuple[RuleId, MultiplierId], Rule] = field(init=False, compare=False)
    """For what a multiplier adds to a rule: the rule by the name that the journal has for this part, `base/tier`."""
    caps: tuple[Cap, ...] = ()
    budgets: tuple[Budget, ...] = ()
    behaviours: tuple[BehaviourRule, ...] = ()
    streaks: tuple[Streak, ...] = ()
    tasks: tuple[Task, ...] = ()
    referrals: tuple[ReferralRule, ...] = ()
    selections: tuple[Selection, ...] = field(init=False, compare=False)
    """What its rules count: each is summed up once an order, however many rules count it."""
    alike: tuple[tuple[Rule, int, int], ...] = field(init=False, compare=False)
    """Each rule with the number of the first that earns the same out of the same lines, and that of its selection: what
    one gives, the other gives too, and it is computed once an order. Growth mostly counts as the points do."""
    lot_kinds: Mapping[RuleId, int] = field(init=False, compare=False)
    """Of each rule the number of the first whose points go into the same wallet and wait alike: points of one kind that
    an order gives fall due together, and when that is is found once."""
    thresholds_of_some: bool = field(init=False, compare=False)
    """Whether a rule asks for a threshold that only some lines count towards."""
    limits: bool = field(init=False, compare=False)
    """Whether a rule gives no more than so many points for an order."""
    asks: tuple[Asked, ...] = field(init=False, compare=False)
    """What rules and multipliers ask about an order beside its lines and amounts."""
    conditions: tuple[tuple[str, Condition], ...] = field(init=False, compare=False)
    """The rules for orders and the multipliers that have a condition, by their ids."""
    campaign_caps: bool = field(init=False, compare=False)
    """Whether a cap holds only for what happens in a time."""
    _validity_by_day: dict[tuple[RuleId, date], Validity] = field(init=False, compare=False)
    _caps_by_day: dict[date, list[tuple[Cap, TallyKey | None]]] = field(init=False, compare=False)
    _budgets_by_day: dict[date, list[tuple[BudgetKey, Budget]]] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        multipliers = sorted(self.multipliers, key=lambda multiplier: not isinstance(multiplier.factor, ByTier))
        parts = {
            (rule.rule_id, by.multiplier_id): replace(rule, rule_id=RuleId(f"{rule.rule_id}/{by.multiplier_id}"))
            for by in multipliers
            for rule in self.rules
            if rule.rule_id in by.rules
        }
        selections: dict[Selection, int] = {}
        first: dict[object, int] = {}
        kinds: dict[object, int] = {}
        alike: list[tuple[Rule, int, int]] = []
        lot_kinds: dict[RuleId, int] = {}
        for number, rule in enumerate(self.rules):
            selection = selections.setdefault(rule.selection, len(selections))
            alike.append((rule, first.setdefault(self._what_counts(rule), number), selection))
            lot_kinds[rule.rule_id] = kinds.setdefault((rule.wallet, rule.pending), number)
        object.__setattr__(self, "multipliers", tuple(multipliers))
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "selections", tuple(selections))
        object.__setattr__(self, "alike", tuple(alike))
        object.__setattr__(self, "lot_kinds", lot_kinds)
        object.__setattr__(self, "_validity_by_day", {})
        object.__setattr__(self, "_caps_by_day", {})
        object.__setattr__(self, "_budgets_by_day", {})
        object.__setattr__(self, "campaign_caps", any(cap.during is not None for cap in self.caps))
        object.__setattr__(self, "thresholds_of_some", any(rule.counts_some for rule in self.rules))
        object.__setattr__(self, "limits", any(rule.at_most is not None for rule in self.rules))
        object.__setattr__(self, "asks", asked_by(self.rules, self.multipliers))
        conditions = [
            *((rule.rule_id, rule.when) for rule in self.rules if rule.when is not None),
            *((by.multiplier_id, by.when) for by in self.multipliers if by.when is not None),
        ]
        object.__setattr__(self, "conditions", tuple(conditions))

    def _what_counts(self, rule: Rule) -> object:
        """All on which it depends how much the rule gives for an order that it looks at."""
        multipliers = tuple(by.multiplier_id for by in self.multipliers if rule.rule_id in by.rules)
        return rule.match.of_line, rule.earning, multipliers, rule.at_least, rule.at_most

    @property
    def asks_who(self) -> bool:
        """Whether what it gives for orders depends on the member's profile."""
        if any(condition.asks_who for _, condition in self.conditions):
            return True
        return any(isinstance(by.factor, ByTier) or isinstance(by.days, Birthday) for by in self.multipliers)

    @property
    def awaited(self) -> frozenset[str]:
        """The behaviours for which points of some rule wait."""
        return frozenset(rule.pending.until for rule in self.rules if rule.pending is not None and rule.pending.until)

    def is_late(self, at: Instant, arrived_at: Instant) -> bool:
        """Whether what happened at an instant arrives too late to give points."""
        return arrived_at - at > self.late_tolerance_us

    def streak(self, name: RuleId) -> Streak | None:
        """The streak of a name; None where this version has none."""
        return next((streak for streak in self.streaks if streak.rule_id == name), None)

    def referral_for(self, behaviour: str, at: Instant) -> ReferralRule | None:
        """The rule for which a behaviour is an invitation, None where it is none: of several the first that applies at
        the instant, or else just the first."""
        rules = [rule for rule in self.referrals if rule.behaviour == behaviour]
        return next((rule for rule in rules if rule.applies_at(at)), rules[0] if rules else None)

    def referral(self, rule_id: RuleId) -> ReferralRule:
        """The referral of an id, which this version has."""
        return next(rule for rule in self.referrals if rule.rule_id == rule_id)

    def after_order(self, wallet: Wallet, waiting: WaitingDays | None, paid_at: Instant) -> Validity:
        """From when until when points of a wallet are good that wait for the return window of an order."""
        expiry = self.wallets[wallet].expiry
        if waiting is not None and waiting.exact:
            return self._after_hours(expiry, waiting.days, paid_at)
        pending = None if waiting is None else Pending(waiting.days, exact=False)
        return self._of_day(pending, expiry, self.calendar.day_of(paid_at))

    def validity(self, rule: Rule, paid_at: Instant, day: date) -> Validity:
        """From when until when points are good that `rule` gives for a payment at `paid_at`, on the local `day`."""
        pending = rule.pending
        if pending is not None and pending.exact and pending.days is not None:
            return self._after_hours(self.wallets[rule.wallet].expiry, pending.days, paid_at)
        validity = self._validity_by_day.get((rule.rule_id, day))
        if validity is None:
            expiry = self.wallets[rule.wallet].expiry
            validity = self._validity_by_day[rule.rule_id, day] = self._of_day(rule.pending, expiry, day)
        return validity

    def keyed_caps(self, day: date) -> list[tuple[Cap, TallyKey | None]]:
        """The caps, each with where it counts what happens on a local day; None for one that holds for each order."""
        keyed = self._caps_by_day.get(day)
        if keyed is None:
            keyed = self._caps_by_day[day] = [(cap, self._tally_key(cap, day)) for cap in self.caps]
        return keyed

    def keyed_budgets(self, day: date) -> list[tuple[BudgetKey, Budget]]:
        """The budgets, each with where it counts what happens on a local day."""
        keyed = self._budgets_by_day.get(day)
        if keyed is None:
            keyed = self._budgets_by_day[day] = [
                (BudgetKey(each.budget_id, each.per, first_day(each.per, each.during, day, self.calendar)), each)
                for each in self.budgets
            ]
        return keyed

    def _tally_key(self, cap: Cap, day: date) -> TallyKey | None:
        if cap.per is None:
            return None
        return TallyKey(f"{cap.cap_id}:{cap.per}", first_day(cap.per, cap.during, day, self.calendar))

    def from_day(self, policy: WalletPolicy, day: date) -> Validity:
        """How long points of a wallet are good that are there at once, on a local day."""
        return self._of_day(None, policy.expiry, day)

    def _after_hours(self, expiry: Expiry, days: int, paid_at: Instant) -> Validity:
        activates_at = Instant(paid_at + days * DAY_US)
        return Validity(activates_at, self._end(expiry, self.calendar.day_of(activates_at)))

    def _of_day(self, pending: Pending | None, expiry: Expiry, day: date) -> Validity:
        if pending is None:
            return Validity(None, self._end(expiry, day))
        if pending.days is None:
            return Validity(NEVER, None)
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

    __slots__ = (
        "_by_version",
        "_starts",
        "_versions",
        "allowed_lateness_us",
        "ask_first_order",
        "ask_who",
        "awaited",
        "refer",
    )

    def __init__(self, versions: list[Program]) -> None:
        if not versions:
            raise ValueError("at least one program version is needed")
        self._versions = sorted(versions, key=lambda program: (program.effective_from, program.version))
        self._by_version = {program.version: program for program in versions}
        self._starts = [program.effective_from for program in self._versions]
        self.allowed_lateness_us = max(program.allowed_lateness_us for program in versions)
        """The largest of all versions: the watermark and every event use the same."""
        self.ask_who = any(program.asks_who for program in versions)
        """Whether what an order gives may depend on who its member is."""
        self.awaited = frozenset().union(*(program.awaited for program in versions))
        """The behaviours for which points wait."""
        self.ask_first_order = any(rule.first_order for program in versions for rule in program.rules)
        """Whether what an order gives may depend on whether it is the member's first."""
        self.refer = any(program.referrals for program in versions)
        """Whether an event of one member may move points of another."""

    def __len__(self) -> int:
        return len(self._versions)

    def version(self, version: ProgramVersion) -> Program:
        """The version of that number."""
        return self._by_version[version]

    def in_force(self, at: Instant) -> Program | None:
        """The version in force at an instant; None before the first."""
        index = bisect_right(self._starts, at)
        return self._versions[index - 1] if index else None
