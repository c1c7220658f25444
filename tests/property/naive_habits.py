"""The rules of streaks, behaviours and tasks as simply as they can be said: everything is worked out anew each time.

Like the naive model of orders it shares nothing with `shared.domain`: it reads program documents as plain dicts.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

Part = dict[str, Any]


@cache
def zone_info(name: str) -> ZoneInfo:
    """The zone as the pinned `tzdata` package has it, whatever the machine has."""
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def local_date(zone: str, at: datetime) -> date:
    return at.astimezone(zone_info(zone)).date()


def streak_total(days: dict[date, Part]) -> int:
    """What all days of a streak give, each by the document that it is rated by."""
    total = length = 0
    for day in sorted(days):
        length = length + 1 if day - timedelta(days=1) in days else 1
        total += reward(days[day], length)
    return total


def reward(streak: Part, length: int) -> int:
    rewards = streak["rewards"]
    if streak.get("after_last") == "restart":
        points = rewards[(length - 1) % len(rewards)]
    else:
        points = rewards[length - 1] if length <= len(rewards) else rewards[-1]
    every = streak.get("every")
    return points * every["factor"] if every and length % every["days"] == 0 else points


@dataclass
class NaiveStreak:
    """A member's days, and what they were given."""

    zone: str
    streak: Part
    days: dict[date, Part] = field(default_factory=dict)

    def check_in(self, at: datetime, makeup: date | None) -> tuple[str, int]:
        """A check-in arrives; returns why it gives nothing, or what it gives."""
        today = local_date(self.zone, at)
        reach = self.streak.get("makeup", {"days": 7})["days"]
        reasons = {
            "makeup_without_gap": makeup is not None and makeup >= today,
            "makeup_too_old": makeup is not None and (today - makeup).days > reach,
            "day_already_checked_in": (makeup or today) in self.days,
        }
        if found := next((name for name, applies in reasons.items() if applies), ""):
            return found, 0
        before = streak_total(self.days)
        self.days[makeup or today] = self.streak
        return "", streak_total(self.days) - before


@dataclass
class Done:
    """Something that a member did."""

    name: str
    at: datetime
    order: str | None
    subject: str | None


@dataclass
class NaiveBehaviours:
    """What a member did that counted, by rule or task."""

    document: Part
    counted: dict[str, list[Done]] = field(default_factory=dict)

    def does(self, done: Done, *, late: bool) -> list[tuple[str, int]]:
        """A behaviour arrives, perhaps too late to give points; returns the points of each rule and task."""
        rules = [rule for rule in self.document["behaviours"] if rule["points"] < 0 or not late]
        given = [
            (rule["id"], rule["points"])
            for rule in rules
            if rule["behaviour"] == done.name and self._applies(rule, done)
        ]
        for task in [] if late else self.document["tasks"]:
            before = self._task_total(task)
            if self._is_step(task, done):
                self.counted.setdefault(task["id"], []).append(done)
                if points := self._task_total(task) - before:
                    given.append((task["id"], points))
        return given

    def _applies(self, rule: Part, done: Done) -> bool:
        earlier = self.counted.setdefault(rule["id"], [])
        during = rule.get("during")
        if during and not (datetime.fromisoformat(during["from"]) <= done.at < datetime.fromisoformat(during["until"])):
            return False
        about = rule.get("once_for")
        if about and (getattr(done, about) is None or getattr(done, about) in [getattr(one, about) for one in earlier]):
            return False
        times = {"per": "ever", "at_most": 1} if "once" in rule.get("times", {}) else rule.get("times")
        if times:
            period = self._period(times["per"])
            if len([one for one in earlier if period(one.at) == period(done.at)]) >= times["at_most"]:
                return False
        earlier.append(done)
        return True

    def _period(self, per: str) -> Callable[[datetime], object]:
        """What is equal for two instants of one period."""

        def local(at: datetime) -> date:
            return local_date(self.document["zone"], at)

        return {
            "day": local,
            "week": lambda at: local(at).isocalendar()[:2],
            "month": lambda at: (local(at).year, local(at).month),
        }.get(per, lambda at: None)

    def _is_step(self, task: Part, done: Done) -> bool:
        earlier = self.counted.get(task["id"], [])
        if done.name not in [step["behaviour"] for step in task["steps"]] or done.name in [one.name for one in earlier]:
            return False
        instants = [done.at, *(one.at for one in earlier)]
        hours = int(task.get("within", "1000000h").removesuffix("h"))
        return max(instants) - min(instants) < timedelta(hours=hours)

    def _task_total(self, task: Part) -> int:
        done = {one.name for one in self.counted.get(task["id"], [])}
        steps = task["steps"]
        if task.get("in_order"):
            steps = list(_while_done(steps, done))
        total = sum(step.get("points", 0) for step in steps if step["behaviour"] in done)
        return total + task.get("bonus", 0) if done == {step["behaviour"] for step in task["steps"]} else total


def _while_done(steps: list[Part], done: set[str]) -> Iterable[Part]:
    for step in steps:
        if step["behaviour"] not in done:
            return
        yield step
