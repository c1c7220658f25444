"""Minor units as ISO 4217 has them."""

import pytest

from shared.contracts.money import EXPONENTS


@pytest.mark.parametrize(
    ("code", "exponent"), [("USD", 2), ("EUR", 2), ("CNY", 2), ("JPY", 0), ("KRW", 0), ("KWD", 3), ("CLF", 4)]
)
def test_a_currency_has_the_digits_of_its_minor_unit(code: str, exponent: int) -> None:
    assert EXPONENTS[code] == exponent


@pytest.mark.parametrize("code", ["XAU", "XTS", "XXX", "DEM", "usd", ""])
def test_what_nobody_pays_with_is_unknown(code: str) -> None:
    assert code not in EXPONENTS


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        EXPONENTS["USD"] = 3  # type: ignore[index]  # that it cannot be done is what is tested
