"""The pytest plug-in: collects `*.scenario.yaml` files, and fixtures for tests in Python.

Loaded by the entry point `tollbridge`; `-p no:tollbridge` turns it off. Imports of the lab are
paid only by a session that collects a story or asks for a fixture. See docs/pytest.md.
"""

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bridge.conference.api import LegState, Role

if TYPE_CHECKING:
    from bridge.lab.invoices import BillSeen
    from bridge.lab.stage import Stage, StagePhone, Studio
    from bridge.lab.story import Story
    from bridge.lab.verdicts import StoryResult

SUFFIXES = (".scenario.yaml", ".scenario.yml")
PORTS_FIRST = 40_000
PORTS_PER_WORKER = 600


class StudioOfSession:
    """The one studio of a test session; made when it is first needed."""

    def __init__(self) -> None:
        self._studio: Studio | None = None

    def get(self) -> "Studio":
        """Return the studio."""
        if self._studio is None:
            from bridge.lab.runner import LabOptions
            from bridge.lab.stage import Studio

            self._studio = Studio(LabOptions(ports=_ports()))
        return self._studio

    def close(self) -> None:
        """End it, if there is one."""
        if self._studio is not None:
            self._studio.close()
            self._studio = None


STUDIO = pytest.StashKey[StudioOfSession]()


def _ports() -> tuple[int, int]:
    """Return the RTP ports of this process: each process of pytest-xdist has its own."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    first = PORTS_FIRST + int(worker) * PORTS_PER_WORKER
    return first, first + PORTS_PER_WORKER - 1


def pytest_configure(config: pytest.Config) -> None:
    """Make room for the studio and name the marker."""
    config.stash[STUDIO] = StudioOfSession()
    config.addinivalue_line(
        "markers",
        "tollbridge(**settings): settings of the `bridge` fixture: start, toll_free, product, "
        "contract, contracts, time_zone, starts_at, settings={'waiting_room.timeout_s': 60}",
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what was started."""
    if (studio := config.stash.get(STUDIO, None)) is not None:
        studio.close()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "StoryFile | None":
    """Collect stories by their name."""
    if file_path.name.endswith(SUFFIXES):
        return StoryFile.from_parent(parent, path=file_path)
    return None


class StoryFile(pytest.File):
    """A file with one story."""

    def collect(self) -> Iterator["StoryItem"]:
        """Yield the story, or fail with every fault of the file, by line."""
        from bridge.lab.selection import load_checked
        from bridge.lab.source import StoryRefused

        try:
            story = load_checked(self.path)
        except StoryRefused as refused:
            raise self.CollectError("\n".join(refused.messages())) from None
        yield StoryItem.from_parent(self, name=story.scenario, story=story)


class StoryFailed(Exception):
    """A story did not hold; carries its result."""

    def __init__(self, result: "StoryResult") -> None:
        super().__init__(f"{len(result.failures())} of {len(result.verdicts)} did not hold")
        self.result = result


class StoryItem(pytest.Item):
    """One story as a test."""

    def __init__(self, *, story: "Story", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.story = story
        for tag in story.tags:
            self.extra_keyword_matches.add(tag)

    def runtest(self) -> None:
        """Run it on a fresh bridge; raise when an expectation failed."""
        studio = self.config.stash[STUDIO].get()
        result = studio.loop.run(studio.lab.run(self.story))
        if not result.ok:
            raise StoryFailed(result)

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None
    ) -> str | Any:
        """Return the evidence instead of a traceback."""
        if isinstance(excinfo.value, StoryFailed):
            from bridge.lab.reports import evidence

            return "\n".join(evidence(excinfo.value.result))
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where the story is told."""
        return self.path, 0, f"story: {self.story.scenario}"


class Conference:
    """Who is where in the stage's session: `waiting`, `hosting`, `joined`, each a sorted list."""

    def __init__(self, stage: "Stage") -> None:
        self._stage = stage

    @property
    def waiting(self) -> list[str]:
        """Participants in the waiting room."""
        return self._stage.names(LegState.WAITING, Role.PARTICIPANT)

    @property
    def hosting(self) -> list[str]:
        """Organizers who have not started the session yet."""
        return self._stage.names(LegState.WAITING, Role.ORGANIZER)

    @property
    def joined(self) -> list[str]:
        """Everybody in the conference."""
        return self._stage.names(LegState.JOINED)

    def order(self, command: str) -> None:
        """Carry out an organizer's command: `start`, `end`, `lock`, `kick ann`, `mute all`."""
        self._stage.order(command)


@pytest.fixture
def bridge(request: pytest.FixtureRequest) -> Generator["Stage", None, None]:
    """A fresh bridge whose conference clock moves only by `bridge.advance("4m")`."""
    settings: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("tollbridge"))):
        settings |= marker.kwargs
    with request.config.stash[STUDIO].get().stage(**settings) as stage:
        yield stage


@pytest.fixture
def phone(bridge: "Stage") -> Callable[..., "StagePhone"]:
    """Make callers: `ann = phone("ann", via="toll-free", country="US")`."""
    return bridge.phone


@pytest.fixture
def conference(bridge: "Stage") -> Conference:
    """Who is where, and the organizer's commands."""
    return Conference(bridge)


@pytest.fixture
def bill(bridge: "Stage") -> Callable[..., "BillSeen"]:
    """End what is open and return what the account is charged: `bill().total`."""
    return bridge.bill
