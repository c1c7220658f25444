"""What the commands say to a person: the way in, and what is wrong."""

import asyncio
import json
import os
import secrets
import signal
import socket
import sys
from pathlib import Path

import asyncpg
import pytest

from deploy.stack import Addresses
from shared.ledger.database import Role
from shared.ledger.installation import drop_database, read_installation
from shared.settings import Settings
from shared.setup import SHARDS, open_ledger
from shared.stream.topics import delete_topics
from tests.support.installing import Make

PROJECT = Path(__file__).parent.parent.parent
GROCERY = PROJECT / "programs" / "grocery.yaml"
EXAMPLE = PROJECT / "programs" / "example-events.jsonl"


async def pointstream(*arguments: str, settings: Settings | None = None) -> tuple[int, str, str]:
    """Run the command; its exit code, output and errors."""
    environment = dict(os.environ) | {"COLUMNS": "200"}
    if settings is not None:
        servers = {name: getattr(settings, name) for name in ("kafka", "postgres", "redis", "installation")}
        environment |= {f"POINTSTREAM_{name.upper()}": value for name, value in servers.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.cli.main",
        *arguments,
        env=environment,
        cwd=PROJECT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def test_with_an_error_in_the_program_nothing_starts(settings: Settings, tmp_path: Path) -> None:
    program = tmp_path / "wrong.yaml"
    program.write_text(GROCERY.read_text().replace("rate: 1/2", "rate: a lot"))
    elsewhere = settings.model_copy(update={"installation": "t_never_made"})
    for command in (["init"], ["up"], ["replay", "--installation", "t_never_made"]):
        code, _, errors = await pointstream(*command, "--program", str(program), settings=elsewhere)
        assert code == 1, command
        assert "wrong.yaml" in errors
        assert "rules[1].rate: write the rate as a decimal (1.2) or a fraction (6/5)" in errors
    code, _, errors = await pointstream("run", "earn", settings=elsewhere)
    assert (code, "no installation 't_never_made'" in errors) == (1, True)


async def test_a_changed_program_needs_a_new_version(make_installation: Make, tmp_path: Path) -> None:
    settings = await make_installation(shards=SHARDS)
    program = tmp_path / "changed.yaml"
    program.write_text(GROCERY.read_text().replace("rate: 1/2", "rate: 2"))
    code, _, errors = await pointstream("init", "--program", str(program), settings=settings)
    assert code == 1
    assert "version 1 is registered with other content" in errors


async def test_one_that_sets_an_installation_up_waits_for_another(stack: Addresses) -> None:
    """What is made meanwhile is there, and whole, for both."""
    settings = Settings(
        kafka=stack.kafka,
        postgres=stack.postgres,
        redis=stack.redis,
        installation=f"t_{secrets.token_hex(4)}",
    )
    try:
        for done in await asyncio.gather(*(pointstream("init", settings=settings) for _ in range(2))):
            assert done[0] == 0, done
        async with open_ledger(settings, Role.READER) as pool:
            assert (await read_installation(pool)).shards == SHARDS
    finally:
        await drop_database(settings.postgres, settings.installation)
        await delete_topics(settings)


async def test_a_worker_that_does_not_exist_is_named(settings: Settings) -> None:
    code, _, errors = await pointstream("run", "lottery", settings=settings)
    assert (code, "'lottery' is no worker; say earn, publisher, expiry, api or all" in errors) == (1, True)


async def test_simulate_shows_what_events_come_to() -> None:
    """alice: tea 12.90 and ham 22.00 give 34 points and 6 more for the house brand (half of 12.90); bread 5.50 gives 5
    and 2; bob's soap 3.99 gives 3."""
    code, output, _ = await pointstream(
        "simulate", "--program", str(GROCERY), "--events", str(EXAMPLE), "--until", "2026-03-05T12:00:00Z", "--json"
    )
    assert code == 0
    report = json.loads(output)
    assert (report["events"], report["duplicates"], report["refused"]) == (4, 1, [])
    alice, bob = report["members"]["alice"], report["members"]["bob"]
    assert alice["balances"]["points"] == {"issued": -47, "available": 39, "pending": 8}
    assert bob["balances"]["points"] == {"issued": -3, "available": 3}
    assert [item["outcome"] for item in alice["outcomes"]] == ["posted", "posted"]


async def test_simulate_names_the_line_and_the_field_that_is_wrong(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    lines = EXAMPLE.read_text().splitlines()
    events.write_text("\n".join([lines[0], lines[1].replace('"paid": 399', '"paid": -399', 1), "{", lines[2]]))
    code, output, _ = await pointstream("simulate", "--program", str(GROCERY), "--events", str(events))
    assert code == 1
    assert "line 2: data.paid: " in output
    assert "line 3: " in output
    assert "posted: 2" in output


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--until", "tomorrow", "--until: 'tomorrow' is no instant"),
        ("--until", "2026-01-01", "--until: '2026-01-01' has no offset"),
        ("--events", "nowhere.jsonl", "nowhere.jsonl cannot be read"),
    ],
)
async def test_simulate_says_which_option_is_wrong(option: str, value: str, message: str) -> None:
    options = {"--program": str(GROCERY), "--events": str(EXAMPLE), option: value}
    code, _, errors = await pointstream("simulate", *(word for pair in options.items() for word in pair))
    assert code == 1
    assert message in errors


