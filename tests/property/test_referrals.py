"""What a referral comes to follows from what happened, in whatever order it arrives: held against a formula."""

from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.contracts import behaviour, order_paid, refund
from shared.contracts.program import parse_program
from shared.domain.decide import decide_all
from shared.domain.facts import Event, EventRef, Fact, Sweep
from shared.domain.ids import EventId, EventSource, MemberId
from shared.domain.model import Account
from shared.domain.program import Programs
from shared.domain.time import DAY_US, Instant, rfc3339
from tests.property.core import decoded
from tests.support.orders import NOON, data_of

PROGRAM = """
program: shop
version: 1
effective_from: "2020-01-01T00:00:00Z"
zone: UTC
currency: USD
late_tolerance: 36500d
wallets:
  points: {spendable: true, expiry: never}
  growth: {spendable: false, expiry: never}
rules:
  - {id: growth, wallet: growth, rate: 1}
referrals:
  - id: invite
    behaviour: invite
    inviter: {wallet: points, points: 500}
    invited: {wallet: points, points: 200}
    first_order: {from: 50}
    pending: {days: 14}
    times: {per: ever, at_most: 1}
"""
PROGRAMS = Programs([parse_program(PROGRAM).to_domain()])
BEN = MemberId("ben")
FROM_CENTS = 5000
ARRIVAL = NOON + 40 * DAY_US
END = Instant(NOON + 400 * DAY_US)


@dataclass(frozen=True)
class Invitation:
    inviter: str
    day: int


@dataclass(frozen=True)
class Order:
    number: int
    day: int
    cents: int


@dataclass(frozen=True)
class Refund:
    """`cents` of an order are given back; None: everything."""

    number: int
    order: int
    cents: int | None


Happening = Invitation | Order | Refund
DAYS = st.integers(0, 6)


@st.composite
def stories(draw: st.DrawFn, inviters: tuple[str, ...]) -> list[Happening]:
    """Some invitations of ben, some orders of his, and refunds of them."""
    invitations = draw(st.lists(st.builds(Invitation, st.sampled_from(inviters), DAYS), min_size=1, max_size=3))
    orders = [
        Order(number, draw(DAYS), draw(st.sampled_from((4999, 5000, 9000))))
        for number in range(draw(st.integers(0, 3)))
    ]
    refunds = [
        Refund(number, draw(st.integers(0, 2)), draw(st.sampled_from((1, 2000, 4000, None))))
        for number in range(draw(st.integers(0, 3)))
    ]
    return [*dict.fromkeys(invitations), *orders, *refunds]


def expected(story: list[Happening]) -> dict[str, int]:
    """Who has how many points in the end: the earliest inviter and ben, if his first order came after the invitation
    and 50.00 of it are left."""
    invitations = [each for each in story if isinstance(each, Invitation)]
    first = min(
        (each for each in story if isinstance(each, Order)), key=lambda each: (each.day, each.number), default=None
    )
    chosen = min(invitations, key=lambda each: (each.day, each.inviter))
    if first is None or first.day < chosen.day:
        return {}
    back = [each.cents for each in story if isinstance(each, Refund) and each.order == first.number]
    left = 0 if None in back else first.cents - sum(cents or 0 for cents in back)
    return {chosen.inviter: 500, "ben": 200} if left >= FROM_CENTS else {}


def fact_of(happening: Happening) -> Fact:
    match happening:
        case Invitation(inviter, day):
            data: dict[str, Any] = {"member_id": inviter, "behaviour": "invite", "subject": BEN}
            return decoded(behaviour.CONTRACT, data | {"occurred_at": on(day)})
        case Order(number, day, cents):
            return decoded(order_paid.CONTRACT, data_of(f"o{number}", BEN, [cents]) | {"occurred_at": on(day)})
        case Refund(number, order, cents):
            back = {"full": True} if cents is None else {"amount": cents}
            data = {"refund_id": f"r{number}", "order_id": f"o{order}", "member_id": BEN, "currency": "USD"}
            return decoded(refund.CONTRACT, data | {"occurred_at": on(10), **back})


def on(day: int) -> str:
    return rfc3339(Instant(NOON + day * DAY_US))


def has(story: list[Happening], gaps: list[int]) -> dict[str, int]:
    """Who has how many points long after the story, when so many days pass before each arrival."""
    accounts: dict[MemberId, Account] = {}

    def take(event: Event | Sweep) -> None:
        for decision in decide_all(lambda member_id: accounts.get(member_id, Account(member_id)), event, PROGRAMS):
            accounts[decision.account.member_id] = decision.account

    arrived_at = ARRIVAL
    for number, happening in enumerate(story):
        arrived_at += gaps[number % len(gaps)] * DAY_US
        ref = EventRef(EventSource("/shop"), EventId(f"e{number}"), "any")
        take(Event(ref, Instant(arrived_at), fact_of(happening)))
    for member_id in list(accounts):
        take(Sweep(member_id, END))
    points = {member_id: account.balances.get("points", {}) for member_id, account in accounts.items()}
    assert all(set(kinds) <= {"issued", "available", "pending", "clawed_back"} for kinds in points.values())
    return {member_id: kinds["available"] for member_id, kinds in points.items() if kinds.get("available")}


@given(stories(("ann",)).flatmap(st.permutations), st.lists(st.integers(0, 9), min_size=1))
def test_with_one_inviter_the_order_of_arrival_makes_no_difference(story: list[Happening], gaps: list[int]) -> None:
    assert has(story, gaps) == expected(story)


@given(stories(("ann", "cid")), st.randoms(use_true_random=False), st.lists(st.integers(0, 9), min_size=1))
def test_of_several_inviters_the_earliest_counts_if_all_come_before_anything_is_given(
    story: list[Happening], random: Any, gaps: list[int]
) -> None:
    random.shuffle(story)
    invitations_first = sorted(story, key=lambda each: isinstance(each, Order))
    assert has(invitations_first, gaps) == expected(story)
