"""Random programs, and random histories of orders and sweeps, with a taste for the instants where things change."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from tests.property.naive_model import NaiveModel
from tests.property.naive_rating import EXPONENTS, Document, duration, first_instant, parsed

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
"""How long after an order the next one arrives."""


@dataclass
class Arrival:
    """An order-paid event, and when it arrives."""

    arrived_at: datetime
    order: dict[str, Any]


@dataclass
class Sweep:
    """The watermark passes `until` for one member."""

    until: datetime
    member_id: str


@dataclass
class History:
    """What an installation goes through. `debts` are (member, wallet, order id, amount), `end` is after everything."""

    documents: list[Document]
    debts: list[tuple[str, str, str, int]]
    steps: list[Arrival | Sweep]
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


OFFSETS = st.sampled_from([0, -300, 480, 345]).map(lambda minutes: timezone(timedelta(minutes=minutes)))
WALLETS = st.sampled_from(["points", "points", *sorted(ACROSS)])
RATES = st.sampled_from(["1", "1.2", "0.01", "1/3", "2/7", "10", "0.05", "999/1000"])
ROUND_PRICES = (100, 1, 2_000, 5_990, 20_000)
"""Minor units. Steps and thresholds are of these too, so that orders come to them exactly."""
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
CURRENCIES = st.sampled_from(sorted(EXPONENTS))
GOODS = st.sampled_from(
    [
        ("apple", "fresh", None),
        ("apple", "fresh", "house"),
        ("salt", "dry", "house"),
        ("rice", "dry", None),
        ("bag", None, None),
    ]
)
PRICES = st.sampled_from([0, 1, 99, 100, 2_005, 5_990, 11_995]) | st.integers(0, 30_000)
QUANTITIES = st.sampled_from([1, 2, 3, 0])
SETTLEMENTS = st.sampled_from([(0, 0, 0), (10, 0, 0), (0, 19, 0), (5, 7, 30), (0, 8, 100), (100, 0, 0)])
"""Percent of discount, of tax, and of what is due that points pay for."""
PARTS = st.tuples(GOODS, QUANTITIES, PRICES, SETTLEMENTS)
ROUND_PARTS = st.tuples(GOODS, QUANTITIES, st.sampled_from(ROUND_PRICES), st.just((0, 0, 0)))
BASKETS = st.lists(PARTS, min_size=1, max_size=4) | st.lists(ROUND_PARTS, min_size=1, max_size=2)
PLACES = st.tuples(
    st.sampled_from([("app", None), ("web", "north"), (None, "south"), ("app", "north")]), st.sampled_from([0, 499])
)


def money(minor_units: int, currency: str) -> str:
    """As a document has it: whole units of the currency, with all its decimals."""
    return f"{Decimal(minor_units).scaleb(-EXPONENTS[currency]):f}"


def kinds(currency: str) -> st.SearchStrategy[Document]:
    """What a rule gives points for: one of the four kinds, most often at a rate."""
    amounts = AMOUNTS.map(lambda amount: money(amount, currency))
    rate = st.fixed_dictionaries({"rate": RATES})
    step = st.fixed_dictionaries({"every": amounts, "points": NUMBERS}).map(lambda parts: {"step": parts})
    threshold = st.fixed_dictionaries({"from": amounts, "points": NUMBERS}).map(lambda parts: {"threshold": parts})
    per_item = st.fixed_dictionaries({"per_item": NUMBERS})
    weighted: list[st.SearchStrategy[Document]] = [rate, rate, rate, step, threshold, per_item]
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
        )
    return versions


def line(
    line_id: str,
    goods: tuple[str, str | None, str | None],
    quantity: int,
    list_price: int,
    settlement: tuple[int, ...],
) -> Any:
    """A line of `goods` (SKU, category, brand), `settlement` saying how it is paid: discount, tax and points."""
    discount = list_price * settlement[0] // 100
    tax = list_price * settlement[1] // 100
    due = list_price - discount + tax
    in_points = due * settlement[2] // 100
    return {
        "line_id": line_id,
        "sku": goods[0],
        "category": goods[1],
        "brand": goods[2],
        "quantity": quantity,
        "list_price": list_price,
        "discount": discount,
        "tax": tax,
        "paid": due - in_points,
        "paid_in_points": in_points,
    }


@st.composite
def orders(draw: st.DrawFn, currency: str, at: datetime) -> dict[str, Any]:
    bought = [line(f"l{number}", *part) for number, part in enumerate(draw(BASKETS))]
    where, shipping = draw(PLACES)
    return {
        "order_id": f"o{draw(st.integers(0, 7))}",
        "member_id": draw(st.sampled_from(["m1", "m1", "m2"])),
        "currency": draw(st.sampled_from([currency] * 9 + ["EUR"])),
        "paid": sum(each["paid"] for each in bought) + shipping,
        "shipping": shipping,
        "channel": where[0],
        "store": where[1],
        "occurred_at": at.astimezone(draw(OFFSETS)).isoformat(),
        "lines": bought,
    }


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A program with its versions, some debts, and up to eight orders with the sweeps a watermark could allow."""
    zone, day = draw(st.sampled_from(TURNING_DAYS))
    start = first_instant(zone, day)
    versions = draw(documents(zone, day))
    debt = st.tuples(st.just("m1"), st.sampled_from(sorted(ACROSS)), st.sampled_from(["d1", "d2"]), st.integers(1, 200))
    debts = draw(st.just([]) | st.lists(debt, max_size=3))
    history = History(versions, debts, [], start)
    scratch = history.model()
    now = start
    for _ in range(draw(st.integers(1, 8))):
        now = draw(_next_arrival(scratch, now))
        at = draw(_paid_at(scratch, now, zone, day))
        order = draw(orders(versions[0]["currency"], at))
        scratch.order_paid(order, now)
        history.steps.append(Arrival(now, order))
    history.end = now + draw(st.sampled_from([timedelta(0), timedelta(days=3), timedelta(days=900)]))
    history.steps = draw(_with_sweeps(scratch, history.steps))
    return history


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


def _paid_at(model: NaiveModel, arrived_at: datetime, zone: str, day: date) -> st.SearchStrategy[datetime]:
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
def _with_sweeps(draw: st.DrawFn, model: NaiveModel, arrivals: list[Arrival | Sweep]) -> list[Arrival | Sweep]:
    """The same arrivals, with sweeps between them that no later arrival forbids."""
    steps: list[Arrival | Sweep] = []
    settled = sorted({posting["occurred_at"] for member in model.members.values() for posting in member.postings})
    before = datetime.min.replace(tzinfo=UTC)
    for index, arrival in enumerate(arrivals):
        waiting = [later.arrived_at for later in arrivals[index:] if isinstance(later, Arrival)]
        watermark = min(waiting) - model.lateness
        instants = [at for at in settled if before < at <= watermark] or [watermark, watermark - TICK]
        for until in sorted(draw(st.lists(st.sampled_from(instants), max_size=2))):
            steps.append(Sweep(until, draw(st.sampled_from(["m1", "m1", "m2"]))))
        steps.append(arrival)
        before = watermark
    return steps


def _ticks() -> tuple[timedelta, ...]:
    return (-TICK, timedelta(0), TICK)
