"""Multipliers: what makes the points of rules more, for a tier, on a day or in a campaign."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from shared.domain.condition import Activation, Condition
from shared.domain.facts import Order
from shared.domain.filters import Days, Match, Window, is_on
from shared.domain.ids import MultiplierId, RuleId
from shared.domain.member import Profile


class Factor(NamedTuple):
    """A rational number of at least 1, exactly: numerator / denominator."""

    numerator: int
    denominator: int


ONE = Factor(1, 1)


@dataclass(frozen=True, slots=True)
class ByTier:
    """The factor of the tier that the member holds; none without a tier, or with another one."""

    factors: Mapping[str, Factor]


class Stacking(StrEnum):
    """What several multipliers come to together."""

    ADDITIVE = "additive"
    """What each adds is of the rule's own points: 1.2 and 2 are 2.2."""
    MULTIPLICATIVE = "multiplicative"
    """Each multiplies what those before it have made: 1.2 and 2 are 2.4."""

    def stack(self, one: Factor, other: Factor) -> Factor:
        """The two together. It is not reduced: that would cost more than it saves."""
        denominator = one.denominator * other.denominator
        if self is Stacking.MULTIPLICATIVE:
            return Factor(one.numerator * other.numerator, denominator)
        more = (other.numerator - other.denominator) * one.denominator
        return Factor(one.numerator * other.denominator + more, denominator)


@dataclass(frozen=True, slots=True)
class Multiplier:
    """Multiplies what `rules` give for an order, where all of its conditions hold. None is no condition."""

    multiplier_id: MultiplierId
    factor: Factor | ByTier
    rules: frozenset[RuleId]
    match: Match
    """Of orders only: a part of an order is not multiplied."""
    during: Window | None
    days: Days | None
    when: Condition | None = None

    def factor_for(self, order: Order, day: date, profile: Profile, about: Activation | None = None) -> Factor | None:
        """By what it multiplies an order that was paid on the local `day`; None where it does not.

        Its condition is asked last; `about` is there where one may be.
        """
        factor = self._factor_by_filters(order, day, profile)
        if factor is None or self.when is None:
            return factor
        return factor if about is not None and about.meets(self.when) else None

    def _factor_by_filters(self, order: Order, day: date, profile: Profile) -> Factor | None:
        if not self.match.order(order):
            return None
        if self.during is not None and not self.during.holds(order.occurred_at):
            return None
        if self.days is not None and not is_on(self.days, day, profile):
            return None
        if isinstance(self.factor, ByTier):
            return None if profile.tier is None else self.factor.factors.get(profile.tier)
        return self.factor
