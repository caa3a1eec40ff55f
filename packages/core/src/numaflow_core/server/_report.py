"""What is told of a handler's error: to the log, to the dataplane, to the platform's UI."""

import json
import logging
import os
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from .._proto.rpc_status_pb2 import DebugInfo
from .._proto.rpc_status_pb2 import Status as RpcStatus
from ..wire.headers import percent_encode
from ..wire.status import Status, StatusCode

logger = logging.getLogger(__name__)

_MESSAGE_LIMIT: Final = 1536
"""Bytes of ``grpc-message`` on the wire, percent-encoded."""

_DETAIL_LIMIT: Final = 3072
"""Bytes of traceback; base64 makes four thirds of it. All trailers together stay under 8 KiB."""

_INTERNAL_ERROR: Final = "Internal error"
_PACKAGE_ROOT: Final = str(Path(__file__).parents[1])


@dataclass(frozen=True)
class Report:
    """An error of a handler, as text: it may have happened in another process."""

    summary: str
    """``repr`` of the exception, or what happened to the process."""

    detail: str
    """The traceback, without the SDK's own frames."""

    def status(self, container: str) -> Status:
        """INTERNAL, in the words that the dataplane looks for (``rust/numaflow-core/src/runtime_server/runtime.rs``),
        with the traceback as a ``google.rpc.DebugInfo``."""
        message = _cut_encoded(f"UDF_EXECUTION_ERROR({container}): {self.summary}", _MESSAGE_LIMIT)
        details = RpcStatus(code=StatusCode.INTERNAL, message=_cut(message, 512))
        any_detail = details.details.add()
        any_detail.type_url = "type.googleapis.com/google.rpc.DebugInfo"
        any_detail.value = DebugInfo(detail=_cut_middle(self.detail, _DETAIL_LIMIT)).SerializeToString()
        return Status(StatusCode.INTERNAL, message, details.SerializeToString())

    def persist(self, container: str, folder: str) -> None:
        """Leave the error for the UI. Never raises: a folder that cannot be written is normal outside of a vertex."""
        now = time.time_ns()
        entry = {
            "container": container,
            "timestamp": now // 1_000_000_000,
            "code": _INTERNAL_ERROR,
            "message": f"UDF_EXECUTION_ERROR({container}): {self.summary}",
            "details": self.detail,
        }
        target = Path(folder, container)
        try:
            target.mkdir(parents=True, exist_ok=True)
            draft = target / "current-udf.json"  # a name that the platform's reader passes over
            draft.write_text(json.dumps(entry), encoding="utf-8")
            # Nanoseconds, as the dataplane's own files have them: it prunes the smallest numbers first.
            draft.replace(target / f"{now}-udf.json")
        except OSError as error:
            logger.debug("no error file in %s: %s", target, error)


def describe(error: BaseException, kind_root: str) -> Report:
    """Put an exception into words. ``kind_root`` is the folder of the kind's package; its frames are left out too."""
    shown = _user_traceback(error.__traceback__, (_PACKAGE_ROOT, kind_root))
    lines = traceback.format_exception(type(error), error, shown)
    try:
        summary = repr(error)
    except Exception as broken:  # a user's __repr__
        summary = f"{type(error).__name__} (its repr raised {type(broken).__name__})"
    return Report(summary, "".join(lines))


def _user_traceback(trace: TracebackType | None, roots: tuple[str, ...]) -> TracebackType | None:
    """Where the user's code begins; the whole trace where there is none of it."""
    here = trace
    while here is not None and here.tb_frame.f_code.co_filename.startswith(tuple(root + os.sep for root in roots)):
        here = here.tb_next
    return here or trace


def _cut(text: str, limit: int) -> str:
    """At most ``limit`` bytes of UTF-8."""
    data = text.encode("utf-8", "replace")
    return text if len(data) <= limit else data[: limit - 3].decode("utf-8", "ignore") + "..."


def _cut_encoded(text: str, limit: int) -> str:
    """At most ``limit`` bytes when percent-encoded."""
    if len(percent_encode(text)) <= limit:
        return text
    size, kept = 3, []
    for character in text:
        size += len(percent_encode(character))
        if size > limit:
            break
        kept.append(character)
    return "".join(kept) + "..."


def _cut_middle(text: str, limit: int) -> str:
    """At most ``limit`` bytes: the beginning, and most of the end, where a traceback says what happened."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return text
    mark = "\n... cut ...\n"
    head = limit // 4
    tail = limit - head - len(mark)
    return data[:head].decode("utf-8", "ignore") + mark + data[-tail:].decode("utf-8", "ignore")
