"""What is enclosed in requests that carry nothing for a handler: the id and the payload of other kinds' requests.

They are in fields that the schema does not have, and that every reader of the schema therefore passes over. The kinds
under test do so too; ``enclosed_handlers.py`` looks at the bytes before they do.
"""

from google.protobuf.descriptor_pb2 import UninterpretedOption
from google.protobuf.message import DecodeError

from numaflow_core.wire.buffers import Buffer


def enclosure(id: str, payload: bytes) -> bytes:
    """To be appended to a serialized request. Of protobuf's own messages this is one that has a string and bytes, under
    numbers that none of the requests uses: 3 and 7."""
    return UninterpretedOption(identifier_value=id, string_value=payload).SerializeToString()


def enclosed(message: Buffer) -> tuple[str, bytes]:
    """The id and the payload in a message; empty where there is none."""
    try:
        found = UninterpretedOption.FromString(bytes(message))
    except DecodeError:
        return "", b""
    return found.identifier_value, found.string_value
