"""Referrals as the ledger keeps them, and whom a batch touches besides its events' own members because of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from shared.domain.facts import Behaviour, Event, Order, Refund, Sweep
from shared.domain.ids import LotId, MemberId, OrderId, Shard
from shared.domain.program import Program, Programs
from shared.domain.referral import FirstOrder, Given, Referral, ReferralRule
from shared.domain.time import Instant
from shared.ledger import statements
from shared.ledger.database import Connection, Record
from shared.ledger.sharding import shard_of


class ReferralChangedError(Exception):
    """Somebody else changed a referral before its accounts were locked, so perhaps others are to be locked."""


@dataclass(slots=True)
class Tie:
    """What a batch tells of one member who may have been invited."""

    invited: MemberId
    shard: Shard
    until: Instant
    """The last arrival of what it tells."""
    told: int = 0
    orders: list[FirstOrder] = field(default_factory=list)
    refunded: set[OrderId] = field(default_factory=set)
    invitations: list[tuple[MemberId, Program, ReferralRule]] = field(default_factory=list)
    referral: Referral | None = None
    """As it is known before the batch."""

    @property
    def first_order(self) -> FirstOrder | None:
        """The member's first order, where the referral says which it is."""
        return None if self.referral is None else self.referral.first_order

    @property
    def is_moving(self) -> bool:
        """Whether the batch may change something about the referral. Most orders of an invited member do not: they come
        after the first one."""
        if self.invitations:
            return True
        if self.referral is None:
            return False
        first = self.first_order
        return first is None or first.order_id in self.refunded or any(order < first for order in self.orders)

    @property
    def takes(self) -> bool:
        """Whether points may be taken back: those that are given, or that one event of the batch gives."""
        return self.told > 1 or (self.referral is not None and self.referral.counted_for is not None)

    @property
    def inviters(self) -> set[MemberId]:
        """All who have or may come to have invited the member."""
        known = set() if self.referral is None else {self.referral.inviter}
        return known.union(inviter for inviter, _, _ in self.invitations)

    @property
    def lots(self) -> Iterator[tuple[MemberId, LotId]]:
        """The lots of what is given."""
        if (known := self.referral) is not None:
            for member_id, given in ((self.invited, known.to_invited), (known.inviter, known.to_inviter)):
                if given is not None and given.lot_id is not None:
                    yield member_id, given.lot_id

    def rewards(
        self, paid_at: Sequence[Instant], programs: Programs
    ) -> Iterator[tuple[MemberId, Program, ReferralRule, Instant]]:
        """What may be given or taken back: to which inviter, by which rule of which version, and when the order was
        paid: one that was paid at one of the instants, one that gave something, or one that the batch tells of."""
        invitations = list(self.invitations)
        instants = {*paid_at, *(order.paid_at for order in self.orders)}
        if (known := self.referral) is not None:
            program = programs.version(known.program_version)
            invitations.append((known.inviter, program, program.referral(known.rule_id)))
            instants.update(order.paid_at for order in (known.counted_for, known.first_order) if order is not None)
        for inviter, program, rule in invitations:
            for instant in instants:
                yield inviter, program, rule, instant


async def read_ties(
    connection: Connection, events: Sequence[Event | Sweep], shards: int, programs: Programs
) -> list[Tie]:
    """What a batch tells of members who may have been invited, with their referrals as they are now."""
    ties: dict[MemberId, Tie] = {}
    for event in events:
        if isinstance(event, Event) and (invited := _invited(event, programs)) is not None:
            tie = ties.setdefault(invited, Tie(invited, shard_of(invited, shards), event.arrived_at))
            tie.until = max(tie.until, event.arrived_at)
            _tell(tie, event, programs)
    known = await _read(connection, ties)
    for member_id, tie in ties.items():
        tie.referral = known.get(member_id)
    return list(ties.values())


async def check_ties(connection: Connection, ties: Sequence[Tie]) -> None:
    """Raises `ReferralChangedError` when a referral is not as it was read before the locks."""
    known = await _read(connection, {tie.invited: tie for tie in ties})
    for tie in ties:
        if known.get(tie.invited) != tie.referral:
            raise ReferralChangedError(f"the referral of {tie.invited} has changed")


