"""The hub of one stream: it carries out what the stream's flow says, and brings back what runners make of the calls.

Here is also what runners implement, and the order of results that close together. Nothing here reads or writes a
socket, or runs a handler.
"""

from .context import RpcContext
from .hub import UNFINISHED, Rpc
from .inbox import Inbox
from .ready import ReadyRpc
from .runner import OnFailure, Runner

__all__ = ["UNFINISHED", "Inbox", "OnFailure", "ReadyRpc", "Rpc", "RpcContext", "Runner"]
