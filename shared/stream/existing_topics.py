"""Topics that are there already, perhaps made by the platform: whether an installation can work with them.

What is refused loses events, mixes up what belongs apart, or stops a worker later. All else is the platform's taste.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from aiokafka.admin import NewTopic

from shared.contracts.fields import MAX_MESSAGE_BYTES

RETENTION_MS_MIN = 24 * 60 * 60 * 1000
"""A day: events that are deleted before a worker has read them stop it, and an outage must not come to that."""

FOR_EVER = -1


@dataclass(frozen=True, slots=True)
class Existing:
    """A topic as it is: its number of partitions, and its whole configuration."""

    partitions: int
    configs: Mapping[str, str]


def obstacles(wanted: NewTopic, existing: Existing, *, is_input: bool) -> list[str]:
    """What keeps a topic from the use that `wanted` would be made for, each as a sentence with what it has and needs.

    An input may have any number of partitions, and takes at least the largest event that is read.
    """
    needed: dict[str, str] = wanted.topic_configs
    bytes_min = MAX_MESSAGE_BYTES if is_input else int(needed["max.message.bytes"])
    checked = [
        _partitions(wanted.num_partitions, existing.partitions, any_number=is_input),
        _exactly("cleanup.policy", needed.get("cleanup.policy", "delete"), existing),
        _exactly("message.timestamp.type", needed.get("message.timestamp.type"), existing),
        _at_least("retention.ms", RETENTION_MS_MIN, existing, or_also=[FOR_EVER]),
        _at_least("max.message.bytes", bytes_min, existing),
    ]
    return [obstacle for obstacle in checked if obstacle is not None]


def _partitions(needed: int, has: int, *, any_number: bool) -> str | None:
    return None if any_number or has == needed else f"its number of partitions is {has} and must be {needed}"


def _exactly(config: str, needed: str | None, existing: Existing) -> str | None:
    has = existing.configs[config]
    return None if needed in (None, has) else f"{config} is {has} and must be {needed}"


def _at_least(config: str, least: int, existing: Existing, or_also: Collection[int] = ()) -> str | None:
    has = int(existing.configs[config])
    return None if has >= least or has in or_also else f"{config} is {has} and must be {least} or more"
