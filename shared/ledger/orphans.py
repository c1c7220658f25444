"""Refunds that count nothing: they wait for an order that has not come, or do not fit the one that has."""

from dataclasses import dataclass
from enum import StrEnum

from shared.domain.facts import RefundReason
from shared.domain.program import Programs
from shared.domain.time import Instant
from shared.ledger import statements
from shared.ledger.database import Connection
from shared.ledger.history import ToldRefund, told_refund


class Plight(StrEnum):
    """What is the matter with a refund that counts nothing."""

    WAITING = "waiting"
    """Its order has not come yet."""
    ORPHANED = "orphaned"
    """Its order has not come for longer than the program lets it wait. It still counts when the order comes."""
    DOES_NOT_FIT = "does_not_fit"
    """Its order has another currency, or not all of its lines."""


@dataclass(frozen=True, slots=True)
class IdleRefund:
    """A refund that counts nothing. `orphaned_at` is until when its order should have come; None where it has."""

    told: ToldRefund
    plight: Plight
    orphaned_at: Instant | None


async def find_idle_refunds(
    connection: Connection,
    programs: Programs,
    now: Instant,
    *,
    arrived_until: Instant,
    reason: RefundReason | None,
    limit: int,
) -> list[IdleRefund]:
    """The refunds that arrived by an instant and count nothing at `now`, oldest first, at most `limit`; with a reason,
    only those that were given back for it."""
    wanted = None if reason is None else reason.value
    rows = await connection.fetch(statements.FIND_IDLE_REFUNDS, arrived_until, wanted, limit)
    return [_idle(told_refund(row), row["has_order"], programs, now) for row in rows]


def _idle(told: ToldRefund, has_order: bool, programs: Programs, now: Instant) -> IdleRefund:
    if has_order:
        return IdleRefund(told, Plight.DOES_NOT_FIT, None)
    program = programs.in_force(told.refund.occurred_at)
    if program is None:  # pragma: no cover - such a refund is refused, and not kept
        return IdleRefund(told, Plight.WAITING, None)
    until = Instant(told.arrived_at + program.refunds.wait_us)
    return IdleRefund(told, Plight.ORPHANED if until < now else Plight.WAITING, until)
