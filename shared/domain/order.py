"""Orders: a paid order is rated, held against caps and budgets, and posted, with what was refunded of it before."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from shared.domain import budget, cap
from shared.domain.accrue import rate
from shared.domain.allowance import Allowance
from shared.domain.budget import Leases
from shared.domain.circumstances import circumstances_of
from shared.domain.condition import Activation
from shared.domain.entry import Entry, beyond_limit
from shared.domain.facts import Event, Order
from shared.domain.ids import LotId, OrderId, RuleId, Wallet
from shared.domain.member import NOBODY, profile_at
from shared.domain.model import Account, Decision, KnownOrder, Outcome, PostingKind, RatedOrder
from shared.domain.program import Program, Rule, Validity
from shared.domain.program_budgets import BudgetKey
from shared.domain.reverse import reverse
from shared.domain.room import without
from shared.domain.tally import Tallies, told_before
from shared.domain.time import Instant

UNKNOWN = KnownOrder(None)

NO_TALLIES: Tallies = {}

NOTHING: Mapping[BudgetKey, int] = {}


def decide_order(
    account: Account, event: Event, order: Order, program: Program, leases: Leases, effective_at: Instant
) -> Decision:
    """What a paid order earns. It is kept also where it earns nothing, so that it earns once."""
    if order.currency != program.currency:
        return Decision(Outcome.CURRENCY_NOT_ACCEPTED, account, ())
    known = account.orders.get(order.order_id, UNKNOWN)
    if known.rated is not None:
        return Decision(Outcome.ORDER_ALREADY_PAID, account, ())
    rated, granted, allowance, outcome = _earn(order, program, account, leases)
    short = NOTHING if allowance is None else allowance.short
    known = KnownOrder(rated, known.refunds)
    if not granted:
        return Decision(outcome, knowing(account, order.order_id, known, paid=True), (), rated, short=short)
    entry = Entry(account)
    rated.lots = _issue(entry, order, granted, program, account.tallies)
    tallies = NO_TALLIES if allowance is None else allowance.tallies
    budgets = NOTHING if allowance is None else allowance.used
    if known.refunds:
        taken = reverse(entry, rated, (), known.refunds, program, effective_at).taken
        tallies = {**tallies, **cap.give_back(rated, taken, program, {**account.tallies, **tallies})}
        budgets = budget.together(budgets, budget.given_back(rated.occurred_at, taken, program))
    after, posting = entry.close(
        PostingKind.ACCRUAL, event.ref, order.order_id, program.version, order.occurred_at, effective_at
    )
    if beyond_limit(posting):
        return Decision(Outcome.BALANCE_LIMIT_REACHED, account, (), short=short)
    after.orders = {**after.orders, order.order_id: known}
    after.has_orders = True
    if tallies:
        after.tallies = {**after.tallies, **tallies}
    return Decision(outcome, after, (posting,), rated, tallies=tallies, budgets=budgets, short=short)


def knowing(account: Account, order_id: OrderId, known: KnownOrder, *, paid: bool) -> Account:
    """The account, knowing what became of an order, and whether it ever had one that was `paid`."""
    orders = {**account.orders, order_id: known}
    return replace(account, orders=orders, has_orders=account.has_orders or paid)


_Earned = tuple[RatedOrder, Sequence[tuple[Rule, int]], Allowance | None, Outcome]
"""An order as it was rated, what each rule gives within caps and budgets, what it uses of these where there are any,
and what that comes to. A plain tuple: one is made for every order."""


def _earn(order: Order, program: Program, account: Account, leases: Leases) -> _Earned:
    first_order = not account.has_orders
    profile = profile_at(account.profiles, order.occurred_at) if account.profiles else NOBODY
    about = Activation(order, profile, program.calendar) if program.conditions else None
    rated, granted = rate(order, program, profile, first_order, about)
    if program.asks:
        rated.circumstances = circumstances_of(order, program, profile, first_order=first_order, about=about)
    if about is not None and about.failed:
        outcome = Outcome.CONDITION_FAILED if granted else Outcome.CONDITION_FAILED_NOTHING_MOVED
    else:
        outcome = Outcome.POSTED if granted else Outcome.NOTHING_EARNED
    if not (granted and (program.caps or program.budgets)):
        return rated, granted, None, outcome
    allowance = Allowance(program, order.occurred_at, account.tallies, leases)
    given = _within(allowance, rated, granted)
    if not given:
        outcome = allowance.refusal
    elif given is not granted and outcome is Outcome.POSTED:
        outcome = Outcome.TRIMMED
    return rated, given, allowance, outcome


def _within(allowance: Allowance, rated: RatedOrder, granted: Sequence[tuple[Rule, int]]) -> Sequence[tuple[Rule, int]]:
    """What the rules give within an allowance; `rated` then says what was trimmed. Of a rule's parts, what multipliers
    have added goes first."""
    points: dict[RuleId, int] = {}
    for rule, amount in granted:
        points[rule.of] = points.get(rule.of, 0) + amount
    lost = allowance.cut(points)
    if not lost:
        return granted
    rated.trimmed = {**rated.trimmed, **{rule_id: rated.trimmed.get(rule_id, 0) + lost[rule_id] for rule_id in lost}}
    given: list[tuple[Rule, int]] = []
    for rule_id in points:
        given += without([(rule, amount) for rule, amount in granted if rule.of == rule_id], lost.get(rule_id, 0))
    return given


_LotKey = tuple[Wallet, Validity, str | None]
"""What points have to share to make one lot: the wallet, when they fall due, and for what they wait."""

_Grants = list[tuple[RuleId | None, int]]


def _issue(
    entry: Entry, order: Order, granted: Sequence[tuple[Rule, int]], program: Program, tallies: Tallies
) -> tuple[LotId, ...]:
    """Issue what the rules gave: grants of one wallet that fall due together make one lot. Returns the lots."""
    by_lot: dict[_LotKey, _Grants] = {}
    by_kind: dict[int, _Grants] = {}
    for rule, points in granted:
        kind = program.lot_kinds[rule.of]
        grants = by_kind.get(kind)
        if grants is None:
            grants = by_kind[kind] = by_lot.setdefault(_lot_key(rule, order, program, tallies), [])
        grants.append((rule.rule_id, points))
    lots: list[LotId] = []
    for (wallet, validity, waits_for), grants in by_lot.items():
        lot_id = entry.issue(program.wallets[wallet], validity, grants, order.order_id, waits_for)
        if lot_id is not None:
            lots.append(lot_id)
    return tuple(lots)


def _lot_key(rule: Rule, order: Order, program: Program, tallies: Tallies) -> _LotKey:
    paid_at = order.occurred_at
    day = program.calendar.day_of(paid_at)
    waits_for = None if rule.pending is None else rule.pending.until
    if waits_for is not None and tallies.get(told_before(waits_for, order.order_id)):
        return rule.wallet, program.from_day(program.wallets[rule.wallet], day), None
    return rule.wallet, program.validity(rule, paid_at, day), waits_for
