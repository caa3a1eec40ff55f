"""The servers under test, each a process of its own: ``python servers.py --kind map --type sync ...``."""

import argparse
import asyncio
import errno
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module
from itertools import count
from types import FrameType
from typing import Any

from behaviour.commands import POLL, act, note, report_errors_to

MODULES = ("handlers", "keyed_handlers", "enclosed_handlers")
"""Where kinds are; imported as they are needed, since a test starts a server every fifth of a second."""


def find(name: str) -> Any:
    for module in MODULES:
        kinds = import_module(f"behaviour.{module}").KINDS
        if name in kinds:
            return kinds[name]()
    raise SystemExit(f"servers.py: there is no kind {name!r}")


def build(options: argparse.Namespace, settings: dict[str, Any]) -> Any:
    kind = find(options.kind)
    form = "async" if (options.type, options.handler) == ("async", "closure") else options.handler
    handler = kind.handlers[form]
    limits = {"max_concurrency": options.concurrency} if kind.has_max_concurrency else {}
    if options.type == "sync":
        return kind.sync(handler, max_threads=options.threads, **settings)
    if options.type == "async":
        if options.shutdown_callback:
            settings["shutdown_callback"] = lambda loop: say(
                f"shutdown_callback: {isinstance(loop, asyncio.AbstractEventLoop)}"
            )
        return kind.asynchronous(handler, **limits, **settings)
    return kind.multiproc(handler, server_count=options.workers, max_threads=options.threads, **limits, **settings)


def say(text: str) -> None:
    print(text, flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", required=True)
    parser.add_argument("--type", required=True, choices=["sync", "async", "multiproc"])
    parser.add_argument("--transport")
    parser.add_argument("--sock", required=True)
    parser.add_argument("--info", required=True)
    parser.add_argument("--handler", default="closure")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--concurrency", type=int)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--grace", type=float)
    parser.add_argument("--tune-memory", choices=["yes", "no"])
    parser.add_argument("--max-message-size", type=int)
    parser.add_argument("--errors-dir", default="/nonexistent/errors")
    parser.add_argument("--slow-errors", action="store_true", help="the folder of --errors-dir is on a slow disk")
    parser.add_argument("--log", action="store_true", help="log everything to stderr")
    parser.add_argument("--log-fault", choices=["filter", "handler", "closed", "none"], help="logging does not work")
    parser.add_argument(
        "--hooks",
        choices=[
            *("sync", "async", "raising", "gated", "gated-c", "forking", "stopping", "signals", "one-raising"),
            *("exit-at-start", "exit-at-end", "interrupt-at-end"),
        ],
        help="say when hooks are called",
    )
    parser.add_argument("--gate", default="", help="the file that gated hooks and embedded servers wait for")
    parser.add_argument("--shutdown-callback", action="store_true")
    parser.add_argument("--signal-at", type=int, help="SIGTERM comes at so many calls after the start; 0: count them")
    parser.add_argument("--stuck-output", action="store_true", help="nobody reads what is printed, and it is a lot")
    parser.add_argument("--no-more", choices=["fork", "socketpair"], help="what fails the third time")
    parser.add_argument("--afterwards", action="store_true", help="the program goes on for ever after start()")
    parser.add_argument("--start-method", help="multiprocessing's")
    parser.add_argument("--embed", choices=["serving", "stop", "raise", "twice"])
    parser.add_argument("--switch-interval", type=float, help="seconds that a thread runs before others get a turn")
    parser.add_argument("--umask", type=lambda text: int(text, 8))
    parser.add_argument("--watch-order", action="store_true", help="say whether the socket works when the info appears")
    return parser.parse_args()


made: list[Any] = []
"""The server."""


