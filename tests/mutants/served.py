"""`tollbridge serve` with one fault patched in: `python -m tests.mutants.served FAULT serve ...`.

The load test starts it as it would the real one. `FAULT` is one of the media worker's faults, or
one of those here, which change what control tells the worker.
"""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from bridge import cli
from bridge.link import SetGroup, ToWorker
from bridge.worker_link import MediaWorker
from tests.mutants.launcher import WORKER_FAULTS, mutant_worker
from tests.mutants.worker import FAULT

real_send = MediaWorker.send


def conferences_cross(message: ToWorker) -> ToWorker:
    """Two conferences each are one mix: everybody hears strangers."""
    if isinstance(message, SetGroup) and message.group >= 0:
        return replace(message, group=message.group // 2)
    return message


def every_fifth_alone(message: ToWorker) -> ToWorker:
    """Each fifth leg is put into a mix of its own: it hears nobody and nobody hears it."""
    if isinstance(message, SetGroup) and message.group >= 0 and message.leg_no % 5 == 0:
        return replace(message, group=10_000 + message.leg_no)
    return message


SEND_FAULTS: dict[str, Callable[[ToWorker], ToWorker]] = {
    "conferences_cross": conferences_cross,
    "every_fifth_alone": every_fifth_alone,
}


async def worker_with(
    name: str, program: str, *words: str, env: dict[str, str], **more: Any
) -> asyncio.subprocess.Process:
    """Start the media worker that has a fault."""
    return await mutant_worker(program, *words, env={**env, FAULT: name}, **more)


def main() -> None:
    """Serve with the fault that the first argument names."""
    name = sys.argv.pop(1)
    with pytest.MonkeyPatch.context() as patch:
        if name in WORKER_FAULTS:
            # Only the worker's environment says it: the bridge takes it for a wrong setting.
            start = partial(worker_with, name)
            patch.setattr("bridge.worker_link.asyncio.create_subprocess_exec", start)
        else:
            change = SEND_FAULTS[name]
            patch.setattr(MediaWorker, "send", lambda self, one: real_send(self, change(one)))
        cli.main()


if __name__ == "__main__":
    main()
