"""Kinds of date and instant in events, as text. The patterns take no day that does not exist, so that nothing has to be
parsed to know it."""

from typing import Annotated

from pydantic import Field

_MONTH_DAY = "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
_YEAR = "(19[0-9]{2}|20[0-9]{2}|2100)"
_LEAP_YEAR = "(19(0[48]|[2468][048]|[13579][26])|20([02468][048]|[13579][26]))"

DATE = f"^({_YEAR}-{_MONTH_DAY}|{_LEAP_YEAR}-02-29)$"
"""A calendar date in the years 1900 to 2100."""

YEARLY = f"^({_MONTH_DAY}|02-29)$"
"""A day that comes every year, 29 February in leap years."""

_ANY_LEAP_YEAR = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)"
_OFFSET = "([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"

RFC_3339_INSTANT = (
    f"^([0-9]{{4}}-{_MONTH_DAY}|{_ANY_LEAP_YEAR}-02-29)"
    f"[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\\.[0-9]+)?{_OFFSET}$"
)
"""All that RFC 3339 takes for an instant: any year, any fraction, leap seconds, and t and z in small letters too."""

Date = Annotated[str, Field(pattern=DATE, json_schema_extra={"format": "date"})]
Yearly = Annotated[str, Field(pattern=YEARLY)]
