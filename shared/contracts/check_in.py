"""Inbound: `check-in` v1. A member checked in, or used a make-up card for a day that was missed."""

from typing import Annotated, Final, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from shared.contracts import cloudevents
from shared.contracts.dates import Date
from shared.contracts.fields import ID, Timestamp
from shared.domain.ids import MemberId, RuleId

TYPE: Final = "pointstream.check-in.v1"
"""The CloudEvents type."""


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
