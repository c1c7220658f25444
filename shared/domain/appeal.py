"""Appeals: what a penalty or an operator took comes back as it was taken (docs/adr/0019).

Into the lot out of which it came; where that has ended, into a new one. What became debt is no longer owed. What comes
back first makes good what was written off since, which it would have paid for.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from shared.domain.entry import AVAILABLE, DEBT, NO_DUE, PENDING, Entry
from shared.domain.facts import Appeal, Event
from shared.domain.ids import Wallet
from shared.domain.model import Account, Bucket, Decision, Lot, Movement, Outcome, PostingKind, Taken
from shared.domain.program import Program, WalletPolicy
from shared.domain.settle import is_kept
from shared.domain.time import Instant

WRITTEN_OFF = Bucket.WRITTEN_OFF
TAKEN_TO = (Bucket.PENALTY, Bucket.ADJUSTED)
"""Where points are that an appeal can bring back."""

NOTHING = Taken(0, ())


def remember(decision: Decision) -> Decision:
    """Let the account know what an event took, for an appeal that follows it at once."""
    for posting in decision.postings:
        movements = tuple([movement for movement in posting.movements if movement.to_bucket in TAKEN_TO])
        if movements and posting.event is not None:
            taken = Taken(posting.version, movements)
            decision.account.taken = {**decision.account.taken, posting.event.key: taken}
    return decision


def decide_appeal(account: Account, event: Event, appeal: Appeal, program: Program, effective_at: Instant) -> Decision:
    """What an appeal gives back, for an account that is settled. It must know what the event took, and the lots."""
    taken = account.taken.get(appeal.reverses, NOTHING)
    refusal = _refusal(taken, program)
    if refusal is not None:
        return Decision(refusal, account, ())
    entry = Entry(account)
    _give_back(entry, taken, program, program.calendar.day_of(appeal.occurred_at), effective_at)
    after, posting = entry.close(PostingKind.APPEAL, event.ref, None, program.version, appeal.occurred_at, effective_at)
    after.taken = {**account.taken, appeal.reverses: replace(taken, reversed=True)}
    return Decision(Outcome.POSTED, after, (posting,))


def _refusal(taken: Taken, program: Program) -> Outcome | None:
    if taken.of_another:
        return Outcome.EVENT_OF_ANOTHER_MEMBER
    if not taken.movements:
        return Outcome.NOTHING_TO_REVERSE
    if taken.reversed:
        return Outcome.ALREADY_REVERSED
    if any(movement.wallet not in program.wallets for movement in taken.movements):
        return Outcome.WALLET_UNKNOWN
    return None


def _give_back(entry: Entry, taken: Taken, program: Program, day: date, effective_at: Instant) -> None:
    """Debts come first, as they would else be repaid out of what comes back. Then lots in burn order: what debts and
    write-offs take of it leaves the last ones full, as if less had been taken."""
    anew: dict[Wallet, list[Movement]] = {}
    for movement in sorted(taken.movements, key=lambda movement: movement.from_bucket is not DEBT):
        if movement.from_bucket is DEBT:
            left = _forgive(entry, movement, taken.version)
        else:
            left = _put_back(entry, movement, taken.version, program, effective_at)
        if left:
            anew.setdefault(movement.wallet, []).append(replace(movement, amount=left))
    for wallet, movements in anew.items():
        _give_anew(entry, program.wallets[wallet], movements, taken.version, program, day)


def _forgive(entry: Entry, movement: Movement, version: int) -> int:
    """What became debt is no longer owed; returns how much of it was repaid already."""
    part = entry.lessen(movement.wallet, movement.order_id, version, movement.amount)
    if part:
        entry.move(movement.wallet, movement.to_bucket, DEBT, part, movement.rule_id, movement.order_id)
    return movement.amount - part


def _put_back(entry: Entry, movement: Movement, since: int, program: Program, effective_at: Instant) -> int:
    """Put points back into their lot, or the balance of a counter; returns how many cannot, since their lot is over."""
    if movement.lot_id is None:
        entry.movements.append(replace(movement, from_bucket=movement.to_bucket, to_bucket=AVAILABLE))
        _absorb(entry, movement, AVAILABLE, since)
        return 0
    lot = entry.lots.get(movement.lot_id)
    if lot is None or _is_over(lot, effective_at):
        return movement.amount
    bucket = AVAILABLE if lot.activates_at is None else PENDING
    entry.movements.append(replace(movement, from_bucket=movement.to_bucket, to_bucket=bucket))
    left = _absorb(entry, movement, bucket, since)
    if bucket is PENDING or is_kept(lot.wallet, lot.expires_at, program):
        entry.put(replace(lot, remaining=lot.remaining + left))
    return 0


def _is_over(lot: Lot, at: Instant) -> bool:
    """Whether a lot has ended; or nothing was left in it that could become active, and what it waits for may have come
    meanwhile."""
    if lot.expires_at is not None and lot.expires_at <= at:
        return True
    return lot.waits_for is not None and lot.activates_at is not None and not lot.remaining


def _give_anew(
    entry: Entry, policy: WalletPolicy, movements: Sequence[Movement], since: int, program: Program, day: date
) -> None:
    """Points whose lot is over, or that have repaid what is no longer owed, come in one new lot of no order. It is good
    as long as points that the wallet gets on the day of the appeal."""
    validity = program.from_day(policy, day)
    lot_id = entry.new_lot_id() if policy.spendable or validity != NO_DUE else None
    issued = left = 0
    for movement in movements:
        back = replace(movement, from_bucket=movement.to_bucket, to_bucket=AVAILABLE, lot_id=lot_id)
        entry.movements.append(back)
        issued += back.amount
        left += _absorb(entry, back, AVAILABLE, since)
    if lot_id is not None:
        entry.put(Lot(lot_id, policy.wallet, None, issued, left, *validity))


def _absorb(entry: Entry, back: Movement, bucket: Bucket, since: int) -> int:
    """What is left of points that came back, once they have made good what was written off behind version `since`, and
    repaid what is owed: for their order first. Those that are pending do that only for their order, and repay later."""
    left = _make_good(entry, back, bucket, since)
    if bucket is PENDING:
        return left
    if back.order_id is not None and (part := entry.lessen(back.wallet, back.order_id, None, left)):
        entry.movements.append(Movement(back.wallet, AVAILABLE, DEBT, part, None, back.lot_id, back.order_id))
        left -= part
    return entry.repay(back.wallet, back.lot_id, left)


def _make_good(entry: Entry, back: Movement, bucket: Bucket, since: int) -> int:
    """Make write-offs good, the oldest first; returns what is left of the points."""
    left = back.amount
    write_offs = []
    for each in entry.write_offs:
        fits = each.wallet == back.wallet and each.version > since
        of_order = back.order_id is not None and each.order_id == back.order_id
        part = min(left, each.amount) if fits and (bucket is AVAILABLE or of_order) else 0
        if part:
            entry.movements.append(Movement(back.wallet, bucket, WRITTEN_OFF, part, None, back.lot_id, each.order_id))
            left -= part
        write_offs.append(replace(each, amount=each.amount - part) if part else each)
    entry.write_offs = tuple(write_offs)
    return left
