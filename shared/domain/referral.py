"""Referrals: what a program gives to both sides when a new member is invited, and what is known of such a member."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from shared.domain.filters import Window
from shared.domain.ids import LotId, MemberId, OrderId, ProgramVersion, RuleId, Wallet
from shared.domain.program_behaviours import Times
from shared.domain.tally import TallyKey, first_day
from shared.domain.time import Calendar, Instant


class Reward(NamedTuple):
    """What one side of a referral gets."""

    wallet: Wallet
    points: int


@dataclass(frozen=True, slots=True)
class WaitingDays:
    """How long the points of both sides wait, from the day on which the order was paid: `days` full local days, or with
    `exact` as many times 24 hours."""

    days: int
    exact: bool


@dataclass(frozen=True, slots=True)
class ReferralRule:
    """Rewards an inviter, and the member who was invited, for the first order of that member.

    The inviter's `behaviour` names the member as its subject; it counts when it happened `during` a time (None: at
    any). The order must come to `at_least` minor units after its refunds; None: something of it must be left. An
    inviter is rewarded as often as `times` allows (None: always).
    """

    rule_id: RuleId
    behaviour: str
    inviter: Reward | None
    invited: Reward | None
    at_least: int | None
    pending: WaitingDays | None
    times: Times | None
    during: Window | None

    def applies_at(self, at: Instant) -> bool:
        """Whether an invitation counts that happened at an instant."""
        return self.during is None or self.during.holds(at)

    def tally(self, paid_at: Instant, calendar: Calendar) -> TallyKey | None:
        """Where it is counted that an inviter was rewarded for an order which was paid at an instant; None where
        nothing limits it."""
        if self.times is None:
            return None
        period = first_day(self.times.per, self.during, calendar.day_of(paid_at), calendar)
        return TallyKey(f"{self.rule_id}:{self.times.per}", period)


class FirstOrder(NamedTuple):
    """An order by when it was paid. Of several, the least one is a member's first."""

    paid_at: Instant
    order_id: OrderId


class Given(NamedTuple):
    """That one side has its reward: how many points, and in which lot; None where they are in the balance alone."""

    lot_id: LotId | None
    points: int


@dataclass(frozen=True, slots=True)
class Referral:
    """What is known of a member who was invited: by whom and when, by which rule of which version, and the first order.

    While something is given, `counted_for` is the order for which it was, which then was the first; the points of
    either side have its dates, also when an earlier order turns up.
    """

    inviter: MemberId
    invited_at: Instant
    rule_id: RuleId
    program_version: ProgramVersion
    first_order: FirstOrder | None = None
    counted_for: FirstOrder | None = None
    to_inviter: Given | None = None
    to_invited: Given | None = None

    @property
    def promise(self) -> tuple[MemberId, RuleId, ProgramVersion]:
        """To whom something was promised for the member, and by what."""
        return self.inviter, self.rule_id, self.program_version

    @property
    def is_in_time(self) -> bool:
        """Whether the first order came after the invitation."""
        return self.first_order is not None and self.first_order.paid_at >= self.invited_at

    def with_order(self, order: FirstOrder) -> "Referral":
        """The referral when another order of the member is known."""
        if self.first_order is not None and self.first_order <= order:
            return self
        return replace(self, first_order=order)
