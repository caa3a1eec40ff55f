"""The public names of each package: a change here is a change for users, and belongs in the changelog."""

import importlib

import pytest

SHARED = {
    "GracePeriodError",
    "HandlerError",
    "NackOptions",
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
    },
    "numaflow_sinker": {
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
    "numaflow_sourcetransformer": {
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
