"""Servers at full speed for long, with clients that are killed, and what is left of it in the server.

usage: python -m benchmarks.soak [KIND:MODE ...] [option ...]      (benchmarks/run.sh soak ... makes what it needs)
KIND   map | mapstream | batchmap | transform | sink | reduce
MODE   sync | async | multiproc
The default is map, batchmap, sink and reduce in all modes, one server after the other, ``--seconds`` each.

Several clients at a time send as fast as they are answered, with payloads of different sizes. About half of them are
killed (SIGKILL) somewhere in the middle. Every other one has to get each of its messages answered exactly once. For
reduce one more client counts: what it sends for each key of a window has to come back as the key's count.

The time is cut into phases. At the end of each, clients come to their end, and when the server is at rest its resident
memory and open descriptors are noted, workers included. They are flat where all phases end with as many descriptors,
and the median of memory in the last third is not above that in the middle third by more than 10 %. The server has to be
alive until the end, to log no traceback, and to exit with status 0 on SIGTERM. What was seen is printed, and the status
is 1 where any of that is wrong.

A server keeps up to 64 MiB of freed memory in each process, so that memory grows for long before it is flat. Here it
gives freed memory back, so that what it has at rest is what it holds; ``--as-shipped`` leaves that as it is.
"""

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from typing import Any, Final

from benchmarks.compare import CASES, ROOT, WORK, RunError, stop, wait_for

from numaflow_core.testing import UdfClient

KINDS: Final = ("map", "batchmap", "sink", "reduce")
ALL_KINDS: Final = {case.kind for case in CASES.values()}
MODES: Final = ("sync", "async", "multiproc")
PHASES: Final = 9
PAYLOADS: Final = (100, 100, 1 << 10, 10 << 10, 200 << 10)
MOST_BYTES: Final = 15 << 20
MOST_ONE_BY_ONE: Final = 1000
"""What a client that is to live sends on a stream, about: bytes, or messages where it has one in flight."""

SETTLE: Final = 10.0
"""Seconds that a server gets to notice that its clients are gone."""

MEMORY_MAY_GROW: Final = 1.10


