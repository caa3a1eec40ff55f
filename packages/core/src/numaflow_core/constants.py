"""What the platform dictates: names, paths and limits that the dataplane and the controller fix.

Each constant names the file of the Numaflow repository that it comes from.
"""

from typing import Final

CONTRACT_VERSION: Final = "0.14.0"
"""The SDK version written to the server-info file. The dataplane compares it with pynumaflow's numbers, kind by kind,
and refuses a ``python`` SDK below them (``rust/numaflow-shared/src/server_info.rs``)."""

RUN_DIR: Final = "/var/run/numaflow"
"""Where sockets and server-info files live: a volume that all containers of a pod share."""

RUNTIME_ERRORS_DIR: Final = "/var/numaflow/runtime/application-errors"
"""Where critical errors are left for the UI (``rust/numaflow-core/src/runtime_server/config.rs``)."""

ENV_CONTAINER_TYPE: Final = "NUMAFLOW_UD_CONTAINER_TYPE"
"""Names the role of this container: ``udf``, ``udsink``, ... (``pkg/apis/numaflow/v1alpha1/const.go``)."""

UNKNOWN_CONTAINER: Final = "unknown-container"
"""The container type outside of a pod."""

ENV_REPLICA: Final = "NUMAFLOW_REPLICA"
"""The number of this pod among those of its vertex (``pkg/apis/numaflow/v1alpha1/const.go``)."""

ENV_GRACE_PERIOD: Final = "NUMAFLOW_GRPC_SHUTDOWN_GRACE_PERIOD_SECONDS"
ENV_TRANSPORT: Final = "NUMAFLOW_TRANSPORT"
ENV_MAX_THREADS: Final = "MAX_THREADS"
ENV_MAX_CONCURRENCY: Final = "MAX_CONCURRENCY"
ENV_TUNE_MEMORY: Final = "NUMAFLOW_TUNE_MEMORY"
ENV_LOG_PAYLOAD: Final = "NUMAFLOW_LOG_PAYLOAD"

SERVER_INFO_END: Final = "U+005C__END__"
"""Ends the server-info file; nothing may follow it (``rust/numaflow-shared/src/server_info.rs``)."""

DROP: Final = "U+005C__DROP__"
"""Tag of a message that is acknowledged and not forwarded (``rust/numaflow-core/src/message.rs``)."""

NACK: Final = "U+005C__NACK__"
"""Tag that negatively acknowledges the whole input message (``rust/numaflow-core/src/message.rs``)."""

FAIL: Final = "U+005C__FAIL__"
"""Tag that asks the dataplane to call again, as the vertex's ``retryStrategy`` says
(``rust/numaflow-core/src/message.rs``)."""

MAX_MESSAGE_SIZE: Final = 64 * 1024 * 1024
"""Largest message in either direction, in bytes: what the dataplane's clients are set to."""

DEFAULT_MAX_THREADS: Final = 4
DEFAULT_MAX_CONCURRENCY: Final = 1000

DEFAULT_GRACE_PERIOD: Final = 25.0
"""Seconds from SIGTERM to the end. A pod has 30 before SIGKILL; the dataplane drains for 20."""
