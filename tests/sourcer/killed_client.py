"""A client to be killed: ``python killed_client.py SOCK READ ACKED``.

Reads that many messages, acknowledges the first of them, says ``done`` and keeps its connection. With ``ACKED`` below
zero it asks for more than it takes, and says ``done`` in the middle of the read.
"""

import signal
import sys

from numaflow_sourcer.testing import SourceClient
from sourcer.requests import open_reads, read_request, received


def main() -> None:
    sock, count, acked = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with SourceClient(sock) as client:
        if acked >= 0:
            messages = client.read(count, 30_000)
            client.ack([message.offset for message in messages[:acked]])
        else:
            stream = open_reads(client)
            stream.send(read_request(20_000, 30_000))
            for _ in range(count):
                received(stream)
        print("done", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
