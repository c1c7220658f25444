"""One interleaving: messages come in while workers die, stall, lose answers and take over; then it calms down."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from aiokafka import TopicPartition

from tests.simulation.invariants import Monitor, check
from tests.simulation.system import OPERATOR, SETTINGS, SHARDS, System
from tests.simulation.workload import HOUR_MS, Workload
from tests.simulation.world import BrokenPromiseError, Operation, World

STEPS_MAX = 6_000
"""An interleaving takes some hundreds; one that takes so many does not come to an end."""

TRACE_LINES = 60

SENT_SHARE, SENT_SLOWLY_SHARE = 0.1, 0.04
"""How many steps are a message of the platform; fewer where operators are to see what became of the last ones."""

END_MS = 100 * 24 * HOUR_MS
"""Time that passes at the end: everything falls due."""


@dataclass
class Result:
    """What an interleaving came to."""

    seed: int
    steps: int
    failure: str | None = None
    trace: list[str] = field(default_factory=list)

    def report(self) -> str:
        """For people: what broke, how to see it again, and what happened before."""
        return "\n".join(
            [
                f"seed {self.seed}: {self.failure}",
                f"again: python -m tests.simulation {self.seed}",
                *(f"  {line}" for line in self.trace[-TRACE_LINES:]),
            ]
        )


def run(seed: int, *, crash_after: int | None = None) -> Result:
    """Run the interleaving of a seed. With `crash_after` nothing goes wrong in it but one crash: the process that took
    this step dies right after it."""
    world = World(seed)
    asyncio._set_running_loop(world.loop)
    try:
        interleaving = Interleaving(world, crash_after)
        failure = None
        try:
            interleaving.run()
        except BrokenPromiseError as violation:
            failure = str(violation)
        trace = [f"{number:4} {who:12} {what}" for number, (who, what) in enumerate(world.trace)]
        interleaving.end()
        return Result(seed, world.steps, failure, trace if failure else [])
    finally:
        asyncio._set_running_loop(None)


class Interleaving:
    """Drives a system through a storm and then to rest."""

    def __init__(self, world: World, crash_after: int | None) -> None:
        random = world.random
        self.world = world
        self.workload = Workload(random, SHARDS)
        self.system = System(world, self.workload.program)
        self.monitor = Monitor(self.system)
        self._crash_after = crash_after
        self._stay = random.choice((0.0, 0.5, 0.9))
        self._left = random.randint(2, 9)
        self._fault_share = 0.0 if crash_after is not None else random.choice((0.0, 0.01, 0.03, 0.06))
        self._kinds = self._some_kinds()
        self._earners = random.choice((1, 2, 2))
        self._publishers = random.choice((1, 1, 2))
        self._sweeping = random.random() < 0.7
        self._storm_steps = random.choice((80, 200, 320))
        self._sent_share = SENT_SHARE
        self._operators_left = 0
        if self.workload.appealing:
            self._storm_steps = random.choice((200, 320))
            self._sent_share = SENT_SLOWLY_SHARE
            self._left = random.randint(5, 10)
            self._operators_left = random.randint(2, 6)
        self._readers = 0
        self._operators = 0

    def run(self) -> None:
        """All of it. Raises `BrokenPromiseError`."""
        system = self.system
        for number in range(self._earners):
            system.start(f"earn-{number}")
        for number in range(self._publishers):
            system.start(f"publisher-{number}")
        if self._sweeping:
            system.start("expiry")
        for _ in range(self._storm_steps):
            self._storm()
        self._calm_down()
        self._drain()
        check(system, ordered=self.workload.ordered)

    def end(self) -> None:
        """Let nothing outlive it."""
        for process in self.system.processes.values():
            if process.tasks:
                self.world.kill(process)

    # The storm

    def _storm(self) -> None:
        """One step: something from outside, a fault, or what a process waits for."""
        chance = self.world.random.random()
        if self._left and chance < self._sent_share:
            self._send()
        elif self._operators_left and 0.06 < chance < 0.1:
            self._adjust()
        elif chance < 0.15:
            self._outside()
        elif chance < 0.15 + self._fault_share:
            self.world.random.choice(self._kinds)()
        else:
            self._step(faulty=True)

    def _adjust(self) -> None:
        """An operator looks at a member whom the ledger knows, if there is one, and adjusts the points."""
        seen = self.system.available()
        if not seen:
            return
        self._operators_left -= 1
        self._operators += 1
        self._pass_time(self.world.random.choice((0, 0, 0, HOUR_MS)))
        events = self.workload.adjust(seen, self.system.now())
        self._left += bool(self.workload.short)
        for each in events:
            self.world.say("operator", f"posts {(each.message.value or b'').decode()}")
        self.system.adjust(self._operators, events)

    def _send(self) -> None:
        sent = self.workload.next(self.system.now_ms)
        self._left -= 1
        self._pass_time(sent.after_ms)
        partition = TopicPartition(SETTINGS.topic(sent.topic), sent.partition)
        log = self.system.kafka.logs[partition]
        log.append(sent.key, sent.value, (), self.system.now_ms)
        if self.world.random.random() < 0.1:
            log.mark()
        self.world.say("platform", f"sends to {sent.topic}/{sent.partition}: {sent.value.decode()}")
        if self._left and self.workload.is_order_next:
            self._send()

    def _pass_time(self, after_ms: int) -> None:
        if after_ms:
            self.system.now_ms += after_ms
            self.world.say("clock", f"{after_ms / HOUR_MS:g} h pass")

    def _outside(self) -> None:
        """What may happen at any time, and is no fault."""
        random = self.world.random
        match random.randrange(9):
            case 0:
                self._rebalance()
            case 1 | 6:
                self._form_groups()
            case 2 | 7 | 8:
                self._readers += 1
                self.system.read(self._readers, f"m{random.randrange(3)}")
            case 3 | 4:
                self.system.redis.snapshot()
            case _:
                self.world.loop.fire_timer()
                self.world.loop.run_ready()

    def _rebalance(self) -> None:
        groups = list(self.system.kafka.groups.values())
        if groups:
            group = self.world.random.choice(groups)
            self.world.say("broker", f"{group.name} rebalances")
            group.rebalance()

    def _form_groups(self, *, complete: bool = False) -> None:
        """Those who joined get their partitions; without `complete`, others may be left out."""
        for group in self.system.kafka.groups.values():
            if group.is_complete() or (not complete and group.can_form()):
                group.form()
                self.world.say("broker", f"{group.name} is formed by {len(group.members)}")

    def _some_kinds(self) -> list[Callable[[], None]]:
        """What goes wrong in this interleaving: some kinds only, so that each also comes often and alone."""
        kinds = [self._kill, self._stall, self._break_postgres, self._trouble_redis, self._time_out]
        return self.world.random.sample(kinds, self.world.random.randint(1, len(kinds)))

    def _kill(self) -> None:
        running = self.system.alive()
        if running:
            process = self.world.random.choice(running)
            self._die(process.name)

    def _die(self, name: str) -> None:
        """Dead, and soon another one comes in its place."""
        self.world.kill(self.system.processes[name])
        if not name.startswith(("reader", OPERATOR)):
            self.system.start(name)

    def _stall(self) -> None:
        """Somebody stands still before a step, so long that the others may go on without it."""
        before = {operation.name: operation for operation in self.world.ready()}
        if before:
            operation = before[self.world.random.choice(list(before))]
            process = operation.process
            process.stalled_until = self.world.steps + self.world.random.randint(20, 100)
            self.world.say(
                process.name, f"STOPPED before {operation.name}, until {process.stalled_until} steps are done"
            )
            for group in self.system.kafka.groups.values():
                group.rebalance()

    def _break_postgres(self) -> None:
        self.world.say("postgres", "RESTARTED")
        self.system.postgres.restart()

    def _trouble_redis(self) -> None:
        redis = self.system.redis
        match self.world.random.randrange(6):
            case 0:
                self.world.say("redis", "FLUSHED")
                redis.flush()
            case 1 | 2 | 3 | 4:
                self._restore_redis()
            case _:
                redis.away = not redis.away
                self.world.say("redis", "AWAY" if redis.away else "THERE")

    def _restore_redis(self) -> None:
        self.world.say("redis", "BACK FROM A SNAPSHOT")
        self.system.redis.restore()

    def _time_out(self) -> None:
        opened = sorted(self.system.kafka.open)
        if opened:
            transactional_id = self.world.random.choice(opened)
            self.world.say("broker", f"gives up the transaction of {transactional_id}")
            self.system.kafka.time_out(transactional_id)

    # One step

    def _step(self, *, faulty: bool) -> None:
        ready = self.world.ready()
        if not ready:
            self._idle()
            return
        operation = self.world.choose(ready, self._stay)
        if faulty and self.world.random.random() < self._fault_share:
            self._fail(operation)
        else:
            self.world.carry_out(operation)
        if self.world.steps == self._crash_after and operation.process.alive:
            self._die(operation.process.name)
        self._look()

    def _fail(self, operation: Operation) -> None:
        """A step goes wrong: its process dies right after it, or the request or the answer is lost."""
        match self.world.random.randrange(3):
            case 1 if operation.lost is not None:
                self.world.lose_request(operation)
            case 2 if operation.lost is not None:
                self.world.lose_answer(operation)
            case _:
                self.world.carry_out(operation)
                if operation.process.alive:
                    self._die(operation.process.name)

    def _idle(self) -> None:
        """Nobody can go on: groups are formed, then time passes."""
        before = [group.forming for group in self.system.kafka.groups.values()]
        self._form_groups()
        if before == [group.forming for group in self.system.kafka.groups.values()]:
            if not self.world.loop.has_timers():
                for process in self.system.alive():
                    process.stalled_until = 0
            self.world.loop.fire_timer()
        self.world.loop.run_ready()

    def _look(self) -> None:
        if self.system.broken:
            raise BrokenPromiseError(f"a worker gave up: {self.system.broken[0]}")
        if self.world.loop.errors:
            raise BrokenPromiseError(f"an error that nobody handled: {self.world.loop.errors[0]}")
        if self.world.steps > STEPS_MAX:
            raise BrokenPromiseError(f"it does not come to an end: {self.monitor.waiting()}")

    # The calm

    def _calm_down(self) -> None:
        """Everybody is back, and all time has passed that matters."""
        self.world.say("outside", "CALM")
        self.system.redis.away = False
        for process in self.system.alive():
            process.stalled_until = 0
        self._send_the_rest()
        if "expiry" not in self.system.processes:
            self.system.start("expiry")
        for group in self.system.kafka.groups.values():
            group.expel_the_dead()
        self._drain()
        if self._fault_share and self._trouble_redis in self._kinds and self.world.random.random() < 0.5:
            self._restore_redis()  # long after whatever it has was written
        self._pass_time(END_MS)

    def _send_the_rest(self) -> None:
        """At once; where operators adjust points, with some steps in between, so that they see what became of it."""
        while self._left:
            self._send()
            if self._operators_left:
                self._go_on()
                self._adjust()
                self._go_on()
        for _ in range(self._operators_left):
            self._adjust()
            self._go_on()

    def _go_on(self) -> None:
        for _ in range(self.world.random.choice((0, 20, 60))):
            self._step(faulty=False)

    def _drain(self) -> None:
        """Until nothing is left to do."""
        steps = 0
        while steps % 8 or self.monitor.waiting():
            steps += 1
            self._step(faulty=False)
            if self.world.steps % 16 == 0:
                self._form_groups(complete=True)
