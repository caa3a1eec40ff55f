"""Event loops: uvloop where it is installed."""

import asyncio


def new_event_loop(transport: str = "h2") -> asyncio.AbstractEventLoop:
    """A fresh loop. grpcio's own asyncio integration is measured and used on the standard loop."""
    if transport != "grpcio":
        try:
            import uvloop
        except ImportError:
            pass
        else:
            return uvloop.new_event_loop()
    return asyncio.new_event_loop()
