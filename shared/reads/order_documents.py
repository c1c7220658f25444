"""An order's points as documents of plain JSON types: by line and by rule, why others gave nothing, and the lots."""

from collections.abc import Iterable, Sequence

from shared.domain.circumstances import Circumstances
from shared.domain.explain import Basis, Silence, silent_multipliers, silent_rules
from shared.domain.ids import MultiplierId, RuleId
from shared.domain.model import Bucket, Lot, Movement, RatedOrder
from shared.domain.program import Program
from shared.domain.time import NEVER, Instant, rfc3339
from shared.reads.documents import Json
from shared.reads.reasons import says


def rating_document(rated: RatedOrder, basis: Basis, program: Program, issued: Sequence[Movement]) -> dict[str, object]:
    """How an order was rated: by line and by rule, and why others gave nothing. `issued` are the movements out of
    nothing that its points came by.

    What lines have of a rule is what they stood for; less `trimmed`, which limits, caps and budgets took of it, it is
    what the rule gave.
    """
    names = {part.rule_id: key for key, part in program.parts.items()}
    own: dict[RuleId, int] = {}
    added: dict[RuleId, dict[MultiplierId, int]] = {}
    for movement in issued:
        if movement.rule_id is None:  # pragma: no cover - all that an order gives is by a rule
            continue
        if movement.rule_id in names:
            rule_id, multiplier_id = names[movement.rule_id]
            added.setdefault(rule_id, {})[multiplier_id] = movement.amount
        else:
            own[movement.rule_id] = movement.amount
    gave = {*own, *added}
    multipliers = {multiplier_id for parts in added.values() for multiplier_id in parts}
    wallets = {rule.rule_id: rule.wallet for rule in program.rules}
    return {
        "lines": _lines(rated, basis.held),
        "trimmed": dict(rated.trimmed),
        "rules": [
            {
                "rule": rule.rule_id,
                "wallet": rule.wallet,
                "points": own.get(rule.rule_id, 0) + sum(added.get(rule.rule_id, {}).values()),
                "own": own.get(rule.rule_id, 0),
                "multipliers": [
                    {"multiplier": name, "points": points} for name, points in added.get(rule.rule_id, {}).items()
                ],
                "trimmed": rated.trimmed.get(rule.rule_id, 0),
            }
            for rule in program.rules
            if rule.rule_id in rated.points
        ],
        "silent_rules": [
            {"rule": silence.name, "wallet": wallets[RuleId(silence.name)], **_reason(silence, rated, program)}
            for silence in silent_rules(basis, program, rated, gave)
        ],
        "silent_multipliers": [
            {"multiplier": silence.name, **_reason(silence, rated, program)}
            for silence in silent_multipliers(basis, program, rated, gave, multipliers)
        ],
    }


def _reason(silence: Silence, rated: RatedOrder, program: Program) -> dict[str, object]:
    return {
        "reason": silence.reason.value,
        "says": says(silence, rated.currency, program.calendar.zone),
    }


def _lines(rated: RatedOrder, held: Circumstances) -> list[Json]:
    lines: list[Json] = []
    for place, line_id in enumerate(rated.line_ids):
        lines.append(
            {
                "line_id": line_id,
                "category": rated.categories[place],
                "brand": held["brand"][place] if "brand" in held else None,
                "sku": held["sku"][place] if "sku" in held else None,
                "quantity": rated.quantities[place],
                "paid": rated.paid_by_line[place],
                "base": rated.bases[place],
                "points": {rule_id: points[place] for rule_id, points in rated.points.items() if points[place]},
            }
        )
    return lines


def issued_by(movements: Iterable[Movement]) -> list[Movement]:
    """Those of some movements by which points came out of nothing."""
    return [movement for movement in movements if movement.from_bucket is Bucket.ISSUED]


def lot_document(lot: Lot, at: Instant, moved: Iterable[Movement], program: Program) -> Json:
    """A lot as it is at an instant, also where what fell due is not posted yet; `moved` is what was moved of it.

    issued = left + in_balance + expired + taken_back + repaid_debt + taken_otherwise. What came back after an appeal
    counts as never taken, and what made a write-off good as taken back.
    """
    taken = dict.fromkeys((Bucket.CLAWED_BACK, Bucket.WRITTEN_OFF, Bucket.DEBT, Bucket.ADJUSTED, Bucket.PENALTY), 0)
    for movement in moved:
        if movement.lot_id == lot.lot_id:
            for bucket, points in ((movement.to_bucket, movement.amount), (movement.from_bucket, -movement.amount)):
                if bucket in taken:
                    taken[bucket] += points
    ended = lot.expires_at is not None and lot.expires_at <= at
    left = 0 if ended else lot.remaining
    expired = lot.expired + lot.remaining - left
    pending = left > 0 and lot.activates_at is not None and lot.activates_at > at
    # A counter keeps a lot only while something of it is due.
    counts = not program.wallets[lot.wallet].spendable
    in_balance = lot.issued - left - expired - sum(taken.values()) if counts else 0
    return {
        "lot": lot.lot_id,
        "wallet": lot.wallet,
        "state": "pending" if pending else "ended" if ended else "active" if left or in_balance else "used",
        "issued": lot.issued,
        "left": left,
        "in_balance": in_balance,
        "pending_until": rfc3339(lot.activates_at) if pending and lot.activates_at not in (None, NEVER) else None,
        "waits_for": lot.waits_for if pending else None,
        "expires_at": None if lot.expires_at is None else rfc3339(lot.expires_at),
        "expired": expired,
        "taken_back": taken[Bucket.CLAWED_BACK] + taken[Bucket.WRITTEN_OFF],
        "repaid_debt": taken[Bucket.DEBT],
        "taken_otherwise": taken[Bucket.ADJUSTED] + taken[Bucket.PENALTY],
    }
