"""A client to be killed: ``python client_process.py KIND SOCK PAYLOAD``.

Opens a stream, says ``open``, sends without end, and says ``answered`` with the first answer.
"""

import sys
from itertools import count

from behaviour.kinds import KINDS
from numaflow_core.testing import UdfClient


def main() -> None:
    name, sock, payload = sys.argv[1:]
    kind = next(kind for kind in KINDS if kind.name == name)
    with UdfClient(sock) as client:
        stream = client.open(kind.rpc)
        stream.send(*kind.opening)
        assert kind.is_opening_reply(stream.receive())
        print("open", flush=True)
        if not payload:
            stream.receive(600)
        answered = 0
        for number in count(step=100):
            stream.send(*(kind.request(str(number + i), payload.encode()) for i in range(100)), *kind.closing)
            while answered < number:
                answered += len(kind.answers(stream.receive(600)))
            if number == 100:
                print("answered", flush=True)


if __name__ == "__main__":
    main()
