"""What is told of exceptions: bounded, printable, and never in the way."""

import builtins
import functools
import json
import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from behaviour.odd_errors import ERRORS
from numaflow_core._proto.rpc_status_pb2 import DebugInfo
from numaflow_core._proto.rpc_status_pb2 import Status as RpcStatus
from numaflow_core.server import _report
from numaflow_core.server._describe import describe
from numaflow_core.server._places import place_of
from numaflow_core.server._report import Report
from numaflow_core.server._text import brief, clean, clean_line, fit, shorten, utf8_size
from numaflow_core.values.about import About
from numaflow_core.wire.headers import percent_encode

KIND: Any = SimpleNamespace(name="map", package_root="/nowhere")
FILE = os.path.basename(__file__)
LOG = "numaflow_core.server._report"


def split(keys: list[str], datum: object) -> None: ...


HERE = f"map handler split ({FILE}:{split.__code__.co_firstlineno})"


def caught(make: Callable[[], BaseException]) -> BaseException:
    """As a user raises it."""
    try:
        raise_it(make)
    except BaseException as error:
        return error


def raise_it(make: Callable[[], BaseException]) -> NoReturn:
    raise make()


def told(make: Callable[[], BaseException], about: About | None = None, payload: int = 0) -> Report:
    report = describe(caught(make), KIND, split, lambda: about, payload)
    assert_told(report)
    return report


