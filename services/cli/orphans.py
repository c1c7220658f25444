"""`pointstream orphans`: refunds that count nothing, since their order has not come or they do not fit it."""

from collections import Counter
from datetime import tzinfo
from typing import Annotated

import typer
from rich.text import Text

from services.cli.config import console, fail, load_settings
from services.cli.plain import plain
from services.cli.reading import AsJson, InInstallation, echo_json, reading
from services.cli.tables import Table
from services.cli.wording import count
from shared.contracts.program_fields import duration_us
from shared.domain.facts import RefundReason
from shared.domain.time import EPOCH, Instant, datetime_of, rfc3339
from shared.ledger.orphans import IdleRefund, Plight, find_idle_refunds
from shared.reads.documents import Json
from shared.reads.reader import Reader

REFUNDS_MAX = 10_000

_WORDS = {
    Plight.WAITING: "waits for its order",
    Plight.ORPHANED: "its order did not come",
    Plight.DOES_NOT_FIT: "does not fit its order",
}


def orphans(
    older_than: Annotated[
        str, typer.Option("--older-than", help="Only those that arrived so long ago: 30d, 12h, 90m.")
    ] = "0s",
    reason: Annotated[RefundReason | None, typer.Option("--reason", help="Only those of this reason.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=REFUNDS_MAX, help="How many, oldest first.")] = 100,
    as_json: AsJson = False,
    installation: InInstallation = None,
) -> None:
    """List refunds that count nothing: their order has not come, or they do not fit the one that has.

    One is orphaned once it has waited for longer than the program says (`refunds: {wait: ...}`).
    """
    settings = load_settings(installation=installation)
    try:
        age_us = duration_us(older_than)
    except ValueError as error:
        fail(f"--older-than: {error}")

    async def find(reader: Reader) -> tuple[list[IdleRefund], tzinfo]:
        async with reader.picture() as (connection, now):
            if now is None:
                return [], reader.zone
            until = Instant(max(now - age_us, EPOCH))
            found = await find_idle_refunds(
                connection, reader.programs, now, arrived_until=until, reason=reason, limit=limit
            )
            return found, reader.zone

    found, zone = reading(settings, find)
    if as_json:
        echo_json([_document(each) for each in found])
    elif found:
        _show(found, zone, limit)
    else:
        console.print("There are no such refunds.")


def _document(idle: IdleRefund) -> Json:
    told, refund = idle.told, idle.told.refund
    return {
        "plight": idle.plight.value,
        "member_id": refund.member_id,
        "order_id": refund.order_id,
        "refund_id": refund.refund_id,
        "reason": refund.reason.value,
        "event": {"source": told.source, "id": told.event_id},
        "arrived_at": rfc3339(told.arrived_at),
        "orphaned_at": None if idle.orphaned_at is None else rfc3339(idle.orphaned_at),
    }


def _show(found: list[IdleRefund], zone: tzinfo, limit: int) -> None:
    table = Table("since", "what", "member", "order", "refund", "reason", "event")
    for idle in found:
        told, refund = idle.told, idle.told.refund
        table.add_row(
            f"{datetime_of(told.arrived_at).astimezone(zone):%Y-%m-%d %H:%M %Z}",
            _WORDS[idle.plight],
            *(Text(plain(name)) for name in (refund.member_id, refund.order_id, refund.refund_id)),
            refund.reason.value,
            Text(plain(f"{told.source} {told.event_id}")),
        )
    console.print(table)
    plights = Counter(idle.plight.value.replace("_", " ") for idle in found).most_common()
    summary = ", ".join(f"{times} {plight}" for plight, times in plights)
    more = " There may be more: --limit shows them." if len(found) == limit else ""
    console.print(f"{count(len(found), 'refund')}: {summary}.{more}", highlight=False)
