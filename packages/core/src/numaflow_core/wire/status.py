"""How an RPC ended: a gRPC status with its message and details."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class StatusCode(IntEnum):
    """The gRPC status codes that a server of ours sends."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


@dataclass(frozen=True)
class Status:
    """What the trailers say."""

    code: StatusCode
    message: str = ""
    details: bytes = b""
    """A serialized ``google.rpc.Status`` for the trailer ``grpc-status-details-bin``; empty: no such trailer."""


OK: Final = Status(StatusCode.OK)


class ProtocolError(Exception):
    """The peer broke the protocol on one stream. The stream ends with ``status``; the server goes on."""

    def __init__(self, message: str, code: StatusCode = StatusCode.INVALID_ARGUMENT) -> None:
        super().__init__(message)
        self.status = Status(code, message)
