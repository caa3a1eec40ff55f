"""The accumulator example answers as its README says."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

from numaflow_accumulator import Datum, Message
from numaflow_accumulator.testing import AccumulatorClient

from .running import example

NOON = datetime(2024, 5, 6, 12, tzinfo=timezone.utc)


def datum(minute: float, watermark: float, key: str = "a") -> Datum:
    return Datum(
        [key],
        f"{key}{minute}".encode(),
        NOON + timedelta(minutes=minute),
        NOON + timedelta(minutes=watermark),
        f"{key}-{minute}-0",
        {"h": "1"},
    )


def test_stream_sorter_forwards_what_the_watermark_has_passed_and_the_tail_at_close(tmp_path: Path) -> None:
    late, early, middle, last = (datum(*times) for times in ((3, 0), (1, 0), (2, 1), (7, 2.5)))
    other = datum(3, 2.5, "b")
    with example("accumulator/stream_sorter", tmp_path, AccumulatorClient) as client, client.open() as keys:
        keys.send(late, early, middle, other, last)
        assert [keys.receive() for _ in range(2)] == [Message.from_datum(each) for each in (early, middle)]
        assert keys.close(["a"]) == [Message.from_datum(late), Message.from_datum(last)]
        assert keys.close() == [Message.from_datum(other)]
