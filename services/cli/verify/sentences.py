"""What is wrong, in words: a sentence for each problem that a statement can name, and what shows more of it."""

import shlex
from collections.abc import Mapping

from services.cli.plain import plain

_AT = "shard {shard}, position {pos}"
_MEMBER = "pointstream member {member_argument} --installation {installation}"
_POSTING = "SELECT * FROM postings WHERE shard = {shard} AND pos = {pos}"
_MOVEMENTS = "SELECT * FROM movements WHERE shard = {shard} AND pos = {pos}"
_POSTINGS_OF_MEMBER = "SELECT * FROM postings WHERE shard = {shard} AND member_id = {member_sql} ORDER BY pos"
_ACCOUNT = "SELECT * FROM accounts WHERE shard = {shard} AND member_id = {member_sql}"
_LOTS = "SELECT * FROM lots WHERE shard = {shard} AND member_id = {member_sql} ORDER BY lot_id"
_DEBTS = "SELECT * FROM debts WHERE shard = {shard} AND member_id = {member_sql} ORDER BY debt_no"
_WRITE_OFFS = "SELECT * FROM write_offs WHERE shard = {shard} AND member_id = {member_sql} ORDER BY version"
_EVENT = "SELECT * FROM consumed_events WHERE source = {source_sql} AND event_id = {event_sql}"
_POSTINGS_OF_EVENT = "SELECT * FROM postings WHERE source = {source_sql} AND event_id = {event_sql}"

_BUDGET = "SELECT * FROM budgets LEFT JOIN budget_leases USING (budget_id, per, period) WHERE budget_id = {budget_sql}"
_HEAD = "SELECT * FROM shard_heads WHERE shard = {shard}"
_POSTINGS_AROUND = "SELECT * FROM postings WHERE shard = {shard} AND pos BETWEEN {first} AND {last} ORDER BY pos"
_OFFSETS = "SELECT * FROM consumer_offsets WHERE topic = {topic_sql} ORDER BY consumer_group, partition"
_RECORD = "{topic}/{shard}, offset {offset}"

