"""What the parts of a bench share: a stack of its own, and installations on it that go when they were measured."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from deploy import stack
from services.cli.config import errors
from shared.ledger.installation import drop_database
from shared.settings import Settings
from shared.setup import set_up
from shared.stream.topics import delete_topics

PROGRAM = Path("programs/grocery.yaml")
ONE_RULE, REALISTIC = (Path(__file__).with_name(f"{name}.yaml") for name in ("one-rule", "realistic"))
"""The least program, and one of a shop of some size."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A stack, and the processes of its servers."""

    addresses: stack.Addresses
    pids: Mapping[str, int]
    program: Path

    @asynccontextmanager
    async def installation(self, name: str, program: Path | None = None) -> AsyncIterator[Settings]:
        """A fresh installation for as long as the block lasts, with the bench's program or another one."""
        settings = Settings(
            installation=name,
            kafka=self.addresses.kafka,
            postgres=self.addresses.postgres,
            redis=self.addresses.redis,
            program=program or self.program,
            api_port=0,
        )
        await set_up(settings, settings.program)
        try:
            yield settings
        finally:
            await _empty_redis(settings)
            await delete_topics(settings)
            await drop_database(settings.postgres, settings.installation)


async def _empty_redis(settings: Settings) -> None:
    redis = Redis.from_url(settings.redis)
    try:
        await redis.flushall()
    finally:
        await redis.aclose()


@contextmanager
def bench_stack(folder: Path, program: Path) -> Iterator[Bench]:
    """A stack below `folder` that is removed at the end."""
    root = folder / "stack"
    addresses = stack.up(root, lambda line: errors.print(line, highlight=False))
    try:
        pids = {str(server.server.value): server.pid for server in stack.status(root).servers if server.pid}
        yield Bench(addresses, pids, program)
    finally:
        stack.down(root, wipe=True, say=lambda line: errors.print(line, highlight=False))
