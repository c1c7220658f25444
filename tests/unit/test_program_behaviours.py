"""What a program says of behaviours, streaks and tasks, and what it may not say."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from shared.contracts.program import ProgramError, parse_program
from shared.contracts.program_succession import obstacles
from shared.contracts.schemas import program_schema
from shared.domain.filters import Window
from shared.domain.ids import RuleId, Wallet
from shared.domain.program import Program
from shared.domain.program_behaviours import BehaviourRule, Floor, Reference, Task, TaskStep, Times
from shared.domain.streak import AfterLast, Every, Streak
from shared.domain.tally import Period
from shared.domain.time import DAY_US
from tests.support.habits import document, instant

PARTS: dict[str, list[dict[str, Any]]] = yaml.safe_load("""\
behaviours:
  - {id: profile, behaviour: profile-completed, wallet: points, points: 50, times: {once: true}}
  - {id: review, behaviour: review, wallet: points, points: 5, once_for: order, times: {per: day, at_most: 3}}
  - id: share-spring
    behaviour: share
    wallet: points
    points: 2
    times: {per: campaign, at_most: 10}
    during: {from: "2026-03-01T00:00:00+08:00", until: "2026-04-01T00:00:00+08:00"}
  - {id: spam, behaviour: spam-report, wallet: points, points: -20, floor: debt}
streaks:
  - {id: daily, wallet: points, rewards: [1, 2, 3, 4, 5], every: {days: 7, factor: 2}, makeup: {days: 3}}
  - {id: reading, wallet: growth, rewards: [0, 10], after_last: restart}
tasks:
  - id: newbie
    wallet: points
    steps: [{behaviour: register, points: 10}, {behaviour: profile-completed}]
    in_order: true
    bonus: 100
    within: 30d
