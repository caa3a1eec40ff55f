"""The documents: their code runs, their links lead somewhere, and their tables say what the code says."""

import asyncio
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

import numaflow_mapper
from numaflow_core import constants
from numaflow_mapper import MapAsyncServer, MapMultiProcServer, MapServer

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
SERVERS: Final = (MapServer, MapAsyncServer, MapMultiProcServer)

_BLOCK: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
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


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.__name__)
def test_arguments_are_those_of_the_constructor(server: type) -> None:
    told = [
        _code(argument)[0]
        for argument, servers, *_ in _table(README, "argument")
        if servers == "all" or server.__name__ in _code(servers)
    ]
    assert sorted(told) == sorted(inspect.signature(server).parameters)


def test_arguments_are_told_in_order() -> None:
    told = [_code(argument)[0] for argument, *_ in _table(README, "argument")]
    for server in SERVERS:
        parameters = list(inspect.signature(server).parameters)
        assert sorted(parameters, key=told.index) == parameters


def test_defaults_are_those_of_the_constructor() -> None:
    for argument, servers, default, _ in _table(README, "argument"):
        for server in SERVERS:
            if servers == "all" or server.__name__ in _code(servers):
                value = inspect.signature(server).parameters[_code(argument)[0]].default
                if value is inspect.Parameter.empty:
                    assert default == ""
                elif value is not None:
                    assert _code(default) == [str(value)]


def test_environment_variables_are_those_that_are_read() -> None:
    told = {_code(variable)[0]: _code(default) for variable, default, _ in _table(README, "variable")}
    assert told == {
        constants.ENV_MAX_THREADS: [str(constants.DEFAULT_MAX_THREADS)],
        constants.ENV_MAX_CONCURRENCY: [str(constants.DEFAULT_MAX_CONCURRENCY)],
        constants.ENV_TRANSPORT: ["h2"],
        constants.ENV_GRACE_PERIOD: [f"{constants.DEFAULT_GRACE_PERIOD:g}"],
        constants.ENV_CONTAINER_TYPE: [constants.UNKNOWN_CONTAINER],
    }
    assert set(told) == {value for name, value in vars(constants).items() if name.startswith("ENV_")}


def test_arguments_name_variables_that_are_told() -> None:
    variables = {_code(variable)[0] for variable, *_ in _table(README, "variable")}
    for _, _, default, _ in _table(README, "argument"):
        assert {name for name in _code(default) if name.isupper()} <= variables


def test_attributes_of_a_datum_are_told() -> None:
    told = {name for row in _table(README, "attribute") for name in _code(row[0])}
    public = {name for name in dir(numaflow_mapper.Datum) if not name.startswith("_")}
    assert told == public


def test_public_names_are_told() -> None:
    words = set(re.findall(r"\w+", _text(README)))
    assert {name for name in numaflow_mapper.__all__ if not name.startswith("__")} <= words


def test_migration_guide_names_what_stays() -> None:
    """pynumaflow's public names of its mapper module."""
    words = set(re.findall(r"\w+", _text(ROOT / "docs" / "migrating.md")))
    names = {"Message", "Messages", "Datum", "DROP", "Mapper", "MapServer", "MapAsyncServer", "MapMultiprocServer"}
    names |= {"UserMetadata", "SystemMetadata"}
    assert names <= words & set(numaflow_mapper.__all__)


# -- licence


@pytest.mark.parametrize("package", sorted(ROOT.glob("packages/*")), ids=lambda package: package.name)
def test_packages_carry_licence_and_changelog(package: Path) -> None:
    assert _text(package / "LICENSE") == _text(ROOT / "LICENSE")
    assert not (package / "LICENSE").is_symlink()
    version = re.search(r'"(.+)"', _text(next(package.glob("src/*/_version.py"))))
    assert version is not None
    assert f"## {version[1]} - " in _text(package / "CHANGELOG.md")
