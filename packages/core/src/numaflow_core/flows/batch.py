"""Batches: N requests, then an eot that asks for the answers, then the answers and an eot."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from ..kind import Begin, Close, Encoder, Event, Feed, Flow, Release, Reply, RpcSpec, StreamCodec
from ..wire.buffers import Buffer, count_bytes
from .bidi import Handshake, Opening

_T = TypeVar("_T")


class Batch(Protocol[_T]):
    """What a kind has to say about batches."""

    taker: str
    """Begins the messages of errors: ``"a sink handler"``."""

    eot: bytes
    """What is sent after the answers."""

    def read(self, message: Buffer) -> _T | None:
        """Parse a message; ``None`` for the eot. Raises ``ProtocolError``."""

    def ids(self, requests: Sequence[_T]) -> Iterable[str]:
        """The requests' ids, which their answers are to have."""


class ExpectedIds:
    """The call of a batch: the ids in it, and which of them are answered.

    The platform does not mend a batch that is answered wrongly: it sends the whole of it again, for ever, or ends its
    own process. So that is found out here, and is an error of the handler's that names the id.
    """

    __slots__ = ("_left", "_taker")

    def __init__(self, taker: str) -> None:
        """``taker`` begins the messages of errors: ``"a sink handler"``."""
        self._taker = taker
        self._left: dict[str, int] = {}  # how many answers are still to come

    def expect(self, ids: Iterable[str]) -> None:
        """Note requests. An id that comes twice wants two answers."""
        left = self._left
        for each in ids:
            left[each] = left.get(each, 0) + 1

    def answered(self, id: str) -> None:
        """Note an answer.

        Raises:
            ValueError: nobody asked, or there is an answer already.
        """
        left = self._left.get(id)
        if left:
            self._left[id] = left - 1
        elif left is None:
            raise ValueError(
                f"{self._taker} returned a response with the id {id!r}, which is not in the batch: "
                "make responses with the ids of the datums"
            )
        else:
            raise ValueError(f"{self._taker} returned more than one response with the id {id!r}")

    def check(self) -> None:
        """The batch is over.

        Raises:
            ValueError: a request has no answer.
        """
        missing = [each for each, left in self._left.items() if left]
        if missing:
            others = f", nor with {len(missing) - 1} more ids of the batch" if len(missing) > 1 else ""
            raise ValueError(
                f"{self._taker} returned no response with the id {missing[0]!r}{others}: every datum needs one"
            )


class BatchFlow(Flow, Generic[_T]):
    """Batches, strictly one after the other: what comes after an eot waits until the batch before is answered.

    An empty batch is answered without a call. A half-close in the middle of a batch ends the batch.
    """

    def __init__(self, method: str, handshake: Handshake, batch: Batch[_T], *, decode: bool) -> None:
        """``decode``: whether calls are fed with decoded messages, or with what came."""
        self._opening = Opening(method, handshake)
        self._batch = batch
        self._decode = decode
        self._call: ExpectedIds | None = None
        self._closed = False  # the call has had its eot, and is not done
        self._waiting: list[Buffer] = []
        self._half_closed = False

    def receive(self, messages: list[Buffer]) -> Iterable[Event]:
        events: list[Event] = []
        self._take(self._opening.take(messages, events), events)
        return events

    def half_closed(self) -> Iterable[Event]:
        self._half_closed = True
        events: list[Event] = []
        self._close_at_half_close(events)
        return events

    def done(self, call: Any) -> Iterable[Event]:
        self._call = None
        self._closed = False
        events: list[Event] = [Reply((self._batch.eot,))]
        waiting, self._waiting = self._waiting, []
        self._take(waiting, events)
        self._close_at_half_close(events)
        return events

    def _take(self, messages: list[Buffer], events: list[Event]) -> None:
        if self._closed:
            self._waiting += messages
            return
        first = 0
        read = self._batch.read
        requests: list[_T] = []
        for position, message in enumerate(messages):
            request = read(message)
            if request is not None:
                requests.append(request)
                continue
            self._feed(requests, messages[first:position], events)
            if self._call is not None:
                events.append(Release(1, len(message)))
                self._close(self._call, events)
                self._waiting = messages[position + 1 :]
                return
            events += (Reply((self._batch.eot,)), Release(1, len(message)))
            first = position + 1
        self._feed(requests, messages[first:], events)

    def _feed(self, requests: list[_T], messages: list[Buffer], events: list[Event]) -> None:
        if not messages:
            return
        if self._call is None:
            self._call = ExpectedIds(self._batch.taker)
            events.append(Begin(self._call))
        if self._decode:
            self._call.expect(self._batch.ids(requests))
        inputs: Sequence[Any] = requests if self._decode else messages
        events.append(Feed([(self._call, inputs, count_bytes(messages))]))

    def _close(self, call: ExpectedIds, events: list[Event]) -> None:
        self._closed = True
        events.append(Close((call,)))

    def _close_at_half_close(self, events: list[Event]) -> None:
        if self._half_closed and self._call is not None and not self._closed:
            self._close(self._call, events)


class BatchWorkerFlow(Flow, Generic[_T]):
    """A worker process's share of one batch: all messages are its, and the parent half-closes at the eot, which it also
    answers."""

    def __init__(self, batch: Batch[_T]) -> None:
        self._batch = batch
        self._call: ExpectedIds | None = None

    def receive(self, messages: list[Buffer]) -> Iterable[Event]:
        events: list[Event] = []
        if self._call is None:
            self._call = ExpectedIds(self._batch.taker)
            events.append(Begin(self._call))
        requests = [request for request in map(self._batch.read, messages) if request is not None]
        assert len(requests) == len(messages), "the parent keeps the eot"
        self._call.expect(self._batch.ids(requests))
        events.append(Feed([(self._call, requests, count_bytes(messages))]))
        return events

    def half_closed(self) -> Iterable[Event]:
        return () if self._call is None else (Close((self._call,)),)


def batch_spec(
    method: str,
    handshake: Handshake,
    batch: Batch[_T],
    view: Callable[[_T], Any],
    items: Callable[[Any], Iterable[Any]],
    encoder: Callable[[ExpectedIds], Encoder],
) -> RpcSpec:
    """How a kind's batches are served: the handler is called with an iterator of the batch's datums.

    Args:
        method: the RPC's name.
        handshake: opens a stream.
        batch: the kind's messages.
        view: a request to a datum.
        items, encoder: as in ``StreamCodec``.
    """

    def call(handler: Callable[..., Any], inbox: Any) -> tuple[Any, Any]:
        return inbox.call, handler(inbox.inputs(view))

    return RpcSpec(
        new_flow=lambda: BatchFlow(method, handshake, batch, decode=True),
        new_parent_flow=lambda: BatchFlow(method, handshake, batch, decode=False),
        new_worker_flow=lambda: BatchWorkerFlow(batch),
        codec=StreamCodec(call, items, encoder),
    )
