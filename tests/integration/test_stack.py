"""The local stack keeps what it promises: data, ports, no second server, nothing left behind."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy import stack
from deploy.stack import Addresses, Server, ServerState, StackError
from deploy.stack.kafka_jars import Jar, JarLock, kafka_jars
from deploy.stack.reach import reachable

LIMIT_S = 30
VARIABLES = ("POINTSTREAM_KAFKA", "POINTSTREAM_POSTGRES", "POINTSTREAM_REDIS")
CLI = [sys.executable, "-c", "from services.cli.stack import app; app()"]


class Said(list[str]):
    """What the stack said."""

    def has(self, *words: str) -> bool:
        """Whether one line has all of `words`."""
        return any(all(word in line for word in words) for line in self)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    root = tmp_path / "stack"
    yield root
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    stack.down(root, wipe=True, say=Said().append)
    assert processes_in(tmp_path) == []


@dataclass(frozen=True)
class BroughtUpTwice:
    """A whole stack with data in it that was down for a while, during which somebody took Kafka's port."""

    first: Addresses
    addresses: Addresses
    said: Said
    left_running: list[str]
    addresses_when_down: Addresses | None


@pytest.fixture(scope="module")
async def whole(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BroughtUpTwice]:
    root = tmp_path_factory.mktemp("whole") / "stack"
    with pytest.MonkeyPatch.context() as patch:
        for variable in VARIABLES:
            patch.delenv(variable, raising=False)
        try:
            yield await bring_up_twice(root)
        finally:
            for variable in VARIABLES:
                patch.delenv(variable, raising=False)
            stack.down(root, wipe=True, say=Said().append)
    assert processes_in(root) == []
    assert not root.exists()


async def bring_up_twice(root: Path) -> BroughtUpTwice:
    first = stack.up(root, Said().append)
    await write_everywhere(first)
    stack.down(root, wipe=False, say=Said().append)
    left_running, addresses_when_down = processes_in(root), stack.addresses(root)
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", port_in(first.kafka)))
        somebody.listen()
        said = Said()
        second = stack.up(root, said.append)
    return BroughtUpTwice(first, second, said, left_running, addresses_when_down)


@pytest.fixture
def other(whole: BroughtUpTwice) -> Addresses:
    """Servers that run already, and that a stack can be told to use."""
    return whole.addresses


