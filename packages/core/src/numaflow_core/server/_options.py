"""A server's settings, after arguments, environment and defaults have been put together."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar, get_args

from ..constants import (
    DEFAULT_GRACE_PERIOD,
    DEFAULT_MAX_CONCURRENCY,
    DEFAULT_MAX_THREADS,
    ENV_GRACE_PERIOD,
    ENV_LOG_PAYLOAD,
    ENV_MAX_CONCURRENCY,
    ENV_MAX_THREADS,
    ENV_TRANSPORT,
    ENV_TUNE_MEMORY,
    RUNTIME_ERRORS_DIR,
    UNKNOWN_CONTAINER,
)
from ..role import container_type
from ..values.durations import seconds
from ..values.validate import check_positive
from ._types import Hook, Settings, Transport

_N = TypeVar("_N", int, float)
_LONGEST_GRACE: Final = 86_400
"""A day; a pod is not given more."""

_MOST_PAYLOAD: Final = 4096
_SWITCH: Final = {"0": False, "1": True, "false": False, "true": True}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Settings that all server types share."""

    sock_path: str
    server_info_file: str
    max_message_size: int
    transport: str
    grace_period: float
    container_type: str
    errors_dir: str
    tune_memory: bool = True
    log_payload: int = 0
    """Bytes of a message's payload that the report of an error shows."""

    on_startup: Hook | None = None
    on_shutdown: Hook | None = None


def make_options(
    sock_path: str | os.PathLike[str],
    max_message_size: int,
    server_info_file: str | os.PathLike[str],
    settings: Settings,
) -> Options:
    """Fill in what was not given from the environment, and check everything.

    Raises:
        TypeError, ValueError: naming the argument or the variable.
    """
    transport, grace_period = settings.get("transport"), settings.get("grace_period")
    chosen = transport if transport is not None else os.environ.get(ENV_TRANSPORT) or "h2"
    if chosen not in get_args(Transport):
        origin = "transport" if transport is not None else ENV_TRANSPORT
        raise ValueError(f"{origin} must be one of {', '.join(get_args(Transport))}, got {chosen!r}")
    if grace_period is None:
        grace_period = _from_env(ENV_GRACE_PERIOD, float, DEFAULT_GRACE_PERIOD)
    grace = seconds(grace_period, "grace_period", "timedelta(seconds=25)")
    if not 0 < grace <= _LONGEST_GRACE:
        raise ValueError(f"grace_period must be more than 0 and at most {_LONGEST_GRACE} seconds, got {grace:g}")
    return Options(
        sock_path=_check_path(sock_path, "sock_path"),
        server_info_file=_check_path(server_info_file, "server_info_file"),
        max_message_size=check_positive(max_message_size, "max_message_size"),
        transport=chosen,
        grace_period=grace,
        container_type=container_type() or UNKNOWN_CONTAINER,
        errors_dir=RUNTIME_ERRORS_DIR,
        tune_memory=_tune_memory_or_default(settings.get("tune_memory")),
        log_payload=_payload_from_env(),
        on_startup=settings.get("on_startup"),
        on_shutdown=settings.get("on_shutdown"),
    )


def threads_or_default(max_threads: int | None) -> int:
    """``max_threads``, or the environment's, or the default."""
    if max_threads is None:
        return check_positive(_from_env(ENV_MAX_THREADS, int, DEFAULT_MAX_THREADS), ENV_MAX_THREADS)
    return check_positive(max_threads, "max_threads")


def concurrency_or_default(max_concurrency: int | None) -> int:
    """``max_concurrency``, or the environment's, or the default."""
    if max_concurrency is None:
        return check_positive(_from_env(ENV_MAX_CONCURRENCY, int, DEFAULT_MAX_CONCURRENCY), ENV_MAX_CONCURRENCY)
    return check_positive(max_concurrency, "max_concurrency")


def _from_env(name: str, parse: Callable[[str], _N], default: _N) -> _N:
    text = os.environ.get(name)
    if not text:
        return default
    try:
        return parse(text)
    except ValueError:
        what = "a whole number" if parse is int else "a number"
        raise ValueError(f"the environment variable {name} must be {what}, got {text!r}") from None


def _tune_memory_or_default(tune_memory: bool | None) -> bool:
    if tune_memory is None:
        text = os.environ.get(ENV_TUNE_MEMORY) or "1"
        if text.lower() not in _SWITCH:
            raise ValueError(f"the environment variable {ENV_TUNE_MEMORY} must be 0 or 1, got {text!r}")
        return _SWITCH[text.lower()]
    if not isinstance(tune_memory, bool):
        raise TypeError(f"tune_memory must be True or False, got {type(tune_memory).__name__}: {tune_memory!r:.80}")
    return tune_memory


def _payload_from_env() -> int:
    size = _from_env(ENV_LOG_PAYLOAD, int, 0)
    if not 0 <= size <= _MOST_PAYLOAD:
        raise ValueError(
            f"the environment variable {ENV_LOG_PAYLOAD} must be between 0 and {_MOST_PAYLOAD}, got {size}"
        )
    return size


def _check_path(path: str | os.PathLike[str], field: str) -> str:
    """The path, absolute: a handler may change the working folder."""
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(text, str):
        raise TypeError(f"{field} must be a path, got {type(path).__name__}: {path!r:.80}")
    if not text or "\0" in text:
        raise ValueError(f"{field} must be a path, got {text!r:.80}")
    return os.path.abspath(text)
