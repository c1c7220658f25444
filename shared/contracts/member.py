"""Inbound: `member` v1. What rules may ask about a member, and nothing that names a person."""

from datetime import date
from typing import Annotated, Literal, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from shared.contracts import cloudevents
from shared.contracts.contract import Contract, instant_in
from shared.contracts.dates import Date, Yearly
from shared.contracts.fields import ID, NO_NUL, Timestamp
from shared.contracts.repeated_keys import left_out_of
from shared.domain.facts import MemberChange
from shared.domain.ids import MemberId
from shared.domain.member import Profile

MAX_TAGS = 50
MAX_TAG_CHARS = 64
MAX_VERSION = 2**53 - 1
"""What every JSON reader keeps exactly."""

Tag = Annotated[str, Field(min_length=1, max_length=MAX_TAG_CHARS, json_schema_extra={"pattern": NO_NUL})]


@with_config(cloudevents.STRICT)
class MemberData(TypedDict):
    """All that the platform tells of a member, as it is from `occurred_at` on: what is left out is not known.

    Unknown fields are passed over.
    """

    member_id: Annotated[MemberId, ID]
    """Whom it is about."""
    version: Annotated[int, Field(ge=1, le=MAX_VERSION)]
    """Grows with every change of the member. Of those that were so at an instant the greatest holds, in whatever order
    they come; each counts once."""
    joined: NotRequired[Annotated[Date | None, Field(default=None)]]
    """The day on which the membership began, in the program's zone."""
    birthday: NotRequired[Annotated[Yearly | None, Field(default=None)]]
    """Month and day, like 08-31; never the year."""
    country: NotRequired[Annotated[Annotated[str, Field(pattern="^[A-Z]{2}$")] | None, Field(default=None)]]
    """An ISO 3166-1 alpha-2 code."""
    tags: NotRequired[Annotated[Annotated[list[Tag], Field(max_length=MAX_TAGS)] | None, Field(default=None)]]
    """Groups that the member is in, in the platform's words: `employee`, `student`."""
    occurred_at: Timestamp
    """When the member became so, with an offset: what happened before is rated as if it was not known. Digits after the
    microseconds are cut off."""


@with_config(cloudevents.STRICT)
class MemberEvent(cloudevents.Attributes):
    """The whole event, in either mode."""

    type: Literal["pointstream.member.v1"]
    """What happened."""
    data: MemberData
    """The member."""


def _change_of(data: MemberData) -> MemberChange:
    joined, birthday = data["joined"], data["birthday"]
    profile = Profile(
        birthday=None if birthday is None else (int(birthday[:2]), int(birthday[3:])),
        country=data["country"],
        joined=None if joined is None else date.fromisoformat(joined),
        tags=frozenset(data["tags"] or ()),
    )
    return MemberChange(
        data["member_id"], data["version"], profile, instant_in(data["occurred_at"], "data.occurred_at")
    )


CONTRACT = Contract(
    "member.v1",
    MemberEvent,
    MemberData,
    left_out=left_out_of(dict.fromkeys(("joined", "birthday", "country", "tags"))),
    fact_of=_change_of,
)
TYPE = CONTRACT.type
