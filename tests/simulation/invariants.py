"""The promises: what is watched in every commit, and what must hold when everything has come to rest."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import orjson
from aiokafka import TopicPartition

from shared.domain.ids import BudgetId, MemberId, ProgramVersion
from shared.domain.model import Bucket, Posting
from shared.domain.time import Instant
from shared.ledger.batch import arrival_of
from shared.ledger.budgets import FOR_EVER
from shared.ledger.orders import dump_lines, dump_refund
from shared.ledger.sharding import shard_of
from shared.simulation import Simulation
from tests.simulation.postgres import Row, Transaction
from tests.simulation.system import EARN, INPUTS, OUTPUT, POSITIONS, SHARDS, System
from tests.simulation.workload import PLENTY
from tests.simulation.world import BrokenPromiseError, Process

VERSION = ProgramVersion(1)
_BUDGET = ("budget_id", "per", "period")

LATENESS_US = PLENTY.programs.allowed_lateness_us


def promise(kept: bool, text: str) -> None:
    """Raises `BrokenPromiseError` for a promise that was broken."""
    if not kept:
        raise BrokenPromiseError(text)


class Monitor:
    """Watches every commit: who posts, in which order the ledger takes messages, that nothing goes back, and that no
    budget is exceeded."""

    def __init__(self, system: System) -> None:
        self.system = system
        self._owners: dict[TopicPartition, Process | None] = {}
        system.postgres.on_commit.append(self._on_commit)

    def _on_commit(self, transaction: Transaction) -> None:
        self._watch_offsets(transaction)
        self._watch_accounts(transaction)
        self._watch_budgets(transaction)

    def _watch_offsets(self, transaction: Transaction) -> None:
        committed = self.system.postgres.tables["consumer_offsets"]
        for key, row in sorted(transaction.writes.get("consumer_offsets", {}).items()):
            assert row is not None
            before = committed.get(key, {"generation": 0, "next_offset": 0})
            partition = TopicPartition(row["topic"], row["partition"])
            if row["generation"] != before["generation"]:
                self._owners[partition] = transaction.process
                continue
            owner = self._owners.get(partition)
            promise(owner is transaction.process, f"{transaction.process} posts for {_name(partition)} of {owner}")
            promise(row["next_offset"] >= before["next_offset"], "an offset goes back")
            self.system.taken.append((partition, before["next_offset"], row["next_offset"]))

    def _watch_accounts(self, transaction: Transaction) -> None:
        committed = self.system.postgres.tables["accounts"]
        for key, row in transaction.writes.get("accounts", {}).items():
            assert row is not None
            before = committed.get(key)
            if before is not None:
                promise(row["version"] > before["version"], f"{key[1]} goes back to version {row['version']}")
                promise(row["settled_to"] >= before["settled_to"], f"{key[1]} is unsettled by an event")

    def _watch_budgets(self, transaction: Transaction) -> None:
        sizes = {budget.budget_id: budget.size for budget in self.system.programs.version(VERSION).budgets}
        for key, used in used_of_budgets(transaction.rows("budgets"), transaction.rows("budget_leases")).items():
            promise(0 <= used <= sizes[BudgetId(key[0])], f"{used} of budget {key} are used")

    def waiting(self) -> str | None:
        """What is still to be done; None when all is at rest."""
        system, tables = self.system, self.system.postgres.tables
        for partition in system.kafka.partitions(*INPUTS):
            row = tables["consumer_offsets"].get((EARN, *partition))
            if (row["next_offset"] if row else 0) < len(system.kafka.logs[partition].entries):
                return f"messages wait in {_name(partition)}"
        watermark = system.now() - LATENESS_US
        for row in tables["accounts"].values():
            if row["next_due_at"] is not None and row["next_due_at"] <= watermark:
                return f"{row['member_id']} is due"
        heads = {row["shard"]: row["pos"] for row in tables["shard_heads"].values()}
        published = published_positions(system)
        for shard, head in heads.items():
            if published.get(shard, 0) < head:
                return f"postings of shard {shard} are not published"
            cursor = system.redis.cursors.get(f"{{sim:{shard}}}:position")
            if cursor is not None and cursor < head:
                return f"Redis is behind in shard {shard}"
        return None


def _name(partition: TopicPartition) -> str:
    return f"{partition.topic}/{partition.partition}"


def published_positions(system: System) -> dict[int, int]:
    """How far each shard is published, by the last committed record of each share."""
    found: dict[int, int] = {}
    for partition in system.kafka.partitions(POSITIONS):
        records, _ = system.kafka.logs[partition].read(0, 10**9, committed=True)
        if records:
            found |= {int(shard): pos for shard, pos in orjson.loads(records[-1].value).items()}
    return found


def check(system: System, *, ordered: bool) -> None:
    """Hold everything against everything, once all is at rest. `ordered`: what each member's messages come to follows
    from their order of arrival."""
    journal = _journal(system)
    _check_books(system, journal)
    _check_budgets(system, journal)
    _check_against_replay(system, journal, _replay(system, _order_of_taking(system)))
    if ordered:
        _check_against_replay(system, journal, _replay(system, _order_of_arrival(system)))
    _check_output(system)
    _check_redis(system, journal)


def _journal(system: System) -> dict[str, list[Row]]:
    """The postings of each member in the order of their versions, with their movements."""
    tables = system.postgres.tables
    movements: dict[Any, list[Row]] = {}
    for row in sorted(tables["movements"].values(), key=lambda row: (row["shard"], row["pos"], row["seq"])):
        movements.setdefault((row["shard"], row["pos"]), []).append(row)
    journal: dict[str, list[Row]] = {}
    for shard in range(SHARDS):
        rows = sorted((row for row in tables["postings"].values() if row["shard"] == shard), key=lambda row: row["pos"])
        positions = [row["pos"] for row in rows]
        promise(positions == list(range(1, len(rows) + 1)), f"positions of shard {shard} have gaps: {positions}")
        promise(
            tables["shard_heads"][(shard,)]["pos"] == len(rows), f"the head of shard {shard} is not its last position"
        )
        for row in rows:
            journal.setdefault(row["member_id"], []).append(row | {"movements": movements[shard, row["pos"]]})
    for member_id, rows in journal.items():
        versions = [row["version"] for row in rows]
        promise(
            versions == list(range(1, len(rows) + 1)), f"versions of {member_id} in the order of positions: {versions}"
        )
        effective = [row["effective_at"] for row in rows]
        promise(effective == sorted(effective), f"effective instants of {member_id} go back")
    return journal


def _check_books(system: System, journal: dict[str, list[Row]]) -> None:
    """Movements = balances = lots and debts, for every member and wallet; the refunds of an order are numbered."""
    tables = system.postgres.tables
    promise(
        {row["member_id"] for row in tables["accounts"].values()} == set(journal), "accounts and journal know others"
    )
    for account in tables["accounts"].values():
        member_id, rows = account["member_id"], journal[account["member_id"]]
        balances = orjson.loads(account["balances"])
        promise(account["version"] == len(rows), f"{member_id} is at version {account['version']} of {len(rows)}")
        sums: dict[str, dict[str, int]] = {}
        for movement in (movement for row in rows for movement in row["movements"]):
            buckets = sums.setdefault(movement["wallet"], {})
            buckets[movement["from_bucket"]] = buckets.get(movement["from_bucket"], 0) - movement["amount"]
            buckets[movement["to_bucket"]] = buckets.get(movement["to_bucket"], 0) + movement["amount"]
        promise(sums == balances, f"movements of {member_id} come to {sums}, the balances are {balances}")
        promise(balances == orjson.loads(rows[-1]["balances"]), f"the last posting of {member_id} says other balances")
        _check_lots(tables, member_id, balances)
    numbers: dict[Any, list[int]] = {}
    for row in tables["refunds"].values():
        numbers.setdefault((row["member_id"], row["order_id"]), []).append(row["refund_no"])
    for order, found in numbers.items():
        promise(sorted(found) == list(range(1, len(found) + 1)), f"the refunds of {order} are numbered {found}")


def used_of_budgets(budgets: Iterable[Row], leases: Iterable[Row]) -> Counter[Any]:
    """What is used of each budget in each period: what was leased of it, but for what leases have left."""
    used = Counter({tuple([row[column] for column in _BUDGET]): row["leased"] for row in budgets})
    for row in leases:
        used[tuple([row[column] for column in _BUDGET])] -= row["unused"]
    return used


def _check_budgets(system: System, journal: dict[str, list[Row]]) -> None:
    """What is used of budgets is what the journal has issued by their rules, less what it took back of orders."""
    tables, program = system.postgres.tables, system.programs.version(VERSION)
    issued: Counter[Any] = Counter()
    for row in (row for rows in journal.values() for row in rows):
        order = tables["orders"].get((row["shard"], row["member_id"], row["order_id"]))
        if order is None:
            continue
        keyed = program.keyed_budgets(program.calendar.day_of(order["occurred_at"]))
        for movement in row["movements"]:
            for key, budget in keyed:
                if movement["rule_id"] in budget.costs:
                    name = key.budget_id, key.per, key.first_day or FOR_EVER
                    issued[name] += _issued(movement)
    used = used_of_budgets(tables["budgets"].values(), tables["budget_leases"].values())
    promise(used == issued, f"of budgets {used} are used, by the journal {issued}")


def _issued(movement: Row) -> int:
    """What a movement issues; below zero where it takes back."""
    if movement["from_bucket"] == Bucket.ISSUED:
        return int(movement["amount"])
    return -int(movement["amount"]) if movement["to_bucket"] == Bucket.CLAWED_BACK else 0


def _check_lots(tables: Any, member_id: str, balances: dict[str, dict[str, int]]) -> None:
    """A member's lots hold what can be spent or waits, and of the rest what ended unspent; debts are what is owed."""
    in_lots: dict[str, int] = {}
    expired: dict[str, int] = {}
    for lot in tables["lots"].values():
        if lot["member_id"] == member_id:
            promise(
                lot["remaining"] >= 0 and lot["expired"] >= 0 and lot["remaining"] + lot["expired"] <= lot["issued"],
                f"a lot of {member_id} has {lot['remaining']}, and {lot['expired']} expired, of {lot['issued']}",
            )
            in_lots[lot["wallet"]] = in_lots.get(lot["wallet"], 0) + lot["remaining"]
            expired[lot["wallet"]] = expired.get(lot["wallet"], 0) + lot["expired"]
    held = balances.get("points", {})
    promise(
        in_lots.get("points", 0) == held.get(Bucket.AVAILABLE, 0) + held.get(Bucket.PENDING, 0),
        f"lots of {member_id} hold {in_lots}, the balances are {balances}",
    )
    owed: dict[str, int] = {}
    for debt in tables["debts"].values():
        if debt["member_id"] == member_id:
            owed[debt["wallet"]] = owed.get(debt["wallet"], 0) + debt["amount"]
    for wallet, buckets in balances.items():
        promise(
            expired.get(wallet, 0) == buckets.get(Bucket.EXPIRED, 0),
            f"of the {wallet} lots of {member_id} {expired.get(wallet, 0)} expired, the balances are {balances}",
        )
        promise(
            owed.get(wallet, 0) == -buckets.get(Bucket.DEBT, 0),
            f"{member_id} owes {owed.get(wallet, 0)} {wallet}, the balances are {balances}",
        )


