"""Stories in parallel: one process a job, each with its own warm worker and RTP engine.

Knows files and results; what a story means is the runner's. A process that dies fails the story
it was at, and another takes its place.
"""

import asyncio
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

from bridge.lab.runner import Lab, LabOptions
from bridge.lab.selection import load_checked
from bridge.lab.steps import ExpectStep
from bridge.lab.story import Story
from bridge.lab.verdicts import StoryResult, Verdict
from bridge.logs import set_up_logs

JOBS_MAX: Final = 8
PORTS_FIRST: Final = 40_000
PORTS_END: Final = 64_000
PORTS_PER_JOB: Final = (PORTS_END - PORTS_FIRST) // JOBS_MAX
"""Each job's bridge takes its RTP ports, two a leg, from a range of its own."""

END_S: Final = 10.0


@dataclass(slots=True)
class _Hand:
    """One process and the story it is at."""

    process: BaseProcess
    connection: Connection
    at: int | None = None


def run_parallel(
    stories: Sequence[Story],
    jobs: int,
    options: LabOptions,
    on_result: Callable[[StoryResult], None],
) -> list[StoryResult]:
    """Run stories in `jobs` processes; return the results in the order of the stories.

    The longest begin first, so that no process is left alone with one at the end.
    """
    waiting = deque(sorted(range(len(stories)), key=lambda index: -_weight(stories[index])))
    results: dict[int, StoryResult] = {}
    hands = [_start(job, options) for job in range(min(jobs, len(stories)))]
    try:
        while len(results) < len(stories):
            for hand in hands:
                if hand.at is None and waiting:
                    hand.at = waiting.popleft()
                    hand.connection.send(str(stories[hand.at].file))
            for job, index, result in _collect(hands, stories):
                results[index] = result
                on_result(result)
                if not hands[job].process.is_alive():
                    hands[job] = _start(job, options)
    finally:
        _end(hands)
    return [results[index] for index in range(len(stories))]


def _weight(story: Story) -> int:
    """Return how long a story takes, roughly: listening takes longest."""
    listens = [step for step in story.steps if isinstance(step, ExpectStep) and step.expect.audio]
    music = sum("hold-music" in step.text for step in listens)
    return len(story.steps) + 3 * len(listens) + 5 * music


def _start(job: int, options: LabOptions) -> _Hand:
    ours, theirs = multiprocessing.Pipe()
    first = PORTS_FIRST + job * PORTS_PER_JOB
    own = replace(options, ports=(first, first + PORTS_PER_JOB - 1))
    process = multiprocessing.get_context("spawn").Process(
        target=_work, args=(theirs, own), name=f"stories {job}"
    )
    process.start()
    theirs.close()
    return _Hand(process, ours)


def _collect(
    hands: Sequence[_Hand], stories: Sequence[Story]
) -> Iterator[tuple[int, int, StoryResult]]:
    """Wait for results; yield job, index and result of each."""
    ready = wait([hand.connection for hand in hands if hand.at is not None])
    for job, hand in enumerate(hands):
        if hand.connection not in ready or hand.at is None:
            continue
        story, index, hand.at = stories[hand.at], hand.at, None
        try:
            result = hand.connection.recv()
            result.story = story
        except (EOFError, OSError):
            hand.process.join(END_S)
            text = f"the process of this story ended with {hand.process.exitcode}"
            result = StoryResult(story, [Verdict(1, "story", False, "to be run", text)])
        yield job, index, result


def _end(hands: Sequence[_Hand]) -> None:
    for hand in hands:
        with suppress(OSError):
            hand.connection.send(None)
        hand.connection.close()
    for hand in hands:
        hand.process.join(END_S)
        if hand.process.is_alive():
            hand.process.kill()
            hand.process.join()


def _work(connection: Connection, options: LabOptions) -> None:
    """Be one job: run each story whose file comes, until None does."""
    set_up_logs(quiet=True)
    with suppress(KeyboardInterrupt, EOFError):
        asyncio.run(_serve(connection, options))


async def _serve(connection: Connection, options: LabOptions) -> None:
    lab = Lab.open(options)
    try:
        while file := await asyncio.to_thread(connection.recv):
            result = await lab.run(load_checked(Path(file)))
            result.facts = tuple(replace(fact, data=dict(fact.data)) for fact in result.facts)
            connection.send(result)
    finally:
        await lab.close()
