"""What is told of a handler's error: to the log, to the dataplane, to the platform's UI.

A report may be told only in part: each step is guarded by itself, and none of them is needed for the server to end.
"""

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from .._proto.rpc_status_pb2 import DebugInfo
from .._proto.rpc_status_pb2 import Status as RpcStatus
from ..wire.headers import percent_encode
from ..wire.status import Status, StatusCode
from ._files import make_open_folder, write_new
from ._text import clean_line, fit

logger = logging.getLogger(__name__)

_MESSAGE_LIMIT: Final = 1536
"""Bytes of ``grpc-message`` on the wire, percent-encoded."""

_DETAIL_LIMIT: Final = 3072
"""Bytes of traceback; base64 makes four thirds of it. All trailers together stay under 8 KiB."""

_INTERNAL_ERROR: Final = "Internal error"
_NAME_LIMIT: Final = 100


@dataclass(frozen=True)
class Report:
    """An error of a handler, as text that is short and can be encoded: it may have happened in another process."""

    summary: str
    """One line: which handler, what it raised, and at which message; or what happened to a worker process."""

    detail: str
    """The traceback, without the SDK's own frames; empty of a process."""

    def message(self, container: str) -> str:
        """The summary in the words that the dataplane looks for
        (``rust/numaflow-core/src/runtime_server/runtime.rs``)."""
        return f"UDF_EXECUTION_ERROR({clean_line(container, _NAME_LIMIT)}): {self.summary}"

    def status(self, container: str) -> Status:
        """INTERNAL, with the traceback as a ``google.rpc.DebugInfo``."""
        message = fit(self.message(container), _MESSAGE_LIMIT, _encoded_size, head=0.7)
        details = RpcStatus(code=StatusCode.INTERNAL, message=fit(message, 512, head=0.7))
        any_detail = details.details.add()
        any_detail.type_url = "type.googleapis.com/google.rpc.DebugInfo"
        # The end says what happened, and in which of the user's lines.
        any_detail.value = DebugInfo(
            detail=fit(self.detail, _DETAIL_LIMIT, head=0.2, mark="\n... cut ...\n")
        ).SerializeToString()
        return Status(StatusCode.INTERNAL, message, details.SerializeToString())

    def tell(self, container: str, folder: str | None) -> None:
        """Leave the error in a file below ``folder``, unless it is ``None``, and log it. Never raises; but a full pipe
        or a handler of the user's logging may block it."""
        steps: list[Callable[[], None]] = [self.log]
        if folder is not None:
            steps.insert(0, partial(self.persist, container, folder))
        for step in steps:
            try:
                step()
            except BaseException:  # the process ends, and the other steps matter more
                pass

    def log(self) -> None:
        """Log the error, or write it to stderr where the logging that the user has set up raises."""
        text = f"the server ends: {self.summary}" + f"\n{self.detail}" * bool(self.detail)
        try:
            logger.error("%s", text)
        except BaseException:  # a filter or a handler of the user's, or a stderr that is closed
            os.write(2, f"{text}\n".encode())

    def persist(self, container: str, folder: str) -> None:
        """Leave the error for the UI. A folder that cannot be written is normal outside of a vertex."""
        now = time.time_ns()
        entry = {
            "container": clean_line(container, _NAME_LIMIT),
            "timestamp": now // 1_000_000_000,
            "code": _INTERNAL_ERROR,
            "message": self.message(container),
            "details": self.detail,
        }
        target = os.path.join(folder, container)
        try:
            make_open_folder(target)
            draft = os.path.join(target, "current-udf.json")  # a name that the platform's reader passes over
            write_new(draft, json.dumps(entry).encode())
            # Nanoseconds, as the dataplane's own files have them: it prunes the smallest numbers first.
            os.replace(draft, os.path.join(target, f"{now}-udf.json"))
        except OSError as error:
            logger.debug("no error file in %s: %s", target, error)


def _encoded_size(text: str) -> int:
    return len(percent_encode(text))
