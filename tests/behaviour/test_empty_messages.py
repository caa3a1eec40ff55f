"""Messages without content take memory, too: a stream holds no more of them than it may."""

from hyperframe.frame import WindowUpdateFrame

from numaflow_core.transport import INITIAL_WINDOW, MESSAGE_COST, STREAM_WINDOW

from .conftest import Launch, only
from .harness import Gate, wait_steady
from .kinds import Combination
from .raw import RawPeer, message
from .talk import Talk

FRAME = 16_384
EMPTY = message(b"")
PER_FRAME = FRAME // len(EMPTY)

MOST = STREAM_WINDOW // MESSAGE_COST + INITIAL_WINDOW // len(EMPTY)
"""What fits into a stream, and what was on its way before that was known."""


class Flood:
    """Sends empty messages on a stream of a connection, as many as the server takes."""

    def __init__(self, peer: RawPeer, stream: int) -> None:
        self._peer = peer
        self._stream = stream
        self.count = 0

    def send(self) -> int:
        """Send what there is room for; how many were sent so far."""
        assert self._peer.is_served()
        updates = [frame for frame in self._peer.frames if isinstance(frame, WindowUpdateFrame)]
        granted = INITIAL_WINDOW + sum(frame.window_increment for frame in updates if frame.stream_id == self._stream)
        while (self.count + 2 * PER_FRAME) * len(EMPTY) < granted:
            self._peer.write(self._peer.data(self._stream, EMPTY * PER_FRAME))
            self.count += PER_FRAME
        return self.count


@only(lambda each: each.kind.name == "map" and each.transport == "h2")
def test_empty_messages_to_handlers_that_are_blocked(launch: Launch, combination: Combination, gate: Gate) -> None:
    kind = combination.kind
    server = launch("--concurrency", 1, "--threads", 1, "--workers", 1).wait_listening()
    with server.client() as client, RawPeer(server) as peer:
        blocker = Talk(client, kind)
        blocker.send([("blocks", gate.block())])
        gate.wait_entered(1)
        peer.write(peer.request(1), *(peer.data(1, message(each)) for each in kind.opening))
        flood = Flood(peer, 1)
        assert INITIAL_WINDOW // len(EMPTY) - 3 * PER_FRAME < wait_steady(flood.send, seconds=2) < MOST + 3 * PER_FRAME
        gate.open()
        assert blocker.finish() == [("blocks", gate.block())]