def hooks(options: argparse.Namespace) -> dict[str, Any]:
    def started() -> None:
        say(f"on_startup {threading.current_thread() is threading.main_thread()}")

    def stopped() -> None:
        say("on_shutdown")

    async def started_async() -> None:
        await asyncio.sleep(0)
        started()

    async def stopped_async() -> None:
        await asyncio.sleep(0)
        stopped()

    def started_gated() -> None:
        note(options.gate, "+")
        while not os.path.exists(options.gate):
            time.sleep(POLL)

    def stopping() -> None:
        made[0].stop()
        say("stopped")

    async def take_signal() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, say, "a signal of the user's")

    def forking() -> None:
        act(f"!fork-noting {options.gate}".encode())
        while not os.path.exists(f"{options.gate}.log"):
            time.sleep(POLL)

    def interrupt() -> None:
        raise KeyboardInterrupt

    def raising() -> None:
        raise LookupError("no such model")

    def one_raising() -> None:
        """Raise in one of the workers, while the others wait."""
        try:
            os.close(os.open(f"{options.gate}.first", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            started_gated()
        else:
            while not os.path.exists(f"{options.gate}.log"):
                time.sleep(POLL)
            raising()

    if options.hooks == "one-raising":
        return {"on_startup": one_raising}
    if options.hooks == "sync":
        return {"on_startup": started, "on_shutdown": stopped}
    if options.hooks == "async":
        return {"on_startup": started_async, "on_shutdown": stopped_async}
    if options.hooks == "raising":
        return {"on_startup": raising}
    if options.hooks == "gated":
        return {"on_startup": started_gated}
    if options.hooks == "gated-c":
        return {"on_startup": lambda: act(f"!stall-c {options.gate}".encode())}
    if options.hooks == "signals":
        return {"on_startup": take_signal}
    if options.hooks == "stopping":
        return {"on_startup": stopping, "on_shutdown": stopped}
    if options.hooks == "forking":
        return {"on_startup": forking}
    if options.hooks == "exit-at-start":
        return {"on_startup": lambda: sys.exit(7)}
    if options.hooks == "exit-at-end":
        return {"on_shutdown": lambda: sys.exit(7)}
    if options.hooks == "interrupt-at-end":
        return {"on_shutdown": interrupt}
    return {}


def watch_order(sock: str, info: str) -> None:
    """When the server-info file is put in place, say whether a client could connect at that moment."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename" and os.fspath(arguments[1]) == info:
            with socket.socket(socket.AF_UNIX) as probe:
                say(f"connected before info: {probe.connect_ex(sock) == 0}")

    sys.addaudithook(hook)


def slow_disk(folder: str) -> None:
    """Opening a file in the folder takes a while."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and str(arguments[0]).startswith(folder):
            time.sleep(0.3)

    sys.addaudithook(hook)


class RaisingHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise LookupError("no place for logs")


def raise_in_filter(record: logging.LogRecord) -> bool:
    raise LookupError("no filter")


def break_logging(how: str) -> None:
    if how == "filter":
        logging.getLogger("numaflow_core.server._report").addFilter(raise_in_filter)
    elif how == "handler":
        logging.getLogger().addHandler(RaisingHandler())
    elif how == "closed":
        sys.stderr.close()
    else:
        sys.stderr = None


def signal_at(number: int, info: str) -> None:
    """Send SIGTERM when functions of the SDK have been called so many times, on any thread; with 0, say how many calls
    there were until the server-info file was in place."""
    calls = count()

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and "numaflow_core" in frame.f_code.co_filename:
            called = next(calls)
            if called == number - 1:
                os.kill(os.getpid(), signal.SIGTERM)
            if not number and os.path.exists(info):
                sys.setprofile(None)
                threading.setprofile(None)
                say(f"calls: {called}")

    threading.setprofile(profile)
    sys.setprofile(profile)


def no_more(what: str) -> None:
    """Have a function of the system fail from its third call on."""
    module = vars({"fork": os, "socketpair": socket}[what])
    real, calls = module[what], count(1)

    def limited() -> Any:
        if next(calls) > 2:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return real()

    module[what] = limited


def stick_output() -> None:
    """Make stdout and stderr a pipe that is full and that nobody reads."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    os.dup2(writer, 1)
    os.dup2(writer, 2)
    os.set_inheritable(reader, True)


async def embed(server: Any, options: argparse.Namespace) -> None:
    for _ in range(2 if options.embed == "twice" else 1):
        try:
            async with server.serving() as serving:
                say(f"serving {serving.sock_path}")
                while not os.path.exists(options.gate):
                    await asyncio.sleep(POLL)
                if options.embed == "stop":
                    threading.Thread(target=server.stop).start()
                if options.embed == "raise":
                    raise LookupError("from the block")
                os.unlink(options.gate)
        except Exception as error:
            say(f"ended with {type(error).__name__}: {error}")
        else:
            say("ended well")


def disturb(options: argparse.Namespace) -> None:
    """Make the process such as a test wants it."""
    if options.umask is not None:
        os.umask(options.umask)
    if options.start_method:
        multiprocessing.set_start_method(options.start_method)
    if options.switch_interval:
        sys.setswitchinterval(options.switch_interval)
    if options.log:
        logging.basicConfig(level=logging.DEBUG)
    if options.watch_order:
        watch_order(options.sock, options.info)
    if options.log_fault:
        break_logging(options.log_fault)
    if options.no_more:
        no_more(options.no_more)
    if options.stuck_output:
        stick_output()
    if options.slow_errors:
        slow_disk(options.errors_dir)


def main() -> None:
    options = parse()
    report_errors_to(options.errors_dir)
    disturb(options)
    settings: dict[str, Any] = {
        "sock_path": options.sock,
        "server_info_file": options.info,
        "transport": options.transport,
        "grace_period": options.grace,
        **hooks(options),
    }
    if options.tune_memory is not None:
        settings["tune_memory"] = options.tune_memory == "yes"
    if options.max_message_size:
        settings["max_message_size"] = options.max_message_size
    server = build(options, settings)
    made.append(server)
    if options.embed:
        asyncio.run(embed(server, options))
    else:
        if options.signal_at is not None:
            signal_at(options.signal_at, options.info)
        before = len(os.listdir("/proc/self/fd"))
        try:
            server.start()
            say("start returned")
        except SystemExit as error:
            if not options.no_more:
                raise
            say(f"descriptors: {len(os.listdir('/proc/self/fd')) - before:+}")
            say(f"start ended: {error}")
        while options.afterwards:
            time.sleep(POLL)


if __name__ == "__main__":
    main()
