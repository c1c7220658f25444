"""Random programs, and random histories of orders, refunds, adjustments and sweeps, with a taste for the instants where
things change."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from tests.property.event_data import ROUND_PRICES, adjustments, orders, refunds
from tests.property.naive_model import NaiveModel
from tests.property.naive_rating import EXPONENTS, Document, Order, duration, first_instant, parsed

TICK = timedelta(microseconds=1)
TURNING_DAYS = (
    ("Africa/Cairo", date(2026, 4, 24)),  # no midnight
    ("Africa/Cairo", date(2026, 10, 30)),  # the hour before midnight twice
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("America/Santiago", date(2026, 9, 6)),  # no midnight
    ("Asia/Shanghai", date(2026, 12, 31)),
    ("Asia/Kolkata", date(2027, 1, 31)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),  # half an hour twice
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("Pacific/Apia", date(2011, 12, 30)),  # no such day
    ("UTC", date(2024, 2, 29)),
)
ACROSS = {"points": True, "miles": True, "growth": False}
"""The wallets, and whether they are spendable: the same in all versions."""

FIRST_VERSION_STARTS = timedelta(days=20)
LONG = timedelta(days=1000)
SOON = (
    timedelta(seconds=-1),
    timedelta(0),
    TICK,
    timedelta(minutes=1),
    timedelta(hours=5),
    *(timedelta(days=days) for days in (1, 2, 4, 25)),
)
"""How long after an event the next one arrives."""


@dataclass
class Arrival:
    """An order-paid event, and when it arrives."""

    arrived_at: datetime
    order: Order


@dataclass
class RefundArrival:
    """A refund of an order, which may have come before, may come later, or never."""

    arrived_at: datetime
    data: dict[str, Any]


@dataclass
class AdjustmentArrival:
    """Somebody gives or takes points by hand."""

    arrived_at: datetime
    data: dict[str, Any]


@dataclass
class Sweep:
    """The watermark passes `until` for one member."""

    until: datetime
    member_id: str


Event = Arrival | RefundArrival | AdjustmentArrival
Step = Event | Sweep


@dataclass
class History:
    """What an installation goes through. `debts` are (member, wallet, order id, amount), `end` is after everything."""

    documents: list[Document]
    debts: list[tuple[str, str, str, int]]
    steps: list[Step]
    end: datetime

    @property
    def members(self) -> list[str]:
        return ["m1", "m2"]

    def model(self) -> NaiveModel:
        """A naive model that starts where this history does."""
        model = NaiveModel(self.documents)
        for member_id, wallet, order_id, amount in self.debts:
            member = model.member(member_id)
            member.debts.append([wallet, order_id, amount])
            buckets = member.balances.setdefault(wallet, {"debt": 0, "clawed_back": 0})
            buckets["debt"] -= amount
            buckets["clawed_back"] += amount
        return model


def play(model: NaiveModel, step: Step) -> str | None:
    """One step in the model; returns its outcome, if it is an event."""
    match step:
        case Arrival():
            return model.order_paid(step.order, step.arrived_at)
        case RefundArrival():
            return model.refund(step.data, step.arrived_at)
        case AdjustmentArrival():
            return model.adjust(step.data, step.arrived_at)
        case Sweep():
            model.sweep(step.member_id, step.until)
            return None


OFFSETS = st.sampled_from([0, -300, 480, 345]).map(lambda minutes: timezone(timedelta(minutes=minutes)))
WALLETS = st.sampled_from(["points", "points", *sorted(ACROSS)])
RATES = st.sampled_from(["1", "1.2", "0.01", "1/3", "2/7", "10", "0.05", "999/1000"])
AMOUNTS = st.sampled_from([*ROUND_PRICES, 5_991])
NUMBERS = st.sampled_from([1, 7, 50])
POLICIES = st.sampled_from(["best", "first"])
DAYS = st.integers(0, 3) | st.sampled_from([14, 30, 365])
EXPIRIES: st.SearchStrategy[Any] = st.one_of(
    st.just("never"),
    st.builds(lambda days: {"days": days}, DAYS),
    st.builds(lambda months: {"months": months}, st.integers(1, 14)),
    st.builds(lambda years: {"end_of_year": years}, st.integers(0, 2)),
)
PENDINGS = st.builds(lambda days, exact: {"days": days, "exact": exact}, DAYS, st.booleans())
MATCHES: st.SearchStrategy[Any] = st.sampled_from(
    [
        {},
        {"categories": ["fresh"]},
        {"categories": ["dry", "fresh"], "brands": ["house"]},
        {"skus": ["apple", "salt"]},
        {"channels": ["app"]},
        {"stores": ["north"], "categories": ["fresh"]},
    ]
)
CONDITIONS: st.SearchStrategy[Document] = st.fixed_dictionaries({}, optional={"match": MATCHES, "pending": PENDINGS})
ON_REFUND = st.sampled_from(["recompute", "prorata", "keep"])
SHORTFALLS = ("debt", "clip", "clip", "cash_offset", "cash_offset")
REFUND_POLICIES: st.SearchStrategy[Document] = st.sampled_from(
    [{}, {"refunds": {"wait": "1d"}}, *({"refunds": {"shortfall": policy, "wait": "30d"}} for policy in SHORTFALLS)]
)
"""How long a refund waits moves no points in the model, in which it waits for ever."""
CURRENCIES = st.sampled_from(sorted(EXPONENTS))


def money(minor_units: int, currency: str) -> str:
    """As a document has it: whole units of the currency, with all its decimals."""
    return f"{Decimal(minor_units).scaleb(-EXPONENTS[currency]):f}"


def kinds(currency: str) -> st.SearchStrategy[Document]:
    """What a rule gives points for: one of the four kinds, most often at a rate."""
    amounts = AMOUNTS.map(lambda amount: money(amount, currency))
    rate = st.fixed_dictionaries({"rate": RATES})
    step = st.fixed_dictionaries({"every": amounts, "points": NUMBERS}).map(lambda parts: {"step": parts})
    threshold = st.fixed_dictionaries({"from": amounts, "points": NUMBERS}, optional={"on_refund": ON_REFUND}).map(
        lambda parts: {"threshold": parts}
    )
    per_item = st.fixed_dictionaries({"per_item": NUMBERS})
    weighted: list[st.SearchStrategy[Document]] = [rate, rate, rate, step, threshold, threshold, per_item]
    return st.sampled_from(weighted).flatmap(lambda kind: kind)


@st.composite
def windows(draw: st.DrawFn, borders: list[datetime]) -> Document:
    """From one border to another, each perhaps just missed; or from long before, or until long after them all."""
    near = st.sampled_from([border + tick for border in borders for tick in _ticks()])
    far = st.sampled_from([min(borders) - LONG, max(borders) + LONG])
    first, last = sorted(draw(st.lists(near | far, min_size=2, max_size=2, unique=True)))
    offset = draw(OFFSETS)
    return {"from": first.astimezone(offset).isoformat(), "until": last.astimezone(offset).isoformat()}


@st.composite
def rules(draw: st.DrawFn, currency: str, borders: list[datetime]) -> Document:
    """A rule, still without its id. The group goes with the wallet, as all rules of a group have the same."""
    wallet = draw(WALLETS)
    rule: Document = {"wallet": wallet} | draw(kinds(currency)) | draw(CONDITIONS)
    if draw(st.sampled_from([False, False, True])):
        rule["during"] = draw(windows(borders))
    if draw(st.sampled_from([False, True, True])):
        rule["group"] = f"g-{wallet}"
    return rule


@st.composite
def rule_books(draw: st.DrawFn, currency: str, borders: list[datetime]) -> Document:
    """The rules of a document, and the groups that they use."""
    found = draw(st.lists(rules(currency, borders), min_size=1, max_size=5))
    book: Document = {"rules": [rule | {"id": f"rule-{index}"} for index, rule in enumerate(found)]}
    used = sorted({rule["group"] for rule in found if "group" in rule})
    return book | {"groups": {group: draw(POLICIES) for group in used}} if used else book


@st.composite
def documents(draw: st.DrawFn, zone: str, day: date) -> list[Document]:
    """One to three versions of a program, the first in force some days before `day` starts."""
    start = first_instant(zone, day)
    currency = draw(CURRENCIES)
    begins = [start - FIRST_VERSION_STARTS]
    begins += draw(st.lists(st.sampled_from([start, start + TICK, start + timedelta(days=2)]), max_size=2, unique=True))
    borders = [*begins, *_midnights(zone, day), *(start + after for after in SOON)]
    versions: list[Document] = []
    for number, begin in enumerate(sorted(begins), start=1):
        versions.append(
            {
                "program": "random",
                "version": number,
                "effective_from": begin.isoformat(),
                "zone": zone if number == 1 else draw(st.sampled_from([zone, "Asia/Kathmandu"])),
                "currency": currency,
                "base": {
                    "tax": draw(st.booleans()),
                    "paid_in_points": draw(st.booleans()),
                    "shipping": draw(st.booleans()),
                },
                "allowed_lateness": draw(st.sampled_from(["0s", "60s", "2h"])),
                "late_tolerance": draw(st.sampled_from(["1d", "30d"])),
                "future_tolerance": draw(st.sampled_from(["0s", "5m", "1d"])),
                "wallets": {
                    wallet: {"spendable": spendable, "expiry": draw(EXPIRIES)} for wallet, spendable in ACROSS.items()
                },
            }
            | draw(rule_books(currency, borders))
            | draw(REFUND_POLICIES)
        )
    return versions


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A program with its versions, some debts, and up to twelve events with the sweeps a watermark could allow."""
    zone, day = draw(st.sampled_from(TURNING_DAYS))
    start = first_instant(zone, day)
    versions = draw(documents(zone, day))
    debt = st.tuples(st.just("m1"), st.sampled_from(sorted(ACROSS)), st.sampled_from(["d1", "d2"]), st.integers(1, 200))
    debts = draw(st.just([]) | st.lists(debt, max_size=3))
    history = History(versions, debts, [], start)
    scratch = history.model()
    known: list[Order] = []
    now = start
    for number in range(draw(st.integers(1, 12))):
        now = draw(_next_arrival(scratch, now))
        at = draw(_happened_at(scratch, now, zone, day)).astimezone(draw(OFFSETS)).isoformat()
        waited_for, with_points = _waited_for(scratch, known), _with_points(scratch, known)
        more = ["refund", "refund", "adjustment"] if with_points else []
        kind = draw(st.sampled_from(["order", "order", "adjustment", "refund", *more]))
        step: Event
        if kind == "order":
            order = draw(_order(waited_for, known, versions[0]["currency"]))
            step = Arrival(now, order | {"occurred_at": at})
        elif kind == "refund":
            order = draw(_order(with_points, known, versions[0]["currency"]))
            step = RefundArrival(now, draw(refunds(order, number)) | {"occurred_at": at})
        else:
            step = AdjustmentArrival(now, draw(adjustments(_available(scratch), number)) | {"occurred_at": at})
        play(scratch, step)
        history.steps.append(step)
    history.end = now + draw(st.sampled_from([timedelta(0), timedelta(days=3), timedelta(days=900)]))
    history.steps = draw(_with_sweeps(scratch, history.steps))
    return history


