"""Inbound: `behaviour` v1. A member did something that the platform reports: a review, a share, an invitation."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from shared.contracts import cloudevents
from shared.contracts.contract import Contract, instant_in
from shared.contracts.fields import ID, Timestamp
from shared.contracts.repeated_keys import left_out_of
from shared.domain.facts import Behaviour
from shared.domain.ids import MemberId, OrderId


@with_config(cloudevents.STRICT)
class BehaviourData(TypedDict):
    """A behaviour. What it gives or takes, and how often, stands in the program. Unknown fields are passed over."""

    member_id: Annotated[MemberId, ID]
    """Who did it."""
    behaviour: Annotated[str, ID]
    """What was done, by the name that the program has for it: `review`. One that it does not have gives nothing."""
    order_id: NotRequired[Annotated[Annotated[OrderId, ID] | None, Field(default=None)]]
    """The order that it was about, such as the one that was reviewed."""
    subject: NotRequired[Annotated[Annotated[str, ID] | None, Field(default=None)]]
    """The id of whom or what else it was about, such as the member who was invited."""
    occurred_at: Timestamp
    """When it was done, with an offset. Digits after the microseconds are cut off."""


@with_config(cloudevents.STRICT)
class BehaviourEvent(cloudevents.Attributes):
    """The whole event, in either mode."""

    type: Literal["pointstream.behaviour.v1"]
    """What happened."""
    data: BehaviourData
    """The behaviour."""


def _behaviour_of(data: BehaviourData) -> Behaviour:
    return Behaviour(
        data["member_id"],
        data["behaviour"],
        data["order_id"],
        data["subject"],
        instant_in(data["occurred_at"], "data.occurred_at"),
    )


CONTRACT = Contract(
    "behaviour.v1",
    BehaviourEvent,
    BehaviourData,
    left_out=left_out_of({"order_id": None, "subject": None}),
    fact_of=_behaviour_of,
)
TYPE = CONTRACT.type
