"""What a basket would earn a member now: decided as the worker would decide it, with nothing written."""

from shared.contracts import order_paid
from shared.contracts.headers import Headers
from shared.domain.decide import decide_all
from shared.domain.explain import basis_of
from shared.domain.facts import Event, Order
from shared.domain.member import profile_at
from shared.domain.model import Account, Decision, PostingKind
from shared.domain.program import Programs
from shared.domain.time import Instant, rfc3339
from shared.ledger.state import read_accounts
from shared.reads.documents import Json, wallets_document
from shared.reads.explain import taken_document
from shared.reads.order_documents import issued_by, lot_document, rating_document
from shared.reads.reader import Reader
from shared.reads.reasons import outcome_says

_HEADERS: Headers = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"preview"),
    ("ce_source", b"/preview"),
    ("ce_type", order_paid.TYPE.encode()),
    ("content-type", b"application/json"),
)
"""An event in binary mode, whose data are the message alone."""


async def preview_order(reader: Reader, data: bytes) -> Json:
    """What an order would come to, given the data of an order-paid event as JSON.

    Raises `Undecodable` for data that break the contract, and `LedgerAwayError` when PostgreSQL is away.
    """
    decoded = order_paid.decode(data, _HEADERS)
    order = decoded.fact
    assert isinstance(order, Order)  # noqa: S101 - the contract is that of orders
    async with reader.picture() as (connection, now):
        programs = reader.programs
        event = Event(decoded.ref, order.occurred_at if now is None else now, order)
        accounts, leases = await read_accounts(connection, [event], reader.shards, programs)
    account = accounts[order.member_id]
    decisions = decide_all(accounts.__getitem__, event, programs, leases)
    decision = decisions[0]
    *_, after = [each.account for each in decisions if each.account.member_id == order.member_id]
    return {
        "member_id": order.member_id,
        "order_id": order.order_id,
        "as_of": rfc3339(event.arrived_at),
        "outcome": decision.outcome.value,
        "says": outcome_says(decision.outcome),
        **_rating(order, account, decision, programs, event.arrived_at),
        "wallets": wallets_document(reader.all_wallets(after.balances, event.arrived_at)),
    }


def _rating(order: Order, account: Account, decision: Decision, programs: Programs, at: Instant) -> dict[str, object]:
    """What the order would get; nothing of it where it would be refused."""
    rated = decision.order
    program = programs.in_force(order.occurred_at)
    if rated is None or program is None:
        nothing = ("lines", "rules", "silent_rules", "silent_multipliers", "lots", "taken_when_paid")
        version = None if program is None else program.version
        return {"program_version": version, **{name: [] for name in nothing}, "trimmed": {}}
    profile = profile_at(account.profiles, order.occurred_at)
    basis = basis_of(order, program, profile, first_order=not account.has_orders)
    movements = [
        movement
        for posting in decision.postings
        if posting.kind is PostingKind.ACCRUAL and posting.order_id == order.order_id
        for movement in posting.movements
    ]
    everything = [movement for posting in decision.postings for movement in posting.movements]
    return {
        "program_version": program.version,
        **rating_document(rated, basis, program, issued_by(movements)),
        "lots": [lot_document(decision.account.lots[lot_id], at, everything, program) for lot_id in rated.lots],
        "taken_when_paid": taken_document(movements, rated),
    }
