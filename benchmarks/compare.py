"""Measure servers of several sides under the same load, in turns.

usage: python -m benchmarks.compare [CASE ...] [option ...]       (make bench ARGS='CASE ... option ...')

A case is a kind and a load; ``--list`` lists them. A side is one of

    ours            the servers of this tree, by benchmarks/server.py
    NAME=FOLDER     those of another tree, say a worktree of an older revision, by the server.py there
    pynumaflow      pynumaflow 0.14, by benchmarks/peer.py
    rust            the Rust SDK, by benchmarks/rust_peer
    NAME=COMMAND    any server: words with {sock} in them, and {kind} and {mode} where it needs them

Each round starts the servers of a case one after the other, drives each for ``--seconds`` over a unix socket, and stops
it; so a machine whose speed drifts slows all of them. Printed are medians over the rounds, and how many times as fast
as another side the first one is, and how many times as much CPU the other takes: medians of the rounds' ratios.

The load generator checks that every message is answered exactly once. Exits with 1 where a server failed, or where the
first side is not ``--at-least`` times as fast as each of the others.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
WORK: Final = ROOT / ".bench"

MODES: Final = ("sync", "async", "multiproc")
NO_SYNC: Final = ("mapstream", "batchmap", "reduce")
"""Kinds for which pynumaflow has no sync server."""


@dataclass(frozen=True)
class Case:
    """A kind and a load."""

    kind: str
    modes: tuple[str, ...] = MODES
    payload: int = 100
    window: int = 500
    """Messages in flight; the size of a batch for sink and batch map."""
    keys: int = 1
    count: int = 0
    """Messages of a run, where it matters for what each of them costs; otherwise as many as take the time."""
    burn_us: int = 0
    workers: tuple[int, ...] = (2,)
    """Worker processes of multiproc, and threads of the Rust SDK's server where handlers burn CPU."""

    @property
    def warm_up(self) -> int:
        """Messages that a new server gets first."""
        return max(4 * self.window, self.keys) if self.payload < 1 << 16 else 50


IN_TASKS: Final = ("sync", "async")
CASES: Final = {
    "map": Case("map"),
    "map-1k": Case("map", IN_TASKS, payload=1 << 10),
    "map-10k": Case("map", IN_TASKS, payload=10 << 10),
    "map-100k": Case("map", IN_TASKS, payload=100 << 10),
    "map-1m": Case("map", IN_TASKS, payload=1 << 20, window=50),
    "map-one": Case("map", IN_TASKS, window=1),
    "transform": Case("transform"),
    "batchmap": Case("batchmap"),
    "mapstream": Case("mapstream"),
    "sink": Case("sink"),
    "reduce-1": Case("reduce"),
    "reduce-1000": Case("reduce", keys=1000),
    "reduce-10000": Case("reduce", keys=10_000, count=100_000),
    **{
        f"{kind}-burn": Case(kind, ("multiproc",), keys=1000 if kind == "reduce" else 1, burn_us=100, workers=(1, 2))
        for kind in ("map", "transform", "batchmap", "mapstream", "sink", "reduce")
    },
}


@dataclass(frozen=True)
class Side:
    """A command that starts a server, and the folder of the tree that it is from, if that is one of ours."""

    name: str
    command: str
    tree: Path | None = None
    modes: bool = True
    """Whether it has servers of several modes."""

    def mode(self, case: Case, mode: str) -> str:
        """The mode of this side that is set against ours; empty where it has only one."""
        if not self.modes:
            return ""
        if self.name != "pynumaflow":
            return mode
        return "async" if mode == "async" or case.kind in NO_SYNC else "sync"


def parse_side(text: str) -> Side:
    """Raises ``SystemExit`` for what is no side."""
    ours = f"{shlex.quote(str(WORK / 'ours/bin/python'))} benchmarks/server.py {{kind}} {{mode}} {{sock}}"
    if text == "ours":
        return Side(text, ours, ROOT)
    if text == "pynumaflow":
        return Side(text, f"{shlex.quote(str(WORK / 'peer/bin/python'))} -m benchmarks.peer {{kind}} {{mode}} {{sock}}")
    if text == "rust":
        return Side(text, f"{shlex.quote(str(WORK / 'rust/release/rust-peer'))} {{kind}} {{sock}}", modes=False)
    name, _, value = text.partition("=")
    if name and "{sock}" in value:
        return Side(name, value, modes="{mode}" in value)
    if name and (Path(value) / "benchmarks/server.py").exists():
        return Side(name, ours, Path(value).resolve())
    raise SystemExit(f"compare.py: no side: {text!r}\n{__doc__}")


