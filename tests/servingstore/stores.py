"""Servers under test, each a process of its own: ``python stores.py --type sync --folder DIR ...``. Results are lines
of a file for each id, so that all worker processes see them."""

import argparse
import asyncio
import os
import time
from pathlib import Path
from typing import Any

import numaflow_core.constants
from numaflow_servingstore import (
    Payload,
    ServingStore,
    ServingStoreAsyncServer,
    ServingStoreMultiProcServer,
    ServingStoreServer,
)


class Store(ServingStore):
    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def put(self, id: str, payloads: list[Payload]) -> None:
        if id == "fail-put":
            raise ValueError("no put")
        if id == "slow":
            print("slow", flush=True)
            while not (self.folder / "go").exists():
                time.sleep(0.01)
        lines = b"".join(b"%b %b\n" % (payload.origin.encode(), payload.value.hex().encode()) for payload in payloads)
        with (self.folder / f"{id}.lines").open("ab", buffering=0) as file:
            file.write(lines)

    def get(self, id: str) -> list[Payload]:
        if id == "fail-get":
            raise ValueError("no get")
        if id == "nonsense":
            return [b"bare"]  # type: ignore[list-item]
        if id == "nothing":
            return None  # type: ignore[return-value]
        if id == "pid":
            return [Payload("pid", b"%d" % os.getpid())]
        path = self.folder / f"{id}.lines"
        lines = path.read_text().splitlines() if path.exists() else []
        parts = [line.split(" ") for line in lines]
        return [Payload(origin, bytes.fromhex(value)) for origin, value in parts]


class AsyncStore(Store):
    async def put(self, id: str, payloads: list[Payload]) -> None:  # type: ignore[override]
        await asyncio.to_thread(super().put, id, payloads)

    async def get(self, id: str) -> list[Payload]:  # type: ignore[override]
        return super().get(id)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("kind", "type", "transport", "sock", "info", "folder"):
        parser.add_argument(f"--{name}")
    for name in ("threads", "concurrency", "workers"):
        parser.add_argument(f"--{name}", type=int)
    options = parser.parse_args()
    vars(numaflow_core.constants)["RUNTIME_ERRORS_DIR"] = "/nonexistent/errors"
    settings: dict[str, Any] = {
        "sock_path": options.sock,
        "server_info_file": options.info,
        "transport": options.transport,
        "grace_period": 10.0,
    }
    if options.type == "sync":
        ServingStoreServer(Store(options.folder), max_threads=options.threads, **settings).start()
    elif options.type == "async":
        ServingStoreAsyncServer(AsyncStore(options.folder), **settings).start()
    else:
        ServingStoreMultiProcServer(
            Store(options.folder), options.workers, max_threads=options.threads, **settings
        ).start()


if __name__ == "__main__":
    main()