Order = list[tuple[TopicPartition, int]]


def _order_of_taking(system: System) -> Order:
    """The order in which the ledger took the messages: by commit, and within it by topic and partition."""
    order: Order = []
    for partition, first, last in system.taken:
        order += [(partition, offset) for offset in range(first, last)]
    return order


def _order_of_arrival(system: System) -> Order:
    """Partition by partition: where they are keyed by member, the order of each member's messages."""
    return [
        (partition, offset)
        for partition in system.kafka.partitions(*INPUTS)
        for offset in range(len(system.kafka.logs[partition].entries))
    ]


def _replay(system: System, order: Order) -> Simulation:
    """What the messages come to without workers, stores or sweeps: one after the other through the core."""
    simulation = Simulation(system.programs)
    for partition, offset in order:
        record = system.kafka.logs[partition].entries[offset].record
        if record is not None:
            simulation.feed(record.value, (), arrival_of(record))
    simulation.settle(Instant(system.now() - LATENESS_US))
    return simulation


def _check_against_replay(system: System, journal: dict[str, list[Row]], replay: Simulation) -> None:
    tables = system.postgres.tables
    for member_id in sorted({*journal, *replay.members}):
        member = replay.members.get(MemberId(member_id))
        expected = [_of_posting(posting) for posting in member.postings] if member else []
        found = [_of_row(row) for row in journal.get(member_id, [])]
        for number, (one, other) in enumerate(zip(expected, found, strict=False), 1):
            promise(one == other, f"{member_id}, version {number}: undisturbed {one}, here {other}")
        promise(len(expected) == len(found), f"{member_id} has {len(found)} postings, undisturbed {len(expected)}")
    outcomes = {
        (source, event_id): outcome
        for member in replay.members.values()
        for source, event_id, outcome in member.outcomes
    }
    consumed = {(row["source"], row["event_id"]): row["outcome"] for row in tables["consumed_events"].values()}
    promise(consumed == outcomes, f"events were counted as {consumed}, undisturbed {outcomes}")
    promise(len(tables["dead_letters"]) == len(replay.refused), "dead letters are missing, or too many")
    _check_orders(tables, replay)
    _check_refunds(tables, replay, consumed)


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


