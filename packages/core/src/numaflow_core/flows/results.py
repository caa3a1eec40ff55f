"""Results of windows on their way out, for the kinds whose responses hold one result and its window."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..kind import Encoder
from ..values.messages import WindowMessage
from ..wire.buffers import Outgoing
from ..wire.protobuf import results_encoder


class Beginning(Protocol):
    """What knows the window of a call's results."""

    @property
    def response(self) -> bytes:
        """What responses begin with: the field that holds the window, as bytes. Looked at for each result."""


def window_encoder(response: Any, message: type[WindowMessage], taker: str) -> Callable[[Beginning], Encoder]:
    """A class of encoders, which hold nothing but the window: there may be one for each of a million keys.

    Args:
        response: the class of responses; its fields ``result`` and, in there, ``keys``, ``value`` and ``tags`` are set.
        message: what results have to be.
        taker: what the error for another result begins with (``"a reduce stream handler"``).
    """
    result = response.Result
    complaint = f"{taker} must make {message.__name__} objects"

    def more(each: WindowMessage) -> bytes:
        return result(tags=each._tags).SerializeToString() if each._tags else b""

    encode = results_encoder(response.RESULT_FIELD_NUMBER, result.KEYS_FIELD_NUMBER, result.VALUE_FIELD_NUMBER, more)

    class WindowEncoder:
        __slots__ = ("_window",)

        def __init__(self, window: Beginning) -> None:
            self._window = window

        def add(self, each: Any, /) -> Outgoing:
            if not isinstance(each, message):
                raise TypeError(f"{complaint}, got {type(each).__name__}: {each!r:.80}")
            return encode(self._window.response, (each,))

        def finish(self) -> Sequence[Outgoing]:
            return ()

    return WindowEncoder
