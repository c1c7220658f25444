"""`pointstream adjust` and `adjustments`: give points to a member or take some, and decide what others proposed."""

from datetime import date
from typing import Annotated
from uuid import uuid4

import orjson
import typer
from rich.table import Column
from rich.text import Text

from services.cli.config import console, fail, load_settings
from services.cli.import_file import LAST_EXPIRY_YEAR
from services.cli.operating import AsJson, By, InInstallation, InRole, Reason, at_desk, operator, reason_option
from services.cli.plain import plain
from services.cli.tables import Table
from shared.domain.ids import AdjustmentId, EventId, EventSource, MemberId, Wallet
from shared.domain.model import Balances, Outcome
from shared.domain.time import Instant, rfc3339
from shared.ledger.desk import Desk, Standing
from shared.ledger.proposals import Verdict, Wish
from shared.operators import Operator, OperatorRole
from shared.reads.adjustments import (
    ID_PATTERN,
    AdjustmentState,
    is_adjustment_id,
    outcome_in_words,
    standing_document,
    state_of,
)
from shared.reads.documents import wallets_document

LIST_MAX = 1_000
"""More is a job for a report."""

Id = Annotated[str, typer.Argument(help="The adjustment's id, as `adjustments list` shows it.")]
Why = Annotated[str, typer.Option("--reason", help="Why you decide so. It is kept.")]

app = typer.Typer(no_args_is_help=True, help="Adjustments that operators made or proposed: list, approve, reject.")

ADJUST_EXAMPLES = (
    'Examples: pointstream adjust alice --give 50 --reason "the parcel was late" --by ann |'
    ' pointstream adjust alice --take 50 --wallet points --reason "given twice" --by ann --dry-run'
)


def adjust(
    member_id: Annotated[str, typer.Argument(help="The member's id, as the events give it.")],
    reason: Reason,
    give: Annotated[int | None, typer.Option("--give", min=1, help="How many points to give.")] = None,
    take: Annotated[
        int | None, typer.Option("--take", min=1, help="How many points to take, if they are there.")
    ] = None,
    reverse: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--reverse",
            metavar="SOURCE ID",
            help="Give back what this event took: a penalty, or what an operator took.",
        ),
    ] = None,
    wallet: Annotated[str, typer.Option("--wallet", help="Which wallet of the program.")] = "points",
    expires_on: Annotated[
        str | None,
        typer.Option(
            "--expires-on", help="The last day of what is given, like 2026-12-31; the wallet's own unless given."
        ),
    ] = None,
    by: By = None,
    role: InRole = OperatorRole.AGENT,
    adjustment_id: Annotated[
        str | None, typer.Option("--id", help="An id for this adjustment: the same again counts once.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and do nothing.")] = False,
    as_json: AsJson = False,
    installation: InInstallation = None,
) -> None:
    """Give points to a member, take some, or reverse what an event took.

    Above the limit of your role it waits for another person's approval.

    Exits with 0 when the points moved or the adjustment waits for approval, and with 1 when it was refused.
    """
    settings = load_settings(installation=installation)
    who, why = operator(by, role), reason_option(reason)
    if [give, take, reverse].count(None) != 2:
        fail("Say either --give or --take, with a number of points, or --reverse, with an event.")
    if expires_on is not None and give is None:
        fail("--expires-on: only points that are given can have an end.")
    points = give if give is not None else -(take or 0)
    reverses = None if reverse is None else (EventSource(reverse[0]), EventId(reverse[1]))
    day = None if expires_on is None else day_option(expires_on, "--expires-on")
    name = _id(adjustment_id) if adjustment_id is not None else AdjustmentId(str(uuid4()))
    limit = settings.adjust_points_max(role)

    async def work(desk: Desk) -> bool:
        ends = None if day is None else await end_of(desk, day)
        wish = Wish(name, MemberId(member_id), None if reverses else Wallet(wallet), points, why, ends, reverses)
        if dry_run:
            return await _rehearse(desk, wish, who, limit, as_json=as_json)
        return await _say(desk, await desk.adjust(wish, who, limit), as_json=as_json)

    again = f"Whether it was done is not known. Doing it again with --id {name} is safe."
    if not at_desk(settings, work, again=again):
        raise typer.Exit(1)


