"""Loading what the decisions of a batch need: a fixed number of statements, however many events there are."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from shared.domain.budget import Leases
from shared.domain.facts import Event, Sweep
from shared.domain.ids import LotId, MemberId, OrderId, Shard, Wallet
from shared.domain.model import Account, Bucket, Debt, Lot
from shared.domain.program import Programs
from shared.domain.time import Instant
from shared.ledger import statements
from shared.ledger.appeals import load_write_offs, read_taken
from shared.ledger.budgets import Held, Reach, lock_leases, read_leases
from shared.ledger.database import Connection, Pool, Record
from shared.ledger.habits import load_first_orders, load_profiles, load_streak_days, load_tallies
from shared.ledger.needs import Needs, add_allowance, add_budgets, needs_of
from shared.ledger.orders import known_order
from shared.ledger.referrals import Tie, check_ties, find_first_orders, read_ties
from shared.ledger.sharding import shard_of

Accounts = dict[MemberId, Account]


class MemberSeenError(Exception):
    """Somebody else's batch has made the account of a member that this one found unseen. Locked now, it would come
    after accounts that it belongs before, and two batches could wait for each other."""


async def lock_accounts(
    connection: Connection,
    events: Sequence[Event | Sweep],
    shards: int,
    programs: Programs,
    reach: Reach,
    *,
    alone: bool = False,
) -> tuple[Accounts, dict[MemberId, Shard], Held]:
    """The accounts that the events are about, locked, with the state that deciding them takes; their shards; and the
    leases of budgets that they need, as far as the batch reaches for them.

    A member that nobody has seen gets an account of version 0; with `alone`, nobody else posts such members of the same
    shards until the transaction ends. Raises `MemberSeenError` when such a member was seen meanwhile.
    """
    needs = needs_of(events, shards, programs)
    if programs.refer:
        await _add_ties(connection, events, needs, shards, programs)
    if alone:
        needs.alone.update(needs.shards)
    rows = await connection.fetch(statements.LOCK_ACCOUNTS, list(needs.shards.values()), list(needs.shards))
    if len(rows) < len(needs.shards):
        await _lock_unseen(connection, needs, rows)
    await check_ties(connection, needs.ties)
    accounts = _accounts(rows, needs)
    await _load(connection, accounts, needs, programs, shards)
    return accounts, needs.shards, await lock_leases(connection, needs.budgets, reach)


async def read_accounts(
    connection: Connection, events: Sequence[Event | Sweep], shards: int, programs: Programs
) -> tuple[Accounts, Leases]:
    """The same accounts and what there is of budgets, without locks, for whoever decides and writes nothing. They are
    of one moment where the connection's transaction sees only one."""
    needs = needs_of(events, shards, programs)
    if programs.refer:
        await _add_ties(connection, events, needs, shards, programs)
    rows = await connection.fetch(statements.READ_ACCOUNTS, list(needs.shards.values()), list(needs.shards))
    accounts = _accounts(rows, needs)
    await _load(connection, accounts, needs, programs, shards)
    return accounts, await read_leases(connection, list(needs.budgets))


def _accounts(rows: Sequence[Record], needs: Needs) -> Accounts:
    """The accounts as they are stored; a new one for each member that is not."""
    return {member_id: Account(member_id) for member_id in needs.shards} | {
        row["member_id"]: _account(row) for row in rows
    }


async def _load(connection: Connection, accounts: Accounts, needs: Needs, programs: Programs, shards: int) -> None:
    """Put into the accounts what the events need beside them."""
    await _load_referrals(connection, accounts, needs)
    due: dict[MemberId, Instant] = {}
    owing: list[MemberId] = []
    for member_id, account in accounts.items():
        if member_id in needs.takes:
            pass  # all of its open lots are loaded
        elif account.next_due_at is not None and account.next_due_at <= needs.until[member_id]:
            due[member_id] = needs.until[member_id]
        if _owes(account):
            owing.append(member_id)
    if needs.orders:
        await _load_orders(connection, accounts, needs)
    if needs.appeals:
        await _load_appeals(connection, accounts, needs, shards)
    if due:
        await _load_due_lots(connection, accounts, needs.shards, due)
    if needs.takes:
        await _load_open_lots(connection, accounts, needs)
    if owing:
        await _load_debts(connection, accounts, needs.shards, owing)
    await _load_habits(connection, accounts, needs, programs)


