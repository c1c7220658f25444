"""The kinds of field that contracts are made of, each with its limits and the reason for them.

Constraints are pydantic's own, which need no Python to run. Lone surrogates are refused by the JSON parser; U+0000 by
one search over the whole message, since a pattern on each string costs an order a tenth of its time.
"""

from typing import Annotated

from pydantic import Field

MAX_MESSAGE_BYTES = 2**20
"""1 MiB, what Kafka's brokers take by default. An order of 500 lines has some 100 KB."""

MAX_ATTRIBUTE_CHARS = 255
"""Event ids and sources are kept for every event ever consumed, in an index."""

MAX_NAME_CHARS = 128
"""Ids, SKUs, categories and the like are kept in indexes and in every journal row."""

MAX_LINES = 500
"""An order is decided and written as one; one of 500 lines still fits well into a batch."""

MAX_AMOUNT = 10**12
"""Minor units. Ten billion in a currency of cents; sums and products of rates stay far inside int64."""

MAX_QUANTITY = 10**9
"""Fits a four-byte integer."""

NO_NUL = r"^[^\u0000]*$"
"""What every string must match. It stands in the schemas; see above for how it is seen to."""

RFC_3339 = (
    r"^(20[0-9]{2}|2100)-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
"""An RFC 3339 instant with upper-case T and Z, in the years 2000 to 2100 as written."""

ID = Field(min_length=1, max_length=MAX_NAME_CHARS, json_schema_extra={"pattern": NO_NUL})
"""Marks a string as an id."""

ATTRIBUTE = Field(min_length=1, max_length=MAX_ATTRIBUTE_CHARS, json_schema_extra={"pattern": NO_NUL})
"""Marks a string as the id or the source of an event."""

Name = Annotated[str, Field(max_length=MAX_NAME_CHARS, json_schema_extra={"pattern": NO_NUL})]
Amount = Annotated[int, Field(ge=0, le=MAX_AMOUNT)]
Timestamp = Annotated[str, Field(pattern=RFC_3339, json_schema_extra={"format": "date-time"})]
