"""Decisions a second of the pure core: one core, no server, orders that are decoded already."""

import time
from pathlib import Path

from services.cli.bench.orders import Spread, orders
from shared.contracts.cloudevents import encode_headers
from shared.contracts.order_paid import TYPE, decode
from shared.contracts.program import read_program
from shared.domain.decide import decide
from shared.domain.facts import Event
from shared.domain.ids import MemberId
from shared.domain.model import Account
from shared.domain.program import Programs
from shared.domain.time import rfc3339
from shared.garbage import let_garbage_wait


def decisions_per_s(program: Path, count: int) -> float:
    """How many orders are decided in a second of processor time, each after those of its member before it."""
    document, _ = read_program(program)
    programs = Programs([document.to_domain()])
    events = _events(count)
    accounts: dict[MemberId, Account] = {}
    let_garbage_wait()
    began_s = time.process_time()
    for event in events:
        member_id = event.member_id
        account = accounts.get(member_id) or Account(member_id)
        accounts[member_id] = decide(account, event, programs).account
    return count / (time.process_time() - began_s)


def _events(count: int) -> list[Event]:
    events = []
    for made in orders(count, Spread.EVEN):
        headers = encode_headers(
            event_id=made.event_id, source=made.source, event_type=TYPE, time=rfc3339(made.arrived_at)
        )
        decoded = decode(made.value, headers)
        events.append(Event(decoded.ref, made.arrived_at, decoded.fact))
    return events
