"""`docs/metrics.md`, made from what `shared.metrics` declares.

`python -m shared.metrics_page` writes it; a test fails while it differs.
"""

from pathlib import Path
from textwrap import fill

from prometheus_client import Counter, Gauge

from shared.metrics import DECLARED, Declared, Process
from shared.monitor import SILENCE_S_MAX
from shared.settings import Settings
from shared.stream.topics import SHARES

PATH = Path(__file__).parents[1] / "docs" / "metrics.md"

COLUMNS = 120

_INTRODUCTION = """\
# Metrics and health

Made from `shared/metrics.py`; write it anew with `python -m shared.metrics_page`.

Each process answers on a loopback port of its own, from a thread of its own:

| | |
| --- | --- |
| `/metrics` | its metrics, in Prometheus' text format |
| `/health/live` | 200 while its event loop turns: 503 once it has not for {silence} s. Restart the process then |
| `/health/ready` | 200 when it can do its work, else 503, with what is missing. A restart does not mend that |

Ready means that PostgreSQL answers, and besides: `earn` and `publisher` have claimed the partitions that are theirs
(none is as good as some: with more workers than partitions, some stand by); `expiry` is connected to Kafka. An `api`
without Redis is ready and says `degraded`. The API has both health paths on its own port as well, for what stands in
front of it.

| process | port | setting |
| --- | --- | --- |
{ports}

Port 0 takes any free one. Where a default port is taken (a second worker on the same machine), a free one is used
instead, because the work goes before its figures; the log says which (`watched`). A port that its setting names is
meant: where it is taken, the process does not start, and says so. Where workers are scraped, give each of them a port
of its own, like `POINTSTREAM_EARN_METRICS_PORT=8091 pointstream run earn` for a second one.

The journal has {shares} shares: as many publishers work at once, and more stand by.

Counters begin at zero with their process and count what was committed; a gauge is NaN until its process knows it.
They are for watching: what is true stands in the ledger. Each process also has the standard `process_…` metrics of its
CPU, memory and files.
"""


def page() -> str:
    """The text of the page."""
    defaults = Settings.model_construct()
    ports = "\n".join(
        f"| `{process}` | {defaults.metrics_port(process)} | `POINTSTREAM_{process.upper()}_METRICS_PORT` |"
        for process in Process
    )
    introduction = _INTRODUCTION.format(silence=f"{SILENCE_S_MAX:g}", ports=ports, shares=SHARES)
    return introduction + "".join(map(_section, DECLARED))


def write(path: Path = PATH) -> None:
    """Write the page."""
    path.write_text(page(), encoding="utf-8")


def _section(declared: Declared) -> str:
    processes = ", ".join(f"`{process}`" for process in declared.processes)
    labels = [
        f"- `{label}`: {values if isinstance(values, str) else ', '.join(f'`{value}`' for value in values)}"
        for label, values in declared.labels.items()
    ]
    paragraphs = [
        f"## {declared.name}",
        _wrap(f"{_kind(declared)} of {processes}. {declared.says}"),
        "\n".join(map(_wrap, labels)),
        _wrap(f"**What to do.** {declared.advice}"),
    ]
    return "".join(f"\n{paragraph}\n" for paragraph in paragraphs if paragraph)


def _wrap(text: str) -> str:
    indent = "  " if text.startswith("- ") else ""
    return fill(text, COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _kind(declared: Declared) -> str:
    match declared.collector:
        case Counter():
            return "Counter"
        case Gauge():
            return "Gauge"
        case _:
            return "Histogram"


if __name__ == "__main__":
    write()
