"""Behaviours: what rules and tasks give or take for what a platform reports that a member did."""

from collections.abc import Iterator

from shared.domain import task
from shared.domain.condition import Activation
from shared.domain.facts import Behaviour
from shared.domain.member import NOBODY, Profile
from shared.domain.program import Program
from shared.domain.program_behaviours import BehaviourRule, Reference
from shared.domain.tally import Tallies, TallyKey, first_day
from shared.domain.time import Calendar
from shared.domain.verdict import Grant, Penalty, Reason, Verdict


def needs(behaviour: Behaviour, program: Program) -> tuple[TallyKey, ...]:
    """Which tallies must be known to judge a behaviour by the program in force when it happened."""
    wanted: list[TallyKey] = []
    for rule in _rules(behaviour, program):
        if not isinstance(found := _limits(rule, behaviour, program.calendar), Reason):
            wanted += found
    for each in task.with_step(behaviour.name, program.tasks):
        wanted += task.needs(each)
    return tuple(wanted)


def takes(behaviour: Behaviour, program: Program) -> bool:
    """Whether a behaviour may take points."""
    return any(rule.points < 0 for rule in _rules(behaviour, program))


def asks_who(behaviour: Behaviour, program: Program) -> bool:
    """Whether what a behaviour gives or takes depends on the member's profile."""
    return any(rule.when is not None and rule.when.asks_who for rule in _rules(behaviour, program))


def judge(
    behaviour: Behaviour, program: Program, tallies: Tallies, profile: Profile = NOBODY, *, late: bool = False
) -> Verdict:
    """What a behaviour gives and takes by the program in force when it happened: every rule for it, and every task. Of
    one that comes too `late` to give points, only the rules count that take some.

    `tallies` are those that it needs, or more; `profile` is the member as it was then.
    """
    verdict = Verdict()
    calendar, at = program.calendar, behaviour.occurred_at
    about = Activation(behaviour, profile, calendar)
    reasons: list[Reason | None] = []
    for rule in _rules(behaviour, program):
        if rule.points < 0 or not late:
            reasons.append(_apply(rule, behaviour, about, tallies, verdict))
    for each in () if late else task.with_step(behaviour.name, program.tasks):
        reasons.append(task.take_step(each, behaviour.name, at, calendar, tallies, verdict))
    verdict.failed = about.failed
    if not reasons:
        verdict.reason = Reason.BEHAVIOUR_NOT_LISTED
    elif not (verdict.grants or verdict.penalties):
        verdict.reason = next((reason for reason in Reason if reason in reasons), None)
    return verdict


def _rules(behaviour: Behaviour, program: Program) -> Iterator[BehaviourRule]:
    return (rule for rule in program.behaviours if rule.behaviour == behaviour.name)


def _apply(
    rule: BehaviourRule, behaviour: Behaviour, about: Activation, tallies: Tallies, verdict: Verdict
) -> Reason | None:
    """Add what a rule gives or takes to a verdict; returns why it does neither."""
    calendar = about.calendar
    limits = _limits(rule, behaviour, calendar)
    if isinstance(limits, Reason):
        return limits
    counted = {key: tallies.get(key, 0) + 1 for key in limits}
    for key, count in counted.items():
        if count > limits[key][0]:
            return limits[key][1]
    if rule.when is not None and not about.meets(rule.when):
        return Reason.CONDITION_NOT_MET
    verdict.tallies |= counted
    if rule.points > 0:
        verdict.grants.append(Grant(rule.rule_id, rule.wallet, rule.points, calendar.day_of(behaviour.occurred_at)))
    else:
        verdict.penalties.append(Penalty(rule.rule_id, rule.wallet, -rule.points, rule.floor))
    return None


Limits = dict[TallyKey, tuple[int, Reason]]
"""How far each tally may go, and why the rule does not apply beyond."""


def _limits(rule: BehaviourRule, behaviour: Behaviour, calendar: Calendar) -> Limits | Reason:
    """How often a rule may apply to a behaviour, or why it does not at all."""
    at = behaviour.occurred_at
    if rule.during is not None and not rule.during.holds(at):
        return Reason.BEHAVIOUR_OUT_OF_TIME
    limits: Limits = {}
    if rule.times is not None:
        period = first_day(rule.times.per, rule.during, calendar.day_of(at), calendar)
        limits[TallyKey(f"{rule.rule_id}:{rule.times.per}", period)] = (rule.times.at_most, Reason.LIMIT_REACHED)
    if rule.once_for is not None:
        about = behaviour.order_id if rule.once_for is Reference.ORDER else behaviour.subject
        if about is None:
            return Reason.REFERENCE_MISSING
        limits[TallyKey(f"{rule.rule_id}:{rule.once_for}:{about}", None)] = (1, Reason.REFERENCE_ALREADY_COUNTED)
    return limits