@st.composite
def _order(draw: st.DrawFn, preferred: list[Order], known: list[Order], currency: str) -> Order:
    """One of those that are preferred, most often, or else any that is known, or a new one, which then is known."""
    choice = draw(st.sampled_from(["preferred"] * 5 + ["new", "known"]))
    if choice == "preferred" and preferred:
        return draw(st.sampled_from(preferred))
    if choice == "known" and known:
        return draw(st.sampled_from(known))
    known.append(draw(orders(currency)))
    return known[-1]


def _waited_for(model: NaiveModel, known: list[Order]) -> list[Order]:
    """Those of which there are refunds, and no payment yet."""
    waiting = [(name, each) for name, member in model.members.items() for each in member.refunds.keys() - member.orders]
    return [order for order in known if (order["member_id"], order["order_id"]) in waiting]


def _with_points(model: NaiveModel, known: list[Order]) -> list[Order]:
    return [order for order in known if model.member(order["member_id"]).orders.get(order["order_id"])]


def _available(model: NaiveModel) -> dict[tuple[str, str], int]:
    pairs = [(member_id, wallet) for member_id in ("m1", "m2") for wallet in sorted(ACROSS)]
    return {(member_id, wallet): model.member(member_id).available(wallet, []) for member_id, wallet in pairs}


