"""Record batches as other producers make them: with a codec, or with header names, that this client cannot write."""

import struct

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.util import calc_crc32c

_HEADER_BYTES = 61
_LENGTH_AT, _CRC_AT, _ATTRIBUTES_AT = 8, 17, 21
ZSTD = 4
"""The codec's number in the attributes of a batch."""


class _Name(str):
    """A header name with bytes of its own."""

    raw: bytes

    def encode(self, *_: object) -> bytes:
        return self.raw


def header_name(raw: bytes) -> str:
    """A header name that is these bytes in the log."""
    name = _Name("name")
    name.raw = raw
    return name


def batch_of(values: list[bytes], headers: list[tuple[str, bytes]] | None = None, codec: int = 0) -> bytes:
    """A record batch with these values; for zstd in one frame of raw blocks, which needs no compressor."""
    builder = _DefaultRecordBatchBuilderPy(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    for number, value in enumerate(values):
        builder.append(number, timestamp=1_767_225_600_000, key=b"any", value=value, headers=headers or [])
    batch = bytearray(builder.build())
    if codec == ZSTD:
        batch[_HEADER_BYTES:] = _zstd_frame(bytes(batch[_HEADER_BYTES:]))
    struct.pack_into(">i", batch, _LENGTH_AT, len(batch) - _LENGTH_AT - 4)
    struct.pack_into(">h", batch, _ATTRIBUTES_AT, codec)
    struct.pack_into(">I", batch, _CRC_AT, calc_crc32c(bytes(batch[_ATTRIBUTES_AT:])))
    return bytes(batch)


def _zstd_frame(data: bytes) -> bytes:
    """RFC 8878: a frame of one segment, its content size in four bytes, in one raw block."""
    size = len(data)
    block = struct.pack("<I", size << 3 | 1)[:3]
    return b"\x28\xb5\x2f\xfd" + bytes([0b10100000]) + struct.pack("<I", size) + block + data


class _Ready:
    """A batch that is built already."""

    def __init__(self, batch: bytes) -> None:
        self._batch = batch

    def build(self) -> bytearray:
        return bytearray(self._batch)

    def size(self) -> int:
        return len(self._batch)


async def send_batch(kafka: str, topic: str, batch: bytes, records: int) -> None:
    """Send a batch to partition 0."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all")
    await producer.start()
    try:
        builder = producer.create_batch()
        for _ in range(records):
            builder.append(timestamp=None, key=b"any", value=b"")
        builder._builder = _Ready(batch)
        await (await producer.send_batch(builder, topic, partition=0))
    finally:
        await producer.stop()
