"""Documents of `shared.reads.explain` as tables and sentences, for a person who reads them to a customer."""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from rich.console import Console
from rich.table import Column
from rich.text import Text

from services.cli.plain import plain
from services.cli.tables import Table
from services.cli.wording import listed
from shared.contracts.money import money

Document = Mapping[str, Any]

_FROM = {
    "pending": "of this order, still pending",
    "own_lot": "of this order",
    "expired": "of this order, expired already",
    "other_lot": "earned otherwise, since those of this order were spent",
    "balance": "out of the balance",
    "debt": "spent already: owed",
    "written_off": "spent already: let go",
    "cash_offset": "spent already: the shop keeps their worth from what it gives back",
}
"""Where points were taken from, in words."""


def show_order(out: Console, order: Document, zone: tzinfo) -> None:
    """Print all about an order."""
    name = plain(order["order_id"])
    if not order["accepted"]:
        _say(out, f"Order {name} of member {plain(order['member_id'])} was not accepted yet; refunds wait for it.")
    else:
        _say(
            out,
            f"Order {name} of member {plain(order['member_id'])}: {money(order['paid'], order['currency'])}, paid"
            f" {_time(order['paid_at'], zone)}, rated by version {order['program_version']} of the program.",
        )
        _say(out, _sum_up(order))
        out.print(_lines(order))
        if order["trimmed"]:
            _say(out, _trimmed(order))
        out.print(_rules(order))
        _silent(out, order)
        if order["lots"]:
            out.print(_lots(order, zone))
    for refund in order["refunds"]:
        _refund(out, refund, zone)
    if order["taken_when_paid"]:
        _say(out, "Refunds had come before the order, and took this as soon as it came:")
        _took(out, order["taken_when_paid"])


def show_event(out: Console, event: Document, zone: tzinfo) -> None:
    """Print what became of an event."""
    _say(
        out,
        f"Event {plain(event['id'])} of {plain(event['source'])} ({event['type']}), about member"
        f" {plain(event['member_id'])}, taken in {_time(event['recorded_at'], zone)}.",
    )
    _say(out, f"{event['says']} ({event['outcome']})")
    for words, other in (("It reverses", event["reverses"]), ("What it took came back by", event["reversed_by"])):
        if other is not None:
            _say(out, f"{words} the event {plain(other['id'])} of {plain(other['source'])}.")
    for posting in event["follows"]:
        _follows(out, posting)
    if not (event["orders"] or event["follows"] or event["reverses"] or event["reversed_by"]):
        _say(out, "Which order it told of is not kept, where no points moved for it.")
    for order in event["orders"]:
        show_order(out, order, zone)


def _follows(out: Console, posting: Document) -> None:
    """What follows from an event for a member by a referral."""
    _say(out, f"For member {plain(posting['member_id'])}, by a referral:")
    for each in posting["movements"]:
        _say(out, f"  {each['amount']:,} {each['wallet']} from {each['from']} to {each['to']}")


def show_member(out: Console, member_id: str, orders: Sequence[Document], zone: tzinfo) -> None:
    """Print a member's orders, a row each."""
    table = Table(
        "order",
        "paid at",
        Column("paid", justify="right"),
        "earned",
        "taken back",
        "left",
        "refunds",
        title=f"Newest orders of {plain(member_id)}",
    )
    for order in orders:
        table.add_row(
            Text(plain(order["order_id"])),
            _time(order["paid_at"], zone),
            money(order["paid"], order["currency"]),
            _points(_earned(order)),
            _points(_taken(order)),
            _points(_of_lots(order, "left")),
            str(len(order["refunds"])),
        )
    out.print(table)
    _say(out, "`pointstream explain order ID --member " + plain(member_id) + "` says more of each.")


def _sum_up(order: Document) -> str:
    earned, taken = _earned(order), _taken(order)
    if not earned:
        return "It earned nothing."
    said = f"It earned {_points(earned)}."
    return said if not taken else f"{said} Refunds took {_points(taken)} of it back."


def _lines(order: Document) -> Table:
    table = Table(
        "line",
        "what",
        Column("pieces", justify="right"),
        Column("paid", justify="right"),
        Column("counts", justify="right"),
        "points by rule",
        title="Lines",
    )
    for line in order["lines"]:
        what = ", ".join(plain(line[name]) for name in ("sku", "brand", "category") if line[name] is not None)
        table.add_row(
            Text(plain(line["line_id"])),
            Text(what or "–"),
            f"{line['quantity']:,}",
            money(line["paid"], order["currency"]),
            money(line["base"], order["currency"]),
            ", ".join(f"{rule} {points:,}" for rule, points in line["points"].items()) or "–",
        )
    return table


