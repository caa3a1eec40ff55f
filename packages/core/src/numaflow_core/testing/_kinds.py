"""What the clients of all kinds do: shake hands, ask under ids, and hold the server to what the platform expects of it.

A server that breaks the protocol is an ``AssertionError``, because it is a bug of this SDK and not of the handler.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from google.protobuf.message import Message as WireMessage

from ..kind import Kind
from ..values.datum import BaseDatum
from ..values.durations import Duration, seconds
from ..values.messages import TaggedMessage
from ..values.metadata import UserMetadata, groups_from_wire
from ..values.nack import NackOptions
from ._udf import RawStream, RpcEndedError, UdfClient

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_Request = TypeVar("_Request", bound=WireMessage)
_Reply = TypeVar("_Reply", bound=WireMessage)
_D = TypeVar("_D", bound=BaseDatum)
_M = TypeVar("_M", bound=TaggedMessage)
_A = TypeVar("_A")


class BaseClient:
    """A connection to a server. Use it in a ``with`` statement, or call ``close()``. Kinds derive from it, and add what
    their messages need.

    Its methods block, for ``timeout`` at most: a ``timedelta``, or a number of seconds. Beside a server in the same
    process that runs async handlers, call them on another thread: ``await asyncio.to_thread(client.wait_ready)``.
    """

    _kind: Kind

    def __init__(self, sock_path: str | None = None) -> None:
        """``sock_path`` is the server's socket; by default the one that the platform connects to."""
        self._client = UdfClient(sock_path or self._kind.sock_path)

    def wait_ready(self, timeout: Duration = 30.0) -> None:
        """Wait for the server to come up.

        Raises:
            TimeoutError: it did not within ``timeout``.
        """
        self._client.wait_ready(timeout)

    def is_ready(self, timeout: Duration = 30.0) -> bool:
        """Whether the server answers the platform's probe within ``timeout``."""
        return self._client.is_ready(self._kind.service, timeout)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class KindClient(BaseClient, Generic[_D, _Request, _Reply]):
    """A client of a kind whose requests have ids, and are answered under them."""

    _datum_type: type[_D]
    _request_type: type[_Request]
    _reply_type: type[_Reply]

    def __init__(self, sock_path: str | None = None) -> None:
        """As ``BaseClient``."""
        super().__init__(sock_path)
        self._numbers = count()

    # -- for the kinds

    def _request(self, name: str, datum: _D) -> _Request:
        """A datum as it is sent, under an id."""
        request: Any = self._request_type(request=datum._request)
        request.request.id = name
        return request  # type: ignore[no-any-return]

    def _requests(self, given: Iterable[bytes | _D]) -> dict[str, _Request]:
        """What is to be sent, by id. Bytes become the value of a datum with the current time as its event time; what
        has no id gets one that this client has not given out before. Raises: ValueError where two have the same id."""
        requests: dict[str, _Request] = {}
        for each in given:
            if isinstance(each, BaseDatum):
                datum = each
            else:
                datum = self._datum_type([], each, event_time=datetime.now(timezone.utc), watermark=None)
            name = datum.id or f"request-{next(self._numbers)}"
            if name in requests:
                raise ValueError(f"two requests have the id {name!r}")
            requests[name] = self._request(name, datum)
        return requests

    @contextmanager
    def _exchange(self, timeout: Duration) -> Iterator[Exchange[_Request, _Reply]]:
        """A stream that has shaken hands; it is over at the end of the block, and has ``timeout``."""
        patience = seconds(timeout, "timeout")
        stream = self._client.open(self._kind.rpc)
        try:
            yield Exchange(stream, self._request_type, self._reply_type, monotonic() + patience)
        except TimeoutError:
            raise TimeoutError(f"{self._kind.rpc}: not everything was answered in {patience:.3g} s") from None
        finally:
            stream.cancel()

    def _ask(self, given: Iterable[bytes | _D], timeout: Duration) -> list[_Reply]:
        """Ask for exactly one reply to each request; the replies are in the order of the requests."""
        requests = self._requests(given)
        replies: dict[str, _Reply] = {}
        ids = OpenIds(requests)
        with self._exchange(timeout) as exchange:
            exchange.send(*requests.values())
            exchange.half_close()
            while ids:
                reply: Any = exchange.receive()
                ids.close(reply.id)
                replies[reply.id] = reply
            exchange.finish()
        return [replies[name] for name in requests]

    def _ask_batches(
        self,
        given: Iterable[Iterable[bytes | _D]],
        answers: Callable[[_Reply], Iterable[tuple[str, _A]]],
        timeout: Duration,
    ) -> list[dict[str, _A]]:
        """Send batches over one stream, each when the one before is answered. ``answers`` are those in a reply, by id;
        what is returned is in the order of the requests."""
        batches = [self._requests(batch) for batch in given]
        eot: Any = self._request_type()
        eot.status.eot = True
        done = []
        with self._exchange(timeout) as exchange:
            for batch in batches:
                exchange.send(*batch.values(), eot)
                done.append(exchange.receive_batch(batch, answers))
            exchange.finish()
        return done


