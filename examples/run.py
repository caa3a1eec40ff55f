"""Runs an example at other paths than those of a container: for tests, for the demo and for a look at it.

usage: python examples/run.py MODULE --sock PATH --info PATH

It loads MODULE, a file with a function ``make_server``, and starts the server that the function makes.
"""

import argparse
import importlib.util
import logging
import sys
from pathlib import Path
from types import ModuleType


def load(path: Path) -> ModuleType:
    """Import a file by its path. Raises: SystemExit where there is no such file."""
    if not path.is_file():
        raise SystemExit(f"run.py: there is no file {path}")
    name = f"example_{path.resolve().parent.name}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"run.py: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description="Run an example at paths of your choice.")
    parser.add_argument("module", type=Path, help="the example's udf.py")
    parser.add_argument("--sock", required=True, help="the unix socket to listen on")
    parser.add_argument("--info", required=True, help="the server-info file to write")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    load(arguments.module).make_server(sock_path=arguments.sock, server_info_file=arguments.info).start()


if __name__ == "__main__":
    main()
