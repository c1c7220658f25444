"""Reasons and outcomes as sentences that can be read to a customer."""

from collections.abc import Mapping
from datetime import tzinfo

from shared.contracts.money import money
from shared.domain.explain import Reason, Silence
from shared.domain.model import Outcome
from shared.domain.program import Choice
from shared.domain.time import Instant, datetime_of

_SENTENCES: Mapping[Reason, str] = {
    Reason.BEFORE_ITS_TIME: "It begins at {at}, after the order was paid.",
    Reason.AFTER_ITS_TIME: "It ended at {at}, before the order was paid.",
    Reason.NOT_KEPT: "It asks for something that was not kept with this order, so nobody can say any more.",
    Reason.NOT_FIRST_ORDER: "It is for a member's first order, and this was a later one.",
    Reason.OTHER_CHANNEL: "It is for orders by {wanted}; this one {had}.",
    Reason.OTHER_STORE: "It is for orders in the store {wanted}; this one {had}.",
    Reason.OTHER_PAYMENT_METHOD: "It is for orders that are paid by {wanted}; this one {had}.",
    Reason.OTHER_DAY: "It is for other days than that of the order.",
    Reason.NOT_BIRTHDAY: "The order was not paid on the member's birthday, or the shop had not told of one.",
    Reason.NO_TIER: "It is for members with the tier {wanted}; the member had none when the order was paid.",
    Reason.OTHER_TIER: "It is for members with the tier {wanted}; this one {had}.",
    Reason.CONDITION_NOT_MET: "It has a condition, which did not hold.",
    Reason.CONDITION_FAILED: "It has a condition, which could not be worked out for this order.",
    Reason.NO_LINE_MATCHES: "None of the goods in the order are those that it is for.",
    Reason.NOTHING_COUNTS: "The goods that count come to nothing: they were free, or not paid with money.",
    Reason.BELOW_THRESHOLD: "The goods that count come to {counted}; it takes {needed}.",
    Reason.BELOW_STEP: "The goods that count come to {counted}; it gives for every full {needed}.",
    Reason.LESS_THAN_A_POINT: "What it gives for this order is less than a whole point.",
    Reason.OTHER_OF_GROUP: "Of its group only one rule gives, and {other} {chosen}.",
    Reason.CUT: "A limit, a cap or a budget of the program had no room left for what it would have given.",
    Reason.NO_RULE_GAVE: "The rules that it makes more of ({wanted}) gave nothing.",
    Reason.UNEXPLAINED: "What was kept with the order does not say why.",
}
"""A sentence for each reason."""

_CHOSEN = {Choice.FIRST: "came first", Choice.BEST: "gave more", None: "gave"}


def says(silence: Silence, currency: str, zone: tzinfo) -> str:
    """Why a rule or a multiplier gave nothing, as one sentence; amounts in `currency`, times in `zone`."""
    return _SENTENCES[silence.reason].format(
        wanted=" or ".join(silence.wanted),
        had="names none" if silence.had is None else f"has {silence.had}",
        counted=money(silence.counted or 0, currency),
        needed=money(silence.needed or 0, currency),
        other=silence.other,
        chosen=_CHOSEN[silence.choice],
        at=_at(silence.at, zone),
    )


_OUTCOMES: Mapping[Outcome, str] = {
    Outcome.NO_PROGRAM_IN_FORCE: "No version of the program was in force at that time, so it counts nothing.",
    Outcome.TOO_EARLY: "It says that it happens in the future, and was refused.",
    Outcome.TOO_LATE: "It arrived too long after it happened, and was refused.",
    Outcome.CURRENCY_NOT_ACCEPTED: "The program gives no points for this currency.",
    Outcome.ORDER_ALREADY_PAID: "This order has been counted before, and an order earns once.",
    Outcome.REFUND_ALREADY_COUNTED: "This refund has been counted before, and counts once.",
    Outcome.WAITING_FOR_ORDER: "Its order was not known when it came. It counts as soon as the order comes.",
    Outcome.REFUND_DOES_NOT_FIT: "The order has another currency, or not all of its lines, so it counts nothing.",
    Outcome.NOTHING_EARNED: "It counts, but no rule gave a point for it.",
    Outcome.OVER_REFUNDED_NOTHING_TAKEN: "More was given back than was paid; the order had no points left to take.",
    Outcome.NOTHING_TO_TAKE_BACK: "It counts, but takes no point.",
    Outcome.OVER_REFUNDED: "More was given back than was paid, which counts as all of it.",
    Outcome.EVENT_OF_ANOTHER_MEMBER: "The event that it is to reverse is about another member.",
    Outcome.NOTHING_TO_REVERSE: "The event that it is to reverse took no points, or was not known.",
    Outcome.ALREADY_REVERSED: "What the event took had come back before.",
    Outcome.REFERRED: "The invitation counts. What it gives comes with the first order of the member who was invited.",
    Outcome.ALREADY_REFERRED: "The member had been invited before, and the first invitation counts.",
    Outcome.NOT_A_NEW_MEMBER: "The member had an order from before the invitation, so it gives nothing.",
    Outcome.SELF_REFERRAL: "Members cannot invite themselves.",
    Outcome.ENDED_ALREADY: "The points would have ended before they were given, so none were.",
    Outcome.BALANCE_LIMIT_REACHED: "Nobody can have so many points, so it was refused.",
    Outcome.MEMBER_KNOWN: "What the shop knows of the member was taken note of.",
    Outcome.MEMBER_VERSION_NOT_NEWER: "Something newer was known of the member already.",
    Outcome.BUDGET_EXHAUSTED: "It counts, but nothing was left of the program's budgets for any of its points.",
    Outcome.CAPPED: "It counts, but the caps of the program had no room left for any of its points.",
    Outcome.TRIMMED: "Points moved; caps and budgets had no room for all that the rules would have given.",
    Outcome.POSTED: "Points moved.",
}


def outcome_says(outcome: Outcome) -> str:
    """What an outcome means, as one sentence."""
    return _OUTCOMES.get(outcome, f"It came to this: {outcome.value.replace('_', ' ')}.")


def _at(at: Instant | None, zone: tzinfo) -> str:
    return "" if at is None else f"{datetime_of(at).astimezone(zone):%Y-%m-%d %H:%M %Z}"
