"""What rules ask about an order beside its lines and amounts: kept with it, so that it can be explained later."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, TypedDict

from shared.domain.condition import Activation, Condition
from shared.domain.facts import Order
from shared.domain.filters import Birthday, Days, Match
from shared.domain.member import Profile
from shared.domain.multiplier import ByTier, Multiplier

if TYPE_CHECKING:
    from shared.domain.program import Program, Rule


class Asked(StrEnum):
    """Something that a rule or a multiplier may ask about."""

    BRAND = "brand"
    SKU = "sku"
    CHANNEL = "channel"
    STORE = "store"
    PAYMENT_METHOD = "payment_method"
    FIRST_ORDER = "first_order"
    TIER = "tier"
    BIRTHDAY = "birthday"
    UNMET = "unmet"
    """Whether its condition holds."""


# Looking a member up in its enum costs more than all else that is done with it here.
BRAND: Final = Asked.BRAND
SKU: Final = Asked.SKU
CHANNEL: Final = Asked.CHANNEL
STORE: Final = Asked.STORE
PAYMENT_METHOD: Final = Asked.PAYMENT_METHOD
FIRST_ORDER: Final = Asked.FIRST_ORDER
TIER: Final = Asked.TIER
BIRTHDAY: Final = Asked.BIRTHDAY


class Circumstances(TypedDict, total=False):
    """What held when an order was rated. It has what the program asks, under the names in `Asked`, and nothing else.

    A dictionary, because that is what the ledger keeps, and one is made for most orders. Nothing ever changes it.
    """

    channel: str | None
    store: str | None
    payment_method: str | None
    tier: str | None
    first_order: bool
    birthday: bool
    """Whether it was paid on the member's birthday."""
    unmet: Mapping[str, bool]
    """The rules and multipliers whose condition was asked and did not hold; True where it failed."""
    brand: Sequence[str | None]
    """By line."""
    sku: Sequence[str]
    """By line."""


def asked_by_rule(rule: "Rule") -> frozenset[Asked]:
    """What a rule asks about."""
    first = [Asked.FIRST_ORDER] if rule.first_order else []
    return frozenset([*_asked_by_match(rule.match), *first, *_asked_by_condition(rule)])


def asked_by_multiplier(multiplier: Multiplier) -> frozenset[Asked]:
    """What a multiplier asks about."""
    tier = [Asked.TIER] if isinstance(multiplier.factor, ByTier) else []
    return frozenset(
        [*_asked_by_match(multiplier.match), *tier, *_asked_by_days(multiplier.days), *_asked_by_condition(multiplier)]
    )


def asked_by(rules: Iterable["Rule"], multipliers: Iterable[Multiplier]) -> tuple[Asked, ...]:
    """What some rules and multipliers ask about together, each once, always in one order."""
    found = frozenset[Asked]().union(*map(asked_by_rule, rules), *map(asked_by_multiplier, multipliers))
    return tuple(asked for asked in Asked if asked in found)


def circumstances_of(
    order: Order, program: "Program", profile: Profile, *, first_order: bool, about: Activation | None = None
) -> Circumstances:
    """What held for an order, as far as the program asks; `about` has the answers of its conditions."""
    held: Circumstances = {}
    for asked in program.asks:
        if asked is BRAND:
            held["brand"] = [line["brand"] for line in order.lines]
        elif asked is SKU:
            held["sku"] = [line["sku"] for line in order.lines]
        elif asked is CHANNEL:
            held["channel"] = order.channel
        elif asked is STORE:
            held["store"] = order.store
        elif asked is PAYMENT_METHOD:
            held["payment_method"] = order.payment_method
        elif asked is FIRST_ORDER:
            held["first_order"] = first_order
        else:
            _add_who_and_when(held, asked, order, program, profile, about)
    return held


def _add_who_and_when(
    held: Circumstances,
    asked: Literal[Asked.TIER, Asked.BIRTHDAY, Asked.UNMET],
    order: Order,
    program: "Program",
    profile: Profile,
    about: Activation | None,
) -> None:
    if asked is TIER:
        held["tier"] = profile.tier
    elif asked is BIRTHDAY:
        held["birthday"] = profile.has_birthday_on(program.calendar.day_of(order.occurred_at))
    else:
        held["unmet"] = {} if about is None else _unmet(program.conditions, about)


def _unmet(conditions: Sequence[tuple[str, "Condition"]], about: Activation) -> dict[str, bool]:
    unmet: dict[str, bool] = {}
    for name, condition in conditions:
        answer = about.answers.get(condition.expression, True)
        if not answer:
            unmet[name] = answer is None
    return unmet


def _asked_by_match(match: Match) -> list[Asked]:
    names = {name for name, _, _ in match.of_line}
    asked = {
        Asked.BRAND: "brand" in names,
        Asked.SKU: "sku" in names,
        Asked.CHANNEL: match.channels is not None,
        Asked.STORE: match.stores is not None,
        Asked.PAYMENT_METHOD: match.payment_methods is not None,
    }
    return [name for name, does in asked.items() if does]


def _asked_by_condition(part: "Rule | Multiplier") -> list[Asked]:
    return [] if part.when is None else [Asked.UNMET]


def _asked_by_days(days: Days | None) -> list[Asked]:
    return [Asked.BIRTHDAY] if isinstance(days, Birthday) else []
