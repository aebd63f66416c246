"""A registered softphone is called where it registered from: UDP, its own TCP, its own TLS."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from bridge.net.sip_tls import Tls, server_context
from bridge.net.sip_udp import SipUdp
from bridge.sip.api import (
    Address,
    CallAnswered,
    CallEnded,
    Dial,
    EndCause,
    HangUp,
    LocalMedia,
    SipConfig,
    SipNotice,
    SipUser,
)
from bridge.units import LegId
from tests.certificates import self_signed
from tests.peers.needs import need
from tests.peers.sip_wire import HOST
from tests.peers.softphones import baresip

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]

PATIENCE_S = 15
POLL_S = 0.05
POLLS_MAX = 200
LEG = LegId("out-1")


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_registered_baresip_is_called_and_answers(tmp_path: Path, transport: str) -> None:
    need("baresip")
    notices: asyncio.Queue[SipNotice] = asyncio.Queue()
    config = SipConfig(Address("", 0), users=(SipUser("ann", "secret"),), digests=("MD5",))
    made = self_signed(tmp_path)
    tls = Tls(Address(HOST, 0), server_context(*made))
    sip = await SipUdp.open(Address(HOST, 0), config, notices.put_nowait, tcp=True, tls=tls)
    heard = sip.config.tls_contact if transport == "tls" else sip.address
    assert heard
    phone = baresip(
        tmp_path / "ann",
        user="ann",
        bridge=f"{HOST}:{heard.port}",
        tone_hz=440,
        rtp_port=21_300,
        transport=transport,
        answers=True,
        trusted=made.certificate if transport == "tls" else None,
    )

    async def until(kind: type) -> SipNotice:
        async with asyncio.timeout(PATIENCE_S):
            while not isinstance(notice := await notices.get(), kind):
                pass
        return notice

    with contextlib.ExitStack() as undo:
        await asyncio.to_thread(undo.enter_context, phone)
        (binding,) = sip.bindings("ann")
        assert binding.transport == transport.upper()
        sip.order(
            Dial(
                leg=LEG,
                target=binding.contact,
                caller="bridge",
                domain=HOST,
                destination=binding.destination,
                media=LocalMedia(HOST, 40_000),
                transport=binding.transport,
            )
        )
        answered = await until(CallAnswered)
        assert isinstance(answered, CallAnswered)
        assert answered.remote.codec.name == "PCMU"
        sip.order(HangUp(LEG))
        ended = await until(CallEnded)
        assert isinstance(ended, CallEnded)
        assert ended.cause is EndCause.LOCAL_BYE
        for _ in range(POLLS_MAX):
            if sip.counters.get("in.200", 0) == 2:
                break
            await asyncio.sleep(POLL_S)
        assert sip.counters["in.200"] == 2  # to the INVITE and to the BYE
        sip.close()
        await asyncio.sleep(0.01)