@dataclass(frozen=True)
class Run:
    """What one run of the load generator has measured."""

    msg_per_s: float
    cpu_us: float
    """CPU time of the server for a message, child processes included."""
    p50_ms: float
    p99_ms: float


class RunError(Exception):
    """A server that did not start or answered wrongly."""


@dataclass
class Entrant:
    """A side in one mode, in one case."""

    case: Case
    side: Side
    mode: str
    workers: int
    rate: float = field(init=False)
    """The best so far, in messages a second; at first what is about right for the slowest."""

    def __post_init__(self) -> None:
        self.rate = 5000 / (1 + self.case.payload / 50_000)

    @property
    def name(self) -> str:
        name = f"{self.side.name} {self.mode}".rstrip()
        if len(self.case.workers) == 1:
            return name
        return f"{name} with {self.workers} worker{'s' * (self.workers > 1)}"

    def run(self, seconds: float) -> Run:
        """Start the server, drive it, stop it. Raises: RunError."""
        case = self.case
        with tempfile.TemporaryDirectory() as folder, open(f"{folder}/log", "w+") as log:
            sock = f"{folder}/udf.sock"
            words = [word.format(kind=case.kind, mode=self.mode, sock=sock) for word in shlex.split(self.side.command)]
            server = subprocess.Popen(
                words,
                stdout=log,
                stderr=log,
                cwd=self.side.tree or ROOT,
                env=self._environment(),
                start_new_session=True,
            )
            try:
                wait_for(sock, server)
                if self.side.name != "pynumaflow":  # whose servers do not serve a second stream
                    warm = self._load(sock, server.pid, case.count or case.warm_up)
                    self.rate = max(self.rate, warm.msg_per_s)
                run = self._load(sock, server.pid, case.count or max(int(self.rate * seconds), case.warm_up))
                self.rate = max(self.rate, run.msg_per_s)
            except RunError as error:
                log.seek(0)
                raise RunError(f"{self.name}: {error}\n{log.read()[-1000:]}") from None
            finally:
                stop(server)
        return run

    def _environment(self) -> dict[str, str]:
        case = self.case
        environment = {**os.environ, "BURN_US": str(case.burn_us), "WORKERS": str(self.workers)}
        if case.burn_us:
            environment["TOKIO_WORKER_THREADS"] = str(self.workers)
        if self.side.tree is not None:
            environment["PYTHONPATH"] = os.pathsep.join(map(str, self.side.tree.glob("packages/*/src")))
        return environment

    def _load(self, sock: str, pid: int, count: int) -> Run:
        case = self.case
        options = {"kind": case.kind, "n": count, "window": case.window, "payload": case.payload, "keys": case.keys}
        words = [str(WORK / "loadgen"), "--sock", sock, "--pid", str(pid)]
        for name, value in options.items():
            words += [f"--{name}", str(value)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode or not done.stdout:
            raise RunError(f"the load generator ended with {done.returncode}: {done.stderr[-500:]}{done.stdout}")
        told = json.loads(done.stdout)
        return Run(told["msg_per_s"], told["server_cpu_us_per_msg"], told["p50_ms"], told["p99_ms"])


def wait_for(sock: str, server: "subprocess.Popen[Any]") -> None:
    """Wait until a server listens. Raises: RunError."""
    deadline = monotonic() + 30
    while not os.path.exists(sock):
        if server.poll() is not None or monotonic() > deadline:
            raise RunError("the server did not start")
        sleep(0.02)
    sleep(0.3)  # it may still be busy with its start


def stop(server: "subprocess.Popen[Any]") -> None:
    """End a server, which leads its own session, and all its children."""
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(server.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    server.wait()


def rows_of(case: Case, sides: list[Side], modes: list[str]) -> list[list[Entrant]]:
    """Who stands against whom: for each mode, and number of workers, an entrant of each side."""
    return [
        [Entrant(case, side, side.mode(case, mode), workers) for side in sides]
        for mode in case.modes
        if mode in modes
        for workers in case.workers
    ]


def measure(case: Case, sides: list[Side], modes: list[str], rounds: int, seconds: float) -> dict[str, list[Run]]:
    """Rounds of all entrants of a case, by name. Raises: RunError."""
    entrants = {entrant.name: entrant for row in rows_of(case, sides, modes) for entrant in row}
    runs: dict[str, list[Run]] = {name: [] for name in entrants}
    for _ in range(rounds):
        for name, entrant in entrants.items():
            runs[name].append(entrant.run(seconds))
    return runs


def summary(runs: list[Run]) -> dict[str, float]:
    """Medians of each figure."""
    dicts = [asdict(run) for run in runs]
    return {figure: round(median(each[figure] for each in dicts), 3) for figure in dicts[0]}


def as_figures(runs: dict[str, list[Run]]) -> dict[str, dict[str, Any]]:
    """The figures of a case, as they are written: for each entrant the medians, and each round."""
    return {name: {**summary(each), "rounds": [asdict(run) for run in each]} for name, each in runs.items()}


def to_json(figures: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Cases, entrants in them and their figures: a line for each entrant."""
    cases = (
        f" {json.dumps(case)}: {{\n"
        + ",\n".join(f"  {json.dumps(name)}: {json.dumps(each)}" for name, each in entrants.items())
        + "\n }"
        for case, entrants in figures.items()
    )
    return "{\n" + ",\n".join(cases) + "\n}\n"


def ratio(runs: list[Run], others: list[Run], figure: str) -> float:
    """The median of the rounds' ratios."""
    pairs = zip(runs, others, strict=True)
    return float(median(getattr(run, figure) / max(getattr(other, figure), 1e-9) for run, other in pairs))


def show(name: str, case: Case, sides: list[Side], modes: list[str], runs: dict[str, list[Run]]) -> float:
    """Print a case; return how many times as fast as the others the first side is, at least."""
    least = float("inf")
    burn = f", {case.burn_us} us of CPU each" if case.burn_us else ""
    print(f"{name}: {case.payload:,} B, {case.window} in flight, {case.keys:,} keys{burn}")
    for row in rows_of(case, sides, modes):
        first = runs[row[0].name]
        for entrant in row:
            own = runs[entrant.name]
            figures = summary(own)
            line = (
                f"  {entrant.name:28s} {figures['msg_per_s']:>9,.0f} msg/s  {figures['cpu_us']:8.2f} us cpu/msg"
                f"  p50 {figures['p50_ms']:8.3f} ms"
            )
            if entrant is not row[0]:
                speed, cpu = ratio(first, own, "msg_per_s"), ratio(own, first, "cpu_us")
                least = min(least, speed)
                line += f"  {row[0].name}: throughput x{speed:.2f}, cpu x{cpu:.2f}"
            print(line, flush=True)
    return least


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=["map"], metavar="CASE", help="default: map; 'all' for all")
    parser.add_argument("--list", action="store_true", help="list the cases")
    parser.add_argument("--side", action="append", metavar="SIDE", help="default: ours, pynumaflow and rust")
    parser.add_argument("--modes", default=",".join(MODES), help="some of sync,async,multiproc")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each run is to take, about")
    parser.add_argument("--at-least", type=float, default=0.0, metavar="RATIO")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the medians and all rounds there")
    args = parser.parse_args()
    if args.list:
        for name, case in CASES.items():
            print(f"{name:20s} {case}")
        return 0
    names = list(CASES) if args.cases == ["all"] else args.cases
    modes = args.modes.split(",")
    if unknown := [name for name in names if name not in CASES] + [mode for mode in modes if mode not in MODES]:
        parser.error(f"unknown: {', '.join(unknown)}; cases are {', '.join(CASES)}")
    sides = [parse_side(text) for text in args.side or ("ours", "pynumaflow", "rust")]
    found: dict[str, dict[str, Any]] = {}
    failed, least = False, float("inf")
    for name in names:
        case = CASES[name]
        try:
            runs = measure(case, sides, modes, args.rounds, args.seconds)
        except RunError as error:
            failed = True
            print(f"{name}: failed: {error}", flush=True)
            continue
        least = min(least, show(name, case, sides, modes, runs))
        found[name] = as_figures(runs)
        if args.json is not None:
            args.json.write_text(to_json(found))
    return int(failed or least < args.at_least)


if __name__ == "__main__":
    sys.exit(main())
