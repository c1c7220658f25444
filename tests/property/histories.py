"""Random programs, and random histories of orders and sweeps, with a taste for the instants where things change."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from tests.property.naive_model import EXPONENTS, Document, NaiveModel, duration, first_instant

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


RATES = st.sampled_from(["1", "1.2", "0.01", "1/3", "2/7", "10", "0.05", "999/1000"])
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
RULES = st.fixed_dictionaries(
    {"wallet": st.sampled_from(sorted(ACROSS)), "rate": RATES},
    optional={"match": MATCHES, "pending": PENDINGS},
)
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
SETTLEMENTS = st.sampled_from([(0, 0, 0), (10, 0, 0), (0, 19, 0), (5, 7, 30), (0, 8, 100), (100, 0, 0)])
"""Percent of discount, of tax, and of what is due that points pay for."""
PLACES = st.tuples(
    st.sampled_from([("app", None), ("web", "north"), (None, "south"), ("app", "north")]), st.sampled_from([0, 499])
)


@st.composite
def documents(draw: st.DrawFn, zone: str, start: datetime) -> list[Document]:
    """One to three versions of a program, the first in force some days before `start`."""
    begins = [start - FIRST_VERSION_STARTS]
    begins += draw(st.lists(st.sampled_from([start, start + TICK, start + timedelta(days=2)]), max_size=2, unique=True))
    versions: list[Document] = []
    for number, begin in enumerate(sorted(begins), start=1):
        rules = draw(st.lists(RULES, min_size=1, max_size=4))
        versions.append(
            {
                "program": "random",
                "version": number,
                "effective_from": begin.isoformat(),
                "zone": zone if number == 1 else draw(st.sampled_from([zone, "Asia/Kathmandu"])),
                "currency": draw(CURRENCIES) if number == 1 else versions[0]["currency"],
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
                "rules": [rule | {"id": f"rule-{index}"} for index, rule in enumerate(rules)],
            }
        )
    return versions


def line(line_id: str, goods: tuple[str, str | None, str | None], list_price: int, settlement: tuple[int, ...]) -> Any:
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
        "quantity": 1,
        "list_price": list_price,
        "discount": discount,
        "tax": tax,
        "paid": due - in_points,
        "paid_in_points": in_points,
    }


@st.composite
def orders(draw: st.DrawFn, currency: str, at: datetime) -> dict[str, Any]:
    parts = draw(st.lists(st.tuples(GOODS, PRICES, SETTLEMENTS), min_size=1, max_size=4))
    bought = [line(f"l{number}", *part) for number, part in enumerate(parts)]
    where, shipping = draw(PLACES)
    offset = timezone(timedelta(minutes=draw(st.sampled_from([0, -300, 480, 345]))))
    return {
        "order_id": f"o{draw(st.integers(0, 7))}",
        "member_id": draw(st.sampled_from(["m1", "m1", "m2"])),
        "currency": draw(st.sampled_from([currency] * 9 + ["EUR"])),
        "paid": sum(each["paid"] for each in bought) + shipping,
        "shipping": shipping,
        "channel": where[0],
        "store": where[1],
        "occurred_at": at.astimezone(offset).isoformat(),
        "lines": bought,
    }


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A program with its versions, some debts, and up to eight orders with the sweeps a watermark could allow."""
    zone, day = draw(st.sampled_from(TURNING_DAYS))
    start = first_instant(zone, day)
    versions = draw(documents(zone, start))
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


def _dues(model: NaiveModel) -> list[datetime]:
    return sorted({at for member in model.members.values() if (at := member.next_due()) is not None})


def _next_arrival(model: NaiveModel, now: datetime) -> st.SearchStrategy[datetime]:
    """Soon after the last one, or around an instant at which something falls due or has just to be settled."""
    steps = [timedelta(seconds=-1), timedelta(0), TICK, timedelta(minutes=1), timedelta(hours=5), timedelta(days=1)]
    steps += [timedelta(days=days) for days in (2, 4, 25)]
    soon = st.sampled_from([now + step for step in steps])
    around = [due + late + tick for due in _dues(model) for late in (timedelta(0), model.lateness) for tick in _ticks()]
    around = [at for at in around if now <= at <= now + timedelta(days=800)]
    return soon | st.sampled_from(around) if around else soon


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
    midnights = [first_instant(zone, date.fromordinal(day.toordinal() + shift)) for shift in (-2, -1, 0, 1, 2, 3)]
    starts = [datetime.fromisoformat(document["effective_from"]) for document in model.documents]
    nearby = [(at + tick).astimezone(UTC) for at in (*midnights, *starts, *_dues(model)) for tick in _ticks()]
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
