"""The documents: their code runs, their links lead somewhere, and their tables say what the code says."""

import asyncio
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
import yaml

from numaflow_core import constants
from numaflow_core.server import AsyncServer, MultiProcServer, Server, Settings, SyncServer

ROOT: Final = Path(__file__).resolve().parents[2]
DOCUMENTS: Final = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("packages/*/README.md"),
        *ROOT.glob("packages/*/CHANGELOG.md"),
        *ROOT.glob("examples/**/README.md"),
    ]
)
KINDS: Final = [importlib.import_module(path.parent.name) for path in sorted(ROOT.glob("packages/*/src/*/_servers.py"))]
SERVERS: Final = sorted(
    {value for kind in KINDS for value in vars(kind).values() if isinstance(value, type) and issubclass(value, Server)},
    key=lambda server: server.__name__,
)
COLOURS: Final = {"async": AsyncServer, "multiprocess": MultiProcServer, "sync": SyncServer}
BRANCHES: Final = {
    "keyed": ("numaflow_accumulator.", "numaflow_reducer.", "numaflow_sessionreducer."),
    "side input": ("numaflow_sideinput.",),
    "source": ("numaflow_sourcer.",),
}
"""Arguments that only servers of some packages have, or do not have."""

WITHOUT_DATUM: Final = {"numaflow_servingstore", "numaflow_sideinput", "numaflow_sourcer"}
"""Packages whose handlers are given no messages of other vertices."""

_BLOCK: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
_TABLE: Final = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
_CELL_ENDS: Final = re.compile(r"(?<!\\)\|")
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _prose(path: Path) -> str:
    return _BLOCK.sub("", _text(path))


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    document: Path
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{_name(self.document)}:{self.line}"


def _all_blocks() -> Iterator[Block]:
    for document in DOCUMENTS:
        text = _text(document)
        for found in _BLOCK.finditer(text):
            yield Block(document, text.count("\n", 0, found.start()) + 2, found[1], found[2])


def _blocks(language: str) -> list[Block]:
    return [block for block in _all_blocks() if block.language == language]


each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=_name)


# -- code


@pytest.mark.parametrize("block", _blocks("python"), ids=str)
def test_python_runs(block: Block, tmp_path: Path) -> None:
    """Every block stands by itself, and the tests in it pass."""
    padding = "\n" * (block.line - 1)  # so that a traceback names the document's own line
    code = compile(padding + block.code, str(block.document), "exec", dont_inherit=True)
    namespace: dict[str, Any] = {"__name__": "document"}
    exec(code, namespace)
    for name, value in namespace.items():
        if name.startswith("test_"):
            _run(value, tmp_path)


def _run(test: Callable[..., Any], tmp_path: Path) -> None:
    arguments = {"tmp_path": tmp_path} if "tmp_path" in inspect.signature(test).parameters else {}
    result = test(**arguments)
    if inspect.iscoroutine(result):
        asyncio.run(result)


@pytest.mark.parametrize("block", _blocks("yaml"), ids=str)
def test_yaml_is_yaml(block: Block) -> None:
    assert isinstance(yaml.safe_load(block.code), (dict, list))


def test_there_is_code_in_the_documents_for_users() -> None:
    with_code = {_name(block.document) for block in _blocks("python")}
    assert with_code >= {"README.md", "packages/mapper/README.md", "docs/migrating.md", "docs/testing.md"}


@pytest.mark.parametrize("block", _blocks("dockerfile"), ids=str)
def test_image_gets_signals(block: Block) -> None:
    assert block.code.splitlines()[-1] == 'ENTRYPOINT ["python", "udf.py"]'


@each_document
def test_targets_of_make_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", _text(ROOT / "Makefile"), re.MULTILINE))
    shell = "".join(block.code for block in _blocks("sh") if block.document == document)
    told = re.findall(r"^make ([a-z]+)", shell, re.MULTILINE) + re.findall(r"`make ([a-z]+)", _text(document))
    assert set(told) <= targets


# -- links


def _anchor(heading: str) -> str:
    """What GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@each_document
def test_links_lead_somewhere(document: Path) -> None:
    lost = []
    for link in _LINK.findall(_prose(document)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        exists = target.exists() and ROOT in (target, *target.parents)
        if not exists or (anchor and anchor not in map(_anchor, _HEADING.findall(_prose(target)))):
            lost.append(link)
    assert lost == []


@each_document
def test_rows_of_tables_have_as_many_cells_as_their_headers(document: Path) -> None:
    wrong = []
    for table in _TABLE.findall(_prose(document)):
        header, rule, *rows = [_CELL_ENDS.split(line.strip().removesuffix("|")) for line in table.splitlines()]
        assert all(re.fullmatch(r" *:?-+:? *", cell) for cell in rule[1:]), header
        wrong += [row for row in (rule, *rows) if len(row) != len(header)]
    assert wrong == []


# -- what the README says of the code


def _table(document: Path, first: str) -> list[list[str]]:
    """The cells of the table whose header begins with ``first``, without the header."""
    lines = iter(_text(document).splitlines())
    for line in lines:
        if line.startswith(f"| {first} |"):
            break
    else:
        raise AssertionError(f"no table of {first} in {_name(document)}")
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def _code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


README: Final = ROOT / "README.md"


def _parameters(server: type) -> dict[str, object]:
    """A constructor's parameters after the handler, and their defaults."""
    _, *parameters = inspect.signature(server).parameters.values()
    found = {each.name: each.default for each in parameters if each.kind is not each.VAR_KEYWORD}
    assert len(found) < len(parameters)
    return {**found, **dict.fromkeys(Settings.__annotations__)}


