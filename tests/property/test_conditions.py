"""Whatever the reader of conditions accepts, the library answers with true or false, or fails as arithmetic may."""

from dataclasses import replace
from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.condition_asking import CelCondition
from shared.contracts.conditions import InvalidConditionError, condition_of_order
from shared.domain.condition import Activation, ConditionError
from shared.domain.facts import Order
from shared.domain.member import Profile
from tests.unit.test_conditions import ORDER, SHANGHAI, line

NUMBERS = st.sampled_from(
    [
        "order.paid",
        "order.shipping",
        "0",
        "7",
        "-1",
        "occurred_at.hour",
        "size(order.lines)",
        "member.joined",
        "member.birthday.month",
        "order.lines[0].paid",
        "order.lines[1].paid",
        "each.paid",
        "each",
    ]
)
TEXTS = st.sampled_from(
    [
        "'a'",
        "order.currency",
        "order.channel",
        "order.store",
        "member.country",
        "order.lines[0].category",
        "each.category",
        "each",
    ]
)
LISTS = st.sampled_from(["order.lines", "member.tags", "[1, 2]", "['a', 'app']"])
NULLABLE = st.sampled_from(
    [
        "order.channel",
        "order.store",
        "member.country",
        "member.joined",
        "member.birthday",
        "order.lines[0].category",
        "each.category",
    ]
)
LEAVES = st.one_of(
    st.builds("{} {} null".format, NULLABLE, st.sampled_from(["==", "!="])),
    st.builds("{} {} {}".format, NUMBERS, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), NUMBERS),
    st.builds("{} {} {} > {}".format, NUMBERS, st.sampled_from("+-*/%"), NUMBERS, NUMBERS),
    st.builds("{} {} {}".format, TEXTS, st.sampled_from(["==", "!="]), TEXTS),
    st.builds("{}.{}({})".format, TEXTS, st.sampled_from(["startsWith", "endsWith", "contains"]), TEXTS),
    st.builds("{} in {}".format, NUMBERS | TEXTS, LISTS),
)
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds("{} {} {}".format, inner, st.sampled_from(["&&", "||"]), inner),
        st.builds("!({})".format, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
        st.builds("{}.{}(each, {})".format, LISTS, st.sampled_from(["exists", "all", "exists_one"]), inner),
    ),
    max_leaves=6,
)
AMOUNTS = st.sampled_from([0, 5, 10**12])


def maybe(value: str) -> st.SearchStrategy[str | None]:
    return st.sampled_from([None, value])


ORDERS: st.SearchStrategy[Order] = st.builds(
    replace,
    st.just(ORDER),
    paid=AMOUNTS,
    shipping=AMOUNTS,
    channel=maybe("app"),
    store=maybe("a"),
    lines=st.lists(st.builds(line, st.just("tea"), AMOUNTS, maybe("a")), min_size=1, max_size=3),
)
PROFILES = st.builds(
    Profile,
    tier=maybe("gold"),
    birthday=st.sampled_from([None, (2, 29)]),
    country=maybe("CN"),
    joined=st.sampled_from([None, date(2025, 1, 1)]),
    tags=st.sampled_from([frozenset(), frozenset({"a", "b"})]),
)


@given(EXPRESSIONS, st.lists(st.tuples(ORDERS, PROFILES), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_what_is_accepted_has_an_answer(expression: str, about: list[tuple[Order, Profile]]) -> None:
    condition = accepted(expression)
    if condition is not None:
        for order, profile in about:
            assert answer(condition, Activation(order, profile, SHANGHAI)) in (True, False, None), expression


def accepted(expression: str) -> CelCondition | None:
    """The condition; None where the reader refuses it. The library must take whatever the reader does."""
    try:
        return condition_of_order(expression)
    except InvalidConditionError as refusal:
        if "it is no CEL" in str(refusal):
            raise
        return None


def answer(condition: CelCondition, about: Activation) -> bool | None:
    """What it answers; None where it fails as arithmetic may."""
    try:
        return condition.holds(about)
    except ConditionError as error:
        if isinstance(error.__cause__, ArithmeticError | IndexError):
            return None
        raise
