"""What each of the ledger's named statements does, over the stand-in's tables."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from shared.domain.time import NEVER
from shared.ledger import statements
from tests.simulation.postgres import SHARED, UNSEEN, Key, Row, Statement, Transaction, key_of

Handler = Callable[..., Statement]


class Record(tuple[Any, ...]):
    """A row as asyncpg gives it: a tuple whose fields have names."""

    __slots__ = ()
    columns: dict[str, int]

    def __getitem__(self, key: Any) -> Any:
        return tuple.__getitem__(self, self.columns[key] if type(key) is str else key)


def records(*columns: str) -> type[Record]:
    """The class of records with these fields."""
    fields = {"__slots__": (), "columns": {column: number for number, column in enumerate(columns)}}
    return type("Record", (Record,), fields)


def selected(statement: str) -> tuple[str, ...]:
    """The names of the columns that a statement selects, so that the stand-in follows when they change."""
    found = re.search(r"SELECT\s+(.*?)\s+FROM\s", re.sub(r"--.*", "", statement), re.DOTALL)
    assert found is not None
    return tuple(column.split(".")[-1].split()[-1] for column in found[1].split(","))


def pick(columns: Sequence[str], record: type[Record]) -> Callable[[Row], Record]:
    """Turns rows into records of some columns."""
    return lambda row: record([row.get(column) for column in columns])


_ACCOUNT = selected(statements.LOCK_ACCOUNTS)
_account = pick(_ACCOUNT, records(*_ACCOUNT))
_LOT = (
    "member_id",
    "lot_id",
    "wallet",
    "order_id",
    "issued",
    "remaining",
    "activates_at",
    "expires_at",
    "expired",
    "waits_for",
)
_lot = pick(_LOT, records(*_LOT))
_POSTING = selected(statements.READ_POSTINGS)
_posting = pick(_POSTING, records(*_POSTING))
_TAIL = records("shard", "postings", "recorded_at")
_MOVEMENT = selected(statements.READ_MOVEMENTS)
_movement = pick(_MOVEMENT, records(*_MOVEMENT))
_DEBT = selected(statements.LOAD_DEBTS)
_debt = pick(_DEBT, records(*_DEBT))
_WRITE_OFF = selected(statements.LOAD_WRITE_OFFS)
_write_off = pick(_WRITE_OFF, records(*_WRITE_OFF))
_TAKEN = selected(statements.LOAD_TAKEN)
_taken = pick(_TAKEN, records(*_TAKEN))
_consumed = pick(("source", "event_id", "digest"), records("source", "event_id", "digest"))
_ORDER = (
    "member_id",
    "order_id",
    "paid",
    "occurred_at",
    "currency",
    "amount_paid",
    "program_version",
    "lines",
    "refunds",
)
_order = pick(_ORDER, records(*_ORDER))
_READ = ("topic", "partition", "next_offset", "arrived_at")
_read = pick(_READ, records(*_READ))
_CLAIM = ("topic", "partition", "next_offset", "generation")
_claim = pick(_CLAIM, records(*_CLAIM))
_REFERRAL = selected(statements.READ_REFERRALS)
_referral = pick(_REFERRAL, records(*_REFERRAL))
_first_order = records("member_id", "order_id")
_partition = records("topic", "partition")
_member = records("member_id")
_TALLY = selected(statements.LOAD_TALLIES)
_tally = pick(_TALLY, records(*_TALLY))
_lease = records("n", "lease_id", "unused")
_budget = records("n", "leased", "unused")
_versions = records("versions")
_PROGRAM = selected(statements.READ_PROGRAMS)
_program = pick(_PROGRAM, records(*_PROGRAM))
_head = records("shard", "pos")
_BUDGET = ("budget_id", "per", "period")
_read_account = records("shard", *_ACCOUNT[1:], "head")


def due_at(lot: Row) -> Any:
    """The generated column of `lots`."""
    if lot["remaining"] <= 0:
        return None
    at = lot["expires_at"] if lot["activates_at"] is None else lot["activates_at"]
    return None if at == NEVER else at


def advance_offsets(
    tx: Transaction,
    group: str,
    topics: list[str],
    partitions: list[int],
    next_offsets: list[int],
    generations: list[int],
    arrived: list[Any],
) -> Statement:
    moved = []
    for topic, partition, next_offset, generation, arrived_at in zip(
        topics, partitions, next_offsets, generations, arrived, strict=True
    ):
        key = (group, topic, partition)
        if tx.get("consumer_offsets", key) is None:
            continue
        yield ("consumer_offsets", key)
        row = tx.get("consumer_offsets", key)
        if row is not None and row["generation"] == generation and row["next_offset"] <= next_offset:
            latest = max(at for at in (row["arrived_at"], arrived_at) if at is not None)
            tx.put("consumer_offsets", row | {"next_offset": next_offset, "arrived_at": latest})
            moved.append(_partition([topic, partition]))
    return moved


def claim_partitions(tx: Transaction, group: str, topics: list[str], partitions: list[int]) -> Statement:
    claimed = []
    for topic, partition in sorted(zip(topics, partitions, strict=True)):
        key = (group, topic, partition)
        yield ("consumer_offsets", key)
        row = tx.get("consumer_offsets", key)
        if row is None:
            row = {"consumer_group": group, "topic": topic, "partition": partition}
            row |= {"next_offset": 0, "generation": 0, "arrived_at": None}
        row = row | {"generation": row["generation"] + 1}
        tx.put("consumer_offsets", row)
        claimed.append(_claim(row))
    return claimed


def lock_accounts(tx: Transaction, shards: list[int], members: list[str]) -> Statement:
    found = sorted(key for key in zip(shards, members, strict=True) if tx.get("accounts", key) is not None)
    for key in found:
        yield ("accounts", key)
    return [_account(row) for key in found if (row := tx.get("accounts", key)) is not None]


def read_accounts(tx: Transaction, shards: list[int], members: list[str]) -> Statement:
    yield from ()
    found = [tx.get("accounts", key) for key in zip(shards, members, strict=True)]
    return [_account(row) for row in found if row is not None]


def lock_unseen(tx: Transaction, shards: list[int], alone: list[bool]) -> Statement:
    for shard, alone_in_it in zip(shards, alone, strict=True):
        yield (UNSEEN if alone_in_it else SHARED, (shard,))
    return []


def load_due_lots(tx: Transaction, shards: list[int], members: list[str], untils: list[Any]) -> Statement:
    yield from ()
    found = []
    lots = tx.rows("lots")
    for shard, member_id, until in zip(shards, members, untils, strict=True):
        open_lots = [
            (at, lot)
            for lot in lots
            if lot["shard"] == shard and lot["member_id"] == member_id and (at := due_at(lot)) is not None
        ]
        found += [_lot(lot) for at, lot in open_lots if at <= until]
        later = [(at, lot["lot_id"], lot) for at, lot in open_lots if at > until]
        if later:
            found.append(_lot(min(later)[2]))
    return found


def load_debts(tx: Transaction, shards: list[int], members: list[str]) -> Statement:
    yield from ()
    wanted = set(zip(shards, members, strict=True))
    rows = [row for row in tx.rows("debts") if (row["shard"], row["member_id"]) in wanted]
    return [_debt(row) for row in sorted(rows, key=lambda row: (row["shard"], row["member_id"], row["debt_no"]))]


def clear_debts(tx: Transaction, shards: list[int], members: list[str]) -> Statement:
    wanted = set(zip(shards, members, strict=True))
    for row in tx.rows("debts"):
        if (row["shard"], row["member_id"]) in wanted:
            yield ("debts", (row["shard"], row["member_id"], row["debt_no"]))
            tx.delete("debts", row)


def load_taken(
    tx: Transaction,
    shards: list[int],
    members: list[str],
    event_shards: list[int],
    sources: list[str],
    event_ids: list[str],
) -> Statement:
    yield from ()
    found = []
    for shard, member_id, *event_key in zip(shards, members, event_shards, sources, event_ids, strict=True):
        event = tx.get("consumed_events", tuple(event_key))
        if event is None:
            continue
        key = member_id, event["source"], event["event_id"]
        row = {"member_id": member_id, "source": event["source"], "event_id": event["event_id"]}
        row |= {"of_another": event["member_id"] != member_id}
        row |= {"reversed": tx.get("reversed_events", (shard, *key)) is not None}
        movements = [
            movement | {"version": posting["version"]}
            for posting in tx.rows("postings")
            if posting["shard"] == shard and (posting["member_id"], posting["source"], posting["event_id"]) == key
            for movement in tx.rows("movements")
            if (movement["shard"], movement["pos"]) == (shard, posting["pos"])
            and movement["to_bucket"] in ("penalty", "adjusted")
        ]
        movements.sort(key=lambda movement: (movement["version"], movement["seq"]))
        found += [(key, _taken(movement | row)) for movement in movements or [{}]]
    return [row for _, row in sorted(found, key=lambda each: each[0])]


def load_write_offs(tx: Transaction, shards: list[int], members: list[str]) -> Statement:
    yield from ()
    wanted = set(zip(shards, members, strict=True))
    rows = [row for row in tx.rows("write_offs") if (row["shard"], row["member_id"]) in wanted and row["amount"] > 0]
    return [_write_off(row) for row in sorted(rows, key=lambda row: key_of("write_offs", row))]


def put_write_offs(tx: Transaction, *columns: list[Any]) -> Statement:
    names = ("shard", "member_id", "version", "wallet", "order_id", "amount")
    for values in zip(*columns, strict=True):
        yield ("write_offs", values[:4])
        row = tx.get("write_offs", values[:4])
        tx.put("write_offs", dict(zip(names, values, strict=True)) if row is None else row | {"amount": values[-1]})


def find_consumed(tx: Transaction, shards: list[int], sources: list[str], event_ids: list[str]) -> Statement:
    yield from ()
    found = [tx.get("consumed_events", key) for key in zip(shards, sources, event_ids, strict=True)]
    # A server's answer is never the very object that was sent to it, by which a batch tells its own events.
    return [_consumed(row | {"digest": bytes(bytearray(row["digest"]))}) for row in found if row is not None]


def load_open_lots(
    tx: Transaction,
    shards: list[int],
    members: list[str],
    of_shards: list[int],
    of_members: list[str],
    lot_ids: list[int],
) -> Statement:
    yield from ()
    wanted = set(zip(shards, members, strict=True))
    found = [lot for lot in tx.rows("lots") if (lot["shard"], lot["member_id"]) in wanted and lot["remaining"] > 0]
    named = [tx.get("lots", key) for key in zip(of_shards, of_members, lot_ids, strict=True)]
    return [_lot(lot) for lot in [*found, *named] if lot is not None and (lot in found or lot["remaining"] == 0)]


def load_orders(
    tx: Transaction, shards: list[int], members: list[str], order_ids: list[str], refunded: list[bool]
) -> Statement:
    yield from ()
    found = []
    for shard, member_id, order_id, lines in zip(shards, members, order_ids, refunded, strict=True):
        order = tx.get("orders", (shard, member_id, order_id))
        refunds = sorted(
            (row["refund_no"], row["parts"])
            for row in tx.rows("refunds")
            if (row["shard"], row["member_id"], row["order_id"]) == (shard, member_id, order_id)
        )
        if order is None and not refunds:
            continue
        row: Row = {"member_id": member_id, "order_id": order_id, "paid": order is not None}
        if order is not None:
            row |= {**order, "paid": True, "amount_paid": order["paid"], "lines": order["lines"] if lines else None}
        row["refunds"] = orjson.dumps([orjson.loads(parts) for _, parts in refunds]) if refunds else None
        found.append(_order(row))
    return found


def read_referrals(tx: Transaction, shards: list[int], members: list[str]) -> Statement:
    yield from ()
    keys = zip(shards, members, strict=True)
    return [_referral(row) for key in keys if (row := tx.get("referrals", key)) is not None]


def put_referrals(tx: Transaction, *columns: list[Any]) -> Statement:
    for values in zip(*columns, strict=True):
        yield ("referrals", values[:2])
        tx.put("referrals", dict(zip(("shard", *_REFERRAL), values, strict=True)))


def find_first_orders(tx: Transaction, shards: list[int], members: list[str]) -> Statement:
    yield from ()
    found = []
    for key in zip(shards, members, strict=True):
        orders = [row for row in tx.rows("orders") if (row["shard"], row["member_id"]) == key]
        if orders:
            first = min(orders, key=lambda row: (row["occurred_at"], row["order_id"]))
            found.append(_first_order([key[1], first["order_id"]]))
    return found


def update_accounts(tx: Transaction, *columns: list[Any]) -> Statement:
    names = ("shard", "member_id", "version", "settled_to", "next_due_at", "lots_issued", "balances")
    for values in zip(*columns, strict=True):
        yield ("accounts", values[:2])
        if (row := tx.get("accounts", values[:2])) is not None:
            tx.put("accounts", row | dict(zip(names, values, strict=True)))


def update_lots(tx: Transaction, *columns: list[Any]) -> Statement:
    for shard, member_id, lot_id, remaining, activates_at, expires_at, expired in zip(*columns, strict=True):
        key = (shard, member_id, lot_id)
        yield ("lots", key)
        if (row := tx.get("lots", key)) is not None:
            tx.put(
                "lots",
                row
                | {"remaining": remaining, "activates_at": activates_at, "expires_at": expires_at, "expired": expired},
            )


def take_positions(tx: Transaction, shards: list[int], counts: list[int]) -> Statement:
    heads = []
    for shard, count in sorted(zip(shards, counts, strict=True)):
        if tx.get("shard_heads", (shard,)) is None:
            continue
        yield ("shard_heads", (shard,))
        row = tx.get("shard_heads", (shard,))
        assert row is not None
        tx.put("shard_heads", row | {"pos": row["pos"] + count})
        heads.append(_head([shard, row["pos"] + count]))
    return heads


def find_due_accounts(tx: Transaction, shards: list[int], until: Any, limit: int) -> Statement:
    yield from ()
    found = []
    for shard in shards:
        due = [
            (row["next_due_at"], row["member_id"])
            for row in tx.rows("accounts")
            if row["shard"] == shard and row["next_due_at"] is not None and row["next_due_at"] <= until
        ]
        found += [_member([member_id]) for _, member_id in sorted(due)[:limit]]
    return found


def read_postings(tx: Transaction, shards: list[int], after: list[int], limit: int) -> Statement:
    yield from ()
    found = []
    rows = tx.rows("postings")
    for shard, pos in zip(shards, after, strict=True):
        behind = sorted((row["pos"], row) for row in rows if row["shard"] == shard and row["pos"] > pos)
        found += [_posting(row) for _, row in behind[:limit]]
    return found


def read_tail(tx: Transaction, shards: list[int], after: list[int]) -> Statement:
    yield from ()
    found = []
    for shard, pos in zip(shards, after, strict=True):
        head, first = tx.get("shard_heads", (shard,)), tx.get("postings", (shard, pos + 1))
        behind = (0 if head is None else head["pos"]) - pos
        found.append(_TAIL([shard, behind, None if first is None else first["recorded_at"]]))
    return found


def read_movements(tx: Transaction, shards: list[int], after: list[int], last: list[int]) -> Statement:
    yield from ()
    found = []
    rows = tx.rows("movements")
    for shard, first, until in zip(shards, after, last, strict=True):
        between = [row for row in rows if row["shard"] == shard and first < row["pos"] <= until]
        found += [_movement(row) for row in sorted(between, key=lambda row: (row["pos"], row["seq"]))]
    return found


def read_offsets(tx: Transaction, groups: list[str], topics: list[str]) -> Statement:
    yield from ()
    wanted = set(zip(groups, topics, strict=True))
    return [_read(row) for row in tx.rows("consumer_offsets") if (row["consumer_group"], row["topic"]) in wanted]


def read_account(tx: Transaction, shard: int, member_id: str) -> Statement:
    yield from ()
    row = tx.get("accounts", (shard, member_id))
    head = tx.get("shard_heads", (shard,))
    if row is None or head is None:
        return []
    return [_read_account([row[column] for column in _ACCOUNT] + [head["pos"]])]


_LETTER = (
    "topic",
    "partition",
    "offset",
    "arrived_at",
    "message_key",
    "message_value",
    "headers",
    "defect",
    "path",
    "reason",
    "source",
    "event_id",
    "origin_letter_id",
)


def add_dead_letters(tx: Transaction, *columns: list[Any]) -> Statement:
    for values in zip(*columns, strict=True):
        row = dict(zip(_LETTER, values, strict=True))
        key = tuple(values[:4])
        yield ("dead_letters", key)
        if tx.get("dead_letters", key) is None:
            tx.put("dead_letters", row)


def find_excess_dead_letter(tx: Transaction, *_: Any) -> Statement:
    """The limits are real servers' to test; a run sends a handful of bad messages."""
    yield from ()
    return []


