"""What makes a kind: constants, a flow and a codec."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from .constants import RUN_DIR

if TYPE_CHECKING:
    from .flow import Desk, Flow, OpenFlow
    from .strategy import Codec, StreamCodec
    from .strategy._mailboxes import MakePush


class Calls(NamedTuple):
    """How a kind's messages become calls, where every message is one."""

    new_flow: Callable[[], Flow]
    """A flow for each stream."""

    codec: Codec | StreamCodec
    """The latter where a call makes more than one reply."""


class OpenCalls(NamedTuple):
    """How a kind's messages become calls that take messages while they run."""

    new_flow: Callable[[Desk], OpenFlow]
    """A flow for each stream, which feeds its calls with decoded messages."""

    new_parent_flow: Callable[[Desk], OpenFlow]
    """The same in front of worker processes: it feeds its calls with what came."""

    new_part_flow: Callable[[Desk], OpenFlow]
    """A flow for the part of a call, in front of workers, that one worker gets: a stream of its own to it."""

    codec: StreamCodec

    make_push: MakePush | None = None
    """What takes the messages of a call where the handler is sync. A kind that has it is *keyed*: there is a call for
    each key, for as long as the key is open. So the number of calls that run at once is not limited, the end of a call
    is told from the end of its stream, and messages of one key stay in one worker: ``new_parent_flow`` feeds its calls
    with pairs, a number that is the same for messages that belong together and what came."""

    endless: bool = False
    """Whether a stream lasts for as long as its client does. One that the server ends is then cut off, even if no call
    is open on it."""


class Kind(NamedTuple):
    """One UDF kind, as the server needs to know it."""

    name: str
    """As users say it: ``map``."""

    distribution: str
    version: str
    """The distribution that serves the kind, and its version."""

    package_root: str
    """The folder of the kind's package; its frames are left out of tracebacks."""

    service: str
    method: str
    """The RPC on the wire: ``/service/method``."""

    socket_name: str
    info_name: str
    """File names in ``RUN_DIR``."""

    load_calls: Callable[[], Calls | OpenCalls]
    """Imports the kind's codec, and with it protobuf: most of what importing a kind would cost."""

    info_metadata: Mapping[str, str]
    """What the kind adds to the server-info file."""

    minimum_numaflow_version: str = "1.4.0-z"

    @property
    def sock_path(self) -> str:
        """Where the dataplane connects."""
        return f"{RUN_DIR}/{self.socket_name}"

    @property
    def info_path(self) -> str:
        """Where the dataplane reads what it is talking to."""
        return f"{RUN_DIR}/{self.info_name}"

    @property
    def rpc(self) -> str:
        """The RPC's full name."""
        return f"/{self.service}/{self.method}"

    @property
    def ready_rpc(self) -> str:
        """The probe's full name."""
        return f"/{self.service}/IsReady"
