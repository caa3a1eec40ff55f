"""gRPC in headers and trailers."""

import base64
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numaflow_core.wire.headers import check_request, is_grpc, not_grpc, parse_timeout, percent_encode, trailers
from numaflow_core.wire.status import ProtocolError, Status, StatusCode

REQUEST = {":method": "POST", "content-type": "application/grpc"}


@given(st.text())
def test_percent_encoding_is_printable_and_reversible(text: str) -> None:
    encoded = percent_encode(text)
    assert all(0x20 <= ord(character) < 0x7F for character in encoded)
    assert unquote_to_bytes(encoded) == text.encode()


@given(st.text(st.characters(categories=["Cs", "L"])))
def test_percent_encoding_bears_lone_surrogates(text: str) -> None:
    assert percent_encode(text).isascii()


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("plain", "plain"),
        ("50%", "50%25"),
        ("a\nb", "a%0Ab"),
        ("ü", "%C3%BC"),
        ("", ""),
        ("~ !", "~ !"),
        ("\x7f", "%7F"),
    ],
)
def test_percent_encoding(text: str, encoded: str) -> None:
    assert percent_encode(text) == encoded


@given(st.sampled_from(StatusCode), st.text(max_size=50), st.binary(max_size=50))
def test_trailers_tell_the_status(code: StatusCode, message: str, details: bytes) -> None:
    found = dict(trailers(Status(code, message, details)))
    assert found.pop("grpc-status") == str(int(code))
    assert unquote_to_bytes(found.pop("grpc-message", "")) == message.encode()
    encoded = found.pop("grpc-status-details-bin", "")
    assert not encoded.endswith("=")
    assert base64.b64decode(encoded + "=" * (-len(encoded) % 4)) == details
    assert not found


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1H", 3600),
        ("2M", 120),
        ("3S", 3),
        ("4m", 0.004),
        ("5u", 5e-6),
        ("6n", 6e-9),
        ("99999999S", 99_999_999),
        ("0S", 0),
    ],
)
def test_timeout(text: str, seconds: float) -> None:
    assert parse_timeout(text) == pytest.approx(seconds)


@given(st.integers(0, 99_999_999), st.sampled_from("HMSmun"))
def test_every_timeout_of_the_grammar(number: int, unit: str) -> None:
    assert parse_timeout(f"{number}{unit}") >= 0


@given(st.text(max_size=12))
def test_other_timeouts_are_protocol_errors(text: str) -> None:
    valid = 2 <= len(text) <= 9 and text[-1] in "HMSmun" and all(each in "0123456789" for each in text[:-1])
    if valid:
        parse_timeout(text)
        return
    with pytest.raises(ProtocolError, match="grpc-timeout"):
        parse_timeout(text)


@pytest.mark.parametrize("text", ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "1e3S", "123456789S", "²S", "1 S", "1_0S"])
def test_malformed_timeout(text: str) -> None:
    with pytest.raises(ProtocolError, match="malformed grpc-timeout"):
        parse_timeout(text)


@pytest.mark.parametrize(
    "content_type", ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"]
)
def test_grpc_requests_pass(content_type: str) -> None:
    assert is_grpc({**REQUEST, "content-type": content_type})
    assert check_request({**REQUEST, "content-type": content_type}) == []


def test_identity_passes() -> None:
    assert check_request({**REQUEST, "grpc-encoding": "identity"}) == []


def test_other_methods_get_405() -> None:
    headers = {**REQUEST, ":method": "GET"}
    assert not is_grpc(headers)
    assert (":status", "405") in not_grpc(headers)


@pytest.mark.parametrize("headers", [{"content-type": "text/plain"}, {"content-type": ""}, {}])
def test_other_content_types_get_415(headers: dict[str, str]) -> None:
    headers = {":method": "POST", **headers}
    assert not is_grpc(headers)
    assert (":status", "415") in not_grpc(headers)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "identity,gzip", ""])
def test_compression_is_unimplemented_and_told_what_is(encoding: str) -> None:
    answer = dict(check_request({**REQUEST, "grpc-encoding": encoding}))
    assert answer[":status"] == "200"
    assert answer["grpc-status"] == "12"
    assert repr(encoding) in answer["grpc-message"]
    assert answer["grpc-accept-encoding"] == "identity"


def test_what_a_peer_sent_is_cut_in_what_it_is_told() -> None:
    refusal = dict(check_request({**REQUEST, "grpc-encoding": "x" * 10_000}))
    assert refusal["grpc-status"] == "12"
    assert "xxx..." in refusal["grpc-message"]
    assert len(refusal["grpc-message"]) < 400
