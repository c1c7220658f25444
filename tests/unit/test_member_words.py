"""Caps, behaviours, check-ins, tasks and refunds are told in words, and so is what a new version changes about them."""

import pytest

from services.cli.program_words import changes, explained
from shared.contracts.program import ProgramError, parse_program

SHOP = """\
program: shop
version: 1
effective_from: "2026-03-01T00:00:00+08:00"
zone: Asia/Shanghai
currency: CNY
wallets:
  points: {spendable: true, expiry: never}
rules:
  - {id: base, wallet: points, rate: 1}
  - {id: big, wallet: points, threshold: {from: 200, points: 50}}
"""

PARTS = """\
caps:
  - {id: daily, wallet: points, per: day, points: 500}
  - {id: one-order, rules: [big], per: order, points: 40, excess: skip}
behaviours:
  - {id: review, behaviour: review, wallet: points, points: 5, times: {per: week, at_most: 3}, once_for: order}
  - {id: spam, behaviour: spam, wallet: points, points: -20, floor: debt}
streaks:
  - {id: daily-visit, wallet: points, rewards: [1, 2], every: {days: 7, factor: 2}, makeup: {days: 3}}
tasks:
  - {id: newbie, wallet: points, steps: [{behaviour: register, points: 10}], bonus: 100, within: 30d}
refunds: {shortfall: clip, wait: 10d}
"""


def test_they_are_explained() -> None:
    said = explained(parse_program(SHOP + PARTS))
    assert said["caps"] == [
        (
            "daily: base, big, review, daily-visit and newbie give a member at most 500 points a day; what is beyond is"
            " not given."
        ),
        "one-order: big give a member at most 40 points an order; what does not fit is not given at all.",
    ]
    assert said["behaviours"] == [
        "review: review gives 5 points of points, at most 3 times a week, from Monday on, once for each order.",
        "spam: spam takes 20 points of points, the rest is owed.",
    ]
    assert said["check-ins"] == [
        (
            "daily-visit: check-ins on days that follow each other give 1 and 2 of points, the last one repeats; every"
            " 7th day gives 2 times as much; a missed day may be made up for within 3 days."
        )
    ]
    assert said["tasks"] == [
        "newbie: register (10) give points of points once each, and 100 more when all are done, within 30 days."
    ]
    assert said["refunds"] == [
        "What is given back takes its points back; those that the member has spent are written off.",
        "A refund whose order does not come within 10 days is an orphan.",
        "What big gave is taken back as soon as what remains is below its amount.",
    ]


def test_what_a_new_version_changes_about_them() -> None:
    old = parse_program(SHOP + PARTS)
    new = parse_program(SHOP.replace("version: 1", "version: 2") + PARTS.replace("500", "600").replace("clip", "debt"))
    said = changes(old, new)
    assert set(said) == {"caps", "refunds"}
    assert said["caps"][0].startswith(
        "daily becomes: base, big, review, daily-visit and newbie give a member at most 600 points a day"
    )
    assert said["refunds"][0].endswith("are owed, and repaid by the next points that become available.")


@pytest.mark.parametrize(
    ("cap", "message"),
    [
        ("{id: base, wallet: points, per: day, points: 5}", r"caps\[0\]\.id: 'base' is used twice"),
        ("{id: c, wallet: miles, per: day, points: 5}", r"caps\[0\]\.wallet: 'miles' is not one of points"),
        ("{id: c, rules: [base, lost], per: day, points: 5}", r"caps\[0\]\.rules\[1\]: 'lost' is no rule"),
        ("{id: c, per: day, points: 5}", r"caps\[0\]: give either rules, or the wallet"),
        ("{id: c, wallet: points, rules: [base], per: day, points: 5}", r"caps\[0\]: give either rules, or the wallet"),
        ("{id: c, wallet: points, per: campaign, points: 5}", r"caps\[0\]: .* give it with during"),
        ("{id: c, wallet: points, per: year, points: 5}", r"caps\[0\]\.per"),
        (
            "{id: c, wallet: points, per: day, points: 0}",
            r"caps\[0\]\.points: Input should be greater",
        ),
    ],
)
def test_a_cap_that_cannot_be_is_refused_with_its_path(cap: str, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        parse_program(f"{SHOP}caps:\n  - {cap}\n")
