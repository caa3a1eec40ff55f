"""The public names of each package: a change here is a change for users, and belongs in the changelog."""

import importlib

import pytest

SHARED = {
    "GracePeriodError",
    "HandlerError",
    "ServerError",
    "StartError",
    "SystemMetadata",
    "UserMetadata",
    "__version__",
}
"""What every kind re-exports from core."""

NAMES = {
    "numaflow_mapper": {
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
        "NackOptions",
    },
    "numaflow_reducer": {
        "DROP",
        "Datum",
        "IntervalWindow",
        "Message",
        "Messages",
        "Metadata",
        "Output",
        "ReduceAsyncHandler",
        "ReduceAsyncHandlerObject",
        "ReduceAsyncServer",
        "ReduceHandler",
        "ReduceHandlerObject",
        "ReduceMultiProcServer",
        "ReduceResult",
        "ReduceServer",
        "ReduceStreamAsyncHandler",
        "ReduceStreamAsyncHandlerObject",
        "ReduceStreamAsyncServer",
        "ReduceStreamHandler",
        "ReduceStreamHandlerObject",
        "ReduceStreamMultiProcServer",
        "ReduceStreamOutputHandler",
        "ReduceStreamResult",
        "ReduceStreamServer",
        "ReduceStreamer",
        "Reducer",
        "SyncReduceStreamer",
        "SyncReducer",
    },
    "numaflow_sinker": {
        "Datum",
        "Message",
        "NackOptions",
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
    "numaflow_sourcetransformer": {
        "DROP",
        "Datum",
        "Message",
        "Messages",
        "NackOptions",
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
