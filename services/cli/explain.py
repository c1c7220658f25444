"""`pointstream explain`: why an order, an event or a member has the points that it has."""

from collections.abc import Awaitable, Callable
from datetime import tzinfo
from typing import Annotated, TypeVar

import typer

from services.cli import explain_view as view
from services.cli.config import console, fail, load_settings
from services.cli.plain import plain
from services.cli.reading import AsJson, InInstallation, echo_json, reading
from shared.domain.ids import EventId, EventSource, MemberId, OrderId
from shared.reads import explain as reads
from shared.reads.reader import Reader
from shared.settings import Settings

ORDERS_MAX = 200
"""More is a job for the statement of the API, page by page."""

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    help="Say why an order, an event or a member has the points that it has, in words for a customer.",
)


@app.command(epilog="Example: pointstream explain order o-1 --member alice")
def order(
    order_id: Annotated[str, typer.Argument(help="The order's id, as the events give it.")],
    member: Annotated[str, typer.Option("--member", help="Whose order it is.")],
    as_json: AsJson = False,
    installation: InInstallation = None,
) -> None:
    """Show what an order earned by line and by rule, what was taken back, and why other rules gave nothing."""
    settings = load_settings(installation=installation)
    found, zone = _read(settings, lambda reader: reads.explain_order(reader, MemberId(member), OrderId(order_id)))
    if found is None:
        fail(
            f"No order {plain(order_id)!r} of member {plain(member)!r} was accepted in installation"
            f" {settings.installation!r}, and no refund of it is known."
        )
    if as_json:
        echo_json(found)
    else:
        view.show_order(console, found, zone)


@app.command(epilog="Example: pointstream explain event urn:shop:checkout paid-7731")
def event(
    source: Annotated[str, typer.Argument(help="The event's source.")],
    event_id: Annotated[str, typer.Argument(help="The event's id.")],
    as_json: AsJson = False,
    installation: InInstallation = None,
) -> None:
    """Show what became of an event, and of the order of which it told."""
    settings = load_settings(installation=installation)
    found, zone = _read(settings, lambda reader: reads.explain_event(reader, EventSource(source), EventId(event_id)))
    if found is None:
        fail(
            f"No event {plain(event_id)!r} of {plain(source)!r} was taken in by installation {settings.installation!r}."
            f" `pointstream dead-letters list --event {plain(event_id)}` shows whether it could not be read."
        )
    if as_json:
        echo_json(found)
    else:
        view.show_event(console, found, zone)


@app.command(epilog="Example: pointstream explain member alice --limit 5")
def member(
    member_id: Annotated[str, typer.Argument(help="The member's id, as the events give it.")],
    limit: Annotated[int, typer.Option("--limit", min=1, max=ORDERS_MAX, help="How many of the newest orders.")] = 10,
    as_json: AsJson = False,
    installation: InInstallation = None,
) -> None:
    """Show what a member's newest orders earned, and what is left of it."""
    settings = load_settings(installation=installation)
    found, zone = _read(settings, lambda reader: reads.explain_member(reader, MemberId(member_id), limit))
    if not found:
        fail(f"No order of member {plain(member_id)!r} was accepted in installation {settings.installation!r}.")
    if as_json:
        echo_json({"member_id": member_id, "orders": found})
    else:
        view.show_member(console, member_id, found, zone)


def _read(settings: Settings, work: Callable[[Reader], Awaitable[T]]) -> tuple[T, tzinfo]:
    """What was read, and the zone of the program in which people live."""

    async def with_zone(reader: Reader) -> tuple[T, tzinfo]:
        found = await work(reader)
        return found, reader.zone

    return reading(settings, with_zone)
