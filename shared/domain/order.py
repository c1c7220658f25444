"""Orders: a paid order is rated, held against caps, and posted, with what was refunded of it before."""

from collections.abc import Sequence
from dataclasses import replace

from shared.domain import cap
from shared.domain.accrue import rate
from shared.domain.circumstances import circumstances_of
from shared.domain.condition import Activation
from shared.domain.entry import Entry, beyond_limit
from shared.domain.facts import Event, Order
from shared.domain.ids import LotId, OrderId, RuleId, Wallet
from shared.domain.model import Account, Decision, KnownOrder, Outcome, PostingKind, RatedOrder
from shared.domain.program import Program, Rule, Validity
from shared.domain.reverse import reverse
from shared.domain.tally import Tallies, told_before
from shared.domain.time import Instant

UNKNOWN = KnownOrder(None)

NO_TALLIES: Tallies = {}


def decide_order(account: Account, event: Event, order: Order, program: Program, effective_at: Instant) -> Decision:
    """What a paid order earns. It is kept also where it earns nothing, so that it earns once."""
    if order.currency != program.currency:
        return Decision(Outcome.CURRENCY_NOT_ACCEPTED, account, ())
    known = account.orders.get(order.order_id, UNKNOWN)
    if known.rated is not None:
        return Decision(Outcome.ORDER_ALREADY_PAID, account, ())
    rated, granted, tallies, outcome = _earn(order, program, account)
    known = KnownOrder(rated, known.refunds)
    if not granted:
        return Decision(outcome, knowing(account, order.order_id, known, paid=True), (), rated)
    entry = Entry(account)
    rated.lots = _issue(entry, order, granted, program, account.tallies)
    if known.refunds:
        taken = reverse(entry, rated, (), known.refunds, program, effective_at).taken
        tallies = {**tallies, **cap.give_back(rated, taken, program, {**account.tallies, **tallies})}
    after, posting = entry.close(
        PostingKind.ACCRUAL, event.ref, order.order_id, program.version, order.occurred_at, effective_at
    )
    if beyond_limit(posting):
        return Decision(Outcome.BALANCE_LIMIT_REACHED, account, ())
    after.orders = {**after.orders, order.order_id: known}
    after.has_orders = True
    if tallies:
        after.tallies = {**after.tallies, **tallies}
    return Decision(outcome, after, (posting,), rated, tallies=tallies)


def knowing(account: Account, order_id: OrderId, known: KnownOrder, *, paid: bool) -> Account:
    """The account, knowing what became of an order, and whether it ever had one that was `paid`."""
    orders = {**account.orders, order_id: known}
    return replace(account, orders=orders, has_orders=account.has_orders or paid)


_Earned = tuple[RatedOrder, Sequence[tuple[Rule, int]], Tallies, Outcome]
"""An order as it was rated, what each rule gives within the caps, the tallies of these, and what that comes to. A plain
tuple: one is made for every order."""


def _earn(order: Order, program: Program, account: Account) -> _Earned:
    first_order = not account.has_orders
    about = Activation(order, account.profile, program.calendar) if program.conditional else None
    rated, granted = rate(order, program, account.profile, first_order, about)
    if program.asks:
        rated.circumstances = circumstances_of(order, program, account.profile, first_order=first_order, about=about)
    if about is not None and about.failed:
        outcome = Outcome.CONDITION_FAILED if granted else Outcome.CONDITION_FAILED_NOTHING_MOVED
    else:
        outcome = Outcome.POSTED if granted else Outcome.NOTHING_EARNED
    if not (granted and program.caps):
        return rated, granted, NO_TALLIES, outcome
    capped = cap.apply(rated, granted, program, account.tallies)
    if not capped.granted:
        outcome = Outcome.CAPPED
    elif capped.cut and outcome is Outcome.POSTED:
        outcome = Outcome.TRIMMED
    return rated, capped.granted, capped.tallies, outcome


def _issue(
    entry: Entry, order: Order, granted: Sequence[tuple[Rule, int]], program: Program, tallies: Tallies
) -> tuple[LotId, ...]:
    """Issue what the rules gave: grants of one wallet that fall due together make one lot. Returns the lots."""
    by_lot: dict[tuple[Wallet, Validity, str | None], list[tuple[RuleId | None, int]]] = {}
    paid_at = order.occurred_at
    day = program.calendar.day_of(paid_at)
    for rule, points in granted:
        waits_for = None if rule.pending is None else rule.pending.until
        validity = program.validity(rule, paid_at, day)
        if waits_for is not None and tallies.get(told_before(waits_for, order.order_id)):
            waits_for, validity = None, program.from_day(program.wallets[rule.wallet], day)
        by_lot.setdefault((rule.wallet, validity, waits_for), []).append((rule.rule_id, points))
    lots = [
        entry.issue(program.wallets[wallet], validity, grants, order.order_id, waits_for)
        for (wallet, validity, waits_for), grants in by_lot.items()
    ]
    return tuple([lot_id for lot_id in lots if lot_id is not None])