async def _lock_unseen(connection: Connection, needs: Needs, seen: Sequence[Record]) -> None:
    """Members that nobody has seen have no account to lock. Let a refund of theirs, or a habit, be posted by nobody
    else at the same time: an order would not know of its refund, nor two behaviours of each other's tally.

    Raises `MemberSeenError` when one of them has an account once it is this transaction's turn.
    """
    known = {row["member_id"] for row in seen}
    alone: dict[Shard, bool] = {}
    again: list[MemberId] = []
    for member_id, shard in needs.shards.items():
        if member_id not in known:
            alone[shard] = alone.get(shard, False) or member_id in needs.alone
            if member_id in needs.alone:
                again.append(member_id)
    shards = sorted(alone)
    await connection.fetch(statements.LOCK_UNSEEN, shards, [alone[shard] for shard in shards])
    if again and await connection.fetch(
        statements.READ_ACCOUNTS, [needs.shards[member_id] for member_id in again], again
    ):
        raise MemberSeenError("a member of the batch was seen by another batch just now")


async def _add_ties(
    connection: Connection, events: Sequence[Event | Sweep], needs: Needs, shards: int, programs: Programs
) -> None:
    """Add what referrals take: where the batch changes something about one, both sides of it."""
    needs.ties = await read_ties(connection, events, shards, programs)
    for tie in needs.ties:
        needs.shards.setdefault(tie.invited, tie.shard)
        needs.until[tie.invited] = max(tie.until, needs.until.get(tie.invited, tie.until))
        if tie.invitations:
            needs.alone.add(tie.invited)
        if tie.is_moving:
            _add_sides(needs, tie, shards)


def _add_sides(needs: Needs, tie: Tie, shards: int) -> None:
    for inviter in tie.inviters:
        needs.shards.setdefault(inviter, shard_of(inviter, shards))
        needs.until[inviter] = max(tie.until, needs.until.get(inviter, tie.until))
    if tie.first_order is not None:
        needs.orders[tie.invited, tie.first_order.order_id] = True
    if tie.takes:
        needs.takes.update(tie.inviters, (tie.invited,))


def _owes(account: Account) -> bool:
    return any(buckets.get(Bucket.DEBT) for buckets in account.balances.values())


@dataclass(frozen=True, slots=True)
class ReadAccount:
    """An account that was read without a lock, and the position of its shard up to which it has everything."""

    account: Account
    position: int


async def read_account(
    connection: Connection | Pool, member_id: MemberId, until: Instant, shards: int
) -> ReadAccount | None:
    """A member's account with what falls due by `until`, without a lock; None for a member that nobody has seen."""
    shard = shard_of(member_id, shards)
    row = await connection.fetchrow(statements.READ_ACCOUNT, shard, member_id)
    if row is None:
        return None
    account = _account(row)
    if account.next_due_at is not None and account.next_due_at <= until:
        accounts = {member_id: account}
        await _load_due_lots(connection, accounts, {member_id: shard}, {member_id: until})
        await _load_debts(connection, accounts, {member_id: shard}, [member_id])
    return ReadAccount(account, row["head"])


def _account(row: Record) -> Account:
    return Account(
        member_id=row["member_id"],
        version=row["version"],
        settled_to=row["settled_to"],
        lots_issued=row["lots_issued"],
        balances=orjson.loads(row["balances"]),
        next_due_at=row["next_due_at"],
        later_due_at=row["next_due_at"],
    )


async def _load_due_lots(
    connection: Connection | Pool,
    accounts: Accounts,
    shard_by_member: dict[MemberId, Shard],
    until: dict[MemberId, Instant],
) -> None:
    """Put the due lots into their accounts, and the first one that is due later in their `later_due_at`."""
    rows = await connection.fetch(
        statements.LOAD_DUE_LOTS,
        [shard_by_member[member_id] for member_id in until],
        list(until),
        list(until.values()),
    )
    lots: dict[MemberId, dict[LotId, Lot]] = {member_id: {} for member_id in until}
    for member_id in until:
        accounts[member_id].later_due_at = None
    for row in rows:
        member_id = row["member_id"]
        lot = lot_of(row)
        if lot.due_at is not None and lot.due_at > until[member_id]:
            accounts[member_id].later_due_at = lot.due_at
        else:
            lots[member_id][lot.lot_id] = lot
    for member_id, due in lots.items():
        accounts[member_id].lots = due


def lot_of(row: Record) -> Lot:
    """A lot out of its row."""
    return Lot(
        lot_id=row["lot_id"],
        wallet=row["wallet"],
        order_id=row["order_id"],
        issued=row["issued"],
        remaining=row["remaining"],
        activates_at=row["activates_at"],
        expires_at=row["expires_at"],
        expired=row["expired"],
        waits_for=row["waits_for"],
    )


