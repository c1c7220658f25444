"""Tasks: guided steps, each of which gives its points once, and a bonus when all are done.

A tally for each step says when it was done: the instant while it waits for its turn, and minus the instant once it has
given its points. So the steps may arrive in any order, and a new version of the program may have more of them.
"""

from collections.abc import Iterable, Iterator, Mapping

from shared.domain.program_behaviours import Task
from shared.domain.tally import Tallies, TallyKey
from shared.domain.time import Calendar, Instant
from shared.domain.verdict import Grant, Reason, Verdict

FIRST_INSTANT = Instant(1)
"""Zero says that a step is not done, and below is what has given its points: no step counts as done earlier."""


def with_step(behaviour: str, tasks: Iterable[Task]) -> Iterator[Task]:
    """The tasks that ask for a behaviour."""
    return (task for task in tasks if any(step.behaviour == behaviour for step in task.steps))


def needs(task: Task) -> tuple[TallyKey, ...]:
    """The tallies that a step of a task needs."""
    return (*(_of_step(task, step.behaviour) for step in task.steps), _of_bonus(task))


def take_step(
    task: Task, behaviour: str, at: Instant, calendar: Calendar, tallies: Tallies, verdict: Verdict
) -> Reason | None:
    """Add to a verdict what a step of a task gives; returns why it gives nothing.

    The points of a step are good as long as if all steps had arrived in order.
    """
    known = {step.behaviour: tallies.get(_of_step(task, step.behaviour), 0) for step in task.steps}
    if known[behaviour]:
        return Reason.TASK_STEP_ALREADY_DONE
    known[behaviour] = max(at, FIRST_INSTANT)
    turns = _turns(task, {name: Instant(abs(tally)) for name, tally in known.items() if tally})
    over = _over(task, turns)
    if any(name == behaviour or known[name] < 0 for name in over):
        return Reason.TASK_TIME_OVER
    verdict.tallies[_of_step(task, behaviour)] = known[behaviour]
    in_time = [step for step in task.steps if step.behaviour in turns and step.behaviour not in over]
    for step in in_time:
        if known[step.behaviour] > 0:
            verdict.tallies[_of_step(task, step.behaviour)] = -known[step.behaviour]
            _give(task, step.points, calendar, turns[step.behaviour], verdict)
    if len(in_time) == len(task.steps) and not tallies.get(_of_bonus(task)):
        verdict.tallies[_of_bonus(task)] = 1
        _give(task, task.bonus, calendar, max(turns.values()), verdict)
    return None if behaviour in turns else Reason.TASK_STEP_OUT_OF_ORDER


def _turns(task: Task, done_at: Mapping[str, Instant]) -> dict[str, Instant]:
    """When each step that is done had its turn: at once, or where the order counts, when those before it had."""
    if not task.in_order:
        return dict(done_at)
    turns: dict[str, Instant] = {}
    turn = FIRST_INSTANT
    for step in task.steps:
        if step.behaviour not in done_at:
            break
        turn = turns[step.behaviour] = max(turn, done_at[step.behaviour])
    return turns


def _over(task: Task, turns: Mapping[str, Instant]) -> set[str]:
    """The steps whose turn came when the time from the first one on was over."""
    if task.within_us is None or not turns:
        return set()
    ends_at = min(turns.values()) + task.within_us
    return {name for name, turn in turns.items() if turn >= ends_at}


def _give(task: Task, points: int, calendar: Calendar, turn: Instant, verdict: Verdict) -> None:
    if points:
        verdict.grants.append(Grant(task.rule_id, task.wallet, points, calendar.day_of(turn)))


def _of_step(task: Task, behaviour: str) -> TallyKey:
    return TallyKey(f"{task.rule_id}:step:{behaviour}", None)


def _of_bonus(task: Task) -> TallyKey:
    return TallyKey(f"{task.rule_id}:bonus", None)
