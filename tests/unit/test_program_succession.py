"""A version may only follow where it leaves the past as it was decided."""

import pytest

from shared.contracts.program import parse_program
from shared.contracts.program_succession import obstacles
from tests.unit.test_program_words import SHOP

SECOND = SHOP.replace("version: 1", "version: 2").replace("2026-03-01", "2026-04-01")


def test_the_first_version_follows_nothing() -> None:
    assert obstacles(parse_program(SHOP), [], begun=True) == []


def test_rules_may_come_change_and_go() -> None:
    changed = SECOND.replace("rate: 1.2", "rate: 3").replace("id: app", "id: till")
    assert obstacles(parse_program(changed), [parse_program(SHOP)], begun=True) == []


def test_a_wallet_may_go_and_come_back_as_it_was() -> None:
    without = SECOND.replace("  growth: {spendable: false, expiry: never}\n", "")
    third = SECOND.replace("version: 2", "version: 3").replace("2026-04-01", "2026-05-01")
    known = [parse_program(SHOP), parse_program(without)]
    assert obstacles(parse_program(third), known, begun=True) == []
    turned = third.replace("growth: {spendable: false", "growth: {spendable: true")
    assert obstacles(parse_program(turned), known, begun=True) == [
        "wallets.growth.spendable: points of this wallet exist; give a new wallet another name"
    ]


@pytest.mark.parametrize(
    ("written", "instead", "obstacle"),
    [
        ("program: shop", "program: mall", "program: this installation has 'shop'; another program is"),
        ("version: 2", "version: 1", "version: 1 is registered; take 2 or more"),
        ("2026-04-01", "2026-03-01", "effective_from: version 1 is in force from 2026-03-01T00:00:00+08:00 until"),
        ("2026-04-01", "2025-04-01", "effective_from: version 1 is in force from 2026-03-01T00:00:00+08:00 until"),
        ("CNY", "USD", "currency: balances are in points for CNY, which cannot change"),
        ("Asia/Shanghai", "Asia/Tokyo", "zone: days and expiries are those of Asia/Shanghai, which cannot change"),
        (
            "currency: CNY",
            "currency: CNY\nallowed_lateness: 5m",
            "allowed_lateness: the longest of all versions counts",
        ),
    ],
)
def test_what_must_stay_as_it_is_names_its_field(written: str, instead: str, obstacle: str) -> None:
    (found,) = obstacles(parse_program(SECOND.replace(written, instead)), [parse_program(SHOP)], begun=True)
    assert found.startswith(obstacle)


def test_before_anything_is_decided_the_longest_lateness_may_grow() -> None:
    later = parse_program(SECOND.replace("currency: CNY", "currency: CNY\nallowed_lateness: 5m"))
    assert obstacles(later, [parse_program(SHOP)], begun=False) == []
