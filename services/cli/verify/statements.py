"""The statements of the verification. Each stands in a file of its own under `sql/`."""

from functools import partial

from shared.ledger.sql_files import read_sql

_read = partial(read_sql, "services.cli.verify")

ACCOUNTS = _read("accounts")
BUDGETS_BY_JOURNAL = _read("budgets_by_journal")
CONSUMER_OFFSETS = _read("consumer_offsets")
COUNT_ROWS = _read("count_rows")
DEBTS = _read("debts")
EVENTS_CONSUMED = _read("events_consumed")
EVENTS_POSTED = _read("events_posted")
FIND_EVENTS = _read("find_events")
FIND_GAP = _read("find_gap")
FOLLOWING = _read("following")
LOT_BOUNDS = _read("lot_bounds")
LOTS = _read("lots")
MOVEMENTS = _read("movements")
POSITIONS = _read("positions")
POSTINGS_AT = _read("postings_at")
VERSIONS = _read("versions")
WRITE_OFFS = _read("write_offs")
