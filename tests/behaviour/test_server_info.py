"""The server-info file: what the dataplane reads before it connects, and reads again whenever it does."""

import json

import pytest

from .conftest import Launch
from .harness import ServerProcess
from .kinds import Combination

END = b"U+005C__END__"


def test_content(server: ServerProcess, combination: Combination) -> None:
    data = server.info.read_bytes()
    assert data.endswith(END), "nothing may follow the marker, not even a newline"
    assert data.count(END) == 1
    assert json.loads(data.removesuffix(END)) == {
        "protocol": "uds",
        "language": "python",
        "minimum_numaflow_version": combination.kind.minimum_numaflow_version,
        "version": "0.14.0",
        "metadata": {**combination.kind.info_metadata, "sdk": combination.kind.sdk},
    }


def test_no_draft_is_left_beside_it(server: ServerProcess) -> None:
    names = {path.name for path in server.folder.iterdir()}
    assert names == {"server.sock", "server-info", "server.stdout", "server.stderr"}


def test_may_be_read_by_other_users(launch: Launch) -> None:
    server = launch("--umask", "022").wait_listening()
    assert server.info.stat().st_mode & 0o444 == 0o444


def test_appears_after_the_socket_works(launch: Launch) -> None:
    server = launch("--watch-order")
    server.wait_said("connected before info: ")
    assert "connected before info: True" in server.stdout()


def test_is_put_in_place_whole(launch: Launch) -> None:
    """Whoever looks at any moment sees no file, or all of it."""
    server = launch()
    while server.is_alive():
        try:
            data = server.info.read_bytes()
        except FileNotFoundError:
            continue
        assert data.endswith(END)
        break
    else:
        pytest.fail(server.stderr())


def test_metadata_is_text(server: ServerProcess) -> None:
    info = json.loads(server.info.read_bytes().removesuffix(END))
    assert all(isinstance(value, str) for value in info["metadata"].values()), "anything else stops the dataplane"
    assert "MULTIPROC_ENDPOINTS" not in info["metadata"]