def processes(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += processes(int(child))
    return found


def resident(pid: int, *, descendants: bool = True) -> int:
    """Bytes of resident memory of a process and its descendants."""
    pids = processes(pid) if descendants else [pid]
    pages = sum(int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in pids)
    return pages * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    """Open descriptors of a process and its descendants."""
    return sum(len(list(Path(f"/proc/{each}/fd").iterdir())) for each in processes(pid))


@dataclass
class Tally:
    """What clients have seen."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    lived: int = 0
    killed: int = 0
    answered: int = 0
    """Messages of those that lived."""
    problems: list[str] = field(default_factory=list)

    def problem(self, text: str) -> None:
        with self.lock:
            self.problems.append(text)


def run_client(kind: str, sock: str, chance: random.Random, tally: Tally) -> None:
    """One client, from its start to its end."""
    payload, keys = chance.choice(PAYLOADS), chance.choice((1, 10, 500))
    doomed = chance.random() < 0.5
    window = chance.choice((1, 50, 500)) if payload < 1 << 16 else 50
    most = MOST_BYTES // (payload + 200) if window > 1 else MOST_ONE_BY_ONE
    streams = chance.choice((1, 1, 3))
    options = {
        "sock": sock,
        "kind": kind,
        "payload": payload,
        "keys": keys,
        "n": 1_000_000 if doomed else max(int(most * chance.random()), keys + 1),
        "window": window,
        "streams": streams,
        "timeout": 60,
    }
    words = [str(WORK / "loadgen")]
    for name, value in options.items():
        words += [f"--{name}", str(value)]
    client = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if doomed:
        try:
            client.wait(chance.random())
        except subprocess.TimeoutExpired:
            client.kill()
    out, errors = client.communicate()
    if client.returncode == -9:
        with tally.lock:
            tally.killed += 1
        return
    answers = re.search(r'"messages":(\d+),.*"answers":(\d+),"ok":true', out)
    messages, count = map(int, answers.groups()) if answers else (0, 0)
    due = streams * (keys + 1) if kind == "reduce" else messages  # a result for each key, then the EOF
    if client.returncode or not answers or count != due:
        tally.problem(f"client {options} ended with {client.returncode}: {errors[-300:]}{out[-300:]}")
        return
    with tally.lock:
        tally.lived += 1
        tally.answered += messages


def count_window(sock: str, chance: random.Random, tally: Tally) -> None:
    """Send a window of messages for a few keys, and compare the counts."""
    from numaflow_reducer._proto.reduce_pb2 import ReduceRequest, ReduceResponse

    due: dict[str, int] = {}
    with UdfClient(sock) as client:
        stream = client.open("/reduce.v1.Reduce/ReduceFn")
        for number in range(chance.randint(1, 2000)):
            request = ReduceRequest()
            request.payload.keys.append(f"counted-{chance.randint(0, 20)}")
            request.payload.value = bytes(chance.randint(0, 2000))
            request.operation.event = request.operation.APPEND if number else request.operation.OPEN
            window = request.operation.windows.add()
            window.start.seconds, window.end.seconds, window.slot = 1_700_000_000, 1_700_000_060, "slot-0"
            stream.send(request.SerializeToString())
            key = request.payload.keys[0]
            due[key] = due.get(key, 0) + 1
        stream.half_close()
        replies = [ReduceResponse.FromString(reply) for reply in stream.rest(60)]
        code = stream.status().code
    results = [(reply.result.keys[0], int(reply.result.value)) for reply in replies if not reply.EOF]
    if sorted(results) != sorted(due.items()) or code != "OK":
        tally.problem(f"a window ended with {code}; expected {sorted(due.items())}, got {sorted(results)}")
        return
    with tally.lock:
        tally.lived += 1
        tally.answered += sum(due.values())


def run_phase(work: Sequence[Callable[[], None]], seconds: float, tally: Tally) -> None:
    """Have a thread do each piece of work again and again, and wait until all have come to their end."""
    end = monotonic() + seconds

    def repeat(step: Callable[[], None]) -> None:
        while monotonic() < end and len(tally.problems) < 5:
            try:
                step()
            except Exception as error:
                tally.problem(f"a client failed: {error!r}")

    threads = [threading.Thread(target=repeat, args=(step,)) for step in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@dataclass
class Soak:
    """One server, and what was seen of it."""

    kind: str
    mode: str
    as_shipped: bool
    tally: Tally = field(default_factory=Tally)
    memory: list[int] = field(default_factory=list)
    opened: list[int] = field(default_factory=list)
    """At rest: before the first phase, and after each."""
    logged: str = ""

    def run(self, seconds: float, clients: int, seed: int) -> bool:
        """Return whether all was well."""
        with tempfile.TemporaryDirectory() as folder, open(f"{folder}/log", "w+") as log:
            sock = f"{folder}/udf.sock"
            words = [sys.executable, "benchmarks/server.py", self.kind, self.mode, sock]
            environment = {**os.environ} if self.as_shipped else {**os.environ, "MALLOC_TRIM_THRESHOLD_": str(1 << 20)}
            server = subprocess.Popen(words, stdout=log, stderr=log, cwd=ROOT, env=environment, start_new_session=True)
            try:
                wait_for(sock, server)
                self._run_phases(server, sock, seconds / PHASES, clients, seed)
            except RunError as error:
                self.tally.problem(str(error))
            finally:
                stop(server)
            log.seek(0)
            self.logged = log.read()
        if server.returncode:
            self.tally.problem(f"the server's status is {server.returncode}")
        self._judge()
        return not self.tally.problems

    def _run_phases(self, server: "subprocess.Popen[Any]", sock: str, seconds: float, clients: int, seed: int) -> None:
        chances = [random.Random(f"{seed} {self.kind} {self.mode} {number}") for number in range(clients + 1)]
        work = [partial(run_client, self.kind, sock, chance, self.tally) for chance in chances[1:]]
        if self.kind == "reduce":
            work.append(partial(count_window, sock, chances[0], self.tally))
        self._note(server.pid)
        for _ in range(PHASES):
            run_phase(work, seconds, self.tally)
            if server.poll() is not None:
                raise RunError(f"the server ended with {server.returncode}")
            self._note(server.pid)
            if self.tally.problems:
                return

    def _note(self, pid: int) -> None:
        """The clients are gone. Wait until the server is at rest: it has as many descriptors as in the beginning, or
        patience is over."""
        end = monotonic() + SETTLE
        sleep(1)
        while self.opened and descriptors(pid) != self.opened[0] and monotonic() < end:
            sleep(0.1)
        self.memory.append(resident(pid))
        self.opened.append(descriptors(pid))

    def _judge(self) -> None:
        problem = self.tally.problem
        if "Traceback" in self.logged:
            problem(f"the server logged a traceback:\n{self.logged[self.logged.index('Traceback') :][:2000]}")
        if len(set(self.opened)) > 1:
            problem("descriptors are not flat")
        third = PHASES // 3
        if len(self.memory) == PHASES + 1:
            middle, last = self.memory[-2 * third : -third], self.memory[-third:]
            if median(last) > MEMORY_MAY_GROW * median(middle):
                problem("memory is not flat")

    def __str__(self) -> str:
        tally = self.tally
        verdict = "FAILED" if tally.problems else "flat"
        return "\n".join(
            (
                f"{self.kind} {self.mode}: {verdict}; {tally.lived} clients lived, each of their {tally.answered:,} "
                f"messages was answered once; {tally.killed} clients were killed",
                f"  memory at rest, MB: {' '.join(f'{each / 1e6:.1f}' for each in self.memory)}",
                f"  descriptors at rest: {' '.join(map(str, self.opened))}; lines logged: {self.logged.count(chr(10))}",
                *(f"  {problem}" for problem in tally.problems),
            )
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="*", metavar="KIND:MODE")
    parser.add_argument("--seconds", type=float, default=600, help="for each server (default: 600)")
    parser.add_argument("--clients", type=int, default=4, help="at a time")
    parser.add_argument("--seed", type=int, default=0, help="of what is left to chance; timing is not")
    parser.add_argument("--as-shipped", action="store_true", help="the server keeps freed memory, as it does otherwise")
    args = parser.parse_args()
    servers = [tuple(each.split(":")) for each in args.servers] or [(kind, mode) for kind in KINDS for mode in MODES]
    for each in servers:
        if len(each) != 2 or each[0] not in ALL_KINDS or each[1] not in MODES:
            parser.error(f"no server: {':'.join(each)}")
    failed = False
    for kind, mode in servers:
        soak = Soak(kind, mode, args.as_shipped)
        failed |= not soak.run(args.seconds, args.clients, args.seed)
        print(soak, flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
