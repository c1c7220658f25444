"""The shapes of the API's answers, for its OpenAPI document. Answers are built without them: see shared/reads."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.contracts.fields import MAX_NAME_CHARS
from shared.domain.model import Bucket, Outcome, PostingKind
from shared.ledger.proposals import Verdict
from shared.operators import OperatorRole
from shared.reads.adjustments import AdjustmentState

Points = Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})]


class Answer(BaseModel):
    """What every answer is: just what its shape says."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Wallet(Answer):
    """The points of one wallet.

    lifetime_issued = available + pending + expired + clawed_back + adjusted + penalty − debt − written_off
    − cash_offset.
    """

    available: Points
    """Can be spent now."""
    pending: Points
    """Given, but not to be spent before the return window is over."""
    debt: Points
    """Owed: taken back when they were already spent. Points that become available repay it first."""
    lifetime_issued: Points
    """Ever given."""
    expired: Points
    """Ended unspent."""
    clawed_back: Points
    """Taken back after refunds, also where they were spent already."""
    adjusted: Points
    """Taken by operators."""
    penalty: Points
    """Taken for what a member did."""
    written_off: Points
    """To be taken back, but spent already and let go."""
    cash_offset: Points
    """To be taken back, but spent already; the shop keeps their worth from what it gives back."""


class Balance(Answer):
    """A member's balances, with all that became active or expired by `as_of`."""

    member_id: Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)]
    version: Annotated[int, Field(ge=1, json_schema_extra={"format": "int64"})]
    """The newest posting in it: the same number as in the statement and in points-changed."""
    as_of: AwareDatetime
    """When it holds: now, or as far as a replay has come."""
    next_due_at: AwareDatetime | None
    """When points will become active or expire next; null when nothing will by itself."""
    wallets: dict[str, Wallet]
    """Every wallet of the program in force, also an empty one."""


class MovementOut(Answer):
    """Points of a wallet that went from one bucket to another."""

    wallet: str
    from_: Annotated[Bucket, Field(alias="from")]
    to: Bucket
    amount: Annotated[int, Field(ge=1, json_schema_extra={"format": "int64"})]
    rule: str | None
    """The program's rule that gave them."""
    lot: int | None
    """The lot that they belong to: points that were issued together and end together. Lots of a member count from 1."""
    order: str | None
    """The order that they were given for."""


class EventRefOut(Answer):
    """The CloudEvent that made the posting: source and id are unique."""

    source: str
    id: str
    type: str


class Entry(Answer):
    """A posting: what one event, or one due instant, did to the member's account."""

    version: Annotated[int, Field(ge=1, json_schema_extra={"format": "int64"})]
    """The member's postings count from 1 without gaps."""
    kind: PostingKind
    """Why it was made; a settlement is what fell due by itself."""
    occurred_at: AwareDatetime
    """When it happened, as the event says; for a settlement, when it fell due."""
    effective_at: AwareDatetime
    """When it moved the points: later than it happened where the event came late."""
    recorded_at: AwareDatetime
    """When it was written into the ledger."""
    program_version: int
    """The version of the program that decided it."""
    order_id: str | None
    event: EventRefOut | None
    """Null for what fell due by itself."""
    movements: list[MovementOut]
    balances: dict[str, Wallet]
    """The wallets after it."""


class Statement(Answer):
    """A page of a member's postings, newest first."""

    member_id: Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)]
    entries: list[Entry]
    next_cursor: str | None
    """Give it as `cursor` for the next, older page; null on the last one."""


class Decision(Answer):
    """Who decided that points move, or that they do not."""

    verdict: Verdict
    """`within_limit` where it needed no second person."""
    actor: str
    why: str
    decided_at: AwareDatetime


class ReversedEvent(Answer):
    """The event whose taking of points is reversed."""

    source: str
    id: str


class Adjustment(Answer):
    """Points that an operator gave, took or brought back, or wants to."""

    adjustment_id: str
    member_id: str
    wallet: str | None
    """Null where the event that is reversed took points of several wallets, or none."""
    points: Annotated[int, Field(json_schema_extra={"format": "int64"})]
    """Given; with a minus: taken. Of a reversal, what the event took."""
    expires_at: AwareDatetime | None
    """When given points end; null: as the wallet's points do."""
    reverses: ReversedEvent | None = None
    """The event whose taking is reversed; null where points are given or taken."""
    actor: str
    """Who asked for it."""
    role: OperatorRole
    reason: str
    proposed_at: AwareDatetime
    state: AdjustmentState
    outcome: Outcome | None = None
    """What the ledger made of it; null before it was posted."""
    decision: Decision | None = None
    """Null while it waits for one."""


class AdjustmentList(Answer):
    """Adjustments, newest first."""

    adjustments: list[Adjustment]


class Liveness(Answer):
    """The process answers."""

    status: Literal["alive"]


class Readiness(Answer):
    """Reads are answered; `degraded` when each of them has to go to PostgreSQL."""

    status: Literal["ready", "degraded"]
    checks: "Checks"


class Checks(Answer):
    """What readiness looked at."""

    ledger: Literal["ok"]
    """PostgreSQL answers; the installation and its program are there."""
    cache: Literal["ok", "away"]


class RequestFault(Answer):
    """One wrong part of a request."""

    path: str
    """Which one: `query.limit`."""
    message: str


class Problem(BaseModel):
    """RFC 9457 problem details."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str
    """Names the problem; a URI reference."""
    title: str
    """The same for every problem of the type."""
    status: int
    detail: str
    """What is wrong with this request, and what to do about it."""
    instance: str
    """The path that was asked for."""
    errors: list[RequestFault] | None = None
    """Of an invalid request: every part that is wrong."""