def _check_output(system: System) -> None:
    """A reader of committed records sees each posting of a shard once, in order."""
    for shard in range(SHARDS):
        records, _ = system.kafka.logs[TopicPartition(OUTPUT, shard)].read(0, 10**9, committed=True)
        seen = [orjson.loads(record.value) for record in records]
        positions = [data["pos"] for data in seen]
        head = system.postgres.tables["shard_heads"][(shard,)]["pos"]
        promise(
            positions == list(range(1, head + 1)),
            f"points-changed of shard {shard} has positions {positions} of {head}",
        )
        for data in seen:
            row = system.postgres.tables["postings"][(shard, data["pos"])]
            said = (data["member_id"], data["version"], data["balances"])
            meant = (row["member_id"], row["version"], orjson.loads(row["balances"]))
            promise(said == meant, f"points-changed says {said}, the journal {meant}")


def _check_redis(system: System, journal: dict[str, list[Row]]) -> None:
    """What Redis has of a member is the newest there is."""
    for member_id, rows in journal.items():
        known = system.redis.hashes.get(f"{{sim:{shard_of(member_id, SHARDS)}}}:balance:{member_id}")
        if known is not None:
            said = (int(known["version"]), orjson.loads(known["balances"]))
            meant = (rows[-1]["version"], orjson.loads(rows[-1]["balances"]))
            promise(said == meant, f"Redis says {said} of {member_id}, the journal {meant}")
