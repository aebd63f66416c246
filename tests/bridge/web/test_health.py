"""/healthz and /metrics say when facts are not written; calls get 503 as long as that lasts."""

from pathlib import Path
from typing import Any

import pytest

from bridge.sip.api import CallEnded, Dial
from tests.bridge.conference.driver import CODE
from tests.bridge.phone import CallIn
from tests.bridge.web.rig import Rig, running, until


async def refused(rig: Rig) -> int | None:
    """Call; return the status that the call is refused with."""
    phone = await CallIn.listen()
    there = rig.bridge.sip_address
    target = f"sip:{CODE}@{there.host}:{there.port}"
    phone.sip.order(Dial(phone.leg, target, "phone", "127.0.0.1", there, phone.media))
    await phone.ended()
    await phone.close()
    return next(n.status for n in phone.notices if isinstance(n, CallEnded))


async def test_a_store_that_fails_as_nobody_expects_is_no_health_and_no_call_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any) -> None:
        raise RuntimeError("nobody expects this")

    async with running(tmp_path) as rig, rig.client("") as client:

        async def well() -> bool:
            return (await client.get("/healthz")).status_code == 200

        assert await well()
        with monkeypatch.context() as broken:
            broken.setattr(rig.bridge._outbox, "commit", breaks)
            assert await refused(rig) == 503
            answer = await client.get("/healthz")
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
            assert await refused(rig) == 503, "nor does the next one wait for ever"
        await until(well)
        phone = await CallIn.dial(rig.bridge, CODE)
        await phone.hang_up()
        assert await rig.bridge.wait_for(lambda b: not b.roster(), 15)
        await rig.bridge.committed()
        assert [f.type for f in rig.bridge.facts].count("leg.answered") == 1
        assert "\ntollbridge_facts_not_written_total 0\n" in (await client.get("/metrics")).text
        await phone.close()
