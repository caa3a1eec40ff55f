"""The servers that the suite runs against."""

from .fixtures import Launch, each_combination, gate, launch, server, shared_server
from .kinds import KINDS

__all__ = ["Launch", "combination", "gate", "launch", "server", "shared_server"]

combination = each_combination(*KINDS)
