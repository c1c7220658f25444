"""The ledger's statements. Each stands in a file of its own under `sql/`, with a sentence on what it is for."""

from importlib.resources import files

_FOLDER = files("shared.ledger") / "sql"


def _read(name: str) -> str:
    return _FOLDER.joinpath(f"{name}.sql").read_text(encoding="utf-8")


ADVANCE_OFFSETS = _read("advance_offsets")
CLAIM_PARTITIONS = _read("claim_partitions")
CLEAR_DEBTS = _read("clear_debts")
FIND_CONSUMED = _read("find_consumed")
FIND_DUE_ACCOUNTS = _read("find_due_accounts")
FIND_ORDERS = _read("find_orders")
LOAD_DEBTS = _read("load_debts")
LOAD_DUE_LOTS = _read("load_due_lots")
LOCK_ACCOUNTS = _read("lock_accounts")
READ_ACCOUNT = _read("read_account")
READ_MOVEMENTS = _read("read_movements")
READ_MOVEMENTS_AT = _read("read_movements_at")
READ_OFFSETS = _read("read_offsets")
READ_POSTINGS = _read("read_postings")
READ_STATEMENT = _read("read_statement")
TAKE_POSITIONS = _read("take_positions")
UPDATE_ACCOUNTS = _read("update_accounts")
UPDATE_LOTS = _read("update_lots")
