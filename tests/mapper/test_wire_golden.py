"""Our map and status messages against bytes that other encoders made."""

from every_kind.golden import (
    NACK_OPTIONS,
    NACK_OPTIONS_WIRE,
    Golden,
    check_decodes,
    check_encodes,
    check_equivalent,
    each,
)
from numaflow_core._proto import rpc_status_pb2
from numaflow_mapper import DROP, Message, UserMetadata, _batch_codec, _codec, _stream_codec
from numaflow_mapper._proto import map_pb2

FULL_REQUEST = Golden(
    map_pb2.MapRequest,
    r"""
    request {
      keys: "k1"
      keys: "k2"
      value: "\000\001payload\377"
      event_time { seconds: 1700000000 nanos: 123456789 }
      watermark { seconds: 1699999999 nanos: 999000000 }
      headers { key: "X-Numaflow-Id" value: "abc" }
      headers { key: "traceparent" value: "00-01" }
      metadata {
        previous_vertex: "in"
        sys_metadata { key: "tracing" value { key_value { key: "traceparent" value: "00-01" } } }
        user_metadata {
          key: "group"
          value { key_value { key: "a" value: "\377\000" } key_value { key: "b" value: "2" } }
        }
        user_metadata { key: "other" value { } }
      }
    }
    id: "in-1234-0"
    """,
    bytes.fromhex(
        "0aab010a026b310a026b32120a00017061796c6f6164ff1a0b0880e2cfaa0610959aef3a220c08ffe1cfaa0610c08fae"
        "dc032a140a0d582d4e756d61666c6f772d496412036162632a140a0b7472616365706172656e74120530302d3031324e"
        "0a02696e12210a0774726163696e6712160a140a0b7472616365706172656e74120530302d30311a1a0a0567726f7570"
        "12110a070a01611202ff000a060a01621201321a090a056f7468657212001209696e2d313233342d30"
    ),
)

# What the dataplane sends when it has no watermark yet: -1 ms, whose nanos count forward from the second before.
SENTINEL_REQUEST = Golden(
    map_pb2.MapRequest,
    """
    request {
      event_time { seconds: -1 nanos: 999000000 }
      watermark { seconds: -1 nanos: 999000000 }
    }
    id: "in-1-0"
    """,
    bytes.fromhex("0a261a1108ffffffffffffffffff0110c08faedc03221108ffffffffffffffffff0110c08faedc031206696e2d312d30"),
)

HANDSHAKE_REQUEST = Golden(map_pb2.MapRequest, "handshake { sot: true }", bytes.fromhex("1a020801"))

EOT_REQUEST = Golden(map_pb2.MapRequest, "status { eot: true }", bytes.fromhex("22020801"))

RESULTS_RESPONSE = Golden(
    map_pb2.MapResponse,
    """
    results {
      keys: "k1"
      value: "one"
      tags: "even"
      tags: "U+005C__DROP__"
      metadata { user_metadata { key: "group" value { key_value { key: "a" value: "1" } } } }
    }
    results { value: "two" }
    id: "in-1234-0"
    """,
    bytes.fromhex(
        "0a340a026b3112036f6e651a046576656e1a0e552b303035435f5f44524f505f5f22131a110a0567726f757012080a06"
        "0a01611201310a05120374776f1209696e2d313233342d30"
    ),
)

HANDSHAKE_RESPONSE = Golden(map_pb2.MapResponse, "handshake { sot: true }", bytes.fromhex("1a020801"))

EOT_RESPONSE = Golden(
    map_pb2.MapResponse, 'id: "in-1234-0" status { eot: true }', bytes.fromhex("1209696e2d313233342d3022020801")
)

