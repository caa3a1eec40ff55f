"""Which messages the platform has been given and has not answered for yet."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import Final, Protocol

from numaflow_core.values.nack import NackOptions

from ._datatypes import Message, Nack, NackRequest, Offset

logger = logging.getLogger(__name__)

LOST: Final = "the connection was lost before the message was acknowledged"
"""Why the server itself asks a source for a message again: ``NackOptions.reason``."""


class ReadStream(Protocol):
    """A stream of reads, as far as it matters here."""

    gone: bool
    """Whether the stream is over. Once true, it stays true."""


class Delivered:
    """Offsets of messages that were sent and not answered for, each with the stream that it was sent on.

    When such a stream is over, its offsets are lost: the platform that had them may have been restarted, and asks for
    none of them again. All methods may be called on any thread; noting and forgetting a message takes 0.2 us.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._partitions: dict[int, dict[bytes, ReadStream]] = {}  # in each, offsets in the order of sending
        self._seen: set[ReadStream] = set()

    def add(self, stream: ReadStream, messages: Iterable[Message]) -> None:
        """Note messages that are sent on a stream."""
        with self._lock:
            self._seen.add(stream)
            partition = None
            for message in messages:
                offset = message._offset
                if offset._partition_id != partition:
                    partition = offset._partition_id
                    streams = self._partitions.setdefault(partition, {})
                streams[offset._offset] = stream

    def settle(self, offsets: Iterable[Offset]) -> None:
        """Forget messages that the platform has answered for. Unknown ones are passed over."""
        with self._lock:
            partition = None
            for offset in offsets:
                if offset._partition_id != partition:
                    partition = offset._partition_id
                    forget = self._partitions.get(partition, {}).pop
                forget(offset._offset, None)

    def take_lost(self) -> NackRequest | None:
        """What was sent on streams that are over, in the order of sending; it is forgotten here. ``None``: nothing."""
        lost: list[Nack] = []
        with self._lock:
            gone = {stream for stream in self._seen if stream.gone}
            if not gone:
                return None
            self._seen -= gone
            for partition, streams in self._partitions.items():
                for offset in [offset for offset, stream in streams.items() if stream in gone]:
                    del streams[offset]
                    lost.append(Nack(Offset._of(offset, partition), NackOptions(reason=LOST)))
        if not lost:
            return None
        logger.info("a read stream is over with %d messages unanswered: they are to be delivered again", len(lost))
        return NackRequest(lost)
