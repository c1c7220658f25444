"""Conditions in CEL: what they may ask, how they are checked when a program is read, and how they are asked.

Only what a condition mentions is handed to the library: to make all of an order would cost more than to ask about it.
"""

from collections.abc import Mapping
from datetime import date
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, InstanceOf, WithJsonSchema

from shared.contracts.condition_asking import CelCondition, cel
from shared.contracts.condition_reading import (
    MAX_CHARS,
    NUMBER,
    TEXT,
    Base,
    InvalidConditionError,
    Type,
    read_condition,
)
from shared.contracts.fields import MAX_LINES
from shared.contracts.member import MAX_TAGS
from shared.domain.condition import Activation, ConditionError
from shared.domain.facts import Behaviour, Order, OrderLine
from shared.domain.ids import LineId, MemberId, OrderId
from shared.domain.member import NOBODY, Profile
from shared.domain.time import Calendar, Instant

_MAYBE_TEXT = Type(Base.TEXT, nullable=True)

LINE = Type(
    Base.RECORD,
    fields={
        "sku": TEXT,
        "category": _MAYBE_TEXT,
        "brand": _MAYBE_TEXT,
        "quantity": NUMBER,
        "list_price": NUMBER,
        "discount": NUMBER,
        "tax": NUMBER,
        "paid": NUMBER,
        "paid_in_points": NUMBER,
    },
)
ORDER = Type(
    Base.RECORD,
    fields={
        "paid": NUMBER,
        "shipping": NUMBER,
        "currency": TEXT,
        "channel": _MAYBE_TEXT,
        "store": _MAYBE_TEXT,
        "payment_method": _MAYBE_TEXT,
        "lines": Type(Base.LIST, item=LINE, most=MAX_LINES),
    },
)
OCCURRED_AT = Type(Base.RECORD, fields=dict.fromkeys(("year", "month", "day", "weekday", "hour"), NUMBER))
MEMBER = Type(
    Base.RECORD,
    fields={
        "country": _MAYBE_TEXT,
        "joined": Type(Base.NUMBER, nullable=True),
        "birthday": Type(Base.RECORD, nullable=True, fields={"month": NUMBER, "day": NUMBER}),
        "tags": Type(Base.LIST, item=TEXT, most=MAX_TAGS),
        "tier": _MAYBE_TEXT,
    },
)
BEHAVIOUR = Type(Base.RECORD, fields={"name": TEXT, "order_id": _MAYBE_TEXT, "subject": _MAYBE_TEXT})

OF_ORDERS: Mapping[str, Type] = {"order": ORDER, "occurred_at": OCCURRED_AT, "member": MEMBER}
"""What a condition of a rule or a multiplier may ask about."""
OF_BEHAVIOURS: Mapping[str, Type] = {"behaviour": BEHAVIOUR, "occurred_at": OCCURRED_AT, "member": MEMBER}
"""What a condition of a behaviour may ask about."""


_CALENDAR = Calendar(ZoneInfo("UTC"))
_AT = Instant(0)


def _line(name: str, some: str | None, amount: int) -> OrderLine:
    return OrderLine(
        line_id=LineId(name),
        sku=name,
        category=some,
        brand=some,
        quantity=amount,
        list_price=amount,
        discount=amount,
        tax=amount,
        paid=amount,
        paid_in_points=amount,
    )


_ORDER, _MEMBER = OrderId("o"), MemberId("m")
_SOMEBODY = Profile("gold", (2, 29), "CN", date(1999, 1, 1), frozenset({"a", "b"}))
_FULL_LINES = [_line("a", "a", 100), _line("b", "b", 100)]
_FULL_ORDER = Order(_ORDER, _MEMBER, "USD", 2, 300, 100, "a", "a", _AT, _FULL_LINES, "a")
_LEAST_ORDER = Order(_ORDER, _MEMBER, "USD", 2, 0, 0, None, None, _AT, [_line("a", None, 0)])

Samples = Mapping[str, tuple[Order | Behaviour, Profile]]
"""What a condition must have an answer for, by what it is."""

_SAMPLES_OF_ORDERS: Samples = {
    "an order of two lines that has everything": (_FULL_ORDER, _SOMEBODY),
    "an order of one line for which nothing was paid, of a member of whom nothing is known": (_LEAST_ORDER, NOBODY),
}
_SAMPLES_OF_BEHAVIOURS: Samples = {
    "a behaviour about an order and a subject": (Behaviour(_MEMBER, "a", _ORDER, "a", _AT), _SOMEBODY),
    "a behaviour about nothing, of a member of whom nothing is known": (
        Behaviour(_MEMBER, "a", None, None, _AT),
        NOBODY,
    ),
}


def _compiled(text: str, variables: Mapping[str, Type], samples: Samples) -> CelCondition:
    """Check a condition, by reading it and by asking it about samples. Raises `InvalidConditionError`."""
    reading = read_condition(text, variables)
    try:
        program = cel().compile(reading.flat)
    except Exception as error:
        raise InvalidConditionError(f"it is no CEL: {error}") from error
    condition = CelCondition(text, reading.mentions, reading.steps, program)
    for sample, (fact, profile) in samples.items():
        try:
            condition.holds(Activation(fact, profile, _CALENDAR))
        except ConditionError as error:
            raise InvalidConditionError(
                f"it has no answer for {sample}: {error.__cause__ or error}; say first when it applies, like"
                " order.shipping > 0 && … or size(order.lines) > 1 && …"
            ) from error
    return condition


def condition_of_order(written: object) -> CelCondition:
    """The condition of a rule or a multiplier. Raises `InvalidConditionError`."""
    return _compiled(_text(written), OF_ORDERS, _SAMPLES_OF_ORDERS)


def condition_of_behaviour(written: object) -> CelCondition:
    """The condition of a behaviour. Raises `InvalidConditionError`."""
    return _compiled(_text(written), OF_BEHAVIOURS, _SAMPLES_OF_BEHAVIOURS)


def _text(written: object) -> str:
    if not isinstance(written, str):
        raise InvalidConditionError('write the condition as text, like "order.paid >= 10000"')
    return written


def _schema(example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_CHARS, "examples": [example]})


OrderCondition = Annotated[
    InstanceOf[CelCondition],
    BeforeValidator(condition_of_order),
    _schema("order.paid >= 10000 && member.country == 'CN'"),
]
BehaviourCondition = Annotated[
    InstanceOf[CelCondition],
    BeforeValidator(condition_of_behaviour),
    _schema("behaviour.subject != null && occurred_at.hour < 12"),
]
