"""The side input, from its retriever to the map that uses it."""

import os
from pathlib import Path

from numaflow_mapper import Message
from numaflow_mapper.testing import MapClient
from numaflow_sideinput import Response
from numaflow_sideinput.testing import SideInputClient

from .running import example


def put(folder: Path, value: bytes, stamp: int) -> None:
    """What the platform does with a value."""
    target = folder / f"threshold_{stamp}"
    target.write_bytes(value)
    link = folder / f"threshold_temp_{stamp}"
    os.symlink(target, link)
    link.rename(folder / "threshold")


def test_threshold_is_broadcast_when_it_changes(tmp_path: Path) -> None:
    page = tmp_path / "page"
    page.write_text("10\n")
    with example("sideinput/retrieve_threshold", tmp_path, SideInputClient, THRESHOLD_URL=page.as_uri()) as client:
        assert client.retrieve() == Response.broadcast_message(b"10")
        assert client.retrieve() == Response.no_broadcast_message()
        page.write_text("twelve")
        assert client.retrieve() == Response.no_broadcast_message()
        page.unlink()
        assert client.retrieve() == Response.no_broadcast_message()
        page.write_text("12")
        assert client.retrieve() == Response.broadcast_message(b"12")


def test_map_uses_the_threshold_of_the_moment(tmp_path: Path) -> None:
    folder = tmp_path / "side-inputs"
    folder.mkdir()
    put(folder, b"10", 1)
    with example("sideinput/over_threshold", tmp_path, MapClient, SIDE_INPUTS=str(folder)) as client:
        dropped = Message.to_drop()
        assert [result[0] for result in client.map([b"10", b"11", b"x"])] == [dropped, Message(b"11"), dropped]
        put(folder, b"11", 2)
        assert [result[0] for result in client.map([b"11", b"12"])] == [dropped, Message(b"12")]
