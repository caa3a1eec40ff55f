"""What is told of a call whose handler has raised."""

from typing import Any

from ..kind import Codec, StreamCodec
from ..rpc import Inbox
from ..values.about import About


def about(codec: Codec | StreamCodec, call: Any) -> About | None:
    """The message that the handler was working on, as far as it is known: of a call that takes inputs the latest one,
    or its keys. May raise what decoding raises.

    Args:
        call: the message, undecoded, or the inbox that the handler was called with.
    """
    if isinstance(call, Inbox):
        seen = call.call if call.latest is None else call.latest
    elif isinstance(codec, Codec):
        _, arguments = codec.decode(call)
        if arguments and isinstance(arguments[0], str):
            return About(arguments[0])
        seen = arguments[-1] if arguments else None
    else:
        seen = None if codec.view is None else codec.view(call)
    if seen is None:
        return None
    return About(str(getattr(seen, "id", "")), tuple(getattr(seen, "keys", ())), getattr(seen, "value", None))
