"""Our map and pynumaflow's in one process: both sets of protobuf messages are registered and work."""

import sys

from pynumaflow.mapper import Message
from pynumaflow.proto.mapper import map_pb2 as theirs

from numaflow_mapper._proto import map_pb2 as ours


def main() -> int:
    request = theirs.MapRequest(id="7")
    request.request.value = b"payload"
    request.request.keys.append("key")
    copy = ours.MapRequest.FromString(request.SerializeToString())
    assert (copy.id, copy.request.value, list(copy.request.keys)) == ("7", b"payload", ["key"])
    assert theirs.MapRequest.FromString(copy.SerializeToString()) == request
    assert Message(b"x").value == b"x"
    print("numaflow-mapper and pynumaflow work in one process")
    return 0


if __name__ == "__main__":
    sys.exit(main())
