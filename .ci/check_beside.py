"""Our kinds and pynumaflow's in one process: both sets of protobuf messages are registered, and read each other."""

import importlib
import sys

from pynumaflow.proto.mapper import map_pb2
from pynumaflow.proto.sinker import sink_pb2
from pynumaflow.proto.sourcetransformer import transform_pb2

PAIRS = (
    (map_pb2.MapRequest, "numaflow_mapper", "map", "MapRequest"),
    (sink_pb2.SinkRequest, "numaflow_sinker", "sink", "SinkRequest"),
    (transform_pb2.SourceTransformRequest, "numaflow_sourcetransformer", "sourcetransform", "SourceTransformRequest"),
)


def main() -> int:
    for theirs, package, module, name in PAIRS:
        importlib.import_module(package)
        ours = getattr(importlib.import_module(f"{package}._proto.{module}_pb2"), name)
        request = theirs()
        request.request.value = b"payload"
        request.request.keys.append("key")
        copy = ours.FromString(request.SerializeToString())
        assert (copy.request.value, list(copy.request.keys)) == (b"payload", ["key"])
        assert theirs.FromString(copy.SerializeToString()) == request
        print(f"{package} and pynumaflow work in one process")
    return 0


if __name__ == "__main__":
    sys.exit(main())
