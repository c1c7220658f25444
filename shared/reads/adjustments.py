"""Adjustments as documents of plain JSON types, and in words. The API sends them, and the commands print them."""

import re
from enum import StrEnum

from shared.domain.model import Outcome
from shared.domain.time import rfc3339
from shared.ledger.desk import Standing
from shared.ledger.proposals import Verdict
from shared.reads.documents import Json

ID_PATTERN = r"^[A-Za-z0-9._:-]{1,64}$"
"""What the id of an adjustment looks like: it stands in addresses and commands."""

_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")

_WORDS = {
    Outcome.POSTED: "posted",
    Outcome.BALANCE_TOO_LOW: "refused, there are not so many points available",
    Outcome.BALANCE_LIMIT_REACHED: "refused, nobody can have so many points",
    Outcome.WALLET_UNKNOWN: "refused, the program has no such wallet",
    Outcome.ENDED_ALREADY: "refused, the points would have ended before they were given",
    Outcome.NO_PROGRAM_IN_FORCE: "refused, no version of the program is in force yet",
    Outcome.TOO_LATE: "refused, it was decided too long before it could be posted",
    Outcome.NOTHING_TO_TAKE_BACK: "nothing is left of what was given",
    Outcome.EVENT_OF_ANOTHER_MEMBER: "refused, the event is about another member",
    Outcome.NOTHING_TO_REVERSE: "refused, no such event took points by a penalty or for an operator",
    Outcome.ALREADY_REVERSED: "refused, the event was reversed before",
}


class AdjustmentState(StrEnum):
    """What became of an adjustment that somebody asked for."""

    WAITING = "waiting"
    """Another person has to approve it."""
    REJECTED = "rejected"
    DECIDED = "decided"
    """It was decided, and not posted yet: ask for it again, or approve it again, and it is."""
    POSTED = "posted"
    REFUSED = "refused"
    """It could not be posted; the outcome says why."""


def is_adjustment_id(text: str) -> bool:
    """Whether a text can be the id of an adjustment."""
    return _ID.fullmatch(text) is not None


def outcome_in_words(outcome: Outcome) -> str:
    """An outcome of an adjustment, for a person."""
    return _WORDS.get(outcome, outcome.value.replace("_", " "))


def state_of(standing: Standing) -> AdjustmentState:
    """What became of an adjustment."""
    ruling = standing.proposal.ruling
    if standing.recorded is not None:
        return AdjustmentState.POSTED if standing.recorded.outcome is Outcome.POSTED else AdjustmentState.REFUSED
    if ruling is None:
        return AdjustmentState.WAITING
    return AdjustmentState.REJECTED if ruling.verdict is Verdict.REJECTED else AdjustmentState.DECIDED


def standing_document(standing: Standing) -> Json:
    """An adjustment with who asked for it, who decided it, and what became of it."""
    proposal, recorded = standing.proposal, standing.recorded
    wish, ruling = proposal.wish, proposal.ruling
    return {
        "adjustment_id": wish.adjustment_id,
        "member_id": wish.member_id,
        "wallet": wish.wallet,
        "points": wish.points,
        "expires_at": None if wish.expires_at is None else rfc3339(wish.expires_at),
        "reverses": None if wish.reverses is None else {"source": wish.reverses[0], "id": wish.reverses[1]},
        "actor": proposal.actor,
        "role": proposal.role.value,
        "reason": wish.reason,
        "proposed_at": rfc3339(proposal.proposed_at),
        "state": state_of(standing).value,
        "outcome": None if recorded is None else recorded.outcome.value,
        "decision": None
        if ruling is None
        else {
            "verdict": ruling.verdict.value,
            "actor": ruling.actor,
            "why": ruling.why,
            "decided_at": rfc3339(ruling.decided_at),
        },
    }
