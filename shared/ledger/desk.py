"""The operators' desk: where people adjust points, for the commands and the API alike."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from shared.clock import now_of
from shared.contracts.defect import Undecodable
from shared.domain.facts import Adjustment, Appeal
from shared.domain.ids import AdjustmentId, EventId, EventSource, MemberId
from shared.domain.model import Balances, Outcome
from shared.domain.settle import settle
from shared.domain.time import EPOCH, Instant
from shared.ledger import proposals
from shared.ledger.adjustments import Recorded, adjustment_of, event_of, read_adjustments
from shared.ledger.appeals import read_taken
from shared.ledger.batch import Batch, Consumed
from shared.ledger.database import Pool, Role, open_pool
from shared.ledger.installation import InstallationError, read_installation
from shared.ledger.plan import Key
from shared.ledger.post import Poster
from shared.ledger.programs import load_programs
from shared.ledger.proposals import Proposal, ProposalError, Verdict, Wish
from shared.ledger.state import read_account
from shared.operators import Operator

SOURCE = EventSource("/pointstream/adjustments")
"""The source of the events that tell of single adjustments."""

CONNECTIONS_MAX = 2
"""A desk serves people, a few at a time."""


class InvalidWishError(ProposalError):
    """A wish does not keep the contract of adjustments; `path` names what is wrong with it."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Standing:
    """A proposal, and what the ledger decided when it was posted; None while it is not."""

    proposal: Proposal
    recorded: Recorded | None


class Desk:
    """Adjusts points of one installation. Everything raises connection errors as they come; doing it again is safe."""

    def __init__(self, pool: Pool, poster: Poster, shards: int) -> None:
        self.pool = pool
        self.poster = poster
        self.shards = shards

    async def now(self) -> Instant:
        """The time that the installation lives in."""
        now = await now_of(self.pool)
        if now is None:
            raise InstallationError("the replay has not begun, so there is no time to adjust anything at")
        return now

    async def adjust(self, wish: Wish, operator: Operator, points_max: int) -> Standing:
        """Give, take or give back points, or, above the limit, propose to. Raises `ProposalError`."""
        now = await self.now()
        _check(wish, operator, now)
        wish = await self.weighed(wish)
        async with self.pool.acquire() as connection, connection.transaction():
            proposal = await proposals.propose(connection, wish, operator, points_max, now)
        return await self._finish(proposal)

    async def weighed(self, wish: Wish) -> Wish:
        """The wish, with what the event took that it reverses: how many points, and of which wallet."""
        if wish.reverses is None:
            return wish
        key = wish.member_id, wish.reverses
        found = (await read_taken(self.pool, [key], self.shards)).get(key)
        movements = () if found is None else found.movements
        wallets = {movement.wallet for movement in movements}
        return replace(
            wish,
            points=sum(movement.amount for movement in movements),
            wallet=wallets.pop() if len(wallets) == 1 else None,
        )

    async def rehearse(self, wish: Wish, operator: Operator) -> tuple[Outcome, Balances]:
        """What an adjustment would come to now, and the member's balances then. Nothing is written."""
        now = await self.now()
        consumed = _check(wish, operator, now)
        planned = await self.poster.rehearse(Batch(events=[consumed]))
        if not planned.consumed:
            raise proposals.AlreadyError(f"the id {wish.adjustment_id!r} was used before")
        ((_, outcome),) = planned.consumed
        if planned.changes:
            return outcome, planned.changes[0].after.balances
        return outcome, await self.balances(wish.member_id) or {}

    async def rule(self, adjustment_id: AdjustmentId, verdict: Verdict, operator: Operator, why: str) -> Standing:
        """Approve or reject a proposal, and post what was approved. Raises `ProposalError`."""
        now = await self.now()
        async with self.pool.acquire() as connection, connection.transaction():
            proposal = await proposals.rule(connection, adjustment_id, verdict, operator, why, now)
        return await self._finish(proposal)

    async def list(self, limit: int, *, only_waiting: bool) -> list[Standing]:
        """The newest adjustments, of all or of those that wait for a second person."""
        found = await proposals.list_proposals(self.pool, limit, only_waiting=only_waiting)
        recorded = await read_adjustments(self.pool, [_key(each) for each in found], self.shards)
        return [Standing(each, recorded.get(_key(each))) for each in found]

    async def balances(self, member_id: MemberId) -> Balances | None:
        """A member's balances now, by the ledger; None for a member that nobody has seen."""
        now = await self.now()
        async with (
            self.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            read = await read_account(connection, member_id, now, self.shards)
        if read is None:
            return None
        settled, _ = settle(read.account, max(now, EPOCH), self.poster.programs)
        return settled.balances

    async def _finish(self, proposal: Proposal) -> Standing:
        """Post what was decided to be done, unless that was finished before."""
        fact = proposal.fact()
        if fact is None:
            return Standing(proposal, None)
        key = _key(proposal)
        known = await read_adjustments(self.pool, [key], self.shards)
        if key not in known:
            consumed = _consumed(proposal.wish.adjustment_id, fact, await self.now())
            await self.poster.post(Batch(events=[consumed]))
            known = await read_adjustments(self.pool, [key], self.shards)
        return Standing(proposal, known[key])


@asynccontextmanager
async def open_desk(database: str, *, by_key: bool = True) -> AsyncIterator[Desk]:
    """A desk for as long as the block lasts. Raises `InstallationError` and connection errors."""
    pool = await open_pool(database, Role.WRITER, max_size=CONNECTIONS_MAX, by_key=by_key)
    try:
        installation = await read_installation(pool)
        yield Desk(pool, Poster(pool, await load_programs(pool), installation.shards), installation.shards)
    finally:
        pool.terminate()


def _key(proposal: Proposal) -> Key:
    return SOURCE, EventId(proposal.wish.adjustment_id)


def _check(wish: Wish, operator: Operator, now: Instant) -> Consumed:
    """The event of a wish that is granted now. Raises `InvalidWishError`."""
    if wish.expires_at is not None and wish.expires_at <= now:
        raise InvalidWishError("expires_at", "The points would have ended already.")
    try:
        return _consumed(wish.adjustment_id, wish.fact(operator.actor, now), now)
    except Undecodable as error:
        raise InvalidWishError(error.path.removeprefix("data."), error.reason) from None
    except TypeError:
        raise InvalidWishError("reason", "There is text in it that is no Unicode.") from None


def _consumed(adjustment_id: AdjustmentId, fact: Adjustment | Appeal, now: Instant) -> Consumed:
    return adjustment_of(event_of(SOURCE, adjustment_id, fact), now)