_PROBLEMS: dict[str, tuple[str, str]] = {
    "no_head": ("shard {shard}: it has no head", _HEAD),
    "position_gap": ("shard {shard}: position {pos} has no posting, and the head is {head}", _POSTINGS_AROUND),
    "beyond_head": ("shard {shard}: the journal goes on to position {last}, the head is {first}", _POSTINGS_AROUND),
    "version_gap": (
        f"member {{member_id}}: version {{version}} ({_AT}) follows version {{before}}",
        _POSTINGS_OF_MEMBER,
    ),
    "account_without_posting": (
        "member {member_id}: the account has version {account_version}, but shard {shard} has no posting of it",
        _ACCOUNT,
    ),
    "posting_without_account": (
        f"member {{member_id}}: there is a posting of version {{version}} ({_AT}), but no account",
        _POSTINGS_OF_MEMBER,
    ),
    "account_version": (
        f"member {{member_id}}: the account has version {{account_version}}, the last posting {{version}} ({_AT})",
        _POSTINGS_OF_MEMBER,
    ),
    "account_balances": (
        (
            f"member {{member_id}}: the account has the balances {{balances}}, its last posting ({_AT}) has"
            " {posting_balances}"
        ),
        _MEMBER,
    ),
    "account_due": (
        f"member {{member_id}}: the account's next due instant is not that of the last posting ({_AT})",
        _ACCOUNT,
    ),
    "balance": (
        "member {member_id}: movements come to {moved} {wallet} {bucket}, the account has {balance}",
        _MEMBER,
    ),
    "movement_without_posting": (f"{_AT}: there are movements, but no posting", _MOVEMENTS),
    "posting_without_movement": (f"member {{member_id}}: the posting at {_AT} has no movement", _POSTING),
    "lots_available": (
        "member {member_id}: the lots hold {held} {wallet} that are available, the account has {balance}",
        _LOTS,
    ),
    "lots_pending": (
        "member {member_id}: the lots hold {held} {wallet} that are pending, the account has {balance}",
        _LOTS,
    ),
    "lots_expired": (
        "member {member_id}: {held} {wallet} of the lots ended unspent, the account has {balance}",
        _LOTS,
    ),
    "lots_due": ("member {member_id}: the account's next due instant is not the first one of its lots", _LOTS),
    "lot_bounds": ("member {member_id}: lot {lot_id} holds {remaining} of {issued} {wallet}", _LOTS),
    "debt": ("member {member_id}: {owed} {wallet} are owed for orders, the account's debt is {debt}", _DEBTS),
    "write_off": (
        "member {member_id}: {open} {wallet} were let go and not made good, the account has {written_off} written off",
        _WRITE_OFFS,
    ),
    "budget": (
        "budget {budget_id}, {period}: {used} units are used of it, but the journal comes to {moved}",
        _BUDGET,
    ),
    "budget_exceeded": (
        "budget {budget_id}, {period}: {used} units are used of it, but it has {size}",
        _BUDGET,
    ),
    "outcome_unknown": (
        "{events} events have the outcome {outcome}, which does not exist",
        "SELECT * FROM consumed_events WHERE outcome = {outcome_sql}",
    ),
    "events_differ": (
        "the events that were posted and those that the journal names are not the same",
        "SELECT source, event_id, count(*) FROM consumed_events GROUP BY 1, 2 HAVING count(*) > 1",
    ),
    "posted_without_posting": (
        "event {event_id} of {source}: its outcome is {outcome}, but there is no posting of it for member {member_id}",
        _EVENT,
    ),
    "posting_without_event": (
        f"event {{event_id}} of {{source}}: member {{member_id}} has a posting of it ({_AT}), but it was not consumed",
        _POSTING,
    ),
    "following_without_event": (
        f"event {{event_id}} of {{source}}: something followed for member {{member_id}} ({_AT}), but it never came",
        _POSTING,
    ),
    "followed_twice": (
        f"event {{event_id}} of {{source}}: something followed {{postings}} times for member {{member_id}} ({_AT})",
        _POSTINGS_OF_EVENT,
    ),
    "refused_with_posting": (
        (
            "event {event_id} of {source}: its outcome is {outcome}, but member {member_id} has a posting of it"
            f" ({_AT})"
        ),
        _EVENT,
    ),
    "posted_twice": (
        f"event {{event_id}} of {{source}}: it has {{postings}} postings, one at {_AT} for member {{member_id}}",
        _POSTINGS_OF_EVENT,
    ),
    "posted_to_another": (
        (
            "event {event_id} of {source}: it is about member {consumed_member_id}, but its posting"
            f" ({_AT}) is about member {{member_id}}"
        ),
        _POSTINGS_OF_EVENT,
    ),
    "published_ahead": (
        "shard {shard}: it is published up to position {position}, but the journal ends at {head}",
        _HEAD,
    ),
    "read_ahead": (
        "group {consumer_group}: {topic}/{partition} is read up to offset {next_offset}, but the log ends at {end}",
        _OFFSETS,
    ),
    "deleted_unread": (
        (
            "group {consumer_group}: {topic}/{partition} is read up to offset {next_offset}, but the log begins at"
            " {beginning}"
        ),
        _OFFSETS,
    ),
    "redis_ahead": (
        "shard {shard}: Redis has applied the journal up to position {position}, but it ends at {head}",
        _HEAD,
    ),
    "redis": (
        "member {member_id}: Redis shows {cached} at version {version}, the journal {balances}",
        _MEMBER,
    ),
    "redis_due": (
        "member {member_id}: Redis shows another next due instant at version {version} than the journal",
        _MEMBER,
    ),
    "redis_version": (
        "member {member_id}: Redis shows version {version}, which shard {shard} has no posting of",
        _POSTINGS_OF_MEMBER,
    ),
    "record_unknown": (f"{_RECORD}: the record is of no posting of shard {{shard}}", _POSTINGS_AROUND),
    "record_again": (f"{_RECORD}: position {{first}} comes after position {{last}}", _POSTINGS_AROUND),
    "record_not_posted": (f"{_RECORD}: position {{last}} is not in the journal", _POSTINGS_AROUND),
    "record_differs": (
        f"{_RECORD}: the record of member {{member_id}}, position {{pos}}, has another {{part}} than the journal",
        _POSTING,
    ),
    "record_missing": ("{topic}/{shard}: position {pos} is missing", _POSTING),
    "records_missing": ("{topic}/{shard}: positions {first} to {last} are missing", _POSTINGS_AROUND),
    "running_balance": (
        (
            f"member {{member_id}}: the posting of version {{version}} ({_AT}) states the balances {{balances}}; the"
            " one before it and its movements come to {expected}"
        ),
        _POSTINGS_OF_MEMBER,
    ),
}

_LITERALS = {
    "member_sql": "member_id",
    "source_sql": "source",
    "event_sql": "event_id",
    "outcome_sql": "outcome",
    "topic_sql": "topic",
    "budget_sql": "budget_id",
}
"""Facts that a statement needs as text."""


def tell(problem: str, installation: str, facts: Mapping[str, object]) -> tuple[str, str]:
    """The sentence for a problem, and what shows more of it. Ids from outside are made harmless for a terminal."""
    sentence, more = _PROBLEMS[problem]
    words = {name: "nothing" if value is None else plain(str(value)) for name, value in facts.items()}
    words["installation"] = installation
    words["member_argument"] = shlex.quote(words.get("member_id", ""))
    for name, fact in _LITERALS.items():
        words[name] = _literal(words.get(fact, ""))
    return sentence.format_map(words), more.format_map(words)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
