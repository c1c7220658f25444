"""Everything that Pointstream measures, in one place: `docs/metrics.md` is made from it (`shared.metrics_page`).

A process exposes only the metrics that name it, and a gauge is NaN until its process knows it: never a zero that
nobody has measured. Every label has few values, which are known beforehand; no member, order or event is ever one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from math import nan
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from shared.contracts.defect import Defect
from shared.contracts.inbound import CONTRACTS
from shared.core import core
from shared.domain.model import Bucket, Outcome, PostingKind
from shared.ledger.batch import CONFLICTING_DUPLICATE, DEAD_LETTER, DUPLICATE

disable_created_metrics()  # type: ignore[no-untyped-call]


class Process(StrEnum):
    """What exposes metrics."""

    EARN = "earn"
    PUBLISHER = "publisher"
    EXPIRY = "expiry"
    API = "api"


class Server(StrEnum):
    """What a process connects to."""

    KAFKA = "kafka"
    POSTGRESQL = "postgresql"
    REDIS = "redis"


class CacheRead(StrEnum):
    """What came of asking Redis for a balance."""

    HIT = "hit"
    MISS = "miss"
    DUE = "due"
    """It was there, but something has fallen due since: PostgreSQL gave the answer."""
    AWAY = "away"


CIRCULATING = (Bucket.AVAILABLE, Bucket.PENDING, Bucket.DEBT)
"""The buckets that somebody may still spend, or owes."""

Values = Sequence[str] | str
"""The values that a label can have; a sentence where the program decides."""

Metric = TypeVar("Metric", Counter, Gauge, Histogram)


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric: what it says, what to do about it, which labels with which values, and which processes have it."""

    collector: Counter | Gauge | Histogram
    name: str
    says: str
    advice: str
    labels: Mapping[str, Values]
    processes: Sequence[Process]


DECLARED: list[Declared] = []


def _declare(
    metric: Metric, name: str, says: str, advice: str, labels: Mapping[str, Values], processes: Sequence[Process]
) -> Metric:
    """Add a metric to the list. Where all values are known it stands at zero from the start, so that the first
    increase is seen as one."""
    values = list(labels.values())
    if values and not any(isinstance(known, str) for known in values):
        for combination in product(*values):
            metric.labels(*combination)
    DECLARED.append(Declared(metric, name, says, advice, labels, processes))
    return metric


def _counter(
    name: str, says: str, advice: str, labels: Mapping[str, Values] | None = None, *, of: Sequence[Process]
) -> Counter:
    labels = labels or {}
    return _declare(Counter(name, says, list(labels), registry=None), name, says, advice, labels, of)


def _gauge(
    name: str, says: str, advice: str, labels: Mapping[str, Values] | None = None, *, of: Sequence[Process]
) -> Gauge:
    labels = labels or {}
    gauge = Gauge(name, says, list(labels), registry=None)
    if not labels:
        gauge.set(nan)
    return _declare(gauge, name, says, advice, labels, of)


def _histogram(name: str, says: str, advice: str, *, buckets: Sequence[float], of: Sequence[Process]) -> Histogram:
    return _declare(Histogram(name, says, registry=None, buckets=buckets), name, says, advice, {}, of)


