"""The pure core, driven over a history, and its postings in the naive model's words."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from shared.contracts import adjustment, refund
from shared.contracts.contract import Contract
from shared.contracts.program import ProgramDocument
from shared.domain.budget import NO_LEASES, Leases, after
from shared.domain.decide import decide
from shared.domain.facts import Adjustment, Event, EventRef, Fact, Order, Refund, Sweep
from shared.domain.ids import EventId, EventSource, MemberId, OrderId, Wallet
from shared.domain.model import Account, Bucket, Debt, Lot, Movement, Posting, RatedOrder
from shared.domain.program import Programs
from shared.domain.settle import settle
from shared.domain.time import Instant, datetime_of, instant_of
from tests.property import histories
from tests.property.naive_rating import EXPONENTS


@dataclass
class Told:
    """A fact that the naive model knows nothing of, and when it arrives."""

    arrived_at: datetime
    fact: Fact


class Core:
    """The accounts of all members, held as a ledger would hold them.

    `programs` are those of the history's documents, where somebody has read them before. With `due_only` a decision
    sees only the lots that fall due by the event's arrival, as the ledger loads them.
    """

    def __init__(self, history: histories.History, programs: Programs | None = None, *, due_only: bool = False) -> None:
        self.programs = programs or programs_of(history.documents)
        self.accounts = {MemberId(member): _account(history, member) for member in history.members}
        self.postings: dict[MemberId, list[Posting]] = {member: [] for member in self.accounts}
        self.orders: dict[tuple[MemberId, OrderId], RatedOrder] = {}
        self.leases: Leases = NO_LEASES
        self._due_only = due_only

    def step(self, step: "histories.Step | Told", event_id: str) -> str:
        """Decide one step; returns its outcome."""
        if isinstance(step, histories.Sweep):
            return self._decide(Sweep(MemberId(step.member_id), instant_of(step.until)))
        ref = EventRef(EventSource("/shop"), EventId(event_id), "any")
        return self._decide(Event(ref, instant_of(step.arrived_at), fact_of(step)))

    def run(self, steps: Iterable[histories.Step], end: datetime) -> list[str]:
        """All steps, then a sweep of everybody to `end`; returns the outcomes of the steps."""
        outcomes = [self.step(step, f"e{number}") for number, step in enumerate(steps)]
        for member_id in self.accounts:
            self._decide(Sweep(member_id, instant_of(end)))
        return outcomes

    def balances_at(self, member_id: str, instant: datetime) -> dict[str, dict[str, int]]:
        """What a member sees: the account settled in memory."""
        account, _ = settle(self.accounts[MemberId(member_id)], instant_of(instant), self.programs)
        return plain_balances(account.balances)

    def all_postings(self) -> dict[str, list[dict[str, Any]]]:
        return {member: [plain_posting(posting) for posting in rows] for member, rows in self.postings.items()}

    def _decide(self, event: Event | Sweep) -> str:
        before = self.accounts[event.member_id]
        decision = decide(self._handed_over(before, event), event, self.programs, self.leases)
        self.leases = after(self.leases, decision.budgets)
        lots = {**before.lots, **decision.account.lots}
        self.accounts[event.member_id] = replace(decision.account, lots=lots, later_due_at=None)
        self.postings[event.member_id] += decision.postings
        if decision.order is not None:
            self.orders[event.member_id, decision.order.order_id] = decision.order
        return decision.outcome.value

    def _handed_over(self, account: Account, event: Event | Sweep) -> Account:
        if not self._due_only:
            return account
        lots = account.lots
        if isinstance(event, Event) and isinstance(event.fact, Refund | Adjustment):
            return account
        now = {lot_id: lot for lot_id, lot in lots.items() if lot.due_at is not None and lot.due_at <= event.arrived_at}
        later = [lot.due_at for lot_id, lot in lots.items() if lot_id not in now and lot.due_at is not None]
        return replace(account, lots=now, later_due_at=min(later, default=None))


def programs_of(documents: list[dict[str, Any]]) -> Programs:
    """The versions of a program, as the core has them."""
    return Programs([ProgramDocument.model_validate(document).to_domain() for document in documents])


def _account(history: histories.History, member: str) -> Account:
    debts = [Debt(Wallet(w), OrderId(order), amount) for m, w, order, amount in history.debts if m == member]
    balances: dict[Wallet, dict[Bucket, int]] = {}
    for debt in debts:
        buckets = balances.setdefault(debt.wallet, {Bucket.DEBT: 0, Bucket.CLAWED_BACK: 0})
        buckets[Bucket.DEBT] -= debt.amount
        buckets[Bucket.CLAWED_BACK] += debt.amount
    return Account(MemberId(member), balances=balances, debts=tuple(debts))


def fact_of(step: "histories.Event | Told") -> Fact:
    match step:
        case Told():
            return step.fact
        case histories.Arrival():
            return order_of(step.order)
        case histories.RefundArrival():
            return decoded(refund.CONTRACT, step.data)
        case histories.AdjustmentArrival():
            return decoded(adjustment.CONTRACT, step.data)


def decoded(contract: Contract[Any], data: dict[str, Any]) -> Fact:
    """What the contract makes of the data of an event."""
    event = {"specversion": "1.0", "id": "e", "source": "/shop", "type": contract.type, "data": data}
    return contract.decode(orjson.dumps(event), ()).fact


def order_of(data: dict[str, Any]) -> Order:
    return Order(
        order_id=OrderId(data["order_id"]),
        member_id=MemberId(data["member_id"]),
        currency=data["currency"],
        exponent=EXPONENTS[data["currency"]],
        paid=data["paid"],
        shipping=data["shipping"],
        channel=data["channel"],
        store=data["store"],
        payment_method=data.get("payment_method"),
        occurred_at=instant_of(datetime.fromisoformat(data["occurred_at"])),
        lines=data["lines"],
    )


def plain_posting(posting: Posting) -> dict[str, Any]:
    return {
        "version": posting.version,
        "kind": posting.kind.value,
        "occurred_at": datetime_of(posting.occurred_at),
        "effective_at": datetime_of(posting.effective_at),
        "order": posting.order_id,
        "program_version": posting.program_version,
        "movements": [plain_movement(movement) for movement in posting.movements],
        "balances": plain_balances(posting.balances),
        "next_due_at": moment(posting.next_due_at),
    }


def plain_movement(movement: Movement) -> dict[str, Any]:
    return {
        "wallet": movement.wallet,
        "from": movement.from_bucket.value,
        "to": movement.to_bucket.value,
        "amount": movement.amount,
        "rule": movement.rule_id,
        "lot": movement.lot_id,
        "order": movement.order_id,
    }


def plain_balances(balances: Any) -> dict[str, dict[str, int]]:
    return {wallet: {bucket.value: n for bucket, n in buckets.items()} for wallet, buckets in balances.items()}


def plain_lot(lot: Lot) -> tuple[Any, ...]:
    return (
        lot.lot_id,
        lot.wallet,
        lot.order_id,
        lot.issued,
        lot.remaining,
        moment(lot.activates_at),
        moment(lot.expires_at),
    )


def moment(instant: Instant | None) -> datetime | None:
    return None if instant is None else datetime_of(instant)
