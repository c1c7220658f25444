"""Logs: one line an entry, readable in a terminal, JSON where nobody looks (`POINTSTREAM_LOG_JSON=1`)."""

import logging
import os
import sys

import structlog


def configure_logging(worker: str) -> None:
    """Log to standard error; every line names the worker. `POINTSTREAM_LOG_LEVEL` is info unless set."""
    level = logging.getLevelNamesMapping().get(os.environ.get("POINTSTREAM_LOG_LEVEL", "info").upper(), logging.INFO)
    as_json = os.environ.get("POINTSTREAM_LOG_JSON") == "1"
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso" if as_json else "%H:%M:%S", utc=as_json),
            *(
                [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
                if as_json
                else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24)]
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
    structlog.contextvars.bind_contextvars(worker=worker)
    quiet_libraries()
    # Libraries speak up only when something is wrong: their warnings go through the standard library's logging.
    logging.basicConfig(
        level=max(level, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s %(message)s"
    )


def quiet_libraries() -> None:
    """aiokafka tells of every hiccup that it then mends by itself; what it cannot mend comes as an exception."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
