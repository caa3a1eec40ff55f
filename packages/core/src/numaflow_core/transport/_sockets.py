"""The sockets of this process, found among its file descriptors."""

import os
import select
import socket
from typing import Final

_DESCRIPTORS: Final = ("/proc/self/fd", "/dev/fd")


def listed_at(path: str) -> list[tuple[int, bool]]:
    """The file descriptors of stream sockets that have this path, as those have that a server listens at or has
    accepted there; and of each whether it has a peer.

    Raises:
        OSError: descriptors cannot be listed.
    """
    return [(number, has_peer) for number in _numbers() if (has_peer := _look(number, path)) is not None]


def _numbers() -> list[int]:
    for folder in _DESCRIPTORS:
        if os.path.isdir(folder):
            return [int(name) for name in os.listdir(folder)]
    raise OSError("this system does not list file descriptors")


def _is_hung_up(number: int) -> bool:
    """Whether the peer has closed its end, be it that our end is still open: older releases of grpc are late with
    that."""
    poll = select.poll()
    poll.register(number, 0)
    return bool(poll.poll(0))


def _look(number: int, path: str) -> bool | None:
    """Whether the socket has a peer; ``None`` for everything else than such a socket."""
    try:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=number)
    except OSError:
        return None  # no socket, or closed in the meantime
    try:
        if sock.getsockname() != path:
            return None
        try:
            sock.getpeername()
        except OSError:
            return False
        return not _is_hung_up(number)
    except OSError:
        return None
    finally:
        sock.detach()
