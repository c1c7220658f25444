"""Currencies: which are known, and how many digits their minor unit has."""

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType

from iso4217 import Currency

from shared.contracts.defect import Defect, Undecodable

EXPONENTS: Mapping[str, int] = MappingProxyType(
    {currency.code: currency.exponent for currency in Currency if currency.exponent is not None}
)
"""ISO 4217 code → exponent of its minor unit: 2 for USD (cents), 0 for JPY, 3 for KWD.

Codes without a minor unit (gold, test codes, baskets of currencies) are left out: nobody pays with them.
"""


def exponent_of(currency: str) -> int:
    """The exponent of a currency in `data.currency`. Raises `Undecodable` for a code that is none."""
    exponent = EXPONENTS.get(currency)
    if exponent is None:
        reason = "The currency must be an ISO 4217 code in use, of a currency with a minor unit."
        raise Undecodable(Defect.INVALID_FIELD, "data.currency", reason)
    return exponent


def money(amount: int, currency: str) -> str:
    """An amount in minor units as the currency is written: 200.00 USD, 200 JPY."""
    digits = EXPONENTS[currency]
    units, rest = divmod(amount, 10**digits)
    return f"{units:,}.{rest:0{digits}} {currency}" if digits else f"{units:,} {currency}"


def minor_units(amount: Fraction, currency: str) -> int:
    """An amount in units of the currency, in minor units; what is less than one is left out."""
    return int(amount * 10 ** EXPONENTS[currency])