async def _load_debts(
    connection: Connection | Pool, accounts: Accounts, shard_by_member: dict[MemberId, Shard], members: list[MemberId]
) -> None:
    rows = await connection.fetch(statements.LOAD_DEBTS, [shard_by_member[member_id] for member_id in members], members)
    for row in rows:
        account = accounts[row["member_id"]]
        debt = Debt(Wallet(row["wallet"]), OrderId(row["order_id"]), row["amount"], row["version"])
        account.debts = (*account.debts, debt)


async def _load_referrals(connection: Connection, accounts: Accounts, needs: Needs) -> None:
    """Put what is known of referrals into the accounts; where a member is invited, the first order is needed."""
    for tie in needs.ties:
        accounts[tie.invited].referral = tie.referral
    needs.orders |= dict.fromkeys(await find_first_orders(connection, needs.ties), True)


def _add_rewards(accounts: Accounts, needs: Needs, programs: Programs) -> None:
    """How often inviters were rewarded, and what budgets have, for any order that may come to be the first."""
    for tie in needs.ties:
        if tie.is_moving:
            orders = accounts[tie.invited].orders.values()
            paid_at = [known.rated.occurred_at for known in orders if known.rated is not None]
            for inviter, program, rule, instant in tie.rewards(paid_at, programs):
                if (key := rule.tally(instant, program.calendar)) is not None:
                    needs.tallies.add((inviter, key))
                add_budgets(needs, program, instant)


async def _load_habits(connection: Connection, accounts: Accounts, needs: Needs, programs: Programs) -> None:
    """What rules ask about members beside their points; of orders only where the program does."""
    buyers = {member_id: needs.shards[member_id] for member_id, _ in needs.orders}
    if needs.profiles:
        await load_profiles(connection, accounts, needs.shards, needs.profiles)
    if buyers and programs.ask_first_order:
        await load_first_orders(connection, accounts, buyers)
    for (member_id, order_id), refunded in needs.orders.items():
        known = accounts[member_id].orders.get(order_id)
        if refunded and known is not None and known.rated is not None:
            program = programs.version(known.rated.program_version)
            add_allowance(needs, member_id, program, known.rated.occurred_at)
    _add_rewards(accounts, needs, programs)
    if needs.tallies:
        await load_tallies(connection, accounts, needs.shards, needs.tallies)
    if needs.first_days:
        await load_streak_days(connection, accounts, needs.shards, needs.first_days)


async def _load_orders(connection: Connection, accounts: Accounts, needs: Needs) -> None:
    members = [member_id for member_id, _ in needs.orders]
    rows = await connection.fetch(
        statements.LOAD_ORDERS,
        [needs.shards[member_id] for member_id in members],
        members,
        [order_id for _, order_id in needs.orders],
        list(needs.orders.values()),
    )
    for row in rows:
        account = accounts[row["member_id"]]
        account.orders = {**account.orders, row["order_id"]: known_order(row)}


async def _load_appeals(connection: Connection, accounts: Accounts, needs: Needs, shards: int) -> None:
    """Put what the events took that are to be reversed into the accounts, and what was written off since."""
    found = await read_taken(connection, needs.appeals, shards)
    for (member_id, key), taken in found.items():
        account = accounts[member_id]
        account.taken = {**account.taken, key: taken}
    members = {member_id: needs.shards[member_id] for member_id, _ in needs.appeals}
    await load_write_offs(connection, accounts, members)


def _named(account: Account) -> set[LotId]:
    """The lots that the decisions about an account name: they may be needed also where nothing is left in them."""
    of_orders = [known.rated.lots for known in account.orders.values() if known.rated is not None]
    emptied = [movement.lot_id for taken in account.taken.values() for movement in taken.movements]
    return {lot_id for lots in (*of_orders, emptied) for lot_id in lots if lot_id is not None}


async def _load_open_lots(connection: Connection, accounts: Accounts, needs: Needs) -> None:
    """Put all open lots of members from whom points may be taken into their accounts, and those that are named."""
    members = list(needs.takes)
    named = [
        (needs.shards[member_id], member_id, lot_id) for member_id in members for lot_id in _named(accounts[member_id])
    ]
    named += [
        (needs.shards[member_id], member_id, lot_id)
        for tie in needs.ties
        for member_id, lot_id in tie.lots
        if member_id in needs.takes
    ]
    rows = await connection.fetch(
        statements.LOAD_OPEN_LOTS,
        [needs.shards[member_id] for member_id in members],
        members,
        [shard for shard, _, _ in named],
        [member_id for _, member_id, _ in named],
        [lot_id for _, _, lot_id in named],
    )
    lots: dict[MemberId, dict[LotId, Lot]] = {member_id: {} for member_id in members}
    for row in rows:
        lots[row["member_id"]][row["lot_id"]] = lot_of(row)
    for member_id, found in lots.items():
        accounts[member_id].lots = found
        accounts[member_id].later_due_at = None
