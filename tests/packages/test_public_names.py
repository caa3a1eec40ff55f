"""The public names of each package: a change here is a change for users, and belongs in the changelog."""

import importlib

import pytest

SHARED = {
    "GracePeriodError",
    "HandlerError",
    "ServerError",
    "StartError",
    "__version__",
}
"""What every kind re-exports from core."""

MESSAGES = {"NackOptions", "SystemMetadata", "UserMetadata"}
"""What kinds re-export whose handlers are given messages of other vertices."""

NAMES = {
    "numaflow_mapper": MESSAGES
    | {
        "BatchMapAsyncHandler",
        "BatchMapAsyncHandlerObject",
        "BatchMapAsyncServer",
        "BatchMapHandler",
        "BatchMapHandlerObject",
        "BatchMapMultiProcServer",
        "BatchMapResult",
        "BatchMapServer",
        "BatchMapper",
        "BatchResponse",
        "BatchResponses",
        "DROP",
        "Datum",
        "MapAsyncHandler",
        "MapAsyncHandlerObject",
        "MapAsyncServer",
        "MapHandler",
        "MapHandlerObject",
        "MapMultiProcServer",
        "MapMultiprocServer",
        "MapResult",
        "MapServer",
        "MapStreamAsyncHandler",
        "MapStreamAsyncHandlerObject",
        "MapStreamAsyncServer",
        "MapStreamHandler",
        "MapStreamHandlerObject",
        "MapStreamMultiProcServer",
        "MapStreamServer",
        "MapStreamer",
        "Mapper",
        "Message",
        "Messages",
    },
    "numaflow_servingstore": {
        "Payload",
        "ServingStore",
        "ServingStoreAsyncObject",
        "ServingStoreAsyncServer",
        "ServingStoreMultiProcServer",
        "ServingStoreObject",
        "ServingStoreServer",
    },
    "numaflow_sideinput": {
        "Response",
        "SIDE_INPUT_DIR_PATH",
        "SideInput",
        "SideInputAsyncHandler",
        "SideInputAsyncHandlerObject",
        "SideInputAsyncServer",
        "SideInputFile",
        "SideInputHandler",
        "SideInputHandlerObject",
        "SideInputMultiProcServer",
        "SideInputServer",
    },
    "numaflow_sinker": MESSAGES
    | {
        "Datum",
        "Message",
        "Response",
        "Responses",
        "SinkAsyncHandler",
        "SinkAsyncHandlerObject",
        "SinkAsyncServer",
        "SinkHandler",
        "SinkHandlerObject",
        "SinkMultiProcServer",
        "SinkResult",
        "SinkServer",
        "Sinker",
        "Status",
    },
    "numaflow_sourcer": {
        "AckRequest",
        "AsyncOutput",
        "AsyncSource",
        "LedgerFullError",
        "Message",
        "Nack",
        "NackOptions",
        "NackRequest",
        "Offset",
        "OffsetLedger",
        "Output",
        "PartitionsResponse",
        "PendingResponse",
        "PuttingAsyncSource",
        "PuttingSource",
        "ReadRequest",
        "ReturningAsyncSource",
        "SourceAsyncServer",
        "SourceServer",
        "Sourcer",
        "SyncSource",
        "UserMetadata",
        "YieldingAsyncSource",
        "YieldingSource",
        "get_default_partitions",
    },
    "numaflow_sourcetransformer": MESSAGES
    | {
        "DROP",
        "Datum",
        "Message",
        "Messages",
        "SourceTransformAsyncHandler",
        "SourceTransformAsyncHandlerObject",
        "SourceTransformAsyncServer",
        "SourceTransformHandler",
        "SourceTransformHandlerObject",
        "SourceTransformMultiProcServer",
        "SourceTransformResult",
        "SourceTransformServer",
        "SourceTransformer",
    },
}


@pytest.mark.parametrize("package", NAMES)
def test_public_names_are_frozen(package: str) -> None:
    module = importlib.import_module(package)
    assert len(set(module.__all__)) == len(module.__all__)
    assert set(module.__all__) == SHARED | NAMES[package]
    for name in module.__all__:
        assert hasattr(module, name)