async def test_ctrl_c_while_a_command_is_loaded_ends_it_without_a_word(tmp_path: Path) -> None:
    """A module that is never done loading stands for all that there are."""
    (tmp_path / "typer.py").write_text("import signal\nprint('loading', flush=True)\nsignal.pause()\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "services.cli.main",
        env=dict(os.environ) | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{PROJECT}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"loading\n"
    process.send_signal(signal.SIGINT)
    assert await process.communicate() == (b"", b"")
    assert process.returncode == 130


async def test_one_is_no_several(tmp_path: Path) -> None:
    events = tmp_path / "one.jsonl"
    events.write_text(EXAMPLE.read_text().splitlines()[0])
    _, output, _ = await pointstream("simulate", "--program", str(GROCERY), "--events", str(events))
    assert output.splitlines()[0].strip() == "1 event, 1 member"


@pytest.mark.parametrize("amount", ["lots", "-1", "1.005", "NaN"])
async def test_an_order_needs_an_amount(settings: Settings, amount: str) -> None:
    code, _, errors = await pointstream("order", "alice", "--", amount, settings=settings)
    assert (code, "is no amount" in errors) == (1, True)


async def test_an_order_is_paid_in_the_currency_of_the_program(make_installation: Make) -> None:
    program = GROCERY.read_text().replace("currency: USD", "currency: JPY")
    settings = await make_installation(program=program, topics=True)
    code, _, errors = await pointstream("order", "alice", "59.90", settings=settings)
    assert (code, errors) == (1, "59.90 is no amount of JPY, which has 0 decimals.\n")
    code, output, _ = await pointstream("order", "alice", "5990", settings=settings)
    assert (code, output.startswith("alice paid 5,990 JPY (order-")) == (0, True)


async def test_an_order_that_no_worker_would_take_is_not_sent(settings: Settings) -> None:
    """There are no topics here: sending would fail otherwise."""
    code, _, errors = await pointstream("order", "a" * 129, "59.90", settings=settings)
    assert code == 1
    assert "Nothing was sent: data.member_id: " in errors
    elsewhere = settings.model_copy(update={"installation": "t_never_made"})
    code, _, errors = await pointstream("order", "alice", "59.90", settings=elsewhere)
    assert (code, "There is no installation 't_never_made' here." in errors) == (1, True)


@pytest.mark.parametrize(
    ("server", "address", "message"),
    [
        ("postgres", "postgresql://postgres@127.0.0.1:1/postgres", "PostgreSQL does not answer: "),
        ("kafka", "127.0.0.1:1", "Kafka does not answer: "),
        ("redis", "127.0.0.1:6379", "POINTSTREAM_REDIS: write the address of Redis like redis://HOST:PORT/0"),
        ("installation", "My-Shop", "POINTSTREAM_INSTALLATION: String should match pattern '^[a-z]"),
    ],
)
async def test_a_server_that_cannot_be_reached_is_named(
    make_installation: Make, server: str, address: str, message: str
) -> None:
    settings = await make_installation(shards=SHARDS)
    elsewhere = settings.model_copy(update={server: address})
    code, _, errors = await pointstream("init", "--program", str(GROCERY), settings=elsewhere)
    assert code == 1
    assert errors.startswith(message)
    assert "Traceback" not in errors


@pytest.mark.parametrize("command", [("up",), ("run", "all")])
async def test_where_the_port_of_the_api_is_taken_nothing_starts(
    stack: Addresses, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    settings = Settings(
        kafka=stack.kafka, postgres=stack.postgres, redis=stack.redis, installation=f"t_{secrets.token_hex(4)}"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("POINTSTREAM_API_PORT", str(port))
        code, _, errors = await pointstream(*command, settings=settings)
    said = f"Nothing was started: port {port} of 127.0.0.1 cannot be listened on (Address already in use);"
    assert (code, errors) == (1, f"{said} set POINTSTREAM_API_PORT to a free one\n")
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(settings.database)


async def test_up_names_a_setting_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSTREAM_API_PORT", "many")
    code, _, errors = await pointstream("up")
    assert (code, errors.startswith("POINTSTREAM_API_PORT: Input should be a valid integer")) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("member", "\udcff"), 2, r"'\udcff' is not in UTF-8."),
        (("verify", "--since", str(2**63)), 2, "Invalid value for '--since'"),
        (("dead-letters", "show", str(2**63)), 2, "Invalid value for 'letter_id'"),
        (("dead-letters", "drop", str(2**63), "--why", "x"), 2, "Invalid value for 'letter_ids'"),
        (("program", "explain", "9" * 5_000), 1, "9 cannot be read: "),
    ],
)
async def test_an_argument_that_can_be_nothing_is_named(
    settings: Settings, arguments: tuple[str, ...], code: int, message: str
) -> None:
    found, _, errors = await pointstream(*arguments, settings=settings)
    assert (found, message in errors.replace("\n", "")) == (code, True)
