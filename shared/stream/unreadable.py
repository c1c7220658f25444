"""What the Kafka client itself cannot read: no dead letter can be made of it, so the worker stops and says why."""

from aiokafka.errors import UnsupportedCodecError

from shared.stream.claim import Claim


class UnreadableLogError(Exception):
    """The client cannot take a log's records apart. The message says what to do."""


def explained(failure: Exception, claim: Claim) -> Exception:
    """A failure of the client in the words of an operator; any other as it is."""
    if isinstance(failure, UnsupportedCodecError):
        return UnreadableLogError(
            f"a batch of records is packed with a codec that is not installed here ({failure}). Set"
            " compression.type=uncompressed on the topic for what comes from now on, as Pointstream's own topics have"
            " it, and install the package cramjam beside the worker to read what is there"
        )
    if isinstance(failure, UnicodeDecodeError):
        where = ", ".join(f"{item.topic}/{item.partition} from {at}" for item, at in sorted(claim.positions.items()))
        return UnreadableLogError(
            f"a message has a header whose name is no UTF-8, which Kafka's protocol does not allow ({failure}). It"
            f" stands in one of these partitions, at or behind this offset: {where}. Kafka keeps it; to go on behind"
            " it, set next_offset of its partition in consumer_offsets to the offset after it"
        )
    return failure
