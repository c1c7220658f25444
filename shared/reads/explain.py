"""What became of an order, an event or a member's orders, as documents: for the API and for `pointstream explain`."""

from collections.abc import Sequence

from shared.contracts.money import EXPONENTS
from shared.domain.explain import basis_of_rated
from shared.domain.facts import EventKey, Refund
from shared.domain.ids import EventId, EventSource, LotId, MemberId, OrderId
from shared.domain.model import Bucket, Movement, Posting, PostingKind, RatedOrder
from shared.domain.program import Program, Programs
from shared.domain.reverse import claws, fits, refunded
from shared.domain.time import Instant, rfc3339
from shared.ledger.history import OrderHistory, ToldRefund, read_event, read_member_orders, read_order
from shared.reads.documents import Json, following_document
from shared.reads.order_documents import issued_by, lot_document, rating_document
from shared.reads.reader import Reader
from shared.reads.reasons import outcome_says


async def explain_order(reader: Reader, member_id: MemberId, order_id: OrderId) -> Json | None:
    """An order of a member: what was given for it, what was taken back, what is left; None for an unknown one.

    Raises `LedgerAwayError` when PostgreSQL is away, like everything here.
    """
    async with reader.picture() as (connection, now):
        history = await read_order(connection, member_id, order_id, reader.shards)
    return None if history is None else order_document(member_id, order_id, history, reader.programs, now)


async def explain_event(reader: Reader, source: EventSource, event_id: EventId) -> Json | None:
    """What became of an event, with its orders; None for one that was never taken in."""
    async with reader.picture() as (connection, now):
        found = await read_event(connection, source, event_id, reader.shards)
        if found is None:
            return None
        orders = [
            (order_id, history)
            for order_id in found.orders
            if (history := await read_order(connection, found.member_id, order_id, reader.shards)) is not None
        ]
    return {
        "source": source,
        "id": event_id,
        "type": found.ref.event_type,
        "member_id": found.member_id,
        "outcome": found.outcome.value,
        "says": outcome_says(found.outcome),
        "recorded_at": rfc3339(found.recorded_at),
        "reverses": _event(found.reverses),
        "reversed_by": _event(found.reversed_by),
        "follows": following_document(found.following),
        "orders": [
            order_document(found.member_id, order_id, history, reader.programs, now) for order_id, history in orders
        ],
    }


def _event(key: EventKey | None) -> Json | None:
    return None if key is None else {"source": key[0], "id": key[1]}


async def explain_member(reader: Reader, member_id: MemberId, limit: int) -> list[Json]:
    """A member's `limit` newest orders, each as `explain_order` gives it."""
    async with reader.picture() as (connection, now):
        order_ids = await read_member_orders(connection, member_id, limit, reader.shards)
        found = [(each, await read_order(connection, member_id, each, reader.shards)) for each in order_ids]
    return [
        order_document(member_id, order_id, history, reader.programs, now)
        for order_id, history in found
        if history is not None
    ]


def order_document(
    member_id: MemberId, order_id: OrderId, history: OrderHistory, programs: Programs, now: Instant | None
) -> Json:
    """All about an order; `now` None is a replay that has not begun, in which nothing is due."""
    postings = [entry.posting for entry in history.entries]
    rated = history.rated
    if rated is None:
        return {
            "member_id": member_id,
            "order_id": order_id,
            "accepted": False,
            "paid_at": None,
            "currency": None,
            "paid": None,
            "program_version": None,
            "as_of": None if now is None else rfc3339(now),
            **{name: [] for name in ("lines", "rules", "silent_rules", "silent_multipliers", "lots")},
            "trimmed": {},
            "refunds": [_refund(told, {}, (), None) for told in history.refunds],
            "taken_when_paid": [],
        }
    at = rated.occurred_at if now is None else now
    program = programs.version(rated.program_version)
    basis = basis_of_rated(rated, EXPONENTS[rated.currency])
    accrual = [each for each in postings if each.kind is PostingKind.ACCRUAL and each.order_id == order_id]
    movements = [movement for posting in accrual for movement in posting.movements]
    everything = [movement for posting in postings for movement in posting.movements]
    return {
        "member_id": member_id,
        "order_id": order_id,
        "accepted": True,
        "paid_at": rfc3339(rated.occurred_at),
        "currency": rated.currency,
        "paid": rated.paid,
        "program_version": rated.program_version,
        "as_of": rfc3339(at),
        **rating_document(rated, basis, program, issued_by(movements)),
        "lots": [lot_document(lot, at, everything, program) for lot in history.lots],
        "refunds": _refunds(history.refunds, rated, program, postings),
        "taken_when_paid": taken_document(movements, rated),
    }


def _refunds(
    refunds: Sequence[ToldRefund], rated: RatedOrder, program: Program, postings: Sequence[Posting]
) -> list[Json]:
    """Each refund with what it asked for beyond those before it, and what its posting took."""
    documents: list[Json] = []
    before: list[Refund] = []
    asked_before = dict.fromkeys(rated.points, 0)
    for told in refunds:
        asked: dict[str, int] = {}
        if fits(told.refund, rated):
            before.append(told.refund)
            parts = refunded(rated, before).parts
            for rule, points in claws(rated, parts, program):
                if points != asked_before[rule.rule_id]:
                    asked[rule.rule_id] = points - asked_before[rule.rule_id]
                asked_before[rule.rule_id] = points
        moved = [
            movement
            for posting in postings
            if posting.event is not None
            and (posting.event.source, posting.event.event_id) == (told.source, told.event_id)
            for movement in posting.movements
        ]
        documents.append(_refund(told, asked, moved, rated))
    return documents


def _refund(told: ToldRefund, asked: dict[str, int], moved: Sequence[Movement], rated: RatedOrder | None) -> Json:
    refund = told.refund
    return {
        "refund_id": refund.refund_id,
        "event": {"source": told.source, "id": told.event_id},
        "outcome": told.outcome.value,
        "says": outcome_says(told.outcome),
        "reason": refund.reason.value,
        "occurred_at": rfc3339(refund.occurred_at),
        "arrived_at": rfc3339(told.arrived_at),
        "full": refund.full,
        "lines": [
            {"line_id": given.line_id, "quantity": given.quantity, "amount": given.amount} for given in refund.lines
        ],
        "amount": refund.amount,
        "shipping": refund.shipping,
        "asked": asked,
        "took": [] if rated is None else taken_document(moved, rated),
    }


def taken_document(movements: Sequence[Movement], rated: RatedOrder) -> list[Json]:
    """What movements took back, and where from."""
    return [
        {
            "rule": movement.rule_id,
            "wallet": movement.wallet,
            "points": movement.amount,
            "from": _place(movement, rated.lots),
            "lot": movement.lot_id,
        }
        for movement in movements
        if movement.to_bucket is Bucket.CLAWED_BACK and movement.order_id == rated.order_id
    ]


def _place(movement: Movement, own: Sequence[LotId]) -> str:
    if movement.from_bucket is not Bucket.AVAILABLE:
        return movement.from_bucket.value
    if movement.lot_id is None:
        return "balance"
    return "own_lot" if movement.lot_id in own else "other_lot"
