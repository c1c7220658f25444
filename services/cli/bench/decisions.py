"""Decisions a second of the pure core: one core, no server, orders that are decoded already."""

import time
from dataclasses import replace
from pathlib import Path

from services.cli.bench.orders import Spread, orders
from shared.contracts.headers import encode_headers
from shared.contracts.order_paid import TYPE, decode
from shared.contracts.program import read_program
from shared.domain.decide import decide
from shared.domain.facts import Event
from shared.domain.ids import MemberId
from shared.domain.model import Account
from shared.domain.program import Programs
from shared.domain.time import rfc3339
from shared.garbage import let_garbage_wait

BATCH_ORDERS = 2_000
"""As many as a worker decides at once."""


def decisions_per_s(program: Path, count: int) -> float:
    """How many orders are decided in a second of processor time, each after those of its member before it.

    After each batch an account forgets its orders, as it does in a worker: the ledger keeps them, and hands out only
    those that are asked about.
    """
    document, _ = read_program(program)
    programs = Programs([document.to_domain()])
    events = _events(count)
    accounts: dict[MemberId, Account] = {}
    let_garbage_wait()
    used_s = 0.0
    for first in range(0, count, BATCH_ORDERS):
        batch = events[first : first + BATCH_ORDERS]
        began_s = time.process_time()
        for event in batch:
            member_id = event.member_id
            account = accounts.get(member_id) or Account(member_id)
            accounts[member_id] = decide(account, event, programs).account
        used_s += time.process_time() - began_s
        for member_id in {event.member_id for event in batch}:
            accounts[member_id] = replace(accounts[member_id], orders={})
    return count / used_s


def _events(count: int) -> list[Event]:
    events = []
    for made in orders(count, Spread.EVEN):
        headers = encode_headers(
            event_id=made.event_id, source=made.source, event_type=TYPE, time=rfc3339(made.arrived_at)
        )
        decoded = decode(made.value, headers)
        events.append(Event(decoded.ref, made.arrived_at, decoded.fact))
    return events
