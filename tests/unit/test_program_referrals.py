"""Referrals in a program: what is wrong is named by its path, and what is right is told in words."""

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
behaviours:
  - {id: review, behaviour: review, wallet: points, points: 5}
referrals:
"""

INVITE = """\
  - id: invite
    behaviour: invite
    inviter: {wallet: points, points: 500}
    invited: {wallet: points, points: 200}
    first_order: {from: 50.00}
    pending: {days: 14}
    times: {per: month, at_most: 20}
"""


def test_it_is_explained() -> None:
    (said,) = explained(parse_program(SHOP + INVITE))["referrals"]
    assert said == (
        "invite: after invite, the inviter gets 500 points of points and the invited member gets 200 points of points"
        " for the first order of the invited member from 50.00 CNY on, pending through the 14th day after the payment;"
        " an inviter at most 20 times a month."
    )


def test_what_a_new_version_changes() -> None:
    new = SHOP.replace("version: 1", "version: 2") + INVITE.replace("points: 500", "points: 300")
    (said,) = changes(parse_program(SHOP + INVITE), parse_program(new))["referrals"]
    assert said.startswith("invite becomes: after invite, the inviter gets 300 points")
    assert said.endswith("; who was invited before still gets what was promised then.")


@pytest.mark.parametrize(
    ("written", "instead", "message"),
    [
        ("id: invite", "id: review", r"referrals\[0\]\.id: 'review' is used twice"),
        ("id: invite", "id: base", r"referrals\[0\]\.id: 'base' is used twice"),
        (
            "inviter: {wallet: points",
            "inviter: {wallet: coins",
            r"referrals\[0\]\.inviter\.wallet: 'coins' is not one of points",
        ),
        (
            "invited: {wallet: points",
            "invited: {wallet: coins",
            r"referrals\[0\]\.invited\.wallet: 'coins' is not one of points",
        ),
        ("from: 50.00", "from: 50.001", r"referrals\[0\]\.first_order\.from: the currency has 2 decimals"),
        ("points: 500", "points: 0", r"referrals\[0\]\.inviter\.points: "),
        ("per: month", "per: campaign", r"referrals\[0\]: what is counted per campaign needs"),
        ("    inviter: {wallet: points, points: 500}\n", "", r"referrals\[0\]: times counts how often an inviter"),
        ("pending: {days: 14}", "pending: {until: delivered}", r"referrals\[0\]\.pending\.days: Field required"),
    ],
)
def test_what_is_wrong_is_named(written: str, instead: str, message: str) -> None:
    assert written in INVITE
    with pytest.raises(ProgramError, match=message):
        parse_program(SHOP + INVITE.replace(written, instead))


def test_one_that_gives_nothing_is_refused() -> None:
    with pytest.raises(ProgramError, match=r"referrals\[0\]: give something to the inviter"):
        parse_program(SHOP + "  - {id: invite, behaviour: invite}\n")
