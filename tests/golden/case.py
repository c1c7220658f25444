"""Golden cases: files that say what a program makes of some events. Here they are read and checked, nothing is run.

A file is YAML. Everything in it is plain text, integers, true and false: `title` and `source` (which rule it shows),
`programs` (whole program documents), `given` (a state to start from, only the pure core can be given one), `events` in
order of arrival, and `expect`. What is expected was worked out by hand; the file shows how.
"""

import json
import re
from datetime import UTC
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    ValidationError,
    model_validator,
)

from shared.contracts import adjustment, behaviour, check_in, member, order_paid, refund
from shared.contracts.contract import Contract, Decoded
from shared.contracts.defect import Undecodable
from shared.contracts.program import ProgramDocument, ProgramError, parse_program
from shared.domain.model import Bucket, Outcome, PostingKind

FOLDER = Path(__file__).parent / "cases"

Moment = Annotated[AwareDatetime, AfterValidator(lambda moment: moment.astimezone(UTC))]
WalletBalances = dict[str, dict[Bucket, StrictInt]]
"""wallet → bucket → points; a bucket that is left out holds none."""


KINDS: dict[str, Contract[Any]] = {
    "order": order_paid.CONTRACT,
    "refund": refund.CONTRACT,
    "adjustment": adjustment.CONTRACT,
    "check_in": check_in.CONTRACT,
    "behaviour": behaviour.CONTRACT,
    "member": member.CONTRACT,
}
"""What an event may be, as files call it."""


class CaseError(Exception):
    """A golden case that cannot be used. The message names the file and the paths in it."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(cached_property,))


class CaseEvent(_Part):
    """An event. Exactly one of `KINDS` is its data, as the contract of that kind has it."""

    arrived_at: Moment
    source: str
    id: str
    order: dict[str, Any] | None = None
    refund: dict[str, Any] | None = None
    adjustment: dict[str, Any] | None = None
    check_in: dict[str, Any] | None = None
    behaviour: dict[str, Any] | None = None
    member: dict[str, Any] | None = None

    @property
    def contract(self) -> Contract[Any]:
        """What it is an event of."""
        return KINDS[self._kind]

    @property
    def message(self) -> bytes:
        """The event as the value of a Kafka message: a CloudEvent in structured mode."""
        event = {"specversion": "1.0", "id": self.id, "source": self.source, "type": self.contract.type}
        return json.dumps({**event, "data": getattr(self, self._kind)}).encode()

    @cached_property
    def decoded(self) -> Decoded:
        """The event as the contract reads it."""
        return self.contract.decode(self.message, [])

    @property
    def _kind(self) -> str:
        (kind,) = [kind for kind in KINDS if getattr(self, kind) is not None]
        return kind

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if len([kind for kind in KINDS if getattr(self, kind) is not None]) != 1:
            raise ValueError(f"give exactly one of {', '.join(KINDS)}")
        return self

    @model_validator(mode="after")
    def _keeps_the_contract(self) -> Self:
        try:
            _ = self.decoded
        except Undecodable as error:
            raise ValueError(str(error)) from error
        return self


class GivenDebt(_Part):
    """Points that a member owes, and for which order."""

    wallet: str
    order: str
    amount: Annotated[StrictInt, Field(gt=0)]


class GivenAccount(_Part):
    """What a member starts with. Without lots: points that are there can only be owed, or gone."""

    balances: WalletBalances
    debts: list[GivenDebt] = []


class ExpectedMovement(_Part):
    """Points between two buckets. `rule`, `lot` and `order` that are left out must be missing."""

    wallet: str
    origin: Bucket = Field(alias="from")
    to: Bucket
    amount: StrictInt
    rule: str | None = None
    lot: StrictInt | None = None
    order: str | None = None


class ExpectedPosting(_Part):
    """One posting. `event` and `program_version` are compared where they are given."""

    version: StrictInt
    kind: PostingKind
    occurred_at: Moment
    effective_at: Moment
    movements: list[ExpectedMovement]
    event: str | None = None
    program_version: StrictInt | None = None


class ExpectedLot(_Part):
    """An open lot. `activates_at` is there while it is pending; without `expires_at` it never ends."""

    lot: StrictInt
    wallet: str
    order: str | None = None
    issued: StrictInt
    remaining: StrictInt
    activates_at: Moment | None = None
    expires_at: Moment | None = None


class Expected(_Part):
    """What must come out.

    `outcomes` by event id. `lines`: order → line → rule → points, only where there are some; `trimmed`: order → rule →
    how many of these were not given, only where some were not. `balances` and `lots` by member and instant: what the
    member sees then, after all events, whether or not anybody has swept. `postings` by member: all of them, when
    everything due at or before `until` has been posted.
    """

    outcomes: dict[str, Outcome]
    lines: dict[str, dict[str, dict[str, StrictInt]]]
    trimmed: dict[str, dict[str, StrictInt]] = {}
    balances: dict[str, dict[Moment, WalletBalances]]
    lots: dict[str, dict[Moment, list[ExpectedLot]]] = {}
    postings: dict[str, list[ExpectedPosting]] = {}
    until: Moment | None = None


class Case(_Part):
    """One golden case."""

    title: str
    source: str
    programs: Annotated[list[dict[str, Any]], Field(min_length=1)]
    given: dict[str, GivenAccount] = {}
    events: Annotated[list[CaseEvent], Field(min_length=1)]
    expect: Expected

    @property
    def core_only(self) -> bool:
        """Whether it starts from a state that only the pure core can be given."""
        return bool(self.given)

    @property
    def program_texts(self) -> list[str]:
        """The program documents as files would have them."""
        return [yaml.safe_dump(program, sort_keys=False) for program in self.programs]

    @cached_property
    def documents(self) -> list[ProgramDocument]:
        """The programs as the loader reads them."""
        return [parse_program(text, f"programs[{index}]") for index, text in enumerate(self.program_texts)]

    @property
    def members(self) -> list[str]:
        """Everybody whom the case is about."""
        return sorted({*self.given, *(event.decoded.fact.member_id for event in self.events)})

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        try:
            _ = self.documents
        except ProgramError as error:
            raise ValueError(str(error)) from error
        for fault in (*_faults_of_names(self), *_faults_of_instants(self), *_faults_of_sums(self)):
            raise ValueError(fault)
        return self


def cases() -> list[Path]:
    """The files of all golden cases."""
    return sorted(FOLDER.glob("*.yaml"))


def load(path: Path) -> Case:
    """Read and check one golden case. Raises `CaseError`, which names the file and every path that is wrong."""
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=_PlainLoader)  # noqa: S506 - a SafeLoader
    except (OSError, yaml.YAMLError) as error:
        raise CaseError(f"{path.name} cannot be read: {error}") from error
    try:
        return Case.model_validate(tree)
    except ValidationError as error:
        faults = [f"  {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise CaseError("\n".join([f"{path.name} cannot be used:", *faults])) from error


class _PlainLoader(yaml.SafeLoader):
    """Knows text, integers, true and false. Instants stay text, and so do rates: no float is made on the way."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - the name and the form are PyYAML's

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for index, key in enumerate(keys):
            if key in keys[:index]:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} stands twice", node.start_mark)
        return dict(super().construct_mapping(node, deep))


_PlainLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(true|false)$"), list("tf"))
_PlainLoader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(0|[1-9][0-9]*)$"), list("-0123456789"))


def _faults_of_names(case: Case) -> list[str]:
    faults = []
    ids = [event.id for event in case.events]
    orders = {event.order["order_id"] for event in case.events if event.order is not None}
    if sorted(ids) != sorted(case.expect.outcomes):
        faults.append(f"expect.outcomes: name each event once; the events are {', '.join(ids)}")
    for name in ("lines", "trimmed"):
        told = getattr(case.expect, name)
        faults += [f"expect.{name}.{order}: no event tells of this order" for order in told if order not in orders]
    for name in ("balances", "lots", "postings"):
        told = getattr(case.expect, name)
        faults += [f"expect.{name}.{member}: no such member" for member in told if member not in case.members]
    return faults


def _faults_of_instants(case: Case) -> list[str]:
    """What a member sees is asked after all has arrived, so that every runner asks the same state."""
    last = max(event.arrived_at for event in case.events)
    early = [
        f"expect.{name}.{member}.{at.isoformat()}: before the last event arrives, at {last.isoformat()}"
        for name in ("balances", "lots")
        for member, told in getattr(case.expect, name).items()
        for at in told
        if at < last
    ]
    if case.expect.postings and (case.expect.until is None or case.expect.until < last):
        early.append("expect.until: with postings, say up to when all is posted, not before the last event arrives")
    return early


def _faults_of_sums(case: Case) -> list[str]:
    told: list[tuple[str, WalletBalances]] = [(f"given.{m}", account.balances) for m, account in case.given.items()]
    for owner, by_instant in case.expect.balances.items():
        told += [(f"expect.balances.{owner}.{at.isoformat()}", wallets) for at, wallets in by_instant.items()]
    return [
        f"{path}.{wallet}: the buckets add up to {sum(buckets.values())}, not to 0"
        for path, wallets in told
        for wallet, buckets in wallets.items()
        if sum(buckets.values())
    ]
