"""Side input servers as processes."""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from numaflow_sideinput import Response
from numaflow_sideinput._version import __version__
from numaflow_sideinput.testing import RpcEndedError, SideInputClient
from own_suites import Launch, Way, case, launcher, ways

SERVICE = "sideinput.v1.SideInput"
KIND = case("sideinput", SERVICE, "RetrieveSideInput", f"numaflow-sideinput {__version__}")


@pytest.fixture(params=ways("sync", "async", "multiproc"), ids=lambda way: way.id)
def launch(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Launch]:
    way: Way = request.param
    yield from launcher(KIND, Path(__file__).with_name("retrievers.py"), way, tmp_path)


def test_values_one_after_another(launch: Launch) -> None:
    server = launch()
    with SideInputClient(str(server.sock)) as client:
        assert client.is_ready()
        assert [client.retrieve().value for _ in range(300)] == [b"value %d" % number for number in range(1, 301)]
    info = json.loads(server.info.read_text().removesuffix("U+005C__END__"))
    assert info["metadata"]["sdk"] == KIND.sdk


def test_no_broadcast(launch: Launch) -> None:
    with SideInputClient(str(launch("--does", "nothing").sock)) as client:
        assert client.retrieve() == Response.no_broadcast_message()


@pytest.mark.parametrize(
    ("does", "text"),
    [
        ("fail", "ValueError('no value')"),
        ("nonsense", "Response.broadcast_message"),
        ("none", "Response.broadcast_message"),
        ("large", "max_message_size"),
    ],
)
def test_errors_end_the_server(launch: Launch, does: str, text: str) -> None:
    server = launch("--does", does)
    with SideInputClient(str(server.sock)) as client, pytest.raises(RpcEndedError) as caught:
        client.retrieve()
    assert caught.value.outcome.code == "INTERNAL"
    assert text in caught.value.outcome.message
    assert server.wait() == 1


@pytest.mark.parametrize("count", [0, 2])
def test_one_message_is_asked_for(launch: Launch, count: int) -> None:
    server = launch()
    with SideInputClient(str(server.sock)) as client:
        stream = client._client.open(f"/{SERVICE}/RetrieveSideInput")
        stream.send(*[b""] * count)
        stream.half_close()
        outcome = stream.status()
        assert outcome.code == "UNIMPLEMENTED"
        assert "expected one message" in outcome.message
        assert client.retrieve().value == b"value 1", "the handler was not called before"


def test_call_whose_request_never_comes_does_not_end_well(launch: Launch) -> None:
    """A good end without a reply is none."""
    server = launch()
    with SideInputClient(str(server.sock)) as client:
        stream = client._client.open(f"/{SERVICE}/RetrieveSideInput")
        assert client.is_ready(), "the server has seen the stream"
        server.send_signal(signal.SIGTERM)
        assert stream.status().code == "UNAVAILABLE"
    assert server.wait() == 0


def test_sigterm_lets_a_call_finish(launch: Launch) -> None:
    server = launch("--does", "sleep")
    with SideInputClient(str(server.sock)) as client, ThreadPoolExecutor() as pool:
        call = pool.submit(client.retrieve)
        server.wait_said("asleep")
        assert client.is_ready()
        server.send_signal(signal.SIGTERM)
        assert call.result().value == b"value 1"
    assert server.wait() == 0
