"""Batches of requests, each of which wants its answer: what batch map and sink have in common."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from .flow import Batch, BatchFlow, Handshake, PartFlow
from .kind import OpenCalls
from .strategy import Encoder, StreamCodec

_T = TypeVar("_T")


class ExpectedIds:
    """The ids of a batch, and which of them are answered.

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


def batch_calls(
    method: str,
    handshake: Handshake,
    batch: Batch[_T],
    view: Callable[[_T], Any],
    items: Callable[[Any], Iterable[Any]],
    encoder: Callable[[Any], Encoder],
) -> OpenCalls:
    """How a kind's batches become calls: the handler is called with an iterator of the batch's datums.

    Args:
        method: the RPC's name.
        handshake: opens a stream.
        batch: the kind's messages.
        view: a request to a datum.
        items, encoder: as in ``StreamCodec``.
    """

    def call(handler: Callable[..., Any], batch: Any) -> tuple[Any, Any]:
        return batch.token, handler(batch.inputs(view))

    return OpenCalls(
        new_flow=lambda desk: BatchFlow(desk, method, handshake, batch, decode=True),
        new_parent_flow=lambda desk: BatchFlow(desk, method, handshake, batch, decode=False),
        new_part_flow=lambda desk: PartFlow(desk, batch),
        codec=StreamCodec(call, items, encoder),
    )
