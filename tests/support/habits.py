"""One member's check-ins and behaviours, judged as they arrive and remembered as a ledger would."""

from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import yaml

from shared.contracts.program import parse_program
from shared.domain import behaviour, check_in
from shared.domain.facts import Behaviour, CheckIn
from shared.domain.ids import MemberId, OrderId, RuleId
from shared.domain.program import Program, Programs
from shared.domain.streak import StreakDay
from shared.domain.tally import TallyKey
from shared.domain.time import Instant, instant_of
from shared.domain.verdict import Verdict

MEMBER = MemberId("m1")


def document(zone: str = "Asia/Shanghai", **parts: Any) -> str:
    """The text of a program with some behaviours, streaks or tasks."""
    return yaml.safe_dump(
        {
            "program": "shop",
            "version": 1,
            "effective_from": "2020-01-01T00:00:00Z",
            "zone": zone,
            "currency": "CNY",
            "wallets": {
                "points": {"spendable": True, "expiry": "never"},
                "growth": {"spendable": False, "expiry": "never"},
            },
            "rules": [{"id": "base", "wallet": "points", "rate": 1}],
            **parts,
        },
        sort_keys=False,
    )


def program(zone: str = "Asia/Shanghai", **parts: Any) -> Program:
    return parse_program(document(zone, **parts)).to_domain()


def instant(text: str) -> Instant:
    return instant_of(datetime.fromisoformat(text))


class Member:
    """What is known of one member. Each verdict sees only what it said that it needs."""

    def __init__(self, *versions: Program) -> None:
        self.programs = Programs(list(versions))
        self.days: dict[RuleId, dict[date, StreakDay]] = {}
        self.tallies: dict[TallyKey, int] = {}
        self.given: Counter[str] = Counter()
        self.rows_seen = 0
        """How many days the last check-in was shown."""

    @property
    def points(self) -> int:
        return self.given.total()

    def check_in(self, at: str | Instant, makeup: date | None = None, streak: str | None = None) -> Verdict:
        """The member checks in at an instant, and the event arrives."""
        happened = at if isinstance(at, int) else instant(at)
        fact = CheckIn(MEMBER, None if streak is None else RuleId(streak), makeup, happened)
        decided_by = self._in_force(happened)
        need = check_in.needs(fact, decided_by, happened)
        known = {} if need is None else self.days.setdefault(need.streak, {})
        seen = {day: row for day, row in known.items() if need is not None and day >= need.first_day}
        self.rows_seen = len(seen)
        verdict = check_in.judge(fact, decided_by, self.programs, seen)
        known.update(verdict.days)
        return self._kept(verdict)

    def on(self, *days: date, hour: int = 12) -> list[Verdict]:
        """The member checks in on some days, at an hour of UTC."""
        return [self.check_in(instant(f"{day}T{hour:02}:00:00Z")) for day in days]

    def does(
        self, name: str, at: str | Instant, order: str | None = None, subject: str | None = None, *, late: bool = False
    ) -> Verdict:
        """The member does something at an instant, and the event arrives, perhaps too late to give points."""
        happened = at if isinstance(at, int) else instant(at)
        fact = Behaviour(MEMBER, name, None if order is None else OrderId(order), subject, happened)
        decided_by = self._in_force(happened)
        wanted = behaviour.needs(fact, decided_by)
        seen = {key: self.tallies[key] for key in wanted if key in self.tallies}
        verdict = behaviour.judge(fact, decided_by, seen, late=late)
        assert set(verdict.tallies) <= set(wanted), "a tally was written that nobody had read"
        self.tallies.update(verdict.tallies)
        return self._kept(verdict)

    def _in_force(self, at: Instant) -> Program:
        found = self.programs.in_force(at)
        assert found is not None
        return found

    def _kept(self, verdict: Verdict) -> Verdict:
        for grant in verdict.grants:
            assert grant.points > 0
            self.given[grant.rule_id] += grant.points
        for penalty in verdict.penalties:
            assert penalty.points > 0
            self.given[penalty.rule_id] -= penalty.points
        return verdict


def gifts(verdicts: Iterable[Verdict]) -> list[list[int]]:
    """The points of each verdict's grants."""
    return [[grant.points for grant in verdict.grants] for verdict in verdicts]
