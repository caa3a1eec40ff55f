"""The reduce examples answer as their READMEs say."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

from numaflow_reducer import IntervalWindow, Message
from numaflow_reducer.testing import ReduceClient

from .running import EXAMPLES, running

START = datetime(2024, 5, 6, 9, 30, tzinfo=timezone.utc)
WINDOW = IntervalWindow(START, START + timedelta(minutes=1))


def test_counter_counts_the_messages_of_a_window(tmp_path: Path) -> None:
    keys = ["NON_KEYED_STREAM"]
    with running("reduce/counter", tmp_path) as sock, ReduceClient(sock) as client:
        assert client.is_ready()
        results = client.reduce([(keys, b"one"), (keys, b"two"), (keys, b"")], WINDOW)
    assert results == [Message(b"3 from 09:30:00 to 09:31:00", keys=keys)]


def test_sum_adds_up_the_numbers_of_each_key(tmp_path: Path) -> None:
    datums = [(["a"], b"1.5"), (["b"], b"7"), (["a"], b"2"), (["b"], b"seven"), (["c"], b"")]
    with running("reduce/sum", tmp_path) as sock, ReduceClient(sock) as client:
        results = client.reduce(datums, WINDOW)
    assert results == [Message(b"3.50", ["a"]), Message(b"7.00", ["b"]), Message(b"0.00", ["c"])]


def test_threshold_tells_of_each_hundred_before_the_window_closes(tmp_path: Path) -> None:
    with (
        running("reducestream/threshold", tmp_path) as sock,
        ReduceClient(sock) as client,
        client.open(WINDOW) as window,
    ):
        window.send((["a"], b"60"), (["b"], b"5"), (["a"], b"70"))
        assert window.receive() == Message(b"100", ["a"], ["passed"])
        window.send((["a"], b"250"))
        assert window.receive() == Message(b"300", ["a"], ["passed"])
        assert window.close() == [Message(b"380", ["a"], ["total"]), Message(b"5", ["b"], ["total"])]


def test_every_example_is_tested() -> None:
    names = {"/".join(path.parts[-3:-1]) for path in EXAMPLES.glob("reduce*/*/udf.py")}
    assert names == {"reduce/counter", "reduce/sum", "reducestream/threshold"}
