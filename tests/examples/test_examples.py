"""Every example runs as a process of its own, answers as its README says, and ends well."""

import gzip
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

import numaflow_sinker as sinker
import numaflow_sourcetransformer as transformer
from numaflow_mapper import DROP, Datum, Message, Messages, UserMetadata
from numaflow_mapper.testing import BatchMapClient, MapClient, MapStreamClient
from numaflow_sinker import Response
from numaflow_sinker.testing import SinkClient
from numaflow_sourcetransformer.testing import SourceTransformClient

from .running import EXAMPLES, FOLDERS, example


def datum(value: bytes, *keys: str) -> Datum:
    now = datetime.now(timezone.utc)
    return Datum(keys, value, event_time=now, watermark=now)


def test_flatmap_forwards_the_parts_that_are_not_empty(tmp_path: Path) -> None:
    with example("map/flatmap", tmp_path, MapClient) as client:
        parts, nothing = client.map([datum(b"apple, banana,,cherry", "fruit"), b",,"])
    assert list(parts) == [Message(value, keys=["fruit"]) for value in (b"apple", b"banana", b"cherry")]
    assert list(nothing) == []


def test_even_odd_tags_numbers_and_drops_the_rest(tmp_path: Path) -> None:
    with example("map/even_odd", tmp_path, MapClient) as client:
        results = client.map([datum(b"4", "k"), b"7", b"-3", b"0", b"seven", b""])
    assert [(m.value, m.tags) for result in results for m in result] == [
        (b"4", ["even"]),
        (b"7", ["odd"]),
        (b"-3", ["odd"]),
        (b"0", ["even"]),
        (b"", [DROP]),
        (b"", [DROP]),
    ]
    assert results[0][0].keys == ["k"]


def test_cpu_heavy_counts_primes_in_its_workers(tmp_path: Path) -> None:
    numbers = {0: 0, 2: 0, 3: 1, 10: 4, 100: 25, 1_000_000: 78_498}
    with example("map/cpu_heavy", tmp_path, MapClient) as client:
        results = client.map([*(str(number).encode() for number in numbers), b"many", b"-5", b"10000001"])
    assert [result[0] for result in results] == [
        *(Message(str(count).encode(), keys=[str(number)]) for number, count in numbers.items()),
        Message.to_drop(),
        Message(b"0", keys=["-5"]),
        Message.to_drop(),
    ]


def test_word_count_forwards_words_in_lower_case_as_keys(tmp_path: Path) -> None:
    with example("map/word_count", tmp_path, MapClient) as client:
        results = client.map(["The cat's away; the\tCAT - été 1776".encode(), b"", b"\xff\xfe"])
    assert list(results[0]) == [
        Message(word.encode(), keys=[word]) for word in ("the", "cat's", "away", "the", "cat", "été")
    ]
    assert list(results[1]) == []
    assert list(results[2]) == []


def test_lookup_names_what_it_knows(tmp_path: Path) -> None:
    codes = [b"LIS", b"xyz", b" osl\n", b"\xff", b"LIS"]
    with example("batchmap/lookup", tmp_path, BatchMapClient) as client:
        results = client.map([datum(b"AMS", "k"), *codes])
        assert client.map_batches([[b"BER"]] * 3) == [[Messages(Message(b"BER Berlin Brandenburg"))]] * 3
    assert results == [
        Messages(Message(b"AMS Amsterdam Schiphol", keys=["k"])),
        Messages(Message(b"LIS Lisbon Humberto Delgado")),
        Messages(),
        Messages(Message(b"OSL Oslo")),
        Messages(),
        Messages(Message(b"LIS Lisbon Humberto Delgado")),
    ]


def test_gunzip_streams_lines(tmp_path: Path) -> None:
    lines = [b"%d" % number for number in range(5_000)]
    two_files = gzip.compress(b"a\r\n\nb\n") + gzip.compress(b"c")
    with example("mapstream/gunzip", tmp_path, MapStreamClient) as client:
        short, long = client.map([datum(two_files, "k"), gzip.compress(b"\n".join(lines))])
        streamed = client.stream(gzip.compress(bytes(5_000_000)))
        parts = [len(message.value) for message in streamed]
    assert list(short) == [Message(line, keys=["k"]) for line in (b"a", b"", b"b", b"c")]
    assert [message.value for message in long] == lines
    assert parts == [1024 * 1024] * 4 + [5_000_000 - 4 * 1024 * 1024]


