"""A program is told in words that say what is given, to whom, and what a new version changes."""

import pytest

from services.cli.program_words import changes, explained
from shared.contracts.program import parse_program

SHOP = """\
program: shop
version: 1
effective_from: "2026-03-01T00:00:00+08:00"
zone: Asia/Shanghai
currency: CNY
wallets:
  points: {spendable: true, expiry: {months: 12}}
  growth: {spendable: false, expiry: never}
rules:
  - id: base
    wallet: points
    rate: 1.2
  - id: app
    wallet: points
    rate: 1/3
    match: {channels: [app], brands: [Acme, Bolt]}
    pending: {days: 7}
"""


def test_a_program_is_explained() -> None:
    said = explained(parse_program(SHOP))
    assert said["program"] == [
        "shop, version 1, decides what happened from 2026-03-01T00:00:00+08:00 on.",
        "Days, months and years are those of Asia/Shanghai; money is CNY.",
    ]
    assert said["wallets"] == [
        "points: points to spend, good through the same day 12 months after they become active.",
        "growth: a counter that is never spent, good for ever.",
    ]
    assert said["earning"] == [
        "base: 6 points for every 5 CNY, into points.",
        (
            "app: 1 point for every 3 CNY of lines with brand Acme or Bolt in orders with channel app, into points,"
            " pending through the 7th day after the payment."
        ),
    ]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("step: {every: 19.9, points: 10}", "10 points for every full 19.90 CNY, into points."),
        ("threshold: {from: 2000, points: 50}", "50 points once an order comes to 2,000.00 CNY, into points."),
        ("per_item: 1", "1 point for every piece, into points."),
        (
            'rate: 1\n    during: {from: "2026-11-11T00:00:00+08:00", until: "2026-11-12T00:00:00+08:00"}',
            "1 point for every CNY, paid from 2026-11-11T00:00:00+08:00 until 2026-11-12T00:00:00+08:00, into points.",
        ),
        (
            "per_item: 3\n    at_least: 5\n    at_most: 1000\n    first_order: true",
            (
                "3 points for every piece, at least 5 points and at most 1,000 points an order, for a member's first"
                " order only, into points."
            ),
        ),
        ("rate: 1\n    at_least: 1", "1 point for every CNY, at least 1 point an order, into points."),
        (
            "rate: 1\n    match: {brands: [A], exclude_categories: [b, c], exclude_skus: [d], payment_methods: [card]}",
            (
                "1 point for every CNY of lines with brand A and without category b or c and without SKU d in orders"
                " with payment method card, into points."
            ),
        ),
        (
            "rate: 1\n    group: base\ngroups: {base: best}\nx:",
            "1 point for every CNY, into points; of base, only the one that gives the most for an order.",
        ),
    ],
)
def test_every_kind_of_rule_has_its_words(rule: str, said: str) -> None:
    program = f"{SHOP[: SHOP.index('    rate: 1.2')]}    {rule}".removesuffix("\nx:")
    assert explained(parse_program(program))["earning"] == [f"base: {said}"]


@pytest.mark.parametrize(
    ("expiry", "said"),
    [
        ("{days: 1}", "through the 1st day after they become active"),
        ("{days: 22}", "through the 22nd day after they become active"),
        ("{days: 113}", "through the 113th day after they become active"),
        ("{months: 1}", "through the same day 1 month after they become active"),
        ("{end_of_year: 0}", "through the end of the year in which they become active"),
        ("{end_of_year: 1}", "through the end of the 1st year after that"),
    ],
)
def test_every_kind_of_expiry_has_its_words(expiry: str, said: str) -> None:
    (line, _) = explained(parse_program(SHOP.replace("{months: 12}", expiry)))["wallets"]
    assert line.endswith(f"good {said}.")


MULTIPLIED = (
    SHOP
    + """\
tiers: [{id: silver}, {id: gold}]
multipliers:
  - {id: birthday, factor: 2, days: birthday}
  - {id: tier, by_tier: {silver: 1.2, gold: 1.25}, rules: [base]}
"""
)


