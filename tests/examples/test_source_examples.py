"""The source examples: as their READMEs say, and across ``kill -9``."""

import random
from datetime import timedelta
from pathlib import Path
from time import monotonic

from numaflow_sourcer import Nack, NackOptions, Offset
from numaflow_sourcer.testing import SourceClient

from .running import example, start


def test_simple(tmp_path: Path) -> None:
    with example("source/simple", tmp_path, SourceClient) as client:
        first = client.read(3)
        assert [message.payload for message in first] == [b"1", b"2", b"3"]
        client.ack([first[0].offset, first[2].offset])
        client.nack([Nack(first[1].offset, NackOptions(reason="not now"))])
        assert b"2" in [message.payload for message in client.read(10)]
        assert client.pending() == -1
        assert client.partitions().active == [0]


def env(tmp_path: Path) -> dict[str, str]:
    return {"TAIL_FILE": str(tmp_path / "app.log"), "TAIL_STATE": str(tmp_path / "state" / "position")}


def test_tail_follows_the_file(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    log = tmp_path / "app.log"
    log.write_bytes(b"one\ntwo\nthr")
    with example("source/tail_file", tmp_path, SourceClient, **env(tmp_path)) as client:
        messages = client.read(10, 500)
        assert [message.payload for message in messages] == [b"one", b"two"]
        assert client.read(10, 50) == []
        with log.open("ab") as file:
            file.write(b"ee\n\n")
        later = client.read(10, 500)
        assert [message.payload for message in later] == [b"three", b""]
        client.ack([messages[0].offset, *(message.offset for message in later)])
        assert (tmp_path / "state" / "position").read_text() == "4"
        client.nack([Nack(messages[1].offset, NackOptions(delay=timedelta(milliseconds=100)))])
        assert [message.payload for message in client.read(10, 2000)] == [b"two"]
        client.ack([messages[1].offset])
        assert (tmp_path / "state" / "position").read_text() == "15"
        assert client.pending() == 0


def test_tail_gives_the_next_client_what_the_one_before_had(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "app.log").write_bytes(b"".join(b"%d\n" % number for number in range(20)))
    with example("source/tail_file", tmp_path, SourceClient, **env(tmp_path)) as client:
        messages = client.read(10, 500)
        client.ack(message.offset for message in messages[:4])
        client.disconnect()
        assert client.is_ready()
        found: list[bytes] = []
        while len(found) < 16:
            found += [message.payload for message in client.read(20, 500)]
        assert sorted(map(int, found)) == list(range(4, 20))
        assert (tmp_path / "state" / "position").read_text() == "8"


def test_tail_loses_nothing_across_kills(tmp_path: Path) -> None:
    """The server is killed again and again, with messages read and not acknowledged, while the file grows. In the end
    every line was acknowledged, and a line that was acknowledged without a gap before it did not come again."""
    choose = random.Random(20_240_229)
    (tmp_path / "state").mkdir()
    log = tmp_path / "app.log"
    log.touch()
    written = 0
    acknowledged: set[int] = set()
    settled = 0  # up to here one server's acknowledgements had no gap: that does not come again
    rounds = 4
    for number in range(rounds + 1):
        running = start("source/tail_file", tmp_path, **env(tmp_path))
        try:
            acknowledged_now: set[int] = set()
            with SourceClient(running.sock) as client:
                end = monotonic() + 120
                reads = choose.randint(2, 6) if number < rounds else 10**6
                while reads and len(acknowledged) < (written if number == rounds else 10**6):
                    reads -= 1
                    assert monotonic() < end, f"{len(acknowledged)} of {written} lines acknowledged"
                    if number < rounds:
                        with log.open("ab") as file:
                            count = choose.randint(1, 200)
                            lines = (
                                b"line %d %b\n" % (written + each, b"x" * choose.randint(0, 60))
                                for each in range(count)
                            )
                            file.write(b"".join(lines))
                            written += count
                    messages = client.read(200, 200)
                    found = [int(message.payload.split()[1]) for message in messages]
                    assert min(found, default=settled) >= settled
                    if number < rounds:  # some acknowledgements are never sent, others come out of order
                        order = choose.sample(range(len(found)), choose.randint(0, len(found)))
                    else:
                        order = list(range(len(found)))
                    client.ack([messages[each].offset for each in order])
                    acknowledged_now |= {found[each] for each in order}
                    acknowledged |= acknowledged_now
                    if number < rounds and choose.random() < 0.2:
                        client.ack([Offset(b"999999999", 0)])
        finally:
            running.kill()
        while settled in acknowledged_now:
            settled += 1
    assert acknowledged == set(range(written))
    assert (tmp_path / "state" / "position").read_text() == str(log.stat().st_size)