def _midnights(zone: str, day: date) -> list[datetime]:
    """The starts of the days around `day`."""
    return [first_instant(zone, day + timedelta(days=shift)) for shift in (-2, -1, 0, 1, 2, 3)]


def _borders(versions: list[Document]) -> list[datetime]:
    """Where versions start, and where the times of their rules start and end."""
    starts = [document["effective_from"] for document in versions]
    windows_of_rules = [rule["during"] for document in versions for rule in document["rules"] if "during" in rule]
    ends = [text for window in windows_of_rules for text in window.values()]
    return [parsed(text) for text in starts + ends]


def _dues(model: NaiveModel) -> list[datetime]:
    return sorted({at for member in model.members.values() if (at := member.next_due()) is not None})


def _next_arrival(model: NaiveModel, now: datetime) -> st.SearchStrategy[datetime]:
    """Soon after the last one, around an instant at which something falls due or has just to be settled, or around one
    at which the rules change."""
    soon = st.sampled_from([now + after for after in SOON])
    around = [due + late + tick for due in _dues(model) for late in (timedelta(0), model.lateness) for tick in _ticks()]
    changes = [border + tick for border in _borders(model.documents) for tick in _ticks()]
    later = [[at for at in instants if now <= at <= now + timedelta(days=800)] for instants in (around, changes)]
    return st.one_of(soon, *(st.sampled_from(instants) for instants in later if instants))


