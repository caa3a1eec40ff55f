"""What a class of a keyed kind is made with: the second positional argument, which is another one elsewhere."""

import inspect
from types import ModuleType
from typing import Any

import pytest

import numaflow_accumulator
import numaflow_reducer
import numaflow_sessionreducer
from numaflow_core.server import Server

MODULES: tuple[ModuleType, ...] = (numaflow_reducer, numaflow_sessionreducer, numaflow_accumulator)
SERVERS: list[Any] = [
    server
    for module in MODULES
    for name in module.__all__
    if inspect.isclass(server := getattr(module, name)) and issubclass(server, Server)
]

each_server = pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.__name__)


class Sum: ...


@each_server
@pytest.mark.parametrize(
    ("given", "hint"),
    [
        (2, r"got int: 2; write init_args=\(2,\); the number of workers is server_count=\.\.\.$"),
        ("/a.sock", r"got str: '/a.sock'; write init_args=\('/a.sock',\); the socket is sock_path=\.\.\.$"),
        (None, r"got NoneType: None; write init_args=\(None,\)$"),
        ({"a": 1}, r"got dict: \{'a': 1\}; write init_args=\(\{'a': 1\},\)$"),
    ],
)
def test_init_args_is_a_tuple(server: Any, given: object, hint: str) -> None:
    expected = f"^{server.__name__} init_args must be a tuple of what the class is made with, {hint}"
    if "MultiProc" not in server.__name__:
        expected = expected.replace(r"; the number of workers is server_count=\.\.\.", "")
    with pytest.raises(TypeError, match=expected):
        server(Sum, given)


@each_server
def test_init_kwargs_is_a_mapping(server: Any) -> None:
    with pytest.raises(TypeError, match=f"^{server.__name__} init_kwargs must be a mapping .*, got str: '/a.sock'$"):
        server(Sum, (), "/a.sock")
