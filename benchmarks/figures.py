"""Measure the figures that the documents quote, write them to ``figures.json``, and put them into the documents.

usage: python -m benchmarks.figures [--seconds 1.5] [--rounds 3] [--only PART,PART]     (make figures)

It takes some eleven minutes on two CPUs that do nothing else. What is measured, in parts: the names of compare.py's
cases, ``rpcs`` (sources, side inputs, serving stores), ``start`` (imports, idle servers) and ``open-keys``. What a run
does not measure stays in the file as it is; the file is written after each part.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from typing import Any, Final

from benchmarks.compare import CASES, MODES, ROOT, WORK, RunError, as_figures, measure, parse_side, show, stop, to_json
from benchmarks.soak import processes, resident

FILE: Final = ROOT / "benchmarks/figures.json"
SIDES: Final = ("ours", "pynumaflow", "rust")
ALONE: Final = "-burn"
"""Cases whose names end so are of our servers alone: what one worker more brings."""

LEFT_OUT: Final = ("reduce-1000",)
RPC_SECONDS: Final = 12
OURS: Final = str(WORK / "ours/bin/python")
PEER: Final = str(WORK / "peer/bin/python")
OPEN_KEYS: Final = 100_000

Servers = dict[str, dict[str, Any]]
"""The figures of a case: servers, and what was measured of each."""


def start_server(folder: str, name: str, words: Iterable[str]) -> tuple["subprocess.Popen[Any]", str]:
    """A server, and its socket. Raises: RunError."""
    sock = f"{folder}/{name.replace(' ', '-')}"
    with open(f"{sock}.log", "w") as log:
        server = subprocess.Popen([*words, sock], stdout=log, stderr=log, cwd=ROOT, start_new_session=True)
    deadline = monotonic() + 30
    while not Path(sock).exists():
        if server.poll() is not None or monotonic() > deadline:
            stop(server)
            raise RunError(f"{name} did not start: {Path(f'{sock}.log').read_text()[-1000:]}")
        sleep(0.02)
    return server, sock


def rpc_servers(kind: str) -> dict[str, list[str]]:
    """How the servers of a kind are started, by name."""
    servers = {f"ours {mode}": [OURS, "benchmarks/server.py", kind, mode] for mode in ("sync", "async")}
    if kind == "source":
        servers["pynumaflow async"] = [PEER, "-m", "benchmarks.peer", kind, "async"]
    elif kind == "sideinput":
        servers["pynumaflow sync"] = [PEER, "-m", "benchmarks.peer", kind, "sync"]
    return servers


def call_rpcs(kind: str) -> Servers:
    """Have rpc_load call the servers of a kind in turns."""
    started: dict[str, tuple[subprocess.Popen[Any], str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            for name, words in rpc_servers(kind).items():
                started[name] = start_server(folder, name, words)
            socks = [sock for _, sock in started.values()]
            words = [str(WORK / "rpc_load"), kind, str(RPC_SECONDS), *socks]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
        finally:
            for server, _ in started.values():
                stop(server)
    if done.returncode:
        raise RunError(f"{kind}: {done.stderr}")
    print(done.stdout, end="", flush=True)
    lines = {name: [line for line in done.stdout.splitlines() if sock in line] for name, (_, sock) in started.items()}
    return {name: read_line(kind, each) for name, each in lines.items()}


def read_line(kind: str, lines: list[str]) -> dict[str, Any]:
    """What rpc_load has told of a server: one line, or one for each of its RPCs, whose figures are added up."""
    if kind == "source":
        found = re.search(r": ([\d.]+) msg/s .*\(a read ([\d.]+) ms, an ack ([\d.]+) ms\); ([\d.]+) us", lines[0])
        assert found, lines
        rate, read, ack, cpu = map(float, found.groups())
        return {"msg_per_s": rate, "read_ms": read, "ack_ms": ack, "cpu_us": cpu}
    calls = [re.search(r"p50 ([\d.]+) us.*; ([\d.]+) us cpu", line) for line in lines]
    p50 = [float(each[1]) for each in calls if each]
    return {"p50_us": round(sum(p50), 1)}


def import_time(statement: str) -> float:
    """Milliseconds that an import takes in a new interpreter, the fastest of 15."""
    code = f"from time import perf_counter as now\nbegin = now()\n{statement}\nprint((now() - begin) * 1000)"
    return min(
        float(subprocess.run([OURS, "-c", code], capture_output=True, text=True, check=True).stdout) for _ in range(15)
    )


def idle_memory(mode: str) -> dict[str, float]:
    """Resident memory of a server that does nothing, in kB, and of each of its workers."""
    with tempfile.TemporaryDirectory() as folder:
        server, _ = start_server(folder, mode, [OURS, "benchmarks/server.py", "map", mode])
        try:
            sleep(1.5)  # what the start has taken for a moment is given back
            own, *workers = processes(server.pid)
            sizes = [resident(each, descendants=False) for each in (own, *workers)]
        finally:
            stop(server)
    found = {"resident_kb": sizes[0] / 1024}
    if workers:
        found["worker_kb"] = median(sizes[1:]) / 1024
    return found


def measure_start() -> dict[str, Servers]:
    imports = {"numaflow_mapper": import_time("import numaflow_mapper"), "grpc": import_time("import grpc")}
    print("import, ms:", imports, flush=True)
    idle = {f"ours {mode}": idle_memory(mode) for mode in MODES}
    print("idle:", idle, flush=True)
    return {"import": {name: {"ms": round(ms, 2)} for name, ms in imports.items()}, "idle": idle}


def open_keys(mode: str) -> float:
    """Bytes that a reduce server holds for each key of a window while the window is open."""
    load = [str(WORK / "loadgen"), "--kind", "reduce", "--keys", str(OPEN_KEYS), "--n", str(3 * OPEN_KEYS)]
    with tempfile.TemporaryDirectory() as folder:
        server, sock = start_server(folder, mode, [OURS, "benchmarks/server.py", "reduce", mode])
        try:
            sleep(1)
            before = most = resident(server.pid)
            client = subprocess.Popen([*load, "--sock", sock], stdout=subprocess.DEVNULL)
            while client.poll() is None:
                most = max(most, resident(server.pid))
                sleep(0.02)
        finally:
            stop(server)
    if client.returncode:
        raise RunError(f"{OPEN_KEYS} open keys: the load generator ended with {client.returncode}")
    return round((most - before) / OPEN_KEYS)


def measure_open_keys() -> dict[str, Servers]:
    found = {f"ours {mode}": {"bytes_per_key": open_keys(mode)} for mode in ("sync", "async")}
    print("open keys:", found, flush=True)
    return {"open-keys": found}


def measure_case(name: str, rounds: int, seconds: float) -> dict[str, Servers]:
    case = CASES[name]
    sides = [parse_side(side) for side in (SIDES[:1] if name.endswith(ALONE) else SIDES)]
    runs = measure(case, sides, list(MODES), rounds, seconds)
    show(name, case, sides, list(MODES), runs)
    return {name: as_figures(runs)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.5, help="how long a run is to take, about")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="some of the parts, with commas between them")
    parser.add_argument("--file", type=Path, default=FILE, help="another file; the documents then stay as they are")
    args = parser.parse_args()
    parts: dict[str, Callable[[], dict[str, Servers]]] = {
        name: lambda name=name: measure_case(name, args.rounds, args.seconds)  # type: ignore[misc]
        for name in CASES
        if name not in LEFT_OUT
    }
    parts["rpcs"] = lambda: {kind: call_rpcs(kind) for kind in ("source", "sideinput", "servingstore")}
    parts["start"] = measure_start
    parts["open-keys"] = measure_open_keys
    chosen = args.only.split(",") if args.only else list(parts)
    if unknown := set(chosen) - set(parts):
        parser.error(f"unknown: {', '.join(unknown)}; parts are {', '.join(parts)}")
    figures: dict[str, Servers] = json.loads(args.file.read_text()) if args.file.exists() else {}
    failed, begin = False, monotonic()
    for name in chosen:
        try:
            figures.update(parts[name]())
            args.file.write_text(to_json(figures))
        except RunError as error:
            failed = True
            print(f"{name}: failed: {error}", flush=True)
    print(f"{monotonic() - begin:.0f} s", flush=True)
    if args.file == FILE and not failed:
        subprocess.run([sys.executable, "tests/docs/quotes.py"], cwd=ROOT, check=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
