"""A posting as a `points-changed` record: the bytes that the contract describes, made by hand for speed."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import orjson

from shared.contracts.points_changed import TYPE
from shared.domain.time import SECOND_US, Instant, datetime_of, unix_ms
from shared.ledger.database import Record


class OutRecord(NamedTuple):
    """A Kafka record of an event in binary mode."""

    key: bytes
    value: bytes
    timestamp_ms: int
    headers: list[tuple[str, bytes]]


def record_of(posting: Record, movements: Sequence[Record], source: bytes) -> OutRecord:
    """The record of one posting with its movements. `source` is the installation's, as bytes."""
    (
        shard,
        pos,
        member_id,
        version,
        kind,
        event_source,
        event_id,
        event_type,
        order_id,
        program_version,
        occurred_at,
        effective_at,
        recorded_at,
        balances,
        _,
    ) = posting
    recorded = _text(recorded_at)
    event = None if event_id is None else {"source": event_source, "id": event_id, "type": event_type}
    value = orjson.dumps(
        {
            "member_id": member_id,
            "shard": shard,
            "pos": pos,
            "version": version,
            "kind": kind,
            "event": event,
            "order_id": order_id,
            "program_version": program_version,
            "occurred_at": _text(occurred_at),
            "effective_at": _text(effective_at),
            "recorded_at": recorded,
            "movements": [
                {
                    "wallet": wallet,
                    "from": from_bucket,
                    "to": to_bucket,
                    "amount": amount,
                    "rule": rule_id,
                    "lot_id": lot_id,
                    "order_id": of_order,
                }
                for _, _, wallet, from_bucket, to_bucket, amount, rule_id, lot_id, of_order in movements
            ],
            "balances": orjson.Fragment(balances),
        }
    )
    key = member_id.encode()
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"%d-%d" % (shard, pos)),
        ("ce_source", source),
        ("ce_type", _TYPE),
        ("ce_time", recorded.encode()),
        ("ce_partitionkey", key),
        ("content-type", b"application/json"),
    ]
    return OutRecord(key, value, unix_ms(recorded_at), headers)


_TYPE = TYPE.encode()


def _text(instant: Instant) -> str:
    """RFC 3339 in UTC, always with microseconds."""
    seconds, microseconds = divmod(instant, SECOND_US)
    return f"{_second(seconds)}.{microseconds:06}Z"


@lru_cache(maxsize=8192)
def _second(seconds: int) -> str:
    """A second since the epoch of instants: what is published at once happened within few of them."""
    return datetime_of(Instant(seconds * SECOND_US)).isoformat()[:19]
