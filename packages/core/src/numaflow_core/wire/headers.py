"""gRPC in HTTP/2 headers and trailers: statuses, timeouts, percent-encoding, binary values. No IO."""

import base64
from typing import Final

from .status import OK, ProtocolError, Status, StatusCode

Headers = list[tuple[str, str]]

_SHOWN: Final = 200
_PLAIN: Final = frozenset(range(0x20, 0x7F)) - {0x25}
_TIMEOUT_UNITS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}

ACCEPT_ENCODING: Final = ("grpc-accept-encoding", "identity")
"""Compressed messages are refused: a few KB may become a thousand times as much, and the platform sends none."""

RESPONSE: Final[Headers] = [(":status", "200"), ("content-type", "application/grpc"), ACCEPT_ENCODING]


def percent_encode(text: str) -> str:
    """``grpc-message``: UTF-8, everything but printable ASCII escaped."""
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in text.encode("utf-8", "replace"))


def trailers(status: Status) -> Headers:
    """The trailers that tell ``status``."""
    headers = [("grpc-status", str(int(status.code)))]
    if status.message:
        headers.append(("grpc-message", percent_encode(status.message)))
    if status.details:
        headers.append(("grpc-status-details-bin", base64.b64encode(status.details).rstrip(b"=").decode("ascii")))
    return headers


def parse_timeout(text: str) -> float:
    """``grpc-timeout`` in seconds. Raises: ProtocolError for a malformed value."""
    digits, unit = text[:-1], text[-1:]
    if not (1 <= len(digits) <= 8 and digits.isascii() and digits.isdigit() and unit in _TIMEOUT_UNITS):
        raise ProtocolError(f"malformed grpc-timeout {shorten(text)!r}", StatusCode.INTERNAL)
    return int(digits) * _TIMEOUT_UNITS[unit]


def is_grpc(headers: dict[str, str]) -> bool:
    """Whether a request is gRPC at all."""
    return headers.get(":method") == "POST" and headers.get("content-type", "").startswith("application/grpc")


def not_grpc(headers: dict[str, str]) -> Headers:
    """The headers of the answer to a request that is not."""
    if headers.get(":method") != "POST":
        return [(":status", "405"), ("allow", "POST"), ("content-type", "text/plain")]
    return [(":status", "415"), ("content-type", "text/plain")]


def check_request(headers: dict[str, str]) -> Headers:
    """What to answer at once to a gRPC request that is not as we serve it; empty when all is well."""
    encoding = headers.get("grpc-encoding", "identity")
    if encoding != "identity":
        return [
            *RESPONSE,
            *trailers(Status(StatusCode.UNIMPLEMENTED, f"grpc-encoding {shorten(encoding)!r} is not supported")),
        ]
    return []


def shorten(text: str) -> str:
    """What a peer sent, as much of it as belongs into a message or a log line."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def ended(status: Status) -> str:
    """A status as a log line says it."""
    return "OK" if status == OK else f"{status.code.name}: {status.message}"
