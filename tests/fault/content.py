"""What a ledger says, in a form in which two can be compared: by member, without positions and recorded instants, and
without gifts, which depend on the order of the events."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import orjson

from shared.domain.ids import EventId, EventSource, RefundId
from shared.domain.model import Balances, Outcome
from shared.ledger.database import Pool
from shared.ledger.orders import dump_lines, dump_refund
from shared.ledger.rows import dump_balances
from shared.simulation import Simulation
from tests.fault.events import GIFT

FIRST_DIFFERENCES = 3


@dataclass(frozen=True, slots=True)
class Content:
    """All that the events came to."""

    accounts: Mapping[Any, Any]
    """Version, next due instant and balances, by member."""
    postings: Mapping[Any, Any]
    """By member and version."""
    lots: Mapping[Any, Any]
    """Those in which something is left, or of which something ended unspent, by member and number."""
    debts: Mapping[Any, Any]
    orders: Mapping[Any, Any]
    refunds: Mapping[Any, Any]
    """Outcome and parts, by member, order and number."""
    outcomes: Mapping[Any, Any]
    """By source and id of the event."""
    dead_letters: Mapping[Any, Any]
    """How many, by the path of what was wrong."""

    def differences(self, found: "Content", sent_again: int) -> list[str]:
        """Where `found` differs from this; a sentence for the first of each kind, and how many there are.

        What the platform's producer `sent_again` may be among the dead letters a second time.
        """
        told = []
        for part in fields(self):
            ours, theirs = getattr(self, part.name), getattr(found, part.name)
            if part.name == "dead_letters" and ours.keys() == theirs.keys():
                more = sum(theirs.values()) - sum(ours.values())
                if 0 < more <= sent_again:
                    continue
            keys = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
            if keys:
                told.append(f"{part.name}: {len(keys)} differ of {len(ours)}")
            told += [
                f"{part.name} {key}: expected {ours.get(key)}, found {theirs.get(key)}"
                for key in keys[:FIRST_DIFFERENCES]
            ]
        return told


def content_of_simulation(simulation: Simulation, told_by: Mapping[RefundId, tuple[EventSource, EventId]]) -> Content:
    """What the pure core made of the events; `told_by` is the event that told of each refund."""
    outcomes = {
        (source, event_id): _outcome(outcome)
        for member in simulation.members.values()
        for source, event_id, outcome in member.outcomes
    }
    members = {member_id: member for member_id, member in simulation.members.items() if member.account.version}
    return Content(
        accounts={
            member_id: (member.account.version, member.account.next_due_at, _plain(member.account.balances))
            for member_id, member in members.items()
        },
        postings={
            (member_id, posting.version): (
                posting.kind,
                None if posting.event is None else (posting.event.source, posting.event.event_id),
                posting.order_id,
                posting.program_version,
                posting.occurred_at,
                posting.effective_at,
                posting.next_due_at,
                _plain(posting.balances),
                [
                    (
                        move.wallet,
                        move.from_bucket,
                        move.to_bucket,
                        move.amount,
                        move.rule_id,
                        move.lot_id,
                        move.order_id,
                    )
                    for move in posting.movements
                    if move.wallet != GIFT
                ],
            )
            for member_id, member in members.items()
            for posting in member.postings
        },
        lots={
            (member_id, lot.lot_id): (
                lot.wallet,
                lot.order_id,
                lot.issued,
                lot.remaining,
                lot.activates_at,
                lot.expires_at,
                lot.expired,
            )
            for member_id, member in members.items()
            for lot in member.account.lots.values()
            if lot.remaining or lot.expired
        },
        debts={
            (member_id, number): (debt.wallet, debt.order_id, debt.amount)
            for member_id, member in members.items()
            for number, debt in enumerate(member.account.debts, 1)
        },
        orders={
            (member_id, rated.order_id): (
                rated.occurred_at,
                rated.currency,
                rated.paid,
                rated.program_version,
                _lines(dump_lines(rated)),
            )
            for member_id, member in simulation.members.items()
            for rated in member.orders
        },
        refunds={
            (member_id, order_id, number): (outcomes[told_by[refund.refund_id]], orjson.loads(dump_refund(refund)))
            for member_id, member in simulation.members.items()
            for order_id, known in member.account.orders.items()
            for number, refund in enumerate(known.refunds, 1)
        },
        outcomes=outcomes,
        dead_letters=Counter(refused.path for refused in simulation.refused),
    )


async def content_of_ledger(pool: Pool) -> Content:
    """What the ledger says."""
    movements: dict[tuple[int, int], list[tuple[Any, ...]]] = {}
    for row in await pool.fetch("SELECT * FROM movements ORDER BY shard, pos, seq"):
        if row["wallet"] != GIFT:
            movements.setdefault((row["shard"], row["pos"]), []).append(tuple(row)[3:])
    return Content(
        accounts={
            row["member_id"]: (row["version"], row["next_due_at"], _balances(row["balances"]))
            for row in await pool.fetch("SELECT * FROM accounts")
        },
        postings={
            (row["member_id"], row["version"]): (
                row["kind"],
                None if row["event_id"] is None else (row["source"], row["event_id"]),
                row["order_id"],
                row["program_version"],
                row["occurred_at"],
                row["effective_at"],
                row["next_due_at"],
                _balances(row["balances"]),
                movements.get((row["shard"], row["pos"]), []),
            )
            for row in await pool.fetch("SELECT * FROM postings")
        },
        lots={
            (row["member_id"], row["lot_id"]): tuple(row)[2:]
            for row in await pool.fetch(
                "SELECT member_id, lot_id, wallet, order_id, issued, remaining, activates_at, expires_at, expired"
                " FROM lots WHERE remaining > 0 OR expired > 0"
            )
        },
        debts={
            (row["member_id"], row["debt_no"]): (row["wallet"], row["order_id"], row["amount"])
            for row in await pool.fetch("SELECT * FROM debts")
        },
        orders={
            (row["member_id"], row["order_id"]): (*tuple(row)[2:-1], _lines(row["lines"]))
            for row in await pool.fetch(
                "SELECT member_id, order_id, occurred_at, currency, paid, program_version, lines FROM orders"
            )
        },
        refunds={
            (row["member_id"], row["order_id"], row["refund_no"]): (row["outcome"], orjson.loads(row["parts"]))
            for row in await pool.fetch("SELECT * FROM refunds")
        },
        outcomes={
            (row["source"], row["event_id"]): _outcome(row["outcome"])
            for row in await pool.fetch("SELECT * FROM consumed_events")
        },
        dead_letters=Counter(row["path"] for row in await pool.fetch("SELECT path FROM dead_letters")),
    )


def _plain(balances: Balances) -> Any:
    return _balances(dump_balances(balances))


def _balances(text: bytes | str) -> Any:
    return {wallet: buckets for wallet, buckets in orjson.loads(text).items() if wallet != GIFT}


def _lines(text: bytes | str) -> Any:
    lines = orjson.loads(text)
    for by_rule in (lines["points"], lines.pop("trimmed", {})):
        by_rule.pop(GIFT, None)
    return lines


def _outcome(outcome: str) -> str:
    """Only gifts are trimmed, and whatever gives one gives other points too."""
    return Outcome.POSTED if outcome == Outcome.TRIMMED else outcome