def registry_of(process: Process) -> CollectorRegistry:
    """What one process exposes: its metrics, and the CPU, memory and files that it uses."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    for declared in DECLARED:
        if process in declared.processes:
            registry.register(declared.collector)
    return registry


EVENTS = _counter(
    "pointstream_events_total",
    "Events that were consumed, by the topic they came from and by what became of them, counted after the commit.",
    "`dead_letter` needs a look at once; a rise of `too_late`, `too_early` or `no_program_in_force` says that a shop's"
    " clock or the program's dates are wrong. `duplicate` is harmless. No increase at all while events are sent: look"
    " at the lag, and whether the worker is ready.",
    {"topic": [*CONTRACTS], "outcome": [*Outcome, DUPLICATE, DEAD_LETTER]},
    of=[Process.EARN],
)

DEAD_LETTERS = _counter(
    "pointstream_dead_letters_total",
    "Messages that could not be used and were kept in the table `dead_letters`, by topic and defect.",
    "Read `path` and `reason` of the newest rows and have the sender mended; the events around them were posted. A jump"
    " right after a deployment of ours or of the shop's is a reason to roll it back.",
    {"topic": [*CONTRACTS], "defect": [*Defect, CONFLICTING_DUPLICATE]},
    of=[Process.EARN],
)

POSTINGS = _counter(
    "pointstream_postings_total",
    "Postings that this process wrote to the journal, by kind.",
    "Compare `accrual` with the events of outcome `posted`. A burst of `settlement` at a day's or a year's end is the"
    " program's doing.",
    {"kind": list(PostingKind)},
    of=[Process.EARN, Process.EXPIRY],
)

BATCH_EVENTS = _histogram(
    "pointstream_batch_events",
    "Events in one posting transaction, dead letters and duplicates included; for `expiry`, accounts to settle.",
    "Batches grow with the backlog. When most are at the limit (`POINTSTREAM_BATCH_EVENTS_MAX`), the worker is behind:"
    " add a worker, up to the number of partitions.",
    buckets=[1, 10, 50, 100, 250, 500, 1_000, 2_000, 5_000, 20_000],
    of=[Process.EARN, Process.EXPIRY],
)

BATCH_SECONDS = _histogram(
    "pointstream_batch_seconds",
    "Seconds from asking for a connection to the commit of one posting transaction, with what is decided in it.",
    "Divide by the batch's events. When it rises at the same size, look for locks and slow disks in PostgreSQL"
    " (`pg_stat_activity`, `wait_event`), then at the pool's waits.",
    buckets=[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    of=[Process.EARN, Process.EXPIRY],
)

EVENT_LAG = _gauge(
    "pointstream_event_lag_seconds",
    "Age, since its arrival, of the oldest event that this worker has read and could not post yet; 0 when there is"
    " none, NaN in a replay.",
    "Below a second is work as usual. When it grows by a second each second, nothing is posted: see"
    " `pointstream_reconnects_total` and the worker's log. It does not know of events that nobody reads;"
    " `pointstream_watermark_lag_seconds` does.",
    of=[Process.EARN],
)

WATERMARK_LAG = _gauge(
    "pointstream_watermark_lag_seconds",
    "How far the watermark is behind the time it could have: the event-time lag over all inputs and all workers.",
    "Alert on minutes. Nothing expires and nothing becomes active by itself past the watermark (readers still see it at"
    " its instant). Some partition is not read: see that an `earn` worker runs and owns it. Where nobody ever read one,"
    " the lag is infinite, and the worker is not ready and names it. A single peak when an event comes after a long"
    " silence is none. Alert on `absent(pointstream_watermark_lag_seconds)` too: where no expiry worker runs, nobody"
    " tells it.",
    of=[Process.EXPIRY],
)

CORE_INFO = _gauge(
    "pointstream_core_info",
    "1 for the core that this process runs: compiled, or from source.",
    "Both decide the same; compiled, to decide costs half as much. `source` where you meant `compiled`: the process was"
    " started without the folder that `make compile` names.",
    {"core": ["compiled", "source"]},
    of=[Process.EARN, Process.EXPIRY, Process.API],
)
CORE_INFO.labels(core()).set(1)

OWNED_PARTITIONS = _gauge(
    "pointstream_owned_partitions",
    "Partitions that this process owns: of the inputs for `earn`, shares of the journal for `publisher`.",
    "Summed over the processes of a kind it is the number of partitions (for publishers, of shares), except in the"
    " moments of a rebalance. Less for long: a worker is missing or not ready.",
    of=[Process.EARN, Process.PUBLISHER],
)

REBALANCES = _counter(
    "pointstream_rebalances_total",
    "How often partitions were handed out anew to this process.",
    "A few at each deployment. Many without one: a worker starts over again and again, or is silent for longer than"
    " `POINTSTREAM_SESSION_TIMEOUT_MS`; give it CPU, or a longer timeout.",
    of=[Process.EARN, Process.PUBLISHER],
)

RECONNECTS = _counter(
    "pointstream_reconnects_total",
    "How often a server was found away, or a connection to it was lost; each time it is tried again.",
    "See whether that server runs. Nothing is lost meanwhile: workers wait, and readers go to PostgreSQL when Redis is"
    " away. Kafka's consumer mends lost connections by itself, and these do not count.",
    {"server": list(Server)},
    of=list(Process),
)

POOL_WAIT = _histogram(
    "pointstream_pool_wait_seconds",
    "Seconds that a transaction or a read waited for one of the process's connections to PostgreSQL, with connecting.",
    "Waits of `api` beyond some milliseconds: reads miss Redis (`pointstream_cache_reads_total`), or PostgreSQL is"
    " slow. In workers each lane has a connection of its own, so waits mean new connections: something cuts the old"
    " ones.",
    buckets=[0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5],
    of=[Process.EARN, Process.EXPIRY, Process.API],
)

PUBLISHED = _counter(
    "pointstream_published_postings_total",
    "Postings that this publisher brought to `points-changed`, counted after the commit.",
    "In the long run as many as `pointstream_postings_total` of all workers. Less: see the journal's tail.",
    of=[Process.PUBLISHER],
)

TAIL_POSTINGS = _gauge(
    "pointstream_journal_tail_postings",
    "Postings in the journal that are not published yet, of the shares that this publisher owns.",
    "Thousands are a moment's work. When it grows for minutes, a publisher is missing or slower than the earn workers:"
    " add one, up to the number of shares.",
    of=[Process.PUBLISHER],
)

TAIL_AGE = _gauge(
    "pointstream_journal_tail_age_seconds",
    "Age of the oldest posting that is not published yet, of the shares that this publisher owns; 0 when there is"
    " none.",
    "Alert on a minute: readers of `points-changed` are so far behind the ledger. Kafka is away, or a transaction does"
    " not come through; the publisher's log says which. Redis is ahead of them by two transactions at most, so it"
    " stands still as well once so much waits. Alert on `absent(pointstream_journal_tail_age_seconds)` too: where no"
    " publisher runs, nobody tells how far behind they are.",
    of=[Process.PUBLISHER],
)

CACHE_READS = _counter(
    "pointstream_cache_reads_total",
    "Balances that were asked of Redis, by what came of it; all but `hit` were answered by PostgreSQL.",
    "Below nine hits in ten: Redis was flushed or throws keys out (see its memory limit), or the publisher is behind."
    " `away` is an outage of Redis; `due` rises for a while after a day's end.",
    {"result": list(CacheRead)},
    of=[Process.API],
)

CIRCULATION = _gauge(
    "pointstream_circulation_points",
    "Points in circulation over all accounts, by wallet and bucket, as posted; `debt` is zero or below, as in the"
    " ledger. Some seconds old.",
    "The points that finance has to answer for; the sum over the buckets of a wallet is what members own net. A step"
    " that no campaign and no expiry explains needs a look into the postings of that hour. Several expiry workers show"
    " the same: take `max by (wallet, bucket)`.",
    {"wallet": "the program's wallets", "bucket": list(CIRCULATING)},
    of=[Process.EXPIRY],
)