@pytest.mark.parametrize(
    ("multiplier", "said"),
    [
        ("factor: 4/3", "4/3 times what base and app would give."),
        ("factor: 10", "10 times what base and app would give."),
        ("factor: 1.000000001", "1.000000001 times what base and app would give."),
        ("factor: 2, rules: [app]", "2 times what app would give."),
        (
            "factor: 2, days: {days_of_month: [28, 8, 21]}",
            "2 times what base and app would give, on the 8th, 21st and 28th of a month.",
        ),
        (
            "factor: 2, days: {weekdays: [sunday, tuesday]}",
            "2 times what base and app would give, on Tuesdays and Sundays.",
        ),
        (
            "factor: 2, match: {channels: [app, web], payment_methods: [card]}",
            "2 times what base and app would give in orders with channel app or web and payment method card.",
        ),
        (
            'factor: 2, rules: [app], during: {from: "2026-11-11T00:00:00Z", until: "2026-11-12T00:00:00Z"}',
            "2 times what app would give, paid from 2026-11-11T00:00:00+00:00 until 2026-11-12T00:00:00+00:00.",
        ),
    ],
)
def test_every_kind_of_multiplier_has_its_words(multiplier: str, said: str) -> None:
    text = f"{SHOP}multipliers:\n  - {{id: more, {multiplier}}}\n"
    assert explained(parse_program(text))["multipliers"] == [f"more: {said}"]


def test_multipliers_are_explained_in_the_order_in_which_they_stack() -> None:
    assert explained(parse_program(MULTIPLIED))["multipliers"] == [
        "tier: for silver 1.2 and for gold 1.25 times what base would give.",
        "birthday: 2 times what base and app would give, on the member's birthday.",
        "Several for one order add up: two times 1.5 are 2.",
    ]
    assert "multipliers" not in explained(parse_program(SHOP))


def test_what_changes_of_multipliers_is_told() -> None:
    old = parse_program(MULTIPLIED)
    new = MULTIPLIED.replace("gold: 1.25", "gold: 1.5").replace("id: birthday", "id: feast")
    told = changes(old, parse_program(f"{new}stacking: multiplicative\n"))
    assert list(told) == ["multipliers"]
    assert told["multipliers"][0] == (
        "tier becomes: for silver 1.2 and for gold 1.5 times what base would give. Until then: for silver 1.2 and for"
        " gold 1.25 times what base would give; orders that were paid before keep what they earned."
    )
    assert told["multipliers"][1].startswith("feast is new: 2 times what base and app would give")
    assert told["multipliers"][2].startswith("birthday ends; orders that were paid before keep what they earned.")
    assert told["multipliers"][3:] == ["Several for one order multiply each other: two times 1.5 are 2.25."]


def test_another_order_of_multipliers_is_told() -> None:
    old = MULTIPLIED.replace("id: tier, by_tier: {silver: 1.2, gold: 1.25}", "id: app-day, factor: 3")
    lines = old.splitlines(keepends=True)
    new = "".join([*lines[:-2], lines[-1], lines[-2]])
    assert changes(parse_program(old), parse_program(new)) == {
        "multipliers": ["They stack in another order: app-day, birthday. Until then: birthday, app-day."]
    }


def test_an_exact_wait_is_told_in_hours() -> None:
    text = SHOP.replace("{days: 7}", "{days: 2, exact: true}")
    assert explained(parse_program(text))["earning"][1].endswith("pending for 48 hours.")


def test_what_is_as_before_is_not_told() -> None:
    later = SHOP.replace("version: 1", "version: 2").replace("2026-03-01", "2026-04-01")
    assert changes(parse_program(SHOP), parse_program(later)) == {}


def test_what_changes_is_told_with_what_was() -> None:
    text = SHOP.replace("rate: 1.2", "rate: 2").replace("id: app", "id: till").replace("{months: 12}", "{days: 90}")
    new = parse_program(text.replace("currency: CNY", "currency: CNY\nlate_tolerance: 12h\nbase: {tax: true}"))
    told = changes(parse_program(SHOP), new)
    assert told["earning"][0] == (
        "base becomes: 2 points for every CNY, into points. Until then: 6 points for every 5 CNY, into points; orders"
        " that were paid before keep what they earned."
    )
    assert told["earning"][1].startswith("till is new: 1 point for every 3 CNY of lines")
    assert told["earning"][2].startswith(
        "app ends; orders that were paid before keep what they earned. It was: 1 point"
    )
    assert told["wallets"] == [
        (
            "points becomes: points to spend, good through the 90th day after they become active. Until then: points to"
            " spend, good through the same day 12 months after they become active; points that were issued before keep"
            " their dates."
        )
    ]
    assert told["base"] == [
        (
            "What counts is the money paid for a line after discounts, and its tax. Until then: what counts is the"
            " money paid for a line after discounts."
        )
    ]
    assert "arrives more than 12 hours after it was paid" in told["time"][0]
    assert "Until then: an order is refused when it arrives more than 30 days" in told["time"][0]