def _happened_at(model: NaiveModel, arrived_at: datetime, zone: str, day: date) -> st.SearchStrategy[datetime]:
    """At arrival, late or early by what a limit allows and a tick more or less, or on a boundary nearby."""
    document = model.documents[-1]
    limits = [
        timedelta(0),
        timedelta(hours=3),
        timedelta(days=12),
        model.lateness,
        duration(document, "late_tolerance"),
        -duration(document, "future_tolerance"),
    ]
    by_lag = [arrived_at - lag + tick for lag in limits for tick in _ticks()]
    boundaries = [*_midnights(zone, day), *_borders(model.documents), *_dues(model)]
    nearby = [at + tick for at in boundaries for tick in _ticks()]
    nearby = [at for at in nearby if abs(arrived_at - at) <= timedelta(days=20)]
    at_once = st.just(arrived_at)
    return st.one_of(at_once, st.sampled_from(by_lag), st.sampled_from(nearby) if nearby else at_once)


@st.composite
def _with_sweeps(draw: st.DrawFn, model: NaiveModel, arrivals: list[Step]) -> list[Step]:
    """The same arrivals, with sweeps between them that no later arrival forbids."""
    steps: list[Step] = []
    settled = sorted({posting["occurred_at"] for member in model.members.values() for posting in member.postings})
    before = datetime.min.replace(tzinfo=UTC)
    for index, arrival in enumerate(arrivals):
        waiting = [later.arrived_at for later in arrivals[index:] if not isinstance(later, Sweep)]
        watermark = min(waiting) - model.lateness
        instants = [at for at in settled if before < at <= watermark] or [watermark, watermark - TICK]
        for until in sorted(draw(st.lists(st.sampled_from(instants), max_size=2))):
            steps.append(Sweep(until, draw(st.sampled_from(["m1", "m1", "m2"]))))
        steps.append(arrival)
        before = watermark
    return steps


def _ticks() -> tuple[timedelta, ...]:
    return (-TICK, timedelta(0), TICK)
