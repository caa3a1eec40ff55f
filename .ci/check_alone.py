"""One kind in an environment of its own: it brings core and its requirements, no other kind, and it serves.

usage: check_alone.py DISTRIBUTION
"""

import importlib
import sys
from importlib.metadata import distributions

ALLOWED = {
    "aiorun", "grpcio", "h2", "hpack", "hyperframe", "numaflow-core", "pip", "protobuf", "setuptools",
    "typing-extensions", "wheel",
}  # fmt: skip


def main() -> int:
    name = sys.argv[1]
    found = {str(distribution.metadata["Name"]).lower().replace("_", "-") for distribution in distributions()}
    extra = found - ALLOWED - {name}
    if extra or name not in found:
        print(f"{name} is installed with {sorted(found)}; not expected: {sorted(extra)}")
        return 1
    importlib.import_module(name.replace("-", "_"))
    early = [module for module in ("grpc", "asyncio", "google.protobuf") if module in sys.modules]
    if early:
        print(f"importing {name} imports {early}")
        return 1
    print(f"{name}: alone with {sorted(found - {name})}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
