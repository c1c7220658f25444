"""What a program document says of referrals."""

from collections.abc import Collection, Sequence
from fractions import Fraction
from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.contracts.program_behaviours import TimesDocument
from shared.contracts.program_fields import Days, Money, Name, Part, Points
from shared.contracts.program_filters import WindowDocument
from shared.domain.ids import RuleId, Wallet
from shared.domain.referral import ReferralRule, Reward, WaitingDays
from shared.domain.tally import Period

MAX_REFERRALS = 20


class RewardDocument(Part):
    """What one side gets."""

    wallet: Name
    """Where the points go: one of `wallets`."""
    points: Points
    """How many."""

    def to_domain(self) -> Reward:
        return Reward(Wallet(self.wallet), self.points)


class FirstOrderDocument(Part):
    """What the first order of the invited member must be."""

    from_: Annotated[Money, Field(alias="from")]
    """Units of the currency that the order must come to, like 50; also after what is refunded of it."""


class WindowPendingDocument(Part):
    """Points wait for the return window of the order."""

    days: Days
    """Through the end of the day that is so many days after the payment's."""
    exact: bool = False
    """Instead for so many times 24 hours from the payment."""

    def to_domain(self) -> WaitingDays:
        return WaitingDays(self.days, self.exact)


class ReferralDocument(Part):
    """What an inviter and the invited member get for the first order of the latter."""

    id: Name
    """What the journal calls the rule."""
    behaviour: Name
    """The name under which the platform reports the invitation: a behaviour of the inviter, whose subject is the id of
    the invited member."""
    inviter: RewardDocument | None = None
    """What the inviter gets; nothing when this is left out."""
    invited: RewardDocument | None = None
    """What the invited member gets; nothing when this is left out."""
    first_order: FirstOrderDocument | None = None
    """What the first order must be; any order will do when this is left out."""
    pending: WindowPendingDocument | None = None
    """How long the points of both wait before they can be spent; not at all when this is left out."""
    times: TimesDocument | None = None
    """How often an inviter gets points; every time when this is left out. Beyond it the inviter gets nothing, and the
    invited member all the same. It counts in the period in which the order was paid."""
    during: WindowDocument | None = None
    """When the invitation must have happened; at any time when this is left out."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.inviter is None and self.invited is None:
            raise ValueError("give something to the inviter, to the invited, or to both")
        if self.times is not None and self.inviter is None:
            raise ValueError("times counts how often an inviter gets points, and none gets any; leave it out")
        if self.times is not None and self.times.per is Period.CAMPAIGN and self.during is None:
            raise ValueError("what is counted per campaign needs the campaign's time; give it with during")
        return self

    @property
    def rewards(self) -> dict[str, RewardDocument]:
        """What is given, by the side that gets it."""
        return {side: each for side in ("inviter", "invited") if (each := getattr(self, side)) is not None}

    def money(self) -> Fraction | None:
        """The amount that the first order must come to, in units of the currency."""
        return None if self.first_order is None else self.first_order.from_

    def to_domain(self, minor_units: int) -> ReferralRule:
        """The rule as the core applies it; a unit of the currency has so many minor units."""
        amount = self.money()
        return ReferralRule(
            rule_id=RuleId(self.id),
            behaviour=self.behaviour,
            inviter=None if self.inviter is None else self.inviter.to_domain(),
            invited=None if self.invited is None else self.invited.to_domain(),
            at_least=None if amount is None else int(amount * minor_units),
            pending=None if self.pending is None else self.pending.to_domain(),
            times=None if self.times is None else self.times.to_domain(),
            during=None if self.during is None else self.during.to_domain(),
        )


def check_referrals(
    referrals: Sequence[ReferralDocument], names: Collection[str], wallets: Collection[str], digits: int
) -> None:
    """Each has a name of its own, also among `names`, gives points of a wallet of the program, and speaks of money with
    so many digits.

    Raises `ValueError` with the path of the first that has not.
    """
    seen = set(names)
    for index, referral in enumerate(referrals):
        path = f"referrals[{index}]"
        if referral.id in seen:
            raise ValueError(f"{path}.id: {referral.id!r} is used twice; give each rule and each referral its own name")
        for side, reward in referral.rewards.items():
            if reward.wallet not in wallets:
                raise ValueError(f"{path}.{side}.wallet: {reward.wallet!r} is not one of {', '.join(wallets)}")
        if (amount := referral.money()) is not None and (amount * 10**digits).denominator != 1:
            raise ValueError(f"{path}.first_order.from: the currency has {digits} decimals, and this has more")
        seen.add(referral.id)
