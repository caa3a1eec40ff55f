"""``make demo``'s program: it counts right, and it ends right whatever happens."""

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "examples.demo"]
FOR_EVER = ["--messages", "100000000"]


def demo(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=240, check=False
    )


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A demo that has a lot to do and has begun, and the process id of its UDF."""
    text = tmp_path / "text"
    text.write_text("to be or not to be\n" * 100)
    process = subprocess.Popen(
        [*COMMAND, str(text), *FOR_EVER],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        started = re.search(r"process (\d+)", process.stdout.readline())
        assert started, process.communicate()
        assert "answered" in process.stderr.readline()
        yield process, int(started[1])
    finally:
        process.kill()
        process.communicate()


def test_counts_words(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("To be, or not to be:\n\nthat is the question.\nTo die--to sleep,\n", encoding="utf-8")
    done = demo(str(text), "--messages", "1001", "--top", "3")
    assert done.returncode == 0, done.stderr
    assert "4 lines, sent 251 times over, to have something to measure: 1,004 messages" in done.stdout
    assert "every line was answered exactly once" in done.stdout
    assert "the counts are those of a direct count" in done.stdout
    counts = re.findall(r"^ +(\d+)  (\S+)$", done.stdout, re.MULTILINE)
    assert counts[:2] == [("4", "to"), ("2", "be")]
    assert len(counts) == 3
    assert re.search(r"^1,004 messages in \d+\.\d s: [\d,]+ messages a second", done.stdout, re.MULTILINE)
    assert f"came back as {251 * 14:,} messages" in done.stdout
    assert re.search(r"^latency: p50 \d+\.\d ms, p99 \d+\.\d ms$", done.stdout, re.MULTILINE)
    assert "1,004 of 1,004 lines answered" in done.stderr


def test_counts_lines_longer_than_the_windows(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("\n".join(" ".join([word] * 30_000) for word in ("one", "two", "three")), encoding="utf-8")
    done = demo(str(text), "--messages", "6", "--in-flight", "2")
    assert done.returncode == 0, done.stderr
    assert "30,000  three" in done.stdout


def test_text_of_the_repository_is_the_default() -> None:
    done = demo("--messages", "1", "--in-flight", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("examples/data/declaration.txt: 161 lines, sent once: 161 messages")


def test_progress_is_one_line_on_a_terminal() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*COMMAND, "--messages", "1"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    assert process.wait(60) == 0
    shown = os.read(ours, 65536)
    os.close(ours)
    assert shown.startswith(b"\r161 of 161 lines answered")
    assert shown.count(b"\n") == 1


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "demo: cannot read {}: No such file or directory\n"), ("", "demo: {} has no lines\n")],
)
def test_text_that_is_not_there(tmp_path: Path, content: str | None, complaint: str) -> None:
    text = tmp_path / "text"
    if content is not None:
        text.write_text(content)
    done = demo(str(text))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", complaint.format(text))


def test_udf_that_dies_is_told_of(running: tuple["subprocess.Popen[str]", int]) -> None:
    process, udf = running
    os.kill(udf, signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"The UDF was process {udf}; its exit status is -9" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupt_leaves_no_process_behind(running: tuple["subprocess.Popen[str]", int], number: int) -> None:
    process, udf = running
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.endswith("demo: interrupted; the UDF was ended\n")
    with pytest.raises(ProcessLookupError):
        os.kill(udf, 0)
