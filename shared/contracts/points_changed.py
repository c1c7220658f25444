"""Outbound: `points-changed` v1. One posting to one member's account, as a CloudEvent in binary mode.

Its id is the posting's place, `<shard>-<pos>`, and its source the installation: read again, it is the same event. Its
subject, partition key and Kafka key are the member id, and its partition is the shard.
"""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.fields import MAX_ATTRIBUTE_CHARS, MAX_NAME_CHARS
from shared.domain.model import BALANCE_LIMIT, Bucket, PostingKind

TYPE: Final = "pointstream.points-changed.v1"
"""The CloudEvents type."""

_UTC_MICROSECONDS = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$"

Text = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)]
Attribute = Annotated[str, Field(min_length=1, max_length=MAX_ATTRIBUTE_CHARS)]
Points = Annotated[int, Field(ge=-BALANCE_LIMIT, le=BALANCE_LIMIT)]
UtcTimestamp = Annotated[str, Field(pattern=_UTC_MICROSECONDS, json_schema_extra={"format": "date-time"})]


def source_of(installation: str) -> str:
    """The CloudEvents source of all events of an installation."""
    return f"/pointstream/{installation}"


def event_id_of(shard: int, pos: int) -> str:
    """The CloudEvents id of a posting."""
    return f"{shard}-{pos}"


class _Sent(BaseModel):
    """What we send is exactly this: every field is always there, and no other."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class CausingEvent(_Sent):
    """The event that a posting comes from, as its producer named it."""

    source: Attribute
    id: Attribute
    type: Attribute


class Movement(_Sent):
    """Points of one wallet that went from one bucket to another."""

    wallet: Text
    """Which kind of points."""
    from_bucket: Annotated[Bucket, Field(alias="from")]
    """The bucket that has less of them now."""
    to_bucket: Annotated[Bucket, Field(alias="to")]
    """The bucket that has more of them now."""
    amount: Annotated[int, Field(ge=1, le=BALANCE_LIMIT)]
    """How many points, always above zero."""
    rule: Text | None
    """The rule of the program that gave them; null where none did."""
    lot_id: Annotated[int, Field(ge=1)] | None
    """The number of the lot within the account; null where no lot is touched."""
    order_id: Text | None
    """The order that the points belong to; null for none."""


class PointsChangedData(_Sent):
    """One posting: what one event, or one due instant, did to one account. All of it, in one record.

    Fields may be added within v1: a reader passes over those that it does not know.
    """

    member_id: Text
    """Whose account it is."""
    shard: Annotated[int, Field(ge=0)]
    """The slice of the ledger that has the account: the partition of this record."""
    pos: Annotated[int, Field(ge=1)]
    """The posting's position in its shard: 1, 2, 3 … without gaps."""
    version: Annotated[int, Field(ge=1)]
    """The account's version after it: 1, 2, 3 … without gaps. Keep the balances of the greatest."""
    kind: PostingKind
    """Why it was made."""
    event: CausingEvent | None
    """The event that it comes from; null when something fell due."""
    order_id: Text | None
    """The order that it comes from; null for none."""
    program_version: Annotated[int, Field(ge=1)]
    """The version of the program that decided it."""
    occurred_at: UtcTimestamp
    """When the event happened, or the instant that fell due."""
    effective_at: UtcTimestamp
    """The instant at which the points move. Within an account it never goes back."""
    recorded_at: UtcTimestamp
    """When the ledger wrote it down."""
    movements: Annotated[list[Movement], Field(min_length=1)]
    """What moved, in order."""
    balances: dict[Text, dict[Bucket, Points]]
    """The account after it: points by wallet and bucket. A bucket that was never touched is missing, and is zero. What
    was issued is negative, and so is debt: the buckets of a wallet sum to zero."""