def assert_told(report: Report) -> None:
    """A report that can go wherever it has to."""
    for text in (report.summary, report.detail):
        text.encode()
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
    assert "\n" not in report.summary
    assert len(report.summary) < 4096
    assert len(report.detail.encode()) < 32 * 1024
    status = report.status("udf")
    assert status.message.startswith("UDF_EXECUTION_ERROR(udf): map handler split")
    encoded = len(percent_encode(status.message))
    assert encoded <= 1536
    assert encoded + -(-len(status.details) * 4 // 3) + 3 * 64 < 8 * 1024
    assert json.loads(json.dumps([report.summary, report.detail])) == [report.summary, report.detail]


def on_the_wire(report: Report) -> str:
    info = DebugInfo()
    info.ParseFromString(RpcStatus.FromString(report.status("udf").details).details[0].value)
    return info.detail


def test_kind_handler_place_error_id_and_keys() -> None:
    report = told(lambda: ValueError("boom"), About("x-1", ["a", "b"], b"secret"))
    assert report.summary == f"{HERE} raised ValueError: boom (message id 'x-1', keys ['a', 'b'])"
    assert report.detail.startswith("Traceback (most recent call last):\n")
    assert "in raise_it\n    raise make()" in report.detail
    assert report.detail.endswith("ValueError: boom\n")
    assert "secret" not in report.summary + report.detail


@pytest.mark.parametrize(
    ("about", "said"),
    [
        (None, ""),
        (About(), ""),
        (About("x"), " (message id 'x')"),
        (About(keys=("a",)), " (keys ['a'])"),
        (About(keys=tuple("abcdefghij")), " (keys ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'], and 2 more)"),
    ],
)
def test_what_it_was_about(about: About | None, said: str) -> None:
    assert told(lambda: ValueError("boom"), about).summary == f"{HERE} raised ValueError: boom{said}"


def test_payload_is_shown_where_it_is_asked_for() -> None:
    about = About("x", (), b"\x00secret" * 1000)
    assert "secret" not in told(ValueError, about).detail
    detail = told(ValueError, about, 7).detail
    assert detail.startswith("payload (the first 7 of 7000 bytes): b'\\x00secret'\nTraceback")
    assert told(ValueError, About("x", (), b"ab"), 7).detail.startswith("payload (2 bytes): b'ab'\n")


def no(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def test_message_that_cannot_be_had() -> None:
    report = describe(caught(lambda: ValueError("boom")), KIND, split, no)
    assert report.summary == f"{HERE} raised ValueError: boom"


@pytest.mark.parametrize("name", ERRORS)
def test_odd_errors(name: str) -> None:
    make, said = ERRORS[name]
    report = told(make, About("x-1", ["a"]))
    assert said in report.summary
    assert "in raise_it" in on_the_wire(report)
    assert report.summary.endswith("(message id 'x-1', keys ['a'])"), "the end of what is cut is kept"


def make_class(body: dict[str, object]) -> type[BaseException]:
    return type("Odd\x1b", (Exception,), body)


@pytest.mark.parametrize(
    "body",
    [
        {"__str__": no},
        {"__repr__": no, "__str__": no},
        {"__getattribute__": no},
        {"__class__": property(no)},
        {"__traceback__": property(no), "__cause__": property(no), "__context__": property(no)},
        {"__dict__": property(no), "args": property(no)},
        {"__str__": lambda self: 5},
        {"__str__": lambda self: type("Text", (str,), {"encode": no, "__len__": no, "translate": no})("oh")},
        {"__module__": 5},
        {"__eq__": no, "__hash__": no, "__bool__": no, "__len__": no},
    ],
)
def test_odd_classes(body: dict[str, object]) -> None:
    report = told(lambda: make_class(body)("some", "arguments"))
    assert r"Odd\x1b" in report.summary
    assert "in raise_it" in report.detail


def test_argument_whose_repr_raises() -> None:
    class Argument:
        def __repr__(self) -> str:
            raise RecursionError

    assert "raised ValueError: (its text cannot be had: RecursionError)" in told(lambda: ValueError(Argument())).summary


def test_large_arguments_are_not_gone_through() -> None:
    class Element:
        def __repr__(self) -> str:
            seen.append(self)
            return "e"

    seen: list[Element] = []
    report = told(lambda: ValueError([Element() for _ in range(1000)]))
    assert "ValueError: [e, e, e, e, e, e, e, e, e, e, ... 990 more]" in report.summary
    assert len(seen) < 100


def test_user_frames_only() -> None:
    from numaflow_core.values.validate import check_bytes

    report = told(lambda: check_bytes("text", "Message value"))  # type: ignore[arg-type, return-value]
    assert " raised TypeError: Message value must be bytes-like, got str" in report.summary
    assert "in raise_it" in report.detail
    assert "validate.py" not in report.detail


def test_wrong_result_shows_the_handler_in_place_of_the_sdk() -> None:
    kind: Any = SimpleNamespace(name="map", package_root=os.path.dirname(__file__))  # so that no frame is a user's
    report = describe(caught(lambda: TypeError("a map handler must return Messages, got int: 5")), kind, split)
    assert report.summary == f"{HERE}: TypeError: a map handler must return Messages, got int: 5"
    line = split.__code__.co_firstlineno
    assert f'File "{__file__}", line {line}, in split\n    def split(' in report.detail
    assert "raise_it" not in report.detail


def test_error_of_the_sdk_keeps_its_frames() -> None:
    kind: Any = SimpleNamespace(name="map", package_root=os.path.dirname(__file__))
    report = describe(caught(lambda: AttributeError("a mistake of ours")), kind, split)
    assert "in raise_it" in report.detail


def test_innermost_frame_of_a_deep_stack_is_on_the_wire() -> None:
    names = [f"level_{number:03}_of_a_deep_stack" for number in range(200)]
    source = "".join(f"def {name}():\n    {after}()\n" for name, after in zip(names, [*names[1:], "end"], strict=True))
    scope: dict[str, Any] = {"end": lambda: raise_it(lambda: ValueError("ü€😀" * 10_000))}
    exec(compile(source, "/a/file/with/a/rather/long/path/in/it/deep.py", "exec"), scope)
    report = told(scope[names[0]])
    for text in (report.detail, on_the_wire(report)):
        assert names[-1] in text
        assert "in raise_it" in text
        assert "ValueError: ü€😀" in text
    assert names[0] in report.detail


def test_recursion_is_shown_once() -> None:
    def again() -> NoReturn:
        again()

    report = told(again)
    assert "raised RecursionError: maximum recursion depth exceeded" in report.summary
    assert report.detail.count("in again") < 5
    assert re.search(r"\[Previous line repeated \d+ more times\]", report.detail)


def test_causes_come_first_and_the_middle_of_many_is_left_out() -> None:
    def chained() -> BaseException:
        try:
            raise KeyError("at first")
        except KeyError as error:
            later: BaseException = error
        for number in range(20):
            try:
                raise ValueError(number) from later
            except ValueError as error:
                later = error
        return later

    detail = told(chained).detail
    assert detail.index("KeyError: 'at first'") < detail.index("... 15 exceptions ...") < detail.index("ValueError: 16")
    assert "ValueError: 10\n" not in detail


def test_context_is_shown_unless_it_is_suppressed() -> None:
    def raised(suppress: bool) -> BaseException:
        try:
            raise KeyError("at first")
        except KeyError:
            error = ValueError("then")
            error.__context__ = sys.exc_info()[1]
            error.__suppress_context__ = suppress
            return error

    assert "KeyError: 'at first'\n\nDuring handling" in told(lambda: raised(False)).detail
    error = raised(True)
    assert "KeyError" not in describe(error, KIND, split).detail


def test_notes_are_shown() -> None:
    error = ValueError("boom")
    error.__notes__ = ["while reading", "\ud83d", 5, *["more"] * 10]  # type: ignore[attr-defined]
    detail = told(lambda: error).detail
    assert "ValueError: boom\nwhile reading\n\\ud83d\nmore\n... 9 more notes" in detail


@pytest.mark.skipif(not hasattr(builtins, "ExceptionGroup"), reason="there are groups since Python 3.11")
def test_groups() -> None:
    group = vars(builtins)["ExceptionGroup"]

    def nested() -> BaseException:
        inner = [caught(functools.partial(TypeError, number)) for number in range(1000)]
        made: BaseException = group("innermost", inner)
        for level in range(500):
            made = group(f"level {level}", [made, ValueError(level)])
        return made

    report = told(nested)
    assert "raised ExceptionGroup: level 499 (2 sub-exceptions), the first: ExceptionGroup: level 496" in report.summary
    assert "2 of 2:\n  ValueError: 499" in report.detail
    simple = told(lambda: group("tasks", [caught(lambda: TypeError("t"))]))
    assert "tasks (1 sub-exception), the first: TypeError: t" in simple.summary
    assert "1 of 1:\n  Traceback" in simple.detail


def test_source_that_cannot_be_had(tmp_path: Path) -> None:
    class Loader:
        def get_source(self, name: str) -> NoReturn:
            raise KeyboardInterrupt

    scope: dict[str, Any] = {"__name__": "odd", "__loader__": Loader(), "fail": lambda: raise_it(ValueError)}
    exec(compile("def call():\n    fail()\n", "<odd>", "exec"), scope)
    assert 'File "<odd>", line 2, in call' in told(scope["call"]).detail


def test_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def starved(*_: object, **__: object) -> NoReturn:
        raise MemoryError

    monkeypatch.setattr("numaflow_core.server._describe._Trace", starved)
    report = describe(ValueError("boom"), KIND, split)
    assert report.summary == f"{HERE} raised an exception that cannot be described"


anything = st.recursive(
    st.none() | st.text(st.characters(exclude_categories=())) | st.binary() | st.integers() | st.floats(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children) | st.tuples(children),
)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([ValueError, KeyError, OSError, SyntaxError, SystemExit, StopIteration, ImportError, Exception]),
    st.lists(anything, max_size=5),
    st.text(st.characters(exclude_categories=())),
    st.lists(st.text(st.characters(exclude_categories=()))),
    anything,
)
def test_anything(cls: type[BaseException], arguments: list[object], id: str, keys: list[str], notes: object) -> None:
    def make() -> BaseException:
        error = cls(*arguments)
        error.__notes__ = notes  # type: ignore[attr-defined]
        return error

    report = told(make, About(id, keys, b"x" * 100), 50)
    assert cls.__name__ in report.summary or "Error" in report.summary


@given(st.text(st.characters(exclude_categories=())), st.integers(0, 200), st.floats(0, 1))
def test_shortened_text(text: str, limit: int, head: float) -> None:
    short = shorten(text, limit, head)
    assert short == text if len(text) <= limit else len(short) <= max(limit, 40)
    for cleaned in (clean(text, limit), clean_line(text, limit)):
        cleaned.encode()
        assert len(cleaned) <= max(limit, 40)


@given(st.text(), st.integers(10, 200), st.floats(0, 1), st.sampled_from([utf8_size, len]))
def test_text_that_fits(text: str, limit: int, head: float, size: Callable[[str], int]) -> None:
    cut = fit(text, limit, size, head=head)
    assert size(cut) <= limit
    if size(text) <= limit:
        assert cut == text
    else:
        first, _, last = cut.partition("...") if "..." not in text else (cut[:0], "", cut[:0])
        assert text.startswith(first)
        assert text.endswith(last)


@settings(max_examples=60, deadline=None)
@given(anything)
def test_brief_of_what_is_small_is_its_repr(value: object) -> None:
    text = repr(value)
    if len(text) < 10 and "(" not in text:
        assert brief(value) == text
    assert len(brief(value)) < 300_000


# -- where handlers are


class Mapper:
    def handler(self, keys: list[str], datum: object) -> None: ...


class Called:
    def __call__(self, keys: list[str]) -> None: ...


def decorate(function: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(function)
    def wrapper(*arguments: object) -> object:
        return function(*arguments)

    return wrapper


class OddHandler:
    def __getattribute__(self, name: str) -> NoReturn:
        raise RuntimeError


@pytest.mark.parametrize(
    ("handler", "name", "function"),
    [
        (split, "split", split),
        (decorate(decorate(split)), "split", split),
        (functools.partial(split, []), "split", split),
        (functools.partial(functools.partial(decorate(split)), []), "split", split),
        (Mapper().handler, "Mapper.handler", Mapper.handler),
        (Mapper, "Mapper", Mapper.handler),
        (Mapper(), "Mapper", Mapper.handler),
        (Called(), "Called.__call__", Called.__call__),
        (functools.partial(Called()), "Called.__call__", Called.__call__),
    ],
)
def test_place(handler: object, name: str, function: Any) -> None:
    assert str(place_of(handler)) == f"{name} ({FILE}:{function.__code__.co_firstlineno})"


def test_place_of_what_has_none() -> None:
    def local() -> None: ...

    assert str(place_of(local)).startswith("local (")
    assert str(place_of(lambda: 5)).startswith("<lambda> (")
    assert str(place_of(len)) == "len"
    assert place_of(None) is None
    assert place_of(OddHandler()) is None
    circle = decorate(split)
    circle.__wrapped__ = circle  # type: ignore[attr-defined]
    assert place_of(circle) is not None


# -- telling


def test_steps_are_guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def full(*_: object) -> NoReturn:
        raise MemoryError

    report = Report("it went wrong", "Traceback\n")
    monkeypatch.setattr(_report, "write_new", full)
    report.tell("udf", str(tmp_path / "errors"))
    assert "the server ends: it went wrong\nTraceback\n" in caplog.text


@pytest.mark.parametrize("error", [LookupError, SystemExit, KeyboardInterrupt])
def test_log_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], error: type[BaseException]
) -> None:
    def fail(record: logging.LogRecord) -> bool:
        raise error

    monkeypatch.setattr(logging.getLogger(LOG), "filters", [fail])
    Report("it went wrong", "").tell("udf", str(tmp_path / "errors"))
    assert capfd.readouterr().err == "the server ends: it went wrong\n"
    assert len(list(tmp_path.rglob("*-udf.json"))) == 1


def test_error_file(tmp_path: Path) -> None:
    (tmp_path / "udf").mkdir(mode=0o755)
    Report("it went wrong", "Traceback\n").tell("udf", str(tmp_path))
    (path,) = tmp_path.rglob("*.json")
    assert json.loads(path.read_text()) == {
        "container": "udf",
        "timestamp": int(path.name.partition("-")[0]) // 1_000_000_000,
        "code": "Internal error",
        "message": "UDF_EXECUTION_ERROR(udf): it went wrong",
        "details": "Traceback\n",
    }
    assert path.parent.stat().st_mode & 0o777 == 0o755, "as it was found"


def test_container_that_cannot_be_encoded(tmp_path: Path) -> None:
    status = Report("it went wrong", "").status("ud\udcff")
    assert status.message == r"UDF_EXECUTION_ERROR(ud\udcff): it went wrong"
