"""The load test against a bridge that is not ours: PJSIP's own mixer, which takes four calls."""

import asyncio

import pytest

from bridge.lab.load.limits import Limits
from bridge.lab.load.plan import LoadPlan
from bridge.lab.load.run import run
from tests.peers.test_foreign_bridge import target

__all__ = ["target"]


@pytest.mark.peer
@pytest.mark.long  # twelve seconds of listening
async def test_four_callers_of_a_foreign_bridge_hear_each_other_and_not_themselves(
    target: str,
) -> None:
    plan = LoadPlan(
        participants=4, conferences=1, duration_s=9, settle_s=2, target=target, sample=4
    )
    result = await run(plan, Limits(), asyncio.Event(), lambda load, stage: None)
    assert not result.broken
    assert result.summary.voices == 3 * result.summary.judged > 0
    assert result.summary.bridge_cores == 0  # whose processes these are is not known
