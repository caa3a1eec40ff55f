"""A server of pynumaflow's for one kind, to compare with: it does what ``server.py`` does.

usage: python benchmarks/peer.py KIND SOCK
KIND   source (SourceAsyncServer) | sideinput (SideInputServer)
"""

import sys
from datetime import datetime, timezone
from typing import Any

from pynumaflow.sideinput import Response, SideInputServer
from pynumaflow.sourcer import Message, Offset, PartitionsResponse, PendingResponse, SourceAsyncServer, Sourcer

PAYLOAD = bytes(100)


class Source(Sourcer):  # type: ignore[misc]  # pynumaflow is not typed
    number = 0

    async def read_handler(self, datum: Any, output: Any) -> None:
        for _ in range(datum.num_records):
            self.number += 1
            now = datetime.now(timezone.utc)
            await output.put(Message(PAYLOAD, Offset(b"%d" % self.number, 0), now, keys=["key"]))

    async def ack_handler(self, ack_request: Any) -> None:
        for _ in ack_request.offsets:
            pass

    async def nack_handler(self, nack_request: Any) -> None: ...

    async def pending_handler(self) -> Any:
        return PendingResponse(count=0)

    async def active_partitions_handler(self) -> Any:
        return PartitionsResponse(partitions=[0])


def main() -> None:
    kind, sock = sys.argv[1:]
    if kind == "source":
        SourceAsyncServer(Source(), sock_path=sock, server_info_file=sock + ".info").start()
    else:
        SideInputServer(
            lambda: Response.broadcast_message(PAYLOAD), sock_path=sock, server_info_file=sock + ".info"
        ).start()


if __name__ == "__main__":
    main()
