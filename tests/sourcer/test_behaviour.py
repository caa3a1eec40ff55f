"""What source servers do beside what servers of all kinds do: reads that end in time, handlers that do not hold up each
other, errors of each."""

import re
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from behaviour.fixtures import Launch, each_combination, gate, launch
from behaviour.harness import Gate, ServerProcess, wait_until
from behaviour.kinds import SOURCE
from numaflow_sourcer import Message, Nack, NackOptions, Offset
from numaflow_sourcer._proto import source_pb2 as wire
from numaflow_sourcer.testing import Partitions, RpcEndedError, SourceClient

from .requests import READ_HELLO, open_reads, read_request

__all__ = ["combination", "gate", "launch", "pytest_generate_tests"]

combination, pytest_generate_tests = each_combination(replace(SOURCE, script=Path(__file__).with_name("sources.py")))

SERVICE = SOURCE.service
LONG = 60_000
"""Milliseconds for reads that end because they have all they ask for."""

ACK_HELLO = wire.AckRequest(handshake=wire.Handshake(sot=True)).SerializeToString()


def client_of(server: ServerProcess) -> SourceClient:
    return SourceClient(str(server.sock))


def numbers(messages: list[Message]) -> list[int]:
    assert all(message.payload == message.offset.offset for message in messages)
    return [int(message.payload) for message in messages]


def test_reads_acks_and_the_rest(launch: Launch) -> None:
    server = launch().wait_listening()
    with client_of(server) as client:
        assert client.is_ready()
        assert numbers(client.read(3, LONG)) == [1, 2, 3]
        client.ack([Offset(b"1", 0), Offset(b"2", 0)])
        client.nack([Offset(b"3", 0), Nack(Offset(b"4", 0), NackOptions(max_deliveries=2))])
        assert numbers(client.read(2, LONG)) == [4, 5]
        assert client.pending() == 7
        assert client.partitions() == Partitions([0, 5], 9)
        server.wait_said("acked 1 2")
        server.wait_said("nacked [(b'3', None), (b'4', None)]")


def test_acks_may_repeat_and_be_unknown(launch: Launch) -> None:
    with client_of(launch().wait_listening()) as client:
        for _ in range(3):
            client.ack([Offset(b"1", 0), Offset(b"never seen", 3)])


@pytest.mark.parametrize("source", ["endless", "putting"])
def test_more_than_was_asked_for_is_kept(launch: Launch, source: str) -> None:
    with client_of(launch("--source", source).wait_listening()) as client:
        found = [numbers(client.read(count, LONG)) for count in (5, 1, 700, 2)]
    assert [len(each) for each in found] == [5, 1, 700, 2]
    assert [number for each in found for number in each] == list(range(1, 709))


def test_read_of_nothing(launch: Launch) -> None:
    with client_of(launch().wait_listening()) as client:
        assert client.read(0) == []
        assert numbers(client.read(2, 0)) in ([], [1], [1, 2])  # no time: what there is by then


def test_late_messages_are_kept_for_the_next_read(launch: Launch, gate: Gate) -> None:
    """Reads end in time although the handler, which the first of them has called, does not return."""
    with client_of(launch("--source", "late", "--gate", gate.path).wait_listening()) as client:
        in_time = numbers(client.read(10, 300) + client.read(10, 50))
        gate.open()
        late = numbers(client.read(4, LONG))
    assert (in_time, late) == ([1], [2, 3, 4, 5])


def test_blocked_read_holds_up_nothing(launch: Launch) -> None:
    server = launch("--source", "blocked").wait_listening()
    with client_of(server) as client:
        stream = open_reads(client)
        stream.send(read_request(10, 60_000))
        for number in (b"1", b"2"):
            assert wire.ReadResponse.FromString(stream.receive()).result.payload == number
        server.wait_said("blocked")
        for _ in range(3):
            assert client.is_ready()
            client.ack([Offset(b"1", 0)])
            client.nack([Offset(b"2", 0)])
            assert client.pending() == 7
            assert client.partitions().active == [0, 5]


def test_blocked_read_ends_in_time_also_on_a_new_stream(launch: Launch) -> None:
    with client_of(launch("--source", "blocked").wait_listening()) as client:
        assert numbers(client.read(10, 300) + client.read(10, 50)) == [1, 2]
        client.disconnect()
        assert client.read(10, 50) == []


def test_reads_of_a_stream_that_left_do_not_hold_up_the_next(launch: Launch) -> None:
    server = launch("--source", "blocked").wait_listening()
    with client_of(server) as client:
        stream = open_reads(client)
        stream.send(read_request(10, 60_000))
        server.wait_said("blocked")
        stream.cancel()
    with client_of(server) as client:
        assert numbers(client.read(10, 200)) in ([], [2], [1, 2])


def test_reads_are_served_one_after_another(launch: Launch) -> None:
    with client_of(launch().wait_listening()) as client:
        stream = open_reads(client)
        stream.send(*(read_request(count, LONG) for count in (3, 300, 0, 2)))
        found: list[list[int]] = [[]]
        while len(found) < 5:
            reply = wire.ReadResponse.FromString(stream.receive())
            if reply.status.eot:
                assert not reply.HasField("result")
                found.append([])
            else:
                found[-1].append(int(reply.result.payload))
        assert found == [[1, 2, 3], list(range(4, 304)), [], [304, 305], []]
        stream.half_close()
        assert stream.status().code == "OK"