async def find_first_orders(connection: Connection, ties: Sequence[Tie]) -> list[tuple[MemberId, OrderId]]:
    """The first orders of members of whom nobody has asked for it before."""
    unknown = [tie for tie in ties if tie.referral is None and tie.invitations]
    if not unknown:
        return []
    rows = await connection.fetch(
        statements.FIND_FIRST_ORDERS, [tie.shard for tie in unknown], [tie.invited for tie in unknown]
    )
    return [(row["member_id"], row["order_id"]) for row in rows]


async def write_referrals(connection: Connection, referrals: Mapping[tuple[Shard, MemberId], Referral]) -> None:
    """Keep referrals as they are from now on."""
    if referrals:
        rows = [_row(shard, invited, referral) for (shard, invited), referral in referrals.items()]
        await connection.execute(statements.PUT_REFERRALS, *map(list, zip(*rows, strict=True)))


def _invited(event: Event, programs: Programs) -> MemberId | None:
    """The member of whose referral an event may tell something."""
    fact = event.fact
    if isinstance(fact, Order | Refund):
        return fact.member_id
    if isinstance(fact, Behaviour) and fact.subject is not None and _rule(fact, programs) is not None:
        return MemberId(fact.subject) if fact.subject != fact.member_id else None
    return None


def _rule(behaviour: Behaviour, programs: Programs) -> tuple[Program, ReferralRule] | None:
    program = programs.in_force(behaviour.occurred_at)
    rule = None if program is None else program.referral_for(behaviour.name, behaviour.occurred_at)
    return None if program is None or rule is None else (program, rule)


def _tell(tie: Tie, event: Event, programs: Programs) -> None:
    tie.told += 1
    fact = event.fact
    if isinstance(fact, Order):
        tie.orders.append(FirstOrder(fact.occurred_at, fact.order_id))
    elif isinstance(fact, Refund):
        tie.refunded.add(fact.order_id)
    elif isinstance(fact, Behaviour) and (found := _rule(fact, programs)) is not None:
        tie.invitations.append((fact.member_id, *found))


async def _read(connection: Connection, ties: Mapping[MemberId, Tie]) -> dict[MemberId, Referral]:
    if not ties:
        return {}
    rows = await connection.fetch(statements.READ_REFERRALS, [tie.shard for tie in ties.values()], list(ties))
    return {row["member_id"]: _referral(row) for row in rows}


def _referral(row: Record) -> Referral:
    return Referral(
        inviter=row["inviter_id"],
        invited_at=row["invited_at"],
        rule_id=row["rule_id"],
        program_version=row["program_version"],
        first_order=_order(row["first_paid_at"], row["first_order_id"]),
        counted_for=_order(row["counted_paid_at"], row["counted_order_id"]),
        to_inviter=_given(row["inviter_lot"], row["inviter_points"]),
        to_invited=_given(row["invited_lot"], row["invited_points"]),
    )


def _given(lot_id: LotId | None, points: int | None) -> Given | None:
    return None if points is None else Given(lot_id, points)


def _order(paid_at: Instant | None, order_id: OrderId | None) -> FirstOrder | None:
    return None if paid_at is None or order_id is None else FirstOrder(paid_at, order_id)


def _row(shard: Shard, invited: MemberId, referral: Referral) -> tuple[object, ...]:
    first, counted = referral.first_order, referral.counted_for
    return (
        shard,
        invited,
        referral.inviter,
        referral.invited_at,
        referral.rule_id,
        referral.program_version,
        *((None, None) if first is None else (first.paid_at, first.order_id)),
        *((None, None) if counted is None else (counted.paid_at, counted.order_id)),
        *_columns(referral.to_inviter),
        *_columns(referral.to_invited),
    )


def _columns(given: Given | None) -> tuple[int | None, LotId | None]:
    return (None, None) if given is None else (given.points, given.lot_id)
