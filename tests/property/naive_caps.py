"""Caps: what members may get in a period, counted anew each time from all that they got and kept.

A part of the naive model.
"""

from datetime import date, timedelta
from typing import Any

from tests.property.naive_account import Member
from tests.property.naive_rating import Document, Order, cut, in_time, local_date, parsed


def within_caps(member: Member, grants: list[Any], order: Order, document: Document) -> tuple[list[Any], bool]:
    """What is left of grants (rule, points by part, by line), and whether caps took anything. The rules use the room in
    the order of the program."""
    caps = [cap for cap in document.get("caps", []) if in_time(cap, order)]
    room = {cap["id"]: max(0, cap["points"] - kept(member, cap, order, document)) for cap in caps}
    left = []
    for rule, parts, shares in grants:
        of_rule = [cap for cap in caps if holds_for(cap, rule)]
        points = allowed = sum(parts.values())
        for cap in of_rule:
            if room[cap["id"]] < points:
                allowed = min(allowed, 0 if cap.get("excess") == "skip" else room[cap["id"]])
        for cap in of_rule:
            room[cap["id"]] -= allowed
        left.append((rule, cut(parts, points - allowed), shares))
    return left, any(before[1] != after[1] for before, after in zip(grants, left, strict=True))


def holds_for(cap: Document, rule: Document) -> bool:
    return rule["id"] in cap["rules"] if "rules" in cap else rule["wallet"] == cap["wallet"]


def kept(member: Member, cap: Document, order: Order, document: Document) -> int:
    """What the orders of the same period got by a cap's rules, less what refunds really took back of it."""
    if cap["per"] == "order":
        return 0
    this = period(cap["per"], order, document)
    return sum(
        sum(parts.values()) - (rated.clawed.get(rule["id"], 0) - rated.let_go.get(rule["id"], 0))
        for rated in member.rated.values()
        if in_time(cap, rated.order) and period(cap["per"], rated.order, document) == this
        for rule, parts, _ in rated.grants
        if holds_for(cap, rule)
    )


def period(per: str, order: Order, document: Document) -> date | None:
    """The first day of an order's period; None for those that last."""
    day = local_date(document["zone"], parsed(order["occurred_at"]))
    return {"day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}.get(per)
