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
EVIDENCE = "out/evidence"
PORTS_FIRST = 40_000
PORTS_END = 64_000
PORTS_MAX = 5_000
"""For 2,500 legs: as many as a bridge has by default."""


class StudioOfSession:
    """The one studio of a test session; made when it is first needed."""

    def __init__(self, folder: Path | None, *, keep: bool) -> None:
        self._studio: Studio | None = None
        self._folder, self._keep = folder, keep
        self._cleared: set[Path] = set()

    def get(self) -> "Studio":
        """Return the studio."""
        if self._studio is None:
            from bridge.lab.evidence import Keeping
            from bridge.lab.runner import LabOptions
            from bridge.lab.stage import Studio

            keeping = Keeping(self._folder, everything=self._keep) if self._folder else None
            self._studio = Studio(LabOptions(ports=_ports(), keeping=keeping))
        return self._studio

    def clear(self, told_by: Path) -> None:
        """Remove what an earlier session left of a test, before it runs for the first time."""
        from bridge.lab.evidence import clear

        if self._folder is not None and told_by not in self._cleared:
            self._cleared.add(told_by)
            clear(self._folder, [told_by])

    def wants(self, report: pytest.TestReport) -> bool:
        """Whether the evidence of a test that went so is kept."""
        return self._folder is not None and (report.failed or (self._keep and report.passed))

    def close(self) -> None:
        """End it, if there is one."""
        if self._studio is not None:
            self._studio.close()
            self._studio = None


STUDIO = pytest.StashKey[StudioOfSession]()
STAGE = pytest.StashKey["Stage"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say where evidence is kept, and of which tests."""
    group = parser.getgroup("tollbridge", "stories and calls")
    group.addoption(
        "--tollbridge-evidence",
        metavar="DIR",
        default=EVIDENCE,
        help="folder for report, recordings and packets of each story and each test with the "
        f"fixture `bridge` that fails (default: {EVIDENCE}); '' keeps none",
    )
    group.addoption(
        "--tollbridge-keep",
        action="store_true",
        help="keep those of the stories and tests that pass, too",
    )


def _ports() -> tuple[int, int]:
    """Return the RTP ports of this process: each process of pytest-xdist has its own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = max(int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")), worker + 1)
    ports = min((PORTS_END - PORTS_FIRST) // workers, PORTS_MAX) // 2 * 2
    first = PORTS_FIRST + worker * ports
    return first, first + ports - 1


def pytest_configure(config: pytest.Config) -> None:
    """Make room for the studio and name the marker."""
    given = config.getoption("--tollbridge-evidence")
    folder = config.invocation_params.dir / given if given else None
    config.stash[STUDIO] = StudioOfSession(folder, keep=config.getoption("--tollbridge-keep"))
    config.addinivalue_line(
        "markers",
        "tollbridge(**settings): settings of the `bridge` fixture: start, toll_free, product, "
        "contract, contracts, time_zone, starts_at, settings={'waiting_room.timeout_s': 60}",
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what was started."""
    if (studio := config.stash.get(STUDIO, None)) is not None:
        studio.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write the evidence of a test with a stage, while that is still as the test left it."""
    report = yield
    stage = item.stash.get(STAGE, None)
    ends = report.failed or call.when == "call"
    if stage is None or not ends or not item.config.stash[STUDIO].wants(report):
        return report
    del item.stash[STAGE]  # once: what ends it may fail too
    fault, line = _fault_of(item, call)
    _tell(item, report, stage.keep(fault=fault, line=line))
    return report


def _fault_of(item: pytest.Item, call: pytest.CallInfo[None]) -> tuple[str, int]:
    """Return why a test failed and in which of its lines; nothing of one that passed."""
    if call.excinfo is None:
        return "", 0
    own = [entry.lineno + 1 for entry in call.excinfo.traceback if entry.path == item.path]
    return call.excinfo.exconly(tryshort=True), own[-1] if own else 0


def _tell(item: pytest.Item, report: pytest.TestReport, folder: str) -> None:
    """Say where evidence is: in the failure, and as a property of the test in JUnit XML."""
    item.user_properties.append(("evidence", folder))
    add_section = getattr(report.longrepr, "addsection", None)  # not of a line, as of --tb=line
    if report.failed and add_section is not None:
        add_section("evidence", folder)


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
        shared = self.config.stash[STUDIO]
        shared.clear(self.story.file)
        studio = shared.get()
        result = studio.loop.run(studio.lab.run(self.story))
        if result.folder:
            self.user_properties.append(("evidence", result.folder))
        if not result.ok:
            raise StoryFailed(result)

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None
    ) -> str | Any:
        """Return the evidence instead of a traceback."""
        if isinstance(excinfo.value, StoryFailed):
            from bridge.lab.reports import evidence

            result = excinfo.value.result
            kept = [f"evidence: {result.folder}"] if result.folder else []
            return "\n".join([*evidence(result), *kept])
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
    shared, told_by = request.config.stash[STUDIO], _told_by(request.node)
    shared.clear(told_by)
    with shared.get().stage(told_by, **settings) as stage:
        request.node.stash[STAGE] = stage
        yield stage
        if STAGE in request.node.stash:
            del request.node.stash[STAGE]


def _told_by(item: pytest.Item) -> Path:
    """Return a test's place as evidence names it: `tests/test_calls.py::test_two_meet`."""
    _, *names = item.nodeid.split("::", 1)
    return item.path.with_name("::".join([item.path.name, *names]).replace("/", "-"))


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
