"""What every CloudEvent says about itself, and how strictly it is read. Messages: `shared.contracts.headers`."""

from typing import Annotated, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from shared.contracts.dates import RFC_3339_INSTANT
from shared.contracts.fields import ATTRIBUTE
from shared.domain.ids import EventId, EventSource

STRICT = ConfigDict(strict=True, use_attribute_docstrings=True, cache_strings="keys")
"""Nothing is converted on the way in: "1" is no number, and true is not 1. Unknown fields are passed over."""


@with_config(STRICT)
class Attributes(TypedDict):
    """What every CloudEvent says about itself."""

    specversion: Literal["1.0"]
    """The version of CloudEvents."""
    id: Annotated[EventId, ATTRIBUTE]
    """Unique within the source. The same source and id again is the same event, and counts once."""
    source: Annotated[EventSource, ATTRIBUTE]
    """Who sent it, as a URI reference: `/shop/online`."""
    time: NotRequired[Annotated[str, Field(pattern=RFC_3339_INSTANT)] | None]
    """When it was written. It decides nothing, but must be an instant where it is there."""
