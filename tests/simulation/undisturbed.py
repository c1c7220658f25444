"""What the messages come to without workers, stores or sweeps, and whether the ledger came to the same."""

from collections.abc import Sequence
from typing import Any

from aiokafka import TopicPartition

from shared.contracts import adjustment
from shared.domain.ids import MemberId
from shared.domain.model import Outcome, Posting
from shared.domain.time import Instant
from shared.ledger.batch import Consumed, arrival_of
from shared.ledger.orders import dump_lines, dump_refund
from shared.simulation import Simulation
from tests.simulation.postgres import Row
from tests.simulation.system import INPUTS, System
from tests.simulation.workload import PLENTY
from tests.simulation.world import promise

LATENESS_US = PLENTY.programs.allowed_lateness_us

Order = Sequence[tuple[TopicPartition, int] | Consumed]


def order_of_arrival(system: System) -> Order:
    """Partition by partition: where they are keyed by member, the order of each member's messages."""
    return [
        (partition, offset)
        for partition in system.kafka.partitions(*INPUTS)
        for offset in range(len(system.kafka.logs[partition].entries))
    ]


def replay(system: System, order: Order) -> Simulation:
    """What the messages come to without workers, stores or sweeps: one after the other through the core."""
    simulation = Simulation(system.programs)
    for taken in order:
        if isinstance(taken, Consumed):
            decoded = adjustment.CONTRACT.decode(taken.message.value, ())
            simulation.take(decoded, taken.event.arrived_at)
            continue
        partition, offset = taken
        record = system.kafka.logs[partition].entries[offset].record
        if record is not None:
            simulation.feed(record.value, (), arrival_of(record))
    simulation.settle(Instant(system.now() - LATENESS_US))
    return simulation


def check_against(replay: Simulation, system: System, journal: dict[str, list[Row]]) -> None:
    """The ledger has what the replay has: postings, outcomes, dead letters, orders, refunds and write-offs."""
    tables = system.postgres.tables
    for member_id in sorted({*journal, *replay.members}):
        member = replay.members.get(MemberId(member_id))
        expected = [_of_posting(posting) for posting in member.postings] if member else []
        found = [_of_row(row) for row in journal.get(member_id, [])]
        for number, (one, other) in enumerate(zip(expected, found, strict=False), 1):
            promise(one == other, f"{member_id}, version {number}: undisturbed {one}, here {other}")
        promise(len(expected) == len(found), f"{member_id} has {len(found)} postings, undisturbed {len(expected)}")
    outcomes = {
        (source, event_id): _as_replayed(outcome)
        for member in replay.members.values()
        for source, event_id, outcome in member.outcomes
    }
    consumed = {
        (row["source"], row["event_id"]): _as_replayed(row["outcome"]) for row in tables["consumed_events"].values()
    }
    promise(consumed == outcomes, f"events were counted as {consumed}, undisturbed {outcomes}")
    promise(len(tables["dead_letters"]) == len(replay.refused), "dead letters are missing, or too many")
    _check_orders(tables, replay)
    _check_refunds(tables, replay, consumed)
    _check_write_offs(tables, replay)


def _as_replayed(outcome: str) -> str:
    """The replay does not look whose event an appeal names; either way it gives back nothing."""
    return Outcome.NOTHING_TO_REVERSE if outcome == Outcome.EVENT_OF_ANOTHER_MEMBER else outcome


def _check_orders(tables: Any, replay: Simulation) -> None:
    orders = {
        (rated.member_id, rated.order_id): (
            rated.occurred_at,
            rated.currency,
            rated.paid,
            rated.program_version,
            dump_lines(rated),
        )
        for member in replay.members.values()
        for rated in member.orders
    }
    found = {
        (row["member_id"], row["order_id"]): tuple(
            [row[name] for name in ("occurred_at", "currency", "paid", "program_version", "lines")]
        )
        for row in tables["orders"].values()
    }
    promise(found == orders, f"orders are kept as {found}, undisturbed {orders}")


def _check_refunds(tables: Any, replay: Simulation, outcomes: dict[Any, str]) -> None:
    """Each order has the refunds of the replay in their order, and each refund the outcome of its event."""
    refunds = {
        (member_id, order_id, number): dump_refund(refund)
        for member_id, member in replay.members.items()
        for order_id, known in member.account.orders.items()
        for number, refund in enumerate(known.refunds, 1)
    }
    found = {}
    for row in tables["refunds"].values():
        found[row["member_id"], row["order_id"], row["refund_no"]] = row["parts"]
        outcome = outcomes.get((row["source"], row["event_id"]))
        promise(row["outcome"] == outcome, f"refund {row['event_id']} has {row['outcome']}, its event {outcome}")
    promise(found == refunds, f"refunds are kept as {found}, undisturbed {refunds}")


def _check_write_offs(tables: Any, replay: Simulation) -> None:
    """Of each write-off as much is open."""
    expected = {
        (member_id, each.version, each.wallet): (each.order_id, each.amount)
        for member_id, member in replay.members.items()
        for each in member.account.write_offs
    }
    found = {
        (row["member_id"], row["version"], row["wallet"]): (row["order_id"], row["amount"])
        for row in tables["write_offs"].values()
    }
    promise(found == expected, f"write-offs are kept as {found}, undisturbed {expected}")


def _of_posting(posting: Posting) -> dict[str, Any]:
    return {
        "kind": posting.kind,
        "event": None if posting.event is None else posting.event.event_id,
        "order": posting.order_id,
        "program": posting.program_version,
        "occurred_at": posting.occurred_at,
        "effective_at": posting.effective_at,
        "next_due_at": posting.next_due_at,
        "movements": [
            (move.wallet, move.from_bucket, move.to_bucket, move.amount, move.rule_id, move.lot_id, move.order_id)
            for move in posting.movements
        ],
    }


def _of_row(row: Row) -> dict[str, Any]:
    return {
        "kind": row["kind"],
        "event": row["event_id"],
        "order": row["order_id"],
        "program": row["program_version"],
        "occurred_at": row["occurred_at"],
        "effective_at": row["effective_at"],
        "next_due_at": row["next_due_at"],
        "movements": [
            (
                move["wallet"],
                move["from_bucket"],
                move["to_bucket"],
                move["amount"],
                move["rule_id"],
                move["lot_id"],
                move["order_id"],
            )
            for move in row["movements"]
        ],
    }
