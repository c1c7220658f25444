"""What a program document says of behaviours, streaks and tasks."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from shared.contracts.conditions import BehaviourCondition
from shared.contracts.program_fields import MAX_POINTS, Duration, Name, Part
from shared.contracts.program_filters import WindowDocument
from shared.domain.ids import RuleId, Wallet
from shared.domain.program_behaviours import BehaviourRule, Floor, Reference, Task, TaskStep, Times
from shared.domain.streak import AfterLast, Every, Streak, better_broken
from shared.domain.tally import Period

MAX_BEHAVIOURS = 200
"""Every behaviour meets every rule."""
MAX_STREAKS = 20
MAX_TASKS = 50
MAX_STEPS = 20
"""Each event of a task reads what is known of all its steps."""
MAX_REWARDS = 100
MAX_EVERY = 400
"""Days; more than a year."""
MAX_PERIOD = 1000
"""Days after which the rewards of a streak repeat. All lengths up to it are compared when a program is read."""

Gift = Annotated[int, Field(ge=0, le=MAX_POINTS)]


class TimesDocument(Part):
    """How often a rule applies: `once: true`, or `at_most` so often `per` period."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["once"]}, {"required": ["per", "at_most"]}]},
    )

    once: Annotated[bool | None, Field(json_schema_extra={"const": True})] = None
    """Once ever."""
    per: Period | None = None
    """What is counted in: a day, a week (from Monday on), a month, the campaign (the time in `during`), or ever."""
    at_most: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """How often it applies in each of them; what happens more often gives nothing."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = self.model_fields_set
        if given not in ({"once"}, {"per", "at_most"}) or (given == {"once"} and not self.once):
            raise ValueError("write once: true, or give per and at_most")
        return self

    def to_domain(self) -> Times:
        return Times(self.per or Period.EVER, self.at_most or 1)


class BehaviourDocument(Part):
    """What a behaviour gives, or takes."""

    id: Name
    """What the journal calls the rule."""
    behaviour: Name
    """The name under which the platform reports it."""
    wallet: Name
    """Where its points go, or where they are taken: one of `wallets`."""
    points: Annotated[int, Field(ge=-MAX_POINTS, le=MAX_POINTS, json_schema_extra={"not": {"const": 0}})]
    """Points that it gives; below zero, points that it takes."""
    floor: Floor | None = None
    """Of a penalty that is more than the member has: `zero` takes what is there, which is also so when this is left
    out; `debt` has the rest owed."""
    times: TimesDocument | None = None
    """How often it applies; every time when this is left out."""
    once_for: Reference | None = None
    """Once for each `order`, or each `subject`, that the platform names with the behaviour."""
    during: WindowDocument | None = None
    """When it must have happened; at any time when this is left out."""
    when: BehaviourCondition | None = None
    """A condition in CEL about the behaviour and its member, which is asked when all else holds."""

    @field_validator("points")
    @classmethod
    def _some(cls, points: int) -> int:
        if points == 0:
            raise ValueError("give some, or take some with a number below zero")
        return points

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.floor is not None and self.points > 0:
            raise ValueError("only points that are taken have a floor; leave it out, or write points below zero")
        if self.times is not None and self.times.per is Period.CAMPAIGN and self.during is None:
            raise ValueError("what is counted per campaign needs the campaign's time; give it with during")
        return self

    def to_domain(self) -> BehaviourRule:
        return BehaviourRule(
            rule_id=RuleId(self.id),
            behaviour=self.behaviour,
            wallet=Wallet(self.wallet),
            points=self.points,
            floor=self.floor or Floor.ZERO,
            times=None if self.times is None else self.times.to_domain(),
            once_for=self.once_for,
            during=None if self.during is None else self.during.to_domain(),
            when=self.when,
        )


class EveryDocument(Part):
    """Certain days of a streak give more."""

    days: Annotated[int, Field(ge=2, le=MAX_EVERY)]
    """Each so many days: 7 is the seventh, the fourteenth …"""
    factor: Annotated[int, Field(ge=2, le=100)]
    """How many times the reward of such a day is given."""


class MakeupDocument(Part):
    """Make-up cards."""

    days: Annotated[int, Field(ge=0, le=366)]
    """How many days back a missed day may be filled; 0 for not at all."""


class StreakDocument(Part):
    """What check-ins on consecutive days give."""

    id: Name
    """What the journal calls it, and check-ins name when there are several."""
    wallet: Name
    """Where its points go: one of `wallets`."""
    rewards: Annotated[list[Gift], Field(min_length=1, max_length=MAX_REWARDS)]
    """Points for the first, the second, the third … day of a streak."""
    after_last: AfterLast = AfterLast.REPEAT
    """What comes after the last of them: `repeat` it, or `restart` the list."""
    every: EveryDocument | None = None
    """Days that give a multiple of their reward."""
    makeup: MakeupDocument = MakeupDocument(days=7)
    """How far back a make-up card reaches."""

    @field_validator("rewards")
    @classmethod
    def _some(cls, rewards: list[int]) -> list[int]:
        if not any(rewards):
            raise ValueError("at least one day must give something")
        return rewards

    @model_validator(mode="after")
    def _never_better_broken(self) -> Self:
        streak = self.to_domain()
        if streak.period > MAX_PERIOD:
            raise ValueError(
                f"its rewards repeat only after {streak.period:,} days, and at most {MAX_PERIOD:,} will do; let every"
                f" {len(self.rewards)} days give more, or a multiple of that"
            )
        if (lengths := better_broken(streak)) is not None:
            raise ValueError(
                f"streaks of {lengths[0]} and {lengths[1]} days give more than the one of {sum(lengths) + 1} that they"
                " become when the day between is filled; let later days give no less than earlier ones, and with a list"
                " that restarts, let every be a multiple of its length"
            )
        return self

    def to_domain(self) -> Streak:
        return Streak(
            rule_id=RuleId(self.id),
            wallet=Wallet(self.wallet),
            rewards=tuple(self.rewards),
            after_last=self.after_last,
            every=None if self.every is None else Every(self.every.days, self.every.factor),
            makeup_days=self.makeup.days,
        )


class TaskStepDocument(Part):
    """A step of a task."""

    behaviour: Name
    """What must be done, under the name by which the platform reports it."""
    points: Gift = 0
    """Points that it gives, once."""


class TaskDocument(Part):
    """Guided steps, each paid once, and a bonus at the end."""

    id: Name
    """What the journal calls it."""
    wallet: Name
    """Where its points go: one of `wallets`."""
    steps: Annotated[list[TaskStepDocument], Field(min_length=1, max_length=MAX_STEPS)]
    """What must be done; each behaviour once."""
    in_order: bool = False
    """A step that is done before its turn gives its points only when those before it are done."""
    bonus: Gift = 0
    """Points once all steps are done."""
    within: Duration | None = None
    """How soon after the first step the last must be done; without limit when this is left out."""

    @field_validator("steps")
    @classmethod
    def _different(cls, steps: list[TaskStepDocument]) -> list[TaskStepDocument]:
        names = [step.behaviour for step in steps]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ValueError(f"{name!r} stands twice; each behaviour can be one step")
        return steps

    @field_validator("within")
    @classmethod
    def _some_time(cls, within: int | None) -> int | None:
        if within == 0:
            raise ValueError("no two steps are done in no time; leave it out for no limit")
        return within

    @model_validator(mode="after")
    def _gives_some(self) -> Self:
        if not self.bonus and not any(step.points for step in self.steps):
            raise ValueError("give points for a step, or a bonus")
        return self

    def to_domain(self) -> Task:
        return Task(
            rule_id=RuleId(self.id),
            wallet=Wallet(self.wallet),
            steps=tuple(TaskStep(step.behaviour, step.points) for step in self.steps),
            in_order=self.in_order,
            bonus=self.bonus,
            within_us=self.within,
        )


PayingDocument = BehaviourDocument | StreakDocument | TaskDocument


def check_fit(
    parts: Mapping[str, Sequence[PayingDocument]],
    rules: Iterable[str],
    wallets: Collection[str],
) -> None:
    """Each has a name of its own, also among the rules for orders, and a wallet of the program.

    Raises `ValueError` with the path of the first that has not.
    """
    seen = set(rules)
    for field, documents in parts.items():
        for index, document in enumerate(documents):
            if document.id in seen:
                raise ValueError(
                    f"{field}[{index}].id: {document.id!r} is used twice; give each rule, behaviour, streak and task a"
                    " name of its own"
                )
            if document.wallet not in wallets:
                raise ValueError(f"{field}[{index}].wallet: {document.wallet!r} is not one of {', '.join(wallets)}")
            seen.add(document.id)
