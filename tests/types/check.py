"""Type checks: all code under ``mypy --strict``, and wrong user code giving exactly the errors that it says.

usage: python tests/types/check.py

A line of a file ``wrong*.py`` ends in ``# E: text`` where mypy has to report an error containing the text; it must
report none on any other line. The files ``right*.py`` are checked with everything else.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
WRONG = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/types/wrong*.py"))
FOLDERS = ("tests", "examples", "benchmarks", "proto")
PACKAGES = sorted(path.parent.name for path in ROOT.glob("packages/*/src/*/__init__.py"))


def mypy(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--no-color-output", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def check_packages() -> list[str]:
    done = mypy(*(word for name in PACKAGES for word in ("-p", name)))
    return (done.stdout + done.stderr).splitlines() if done.returncode else []


def check_files() -> list[str]:
    files = [str(path.relative_to(ROOT)) for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    done = mypy(*(file for file in files if file not in WRONG))
    return (done.stdout + done.stderr).splitlines() if done.returncode else []


def check_wrong() -> list[str]:
    return [problem for file in WRONG for problem in check_wrong_file(file)]


def check_wrong_file(file: str) -> list[str]:
    expected = {}
    for number, line in enumerate((ROOT / file).read_text().splitlines(), start=1):
        if found := re.search(r"# E: (.+)$", line):
            expected[number] = found[1]
    problems = []
    reported: dict[int, list[str]] = {}
    done = mypy("--no-pretty", file)
    for line in done.stdout.splitlines():
        if found := re.match(rf"{re.escape(file)}:(\d+): error: (.+)$", line):
            reported.setdefault(int(found[1]), []).append(found[2])
    if not reported:
        problems.append(f"mypy reports nothing for {file}: {done.stdout}{done.stderr}")
    for number, text in expected.items():
        if not any(text in error for error in reported.get(number, [])):
            problems.append(f"{file}:{number}: expected an error with {text!r}, got {reported.get(number, 'none')}")
    for number, errors in reported.items():
        if number not in expected:
            problems += [f"{file}:{number}: unexpected error: {error}" for error in errors]
    return problems


def main() -> int:
    failed = False
    for name, check in (("packages", check_packages), ("other code", check_files), ("wrong user code", check_wrong)):
        problems = check()
        failed = failed or bool(problems)
        print(f"types: {name}: {'ok' if not problems else ''}")
        for problem in problems:
            print(f"  {problem}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
