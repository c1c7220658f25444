"""The shapes of the answers about orders, for the OpenAPI document."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from services.api.models import Answer, Points, Wallet
from shared.contracts.fields import MAX_NAME_CHARS
from shared.domain.explain import Reason
from shared.domain.facts import RefundReason
from shared.domain.model import Outcome

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)]
MinorUnits = Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})]
Change = Annotated[int, Field(json_schema_extra={"format": "int64"})]


class RatedLine(Answer):
    """A line of an order, with what it earned."""

    line_id: str
    category: str | None
    brand: str | None
    """Null also where no rule asked for brands when the order was rated: then it was not kept."""
    sku: str | None
    """Null also where no rule asked for SKUs."""
    quantity: int
    paid: MinorUnits
    base: MinorUnits
    """What of it counts."""
    points: dict[str, int]
    """By rule, with what multiplied it, and before limits, caps and budgets took what `trimmed` of the order says."""


class MultiplierPart(Answer):
    """What a multiplier added."""

    multiplier: str
    points: Points


class RuleGave(Answer):
    """What a rule gave for an order."""

    rule: str
    wallet: str
    points: Points
    """In all: its own, and what multipliers added."""
    own: Points
    multipliers: list[MultiplierPart]
    trimmed: Points
    """What its limit, caps and budgets took; this was never given."""


class SilentRule(Answer):
    """A rule of the program version that gave nothing, and the first reason."""

    rule: str
    wallet: str
    reason: Reason
    says: str
    """The reason as a sentence."""


class SilentMultiplier(Answer):
    """A multiplier that added nothing, and the first reason."""

    multiplier: str
    reason: Reason
    says: str


class OrderLot(Answer):
    """Points of an order that fall due together, as they are now.

    issued = left + in_balance + expired + taken_back + repaid_debt + taken_otherwise.
    """

    lot: int
    wallet: str
    state: Literal["pending", "active", "ended", "used"]
    issued: Points
    left: Points
    in_balance: Points
    """Of a counter: became part of its balance, which is kept as a whole."""
    pending_until: AwareDatetime | None
    """Null once they are active, or none is left; also where they wait for a behaviour alone."""
    waits_for: str | None
    """The behaviour that makes them active, told of the order; null where they wait for none."""
    expires_at: AwareDatetime | None
    """Null: never."""
    expired: Points
    """Ended unspent, and not set against a refund."""
    taken_back: Points
    """By refunds, of this order or of others; also what had expired already."""
    repaid_debt: Points
    """Went to what the member owed."""
    taken_otherwise: Points
    """By operators, or as a penalty."""


class Taken(Answer):
    """Points that were taken back, and from where."""

    rule: str | None
    wallet: str
    points: Points
    from_: Annotated[
        Literal["pending", "own_lot", "expired", "other_lot", "balance", "debt", "written_off", "cash_offset"],
        Field(alias="from"),
    ]
    """`balance` is a counter, which has no lots. The last three had been spent already."""
    lot: int | None


class RefundedLine(Answer):
    """What a refund gives back of a line: pieces, or money."""

    line_id: str
    quantity: int
    amount: MinorUnits


class RefundEvent(Answer):
    """The CloudEvent that told of it."""

    source: str
    id: str


class RefundOut(Answer):
    """A refund of an order: what it asked for, and what it took."""

    refund_id: str
    event: RefundEvent
    outcome: Outcome
    says: str
    reason: RefundReason
    occurred_at: AwareDatetime
    arrived_at: AwareDatetime
    full: bool
    """It gives back all that is left."""
    lines: list[RefundedLine]
    amount: MinorUnits
    shipping: MinorUnits
    asked: dict[str, Change]
    """By rule, what it takes beyond the refunds before it. Below zero where together they take less."""
    took: list[Taken]
    """Empty where it waited for the order: then see `taken_when_paid`."""


class _Rating(Answer):
    lines: list[RatedLine]
    trimmed: dict[str, Points]
    """By rule, what limits, caps and budgets took of the points of all lines together: this was never given. A rule's
    points by line, less this, are what it gave."""
    rules: list[RuleGave]
    silent_rules: list[SilentRule]
    silent_multipliers: list[SilentMultiplier]
    lots: list[OrderLot]
    taken_when_paid: list[Taken]
    """What refunds that came before the order took as soon as it came."""


class OrderPoints(_Rating):
    """What an order earned, what was taken back, and why."""

    member_id: Name
    order_id: Name
    accepted: bool
    """False where only refunds of it are known, which wait for it."""
    paid_at: AwareDatetime | None
    currency: str | None
    paid: MinorUnits | None
    program_version: int | None
    """The version that rated it, and by which its refunds are counted."""
    as_of: AwareDatetime | None
    refunds: list[RefundOut]


class Preview(_Rating):
    """What an order would come to."""

    member_id: Name
    order_id: Name
    as_of: AwareDatetime
    outcome: Outcome
    says: str
    program_version: int | None
    wallets: dict[str, Wallet]
    """The member's balances after it."""