NACK_RESPONSE = Golden(
    map_pb2.MapResponse,
    f"""
    results {{
      value: "v"
      tags: "U+005C__NACK__"
      {NACK_OPTIONS}
    }}
    results {{
      nack_options {{ max_deliveries: 0 }}
    }}
    id: "7"
    """,
    bytes.fromhex(
        "0a 28"  # MapResponse.results = 1, 40 bytes
        "  12 01 76"  # Result.value = 2, "v"
        "  1a 0e 552b303035435f5f4e41434b5f5f"  # Result.tags = 3, "U+005C__NACK__"
        "  2a 13"  # Result.nack_options = 5, 19 bytes
        f"    {NACK_OPTIONS_WIRE}"
        "0a 04"  # MapResponse.results = 1, 4 bytes
        "  2a 02"  # Result.nack_options = 5, 2 bytes
        "    10 00"  # NackOptions.max_deliveries = 2, 0: present, because the field is optional
        "12 01 37"  # MapResponse.id = 2, "7"
    ),
)

# From googleapis-common-protos 1.76.0:
#
#     python -c '
#     from google.protobuf.any_pb2 import Any
#     from google.rpc.error_details_pb2 import DebugInfo
#     from google.rpc.status_pb2 import Status
#     detail = Any()
#     detail.Pack(DebugInfo(stack_entries=["a", "b"], detail="Traceback: \u00e9"))
#     status = Status(code=13, message="UDF_EXECUTION_ERROR(udf): boom", details=[detail])
#     print(status.SerializeToString(deterministic=True).hex())
#     '
STATUS = bytes.fromhex(
    "080d121e5544465f455845435554494f4e5f4552524f5228756466293a20626f6f6d1a410a28747970652e676f6f676c"
    "65617069732e636f6d2f676f6f676c652e7270632e4465627567496e666f12150a01610a0162120d5472616365626163"
    "6b3a20c3a9"
)

GOLDENS = {
    "full request": FULL_REQUEST,
    "sentinel request": SENTINEL_REQUEST,
    "handshake request": HANDSHAKE_REQUEST,
    "eot request": EOT_REQUEST,
    "results response": RESULTS_RESPONSE,
    "handshake response": HANDSHAKE_RESPONSE,
    "eot response": EOT_RESPONSE,
    "nack response": NACK_RESPONSE,
}


@each(GOLDENS)
def test_decodes_to_what_was_encoded(golden: Golden) -> None:
    check_decodes(golden)


@each(GOLDENS)
def test_encodes_to_an_equivalent_message(golden: Golden) -> None:
    check_encodes(golden)


def test_what_we_encode_ourselves() -> None:
    results = [
        Message(b"one", ["k1"], ["even", DROP], UserMetadata({"group": {"a": b"1"}})),
        Message(b"two"),
    ]
    check_equivalent(RESULTS_RESPONSE, bytes(_codec.encode("in-1234-0", results)))
    assert _codec.HANDSHAKE.reply == HANDSHAKE_RESPONSE.wire
    assert _codec.HANDSHAKE.is_request(HANDSHAKE_REQUEST.wire)
    assert not _codec.HANDSHAKE.is_request(FULL_REQUEST.wire)


def test_ends_of_batches_and_streams() -> None:
    batches = _batch_codec._Batches()
    assert batches.eot == EOT_REQUEST.wire, "the eot of a batch is the same in both directions, without an id"
    assert batches.read(EOT_REQUEST.wire) is None
    request = batches.read(FULL_REQUEST.wire)
    assert request is not None
    assert _codec.view(request).id == "in-1234-0"
    encoder = _stream_codec.STREAM.codec.encoder("in-1234-0")  # type: ignore[union-attr]
    assert b"".join(map(bytes, encoder.finish())) == EOT_RESPONSE.wire


