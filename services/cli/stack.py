"""`pointstream stack`: Kafka, PostgreSQL and Redis on this machine."""

import json
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from deploy import stack
from deploy.stack import ServerState, ServerStatus, StackError
from services.cli.tables import Table

app = typer.Typer(no_args_is_help=True, help="Bring Kafka, PostgreSQL and Redis up on this machine, and down.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Wipe = Annotated[bool, typer.Option("--wipe", help="Remove all data of the stack too.")]

_MB = 1_000_000


@app.command(epilog="Example: pointstream stack up")
def up(as_json: AsJson = False) -> None:
    """Bring up what is not up yet, and wait until it answers.

    A server whose address stands in POINTSTREAM_KAFKA, POINTSTREAM_POSTGRES or POINTSTREAM_REDIS is used as it is;
    the others are started as local processes. Their data are kept in .pointstream, or in POINTSTREAM_HOME.
    With --json the addresses are printed, with the password.
    """
    with _errors_told(), _stop_signals_interrupt():
        found = stack.up(stack.home(), _tell)
    if as_json:
        typer.echo(json.dumps(asdict(found)))
    else:
        typer.echo("The stack is up. `pointstream stack status` shows it, `pointstream stack down` stops it.")


@app.command(epilog="Example: pointstream stack down --wipe")
def down(wipe: Wipe = False) -> None:
    """Stop the servers that were started here. Their data are kept for the next time, unless wiped."""
    with _errors_told():
        stack.down(stack.home(), wipe, _tell)


@app.command(epilog="Example: pointstream stack status --json")
def status(as_json: AsJson = False) -> None:
    """Ask every server how it is. Exits with 0 when all are ready, else with 1."""
    with _errors_told():
        found = stack.status(stack.home())
    if as_json:
        servers = [asdict(server) for server in found.servers]
        typer.echo(json.dumps({"root": str(found.root), "ready": found.ready, "servers": servers}))
    else:
        Console().print(_table(found.servers))
    raise typer.Exit(0 if found.ready else 1)


@app.command(epilog='Example: eval "$(pointstream stack env)"')
def env(as_json: AsJson = False) -> None:
    """Print the servers' addresses as environment variables for a shell, with the password."""
    with _errors_told():
        found = stack.addresses(stack.home())
        if found is None:
            raise StackError("Not every server is up: `pointstream stack up` brings them up.")
    if as_json:
        typer.echo(json.dumps(found.environment()))
        return
    for variable, address in found.environment().items():
        typer.echo(f"export {variable}={shlex.quote(address)}")


def _tell(line: str) -> None:
    # On stderr: what a program reads stands on stdout.
    typer.echo(line, err=True)


def _table(servers: tuple[ServerStatus, ...]) -> Table:
    table = Table("server", "provider", "state", "address", "pid", "memory", "data")
    for server in servers:
        table.add_row(
            server.server.value,
            server.provider.value,
            f"[{'green' if server.state is ServerState.READY else 'red'}]{server.state.value}[/]",
            server.address or "",
            str(server.pid or ""),
            _size(server.memory_bytes),
            _size(server.data_bytes),
        )
    return table


def _size(size_bytes: int | None) -> str:
    return "" if size_bytes is None else f"{size_bytes / _MB:,.0f} MB"


@contextmanager
def _errors_told() -> Iterator[None]:
    try:
        yield
    except StackError as error:
        _tell(f"Error: {error}")
        raise typer.Exit(1) from error


@contextmanager
def _stop_signals_interrupt() -> Iterator[None]:
    """Let the end of the terminal, or a polite kill, stop what was started just as Ctrl-C does."""
    before = {one: signal.signal(one, signal.default_int_handler) for one in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
