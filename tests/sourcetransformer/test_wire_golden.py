"""Our source transform messages against bytes that other encoders made."""

from datetime import datetime, timezone

from every_kind.golden import (
    NACK_OPTIONS,
    NACK_OPTIONS_WIRE,
    Golden,
    check_decodes,
    check_encodes,
    check_equivalent,
    each,
)
from numaflow_core.values.times import timestamp_to_ns
from numaflow_sourcetransformer import Datum, Message, NackOptions, UserMetadata
from numaflow_sourcetransformer._codec import HANDSHAKE, decode, encode
from numaflow_sourcetransformer._proto.sourcetransform_pb2 import SourceTransformRequest, SourceTransformResponse
from numaflow_sourcetransformer.testing import _result

FULL_REQUEST = Golden(
    SourceTransformRequest,
    r"""
    request {
      keys: "k1"
      keys: "k2"
      value: "\000\001payload\377"
      event_time { seconds: 1700000000 nanos: 123456789 }
      watermark { seconds: 1699999999 nanos: 999000000 }
      headers { key: "traceparent" value: "00-01" }
      id: "1234-0"
      metadata {
        previous_vertex: "in"
        sys_metadata { key: "tracing" value { key_value { key: "traceparent" value: "00-01" } } }
        user_metadata { key: "group" value { key_value { key: "a" value: "\377\000" } } }
      }
    }
    """,
    bytes.fromhex(
        "0a8a010a026b310a026b32120a00017061796c6f6164ff1a0b0880e2cfaa0610959aef3a220c08ffe1cfaa0610c08fae"
        "dc032a140a0b7472616365706172656e74120530302d30313206313233342d303a3b0a02696e12210a0774726163696e"
        "6712160a140a0b7472616365706172656e74120530302d30311a120a0567726f757012090a070a01611202ff00"
    ),
)

# The two handshakes are different fields of their messages.
HANDSHAKE_REQUEST = Golden(SourceTransformRequest, "handshake { sot: true }", bytes.fromhex("12020801"))

HANDSHAKE_RESPONSE = Golden(SourceTransformResponse, "handshake { sot: true }", bytes.fromhex("1a020801"))

RESULTS_RESPONSE = Golden(
    SourceTransformResponse,
    """
    results {
      keys: "k1"
      value: "one"
      event_time { seconds: 1700000000 nanos: 123456789 }
      tags: "even"
      metadata { user_metadata { key: "group" value { key_value { key: "a" value: "1" } } } }
    }
    results { value: "two" event_time { seconds: -62135596800 } }
    results { event_time { seconds: -1 nanos: 999000000 } tags: "U+005C__DROP__" }
    results { event_time { } }
    id: "1234-0"
    """,
    bytes.fromhex(
        "0a310a026b3112036f6e651a0b0880e2cfaa0610959aef3a22046576656e2a131a110a0567726f757012080a060a0161"
        "1201310a12120374776f1a0b088092b8c398feffffff010a231a1108ffffffffffffffffff0110c08faedc03220e552b"
        "303035435f5f44524f505f5f0a021a001206313233342d30"
    ),
)

NACK_RESPONSE = Golden(
    SourceTransformResponse,
    f"""
    results {{
      event_time {{ seconds: 2 }}
      tags: "U+005C__NACK__"
      {NACK_OPTIONS}
    }}
    id: "7"
    """,
    bytes.fromhex(
        "0a 29"  # SourceTransformResponse.results = 1, 41 bytes
        "  1a 02 08 02"  # Result.event_time = 3: Timestamp.seconds = 1, 2
        "  22 0e 552b303035435f5f4e41434b5f5f"  # Result.tags = 4, "U+005C__NACK__"
        f" 32 13 {NACK_OPTIONS_WIRE}"  # Result.nack_options = 6, 19 bytes
        "12 01 37"  # SourceTransformResponse.id = 2, "7"
    ),
)

GOLDENS = {
    "full request": FULL_REQUEST,
    "handshake request": HANDSHAKE_REQUEST,
    "handshake response": HANDSHAKE_RESPONSE,
    "results response": RESULTS_RESPONSE,
    "nack response": NACK_RESPONSE,
}


@each(GOLDENS)
def test_decodes_to_what_was_encoded(golden: Golden) -> None:
    check_decodes(golden)


@each(GOLDENS)
def test_encodes_to_an_equivalent_message(golden: Golden) -> None:
    check_encodes(golden)


def test_what_a_handler_is_given() -> None:
    request, (keys, datum) = decode(FULL_REQUEST.wire)
    assert request.id == "1234-0"
    assert keys == datum.keys == ["k1", "k2"]
    assert datum.id == "1234-0"
    assert datum.value == b"\x00\x01payload\xff"
    assert datum.event_time_ns == 1_700_000_000_123_456_789
    assert datum.watermark_ns == 1_699_999_999_999_000_000
    assert datum.headers == {"traceparent": "00-01"}
    assert datum.previous_vertex == "in"
    assert datum.system_metadata.value("tracing", "traceparent") == b"00-01"
    assert datum.user_metadata.as_dict() == {"group": {"a": b"\xff\x00"}}


def test_what_we_encode_ourselves() -> None:
    assert HANDSHAKE.is_request(HANDSHAKE_REQUEST.wire)
    assert not HANDSHAKE.is_request(FULL_REQUEST.wire)
    assert HANDSHAKE.reply == HANDSHAKE_RESPONSE.wire
    results = [
        Message(b"two", datetime(1, 1, 1, tzinfo=timezone.utc)),
        Message.to_drop(datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=timezone.utc)),
        Message(b"", datetime(1970, 1, 1, tzinfo=timezone.utc)),
    ]
    first = Message(b"one", results[0].event_time, ["k1"], ["even"], UserMetadata({"group": {"a": b"1"}}))
    first._event_time_ns = 1_700_000_000_123_456_789  # finer than a datetime
    request = SourceTransformRequest.Request(id="1234-0")
    check_equivalent(RESULTS_RESPONSE, bytes(encode(request, [first, *results])))


def test_nack_that_we_encode_ourselves() -> None:
    (wire,) = NACK_RESPONSE.decoded.results
    options = NackOptions.read(wire.nack_options)
    nack = Message.to_nack(datetime(1970, 1, 1, 0, 0, 2, tzinfo=timezone.utc), options)
    assert _result(wire) == nack
    check_equivalent(NACK_RESPONSE, bytes(encode(SourceTransformRequest.Request(id="7"), nack)))


def test_drop_for_an_empty_result_is_what_protobuf_writes() -> None:
    response = SourceTransformResponse(id="1234-0")
    result = response.results.add(tags=["U+005C__DROP__"])
    result.event_time.seconds, result.event_time.nanos = 1_700_000_000, 123_456_789
    request, _ = decode(FULL_REQUEST.wire)
    encoded = encode(request, None)
    assert SourceTransformResponse.FromString(bytes(encoded)) == response
    assert timestamp_to_ns(result.event_time) == Datum._view(request, request.id).event_time_ns
