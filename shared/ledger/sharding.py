"""Which shard a key belongs to: what Kafka's default partitioner gives, so a keyed topic hands over whole shards."""

from murmurhash2 import murmurhash2

from shared.domain.ids import Shard

_SEED = 0x9747B28C
"""The seed of Kafka's murmur2."""


def shard_of(key: str, shards: int) -> Shard:
    """The shard of a member id, or of an event id, among `shards`."""
    return Shard((murmurhash2(key.encode(), _SEED) & 0x7FFFFFFF) % shards)
