"""The pure core without a server: the same events and program give the same postings as through Kafka (DESIGN 14)."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from shared.contracts.contract import Decoded
from shared.contracts.defect import Undecodable
from shared.contracts.inbound import decode_any
from shared.domain.budget import NO_LEASES, Leases, after
from shared.domain.decide import decide_all
from shared.domain.facts import Event, Sweep
from shared.domain.ids import EventId, EventSource, MemberId
from shared.domain.model import Account, Decision, Outcome, Posting, RatedOrder
from shared.domain.program import Programs
from shared.domain.time import Instant


@dataclass(slots=True)
class Refused:
    """An event that could not be used: the path of the field that is wrong, and why."""

    number: int
    path: str
    reason: str


@dataclass(slots=True)
class Member:
    """What the events came to for one member."""

    account: Account
    postings: list[Posting] = field(default_factory=list)
    orders: list[RatedOrder] = field(default_factory=list)
    outcomes: list[tuple[EventSource, EventId, Outcome]] = field(default_factory=list)


class Simulation:
    """Takes events in the order of their arrival, one at a time."""

    def __init__(self, programs: Programs) -> None:
        self.members: dict[MemberId, Member] = {}
        self.refused: list[Refused] = []
        self.duplicates = 0
        self.events = 0
        self._programs = programs
        self._leases: Leases = NO_LEASES
        self._digests: dict[tuple[EventSource, EventId], bytes] = {}

    def feed(self, value: bytes, headers: Iterable[tuple[str, bytes]], arrived_at: Instant | None) -> None:
        """Take in a message. It arrives at `arrived_at`, or without one when what it tells of happened."""
        self.events += 1
        try:
            decoded = decode_any(value, tuple(headers))
        except Undecodable as error:
            self.refused.append(Refused(self.events, error.path, error.reason))
            return
        key = (decoded.ref.source, decoded.ref.event_id)
        first = self._digests.setdefault(key, decoded.digest)
        if first is not decoded.digest:
            self._repeated(first, decoded)
            return
        self.take(decoded, decoded.fact.occurred_at if arrived_at is None else arrived_at)

    def settle(self, until: Instant) -> None:
        """Let time pass for all members."""
        for member_id in self.members:
            self._decide(Sweep(member_id, until))

    def take(self, decoded: Decoded, arrived_at: Instant) -> None:
        """Take in what is decoded already, and is no repetition: also what comes through no topic."""
        decision = self._decide(Event(decoded.ref, arrived_at, decoded.fact))
        member = self.members[decoded.fact.member_id]
        member.outcomes.append((decoded.ref.source, decoded.ref.event_id, decision.outcome))
        if decision.order is not None:
            member.orders.append(decision.order)

    def _decide(self, event: Event | Sweep) -> Decision:
        """Decide an event for all whom it concerns; returns what it comes to itself."""
        decisions = decide_all(self._account, event, self._programs, self._leases)
        for decision in decisions:
            self._leases = after(self._leases, decision.budgets)
            self._keep(decision.account, decision.postings)
        return decisions[0]

    def _account(self, member_id: MemberId) -> Account:
        member = self.members.get(member_id)
        return Account(member_id) if member is None else member.account

    def _repeated(self, first: bytes, decoded: Decoded) -> None:
        if first == decoded.digest:
            self.duplicates += 1
        else:
            reason = "the same source and id were used before for an event with other content, and that one stands"
            self.refused.append(Refused(self.events, "id", reason))

    def _keep(self, account: Account, postings: tuple[Posting, ...]) -> None:
        """Remember the account without lots of which nothing is left, unless a refund may be set against them, or an
        appeal may put something back."""
        member = self.members.setdefault(account.member_id, Member(account))
        member.postings += postings
        taken_from = {movement.lot_id for taken in account.taken.values() for movement in taken.movements}
        lots = {
            lot_id: lot for lot_id, lot in account.lots.items() if lot.remaining or lot.expired or lot_id in taken_from
        }
        member.account = replace(account, lots=lots) if len(lots) < len(account.lots) else account
