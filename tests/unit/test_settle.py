"""Settling ends, and no posting of it is larger than Kafka takes, however many lots of an account are due at once."""

import pytest

from shared.contracts.program import parse_program
from shared.domain.ids import LotId, MemberId, Wallet
from shared.domain.model import Account, Bucket, Lot
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


POINTS = Wallet("points")
NEW_YEAR = Instant(9000 * DAY_US)


def guests(pending: int, ending: int) -> Account:
    """An account with so many lots of one point that become active at New Year, and so many that end then."""
    lots = [Lot(LotId(number), POINTS, None, 1, 1, NEW_YEAR, None) for number in range(1, pending + 1)]
    lots += [Lot(LotId(pending + number), POINTS, None, 1, 1, None, NEW_YEAR) for number in range(1, ending + 1)]
    balances = {
        POINTS: {Bucket.ISSUED: -pending - ending, Bucket.PENDING: pending, Bucket.AVAILABLE: ending, Bucket.EXPIRED: 0}
    }
    return Account(
        MemberId("guest"),
        version=7,
        lots={lot.lot_id: lot for lot in lots},
        lots_issued=len(lots),
        balances=balances,
        next_due_at=NEW_YEAR,
    )


def test_of_very_many_lots_at_one_instant_a_thousand_are_settled_in_each_posting() -> None:
    account, postings = settle(guests(pending=0, ending=2500), NEW_YEAR, PROGRAMS)
    assert [(posting.version, len(posting.movements)) for posting in postings] == [(8, 1000), (9, 1000), (10, 500)]
    assert {posting.occurred_at for posting in postings} == {NEW_YEAR}
    lots = [movement.lot_id for posting in postings for movement in posting.movements]
    assert lots == list(range(1, 2501))
    assert account.balances[POINTS][Bucket.EXPIRED] == 2500
    assert account.balances[POINTS][Bucket.AVAILABLE] == 0
    assert account.next_due_at is None


def test_also_then_nothing_expires_before_all_is_active_that_becomes_so() -> None:
    account, postings = settle(guests(pending=1500, ending=700), NEW_YEAR, PROGRAMS)
    kinds = [[movement.to_bucket for movement in posting.movements] for posting in postings]
    assert [len(buckets) for buckets in kinds] == [1000, 1000, 200]
    assert [bucket for buckets in kinds for bucket in buckets] == [Bucket.AVAILABLE] * 1500 + [Bucket.EXPIRED] * 700
    assert account.balances[POINTS] == {
        Bucket.ISSUED: -2200,
        Bucket.PENDING: 0,
        Bucket.AVAILABLE: 1500,
        Bucket.EXPIRED: 700,
    }


def test_a_thousand_lots_need_one_posting() -> None:
    _, postings = settle(guests(pending=400, ending=600), NEW_YEAR, PROGRAMS)
    assert [len(posting.movements) for posting in postings] == [1000]
