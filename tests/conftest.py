"""With CI=true a skipped test is a failed one: CI installs every peer that tests use.

Tests may run in more than one process of pytest-xdist: each of those has a network of its own.
"""

import os
from collections.abc import Generator, Iterator
from typing import Any

import pytest
import structlog

from tests.network import own_network

BY_ITSELF = "::test_story_holds["


def pytest_configure(config: pytest.Config) -> None:
    """Leave the ports of other processes alone, and have one's own left alone."""
    if hasattr(config, "workerinput"):  # of xdist
        own_network()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Have `--dist loadfile` give out stories one by one, after the files: what is left is even."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler.loadfile import LoadFileScheduling

    scheduling = LoadFileScheduling(config, log)
    of_file = scheduling._split_scope
    scheduling._split_scope = lambda nodeid: nodeid if BY_ITSELF in nodeid else of_file(nodeid)
    return scheduling


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where nothing may be missing."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid} was skipped, and with CI=true no test may be: {report.longrepr}"
        )
    return report


@pytest.fixture(autouse=True)
def _logs_as_they_come() -> Iterator[None]:
    """Undo what a command that ran in this process said of log lines."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