def test_handshake_comes_first_with_acks_too(launch: Launch) -> None:
    server = launch().wait_listening()
    with client_of(server) as client:
        stream = client._client.open(f"/{SERVICE}/AckFn")
        stream.send(b"")
        outcome = stream.status()
        assert outcome.code == "INVALID_ARGUMENT"
        assert "AckFn: expected handshake" in outcome.message
        assert numbers(client.read(1, LONG)) == [1]
    assert server.is_alive()


@pytest.mark.parametrize(("method", "hello"), [("ReadFn", READ_HELLO), ("AckFn", ACK_HELLO)])
def test_messages_without_a_request_are_refused(launch: Launch, method: str, hello: bytes) -> None:
    server = launch().wait_listening()
    with client_of(server) as client:
        stream = client._client.open(f"/{SERVICE}/{method}")
        stream.send(hello, b"", b"")
        outcome = stream.status()
        assert outcome.code == "INVALID_ARGUMENT"
        assert "expected a message with a request" in outcome.message
        assert client.is_ready()


def test_unary_rpcs_take_one_message(launch: Launch) -> None:
    server = launch().wait_listening()
    with client_of(server) as client:
        for method in ("NackFn", "PendingFn", "PartitionsFn"):
            for count in (0, 2):
                stream = client._client.open(f"/{SERVICE}/{method}")
                stream.send(*[b""] * count)
                stream.half_close()
                assert stream.status().code == "UNIMPLEMENTED"
        assert client.pending() == 7
    assert "nacked" not in server.stdout()


def provoke(client: SourceClient, handler: str) -> None:
    if handler == "ack":
        client.ack([Offset(b"1", 0)])
    elif handler == "nack":
        client.nack([Offset(b"1", 0)])
    elif handler == "pending":
        client.pending()
    else:
        client.partitions()


@pytest.mark.parametrize("handler", ["ack", "nack", "pending", "partitions"])
def test_error_of_any_handler_ends_the_server(launch: Launch, handler: str) -> None:
    server = launch("--fail", handler).wait_listening()
    with client_of(server) as client, client_of(server) as other:
        neighbour = open_reads(other)
        with pytest.raises(RpcEndedError) as caught:
            provoke(client, handler)
        assert caught.value.outcome.code == "INTERNAL"
        assert re.search(
            rf"\.(active_)?{handler}_handler \(sources\.py:\d+\) raised ValueError: no {handler}",
            caught.value.outcome.message,
        )
        assert "UDF_EXECUTION_ERROR(" in caught.value.outcome.message
        assert "sources.py" in caught.value.outcome.traceback
        assert neighbour.status().code == "INTERNAL"
        assert server.wait() == 1


def test_error_between_reads_ends_the_server(launch: Launch, gate: Gate) -> None:
    server = launch("--source", "late", "--fail", "late", "--gate", gate.path).wait_listening()
    with client_of(server) as client:
        assert numbers(client.read(1, LONG)) == [1]
        gate.open()
        assert server.wait() == 1
    assert "no late" in server.stderr()


@pytest.mark.parametrize("handler", ["pending", "partitions", "total"])
def test_wrong_results_are_errors(launch: Launch, handler: str) -> None:
    server = launch("--nonsense", handler).wait_listening()
    with client_of(server) as client, pytest.raises(RpcEndedError, match="TypeError"):
        provoke(client, handler)
    assert server.wait() == 1


def test_sigterm_lets_a_read_finish(launch: Launch) -> None:
    server = launch("--source", "blocked").wait_listening()
    with client_of(server) as client:
        stream = open_reads(client)
        stream.send(read_request(10, 1500))
        server.wait_said("blocked")
        server.send_signal(signal.SIGTERM)
        assert [wire.ReadResponse.FromString(stream.receive()).result.payload for _ in range(2)] == [b"1", b"2"]
        assert wire.ReadResponse.FromString(stream.receive()).status.eot
        client.ack([Offset(b"1", 0)])
    assert server.wait() == 0
    wait_until(lambda: "start returned" in server.stdout(), "a clean end")


def test_large_payloads_to_a_peer_that_does_not_read(launch: Launch) -> None:
    with client_of(launch("--source", "endless").wait_listening()) as client:
        idle = open_reads(client)
        idle.send(read_request(100_000, 60_000))
        client.ack([Offset(b"1", 0)])
        assert client.is_ready()
        idle.cancel()
        assert len(client.read(10, LONG)) == 10


def test_acknowledgements_are_taken_to_the_end(launch: Launch) -> None:
    """When nothing new is read any more, what has been read is yet to be acknowledged."""
    server = launch("--grace", 4).wait_listening()
    with client_of(server) as client:
        reads = open_reads(client)
        reads.send(read_request(2, LONG))
        assert len([reads.receive() for _ in range(3)]) == 3
        acks = client._client.open(f"/{SERVICE}/AckFn")
        acks.send(ACK_HELLO)
        assert wire.AckResponse.FromString(acks.receive()).handshake.sot
        server.send_signal(signal.SIGTERM)
        assert reads.status().code == "UNAVAILABLE"
        request = wire.AckRequest()
        request.request.offsets.add(offset=b"1", partition_id=0)
        acks.send(request.SerializeToString())
        assert wire.AckResponse.FromString(acks.receive()).result.HasField("success")
        client.ack([Offset(b"2", 0)])  # on a stream of its own
    assert server.wait() == 0
    assert "acked 1" in server.stdout()
    assert "acked 2" in server.stdout()
