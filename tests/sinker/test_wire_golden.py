"""Our sink messages against bytes that other encoders made."""

from typing import Any

from every_kind.golden import (
    NACK_OPTIONS,
    NACK_OPTIONS_WIRE,
    Golden,
    check_decodes,
    check_encodes,
    check_equivalent,
    each,
)
from numaflow_core.flows.batch import ExpectedIds
from numaflow_sinker import Message, NackOptions, Response, UserMetadata
from numaflow_sinker._codec import _BATCHES, _HANDSHAKE, spec, view
from numaflow_sinker._proto.sink_pb2 import SinkRequest, SinkResponse
from numaflow_sinker._roles import PRIMARY

FULL_REQUEST = Golden(
    SinkRequest,
    r"""
    request {
      keys: "k1"
      keys: "k2"
      value: "\000\001payload\377"
      event_time { seconds: 1700000000 nanos: 123456789 }
      watermark { seconds: -1 nanos: 999000000 }
      id: "in-1234-0"
      headers { key: "X-Numaflow-Id" value: "abc" }
      metadata {
        previous_vertex: "cat"
        sys_metadata { key: "sink" value { key_value { key: "retry_count" value: "3" } } }
        user_metadata { key: "group" value { key_value { key: "a" value: "\377\000" } } }
      }
    }
    """,
    bytes.fromhex(
        "0a8c010a026b310a026b32120a00017061796c6f6164ff1a0b0880e2cfaa0610959aef3a221108ffffffffffffffffff"
        "0110c08faedc032a09696e2d313233342d3032140a0d582d4e756d61666c6f772d496412036162633a350a0363617412"
        "1a0a0473696e6b12120a100a0b72657472795f636f756e741201331a120a0567726f757012090a070a01611202ff00"
    ),
)

# Handshake and eot are 3 and 2 in requests, and 2 and 3 in responses.
HANDSHAKE_REQUEST = Golden(SinkRequest, "handshake { sot: true }", bytes.fromhex("1a020801"))

EOT_REQUEST = Golden(SinkRequest, "status { eot: true }", bytes.fromhex("12020801"))

HANDSHAKE_RESPONSE = Golden(SinkResponse, "handshake { sot: true }", bytes.fromhex("12020801"))

EOT_RESPONSE = Golden(SinkResponse, "status { eot: true }", bytes.fromhex("1a020801"))

RESULTS_RESPONSE = Golden(
    SinkResponse,
    """
    results { id: "1" }
    results { id: "2" status: FAILURE err_msg: "disk full" }
    results { id: "3" status: FALLBACK }
    results { id: "4" status: SERVE serve_response: "served" }
    results { id: "5" status: SERVE serve_response: "" }
    results {
      id: "6"
      status: ON_SUCCESS
      on_success_msg {
        value: "written"
        keys: "k1"
        keys: "k2"
        metadata { user_metadata { key: "group" value { key_value { key: "a" value: "1" } } } }
      }
    }
    """,
    bytes.fromhex(
        "0a030a01310a100a013210011a096469736b2066756c6c0a050a013310020a0d0a0134100322067365727665640a070a"
        "0135100322000a2d0a013610042a260a077772697474656e12026b3112026b321a131a110a0567726f757012080a060a"
        "0161120131"
    ),
)

NACK_RESPONSE = Golden(
    SinkResponse,
    f"""
    results {{
      id: "7"
      status: NACK
      {NACK_OPTIONS}
    }}
    """,
    bytes.fromhex(
        "0a 1a"  # SinkResponse.results = 1, 26 bytes
        "  0a 01 37"  # Result.id = 1, "7"
        "  10 05"  # Result.status = 2, NACK = 5
        f" 32 13 {NACK_OPTIONS_WIRE}"  # Result.nack_options = 6, 19 bytes
    ),
)

GOLDENS = {
    "full request": FULL_REQUEST,
    "handshake request": HANDSHAKE_REQUEST,
    "eot request": EOT_REQUEST,
    "handshake response": HANDSHAKE_RESPONSE,
    "eot response": EOT_RESPONSE,
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
    request = _BATCHES.read(FULL_REQUEST.wire)
    assert request is not None
    datum = view(request)
    assert datum.id == "in-1234-0"
    assert datum.keys == ["k1", "k2"]
    assert datum.value == b"\x00\x01payload\xff"
    assert datum.event_time_ns == 1_700_000_000_123_456_789
    assert datum.watermark_ns == -1_000_000
    assert datum.headers == {"X-Numaflow-Id": "abc"}
    assert datum.previous_vertex == "cat"
    assert datum.retry_count == 3
    assert datum.user_metadata.as_dict() == {"group": {"a": b"\xff\x00"}}


def test_handshake_and_eot_that_we_encode_ourselves() -> None:
    assert _HANDSHAKE.is_request(HANDSHAKE_REQUEST.wire)
    assert not _HANDSHAKE.is_request(EOT_REQUEST.wire)
    assert _HANDSHAKE.reply == HANDSHAKE_RESPONSE.wire
    assert _BATCHES.read(EOT_REQUEST.wire) is None
    assert _BATCHES.eot == EOT_RESPONSE.wire


def encoded(*responses: Response) -> bytes:
    codec: Any = spec(PRIMARY).codec
    ids = ExpectedIds(_BATCHES.taker)
    encoder = codec.encoder(ids)
    for response in responses:
        ids.expect([response.id])
        assert encoder.add(response) is None
    (wire,) = encoder.finish()
    return bytes(wire)


def test_results_that_we_encode_ourselves() -> None:
    metadata = UserMetadata({"group": {"a": b"1"}})
    wire = encoded(
        Response.as_success("1"),
        Response.as_failure("2", "disk full"),
        Response.as_fallback("3"),
        Response.as_serve("4", b"served"),
        Response.as_serve("5", b""),
        Response.as_on_success("6", Message(b"written", ["k1", "k2"], metadata)),
    )
    check_equivalent(RESULTS_RESPONSE, wire)


def test_nack_that_we_encode_ourselves() -> None:
    (wire,) = NACK_RESPONSE.decoded.results
    check_equivalent(NACK_RESPONSE, encoded(Response.as_nack("7", NackOptions.read(wire.nack_options))))
