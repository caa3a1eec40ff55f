"""The roles that a sink's container can have. The platform runs each in a container of its own, which may be the same
image (``pkg/apis/numaflow/v1alpha1/const.go``)."""

from typing import Final, NamedTuple

from numaflow_core.role import container_type

from ._datatypes import Status


class Role(NamedTuple):
    """Where a sink listens, and what it may answer."""

    name: str
    """As users say it."""

    socket_name: str
    info_name: str
    """File names in ``RUN_DIR`` (``rust/numaflow-core/src/config/components/sink.rs``)."""

    statuses: frozenset[Status]
    """What a response may be."""


PRIMARY: Final = Role("sink", "sink.sock", "sinker-server-info", frozenset(Status))

_LAST: Final = frozenset((Status.SUCCESS, Status.FAILURE, Status.NACK))
"""Behind these sinks there is no other: the platform ends its own process on a fallback or serve from them, and takes
an on-success for a success, so that its message would be lost (``rust/numaflow-core/src/sinker/sink.rs``)."""

FALLBACK: Final = Role("fallback sink", "fb-sink.sock", "fb-sinker-server-info", _LAST)
ON_SUCCESS: Final = Role("on-success sink", "ons-sink.sock", "ons-sinker-server-info", _LAST)

ROLES: Final = {"udsink": PRIMARY, "fb-udsink": FALLBACK, "ons-udsink": ON_SUCCESS}
"""By the value of ``NUMAFLOW_UD_CONTAINER_TYPE``."""


def role_of_container() -> Role:
    """The role that this container has; outside of a pod that of the primary sink."""
    return ROLES.get(container_type(), PRIMARY)
