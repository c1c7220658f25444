"""What a verification found: what was compared, how much of it, and what does not agree."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from services.cli.verify.sentences import tell

SHOWN_MAX = 20
"""Differences of one check that are kept: the first ones say what is wrong, the number says how much."""


class Check(StrEnum):
    """What must agree."""

    POSITIONS = "positions"
    """A shard's postings have the positions 1, 2, 3 … up to its head."""
    VERSIONS = "versions"
    """A member's postings have the versions 1, 2, 3 … in the order of positions, and the account says what the last one
    says: version, balances and next due instant."""
    BALANCES = "balances"
    """Movements come to the balances, by member, wallet and bucket."""
    LOTS = "lots"
    """What is left in the lots is what the balances have available and pending, no lot is below zero or above its
    issue, and the account knows which falls due first."""
    RUNNING_BALANCES = "running balances"
    """The balances that a posting states are those which the posting before it states, with its movements."""
    DEBTS = "debts"
    """What is owed for orders is the debt of the balances, and what was let go for them is written off there."""
    BUDGETS = "budgets"
    """What is used of budgets is what the journal has issued and taken back, and no more than there is."""
    EVENTS = "events"
    """Each consumed event has one outcome of those there are, and exactly those with the outcome `posted` have a
    posting."""
    OFFSETS = "offsets"
    """No more was read than the log has, nothing was deleted unread, and no more was published than was posted."""
    REDIS = "redis"
    """A cached balance is that of the posting which gave the account this version."""
    TOPIC = "topic"
    """`points-changed` has the journal's postings: each once, in order, to the byte."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that does not agree, in a sentence that names the member, or shard and position."""

    check: Check
    sentence: str
    more: str
    """What shows more of it: a command, or a statement for psql."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One check that was done: how much was compared, and how many differences there are."""

    check: Check
    compared: int
    unit: str
    found: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Verification:
    """What was compared, and the first differences of each check."""

    installation: str
    since: int
    checks: tuple[Checked, ...]
    differences: tuple[Difference, ...]

    @property
    def clean(self) -> bool:
        """Whether everything agrees."""
        return not any(checked.found for checked in self.checks)

    def compared(self, check: Check) -> int:
        """How much a check compared; nothing where it was not done."""
        return sum(checked.compared for checked in self.checks if checked.check is check)


@dataclass(slots=True)
class Findings:
    """The differences of one check while they are gathered: all are counted, the first ones are kept."""

    check: Check
    unit: str
    """What is compared."""
    installation: str
    compared: int = 0
    found: int = 0
    seconds: float = 0.0
    first: list[Difference] = field(default_factory=list)

    def add(self, problem: str, facts: Mapping[str, object]) -> None:
        """Take one down: a problem that `sentences` knows, with what it says of it."""
        self.found += 1
        if len(self.first) < SHOWN_MAX:
            sentence, more = tell(problem, self.installation, facts)
            self.first.append(Difference(self.check, sentence, more))

    def add_unnamed(self, number: int) -> None:
        """Count differences beyond those that were taken down."""
        self.found += number

    def checked(self) -> Checked:
        """The check, done."""
        return Checked(self.check, self.compared, self.unit, self.found, self.seconds)
