"""Operators: people who adjust points, in a role; over HTTP each by a token of which only the hash is known here."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

ACTOR_CHARS_MAX = 128
"""Kept with every adjustment, as ids are."""


class OperatorRole(StrEnum):
    """What an operator may do alone; the settings name the limit of each."""

    AGENT = "agent"
    SUPERVISOR = "supervisor"
    """Decides what others propose, too."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody who adjusts points."""

    actor: str
    role: OperatorRole


class OperatorToken(BaseModel):
    """A token by its SHA-256, and whose it is. Tokens are long and random, so no hash tells anything of its token."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    actor: Annotated[str, Field(min_length=1, max_length=ACTOR_CHARS_MAX)]
    role: OperatorRole
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def operator_of(tokens: Iterable[OperatorToken], token: str) -> Operator | None:
    """Whose token it is; None for nobody's. Takes as long whichever it is, and wherever it differs."""
    digest = sha256(token.encode(errors="surrogatepass")).hexdigest()
    found = None
    for known in tokens:
        if compare_digest(known.sha256, digest):
            found = Operator(known.actor, known.role)
    return found
