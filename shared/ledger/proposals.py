"""What operators want to give or take, and who decided it. Nothing is changed once it is recorded.

An adjustment is recorded before it is posted, with the one instant at which it happens. So to ask for it again, under
the same id, is the same event, and counts once.
"""

from dataclasses import dataclass
from enum import StrEnum

from shared.domain.facts import Adjustment, Appeal, EventKey
from shared.domain.ids import AdjustmentId, MemberId, Wallet
from shared.domain.time import Instant
from shared.ledger import statements
from shared.ledger.database import Connection, Pool, Record
from shared.operators import Operator, OperatorRole


@dataclass(frozen=True, slots=True)
class Wish:
    """Points that somebody wants to give, or with a minus to take. `expires_at` None: as the wallet's points do.

    With `reverses`, what that event took is to come back. Then `points` is how many it took, and `wallet` out of which
    one, None where it took of several or of none.
    """

    adjustment_id: AdjustmentId
    member_id: MemberId
    wallet: Wallet | None
    points: int
    reason: str
    expires_at: Instant | None = None
    reverses: EventKey | None = None

    def fact(self, actor: str, at: Instant) -> Adjustment | Appeal:
        """What happens when it is granted, at an instant."""
        if self.reverses is not None:
            return Appeal(self.member_id, self.reverses, actor, self.reason, at)
        if self.wallet is None:
            raise ValueError("a wish that reverses no event names its wallet")
        return Adjustment(self.member_id, self.wallet, self.points, actor, self.reason, at, self.expires_at)


class Verdict(StrEnum):
    """What was decided about a proposal."""

    WITHIN_LIMIT = "within_limit"
    """It needs no second person."""
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Ruling:
    """A verdict, with who gave it and when."""

    verdict: Verdict
    actor: str
    why: str
    decided_at: Instant


@dataclass(frozen=True, slots=True)
class Proposal:
    """A wish as it was recorded, and the ruling on it; None while it waits for one."""

    wish: Wish
    actor: str
    role: OperatorRole
    proposed_at: Instant
    ruling: Ruling | None

    def fact(self) -> Adjustment | Appeal | None:
        """What is to be posted, at the instant of the ruling; None while there is nothing."""
        if self.ruling is None or self.ruling.verdict is Verdict.REJECTED:
            return None
        return self.wish.fact(self.actor, self.ruling.decided_at)


class ProposalError(Exception):
    """An adjustment cannot be proposed or decided like this; the message says why, and what to do."""


class UnknownProposalError(ProposalError):
    """There is no such proposal."""


class NotAllowedError(ProposalError):
    """Somebody may not decide this."""


class AlreadyError(ProposalError):
    """The id was used for something else, or the proposal was decided otherwise."""


async def propose(connection: Connection, wish: Wish, operator: Operator, points_max: int, now: Instant) -> Proposal:
    """Record a wish, with the ruling where the operator's limit does. Again is the same proposal.

    Raises `AlreadyError` where the id stands for something else.
    """
    added = await connection.fetchval(
        statements.ADD_PROPOSAL,
        wish.adjustment_id,
        wish.member_id,
        wish.wallet,
        wish.points,
        wish.expires_at,
        *(wish.reverses or (None, None)),
        operator.actor,
        operator.role,
        wish.reason,
        now,
    )
    if added is not None and abs(wish.points) <= points_max:
        proposal = Proposal(wish, operator.actor, operator.role, now, None)
        await _add_ruling(connection, proposal, Verdict.WITHIN_LIMIT, operator, wish.reason, now)
    proposal = await _read(connection, wish.adjustment_id)
    if (proposal.wish, proposal.actor) != (wish, operator.actor):
        raise AlreadyError(
            f"the id {wish.adjustment_id!r} was used before for another adjustment, which stands; take another id"
        )
    return proposal


async def rule(
    connection: Connection, adjustment_id: AdjustmentId, verdict: Verdict, operator: Operator, why: str, now: Instant
) -> Proposal:
    """Approve or reject a proposal. Doing it again changes nothing.

    Raises `NotAllowedError` for who may not: only another person approves, a supervisor; the proposer may withdraw.
    Raises `UnknownProposalError`, and `AlreadyError` where it was decided otherwise.
    """
    proposal = await _read(connection, adjustment_id)
    withdraws = verdict is Verdict.REJECTED and operator.actor == proposal.actor
    if operator.role is not OperatorRole.SUPERVISOR and not withdraws:
        raise NotAllowedError("only a supervisor decides about what others propose")
    if operator.actor == proposal.actor and not withdraws:
        raise NotAllowedError("nobody approves what they proposed themselves: another supervisor has to")
    await _add_ruling(connection, proposal, verdict, operator, why, now)
    proposal = await _read(connection, adjustment_id)
    if proposal.ruling is not None and proposal.ruling.verdict is not verdict:
        made = proposal.ruling
        raise AlreadyError(f"it was decided before: {made.verdict.value.replace('_', ' ')}, by {made.actor}")
    return proposal


async def read_proposal(connection: Connection | Pool, adjustment_id: AdjustmentId) -> Proposal | None:
    """A proposal by its id."""
    row = await connection.fetchrow(statements.READ_PROPOSALS, adjustment_id, False, 1)
    return None if row is None else _proposal(row)


async def list_proposals(connection: Connection | Pool, limit: int, *, only_waiting: bool) -> list[Proposal]:
    """The newest proposals, of all or of those that wait for a ruling."""
    return [_proposal(row) for row in await connection.fetch(statements.READ_PROPOSALS, None, only_waiting, limit)]


async def _read(connection: Connection, adjustment_id: AdjustmentId) -> Proposal:
    proposal = await read_proposal(connection, adjustment_id)
    if proposal is None:
        raise UnknownProposalError(f"there is no adjustment {adjustment_id!r}")
    return proposal


async def _add_ruling(
    connection: Connection, proposal: Proposal, verdict: Verdict, operator: Operator, why: str, now: Instant
) -> None:
    await connection.fetch(
        statements.ADD_PROPOSAL_DECISION,
        proposal.wish.adjustment_id,
        proposal.actor,
        verdict,
        operator.actor,
        operator.role,
        why,
        now,
    )


def _proposal(row: Record) -> Proposal:
    reverses = None if row["reverses_source"] is None else (row["reverses_source"], row["reverses_event_id"])
    wish = Wish(
        row["adjustment_id"],
        row["member_id"],
        row["wallet"],
        row["points"],
        row["reason"],
        row["expires_at"],
        reverses,
    )
    ruling = None
    if row["decision"] is not None:
        ruling = Ruling(Verdict(row["decision"]), row["decided_by"], row["why"], row["decided_at"])
    return Proposal(wish, row["actor"], OperatorRole(row["role"]), row["proposed_at"], ruling)
