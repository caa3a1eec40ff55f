"""A server of ours for one kind, as ``compare.py`` starts it.

usage: python benchmarks/server.py KIND MODE SOCK
KIND   map
MODE   sync | async | multiproc

BURN_US=N   every message burns N microseconds of CPU first
WORKERS=N   worker processes of multiproc (default: the CPUs available)
"""

import os
import sys
from time import perf_counter

BURN_SECONDS = float(os.environ.get("BURN_US", "0")) / 1e6
WORKERS = int(os.environ["WORKERS"]) if "WORKERS" in os.environ else None


def burn() -> None:
    end = perf_counter() + BURN_SECONDS
    while perf_counter() < end:
        pass


def serve_map(mode: str, sock: str, info: str) -> None:
    from numaflow_mapper import Datum, MapAsyncServer, MapMultiProcServer, MapServer, Message, Messages

    def handle(keys: list[str], datum: Datum) -> Messages:
        if BURN_SECONDS:
            burn()
        return Messages(Message(datum.value, keys=keys))

    async def handle_async(keys: list[str], datum: Datum) -> Messages:
        return handle(keys, datum)

    if mode == "sync":
        MapServer(handle, sock_path=sock, server_info_file=info).start()
    elif mode == "async":
        MapAsyncServer(handle_async, sock_path=sock, server_info_file=info).start()
    elif mode == "multiproc":
        MapMultiProcServer(handle, server_count=WORKERS, sock_path=sock, server_info_file=info).start()
    else:
        raise SystemExit(__doc__)


def main() -> None:
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    kind, mode, sock = sys.argv[1:]
    if kind != "map":
        raise SystemExit(__doc__)
    serve_map(mode, sock, sock + ".info")


if __name__ == "__main__":
    main()
