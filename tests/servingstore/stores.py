"""Servers under test, each a process of its own: ``python stores.py --type sync ...``. Results are lines of a file for
each id, beside the socket, so that all worker processes see them. A value may be a command, as in
``behaviour/commands.py``."""

import argparse
import asyncio
from pathlib import Path
from typing import Any

from behaviour.commands import act, report_errors_to
from numaflow_servingstore import (
    Payload,
    ServingStore,
    ServingStoreAsyncServer,
    ServingStoreMultiProcServer,
    ServingStoreServer,
)


class Store(ServingStore):
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, id: str, payloads: list[Payload]) -> None:
        lines = [b"%b %b\n" % (payload.origin.encode(), act(payload.value).hex().encode()) for payload in payloads]
        with (self.folder / f"{id}.lines").open("ab", buffering=0) as file:
            file.write(b"".join(lines))

    def get(self, id: str) -> list[Payload]:
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
    for name in ("kind", "type", "transport", "sock", "info", "concurrency"):
        parser.add_argument(f"--{name}")
    for name in ("threads", "workers"):
        parser.add_argument(f"--{name}", type=int)
    options = parser.parse_args()
    report_errors_to("/nonexistent/errors")
    settings: dict[str, Any] = {
        "sock_path": options.sock,
        "server_info_file": options.info,
        "transport": options.transport,
    }
    folder = Path(options.sock).parent
    if options.type == "sync":
        ServingStoreServer(Store(folder), max_threads=options.threads, **settings).start()
    elif options.type == "async":
        ServingStoreAsyncServer(AsyncStore(folder), **settings).start()
    else:
        ServingStoreMultiProcServer(Store(folder), options.workers, max_threads=options.threads, **settings).start()


if __name__ == "__main__":
    main()
