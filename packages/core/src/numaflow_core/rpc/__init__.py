"""The hub of one stream: it carries out what the stream's flow says, and brings back what runners make of the calls.

Here is also what runners implement, and the order of results that close together. Nothing here reads or writes a
socket, or runs a handler.
"""

from .hub import UNFINISHED, ReadyRpc, Rpc, RpcContext
from .inbox import Inbox
from .runner import OnFailure, Runner

__all__ = ["UNFINISHED", "Inbox", "OnFailure", "ReadyRpc", "Rpc", "RpcContext", "Runner"]
