"""Stories that failed while the machine kept their media worker from its ticks are run again."""

import re
from collections.abc import Callable
from typing import Final, TypeVar

HELD_SHARE: Final = 0.02
RUNS_MAX: Final = 3
"""A machine that holds a worker once does so more often than by chance."""

Run = TypeVar("Run")


def was_held(told: str) -> bool:
    """Return whether more than 2% of a worker's ticks were late, by what is told of a story."""
    late = re.search(r"media worker (\d+) of (\d+);", told)
    return late is not None and int(late[1]) > HELD_SHARE * int(late[2])


def unheld(run: Callable[[], Run], ok: Callable[[Run], bool], told: Callable[[Run], str]) -> Run:
    """Run a story, again each time that it fails while its worker is held; return the last run.

    `told` returns what was said of a run, with its late ticks.
    """
    for left in reversed(range(RUNS_MAX)):
        done = run()
        if ok(done) or not left or not was_held(told(done)):
            break
        print(f"failed, and its media worker was held; once more:\n{told(done)}")
    return done
