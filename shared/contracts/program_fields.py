"""The kinds of value that a program document is made of, each with its limits: rates and money exactly, instants with
their offset, zones out of the pinned data."""

import re
from datetime import datetime
from fractions import Fraction
from importlib.resources import files
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from shared.domain.time import DAY_US, SECOND_US

MAX_DAYS = 36_500
"""A hundred years; anything beyond is meant as `never`."""
MAX_POINTS = 1_000_000
"""What a rule may give for a step, a threshold or a piece; a larger gift is somebody's slip."""
MAX_RATE = 10_000
"""Points per major unit: above it, one order of the largest allowed amount could fill a wallet."""
MAX_FACTOR = 100
"""What one multiplier may do; more is a comma in the wrong place."""
MAX_ORDER_POINTS = 1_000_000_000
"""Up to which the limit of a rule may let it give points for an order; above it, it is none."""

FIRST_INSTANT_YEAR, LAST_INSTANT_YEAR = 1900, 2100
"""In which instants may lie; beyond them is a slip, and the calendar ends."""

MAX_MONEY = 10**9
"""Units of the currency; what a single order never comes to."""

_RATE = r"[0-9]{1,12}(\.[0-9]{1,12}| ?/ ?[0-9]{1,12})?"
_MONEY = r"[0-9]{1,12}(\.[0-9]{1,12})?"

_UNITS_US = {"s": SECOND_US, "m": 60 * SECOND_US, "h": 3600 * SECOND_US, "d": DAY_US}


def _zone(name: str) -> ZoneInfo:
    """The zone out of the pinned `tzdata` package, never the machine's: every machine must find the same midnight."""
    folder = files("tzdata") / "zoneinfo"
    try:
        listed = (files("tzdata") / "zones").read_text().split()
        if name not in listed:
            raise ValueError(f"{name!r} is not an IANA zone; use a name like Asia/Shanghai")
        with folder.joinpath(*name.split("/")).open("rb") as file:
            return ZoneInfo.from_file(file, key=name)
    except OSError as error:
        raise ValueError(f"{name!r} cannot be read from the zone data: {error}") from error


def _rate(text: object) -> Fraction:
    rate = _exactly(str(text), _RATE, "write the rate as a decimal (1.2) or a fraction (6/5)")
    if not 0 < rate <= MAX_RATE or rate.denominator > 10**9:
        raise ValueError(f"a rate is above 0, at most {MAX_RATE}, and has at most nine decimals")
    return rate


def _factor(text: object) -> Fraction:
    factor = _exactly(str(text), _RATE, "write the factor as a decimal (1.2) or a fraction (6/5)")
    if not 1 <= factor <= MAX_FACTOR or factor.denominator > 10**9:
        raise ValueError(f"a factor is at least 1, at most {MAX_FACTOR}, and has at most nine decimals")
    return factor


def _money(text: object) -> Fraction:
    amount = _exactly(str(text), _MONEY, "write an amount of money in units of the currency, like 200 or 19.90")
    if not 0 < amount <= MAX_MONEY:
        raise ValueError(f"an amount of money is above 0, and at most {MAX_MONEY:,}")
    return amount


def _exactly(written: str, form: str, advice: str) -> Fraction:
    """The number that is written in a form. Without one, `1e999999999` would be worked out to its last digit."""
    try:
        if re.fullmatch(form, written, re.ASCII):
            return Fraction(written.replace(" ", ""))
    except ZeroDivisionError:
        pass
    raise ValueError(advice)


def duration_us(text: object) -> int:
    """The microseconds of a duration like 90s or 30d. Raises `ValueError`."""
    written = str(text)
    if len(written) < 2 or written[-1] not in _UNITS_US or not written[:-1].isdecimal() or len(written) > 8:
        raise ValueError("write a duration as a whole number and one of s, m, h, d, like 90s or 30d")
    return int(written[:-1]) * _UNITS_US[written[-1]]


def _instant(text: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise ValueError("write an instant like 2026-01-01T00:00:00+08:00") from error
    if moment.tzinfo is None:
        raise ValueError("an instant needs an offset, like 2026-01-01T00:00:00+08:00")
    if not FIRST_INSTANT_YEAR <= moment.year <= LAST_INSTANT_YEAR:
        raise ValueError(
            f"an instant lies in the years {FIRST_INSTANT_YEAR} to {LAST_INSTANT_YEAR}, like 2026-01-01T00:00:00+08:00"
        )
    return moment


# For a validator in Python, the JSON Schema has to be told what it takes.
Duration = Annotated[
    int,
    BeforeValidator(duration_us),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,7}[smhd]$", "examples": ["90s", "30d"]}),
]
Rate = Annotated[
    Fraction,
    BeforeValidator(_rate),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_RATE},
                {"type": "string", "pattern": f"^{_RATE}$"},
            ],
            "examples": [1, 1.2, "1/2"],
        }
    ),
]
Factor = Annotated[
    Fraction,
    BeforeValidator(_factor),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 1, "maximum": MAX_FACTOR},
                {"type": "string", "pattern": f"^{_RATE}$"},
            ],
            "examples": [2, 1.2, "3/2"],
        }
    ),
]
Money = Annotated[
    Fraction,
    BeforeValidator(_money),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_MONEY},
                {"type": "string", "pattern": f"^{_MONEY}$"},
            ],
            "examples": [200, "19.90"],
        }
    ),
]
Points = Annotated[int, Field(ge=1, le=MAX_POINTS)]
OrderPoints = Annotated[int, Field(ge=1, le=MAX_ORDER_POINTS)]
Moment = Annotated[
    datetime,
    BeforeValidator(_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-01-01T00:00:00+08:00"]}),
]
Zone = Annotated[ZoneInfo, BeforeValidator(_zone), WithJsonSchema({"type": "string", "examples": ["Asia/Shanghai"]})]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
PartName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
"""A name that fits behind the one of a rule and a slash, in the 128 characters that the contracts have for a rule."""
Days = Annotated[int, Field(ge=0, le=MAX_DAYS)]
Words = Annotated[list[Annotated[str, Field(min_length=1, max_length=255)]], Field(min_length=1, max_length=10_000)]


class Part(BaseModel):
    """A part of the document: nothing but what it lists, and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, use_attribute_docstrings=True)