def count_programs(tx: Transaction) -> Statement:
    """Versions that come while workers run are real servers' to test."""
    yield from ()
    return [_versions([len(tx.rows("programs"))])]


def read_programs(tx: Transaction) -> Statement:
    """A reader that waits for long enough asks for them."""
    yield from ()
    return [_program(row) for row in tx.rows("programs")]


def load_tallies(
    tx: Transaction, shards: list[int], members: list[str], names: list[str], periods: list[Any]
) -> Statement:
    yield from ()
    keys = zip(shards, members, names, periods, strict=True)
    return [_tally(row) for key in keys if (row := tx.get("tallies", key)) is not None]


def put_tallies(tx: Transaction, *columns: list[Any]) -> Statement:
    for values in zip(*columns, strict=True):
        yield ("tallies", values[:4])
        tx.put("tallies", dict(zip(("shard", *_TALLY), values, strict=True)))


def lock_budgets(tx: Transaction, *columns: list[Any]) -> Statement:
    for key in zip(*columns, strict=True):
        yield ("budgets", key)
        tx.put("budgets", tx.get("budgets", key) or dict(zip((*_BUDGET, "leased"), (*key, 0), strict=True)))


def lock_leases(tx: Transaction, *columns: list[Any]) -> Statement:
    found = []
    for number, budget in enumerate(zip(*columns, strict=True), 1):
        for lease in sorted(_leases_of(tx, budget), key=lambda row: -row["unused"]):
            lock = ("budget_leases", (*budget, lease["lease_id"]))
            if tx.postgres.is_free(lock, tx):
                yield lock
                found.append(_lease([number, lease["lease_id"], lease["unused"]]))
                break
    return found


