"""Every story in `scenarios/` holds on a real bridge: real SIP, real RTP, a real database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bridge.lab.reports import evidence
from bridge.lab.runner import Lab
from bridge.lab.selection import load_checked

FILES = sorted(Path("scenarios").rglob("*.yaml"))
BILLS = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9", "B12")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    lab = Lab.open()
    yield lab
    await lab.close()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_story_holds(lab: Lab, file: Path) -> None:
    result = await lab.run(load_checked(file))
    assert result.ok, "\n" + "\n".join(evidence(result))


def test_every_bill_worked_by_hand_has_a_story() -> None:
    proven = {rule for file in FILES for rule in load_checked(file).rules}
    assert set(BILLS) <= proven
    assert {"D1", "D3", "D12"} <= proven