def test_fields_of_a_full_request() -> None:
    message = map_pb2.MapRequest.FromString(FULL_REQUEST.wire)
    request = message.request
    assert message.id == "in-1234-0"
    assert not message.HasField("handshake")
    assert not message.HasField("status")
    assert list(request.keys) == ["k1", "k2"]
    assert request.value == b"\x00\x01payload\xff"
    assert request.event_time.ToNanoseconds() == 1_700_000_000_123_456_789
    assert request.watermark.ToMilliseconds() == 1_699_999_999_999
    assert dict(request.headers) == {"X-Numaflow-Id": "abc", "traceparent": "00-01"}
    metadata = request.metadata
    assert metadata.previous_vertex == "in"
    assert {name: dict(group.key_value) for name, group in metadata.sys_metadata.items()} == {
        "tracing": {"traceparent": b"00-01"}
    }
    assert {name: dict(group.key_value) for name, group in metadata.user_metadata.items()} == {
        "group": {"a": b"\xff\x00", "b": b"2"},
        "other": {},
    }


def test_fields_of_a_request_with_the_sentinel_watermark() -> None:
    request = map_pb2.MapRequest.FromString(SENTINEL_REQUEST.wire).request
    assert (request.watermark.seconds, request.watermark.nanos) == (-1, 999_000_000)
    assert request.watermark.ToMilliseconds() == -1
    assert request.event_time.ToNanoseconds() == -1_000_000
    assert not request.HasField("metadata")


def test_fields_of_handshake_and_eot() -> None:
    handshake = map_pb2.MapRequest.FromString(HANDSHAKE_REQUEST.wire)
    assert handshake.handshake.sot
    assert handshake.id == ""
    assert not handshake.HasField("request")
    eot = map_pb2.MapRequest.FromString(EOT_REQUEST.wire)
    assert eot.status.eot
    assert not eot.HasField("handshake")
    answer = map_pb2.MapResponse.FromString(HANDSHAKE_RESPONSE.wire)
    assert answer.handshake.sot
    assert not answer.HasField("status")
    end = map_pb2.MapResponse.FromString(EOT_RESPONSE.wire)
    assert end.status.eot
    assert end.id == "in-1234-0"


def test_fields_of_results() -> None:
    response = map_pb2.MapResponse.FromString(RESULTS_RESPONSE.wire)
    first, second = response.results
    assert response.id == "in-1234-0"
    assert list(first.keys) == ["k1"]
    assert first.value == b"one"
    assert list(first.tags) == ["even", "U+005C__DROP__"]
    assert dict(first.metadata.user_metadata["group"].key_value) == {"a": b"1"}
    assert not first.HasField("nack_options")
    assert second.value == b"two"
    assert not second.HasField("metadata")


def test_fields_of_nack_options() -> None:
    first, second = map_pb2.MapResponse.FromString(NACK_RESPONSE.wire).results
    options = first.nack_options
    assert (options.reason, options.max_deliveries, options.delay) == ("busy", 3, 1500)
    assert dict(options.nack_map) == {"k": "v"}
    # Zero is an option too; absent is another thing.
    assert second.nack_options.HasField("max_deliveries")
    assert second.nack_options.max_deliveries == 0
    assert not second.nack_options.HasField("delay")
    assert not second.nack_options.HasField("reason")


def test_status_details_are_those_of_google_rpc() -> None:
    status = rpc_status_pb2.Status.FromString(STATUS)
    assert status.code == 13
    assert status.message == "UDF_EXECUTION_ERROR(udf): boom"
    (detail,) = status.details
    assert detail.type_url == "type.googleapis.com/google.rpc.DebugInfo"
    debug_info = rpc_status_pb2.DebugInfo.FromString(detail.value)
    assert list(debug_info.stack_entries) == ["a", "b"]
    assert debug_info.detail == "Traceback: é"


def test_status_is_encoded_as_google_rpc_does() -> None:
    debug_info = rpc_status_pb2.DebugInfo(stack_entries=["a", "b"], detail="Traceback: é")
    status = rpc_status_pb2.Status(code=13, message="UDF_EXECUTION_ERROR(udf): boom")
    status.details.add(type_url="type.googleapis.com/google.rpc.DebugInfo", value=debug_info.SerializeToString())
    assert status.SerializeToString(deterministic=True) == STATUS
