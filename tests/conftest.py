"""For all tests: how many of them run, and how long those take that look for examples.

Properties are tested without a clock, since the machine may be busy with something else.
"""

import signal

import pytest
from hypothesis import HealthCheck, settings

for name, examples in (("some examples", 30), ("many examples", 250)):
    settings.register_profile(
        name,
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("numaflow")
    group.addoption(
        "--servers",
        choices=["some", "flows", "all"],
        default="some",
        help="what each test of servers runs with: all kinds with each server type over each transport; one kind of "
        "each flow, not always the same one; or so few of these that each flow, type and transport is there",
    )
    group.addoption("--thorough", action="store_true", help="larger numbers of messages and of examples")
    group.addoption(
        "--part", default="0/1", help="0/8 to 7/8: an eighth of what --servers chooses, another one for each test"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "full_run: runs with --thorough only, being a variant of a test that always runs"
    )
    config.addinivalue_line("markers", "only(choose): runs with the kinds, server types and transports that are chosen")
    # A shell ignores SIGINT for what it starts in the background, and so would all servers.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.load_profile("many examples" if config.getoption("--thorough") else "some examples")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--thorough"):
        return
    left_out = [item for item in items if item.get_closest_marker("full_run")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("full_run")]


def pytest_report_header(config: pytest.Config) -> str:
    servers, part, thorough = (config.getoption(name) for name in ("--servers", "--part", "--thorough"))
    return f"servers: {servers}, part {part}, {'large' if thorough else 'small'} numbers"


@pytest.fixture(scope="session")
def thorough(request: pytest.FixtureRequest) -> bool:
    """Whether to take the time for large numbers."""
    return bool(request.config.getoption("--thorough"))