def _arguments(server: type[Server]) -> list[tuple[str, str]]:
    """What the README says of a server's arguments after the handler: names and defaults."""
    told = []
    for argument, servers, default, _ in _table(README, "argument")[1:]:
        words = servers.split(", ")
        but = [word.removeprefix("not ") for word in words if word.startswith("not ")]
        of = [word for word in words if not word.startswith("not ")]
        if any(_is_meant(server, word) for word in of) and not any(_is_meant(server, word) for word in but):
            told.append((_code(argument)[0], default))
    return told


def _is_meant(server: type[Server], word: str) -> bool:
    if word in BRANCHES:
        return server.__module__.startswith(BRANCHES[word])
    if word.startswith("`"):
        return _code(word) == [server.__name__]
    return word == "all" or issubclass(server, COLOURS[word])


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.__name__)
def test_arguments_are_those_of_the_constructor_in_its_order(server: type[Server]) -> None:
    assert [name for name, _ in _arguments(server)] == list(_parameters(server))


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.__name__)
def test_defaults_are_those_of_the_constructor(server: type[Server]) -> None:
    parameters = _parameters(server)
    for name, default in _arguments(server):
        value = parameters[name]
        if isinstance(value, int):
            assert _code(default) == [str(value)]
        elif isinstance(value, str) and default.startswith("the kind's"):
            assert default == f"the kind's, in `{constants.RUN_DIR}`"
            assert value.startswith(f"{constants.RUN_DIR}/")
        elif isinstance(value, str):
            assert default == f"`{value}`"


def test_every_handler_argument_and_every_server_is_told() -> None:
    _, _, _, handlers = _table(README, "argument")[0]
    assert set(_code(handlers)) == {next(iter(inspect.signature(server).parameters)) for server in SERVERS}
    told = {name for row in _table(README, "kind") for name in _code(row[2])}
    assert told == {server.__name__ for server in SERVERS}


def test_environment_variables_are_those_that_are_read() -> None:
    told = {_code(variable)[0]: _code(default) for variable, default, _ in _table(README, "variable")}
    assert told == {
        constants.ENV_MAX_THREADS: [str(constants.DEFAULT_MAX_THREADS)],
        constants.ENV_MAX_CONCURRENCY: [str(constants.DEFAULT_MAX_CONCURRENCY)],
        constants.ENV_TRANSPORT: ["h2"],
        constants.ENV_GRACE_PERIOD: [f"{constants.DEFAULT_GRACE_PERIOD:g}"],
        constants.ENV_TUNE_MEMORY: ["1"],
        constants.ENV_LOG_PAYLOAD: ["0"],
        constants.ENV_CONTAINER_TYPE: [constants.UNKNOWN_CONTAINER],
        constants.ENV_REPLICA: ["0"],
    }
    assert set(told) == {value for name, value in vars(constants).items() if name.startswith("ENV_")}


def test_arguments_name_variables_that_are_told() -> None:
    variables = {_code(variable)[0] for variable, *_ in _table(README, "variable")}
    for _, _, default, _ in _table(README, "argument"):
        assert {name for name in _code(default) if name.isupper()} <= variables


def test_attributes_of_a_datum_are_told() -> None:
    told = {name for row in _table(README, "attribute") for name in _code(row[0])}
    with_datum = [kind for kind in KINDS if kind.__name__ not in WITHOUT_DATUM]
    assert told == {name for kind in with_datum for name in dir(kind.Datum) if not name.startswith("_")}
    assert not any(hasattr(kind, "Datum") for kind in KINDS if kind not in with_datum)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_public_names_are_told(kind: ModuleType) -> None:
    """All but the handler types, which are named after the same pattern, and errors."""
    words = set(re.findall(r"\w+", _text(README)))
    names = {name for name in kind.__all__ if not name.startswith("__")}
    assert {name for name in names if not re.search(r"(AsyncHandler|OutputHandler|HandlerObject)$", name)} <= words


PYNUMAFLOW: Final = {
    "numaflow_mapper": "Message Messages Datum DROP UserMetadata SystemMetadata Mapper MapServer MapAsyncServer "
    "MapMultiprocServer BatchMapper BatchResponse BatchResponses BatchMapAsyncServer MapStreamer MapStreamAsyncServer",
    "numaflow_sourcetransformer": "Message Messages Datum DROP UserMetadata SystemMetadata SourceTransformer "
    "SourceTransformServer SourceTransformAsyncServer SourceTransformMultiProcServer",
    "numaflow_sinker": "Message Response Responses Datum Sinker SinkServer SinkAsyncServer UserMetadata SystemMetadata",
    "numaflow_sourcer": "Message ReadRequest PendingResponse AckRequest NackRequest Offset PartitionsResponse "
    "get_default_partitions Sourcer SourceAsyncServer UserMetadata",
    "numaflow_sideinput": "Response SideInput SideInputServer SIDE_INPUT_DIR_PATH",
}
"""The public names of pynumaflow's modules, by the package that has them here."""


@pytest.mark.parametrize("package", PYNUMAFLOW)
def test_migration_guide_names_what_stays(package: str) -> None:
    words = set(re.findall(r"\w+", _text(ROOT / "docs" / "migrating.md")))
    assert set(PYNUMAFLOW[package].split()) <= words & set(importlib.import_module(package).__all__)


# -- licence


@pytest.mark.parametrize("package", sorted(ROOT.glob("packages/*")), ids=lambda package: package.name)
def test_packages_carry_licence_and_changelog(package: Path) -> None:
    assert _text(package / "LICENSE") == _text(ROOT / "LICENSE")
    assert not (package / "LICENSE").is_symlink()
    version = re.search(r'"(.+)"', _text(next(package.glob("src/*/_version.py"))))
    assert version is not None
    assert f"## {version[1]} - " in _text(package / "CHANGELOG.md")
