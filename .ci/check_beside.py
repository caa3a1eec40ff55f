"""Our kinds and pynumaflow's in one process: both sets of protobuf messages are registered, and read each other."""

import importlib
import sys

from pynumaflow.proto.mapper.map_pb2 import MapRequest
from pynumaflow.proto.sideinput.sideinput_pb2 import SideInputResponse
from pynumaflow.proto.sinker.sink_pb2 import SinkRequest
from pynumaflow.proto.sourcer.source_pb2 import Offset, ReadResponse
from pynumaflow.proto.sourcetransformer.transform_pb2 import SourceTransformRequest

DATUM = {"keys": ["key"], "value": b"payload"}
RESULT = {"keys": ["key"], "payload": b"payload", "offset": Offset(offset=b"1", partition_id=2)}

PAIRS = (
    (MapRequest(request=DATUM), "numaflow_mapper", "map"),
    (SideInputResponse(value=b"payload", no_broadcast=True), "numaflow_sideinput", "sideinput"),
    (SinkRequest(request=DATUM), "numaflow_sinker", "sink"),
    (ReadResponse(result=RESULT), "numaflow_sourcer", "source"),
    (SourceTransformRequest(request=DATUM), "numaflow_sourcetransformer", "sourcetransform"),
)


def main() -> int:
    for theirs, package, module in PAIRS:
        importlib.import_module(package)
        ours = getattr(importlib.import_module(f"{package}._proto.{module}_pb2"), type(theirs).__name__)
        copy = ours.FromString(theirs.SerializeToString())
        assert str(copy) == str(theirs)
        assert "payload" in str(copy)
        assert type(theirs).FromString(copy.SerializeToString()) == theirs
        print(f"{package} and pynumaflow work in one process")
    return 0


if __name__ == "__main__":
    sys.exit(main())
