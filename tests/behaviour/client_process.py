"""A client to be killed: ``python client_process.py KIND SOCK PAYLOAD``.

Opens a stream, says ``open``, sends without end, and says ``answered`` with the first answer.
"""

import sys
from itertools import count

from behaviour.kinds import KINDS
from behaviour.talk import Talk
from numaflow_core.testing import UdfClient


def main() -> None:
    name, sock, payload = sys.argv[1:]
    kind = next(kind for kind in KINDS if kind.name == name)
    with UdfClient(sock) as client:
        talk = Talk(client, kind)
        print("open", flush=True)
        if not payload:
            talk.stream.receive(600)
        for number in count(step=100):
            talk.send((str(number + each), payload.encode()) for each in range(100))
            if number:
                talk.answers(100, 600)
            if number == 100:
                print("answered", flush=True)


if __name__ == "__main__":
    main()
