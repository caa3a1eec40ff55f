"""The servers that the suite runs against."""

from .fixtures import Launch, each_combination, gate, launch, only, server, shared_server
from .kinds import KINDS
from .targets import target

__all__ = [
    "Launch",
    "combination",
    "gate",
    "launch",
    "only",
    "pytest_generate_tests",
    "server",
    "shared_server",
    "target",
]

combination, pytest_generate_tests = each_combination(*KINDS)
