"""For kinds whose RPCs are not those of the behaviour suite: their servers as processes, and protobuf by hand."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import NamedTuple, NoReturn

from behaviour.fixtures import Launch, launching
from behaviour.kinds import TRANSPORTS, Combination, KindCase, ServerType, TransportName, part

__all__ = ["Launch", "Way", "case", "field", "launcher", "ways"]


class Way(NamedTuple):
    """How a server is run."""

    type: ServerType
    transport: TransportName

    @property
    def id(self) -> str:
        return f"{self.type}-{self.transport}"


def ways(*types: ServerType) -> list[Way]:
    """Each type over each transport, or a part of them."""
    return part([[Way(type_, transport) for type_ in types for transport in TRANSPORTS]])


def _unused(*_: object) -> NoReturn:
    raise AssertionError("this kind has no place in the behaviour suite")


def case(name: str, service: str, method: str, sdk: str) -> KindCase:
    """A kind by name, for ``ServerProcess``."""
    return KindCase(
        name=name,
        service=service,
        method=method,
        sdk=sdk,
        opening=(),
        is_opening_reply=_unused,
        request=_unused,
        answers=_unused,
    )


def launcher(kind: KindCase, script: Path, way: Way, folder: Path) -> Iterator[Launch]:
    """Starts servers of a script that takes the options of ``servers.py``; they end with the test."""
    with launching(Combination(replace(kind, script=script), way.type, way.transport), folder) as launch:
        names = (f"server-{number}" for number in count())
        yield lambda *options: launch(*options, name=next(names)).wait_listening()


def varint(number: int) -> bytes:
    """Protobuf's, written here once more so that tests do not depend on what they test."""
    if number < 0:
        number += 1 << 64
    out = bytearray()
    while number > 127:
        out.append(number % 128 + 128)
        number //= 128
    return bytes([*out, number])


def field(number: int, content: bytes | str | int) -> bytes:
    """A field: a varint, or bytes, a string or a message."""
    if isinstance(content, int):
        return varint(number * 8) + varint(content)
    data = content.encode() if isinstance(content, str) else content
    return varint(number * 8 + 2) + varint(len(data)) + data
