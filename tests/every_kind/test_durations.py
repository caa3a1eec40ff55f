"""Durations are of one type: a ``timedelta`` wherever a length of time is asked for, and a number is seconds."""

import importlib
import inspect
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from numaflow_core.testing import UdfClient
from numaflow_core.values.durations import positive_seconds, seconds
from numaflow_mapper import MapServer
from numaflow_mapper.testing import MapClient
from numaflow_sideinput import SideInputFile

PACKAGES = sorted(path.name for path in Path(__file__).parents[2].glob("packages/*/src/*"))


def public_callables() -> Iterator[tuple[str, Any]]:
    """What users call: public functions, classes and their public methods, of packages and their test kits."""
    for name in [*PACKAGES, *(f"{package}.testing" for package in PACKAGES)]:
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", ()):
            thing = getattr(module, public)
            if not inspect.isclass(thing):
                if inspect.isfunction(thing):
                    yield f"{name}.{public}", thing
                continue
            for attribute, member in inspect.getmembers(thing, inspect.isfunction):
                if not attribute.startswith("_") or attribute == "__init__":
                    yield f"{name}.{public}.{attribute}", member


def test_no_public_parameter_is_a_bare_number_of_seconds() -> None:
    bare, accepting = [], 0
    for name, function in public_callables():
        for parameter in inspect.signature(function).parameters.values():
            annotation = str(parameter.annotation)
            if "timedelta" in annotation or "Duration" in annotation:
                accepting += 1
            elif "float" in annotation and "Callable" not in annotation:
                bare.append(f"{name}({parameter})")
    assert bare == []
    assert accepting > 30


def test_both_forms_are_seconds() -> None:
    for duration in (timedelta(seconds=2), 2, 2.0):
        assert seconds(duration, "delay") == 2.0
    assert positive_seconds(timedelta(milliseconds=1), "delay") == 0.001


@pytest.mark.parametrize("wrong", ["30", b"30", None, True, [30]])
def test_another_type_is_an_error_that_says_what_to_write(wrong: object) -> None:
    said = r"delay must be a timedelta, such as timedelta\(seconds=30\), or a number of seconds, got"
    with pytest.raises(TypeError, match=f"{said} {type(wrong).__name__}"):
        seconds(wrong, "delay")


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), timedelta(0), timedelta(seconds=-1)])
def test_a_duration_that_must_be_positive(wrong: object) -> None:
    with pytest.raises(ValueError, match="delay must be more than 0 seconds, got"):
        positive_seconds(wrong, "delay")


def test_grace_period() -> None:
    for duration in (timedelta(minutes=1), 60, 60.0):
        assert MapServer(lambda keys, datum: [], grace_period=duration)._options.grace_period == 60.0


def test_interval_of_a_side_input() -> None:
    assert SideInputFile("name", bytes, interval=timedelta(seconds=5))._interval == 5.0
    with pytest.raises(TypeError, match=r"interval must be a timedelta, such as timedelta\(seconds=5\)"):
        SideInputFile("name", bytes, interval="5")  # type: ignore[arg-type]


def test_timeouts_of_clients(tmp_path: Path) -> None:
    sock = str(tmp_path / "silent.sock")
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(sock)
    silent.listen()
    brief: Any
    for brief in (timedelta(milliseconds=10), 0.01):
        with UdfClient(sock) as client:
            with pytest.raises(TimeoutError, match=r"in 0\.01 s"):
                client.wait_ready(brief)
            assert not client.is_ready("map.v1.Map", brief)
        with MapClient(sock) as mapper, pytest.raises(TimeoutError, match=r"in 0\.01 s"):
            mapper.map([b"x"], timeout=brief)
    with MapClient(sock) as mapper, pytest.raises(TypeError, match="timeout must be a timedelta"):
        mapper.map([b"x"], timeout="1")  # type: ignore[arg-type]
    silent.close()
