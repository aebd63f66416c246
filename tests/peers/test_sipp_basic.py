"""SIPp as the caller, the SIP shell alone as the callee: calls, CANCEL, and SIPp's own loss."""

import asyncio
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Self

import pytest

from bridge.net.sip_udp import SipUdp
from bridge.sip.api import (
    Accept,
    Address,
    CallConfirmed,
    CallEnded,
    CallIncoming,
    EndCause,
    LocalMedia,
    Ring,
    SipConfig,
    SipNotice,
)

pytestmark = [pytest.mark.peer, pytest.mark.timeout(240)]

HOST = "127.0.0.1"
SCENARIOS = Path(__file__).parent / "sipp"
MEDIA = LocalMedia(HOST, 40_000)


@pytest.fixture(autouse=True)
def _sipp_is_here() -> None:
    if shutil.which("sipp") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must have sipp: .ci/run installs it")
        pytest.skip("sipp is not installed")


class Callee:
    """A tiny server: rings, and accepts at once unless it is told not to."""

    def __init__(self, *, accepts: bool = True) -> None:
        self.accepts = accepts
        self.kinds: Counter[type] = Counter()
        self.causes: Counter[EndCause] = Counter()
        self.sip: SipUdp

    async def __aenter__(self) -> Self:
        config = SipConfig(Address("", 0))
        self.sip = await SipUdp.open(Address(HOST, 0), config, self.on_event)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.sip.close()

    def on_event(self, notice: SipNotice) -> None:
        self.kinds[type(notice)] += 1
        if isinstance(notice, CallEnded):
            self.causes[notice.cause] += 1
        if isinstance(notice, CallIncoming):
            self.sip.order(Ring(notice.leg))
            if self.accepts:
                self.sip.order(Accept(notice.leg, MEDIA))


async def run_sipp(scenario: str, callee: Callee, folder: Path, *options: str) -> None:
    """Run a scenario against the callee; SIPp must say that every call went well."""
    process = await asyncio.create_subprocess_exec(
        "sipp",
        f"{HOST}:{callee.sip.address.port}",
        *("-sf", str(SCENARIOS / scenario), "-i", HOST, "-nostdin"),
        *("-timeout", "80", "-timeout_error", "-trace_err", "-trace_screen"),
        *options,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, errors_in(folder) + output.decode(errors="replace")[-4_000:]


def errors_in(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.glob("*errors*"))


async def test_sipp_places_calls(tmp_path: Path) -> None:
    async with Callee() as callee:
        await run_sipp("uac_basic.xml", callee, tmp_path, "-m", "200", "-r", "50", "-l", "200")
        assert callee.kinds == {CallIncoming: 200, CallConfirmed: 200, CallEnded: 200}
        assert callee.causes == {EndCause.REMOTE_BYE: 200}
        assert callee.sip.sizes["legs"] == 0


async def test_sipp_cancels_while_it_rings(tmp_path: Path) -> None:
    async with Callee(accepts=False) as callee:
        await run_sipp("uac_cancel.xml", callee, tmp_path, "-m", "20", "-r", "20")
        assert callee.kinds == {CallIncoming: 20, CallEnded: 20}
        assert callee.causes == {EndCause.CANCELLED: 20}


async def test_sipp_loses_3_percent_of_what_it_sends_and_gets(tmp_path: Path) -> None:
    async with Callee() as callee:
        options = ("-m", "300", "-r", "60", "-l", "300", "-lost", "3")
        await run_sipp("uac_basic.xml", callee, tmp_path, *options)
        # A caller whose ACK is lost may hang up before it is repeated: no CallConfirmed then.
        assert callee.kinds[CallIncoming] == callee.kinds[CallEnded] == 300
        assert callee.causes == {EndCause.REMOTE_BYE: 300}
