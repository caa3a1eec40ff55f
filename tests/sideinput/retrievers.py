"""Servers under test, each a process of its own: ``python retrievers.py --type sync --does count ...``."""

import argparse
import asyncio
import time
from typing import Any

import numaflow_core.constants
from numaflow_sideinput import (
    Response,
    SideInput,
    SideInputAsyncServer,
    SideInputMultiProcServer,
    SideInputServer,
)


class Retriever(SideInput):
    def __init__(self, does: str) -> None:
        self.does = does
        self.calls = 0

    def retrieve_handler(self) -> Response:
        self.calls += 1
        if self.does == "fail":
            raise ValueError("no value")
        if self.does == "nothing":
            return Response.no_broadcast_message()
        if self.does == "nonsense":
            return b"bare"  # type: ignore[return-value]
        if self.does == "none":
            return None  # type: ignore[return-value]
        if self.does == "large":
            return Response.broadcast_message(bytes(5 << 20))
        if self.does == "sleep":
            print("asleep", flush=True)
            time.sleep(2)
        return Response.broadcast_message(b"value %d" % self.calls)


class AsyncRetriever(Retriever):
    async def retrieve_handler(self) -> Response:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().retrieve_handler()


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("kind", "type", "transport", "sock", "info", "threads", "concurrency", "workers"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--does", default="count")
    options = parser.parse_args()
    vars(numaflow_core.constants)["RUNTIME_ERRORS_DIR"] = "/nonexistent/errors"
    settings: dict[str, Any] = {
        "sock_path": options.sock,
        "server_info_file": options.info,
        "transport": options.transport,
        "grace_period": 10.0,
    }
    if options.type == "sync":
        SideInputServer(Retriever(options.does), **settings).start()
    elif options.type == "async":
        SideInputAsyncServer(AsyncRetriever(options.does), **settings).start()
    else:
        SideInputMultiProcServer(Retriever(options.does).retrieve_handler, 1, **settings).start()


if __name__ == "__main__":
    main()
