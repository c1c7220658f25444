"""Who a member was at an instant follows from all that is known of it, and not from the order in which that came."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.decide import decide
from shared.domain.facts import Behaviour, Event, EventRef, Fact, MemberChange
from shared.domain.ids import EventId, EventSource, MemberId
from shared.domain.member import Profile
from shared.domain.model import Account
from shared.domain.program import Programs
from shared.domain.time import Instant, instant_of
from tests.support.habits import program

SETTINGS = settings(max_examples=300, deadline=None, print_blob=True)

ANN = MemberId("ann")
START = instant_of(datetime(2026, 3, 10, tzinfo=UTC))
ARRIVED_AT = instant_of(datetime(2026, 3, 10, tzinfo=UTC) + timedelta(days=1))
COUNTRIES = ("CN", "DE", "FR")
PROGRAMS = Programs(
    [
        program(
            behaviours=[
                {
                    "id": country.lower(),
                    "behaviour": "visit",
                    "wallet": "points",
                    "points": points,
                    "when": f"member.country == '{country}'",
                }
                for points, country in enumerate(COUNTRIES, 1)
            ]
        )
    ]
)
"""A visit gives as many points as its country's place in the list; nothing where no country is known."""

MINUTES = st.integers(0, 5)
CHANGES = st.lists(
    st.tuples(st.integers(1, 6), MINUTES, st.sampled_from(COUNTRIES)), max_size=6, unique_by=lambda change: change[0]
)
"""Versions of a member, each once: since which minute it is so, and the country."""


def told(account: Account, number: int, fact: Fact) -> tuple[Account, int]:
    """The account after an event, and the points that it gave."""
    event = Event(EventRef(EventSource("/shop"), EventId(f"e{number}"), "any"), ARRIVED_AT, fact)
    decision = decide(account, event, PROGRAMS)
    return decision.account, sum(movement.amount for each in decision.postings for movement in each.movements)


def minute(number: int) -> Instant:
    return Instant(START + number * 60_000_000)


def change_of(version: int, since: int, country: str) -> MemberChange:
    return MemberChange(ANN, version, Profile(country=country), minute(since))


def visits(account: Account) -> list[int]:
    """What a visit in each minute gives."""
    return [told(account, 100, Behaviour(ANN, "visit", None, None, minute(at)))[1] for at in range(6)]


def expected(known: list[tuple[int, int, str]], at: int) -> int:
    """By the greatest version that was so by then."""
    so_far = sorted(change for change in known if change[1] <= at)
    return COUNTRIES.index(so_far[-1][2]) + 1 if so_far else 0


@SETTINGS
@given(CHANGES.flatmap(lambda changes: st.tuples(st.just(changes), st.permutations(changes))))
def test_in_any_order_the_changes_say_the_same_of_each_instant(
    orders: tuple[list[tuple[int, int, str]], list[tuple[int, int, str]]],
) -> None:
    for known in orders:
        account = Account(ANN)
        for number, change in enumerate(known):
            account, _ = told(account, number, change_of(*change))
            assert visits(account) == [expected(known[: number + 1], at) for at in range(6)]


@SETTINGS
@given(CHANGES, st.tuples(st.integers(1, 7), MINUTES, st.sampled_from(COUNTRIES)))
def test_what_became_so_later_says_nothing_of_before(
    changes: list[tuple[int, int, str]], later: tuple[int, int, str]
) -> None:
    account = Account(ANN)
    for number, change in enumerate(changes):
        account, _ = told(account, number, change_of(*change))
    since = later[1]
    before = visits(account)
    account, _ = told(account, 50, change_of(*later))
    assert visits(account)[:since] == before[:since]
