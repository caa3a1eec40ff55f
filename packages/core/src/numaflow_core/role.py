"""Which role the platform has given to this container."""

import os

from .constants import ENV_CONTAINER_TYPE


def container_type() -> str:
    """The role: ``udf``, ``udsink``, ...; empty outside of a pod."""
    return os.environ.get(ENV_CONTAINER_TYPE, "")
