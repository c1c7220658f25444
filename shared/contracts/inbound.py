"""All events that come in: the contract of each, by its topic and by its CloudEvents type."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson

from shared.contracts import behaviour, check_in, member, order_paid, refund
from shared.contracts.contract import Contract, Decoded
from shared.contracts.headers import Headers

CONTRACTS: Mapping[str, Contract[Any]] = MappingProxyType(
    {each.CONTRACT.topic: each.CONTRACT for each in (order_paid, refund, check_in, behaviour, member)}
)
"""The contract of each topic."""

BY_TYPE: Mapping[str, Contract[Any]] = MappingProxyType({contract.type: contract for contract in CONTRACTS.values()})


def contract_of(value: bytes) -> Contract[Any]:
    """The contract of an event in structured mode, by the type that it gives itself; that of paid orders where it gives
    none that is known, which then says what is wrong."""
    try:
        event = orjson.loads(value)
        return BY_TYPE[event["type"]]
    except (ValueError, KeyError, TypeError):
        return order_paid.CONTRACT


def decode_any(value: bytes, headers: Headers) -> Decoded:
    """An event of any type, as `Contract.decode` gives it. In binary mode the headers say the type."""
    named = dict(headers).get("ce_type")
    contract = contract_of(value) if named is None else BY_TYPE.get(named.decode(errors="replace"), order_paid.CONTRACT)
    return contract.decode(value, headers)
