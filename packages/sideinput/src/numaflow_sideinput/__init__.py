"""Side inputs for Numaflow: a function that retrieves a value on a schedule, and, for the vertices that use the value,
the file that they find it in.

>>> from numaflow_sideinput import Response, SideInputServer
>>> def handler() -> Response:
...     return Response.broadcast_message(b"42")
>>> server = SideInputServer(handler)  # server.start() serves it
"""

from numaflow_core.errors import GracePeriodError, HandlerError, ServerError, StartError

from ._datatypes import (
    Response,
    SideInput,
    SideInputAsyncHandler,
    SideInputAsyncHandlerObject,
    SideInputHandler,
    SideInputHandlerObject,
)
from ._files import SIDE_INPUT_DIR_PATH, SideInputFile
from ._servers import SideInputAsyncServer, SideInputMultiProcServer, SideInputServer
from ._version import __version__

__all__ = [
    "SIDE_INPUT_DIR_PATH",
    "GracePeriodError",
    "HandlerError",
    "Response",
    "ServerError",
    "SideInput",
    "SideInputAsyncHandler",
    "SideInputAsyncHandlerObject",
    "SideInputAsyncServer",
    "SideInputFile",
    "SideInputHandler",
    "SideInputHandlerObject",
    "SideInputMultiProcServer",
    "SideInputServer",
    "StartError",
    "__version__",
]
