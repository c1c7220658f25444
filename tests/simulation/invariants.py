"""The promises: what is watched in every commit, and what must hold when everything has come to rest."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import orjson
from aiokafka import TopicPartition

from shared.domain.appeal import TAKEN_TO
from shared.domain.ids import BudgetId, ProgramVersion
from shared.domain.model import Bucket, PostingKind
from shared.ledger.budgets import FOR_EVER
from shared.ledger.sharding import shard_of
from tests.simulation.postgres import Row, Transaction
from tests.simulation.system import EARN, INPUTS, OUTPUT, POSITIONS, SHARDS, System
from tests.simulation.undisturbed import LATENESS_US, check_against, order_of_arrival, replay
from tests.simulation.world import Process, promise

VERSION = ProgramVersion(1)
_BUDGET = ("budget_id", "per", "period")


class Monitor:
    """Watches every commit: who posts, in which order the ledger takes messages and adjustments, that nothing goes
    back, that no budget is exceeded, and that write-offs are only made good, and no more than they are."""

    def __init__(self, system: System) -> None:
        self.system = system
        self._owners: dict[TopicPartition, Process | None] = {}
        system.postgres.on_commit.append(self._on_commit)

    def _on_commit(self, transaction: Transaction) -> None:
        self._watch_offsets(transaction)
        self._watch_accounts(transaction)
        self._watch_budgets(transaction)
        self._watch_adjustments(transaction)

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
            offsets = range(before["next_offset"], row["next_offset"])
            self.system.taken += [(partition, offset) for offset in offsets]

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

    def _watch_adjustments(self, transaction: Transaction) -> None:
        posted = {row["event_id"] for row in transaction.writes.get("adjustments", {}).values() if row is not None}
        self.system.taken += [each for event_id, each in self.system.adjustments.items() if event_id in posted]
        committed = self.system.postgres.tables["write_offs"]
        for key, row in transaction.writes.get("write_offs", {}).items():
            assert row is not None
            promise(row["amount"] >= 0, f"of the write-off {key} more was made good than there was")
            if key in committed:
                promise(row["amount"] < committed[key]["amount"], f"the write-off {key} grows, or is as it was")

    def waiting(self) -> str | None:
        """What is still to be done; None when all is at rest."""
        system, tables = self.system, self.system.postgres.tables
        for partition in system.kafka.partitions(*INPUTS):
            row = tables["consumer_offsets"].get((EARN, *partition))
            if (row["next_offset"] if row else 0) < len(system.kafka.logs[partition].entries):
                return f"messages wait in {_name(partition)}"
        if operators := system.operators():
            return f"{operators[0]} waits for an answer"
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
    _check_appeals(system, journal)
    check_against(replay(system, system.taken), system, journal)
    if ordered:
        check_against(replay(system, order_of_arrival(system)), system, journal)
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
        _check_write_offs(tables, member_id, balances)
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
    """What a movement issues; below zero where it takes back. What is written off is not there again for others."""
    if movement["from_bucket"] == Bucket.ISSUED:
        return int(movement["amount"])
    takes_back = movement["to_bucket"] == Bucket.CLAWED_BACK and movement["from_bucket"] != Bucket.WRITTEN_OFF
    return -int(movement["amount"]) if takes_back else 0


def _check_appeals(system: System, journal: dict[str, list[Row]]) -> None:
    """Each appeal that moved points gave back all that its event had taken, and no other one gave it back again."""
    tables = system.postgres.tables
    reverses = {
        (row["source"], row["event_id"]): (row["reverses_source"], row["reverses_event_id"])
        for row in tables["adjustments"].values()
    }
    taken: Counter[Any] = Counter()
    given: list[Any] = []
    for member_id, rows in journal.items():
        for row in rows:
            key = row["source"], row["event_id"]
            if row["kind"] == PostingKind.APPEAL:
                given.append((member_id, *reverses[key], _moved(row, "from_bucket")))
            else:
                taken[member_id, *key] += _moved(row, "to_bucket")
    kept = {(row["member_id"], row["source"], row["event_id"]) for row in tables["reversed_events"].values()}
    expected = sorted((*key, taken[key]) for key in kept)
    promise(sorted(given) == expected, f"appeals gave back {sorted(given)}; reversed events had taken {expected}")


def _moved(posting: Row, side: str) -> int:
    """How many points a posting moved from or to where penalties and operators put what they take."""
    return sum(movement["amount"] for movement in posting["movements"] if movement[side] in TAKEN_TO)


def _check_write_offs(tables: Any, member_id: str, balances: dict[str, dict[str, int]]) -> None:
    """Write-offs that are open are what the balances say was written off."""
    still_open: Counter[str] = Counter()
    for row in tables["write_offs"].values():
        if row["member_id"] == member_id:
            still_open[row["wallet"]] += row["amount"]
    for wallet, buckets in balances.items():
        written_off = -buckets.get(Bucket.WRITTEN_OFF, 0)
        promise(
            still_open[wallet] == written_off,
            f"of the {wallet} of {member_id} {still_open[wallet]} are written off, the balances say {written_off}",
        )


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
