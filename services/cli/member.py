"""`pointstream member`: a member's balances and newest postings, for a person."""

from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.table import Column
from rich.text import Text

from services.cli.config import console, fail, load_settings
from services.cli.plain import plain
from services.cli.reading import AsJson, InInstallation, echo_json, reading
from services.cli.tables import Table
from services.cli.wording import count
from shared.domain.ids import MemberId
from shared.domain.model import Bucket, Movement
from shared.domain.time import Instant, datetime_of
from shared.ledger.read import StatementEntry
from shared.reads.documents import balance_document, entries_document, wallets_document
from shared.reads.reader import MemberBalance, Reader

ENTRIES_MAX = 200
"""More is a job for the API, page by page."""

_SENTENCES = {
    (Bucket.ISSUED, Bucket.AVAILABLE): "{points} earned{by}{about}",
    (Bucket.ISSUED, Bucket.PENDING): "{points} earned{by}, pending until the return window is over{about}",
    (Bucket.PENDING, Bucket.AVAILABLE): "{points} became available{about}",
    (Bucket.AVAILABLE, Bucket.EXPIRED): "{points} expired{about}",
    (Bucket.AVAILABLE, Bucket.ADJUSTED): "{points} taken by an operator{about}",
    (Bucket.PENDING, Bucket.ADJUSTED): "{points} taken by an operator before they were available{about}",
    (Bucket.AVAILABLE, Bucket.DEBT): "{points} repaid what was owed{about}",
    (Bucket.PENDING, Bucket.CLAWED_BACK): "{points}, still pending, taken back{by}{about}",
    (Bucket.AVAILABLE, Bucket.CLAWED_BACK): "{points} taken back{by}{about}",
    (Bucket.EXPIRED, Bucket.CLAWED_BACK): "{points}, expired already, counted as taken back{by}{about}",
    (Bucket.DEBT, Bucket.CLAWED_BACK): "{points} to be taken back{by} were spent already, and are owed{about}",
    (Bucket.WRITTEN_OFF, Bucket.CLAWED_BACK): "{points} to be taken back{by} were spent already, and let go{about}",
    (Bucket.CASH_OFFSET, Bucket.CLAWED_BACK): "{points} to be taken back{by} were spent already; the shop keeps"
    " their worth{about}",
    (Bucket.AVAILABLE, Bucket.PENALTY): "{points} taken as a penalty{by}{about}",
    (Bucket.DEBT, Bucket.PENALTY): "{points} owed for a penalty{by}{about}",
    (Bucket.PENALTY, Bucket.AVAILABLE): "{points} of a penalty{by} came back{about}",
    (Bucket.PENALTY, Bucket.DEBT): "{points} of a penalty{by} are no longer owed{about}",
    (Bucket.ADJUSTED, Bucket.AVAILABLE): "{points} that an operator took came back{about}",
    (Bucket.ADJUSTED, Bucket.PENDING): "{points} that an operator took came back, pending{about}",
    (Bucket.AVAILABLE, Bucket.WRITTEN_OFF): "{points} made good what was let go{about}",
    (Bucket.PENDING, Bucket.WRITTEN_OFF): "{points}, still pending, made good what was let go{about}",
}
"""What a movement means to a member, by where the points came from and went."""

_GIVEN = "{points} given by an operator{about}"


def member(
    member_id: Annotated[str, typer.Argument(help="The member's id, as the events give it.")],
    as_json: AsJson = False,
    statement: Annotated[
        int, typer.Option("--statement", min=0, max=ENTRIES_MAX, help="How many of the newest postings to show.")
    ] = 10,
    installation: InInstallation = None,
) -> None:
    """Show a member's balances, what falls due next, and the newest postings."""
    settings = load_settings(installation=installation)
    found = reading(settings, lambda reader: _read(reader, MemberId(member_id), statement))
    if found is None:
        fail(f"Nothing was ever posted for member {plain(member_id)!r} in installation {settings.installation!r}.")
    balance, entries, zone = found
    if as_json:
        document = {**balance_document(balance), "statement": entries_document(entries)}
        echo_json(document)
    else:
        show(console, balance, entries, zone)


async def _read(
    reader: Reader, member_id: MemberId, limit: int
) -> tuple[MemberBalance, list[StatementEntry], tzinfo] | None:
    balance = await reader.balance(member_id)
    if balance is None:
        return None
    entries = await reader.statement(member_id, limit) if limit else []
    program = reader.programs.in_force(balance.as_of)
    return balance, entries or [], UTC if program is None else program.calendar.zone


def show(out: Console, balance: MemberBalance, entries: list[StatementEntry], zone: tzinfo) -> None:
    """Print a balance and a statement, with times in `zone`."""
    out.print(
        Text.assemble(
            "Member ",
            (plain(balance.member_id), "bold"),
            f" · {count(balance.version, 'posting')} · as of {_time(balance.as_of, zone)}",
            f" · read from the {balance.source}",
        )
    )
    out.print(_wallets(balance))
    if balance.next_due_at is None:
        out.print("Nothing will become active or expire by itself.")
    else:
        out.print(f"Points become active or expire next at {_time(balance.next_due_at, zone)}.")
    if entries:
        out.print(_statement(entries, zone))


def _wallets(balance: MemberBalance) -> Table:
    return wallets_table(wallets_document(balance.balances))


_SELDOM = ("adjusted", "penalty", "written_off", "cash_offset")
"""What most members never have; a column of zeros would only take room."""


def wallets_table(wallets: Mapping[str, Mapping[str, int]]) -> Table:
    """The wallets of `wallets_document` as a table; what is seldom there has a column only where it is not zero."""
    parts = [
        part
        for part in next(iter(wallets.values()), {})
        if part not in _SELDOM or any(amounts[part] for amounts in wallets.values())
    ]
    table = Table("wallet", *(Column(part.replace("_", " "), justify="right") for part in parts))
    for name, amounts in wallets.items():
        table.add_row(name, *(f"{amounts[part]:,}" for part in parts))
    return table


def _statement(entries: list[StatementEntry], zone: tzinfo) -> Table:
    table = Table(Column("no.", justify="right"), "when", "why", "what moved", title="Newest postings")
    for entry in entries:
        posting = entry.posting
        why = posting.kind.value if posting.order_id is None else f"order {plain(posting.order_id)}"
        table.add_row(
            str(posting.version),
            _time(posting.effective_at, zone),
            Text(why),
            Group(*(Text(sentence(movement)) for movement in posting.movements)),
        )
    return table


def sentence(movement: Movement) -> str:
    """A movement in words: `239 points earned by base (lot 1)`."""
    from_bucket, to_bucket = movement.from_bucket, movement.to_bucket
    otherwise = f"{{points}} moved from {from_bucket.value} to {to_bucket.value}{{by}}{{about}}"
    about = [] if movement.lot_id is None else [f"lot {movement.lot_id}"]
    # An accrual names its order already; what happens to the points later does not.
    if from_bucket is not Bucket.ISSUED and movement.order_id is not None:
        about.append(f"order {plain(movement.order_id)}")
    # What no rule gave came from an operator.
    given = from_bucket is Bucket.ISSUED and movement.rule_id is None
    template = _GIVEN if given else _SENTENCES.get((from_bucket, to_bucket), otherwise)
    return template.format(
        points=f"{movement.amount:,} {movement.wallet}",
        by="" if movement.rule_id is None else f" by {movement.rule_id}",
        about=f" ({', '.join(about)})" if about else "",
    )


def _time(instant: Instant, zone: tzinfo) -> str:
    return f"{datetime_of(instant).astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"