""")


def with_(path: str, value: object) -> str:
    """The document with one thing in it replaced or added; `path` is like `behaviours.0.points`."""
    parts: Any = json.loads(json.dumps(PARTS, default=str))
    *steps, last = [int(step) if step.isdecimal() else step for step in path.split(".")]
    node = parts
    for step in steps:
        node = node[step]
    node[last] = value
    return document(**parts)


def refusal(text: str) -> str:
    with pytest.raises(ProgramError) as caught:
        parse_program(text, "shop.yaml")
    return str(caught.value)


def read() -> Program:
    return parse_program(document(**PARTS)).to_domain()


def test_behaviours_become_rules() -> None:
    points = Wallet("points")
    march = Window(instant("2026-03-01T00:00:00+08:00"), instant("2026-04-01T00:00:00+08:00"))
    assert read().behaviours == (
        BehaviourRule(
            RuleId("profile"), "profile-completed", points, 50, Floor.ZERO, Times(Period.EVER, 1), None, None
        ),
        BehaviourRule(RuleId("review"), "review", points, 5, Floor.ZERO, Times(Period.DAY, 3), Reference.ORDER, None),
        BehaviourRule(RuleId("share-spring"), "share", points, 2, Floor.ZERO, Times(Period.CAMPAIGN, 10), None, march),
        BehaviourRule(RuleId("spam"), "spam-report", points, -20, Floor.DEBT, None, None, None),
    )


def test_streaks_and_tasks_become_policies() -> None:
    assert read().streaks == (
        Streak(RuleId("daily"), Wallet("points"), (1, 2, 3, 4, 5), AfterLast.REPEAT, Every(7, 2), 3),
        Streak(RuleId("reading"), Wallet("growth"), (0, 10), AfterLast.RESTART, None, 7),
    )
    steps = (TaskStep("register", 10), TaskStep("profile-completed", 0))
    assert read().tasks == (Task(RuleId("newbie"), Wallet("points"), steps, True, 100, 30 * DAY_US),)


def test_a_program_may_have_none_of_them() -> None:
    program = parse_program(document()).to_domain()
    assert (program.behaviours, program.streaks, program.tasks) == ((), (), ())


def test_an_editor_takes_them() -> None:
    Draft202012Validator(program_schema()).validate(yaml.safe_load(document(**PARTS)))


WITHOUT_TIME = {
    "id": "share", "behaviour": "share", "wallet": "points", "points": 2, "times": {"per": "campaign", "at_most": 10}
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("behaviours.0.points", 0, "behaviours[0].points: give some, or take some with a number below zero"),
        ("behaviours.0.points", 1_000_001, "behaviours[0].points: "),
        ("behaviours.0.points", "1.5", "behaviours[0].points: "),
        ("behaviours.0.wallet", "miles", "behaviours[0].wallet: 'miles' is not one of points, growth"),
        ("behaviours.0.floor", "zero", "behaviours[0]: only points that are taken have a floor"),
        ("behaviours.3.floor", "none", "behaviours[3].floor: "),
        ("behaviours.0.times", {}, "behaviours[0].times: write once: true, or give per and at_most"),
        ("behaviours.0.times", {"once": False}, "behaviours[0].times: write once: true"),
        ("behaviours.0.times", {"per": "day"}, "behaviours[0].times: write once: true"),
        ("behaviours.0.times", {"once": True, "at_most": 3}, "behaviours[0].times: write once: true"),
        ("behaviours.0.times", {"per": "year", "at_most": 3}, "behaviours[0].times.per: "),
        ("behaviours.0.times", {"per": "day", "at_most": 0}, "behaviours[0].times.at_most: "),
        ("behaviours.0", WITHOUT_TIME, "behaviours[0]: what is counted per campaign needs the campaign's time"),
        ("behaviours.1.once_for", "line", "behaviours[1].once_for: "),
        ("behaviours.0.behaviour", "Profile completed", "behaviours[0].behaviour: "),
        ("behaviours.0.match", {}, "behaviours[0].match: "),
        ("behaviours.0.id", "base", "behaviours[0].id: 'base' is used twice; give each rule, behaviour, streak and"),
        ("behaviours.1.id", "profile", "behaviours[1].id: 'profile' is used twice"),
        ("streaks.0.id", "spam", "streaks[0].id: 'spam' is used twice"),
        ("tasks.0.id", "daily", "tasks[0].id: 'daily' is used twice"),
        ("streaks.1.wallet", "miles", "streaks[1].wallet: 'miles' is not one of"),
        ("tasks.0.wallet", "miles", "tasks[0].wallet: 'miles' is not one of"),
        ("streaks.0.rewards", [], "streaks[0].rewards: "),
        ("streaks.0.rewards", [0, 0], "streaks[0].rewards: at least one day must give something"),
        ("streaks.0.rewards", [-1, 5], "streaks[0].rewards[0]: "),
        (
            "streaks.0.rewards",
            [10, 1],
            "streaks[0]: streaks of 1 and 1 days give more than the one of 3 that they become when the day between is",
        ),
        ("streaks.0.after_last", "stop", "streaks[0].after_last: "),
        ("streaks.0.every.days", 1, "streaks[0].every.days: "),
        ("streaks.0.every.factor", "1.5", "streaks[0].every.factor: "),
        ("streaks.0.makeup.days", -1, "streaks[0].makeup.days: "),
        ("tasks.0.steps", [], "tasks[0].steps: "),
        ("tasks.0.steps.1.behaviour", "register", "tasks[0].steps: 'register' stands twice; each behaviour can be one"),
        ("tasks.0.steps.0.points", -1, "tasks[0].steps[0].points: "),
        ("tasks.0.within", "0d", "tasks[0].within: no two steps are done in no time"),
        ("tasks.0.within", "30", "tasks[0].within: write a duration"),
        ("tasks.0", {"id": "t", "wallet": "points", "steps": [{"behaviour": "a"}]}, "tasks[0]: give points for a step"),
    ],
)  # fmt: skip
def test_what_is_refused_names_its_path(path: str, value: object, message: str) -> None:
    assert f"  {message}" in refusal(with_(path, value))


def test_rewards_that_repeat_too_late_are_refused() -> None:
    streak = {
        "id": "daily", "wallet": "points", "rewards": [1, 2, 3], "after_last": "restart",
        "every": {"days": 400, "factor": 2},
    }  # fmt: skip
    said = refusal(document(streaks=[streak]))
    assert "streaks[0]: its rewards repeat only after 1,200 days, and at most 1,000 will do; let every 3 days" in said


def test_a_streak_keeps_its_wallet() -> None:
    known = parse_program(document(**PARTS))
    later = {"version": 2, "effective_from": "2027-01-01T00:00:00Z"}
    streaks = [{**PARTS["streaks"][0], "wallet": "growth"}]
    (found,) = obstacles(parse_program(document(streaks=streaks, **later)), [known], begun=True)
    assert found == "streaks[0].wallet: days of 'daily' count for points; give a new streak another id"
    assert obstacles(parse_program(document(**later)), [known], begun=True) == []
    gone = parse_program(document(version=2, effective_from="2026-06-01T00:00:00Z"))
    back = parse_program(document(streaks=streaks, version=3, effective_from="2027-01-01T00:00:00Z"))
    assert len(obstacles(back, [known, gone], begun=True)) == 1


def test_what_the_manual_shows_is_taken() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "program.md").read_text(encoding="utf-8")
    examples = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", manual, re.DOTALL)]
    shown = [example for example in examples if isinstance(example, dict)]
    parts = {name: part for example in shown for name, part in example.items() if name in PARTS}
    assert parts.keys() == PARTS.keys()
    parse_program(document(**parts))
