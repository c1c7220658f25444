"""`adjustment` v1: an operator gives or takes points, or reverses what an event took.

It comes from a command or the API, and through no topic.
"""

from typing import Annotated, Literal, NotRequired

from pydantic import AfterValidator, Field, with_config
from typing_extensions import TypedDict

from shared.contracts import cloudevents
from shared.contracts.contract import Contract, instant_in
from shared.contracts.defect import Defect, Undecodable
from shared.contracts.fields import ATTRIBUTE, ID, Timestamp
from shared.contracts.repeated_keys import left_out_of
from shared.domain.facts import Adjustment, Appeal
from shared.domain.ids import EventId, EventSource, ImportId, LotId, MemberId, Wallet
from shared.domain.model import BALANCE_LIMIT

MAX_REASON_CHARS = 500
"""A sentence or two for whoever reads the journal."""

Reason = Annotated[str, Field(min_length=1, max_length=MAX_REASON_CHARS)]


def _not_zero(points: int) -> int:
    if points == 0:
        raise ValueError("an adjustment gives or takes at least one point")
    return points


@with_config(cloudevents.STRICT)
class ReversedEvent(TypedDict):
    """The event whose penalty, or whose taking of points, is reversed."""

    source: Annotated[EventSource, ATTRIBUTE]
    """Its source."""
    id: Annotated[EventId, ATTRIBUTE]
    """Its id."""


@with_config(cloudevents.STRICT)
class AdjustmentData(TypedDict):
    """An adjustment of one member's points: either so many points of a wallet, or what an event took."""

    adjustment_id: Annotated[str, ID]
    """Unique for the installation. The same again counts once."""
    member_id: Annotated[MemberId, ID]
    """Whose points they are."""
    wallet: NotRequired[Annotated[Wallet, ID]]
    """A wallet of the program."""
    points: NotRequired[Annotated[int, Field(ge=-BALANCE_LIMIT, le=BALANCE_LIMIT), AfterValidator(_not_zero)]]
    """How many points are given, or with a minus taken."""
    actor: Annotated[str, ID]
    """Who did it."""
    reason: Reason
    """Why, for those who read it later."""
    occurred_at: Timestamp
    """When, with an offset."""
    expires_at: NotRequired[Timestamp]
    """When given points end; as the wallet's points do unless it is there."""
    lot_id: NotRequired[Annotated[LotId, Field(ge=1)]]
    """Take from what is left of this lot of the member alone, and no more than that."""
    import_id: NotRequired[Annotated[ImportId, ID]]
    """The import that it belongs to."""
    reverses: NotRequired[ReversedEvent]
    """What this event took from the member comes back, in place of `wallet` and `points`."""


@with_config(cloudevents.STRICT)
class AdjustmentEvent(cloudevents.Attributes):
    """The whole event, in either mode."""

    type: Literal["pointstream.adjustment.v1"]
    """What happened."""
    data: AdjustmentData
    """The adjustment."""


_OF_POINTS = ("wallet", "points", "expires_at", "lot_id", "import_id")
"""What an adjustment has that gives or takes points, and none that reverses an event."""


def _fact_of(data: AdjustmentData) -> Adjustment | Appeal:
    reverses = data.get("reverses")
    if reverses is None:
        return _adjustment_of(data)
    for name in _OF_POINTS:
        if name in data:
            reason = "The event that is reversed says that; leave it out."
            raise Undecodable(Defect.INVALID_FIELD, f"data.{name}", reason)
    at = instant_in(data["occurred_at"], "data.occurred_at")
    key = reverses["source"], reverses["id"]
    return Appeal(data["member_id"], key, data["actor"], data["reason"], at)


def _adjustment_of(data: AdjustmentData) -> Adjustment:
    for name in ("wallet", "points"):
        if name not in data:
            raise Undecodable(Defect.INVALID_FIELD, f"data.{name}", "Field required, unless an event is reversed.")
    expires_at, lot_id = data.get("expires_at"), data.get("lot_id")
    if expires_at is not None and data["points"] < 0:
        raise Undecodable(Defect.INVALID_FIELD, "data.expires_at", "Only points that are given can have an end.")
    if lot_id is not None and data["points"] > 0:
        raise Undecodable(
            Defect.INVALID_FIELD, "data.lot_id", "Points can only be taken from a lot; none are given to it."
        )
    return Adjustment(
        data["member_id"],
        data["wallet"],
        data["points"],
        data["actor"],
        data["reason"],
        instant_in(data["occurred_at"], "data.occurred_at"),
        None if expires_at is None else instant_in(expires_at, "data.expires_at"),
        lot_id,
        data.get("import_id"),
    )


CONTRACT = Contract("adjustment.v1", AdjustmentEvent, AdjustmentData, left_out=left_out_of({}), fact_of=_fact_of)
