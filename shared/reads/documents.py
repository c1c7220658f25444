"""Balances and statements as documents of plain JSON types. The API sends them, and `pointstream member --json`."""

from collections.abc import Iterable, Mapping

from shared.domain.model import Balances, Bucket, Movement
from shared.domain.time import rfc3339
from shared.ledger.read import StatementEntry
from shared.reads.reader import MemberBalance

Json = Mapping[str, object]


def balance_document(balance: MemberBalance) -> Json:
    """A member's balances."""
    return {
        "member_id": balance.member_id,
        "version": balance.version,
        "as_of": rfc3339(balance.as_of),
        "next_due_at": None if balance.next_due_at is None else rfc3339(balance.next_due_at),
        "wallets": wallets_document(balance.balances),
    }


def wallets_document(balances: Balances) -> dict[str, dict[str, int]]:
    """Each wallet's buckets as amounts that are never negative.

    All buckets of a wallet sum to zero, so lifetime_issued = available + pending + expired + clawed_back + adjusted
    + penalty − debt − written_off − cash_offset.
    """
    return {wallet: _wallet(buckets) for wallet, buckets in balances.items()}


def _wallet(buckets: Mapping[Bucket, int]) -> dict[str, int]:
    return {
        "available": buckets.get(Bucket.AVAILABLE, 0),
        "pending": buckets.get(Bucket.PENDING, 0),
        # Where points come from is kept as a negative number, and so is what is owed or was let go.
        "debt": -buckets.get(Bucket.DEBT, 0),
        "lifetime_issued": -buckets.get(Bucket.ISSUED, 0),
        "expired": buckets.get(Bucket.EXPIRED, 0),
        "clawed_back": buckets.get(Bucket.CLAWED_BACK, 0),
        "adjusted": buckets.get(Bucket.ADJUSTED, 0),
        "penalty": buckets.get(Bucket.PENALTY, 0),
        "written_off": -buckets.get(Bucket.WRITTEN_OFF, 0),
        "cash_offset": -buckets.get(Bucket.CASH_OFFSET, 0),
    }


def entries_document(entries: Iterable[StatementEntry]) -> list[Json]:
    """The entries of a statement."""
    return [_entry(entry) for entry in entries]


def following_document(entries: Iterable[StatementEntry]) -> list[Json]:
    """What follows from an event, each with the member whose account it is."""
    return [{"member_id": entry.posting.member_id, **_entry(entry)} for entry in entries]


def _entry(entry: StatementEntry) -> Json:
    posting = entry.posting
    event = posting.event
    return {
        "version": posting.version,
        "kind": posting.kind.value,
        "occurred_at": rfc3339(posting.occurred_at),
        "effective_at": rfc3339(posting.effective_at),
        "recorded_at": rfc3339(entry.recorded_at),
        "program_version": posting.program_version,
        "order_id": posting.order_id,
        "event": None if event is None else {"source": event.source, "id": event.event_id, "type": event.event_type},
        "movements": [_movement(movement) for movement in posting.movements],
        "balances": wallets_document(posting.balances),
    }


def _movement(movement: Movement) -> Json:
    return {
        "wallet": movement.wallet,
        "from": movement.from_bucket.value,
        "to": movement.to_bucket.value,
        "amount": movement.amount,
        "rule": movement.rule_id,
        "lot": movement.lot_id,
        "order": movement.order_id,
    }
