"""Settling: what falls due by itself is posted, each due instant as a posting of its own, in order.

The result does not depend on who settles, or when: an account settled in many steps has the same postings as one
that is settled in one (DESIGN 10).
"""

from shared.domain.entry import Entry
from shared.domain.ids import Wallet
from shared.domain.model import Account, Posting, PostingKind
from shared.domain.program import Program, Programs
from shared.domain.time import Instant

NO_POSTINGS: tuple[Posting, ...] = ()

SETTLED_LOTS_MAX = 1_000
"""How many lots one posting settles at most. A member has a few at one instant; an account that a till uses for all its
guests has tens of thousands at the end of a year, and a posting of them all would be more than Kafka takes as one
record. The rest of an instant goes into the next postings."""


def settle(account: Account, until: Instant, programs: Programs) -> tuple[Account, tuple[Posting, ...]]:
    """Post what falls due at or before `until`; returns the account after it and its postings, oldest first."""
    due_at = account.next_due_at
    if due_at is None or due_at > until:
        return account, NO_POSTINGS
    postings = []
    while due_at is not None and due_at <= until:
        account, posting = _settle_instant(account, due_at, programs)
        if not posting.movements:
            raise ValueError(f"nothing of {account.member_id} falls due at {due_at}, though its account says so")
        postings.append(posting)
        due_at = account.next_due_at
    return account, tuple(postings)


def effective_instant(account: Account, at: Instant, arrived_at: Instant, programs: Programs) -> Instant:
    """When an event moves points: when it happened, but not in the future, nor before what is settled already.

    max(min(at, arrival), arrival − allowed lateness, settled to): SEMANTICS, Time.
    """
    return max(
        min(at, arrived_at),
        Instant(arrived_at - programs.allowed_lateness_us),
        account.settled_to,
    )


def _settle_instant(account: Account, due_at: Instant, programs: Programs) -> tuple[Account, Posting]:
    """At one instant: first what becomes active, then what expires (SEMANTICS, Time); the older lot first, and no more
    than `SETTLED_LOTS_MAX` of them."""
    program = programs.in_force(due_at)
    if program is None:
        raise ValueError(f"a lot of {account.member_id} falls due at {due_at}, before the first program version")
    entry = Entry(account)
    due = [lot for _, lot in sorted(account.lots.items()) if lot.due_at == due_at]
    pending = [lot for lot in due if lot.activates_at is not None][:SETTLED_LOTS_MAX]
    for lot in pending:
        entry.activate(lot, lot.expires_at, kept=is_kept(lot.wallet, lot.expires_at, program))
    active = [entry.lots[lot.lot_id] for lot in due]
    ending = [lot for lot in active if lot.activates_at is None and lot.due_at == due_at]
    for lot in ending[: SETTLED_LOTS_MAX - len(pending)]:
        entry.expire(lot)
    effective_at = max(due_at, account.settled_to)
    return entry.close(PostingKind.SETTLEMENT, None, None, program.version, due_at, effective_at)


def is_kept(wallet: Wallet, expires_at: Instant | None, program: Program) -> bool:
    """A counter needs no lot once nothing of it is due any more: nobody will ever ask which lot it came from."""
    policy = program.wallets.get(wallet)
    return expires_at is not None or policy is None or policy.spendable