@pytest.fixture
def only_redis(root: Path, other: Addresses, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root whose Kafka and PostgreSQL are given, so that a start takes no time."""
    monkeypatch.setenv("POINTSTREAM_KAFKA", other.kafka)
    monkeypatch.setenv("POINTSTREAM_POSTGRES", other.postgres)
    return root


@pytest.fixture
def no_kafka(root: Path, other: Addresses, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with a PostgreSQL and a Redis of its own."""
    monkeypatch.setenv("POINTSTREAM_KAFKA", other.kafka)
    return root


def processes_in(folder: Path) -> list[str]:
    """The command lines of the processes that were started on something in `folder`."""
    lines = [" ".join(one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"])]
    return [line for line in lines if str(folder) in line]


def pid_of(root: Path, server: Server) -> int:
    pids = {one.server: one.pid for one in stack.status(root).servers}
    pid = pids[server]
    assert pid is not None
    return pid


def port_in(address: str) -> int:
    return int(address.rpartition(":")[2].partition("/")[0])


def kill(pid: int) -> None:
    process = psutil.Process(pid)
    process.kill()
    wait_for(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)


def wait_for(condition: Callable[[], bool]) -> None:
    clock = threading.Event()
    for _ in range(LIMIT_S * 50):
        if condition():
            return
        clock.wait(0.02)
    pytest.fail(f"not within {LIMIT_S} s")


async def write_everywhere(addresses: Addresses) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=addresses.kafka)
    await admin.start()
    await admin.create_topics([NewTopic("kept", num_partitions=1, replication_factor=1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=addresses.kafka, acks="all")
    await producer.start()
    # As old as a replayed order: no age limit may take it away.
    await producer.send_and_wait("kept", b"an order", timestamp_ms=1_483_228_800_000)
    await producer.stop()
    connection = await asyncpg.connect(addresses.postgres)
    await connection.execute("CREATE TABLE kept (word text); INSERT INTO kept VALUES ('a posting')")
    await connection.close()
    with redis.Redis.from_url(addresses.redis) as client:
        client.set("kept", "a balance")


async def read_everywhere(addresses: Addresses) -> list[object]:
    consumer = AIOKafkaConsumer("kept", bootstrap_servers=addresses.kafka, auto_offset_reset="earliest", group_id=None)
    await consumer.start()
    record = await consumer.getone()
    await consumer.stop()
    connection = await asyncpg.connect(addresses.postgres)
    word = await connection.fetchval("SELECT word FROM kept")
    await connection.close()
    with redis.Redis.from_url(addresses.redis) as client:
        return [record.value, word, client.get("kept")]


def test_down_leaves_no_process(whole: BroughtUpTwice) -> None:
    assert whole.left_running == []
    assert whole.addresses_when_down is None


async def test_data_outlive_down(whole: BroughtUpTwice) -> None:
    assert await read_everywhere(whole.addresses) == [b"an order", "a posting", b"a balance"]


def test_a_port_that_somebody_took_is_said_and_replaced(whole: BroughtUpTwice) -> None:
    before, now = whole.first, whole.addresses
    assert whole.said.has(str(port_in(before.kafka)), "taken", str(port_in(now.kafka)))
    assert now.kafka != before.kafka
    assert (now.postgres, now.redis) == (before.postgres, before.redis)


def test_a_stack_that_is_up_is_said_to_be_and_stays_as_it_is(only_redis: Path) -> None:
    addresses = stack.up(only_redis, Said().append)
    pid = pid_of(only_redis, Server.REDIS)
    said = Said()
    assert stack.up(only_redis, said.append) == addresses
    assert said.has("already up")
    assert pid_of(only_redis, Server.REDIS) == pid


async def test_servers_that_were_killed_are_started_again_without_losing_a_commit(no_kafka: Path) -> None:
    addresses = stack.up(no_kafka, Said().append)
    connection = await asyncpg.connect(addresses.postgres)
    await connection.execute("CREATE TABLE kept (word text); INSERT INTO kept VALUES ('a posting')")
    # A session that is in the middle of something holds on to the shared memory for a moment.
    busy = await asyncpg.connect(addresses.postgres)
    await busy.execute("BEGIN; LOCK TABLE kept")
    pids = pid_of(no_kafka, Server.POSTGRES), pid_of(no_kafka, Server.REDIS)
    for pid in pids:
        kill(pid)

    said = Said()
    assert stack.up(no_kafka, said.append) == addresses
    assert said.has("PostgreSQL ended", str(pids[0]), "started again")
    assert said.has("Redis ended", str(pids[1]), "started again")
    connection.terminate()
    busy.terminate()
    connection = await asyncpg.connect(addresses.postgres)
    assert await connection.fetchval("SELECT word FROM kept") == "a posting"
    await connection.close()


def test_a_redis_that_was_killed_does_not_come_back_with_old_balances(only_redis: Path) -> None:
    addresses = stack.up(only_redis, Said().append)
    with redis.Redis.from_url(addresses.redis) as client:
        client.set("balance", "of then")
    stack.down(only_redis, wipe=False, say=Said().append)
    stack.up(only_redis, Said().append)
    with redis.Redis.from_url(addresses.redis) as client:
        assert client.get("balance") == b"of then"
        client.set("balance", "of now")
    kill(pid_of(only_redis, Server.REDIS))
    stack.up(only_redis, Said().append)
    with redis.Redis.from_url(addresses.redis) as client:
        assert client.get("balance") is None


def test_one_server_that_fails_stops_the_others_and_its_last_words_are_told(no_kafka: Path) -> None:
    stack.up(no_kafka, Said().append)
    stack.down(no_kafka, wipe=False, say=Said().append)
    rules = next(iter(postgres_place(no_kafka).rglob("pg_hba.conf")))
    rules.write_text("nonsense\n")

    with pytest.raises(StackError, match="PostgreSQL could not be started") as failure:
        stack.up(no_kafka, Said().append)

    assert 'invalid connection type "nonsense"' in str(failure.value)
    assert processes_in(no_kafka) == []
    states = {one.server: one.state for one in stack.status(no_kafka).servers}
    assert states[Server.POSTGRES] is ServerState.DOWN
    assert states[Server.REDIS] is ServerState.DOWN


def postgres_place(root: Path) -> Path:
    state = json.loads((root / "state.json").read_text())
    return Path(state["postgres_place"] or root / "postgres")


def test_interrupting_up_leaves_no_process(root: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [*CLI, "up"],
        env={**os.environ, "POINTSTREAM_HOME": str(root)},
        stderr=subprocess.PIPE,
        text=True,
    ) as up:
        assert up.stderr is not None
        lines = iter(up.stderr)
        while "Redis is ready" not in next(lines):
            pass
        assert processes_in(root) != []
        up.send_signal(signal.SIGINT)
        up.send_signal(signal.SIGINT)
        rest = "".join(lines)
    assert "what was started is stopped again" in rest
    assert up.returncode != 0
    assert processes_in(tmp_path) == []


def test_two_ups_at_the_same_time_start_one_stack(only_redis: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: stack.up(only_redis, Said().append), range(2))
    assert first == second
    assert len(processes_in(only_redis)) == 1


def test_a_copied_folder_uses_the_stack_that_runs_and_does_not_stop_it(only_redis: Path, tmp_path: Path) -> None:
    addresses = stack.up(only_redis, Said().append)
    copy = tmp_path / "copy"
    shutil.copytree(only_redis, copy)
    said = Said()
    assert stack.up(copy, said.append) == addresses
    assert said.has("copy of the stack in", str(only_redis), "used")
    stack.down(copy, wipe=True, say=said.append)
    assert not copy.exists()
    assert stack.addresses(only_redis) == addresses


def test_another_checkout_that_shares_the_folder_is_named(
    only_redis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkouts = [tmp_path / "one", tmp_path / "two"]
    for checkout in checkouts:
        checkout.mkdir()
        (checkout / "pyproject.toml").touch()
    monkeypatch.chdir(checkouts[0])
    addresses = stack.up(only_redis, Said().append)
    monkeypatch.chdir(checkouts[1])
    said = Said()
    assert stack.up(only_redis, said.append) == addresses
    assert said.has("brought up from", str(checkouts[0]))


def test_a_number_that_another_process_has_by_now_is_not_stopped(only_redis: Path) -> None:
    stack.up(only_redis, Said().append)
    kill(pid_of(only_redis, Server.REDIS))
    state_file = only_redis / "state.json"
    state = json.loads(state_file.read_text())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as innocent:
        state["processes"]["redis"]["pid"] = innocent.pid
        state["processes"]["redis"]["started_s"] -= 60
        state_file.write_text(json.dumps(state))
        stack.down(only_redis, wipe=False, say=Said().append)
        assert innocent.poll() is None
        innocent.communicate(b"\n")
    assert innocent.returncode == 0


def test_wiping_removes_the_folder_but_not_what_somebody_put_there(only_redis: Path) -> None:
    stack.up(only_redis, Said().append)
    note = only_redis / "note.txt"
    note.write_text("mine")
    stack.down(only_redis, wipe=True, say=Said().append)
    assert [path.name for path in only_redis.iterdir()] == ["note.txt"]
    with pytest.raises(StackError, match="not a stack's folder"):
        stack.up(only_redis, Said().append)
    note.unlink()
    stack.up(only_redis, Said().append)
    stack.down(only_redis, wipe=True, say=Said().append)
    assert not only_redis.exists()


def test_nothing_is_wiped_below_a_server_that_cannot_be_stopped(only_redis: Path) -> None:
    stack.up(only_redis, Said().append)
    state_file = only_redis / "state.json"
    remembered = state_file.read_text()
    state_file.write_text("{")
    with pytest.raises(StackError, match=r"state\.json cannot be used"):
        stack.down(only_redis, wipe=False, say=Said().append)
    with pytest.raises(StackError, match="still uses"):
        stack.down(only_redis, wipe=True, say=Said().append)
    assert (only_redis / "redis").exists()
    state_file.write_text(remembered)


@pytest.mark.parametrize(
    ("variable", "address"),
    [
        ("POINTSTREAM_KAFKA", "127.0.0.1:1"),
        ("POINTSTREAM_POSTGRES", "postgresql://postgres:secret@127.0.0.1:1/postgres"),
        ("POINTSTREAM_REDIS", "redis://:secret@127.0.0.1:1/0"),
    ],
)
def test_a_given_address_without_a_server_is_named_and_nothing_is_started(
    root: Path, monkeypatch: pytest.MonkeyPatch, variable: str, address: str
) -> None:
    monkeypatch.setenv(variable, address)
    with pytest.raises(StackError, match=variable) as failure:
        stack.up(root, Said().append)
    assert "127.0.0.1:1" in str(failure.value)
    assert "secret" not in str(failure.value)
    assert processes_in(root) == []


def test_given_servers_are_never_stopped(other: Addresses, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, address in other.environment().items():
        monkeypatch.setenv(variable, address)
    said = Said()
    assert stack.up(root, said.append) == other
    stack.down(root, wipe=True, say=said.append)
    assert said.has("Kafka", "left alone", "POINTSTREAM_KAFKA")
    assert stack.status(root).ready


def test_the_password_is_known_to_the_owner_only(no_kafka: Path) -> None:
    said = Said()
    addresses = stack.up(no_kafka, said.append)
    password = json.loads((no_kafka / "state.json").read_text())["password"]
    assert password in addresses.postgres
    assert password not in repr(addresses)
    assert not said.has(password)
    assert password not in "".join(path.read_text() for path in (no_kafka / "logs").iterdir())
    assert not [one for one in psutil.process_iter(["cmdline"]) if password in str(one.info["cmdline"])]
    assert stat.S_IMODE((no_kafka / "state.json").stat().st_mode) == 0o600


def test_servers_listen_on_the_loopback_address_only(other: Addresses) -> None:
    for address in (other.kafka, other.postgres, other.redis):
        port = port_in(address)
        listening = {
            one.laddr[0].removeprefix("::ffff:")
            for one in psutil.net_connections("tcp")
            if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr[1] == port
        }
        assert listening == {"127.0.0.1"}


def test_the_commands_speak_to_shells_and_programs(only_redis: Path) -> None:
    environment = {**os.environ, "POINTSTREAM_HOME": str(only_redis)}

    def pointstream_stack(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*CLI, *arguments], env=environment, capture_output=True, text=True, check=False)

    assert pointstream_stack("status").returncode == 1
    assert pointstream_stack("env").returncode == 1
    up = pointstream_stack("up", "--json")
    assert up.returncode == 0, up.stderr
    addresses = stack.addresses(only_redis)
    assert addresses is not None
    assert Addresses(**json.loads(up.stdout)) == addresses
    exported = subprocess.run(
        ["/bin/sh", "-c", f"{pointstream_stack('env').stdout}\necho $POINTSTREAM_REDIS"],
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    assert exported.stdout.strip() == addresses.redis
    status = pointstream_stack("status", "--json")
    assert status.returncode == 0
    assert {one["server"]: one["provider"] for one in json.loads(status.stdout)["servers"]} == {
        "kafka": "environment",
        "postgres": "environment",
        "redis": "local",
    }
    assert pointstream_stack("down", "--wipe").returncode == 0
    assert not only_redis.exists()


def test_a_broken_download_is_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jar = Jar(coordinate="org.example:tool:1.0", size=5, sha256="0" * 64)
    lock = tmp_path / "jars.json"
    lock.write_text(JarLock(version="9.9", jars=[jar]).model_dump_json())
    monkeypatch.setattr("deploy.stack.kafka_jars.LOCK", lock)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # A repository on this machine that has the file, with other content than the checksum says.
    repository = tmp_path / "m2" / "org" / "example" / "tool" / "1.0"
    repository.mkdir(parents=True)
    (repository / "tool-1.0.jar").write_text("wrong")
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with pytest.raises(StackError, match=r"tool-1\.0\.jar could not be downloaded"):
        kafka_jars(Said().append)
    assert list((tmp_path / "cache").rglob("*.jar")) == []


def test_reach_goes_by_every_folder_on_the_way(tmp_path: Path) -> None:
    inner = tmp_path / "closed" / "open"
    inner.mkdir(parents=True)
    inner.chmod(0o755)
    (tmp_path / "closed").chmod(0o700)
    assert not reachable(inner)
    assert reachable(Path("/"))