@app.command("list", epilog="Example: pointstream adjustments list --all --json")
def list_adjustments(
    everything: Annotated[bool, typer.Option("--all", help="Also those that were decided.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=LIST_MAX, help="How many, newest first.")] = 50,
    as_json: AsJson = False,
    installation: InInstallation = None,
) -> None:
    """List adjustments that wait for somebody's approval, newest first."""

    async def work(desk: Desk) -> None:
        found = await desk.list(limit, only_waiting=not everything)
        if as_json:
            _echo([standing_document(standing) for standing in found])
        elif found:
            console.print(_table(found))
        else:
            console.print("There are no such adjustments.")

    at_desk(load_settings(installation=installation), work, again="Nothing was changed.")


@app.command(epilog='Example: pointstream adjustments approve 7f1c --by bob --role supervisor --reason "checked"')
def approve(
    adjustment_id: Id,
    reason: Why,
    by: By = None,
    role: InRole = OperatorRole.SUPERVISOR,
    as_json: AsJson = False,
    installation: InInstallation = None,
) -> None:
    """Approve what somebody else proposed; its points move at once. Exits with 1 when they could not."""
    _rule(adjustment_id, Verdict.APPROVED, operator(by, role), reason, installation, as_json=as_json)


@app.command(epilog='Example: pointstream adjustments reject 7f1c --by bob --role supervisor --reason "not ours"')
def reject(
    adjustment_id: Id,
    reason: Why,
    by: By = None,
    role: InRole = OperatorRole.SUPERVISOR,
    as_json: AsJson = False,
    installation: InInstallation = None,
) -> None:
    """Reject what somebody proposed, or withdraw what you proposed yourself."""
    _rule(adjustment_id, Verdict.REJECTED, operator(by, role), reason, installation, as_json=as_json)


def _rule(text: str, verdict: Verdict, who: Operator, reason: str, installation: str | None, *, as_json: bool) -> None:
    name, why = _id(text), reason_option(reason)

    async def work(desk: Desk) -> bool:
        said = await _say(desk, await desk.rule(name, verdict, who, why), as_json=as_json)
        return said or verdict is Verdict.REJECTED

    settings = load_settings(installation=installation)
    if not at_desk(settings, work, again="Whether it was done is not known. Doing it again is safe."):
        raise typer.Exit(1)


def day_option(text: str, option: str) -> date:
    """The day that an option gives; ends the command when it is none."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        fail(f"{option}: {text!r} is no day; write it like 2026-12-31")
    if day.year > LAST_EXPIRY_YEAR:
        fail(f"{option}: {LAST_EXPIRY_YEAR} is the last year there is; leave it out for the wallet's own end.")
    return day


async def end_of(desk: Desk, day: date) -> Instant:
    """The first instant after a day in the program's zone."""
    program = desk.poster.programs.in_force(await desk.now())
    if program is None:
        fail("No version of the program is in force yet.")
    return program.calendar.end_of(day)


def _id(text: str) -> AdjustmentId:
    if not is_adjustment_id(text):
        fail(f"{plain(text)!r} is no id of an adjustment; one matches {ID_PATTERN}")
    return AdjustmentId(text)


async def _rehearse(desk: Desk, wish: Wish, who: Operator, limit: int, *, as_json: bool) -> bool:
    outcome, balances = await desk.rehearse(wish, who)
    wish = await desk.weighed(wish)
    waits = abs(wish.points) > limit
    if as_json:
        wallets = wallets_document(balances)
        _echo({"dry_run": True, "waits_for_approval": waits, "outcome": outcome, "wallets": wallets})
    else:
        first = f"It would wait for another person: the limit is {limit:,} points. Once approved: " if waits else ""
        typer.echo(f"{first}{_came_to(wish, outcome, balances)} Nothing was done.")
    return outcome is Outcome.POSTED


async def _say(desk: Desk, standing: Standing, *, as_json: bool) -> bool:
    """Print what an adjustment came to; False where it was refused or rejected."""
    wish = standing.proposal.wish
    balances = await desk.balances(wish.member_id) or {}
    if as_json:
        _echo({**standing_document(standing), "wallets": wallets_document(balances)})
    elif standing.recorded is None:
        ruling = standing.proposal.ruling
        if ruling is not None:
            typer.echo(f"{wish.adjustment_id}: rejected. Nothing moved.")
        else:
            typer.echo(
                f"{wish.adjustment_id} waits for another person: it is above the limit of your role. A supervisor"
                f" approves it with `pointstream adjustments approve {wish.adjustment_id}`."
            )
    else:
        typer.echo(f"{wish.adjustment_id}: {_came_to(wish, standing.recorded.outcome, balances)}")
    return state_of(standing) in {AdjustmentState.POSTED, AdjustmentState.WAITING}


def _came_to(wish: Wish, outcome: Outcome, balances: Balances) -> str:
    """An outcome in words, and what the member has then."""
    words = outcome_in_words(outcome)
    if outcome is Outcome.WALLET_UNKNOWN:
        return f"{words}: {plain(wish.wallet or '')}."
    wallets = wallets_document(balances)
    shown = list(wallets) if wish.wallet is None else [wish.wallet]
    said = [f"{wallets.get(wallet, {}).get('available', 0):,} {plain(wallet)}" for wallet in shown]
    return f"{words}. {plain(wish.member_id)} has {', '.join(said) or 'no points'} available."


def _table(found: list[Standing]) -> Table:
    table = Table("id", "member", Column("points", justify="right"), "wallet", "by", "reason", "proposed", "state")
    for standing in found:
        proposal = standing.proposal
        wish = proposal.wish
        table.add_row(
            wish.adjustment_id,
            Text(plain(wish.member_id)),
            f"{wish.points:+,}",
            Text(plain(wish.wallet or "–")),
            Text(plain(proposal.actor)),
            Text(plain(wish.reason)),
            rfc3339(proposal.proposed_at)[:16],
            state_of(standing),
        )
    return table


def _echo(document: object) -> None:
    typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