def _trimmed(order: Document) -> str:
    """What was never given of the points by line."""
    parts = [
        f"{rule['trimmed']:,} of {rule['rule']} (which gave {rule['points']:,})"
        if rule["points"]
        else f"all {rule['trimmed']:,} of {rule['rule']}"
        for rule in order["rules"]
        if rule["trimmed"]
    ]
    return f"Of these points by rule, limits, caps and budgets cut {listed(parts)}."


def _rules(order: Document) -> Table:
    table = Table(
        "rule",
        "wallet",
        Column("points", justify="right"),
        Column("by itself", justify="right"),
        "by multipliers",
        Column("cut", justify="right"),
        title="What gave points",
    )
    for rule in order["rules"]:
        parts = ", ".join(f"{part['multiplier']} {part['points']:,}" for part in rule["multipliers"])
        table.add_row(
            rule["rule"],
            rule["wallet"],
            f"{rule['points']:,}",
            f"{rule['own']:,}",
            parts or "–",
            f"{rule['trimmed']:,}" if rule["trimmed"] else "–",
        )
    return table


def _silent(out: Console, order: Document) -> None:
    silent = [(f"rule {each['rule']}", each) for each in order["silent_rules"]]
    silent += [(f"multiplier {each['multiplier']}", each) for each in order["silent_multipliers"]]
    if silent:
        table = Table("nothing came of", "why", title="What gave nothing")
        for name, each in silent:
            table.add_row(name, Text(plain(each["says"])))
        out.print(table)


def _waiting(lot: Document, zone: tzinfo) -> str:
    """Until when points wait, or until what."""
    until = "" if lot["pending_until"] is None else f"until {_time(lot['pending_until'], zone)}"
    if lot["waits_for"] is None:
        return until
    return f"until {lot['waits_for']} is told of the order" + (f", or {until}" if until else "")


def _lots(order: Document, zone: tzinfo) -> Table:
    table = Table(
        Column("lot", justify="right"),
        "wallet",
        "is",
        Column("issued", justify="right"),
        Column("left", justify="right"),
        "what became of the rest",
        title="Where its points are",
    )
    for lot in order["lots"]:
        ends = "for good" if lot["expires_at"] is None else f"until {_time(lot['expires_at'], zone)}"
        state = {
            "pending": f"pending {_waiting(lot, zone)}, then good {ends}",
            "active": f"good {ends}",
            "ended": f"ended ({ends})",
            "used": f"used up (good {ends})",
        }[lot["state"]]
        rest = [
            (lot["in_balance"], "counted in the balance"),
            (lot["expired"], "expired"),
            (lot["taken_back"], "taken back"),
            (lot["repaid_debt"], "repaid what was owed"),
            (lot["taken_otherwise"], "taken by operators or as penalties"),
        ]
        said = ", ".join(f"{points:,} {what}" for points, what in rest if points)
        table.add_row(str(lot["lot"]), lot["wallet"], state, f"{lot['issued']:,}", f"{lot['left']:,}", said or "–")
    return table


def _refund(out: Console, refund: Document, zone: tzinfo) -> None:
    asked = ", ".join(f"{points:,} of {rule}" for rule, points in refund["asked"].items()) or "nothing"
    _say(
        out,
        f"Refund {plain(refund['refund_id'])} ({refund['reason']}), {_time(refund['occurred_at'], zone)}:"
        f" {refund['says']} It asks for {asked}.",
    )
    _took(out, refund["took"])


def _took(out: Console, taken: Sequence[Document]) -> None:
    for each in taken:
        lot = "" if each["lot"] is None else f" (lot {each['lot']})"
        _say(out, f"  {each['points']:,} {each['wallet']} given by {each['rule']}: {_FROM[each['from']]}{lot}")


def _earned(order: Document) -> dict[str, int]:
    found: dict[str, int] = {}
    for rule in order["rules"]:
        if rule["points"]:
            found[rule["wallet"]] = found.get(rule["wallet"], 0) + rule["points"]
    return found


def _taken(order: Document) -> dict[str, int]:
    found: dict[str, int] = {}
    for taken in [*order["taken_when_paid"], *(each for refund in order["refunds"] for each in refund["took"])]:
        found[taken["wallet"]] = found.get(taken["wallet"], 0) + taken["points"]
    return found


def _of_lots(order: Document, part: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for lot in order["lots"]:
        found[lot["wallet"]] = found.get(lot["wallet"], 0) + lot[part]
    return found


def _points(by_wallet: Mapping[str, int]) -> str:
    return ", ".join(f"{points:,} {wallet}" for wallet, points in by_wallet.items()) or "nothing"


def _say(out: Console, text: str) -> None:
    out.print(Text(text), soft_wrap=True)


def _time(text: str, zone: tzinfo) -> str:
    return f"{datetime.fromisoformat(text).astimezone(zone):%Y-%m-%d %H:%M %Z}" if text else ""
