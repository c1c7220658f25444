"""Inbound: `check-in` v1. A member checked in, or used a make-up card for a day that was missed."""

from datetime import date
from typing import Annotated, Literal, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from shared.contracts import cloudevents
from shared.contracts.contract import Contract, instant_in
from shared.contracts.dates import Date
from shared.contracts.fields import ID, Timestamp
from shared.contracts.repeated_keys import left_out_of
from shared.domain.facts import CheckIn
from shared.domain.ids import MemberId, RuleId


@with_config(cloudevents.STRICT)
class CheckInData(TypedDict):
    """A check-in. It counts for the day on which it happened, in the program's zone; each day counts once.

    Unknown fields are passed over.
    """

    member_id: Annotated[MemberId, ID]
    """Who checked in."""
    streak: NotRequired[Annotated[Annotated[RuleId, ID] | None, Field(default=None)]]
    """Which of the program's streaks it is for; may be left out when there is only one."""
    makeup_day: NotRequired[Annotated[Date | None, Field(default=None)]]
    """A missed day, in the program's zone, that a make-up card fills. The day of the card itself is not checked in."""
    occurred_at: Timestamp
    """When the member checked in, or used the card, with an offset. Digits after the microseconds are cut off."""


@with_config(cloudevents.STRICT)
class CheckInEvent(cloudevents.Attributes):
    """The whole event, in either mode."""

    type: Literal["pointstream.check-in.v1"]
    """What happened."""
    data: CheckInData
    """The check-in."""


def _check_in_of(data: CheckInData) -> CheckIn:
    makeup_day = data["makeup_day"]
    return CheckIn(
        data["member_id"],
        data["streak"],
        None if makeup_day is None else date.fromisoformat(makeup_day),
        instant_in(data["occurred_at"], "data.occurred_at"),
    )


CONTRACT = Contract(
    "check-in.v1",
    CheckInEvent,
    CheckInData,
    left_out=left_out_of({"streak": None, "makeup_day": None}),
    fact_of=_check_in_of,
)
TYPE = CONTRACT.type
