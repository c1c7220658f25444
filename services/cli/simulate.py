"""`pointstream simulate`: try a program on events, with no server."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from services.cli.config import console, fail, instant_option
from services.cli.tables import Table
from services.cli.wording import count
from shared.contracts.program import ProgramError, read_program
from shared.domain.model import Bucket, Posting
from shared.domain.program import Programs
from shared.domain.time import NEVER, Instant, instant_of, rfc3339
from shared.simulation import Member, Simulation

MEMBERS_SHOWN = 20

ProgramFile = Annotated[Path, typer.Option("--program", help="The program document.")]
EventsFile = Annotated[
    Path, typer.Option("--events", help="CloudEvents as JSON, one a line, in the order of their arrival (`time`).")
]
Until = Annotated[
    str | None, typer.Option("--until", help="Let time pass until this instant, like 2026-12-31T16:00:00Z.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Everything as JSON: balances, lots, postings, outcomes.")]


def simulate(program: ProgramFile, events: EventsFile, until: Until = None, as_json: AsJson = False) -> None:
    """Decide events as the workers would, and show what every member comes to. Nothing is stored.

    An event arrives at its CloudEvents `time`, or without one when its order was paid.
    """
    try:
        document, _ = read_program(program)
    except ProgramError as error:
        fail(str(error))
    last = None if until is None else instant_option(until, "--until")
    simulation = Simulation(Programs([document.to_domain()]))
    for line in _lines(events):
        simulation.feed(line, (), arrival_of(line))
    if last is not None:
        simulation.settle(last)
    if as_json:
        typer.echo(orjson.dumps(report(simulation), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))
    else:
        _show(simulation)
    if simulation.refused:
        raise typer.Exit(1)


def arrival_of(line: bytes) -> Instant | None:
    """The `time` of an event in structured mode; None where it has none that can be read."""
    try:
        event = orjson.loads(line)
        return instant_of(datetime.fromisoformat(event["time"]))
    except (ValueError, KeyError, TypeError):
        return None


def report(simulation: Simulation) -> dict[str, Any]:
    """Everything that came out, as plain values."""
    return {
        "events": simulation.events,
        "duplicates": simulation.duplicates,
        "refused": [asdict(refused) for refused in simulation.refused],
        "members": {member_id: _member(member) for member_id, member in sorted(simulation.members.items())},
    }


def _member(member: Member) -> dict[str, Any]:
    return {
        "version": member.account.version,
        "balances": member.account.balances,
        "lots": [
            {
                "lot_id": lot.lot_id,
                "wallet": lot.wallet,
                "order_id": lot.order_id,
                "issued": lot.issued,
                "remaining": lot.remaining,
                "activates_at": None if lot.activates_at == NEVER else _text(lot.activates_at),
                "waits_for": lot.waits_for,
                "expires_at": _text(lot.expires_at),
            }
            for lot in member.account.lots.values()
        ],
        "outcomes": [
            {"source": source, "id": event_id, "outcome": outcome} for source, event_id, outcome in member.outcomes
        ],
        "postings": [_posting(posting) for posting in member.postings],
    }


def _posting(posting: Posting) -> dict[str, Any]:
    return {
        "version": posting.version,
        "kind": posting.kind,
        "event_id": None if posting.event is None else posting.event.event_id,
        "order_id": posting.order_id,
        "program_version": posting.program_version,
        "occurred_at": rfc3339(posting.occurred_at),
        "effective_at": rfc3339(posting.effective_at),
        "movements": [
            {
                "wallet": movement.wallet,
                "from": movement.from_bucket,
                "to": movement.to_bucket,
                "amount": movement.amount,
                "rule": movement.rule_id,
                "lot_id": movement.lot_id,
                "order_id": movement.order_id,
            }
            for movement in posting.movements
        ],
        "balances": posting.balances,
    }


def _show(simulation: Simulation) -> None:
    members = sorted(simulation.members.values(), key=_most_points)
    buckets = (Bucket.AVAILABLE, Bucket.PENDING, Bucket.EXPIRED, Bucket.DEBT)
    table = Table(title=f"{count(simulation.events, 'event')}, {count(len(members), 'member')}")
    for column in ("member", "wallet", *buckets, "postings", "lots"):
        table.add_column(column, justify="left" if column in ("member", "wallet") else "right")
    for member in members[:MEMBERS_SHOWN]:
        for wallet, balance in member.account.balances.items():
            amounts = [f"{balance.get(bucket, 0):,}" for bucket in buckets]
            table.add_row(
                member.account.member_id, wallet, *amounts, str(len(member.postings)), str(len(member.account.lots))
            )
    console.print(table)
    if len(members) > MEMBERS_SHOWN:
        console.print(f"… and {len(members) - MEMBERS_SHOWN} more members; --json has them all")
    outcomes: dict[str, int] = {}
    for member in members:
        for _, _, outcome in member.outcomes:
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
    console.print(", ".join(f"{outcome}: {count}" for outcome, count in outcomes.items()) or "no event was decided")
    console.print(f"duplicates: {simulation.duplicates}")
    for refused in simulation.refused:
        console.print(f"line {refused.number}: {refused.path}: {refused.reason}", style="red", markup=False)


def _most_points(member: Member) -> tuple[int, str]:
    available = sum(balance.get(Bucket.AVAILABLE, 0) for balance in member.account.balances.values())
    return -available, member.account.member_id


def _lines(path: Path) -> list[bytes]:
    try:
        return [line for line in path.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}")


def _text(instant: Instant | None) -> str | None:
    return None if instant is None else rfc3339(instant)
