"""Adjustments: points that operators give and take."""

from shared.domain.entry import Entry, beyond_limit
from shared.domain.facts import Adjustment, Event
from shared.domain.ids import LotId
from shared.domain.model import Account, Bucket, Decision, Outcome, PostingKind
from shared.domain.program import Program, Validity, WalletPolicy
from shared.domain.reverse import take_available
from shared.domain.time import Instant

ADJUSTED = Bucket.ADJUSTED


def decide_adjustment(
    account: Account, event: Event, adjustment: Adjustment, program: Program, effective_at: Instant
) -> Decision:
    """What an adjustment comes to, for an account that is settled."""
    policy = program.wallets.get(adjustment.wallet)
    if policy is None:
        return Decision(Outcome.WALLET_UNKNOWN, account, ())
    entry = Entry(account)
    refusal = _move(entry, policy, adjustment, program)
    if refusal is not None:
        return Decision(refusal, account, ())
    after, posting = entry.close(
        PostingKind.ADJUSTMENT, event.ref, None, program.version, adjustment.occurred_at, effective_at
    )
    if beyond_limit(posting):
        return Decision(Outcome.BALANCE_LIMIT_REACHED, account, ())
    return Decision(Outcome.POSTED, after, (posting,))


def _move(entry: Entry, policy: WalletPolicy, adjustment: Adjustment, program: Program) -> Outcome | None:
    """Move the points; gives the outcome where none can be moved."""
    points = adjustment.points
    if points > 0:
        if adjustment.expires_at is not None and adjustment.expires_at <= adjustment.occurred_at:
            return Outcome.ENDED_ALREADY
        entry.issue(policy, _validity(policy, adjustment, program), [(None, points)], None)
        return None
    if adjustment.lot_id is not None:
        return _take_from_lot(entry, policy, adjustment.lot_id, -points)
    if entry.available(policy.wallet) < -points:
        return Outcome.BALANCE_TOO_LOW
    take_available(entry, policy, -points, ADJUSTED, None, None)
    return None


def _validity(policy: WalletPolicy, adjustment: Adjustment, program: Program) -> Validity:
    if adjustment.expires_at is not None:
        return Validity(None, adjustment.expires_at)
    return program.from_day(policy, program.calendar.day_of(adjustment.occurred_at))


def _take_from_lot(entry: Entry, policy: WalletPolicy, lot_id: LotId, points: int) -> Outcome | None:
    """Take what is left of a lot, up to so many points: the rest was spent or ended, and is nobody's debt."""
    lot = entry.lots.get(lot_id)
    if lot is None or lot.wallet != policy.wallet or not lot.remaining:
        return Outcome.NOTHING_TO_TAKE_BACK
    entry.take(lot, min(points, lot.remaining), ADJUSTED, None, lot.order_id)
    return None
