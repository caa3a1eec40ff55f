"""Messages against bytes that other encoders made.

Where a test does not say otherwise, its bytes come from pynumaflow 0.14.0, whose classes are generated from the
upstream schema. With `pip install pynumaflow==0.14.0`, and the text of a case on standard input:

    python -c '
    import sys
    from google.protobuf.text_format import Parse
    from pynumaflow.proto.mapper import map_pb2
    message = Parse(sys.stdin.read(), getattr(map_pb2, sys.argv[1])())
    print(message.SerializeToString(deterministic=True).hex())
    ' MapRequest

`sinker.sink_pb2` and `sourcetransformer.transform_pb2` are there too.

pynumaflow 0.14.0 has no nack options; bytes with those are written by hand. The byte before a field is its tag, number
times 8 plus wire type (0: varint, 2: length and content), as in 0x2a = 5 * 8 + 2.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from google.protobuf.message import Message
from google.protobuf.text_format import Parse


class Golden(NamedTuple):
    """A message, as text and as bytes."""

    message: type[Message]
    text: str
    wire: bytes

    @property
    def decoded(self) -> Any:
        return self.message.FromString(self.wire)


def each(goldens: Mapping[str, Golden]) -> pytest.MarkDecorator:
    """Runs a test with every ``golden``."""
    return pytest.mark.parametrize("golden", goldens.values(), ids=goldens.keys())


def check_decodes(golden: Golden) -> None:
    """The bytes are the text."""
    # A field that our schema lacks would stay behind as an unknown one, which makes the messages unequal.
    assert golden.decoded == Parse(golden.text, golden.message())


def check_encodes(golden: Golden) -> None:
    """The text is the bytes."""
    encoded = golden.decoded.SerializeToString(deterministic=True)
    # Not byte for byte: the order of map entries is up to the runtime, also in a deterministic encoding.
    assert sorted(encoded) == sorted(golden.wire)
    check_equivalent(golden, encoded)


def check_equivalent(golden: Golden, encoded: bytes) -> None:
    """The bytes of another encoder hold the same message: order is up to it, and whether empty fields are written."""
    assert golden.message.FromString(encoded) == golden.decoded


NACK_OPTIONS = """
    nack_options {
      reason: "busy"
      max_deliveries: 3
      delay: 1500
      nack_map { key: "k" value: "v" }
    }
"""
NACK_OPTIONS_WIRE = (
    "0a 04 62757379"  # NackOptions.reason = 1, "busy"
    "10 03"  # NackOptions.max_deliveries = 2, 3
    "18 dc0b"  # NackOptions.delay = 3, 1500 = 0x5c + 0x0b * 128
    "22 06 0a 01 6b 12 01 76"  # NackOptions.nack_map = 4, an entry: key = 1 "k", value = 2 "v"
)
"""The content of the field, 19 bytes."""