def test_gunzip_forwards_what_it_can(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(b"%d\n" % number for number in range(10_000)))
    spoilt = whole[: len(whole) // 2] + b"\xff" * 100 + whole[len(whole) // 2 :]
    with example("mapstream/gunzip", tmp_path, MapStreamClient) as client:
        cut, broken, other, nothing = client.map([whole[:-2000], spoilt, b"not compressed", b""])
    for found in (cut, broken):
        assert 1000 < len(found) < 10_000
    assert [message.value for message in cut[:1000]] == [b"%d" % number for number in range(1000)]
    assert (list(other), list(nothing)) == ([], [])
    assert (tmp_path / "log").read_text().count("ends early") == 3


ARRIVED = datetime(2024, 7, 1, 12, 0, 0, 123_456, tzinfo=timezone.utc)


def event(payload: bytes) -> transformer.Datum:
    metadata = UserMetadata({"g": {"k": b"v"}})
    return transformer.Datum(["k"], payload, ARRIVED, None, user_metadata=metadata)


def test_event_time_filter_takes_the_time_from_the_payload(tmp_path: Path) -> None:
    cases = {
        b'{"at": "2022-01-01T00:00:00Z"}': (datetime(2022, 1, 1), "within-2022"),
        b'{"at": "2022-12-31T23:59:59.999999"}': (datetime(2022, 12, 31, 23, 59, 59, 999_999), "within-2022"),
        b'{"at": "2023-01-01T00:30:00+01:00"}': (datetime(2022, 12, 31, 23, 30), "within-2022"),
        b'{"at": "2023-01-01T00:00:00+00:00"}': (datetime(2023, 1, 1), "after-2022"),
    }
    with example("sourcetransform/event_time_filter", tmp_path, SourceTransformClient, TZ="Asia/Tokyo") as client:
        results = client.transform(map(event, cases))
    for (payload, (time, tag)), (message,) in zip(cases.items(), results, strict=True):
        assert (message.value, message.keys, message.tags) == (payload, ["k"], [tag])
        assert message.event_time == time.replace(tzinfo=timezone.utc)
        assert message.user_metadata.as_dict() == {"g": {"k": b"v"}}


def test_event_time_filter_drops_at_the_time_of_arrival(tmp_path: Path) -> None:
    payloads = [
        b'{"at": "2021-12-31T23:59:59Z"}',
        b'{"at": "0001-01-01T00:00:00+14:00"}',
        b'{"at": "yesterday"}',
        b'{"at": 7}',
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b"",
    ]
    with example("sourcetransform/event_time_filter", tmp_path, SourceTransformClient) as client:
        results = client.transform(map(event, payloads))
    assert results == [transformer.Messages(transformer.Message.to_drop(ARRIVED))] * len(payloads)


def test_log_sink_logs(tmp_path: Path) -> None:
    with example("sink/log", tmp_path, SinkClient) as client:
        found = client.sink([b"hello", b"\xff"])
    assert found == {each: Response.as_success(each) for each in ("request-0", "request-1")}
    log = (tmp_path / "log").read_text(encoding="utf-8")
    assert "request-0: hello\n" in log
    assert "request-1: \ufffd\n" in log


ORDERS = [b'{"order": 7}', b"{}", b"[]", b"\xff", b'{"order": "many"}', b'{"order": null}', b'{"order": 8}']


def test_three_roles_primary_writes_or_hands_over(tmp_path: Path) -> None:
    def receipt(id: str, order: int) -> Response:
        message = sinker.Message(
            b"order %d written" % order, user_metadata=UserMetadata({"receipt": {"id": id.encode()}})
        )
        return Response.as_on_success(id, message)

    with example("sink/three_roles", tmp_path, SinkClient, NUMAFLOW_UD_CONTAINER_TYPE="udsink") as client:
        found = list(client.sink(ORDERS).values())
    assert found == [
        receipt("request-0", 7),
        *(Response.as_fallback(f"request-{number}") for number in range(1, 6)),
        receipt("request-6", 8),
    ]


@pytest.mark.parametrize(("role", "line"), [("fb-udsink", "no order: b'{}'"), ("ons-udsink", "receipt: {}")])
def test_three_roles_others_end_the_way(tmp_path: Path, role: str, line: str) -> None:
    with example("sink/three_roles", tmp_path, SinkClient, NUMAFLOW_UD_CONTAINER_TYPE=role) as client:
        assert client.sink([b"{}"]) == {"request-0": Response.as_success("request-0")}
    assert line in (tmp_path / "log").read_text()


def test_every_example_is_tested() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    for folder in FOLDERS:
        assert f'"{folder.relative_to(EXAMPLES)}"' in tests


@pytest.mark.parametrize("arguments", [["nowhere.py"], [__file__, "--sock"]])
def test_runner_refuses_with_one_line(arguments: list[str]) -> None:
    command = [sys.executable, str(EXAMPLES / "run.py"), *arguments]
    done = subprocess.run(
        [*command, "--sock", "s", "--info", "i"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "run.py: " in done.stderr
