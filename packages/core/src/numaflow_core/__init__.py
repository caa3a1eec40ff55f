"""What the UDF kinds of the Numaflow SDK share. Users install and import a kind, ``numaflow_mapper`` for instance,
which re-exports what they need from here."""

from ._version import __version__

__all__ = ["__version__"]
