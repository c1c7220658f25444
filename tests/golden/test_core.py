"""Every golden case through the pure core; and that the files themselves are held to a strict form."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from shared.domain.budget import NO_LEASES, Leases, after
from shared.domain.decide import decide_all
from shared.domain.facts import Event, Sweep
from shared.domain.ids import MemberId, OrderId, Wallet
from shared.domain.model import Account, Debt, Lot, Movement, Posting
from shared.domain.program import Programs
from shared.domain.settle import settle
from shared.domain.time import NEVER, Instant, datetime_of, instant_of
from tests.golden.case import Case, CaseError, cases, load
from tests.golden.check import Result, check
from tests.support.orders import points_by_line


@pytest.mark.parametrize("path", cases(), ids=lambda path: path.stem)
def test_core(path: Path) -> None:
    case = load(path)
    check(case, run(case))


def test_a_wrong_number_is_found() -> None:
    case = load(next(path for path in cases() if path.stem.startswith("g05")))
    result = run(case)
    wrong = replace(result, lines={"o1": {"l1": {"base": 72}, "l2": {"base": 143}, "l3": {"base": 24}}})
    with pytest.raises(AssertionError, match="lines: found"):
        check(case, wrong)
    with pytest.raises(AssertionError, match="number of postings of m1"):
        check(case, replace(result, postings={}))


@pytest.mark.parametrize(
    ("written", "instead", "message"),
    [
        ("title:", "titel:", r"titel: Extra inputs are not permitted"),
        ("paid: 5990}", "paid: 5991}", r"events\.0: .*data\.lines\[0\]\.paid"),
        ("available: 239", "available: 238", r"expect\.balances\.m1\..*\.points: the buckets add up to -1"),
        ("e1: posted", "e2: posted", r"expect\.outcomes: name each event once"),
        ("rate: 1.2", "rate: much", r"rules\[0\]\.rate: write the rate"),
        ("e1: posted", "e1: posted\n    e1: posted", r"'e1' stands twice"),
    ],
)
def test_a_case_with_an_error_is_refused(tmp_path: Path, written: str, instead: str, message: str) -> None:
    path = next(path for path in cases() if path.stem.startswith("g05"))
    text = path.read_text(encoding="utf-8")
    assert written in text
    broken = tmp_path / "broken.yaml"
    broken.write_text(text.replace(written, instead), encoding="utf-8")
    with pytest.raises(CaseError, match=message):
        load(broken)


def run(case: Case) -> Result:
    """The case through `decide`, event by event, and then a sweep to `until`."""
    programs = Programs([document.to_domain() for document in case.documents])
    leases: Leases = NO_LEASES
    accounts = {MemberId(member): _start(case, member) for member in case.members}
    postings: dict[str, list[dict[str, Any]]] = {member: [] for member in case.members}
    outcomes: dict[str, str] = {}
    lines: dict[str, dict[str, dict[str, int]]] = {}
    trimmed: dict[str, dict[str, int]] = {}

    def take(event: Event | Sweep) -> str:
        nonlocal leases
        decisions = decide_all(accounts.__getitem__, event, programs, leases)
        for each in decisions:
            accounts[each.account.member_id] = each.account
            postings[each.account.member_id] += [_plain_posting(posting) for posting in each.postings]
        decision = decisions[0]
        leases = after(leases, decision.budgets)
        if decision.order is not None:
            order_id = decision.order.order_id
            lines[order_id] = points_by_line(decision.order)
            trimmed[order_id] = {str(rule_id): points for rule_id, points in decision.order.trimmed.items()}
        return decision.outcome.value

    for event in case.events:
        decoded = event.decoded
        outcomes[event.id] = take(Event(decoded.ref, instant_of(event.arrived_at), decoded.fact))
    after_all_events = dict(accounts)
    if case.expect.until is not None:
        for member in case.members:
            take(Sweep(MemberId(member), instant_of(case.expect.until)))

    def seen(member: str, at: datetime) -> Account:
        account, _ = settle(after_all_events[MemberId(member)], instant_of(at), programs)
        return account

    def balance(member: str, at: datetime) -> dict[str, dict[str, int]]:
        balances = seen(member, at).balances.items()
        return {wallet: {bucket.value: n for bucket, n in buckets.items()} for wallet, buckets in balances}

    def lots(member: str, at: datetime) -> list[dict[str, Any]]:
        return [_plain_lot(lot) for lot in seen(member, at).lots.values() if lot.remaining]

    return Result(outcomes, lines, trimmed, postings, balance, lots)


def _start(case: Case, member: str) -> Account:
    given = case.given.get(member)
    if given is None:
        return Account(MemberId(member))
    return Account(
        MemberId(member),
        balances={Wallet(wallet): buckets for wallet, buckets in given.balances.items()},
        debts=tuple(Debt(Wallet(debt.wallet), OrderId(debt.order), debt.amount) for debt in given.debts),
    )


def _plain_posting(posting: Posting) -> dict[str, Any]:
    return {
        "version": posting.version,
        "kind": posting.kind.value,
        "occurred_at": datetime_of(posting.occurred_at),
        "effective_at": datetime_of(posting.effective_at),
        "event": None if posting.event is None else posting.event.event_id,
        "program_version": posting.program_version,
        "movements": [_plain_movement(movement) for movement in posting.movements],
    }


def _plain_movement(movement: Movement) -> dict[str, Any]:
    return {
        "wallet": movement.wallet,
        "from": movement.from_bucket.value,
        "to": movement.to_bucket.value,
        "amount": movement.amount,
        "rule": movement.rule_id,
        "lot": movement.lot_id,
        "order": movement.order_id,
    }


def _plain_lot(lot: Lot) -> dict[str, Any]:
    return {
        "lot": lot.lot_id,
        "wallet": lot.wallet,
        "order": lot.order_id,
        "issued": lot.issued,
        "remaining": lot.remaining,
        "activates_at": _moment(lot.activates_at),
        "expires_at": _moment(lot.expires_at),
    }


def _moment(instant: Instant | None) -> datetime | None:
    return None if instant in (None, NEVER) else datetime_of(instant)
