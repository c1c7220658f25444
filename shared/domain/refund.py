"""Refunds: what is given back of an order takes its points back, or waits for the order."""

from dataclasses import replace

from shared.domain import budget, cap
from shared.domain.entry import Entry
from shared.domain.facts import Event, Refund
from shared.domain.model import Account, Decision, KnownOrder, Outcome, PostingKind
from shared.domain.order import UNKNOWN, knowing
from shared.domain.program import Programs
from shared.domain.reverse import fits, reverse
from shared.domain.time import Instant


def decide_refund(
    account: Account, event: Event, refund: Refund, programs: Programs, effective_at: Instant
) -> Decision:
    """What a refund takes back, by the version of the program that rated its order."""
    known = account.orders.get(refund.order_id, UNKNOWN)
    if any(other.refund_id == refund.refund_id for other in known.refunds):
        return Decision(Outcome.REFUND_ALREADY_COUNTED, account, ())
    refunds = (*known.refunds, refund)
    rated = known.rated
    account = knowing(account, refund.order_id, KnownOrder(rated, refunds), paid=rated is not None)
    if rated is None:
        return Decision(Outcome.WAITING_FOR_ORDER, account, (), refund=refund)
    if not fits(refund, rated):
        return Decision(Outcome.REFUND_DOES_NOT_FIT, account, (), refund=refund)
    entry = Entry(account)
    program = programs.version(rated.program_version)
    reversed_ = reverse(entry, rated, known.refunds, refunds, program, effective_at)
    if not entry.movements:
        outcome = Outcome.OVER_REFUNDED_NOTHING_TAKEN if reversed_.too_much else Outcome.NOTHING_TO_TAKE_BACK
        return Decision(outcome, account, (), refund=refund)
    after, posting = entry.close(
        PostingKind.REVERSAL, event.ref, rated.order_id, program.version, refund.occurred_at, effective_at
    )
    tallies = cap.give_back(rated, reversed_.taken, program, account.tallies)
    budgets = budget.given_back(rated.occurred_at, reversed_.taken, program)
    after = replace(after, tallies={**after.tallies, **tallies})
    outcome = Outcome.OVER_REFUNDED if reversed_.too_much else Outcome.POSTED
    return Decision(outcome, after, (posting,), refund=refund, tallies=tallies, budgets=budgets)
