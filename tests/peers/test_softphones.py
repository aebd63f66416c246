"""Debian's linphonec and baresip do what a user does with a softphone, against `tollbridge serve`.

They register with digest, dial a code or key it, hear hold music, hear each other and not
themselves, hold and resume, hang up.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.phone import AccountConfig, CallRefused, Endpoint
from tests.peers.bridge_process import CONTRACT, config, facts, serving
from tests.peers.needs import need, need_pjsip
from tests.peers.probing import CODE, free_port
from tests.peers.sip_wire import HOST, Talk, Wire
from tests.peers.softphones import (
    baresip,
    linphonec,
    seconds_of_sound,
    seconds_of_tone,
)

pytestmark = [pytest.mark.peer, pytest.mark.timeout(240)]

ANN_HZ, BEN_HZ = 440, 620
USERS = '[[user]]\nname = "ann"\npassword = "secret"\n[[user]]\nname = "ben"\npassword = "secret"\n'
KEYS_S = 20.0
"""linphonec takes almost a second for each key."""

WAIT_S = 2.0
TALK_S = 3.0


class Bridge:
    """A bridge with two users, of which nobody is a trunk."""

    def __init__(self, port: int, store: Path) -> None:
        self.port = port
        self.store = store

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{HOST}:{self.port}"

    def until(self, kind: str, count: int = 1) -> None:
        """Wait until there are so many facts of a kind."""
        deadline = time.monotonic() + KEYS_S
        while sum(fact["type"] == kind for fact in facts(self.store)) < count:
            assert time.monotonic() < deadline, f"no {kind}"
            time.sleep(0.05)

    def reasons(self) -> list[str]:
        """Return why legs left."""
        return [fact["reason"] for fact in facts(self.store) if fact["type"] == "leg.left"]


@contextlib.contextmanager
def bridge_with_users(tmp_path: Path, digest: str) -> Iterator[Bridge]:
    """Run a bridge that asks callers for a password."""
    port, store = free_port(), tmp_path / "store.db"
    text = config(port, store, [CODE]).replace(
        CONTRACT, CONTRACT.replace("127.0.0.0/8", "192.0.2.0/24")
    )
    sip = f'[sip]\ntcp = true\nrequire_auth = true\ndigest = ["{digest}"]\n'
    with serving(text.replace("[sip]\n", sip) + USERS, tmp_path):
        yield Bridge(port, store)


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Bridge]:
    with bridge_with_users(tmp_path, "MD5") as made:
        yield made


def test_linphone_waits_and_baresip_starts_the_session_and_both_talk(
    bridge: Bridge, tmp_path: Path
) -> None:
    need("linphonec", "baresip")
    with (
        linphonec(
            tmp_path / "ann", user="ann", bridge=bridge.address, tone_hz=ANN_HZ,
            sip_port=free_port(),
        ) as ann,
        baresip(
            tmp_path / "ben", user="ben", bridge=bridge.address, tone_hz=BEN_HZ,
            rtp_port=21_200, transport="tcp",
        ) as ben,
    ):  # fmt: skip
        ann.type(f"call sip:join@{bridge.address}")
        ann.says("Media streams established")
        ann.type(f"{CODE}#")
        bridge.until("leg.waiting")
        time.sleep(WAIT_S)
        ben.type(f"/dial sip:{CODE}@{bridge.address};transport=tcp")
        ben.says("Call established")
        ben.type("*0771144#")
        bridge.until("session.started")
        bridge.until("leg.joined", 2)
        time.sleep(TALK_S)
        ann.type("pause")
        ann.says("is now paused")
        ann.type("resume")
        ann.says("(?s)Media streams established.*Media streams established")
        ben.type("/hold")
        ben.says("call: hold")
        time.sleep(0.5)
        ben.type("/resume")
        ben.says("call: resume")
        time.sleep(1)
        ann.type("terminate")
        ann.says(r"ended \(No error\)")
        bridge.until("leg.left")
        ben.type("/hangup")
        bridge.until("leg.left", 2)
        ann.quit("quit")
        ben.quit("/quit")
    assert bridge.reasons() == ["hung_up", "hung_up"]
    answered = [fact for fact in facts(bridge.store) if fact["type"] == "leg.answered"]
    assert [fact["ani"] for fact in answered] == ["ann", "ben"]
    heard = ann.heard()
    assert seconds_of_sound(heard) > WAIT_S  # hold music, then Ben
    assert seconds_of_tone(heard, BEN_HZ) > TALK_S / 2
    assert seconds_of_tone(heard, ANN_HZ) == pytest.approx(0, abs=0.5)
    heard = ben.heard()
    assert seconds_of_tone(heard, ANN_HZ) > TALK_S / 2
    assert seconds_of_tone(heard, BEN_HZ) == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize(
    ("module", "said"), [("opus", "decoder: opus 48000Hz 2ch"), ("g722", "decoder: G722 16000Hz")]
)
def test_a_baresip_with_one_wideband_codec_and_one_with_g711_hear_each_other(
    bridge: Bridge, tmp_path: Path, module: str, said: str
) -> None:
    need("baresip")
    with (
        baresip(
            tmp_path / "ann", user="ann", bridge=bridge.address, tone_hz=ANN_HZ,
            rtp_port=21_220, codec=module,
        ) as ann,
        baresip(
            tmp_path / "ben", user="ben", bridge=bridge.address, tone_hz=BEN_HZ, rtp_port=21_240
        ) as ben,
    ):  # fmt: skip
        ann.type(f"/dial sip:{CODE}@{bridge.address}")
        ann.says("Call established")
        ann.says(said)
        ann.type("*0771144#")
        bridge.until("session.started")
        ben.type(f"/dial sip:{CODE}@{bridge.address}")
        bridge.until("leg.joined", 2)
        time.sleep(TALK_S)
        for phone in (ann, ben):
            phone.type("/hangup")
        bridge.until("leg.left", 2)
        ann.quit("/quit")
        ben.quit("/quit")
    heard = ann.heard()
    assert seconds_of_tone(heard, BEN_HZ) > TALK_S / 2
    assert seconds_of_tone(heard, ANN_HZ) == pytest.approx(0, abs=0.5)
    heard = ben.heard()
    assert seconds_of_tone(heard, ANN_HZ) > TALK_S / 2
    assert seconds_of_tone(heard, BEN_HZ) == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize(("digest", "tcp"), [("MD5", True), ("SHA-256", False)])
async def test_a_strict_pjsip_phone_registers_and_is_let_in(
    tmp_path: Path, digest: str, tcp: bool
) -> None:
    """It proves who it is, requires 100rel and session timers of 90 s, over UDP and TCP."""
    need_pjsip()
    with bridge_with_users(tmp_path, digest) as bridge:
        account = AccountConfig(
            f"sip:ann@{HOST}",
            registrar=f"sip:{bridge.address}",
            password="secret",
            tcp=tcp,
            require_100rel=True,
            session_timer_s=90,
        )
        async with Endpoint() as endpoint, endpoint.account(account) as ann:
            assert ann.registered
            async with ann.call(f"sip:{CODE}@{bridge.address}") as call:
                await call.answered(10)
                await asyncio.to_thread(bridge.until, "leg.waiting")
                await call.press("*0771144#")
                await asyncio.to_thread(bridge.until, "organizer.joined")
        bridge.until("leg.left")
    answered = [fact["ani"] for fact in facts(bridge.store) if fact["type"] == "leg.answered"]
    assert answered == ["ann"]


async def test_a_wrong_password_is_told_to_the_user(bridge: Bridge) -> None:
    need_pjsip()
    account = AccountConfig(f"sip:ann@{HOST}", f"sip:{bridge.address}", password="guess")
    async with Endpoint() as endpoint:
        with pytest.raises(CallRefused, match=f"register at sip:{bridge.address}: 40[13]"):
            async with endpoint.account(account):
                pass
        async with (
            endpoint.account(f"sip:ann@{HOST}") as nobody,
            nobody.call(f"sip:{CODE}@{bridge.address}") as call,
        ):
            with pytest.raises(CallRefused, match="401"):
                await call.answered(10)
    assert not facts(bridge.store)


def test_who_has_no_password_is_not_let_in(bridge: Bridge) -> None:
    with Wire((HOST, bridge.port)) as wire:
        talk = Talk(wire)
        answer = talk.ask("INVITE", body=talk.offer())
        assert answer.status == 401
        assert answer.value("WWW-Authenticate").startswith('Digest realm="tollbridge", nonce=')
        assert talk.ask("REGISTER").status == 401
        assert talk.ask("OPTIONS").status == 200
    assert not facts(bridge.store)