class Exchange(Generic[_Request, _Reply]):
    """One stream of a kind that begins with a handshake, in decoded messages and with a deadline.

    Its methods raise ``TimeoutError`` at the deadline, and ``RpcEndedError`` where the server ends the stream first.
    """

    def __init__(self, stream: RawStream, request_type: type[_Request], reply_type: type[_Reply], end: float) -> None:
        """Shakes hands. ``end`` is a time of ``time.monotonic()``."""
        self._stream = stream
        self._reply_type = reply_type
        self._end = end
        handshake: Any = request_type()
        handshake.handshake.sot = True
        self.send(handshake)
        first: Any = self.receive()
        if not first.handshake.sot:
            raise AssertionError(f"the server's first reply is not a handshake: {first}")

    def send(self, *requests: _Request) -> None:
        """Queue requests."""
        self._stream.send(*(request.SerializeToString() for request in requests))

    def half_close(self) -> None:
        """There are no more requests."""
        self._stream.half_close()

    def receive(self) -> _Reply:
        """The next reply."""
        return self._reply_type.FromString(self._stream.receive(self._left()))

    def receive_batch(
        self, ids: Collection[str], answers: Callable[[_Reply], Iterable[tuple[str, _A]]]
    ) -> dict[str, _A]:
        """Replies up to the end of a batch; one answer for each of the ids, in their order."""
        open_ids = OpenIds(ids)
        found: dict[str, _A] = {}
        while True:
            reply: Any = self.receive()
            if reply.status.eot:
                break
            for name, answer in answers(reply):
                open_ids.close(name)
                found[name] = answer
        check_eot(reply)
        if open_ids:
            missing = [name for name in ids if name not in found]
            raise AssertionError(f"the server ended a batch without answers for {', '.join(missing)}")
        return {name: found[name] for name in ids}

    def finish(self) -> None:
        """End the stream; the server is to have nothing more to say, and to agree."""
        self.half_close()
        more = self._stream.rest(self._left())
        outcome = self._stream.status(self._left())
        if outcome.code != "OK":
            raise RpcEndedError(outcome)
        if more:
            raise AssertionError(f"the server sent {len(more)} replies more than it was asked for")

    def _left(self) -> float:
        return max(0.0, self._end - monotonic())


class OpenIds:
    """The ids that were asked for, and which of them are still to be answered; true while there are any."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._is_open = dict.fromkeys(ids, True)
        self._left = len(self._is_open)

    def __bool__(self) -> bool:
        return self._left > 0

    def check(self, id: str) -> None:
        """The server speaks of an id. Raises: AssertionError where that is not open."""
        if not self._is_open.get(id):
            what = "was answered before" if id in self._is_open else "was not asked for"
            raise AssertionError(f"the server answered the id {id!r}, which {what}")

    def close(self, id: str) -> None:
        """The server has answered an id. Raises: AssertionError where that is not open."""
        self.check(id)
        self._is_open[id] = False
        self._left -= 1


def check_eot(reply: Any) -> None:
    """Raises: AssertionError where an eot has results, which the platform would ignore."""
    if reply.results:
        raise AssertionError(f"the server sent {len(reply.results)} results with the eot, where they are ignored")


def read_result(message: _M, wire: Any) -> _M:
    """Give a new message what the results of all kinds have besides the value: keys, tags, metadata, nack options."""
    message._keys = list(wire.keys)
    message._tags = list(wire.tags)
    message._user_metadata = UserMetadata(groups_from_wire(wire.metadata.user_metadata))
    if wire.HasField("nack_options"):
        message._as_nack(NackOptions.read(wire.nack_options))
    return message
