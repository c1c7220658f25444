"""An account that says that something is due, and has nothing, ends the settling with a word."""

import pytest

from shared.contracts.program import parse_program
from shared.domain.ids import MemberId
from shared.domain.model import Account
from shared.domain.program import Programs
from shared.domain.settle import settle
from shared.domain.time import DAY_US, Instant

PROGRAMS = Programs(
    [
        parse_program(
            """
            program: shop
            version: 1
            effective_from: "2020-01-01T00:00:00Z"
            zone: UTC
            currency: EUR
            wallets:
              points: {spendable: true, expiry: never}
            rules:
              - {id: base, wallet: points, rate: 1}
            """
        ).to_domain()
    ]
)


def test_an_account_that_is_due_for_nothing_is_not_settled_for_ever() -> None:
    due_at = Instant(9000 * DAY_US)
    account = Account(MemberId("alice"), version=1, next_due_at=due_at)
    with pytest.raises(ValueError, match=f"nothing of alice falls due at {due_at}"):
        settle(account, Instant(due_at + 1), PROGRAMS)
