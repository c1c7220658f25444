"""A reader of another version, which can do nothing with any message."""

from typing import NoReturn

from shared.contracts.defect import Defect, Undecodable
from shared.contracts.headers import Headers
from shared.ledger.batch import Decode


def refusing(path: str, reason: str) -> Decode:
    """Refuses every message, always for the same reason."""

    def decode(value: bytes | None, headers: Headers) -> NoReturn:
        raise Undecodable(Defect.INVALID_FIELD, path, reason)

    return decode