def lock_all_leases(tx: Transaction, *columns: list[Any]) -> Statement:
    """A lease that ends while the statement waits for it is not there; a new one was not there when it began."""
    there = [
        (number, (*budget, lease_id))
        for number, budget in enumerate(zip(*columns, strict=True), 1)
        for lease_id in sorted(row["lease_id"] for row in _leases_of(tx, budget))
    ]
    found = []
    for number, key in there:
        yield ("budget_leases", key)
        if (row := tx.get("budget_leases", key)) is not None:
            found.append(_lease([number, row["lease_id"], row["unused"]]))
    return found


def read_budgets(tx: Transaction, *columns: list[Any]) -> Statement:
    yield from ()
    found = []
    for number, key in enumerate(zip(*columns, strict=True), 1):
        budget = tx.get("budgets", key) or {"leased": 0}
        found.append(_budget([number, budget["leased"], sum(row["unused"] for row in _leases_of(tx, key))]))
    return found


def put_leases(tx: Transaction, *columns: list[Any]) -> Statement:
    for values in zip(*columns, strict=True):
        yield ("budget_leases", values[:4])
        tx.put("budget_leases", dict(zip((*_BUDGET, "lease_id", "unused"), values, strict=True)))


def end_leases(tx: Transaction, *columns: list[Any]) -> Statement:
    for key in zip(*columns, strict=True):
        yield ("budget_leases", key)
        if (row := tx.get("budget_leases", key)) is not None:
            tx.delete("budget_leases", row)


