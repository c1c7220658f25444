"""The cursor of a statement: opaque to whoever holds it, versioned, and checked when it comes back."""

import binascii
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b

from shared.domain.ids import MemberId

_FORMAT = 1
_PAYLOAD = struct.Struct(">Bq")
_CHECK_BYTES = 6
"""Finds damage and mix-ups. It is no secret: a cursor opens nothing that its holder could not ask for anyway."""


class CursorError(Exception):
    """A cursor that was not made by `encode` for this member."""


def encode(member_id: MemberId, before: int) -> str:
    """The cursor of the page that starts below the version `before`."""
    payload = _PAYLOAD.pack(_FORMAT, before)
    check = blake2b(payload + member_id.encode(), digest_size=_CHECK_BYTES).digest()
    return urlsafe_b64encode(payload + check).decode()


def decode(member_id: MemberId, cursor: str) -> int:
    """The version that a cursor's page starts below. Raises `CursorError`."""
    try:
        _, before = _PAYLOAD.unpack_from(urlsafe_b64decode(cursor))
    except (ValueError, binascii.Error, struct.error) as error:
        raise CursorError from error
    # The decoder passes over what is no base64; only the very text that was given out counts.
    if encode(member_id, before) != cursor:
        raise CursorError
    return int(before)