def put_budgets(tx: Transaction, *columns: list[Any]) -> Statement:
    for *key, leased in zip(*columns, strict=True):
        yield ("budgets", tuple(key))
        if (row := tx.get("budgets", tuple(key))) is not None:
            tx.put("budgets", row | {"leased": leased})


def _leases_of(tx: Transaction, budget: Key) -> list[Row]:
    return [row for row in tx.rows("budget_leases") if tuple([row[column] for column in _BUDGET]) == budget]


HANDLERS: dict[str, Handler] = {
    getattr(statements, handler.__name__.upper()): handler
    for handler in (
        add_dead_letters,
        advance_offsets,
        claim_partitions,
        count_programs,
        read_programs,
        load_tallies,
        put_tallies,
        lock_budgets,
        lock_leases,
        lock_all_leases,
        read_budgets,
        put_leases,
        end_leases,
        put_budgets,
        lock_accounts,
        read_accounts,
        lock_unseen,
        load_due_lots,
        load_debts,
        load_taken,
        load_write_offs,
        put_write_offs,
        clear_debts,
        find_consumed,
        load_open_lots,
        load_orders,
        update_accounts,
        update_lots,
        take_positions,
        find_due_accounts,
        find_first_orders,
        put_referrals,
        read_referrals,
        find_excess_dead_letter,
        read_postings,
        read_movements,
        read_tail,
        read_offsets,
        read_account,
    )
}
"""Each statement by its text."""
